//! The settings of an account.

use serde::{Deserialize, Serialize};

use super::{Account, AccountError, AccountEvent};
use crate::domain::{Apply, Claim, Context, Decide, Decision, Requires, Timestamp};
use crate::values::{
    AccountTitle, LockDuration, Login, MaxFailedSignIns, PasswordAuthority, PasswordChange,
    PasswordMaxAge, ValidityDays,
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
    /// How many wrong passwords in a row the system lets pass before it locks the user (R14).
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_failed_sign_ins: MaxFailedSignIns,
    /// How long such a lock lasts; without it, until somebody unlocks the user (R14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_duration: Option<LockDuration>,
    /// How old a password may become before it must be changed (R21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_max_age: Option<PasswordMaxAge>,
    /// How a password may be changed (R19).
    #[serde(default, skip_serializing_if = "is_default")]
    pub password_change: PasswordChange,
    /// Whether invoices are registered on arrival, so that nobody is asked for as their addressee (R36).
    #[serde(default, skip_serializing_if = "is_default")]
    pub arrival_registration: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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

/// The system locks users after another number of wrong passwords in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxFailedSignInsChanged {
    /// How many it lets pass now.
    pub count: MaxFailedSignIns,
}

/// Locks by the system last for another time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockDurationChanged {
    /// How many seconds; without it, until somebody unlocks the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<LockDuration>,
}

/// Passwords must be changed at another age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordMaxAgeChanged {
    /// At how many days; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<PasswordMaxAge>,
}

/// Passwords may be changed in other ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordChangeRestricted {
    /// In which.
    pub password_change: PasswordChange,
}

/// Invoices are registered on arrival, or no longer are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrivalRegistrationSwitched {
    /// Whether they are now.
    pub on: bool,
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

impl Apply<Account> for MaxFailedSignInsChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.max_failed_sign_ins = self.count;
    }
}

impl Apply<Account> for LockDurationChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.lock_duration = self.seconds;
    }
}

impl Apply<Account> for PasswordMaxAgeChanged {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.password_max_age = self.days;
    }
}

impl Apply<Account> for PasswordChangeRestricted {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.password_change = self.password_change;
    }
}

impl Apply<Account> for ArrivalRegistrationSwitched {
    fn apply(self, _at: Timestamp, account: &mut Account) {
        account.settings.arrival_registration = self.on;
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
    /// How many wrong passwords in a row the system lets pass.
    pub max_failed_sign_ins: Option<MaxFailedSignIns>,
    /// How long its locks last, or until somebody unlocks the user.
    pub lock_duration: Option<Option<LockDuration>>,
    /// How old a password may become, or as old as it likes.
    pub password_max_age: Option<Option<PasswordMaxAge>>,
    /// How a password may be changed.
    pub password_change: Option<PasswordChange>,
    /// Whether invoices are registered on arrival.
    pub arrival_registration: Option<bool>,
}

impl UpdateAccountSettings {
    /// How users sign in and are let in, where it becomes otherwise.
    fn sign_in_events(&self, now: &Settings) -> Vec<AccountEvent> {
        let mut events: Vec<AccountEvent> = Vec::new();
        let login = changed(self.login, now.login);
        events.extend(login.map(|login| LoginChanged { login }.into()));
        let authority = changed(self.password_authority, now.password_authority);
        events.extend(
            authority
                .map(|password_authority| PasswordAuthorityChanged { password_authority }.into()),
        );
        let invitation = changed(self.invitation_validity_days, now.invitation_validity_days);
        events.extend(invitation.map(|days| InvitationValidityChanged { days }.into()));
        let welcome = changed(self.welcome_validity_days, now.welcome_validity_days);
        events.extend(welcome.map(|days| WelcomeValidityChanged { days }.into()));
        events
    }

    /// Limits of passwords and what is done with invoices, where it becomes otherwise.
    fn limit_events(&self, now: &Settings) -> Vec<AccountEvent> {
        let mut events: Vec<AccountEvent> = Vec::new();
        let count = changed(self.max_failed_sign_ins, now.max_failed_sign_ins);
        events.extend(count.map(|count| MaxFailedSignInsChanged { count }.into()));
        let seconds = changed(self.lock_duration, now.lock_duration);
        events.extend(seconds.map(|seconds| LockDurationChanged { seconds }.into()));
        let days = changed(self.password_max_age, now.password_max_age);
        events.extend(days.map(|days| PasswordMaxAgeChanged { days }.into()));
        let change = changed(self.password_change, now.password_change);
        events.extend(
            change.map(|password_change| PasswordChangeRestricted { password_change }.into()),
        );
        let on = changed(self.arrival_registration, now.arrival_registration);
        events.extend(on.map(|on| ArrivalRegistrationSwitched { on }.into()));
        events
    }
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
        let mut events = self.sign_in_events(now);
        events.extend(self.limit_events(now));
        let unshared = (changed(self.login, now.login) == Some(Login::Email))
            .then_some(Requires::Unshared { kind: Claim::EMAIL });
        let title = self.title.filter(|title| Some(title) != account.title());
        let title = title.map(|title| AccountTitleChanged { title }.into());
        let events = title.into_iter().chain(events).collect();
        Ok(Decision::of(ctx, account, events).requiring(unshared))
    }
}

fn changed<T: Copy + PartialEq>(new: Option<T>, now: T) -> Option<T> {
    new.filter(|new| *new != now)
}

#[cfg(test)]
mod tests;
