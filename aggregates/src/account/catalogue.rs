//! The account's catalogue: the roles users can hold and the modules they can use.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Account, AccountError};
use crate::domain::{Apply, Claim, Context, Decide, Decision, Requires, Timestamp};
use crate::values::{ModuleName, ModuleTitle, RoleName, RoleTitle, UserId};

/// A module as the account defines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// What it is called.
    pub title: ModuleTitle,
    /// Whether STANDARD users never have it (R11).
    pub administrator_only: bool,
}

impl Module {
    pub(super) fn defined_as(self, module: ModuleName) -> ModuleDefined {
        ModuleDefined {
            module,
            title: self.title,
            administrator_only: self.administrator_only,
        }
    }
}

/// The catalogue has this role, under this title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDefined {
    /// The role.
    pub role: RoleName,
    /// What it is called.
    pub title: RoleTitle,
}

/// The catalogue has one role less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleRemoved {
    /// The role.
    pub role: RoleName,
}

/// The catalogue has this module, defined like this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleDefined {
    /// The module.
    pub module: ModuleName,
    /// What it is called.
    pub title: ModuleTitle,
    /// Whether STANDARD users never have it.
    pub administrator_only: bool,
}

/// The catalogue has one module less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleRemoved {
    /// The module.
    pub module: ModuleName,
}

impl Apply<Account> for RoleDefined {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.roles.insert(self.role, self.title);
    }
}

impl Apply<Account> for RoleRemoved {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.roles.remove(&self.role);
    }
}

impl Apply<Account> for ModuleDefined {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        let definition = Module {
            title: self.title,
            administrator_only: self.administrator_only,
        };
        account.modules.insert(self.module, definition);
    }
}

impl Apply<Account> for ModuleRemoved {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.modules.remove(&self.module);
    }
}

/// Defines a role, or gives one another title.
#[derive(Clone, Debug, PartialEq)]
pub struct DefineRole {
    /// The role.
    pub role: RoleName,
    /// What it is called.
    pub title: RoleTitle,
}

impl Decide for DefineRole {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        if account.roles.get(&self.role) == Some(&self.title) {
            return Ok(Decision::nothing());
        }
        let defined = RoleDefined {
            role: self.role,
            title: self.title,
        };
        Ok(Decision::of(ctx, account, vec![defined.into()]))
    }
}

/// Removes a role that nobody holds (R70).
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveRole {
    /// The role.
    pub role: RoleName,
}

impl Decide for RemoveRole {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        if !account.roles.contains_key(&self.role) {
            return Err(AccountError::RoleNotFound(self.role));
        }
        let unused = Requires::Free(Claim::RoleHolder(self.role.clone()));
        let removed = RoleRemoved { role: self.role };
        Ok(Decision::of(ctx, account, vec![removed.into()]).requiring([unused]))
    }
}

/// What becomes of grants of STANDARD users on a module that becomes administrator-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldGrants {
    /// Where there is one, the module stays as it is.
    Refuse,
    /// They are dropped in the same commit: these are all who have one.
    Drop(BTreeSet<UserId>),
}

/// Defines a module, or defines one otherwise. STANDARD users never have grants on one that is administrator-only (R11).
#[derive(Clone, Debug, PartialEq)]
pub struct DefineModule {
    /// The module.
    pub module: ModuleName,
    /// What it is called.
    pub title: ModuleTitle,
    /// Whether STANDARD users never have it.
    pub administrator_only: bool,
    /// What becomes of grants of STANDARD users where it becomes administrator-only.
    pub held: HeldGrants,
}

impl DefineModule {
    /// Whether STANDARD users may have it now and not any more.
    #[must_use]
    pub fn narrows(&self, account: &Account) -> bool {
        self.administrator_only && !account.is_administrator_only(&self.module)
    }

    /// What must be true of its holders at the commit.
    fn requires(&self) -> Requires {
        let claim = Claim::StandardModuleHolder(self.module.clone());
        match &self.held {
            HeldGrants::Refuse => Requires::Free(claim),
            HeldGrants::Drop(users) => Requires::Exactly {
                claim,
                owners: users.iter().map(ToString::to_string).collect(),
            },
        }
    }
}

impl Decide for DefineModule {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        let holders = self.narrows(account).then(|| self.requires());
        let module = self.module;
        let definition = Module {
            title: self.title,
            administrator_only: self.administrator_only,
        };
        if account.modules.get(&module) == Some(&definition) {
            return Ok(Decision::nothing());
        }
        let defined = definition.defined_as(module);
        Ok(Decision::of(ctx, account, vec![defined.into()]).requiring(holders))
    }
}

/// Removes a module that nobody has a grant on (R70).
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveModule {
    /// The module.
    pub module: ModuleName,
}

impl Decide for RemoveModule {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        if !account.modules.contains_key(&self.module) {
            return Err(AccountError::ModuleNotFound(self.module));
        }
        let unused = Requires::Free(Claim::ModuleHolder(self.module.clone()));
        let removed = ModuleRemoved {
            module: self.module,
        };
        Ok(Decision::of(ctx, account, vec![removed.into()]).requiring([unused]))
    }
}

#[cfg(test)]
mod tests;
