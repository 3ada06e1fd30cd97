//! The links a user is sent to choose a password: at its welcome, and when it has forgotten the one it had (R16, R23).
//!
//! A link is judged by the clock: at its last moment it is dead, whether or not that is recorded yet, and a command that
//! meets it then records it.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::{PasswordState, User, UserError, UserEvent};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::values::{PasswordAuthority, TokenDigest, ValidityDays};

/// How long a reset link is good for.
const RESET_MINUTES: u16 = 60;

/// A link that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Of the token of its next issue.
    pub token_digest: TokenDigest,
    /// Whether the service was told to send mail, so that the caller does not get the token.
    pub by_mail: bool,
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
    /// Whether it was sent by mail, so that its token is nobody else's.
    pub by_mail: bool,
    /// Whether its end is recorded.
    pub expired: bool,
}

impl Welcome {
    /// From this moment on it is dead.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.sent_at + self.validity_days.duration()
    }
}

/// The reset link sent last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReset {
    /// How many were issued, with this one.
    pub issue: u32,
    /// Of its token.
    pub token_digest: TokenDigest,
    /// When it was asked for.
    pub sent_at: Timestamp,
    /// How long it is good for.
    pub valid_minutes: u16,
    /// Whether its end is recorded.
    pub expired: bool,
}

impl PasswordReset {
    /// From this moment on it is dead.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.sent_at + minutes(self.valid_minutes)
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
    /// Whether it is sent by mail, so that the caller did not get the token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mail: bool,
}

impl WelcomeIssued {
    pub(super) const fn of(issue: u32, link: Link, account: &Account) -> Self {
        Self {
            issue,
            token_digest: link.token_digest,
            validity_days: account.settings().welcome_validity_days,
            by_mail: link.by_mail,
        }
    }
}

/// A user followed its welcome link: its onboarding is completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WelcomeCompleted {
    /// Whether it chose a password, never which.
    pub password: PasswordState,
}

/// Nobody followed a welcome link in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WelcomeExpired {
    /// Which.
    pub issue: u32,
}

/// A reset of the password was asked for; an earlier link is dead from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordResetRequested {
    /// How many were asked for, with this one.
    pub issue: u32,
    /// Of its token.
    pub token_digest: TokenDigest,
    /// How long it is good for.
    pub valid_minutes: u16,
    /// Whether it is sent by mail, so that the caller did not get the token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mail: bool,
}

impl PasswordResetRequested {
    /// How long the link is good for.
    #[must_use]
    pub fn validity(&self) -> Duration {
        minutes(self.valid_minutes)
    }
}

fn minutes(minutes: u16) -> Duration {
    Duration::minutes(i64::from(minutes))
}

/// A user followed its reset link and chose a password; its sessions ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordResetCompleted {}

/// Nobody followed a reset link in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordResetExpired {
    /// Which.
    pub issue: u32,
}

impl Apply<User> for WelcomeIssued {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.credentials.welcome = Some(Welcome {
                issue: self.issue,
                token_digest: self.token_digest,
                sent_at: at,
                validity_days: self.validity_days,
                by_mail: self.by_mail,
                expired: false,
            });
        });
    }
}

impl Apply<User> for WelcomeCompleted {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.take_password(self.password, at);
            person.onboarded = true;
        });
    }
}

impl Apply<User> for WelcomeExpired {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            if let Some(welcome) = &mut person.credentials.welcome {
                welcome.expired = welcome.issue == self.issue;
            }
        });
    }
}

impl Apply<User> for PasswordResetRequested {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| {
            person.credentials.resets = self.issue;
            person.credentials.reset = Some(PasswordReset {
                issue: self.issue,
                token_digest: self.token_digest,
                sent_at: at,
                valid_minutes: self.valid_minutes,
                expired: false,
            });
        });
    }
}

impl Apply<User> for PasswordResetCompleted {
    fn apply(self, at: Timestamp, user: &mut User) {
        user.change(|person| person.take_password(PasswordState::Set, at));
    }
}

impl Apply<User> for PasswordResetExpired {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            if let Some(reset) = &mut person.credentials.reset {
                reset.expired = reset.issue == self.issue;
            }
        });
    }
}

impl User {
    /// The end of its welcome link, if it has come and is not recorded.
    fn welcome_expiry_met(&self, ctx: &Context<'_>) -> Option<UserEvent> {
        let person = self.person().filter(|person| !person.onboarded)?;
        let welcome = person.credentials.welcome()?;
        let is_due = !welcome.expired && welcome.expires_at() <= ctx.now;
        let issue = welcome.issue;
        is_due.then(|| WelcomeExpired { issue }.into())
    }

