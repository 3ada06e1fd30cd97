//! What a user signs in with: whether it has a password, how old that is, and whether a second factor. Passwords and
//! their hashes are never here (R17).

use serde::{Deserialize, Serialize};

use super::links::{PasswordReset, Welcome};
use super::{Person, User, UserError};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::values::{PasswordAuthority, PasswordChange};

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

/// What a user signs in with, and the links it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub(super) password: PasswordState,
    pub(super) set_at: Timestamp,
    pub(super) expired: bool,
    pub(super) second_factor: bool,
    pub(super) attempts_from: Timestamp,
    pub(super) welcome: Option<Welcome>,
    pub(super) reset: Option<PasswordReset>,
    pub(super) resets: u32,
}

impl Credentials {
    /// Those of a user who comes with this password.
    pub(super) const fn given(password: PasswordState, at: Timestamp) -> Self {
        Self {
            password,
            set_at: at,
            expired: false,
            second_factor: false,
            attempts_from: at,
            welcome: None,
            reset: None,
            resets: 0,
        }
    }

    /// Whether there is a password, and of which kind.
    #[must_use]
    pub const fn password(&self) -> PasswordState {
        self.password
    }

    /// When the password was set, where there is one here.
    #[must_use]
    pub const fn password_set_at(&self) -> Option<Timestamp> {
        match self.password {
            PasswordState::None => None,
            PasswordState::Set | PasswordState::OneTime => Some(self.set_at),
        }
    }

    /// Whether a second factor is enrolled (R15).
    #[must_use]
    pub const fn has_second_factor(&self) -> bool {
        self.second_factor
    }

    /// Wrong passwords in a row are counted from here on: another password, an unlock and the beginning of a lock begin a new
    /// row (R14). During a lock none is counted, so that its end finds the row as it began.
    #[must_use]
    pub const fn attempts_from(&self) -> Timestamp {
        self.attempts_from
    }

    /// The welcome link sent last.
    #[must_use]
    pub const fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// The reset link sent last, unless it was used or another password made it useless.
    #[must_use]
    pub const fn reset(&self) -> Option<&PasswordReset> {
        self.reset.as_ref()
    }

    /// The same, unless its end is recorded.
    #[must_use]
    pub fn pending_reset(&self) -> Option<&PasswordReset> {
        self.reset.as_ref().filter(|reset| !reset.expired)
    }

    /// How many resets were asked for.
    #[must_use]
    pub const fn resets(&self) -> u32 {
        self.resets
    }
}

impl Person {
    /// It has another password: sessions end, a row of wrong ones is over, and a reset link that is on its way is dead.
    pub(super) fn take_password(&mut self, password: PasswordState, at: Timestamp) {
        self.sessions_valid_from = at;
        let credentials = &mut self.credentials;
        credentials.password = password;
        credentials.set_at = at;
        credentials.expired = false;
        credentials.attempts_from = at;
        credentials.reset = None;
    }
}

impl Account {
    /// Refuses where passwords are kept elsewhere (R18).
    pub(super) fn must_keep_passwords(&self) -> Result<(), UserError> {
        match self.settings().password_authority {
            PasswordAuthority::Directory => Ok(()),
            PasswordAuthority::External => Err(UserError::PasswordsKeptElsewhere),
        }
    }

    /// Refuses where a password changes through a link only (R19).
    fn must_change_passwords_in_every_way(&self) -> Result<(), UserError> {
        self.must_keep_passwords()?;
        match self.settings().password_change {
            PasswordChange::Any => Ok(()),
            PasswordChange::ByLinkOnly => Err(UserError::PasswordByLinkOnly),
        }
    }
}

/// An administrator gave a user a password, and its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordSet {
    /// Whether it must be changed at the first sign-in.
    pub one_time: bool,
}

/// A user changed its own password, and its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordChanged {}

/// A password became too old and must be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordExpired {}

/// A user enrolled a second factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MfaEnrolled {}

/// A user's second factor was cleared; it sets one up from scratch at the next sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MfaReset {}

impl Apply<User> for PasswordSet {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            let password = if self.one_time {
                PasswordState::OneTime
            } else {
                PasswordState::Set
            };
            person.take_password(password, at);
            person.onboarded = true;
        });
    }
}

impl Apply<User> for PasswordChanged {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| person.take_password(PasswordState::Set, at));
    }
}

impl Apply<User> for PasswordExpired {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.credentials.expired = true);
    }
}

impl Apply<User> for MfaEnrolled {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.credentials.second_factor = true);
    }
}

impl Apply<User> for MfaReset {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.credentials.second_factor = false);
    }
}

/// Gives a user a password, which completes an onboarding too. Its hash travels beside the event; who does it has proven
/// its own password (R20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPassword {
    /// Whether it must be changed at the first sign-in (R21).
    pub one_time: bool,
}

impl Decide for SetPassword {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        user.must_be_present(ctx)?;
        ctx.account.must_change_passwords_in_every_way()?;
        let set = PasswordSet {
            one_time: self.one_time,
        };
        Ok(Decision::of(ctx, user, vec![set.into()]))
    }
}

/// Changes one's own password. Its hash travels beside the event; who does it has proven the present one (R20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePassword;

impl Decide for ChangePassword {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        user.must_be_present(ctx)?;
        ctx.account.must_change_passwords_in_every_way()?;
        Ok(Decision::of(ctx, user, vec![PasswordChanged {}.into()]))
    }
}

/// Records that a password has become too old, if it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpirePassword;

impl Decide for ExpirePassword {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let expires_at = user
            .person()
            .and_then(|person| person.facets().password_expires_at(ctx.account.settings()));
        Ok(if expires_at.is_some_and(|time| time <= ctx.now) {
            Decision::of(ctx, user, vec![PasswordExpired {}.into()])
        } else {
            Decision::nothing()
        })
    }
}

/// Records that a user enrolled a second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMfaEnrolled;

impl Decide for ReportMfaEnrolled {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if person.credentials.second_factor {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![MfaEnrolled {}.into()]))
    }
}

/// Clears a user's second factor (R15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetMfa;

impl Decide for ResetMfa {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if !person.credentials.second_factor {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![MfaReset {}.into()]))
    }
}

#[cfg(test)]
mod tests;
