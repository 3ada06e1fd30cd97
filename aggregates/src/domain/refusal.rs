//! Refusals: what every error of the domain tells the outside.

/// What kind of refusal it is; the outside has one code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// What was named does not exist, or not for this caller.
    NotFound,
    /// Something that may be there once is there already.
    AlreadyExists,
    /// The state of things does not allow it.
    FailedPrecondition,
    /// The actor may not do it.
    PermissionDenied,
    /// The command makes no sense, whatever the state.
    InvalidArgument,
}

/// One of the things that stand in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of thing, in `SCREAMING_SNAKE`.
    pub r#type: &'static str,
    /// Which thing.
    pub subject: String,
    /// The same for people.
    pub description: String,
}

impl Violation {
    pub(crate) fn new(
        r#type: &'static str,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            r#type,
            subject: subject.into(),
            description: description.into(),
        }
    }
}

/// A refusal of the domain. Its message names no personal data.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// Which rule refused.
    fn reason(&self) -> Reason;

    /// What kind of refusal it is.
    fn kind(&self) -> RefusalKind {
        self.reason().kind()
    }

    /// Everything that stands in the way, for a failed precondition.
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }

    /// The field of the request that is wrong, for an invalid argument.
    fn field(&self) -> Option<&'static str> {
        None
    }

    /// More facts for machines.
    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

