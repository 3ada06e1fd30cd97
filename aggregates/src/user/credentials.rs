//! What the log knows of a user's way to its first sign-in. Passwords and their hashes are never here (R17).

use serde::{Deserialize, Serialize};

use super::User;
use crate::domain::{Apply, Timestamp};
use crate::values::{TokenDigest, ValidityDays};

/// Whether a user has a password, and of which kind.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum PasswordState {
    /// It has none here.
    #[default]
    None,
    /// It has one.
    Set,
    /// It has one that must be changed at the first sign-in (R21).
    OneTime,
}

/// The welcome link sent last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// How many were issued, with this one.
    pub issue: u32,
    /// Of its token.
    pub token_digest: TokenDigest,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How long it is good for.
    pub validity_days: ValidityDays,
}

impl Welcome {
    /// From this moment on it is dead.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.sent_at + self.validity_days.duration()
    }
}

/// A welcome link was issued; an earlier one is dead from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WelcomeIssued {
    /// How many were issued, with this one.
    pub issue: u32,
    /// Of its token.
    pub token_digest: TokenDigest,
    /// How long it is good for.
    pub validity_days: ValidityDays,
}

impl WelcomeIssued {
    pub(super) const fn first(token_digest: TokenDigest, validity_days: ValidityDays) -> Self {
        Self {
            issue: 1,
            token_digest,
            validity_days,
        }
    }
}

impl Apply<User> for WelcomeIssued {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.welcome = Some(Welcome {
                issue: self.issue,
                token_digest: self.token_digest,
                sent_at: at,
                validity_days: self.validity_days,
            });
        });
    }
}

#[cfg(test)]
mod tests;
