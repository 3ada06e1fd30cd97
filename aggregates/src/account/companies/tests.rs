//! The companies of an account.

use super::*;
use crate::account::{AccountEvent, Settings};
use crate::domain::{Reason, Refusal};
use crate::samples::{ANNA, BERT, NORTH, NOWHERE, SOUTH, account_events, admin};

fn existing() -> Vec<AccountEvent> {
    account_events(Settings::default())
}

fn title(text: &str) -> CompanyTitle {
    CompanyTitle::parse(text).unwrap()
}

fn add(company_id: CompanyId, text: &str) -> AddCompany {
    AddCompany {
        company_id,
        title: title(text),
    }
}

fn rename(company_id: CompanyId, text: &str) -> RenameCompany {
    RenameCompany {
        company_id,
        title: title(text),
    }
}

#[test]
fn a_company_is_added_once() {
    let added = CompanyAdded {
        company_id: NOWHERE,
        title: title("East"),
    };
    Account::given(&existing())
        .when(admin(), add(NOWHERE, "East"))
        .then(&[added.into()]);
    Account::given(&existing())
        .when(admin(), add(NORTH, "North"))
        .then_nothing();
    Account::given(&existing())
        .when(admin(), add(NORTH, "East"))
        .refused(AccountError::CompanyExists(NORTH));
}

#[test]
fn a_company_title_is_unique_in_the_account_whatever_its_case() {
    Account::given(&existing())
        .when(admin(), add(NOWHERE, "NORTH"))
        .refused(AccountError::CompanyTitleTaken);
    Account::given(&existing())
        .when(admin(), rename(NORTH, "south"))
        .refused(AccountError::CompanyTitleTaken);
}

#[test]
fn a_company_is_renamed() {
    let renamed = CompanyRenamed {
        company_id: NORTH,
        title: title("NORTH"),
    };
    let account = Account::given(&existing())
        .when(admin(), rename(NORTH, "NORTH"))
        .then(&[renamed.into()])
        .state();
    assert_eq!(account.companies()[&NORTH], title("NORTH"));
    Account::given(&existing())
        .when(admin(), rename(NORTH, "North"))
        .then_nothing();
    Account::given(&existing())
        .when(admin(), rename(NOWHERE, "East"))
        .refused(AccountError::CompanyNotFound(NOWHERE));
}

#[test]
fn r70_a_company_in_use_is_not_removed_and_the_first_user_is_named() {
    let remove = RemoveCompany { company_id: NORTH };
    let error = Account::given(&existing())
        .held(Claim::CompanyMember(NORTH), &BERT)
        .held(Claim::CompanyMember(NORTH), &ANNA)
        .when(admin(), remove)
        .refused_for(Reason::CompanyInUse);
    assert_eq!(
        error.to_string(),
        format!("company {NORTH} is in use by 2 users")
    );
    let first = error.metadata();
    assert_eq!(
        first,
        [
            ("users", "2".to_owned()),
            ("first_user_id", ANNA.to_string())
        ]
    );
}

#[test]
fn r70_a_company_nobody_uses_is_removed() {
    let removed = CompanyRemoved { company_id: NORTH };
    let account = Account::given(&existing())
        .held(Claim::CompanyMember(SOUTH), &BERT)
        .when(admin(), RemoveCompany { company_id: NORTH })
        .then(&[removed.into()])
        .state();
    assert!(!account.companies().contains_key(&NORTH));
    Account::given(&existing())
        .when(
            admin(),
            RemoveCompany {
                company_id: NOWHERE,
            },
        )
        .refused(AccountError::CompanyNotFound(NOWHERE));
}
