//! Welcome and reset links.

use super::*;
use crate::domain::{Refusal, Timestamp};
use crate::given::{Given, replayed};
use crate::samples::{
    ANNA, TOKEN, TOKEN_2, account, admin, create, created, dawn, days, service, settings,
    user_created,
};
use crate::user::{Status, UserAutoLocked};
use crate::values::Login;

const LINK: Link = Link {
    token_digest: TOKEN_2,
    by_mail: false,
};

/// Anna was created, and sent a welcome link.
fn welcomed() -> [UserEvent; 2] {
    let mut created = user_created(ANNA, "anna");
    created.password = PasswordState::None;
    created.onboarded = false;
    [created.into(), issued(1, TOKEN, 7)]
}

fn issued(issue: u32, token_digest: TokenDigest, validity: u32) -> UserEvent {
    WelcomeIssued {
        issue,
        token_digest,
        validity_days: days(validity),
        by_mail: false,
    }
    .into()
}

fn requested(issue: u32, token_digest: TokenDigest) -> UserEvent {
    PasswordResetRequested {
        issue,
        token_digest,
        valid_minutes: 60,
        by_mail: false,
    }
    .into()
}

fn complete_welcome(token_digest: TokenDigest) -> CompleteWelcome {
    CompleteWelcome {
        token_digest,
        password: PasswordState::Set,
    }
}

fn complete_reset(token_digest: TokenDigest) -> CompletePasswordReset {
    CompletePasswordReset { token_digest }
}

/// After the second event, so much later.
fn given(events: &[UserEvent], span: Duration) -> Given<User> {
    User::given(events).after(span + Duration::seconds(1))
}

fn status_at(events: &[UserEvent], time: Timestamp) -> Option<Status> {
    replayed::<User>(events).status_at(account().settings(), time)
}

#[test]
fn r16_a_later_welcome_link_replaces_the_earlier() {
    let [first, second] = welcomed();
    let user: User = replayed(&[first, second, issued(2, TOKEN_2, 3)]);
    let welcome = user.person().unwrap().credentials().welcome().unwrap();
    assert_eq!((welcome.issue, welcome.token_digest), (2, TOKEN_2));
    let sent_at = dawn() + Duration::seconds(2);
    assert_eq!(welcome.expires_at(), sent_at + Duration::days(3));
}

#[test]
fn r16_a_welcome_is_sent_again_and_the_earlier_link_is_dead() {
    let [first, second] = welcomed();
    User::given(&welcomed())
        .when(admin(), ResendWelcome { link: LINK })
        .then(&[issued(2, TOKEN_2, 7)]);
    let resent = [first, second, issued(2, TOKEN_2, 7)];
    User::given(&resent)
        .when(service(), complete_welcome(TOKEN))
        .refused(UserError::LinkNotFound);
    let mail = Link {
        by_mail: true,
        ..LINK
    };
    let user = User::given(&welcomed())
        .when(admin(), ResendWelcome { link: mail })
        .state();
    assert_eq!(user.status(), Some(Status::Provisioned));
}

#[test]
fn r16_only_who_is_not_onboarded_is_welcomed_again() {
    User::given(&[created()])
        .when(admin(), ResendWelcome { link: LINK })
        .refused(UserError::Onboarded);
    let [first, second] = welcomed();
    let expired = [first, second, WelcomeExpired { issue: 1 }.into()];
    let user = User::given(&expired)
        .when(admin(), ResendWelcome { link: LINK })
        .state();
    let welcome = user.person().unwrap().credentials().welcome().unwrap();
    assert!(!welcome.expired);
}

#[test]
fn r2_who_follows_its_welcome_link_is_onboarded_with_its_password() {
    let user = User::given(&welcomed())
        .when(service(), complete_welcome(TOKEN))
        .then(&[WelcomeCompleted {
            password: PasswordState::Set,
        }
        .into()])
        .state();
    assert_eq!(user.status(), Some(Status::Active));
    let credentials = user.person().unwrap().credentials();
    assert_eq!(credentials.password(), PasswordState::Set);
    assert!(credentials.password_set_at().is_some());
}

