//! Snapshots: they save a long load, are never trusted over the log, and die with their stream's key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cqrs_es::Aggregate as _;
use rollbook_eventstore::{Log, Repository, Snapshot, Snapshots, StreamId};
use serde_json::json;

use crate::framework::{Member, add, repository};
use crate::house::{House, on_both_homes};

on_both_homes! {
    a_snapshot_and_what_came_since_equal_a_full_replay
    a_snapshot_that_does_not_hold_costs_a_longer_load_and_nothing_else
    a_snapshot_of_another_log_or_form_is_left_alone
    r62_a_snapshot_is_sealed_and_dies_with_the_key_of_its_stream
    several_are_loaded_at_once_with_and_without_snapshots
}

/// Snapshots in memory.
#[derive(Default)]
struct Shelf(Mutex<HashMap<StreamId, Snapshot>>);

impl Shelf {
    fn of(&self, id: &str) -> Option<Snapshot> {
        self.load(&Repository::<Member>::stream(id))
    }

    /// Changes what is kept, as only somebody else could.
    fn spoil(&self, id: &str, spoil: impl FnOnce(&mut Snapshot)) {
        let mut kept = self.0.lock().unwrap();
        spoil(kept.get_mut(&Repository::<Member>::stream(id)).unwrap());
    }
}

impl Snapshots for Shelf {
    fn has(&self, stream: &StreamId) -> bool {
        self.load(stream).is_some()
    }

    fn load(&self, stream: &StreamId) -> Option<Snapshot> {
        self.0.lock().unwrap().get(stream).cloned()
    }

    fn save(&self, snapshot: &Snapshot) {
        let mut kept = self.0.lock().unwrap();
        kept.insert(snapshot.stream.clone(), snapshot.clone());
    }

    fn forget(&self, stream: &StreamId) {
        self.0.lock().unwrap().remove(stream);
    }
}

/// A repository that remembers nothing yet, as that of a process that never commanded what it loads.
fn another(log: &Log, shelf: &Arc<Shelf>, form: &str) -> Repository<Member> {
    let kept: Arc<dyn Snapshots> = shelf.clone();
    Repository::new(log.clone(), Vec::new(), 100, |member: &mut Member| {
        std::mem::take(&mut member.guards)
    })
    .with_snapshots(kept, form)
}

async fn name(log: &Log, id: &str, from: u64, to: u64) {
    for revision in from..to {
        let name = format!("name {revision}");
        log.append(add(id, revision, &name)).await.unwrap();
    }
}

async fn whole(log: &Log, id: &str) -> Arc<Member> {
    let members = another(log, &Arc::default(), "1");
    members.fresh(id).await.unwrap().state
}

async fn a_snapshot_and_what_came_since_equal_a_full_replay(house: &House) {
    let log = repository(house).await.log().clone();
    let shelf = Arc::new(Shelf::default());
    name(&log, "1", 0, 5).await;
    another(&log, &shelf, "1").snapshot("1").await.unwrap();
    assert_eq!(shelf.of("1").unwrap().revision, 5);
    for revision in 5..9 {
        let loaded = another(&log, &shelf, "1").fresh("1").await.unwrap();
        assert_eq!((loaded.revision, loaded.cached), (revision, false));
        assert_eq!(loaded.state, whole(&log, "1").await);
        name(&log, "1", revision, revision + 1).await;
    }
    for revision in [3, 5, 7] {
        let then = another(&log, &shelf, "1").at("1", revision).await.unwrap();
        assert_eq!(
            (then.revision, then.state.names.len() as u64),
            (revision, revision)
        );
    }
    // It is made on what is remembered as well, and moves on.
    let members = another(&log, &shelf, "1");
    members.get("1").await.unwrap();
    name(&log, "1", 9, 10).await;
    members.snapshot("1").await.unwrap();
    assert_eq!(shelf.of("1").unwrap().revision, 10);
    another(&log, &shelf, "1").snapshot("none").await.unwrap();
    assert_eq!(shelf.of("none"), None);
}

