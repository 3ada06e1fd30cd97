//! An invitation: an offer to one e-mail address to become a user.
//!
//! It cannot be edited (R47). It is judged by the clock: at its last moment it is expired, whether or not that is recorded
//! yet, and a command that meets it then records it (R45). With its end its address is forgotten (R49).

mod offering;
mod outcome;
mod refusals;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use offering::{InvitationResent, InviteUser, ResendInvitation, UserInvited};
pub use outcome::{
    AcceptInvitation, Acceptance, DeleteInvitation, ExpireInvitation, InvitationAccepted,
    InvitationDeleted, InvitationExpired,
};
pub use refusals::InvitationError;

use crate::domain::{
    Claim, Claimant, Context, Decide, Guards, Held, Holders, Personal, Recorded, Requires,
    Surroundings, Timestamp, command_set, event_set,
};
use crate::values::{
    AccountId, CompanyId, EmailAddress, InvitationId, Permission, RoleName, TokenDigest, UserId,
    UserType, ValidityDays,
};

event_set! {
    /// Everything that can happen to an invitation.
    InvitationEvent for Invitation {
        UserInvited,
        InvitationResent,
        InvitationExpired,
        InvitationDeleted,
        InvitationAccepted,
    }
}

command_set! {
    /// Everything a caller can ask of an invitation.
    InvitationCommand for Invitation {
        InviteUser,
        ResendInvitation,
        DeleteInvitation,
        AcceptInvitation,
        ExpireInvitation,
    }
}

/// An invitation as it is; by default it does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    state: State,
    #[serde(skip)]
    guards: Guards,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    NotYet,
    Pending(Box<Offer>),
    Closed(Box<Offer>, Outcome),
}

/// How an invitation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was accepted, and is this user now.
    Accepted(UserId),
    /// Nobody accepted it in time.
    Expired,
    /// It was deleted.
    Deleted,
}

/// What was offered. The address is erased once the invitation has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The invitation.
    pub invitation_id: InvitationId,
    /// The account.
    pub account_id: AccountId,
    /// To whom.
    pub email: Personal<EmailAddress>,
    /// What kind of user.
    pub user_type: UserType,
    /// With these roles.
    pub roles: BTreeSet<RoleName>,
    /// With these grants.
    pub permissions: BTreeSet<Permission>,
    /// In these companies.
    pub companies: BTreeSet<CompanyId>,
    /// How often it was sent.
    pub issue: u32,
    /// Of the token sent last.
    pub token_digest: TokenDigest,
    /// How long that is good for.
    pub validity_days: ValidityDays,
    /// Whether it was sent by mail last, so that the caller did not get the token.
    pub by_mail: bool,
    /// When it was sent last.
    pub sent_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Offer {
    /// From this moment on its link is dead (R45).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.sent_at + self.validity_days.duration()
    }
}

impl Invitation {
    /// What was offered; none before it was created.
    #[must_use]
    pub fn offer(&self) -> Option<&Offer> {
        match &self.state {
            State::NotYet => None,
            State::Pending(offer) | State::Closed(offer, _) => Some(offer),
        }
    }

    /// How it ended, once that is recorded.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            State::NotYet | State::Pending(_) => None,
            State::Closed(_, outcome) => Some(*outcome),
        }
    }

    /// Whether it has expired by the clock and that is not recorded yet.
    #[must_use]
    pub fn has_expired_unrecorded(&self, now: Timestamp) -> bool {
        match &self.state {
            State::Pending(offer) => now >= offer.expires_at(),
            State::NotYet | State::Closed(..) => false,
        }
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// Refuses an invitation that is not of the command's account; that is as if it did not exist (R68).
    fn must_exist(&self, ctx: &Context<'_>) -> Result<(), InvitationError> {
        match self.offer() {
            Some(offer) if Some(&offer.account_id) == ctx.account.id() => Ok(()),
            Some(_) | None => Err(InvitationError::NotFound),
        }
    }

    /// The offer, while nothing recorded has ended it.
    fn must_be_open(&self, ctx: &Context<'_>) -> Result<&Offer, InvitationError> {
        self.must_exist(ctx)?;
        match &self.state {
            State::NotYet => Err(InvitationError::NotFound),
            State::Pending(offer) => Ok(offer),
            State::Closed(_, Outcome::Accepted(_)) => Err(InvitationError::Accepted),
            State::Closed(_, Outcome::Expired) => Err(InvitationError::Expired),
            State::Closed(_, Outcome::Deleted) => Err(InvitationError::Deleted),
        }
    }

    /// Changes the offer, while it is open.
    fn change(&mut self, change: impl FnOnce(&mut Offer)) {
        match &mut self.state {
            State::Pending(offer) => change(offer),
            State::NotYet | State::Closed(..) => {}
        }
    }

    /// Ends it, and forgets its address.
    fn close(&mut self, outcome: Outcome) {
        match std::mem::take(&mut self.state) {
            State::Pending(mut offer) => {
                offer.email = Personal::Erased;
                self.state = State::Closed(offer, outcome);
            }
            unchanged @ (State::NotYet | State::Closed(..)) => self.state = unchanged,
        }
    }
}

impl Claimant for Invitation {
    type Happening = InvitationEvent;

    fn claims(&self) -> BTreeSet<Held> {
        match &self.state {
            State::Pending(offer) => offer
                .email
                .known()
                .map(|email| Held {
                    claim: Claim::InvitedAddress(email.folded()),
                    owner: offer.invitation_id.to_string(),
                })
                .into_iter()
                .collect(),
            State::NotYet | State::Closed(..) => BTreeSet::new(),
        }
    }

    fn refusal_of(requires: &Requires, _holders: &Holders) -> Option<InvitationError> {
        match requires {
            Requires::FreeBut {
                claim: Claim::InvitedAddress(_),
                ..
            } => Some(InvitationError::AddressInvited),
            Requires::Free(Claim::Email(_)) => Some(InvitationError::AddressIsUser),
            Requires::HeldBy {
                claim: Claim::Administrator | Claim::ExternalAdministrator,
                ..
            } => Some(InvitationError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::HeldBy { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. }
            | Requires::Unshared { .. } => None,
        }
    }
}

impl cqrs_es::Aggregate for Invitation {
    const TYPE: &'static str = "invitation";
    type Command = InvitationCommand;
    type Event = Recorded<InvitationEvent>;
    type Error = InvitationError;
    type Services = Surroundings;

    /// The stock framework commits nothing that comes with a refusal, so an expiry that is met is refused and not recorded.
    async fn handle(
        &mut self,
        command: InvitationCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), InvitationError> {
        let mut decision = command.decide(&services.context(), self)?;
        if let Some(refused) = decision.refused.take() {
            return Err(refused);
        }
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<InvitationEvent>) {
        let at = recorded.time();
        recorded.event.apply_to(at, self);
    }
}
