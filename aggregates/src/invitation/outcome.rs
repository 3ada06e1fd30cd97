//! How an invitation ends: accepted, deleted or expired.

use serde::{Deserialize, Serialize};

use super::{Invitation, InvitationError, Offer, Outcome};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::user::{CreateUser, NewCompany, PasswordState};
use crate::values::{
    CompanyId, LanguageTag, PersonName, PhoneNumber, Signature, TokenDigest, UserId,
};

/// An invitation was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationAccepted {
    /// By the user that was created with it.
    pub user_id: UserId,
}

/// Nobody accepted an invitation in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationExpired {}

/// An invitation was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationDeleted {}

impl Apply<Invitation> for InvitationAccepted {
    fn apply(self, _at: Timestamp, invitation: &mut Invitation) {
        invitation.close(Outcome::Accepted(self.user_id));
    }
}

impl Apply<Invitation> for InvitationExpired {
    fn apply(self, _at: Timestamp, invitation: &mut Invitation) {
        invitation.close(Outcome::Expired);
    }
}

impl Apply<Invitation> for InvitationDeleted {
    fn apply(self, _at: Timestamp, invitation: &mut Invitation) {
        invitation.close(Outcome::Deleted);
    }
}

impl Invitation {
    /// The expiry, if it is due and not recorded yet.
    pub(super) fn expiry_met(&self, ctx: &Context<'_>) -> Option<Decision<Self>> {
        self.has_expired_unrecorded(ctx.now)
            .then(|| Decision::of(ctx, self, vec![InvitationExpired {}.into()]).forgetting())
    }
}

/// What a person gives who accepts an invitation.
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// The user it becomes.
    pub user_id: UserId,
    /// Its code on coding rows.
    pub signature: Signature,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// Phone.
    pub phone: Option<PhoneNumber>,
    /// Mobile phone.
    pub mobile_phone: Option<PhoneNumber>,
    /// Language.
    pub language: Option<LanguageTag>,
    /// Whether a password is given.
    pub password: PasswordState,
}

impl Offer {
    /// The command that creates the accepting user in the commit of the [`AcceptInvitation`] (R48). What has left the
    /// account's catalogue since, or is for administrators only by now, is left out. None once the address is erased.
    #[must_use]
    pub fn create_user(&self, account: &Account, acceptance: Acceptance) -> Option<CreateUser> {
        let email = self.email.known()?.clone();
        let companies = account.companies();
        let is_there = |company: &CompanyId| companies.contains_key(company);
        let roles = self
            .roles
            .iter()
            .filter(|role| account.roles().contains_key(*role));
        let permissions = account
            .allowed(self.user_type, &self.permissions)
            .into_iter()
            .filter(|grant| account.modules().contains_key(&grant.module))
            .filter(|grant| grant.company.as_ref().is_none_or(is_there));
        let companies = self.companies.iter().filter(|company| is_there(company));
        Some(CreateUser {
            user_id: acceptance.user_id,
            signature: acceptance.signature,
            first_name: acceptance.first_name,
            last_name: acceptance.last_name,
            email,
            phone: acceptance.phone,
            mobile_phone: acceptance.mobile_phone,
            language: acceptance.language,
            user_type: self.user_type,
            active: true,
            password: acceptance.password,
            welcome: None,
            roles: roles.cloned().collect(),
            permissions: permissions.collect(),
            companies: companies.map(|company| NewCompany::of(*company)).collect(),
            invitation: Some(self.invitation_id),
            copied_from: None,
        })
    }
}

/// Completes an invitation. The user is created in the same commit, by [`Offer::create_user`] (R48).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptInvitation {
    /// The user it becomes.
    pub user_id: UserId,
    /// Of the token that was given.
    pub token_digest: TokenDigest,
}

impl Decide for AcceptInvitation {
    type Aggregate = Invitation;

    fn decide(
        self,
        ctx: &Context<'_>,
        invitation: &Invitation,
    ) -> Result<Decision<Invitation>, InvitationError> {
        let offer = invitation.must_be_open(ctx)?;
        if !offer.token_digest.matches(&self.token_digest) {
            return Err(InvitationError::NotFound);
        }
        if let Some(expired) = invitation.expiry_met(ctx) {
            return Ok(expired.refusing(InvitationError::Expired));
        }
        let accepted = InvitationAccepted {
            user_id: self.user_id,
        };
        Ok(Decision::of(ctx, invitation, vec![accepted.into()]).forgetting())
    }
}

/// Deletes an invitation. One that was deleted or has expired is gone already; an expiry that is met is recorded instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteInvitation;

impl Decide for DeleteInvitation {
    type Aggregate = Invitation;

    fn decide(
        self,
        ctx: &Context<'_>,
        invitation: &Invitation,
    ) -> Result<Decision<Invitation>, InvitationError> {
        invitation.must_exist(ctx)?;
        match invitation.outcome() {
            Some(Outcome::Accepted(_)) => return Err(InvitationError::Accepted),
            Some(Outcome::Expired | Outcome::Deleted) => return Ok(Decision::nothing()),
            None => {}
        }
        if let Some(expired) = invitation.expiry_met(ctx) {
            return Ok(expired);
        }
        Ok(Decision::of(ctx, invitation, vec![InvitationDeleted {}.into()]).forgetting())
    }
}

/// Records that an invitation has expired, if it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireInvitation;

impl Decide for ExpireInvitation {
    type Aggregate = Invitation;

    fn decide(
        self,
        ctx: &Context<'_>,
        invitation: &Invitation,
    ) -> Result<Decision<Invitation>, InvitationError> {
        invitation.must_exist(ctx)?;
        Ok(invitation.expiry_met(ctx).unwrap_or_else(Decision::nothing))
    }
}

#[cfg(test)]
mod tests;
