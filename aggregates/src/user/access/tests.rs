//! Whether a user may use a module.

use chrono::Duration;

use super::*;
use crate::given::replayed;
use crate::samples::{
    ANNA, NORTH, NOWHERE, SOUTH, account, created, created_administrator, dawn, grant, grant_in,
    linked, module, user_created,
};
use crate::user::{
    PasswordState, UserDeactivated, UserDeleted, UserEvent, UserLocked, UserPermissionsSet,
};

fn asked(events: &[UserEvent], module_name: &str, company: Option<CompanyId>) -> Vec<AccessDenial> {
    let user: User = replayed(events);
    let access = check_access(
        &account(),
        &user,
        &module(module_name),
        company,
        None,
        dawn(),
    )
    .unwrap();
    assert_eq!(access.allowed, access.why.is_empty());
    access.why
}

fn granted(
    permissions: impl Into<std::collections::BTreeSet<crate::values::Permission>>,
) -> UserEvent {
    UserPermissionsSet {
        permissions: permissions.into(),
    }
    .into()
}

#[test]
fn r71_a_grant_for_the_account_covers_each_company() {
    let events = [created(), linked(NORTH, ANNA), granted([grant("invoices")])];
    assert_eq!(asked(&events, "invoices", None), []);
    assert_eq!(asked(&events, "invoices", Some(NORTH)), []);
    assert_eq!(
        asked(&events, "invoices", Some(SOUTH)),
        [AccessDenial::CompanyNotLinked]
    );
}

#[test]
fn r71_a_grant_for_a_company_covers_nothing_else() {
    let events = [
        created(),
        linked(NORTH, ANNA),
        linked(SOUTH, ANNA),
        granted([grant_in("invoices", NORTH)]),
    ];
    assert_eq!(asked(&events, "invoices", Some(NORTH)), []);
    assert_eq!(
        asked(&events, "invoices", Some(SOUTH)),
        [AccessDenial::NoGrant]
    );
    assert_eq!(asked(&events, "invoices", None), [AccessDenial::NoGrant]);
}

#[test]
fn r11_an_administrator_has_every_module() {
    for name in ["invoices", "payment", "pricing", "user-management"] {
        assert_eq!(asked(&[created_administrator()], name, None), []);
        assert_eq!(asked(&[created_administrator()], name, Some(SOUTH)), []);
    }
}

#[test]
fn r11_a_standard_user_never_has_an_administrators_module() {
    let events = [created(), granted([grant("pricing")])];
    assert_eq!(asked(&events, "pricing", None), [AccessDenial::NoGrant]);
}

#[test]
fn r71_every_reason_against_is_told() {
    let mut created = user_created(ANNA, "anna");
    created.password = PasswordState::OneTime;
    created.onboarded = false;
    let events = [
        created.into(),
        UserLocked {}.into(),
        UserDeactivated {}.into(),
    ];
    assert_eq!(
        asked(&events, "invoices", Some(NORTH)),
        [
            AccessDenial::Inactive,
            AccessDenial::Locked,
            AccessDenial::PasswordChangeRequired,
            AccessDenial::NotOnboarded,
            AccessDenial::CompanyNotLinked,
            AccessDenial::NoGrant,
        ]
    );
}

#[test]
fn r71_what_the_account_does_not_have_nobody_has() {
    let events = [created_administrator()];
    assert_eq!(
        asked(&events, "cooking", None),
        [AccessDenial::ModuleUnknown]
    );
    assert_eq!(
        asked(&events, "invoices", Some(NOWHERE)),
        [AccessDenial::CompanyNotLinked]
    );
}

#[test]
fn r71_a_session_that_began_before_sessions_ended_is_over() {
    let user: User = replayed(&[created_administrator()]);
    let began = |seconds| Some(dawn() + Duration::seconds(seconds));
    let asked = |session| {
        check_access(
            &account(),
            &user,
            &module("invoices"),
            None,
            session,
            dawn(),
        )
    };
    assert_eq!(asked(began(-1)).unwrap().why, [AccessDenial::SessionsEnded]);
    assert!(asked(began(0)).unwrap().allowed);
}

#[test]
fn r71_of_a_user_who_is_not_there() {
    assert_eq!(
        asked(&[created(), UserDeleted {}.into()], "invoices", None),
        [AccessDenial::Deleted]
    );
    let nobody = check_access(
        &account(),
        &User::default(),
        &module("invoices"),
        None,
        None,
        dawn(),
    );
    assert_eq!(nobody, Err(UserError::NotFound));
    let user: User = replayed(&[created()]);
    let elsewhere = check_access(
        &Account::default(),
        &user,
        &module("invoices"),
        None,
        None,
        dawn(),
    );
    assert_eq!(elsewhere, Err(UserError::NotFound));
}
