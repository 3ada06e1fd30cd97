//! Views that one process takes from another.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use rollbook_aggregates::user::UserDeleted;
use rollbook_projections::{ViewSource, Views};
use rusqlite::Connection;

use crate::kit::*;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Views of a running process, and what happens once a copy of the users is made.
struct Running {
    views: Views,
    then: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Running {
    fn new(views: &Views) -> Arc<Self> {
        Arc::new(Self {
            views: views.clone(),
            then: Mutex::default(),
        })
    }
}

impl ViewSource for Running {
    fn fetch<'a>(
        &'a self,
        view: &'static str,
        version: u32,
        into: &'a Path,
    ) -> BoxFuture<'a, Result<u64, Failed>> {
        Box::pin(async move {
            let mut copy = self.views.copy(view).await?.ok_or("no such view")?;
            assert_eq!(copy.version, version);
            let size = std::io::copy(&mut copy.file, &mut std::fs::File::create_new(into)?)?;
            assert_eq!(size, copy.size);
            let then = (view == "users").then(|| self.then.lock().unwrap().take());
            if let Some(then) = then.flatten() {
                then.await;
            }
            Ok(copy.position)
        })
    }
}

/// One that sends something else, or nothing.
struct Broken(Option<Vec<u8>>);

impl ViewSource for Broken {
    fn fetch<'a>(
        &'a self,
        _view: &'static str,
        _version: u32,
        into: &'a Path,
    ) -> BoxFuture<'a, Result<u64, Failed>> {
        Box::pin(async move {
            std::fs::write(into, self.0.as_deref().unwrap_or(b"SQLite format 3"))?;
            match self.0 {
                Some(_) => Ok(1),
                None => Err("it broke off".into()),
            }
        })
    }
}

async fn directory() -> Directory {
    let mut directory = Directory::with_account().await;
    for n in 1..=5 {
        let created = vec![person(n).into(), joins(vec![linked(1, n)])];
        directory
            .commit(&acme(), vec![to_user(user_id(n), created)])
            .await;
    }
    directory
}

/// Marks the live rows, as no event ever would.
fn mark(directory: &Directory) {
    Connection::open(file_of(directory.dir.path(), "users"))
        .unwrap()
        .execute("UPDATE users SET phone = 'marked'", [])
        .unwrap();
}

async fn phone(views: &Views) -> Option<String> {
    user(views, 1).await.unwrap().phone
}

#[tokio::test]
async fn r64_a_process_takes_its_views_from_another_and_follows_on_from_there() {
    let mut directory = directory().await;
    let views = directory.views().await;
    views.caught_up(|_| {}).await.unwrap();
    mark(&directory);
    let elsewhere = tempfile::tempdir().unwrap();
    let source = Running::new(&views);
    let log = directory.log.clone();
    let taken = Views::start_from(log, elsewhere.path(), Some(source))
        .await
        .unwrap();
    assert_eq!(phone(&taken).await.as_deref(), Some("marked"));
    directory
        .commit(&acme(), vec![to_user(user_id(6), vec![person(6).into()])])
        .await;
    assert!(user(&taken, 6).await.is_some());
    for views in [&taken, &views] {
        views.caught_up(|_| {}).await.unwrap();
        views.shutdown().await;
    }
    let mut copied = dump(elsewhere.path());
    let mut live = dump(directory.dir.path());
    for tables in [&mut copied, &mut live] {
        tables.retain(|table, _| !table.starts_with("snapshots"));
    }
    assert_eq!(copied, live);
    let leftover = |file: &std::path::PathBuf| {
        let name = file.to_str().unwrap();
        name.contains("leaving") || name.contains("arriving")
    };
    let files = files(elsewhere.path())
        .into_iter()
        .chain(files(directory.dir.path()));
    assert_eq!(files.filter(leftover).count(), 0);
}

#[tokio::test]
async fn r62_who_is_erased_between_the_copy_and_the_first_answer_is_nowhere() {
    let mut directory = directory().await;
    let name = "Wennergren";
    let created = named(9, "OTTWEN", "Ottilie", name);
    directory
        .commit(&acme(), vec![to_user(user_id(9), vec![created.into()])])
        .await;
    let views = directory.views().await;
    let source = Running::new(&views);
    let elsewhere = tempfile::tempdir().unwrap();
    let log = directory.log.clone();
    let dir = directory.dir.path().to_owned();
    let erased = async move {
        directory
            .commit(
                &acme(),
                vec![to_user(user_id(9), vec![UserDeleted {}.into()]).forgetting()],
            )
            .await;
        // The directory stays where it is until the test is over.
        std::mem::forget(directory);
    };
    *source.then.lock().unwrap() = Some(Box::pin(erased));
    let taken = Views::start_from(log, elsewhere.path(), Some(source))
        .await
        .unwrap();
    assert!(user(&taken, 9).await.is_none());
    assert!(user(&taken, 5).await.is_some());
    until("the name is gone", || {
        files_with(elsewhere.path(), name).is_empty()
    })
    .await;
    until("the name is gone", || files_with(&dir, name).is_empty()).await;
    taken.shutdown().await;
    views.shutdown().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn r64_what_cannot_be_taken_is_folded_from_the_log() {
    let directory = directory().await;
    let other = self::directory().await;
    let views = other.views().await;
    let of_another_log: Arc<dyn ViewSource> = Running::new(&views);
    let sources: [Arc<dyn ViewSource>; 3] = [
        Arc::new(Broken(None)),
        Arc::new(Broken(Some(vec![7; 20_000]))),
        of_another_log,
    ];
    for source in sources {
        let elsewhere = tempfile::tempdir().unwrap();
        let log = directory.log.clone();
        let folded = Views::start_from(log, elsewhere.path(), Some(source))
            .await
            .unwrap();
        assert!(user(&folded, 5).await.is_some());
        assert!(files(elsewhere.path()).iter().all(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            !name.contains("arriving")
        }));
    }
}

#[tokio::test]
async fn r64_views_that_are_there_are_not_taken_from_anywhere() {
    let directory = directory().await;
    directory.views().await.shutdown().await;
    let source: Arc<dyn ViewSource> = Arc::new(Broken(None));
    mark(&directory);
    let log = directory.log.clone();
    let views = Views::start_from(log, directory.dir.path(), Some(source))
        .await
        .unwrap();
    assert_eq!(phone(&views).await.as_deref(), Some("marked"));
    assert!(views.copy("nobody").await.unwrap().is_none());
}
