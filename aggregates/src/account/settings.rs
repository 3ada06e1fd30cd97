//! Opening an account, and its settings.

use serde::{Deserialize, Serialize};

use super::{Account, AccountError, AccountEvent, CompanyAdded, Module, Opened, RoleDefined};
use crate::domain::{Apply, Claim, Context, Decide, Decision, Requires, Timestamp};
use crate::values::{
    AccountId, AccountTitle, CompanyId, CompanyTitle, Login, ModuleName, ModuleTitle,
    PasswordAuthority, RoleName, RoleTitle, ValidityDays,
};

/// What an account decides for all of its users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What users sign in with.
    pub login: Login,
    /// Who checks passwords.
    pub password_authority: PasswordAuthority,
    /// How long an invitation's link is good for.
    pub invitation_validity_days: ValidityDays,
    /// How long a welcome link is good for.
    pub welcome_validity_days: ValidityDays,
}

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

/// The account is called something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountTitleChanged {
    /// What it is called now.
    pub title: AccountTitle,
}

/// Users sign in with something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginChanged {
    /// What they sign in with now.
    pub login: Login,
}

/// Passwords are checked by somebody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordAuthorityChanged {
    /// Who checks them now.
    pub password_authority: PasswordAuthority,
}

/// Links of invitations sent from now on are good for another time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationValidityChanged {
    /// How long.
    pub days: ValidityDays,
}

/// Welcome links sent from now on are good for another time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WelcomeValidityChanged {
    /// How long.
    pub days: ValidityDays,
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

impl Apply<Account> for AccountTitleChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        if let Some(opened) = &mut account.opened {
            opened.title = self.title;
        }
    }
}

impl Apply<Account> for LoginChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.login = self.login;
    }
}

impl Apply<Account> for PasswordAuthorityChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.password_authority = self.password_authority;
    }
}

impl Apply<Account> for InvitationValidityChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.invitation_validity_days = self.days;
    }
}

impl Apply<Account> for WelcomeValidityChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.welcome_validity_days = self.days;
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

/// Changes settings; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateAccountSettings {
    /// What the account is called.
    pub title: Option<AccountTitle>,
    /// What users sign in with. Refused for e-mail while users share an address (R5).
    pub login: Option<Login>,
    /// Who checks passwords.
    pub password_authority: Option<PasswordAuthority>,
    /// How long invitations sent from now on are good for.
    pub invitation_validity_days: Option<ValidityDays>,
    /// How long welcome links sent from now on are good for.
    pub welcome_validity_days: Option<ValidityDays>,
}

impl Decide for UpdateAccountSettings {
    type Aggregate = Account;

    fn decide(
        self,
        ctx: &Context<'_>,
        account: &Account,
    ) -> Result<Decision<Account>, AccountError> {
        account.must_exist()?;
        let now = &account.settings;
        let mut events: Vec<AccountEvent> = Vec::new();
        let title = self.title.filter(|title| Some(title) != account.title());
        events.extend(title.map(|title| AccountTitleChanged { title }.into()));
        let login = self.login.filter(|login| *login != now.login);
        events.extend(login.map(|login| LoginChanged { login }.into()));
        let authority = self.password_authority;
        events.extend(
            authority
                .filter(|authority| *authority != now.password_authority)
                .map(|password_authority| PasswordAuthorityChanged { password_authority }.into()),
        );
        let invitation = self.invitation_validity_days;
        events.extend(
            invitation
                .filter(|days| *days != now.invitation_validity_days)
                .map(|days| InvitationValidityChanged { days }.into()),
        );
        let welcome = self.welcome_validity_days;
        events.extend(
            welcome
                .filter(|days| *days != now.welcome_validity_days)
                .map(|days| WelcomeValidityChanged { days }.into()),
        );
        let unshared =
            (login == Some(Login::Email)).then_some(Requires::Unshared { kind: Claim::EMAIL });
        Ok(Decision::of(ctx, account, events).requiring(unshared))
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
