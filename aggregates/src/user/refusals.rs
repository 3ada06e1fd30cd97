//! Why a command of a user is refused.

use super::Blocker;
use super::deletion::named;
use crate::account::CatalogueError;
use crate::domain::{Holders, Reason, Refusal, Violation};
use crate::values::{CompanyId, UserId};

/// What is wrong with a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorFault {
    /// The account has no such user.
    NotFound,
    /// It is inactive.
    Inactive,
    /// It is not linked to the company.
    NotLinked,
}

/// A supervisor that cannot be one (R31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitSupervisor {
    /// Who.
    pub supervisor: UserId,
    /// Where; none: anywhere.
    pub company: Option<CompanyId>,
    /// Why not.
    pub fault: SupervisorFault,
}

impl UnfitSupervisor {
    fn violation(&self) -> Violation {
        let Self {
            supervisor,
            company,
            fault,
        } = self;
        let place = company
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (name, description) = match fault {
            SupervisorFault::NotFound => (
                "SUPERVISOR_NOT_FOUND",
                format!("the account has no user {supervisor}"),
            ),
            SupervisorFault::Inactive => (
                "SUPERVISOR_INACTIVE",
                format!("user {supervisor} is inactive"),
            ),
            SupervisorFault::NotLinked => (
                "SUPERVISOR_NOT_LINKED",
                format!("user {supervisor} is not linked to company {place}"),
            ),
        };
        let subject = match company {
            Some(company) => format!("{company}/{supervisor}"),
            None => supervisor.to_string(),
        };
        Violation::new(name, subject, description)
    }
}

/// Why a command of a user is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Its account does not exist.
    #[error("the account does not exist")]
    AccountNotFound,
    /// It does not exist, or not in this account.
    #[error("the user does not exist")]
    NotFound,
    /// It exists already.
    #[error("the user exists already")]
    Exists,
    /// It was deleted.
    #[error("the user was deleted")]
    Deleted,
    /// The actor is no administrator of the account who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
    /// Another user has, or had, the signature.
    #[error("the signature is, or was, another user's")]
    SignatureTaken,
    /// Another user has the e-mail address, which is the login.
    #[error("the e-mail address is another user's")]
    EmailTaken,
    /// A password is needed.
    #[error("a password is needed where no welcome link is asked for")]
    PasswordMissing,
    /// A password and a welcome link exclude each other.
    #[error("a password and a welcome link exclude each other")]
    PasswordAndWelcome,
    /// The account keeps passwords elsewhere.
    #[error("the account keeps passwords elsewhere")]
    PasswordsKeptElsewhere,
    /// The account keeps passwords itself.
    #[error("the account keeps passwords itself, so nobody else reports sign-ins")]
    PasswordsKeptHere,
    /// A password changes through a reset link only.
    #[error("the account lets passwords be changed through a reset link only")]
    PasswordByLinkOnly,
    /// Its onboarding is not completed.
    #[error("the user has not completed its onboarding")]
    NotOnboarded,
    /// Its onboarding is completed.
    #[error("the user has completed its onboarding")]
    Onboarded,
    /// The link opens nothing, or nothing any more.
    #[error("the link opens nothing, or nothing any more")]
    LinkNotFound,
    /// The link was not followed in time.
    #[error("the link has expired")]
    LinkExpired,
    /// Something is not in the catalogue, or not for this user.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A company is named twice.
    #[error("companies name the same company twice")]
    CompanyNamedTwice,
    /// It is not linked to the company.
    #[error("the user is not linked to company {0}")]
    CompanyNotLinked(CompanyId),
    /// Supervisors that cannot be.
    #[error("the supervisor must be an active user of the account with the company")]
    SupervisorsUnfit(Vec<UnfitSupervisor>),
    /// It supervises others in these companies.
    #[error("the user supervises others there")]
    SupervisesUsers(Vec<(CompanyId, Holders)>),
    /// It is the last administrator who can act.
    #[error("the account would be left without an administrator who can act")]
    LastAdministrator,
    /// These still need it.
    #[error("the user is still needed")]
    StillNeeded(Vec<Blocker>),
}

