//! Rotation of the master key: while the log is read and written, to the end however often it is cut off, and past nobody who
//! lacks the key.

use std::time::Duration;

use rollbook_eventstore::{
    KeyId, Log, MasterKey, MasterKeys, NotRotated, OpenError, Rotation, RotationProgress,
};
use serde_json::json;

use crate::given::{all, forgets, named, of};
use crate::house::{House, Place, on_both_homes};

on_both_homes! {
    r62_every_key_is_wrapped_under_the_next_master_key_while_the_log_is_written
    r62_a_rotation_that_was_cut_off_is_gone_on_with
    r62_a_rotation_needs_a_next_key_and_an_end_of_the_last_one
    r62_a_log_of_an_earlier_version_learns_its_master_key_and_is_rotated
}

/// More than one commit wraps anew.
const STREAMS: usize = 300;

fn both(house: &House, next: &MasterKey) -> MasterKeys {
    MasterKeys::from(&house.master).with_next(Some(next.clone()))
}

async fn fill(log: &Log, streams: usize) {
    let first: Vec<_> = (0..streams)
        .flat_map(|id| named(&id.to_string(), 0, &format!("Name {id}")).streams)
        .collect();
    log.append(of(first)).await.unwrap();
}

async fn ended(mut rotation: Rotation) -> RotationProgress {
    let over = |told: &Result<RotationProgress, NotRotated>| {
        told.as_ref().map_or(true, |progress| progress.done)
    };
    let told = tokio::time::timeout(Duration::from_mins(1), rotation.wait_for(over)).await;
    told.unwrap().unwrap().clone().unwrap()
}

/// How many keys are not wrapped under this master key.
async fn otherwise(house: &House, key: KeyId) -> i64 {
    let (hex, end) = match house.place {
        Place::Sqlite(_) => ("lower(hex(substr(wrapped, 1, 8)))", ""),
        Place::Postgres { .. } => ("encode(substr(wrapped, 1, 8), 'hex')", " AS k"),
    };
    house
        .number(&format!(
            "SELECT count(*)
             FROM (SELECT wrapped FROM stream_keys UNION ALL SELECT wrapped FROM log_keys){end}
             WHERE wrapped IS NOT NULL AND {hex} <> '{key}'"
        ))
        .await
}

/// The wrapped key of a stream, as hexadecimal digits.
async fn wrapped(house: &House, id: &str) -> String {
    let hex = match house.place {
        Place::Sqlite(_) => "lower(hex(wrapped))",
        Place::Postgres { .. } => "encode(wrapped, 'hex')",
    };
    let query = format!("SELECT {hex} FROM stream_keys WHERE aggregate_id = '{id}'");
    house.text(&query).await
}

fn names(events: &[rollbook_eventstore::RecordedEvent]) -> Vec<String> {
    let name =
        |event: &rollbook_eventstore::RecordedEvent| event.payload["Named"]["name"].to_string();
    events.iter().map(name).collect()
}

async fn r62_every_key_is_wrapped_under_the_next_master_key_while_the_log_is_written(
    house: &House,
) {
    let next = MasterKey::generate();
    let log = house.open_with(both(house, &next)).await.unwrap();
    let other = match house.place {
        Place::Postgres { .. } => house.open_with(both(house, &next)).await.unwrap(),
        Place::Sqlite(_) => log.clone(),
    };
    fill(&log, STREAMS).await;
    log.append(forgets("7", 1)).await.unwrap();
    let token = log.token("t", &[b"x"]);
    let signed_by = log.checkpoint_key();
    let wrapped_before = wrapped(house, "9").await;
    let rotation = log.rotate_master_key("an operator").await.unwrap();
    // Streams that there are, streams that are new, and streams that go, in both processes.
    for id in 0..20 {
        for (log, of) in [(&log, "one"), (&other, "two")] {
            log.append(named(&format!("{of}-{id}"), 0, "New"))
                .await
                .unwrap();
        }
        log.append(named(&(100 + id).to_string(), 1, "Again"))
            .await
            .unwrap();
        other
            .append(forgets(&(200 + id).to_string(), 1))
            .await
            .unwrap();
        assert!(!all(&other).await.is_empty());
    }
    let done = ended(rotation).await;
    assert_eq!(done.key, next.id());
    assert_eq!(otherwise(house, next.id()).await, 0);
    let (old, new) = (wrapped_before, wrapped(house, "9").await);
    assert_ne!(old, new);
    log.append(forgets("9", 1)).await.unwrap();
    let everything = house.everything().await;
    for key in [old, new] {
        let bytes = hex::decode(&key).unwrap();
        assert!(!everything.windows(48).any(|found| found == &bytes[32..]));
        assert!(
            !everything
                .windows(96)
                .any(|found| found == &key.as_bytes()[64..])
        );
    }
    other.append(named("after", 0, "After")).await.unwrap();
    assert_eq!(otherwise(house, next.id()).await, 0);
    let known = log.master_keys(2).await.unwrap();
    assert_eq!(known[0].key, next.id());
    assert_eq!(known[0].former, Some(house.master.id()));
    assert_eq!(known[0].begun_by, "an operator");
    assert!(known[0].finished_at.is_some());
    let read = names(&all(&log).await);
    other.close().await;
    log.close().await;

    let refused = house.open_with(house.master.clone()).await.unwrap_err();
    assert!(matches!(refused, OpenError::WrongMasterKey), "{refused}");
    let log = house.open_with(next).await.unwrap();
    let again = all(&log).await;
    assert_eq!(names(&again), read);
    assert_eq!(again[7].payload["Named"]["name"], json!({"$erased": true}));
    assert_eq!(
        again[8].payload["Named"]["name"],
        json!({"$personal": "Name 8"})
    );
    assert_eq!(log.token("t", &[b"x"]), token);
    assert_eq!(log.checkpoint_key(), signed_by);
    log.close().await;
}