#[test]
fn r18_a_welcome_brings_a_password_exactly_where_the_directory_keeps_it() {
    let elsewhere = settings(Login::Email, PasswordAuthority::External);
    let without = CompleteWelcome {
        password: PasswordState::None,
        ..complete_welcome(TOKEN)
    };
    User::given(&welcomed())
        .when(service(), without.clone())
        .refused(UserError::PasswordMissing);
    User::given(&welcomed())
        .with(elsewhere)
        .when(service(), complete_welcome(TOKEN))
        .refused(UserError::PasswordsKeptElsewhere);
    let user = User::given(&welcomed())
        .with(elsewhere)
        .when(service(), without)
        .state();
    assert_eq!(user.status(), Some(Status::Active));
}

#[test]
fn r23_a_link_is_good_once_and_opens_its_own_user_only() {
    let [first, second] = welcomed();
    let completed = WelcomeCompleted {
        password: PasswordState::Set,
    };
    for events in [
        vec![first.clone(), second, completed.into()],
        vec![created()],
        vec![first],
        vec![],
    ] {
        User::given(&events)
            .when(service(), complete_welcome(TOKEN))
            .refused(UserError::LinkNotFound);
    }
    User::given(&welcomed())
        .when(service(), complete_welcome(TOKEN_2))
        .refused(UserError::LinkNotFound);
    for events in [
        vec![
            created(),
            requested(1, TOKEN),
            PasswordResetCompleted {}.into(),
        ],
        vec![created(), requested(1, TOKEN), requested(2, TOKEN_2)],
        vec![created()],
    ] {
        User::given(&events)
            .when(service(), complete_reset(TOKEN))
            .refused(UserError::LinkNotFound);
    }
}

#[test]
fn r16_a_welcome_link_dies_at_its_very_moment_and_that_is_recorded_once() {
    let week = Duration::days(7);
    let before = week - Duration::microseconds(1);
    let expired: UserEvent = WelcomeExpired { issue: 1 }.into();
    let expire = || ExpireWelcome { issue: 1 };
    given(&welcomed(), before)
        .when(service(), expire())
        .then_nothing();
    given(&welcomed(), before)
        .when(service(), complete_welcome(TOKEN))
        .then(&[WelcomeCompleted {
            password: PasswordState::Set,
        }
        .into()]);
    given(&welcomed(), week)
        .when(service(), expire())
        .then(std::slice::from_ref(&expired));
    given(&welcomed(), week)
        .when(service(), ExpireWelcome { issue: 2 })
        .then_nothing();
    given(&welcomed(), week)
        .when(service(), complete_welcome(TOKEN))
        .recorded_but_refused(std::slice::from_ref(&expired), &UserError::LinkExpired);
    let [first, second] = welcomed();
    let recorded = [first, second, expired];
    given(&recorded, week)
        .when(service(), expire())
        .then_nothing();
    given(&recorded, week)
        .when(service(), complete_welcome(TOKEN))
        .refused(UserError::LinkExpired);
}

#[test]
fn r13_a_reset_that_was_asked_for_is_told_until_its_link_is_dead() {
    let events = [created(), requested(1, TOKEN)];
    let sent_at = dawn() + Duration::seconds(1);
    let hour = Duration::hours(1);
    assert_eq!(replayed::<User>(&events).status(), Some(Status::Recovery));
    let last = sent_at + hour - Duration::microseconds(1);
    assert_eq!(status_at(&events, last), Some(Status::Recovery));
    assert_eq!(status_at(&events, sent_at + hour), Some(Status::Active));
    let [first, second] = events;
    let locked = [first, second, UserAutoLocked { by_mail: false }.into()];
    assert_eq!(status_at(&locked, sent_at), Some(Status::AutoLocked));
}

