//! Every event that a trail shows has words, in every form it was ever stored in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rollbook_aggregates::access::AccessEvent;
use rollbook_aggregates::domain::EventSet as _;
use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Clock, MasterKey, Metadata, Reason, RecordedEvent, StreamId, sqlite};
use rollbook_projections::{Content, read_event};
use serde_json::Value;

use super::*;

const USER: &str = "0190a1b2-0000-7000-8000-000000000001";

/// Every event as it was ever stored, of streams of this kind.
fn stored(kind: &str, id: &str, names: &[&str]) -> Vec<RecordedEvent> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../aggregates/tests/wire");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let file_name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut parts = file_name.split('.');
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
        if !names.contains(&name) {
            continue;
        }
        let mut payload: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        payload["$recorded_at"] = "2026-03-01T08:00:00.000000Z".into();
        found.push(RecordedEvent {
            position: 1,
            commit_position: 1,
            account_id: "acme".to_owned(),
            account_number: 1,
            stream: StreamId::new(kind, id),
            revision: 1,
            event_type: name.to_owned(),
            event_version: version.to_owned(),
            recorded_at: "2026-03-01T08:00:00Z".parse().unwrap(),
            forgets: false,
            metadata: Metadata::default(),
            reason: Reason::NotGiven,
            payload,
            hash: [0; 32],
        });
    }
    found
}

async fn names(directory: &Path, disclose: Disclose) -> Names {
    let key = MasterKey::generate();
    let log = sqlite::open(directory, key, Clock::system()).await.unwrap();
    let account = AccountId::parse("acme").unwrap();
    Names::of(log, account, disclose).await.unwrap()
}

fn must_read_well(event: &RecordedEvent, text: &str) {
    assert!(text.len() > 8, "{}: {text:?}", event.event_type);
    for odd in ["Some(", "None", "Known(", "{", "  ", "Personal"] {
        assert!(!text.contains(odd), "{}: {text:?}", event.event_type);
    }
}

#[tokio::test]
async fn r61_every_event_of_a_user_has_words() {
    let directory = tempfile::tempdir().unwrap();
    let names = names(directory.path(), Disclose::Shown).await;
    let mut told = BTreeSet::new();
    for event in stored("user", USER, UserEvent::NAMES) {
        let Content::User(user, happened_so) = read_event(&event) else {
            panic!("{event:?}");
        };
        must_read_well(&event, &happened(&happened_so, user, None, &names, 1));
        told.insert(event.event_type);
    }
    let all: BTreeSet<String> = UserEvent::NAMES.iter().map(ToString::to_string).collect();
    assert_eq!(told, all);
}

#[tokio::test]
async fn r61_every_event_of_an_access_has_words() {
    let directory = tempfile::tempdir().unwrap();
    let names = names(directory.path(), Disclose::Shown).await;
    let mut told = BTreeSet::new();
    for event in stored("access", &format!("acme/{USER}"), AccessEvent::NAMES) {
        let Content::Access(_, happened) = read_event(&event) else {
            panic!("{event:?}");
        };
        must_read_well(&event, &accessed(&happened, None, &names, 1));
        told.insert(event.event_type);
    }
    let all: BTreeSet<String> = AccessEvent::NAMES.iter().map(ToString::to_string).collect();
    assert_eq!(told, all);
}

#[tokio::test]
async fn r62_no_words_tell_what_is_withheld() {
    let directory = tempfile::tempdir().unwrap();
    let names = names(directory.path(), Disclose::Withheld).await;
    let user = UserId::parse(USER).unwrap();
    for event in stored("user", USER, UserEvent::NAMES) {
        let mut secrets = Vec::new();
        personal_texts(&event.payload, &mut secrets);
        let Content::User(_, happened_so) = read_event(&event) else {
            panic!("{event:?}");
        };
        let text = happened(&happened_so, user, None, &names, 1);
        for secret in secrets {
            assert!(!text.contains(&secret), "{}: {text:?}", event.event_type);
        }
    }
}

fn personal_texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "$personal" => found.push(text.to_owned()),
                    _ => personal_texts(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| personal_texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
