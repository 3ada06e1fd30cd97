//! What a user may use: its type, its roles and its grants.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Person, User, UserError, UserEvent};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::values::{Permission, RoleName, UserType};

/// A user is of another type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserTypeChanged {
    /// The new one.
    pub user_type: UserType,
}

/// A user holds exactly these roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserRolesSet {
    /// All of them.
    pub roles: BTreeSet<RoleName>,
}

/// A user has exactly these grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPermissionsSet {
    /// All of them.
    pub permissions: BTreeSet<Permission>,
}

impl Apply<User> for UserTypeChanged {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.user_type = self.user_type);
    }
}

impl Apply<User> for UserRolesSet {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.roles = self.roles);
    }
}

impl Apply<User> for UserPermissionsSet {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| person.permissions = self.permissions);
    }
}

/// The change of type, and the loss of the grants that go with it (R11).
pub(super) fn change_type(
    account: &Account,
    person: &Person,
    user_type: UserType,
) -> Vec<UserEvent> {
    let mut events = vec![UserTypeChanged { user_type }.into()];
    let permissions = account.allowed(user_type, &person.permissions);
    if permissions != person.permissions {
        events.push(UserPermissionsSet { permissions }.into());
    }
    events
}

/// What to do with a set that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetMode {
    /// Exactly these, no others.
    Replace,
    /// These as well.
    Add,
    /// Not these any more.
    Remove,
}

impl SetMode {
    fn of<T: Ord + Clone>(self, now: &BTreeSet<T>, given: BTreeSet<T>) -> BTreeSet<T> {
        match self {
            Self::Replace => given,
            Self::Add => now.iter().cloned().chain(given).collect(),
            Self::Remove => now.difference(&given).cloned().collect(),
        }
    }
}

/// Sets, adds or removes roles of the account's catalogue (R10).
#[derive(Clone, Debug, PartialEq)]
pub struct SetUserRoles {
    /// What to do with them.
    pub mode: SetMode,
    /// Which.
    pub roles: BTreeSet<RoleName>,
}

impl Decide for SetUserRoles {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        ctx.account.must_have_roles(&self.roles)?;
        let roles = self.mode.of(&person.roles, self.roles);
        if roles == person.roles {
            return Ok(Decision::nothing());
        }
        Ok(Decision::of(ctx, user, vec![UserRolesSet { roles }.into()]))
    }
}

/// Sets, adds or removes grants (R11).
#[derive(Clone, Debug, PartialEq)]
pub struct SetUserPermissions {
    /// What to do with them.
    pub mode: SetMode,
    /// Which.
    pub permissions: BTreeSet<Permission>,
}

impl Decide for SetUserPermissions {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        // What is taken away need not be allowed.
        let as_type = match self.mode {
            SetMode::Replace | SetMode::Add => person.user_type,
            SetMode::Remove => UserType::Administrator,
        };
        ctx.account.must_allow(as_type, &self.permissions)?;
        let permissions = self.mode.of(&person.permissions, self.permissions);
        if permissions == person.permissions {
            return Ok(Decision::nothing());
        }
        let set = UserPermissionsSet { permissions };
        Ok(Decision::of(ctx, user, vec![set.into()]))
    }
}

/// Drops the grants that the account does not allow a user of its type: its modules were defined otherwise in the same
/// commit (R11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropForbiddenGrants;

impl Decide for DropForbiddenGrants {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let permissions = ctx.account.allowed(person.user_type, &person.permissions);
        if permissions == person.permissions {
            return Ok(Decision::nothing());
        }
        let set = UserPermissionsSet { permissions };
        Ok(Decision::of(ctx, user, vec![set.into()]))
    }
}

#[cfg(test)]
mod tests;
