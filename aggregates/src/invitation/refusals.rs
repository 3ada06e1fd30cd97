//! Why a command of an invitation is refused.

use crate::account::CatalogueError;
use crate::domain::{Reason, Refusal, Violation};

/// Why a command of an invitation is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Its account does not exist.
    #[error("the account does not exist")]
    AccountNotFound,
    /// It does not exist, or not in this account, or the token is not, or no longer, its own.
    #[error("the invitation does not exist")]
    NotFound,
    /// It exists already.
    #[error("the invitation exists already")]
    Exists,
    /// The actor is no administrator of the account who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
    /// Something is not in the catalogue, or not for such a user.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The address is invited already.
    #[error("the e-mail address is invited already")]
    AddressInvited,
    /// The address is a user's.
    #[error("the e-mail address is a user's already")]
    AddressIsUser,
    /// It has expired.
    #[error("the invitation has expired")]
    Expired,
    /// It was deleted.
    #[error("the invitation was deleted")]
    Deleted,
    /// It was accepted.
    #[error("the invitation was accepted already")]
    Accepted,
}

impl Refusal for InvitationError {
    fn reason(&self) -> Reason {
        match self {
            Self::AccountNotFound => Reason::AccountNotFound,
            Self::NotFound => Reason::InvitationNotFound,
            Self::Exists => Reason::InvitationExists,
            Self::NotAdministrator => Reason::NotAdministrator,
            Self::Catalogue(error) => error.reason(),
            Self::AddressInvited => Reason::AddressInvited,
            Self::AddressIsUser => Reason::AddressIsUser,
            Self::Expired => Reason::InvitationExpired,
            Self::Deleted => Reason::InvitationDeleted,
            Self::Accepted => Reason::InvitationAccepted,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Catalogue(error) => error.violations(),
            Self::Expired | Self::Deleted | Self::Accepted => {
                vec![Violation::new(self.reason().as_str(), "", self.to_string())]
            }
            Self::AccountNotFound
            | Self::NotFound
            | Self::Exists
            | Self::NotAdministrator
            | Self::AddressInvited
            | Self::AddressIsUser => Vec::new(),
        }
    }
}
