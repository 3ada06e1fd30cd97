//! Whether a user may use a module.

use chrono::Duration;

use super::*;
use crate::access::{AccessEvent, AccessRevoked, ExternalUserDeleted};
use crate::given::replayed;
use crate::samples::{
    self, ANNA, NORTH, NOWHERE, SOUTH, account, created, created_administrator, created_at_home,
    dawn, grant, grant_in, linked, module, user_created,
};
use crate::user::{
    PasswordState, UserDeactivated, UserDeleted, UserEvent, UserLocked, UserPermissionsSet,
    UserTypeChanged, UserUnlocked,
};

fn answered(
    user: &User,
    access: Option<&Access>,
    name: &str,
    company: Option<CompanyId>,
    session_began: Option<Timestamp>,
) -> Result<AccessAnswer, UserError> {
    let wanted = Use {
        module: &module(name),
        company,
        session_began,
        now: dawn(),
    };
    let home = account();
    let external = access.map(|access| External {
        home: &home,
        access,
    });
    check_access(&account(), user, external, &wanted)
}

fn asked(events: &[UserEvent], module_name: &str, company: Option<CompanyId>) -> Vec<AccessDenial> {
    let user: User = replayed(events);
    let access = answered(&user, None, module_name, company, None).unwrap();
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
    let asked = |session| answered(&user, None, "invoices", None, session);
    assert_eq!(asked(began(-1)).unwrap().why, [AccessDenial::SessionsEnded]);
    assert!(asked(began(0)).unwrap().allowed);
}

#[test]
fn r71_of_a_user_who_is_not_there() {
    assert_eq!(
        asked(&[created(), UserDeleted {}.into()], "invoices", None),
        [AccessDenial::Deleted]
    );
    let nobody = answered(&User::default(), None, "invoices", None, None);
    assert_eq!(nobody, Err(UserError::NotFound));
    let elsewhere: User = replayed(&[created_at_home(ANNA, "anna")]);
    let elsewhere = answered(&elsewhere, None, "invoices", None, None);
    assert_eq!(elsewhere, Err(UserError::NotFound));
}

/// What is answered of Anna, to whom these things happened at home and here.
fn external(
    home: &[UserEvent],
    here: &[AccessEvent],
    name: &str,
    company: Option<CompanyId>,
) -> Vec<AccessDenial> {
    let user: User = replayed(&[&[created_at_home(ANNA, "anna")], home].concat());
    let access: Access = replayed(here);
    answered(&user, Some(&access), name, company, None)
        .unwrap()
        .why
}

#[test]
fn r71_an_external_user_is_judged_by_its_access_alone() {
    // What it may do at home counts for nothing here.
    let home = [
        linked(NORTH, ANNA),
        granted([grant("payment"), grant("invoices")]),
        UserTypeChanged {
            user_type: UserType::Administrator,
        }
        .into(),
    ];
    let here = [samples::granted(
        UserType::Standard,
        [grant_in("invoices", NORTH)],
    )];
    assert_eq!(external(&home, &here, "invoices", Some(NORTH)), []);
    for (name, company) in [
        ("invoices", None),
        ("invoices", Some(SOUTH)),
        ("payment", None),
    ] {
        let why = external(&home, &here, name, company);
        assert_eq!(why, [AccessDenial::NoGrant], "{name} {company:?}");
    }
    let everywhere = [samples::granted(UserType::Standard, [grant("invoices")])];
    assert_eq!(external(&[], &everywhere, "invoices", Some(SOUTH)), []);
    let administrator = [samples::granted(UserType::Administrator, [])];
    assert_eq!(external(&[], &administrator, "payment", Some(NORTH)), []);
    assert_eq!(
        external(&[], &administrator, "payment", Some(NOWHERE)),
        [AccessDenial::CompanyNotLinked]
    );
}

#[test]
fn r71_an_external_user_who_may_not_sign_in_at_home_may_use_nothing() {
    let here = [samples::granted(UserType::Administrator, [])];
    let locked = [UserLocked {}.into(), UserDeactivated {}.into()];
    assert_eq!(
        external(&locked, &here, "invoices", None),
        [AccessDenial::Inactive, AccessDenial::Locked]
    );
    let revoked = [here[0].clone(), AccessRevoked {}.into()];
    assert_eq!(
        external(&locked, &revoked, "invoices", None),
        [AccessDenial::AccessRevoked]
    );
    let gone = [
        &here[..],
        &[AccessRevoked {}.into(), ExternalUserDeleted {}.into()],
    ]
    .concat();
    assert_eq!(
        external(&[UserDeleted {}.into()], &gone, "invoices", None),
        [AccessDenial::Deleted]
    );
}

#[test]
fn r41_sessions_here_end_with_what_ends_them_at_home_and_here() {
    let home = [
        created_at_home(ANNA, "anna"),
        UserLocked {}.into(),
        UserUnlocked {}.into(),
    ];
    let user: User = replayed(&home);
    let access = samples::granted(UserType::Administrator, []);
    let asked = |access: &Access, seconds| {
        let began = Some(dawn() + Duration::seconds(seconds));
        answered(&user, Some(access), "invoices", None, began)
            .unwrap()
            .why
    };
    let granted: Access = replayed(std::slice::from_ref(&access));
    assert_eq!(asked(&granted, 0), [AccessDenial::SessionsEnded]);
    assert_eq!(asked(&granted, 1), []);
    let again: Access = replayed(&[
        access.clone(),
        AccessRevoked {}.into(),
        AccessRevoked {}.into(),
        access,
    ]);
    assert_eq!(asked(&again, 2), [AccessDenial::SessionsEnded]);
    assert_eq!(asked(&again, 3), []);
}
