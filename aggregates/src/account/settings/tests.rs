//! The settings of an account.

use super::*;
use crate::domain::{Reason, Refusal};
use crate::samples::{ANNA, BERT, account_events, admin, days, email, service};

fn title(text: &str) -> AccountTitle {
    AccountTitle::parse(text).unwrap()
}

fn existing() -> Vec<AccountEvent> {
    account_events(Settings::default())
}

/// Every setting, each other than its default.
fn all() -> UpdateAccountSettings {
    UpdateAccountSettings {
        title: Some(title("Acme AB")),
        login: Some(Login::Signature),
        password_authority: Some(PasswordAuthority::External),
        invitation_validity_days: Some(days(30)),
        welcome_validity_days: Some(days(1)),
        max_failed_sign_ins: Some(MaxFailedSignIns::parse(3).unwrap()),
        lock_duration: Some(Some(LockDuration::parse(900).unwrap())),
        password_max_age: Some(Some(PasswordMaxAge::parse(90).unwrap())),
        password_change: Some(PasswordChange::ByLinkOnly),
        arrival_registration: Some(true),
    }
}

/// What they become through `all`.
fn all_changed() -> Vec<AccountEvent> {
    vec![
        AccountTitleChanged {
            title: title("Acme AB"),
        }
        .into(),
        LoginChanged {
            login: Login::Signature,
        }
        .into(),
        PasswordAuthorityChanged {
            password_authority: PasswordAuthority::External,
        }
        .into(),
        InvitationValidityChanged { days: days(30) }.into(),
        WelcomeValidityChanged { days: days(1) }.into(),
        MaxFailedSignInsChanged {
            count: MaxFailedSignIns::parse(3).unwrap(),
        }
        .into(),
        LockDurationChanged {
            seconds: Some(LockDuration::parse(900).unwrap()),
        }
        .into(),
        PasswordMaxAgeChanged {
            days: Some(PasswordMaxAge::parse(90).unwrap()),
        }
        .into(),
        PasswordChangeRestricted {
            password_change: PasswordChange::ByLinkOnly,
        }
        .into(),
        ArrivalRegistrationSwitched { on: true }.into(),
    ]
}

#[test]
fn only_what_is_given_and_new_changes() {
    let account = Account::given(&existing())
        .when(admin(), all())
        .then(&all_changed())
        .state();
    assert_eq!(account.title(), Some(&title("Acme AB")));
    assert!(account.modified_at() > account.created_at());
    Account::given(&existing())
        .inside(account.clone())
        .when(admin(), UpdateAccountSettings::default())
        .then_nothing();
    let mut same = existing();
    same.extend(all_changed());
    Account::given(&same).when(admin(), all()).then_nothing();
}

#[test]
fn a_limit_is_lifted_by_giving_none() {
    let mut limited = existing();
    limited.extend(all_changed());
    let lift = UpdateAccountSettings {
        lock_duration: Some(None),
        password_max_age: Some(None),
        ..UpdateAccountSettings::default()
    };
    let account = Account::given(&limited)
        .when(admin(), lift)
        .then(&[
            LockDurationChanged { seconds: None }.into(),
            PasswordMaxAgeChanged { days: None }.into(),
        ])
        .state();
    assert_eq!(account.settings().lock_duration, None);
    assert_eq!(account.settings().password_max_age, None);
    assert!(account.settings().arrival_registration);
}

#[test]
fn r5_email_does_not_become_the_login_while_users_share_an_address_and_they_are_named() {
    let mut by_signature = existing();
    by_signature.push(
        LoginChanged {
            login: Login::Signature,
        }
        .into(),
    );
    let command = UpdateAccountSettings {
        login: Some(Login::Email),
        ..UpdateAccountSettings::default()
    };
    let shared = Claim::Email(email("team@acme.example").folded());
    let error = Account::given(&by_signature)
        .held(shared.clone(), &ANNA)
        .held(shared.clone(), &BERT)
        .when(admin(), command.clone())
        .refused_for(Reason::EmailShared);
    let named: Vec<String> = error.violations().into_iter().map(|v| v.subject).collect();
    assert_eq!(named, ["2".to_owned(), ANNA.to_string(), BERT.to_string()]);
    assert!(!error.to_string().contains("team"));
    Account::given(&by_signature)
        .held(shared, &ANNA)
        .held(Claim::Email(email("bert@acme.example").folded()), &BERT)
        .when(admin(), command)
        .then(&[LoginChanged {
            login: Login::Email,
        }
        .into()]);
}

#[test]
fn r25_an_administrators_command_requires_that_it_still_is_one() {
    let command = UpdateAccountSettings {
        title: Some(title("Acme AB")),
        ..UpdateAccountSettings::default()
    };
    Account::given(&existing())
        .without_administrators()
        .when(admin(), command)
        .refused(AccountError::NotAdministrator);
}

#[test]
fn what_does_not_exist_cannot_change() {
    Account::given(&[])
        .when(service(), UpdateAccountSettings::default())
        .refused(AccountError::NotFound);
}