async fn a_snapshot_that_does_not_hold_costs_a_longer_load_and_nothing_else(house: &House) {
    let log = repository(house).await.log().clone();
    name(&log, "1", 0, 6).await;
    name(&log, "2", 0, 6).await;
    let expected = whole(&log, "1").await;
    let spoils: [fn(&mut Snapshot, Snapshot); 7] = [
        |kept, _| kept.event_hash[0] ^= 1,
        |kept, _| kept.revision = 4,
        |kept, _| kept.revision = 100,
        |kept, _| kept.sealed.truncate(7),
        |kept, _| kept.sealed[40] ^= 1,
        |kept, other| kept.sealed = other.sealed,
        |kept, other| {
            let stream = kept.stream.clone();
            *kept = Snapshot { stream, ..other };
        },
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let shelf = Arc::new(Shelf::default());
        let members = another(&log, &shelf, "1");
        members.snapshot("1").await.unwrap();
        members.snapshot("2").await.unwrap();
        let other = shelf.of("2").unwrap();
        shelf.spoil("1", |kept| spoil(kept, other));
        let loaded = another(&log, &shelf, "1").fresh("1").await.unwrap();
        assert_eq!((loaded.revision, &loaded.state), (6, &expected), "{number}");
        assert_eq!(shelf.of("1"), None, "{number} is kept");
    }
}

async fn a_snapshot_of_another_log_or_form_is_left_alone(house: &House) {
    let log = repository(house).await.log().clone();
    name(&log, "1", 0, 6).await;
    let shelf = Arc::new(Shelf::default());
    another(&log, &shelf, "1").snapshot("1").await.unwrap();
    let loaded = another(&log, &shelf, "2").fresh("1").await.unwrap();
    assert_eq!(loaded.state, whole(&log, "1").await);
    assert!(
        shelf.of("1").is_some(),
        "an older program may read it still"
    );
    shelf.spoil("1", |kept| kept.log = uuid::Uuid::now_v7());
    let loaded = another(&log, &shelf, "1").fresh("1").await.unwrap();
    assert_eq!(loaded.state, whole(&log, "1").await);
}

async fn r62_a_snapshot_is_sealed_and_dies_with_the_key_of_its_stream(house: &House) {
    let log = repository(house).await.log().clone();
    name(&log, "1", 0, 6).await;
    let shelf = Arc::new(Shelf::default());
    another(&log, &shelf, "1").snapshot("1").await.unwrap();
    let kept = shelf.of("1").unwrap();
    let shown = String::from_utf8_lossy(&kept.sealed).into_owned();
    assert!(!shown.contains("name"), "{shown}");
    let mut left = add("1", 6, "the last");
    left.streams[0].forget = true;
    log.append(left).await.unwrap();
    let members = another(&log, &shelf, "1");
    let loaded = members.fresh("1").await.unwrap();
    assert_eq!(loaded.revision, 7);
    let erased = |name: &serde_json::Value| *name == json!({"$erased": true});
    assert!(loaded.state.names.iter().all(erased), "{:?}", loaded.state);
    assert_eq!(shelf.of("1"), None);
    members.snapshot("1").await.unwrap();
    assert_eq!(shelf.of("1"), None, "there is no key to seal it with");
    assert_eq!(Member::TYPE, "member");
}

async fn several_are_loaded_at_once_with_and_without_snapshots(house: &House) {
    let log = repository(house).await.log().clone();
    let shelf = Arc::new(Shelf::default());
    for id in ["1", "2", "3"] {
        name(&log, id, 0, 4).await;
    }
    let members = another(&log, &shelf, "1");
    members.snapshot("1").await.unwrap();
    members.snapshot("3").await.unwrap();
    shelf.spoil("3", |kept| kept.event_hash[5] ^= 1);
    name(&log, "1", 4, 6).await;
    let found = another(&log, &shelf, "1")
        .get_many(&["2", "1", "none", "3"])
        .await
        .unwrap();
    let revisions: Vec<_> = found.iter().map(|hot| hot.revision).collect();
    assert_eq!(revisions, [4, 6, 0, 4]);
    for (id, hot) in ["2", "1", "none", "3"].into_iter().zip(found) {
        assert_eq!(hot.state, whole(&log, id).await, "{id}");
    }
}
