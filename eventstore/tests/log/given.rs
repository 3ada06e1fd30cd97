//! Short ways to say an append.

use rollbook_eventstore::{
    Append, Claim, ClaimKey, HeldClaim, Log, Metadata, NewEvent, Request, StreamAppend, StreamId,
};
use serde_json::{Value, json};
use uuid::Uuid;

pub fn stream(id: &str) -> StreamId {
    StreamId::new("user", id)
}

pub fn event(event_type: &str, payload: Value) -> NewEvent {
    NewEvent {
        event_type: event_type.into(),
        event_version: "1".into(),
        payload,
    }
}

/// A stream of the account `acme` with plain events.
pub fn adds(id: &str, expected_revision: u64, events: usize) -> StreamAppend {
    StreamAppend {
        stream: stream(id),
        account_id: "acme".into(),
        expected_revision,
        events: (0..events)
            .map(|number| event("Counted", json!({"Counted": {"number": number}})))
            .collect(),
        forget: false,
    }
}

/// An append of one event with a personal name.
pub fn named(id: &str, expected_revision: u64, name: &str) -> Append {
    let mut stream = adds(id, expected_revision, 0);
    stream.events.push(event(
        "Named",
        json!({"Named": {"name": {"$personal": name}, "n": 1}}),
    ));
    of(vec![stream])
}

pub fn of(streams: Vec<StreamAppend>) -> Append {
    Append {
        streams,
        metadata: Metadata {
            actor: "anna".into(),
            service: "tests".into(),
            ..Metadata::default()
        },
        ..Append::default()
    }
}

/// An append that forgets a stream.
pub fn forgets(id: &str, expected_revision: u64) -> Append {
    let mut stream = adds(id, expected_revision, 1);
    stream.forget = true;
    of(vec![stream])
}

pub fn claim(kind: &str, key: &str) -> Claim {
    Claim {
        account_id: "acme".into(),
        kind: kind.into(),
        key: ClaimKey::Plain(key.into()),
    }
}

pub fn held(kind: &str, key: &str, owner: &str) -> HeldClaim {
    HeldClaim {
        claim: claim(kind, key),
        owner: owner.into(),
    }
}

pub fn takes(held: &[HeldClaim]) -> Append {
    Append {
        take: held.to_vec(),
        ..Append::default()
    }
}

pub fn request(id: Uuid, digest: u8) -> Request {
    Request {
        account_id: "acme".into(),
        request_id: id,
        digest: [digest; 32],
        outcome: vec![digest],
    }
}

/// Every position of the log, oldest first, as a fresh read gives them.
pub async fn all(log: &Log) -> Vec<rollbook_eventstore::RecordedEvent> {
    log.read(&rollbook_eventstore::ReadQuery {
        limit: 1_000_000,
        ..Default::default()
    })
    .await
    .unwrap()
}
