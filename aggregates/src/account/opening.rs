//! Opening an account.

use serde::{Deserialize, Serialize};

use super::{
    Account, AccountError, AccountEvent, CompanyAdded, Module, Opened, RoleDefined, Settings,
};
use crate::domain::{Apply, Context, Decide, Decision, Timestamp};
use crate::values::{
    AccountId, AccountTitle, CompanyId, CompanyTitle, ModuleName, ModuleTitle, RoleName, RoleTitle,
};

/// An account was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountCreated {
    /// The account.
    pub account_id: AccountId,
    /// What it is called.
    pub title: AccountTitle,
    /// Its first settings.
    pub settings: Settings,
}

impl Apply<Account> for AccountCreated {
    fn apply(self, at: Timestamp, account: &mut Account) {
        account.opened = Some(Opened {
            id: self.account_id,
            title: self.title,
            at,
            modified_at: at,
        });
        account.settings = self.settings;
    }
}

/// Opens an account. Its first administrator is created by a `CreateUser` in the same commit (R12).
#[derive(Clone, Debug, PartialEq)]
pub struct CreateAccount {
    /// The account.
    pub account_id: AccountId,
    /// What it is called.
    pub title: AccountTitle,
    /// Its first settings.
    pub settings: Settings,
    /// Its first companies.
    pub companies: Vec<(CompanyId, CompanyTitle)>,
    /// The roles of its catalogue.
    pub roles: Vec<(RoleName, RoleTitle)>,
    /// Modules beside those every account starts with; one of the same name replaces it.
    pub modules: Vec<(ModuleName, Module)>,
}

impl CreateAccount {
    /// The modules every account starts with, as far as the command does not say otherwise, then those it names.
    fn all_modules(&self) -> Vec<(ModuleName, Module)> {
        let mut modules: Vec<(ModuleName, Module)> = default_modules()
            .into_iter()
            .filter(|(name, _)| self.modules.iter().all(|(given, _)| given != name))
            .collect();
        modules.extend(self.modules.iter().cloned());
        modules
    }

    fn must_name_each_once(&self) -> Result<(), AccountError> {
        let titles = self.companies.iter().map(|(_, title)| title.folded());
        let ids = self.companies.iter().map(|(id, _)| id);
        if has_twice(titles) || has_twice(ids) {
            return Err(AccountError::NamedTwice { field: "companies" });
        }
        if has_twice(self.roles.iter().map(|(name, _)| name)) {
            return Err(AccountError::NamedTwice { field: "roles" });
        }
        if has_twice(self.modules.iter().map(|(name, _)| name)) {
            return Err(AccountError::NamedTwice { field: "modules" });
        }
        Ok(())
    }
}

impl Decide for CreateAccount {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        if account.opened.is_some() {
            return Err(AccountError::Exists);
        }
        self.must_name_each_once()?;
        let modules = self.all_modules();
        let mut events: Vec<AccountEvent> = vec![
            AccountCreated {
                account_id: self.account_id,
                title: self.title,
                settings: self.settings,
            }
            .into(),
        ];
        events.extend(
            self.companies
                .into_iter()
                .map(|(company_id, title)| CompanyAdded { company_id, title }.into()),
        );
        events.extend(
            self.roles
                .into_iter()
                .map(|(role, title)| RoleDefined { role, title }.into()),
        );
        events.extend(
            modules
                .into_iter()
                .map(|(name, module)| module.defined_as(name).into()),
        );
        Ok(Decision::of(ctx, account, events))
    }
}

fn default_modules() -> Vec<(ModuleName, Module)> {
    ModuleName::administrator_only_by_default()
        .into_iter()
        .map(|name| {
            let title = ModuleTitle::from_name(&name);
            let module = Module {
                title,
                administrator_only: true,
            };
            (name, module)
        })
        .collect()
}

fn has_twice<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().any(|item| !seen.insert(item))
}

#[cfg(test)]
mod tests;
