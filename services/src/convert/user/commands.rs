//! Commands on one user.

use std::collections::BTreeSet;

use rollbook_aggregates::user::{
    ActivateUser, AddUserCompanies, Allegiances, CopiedProperties, CopyUserCompany, DeactivateUser,
    DeleteUser, LockUser, MissingCompany, NewCompany, RemoveUserCompanies, SetMode,
    SetUserPermissions, SetUserRoles, Succession, UnlockUser, UpdateUser, UpdateUserCompany,
};
use rollbook_aggregates::values::{
    AccountId, Allegiance, CompanyId, DimensionName, DimensionValue, ModuleName, Permission,
    RoleName, UserId, UserType,
};
use rollbook_proto::v1 as pb;

use super::super::{Fields, creating, options};
use super::known;
use super::profile::{NewUser, OWN, masked, update_user};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};

/// A command on one user.
#[derive(Clone, Debug)]
pub struct ToUser<C> {
    /// Whose user.
    pub account: AccountId,
    /// Which user.
    pub user: UserId,
    /// What to do.
    pub command: C,
    /// What the command carries.
    pub options: Options,
    /// Whether a user may do it to itself.
    pub own: bool,
}

impl<C> ToUser<C> {
    /// Reads what every command on a user has, and the command itself.
    pub(in crate::convert) fn read(
        account_id: &str,
        user_id: &str,
        command: Option<pb::CommandOptions>,
        read: impl FnOnce(&mut Fields) -> Option<C>,
    ) -> Outcome<Self> {
        let mut fields = Fields::default();
        let account = fields.read("account_id", account_id, AccountId::parse);
        let user = fields.read("user_id", user_id, UserId::parse);
        let does = read(&mut fields);
        let options = options(&mut fields, command);
        let (account, user, command) = fields.finish((account, user, does))?;
        Ok(Self {
            account,
            user,
            command,
            options,
            own: false,
        })
    }
}

/// That a link is to be sent again; the plan makes the link.
#[derive(Clone, Copy, Debug)]
pub struct Again;

macro_rules! bare {
    ($($request:ident => $command:ident,)+) => {$(
        impl TryFrom<pb::$request> for ToUser<$command> {
            type Error = Failure;

            fn try_from(request: pb::$request) -> Outcome<Self> {
                let pb::$request {
                    account_id,
                    user_id,
                    command,
                } = request;
                Self::read(&account_id, &user_id, command, |_| Some($command))
            }
        }
    )+};
}

bare! {
    DeleteUserRequest => DeleteUser,
    ActivateUserRequest => ActivateUser,
    DeactivateUserRequest => DeactivateUser,
    LockUserRequest => LockUser,
    UnlockUserRequest => UnlockUser,
    ResendWelcomeRequest => Again,
}

impl TryFrom<pb::UpdateUserRequest> for ToUser<UpdateUser> {
    type Error = Failure;

    fn try_from(request: pb::UpdateUserRequest) -> Outcome<Self> {
        let pb::UpdateUserRequest {
            account_id,
            user_id,
            profile,
            update_mask,
            command,
        } = request;
        let mut own = false;
        let mut to = Self::read(&account_id, &user_id, command, |fields| {
            let (update, named) = update_user(fields, profile, update_mask);
            own = named.iter().all(|name| OWN.contains(name));
            Some(update)
        })?;
        to.own = own;
        Ok(to)
    }
}

impl TryFrom<pb::SetUserRolesRequest> for ToUser<SetUserRoles> {
    type Error = Failure;

    fn try_from(request: pb::SetUserRolesRequest) -> Outcome<Self> {
        let pb::SetUserRolesRequest {
            account_id,
            user_id,
            mode,
            roles,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let mode = set_mode(fields, mode);
            let roles = fields.set("roles", 1000, &roles, RoleName::parse);
            Some(SetUserRoles { mode: mode?, roles })
        })
    }
}

impl TryFrom<pb::SetUserPermissionsRequest> for ToUser<SetUserPermissions> {
    type Error = Failure;

    fn try_from(request: pb::SetUserPermissionsRequest) -> Outcome<Self> {
        let pb::SetUserPermissionsRequest {
            account_id,
            user_id,
            mode,
            permissions: wire,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let mode = set_mode(fields, mode);
            let permissions = permissions(fields, wire);
            Some(SetUserPermissions {
                mode: mode?,
                permissions,
            })
        })
    }
}

impl TryFrom<pb::AddUserCompaniesRequest> for ToUser<AddUserCompanies> {
    type Error = Failure;

    fn try_from(request: pb::AddUserCompaniesRequest) -> Outcome<Self> {
        let pb::AddUserCompaniesRequest {
            account_id,
            user_id,
            companies,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            if companies.is_empty() {
                fields.bad("companies", "must not be empty");
            }
            let companies = new_companies(fields, companies);
            Some(AddUserCompanies { companies })
        })
    }
}

