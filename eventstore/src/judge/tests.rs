//! A batch must be judged as its appends one after the other would be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::append::{
    Append, Claim, ClaimKey, HeldClaim, Request, Requirement, SideRow, Slot, StreamAppend, Told,
};
use crate::clock::{Timestamp, timestamp};
use crate::keys::{LogKeys, MasterKey};
use crate::prepared::PreparedEvent;
use crate::ring::{InForce, Ring};

fn keys() -> LogKeys {
    let master = MasterKey::generate();
    let ring = Ring::new(master.clone().into());
    let rows: Vec<_> = LogKeys::create(&ring)
        .into_iter()
        .map(|(name, wrapped)| (name.to_owned(), wrapped))
        .collect();
    let in_force = InForce {
        wrapping: master.id(),
        former: None,
    };
    LogKeys::open(ring, &in_force, &rows).unwrap()
}

/// The tables, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tables {
    position: u64,
    revisions: BTreeMap<StreamId, u64>,
    accounts: BTreeMap<String, u64>,
    claims: BTreeSet<Held>,
    keys: BTreeMap<StreamId, Option<Vec<u8>>>,
    side: BTreeMap<(StreamId, String), Vec<u8>>,
    requests: BTreeMap<(String, Uuid), Vec<u8>>,
}

impl Tables {
    fn facts(&self, asked: &Questions) -> Facts {
        let mut facts = Facts {
            position: self.position,
            now: timestamp(1_000_000),
            ..Facts::default()
        };
        for stream in &asked.streams {
            if let Some(revision) = self.revisions.get(stream) {
                facts.revisions.insert(stream.clone(), *revision);
            }
        }
        for stream in &asked.keys {
            if let Some(key) = self.keys.get(stream) {
                let state = key.clone().map_or(KeyState::Destroyed, KeyState::Present);
                facts.keys.insert(stream.clone(), state);
            }
        }
        for account in &asked.accounts {
            if let Some(number) = self.accounts.get(account) {
                facts.accounts.insert(account.clone(), *number);
            }
        }
        for row in &asked.claims {
            let owners = self.claims.iter().filter(|held| held.row == *row);
            let owners: Vec<_> = owners.map(|held| held.owner.clone()).collect();
            let count = owners.len() as u64;
            facts.claims.insert(row.clone(), Holders { count, owners });
        }
        for held in &asked.members {
            if self.claims.contains(held) {
                facts.members.insert(held.clone());
            }
        }
        for row in &asked.side {
            if let Some(value) = self.side.get(row) {
                facts.side.insert(row.clone(), value.clone());
            }
        }
        for request in &asked.requests {
            if let Some(digest) = self.requests.get(request) {
                let repeated = Repeated {
                    first_position: 0,
                    last_position: 0,
                    recorded_at: facts.now,
                    outcome: Vec::new(),
                };
                let digest = digest.clone();
                facts
                    .requests
                    .insert(request.clone(), RequestRow { digest, repeated });
            }
        }
        facts
    }

    fn write(&mut self, batch: &[&Prepared], writes: Writes) {
        for placed in &writes.events {
            let stream = &batch[placed.append].streams[placed.stream];
            self.position += 1;
            assert_eq!(placed.position, self.position);
            let revision = self.revisions.entry(stream.stream.clone()).or_default();
            *revision += 1;
            if let Some(expected) = stream.expected_revision {
                assert_eq!(*revision, expected + placed.event as u64 + 1);
            }
            assert_eq!(
                *revision, placed.revision,
                "the stream goes on where it stands"
            );
            let number = self.accounts.entry(stream.account_id.clone()).or_default();
            *number += 1;
            assert_eq!(placed.account_number, *number);
        }
        assert_eq!(writes.position, self.position);
        for (held, holds) in writes.claims {
            if holds {
                self.claims.insert(held);
            } else {
                self.claims.remove(&held);
            }
        }
        for (stream, key) in writes.keys {
            if key.is_none() {
                self.side.retain(|(owner, _), _| *owner != stream);
            }
            self.keys.insert(stream, key);
        }
        for (name, value) in writes.side {
            match value {
                Some(value) => self.side.insert(name, value),
                None => self.side.remove(&name),
            };
        }
        for (name, row) in writes.requests {
            self.requests.insert(name, row.digest);
        }
    }

    /// Judges and writes a batch; answers what became of each append.
    fn run(&mut self, batch: &[&Prepared]) -> Vec<String> {
        let asked = Questions::of(batch.iter().copied());
        let mut judge = Judge::new(self.facts(&asked));
        let verdicts: Vec<_> = batch
            .iter()
            .enumerate()
            .map(|(index, append)| judge.judge(index, append))
            .collect();
        self.write(batch, judge.finish());
        verdicts.iter().map(told).collect()
    }
}

/// A verdict without what a repeat tells of the first time, which the tables above do not keep.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Refused(AppendError::Repeated(_)) => "repeated".to_owned(),
        other => format!("{other:?}"),
    }
}

