//! What is granted to an external user, and how that changes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Access, AccessError, AccessEvent, AccessKey, ExternalUser, State};
use crate::account::Account;
use crate::domain::{Apply, Claim, Context, Decide, Decision, Reads, Requires, Timestamp};
use crate::user::{Involvements, User};
use crate::values::{AccountId, Permission, UserId, UserType};

/// A user of another account may work in this one from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessGranted {
    /// The account that is accessed.
    pub account_id: AccountId,
    /// The user.
    pub user_id: UserId,
    /// Where the user is at home.
    pub home_account_id: AccountId,
    /// What kind of user it is here.
    pub user_type: UserType,
    /// Its grants here.
    pub permissions: BTreeSet<Permission>,
}

/// An external user is of another type here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessTypeChanged {
    /// The new one.
    pub user_type: UserType,
    /// Whether it may do less than before, so that its sessions here ended.
    pub ends_sessions: bool,
}

/// An external user has exactly these grants here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessPermissionsSet {
    /// All of them.
    pub permissions: BTreeSet<Permission>,
    /// Whether it may do less than before, so that its sessions here ended.
    pub ends_sessions: bool,
}

impl Apply<Access> for AccessGranted {
    fn apply(self, at: Timestamp, access: &mut Access) {
        // What was reported before outlives that the access was revoked.
        let involvements = match access.external_mut() {
            Some(external) => std::mem::take(&mut external.involvements),
            None => Involvements::default(),
        };
        access.state = State::Known(Box::new(ExternalUser {
            key: AccessKey {
                account_id: self.account_id,
                user_id: self.user_id,
            },
            home_account_id: self.home_account_id,
            user_type: self.user_type,
            permissions: self.permissions,
            involvements,
            sessions_valid_from: at,
            granted_at: at,
            modified_at: at,
            revoked_at: None,
        }));
    }
}

impl Apply<Access> for AccessTypeChanged {
    fn apply(self, at: Timestamp, access: &mut Access) {
        access.change(at, |external| {
            external.user_type = self.user_type;
            if self.ends_sessions {
                external.sessions_valid_from = at;
            }
        });
    }
}

impl Apply<Access> for AccessPermissionsSet {
    fn apply(self, at: Timestamp, access: &mut Access) {
        access.change(at, |external| {
            external.permissions = self.permissions;
            if self.ends_sessions {
                external.sessions_valid_from = at;
            }
        });
    }
}

/// Lets a user of another account work in this one, with a type and grants that hold here only. Where that is so already
/// nothing happens; otherwise an access that is there is changed with [`UpdateAccess`].
#[derive(Clone, Debug, PartialEq)]
pub struct GrantAccess {
    /// The user.
    pub user_id: UserId,
    /// What kind of user it is to be here.
    pub user_type: UserType,
    /// Its grants here.
    pub permissions: BTreeSet<Permission>,
}

impl GrantAccess {
    /// To how many accounts a user can have, or have had, access: the store names so many owners of a claim, and the
    /// deletion of the user must reach them all.
    pub const ACCOUNTS: u64 = 100;

    /// The home account of the user, which must be there and be another one.
    fn home<'a>(
        &self,
        ctx: &Context<'a>,
        account_id: &AccountId,
    ) -> Result<&'a AccountId, AccessError> {
        let user = ctx.facts.user(self.user_id);
        if user.is_some_and(|user| user.gone().is_some()) {
            return Err(AccessError::UserDeleted);
        }
        let person = user.and_then(User::person);
        let home = person.ok_or(AccessError::UserNotFound)?.account_id();
        if home == account_id {
            return Err(AccessError::UserAtHome);
        }
        Ok(home)
    }

    /// Refuses an account too many; gives what the commit requires.
    fn must_be_few(
        &self,
        ctx: &Context<'_>,
        account_id: &AccountId,
    ) -> Result<Option<Requires>, AccessError> {
        let claim = Claim::ExternalAccess(self.user_id);
        let holders = ctx.facts.holders(&claim);
        if holders
            .owners
            .iter()
            .any(|owner| owner == account_id.as_str())
        {
            return Ok(None);
        }
        if holders.count >= Self::ACCOUNTS {
            return Err(AccessError::TooMany);
        }
        let owners = holders.owners.iter().cloned().collect();
        Ok(Some(Requires::Exactly { claim, owners }))
    }
}

impl Decide for GrantAccess {
    type Aggregate = Access;

    fn reads(&self, _account: &Account, _access: &Access) -> Reads {
        Reads {
            users: std::iter::once(self.user_id).collect(),
            claims: std::iter::once(Claim::ExternalAccess(self.user_id)).collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        let Some(account_id) = ctx.account.id() else {
            return Err(AccessError::AccountNotFound);
        };
        let home_account_id = self.home(ctx, account_id)?.clone();
        ctx.account.must_allow(self.user_type, &self.permissions)?;
        if let Some(external) = access.granted() {
            let so_already =
                external.user_type == self.user_type && external.permissions == self.permissions;
            return if so_already {
                Ok(Decision::nothing())
            } else {
                Err(AccessError::Exists)
            };
        }
        let few = self.must_be_few(ctx, account_id)?;
        let granted = AccessGranted {
            account_id: account_id.clone(),
            user_id: self.user_id,
            home_account_id,
            user_type: self.user_type,
            permissions: self.permissions,
        };
        Ok(Decision::of(ctx, access, vec![granted.into()]).requiring(few))
    }
}

/// Changes the type and the grants of an external user, here only. Turning an administrator into a STANDARD user drops
/// the grants that such a user cannot have (R11). What lessens its rights ends its sessions here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateAccess {
    /// The new type, if it is to change.
    pub user_type: Option<UserType>,
    /// The new grants, if they are to change.
    pub permissions: Option<BTreeSet<Permission>>,
}

impl Decide for UpdateAccess {
    type Aggregate = Access;

    fn decide(self, ctx: &Context<'_>, access: &Access) -> Result<Decision<Access>, AccessError> {
        let external = access.must_be_known(ctx)?;
        if !external.is_granted() {
            return Err(AccessError::Revoked);
        }
        let user_type = self.user_type.unwrap_or(external.user_type);
        let permissions = match self.permissions {
            Some(permissions) => {
                ctx.account.must_allow(user_type, &permissions)?;
                permissions
            }
            None => ctx.account.allowed(user_type, &external.permissions),
        };
        let events = changes(external, user_type, permissions);
        Ok(Decision::of(ctx, access, events))
    }
}

fn changes(
    external: &ExternalUser,
    user_type: UserType,
    permissions: BTreeSet<Permission>,
) -> Vec<AccessEvent> {
    // An administrator has every module, whatever it is granted.
    let (was, is) = (external.user_type, user_type);
    let demoted = (was, is) == (UserType::Administrator, UserType::Standard);
    let lost = !external.permissions.is_subset(&permissions);
    let mut events = Vec::new();
    if was != is {
        let changed = AccessTypeChanged {
            user_type,
            ends_sessions: demoted,
        };
        events.push(changed.into());
    }
    if external.permissions != permissions {
        let set = AccessPermissionsSet {
            permissions,
            ends_sessions: lost && is == UserType::Standard,
        };
        events.push(set.into());
    }
    events
}
