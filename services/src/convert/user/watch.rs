//! Changes of users on the wire.

use rollbook_aggregates::values::AccountId;
use rollbook_projections::UserChanged;
use rollbook_proto::v1 as pb;

use super::super::{Disclose, Fields, wire_time};
use crate::failure::Outcome;

/// What is to be watched.
pub struct WatchedUsers {
    /// The only account; none: all of them.
    pub account: Option<AccountId>,
    /// The position behind which changes are wanted; none: from now on.
    pub from: Option<u64>,
    /// Whether only changes that end sessions are wanted.
    pub sessions_ended_only: bool,
}

impl WatchedUsers {
    /// Reads it; a caller who is for one account must name it.
    ///
    /// # Errors
    /// `MALFORMED`.
    pub fn read(request: pb::WatchUsersRequest, of_one_account: bool) -> Outcome<Self> {
        let pb::WatchUsersRequest {
            account_id,
            from_position,
            sessions_ended_only,
        } = request;
        let mut fields = Fields::default();
        let account = if of_one_account {
            fields.read("account_id", &account_id, AccountId::parse)
        } else {
            fields.optional("account_id", &account_id, AccountId::parse)
        };
        fields.finish(())?;
        Ok(Self {
            account,
            from: from_position,
            sessions_ended_only,
        })
    }
}

/// A change as the contract has it, with the user as it is now.
#[must_use]
pub fn change(changed: &UserChanged, mut user: pb::User, disclose: Disclose) -> pb::UserChange {
    let disclosure = match disclose {
        _ if user.status() == pb::UserStatus::Deleted => pb::Disclosure::Erased,
        Disclose::Shown => pb::Disclosure::Shown,
        Disclose::Withheld => {
            withhold(&mut user);
            pb::Disclosure::Withheld
        }
    };
    pb::UserChange {
        position: changed.position,
        commit_position: changed.commit_position,
        recorded_at: Some(wire_time(changed.recorded_at)),
        event_type: changed.event_type.clone(),
        sessions_ended: changed.ends_sessions,
        user: Some(user),
        disclosure: disclosure.into(),
    }
}

/// Takes out what is personal.
fn withhold(user: &mut pb::User) {
    let personal = [
        &mut user.signature,
        &mut user.user_name,
        &mut user.first_name,
        &mut user.last_name,
        &mut user.email,
        &mut user.phone,
        &mut user.mobile_phone,
    ];
    personal.into_iter().for_each(String::clear);
}
