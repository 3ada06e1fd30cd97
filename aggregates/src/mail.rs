//! A mail that the service was told to send: whether it was, and if not, why.
//!
//! It is told by the event that issued its link; its own stream begins with what became of it. Nothing here is personal: to
//! whom it goes and what it says is read from the user or invitation at the moment it is sent.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    Apply, Claim, Claimant, Context, Decide, Decision, Guards, Held, Holders, Reason, Recorded,
    Refusal, Requires, Surroundings, Timestamp, command_set, event_set,
};
use crate::values::{AccountId, InvitationId, MailId, UserId};

event_set! {
    /// Everything that can happen to a mail.
    MailEvent for Mail {
        MailSent,
        MailDropped,
        MailDeadLettered,
        MailRetried,
    }
}

command_set! {
    /// Everything that can be asked of a mail.
    MailCommand for Mail {
        ReportMailSent,
        DropMail,
        DeadLetterMail,
        RetryDeadLetter,
    }
}

/// What a mail is for, and of which of the links that were issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Errand {
    /// It brings the link to the first sign-in.
    Welcome {
        /// Whom it is for.
        user: UserId,
        /// Which link.
        issue: u32,
    },
    /// It brings the link to another password.
    PasswordReset {
        /// Whom it is for.
        user: UserId,
        /// Which link.
        issue: u32,
    },
    /// It brings the link of an invitation.
    Invitation {
        /// Which invitation.
        invitation: InvitationId,
        /// Which link.
        issue: u32,
    },
    /// It tells that the system locked the user.
    AccountLocked {
        /// Whom it is for.
        user: UserId,
        /// The revision of the event by which it was.
        revision: u64,
    },
}

impl Errand {
    const NAMESPACE: Uuid = Uuid::from_u128(0x0f5c_2a91_64de_4c0e_8b3d_a7c1_52e9_d036);

    /// The id of its mail; the same whoever asks, so that no errand has two.
    #[must_use]
    pub fn mail_id(&self) -> MailId {
        MailId::new(Uuid::new_v5(&Self::NAMESPACE, self.to_string().as_bytes()))
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { user, issue } => write!(f, "welcome/{user}/{issue}"),
            Self::PasswordReset { user, issue } => write!(f, "password-reset/{user}/{issue}"),
            Self::Invitation { invitation, issue } => write!(f, "invitation/{invitation}/{issue}"),
            Self::AccountLocked { user, revision } => {
                write!(f, "account-locked/{user}/{revision}")
            }
        }
    }
}

/// Why a mail was not sent and will not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DropCause {
    /// What it tells of is over: the link was used, or the lock is gone.
    Over,
    /// A later link took the place of the one it brings.
    Superseded,
    /// Its link has died meanwhile.
    Expired,
    /// The person it is for was erased.
    Erased,
}

/// Why a mail could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MailFailure {
    /// The server refused it for good, with this code.
    Refused(u16),
    /// The server put it off, with this code, until nobody tried any more.
    PutOff(u16),
    /// The connection broke whenever it was sent.
    BrokenOff,
    /// The address is none that mail can be sent to.
    BadAddress,
    /// Its template makes no mail.
    BadTemplate,
}

/// What a mail is, as far as it is known to its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The account.
    pub account_id: AccountId,
    /// What it is for.
    pub errand: Errand,
}

/// A mail as it is; by default nothing became of it yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    letter: Option<Letter>,
    state: MailState,
    given_up: Option<GivenUp>,
    #[serde(skip)]
    guards: Guards,
}

/// How a mail was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// How often it had been tried.
    pub attempts: u32,
    /// Why it failed last.
    pub failure: MailFailure,
    /// When.
    pub at: Timestamp,
}

/// How a mail stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailState {
    /// It is to be sent.
    #[default]
    Pending,
    /// A server took it.
    Sent,
    /// It is not sent any more, since there is no need.
    Dropped,
    /// It could not be sent, and waits for an operator.
    Dead,
}

impl Mail {
    /// The account.
    #[must_use]
    pub fn account_id(&self) -> Option<&AccountId> {
        self.letter.as_ref().map(|letter| &letter.account_id)
    }

    /// What it is; none before anything became of it.
    #[must_use]
    pub const fn letter(&self) -> Option<&Letter> {
        self.letter.as_ref()
    }

    /// How it was given up last, unless it was sent since.
    #[must_use]
    pub const fn given_up(&self) -> Option<&GivenUp> {
        self.given_up.as_ref()
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> MailState {
        self.state
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    fn end(&mut self, letter: Letter, state: MailState, given_up: Option<GivenUp>) {
        self.letter = Some(letter);
        self.state = state;
        self.given_up = given_up;
    }
}

/// A server took a mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailSent {
    /// Which mail.
    pub letter: Letter,
}

/// A mail is not sent, since there is no need for it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailDropped {
    /// Which mail.
    pub letter: Letter,
    /// Why.
    pub cause: DropCause,
}

