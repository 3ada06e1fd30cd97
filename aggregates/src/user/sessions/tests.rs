//! Locks of the system, and the end of sessions.

use chrono::Duration;

use super::*;
use crate::domain::{Claim, Timestamp};
use crate::given::replayed;
use crate::samples::{
    ANNA, account_with, admin, created, created_administrator, dawn, service, settings,
    user_created,
};
use crate::user::{
    PasswordExpired, PasswordState, Status, UnlockUser, UserDeactivated, UserLocked, UserUnlocked,
};
use crate::values::{LockDuration, Login};

const LOCK: AutoLockUser = AutoLockUser {
    attempts_from: Timestamp::UNIX_EPOCH,
    by_mail: false,
};

fn lock(attempts_from: Timestamp) -> AutoLockUser {
    AutoLockUser {
        attempts_from,
        ..LOCK
    }
}

fn locked() -> UserEvent {
    UserAutoLocked { by_mail: false }.into()
}

fn for_ten_minutes() -> Settings {
    Settings {
        lock_duration: Some(LockDuration::parse(600).unwrap()),
        ..Settings::default()
    }
}

fn attempts_from(user: &User) -> Timestamp {
    user.person().unwrap().credentials().attempts_from()
}

#[test]
fn r14_the_system_locks_until_somebody_unlocks_and_the_count_begins_anew() {
    let user = User::given(&[created()])
        .when(service(), lock(dawn()))
        .then(&[locked()])
        .state();
    assert_eq!(user.status(), Some(Status::AutoLocked));
    let person = user.person().unwrap();
    assert!(
        person.sessions_valid_from() > person.created_at(),
        "sessions end"
    );
    assert!(attempts_from(&user) > dawn());
    let unlocked = User::given(&[created(), UserLocked {}.into(), locked()])
        .when(admin(), UnlockUser)
        .then(&[UserUnlocked {}.into()])
        .state();
    assert_eq!(
        unlocked.status(),
        Some(Status::Active),
        "both locks are lifted"
    );
    assert!(attempts_from(&unlocked) > dawn() + Duration::seconds(2));
}

#[test]
fn r14_attempts_after_the_end_of_a_lock_count_before_it_is_recorded_and_after() {
    let locked_since = User::given(&[created(), locked()]).when(service(), lock(dawn()));
    let over = User::given(&[created(), locked(), UserLockExpired {}.into()])
        .when(service(), lock(dawn()));
    let [locked_since, over] =
        [locked_since, over].map(|unchanged| unchanged.then_nothing().state());
    assert_eq!(attempts_from(&over), attempts_from(&locked_since));
}

#[test]
fn r14_a_row_of_attempts_that_is_over_locks_nobody() {
    User::given(&[created()])
        .when(service(), lock(dawn() - Duration::seconds(1)))
        .then_nothing();
    User::given(&[created(), locked()])
        .when(service(), lock(dawn() + Duration::seconds(1)))
        .then_nothing();
}

#[test]
fn r13_a_lock_of_an_administrator_comes_before_that_of_the_system() {
    let status = |events: &[UserEvent]| replayed::<User>(events).status();
    let both = [created(), locked(), UserLocked {}.into()];
    assert_eq!(status(&both), Some(Status::LockedByAdmin));
    let [first, second, third] = both;
    let inactive = [first, second, third, UserDeactivated {}.into()];
    assert_eq!(status(&inactive), Some(Status::Inactive));
}

#[test]
fn r14_a_lock_with_a_duration_ends_at_its_very_moment() {
    let events = [created(), locked()];
    let end = Duration::seconds(601);
    let before = end - Duration::microseconds(1);
    let user: User = replayed(&events);
    let status = |span| user.status_at(&for_ten_minutes(), dawn() + span);
    assert_eq!(status(before), Some(Status::AutoLocked));
    assert_eq!(status(end), Some(Status::Active));
    let for_ever = user.status_at(&Settings::default(), dawn() + Duration::days(999));
    assert_eq!(for_ever, Some(Status::AutoLocked));

    let given = || User::given(&events).with(for_ten_minutes());
    given()
        .after(before)
        .when(service(), ExpireLock)
        .then_nothing();
    let over = given()
        .after(end)
        .when(service(), ExpireLock)
        .then(&[UserLockExpired {}.into()])
        .state();
    assert_eq!(over.status(), Some(Status::Active));
    User::given(&[created(), locked(), UserLockExpired {}.into()])
        .with(for_ten_minutes())
        .after(end)
        .when(service(), ExpireLock)
        .then_nothing();
}