impl TryFrom<pb::RemoveUserCompaniesRequest> for ToUser<RemoveUserCompanies> {
    type Error = Failure;

    fn try_from(request: pb::RemoveUserCompaniesRequest) -> Outcome<Self> {
        let pb::RemoveUserCompaniesRequest {
            account_id,
            user_id,
            company_ids,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            if company_ids.is_empty() {
                fields.bad("company_ids", "must not be empty");
            }
            let company_ids = fields.set("company_ids", 1000, &company_ids, CompanyId::parse);
            Some(RemoveUserCompanies { company_ids })
        })
    }
}

const CODING: &str = "coding_allegiances";
const ROUTING: &str = "routing_allegiances";
const COMPANY: &[&str] = &["supervisor_id", "show_as_addressee", CODING, ROUTING];

impl TryFrom<pb::UpdateUserCompanyRequest> for ToUser<UpdateUserCompany> {
    type Error = Failure;

    fn try_from(request: pb::UpdateUserCompanyRequest) -> Outcome<Self> {
        let pb::UpdateUserCompanyRequest {
            account_id,
            user_id,
            company,
            update_mask,
            command,
        } = request;
        let pb::UserCompany {
            company_id,
            supervisor_id,
            show_as_addressee,
            coding_allegiances,
            routing_allegiances,
        } = company.unwrap_or_default();
        Self::read(&account_id, &user_id, command, |fields| {
            let named = masked(fields, update_mask, COMPANY);
            fields.within("company", |fields| {
                let company_id = fields.read("company_id", &company_id, CompanyId::parse);
                let supervisor = named
                    .contains("supervisor_id")
                    .then(|| fields.optional("supervisor_id", &supervisor_id, UserId::parse));
                let show_as_addressee = named
                    .contains("show_as_addressee")
                    .then_some(show_as_addressee);
                let coding = named
                    .contains(CODING)
                    .then(|| allegiances(fields, CODING, coding_allegiances));
                let routing = named
                    .contains(ROUTING)
                    .then(|| allegiances(fields, ROUTING, routing_allegiances));
                Some(UpdateUserCompany {
                    company_id: company_id?,
                    show_as_addressee,
                    supervisor,
                    coding_allegiances: coding,
                    routing_allegiances: routing,
                })
            })
        })
    }
}

/// Reads what a user stands for in a company.
pub fn allegiances(
    fields: &mut Fields,
    name: &str,
    wire: Vec<pb::Allegiance>,
) -> BTreeSet<Allegiance> {
    let read = |fields: &mut Fields, wire: pb::Allegiance| {
        let pb::Allegiance { dimension, value } = wire;
        let dimension = fields.read("dimension", &dimension, DimensionName::parse);
        let value = fields.read("value", &value, DimensionValue::parse);
        Some(Allegiance {
            dimension: dimension?,
            value: value?,
        })
    };
    fields.list(name, 100, wire, read).into_iter().collect()
}

fn set_mode(fields: &mut Fields, mode: i32) -> Option<SetMode> {
    fields.checked("mode", known(mode)).map(|mode| match mode {
        pb::SetMode::Unspecified | pb::SetMode::Replace => SetMode::Replace,
        pb::SetMode::Add => SetMode::Add,
        pb::SetMode::Remove => SetMode::Remove,
    })
}

/// Reads grants.
pub(in crate::convert) fn permissions(
    fields: &mut Fields,
    wire: Vec<pb::Permission>,
) -> BTreeSet<Permission> {
    let read = |fields: &mut Fields, wire: pb::Permission| {
        let pb::Permission { module, company_id } = wire;
        let module = fields.read("module", &module, ModuleName::parse);
        let company = fields.optional("company_id", &company_id, CompanyId::parse);
        Some(Permission {
            module: module?,
            company,
        })
    };
    fields
        .list("permissions", 1000, wire, read)
        .into_iter()
        .collect()
}

/// Reads links to companies; each company counts once.
pub(in crate::convert) fn new_companies(
    fields: &mut Fields,
    wire: Vec<pb::UserCompany>,
) -> Vec<NewCompany> {
    let mut seen = BTreeSet::new();
    let read = |fields: &mut Fields, wire: pb::UserCompany| {
        let pb::UserCompany {
            company_id,
            supervisor_id,
            show_as_addressee,
            coding_allegiances,
            routing_allegiances,
        } = wire;
        let company_id = fields.read("company_id", &company_id, CompanyId::parse);
        let supervisor = fields.optional("supervisor_id", &supervisor_id, UserId::parse);
        let allegiances = Allegiances {
            coding: allegiances(fields, CODING, coding_allegiances),
            routing: allegiances(fields, ROUTING, routing_allegiances),
        };
        let company_id = company_id?;
        if !seen.insert(company_id) {
            fields.bad("company_id", "must not be named twice");
        }
        Some(NewCompany {
            company_id,
            supervisor,
            show_as_addressee,
            allegiances,
        })
    };
    fields.list("companies", 1000, wire, read)
}

