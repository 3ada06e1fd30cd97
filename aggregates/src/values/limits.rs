//! Limits that an account sets for signing in.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::ParseError;

/// How many wrong passwords in a row a user may enter before the system locks it, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxFailedSignIns(u8);

impl MaxFailedSignIns {
    /// Reads a number of attempts.
    ///
    /// # Errors
    /// When it is not 1 to 100.
    pub fn parse(count: u32) -> Result<Self, ParseError> {
        match u8::try_from(count) {
            Ok(count @ 1..=100) => Ok(Self(count)),
            Ok(_) | Err(_) => Err(ParseError::new("must be 1 to 100")),
        }
    }

    /// The number of attempts.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }
}

impl Default for MaxFailedSignIns {
    fn default() -> Self {
        Self(5)
    }
}

/// How long a lock by the system lasts: whole seconds, 1 minute to 365 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LockDuration(u32);

impl LockDuration {
    /// Reads a number of seconds.
    ///
    /// # Errors
    /// When it is less than a minute or more than 365 days.
    pub fn parse(seconds: i64) -> Result<Self, ParseError> {
        const YEAR: u32 = 365 * 24 * 60 * 60;
        match u32::try_from(seconds) {
            Ok(seconds @ 60..=YEAR) => Ok(Self(seconds)),
            Ok(_) | Err(_) => Err(ParseError::new("must be 1 minute to 365 days")),
        }
    }

    /// The number of seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The same as a span of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::seconds(i64::from(self.0))
    }
}

/// How many days old a password may become before it must be changed, 1 to 3650.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordMaxAge(u16);

impl PasswordMaxAge {
    /// Reads a number of days.
    ///
    /// # Errors
    /// When it is not 1 to 3650.
    pub fn parse(days: u32) -> Result<Self, ParseError> {
        match u16::try_from(days) {
            Ok(days @ 1..=3650) => Ok(Self(days)),
            Ok(_) | Err(_) => Err(ParseError::new("must be 1 to 3650 days")),
        }
    }

    /// The number of days.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.0
    }

    /// The same as a span of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::days(i64::from(self.0))
    }
}
