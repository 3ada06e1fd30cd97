//! The status of a user, derived from facets that do not touch each other (R13).
//!
//! Lists show what is recorded; single reads and rules judge by the clock: a lock whose duration has passed is none, a reset
//! link that is dead asks for nothing, and a password that has become too old must be changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{PasswordReset, PasswordState, Person};
use crate::account::Settings;
use crate::domain::Timestamp;

/// What a user is, in one word; the first that holds (R13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Was removed for good.
    Deleted,
    /// Is registered and cannot sign in.
    Inactive,
    /// An administrator locked it.
    LockedByAdmin,
    /// The system locked it.
    AutoLocked,
    /// A reset of its password was asked for.
    Recovery,
    /// Must change its password at the next sign-in.
    AwaitingNewPassword,
    /// Was added and has not completed its onboarding.
    Provisioned,
    /// May sign in.
    Active,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "DELETED",
            Self::Inactive => "INACTIVE",
            Self::LockedByAdmin => "LOCKED_BY_ADMIN",
            Self::AutoLocked => "AUTO_LOCKED",
            Self::Recovery => "RECOVERY",
            Self::AwaitingNewPassword => "AWAITING_NEW_PASSWORD",
            Self::Provisioned => "PROVISIONED",
            Self::Active => "ACTIVE",
        })
    }
}

/// What the status of a user follows from, as it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each facet survives the others"
)]
pub struct Facets {
    /// Whether it may sign in, as far as this goes.
    pub active: bool,
    /// Whether an administrator locked it.
    pub locked: bool,
    /// When the system locked it, where it did.
    pub auto_locked_at: Option<Timestamp>,
    /// When the link of the reset that was asked for dies, where one was.
    pub reset_until: Option<Timestamp>,
    /// Whether its password must be changed: it is good for once, or was recorded to have become too old.
    pub new_password: bool,
    /// When it got its password, where it has one here.
    pub password_set_at: Option<Timestamp>,
    /// Whether its onboarding is completed.
    pub onboarded: bool,
}

impl Facets {
    /// The status by what is recorded.
    #[must_use]
    pub const fn status(&self) -> Status {
        if !self.active {
            Status::Inactive
        } else if self.locked {
            Status::LockedByAdmin
        } else if self.auto_locked_at.is_some() {
            Status::AutoLocked
        } else if self.reset_until.is_some() {
            Status::Recovery
        } else if self.new_password {
            Status::AwaitingNewPassword
        } else if !self.onboarded {
            Status::Provisioned
        } else {
            Status::Active
        }
    }

    /// The facets with what the clock has brought about since they were recorded.
    #[must_use]
    pub fn at(mut self, settings: &Settings, now: Timestamp) -> Self {
        let is_due = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
        if is_due(self.lock_expires_at(settings)) {
            self.auto_locked_at = None;
        }
        if is_due(self.reset_until) {
            self.reset_until = None;
        }
        self.new_password |= is_due(self.password_expires_at(settings));
        self
    }

    /// Whether the status may change without an event, as the settings of its account say.
    #[must_use]
    pub const fn depends_on_clock(&self) -> bool {
        self.auto_locked_at.is_some()
            || self.reset_until.is_some()
            || (self.password_set_at.is_some() && !self.new_password)
    }

    /// The first time at which the clock changes something, be it past or still to come.
    #[must_use]
    pub fn changes_at(&self, settings: &Settings) -> Option<Timestamp> {
        let times = [
            self.lock_expires_at(settings),
            self.reset_until,
            self.password_expires_at(settings),
        ];
        times.into_iter().flatten().min()
    }

    /// When the system's lock ends by itself, where it does (R14).
    #[must_use]
    pub fn lock_expires_at(&self, settings: &Settings) -> Option<Timestamp> {
        Some(self.auto_locked_at? + settings.lock_duration?.duration())
    }

    /// When the password becomes too old, where it does and is not recorded to have (R21).
    #[must_use]
    pub fn password_expires_at(&self, settings: &Settings) -> Option<Timestamp> {
        let set_at = self.password_set_at.filter(|_| !self.new_password)?;
        Some(set_at + settings.password_max_age?.duration())
    }
}

impl Person {
    /// What its status follows from, as it is recorded.
    #[must_use]
    pub fn facets(&self) -> Facets {
        let credentials = &self.credentials;
        let new_password = match credentials.password {
            PasswordState::OneTime => true,
            PasswordState::None | PasswordState::Set => credentials.expired,
        };
        Facets {
            active: self.active,
            locked: self.locked,
            auto_locked_at: self.auto_locked_at,
            reset_until: credentials.pending_reset().map(PasswordReset::expires_at),
            new_password,
            password_set_at: credentials.password_set_at(),
            onboarded: self.onboarded,
        }
    }

    /// Its status, by what is recorded.
    #[must_use]
    pub fn status(&self) -> Status {
        self.facets().status()
    }

    /// Its status by the clock.
    #[must_use]
    pub fn status_at(&self, settings: &Settings, now: Timestamp) -> Status {
        self.facets().at(settings, now).status()
    }
}

#[cfg(test)]
mod tests;
