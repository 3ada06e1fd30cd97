//! Why a command of an access is refused.

use super::GrantAccess;
use crate::account::CatalogueError;
use crate::domain::{Reason, Refusal, Violation};

/// Why a command of an access is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Its account does not exist.
    #[error("the account does not exist")]
    AccountNotFound,
    /// There is no such user.
    #[error("the user does not exist")]
    UserNotFound,
    /// The user was deleted.
    #[error("the user was deleted")]
    UserDeleted,
    /// The user is one of the account itself.
    #[error("the account is the user's home")]
    UserAtHome,
    /// The user never had access to the account.
    #[error("the user has no access to the account")]
    NotFound,
    /// The user has access already, with another type or other grants.
    #[error("the user has access to the account already, with another type or other grants")]
    Exists,
    /// The access was revoked.
    #[error("the access was revoked")]
    Revoked,
    /// The user can have access to no more accounts.
    #[error(
        "a user can have, or have had, access to {} other accounts at most",
        GrantAccess::ACCOUNTS
    )]
    TooMany,
    /// The actor is no administrator of the account who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
    /// Something is not in the catalogue, or not for such a user.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl Refusal for AccessError {
    fn reason(&self) -> Reason {
        match self {
            Self::AccountNotFound => Reason::AccountNotFound,
            Self::UserNotFound => Reason::UserNotFound,
            Self::UserDeleted => Reason::UserDeleted,
            Self::UserAtHome => Reason::UserAtHome,
            Self::NotFound => Reason::AccessNotFound,
            Self::Exists => Reason::AccessExists,
            Self::Revoked => Reason::AccessRevoked,
            Self::TooMany => Reason::TooManyAccesses,
            Self::NotAdministrator => Reason::NotAdministrator,
            Self::Catalogue(error) => error.reason(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Catalogue(error) => error.violations(),
            Self::UserDeleted | Self::UserAtHome | Self::Revoked | Self::TooMany => {
                vec![Violation::new(self.reason().as_str(), "", self.to_string())]
            }
            Self::AccountNotFound
            | Self::UserNotFound
            | Self::NotFound
            | Self::Exists
            | Self::NotAdministrator => Vec::new(),
        }
    }
}
