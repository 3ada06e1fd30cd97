//! The account's catalogue.

use super::*;
use crate::account::{AccountEvent, Settings};
use crate::domain::{Reason, Refusal};
use crate::samples::{ANNA, account_events, admin, module, role};

fn existing() -> Vec<AccountEvent> {
    account_events(Settings::default())
}

fn define_role(name: &str, title: &str) -> DefineRole {
    DefineRole {
        role: role(name),
        title: RoleTitle::parse(title).unwrap(),
    }
}

fn define_module(name: &str, title: &str, administrator_only: bool) -> DefineModule {
    DefineModule {
        module: module(name),
        title: ModuleTitle::parse(title).unwrap(),
        administrator_only,
        held: HeldGrants::Refuse,
    }
}

fn module_defined(name: &str, title: &str, administrator_only: bool) -> AccountEvent {
    let title = ModuleTitle::parse(title).unwrap();
    let definition = Module {
        title,
        administrator_only,
    };
    definition.defined_as(module(name)).into()
}

#[test]
fn r10_a_role_is_defined_once_and_its_title_may_change() {
    let defined = |title: &str| RoleDefined {
        role: role("approver"),
        title: RoleTitle::parse(title).unwrap(),
    };
    Account::given(&existing())
        .when(admin(), define_role("approver", "approver"))
        .then_nothing();
    Account::given(&existing())
        .when(admin(), define_role("approver", "Approver"))
        .then(&[defined("Approver").into()]);
}

#[test]
fn r70_a_role_somebody_holds_is_not_removed() {
    let remove = || RemoveRole {
        role: role("approver"),
    };
    let error = Account::given(&existing())
        .held(Claim::RoleHolder(role("approver")), &ANNA)
        .when(admin(), remove())
        .refused_for(Reason::RoleInUse);
    assert_eq!(error.to_string(), "role approver is held by 1 user");
    let removed = RoleRemoved {
        role: role("approver"),
    };
    let account = Account::given(&existing())
        .when(admin(), remove())
        .then(&[removed.into()])
        .state();
    assert!(!account.roles().contains_key(&role("approver")));
    Account::given(&existing())
        .when(admin(), RemoveRole { role: role("king") })
        .refused(AccountError::RoleNotFound(role("king")));
}

#[test]
fn r11_a_module_does_not_become_administrator_only_while_standard_users_have_it() {
    let narrow = || define_module("invoices", "invoices", true);
    let error = Account::given(&existing())
        .held(Claim::StandardModuleHolder(module("invoices")), &ANNA)
        .when(admin(), narrow())
        .refused_for(Reason::ModuleHeldByStandardUsers);
    assert_eq!(error.violations()[1].subject, ANNA.to_string());
    Account::given(&existing())
        .when(admin(), narrow())
        .then(&[module_defined("invoices", "invoices", true)]);
}

#[test]
fn r11_a_module_becomes_administrator_only_with_exactly_those_whose_grants_are_dropped() {
    let drop = |users: &[UserId]| DefineModule {
        held: HeldGrants::Drop(users.iter().copied().collect()),
        ..define_module("invoices", "invoices", true)
    };
    let exactly = |users: &[UserId]| Requires::Exactly {
        claim: Claim::StandardModuleHolder(module("invoices")),
        owners: users.iter().map(ToString::to_string).collect(),
    };
    Account::given(&existing())
        .held(Claim::StandardModuleHolder(module("invoices")), &ANNA)
        .when(admin(), drop(&[ANNA]))
        .then(&[module_defined("invoices", "invoices", true)])
        .requires(&exactly(&[ANNA]));
    Account::given(&existing())
        .when(admin(), drop(&[]))
        .then(&[module_defined("invoices", "invoices", true)])
        .requires(&exactly(&[]));
}

#[test]
fn a_module_is_defined_once_and_may_be_defined_otherwise() {
    Account::given(&existing())
        .when(admin(), define_module("pricing", "pricing", true))
        .then_nothing();
    Account::given(&existing())
        .held(Claim::StandardModuleHolder(module("pricing")), &ANNA)
        .when(admin(), define_module("pricing", "Prices", true))
        .then(&[module_defined("pricing", "Prices", true)]);
    Account::given(&existing())
        .when(admin(), define_module("pricing", "pricing", false))
        .then(&[module_defined("pricing", "pricing", false)]);
}

#[test]
fn r70_a_module_somebody_has_a_grant_on_is_not_removed() {
    let remove = || RemoveModule {
        module: module("pricing"),
    };
    Account::given(&existing())
        .held(Claim::ModuleHolder(module("pricing")), &ANNA)
        .when(admin(), remove())
        .refused_for(Reason::ModuleInUse);
    let removed = ModuleRemoved {
        module: module("pricing"),
    };
    let account = Account::given(&existing())
        .when(admin(), remove())
        .then(&[removed.into()])
        .state();
    assert!(!account.modules().contains_key(&module("pricing")));
    Account::given(&existing())
        .when(
            admin(),
            RemoveModule {
                module: module("cooking"),
            },
        )
        .refused(AccountError::ModuleNotFound(module("cooking")));
}
