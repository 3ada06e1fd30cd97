//! Clients of `KurrentDB` and `EventStoreDB`: how they say who they are, what they may call, and how they are refused.
//!
//! Their contract is not ours. A password is a token of ours, writes are refused, and a refusal carries a code, a text and a
//! trailer, since details would hide both from those clients.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::uri::Authority;
use http::{HeaderMap, Request, header};
use rollbook_proto::v1::ErrorReason;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::caller::{Role, Verifier};
use crate::failure::{Failure, Outcome, name_of};
use crate::gate::Call;

/// What every path of their contract begins with.
pub const PATHS: &str = "/event_store.client.";

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it tells nothing of what is in the log.
    Anybody,
    /// Auditors.
    Auditors,
    /// Nobody: it would write.
    Nobody,
}

/// Every method of their contract as far as it is served, with who may call it.
pub const TABLE: &[(&str, &str, Access)] = &[
    ("streams.Streams", "Read", Access::Auditors),
    ("streams.Streams", "Append", Access::Nobody),
    ("streams.Streams", "BatchAppend", Access::Nobody),
    ("streams.Streams", "Delete", Access::Nobody),
    ("streams.Streams", "Tombstone", Access::Nobody),
    ("gossip.Gossip", "Read", Access::Anybody),
    (
        "server_features.ServerFeatures",
        "GetSupportedMethods",
        Access::Anybody,
    ),
];

/// Where the caller reached the service, by its own words.
#[derive(Clone, Debug)]
pub(crate) struct ReachedAt(pub(crate) Authority);

fn access(path: &str) -> Option<Access> {
    let (service, method) = path.strip_prefix(PATHS)?.split_once('/')?;
    TABLE
        .iter()
        .find(|(of, name, _)| *of == service && *name == method)
        .map(|(.., access)| *access)
}

/// Lets a call in, or says why not; before its message is decoded.
pub(crate) fn admit<B>(
    verifier: &Verifier,
    request: &mut Request<B>,
    deadline: Option<Instant>,
) -> Outcome<()> {
    if let Some(authority) = reached_at(request) {
        request.extensions_mut().insert(ReachedAt(authority));
    }
    let access = match access(request.uri().path()) {
        // What does not exist is told by the router.
        None | Some(Access::Anybody) => return Ok(()),
        Some(access) => access,
    };
    let token = token(request.headers()).ok_or_else(|| {
        let message = "credentials are needed, with a token as password";
        Failure::new(ErrorReason::TokenMissing, message)
    })?;
    let caller = verifier.verify(&token)?;
    if access == Access::Nobody || caller.role != Role::Auditor {
        return Err(Failure::new(ErrorReason::NotAllowed, "Access Denied"));
    }
    request.extensions_mut().insert(Call {
        caller,
        deadline,
        trace_id: None,
    });
    Ok(())
}

fn reached_at<B>(request: &Request<B>) -> Option<Authority> {
    let named = request.uri().authority().cloned();
    named.or_else(|| {
        let host = request.headers().get(header::HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    })
}

/// The token of basic credentials, whatever the name beside it, or of a bearer.
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(password.to_owned())
}

/// A failure as these clients know it.
#[must_use]
pub(crate) fn status(failure: &Failure) -> Status {
    if failure.reason() == name_of(ErrorReason::WatcherTooSlow) {
        return Status::aborted("Consumer too slow");
    }
    let mut status = Status::new(failure.code(), failure.to_string());
    if failure.code() == Code::PermissionDenied {
        let exception = MetadataValue::from_static("access-denied");
        status.metadata_mut().insert("exception", exception);
    }
    status
}

/// Whether a refusal with this code was made by the framework, and has a better one. An unknown method has none.
#[must_use]
pub(crate) const fn is_of_framework(code: Code) -> bool {
    matches!(
        code,
        Code::Internal
            | Code::Unknown
            | Code::Cancelled
            | Code::OutOfRange
            | Code::ResourceExhausted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(authorization: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        token(&headers)
    }

    #[test]
    fn r59_a_password_is_a_token_whatever_the_name() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert_eq!(given(&basic("auditor:a.b.c")).as_deref(), Some("a.b.c"));
        assert_eq!(given(&basic(":a.b.c")).as_deref(), Some("a.b.c"));
        assert_eq!(given("bearer a.b.c").as_deref(), Some("a.b.c"));
        for text in ["Basic", "Basic !!!", "Digest a", &basic("no colon")] {
            assert_eq!(given(text), None, "{text}");
        }
        assert_eq!(token(&HeaderMap::new()), None);
    }

    #[test]
    fn r59_a_slow_subscriber_is_told_so_in_its_own_words() {
        let slow = status(&Failure::new(ErrorReason::WatcherTooSlow, "slow"));
        assert_eq!(slow.code(), Code::Aborted);
        assert_eq!(slow.message(), "Consumer too slow");
    }
}
