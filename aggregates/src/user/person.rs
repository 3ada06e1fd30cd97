//! What is known of a user that is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CompanyProperties, Credentials, Involvements, Profile};
use crate::account::Account;
use crate::domain::Timestamp;
use crate::values::{
    AccountId, CompanyId, EmailAddress, Login, Permission, RoleName, Signature, UserId, UserType,
};

/// What is known of a user that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub(super) id: UserId,
    pub(super) account_id: AccountId,
    pub(super) profile: Profile,
    pub(super) user_type: UserType,
    pub(super) active: bool,
    pub(super) locked: bool,
    pub(super) auto_locked_at: Option<Timestamp>,
    pub(super) onboarded: bool,
    pub(super) credentials: Credentials,
    pub(super) roles: BTreeSet<RoleName>,
    pub(super) permissions: BTreeSet<Permission>,
    pub(super) companies: BTreeMap<CompanyId, CompanyProperties>,
    pub(super) involvements: Involvements,
    pub(super) sessions_valid_from: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) modified_at: Timestamp,
}

impl Person {
    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> UserId {
        self.id
    }

    /// The home account.
    #[must_use]
    pub const fn account_id(&self) -> &AccountId {
        &self.account_id
    }

    /// Names, addresses and language.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What it signs in with.
    #[must_use]
    pub fn user_name(&self, account: &Account) -> Option<&str> {
        match account.settings().login {
            Login::Email => self.profile.email.known().map(EmailAddress::as_str),
            Login::Signature => self.profile.signature.known().map(Signature::as_str),
        }
    }

    /// What kind of user it is.
    #[must_use]
    pub const fn user_type(&self) -> UserType {
        self.user_type
    }

    /// Whether it may sign in, as far as this facet goes.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// Whether an administrator locked it.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// When the system locked it, where it did and that is not recorded to be over.
    #[must_use]
    pub const fn auto_locked_at(&self) -> Option<Timestamp> {
        self.auto_locked_at
    }

    /// Whether its onboarding is completed.
    #[must_use]
    pub const fn is_onboarded(&self) -> bool {
        self.onboarded
    }

    /// What it signs in with, and the links it was sent.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The roles it holds.
    #[must_use]
    pub const fn roles(&self) -> &BTreeSet<RoleName> {
        &self.roles
    }

    /// Its grants.
    #[must_use]
    pub const fn permissions(&self) -> &BTreeSet<Permission> {
        &self.permissions
    }

    /// The companies it is linked to, and its properties there.
    #[must_use]
    pub const fn companies(&self) -> &BTreeMap<CompanyId, CompanyProperties> {
        &self.companies
    }

    /// What outside the directory still needs it.
    #[must_use]
    pub const fn involvements(&self) -> &Involvements {
        &self.involvements
    }

    /// Sessions that began before are not valid any more (R41).
    #[must_use]
    pub const fn sessions_valid_from(&self) -> Timestamp {
        self.sessions_valid_from
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When it was changed last; what other services report does not change it.
    #[must_use]
    pub const fn modified_at(&self) -> Timestamp {
        self.modified_at
    }

    /// Whether it can act by what is recorded: active, not locked, onboarded.
    #[must_use]
    pub const fn can_act(&self) -> bool {
        self.active && !self.locked && self.auto_locked_at.is_none() && self.onboarded
    }

    /// Whether it is an administrator who can act.
    #[must_use]
    pub const fn can_act_as_administrator(&self) -> bool {
        matches!(self.user_type, UserType::Administrator) && self.can_act()
    }

    /// Whether nothing but a lock of the system keeps it from acting as an administrator.
    #[must_use]
    pub const fn is_administrator_but_for_a_lock(&self) -> bool {
        matches!(self.user_type, UserType::Administrator)
            && self.active
            && !self.locked
            && self.auto_locked_at.is_some()
            && self.onboarded
    }
}