async fn r62_a_rotation_that_was_cut_off_is_gone_on_with(house: &House) {
    let next = MasterKey::generate();
    let log = house.open_with(both(house, &next)).await.unwrap();
    fill(&log, STREAMS).await;
    ended(log.rotate_master_key("one").await.unwrap()).await;
    log.close().await;
    // As it is when the process dies after the first commit and some more: both keys wrap, and the end is not recorded.
    house
        .execute("UPDATE master_keys SET finished_at = NULL WHERE number = 2")
        .await
        .unwrap();
    for only in [&house.master, &next] {
        let refused = house.open_with(only.clone()).await.unwrap_err();
        assert!(
            matches!(refused, OpenError::MasterKeyMissing(_)),
            "{refused}"
        );
    }
    let strange = house.open_with(MasterKey::generate()).await.unwrap_err();
    assert!(matches!(strange, OpenError::WrongMasterKey), "{strange}");
    let log = house.open_with(both(house, &next)).await.unwrap();
    let joined = log.rotate_master_key("two").await.unwrap();
    assert!(ended(joined).await.done);
    let again = ended(log.rotate_master_key("three").await.unwrap()).await;
    assert_eq!(again.rewrapped, 0);
    let known = log.master_keys(3).await.unwrap();
    assert_eq!((known.len(), known[0].begun_by.as_str()), (2, "one"));
    log.close().await;
    house.open_with(next).await.unwrap().close().await;
}

async fn r62_a_rotation_needs_a_next_key_and_an_end_of_the_last_one(house: &House) {
    let (next, third) = (MasterKey::generate(), MasterKey::generate());
    let log = house.open().await;
    fill(&log, 3).await;
    let refused = log.rotate_master_key("x").await.unwrap_err();
    assert!(matches!(refused, NotRotated::NoNextKey), "{refused}");
    if let Place::Postgres { .. } = house.place {
        // The process that was given the key does not begin while the other one lacks it.
        let other = house.open_with(both(house, &next)).await.unwrap();
        let refused = other.rotate_master_key("x").await.unwrap_err();
        assert!(
            matches!(refused, NotRotated::UnknownElsewhere(1)),
            "{refused}"
        );
        assert_eq!(otherwise(house, house.master.id()).await, 0);
        other.close().await;
    }
    log.close().await;
    let log = house.open_with(both(house, &next)).await.unwrap();
    ended(begun(&log).await).await;
    log.close().await;
    house
        .execute("UPDATE master_keys SET finished_at = NULL WHERE number = 2")
        .await
        .unwrap();
    let back = MasterKeys::from(&next).with_next(Some(house.master.clone()));
    let log = house.open_with(back).await.unwrap();
    let refused = log.rotate_master_key("x").await.unwrap_err();
    assert!(
        matches!(refused, NotRotated::AnotherUnderWay(key) if key == next.id()),
        "{refused}"
    );
    log.close().await;
    let log = house.open_with(both(house, &next)).await.unwrap();
    ended(begun(&log).await).await;
    log.close().await;
    let log = house
        .open_with(MasterKeys::from(&next).with_next(Some(third.clone())))
        .await
        .unwrap();
    ended(begun(&log).await).await;
    assert_eq!(otherwise(house, third.id()).await, 0);
    log.close().await;
}

/// Begins once the server has noticed that other processes are gone.
async fn begun(log: &Log) -> Rotation {
    let begun = async {
        loop {
            match log.rotate_master_key("x").await {
                Err(NotRotated::UnknownElsewhere(_)) => tokio::task::yield_now().await,
                begun => return begun.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), begun)
        .await
        .unwrap()
}

async fn r62_a_log_of_an_earlier_version_learns_its_master_key_and_is_rotated(house: &House) {
    let next = MasterKey::generate();
    let log = house.open().await;
    fill(&log, 3).await;
    let read = names(&all(&log).await);
    log.close().await;
    // What is wrapped said nothing of its key then, and no table did.
    house
        .execute(
            "UPDATE stream_keys SET wrapped = substr(wrapped, 9);
             UPDATE log_keys SET wrapped = substr(wrapped, 9);
             DROP TABLE master_keys;
             DROP TABLE log_archive;",
        )
        .await
        .unwrap();
    match &house.place {
        Place::Sqlite(_) => house.execute("PRAGMA user_version = 2").await.unwrap(),
        Place::Postgres { owner, name, .. } => {
            house
                .execute("DELETE FROM log_migrations WHERE version >= 3")
                .await
                .unwrap();
            let stranger = MasterKey::generate();
            let refused = rollbook_eventstore::postgres::migrate(owner, Some(name), stranger).await;
            assert!(matches!(refused, Err(OpenError::WrongMasterKey)));
            rollbook_eventstore::postgres::migrate(owner, Some(name), &house.master)
                .await
                .unwrap();
        }
    }
    let log = house.open_with(both(house, &next)).await.unwrap();
    assert_eq!(names(&all(&log).await), read);
    ended(begun(&log).await).await;
    assert_eq!(otherwise(house, next.id()).await, 0);
    log.close().await;
    let log = house.open_with(next).await.unwrap();
    assert_eq!(names(&all(&log).await), read);
    log.close().await;
}
