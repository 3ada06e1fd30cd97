//! What must not be done to a log, and with which database it is not opened.

use rollbook_eventstore::{Clock, MasterKey, OpenError, postgres, sqlite};

use crate::given::{adds, of};
use crate::house::{House, Place, execute, on_both_homes};

on_both_homes! {
    r58_events_are_never_changed_or_removed
    another_master_key_is_told_at_once
}

async fn r58_events_are_never_changed_or_removed(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    for sql in ["UPDATE events SET event_type = 'x'", "DELETE FROM events"] {
        let refused = house.execute(sql).await.unwrap_err();
        assert!(refused.contains("never"), "{refused}");
    }
    if let Place::Postgres { application, .. } = &house.place {
        let refused = house.execute("TRUNCATE events").await.unwrap_err();
        assert!(refused.contains("never"), "{refused}");
        let replica = "SET session_replication_role = replica; DELETE FROM events";
        assert!(house.execute(replica).await.unwrap_err().contains("never"));
        for sql in [
            "UPDATE events SET event_type = 'x'",
            "DELETE FROM events",
            "TRUNCATE events",
            "ALTER TABLE events DISABLE TRIGGER ALL",
            "DROP TABLE events",
            "UPDATE log_keys SET name = 'x'",
            "DELETE FROM log_keys",
            "UPDATE master_keys SET key_id = ''",
            "DELETE FROM master_keys",
            "DELETE FROM stream_keys",
            "DELETE FROM log_head",
        ] {
            let refused = execute(application, sql).await.unwrap_err();
            assert!(
                refused.contains("denied") || refused.contains("must be owner"),
                "{refused}"
            );
        }
    }
    assert_eq!(
        house
            .number("SELECT count(*) FROM events WHERE event_type = 'Counted'")
            .await,
        1
    );
}

async fn another_master_key_is_told_at_once(house: &House) {
    house.open().await.close().await;
    let refused = house.open_with(MasterKey::generate()).await.unwrap_err();
    assert!(matches!(refused, OpenError::WrongMasterKey), "{refused}");
    house.open().await;
}

#[tokio::test]
async fn a_data_directory_is_opened_by_one_at_a_time() {
    let house = House::sqlite();
    let log = house.open().await;
    let refused = house.open_with(house.master.clone()).await.unwrap_err();
    let OpenError::InUse { holder, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(holder, std::process::id().to_string());
    log.close().await;
    house.open().await;
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let house = House::sqlite();
    house.open().await.close().await;
    house.execute("PRAGMA user_version = 99").await.unwrap();
    let refused = house.open_with(house.master.clone()).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::SchemaVersion { found: 99, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_is_durable_and_overwrites_what_it_deletes() {
    let house = House::sqlite();
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    let Place::Sqlite(folder) = &house.place else {
        panic!()
    };
    let connection = rusqlite::Connection::open(folder.path().join(sqlite::FILE)).unwrap();
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let intact: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .unwrap();
    assert_eq!(intact, "ok");
}

async fn opened(
    url: &str,
    options: postgres::Options,
    master: &MasterKey,
) -> Result<(), OpenError> {
    let log = postgres::open(url, options, master.clone(), Clock::system()).await?;
    log.close().await;
    Ok(())
}

#[tokio::test]
async fn a_database_is_served_only_by_a_role_that_cannot_change_events() {
    let house = House::postgres().await;
    let Place::Postgres { owner, .. } = &house.place else {
        panic!()
    };
    let strict = postgres::Options::default();
    let refused = opened(owner, strict.clone(), &house.master)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("could change events"),
        "{refused}"
    );
    let lenient = postgres::Options {
        allow_owner: true,
        ..strict
    };
    opened(owner, lenient, &house.master).await.unwrap();
    house.end().await;
}

#[tokio::test]
async fn a_database_that_may_lose_commits_is_not_served_from() {
    let house = House::postgres().await;
    let Place::Postgres {
        application, name, ..
    } = &house.place
    else {
        panic!()
    };
    house
        .execute(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = off"
        ))
        .await
        .unwrap();
    let refused = opened(application, postgres::Options::default(), &house.master)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("synchronous_commit"),
        "{refused}"
    );
    house.end().await;
}

#[tokio::test]
async fn a_database_is_migrated_once_and_only_when_allowed() {
    let house = House::empty_postgres().await;
    let Place::Postgres { owner, .. } = &house.place else {
        panic!()
    };
    let lenient = postgres::Options {
        allow_owner: true,
        ..postgres::Options::default()
    };
    let refused = opened(owner, lenient.clone(), &house.master)
        .await
        .unwrap_err();
    assert!(matches!(refused, OpenError::NotMigrated), "{refused}");
    let migrating = postgres::Options {
        migrate: true,
        ..lenient
    };
    let (first, second) = tokio::join!(
        opened(owner, migrating.clone(), &house.master),
        opened(owner, migrating.clone(), &house.master),
    );
    first.and(second).unwrap();
    assert_eq!(house.number("SELECT count(*) FROM log_head").await, 1);
    let refused = postgres::migrate(owner, None, &MasterKey::generate())
        .await
        .unwrap_err();
    assert!(matches!(refused, OpenError::WrongMasterKey), "{refused}");
    house
        .execute("INSERT INTO log_migrations (version) VALUES (99)")
        .await
        .unwrap();
    for refused in [
        opened(owner, migrating, &house.master).await.unwrap_err(),
        postgres::migrate(owner, None, &house.master)
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(refused, OpenError::SchemaVersion { found: 99, .. }),
            "{refused}"
        );
    }
    house.end().await;
}