/// A mail could not be sent, and waits for an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailDeadLettered {
    /// Which mail.
    pub letter: Letter,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub failure: MailFailure,
}

/// An operator had a mail tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailRetried {}

impl Apply<Mail> for MailSent {
    fn apply(self, _at: Timestamp, mail: &mut Mail) {
        mail.end(self.letter, MailState::Sent, None);
    }
}

impl Apply<Mail> for MailDropped {
    fn apply(self, _at: Timestamp, mail: &mut Mail) {
        mail.end(self.letter, MailState::Dropped, None);
    }
}

impl Apply<Mail> for MailDeadLettered {
    fn apply(self, at: Timestamp, mail: &mut Mail) {
        let given_up = GivenUp {
            attempts: self.attempts,
            failure: self.failure,
            at,
        };
        mail.end(self.letter, MailState::Dead, Some(given_up));
    }
}

impl Apply<Mail> for MailRetried {
    fn apply(self, _at: Timestamp, mail: &mut Mail) {
        mail.state = MailState::Pending;
    }
}

/// Records that a server took a mail; also of one that was given up in the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMailSent {
    /// Which mail.
    pub letter: Letter,
}

impl Decide for ReportMailSent {
    type Aggregate = Mail;

    fn decide(self, ctx: &Context<'_>, mail: &Mail) -> Result<Decision<Mail>, MailError> {
        match mail.state {
            MailState::Sent | MailState::Dropped => Ok(Decision::nothing()),
            MailState::Pending | MailState::Dead => {
                let letter = self.letter;
                Ok(Decision::of(ctx, mail, vec![MailSent { letter }.into()]))
            }
        }
    }
}

/// Records that a mail is not sent, since there is no need for it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropMail {
    /// Which mail.
    pub letter: Letter,
    /// Why.
    pub cause: DropCause,
}

impl Decide for DropMail {
    type Aggregate = Mail;

    fn decide(self, ctx: &Context<'_>, mail: &Mail) -> Result<Decision<Mail>, MailError> {
        let Self { letter, cause } = self;
        let dropped = MailDropped { letter, cause };
        Ok(mail.end_pending(ctx, dropped.into()))
    }
}

/// Records that a mail could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterMail {
    /// Which mail.
    pub letter: Letter,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub failure: MailFailure,
}

impl Decide for DeadLetterMail {
    type Aggregate = Mail;

    fn decide(self, ctx: &Context<'_>, mail: &Mail) -> Result<Decision<Mail>, MailError> {
        let dead = MailDeadLettered {
            letter: self.letter,
            attempts: self.attempts,
            failure: self.failure,
        };
        Ok(mail.end_pending(ctx, dead.into()))
    }
}

impl Mail {
    fn end_pending(&self, ctx: &Context<'_>, end: MailEvent) -> Decision<Self> {
        match self.state {
            MailState::Pending => Decision::of(ctx, self, vec![end]),
            MailState::Sent | MailState::Dropped | MailState::Dead => Decision::nothing(),
        }
    }
}

/// Has a mail that could not be sent tried again. Nothing happens where it is tried again already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryDeadLetter;

impl Decide for RetryDeadLetter {
    type Aggregate = Mail;

    fn decide(self, ctx: &Context<'_>, mail: &Mail) -> Result<Decision<Mail>, MailError> {
        if mail.account_id().is_none() || mail.account_id() != ctx.account.id() {
            return Err(MailError::NotFound);
        }
        match mail.state {
            MailState::Pending => Ok(Decision::nothing()),
            MailState::Dead => Ok(Decision::of(ctx, mail, vec![MailRetried {}.into()])),
            MailState::Sent | MailState::Dropped => Err(MailError::NotFound),
        }
    }
}

/// Why a command of a mail is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// There is no such mail that could not be sent.
    #[error("no such dead letter")]
    NotFound,
    /// The actor is no administrator of the account who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
}

impl Refusal for MailError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound => Reason::DeadLetterNotFound,
            Self::NotAdministrator => Reason::NotAdministrator,
        }
    }
}

impl Claimant for Mail {
    type Happening = MailEvent;

    fn claims(&self) -> BTreeSet<Held> {
        BTreeSet::new()
    }

    fn refusal_of(requires: &Requires, _holders: &Holders) -> Option<MailError> {
        match requires {
            Requires::HeldBy {
                claim: Claim::Administrator,
                ..
            } => Some(MailError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::HeldBy { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. }
            | Requires::Unshared { .. } => None,
        }
    }
}

impl cqrs_es::Aggregate for Mail {
    const TYPE: &'static str = "mail";
    type Command = MailCommand;
    type Event = Recorded<MailEvent>;
    type Error = MailError;
    type Services = Surroundings;

    async fn handle(
        &mut self,
        command: MailCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), MailError> {
        let decision = command.decide(&services.context(), self)?;
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<MailEvent>) {
        let at = recorded.time();
        recorded.event.apply_to(at, self);
    }
}

#[cfg(test)]
mod tests;
