//! What was, on the wire: moments, users as they were, and what changed of them.

mod fields;
mod trails;

use rollbook_aggregates::access::ExternalUser;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::{Person, User};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_projections::{CompanyFilter, ListPastReports, ListStandings};
use rollbook_proto::v1 as pb;

use super::user::{activity, known, type_filter, write_user_type};
use super::{Disclose, Fields, permission, read_time, user_from_state, wire_time};
use crate::failure::{Failure, Outcome};

pub use fields::{changes, touched};
pub use trails::{InvoiceTrail, UserTrail};

/// A moment of the log as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Now.
    Now,
    /// Behind the event at a position.
    Position(u64),
    /// At a time, all of it.
    Time(Timestamp),
}

/// Reads a moment.
pub fn moment(fields: &mut Fields, name: &str, moment: Option<pb::Moment>) -> Option<AsOf> {
    use pb::moment::At;
    match moment.and_then(|moment| moment.at) {
        None => Some(AsOf::Now),
        Some(At::Position(position)) => Some(AsOf::Position(position)),
        Some(At::Time(time)) => fields
            .within(name, |fields| read_time(fields, "time", Some(time)))
            .map(AsOf::Time),
    }
}

/// Whether what is personal of a user could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Personal {
    /// It is there.
    Known,
    /// It was erased, with these phone numbers.
    Erased { phone: bool, mobile_phone: bool },
    /// It is another account's.
    Elsewhere,
    /// The user was deleted by then.
    Gone,
}

/// A user as it was, with everything that could be read of it.
#[derive(Clone, Debug)]
pub struct Seen {
    user: pb::User,
    personal: Personal,
}

impl Seen {
    /// A user at home in the account, with its status by that time; nothing where it was not there yet.
    #[must_use]
    pub fn at_home(account: &Account, user: &User, revision: u64, time: Timestamp) -> Option<Self> {
        user.account_id()?;
        Some(Self {
            user: user_from_state(account, user, revision, time),
            personal: user.person().map_or(Personal::Gone, personal),
        })
    }

    /// An external user as the account itself knows it.
    #[must_use]
    pub fn external(access: &ExternalUser, revision: u64) -> Self {
        let user = pb::User {
            user_id: access.user_id().to_string(),
            account_id: access.account_id().to_string(),
            user_type: write_user_type(access.user_type()).into(),
            permissions: access.permissions().iter().map(permission).collect(),
            sessions_valid_from: Some(wire_time(access.sessions_valid_from())),
            created_at: Some(wire_time(access.granted_at())),
            modified_at: Some(wire_time(access.modified_at())),
            revision,
            external: true,
            ..pb::User::default()
        };
        Self {
            user,
            personal: Personal::Elsewhere,
        }
    }

    /// The same with what its home account says of it: who it is, and whether it may sign in. Its phones stay there.
    #[must_use]
    pub fn known_at_home(
        self,
        access: &ExternalUser,
        account: &Account,
        home: &Account,
        person: &Person,
        time: Timestamp,
    ) -> Self {
        let profile = person.profile();
        let text = |text: Option<String>| text.unwrap_or_default();
        let modified_at = access.modified_at().max(person.modified_at());
        let valid_from = access
            .sessions_valid_from()
            .max(person.sessions_valid_from());
        let user = pb::User {
            signature: text(profile.signature.known().map(ToString::to_string)),
            user_name: text(person.user_name(account).map(str::to_owned)),
            first_name: text(profile.first_name.known().map(ToString::to_string)),
            last_name: text(profile.last_name.known().map(ToString::to_string)),
            email: text(profile.email.known().map(ToString::to_string)),
            language: text(profile.language.as_ref().map(ToString::to_string)),
            status: super::user::status(person.status_at(home.settings(), time)).into(),
            active: person.is_active(),
            modified_at: Some(wire_time(modified_at)),
            sessions_valid_from: Some(wire_time(valid_from)),
            mfa_enrolled: person.credentials().has_second_factor(),
            ..self.user
        };
        let personal = match personal(person) {
            Personal::Erased { .. } => Personal::Erased {
                phone: false,
                mobile_phone: false,
            },
            other => other,
        };
        Self { user, personal }
    }

    /// The same, which signed in last at this time.
    #[must_use]
    pub fn signed_in(mut self, at: Option<Timestamp>) -> Self {
        if self.personal != Personal::Gone {
            self.user.last_signed_in_at = at.map(wire_time);
        }
        self
    }

    /// Its revision then.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.user.revision
    }

    /// As the contract has it.
    #[must_use]
    pub fn shown(self, disclose: Disclose) -> pb::PastUser {
        let disclosure = match (self.personal, disclose) {
            (Personal::Known, Disclose::Shown) => pb::Disclosure::Shown,
            (Personal::Known, Disclose::Withheld) | (Personal::Elsewhere, _) => {
                pb::Disclosure::Withheld
            }
            (Personal::Erased { .. } | Personal::Gone, _) => pb::Disclosure::Erased,
        };
        let mut user = self.user;
        if disclosure == pb::Disclosure::Withheld {
            user = withheld(user);
        }
        pb::PastUser {
            user: Some(user),
            personal_data: disclosure.into(),
        }
    }
}

