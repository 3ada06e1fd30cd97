//! The gate every call passes: who calls, may it call this method, until when; and on the way back, that every refusal
//! says why.
//!
//! It stands before decoding, so that authorisation comes before validation, and so that a refusal the framework makes itself
//! (undecodable bytes, an unknown method) leaves with a code and a reason of the contract.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use rollbook_proto::v1::ErrorReason;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::caller::{Caller, Verifier};
use crate::failure::{self, Failure, Outcome};
use crate::{access, kurrent};

/// What the gate found out about a call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The trace id of the call (W3C Trace Context).
    pub trace_id: Option<String>,
}

impl Call {
    /// When a wait inside must end so that there is time left to say why.
    #[must_use]
    pub fn wait_until(&self) -> Option<Instant> {
        let deadline = self.deadline?;
        deadline.checked_sub(2 * margin(deadline.saturating_duration_since(Instant::now())))
    }

    /// What the gate found out about this request.
    ///
    /// # Errors
    /// `TOKEN_MISSING` when the request did not pass the gate.
    pub fn of<T>(request: &tonic::Request<T>) -> Outcome<Self> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(token_missing)
    }
}

/// What is kept back of the time a caller gives, for the answer to travel.
fn margin(left: Duration) -> Duration {
    (left / 10).min(Duration::from_millis(10))
}

fn token_missing() -> Failure {
    Failure::new(ErrorReason::TokenMissing, "a bearer token is needed")
}

/// Puts the gate before a service.
#[derive(Clone)]
pub struct GateLayer {
    verifier: Verifier,
}

impl GateLayer {
    /// A gate that checks tokens with `verifier`.
    #[must_use]
    pub const fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            verifier: self.verifier.clone(),
        }
    }
}

/// See [`GateLayer`].
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    verifier: Verifier,
}

impl<S, B> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = deadline(request.headers());
        let tongue = Tongue::of(request.uri().path());
        let admitted = match tongue {
            Tongue::Own => admit(&self.verifier, &mut request, deadline),
            Tongue::Kurrent => kurrent::admit(&self.verifier, &mut request, deadline),
        };
        if let Err(failure) = admitted {
            return Box::pin(std::future::ready(Ok(tongue.refusal(failure))));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Some(deadline) = deadline else {
                return answer.await.map(|answer| tongue.explain(answer));
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left.saturating_sub(margin(left)), answer).await {
                Ok(answer) => answer.map(|answer| tongue.explain(answer)),
                Err(_) => Ok(tongue.refusal(Failure::new(
                    ErrorReason::DeadlinePassed,
                    "the deadline passed",
                ))),
            }
        })
    }
}

fn admit<B>(
    verifier: &Verifier,
    request: &mut Request<B>,
    deadline: Option<Instant>,
) -> Outcome<()> {
    // Health and reflection answer to anybody; what does not exist is told by the router.
    let Some(rule) = access::rule(request.uri().path()) else {
        return Ok(());
    };
    let token = request
        .headers()
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(token_missing)?;
    let caller = verifier.verify(token)?;
    if !rule.roles.contains(&caller.role) {
        let message = format!("the role `{}` may not call {}", caller.role, rule.method);
        return Err(Failure::new(ErrorReason::NotAllowed, message));
    }
    let trace_id = trace_id(request.headers());
    request.extensions_mut().insert(Call {
        caller,
        deadline,
        trace_id,
    });
    Ok(())
}

/// How a refusal is told: as the contract has it, or as clients of `KurrentDB` know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    Own,
    Kurrent,
}

impl Tongue {
    fn of(path: &str) -> Self {
        if path.starts_with(kurrent::PATHS) {
            Self::Kurrent
        } else {
            Self::Own
        }
    }

    fn refusal(self, failure: Failure) -> Response<Body> {
        match self {
            Self::Own => response(failure),
            Self::Kurrent => kurrent::status(&failure).into_http(),
        }
    }

    /// Gives a refusal that only the framework makes a code and a reason of ours.
    fn explain(self, answer: Response<Body>) -> Response<Body> {
        let headers = answer.headers();
        let code = headers
            .get(Status::GRPC_STATUS)
            .map(|value| Code::from_bytes(value.as_bytes()));
        let (Some(code), false) = (code, headers.contains_key(Status::GRPC_STATUS_DETAILS)) else {
            return answer;
        };
        let frameworks = match self {
            // Health and reflection say so of what they do not know; a refusal of ours carries details.
            Self::Own => !matches!(code, Code::Ok | Code::NotFound),
            // Refusals of ours carry no details here, and have other codes.
            Self::Kurrent => kurrent::is_of_framework(code),
        };
        if !frameworks {
            return answer;
        }
        let message = headers
            .get(Status::GRPC_MESSAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.refusal(failure::of_framework(code, message))
    }
}

/// The trace id of a `traceparent` header: its second part, 32 hex digits that are not all zero.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let id = headers
        .get("traceparent")?
        .to_str()
        .ok()?
        .split('-')
        .nth(1)?;
    let fits = id.len() == 32
        && id.bytes().all(|b| b.is_ascii_hexdigit())
        && id.bytes().any(|b| b != b'0');
    fits.then(|| id.to_ascii_lowercase())
}

/// When the caller stops waiting, by its `grpc-timeout` header: at most 8 digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

fn response(failure: Failure) -> Response<Body> {
    Status::from(failure).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn r69_a_timeout_is_read_in_every_unit_and_nonsense_is_no_deadline() {
        for text in ["1H", "90M", "5S", "250m", "99999999u", "1n"] {
            assert!(deadline(&headers("grpc-timeout", text)).is_some(), "{text}");
        }
        for text in ["", "S", "5", "5s", "-1S", "123456789S", "1 S", "é"] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                http::HeaderValue::from_bytes(text.as_bytes()).unwrap(),
            )]);
            assert!(deadline(&headers).is_none(), "{text}");
        }
    }

    #[test]
    fn a_trace_id_is_taken_from_a_well_formed_traceparent_only() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let found = trace_id(&headers(
            "traceparent",
            &format!("00-{id}-00f067aa0ba902b7-01"),
        ));
        assert_eq!(found.as_deref(), Some(id));
        for text in [
            "",
            "00",
            "00-xyz-1-01",
            "00-00000000000000000000000000000000-1-01",
        ] {
            assert!(trace_id(&headers("traceparent", text)).is_none(), "{text}");
        }
    }
}
