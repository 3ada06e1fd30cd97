//! Logs made of what a backup has: all of it or nothing, and no table is forgotten.

use rollbook_eventstore::backup::{
    BackupRow, Restoration, RestoreError, RestoreFrom, RestoreInto, TABLES, TakesRows,
};
use rollbook_eventstore::proof::{ProvableEvent, TreeKeeper};
use rollbook_eventstore::{Clock, Log, OpenError, ReadQuery, SideRow, sqlite};
use uuid::Uuid;

use crate::given::{all, forgets, held, named, of, request, stream};
use crate::house::{House, Place, on_both_homes};

on_both_homes! {
    r63_a_backup_knows_of_every_table
    r63_a_log_is_made_of_a_backup_as_a_whole_or_not_at_all
}

async fn r63_a_backup_knows_of_every_table(house: &House) {
    let log = house.open().await;
    let known = TABLES.map(|(table, _)| format!("'{table}'")).join(", ");
    let (tables, name) = match &house.place {
        Place::Sqlite(_) => (
            "sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            "name",
        ),
        Place::Postgres { .. } => ("pg_tables WHERE schemaname = 'public'", "tablename"),
    };
    let unknown = format!("SELECT count(*) FROM {tables} AND {name} NOT IN ({known})");
    assert_eq!(
        house.number(&unknown).await,
        0,
        "say in `backup::TABLES` how a backup knows of the new table, and see to it"
    );
    log.close().await;
}

struct Rows(Vec<BackupRow>);

impl TakesRows for Rows {
    fn take(&mut self, row: BackupRow) -> std::io::Result<()> {
        self.0.push(row);
        Ok(())
    }
}

/// A log with something in every table that a backup has.
async fn lived(log: &Log) -> Vec<ProvableEvent> {
    for name in ["anna", "bert"] {
        let mut append = named(name, 0, "Ottilie");
        append.take = vec![held("administrator", "", name)];
        append.request = Some(request(Uuid::now_v7(), 7));
        append.side = vec![SideRow {
            stream: stream(name),
            kind: "password".to_owned(),
            value: Some(b"a hash of Wennergren".to_vec()),
        }];
        log.append(append).await.unwrap();
    }
    log.append(forgets("bert", 1)).await.unwrap();
    TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let query = ReadQuery::default();
    log.provable(&query, 3, false).await.unwrap()
}

fn into(house: &House) -> RestoreInto {
    match &house.place {
        Place::Sqlite(folder) => RestoreInto::Directory(folder.path().to_owned()),
        Place::Postgres { owner, name, .. } => RestoreInto::Database {
            owner_url: owner.clone(),
            application_role: Some(name.clone()),
        },
    }
}

async fn r63_a_log_is_made_of_a_backup_as_a_whole_or_not_at_all(house: &House) {
    let source = House::sqlite();
    let log = source.open().await;
    let events = lived(&log).await;
    let (position, Rows(rows)) = log.back_up(Rows(Vec::new())).await.unwrap();
    assert_eq!(position, 3);
    let text = serde_json::to_string(&rows).unwrap();
    let bare = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD_NO_PAD,
        "a hash of Wennergren",
    );
    assert!(!text.contains(&bare), "secrets are sealed");
    let (mut keys, beside): (Vec<_>, Vec<_>) = rows.into_iter().partition(BackupRow::is_key);
    let log_keys = keys.extract_if(.., |row| matches!(row, BackupRow::LogKey { .. }));
    let log_keys: Vec<_> = log_keys
        .map(|row| match row {
            BackupRow::LogKey { name, wrapped } => (name, wrapped),
            other => panic!("{other:?}"),
        })
        .collect();
    let begin = async |into: &RestoreInto| {
        let from = RestoreFrom::Backup {
            log_keys: log_keys.clone(),
            erased: std::collections::HashSet::default(),
            outliving: Vec::new(),
        };
        Restoration::begin(into, log.id(), from, source.master.clone()).await
    };
    let mut cut_off = begin(&into(house)).await.unwrap();
    cut_off.events(events.clone()).await.unwrap();
    drop(cut_off);
    match &house.place {
        Place::Sqlite(_) => {
            let refused = house.open_with(source.master.clone()).await.map(drop);
            assert!(
                matches!(refused, Err(OpenError::Unfinished(_))),
                "{refused:?}"
            );
        }
        Place::Postgres { .. } => {
            assert_eq!(house.number("SELECT count(*) FROM events").await, 0);
        }
    }
    let mut whole = begin(&into(house)).await.unwrap();
    whole.events(events.clone()).await.unwrap();
    whole.rows(keys).await.unwrap();
    whole.rows(beside).await.unwrap();
    let restored = whole.finish().await.unwrap();
    assert_eq!(restored.tree, log.tree(3).await.unwrap());
    assert_eq!(restored.keys, 1, "bert has none any more");
    let again = begin(&into(house)).await.map(drop);
    assert!(
        matches!(again, Err(RestoreError::Into(OpenError::NotEmpty(3)))),
        "{again:?}"
    );

    let made = house.open_with(source.master.clone()).await.unwrap();
    assert_eq!(made.id(), log.id());
    assert_eq!(all(&made).await, all(&log).await);
    let query = ReadQuery::default();
    assert_eq!(made.provable(&query, 3, false).await.unwrap(), events);
    assert_eq!(made.tree(3).await.unwrap(), restored.tree);
    for name in ["anna", "bert"] {
        let value = |log: &Log| {
            let log = log.clone();
            async move { log.side_row(&stream(name), "password").await.unwrap() }
        };
        assert_eq!(value(&made).await, value(&log).await, "{name}");
    }
    let next = made
        .append(of(vec![crate::given::adds("carl", 0, 1)]))
        .await;
    assert_eq!(next.unwrap().first_position, 4);
    made.close().await;
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_nothing_is_added_to_an_archive() {
    let source = House::sqlite();
    let log = source.open().await;
    let events = lived(&log).await;
    let house = House::sqlite();
    let from = RestoreFrom::Export {
        checkpoint: "the note".to_owned(),
        verifier_key: "the key".to_owned(),
    };
    let begun = Restoration::begin(&into(&house), log.id(), from, house.master.clone()).await;
    let mut making = begun.unwrap();
    making.events(events).await.unwrap();
    making.finish().await.unwrap();
    let Place::Sqlite(folder) = &house.place else {
        panic!("it is embedded");
    };
    let opened = sqlite::open(folder.path(), house.master.clone(), Clock::system()).await;
    let archive = opened.unwrap();
    assert_eq!(archive.archive().unwrap().checkpoint, "the note");
    let refused = archive.append(named("carl", 0, "Ottilie")).await;
    assert!(
        matches!(refused, Err(rollbook_eventstore::AppendError::Archived)),
        "{refused:?}"
    );
    archive.check(Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(archive.head().await.unwrap(), 3);
    assert!(!format!("{:?}", all(&archive).await).contains("Ottilie"));
    archive.close().await;
    log.close().await;
}
