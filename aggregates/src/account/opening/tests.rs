//! Opening an account.

use super::*;
use crate::domain::{Reason, Refusal};
use crate::samples::{NORTH, SOUTH, account_events, account_id, module, role, service};

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