macro_rules! reasons {
    ($($(#[$meta:meta])* $reason:ident = $name:literal is $kind:ident,)+) => {
        /// Which rule refused, one for each rule of the domain.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$meta])* $reason,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)+];

            /// The name the outside knows it by.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }

            /// What kind of refusal it is.
            #[must_use]
            pub const fn kind(self) -> RefusalKind {
                match self {
                    $(Self::$reason => RefusalKind::$kind,)+
                }
            }
        }
    };
}

reasons! {
    /// The account does not exist.
    AccountNotFound = "ACCOUNT_NOT_FOUND" is NotFound,
    /// The account id is taken.
    AccountExists = "ACCOUNT_EXISTS" is AlreadyExists,
    /// The account has no such company.
    CompanyNotFound = "COMPANY_NOT_FOUND" is NotFound,
    /// The account has a company with this id under another title.
    CompanyExists = "COMPANY_EXISTS" is AlreadyExists,
    /// Another company of the account has this title.
    CompanyTitleTaken = "COMPANY_TITLE_TAKEN" is AlreadyExists,
    /// Users are linked to the company.
    CompanyInUse = "COMPANY_IN_USE" is FailedPrecondition,
    /// The account's catalogue has no such role.
    RoleNotFound = "ROLE_NOT_FOUND" is NotFound,
    /// Users hold the role.
    RoleInUse = "ROLE_IN_USE" is FailedPrecondition,
    /// The account has no such module.
    ModuleNotFound = "MODULE_NOT_FOUND" is NotFound,
    /// Users have grants on the module.
    ModuleInUse = "MODULE_IN_USE" is FailedPrecondition,
    /// STANDARD users have grants on a module that is to be for administrators only.
    ModuleHeldByStandardUsers = "MODULE_HELD_BY_STANDARD_USERS" is FailedPrecondition,
    /// Users share an address, so e-mail cannot become the login.
    EmailShared = "EMAIL_SHARED" is FailedPrecondition,
    /// The account keeps passwords elsewhere.
    PasswordsKeptElsewhere = "PASSWORDS_KEPT_ELSEWHERE" is FailedPrecondition,
    /// The account keeps passwords itself, so nobody else reports sign-ins.
    PasswordsKeptHere = "PASSWORDS_KEPT_HERE" is FailedPrecondition,
    /// The account lets passwords be changed through a reset link only.
    PasswordByLinkOnly = "PASSWORD_BY_LINK_ONLY" is FailedPrecondition,
    /// The user has not completed its onboarding.
    NotOnboarded = "NOT_ONBOARDED" is FailedPrecondition,
    /// The user has completed its onboarding.
    Onboarded = "ONBOARDED" is FailedPrecondition,
    /// The link opens nothing, or nothing any more.
    LinkNotFound = "LINK_NOT_FOUND" is NotFound,
    /// The link was not followed in time.
    LinkExpired = "LINK_EXPIRED" is FailedPrecondition,
    /// The user does not exist.
    UserNotFound = "USER_NOT_FOUND" is NotFound,
    /// The user exists already.
    UserExists = "USER_EXISTS" is AlreadyExists,
    /// The user was deleted.
    UserDeleted = "USER_DELETED" is FailedPrecondition,
    /// Another user has, or had, this signature.
    SignatureTaken = "SIGNATURE_TAKEN" is AlreadyExists,
    /// Another user has this e-mail address, which is the login.
    EmailTaken = "EMAIL_TAKEN" is AlreadyExists,
    /// Something still needs the user, so it cannot be deleted.
    UserStillNeeded = "USER_STILL_NEEDED" is FailedPrecondition,
    /// The account would be left without an administrator who can act.
    LastAdministrator = "LAST_ADMINISTRATOR" is FailedPrecondition,
    /// A STANDARD user cannot have a module that is for administrators only.
    ModuleAdministratorOnly = "MODULE_ADMINISTRATOR_ONLY" is FailedPrecondition,
    /// The user is not linked to the company.
    CompanyNotLinked = "COMPANY_NOT_LINKED" is FailedPrecondition,
    /// The supervisor does not exist, is inactive, or has no such company.
    SupervisorUnfit = "SUPERVISOR_UNFIT" is FailedPrecondition,
    /// The user supervises others in the company.
    SupervisesUsers = "SUPERVISES_USERS" is FailedPrecondition,
    /// A password is needed.
    PasswordMissing = "PASSWORD_MISSING" is InvalidArgument,
    /// A password and a welcome link exclude each other.
    PasswordAndWelcome = "PASSWORD_AND_WELCOME" is InvalidArgument,
    /// A field is wrong in itself.
    Malformed = "MALFORMED" is InvalidArgument,
    /// The actor is not, or is no longer, an administrator who can act.
    NotAdministrator = "NOT_ADMINISTRATOR" is PermissionDenied,
    /// The invitation does not exist, or the token is not, or no longer, its own.
    InvitationNotFound = "INVITATION_NOT_FOUND" is NotFound,
    /// The invitation exists already.
    InvitationExists = "INVITATION_EXISTS" is AlreadyExists,
    /// The invitation has expired.
    InvitationExpired = "INVITATION_EXPIRED" is FailedPrecondition,
    /// The invitation was deleted.
    InvitationDeleted = "INVITATION_DELETED" is FailedPrecondition,
    /// The invitation was accepted already.
    InvitationAccepted = "INVITATION_ACCEPTED" is FailedPrecondition,
    /// A pending invitation to this address exists.
    AddressInvited = "ADDRESS_INVITED" is AlreadyExists,
    /// A user with this address exists.
    AddressIsUser = "ADDRESS_IS_USER" is AlreadyExists,
    /// The user has no access to the account.
    AccessNotFound = "ACCESS_NOT_FOUND" is NotFound,
    /// The user has access to the account already, with another type or other grants.
    AccessExists = "ACCESS_EXISTS" is AlreadyExists,
    /// The access was revoked.
    AccessRevoked = "ACCESS_REVOKED" is FailedPrecondition,
    /// The account is the user's home, so it needs no access to it.
    UserAtHome = "USER_AT_HOME" is FailedPrecondition,
    /// The user can have access to no more accounts.
    TooManyAccesses = "TOO_MANY_ACCESSES" is FailedPrecondition,
    /// More users reviewed the invoice than one commit can release.
    TooManyReviewers = "TOO_MANY_REVIEWERS" is FailedPrecondition,
    /// There is no such mail that could not be sent.
    DeadLetterNotFound = "DEAD_LETTER_NOT_FOUND" is NotFound,
}

#[cfg(test)]
mod tests;
