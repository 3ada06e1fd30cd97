//! Accounts on the wire.

mod answers;
mod settings;

use std::collections::BTreeSet;

use rollbook_aggregates::account::{
    AddCompany, CreateAccount, DefineModule, DefineRole, HeldGrants, Module, RemoveCompany,
    RemoveModule, RemoveRole, RenameCompany, Settings, UpdateAccountSettings,
};
use rollbook_aggregates::values::{
    AccountId, AccountTitle, CompanyId, CompanyTitle, ModuleName, ModuleTitle, RoleName, RoleTitle,
};
use rollbook_proto::v1 as pb;
use uuid::Uuid;

use super::user::NewUser;
use super::{Fields, creating, options};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};

pub use answers::{account_from_row, account_from_state};

/// A command on one account.
#[derive(Clone, Debug)]
pub struct ToAccount<C> {
    /// Which account.
    pub account: AccountId,
    /// What to do.
    pub command: C,
    /// What the command carries.
    pub options: Options,
}

impl<C> ToAccount<C> {
    fn read(
        account_id: &str,
        command: Option<pb::CommandOptions>,
        read: impl FnOnce(&mut Fields) -> Option<C>,
    ) -> Outcome<Self> {
        let mut fields = Fields::default();
        let account = fields.read("account_id", account_id, AccountId::parse);
        let does = read(&mut fields);
        let options = options(&mut fields, command);
        let (account, command) = fields.finish((account, does))?;
        Ok(Self {
            account,
            command,
            options,
        })
    }
}

/// A new account and its first administrator.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account; its companies have no ids yet.
    pub account: AccountId,
    title: AccountTitle,
    settings: Settings,
    /// The titles of its companies.
    pub companies: Vec<CompanyTitle>,
    roles: Vec<(RoleName, RoleTitle)>,
    modules: Vec<(ModuleName, Module)>,
    /// Its first administrator.
    pub administrator: NewUser,
    /// What the command carries.
    pub options: Options,
}

impl NewAccount {
    /// The command that creates it, with these ids for its companies.
    #[must_use]
    pub fn create(&self, company_ids: &[CompanyId]) -> CreateAccount {
        CreateAccount {
            account_id: self.account.clone(),
            title: self.title.clone(),
            settings: self.settings,
            companies: company_ids
                .iter()
                .copied()
                .zip(self.companies.iter().cloned())
                .collect(),
            roles: self.roles.clone(),
            modules: self.modules.clone(),
        }
    }
}

impl TryFrom<pb::CreateAccountRequest> for NewAccount {
    type Error = Failure;

    fn try_from(request: pb::CreateAccountRequest) -> Outcome<Self> {
        let pb::CreateAccountRequest {
            account_id,
            title,
            settings: wire_settings,
            companies,
            roles,
            modules,
            administrator,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let title = fields.read("title", &title, AccountTitle::parse);
        let settings = fields.within("settings", |fields| settings::new(fields, wire_settings));
        let companies = fields.list("companies", 1000, companies, |fields, title| {
            fields.read("", &title, CompanyTitle::parse)
        });
        let roles = fields.list("roles", 1000, roles, role);
        let modules = fields.list("modules", 1000, modules, module);
        let administrator = NewUser::read(&mut fields, "administrator", administrator);
        let options = creating(&mut fields, command);
        let (account, title, settings, administrator) =
            fields.finish((account, title, settings, administrator))?;
        Ok(Self {
            account,
            title,
            settings,
            companies,
            roles,
            modules,
            administrator: administrator.into_administrator(),
            options,
        })
    }
}

fn role(fields: &mut Fields, wire: pb::Role) -> Option<(RoleName, RoleTitle)> {
    let pb::Role { role, title } = wire;
    let role = fields.read("role", &role, RoleName::parse);
    let title = fields.read("title", &title, RoleTitle::parse);
    Some((role?, title?))
}

fn module(fields: &mut Fields, wire: pb::Module) -> Option<(ModuleName, Module)> {
    let pb::Module {
        module,
        title,
        administrator_only,
    } = wire;
    let module = fields.read("module", &module, ModuleName::parse);
    let title = fields.read("title", &title, ModuleTitle::parse);
    let defined = Module {
        title: title?,
        administrator_only,
    };
    Some((module?, defined))
}

impl TryFrom<pb::UpdateAccountSettingsRequest> for ToAccount<UpdateAccountSettings> {
    type Error = Failure;

