//! What can go wrong for a person at the command line, and what to do about it.

use std::{error::Error, fmt::Write as _, io, path::PathBuf};

use rollbook_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a command of the command line failed.
#[must_use]
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The service refused the call.
    #[error("{}", explain(.status, .request_id.as_deref()))]
    Refused {
        /// What it answered.
        status: Box<Status>,
        /// The request id the command was sent with, where it was a command.
        request_id: Option<String>,
    },
    /// No service answers at the address.
    #[error(
        "no service answers at {server}; start one with `rollbook serve`, or name another with --server"
    )]
    Unreachable {
        /// The address.
        server: String,
        /// What the transport says.
        source: tonic::transport::Error,
    },
    /// What was given on the command line, in the environment or in the file does not fit together.
    #[error("{0}")]
    Usage(String),
    /// The configuration does not read.
    #[error("the configuration does not read")]
    Configuration(#[source] Box<figment::Error>),
    /// A file cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was to be done with it.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// The log is not what it was.
    #[error("{0}")]
    NotTrue(String),
    /// Something else that the command rests on failed.
    #[error("cannot {action}")]
    Failed {
        /// What was to be done.
        action: String,
        /// Why it was not.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Refused {
            status: Box::new(status),
            request_id: None,
        }
    }
}

impl Problem {
    /// Says what could not be done, and why.
    pub fn failed(
        action: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            action: action.into(),
            source: source.into(),
        }
    }

    /// Remembers the request id of the command that failed, so that it can be repeated safely.
    pub fn of_command(self, id: &str) -> Self {
        match self {
            Self::Refused {
                status,
                request_id: None,
            } if !id.is_empty() => Self::Refused {
                status,
                request_id: Some(id.to_owned()),
            },
            other => other,
        }
    }

    /// Whether the reader of our output went away, as `head` does.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Tells a refusal in words: what, every field and violation, and what to do.
fn explain(status: &Status, request_id: Option<&str>) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    let mut text = match reason {
        Some(reason) => format!("{} ({reason})", status.message()),
        None => format!("{} ({})", status.message(), code_name(status.code())),
    };
    for bad in details
        .bad_request()
        .iter()
        .flat_map(|bad| &bad.field_violations)
    {
        let _ = write!(text, "\n  {}: {}", bad.field, bad.description);
    }
    let failure = details.precondition_failure();
    let violations = failure.iter().flat_map(|failure| &failure.violations);
    for violation in violations.filter(|violation| violation.description != status.message()) {
        let what = [violation.r#type.as_str(), violation.subject.as_str()].join(" ");
        let _ = write!(text, "\n  {}: {}", what.trim_end(), violation.description);
    }
    for quota in details
        .quota_failure()
        .iter()
        .flat_map(|failure| &failure.violations)
    {
        let _ = write!(text, "\n  {}: {}", quota.subject, quota.description);
    }
    if let Some(cause) = root_cause(status) {
        let _ = write!(text, "\n  because {cause}");
    }
    let known =
        reason.and_then(|reason| ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}")));
    if let Some(advice) = known
        .and_then(advice)
        .or_else(|| advice_on_code(status.code()))
    {
        let _ = write!(text, "\n{advice}");
    }
    if let (Some(id), true) = (request_id, may_have_happened(status.code())) {
        let _ = write!(
            text,
            "\nrepeat it with --request-id {id}: nothing is done twice"
        );
    }
    text
}

/// What lies at the bottom of a failure of the transport; the service's own answers have nothing below them.
fn root_cause(status: &Status) -> Option<&(dyn Error + 'static)> {
    let mut cause = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause)
}

/// Whether the command may have been committed although the answer was lost.
fn may_have_happened(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
    )
}

fn code_name(code: Code) -> String {
    format!("{code:?}")
        .chars()
        .fold(String::new(), |mut name, letter| {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        })
}

fn advice_on_code(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(TOKEN_ADVICE),
        Code::Unavailable => Some("is the service up? try again"),
        Code::DeadlineExceeded => Some("give it longer with --timeout"),
        _ => None,
    }
}

const TOKEN_ADVICE: &str =
    "make a token with `rollbook token` and give it in ROLLBOOK_TOKEN or with --token-file";