fn personal(person: &Person) -> Personal {
    let profile = person.profile();
    match profile.signature.known() {
        Some(_) => Personal::Known,
        None => Personal::Erased {
            phone: profile.phone.is_some(),
            mobile_phone: profile.mobile_phone.is_some(),
        },
    }
}

fn withheld(user: pb::User) -> pb::User {
    pb::User {
        signature: String::new(),
        user_name: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        email: String::new(),
        phone: String::new(),
        mobile_phone: String::new(),
        ..user
    }
}

/// A user and a moment.
pub struct UserThen {
    /// Whose account.
    pub account: AccountId,
    /// Who.
    pub user: UserId,
    /// When.
    pub as_of: AsOf,
}

impl TryFrom<pb::GetUserAsOfRequest> for UserThen {
    type Error = Failure;

    fn try_from(request: pb::GetUserAsOfRequest) -> Outcome<Self> {
        let pb::GetUserAsOfRequest {
            account_id,
            user_id,
            as_of,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let as_of = moment(&mut fields, "as_of", as_of);
        let (account, user, as_of) = fields.finish((account, user, as_of))?;
        Ok(Self {
            account,
            user,
            as_of,
        })
    }
}

/// A user and two moments.
pub struct UserBetween {
    /// Whose account.
    pub account: AccountId,
    /// Who.
    pub user: UserId,
    /// Since when.
    pub from: AsOf,
    /// Until when.
    pub to: AsOf,
}

impl TryFrom<pb::DiffUserRequest> for UserBetween {
    type Error = Failure;

    fn try_from(request: pb::DiffUserRequest) -> Outcome<Self> {
        let pb::DiffUserRequest {
            account_id,
            user_id,
            from,
            to,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let from = moment(&mut fields, "from", from);
        let to = moment(&mut fields, "to", to);
        let (account, user, from, to) = fields.finish((account, user, from, to))?;
        Ok(Self {
            account,
            user,
            from,
            to,
        })
    }
}

/// A question for users at a moment, without where it goes on.
pub struct UsersThen {
    /// The question; its position is yet to be found.
    pub query: ListStandings,
    /// When.
    pub as_of: AsOf,
}

impl TryFrom<pb::ListUsersAsOfRequest> for UsersThen {
    type Error = Failure;

    fn try_from(request: pb::ListUsersAsOfRequest) -> Outcome<Self> {
        use pb::list_users_as_of_request::Company;
        let pb::ListUsersAsOfRequest {
            account_id,
            as_of,
            company,
            activity: active,
            user_type,
            page_size,
            page_token: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let as_of = moment(&mut fields, "as_of", as_of);
        let company = match company {
            None | Some(Company::NoCompany(false)) => CompanyFilter::Any,
            Some(Company::NoCompany(true)) => CompanyFilter::None,
            Some(Company::CompanyId(id)) => fields
                .read(
                    "company_id",
                    &id,
                    rollbook_aggregates::values::CompanyId::parse,
                )
                .map_or(CompanyFilter::Any, CompanyFilter::In),
        };
        let active = activity(&mut fields, active);
        let user_type = type_filter(&mut fields, user_type);
        let limit = fields.checked("page_size", crate::page::size(page_size));
        let (account, as_of, limit) = fields.finish((account, as_of, limit))?;
        let query = ListStandings {
            account,
            position: 0,
            company,
            active,
            user_type,
            after: None,
            limit,
        };
        Ok(Self { query, as_of })
    }
}

/// A question for reports at a moment, without where it goes on.
pub struct ReportsThen {
    /// The question; its position is yet to be found.
    pub query: ListPastReports,
    /// When.
    pub as_of: AsOf,
}

impl TryFrom<pb::ListReportsAsOfRequest> for ReportsThen {
    type Error = Failure;

    fn try_from(request: pb::ListReportsAsOfRequest) -> Outcome<Self> {
        let pb::ListReportsAsOfRequest {
            account_id,
            user_id,
            as_of,
            company_id,
            page_size,
            page_token: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let supervisor = fields.read("user_id", &user_id, UserId::parse);
        let as_of = moment(&mut fields, "as_of", as_of);
        let company = fields.optional(
            "company_id",
            &company_id,
            rollbook_aggregates::values::CompanyId::parse,
        );
        let limit = fields.checked("page_size", crate::page::size(page_size));
        let (account, supervisor, as_of, limit) =
            fields.finish((account, supervisor, as_of, limit))?;
        let query = ListPastReports {
            account,
            position: 0,
            supervisor,
            company,
            after: None,
            limit,
        };
        Ok(Self { query, as_of })
    }
}

/// The name of a value of an enum of the contract, without the enum's.
fn name_of(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// The name of a status, as in `ACTIVE`.
fn status_name(status: i32) -> String {
    known::<pb::UserStatus>(status).map_or_else(
        |_| String::new(),
        |status| name_of(status.as_str_name(), "USER_STATUS_"),
    )
}

/// The name of a type of users, as in `STANDARD`.
fn type_name(user_type: i32) -> String {
    known::<pb::UserType>(user_type).map_or_else(
        |_| String::new(),
        |user_type| name_of(user_type.as_str_name(), "USER_TYPE_"),
    )
}
