//! Failures: why a call is refused, and the one place where that becomes a gRPC status.
//!
//! Every status that leaves the service carries an `ErrorInfo`, whose reason is listed in the contract.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use rollbook_aggregates::domain::{Refusal, RefusalKind};
use rollbook_eventstore::{AppendError, StoreError};
use rollbook_projections::ReadError;
use rollbook_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "rollbook";

/// Why a call is refused. Names no personal data.
#[derive(Clone, Debug)]
pub struct Failure(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    code: Code,
    reason: &'static str,
    message: String,
    fields: Vec<FieldViolation>,
    preconditions: Vec<PreconditionViolation>,
    metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
}

/// The result of whatever can be refused.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A refusal by one of the service's own rules.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self::build(code_of(reason), name_of(reason), message.into())
    }

    fn build(code: Code, reason: &'static str, message: String) -> Self {
        Self(Box::new(Detail {
            code,
            reason,
            message,
            fields: Vec::new(),
            preconditions: Vec::new(),
            metadata: HashMap::new(),
            retry_after: None,
        }))
    }

    /// Malformed fields, all of them.
    #[must_use]
    pub fn malformed(fields: Vec<FieldViolation>) -> Self {
        let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
        let message = format!("malformed: {}", names.join(", "));
        let mut failure = Self::new(ErrorReason::Malformed, message);
        failure.0.fields = fields;
        failure
    }

    /// One malformed field.
    pub fn malformed_field(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self::malformed(vec![FieldViolation::new(field, problem.to_string())])
    }

    /// A refusal of the domain.
    pub fn refused(refusal: &impl Refusal) -> Self {
        let code = match refusal.kind() {
            RefusalKind::NotFound => Code::NotFound,
            RefusalKind::AlreadyExists => Code::AlreadyExists,
            RefusalKind::FailedPrecondition => Code::FailedPrecondition,
            RefusalKind::PermissionDenied => Code::PermissionDenied,
            RefusalKind::InvalidArgument => Code::InvalidArgument,
        };
        let mut failure = Self::build(code, refusal.reason().as_str(), refusal.to_string());
        failure.0.fields = refusal
            .field()
            .map(|field| FieldViolation::new(field, refusal.to_string()))
            .into_iter()
            .collect();
        failure.0.preconditions = refusal
            .violations()
            .into_iter()
            .map(|v| PreconditionViolation::new(v.r#type, v.subject, v.description))
            .collect();
        failure.0.metadata = refusal
            .metadata()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        failure
    }

    /// The resource has another revision than the caller expects.
    #[must_use]
    pub fn revision_mismatch(expected: u64, actual: u64) -> Self {
        Self::new(
            ErrorReason::RevisionMismatch,
            format!("the resource has revision {actual}, not {expected}"),
        )
        .with("revision", actual)
    }

    /// Says inside which field of the request the bad fields are.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        for field in &mut self.0.fields {
            field.field = format!("{name}.{}", field.field);
        }
        self
    }

    /// Says what stands against it.
    #[must_use]
    pub fn violating(mut self, kind: &str, subject: impl fmt::Display, description: &str) -> Self {
        let violation = PreconditionViolation::new(kind, subject.to_string(), description);
        self.0.preconditions.push(violation);
        self
    }

    /// Adds a fact for machines.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.metadata.insert(key.to_owned(), format!("{value}"));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// The reason's name.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The malformed fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldViolation] {
        &self.0.fields
    }

    /// What stands against the call.
    #[must_use]
    pub fn violations(&self) -> &[PreconditionViolation] {
        &self.0.preconditions
    }

    fn log_unavailable(cause: &dyn std::error::Error) -> Self {
        tracing::warn!(cause = chain(cause), "the log cannot be reached");
        Self::new(ErrorReason::LogUnavailable, "the log cannot be reached")
            .retry_after(Duration::from_millis(200))
    }

    fn log_corrupt(what: &str) -> Self {
        tracing::error!(what, "the log holds what it cannot hold");
        Self::new(ErrorReason::LogCorrupt, "the log holds what it cannot hold")
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Status {
    fn from(Failure(detail): Failure) -> Self {
        let mut details = ErrorDetails::with_error_info(detail.reason, DOMAIN, detail.metadata);
        if !detail.fields.is_empty() {
            details.set_bad_request(detail.fields);
        }
        if !detail.preconditions.is_empty() {
            details.set_precondition_failure(detail.preconditions);
        }
        if detail.retry_after.is_some() {
            details.set_retry_info(detail.retry_after);
        }
        Self::with_error_details(detail.code, detail.message, details)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Closed => Self::log_unavailable(&error),
            StoreError::Corrupt(what) => Self::log_corrupt(&what),
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict(_) | AppendError::Refused(_) => Self::contention(),
            AppendError::Repeated(_) | AppendError::RequestReused => Self::new(
                ErrorReason::RequestIdReused,
                "the request id was used for another request",
            ),
            AppendError::Forgotten(_) => {
                Self::new(ErrorReason::UserDeleted, "the person's data was erased")
            }
            AppendError::Archived => Self::archived(),
            AppendError::TooLarge => Self::new(
                ErrorReason::TooLarge,
                "the command asks for more than one commit can hold",
            ),
            AppendError::Malformed(what) | AppendError::Corrupt(what) => Self::log_corrupt(&what),
            AppendError::Unavailable(cause) => Self::log_unavailable(&cause),
        }
    }
}

