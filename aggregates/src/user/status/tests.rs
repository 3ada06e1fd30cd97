//! The status follows from the facets.

use chrono::Duration;

use super::*;
use crate::samples::dawn;
use crate::values::{LockDuration, PasswordMaxAge};

fn facets() -> Facets {
    Facets {
        active: true,
        locked: false,
        auto_locked_at: None,
        reset_until: None,
        new_password: false,
        password_set_at: Some(dawn()),
        onboarded: true,
    }
}

#[test]
fn r13_the_first_facet_that_holds_is_the_status_and_survives_the_others() {
    let mut all = Facets {
        active: false,
        locked: true,
        auto_locked_at: Some(dawn()),
        reset_until: Some(dawn()),
        new_password: true,
        password_set_at: None,
        onboarded: false,
    };
    assert_eq!(all.status(), Status::Inactive);
    all.active = true;
    assert_eq!(all.status(), Status::LockedByAdmin);
    all.locked = false;
    assert_eq!(all.status(), Status::AutoLocked);
    all.auto_locked_at = None;
    assert_eq!(all.status(), Status::Recovery);
    all.reset_until = None;
    assert_eq!(all.status(), Status::AwaitingNewPassword);
    all.new_password = false;
    assert_eq!(all.status(), Status::Provisioned);
    all.onboarded = true;
    assert_eq!(all.status(), Status::Active);
}

#[test]
fn r13_what_the_clock_has_brought_about_counts_though_nothing_is_recorded() {
    let settings = Settings {
        lock_duration: Some(LockDuration::parse(60).unwrap()),
        password_max_age: Some(PasswordMaxAge::parse(1).unwrap()),
        ..Settings::default()
    };
    let recorded = Facets {
        auto_locked_at: Some(dawn()),
        reset_until: Some(dawn() + Duration::hours(1)),
        ..facets()
    };
    let status = |span| recorded.at(&settings, dawn() + span).status();
    assert_eq!(status(Duration::zero()), Status::AutoLocked);
    assert_eq!(status(Duration::seconds(60)), Status::Recovery);
    assert_eq!(status(Duration::hours(1)), Status::Active);
    assert_eq!(status(Duration::days(1)), Status::AwaitingNewPassword);
    assert_eq!(recorded.status(), Status::AutoLocked);
    assert!(recorded.depends_on_clock());
}

#[test]
fn r13_the_clock_changes_a_status_first_at_the_earliest_of_its_times() {
    let settings = Settings {
        lock_duration: Some(LockDuration::parse(60).unwrap()),
        password_max_age: Some(PasswordMaxAge::parse(1).unwrap()),
        ..Settings::default()
    };
    let mut recorded = Facets {
        auto_locked_at: Some(dawn()),
        reset_until: Some(dawn() + Duration::hours(1)),
        ..facets()
    };
    let first = |facets: Facets| facets.changes_at(&settings);
    assert_eq!(first(recorded), Some(dawn() + Duration::seconds(60)));
    recorded.auto_locked_at = None;
    assert_eq!(first(recorded), Some(dawn() + Duration::hours(1)));
    recorded.reset_until = None;
    assert_eq!(first(recorded), Some(dawn() + Duration::days(1)));
    recorded.password_set_at = None;
    assert_eq!(first(recorded), None);
}
