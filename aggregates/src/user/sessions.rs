//! Whether a user may come in, the system's lock after too many wrong passwords, and the end of sessions (R14, R22, R41).

use serde::{Deserialize, Serialize};

use super::{Person, User, UserError, UserEvent};
use crate::account::Settings;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::values::PasswordAuthority;

/// What becomes of somebody who has proven to be a user; the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// It may not sign in.
    Inactive,
    /// It is locked.
    Locked,
    /// It has not completed its onboarding.
    NotOnboarded,
    /// It must change its password first.
    PasswordChangeRequired,
    /// It signs in.
    SignedIn,
}

impl Person {
    /// What becomes of it now that it has proven who it is. Judged by the clock.
    #[must_use]
    pub fn entry(&self, settings: &Settings, now: Timestamp) -> Entry {
        let facets = self.facets().at(settings, now);
        let keeps_password = match settings.password_authority {
            PasswordAuthority::Directory => true,
            PasswordAuthority::External => false,
        };
        if !facets.active {
            Entry::Inactive
        } else if facets.locked || facets.auto_locked_at.is_some() {
            Entry::Locked
        } else if !facets.onboarded {
            Entry::NotOnboarded
        } else if facets.new_password && keeps_password {
            Entry::PasswordChangeRequired
        } else {
            Entry::SignedIn
        }
    }
}

/// The system locked a user who entered too many wrong passwords in a row, and its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserAutoLocked {
    /// Whether the user is told so by mail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mail: bool,
}

/// The time of the system's lock was over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserLockExpired {}

/// The sessions of a user were ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionsRevoked {}

impl Apply<User> for UserAutoLocked {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.auto_locked_at = Some(at);
            person.sessions_valid_from = at;
            person.credentials.attempts_from = at;
        });
    }
}

impl Apply<User> for UserLockExpired {
    fn apply(self, _: Timestamp, user: &mut User) {
        // The row of attempts that began with the lock goes on: none was used during it, and those since its end count, whenever
        // that is recorded.
        user.change(|person| person.auto_locked_at = None);
    }
}

impl Apply<User> for SessionsRevoked {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| person.sessions_valid_from = at);
    }
}

impl User {
    /// The end of the system's lock, if it has come and is not recorded.
    fn lock_expiry_met(&self, ctx: &Context<'_>) -> Option<UserEvent> {
        let facets = self.person()?.facets();
        let expires_at = facets.lock_expires_at(ctx.account.settings())?;
        (expires_at <= ctx.now).then(|| UserLockExpired {}.into())
    }
}

/// Locks a user who has used up its attempts, the last administrator too: else its password could be guessed for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoLockUser {
    /// The row of attempts that is used up ([`Credentials::attempts_from`](super::Credentials::attempts_from)); where it
    /// is over meanwhile, nothing happens.
    pub attempts_from: Timestamp,
    /// Whether the user is told so by mail.
    pub by_mail: bool,
}

impl Decide for AutoLockUser {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let over = user.lock_expiry_met(ctx);
        let is_locked = person.auto_locked_at.is_some() && over.is_none();
        if is_locked || person.credentials.attempts_from != self.attempts_from {
            return Ok(Decision::nothing());
        }
        let by_mail = self.by_mail;
        let locked = UserAutoLocked { by_mail }.into();
        let events = over.into_iter().chain([locked]).collect();
        Ok(Decision::of(ctx, user, events))
    }
}

/// Records that the time of the system's lock is over, if it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireLock;

impl Decide for ExpireLock {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let met = user.lock_expiry_met(ctx).into_iter().collect();
        Ok(Decision::of(ctx, user, met))
    }
}

/// Reports what became of a sign-in that was checked elsewhere (R18). Only the end of a lock is recorded here: sign-ins are
/// told in a stream of their own, and failures are counted beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportSignIn {
    /// Whether the user proved who it is.
    pub succeeded: bool,
}

impl Decide for ReportSignIn {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        match ctx.account.settings().password_authority {
            PasswordAuthority::External => {}
            PasswordAuthority::Directory => return Err(UserError::PasswordsKeptHere),
        }
        if !person.onboarded {
            return Err(UserError::NotOnboarded);
        }
        let over = user.lock_expiry_met(ctx).into_iter().collect();
        Ok(Decision::of(ctx, user, over))
    }
}

/// Ends the sessions of a user. Nothing where they were ended at this very moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeSessions;

impl Decide for RevokeSessions {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if person.sessions_valid_from >= ctx.now {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![SessionsRevoked {}.into()]))
    }
}

#[cfg(test)]
mod tests;
