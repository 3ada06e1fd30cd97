//! The tree over the log: grown by whoever keeps it, proved by everybody.

use rollbook_eventstore::proof::{
    CheckpointKey, Hash, ProvableEvent, RunningTree, TreeHead, TreeKeeper, consistent, included,
};
use rollbook_eventstore::{Filter, Log, ReadQuery};

use crate::given::{adds, all, forgets, named, of};
use crate::house::{House, Place, on_both_homes};

on_both_homes! {
    r63_the_tree_follows_the_log_and_proves_its_events
    r63_two_keepers_of_one_tree_never_spoil_it
    r63_a_keeper_notices_that_the_tree_was_set_back
    r63_a_checkpoint_says_where_an_account_ends
    r63_what_opens_a_value_goes_with_its_key_and_the_leaf_stays
    r63_a_log_of_an_earlier_version_gets_a_tree_and_a_key
    r63_an_event_that_was_changed_does_not_fit_the_leaf_that_was_stored
}

/// The tree as whoever has all the events computes it.
async fn computed(log: &Log, size: usize) -> TreeHead {
    let mut tree = RunningTree::default();
    for event in all(log).await.iter().take(size) {
        tree.push(event.hash);
    }
    tree.head()
}

async fn provable(log: &Log) -> Vec<ProvableEvent> {
    let everything = ReadQuery {
        limit: 100_000,
        ..ReadQuery::default()
    };
    log.provable(&everything, u64::MAX, true).await.unwrap()
}

async fn r63_the_tree_follows_the_log_and_proves_its_events(house: &House) {
    let log = house.open().await;
    let mut keeper = TreeKeeper::new(log.clone());
    assert_eq!(keeper.catch_up().await.unwrap(), 0);
    let empty = log.tree(0).await.unwrap();
    assert_eq!(empty, RunningTree::default().head());
    let mut heads = Vec::new();
    for (id, events) in [("1", 3), ("2", 300), ("3", 1)] {
        log.append(of(vec![adds(id, 0, events)])).await.unwrap();
        let size = keeper.catch_up().await.unwrap();
        let head = log.tree(size).await.unwrap();
        assert_eq!(head, computed(&log, 1_000).await);
        heads.push(head);
    }
    log.close().await;
    // Another process goes on from what is stored.
    let log = house.open().await;
    log.append(of(vec![adds("4", 0, 250)])).await.unwrap();
    let size = TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let head = log.tree(size).await.unwrap();
    assert_eq!(head, computed(&log, 1_000).await);
    assert_eq!(size, 554);
    for event in provable(&log).await {
        let leaf = event.content().hash();
        assert_eq!(event.leaf, Some(leaf));
        let proofs = log.inclusion_proofs(size, &[event.position]).await.unwrap();
        assert!(included(&proofs[0], &head, event.position, &leaf));
        assert_eq!(log.stored_leaf(event.position).await.unwrap(), leaf);
    }
    for older in heads {
        assert_eq!(log.tree_root(older.size).await.unwrap(), Some(older.root));
        let proof = log.consistency_proof(older.size, size).await.unwrap();
        assert!(consistent(&proof, &older, &head));
    }
}

async fn r63_a_keeper_notices_that_the_tree_was_set_back(house: &House) {
    let log = house.open().await;
    let mut keeper = TreeKeeper::new(log.clone());
    log.append(of(vec![adds("1", 0, 300)])).await.unwrap();
    assert_eq!(keeper.catch_up().await.unwrap(), 300);
    let empty = hex::encode(RunningTree::default().head().root);
    let root = match house.place {
        Place::Sqlite(_) => format!("x'{empty}'"),
        Place::Postgres { .. } => format!("decode('{empty}', 'hex')"),
    };
    house
        .execute(&format!(
            "UPDATE tree_head SET size = 0, root = {root}; DELETE FROM tree_tiles;"
        ))
        .await
        .unwrap();
    // Nothing is committed, and the tree is what it was again.
    assert_eq!(keeper.catch_up().await.unwrap(), 300);
    assert_eq!(log.tree(300).await.unwrap(), computed(&log, 300).await);
    log.append(of(vec![adds("2", 0, 5)])).await.unwrap();
    assert_eq!(keeper.catch_up().await.unwrap(), 305);
    assert_eq!(log.tree(305).await.unwrap(), computed(&log, 305).await);
}

async fn r63_two_keepers_of_one_tree_never_spoil_it(house: &House) {
    let log = house.open().await;
    let mut keepers = [TreeKeeper::new(log.clone()), TreeKeeper::new(log.clone())];
    for round in 0..6 {
        log.append(of(vec![adds(&round.to_string(), 0, 90)]))
            .await
            .unwrap();
        let [one, two] = &mut keepers;
        let (one, two) = tokio::join!(one.catch_up(), two.catch_up());
        assert_eq!(
            (one.unwrap(), two.unwrap()),
            (90 * (round + 1), 90 * (round + 1))
        );
        let head = log.tree(0).await.unwrap();
        assert_eq!(head, computed(&log, 1_000).await);
    }
}

