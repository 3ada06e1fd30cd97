//! Passwords and second factors.

use chrono::Duration;

use super::*;
use crate::account::Settings;
use crate::domain::Refusal;
use crate::given::replayed;
use crate::samples::{admin, created, dawn, service, settings};
use crate::user::{PasswordResetRequested, Status, UserCreated, UserEvent};
use crate::values::{Login, PasswordMaxAge, TokenDigest};

fn elsewhere() -> Settings {
    settings(Login::Email, PasswordAuthority::External)
}

fn by_link_only() -> Settings {
    Settings {
        password_change: PasswordChange::ByLinkOnly,
        ..Settings::default()
    }
}

fn aging() -> Settings {
    Settings {
        password_max_age: Some(PasswordMaxAge::parse(90).unwrap()),
        ..Settings::default()
    }
}

fn credentials(user: &User) -> &Credentials {
    user.person().unwrap().credentials()
}

fn with_password(password: PasswordState) -> UserEvent {
    let created = UserCreated {
        password,
        ..crate::samples::user_created(crate::samples::ANNA, "anna")
    };
    created.into()
}

#[test]
fn r18_no_password_command_is_accepted_where_they_are_kept_elsewhere() {
    User::given(&[created()])
        .with(elsewhere())
        .when(admin(), SetPassword { one_time: false })
        .refused(UserError::PasswordsKeptElsewhere);
    User::given(&[created()])
        .with(elsewhere())
        .when(service(), ChangePassword)
        .refused(UserError::PasswordsKeptElsewhere);
}

#[test]
fn r19_where_a_password_changes_by_link_only_nobody_changes_it_otherwise() {
    User::given(&[created()])
        .with(by_link_only())
        .when(admin(), SetPassword { one_time: true })
        .refused(UserError::PasswordByLinkOnly);
    User::given(&[created()])
        .with(by_link_only())
        .when(service(), ChangePassword)
        .refused(UserError::PasswordByLinkOnly);
    assert_eq!(UserError::PasswordByLinkOnly.violations().len(), 1);
}

#[test]
fn r21_a_one_time_password_must_be_changed() {
    let set = User::given(&[created()])
        .when(admin(), SetPassword { one_time: true })
        .then(&[PasswordSet { one_time: true }.into()])
        .state();
    assert_eq!(set.status(), Some(Status::AwaitingNewPassword));
    let changed = User::given(&[created(), PasswordSet { one_time: true }.into()])
        .when(service(), ChangePassword)
        .then(&[PasswordChanged {}.into()])
        .state();
    assert_eq!(changed.status(), Some(Status::Active));
    assert_eq!(credentials(&changed).password(), PasswordState::Set);
}

#[test]
fn r21_a_password_is_too_old_at_its_very_moment() {
    let last = Duration::days(90) - Duration::microseconds(1);
    let user: User = replayed(&[created()]);
    let status = |span| user.status_at(&aging(), dawn() + span).unwrap();
    assert_eq!(status(last), Status::Active);
    assert_eq!(status(Duration::days(90)), Status::AwaitingNewPassword);
    assert_eq!(user.status(), Some(Status::Active));

    let given = || User::given(&[created()]).with(aging());
    given()
        .after(last)
        .when(service(), ExpirePassword)
        .then_nothing();
    let expired = given()
        .after(Duration::days(90))
        .when(service(), ExpirePassword)
        .then(&[PasswordExpired {}.into()])
        .state();
    assert_eq!(expired.status(), Some(Status::AwaitingNewPassword));
}

#[test]
fn r21_only_a_password_grows_old_and_only_once() {
    let late = Duration::days(400);
    for events in [
        vec![created(), PasswordExpired {}.into()],
        vec![with_password(PasswordState::None)],
        vec![with_password(PasswordState::OneTime)],
        vec![created(), crate::user::UserDeleted {}.into()],
        vec![],
    ] {
        User::given(&events)
            .with(aging())
            .after(late)
            .when(service(), ExpirePassword)
            .then_nothing();
    }
    User::given(&[created()])
        .after(late)
        .when(service(), ExpirePassword)
        .then_nothing();
    let changed = [
        created(),
        PasswordExpired {}.into(),
        PasswordChanged {}.into(),
    ];
    let changed: User = replayed(&changed);
    assert_eq!(changed.status(), Some(Status::Active));
}

#[test]
fn r41_another_password_ends_the_sessions_and_a_reset_that_is_on_its_way() {
    let requested = PasswordResetRequested {
        issue: 1,
        token_digest: TokenDigest::new([1; 32]),
        valid_minutes: 60,
        by_mail: false,
    };
    let before = [created(), requested.into()];
    assert_eq!(replayed::<User>(&before).status(), Some(Status::Recovery));
    for (actor, command) in [
        (
            admin(),
            crate::user::UserCommand::from(SetPassword { one_time: false }),
        ),
        (service(), ChangePassword.into()),
    ] {
        let user = User::given(&before).when(actor, command).state();
        let person = user.person().unwrap();
        assert!(person.sessions_valid_from() > person.created_at());
        assert_eq!(person.credentials().reset(), None);
        assert_eq!(
            person.credentials().resets(),
            1,
            "the next token is another one"
        );
    }
}

#[test]
fn a_password_that_an_administrator_gives_completes_an_onboarding() {
    let mut invited = crate::samples::user_created(crate::samples::ANNA, "anna");
    invited.password = PasswordState::None;
    invited.onboarded = false;
    let user = User::given(&[invited.into()])
        .when(admin(), SetPassword { one_time: true })
        .state();
    assert!(user.person().unwrap().is_onboarded());
}

#[test]
fn r15_a_second_factor_is_enrolled_and_cleared() {
    let enrolled = User::given(&[created()])
        .when(service(), ReportMfaEnrolled)
        .then(&[MfaEnrolled {}.into()])
        .state();
    assert!(credentials(&enrolled).has_second_factor());
    let reset = User::given(&[created(), MfaEnrolled {}.into()])
        .when(admin(), ResetMfa)
        .then(&[MfaReset {}.into()])
        .state();
    assert!(!credentials(&reset).has_second_factor());
    User::given(&[created()])
        .when(admin(), ResetMfa)
        .then_nothing();
    User::given(&[created(), MfaEnrolled {}.into()])
        .when(service(), ReportMfaEnrolled)
        .then_nothing();
}