    /// The end of its reset link, if it has come and is not recorded.
    fn reset_expiry_met(&self, ctx: &Context<'_>) -> Option<UserEvent> {
        let reset = self.person()?.credentials.pending_reset()?;
        let issue = reset.issue;
        (reset.expires_at() <= ctx.now).then(|| PasswordResetExpired { issue }.into())
    }
}

/// Sends the first-sign-in link again, with a new token and a new validity (R16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResendWelcome {
    /// The link.
    pub link: Link,
}

impl Decide for ResendWelcome {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        if person.onboarded {
            return Err(UserError::Onboarded);
        }
        let welcome = person.credentials.welcome();
        let issue = welcome.map_or(0, |welcome| welcome.issue).saturating_add(1);
        let issued = WelcomeIssued::of(issue, self.link, ctx.account);
        Ok(Decision::of(ctx, user, vec![issued.into()]))
    }
}

/// Completes the onboarding of a user who follows its welcome link, with a password where the account keeps them itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteWelcome {
    /// Of the token that was given.
    pub token_digest: TokenDigest,
    /// Whether a password is given; its hash travels beside the event.
    pub password: PasswordState,
}

impl Decide for CompleteWelcome {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let Ok(person) = user.must_be_present(ctx) else {
            return Err(UserError::LinkNotFound);
        };
        let welcome = person.credentials.welcome().filter(|welcome| {
            !person.onboarded && welcome.token_digest.matches(&self.token_digest)
        });
        let welcome = welcome.ok_or(UserError::LinkNotFound)?;
        if welcome.expired {
            return Err(UserError::LinkExpired);
        }
        if let Some(expired) = user.welcome_expiry_met(ctx) {
            return Ok(Decision::of(ctx, user, vec![expired]).refusing(UserError::LinkExpired));
        }
        match (ctx.account.settings().password_authority, self.password) {
            (PasswordAuthority::Directory, PasswordState::None) => {
                return Err(UserError::PasswordMissing);
            }
            (PasswordAuthority::External, PasswordState::Set | PasswordState::OneTime) => {
                return Err(UserError::PasswordsKeptElsewhere);
            }
            (PasswordAuthority::Directory, PasswordState::Set | PasswordState::OneTime)
            | (PasswordAuthority::External, PasswordState::None) => {}
        }
        let completed = WelcomeCompleted {
            password: self.password,
        };
        Ok(Decision::of(ctx, user, vec![completed.into()]))
    }
}

/// Records that a welcome link is dead, if it is and is still the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireWelcome {
    /// Which.
    pub issue: u32,
}

impl Decide for ExpireWelcome {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let issue = self.issue;
        let met = user.welcome_expiry_met(ctx);
        let met = met.filter(|met| *met == WelcomeExpired { issue }.into());
        Ok(Decision::of(ctx, user, met.into_iter().collect()))
    }
}

/// Sends a link by which a user who has forgotten its password chooses another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPasswordReset {
    /// The link.
    pub link: Link,
}

impl Decide for RequestPasswordReset {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        ctx.account.must_keep_passwords()?;
        if !person.onboarded {
            return Err(UserError::NotOnboarded);
        }
        let requested = PasswordResetRequested {
            issue: person.credentials.resets.saturating_add(1),
            token_digest: self.link.token_digest,
            valid_minutes: RESET_MINUTES,
            by_mail: self.link.by_mail,
        };
        Ok(Decision::of(ctx, user, vec![requested.into()]))
    }
}

/// Gives a user who follows its reset link the password it chose; its hash travels beside the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletePasswordReset {
    /// Of the token that was given.
    pub token_digest: TokenDigest,
}

impl Decide for CompletePasswordReset {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let Ok(person) = user.must_be_present(ctx) else {
            return Err(UserError::LinkNotFound);
        };
        let reset = person.credentials.reset();
        let reset = reset.filter(|reset| reset.token_digest.matches(&self.token_digest));
        let reset = reset.ok_or(UserError::LinkNotFound)?;
        if reset.expired {
            return Err(UserError::LinkExpired);
        }
        if let Some(expired) = user.reset_expiry_met(ctx) {
            return Ok(Decision::of(ctx, user, vec![expired]).refusing(UserError::LinkExpired));
        }
        ctx.account.must_keep_passwords()?;
        Ok(Decision::of(
            ctx,
            user,
            vec![PasswordResetCompleted {}.into()],
        ))
    }
}

/// Records that a reset link is dead, if it is and is still the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpirePasswordReset {
    /// Which.
    pub issue: u32,
}

impl Decide for ExpirePasswordReset {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let issue = self.issue;
        let met = user.reset_expiry_met(ctx);
        let met = met.filter(|met| *met == PasswordResetExpired { issue }.into());
        Ok(Decision::of(ctx, user, met.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests;
