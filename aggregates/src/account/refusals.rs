//! Why a command of an account is refused.

use crate::domain::{Holders, Reason, Refusal, Violation};
use crate::values::{CompanyId, ModuleName, RoleName};

/// Why a command of an account is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// It does not exist.
    #[error("the account does not exist")]
    NotFound,
    /// It exists already.
    #[error("the account id is taken")]
    Exists,
    /// The actor is no administrator of it who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
    /// One list names something twice.
    #[error("{field} name the same thing twice")]
    NamedTwice {
        /// The list.
        field: &'static str,
    },
    /// It has no such company.
    #[error("the account has no company {0}")]
    CompanyNotFound(CompanyId),
    /// It has that company under another title.
    #[error("the account has a company {0} with another title")]
    CompanyExists(CompanyId),
    /// Another company has that title.
    #[error("another company of the account has this title")]
    CompanyTitleTaken,
    /// Users are linked to the company or have grants in it.
    #[error("company {company} is in use by {}", counted(users))]
    CompanyInUse {
        /// The company.
        company: CompanyId,
        /// Who uses it.
        users: Holders,
    },
    /// It has no such role.
    #[error("the account has no role {0}")]
    RoleNotFound(RoleName),
    /// Users hold the role.
    #[error("role {role} is held by {}", counted(users))]
    RoleInUse {
        /// The role.
        role: RoleName,
        /// Who holds it.
        users: Holders,
    },
    /// It has no such module.
    #[error("the account has no module {0}")]
    ModuleNotFound(ModuleName),
    /// Users have grants on the module.
    #[error("module {module} is granted to {}", counted(users))]
    ModuleInUse {
        /// The module.
        module: ModuleName,
        /// To whom.
        users: Holders,
    },
    /// STANDARD users have grants on the module.
    #[error("module {module} is granted to {} of type STANDARD", counted(users))]
    ModuleHeldByStandardUsers {
        /// The module.
        module: ModuleName,
        /// To whom.
        users: Holders,
    },
    /// Users share e-mail addresses.
    #[error("{} share e-mail addresses", counted(users))]
    EmailShared {
        /// Who.
        users: Holders,
    },
}

/// "1 user", "12 users".
fn counted(users: &Holders) -> String {
    match users.count {
        1 => "1 user".to_owned(),
        count => format!("{count} users"),
    }
}

impl AccountError {
    const fn users(&self) -> Option<&Holders> {
        match self {
            Self::CompanyInUse { users, .. }
            | Self::RoleInUse { users, .. }
            | Self::ModuleInUse { users, .. }
            | Self::ModuleHeldByStandardUsers { users, .. }
            | Self::EmailShared { users } => Some(users),
            Self::NotFound
            | Self::Exists
            | Self::NotAdministrator
            | Self::NamedTwice { .. }
            | Self::CompanyNotFound(_)
            | Self::CompanyExists(_)
            | Self::CompanyTitleTaken
            | Self::RoleNotFound(_)
            | Self::ModuleNotFound(_) => None,
        }
    }
}

impl Refusal for AccountError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound => Reason::AccountNotFound,
            Self::Exists => Reason::AccountExists,
            Self::NotAdministrator => Reason::NotAdministrator,
            Self::NamedTwice { .. } => Reason::Malformed,
            Self::CompanyNotFound(_) => Reason::CompanyNotFound,
            Self::CompanyExists(_) => Reason::CompanyExists,
            Self::CompanyTitleTaken => Reason::CompanyTitleTaken,
            Self::CompanyInUse { .. } => Reason::CompanyInUse,
            Self::RoleNotFound(_) => Reason::RoleNotFound,
            Self::RoleInUse { .. } => Reason::RoleInUse,
            Self::ModuleNotFound(_) => Reason::ModuleNotFound,
            Self::ModuleInUse { .. } => Reason::ModuleInUse,
            Self::ModuleHeldByStandardUsers { .. } => Reason::ModuleHeldByStandardUsers,
            Self::EmailShared { .. } => Reason::EmailShared,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::NamedTwice { field } => Some(field),
            Self::NotFound
            | Self::Exists
            | Self::NotAdministrator
            | Self::CompanyNotFound(_)
            | Self::CompanyExists(_)
            | Self::CompanyTitleTaken
            | Self::CompanyInUse { .. }
            | Self::RoleNotFound(_)
            | Self::RoleInUse { .. }
            | Self::ModuleNotFound(_)
            | Self::ModuleInUse { .. }
            | Self::ModuleHeldByStandardUsers { .. }
            | Self::EmailShared { .. } => None,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        let Some(users) = self.users() else {
            return Vec::new();
        };
        let name = self.reason().as_str();
        let summary = Violation::new(name, users.count.to_string(), self.to_string());
        let named = users
            .owners
            .iter()
            .map(|user| Violation::new(name, user.as_str(), format!("user {user}")));
        std::iter::once(summary).chain(named).collect()
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        self.users()
            .map(|users| {
                let first = users.owners.first().cloned().unwrap_or_default();
                vec![("users", users.count.to_string()), ("first_user_id", first)]
            })
            .unwrap_or_default()
    }
}