    fn try_from(request: pb::UpdateAccountSettingsRequest) -> Outcome<Self> {
        let pb::UpdateAccountSettingsRequest {
            account_id,
            title,
            settings,
            update_mask,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            Some(settings::update(
                fields,
                &title,
                settings.unwrap_or_default(),
                update_mask,
            ))
        })
    }
}

/// Reads a request for a new company; `id` is the one it is to have.
pub fn add_company(request: pb::AddCompanyRequest, id: Uuid) -> Outcome<ToAccount<AddCompany>> {
    let pb::AddCompanyRequest {
        account_id,
        title,
        command,
    } = request;
    ToAccount::read(&account_id, command, |fields| {
        Some(AddCompany {
            company_id: CompanyId::new(id),
            title: fields.read("title", &title, CompanyTitle::parse)?,
        })
    })
}

impl TryFrom<pb::RenameCompanyRequest> for ToAccount<RenameCompany> {
    type Error = Failure;

    fn try_from(request: pb::RenameCompanyRequest) -> Outcome<Self> {
        let pb::RenameCompanyRequest {
            account_id,
            company_id,
            title,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            let company_id = fields.read("company_id", &company_id, CompanyId::parse);
            let title = fields.read("title", &title, CompanyTitle::parse);
            Some(RenameCompany {
                company_id: company_id?,
                title: title?,
            })
        })
    }
}

impl TryFrom<pb::RemoveCompanyRequest> for ToAccount<RemoveCompany> {
    type Error = Failure;

    fn try_from(request: pb::RemoveCompanyRequest) -> Outcome<Self> {
        let pb::RemoveCompanyRequest {
            account_id,
            company_id,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            let company_id = fields.read("company_id", &company_id, CompanyId::parse)?;
            Some(RemoveCompany { company_id })
        })
    }
}

impl TryFrom<pb::DefineRoleRequest> for ToAccount<DefineRole> {
    type Error = Failure;

    fn try_from(request: pb::DefineRoleRequest) -> Outcome<Self> {
        let pb::DefineRoleRequest {
            account_id,
            role: name,
            title,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            let (role, title) = role(fields, pb::Role { role: name, title })?;
            Some(DefineRole { role, title })
        })
    }
}

impl TryFrom<pb::RemoveRoleRequest> for ToAccount<RemoveRole> {
    type Error = Failure;

    fn try_from(request: pb::RemoveRoleRequest) -> Outcome<Self> {
        let pb::RemoveRoleRequest {
            account_id,
            role,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            let role = fields.read("role", &role, RoleName::parse)?;
            Some(RemoveRole { role })
        })
    }
}

impl TryFrom<pb::DefineModuleRequest> for ToAccount<DefineModule> {
    type Error = Failure;

    fn try_from(request: pb::DefineModuleRequest) -> Outcome<Self> {
        let pb::DefineModuleRequest {
            account_id,
            module: name,
            title,
            administrator_only,
            command,
            drop_grants,
        } = request;
        Self::read(&account_id, command, |fields| {
            let wire = pb::Module {
                module: name,
                title,
                administrator_only,
            };
            let (module, defined) = module(fields, wire)?;
            Some(DefineModule {
                module,
                title: defined.title,
                administrator_only,
                held: if drop_grants {
                    HeldGrants::Drop(BTreeSet::new())
                } else {
                    HeldGrants::Refuse
                },
            })
        })
    }
}

impl TryFrom<pb::RemoveModuleRequest> for ToAccount<RemoveModule> {
    type Error = Failure;

    fn try_from(request: pb::RemoveModuleRequest) -> Outcome<Self> {
        let pb::RemoveModuleRequest {
            account_id,
            module,
            command,
        } = request;
        Self::read(&account_id, command, |fields| {
            let module = fields.read("module", &module, ModuleName::parse)?;
            Some(RemoveModule { module })
        })
    }
}