/// Reads a request for a new user.
pub fn create_user(request: pb::CreateUserRequest) -> Outcome<(AccountId, NewUser, Options)> {
    let pb::CreateUserRequest {
        account_id,
        user,
        command,
    } = request;
    let mut fields = Fields::default();
    let account = fields.read("account_id", &account_id, AccountId::parse);
    let user = NewUser::read(&mut fields, "user", user);
    let options = creating(&mut fields, command);
    let (account, user) = fields.finish((account, user))?;
    Ok((account, user, options))
}

/// A request for a new user with the rights of another.
#[derive(Clone, Debug)]
pub struct CopiedUser {
    /// Whose user.
    pub account: AccountId,
    /// Whose rights it is to have.
    pub source: UserId,
    /// What else it is made of.
    pub new: NewUser,
    /// Its type, where it is not the source's.
    pub user_type: Option<UserType>,
    /// What the command carries.
    pub options: Options,
}

impl TryFrom<pb::CopyUserRequest> for CopiedUser {
    type Error = Failure;

    fn try_from(request: pb::CopyUserRequest) -> Outcome<Self> {
        let pb::CopyUserRequest {
            account_id,
            source_user_id,
            user,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let source = fields.read("source_user_id", &source_user_id, UserId::parse);
        let (new, user_type) = NewUser::read_copy(&mut fields, "user", user);
        let options = creating(&mut fields, command);
        let (account, source, new) = fields.finish((account, source, new))?;
        Ok(Self {
            account,
            source,
            new,
            user_type,
            options,
        })
    }
}

impl TryFrom<pb::CopyUserCompanyRequest> for ToUser<CopyUserCompany> {
    type Error = Failure;

    fn try_from(request: pb::CopyUserCompanyRequest) -> Outcome<Self> {
        let pb::CopyUserCompanyRequest {
            account_id,
            user_id,
            source_company_id,
            target_company_ids,
            what,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let source = fields.read("source_company_id", &source_company_id, CompanyId::parse);
            if target_company_ids.is_empty() {
                fields.bad("target_company_ids", "must not be empty");
            }
            let read = CompanyId::parse;
            let targets = fields.set("target_company_ids", 1000, &target_company_ids, read);
            let what = fields.checked("what", known(what)).map(copied);
            let source = source?;
            if targets.contains(&source) {
                fields.bad("target_company_ids", "must not name the source");
            }
            Some(CopyUserCompany {
                source,
                targets,
                what: what?,
            })
        })
    }
}

const fn copied(what: pb::CopiedProperties) -> CopiedProperties {
    match what {
        pb::CopiedProperties::Unspecified | pb::CopiedProperties::Everything => {
            CopiedProperties::Everything
        }
        pb::CopiedProperties::ShowAsAddressee => CopiedProperties::ShowAsAddressee,
        pb::CopiedProperties::Allegiances => CopiedProperties::Allegiances,
        pb::CopiedProperties::Supervisor => CopiedProperties::Supervisor,
    }
}

impl TryFrom<pb::ReplaceSupervisorRequest> for ToUser<Succession> {
    type Error = Failure;

    fn try_from(request: pb::ReplaceSupervisorRequest) -> Outcome<Self> {
        let pb::ReplaceSupervisorRequest {
            account_id,
            supervisor_id,
            replacement_id,
            company_id,
            missing_company,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let supervisor = fields.read("supervisor_id", &supervisor_id, UserId::parse);
        let replacement = fields.read("replacement_id", &replacement_id, UserId::parse);
        if replacement.is_some() && replacement == supervisor {
            fields.bad("replacement_id", "must not be the supervisor");
        }
        let company = fields.optional("company_id", &company_id, CompanyId::parse);
        let missing = fields.checked("missing_company", known(missing_company));
        let options = options(&mut fields, command);
        let (account, supervisor, replacement, missing) =
            fields.finish((account, supervisor, replacement, missing))?;
        Ok(Self {
            account,
            user: supervisor,
            command: Succession {
                supervisor,
                replacement,
                company,
                missing: read_missing(missing),
            },
            options,
            own: false,
        })
    }
}

const fn read_missing(missing: pb::MissingCompany) -> MissingCompany {
    match missing {
        pb::MissingCompany::Unspecified | pb::MissingCompany::Refuse => MissingCompany::Refuse,
        pb::MissingCompany::Leave => MissingCompany::Leave,
    }
}