impl Refusal for UserError {
    fn reason(&self) -> Reason {
        match self {
            Self::AccountNotFound => Reason::AccountNotFound,
            Self::NotFound => Reason::UserNotFound,
            Self::Exists => Reason::UserExists,
            Self::Deleted => Reason::UserDeleted,
            Self::NotAdministrator => Reason::NotAdministrator,
            Self::SignatureTaken => Reason::SignatureTaken,
            Self::EmailTaken => Reason::EmailTaken,
            Self::PasswordMissing => Reason::PasswordMissing,
            Self::PasswordAndWelcome => Reason::PasswordAndWelcome,
            Self::PasswordsKeptElsewhere => Reason::PasswordsKeptElsewhere,
            Self::PasswordsKeptHere => Reason::PasswordsKeptHere,
            Self::PasswordByLinkOnly => Reason::PasswordByLinkOnly,
            Self::NotOnboarded => Reason::NotOnboarded,
            Self::Onboarded => Reason::Onboarded,
            Self::LinkNotFound => Reason::LinkNotFound,
            Self::LinkExpired => Reason::LinkExpired,
            Self::Catalogue(error) => error.reason(),
            Self::CompanyNamedTwice => Reason::Malformed,
            Self::CompanyNotLinked(_) => Reason::CompanyNotLinked,
            Self::SupervisorsUnfit(_) => Reason::SupervisorUnfit,
            Self::SupervisesUsers(_) => Reason::SupervisesUsers,
            Self::LastAdministrator => Reason::LastAdministrator,
            Self::StillNeeded(_) => Reason::UserStillNeeded,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::PasswordMissing | Self::PasswordAndWelcome => Some("password"),
            Self::CompanyNamedTwice => Some("companies"),
            Self::AccountNotFound
            | Self::NotFound
            | Self::Exists
            | Self::Deleted
            | Self::NotAdministrator
            | Self::SignatureTaken
            | Self::EmailTaken
            | Self::PasswordsKeptElsewhere
            | Self::PasswordsKeptHere
            | Self::PasswordByLinkOnly
            | Self::NotOnboarded
            | Self::Onboarded
            | Self::LinkNotFound
            | Self::LinkExpired
            | Self::Catalogue(_)
            | Self::CompanyNotLinked(_)
            | Self::SupervisorsUnfit(_)
            | Self::SupervisesUsers(_)
            | Self::LastAdministrator
            | Self::StillNeeded(_) => None,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        let name = self.reason().as_str();
        match self {
            Self::StillNeeded(blockers) => Blocker::violations(blockers),
            Self::SupervisorsUnfit(unfit) => unfit.iter().map(UnfitSupervisor::violation).collect(),
            Self::SupervisesUsers(companies) => companies
                .iter()
                .map(|(company, users)| {
                    let whom = format!("supervises {}: {}", users.count, named(users));
                    Violation::new(name, company.to_string(), whom)
                })
                .collect(),
            Self::Catalogue(error) => error.violations(),
            Self::CompanyNotLinked(company) => {
                vec![Violation::new(name, company.to_string(), self.to_string())]
            }
            Self::Deleted
            | Self::PasswordsKeptElsewhere
            | Self::PasswordsKeptHere
            | Self::PasswordByLinkOnly
            | Self::NotOnboarded
            | Self::Onboarded
            | Self::LinkExpired
            | Self::LastAdministrator => {
                vec![Violation::new(name, "", self.to_string())]
            }
            Self::AccountNotFound
            | Self::NotFound
            | Self::Exists
            | Self::NotAdministrator
            | Self::SignatureTaken
            | Self::EmailTaken
            | Self::PasswordMissing
            | Self::PasswordAndWelcome
            | Self::LinkNotFound
            | Self::CompanyNamedTwice => Vec::new(),
        }
    }
}
