//! Every form an event was ever stored in, read back.
//!
//! A file of `tests/wire` is one stored event, called after it: `UserCreated.1.json`, `UserCreated.1.least.json`. Files are
//! added and never changed: what was stored stays stored.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cqrs_es::Aggregate;
use cqrs_es::persist::SerializedEvent;
use rollbook_aggregates::access::{Access, AccessEvent};
use rollbook_aggregates::account::{Account, AccountEvent};
use rollbook_aggregates::domain::{EventSet, RECORDED_AT, Recorded};
use rollbook_aggregates::invitation::{Invitation, InvitationEvent};
use rollbook_aggregates::invoice::{Invoice, InvoiceEvent};
use rollbook_aggregates::mail::{Mail, MailEvent};
use rollbook_aggregates::signin::{self, SignInEvent};
use rollbook_aggregates::upcasters::upcasters;
use rollbook_aggregates::user::{User, UserEvent};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

/// Name, version and content of every file.
fn stored() -> Vec<(String, String, Value)> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut stored: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            let file_name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut parts = file_name.split('.').map(str::to_owned);
            let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
            let text = std::fs::read_to_string(&path).unwrap();
            (name, version, serde_json::from_str(&text).unwrap())
        })
        .collect();
    stored.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    stored
}

/// Reads a stored event as the store does: upcast, then deserialised.
fn read<E: EventSet>(kind: &str, name: &str, version: &str, payload: Value) -> Recorded<E> {
    let mut event = SerializedEvent::new(
        String::new(),
        1,
        kind.to_owned(),
        name.to_owned(),
        version.to_owned(),
        payload,
        Value::Null,
    );
    for upcaster in upcasters(kind) {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            event = upcaster.upcast(event);
        }
    }
    serde_json::from_value(event.payload)
        .unwrap_or_else(|error| panic!("{name} {version} cannot be read: {error}"))
}

fn every_stored_form_is_read<E: EventSet>(kind: &str) {
    let mut current = BTreeSet::new();
    let all = stored();
    for (name, version, payload) in &all {
        if !E::NAMES.contains(&name.as_str()) {
            continue;
        }
        let recorded: Recorded<E> = read(kind, name, version, payload.clone());
        assert_eq!(recorded.event.name(), name);
        assert_eq!(recorded.at, None);
        if recorded.event.version() == version {
            current.insert(recorded.event.name());
            assert_eq!(&serde_json::to_value(&recorded).unwrap(), payload, "{name}");
        }
    }
    for name in E::NAMES {
        assert!(
            current.contains(name),
            "{name} has no file of its present form in tests/wire"
        );
    }
}

#[test]
fn r65_every_stored_form_of_every_event_is_read() {
    every_stored_form_is_read::<AccountEvent>(Account::TYPE);
    every_stored_form_is_read::<UserEvent>(User::TYPE);
    every_stored_form_is_read::<AccessEvent>(Access::TYPE);
    every_stored_form_is_read::<SignInEvent>(signin::TYPE);
    every_stored_form_is_read::<InvitationEvent>(Invitation::TYPE);
    every_stored_form_is_read::<InvoiceEvent>(Invoice::TYPE);
    every_stored_form_is_read::<MailEvent>(Mail::TYPE);
}

#[test]
fn every_file_is_of_an_event() {
    let mut names: BTreeMap<&str, usize> = [
        AccountEvent::NAMES,
        UserEvent::NAMES,
        SignInEvent::NAMES,
        InvitationEvent::NAMES,
        InvoiceEvent::NAMES,
        MailEvent::NAMES,
    ]
    .concat()
    .into_iter()
    .fold(BTreeMap::new(), |mut names, name| {
        *names.entry(name).or_default() += 1;
        names
    });
    for name in AccessEvent::NAMES {
        // What is reported of an external user is the same event as of any other.
        if UserEvent::NAMES.contains(name) {
            assert!(!name.contains("Access"), "two events are called {name}");
            continue;
        }
        *names.entry(name).or_default() += 1;
    }
    for (name, count) in &names {
        assert_eq!(*count, 1, "two events are called {name}");
    }
    for (name, ..) in stored() {
        assert!(names.contains_key(name.as_str()), "{name} is not an event");
    }
}

/// The stored form once the key is destroyed.
fn erased(payload: &Value) -> Value {
    match payload {
        Value::Object(fields) if fields.contains_key("$personal") => json!({ "$erased": true }),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), erased(value)))
            .collect(),
        Value::Array(items) => items.iter().map(erased).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => payload.clone(),
    }
}

#[test]
fn r62_every_event_is_read_and_applied_when_its_personal_data_is_erased() {
    let mut user = User::default();
    let mut erasures = 0;
    for (name, version, payload) in stored() {
        let without = erased(&payload);
        erasures += usize::from(without != payload);
        if UserEvent::NAMES.contains(&name.as_str()) {
            let recorded = read::<UserEvent>(User::TYPE, &name, &version, without.clone());
            assert_eq!(serde_json::to_value(&recorded).unwrap(), without);
            user.apply(recorded);
        }
        if AccessEvent::NAMES.contains(&name.as_str()) {
            let recorded = read::<AccessEvent>(Access::TYPE, &name, &version, without.clone());
            Access::default().apply(recorded);
        }
        if InvitationEvent::NAMES.contains(&name.as_str()) {
            let recorded = read::<InvitationEvent>(Invitation::TYPE, &name, &version, without);
            Invitation::default().apply(recorded);
        }
    }
    assert!(erasures > 5, "no event holds anything personal");
    assert!(user.account_id().is_some());
}

#[test]
fn r41_the_events_that_end_sessions_are_those_that_move_the_time_from_which_they_are_valid() {
    let at = |text: &str| text.parse().unwrap();
    let (created_at, later) = (at("2026-10-14T12:00:00Z"), at("2026-10-14T13:00:00Z"));
    let (.., payload) = stored()
        .into_iter()
        .find(|(name, ..)| name == "UserCreated")
        .unwrap();
    let mut created = User::default();
    let event = read::<UserEvent>(User::TYPE, "UserCreated", "1", payload).event;
    created.apply(Recorded::at(event, created_at));
    for (name, version, payload) in stored() {
        if !UserEvent::NAMES.contains(&name.as_str()) || name == "UserCreated" {
            continue;
        }
        let event = read::<UserEvent>(User::TYPE, &name, &version, payload).event;
        let ends = event.ends_sessions();
        let mut user = created.clone();
        user.apply(Recorded::at(event, later));
        let moved = user
            .person()
            .is_none_or(|person| person.sessions_valid_from() == later);
        assert_eq!(ends, moved, "{name}");
    }
}

#[test]
fn the_time_is_read_beside_the_event_and_never_written() {
    let (.., payload) = stored()
        .into_iter()
        .find(|(name, ..)| name == "UserLocked")
        .unwrap();
    let at = "2026-10-14T12:00:00.000001Z";
    let mut with_time = payload.clone();
    with_time[RECORDED_AT] = json!(at);
    let recorded: Recorded<UserEvent> = serde_json::from_value(with_time).unwrap();
    assert_eq!(recorded.at, Some(at.parse().unwrap()));
    assert_eq!(serde_json::to_value(&recorded).unwrap(), payload);
}
