//! Answers taken apart: the message of a call that went well, or everything a refusal says.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rollbook_proto::v1::ErrorReason;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

/// What a refused call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The reason of its `ErrorInfo`.
    pub reason: String,
    /// The message.
    pub message: String,
    /// The fields that its `BadRequest` names, in order.
    pub fields: Vec<String>,
    /// What its `PreconditionFailure` lists, in order.
    pub violations: Vec<Violation>,
    /// The metadata of its `ErrorInfo`.
    pub metadata: BTreeMap<String, String>,
}

/// One entry of a `PreconditionFailure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub description: String,
}

impl Refusal {
    /// Takes a status apart, and checks what must hold of every refusal: a reason that the contract lists, a message that
    /// can stand inside a sentence, and no code that means a fault of the service.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details
            .error_info()
            .unwrap_or_else(|| panic!("a refusal without ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "rollbook", "{status:?}");
        assert!(
            ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)).is_some(),
            "the contract does not list the reason of {status:?}"
        );
        assert!(
            !matches!(status.code(), Code::Internal | Code::Unknown | Code::Ok),
            "{status:?}"
        );
        let message = status.message().to_owned();
        assert!(!message.is_empty() && !message.ends_with('.'), "{status:?}");
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            message,
            fields: details.bad_request().map_or_else(Vec::new, |bad| {
                bad.field_violations
                    .iter()
                    .map(|violation| violation.field.clone())
                    .collect()
            }),
            violations: details
                .precondition_failure()
                .map_or_else(Vec::new, |failure| {
                    failure
                        .violations
                        .iter()
                        .map(|violation| Violation {
                            kind: violation.r#type.clone(),
                            subject: violation.subject.clone(),
                            description: violation.description.clone(),
                        })
                        .collect()
                }),
            metadata: info
                .metadata
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// Checks the code and the reason.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "most callers want the check alone"
    )]
    pub fn is(self, code: Code, reason: &str) -> Self {
        assert_eq!(
            (self.code, self.reason.as_str()),
            (code, reason),
            "{self:?}"
        );
        self
    }

    /// Checks that exactly these fields are named, in any order.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "most callers want the check alone"
    )]
    pub fn names(self, fields: &[&str]) -> Self {
        let mut seen: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let mut wanted = fields.to_vec();
        seen.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(seen, wanted, "{self:?}");
        self
    }

    /// The kinds of its violations, in order.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.violations
            .iter()
            .map(|violation| violation.kind.as_str())
            .collect()
    }
}

/// What came back from a call.
pub trait Answer<T> {
    /// The message; a refusal fails the test.
    fn answer(self) -> T;
    /// The refusal; an answer fails the test.
    fn refusal(self) -> Refusal;
    /// The message or the refusal, where a story allows both.
    ///
    /// # Errors
    /// The refusal, where it was one.
    fn outcome(self) -> Result<T, Box<Refusal>>;
}

impl<T: Debug> Answer<T> for Result<Response<T>, Status> {
    #[track_caller]
    fn answer(self) -> T {
        match self {
            Ok(response) => response.into_inner(),
            Err(status) => panic!("refused: {status:?}"),
        }
    }

    #[track_caller]
    fn refusal(self) -> Refusal {
        match self {
            Ok(response) => panic!("not refused: {:?}", response.into_inner()),
            Err(status) => Refusal::of(&status),
        }
    }

    fn outcome(self) -> Result<T, Box<Refusal>> {
        match self {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(Box::new(Refusal::of(&status))),
        }
    }
}
