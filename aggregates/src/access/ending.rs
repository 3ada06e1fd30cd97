//! How an access ends: it is revoked, or its user is deleted at home; and how sessions end with those at home.

use serde::{Deserialize, Serialize};

use super::{Access, AccessError, AccessEvent, State};
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};

/// An external user may not work here any more, and its sessions here ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRevoked {}

/// The user's sessions ended at home, and so they did here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalSessionsEnded {}

/// The user was deleted in its home account; what was personal of it here is erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalUserDeleted {}

impl Apply<Access> for AccessRevoked {
    fn apply(self, at: Timestamp, access: &mut Access) {
        access.change(at, |external| {
            external.revoked_at = Some(at);
            external.sessions_valid_from = at;
        });
    }
}

impl Apply<Access> for ExternalSessionsEnded {
    fn apply(self, at: Timestamp, access: &mut Access) {
        if let Some(external) = access.external_mut() {
            external.sessions_valid_from = at;
        }
    }
}

impl Apply<Access> for ExternalUserDeleted {
    fn apply(self, _at: Timestamp, access: &mut Access) {
        if let State::Known(external) = &access.state {
            access.state = State::UserDeleted {
                key: external.key.clone(),
                home_account_id: external.home_account_id.clone(),
            };
        }
    }
}

/// Ends what a user of another account may do here, and its sessions here; nothing happens in its home account. What still
/// needs the user here goes on to do so: it stands against the deletion of the user, not against the end of its access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeAccess;

impl Decide for RevokeAccess {
    type Aggregate = Access;

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        let ended = match access.must_be_known(ctx) {
            Ok(external) => !external.is_granted(),
            Err(AccessError::UserDeleted) => true,
            Err(error) => return Err(error),
        };
        if ended {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, access, vec![AccessRevoked {}.into()]))
    }
}

/// Ends the sessions of an external user with those at home, in the same commit (R41), so that who watches this account is
/// told. The command is the home account's, so it does not ask whose the access is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndExternalSessions;

impl Decide for EndExternalSessions {
    type Aggregate = Access;

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        let ended = access
            .granted()
            .map(|_| AccessEvent::from(ExternalSessionsEnded {}));
        Ok(Decision::of(ctx, access, ended.into_iter().collect()))
    }
}

/// Ends an access for good with the deletion of its user, in the same commit (R26). The command is the home account's, so
/// it does not ask whose the access is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseAccess;

impl Decide for EraseAccess {
    type Aggregate = Access;

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        let Some(external) = access.external() else {
            return Ok(Decision::nothing());
        };
        let revoked = external
            .is_granted()
            .then(|| AccessEvent::from(AccessRevoked {}));
        let events = revoked
            .into_iter()
            .chain([ExternalUserDeleted {}.into()])
            .collect();
        Ok(Decision::of(ctx, access, events).forgetting())
    }
}