fn claim(number: u8) -> Claim {
    Claim {
        account_id: "acme".into(),
        kind: "k".into(),
        key: ClaimKey::Plain(number.to_string()),
    }
}

fn new_event() -> crate::append::NewEvent {
    crate::append::NewEvent {
        event_type: "E".into(),
        event_version: "1".into(),
        payload: serde_json::Value::Null,
    }
}

fn prepare(append: &Append, key: u8, keys: &LogKeys) -> Prepared {
    let mut prepared = Prepared::unsealed(append, keys);
    let event_of = |stream: &StreamId| PreparedEvent {
        payload: "{}".into(),
        metadata: "{}".into(),
        draft: crate::event::RecordedEvent {
            position: 0,
            commit_position: 0,
            account_id: String::new(),
            account_number: 0,
            stream: stream.clone(),
            revision: 0,
            event_type: String::new(),
            event_version: String::new(),
            recorded_at: Timestamp::default(),
            forgets: false,
            metadata: crate::event::Metadata::default(),
            reason: crate::event::Reason::NotGiven,
            payload: serde_json::Value::Null,
            hash: [0; 32],
        },
    };
    for told in &append.told {
        prepared.streams.push(PreparedStream {
            stream: told.stream.clone(),
            account_id: told.account_id.clone(),
            expected_revision: None,
            events: vec![event_of(&told.stream)],
            key: KeyUse::None,
            forget: false,
        });
    }
    for stream in &append.streams {
        prepared.streams.push(PreparedStream {
            stream: stream.stream.clone(),
            account_id: stream.account_id.clone(),
            expected_revision: Some(stream.expected_revision),
            events: stream
                .events
                .iter()
                .map(|_| event_of(&stream.stream))
                .collect(),
            // A stream has a key only with events, as the sealer has it.
            key: match key {
                _ if stream.forget || stream.events.is_empty() => KeyUse::None,
                1 => KeyUse::New(vec![1]),
                2 if stream.expected_revision > 0 => KeyUse::Held(vec![1]),
                _ => KeyUse::None,
            },
            forget: stream.forget,
        });
    }
    prepared
}

prop_compose! {
    fn a_stream()(id in 0..4_u8, account in 0..2_u8, revision in 0..4_u64, events in 0..3_usize, forget: bool)
        -> StreamAppend {
        let event = new_event();
        StreamAppend {
            stream: StreamId::new("user", id.to_string()),
            account_id: account.to_string(),
            expected_revision: revision,
            events: vec![event; events],
            forget: forget && events > 0 && revision > 1,
        }
    }
}

fn a_requirement() -> impl Strategy<Value = Requirement> {
    (
        0..5_u8,
        0..3_u8,
        0..3_u8,
        prop::collection::btree_set(0..3_u8, 0..3),
    )
        .prop_map(|(form, key, owner, owners)| {
            let (claim, owner) = (claim(key), owner.to_string());
            match form {
                0 => Requirement::Free(claim),
                1 => Requirement::FreeBut { claim, owner },
                2 => Requirement::HeldBy { claim, owner },
                3 => Requirement::Another { claim, owner },
                _ => Requirement::Exactly {
                    claim,
                    owners: owners.into_iter().map(|owner| owner.to_string()).collect(),
                },
            }
        })
}

fn some_claims() -> impl Strategy<Value = Vec<HeldClaim>> {
    let held = (0..3_u8, 0..3_u8).prop_map(|(key, owner)| HeldClaim {
        claim: claim(key),
        owner: owner.to_string(),
    });
    prop::collection::vec(held, 0..3)
}

