//! How an access ends: it is revoked, or its user is deleted at home.

use serde::{Deserialize, Serialize};

use super::{Access, AccessError, AccessEvent, State};
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};

/// An external user may not work here any more, and its sessions here ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRevoked {}

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
