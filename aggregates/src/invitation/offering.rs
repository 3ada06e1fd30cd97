//! Sending an invitation, and sending it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Invitation, InvitationError, Offer, State};
use crate::domain::{Apply, Claim, Context, Decide, Decision, Personal, Requires, Timestamp};
use crate::values::{
    AccountId, CompanyId, EmailAddress, InvitationId, Login, Permission, RoleName, TokenDigest,
    UserType, ValidityDays,
};

/// An e-mail address was offered to become a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserInvited {
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
    /// How often it was sent, this once.
    pub issue: u32,
    /// Of the token sent.
    pub token_digest: TokenDigest,
    /// How long that is good for.
    pub validity_days: ValidityDays,
    /// Whether it is sent by mail, so that the caller did not get the token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mail: bool,
}

/// An invitation was sent again; what was sent before is dead from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationResent {
    /// How often it was sent, with this time.
    pub issue: u32,
    /// Of the token sent.
    pub token_digest: TokenDigest,
    /// How long that is good for.
    pub validity_days: ValidityDays,
    /// Whether it is sent by mail, so that the caller did not get the token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_mail: bool,
}

impl Apply<Invitation> for UserInvited {
    fn apply(self, at: Timestamp, invitation: &mut Invitation) {
        invitation.state = State::Pending(Box::new(Offer {
            invitation_id: self.invitation_id,
            account_id: self.account_id,
            email: self.email,
            user_type: self.user_type,
            roles: self.roles,
            permissions: self.permissions,
            companies: self.companies,
            issue: self.issue,
            token_digest: self.token_digest,
            validity_days: self.validity_days,
            by_mail: self.by_mail,
            sent_at: at,
            created_at: at,
        }));
    }
}

impl Apply<Invitation> for InvitationResent {
    fn apply(self, at: Timestamp, invitation: &mut Invitation) {
        invitation.change(|offer| {
            offer.issue = self.issue;
            offer.token_digest = self.token_digest;
            offer.validity_days = self.validity_days;
            offer.by_mail = self.by_mail;
            offer.sent_at = at;
        });
    }
}

/// Offers one e-mail address to become a user. Refused where the address is invited already or, where e-mail is the
/// login, is a user's (R44).
#[derive(Clone, Debug, PartialEq)]
pub struct InviteUser {
    /// The invitation.
    pub invitation_id: InvitationId,
    /// To whom.
    pub email: EmailAddress,
    /// What kind of user.
    pub user_type: UserType,
    /// With these roles.
    pub roles: BTreeSet<RoleName>,
    /// With these grants.
    pub permissions: BTreeSet<Permission>,
    /// In these companies.
    pub companies: BTreeSet<CompanyId>,
    /// Of its first token.
    pub token_digest: TokenDigest,
    /// Whether it is to be sent by mail.
    pub by_mail: bool,
    /// The invitation that holds the address still, has expired by the clock, and is given an
    /// [`ExpireInvitation`](super::ExpireInvitation) in the same commit (R49).
    pub replaces: Option<InvitationId>,
}

impl Decide for InviteUser {
    type Aggregate = Invitation;

    fn decide(
        self,
        ctx: &Context<'_>,
        invitation: &Invitation,
    ) -> Result<Decision<Invitation>, InvitationError> {
        let Some(account_id) = ctx.account.id().cloned() else {
            return Err(InvitationError::AccountNotFound);
        };
        if invitation.offer().is_some() {
            return Err(InvitationError::Exists);
        }
        ctx.account.must_have_roles(&self.roles)?;
        ctx.account.must_allow(self.user_type, &self.permissions)?;
        ctx.account
            .must_have_companies(self.companies.iter().copied())?;
        let settings = ctx.account.settings();
        let no_user = match settings.login {
            Login::Email => Some(Requires::Free(Claim::Email(self.email.folded()))),
            Login::Signature => None,
        };
        let invited = UserInvited {
            invitation_id: self.invitation_id,
            account_id,
            email: self.email.into(),
            user_type: self.user_type,
            roles: self.roles,
            permissions: self.permissions,
            companies: self.companies,
            issue: 1,
            token_digest: self.token_digest,
            validity_days: settings.invitation_validity_days,
            by_mail: self.by_mail,
        };
        let decision = Decision::of(ctx, invitation, vec![invited.into()]).requiring(no_user);
        Ok(match self.replaces {
            Some(expired) => decision.succeeding(&expired.to_string()),
            None => decision,
        })
    }
}

/// Sends a pending invitation again, with a new token and a new validity (R46).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResendInvitation {
    /// Of the token of the next issue.
    pub token_digest: TokenDigest,
    /// Whether it is to be sent by mail.
    pub by_mail: bool,
}

impl Decide for ResendInvitation {
    type Aggregate = Invitation;

    fn decide(
        self,
        ctx: &Context<'_>,
        invitation: &Invitation,
    ) -> Result<Decision<Invitation>, InvitationError> {
        let offer = invitation.must_be_open(ctx)?;
        if let Some(expired) = invitation.expiry_met(ctx) {
            return Ok(expired.refusing(InvitationError::Expired));
        }
        let resent = InvitationResent {
            issue: offer.issue.saturating_add(1),
            token_digest: self.token_digest,
            validity_days: ctx.account.settings().invitation_validity_days,
            by_mail: self.by_mail,
        };
        Ok(Decision::of(ctx, invitation, vec![resent.into()]))
    }
}

#[cfg(test)]
mod tests;