/// What a person can do about a refusal; nothing where the message says it all.
fn advice(reason: ErrorReason) -> Option<&'static str> {
    use ErrorReason as R;
    match reason {
        R::TokenMissing | R::TokenInvalid | R::SessionsEnded => Some(TOKEN_ADVICE),
        R::NotAllowed => {
            Some("make a token for a role, an account and scopes that may: `rollbook token --help`")
        }
        R::NotAdministrator => {
            Some("use the token of an administrator of this account who is active and not locked")
        }
        R::AccessNotFound => Some("`rollbook access list` shows the external users of the account"),
        R::AccessExists => Some("change it with `rollbook access update`"),
        R::AccessRevoked => Some("an operator can grant it again: `rollbook access grant`"),
        R::UserAtHome => Some("a user needs no access to its own account"),
        R::ArrivalRegistrationOn => {
            Some("end it with `rollbook account settings`, or ask whoever registers the invoices")
        }
        R::TooManyReviewers => Some("retract reviews that no longer count first"),
        R::TooLarge => Some("split it into several commands"),
        R::PageTokenInvalid => Some("begin the list anew"),
        R::PositionBeyondHead => Some(
            "the last event of `rollbook history list --backwards --limit 1` tells how far the log goes",
        ),
        R::RevisionMismatch => {
            Some("read it again, and give the revision it has now with --expected-revision")
        }
        R::Contention | R::HashingBusy => Some("try again"),
        R::RequestIdReused => {
            Some("leave --request-id out, or repeat exactly the command it was used for")
        }
        R::ViewLagging | R::ViewStopped | R::ProjectionNotFound => {
            Some("`rollbook operations projections` tells how the views are")
        }
        R::LogUnavailable | R::LogCorrupt | R::TreeLagging => {
            Some("its own log output tells the operator of the service why")
        }
        R::LogArchived => {
            Some("make the log of a backup, with `rollbook restore`, to go on with it")
        }
        R::NextMasterKeyMissing | R::NextMasterKeyUnknownElsewhere | R::KeyRotationUnderWay => {
            Some("see `rollbook operations log`, and docs/operations.md on rotating")
        }
        R::DeadlinePassed => Some("give it longer with --timeout"),
        R::MethodUnknown => Some("the service is older than this client"),
        R::AccountNotFound => Some("`rollbook account list` shows the accounts (for operators)"),
        R::CompanyNotFound | R::RoleNotFound | R::ModuleNotFound => {
            Some("`rollbook account get` shows its companies, roles and modules")
        }
        R::CompanyInUse | R::RoleInUse | R::ModuleInUse => Some("take it from these users first"),
        R::ModuleHeldByStandardUsers => Some("take the grants from the standard users first"),
        R::EmailShared => Some("give these users addresses of their own first"),
        R::PasswordsKeptElsewhere => {
            Some("leave the password out: this account keeps passwords elsewhere")
        }
        R::UserNotFound => Some("`rollbook user list` shows the users"),
        R::DeadLetterNotFound => {
            Some("`rollbook operations dead-letters` shows what could not be sent")
        }
        R::SignatureTaken => Some("choose another signature; one stays reserved for ever"),
        R::EmailTaken | R::AddressIsUser => {
            Some("choose another address, or find its user: `rollbook user get ADDRESS`")
        }
        R::EmailAmbiguous => Some("name the user by id or signature"),
        R::UserStillNeeded => {
            Some("settle these first; `rollbook user check-deletion USER` tells what is left")
        }
        R::WatcherTooSlow => Some("read faster, and go on from the last position"),
        R::LastAdministrator => Some("make another user an active administrator first"),
        R::ModuleAdministratorOnly => {
            Some("make the user an administrator, or leave the module out")
        }
        R::CompanyNotLinked => Some("link the user with `rollbook user add-companies` first"),
        R::SupervisorUnfit => Some("choose an active user who has that company"),
        R::SupervisesUsers => Some("give these users another supervisor first"),
        R::PasswordMissing => Some("give it at the prompt or with --password-file, or --welcome"),
        R::PasswordAndWelcome => Some("give either a password or --welcome"),
        R::PasswordByLinkOnly | R::Onboarded => {
            Some("send a link: `rollbook credential request-reset`")
        }
        R::NotOnboarded => Some("send its welcome again: `rollbook user resend-welcome`"),
        R::PasswordWrong => Some("give your own present password"),
        R::TooManyAttempts => Some("have an administrator or the operator unlock you"),
        R::PasswordsKeptHere => Some("`rollbook credential verify` checks passwords kept here"),
        R::LinkNotFound | R::LinkExpired => Some("ask for another link"),
        R::InvitationExpired | R::InvitationDeleted => Some("invite the address again"),
        R::AddressInvited => Some("send it again with `rollbook invite resend`"),
        R::Unspecified
        | R::Malformed
        | R::Undecodable
        | R::AccountExists
        | R::InvitationExists
        | R::CompanyExists
        | R::CompanyTitleTaken
        | R::UserDeleted
        | R::UserExists
        | R::InvitationNotFound
        | R::InvitationAccepted
        | R::TooManyAccesses
        | R::EventNotFound => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, PreconditionViolation};

    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let mut details = ErrorDetails::with_error_info("MALFORMED", "rollbook", HashMap::new());
        details.add_bad_request_violation("user.email", "not an e-mail address");
        details.add_bad_request_violation("user.signature", "is empty");
        let status =
            Status::with_error_details(Code::InvalidArgument, "2 fields are malformed", details);
        assert_eq!(
            Problem::from(status).to_string(),
            "2 fields are malformed (MALFORMED)\n  user.email: not an e-mail address\n  user.signature: is empty"
        );
    }

    #[test]
    fn every_violation_is_named_and_advised_on() {
        let mut details =
            ErrorDetails::with_error_info("USER_STILL_NEEDED", "rollbook", HashMap::new());
        details.set_precondition_failure(vec![
            PreconditionViolation::new("QUEUED_INVOICE", "INV-7", "waits in the queue"),
            PreconditionViolation::new("OWN_USER", "", "is the one who asks"),
        ]);
        let status = Status::with_error_details(Code::FailedPrecondition, "still needed", details);
        let text = Problem::from(status).to_string();
        assert!(
            text.contains(
                "\n  QUEUED_INVOICE INV-7: waits in the queue\n  OWN_USER: is the one who asks"
            ),
            "{text}"
        );
        assert!(text.ends_with("tells what is left"), "{text}");
    }

    #[test]
    fn a_lost_answer_tells_how_to_repeat_the_command() {
        let lost = Problem::from(Status::unavailable("connection closed")).of_command("0190");
        assert!(
            lost.to_string()
                .ends_with("repeat it with --request-id 0190: nothing is done twice")
        );
        let refused = Problem::from(Status::not_found("no such user")).of_command("0190");
        assert_eq!(refused.to_string(), "no such user (NOT_FOUND)");
    }
}
