//! Commands on invitations.

use rollbook_aggregates::domain::{Claim, Decide, Holders};
use rollbook_aggregates::invitation::{
    AcceptInvitation, ExpireInvitation, Invitation, InvitationError, ResendInvitation,
};
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{EmailAddress, InvitationId, Login, UserId};
use rollbook_proto::v1::ErrorReason;
use serde::{Deserialize, Serialize};

use super::{Hashed, UserOutcome};
use crate::convert::{Acceptance, InviteMany};
use crate::executor::{Plan, Unit, new_id};
use crate::failure::{Failure, Outcome, name_of};
use crate::tokens;

/// An invitation, as a command left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvitationOutcome {
    /// Which.
    pub invitation: InvitationId,
    /// Its revision then.
    pub revision: u64,
}

/// What became of one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum InviteOutcome {
    /// It was invited.
    Invited(InvitationOutcome),
    /// It was not, and why.
    Refused(String),
}

/// Invites many addresses; one that cannot be invited fails alone (R44).
pub struct InvitePlan(pub InviteMany);

impl Plan for InvitePlan {
    type Outcome = Vec<InviteOutcome>;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<Vec<InviteOutcome>> {
        unit.decide_anew_when_refused();
        let login = unit.account().await?.settings().login;
        let claims = |of: fn(&EmailAddress) -> Claim| self.0.emails.iter().map(of).collect();
        let invited: Vec<Claim> = claims(|email| Claim::InvitedAddress(email.folded()));
        let invited = unit.holders(&invited).await?;
        let users = match login {
            Login::Email => {
                let users: Vec<Claim> = claims(|email| Claim::Email(email.folded()));
                unit.holders(&users).await?
            }
            Login::Signature => vec![Holders::default(); self.0.emails.len()],
        };
        let mut outcomes = Vec::with_capacity(self.0.emails.len());
        for ((email, invited), users) in self.0.emails.iter().zip(invited).zip(users) {
            outcomes.push(self.invite(unit, email, &invited, &users).await?);
        }
        Ok(outcomes)
    }
}

impl InvitePlan {
    async fn invite(
        &self,
        unit: &mut Unit<'_>,
        email: &EmailAddress,
        invited: &Holders,
        users: &Holders,
    ) -> Outcome<InviteOutcome> {
        let refused = |reason| Ok(InviteOutcome::Refused(name_of(reason).to_owned()));
        if users.count > 0 {
            return refused(ErrorReason::AddressIsUser);
        }
        let mut replaces = None;
        if let Some(holder) = invited.owners.first() {
            match expire(unit, holder).await? {
                Standing::Open => return refused(ErrorReason::AddressInvited),
                Standing::Expired => replaces = InvitationId::parse(holder).ok(),
                Standing::Ended => {}
            }
        }
        let invitation = InvitationId::new(new_id());
        let digest = tokens::invitation(&unit.executor().log, invitation, 1).digest();
        let id = invitation.to_string();
        unit.make::<Invitation>(&id);
        let mut invite = self.0.invite(email, invitation, digest, replaces);
        invite.by_mail = unit.executor().mail;
        unit.decide(&id, invite).await?;
        Ok(InviteOutcome::Invited(InvitationOutcome {
            invitation,
            revision: unit.revision::<Invitation>(&id),
        }))
    }
}

/// How an invitation stands that held an address a moment ago.
enum Standing {
    /// It can be accepted.
    Open,
    /// Its term has passed, which is recorded with the command.
    Expired,
    /// It ended since it was asked who holds the address; whether somebody else holds it now is told by the append.
    Ended,
}

/// Records the expiry of an invitation whose term has passed.
async fn expire(unit: &mut Unit<'_>, id: &str) -> Outcome<Standing> {
    let invitation = unit.load::<Invitation>(id).await?;
    if invitation.has_expired_unrecorded(unit.now) {
        unit.decide(id, ExpireInvitation).await?;
        return Ok(Standing::Expired);
    }
    Ok(match invitation.outcome() {
        Some(_) => Standing::Ended,
        None => Standing::Open,
    })
}

/// Sends an invitation again, with its next token.
pub struct ResendPlan(pub InvitationId);

impl Plan for ResendPlan {
    type Outcome = InvitationOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<InvitationOutcome> {
        let invitation = found(unit, self.0).await?;
        let issue = invitation.offer().map_or(0, |offer| offer.issue);
        let next = tokens::invitation(&unit.executor().log, self.0, issue.saturating_add(1));
        let resend = ResendInvitation {
            token_digest: next.digest(),
            by_mail: unit.executor().mail,
        };
        unit.decide(&self.0.to_string(), resend).await?;
        Ok(outcome(unit, self.0))
    }
}

/// A command on an invitation that is there.
pub struct OnInvitation<C> {
    /// Which.
    pub invitation: InvitationId,
    /// What to do.
    pub command: C,
}

impl<C> Plan for OnInvitation<C>
where
    C: Decide<Aggregate = Invitation> + Clone + Send + Sync,
{
    type Outcome = InvitationOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<InvitationOutcome> {
        found(unit, self.invitation).await?;
        let id = self.invitation.to_string();
        unit.decide(&id, self.command.clone()).await?;
        Ok(outcome(unit, self.invitation))
    }
}

async fn found(
    unit: &mut Unit<'_>,
    invitation: InvitationId,
) -> Outcome<std::sync::Arc<Invitation>> {
    let id = invitation.to_string();
    unit.account().await?;
    let loaded = unit.load::<Invitation>(&id).await?;
    let account = &unit.order().account_id;
    if loaded
        .offer()
        .is_none_or(|offer| offer.account_id != *account)
    {
        return Err(Failure::refused(&InvitationError::NotFound));
    }
    unit.expect_revision::<Invitation>(&id)?;
    Ok(loaded)
}

fn outcome(unit: &Unit<'_>, invitation: InvitationId) -> InvitationOutcome {
    InvitationOutcome {
        invitation,
        revision: unit.revision::<Invitation>(&invitation.to_string()),
    }
}

/// Accepts an invitation: the user is created and the invitation completed in one commit (R48).
pub struct AcceptPlan {
    /// The id the user is to have.
    pub user: UserId,
    /// What the person gave.
    pub acceptance: Acceptance,
    /// Its password.
    pub hashed: Hashed,
}

impl Plan for AcceptPlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let invitation = self.acceptance.token.invitation;
        let loaded = found(unit, invitation).await?;
        let account = unit.account().await?;
        let not_found = || Failure::refused(&InvitationError::NotFound);
        let offer = loaded.offer().ok_or_else(not_found)?;
        let secret = tokens::invitation(&unit.executor().log, invitation, offer.issue);
        if !self.acceptance.token.is(&secret) {
            return Err(not_found());
        }
        let accept = AcceptInvitation {
            user_id: self.user,
            token_digest: secret.digest(),
        };
        unit.decide(&invitation.to_string(), accept).await?;
        let id = self.user.to_string();
        if !unit.is_refused() {
            let create = self
                .acceptance
                .create_user(&account, offer, self.user)?
                .ok_or_else(not_found)?;
            unit.make::<User>(&id);
            unit.decide(&id, create).await?;
            self.hashed.keep(unit, self.user).await?;
        }
        Ok(UserOutcome {
            user: self.user,
            revision: unit.revision::<User>(&id),
        })
    }
}