prop_compose! {
    fn an_append()(
        streams in prop::collection::vec(a_stream(), 0..3),
        require in prop::collection::vec(a_requirement(), 0..2),
        release in some_claims(),
        take in some_claims(),
        request in prop::option::of((0..3_u128, 0..2_u8)),
        side in prop::option::of((0..4_u8, prop::option::of(0..3_u8))),
        slot in prop::option::of((0..4_u8, 0..2_i64, 0..3_u32)),
        told in prop::option::of(0..2_u8),
        key in 0..3_u8,
    ) -> (Append, u8) {
        let mut named = BTreeSet::new();
        let append = Append {
            streams: streams.into_iter().filter(|s| named.insert(s.stream.clone())).collect(),
            require,
            release,
            take,
            request: request.map(|(id, digest)| Request {
                account_id: "acme".into(),
                request_id: Uuid::from_u128(id),
                digest: [digest; 32],
                outcome: Vec::new(),
            }),
            side: side.into_iter().map(|(id, value)| SideRow {
                stream: StreamId::new("user", id.to_string()),
                kind: "k".into(),
                value: value.map(|value| vec![value]),
            }).collect(),
            slots: slot.into_iter().map(|(id, series, limit)| Slot {
                stream: StreamId::new("user", id.to_string()),
                kind: "k".into(),
                series,
                limit,
            }).collect(),
            told: told.into_iter().map(|id| Told {
                stream: StreamId::new("told", id.to_string()),
                account_id: "0".into(),
                event: new_event(),
            }).collect(),
            ..Append::default()
        };
        (append, key)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_batch_is_judged_as_its_appends_one_after_the_other(
        batches in prop::collection::vec(prop::collection::vec(an_append(), 1..6), 1..5)
    ) {
        let keys = keys();
        let (mut together, mut apart) = (Tables::default(), Tables::default());
        for batch in batches {
            let batch: Vec<_> = batch.iter().map(|(append, key)| prepare(append, *key, &keys)).collect();
            let batch: Vec<_> = batch.iter().collect();
            let one_by_one: Vec<_> = batch.iter().flat_map(|append| apart.run(&[append])).collect();
            prop_assert_eq!(together.run(&batch), one_by_one);
            prop_assert_eq!(&together, &apart);
        }
    }
}

fn stream(id: &str, expected_revision: u64, events: usize) -> StreamAppend {
    let event = new_event();
    StreamAppend {
        stream: StreamId::new("user", id),
        account_id: "acme".into(),
        expected_revision,
        events: vec![event; events],
        forget: false,
    }
}

#[test]
fn a_repeated_request_is_answered_before_anything_else_is_judged() {
    let keys = keys();
    let append = Append {
        streams: vec![stream("1", 0, 1)],
        request: Some(Request {
            account_id: "acme".into(),
            request_id: Uuid::nil(),
            digest: [1; 32],
            outcome: Vec::new(),
        }),
        ..Append::default()
    };
    let mut other = append.clone();
    other.request.as_mut().unwrap().digest = [2; 32];
    let appends = [&append, &append, &other].map(|append| prepare(append, 0, &keys));
    let verdicts = Tables::default().run(&appends.iter().collect::<Vec<_>>());
    assert!(verdicts[0].starts_with("Accepted"), "{verdicts:?}");
    assert_eq!(verdicts[1], "repeated");
    assert_eq!(verdicts[2], "Refused(RequestReused)");
}

#[test]
fn revisions_are_judged_before_requirements() {
    let keys = keys();
    let append = Append {
        streams: vec![stream("1", 3, 1)],
        require: vec![Requirement::HeldBy {
            claim: claim(1),
            owner: "a".into(),
        }],
        ..Append::default()
    };
    let verdicts = Tables::default().run(&[&prepare(&append, 0, &keys)]);
    assert!(verdicts[0].starts_with("Refused(Conflict("), "{verdicts:?}");
}

#[test]
fn a_key_that_was_made_meanwhile_is_used_instead_of_a_second_one() {
    let keys = keys();
    let mut tables = Tables::default();
    let first = Append {
        streams: vec![stream("1", 0, 1)],
        ..Append::default()
    };
    let second = Append {
        streams: vec![stream("1", 1, 1)],
        ..Append::default()
    };
    let new = prepare(&first, 1, &keys);
    let other = prepare(&second, 1, &keys);
    let held = prepare(&second, 2, &keys);
    assert_eq!(tables.run(&[&new, &other])[1], "KeyMoved");
    assert!(tables.run(&[&held])[0].starts_with("Accepted"));
}

fn slot(series: i64, limit: u32) -> Append {
    Append {
        slots: vec![Slot {
            stream: StreamId::new("user", "1"),
            kind: "tries".into(),
            series,
            limit,
        }],
        ..Append::default()
    }
}

#[test]
fn r22_of_a_series_no_more_slots_are_taken_than_there_are() {
    let keys = keys();
    let mut tables = Tables::default();
    let mut take = |appends: &[Append]| -> Vec<bool> {
        let batch: Vec<_> = appends.iter().map(|a| prepare(a, 0, &keys)).collect();
        let verdicts = tables.run(&batch.iter().collect::<Vec<_>>());
        let taken = |verdict: &String| verdict.contains("taken: true");
        verdicts.iter().map(taken).collect()
    };
    assert_eq!(
        take(&[slot(1, 2), slot(1, 2), slot(1, 2)]),
        [true, true, false]
    );
    assert_eq!(take(&[slot(1, 2)]), [false], "in a later batch too");
    assert_eq!(take(&[slot(1, 3), slot(2, 2)]), [true, true]);
    let reset = Append {
        side: vec![SideRow {
            stream: StreamId::new("user", "1"),
            kind: "tries".into(),
            value: None,
        }],
        ..Append::default()
    };
    assert_eq!(take(&[slot(2, 1), reset, slot(2, 1)]), [false, false, true]);
}

#[test]
fn what_is_told_is_added_wherever_the_stream_stands() {
    let keys = keys();
    let mut tables = Tables::default();
    let told = Append {
        told: vec![Told {
            stream: StreamId::new("signin", "1"),
            account_id: "acme".into(),
            event: new_event(),
        }],
        ..Append::default()
    };
    let batch = [&told, &told].map(|append| prepare(append, 0, &keys));
    tables.run(&batch.iter().collect::<Vec<_>>());
    tables.run(&[&prepare(&told, 0, &keys)]);
    assert_eq!(tables.revisions[&StreamId::new("signin", "1")], 3);
}
