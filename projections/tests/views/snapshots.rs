//! Snapshots of long streams: made by a follower, kept in a file that may be lost, gone with their person.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rollbook_aggregates::FORM;
use rollbook_aggregates::upcasters::upcasters;
use rollbook_aggregates::user::{InvoiceQueued, User, UserDeleted, UserEvent};
use rollbook_eventstore::{Guards, Log, Repository, Snapshots as _, StreamId};
use rollbook_projections::Views;

use crate::kit::*;

fn stream(user: u64) -> StreamId {
    StreamId::new("user", user_id(user).to_string())
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("views/snapshots-v1.sqlite")
}

/// The users as a process loads them that never commanded one.
fn users(log: &Log, views: &Views) -> Repository<User> {
    Repository::new(log.clone(), upcasters("user"), 10, |_| Guards::default())
        .with_snapshots(views.snapshots(), FORM)
}

/// Views whose snapshots are followed.
async fn following(directory: &Directory) -> Views {
    let views = directory.views().await;
    let keeper = users(&directory.log, &views);
    views.keep_snapshots(Arc::new(move |stream: StreamId| {
        let keeper = keeper.clone();
        async move { keeper.snapshot(&stream.aggregate_id).await }.boxed()
    }));
    views
}

fn queued(from: u64, to: u64) -> Vec<UserEvent> {
    (from..to)
        .map(|number| {
            InvoiceQueued {
                company_id: company_id(1),
                invoice_id: invoice_id(number),
            }
            .into()
        })
        .collect()
}

/// A directory with a user of so many events.
async fn with_life(events: u64) -> Directory {
    let mut directory = Directory::with_account().await;
    let created = named(1, "OTTI", "Ottilie", "Ek").into();
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![created])])
        .await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), queued(1, events))])
        .await;
    directory
}

/// Waits until it is so; nobody is told when.
async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(waited.is_ok(), "{what}");
}

async fn loads_as_replayed(directory: &Directory, views: &Views) {
    let id = user_id(1).to_string();
    let whole: Repository<User> =
        Repository::new(directory.log.clone(), upcasters("user"), 10, |_| {
            Guards::default()
        });
    let whole = whole.fresh(&id).await.unwrap();
    let loaded = users(&directory.log, views).fresh(&id).await.unwrap();
    assert_eq!(
        (loaded.revision, loaded.state),
        (whole.revision, whole.state)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_grows_long_is_loaded_from_a_snapshot() {
    let mut directory = with_life(600).await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![named(2, "BO", "Bo", "Ek").into()])],
        )
        .await;
    let views = following(&directory).await;
    let kept = views.snapshots();
    until("a first snapshot", || {
        kept.revision_of(&stream(1)) == Some(600)
    })
    .await;
    assert_eq!(
        kept.revision_of(&stream(2)),
        None,
        "a short stream needs none"
    );
    directory
        .commit(&acme(), vec![to_user(user_id(1), queued(600, 700))])
        .await;
    loads_as_replayed(&directory, &views).await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), queued(700, 900))])
        .await;
    until("another snapshot", || {
        kept.revision_of(&stream(1)) == Some(900)
    })
    .await;
    loads_as_replayed(&directory, &views).await;
    views.shutdown().await;
    let bytes = std::fs::read(file(directory.dir.path())).unwrap();
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(!holds("Ottilie") && !holds("INV-5"), "a snapshot is sealed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_snapshot_goes_with_its_person() {
    let mut directory = with_life(600).await;
    let views = following(&directory).await;
    let kept = views.snapshots();
    until("a snapshot", || kept.has(&stream(1))).await;
    let deleted = to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting();
    directory.commit(&acme(), vec![deleted]).await;
    until("its end", || !kept.has(&stream(1))).await;
    assert_eq!(kept.load(&stream(1)), None);
    loads_as_replayed(&directory, &views).await;
    views.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_another_form_or_a_damaged_file_are_made_anew() {
    let directory = with_life(600).await;
    let spoils: [fn(&Path); 3] = [
        |path| {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection
                .execute(
                    "UPDATE snapshots SET form = 'older', event_hash = zeroblob(32)",
                    [],
                )
                .unwrap();
        },
        |path| std::fs::write(path, "no database").unwrap(),
        |path| {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection
                .execute("UPDATE followed SET log_id = zeroblob(16)", [])
                .unwrap();
        },
    ];
    for spoil in spoils {
        let views = following(&directory).await;
        let kept = views.snapshots();
        until("a snapshot", || kept.has(&stream(1))).await;
        let first = kept.load(&stream(1)).unwrap();
        drop(kept);
        views.shutdown().await;
        drop(views);
        spoil(&file(directory.dir.path()));
        let views = following(&directory).await;
        let kept = views.snapshots();
        until("another snapshot", || {
            kept.load(&stream(1)).is_some_and(|made| {
                (&made.form, made.event_hash) == (&first.form, first.event_hash)
            })
        })
        .await;
        loads_as_replayed(&directory, &views).await;
        views.shutdown().await;
    }
}
