//! The sign-ins of a user: a stream of its own, called after the user, which no command loads (R42).

use serde::{Deserialize, Serialize};

use crate::domain::event_set;

/// The type of the streams.
pub const TYPE: &str = "signin";

event_set! {
    /// Everything that is told of the sign-ins of a user.
    SignInEvent {
        SignedIn,
    }
}

/// A user signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedIn {}