async fn r63_a_checkpoint_says_where_an_account_ends(house: &House) {
    let log = house.open().await;
    let mut other = adds("3", 0, 4);
    "umbra".clone_into(&mut other.account_id);
    log.append(of(vec![adds("1", 0, 2)])).await.unwrap();
    log.append(of(vec![other])).await.unwrap();
    log.append(of(vec![adds("2", 0, 1)])).await.unwrap();
    let size = TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let head = log.tree(size).await.unwrap();
    let key = CheckpointKey::parse(&log.checkpoint_key().unwrap()).unwrap();
    let events = all(&log).await;
    for (account, numbers, last) in [("acme", 3, 7_usize), ("umbra", 4, 6)] {
        let end = log.account_end(account, size).await.unwrap();
        let note = log.sign_checkpoint(&head, Some(&end)).unwrap();
        let read = key.open(&note).unwrap();
        assert_eq!((read.log_id, read.head), (log.id(), head));
        let end = read.account.unwrap();
        assert_eq!((end.events, end.last_position), (numbers, last as u64));
        assert_eq!(end.last_leaf, events[last - 1].hash);
    }
    let nobody = log.account_end("nobody", size).await.unwrap();
    assert_eq!((nobody.events, nobody.last_leaf), (0, [0; 32]));
    let earlier = log.account_end("acme", 6).await.unwrap();
    assert_eq!((earlier.events, earlier.last_position), (2, 2));
    // The key stays when the process does not.
    let text = log.checkpoint_key();
    log.close().await;
    assert_eq!(house.open().await.checkpoint_key(), text);
}

async fn r63_what_opens_a_value_goes_with_its_key_and_the_leaf_stays(house: &House) {
    let log = house.open().await;
    let mut named = named("1", 0, "Zoë");
    named.metadata.reason = Some("she asked".to_owned());
    log.append(named).await.unwrap();
    TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let before = provable(&log).await.remove(0);
    let opened: Vec<_> = before
        .openings
        .iter()
        .map(|opening| (opening.place.as_str(), opening.value.as_str()))
        .collect();
    assert_eq!(
        opened,
        [("/Named/name", "\"Zoë\""), ("reason", "\"she asked\"")]
    );
    assert!(before.payload.contains(&before.openings[0].commitment()));
    assert!(before.metadata.contains(&before.openings[1].commitment()));
    assert!(!format!("{before:?}").contains("Zoë"));
    log.append(forgets("1", 1)).await.unwrap();
    TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let after = provable(&log).await.remove(0);
    assert_eq!((after.openings, after.fault), (Vec::new(), None));
    assert_eq!((after.leaf, after.payload), (before.leaf, before.payload));
}

async fn r63_a_log_of_an_earlier_version_gets_a_tree_and_a_key(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 5)])).await.unwrap();
    log.close().await;
    let version = match &house.place {
        crate::house::Place::Sqlite(_) => "PRAGMA user_version = 1",
        crate::house::Place::Postgres { .. } => "DELETE FROM log_migrations WHERE version >= 2",
    };
    for sql in [
        "DROP TABLE tree_tiles",
        "DROP TABLE tree_head",
        "DROP TABLE log_archive",
        "DROP TABLE master_keys",
        "DELETE FROM log_keys WHERE name = 'checkpoints'",
        version,
    ] {
        house.execute(sql).await.unwrap();
    }
    if let crate::house::Place::Postgres { owner, name, .. } = &house.place {
        let migrated =
            rollbook_eventstore::postgres::migrate(owner, Some(name), &house.master).await;
        migrated.unwrap();
    }
    let log = house.open().await;
    assert!(log.checkpoint_key().is_some());
    assert_eq!(TreeKeeper::new(log.clone()).catch_up().await.unwrap(), 5);
    assert_eq!(log.tree(5).await.unwrap(), computed(&log, 5).await);
}

async fn r63_an_event_that_was_changed_does_not_fit_the_leaf_that_was_stored(house: &House) {
    let log = house.open().await;
    log.append(named("1", 0, "Zoë")).await.unwrap();
    log.append(of(vec![adds("2", 0, 2)])).await.unwrap();
    TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let kept: Vec<Hash> = all(&log).await.iter().map(|event| event.hash).collect();
    let (guard, change) = match &house.place {
        crate::house::Place::Sqlite(_) => ("DROP TRIGGER events_are_never_changed", ""),
        crate::house::Place::Postgres { .. } => {
            ("DROP TRIGGER events_are_never_changed ON events", "::json")
        }
    };
    house.execute(guard).await.unwrap();
    let sql = format!(
        "UPDATE events SET payload = replace(CAST(payload AS text), '\"n\":1', '\"n\":2'){change} WHERE position = 1"
    );
    house.execute(&sql).await.unwrap();
    let changed = provable(&log).await;
    assert_eq!(changed[0].leaf, Some(kept[0]));
    assert_ne!(changed[0].content().hash(), kept[0]);
    assert_eq!(changed[1].content().hash(), kept[1]);
    // What cannot be opened is told, and nothing else is withheld for it.
    let sql = format!(
        "UPDATE events SET payload = replace(CAST(payload AS text), '$commitment\":\"', '$commitment\":\"x'){change} WHERE position = 1"
    );
    house.execute(&sql).await.unwrap();
    let only = ReadQuery {
        filter: Filter {
            event_types: vec!["Named".to_owned()],
            ..Filter::default()
        },
        ..ReadQuery::default()
    };
    let broken = log.provable(&only, u64::MAX, true).await.unwrap().remove(0);
    assert_eq!(
        broken.fault.as_deref(),
        Some("commitment does not match at `/Named/name`")
    );
}
