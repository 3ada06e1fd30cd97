//! Accesses of external users on the wire.

use rollbook_aggregates::access::{Access, ExternalUser, GrantAccess, RevokeAccess, UpdateAccess};
use rollbook_aggregates::account::Account;
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_projections::{AccessRow, AccessStatus, ListAccesses};
use rollbook_proto::v1 as pb;

use super::user::{ToUser, masked, permission, permissions, text, user_type, write_user_type};
use super::{Fields, wire_time};
use crate::failure::{Failure, Outcome};

impl TryFrom<pb::GrantAccessRequest> for ToUser<GrantAccess> {
    type Error = Failure;

    fn try_from(request: pb::GrantAccessRequest) -> Outcome<Self> {
        let pb::GrantAccessRequest {
            account_id,
            user_id,
            user_type: wire_type,
            permissions: wire,
            command,
        } = request;
        // A bad id is named where every command on a user reads it.
        let user = UserId::parse(&user_id).ok();
        Self::read(&account_id, &user_id, command, |fields| {
            let user_type = user_type(fields, wire_type);
            let permissions = permissions(fields, wire);
            Some(GrantAccess {
                user_id: user?,
                user_type: user_type?,
                permissions,
            })
        })
    }
}

impl TryFrom<pb::UpdateAccessRequest> for ToUser<UpdateAccess> {
    type Error = Failure;

    fn try_from(request: pb::UpdateAccessRequest) -> Outcome<Self> {
        let pb::UpdateAccessRequest {
            account_id,
            user_id,
            user_type: wire_type,
            permissions: wire,
            update_mask,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let named = masked(fields, update_mask, &["user_type", "permissions"]);
            let user_type = user_type(fields, wire_type);
            let permissions = permissions(fields, wire);
            Some(UpdateAccess {
                user_type: named.contains("user_type").then_some(user_type?),
                permissions: named.contains("permissions").then_some(permissions),
            })
        })
    }
}

impl TryFrom<pb::RevokeAccessRequest> for ToUser<RevokeAccess> {
    type Error = Failure;

    fn try_from(request: pb::RevokeAccessRequest) -> Outcome<Self> {
        let pb::RevokeAccessRequest {
            account_id,
            user_id,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |_| Some(RevokeAccess))
    }
}

/// A question for a page of accesses, without where it goes on. A caller who is for one account must name it.
pub fn list_accesses(
    request: pb::ListAccessesRequest,
    for_one_account: bool,
) -> Outcome<ListAccesses> {
    let pb::ListAccessesRequest {
        account_id,
        user_id,
        include_ended,
        page_size,
        page_token: _,
        include_total,
        read: _,
    } = request;
    let mut fields = Fields::default();
    if account_id.is_empty() && (for_one_account || user_id.is_empty()) {
        fields.bad(
            "account_id",
            "must be given, or by a caller for all accounts a user",
        );
    }
    let account = fields.optional("account_id", &account_id, AccountId::parse);
    let user = fields.optional("user_id", &user_id, UserId::parse);
    let limit = fields.checked("page_size", crate::page::size(page_size));
    let (limit,) = fields.finish((limit,))?;
    Ok(ListAccesses {
        account,
        user,
        include_ended,
        after: None,
        limit,
        total: include_total,
    })
}

/// An access as its aggregate has it.
#[must_use]
pub fn access_from_state(access: &Access, revision: u64) -> pb::Access {
    if let Some(external) = access.external() {
        return external_from_state(external, revision);
    }
    let key = access.key();
    pb::Access {
        account_id: text(key.map(|key| &key.account_id)),
        user_id: text(key.map(|key| key.user_id)),
        home_account_id: text(access.home_account_id()),
        status: pb::AccessStatus::UserDeleted.into(),
        revision,
        ..pb::Access::default()
    }
}

fn external_from_state(external: &ExternalUser, revision: u64) -> pb::Access {
    let status = if external.is_granted() {
        pb::AccessStatus::Granted
    } else {
        pb::AccessStatus::Revoked
    };
    pb::Access {
        account_id: external.account_id().to_string(),
        user_id: external.user_id().to_string(),
        home_account_id: external.home_account_id().to_string(),
        status: status.into(),
        user_type: write_user_type(external.user_type()).into(),
        permissions: external.permissions().iter().map(permission).collect(),
        sessions_valid_from: Some(wire_time(external.sessions_valid_from())),
        granted_at: Some(wire_time(external.granted_at())),
        modified_at: Some(wire_time(external.modified_at())),
        revoked_at: external.revoked_at().map(wire_time),
        revision,
    }
}

/// An access as the view has it.
#[must_use]
pub fn access_from_row(row: &AccessRow) -> pb::Access {
    let status = match row.status {
        AccessStatus::Granted => pb::AccessStatus::Granted,
        AccessStatus::Revoked => pb::AccessStatus::Revoked,
        AccessStatus::UserDeleted => pb::AccessStatus::UserDeleted,
    };
    pb::Access {
        account_id: row.account_id.to_string(),
        user_id: row.user_id.to_string(),
        home_account_id: row.home_account_id.to_string(),
        status: status.into(),
        user_type: write_user_type(row.user_type).into(),
        permissions: row.permissions.iter().map(permission).collect(),
        sessions_valid_from: Some(wire_time(row.sessions_valid_from)),
        granted_at: Some(wire_time(row.granted_at)),
        modified_at: Some(wire_time(row.modified_at)),
        revoked_at: row.revoked_at.map(wire_time),
        revision: row.revision,
    }
}

/// A user of another account whose access to this one has ended: nothing of it is known here any more but that.
#[must_use]
pub fn former_external_user(ended: &AccessRow) -> pb::User {
    let status = match ended.status {
        AccessStatus::UserDeleted => pb::UserStatus::Deleted,
        AccessStatus::Granted | AccessStatus::Revoked => pb::UserStatus::Unspecified,
    };
    pb::User {
        user_id: ended.user_id.to_string(),
        account_id: ended.account_id.to_string(),
        status: status.into(),
        sessions_valid_from: Some(wire_time(ended.sessions_valid_from)),
        created_at: Some(wire_time(ended.granted_at)),
        modified_at: Some(wire_time(ended.modified_at)),
        revision: ended.revision,
        external: true,
        ..pb::User::default()
    }
}

/// A user of another account as this one sees it: the person as it is `at_home`, with what it may do here, and without its
/// phone numbers.
#[must_use]
pub fn external_user(
    at_home: pb::User,
    account: &Account,
    user: &User,
    access: &Access,
    revision: u64,
) -> pb::User {
    let shown = pb::User {
        account_id: text(access.account_id()),
        user_name: text(user.person().and_then(|person| person.user_name(account))),
        phone: String::new(),
        mobile_phone: String::new(),
        user_type: pb::UserType::Unspecified.into(),
        roles: Vec::new(),
        permissions: Vec::new(),
        companies: Vec::new(),
        external: true,
        revision,
        ..at_home
    };
    let (Some(external), Some(person)) = (access.external(), user.person()) else {
        return shown;
    };
    let sessions = external
        .sessions_valid_from()
        .max(person.sessions_valid_from());
    pb::User {
        user_type: write_user_type(external.user_type()).into(),
        permissions: external.permissions().iter().map(permission).collect(),
        sessions_valid_from: Some(wire_time(sessions)),
        created_at: Some(wire_time(external.granted_at())),
        modified_at: Some(wire_time(external.modified_at().max(person.modified_at()))),
        ..shown
    }
}