#[test]
fn r14_who_is_locked_again_after_its_lock_was_over_is_told_to_have_been_free() {
    User::given(&[created(), locked()])
        .with(for_ten_minutes())
        .after(Duration::minutes(11))
        .when(service(), lock(dawn() + Duration::seconds(1)))
        .then(&[UserLockExpired {}.into(), locked()]);
}

#[test]
fn r28_the_system_locks_the_last_administrator_too_and_its_claim_waits_for_it() {
    User::given(&[created_administrator()])
        .with_no_other_administrator()
        .when(service(), lock(dawn()))
        .then(&[locked()])
        .releases(&[Claim::Administrator])
        .takes(&[Claim::LockedAdministrator]);
    User::given(&[created_administrator(), locked()])
        .with(for_ten_minutes())
        .after(Duration::minutes(11))
        .when(service(), ExpireLock)
        .takes(&[Claim::Administrator])
        .releases(&[Claim::LockedAdministrator]);
}

#[test]
fn r18_sign_ins_are_reported_where_they_are_checked_elsewhere() {
    let elsewhere = Settings {
        password_authority: PasswordAuthority::External,
        ..for_ten_minutes()
    };
    for succeeded in [true, false] {
        let report = ReportSignIn { succeeded };
        User::given(&[created()])
            .when(service(), report)
            .refused(UserError::PasswordsKeptHere);
        User::given(&[created()])
            .with(elsewhere)
            .when(service(), report)
            .then_nothing();
        User::given(&[created(), locked()])
            .with(elsewhere)
            .after(Duration::minutes(11))
            .when(service(), report)
            .then(&[UserLockExpired {}.into()]);
    }
}

#[test]
fn r41_sessions_are_revoked() {
    let user = User::given(&[created()])
        .when(admin(), RevokeSessions)
        .then(&[SessionsRevoked {}.into()])
        .state();
    let person = user.person().unwrap();
    assert!(person.sessions_valid_from() > person.created_at());
    User::given(&[created()])
        .after(Duration::zero())
        .when(admin(), RevokeSessions)
        .then_nothing();
}

#[test]
fn r22_who_has_proven_who_it_is_is_told_what_keeps_it_out() {
    let entry = |events: &[UserEvent], settings: &Settings| {
        let user: User = replayed(events);
        user.person()
            .unwrap()
            .entry(settings, dawn() + Duration::hours(1))
    };
    let here = Settings::default();
    let elsewhere = settings(Login::Email, PasswordAuthority::External);
    let mut new = user_created(ANNA, "anna");
    new.onboarded = false;
    new.password = PasswordState::None;
    let expired = [created(), PasswordExpired {}.into()];
    assert_eq!(entry(&[created()], &here), Entry::SignedIn);
    assert_eq!(entry(&expired, &here), Entry::PasswordChangeRequired);
    assert_eq!(entry(&expired, &elsewhere), Entry::SignedIn);
    assert_eq!(entry(&[new.into()], &here), Entry::NotOnboarded);
    assert_eq!(
        entry(&[created(), UserLocked {}.into()], &here),
        Entry::Locked
    );
    assert_eq!(entry(&[created(), locked()], &here), Entry::Locked);
    assert_eq!(
        entry(&[created(), locked()], &for_ten_minutes()),
        Entry::SignedIn
    );
    let off = [created(), locked(), UserDeactivated {}.into()];
    assert_eq!(entry(&off, &here), Entry::Inactive);
}

#[test]
fn r25_a_lock_is_the_systems_and_asks_for_no_administrator() {
    let alone = User::given(&[created()]).without_administrators();
    alone.when(service(), lock(dawn())).then(&[locked()]);
}

#[test]
fn r71_access_is_judged_by_the_clock() {
    let user: User = replayed(&[created_administrator(), locked()]);
    let account = account_with(for_ten_minutes());
    let module = crate::samples::module("invoices");
    let denied = |now| {
        let wanted = crate::user::Use {
            module: &module,
            company: None,
            session_began: None,
            now,
        };
        crate::user::check_access(&account, &user, None, &wanted)
            .unwrap()
            .why
    };
    assert_eq!(
        denied(dawn() + Duration::minutes(5)),
        [crate::user::AccessDenial::Locked]
    );
    assert_eq!(denied(dawn() + Duration::minutes(11)), []);
}