impl Failure {
    /// The log was made from an export alone.
    #[must_use]
    pub fn archived() -> Self {
        Self::new(
            ErrorReason::LogArchived,
            "the log is an archive, made from an export alone: nothing is added to it or signed anew",
        )
    }

    /// Others kept changing what the command rests on.
    #[must_use]
    pub fn contention() -> Self {
        Self::new(
            ErrorReason::Contention,
            "others kept changing what this command rests on",
        )
        .retry_after(Duration::from_millis(20))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Lagging {
                view,
                position,
                wanted,
            } => Self::new(ErrorReason::ViewLagging, error.to_string())
                .with("view", view)
                .with("position", position)
                .with("wanted_position", wanted)
                .with("lag", wanted.saturating_sub(position))
                .retry_after(Duration::from_millis(100)),
            ReadError::Stopped { view, position, .. } => Self::new(
                ErrorReason::ViewStopped,
                format!("the view `{view}` stopped at position {position}"),
            )
            .with("view", view)
            .with("position", position),
            ReadError::BeyondHead { wanted, head } => Self::beyond_head(wanted, head),
            ReadError::Log(error) => error.into(),
            ReadError::Storage { view, source } => {
                tracing::error!(view, cause = chain(&source), "a view's file failed");
                Self::new(
                    ErrorReason::ViewStopped,
                    format!("the view `{view}` cannot be read"),
                )
                .with("view", view)
            }
            ReadError::NotCopied { view, source } => {
                tracing::error!(view, cause = chain(&source), "a view cannot be copied");
                Self::new(
                    ErrorReason::ViewStopped,
                    format!("the view `{view}` cannot be copied"),
                )
                .with("view", view)
            }
        }
    }
}

impl Failure {
    /// The position lies beyond the head of the log.
    #[must_use]
    pub fn beyond_head(wanted: u64, head: u64) -> Self {
        Self::new(
            ErrorReason::PositionBeyondHead,
            format!("position {wanted} lies beyond the head of the log, {head}"),
        )
        .with("head_position", head)
    }
}

/// The name of a reason as `ErrorInfo` carries it.
#[must_use]
pub fn name_of(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The code of a reason of the service; those of the domain have theirs from the kind of refusal.
const fn code_of(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::Malformed | ErrorReason::PageTokenInvalid | ErrorReason::Undecodable => {
            Code::InvalidArgument
        }
        ErrorReason::TooLarge | ErrorReason::PositionBeyondHead => Code::OutOfRange,
        ErrorReason::TokenMissing | ErrorReason::TokenInvalid | ErrorReason::SessionsEnded => {
            Code::Unauthenticated
        }
        ErrorReason::NotAllowed | ErrorReason::NotAdministrator | ErrorReason::PasswordWrong => {
            Code::PermissionDenied
        }
        ErrorReason::RevisionMismatch | ErrorReason::Contention => Code::Aborted,
        ErrorReason::ViewLagging
        | ErrorReason::ViewStopped
        | ErrorReason::LogUnavailable
        | ErrorReason::TreeLagging => Code::Unavailable,
        ErrorReason::LogCorrupt => Code::DataLoss,
        ErrorReason::DeadlinePassed => Code::DeadlineExceeded,
        ErrorReason::HashingBusy | ErrorReason::WatcherTooSlow => Code::ResourceExhausted,
        ErrorReason::MethodUnknown => Code::Unimplemented,
        ErrorReason::AccountNotFound
        | ErrorReason::UserNotFound
        | ErrorReason::InvitationNotFound
        | ErrorReason::CompanyNotFound
        | ErrorReason::ProjectionNotFound
        | ErrorReason::EventNotFound => Code::NotFound,
        _ => Code::FailedPrecondition,
    }
}

/// Gives a status that the framework made (undecodable bytes, an unknown method, a message too large, a deadline passed)
/// the code and reason it has here.
#[must_use]
pub fn of_framework(code: Code, message: &str) -> Failure {
    let reason = match code {
        Code::Unimplemented => ErrorReason::MethodUnknown,
        Code::OutOfRange | Code::ResourceExhausted => ErrorReason::TooLarge,
        Code::Cancelled | Code::DeadlineExceeded => ErrorReason::DeadlinePassed,
        Code::Unavailable => ErrorReason::LogUnavailable,
        _ => ErrorReason::Undecodable,
    };
    let message = match reason {
        ErrorReason::MethodUnknown => "no such method",
        ErrorReason::Undecodable => "the bytes do not decode as the method's message",
        ErrorReason::DeadlinePassed => "the deadline passed",
        _ => message,
    };
    Failure::new(reason, message)
}