#[test]
fn r23_a_reset_gives_the_password_that_was_chosen() {
    User::given(&[created()])
        .when(admin(), RequestPasswordReset { link: LINK })
        .then(&[requested(1, TOKEN_2)]);
    let user = User::given(&[created(), requested(1, TOKEN)])
        .when(service(), complete_reset(TOKEN))
        .then(&[PasswordResetCompleted {}.into()])
        .state();
    assert_eq!(user.status(), Some(Status::Active));
    let person = user.person().unwrap();
    assert!(
        person.sessions_valid_from() > person.created_at(),
        "sessions end"
    );
    User::given(&[
        created(),
        requested(1, TOKEN),
        PasswordResetCompleted {}.into(),
    ])
    .when(admin(), RequestPasswordReset { link: LINK })
    .then(&[requested(2, TOKEN_2)]);
}

#[test]
fn r23_a_reset_link_dies_after_an_hour_and_that_is_recorded_once() {
    let hour = Duration::hours(1);
    let before = hour - Duration::microseconds(1);
    let events = [created(), requested(1, TOKEN)];
    let expired: UserEvent = PasswordResetExpired { issue: 1 }.into();
    let expire = || ExpirePasswordReset { issue: 1 };
    given(&events, before)
        .when(service(), expire())
        .then_nothing();
    given(&events, before)
        .when(service(), complete_reset(TOKEN))
        .then(&[PasswordResetCompleted {}.into()]);
    given(&events, hour)
        .when(service(), expire())
        .then(std::slice::from_ref(&expired));
    given(&events, hour)
        .when(service(), ExpirePasswordReset { issue: 2 })
        .then_nothing();
    given(&events, hour)
        .when(service(), complete_reset(TOKEN))
        .recorded_but_refused(std::slice::from_ref(&expired), &UserError::LinkExpired);
    let [first, second] = events;
    let recorded = [first, second, expired];
    assert_eq!(replayed::<User>(&recorded).status(), Some(Status::Active));
    given(&recorded, hour)
        .when(service(), expire())
        .then_nothing();
    given(&recorded, hour)
        .when(service(), complete_reset(TOKEN))
        .refused(UserError::LinkExpired);
}

#[test]
fn r18_nothing_is_reset_where_passwords_are_kept_elsewhere() {
    let elsewhere = settings(Login::Email, PasswordAuthority::External);
    User::given(&[created()])
        .with(elsewhere)
        .when(admin(), RequestPasswordReset { link: LINK })
        .refused(UserError::PasswordsKeptElsewhere);
    User::given(&[created(), requested(1, TOKEN)])
        .with(elsewhere)
        .when(service(), complete_reset(TOKEN))
        .refused(UserError::PasswordsKeptElsewhere);
}

#[test]
fn who_is_not_onboarded_has_a_welcome_link_and_resets_nothing() {
    User::given(&welcomed())
        .when(admin(), RequestPasswordReset { link: LINK })
        .refused(UserError::NotOnboarded);
}

#[test]
fn r67_refusals_of_links_and_passwords_have_their_names() {
    for (error, name) in [
        (UserError::LinkNotFound, "LINK_NOT_FOUND"),
        (UserError::LinkExpired, "LINK_EXPIRED"),
        (UserError::Onboarded, "ONBOARDED"),
        (UserError::NotOnboarded, "NOT_ONBOARDED"),
        (UserError::PasswordByLinkOnly, "PASSWORD_BY_LINK_ONLY"),
    ] {
        assert_eq!(error.reason().as_str(), name);
        assert_eq!(error.field(), None);
    }
}

#[test]
fn a_link_that_is_sent_by_mail_says_so() {
    let by_mail = Link {
        by_mail: true,
        ..LINK
    };
    let mut command = create(ANNA, "anna");
    command.password = PasswordState::None;
    command.welcome = Some(by_mail);
    let user = User::given(&[]).when(admin(), command).state();
    let welcome = user.person().unwrap().credentials().welcome().unwrap();
    assert_eq!(welcome.token_digest, TOKEN_2);
    let requested = PasswordResetRequested {
        issue: 1,
        token_digest: TOKEN_2,
        valid_minutes: 60,
        by_mail: true,
    };
    User::given(&[created()])
        .when(admin(), RequestPasswordReset { link: by_mail })
        .then(&[requested.into()]);
}
