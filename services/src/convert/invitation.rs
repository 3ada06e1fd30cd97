//! Invitations on the wire.

use std::collections::BTreeSet;

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::{
    Acceptance as Accepts, Invitation, InviteUser, Offer, Outcome as Ending,
};
use rollbook_aggregates::user::{CreateUser, PasswordState};
use rollbook_aggregates::values::{
    AccountId, CompanyId, EmailAddress, InvitationId, LanguageTag, Password, Permission,
    PersonName, PhoneNumber, RoleName, Signature, TokenDigest, UserId, UserType,
};
use rollbook_projections::{InvitationRow, InvitationStatus};
use rollbook_proto::v1 as pb;

use super::user::{Identity, known, permission, permissions, user_type, write_user_type};
use super::{Fields, creating, options, wire_time};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};
use crate::tokens::InvitationToken;

/// Many invitations with one content.
#[derive(Clone, Debug)]
pub struct InviteMany {
    /// The account they are offers of.
    pub account: AccountId,
    /// The addresses, in the order given.
    pub emails: Vec<EmailAddress>,
    user_type: UserType,
    roles: BTreeSet<RoleName>,
    permissions: BTreeSet<Permission>,
    companies: BTreeSet<CompanyId>,
    /// What the command carries.
    pub options: Options,
}

impl InviteMany {
    /// The command for one of the addresses, whose link its caller is told.
    #[must_use]
    pub fn invite(
        &self,
        email: &EmailAddress,
        invitation_id: InvitationId,
        token_digest: TokenDigest,
        replaces: Option<InvitationId>,
    ) -> InviteUser {
        InviteUser {
            invitation_id,
            email: email.clone(),
            user_type: self.user_type,
            roles: self.roles.clone(),
            permissions: self.permissions.clone(),
            companies: self.companies.clone(),
            token_digest,
            by_mail: false,
            replaces,
        }
    }
}

impl TryFrom<pb::InviteUsersRequest> for InviteMany {
    type Error = Failure;

    fn try_from(request: pb::InviteUsersRequest) -> Outcome<Self> {
        let pb::InviteUsersRequest {
            account_id,
            emails,
            user_type: wire_type,
            roles,
            permissions: wire_permissions,
            company_ids,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        if emails.is_empty() {
            fields.bad("emails", "must not be empty");
        }
        let mut seen = BTreeSet::new();
        let emails = fields.list("emails", 1000, emails, |fields, email| {
            let email = fields.read("", &email, EmailAddress::parse)?;
            if !seen.insert(email.folded()) {
                fields.bad("", "must not be named twice");
            }
            Some(email)
        });
        let user_type = user_type(&mut fields, wire_type);
        let roles = fields.set("roles", 1000, &roles, RoleName::parse);
        let permissions = permissions(&mut fields, wire_permissions);
        let companies = fields.set("company_ids", 1000, &company_ids, CompanyId::parse);
        let options = creating(&mut fields, command);
        let (account, user_type) = fields.finish((account, user_type))?;
        Ok(Self {
            account,
            emails,
            user_type,
            roles,
            permissions,
            companies,
            options,
        })
    }
}

/// A command on one invitation, which has nothing but its options.
#[derive(Clone, Debug)]
pub struct ToInvitation {
    /// Whose invitation.
    pub account: AccountId,
    /// Which invitation.
    pub invitation: InvitationId,
    /// What the command carries.
    pub options: Options,
}

macro_rules! bare {
    ($($request:ident,)+) => {$(
        impl TryFrom<pb::$request> for ToInvitation {
            type Error = Failure;

            fn try_from(request: pb::$request) -> Outcome<Self> {
                let pb::$request {
                    account_id,
                    invitation_id,
                    command,
                } = request;
                let mut fields = Fields::default();
                let account = fields.read("account_id", &account_id, AccountId::parse);
                let invitation =
                    fields.read("invitation_id", &invitation_id, InvitationId::parse);
                let options = options(&mut fields, command);
                let (account, invitation) = fields.finish((account, invitation))?;
                Ok(Self {
                    account,
                    invitation,
                    options,
                })
            }
        }
    )+};
}

bare! {
    ResendInvitationRequest,
    DeleteInvitationRequest,
}

/// What a person gives who accepts an invitation.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// The token of the link.
    pub token: InvitationToken,
    signature: Signature,
    first_name: PersonName,
    last_name: PersonName,
    phone: Option<PhoneNumber>,
    mobile_phone: Option<PhoneNumber>,
    language: Option<LanguageTag>,
    /// The password in the clear, on its way to the hash.
    pub password: Option<Password>,
    /// What the command carries.
    pub options: Options,
}

impl Acceptance {
    /// The command that creates the user an offer becomes; none when the offer's address is erased.
    ///
    /// # Errors
    /// `MALFORMED` when the password is what everybody knows of the person.
    pub fn create_user(
        &self,
        account: &rollbook_aggregates::account::Account,
        offer: &Offer,
        user_id: UserId,
    ) -> Outcome<Option<CreateUser>> {
        let accepts = Accepts {
            user_id,
            signature: self.signature.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            phone: self.phone.clone(),
            mobile_phone: self.mobile_phone.clone(),
            language: self.language.clone(),
            password: match self.password {
                None => PasswordState::None,
                Some(_) => PasswordState::Set,
            },
        };
        let Some(create) = offer.create_user(account, accepts) else {
            return Ok(None);
        };
        let mut fields = Fields::default();
        let identity = Identity {
            signature: self.signature.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            email: create.email.clone(),
            phone: None,
            mobile_phone: None,
            language: None,
        };
        identity.check_password(&mut fields, self.password.as_ref());
        fields.finish(())?;
        Ok(Some(create))
    }
}

