//! Events as they are recorded.

use cqrs_es::DomainEvent;
use serde_json::from_str;

use super::*;
use crate::user::{UserEvent, UserLocked};

#[test]
fn the_time_may_stand_before_or_behind_the_event() {
    let at: Timestamp = "2026-10-14T12:00:00Z".parse().unwrap();
    let locked = Recorded::at(UserEvent::from(UserLocked {}), at);
    let before = r#"{"$recorded_at":"2026-10-14T12:00:00Z","UserLocked":{}}"#;
    let behind = r#"{"UserLocked":{},"$recorded_at":"2026-10-14T12:00:00.000000Z"}"#;
    assert_eq!(from_str::<Recorded<UserEvent>>(before).unwrap(), locked);
    assert_eq!(from_str::<Recorded<UserEvent>>(behind).unwrap(), locked);
}

#[test]
fn an_event_without_a_time_is_of_the_epoch() {
    let locked: Recorded<UserEvent> = from_str(r#"{"UserLocked":{}}"#).unwrap();
    assert_eq!(locked.time(), Timestamp::UNIX_EPOCH);
}

#[test]
fn what_is_not_one_known_event_is_refused() {
    for wrong in [
        "{}",
        "[]",
        r#"{"UserSneezed":{}}"#,
        r#"{"UserLocked":{},"UserUnlocked":{}}"#,
        r#"{"$recorded_at":"2026-10-14T12:00:00Z"}"#,
        r#"{"UserLocked":{},"$recorded_at":"yesterday"}"#,
    ] {
        assert!(from_str::<Recorded<UserEvent>>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_store_is_told_name_and_version() {
    let locked = Recorded::from(UserEvent::from(UserLocked {}));
    assert_eq!(locked.event_type(), "UserLocked");
    assert_eq!(locked.event_version(), "1");
}
