//! Opening an account, and its settings.

use super::*;
use crate::domain::{Reason, Refusal};
use crate::samples::{
    ANNA, BERT, NORTH, SOUTH, account_events, account_id, admin, days, email, module, role, service,
};

fn title(text: &str) -> AccountTitle {
    AccountTitle::parse(text).unwrap()
}

fn company(text: &str) -> CompanyTitle {
    CompanyTitle::parse(text).unwrap()
}

fn open() -> CreateAccount {
    CreateAccount {
        account_id: account_id(),
        title: title("Acme"),
        settings: Settings::default(),
        companies: vec![(NORTH, company("North")), (SOUTH, company("South"))],
        roles: vec![
            (role("approver"), RoleTitle::parse("approver").unwrap()),
            (role("reviewer"), RoleTitle::parse("reviewer").unwrap()),
        ],
        modules: vec![(
            module("invoices"),
            Module {
                title: ModuleTitle::parse("invoices").unwrap(),
                administrator_only: false,
            },
        )],
    }
}

fn existing() -> Vec<AccountEvent> {
    account_events(Settings::default())
}

#[test]
fn r11_an_account_opens_with_the_administrator_only_modules() {
    Account::given(&[])
        .when(service(), open())
        .then(&existing());
}

#[test]
fn a_default_module_may_be_defined_otherwise() {
    let mut command = open();
    command.modules.push((
        module("pricing"),
        Module {
            title: ModuleTitle::parse("Prices").unwrap(),
            administrator_only: false,
        },
    ));
    let account = Account::given(&[]).when(service(), command).state();
    assert!(!account.is_administrator_only(&module("pricing")));
    assert!(account.is_administrator_only(&module("payment")));
    assert_eq!(account.modules().len(), 4);
}

#[test]
fn an_account_is_opened_once() {
    Account::given(&existing())
        .when(service(), open())
        .refused(AccountError::Exists);
}

#[test]
fn nothing_is_named_twice() {
    let mut same_company = open();
    same_company.companies.push((NORTH, company("East")));
    let mut same_title = open();
    same_title.companies[1].1 = company("NORTH");
    let mut same_role = open();
    same_role.roles.push(same_role.roles[0].clone());
    let mut same_module = open();
    same_module.modules.push(same_module.modules[0].clone());
    for (command, field) in [
        (same_company, "companies"),
        (same_title, "companies"),
        (same_role, "roles"),
        (same_module, "modules"),
    ] {
        let error = Account::given(&[])
            .when(service(), command)
            .refused_for(Reason::Malformed);
        assert_eq!(error.field(), Some(field));
    }
}

#[test]
fn only_what_is_given_and_new_changes() {
    let all = UpdateAccountSettings {
        title: Some(title("Acme AB")),
        login: Some(Login::Signature),
        password_authority: Some(PasswordAuthority::External),
        invitation_validity_days: Some(days(30)),
        welcome_validity_days: Some(days(1)),
    };
    let account = Account::given(&existing())
        .when(admin(), all.clone())
        .then(&[
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
        ])
        .state();
    assert_eq!(account.title(), Some(&title("Acme AB")));
    assert!(account.modified_at() > account.created_at());
    Account::given(&existing())
        .inside(account.clone())
        .when(admin(), UpdateAccountSettings::default())
        .then_nothing();
    let mut same = existing();
    same.extend([
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
        AccountTitleChanged {
            title: title("Acme AB"),
        }
        .into(),
    ]);
    Account::given(&same).when(admin(), all).then_nothing();
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