impl TryFrom<pb::AcceptInvitationRequest> for Acceptance {
    type Error = Failure;

    fn try_from(request: pb::AcceptInvitationRequest) -> Outcome<Self> {
        let pb::AcceptInvitationRequest {
            token,
            password,
            signature,
            first_name,
            last_name,
            phone,
            mobile_phone,
            language,
            command,
        } = request;
        let mut fields = Fields::default();
        let token = fields.read("token", &token, InvitationToken::parse);
        let password = fields.optional("password", &password, Password::parse);
        let signature = fields.read("signature", &signature, Signature::parse);
        let first_name = fields.read("first_name", &first_name, PersonName::parse);
        let last_name = fields.read("last_name", &last_name, PersonName::parse);
        let phone = fields.optional("phone", &phone, PhoneNumber::parse);
        let mobile_phone = fields.optional("mobile_phone", &mobile_phone, PhoneNumber::parse);
        let language = fields.optional("language", &language, LanguageTag::parse);
        let options = creating(&mut fields, command);
        let (token, signature, first_name, last_name) =
            fields.finish((token, signature, first_name, last_name))?;
        Ok(Self {
            token,
            signature,
            first_name,
            last_name,
            phone,
            mobile_phone,
            language,
            password,
            options,
        })
    }
}

/// Reads which invitations by status are asked for.
pub(crate) fn read_statuses(fields: &mut Fields, status: i32) -> Vec<InvitationStatus> {
    match fields.checked("status", known(status)) {
        None | Some(pb::InvitationStatus::Unspecified) => Vec::new(),
        Some(pb::InvitationStatus::Invited) => vec![InvitationStatus::Invited],
        Some(pb::InvitationStatus::Accepted) => vec![InvitationStatus::Accepted],
        Some(pb::InvitationStatus::Expired) => vec![InvitationStatus::Expired],
        Some(pb::InvitationStatus::Deleted) => vec![InvitationStatus::Deleted],
    }
}

/// An invitation as its aggregate has it, judged by the clock.
#[must_use]
pub fn invitation_from_state(
    invitation: &Invitation,
    revision: u64,
    now: Timestamp,
) -> pb::Invitation {
    let Some(offer) = invitation.offer() else {
        return pb::Invitation::default();
    };
    let expired = invitation.has_expired_unrecorded(now);
    let (status, accepted_user_id) = match invitation.outcome() {
        None if expired => (pb::InvitationStatus::Expired, String::new()),
        None => (pb::InvitationStatus::Invited, String::new()),
        Some(Ending::Accepted(user)) => (pb::InvitationStatus::Accepted, user.to_string()),
        Some(Ending::Expired) => (pb::InvitationStatus::Expired, String::new()),
        Some(Ending::Deleted) => (pb::InvitationStatus::Deleted, String::new()),
    };
    let email = offer.email.known().filter(|_| !expired);
    pb::Invitation {
        invitation_id: offer.invitation_id.to_string(),
        account_id: offer.account_id.to_string(),
        email: email.map(ToString::to_string).unwrap_or_default(),
        status: status.into(),
        user_type: write_user_type(offer.user_type).into(),
        roles: offer.roles.iter().map(ToString::to_string).collect(),
        permissions: offer.permissions.iter().map(permission).collect(),
        company_ids: offer.companies.iter().map(ToString::to_string).collect(),
        sent_at: Some(wire_time(offer.sent_at)),
        expires_at: Some(wire_time(offer.expires_at())),
        issue: offer.issue,
        accepted_user_id,
        revision,
    }
}

/// An invitation as the view has it: as recorded.
#[must_use]
pub fn invitation_from_row(row: InvitationRow) -> pb::Invitation {
    let status = match row.status {
        InvitationStatus::Invited => pb::InvitationStatus::Invited,
        InvitationStatus::Accepted => pb::InvitationStatus::Accepted,
        InvitationStatus::Expired => pb::InvitationStatus::Expired,
        InvitationStatus::Deleted => pb::InvitationStatus::Deleted,
    };
    pb::Invitation {
        invitation_id: row.invitation_id.to_string(),
        account_id: row.account_id.to_string(),
        email: row.email.unwrap_or_default(),
        status: status.into(),
        user_type: write_user_type(row.user_type).into(),
        roles: row.roles,
        permissions: row.permissions.iter().map(permission).collect(),
        company_ids: row.companies.iter().map(ToString::to_string).collect(),
        sent_at: Some(wire_time(row.sent_at)),
        expires_at: Some(wire_time(row.expires_at)),
        issue: row.issue,
        accepted_user_id: row
            .accepted_by
            .map(|user| user.to_string())
            .unwrap_or_default(),
        revision: row.revision,
    }
}
