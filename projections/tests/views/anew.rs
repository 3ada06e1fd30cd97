//! Views that are made anew beside the live ones.

use std::path::PathBuf;

use rollbook_aggregates::user::UserDeleted;
use rollbook_projections::{
    Freshness, ListUsers, Rebuild, RebuildPhase, RebuildProgress, ViewState, Views,
};
use rusqlite::Connection;
use serde_json::json;

use crate::kit::*;

const COMPARED: Rebuild = Rebuild {
    compare: true,
    keep: false,
};
const CHECKED: Rebuild = Rebuild {
    compare: true,
    keep: true,
};

/// Makes a view anew; answers how it ended.
pub async fn rebuilt(views: &Views, view: &str, how: Rebuild) -> RebuildProgress {
    let mut progress = views.rebuild(view, how).unwrap();
    let over = progress.wait_for(RebuildProgress::is_over).await;
    over.unwrap().clone()
}

/// Makes a view anew, and holds it against the live one.
pub async fn rebuilt_equal(views: &Views, view: &str) {
    let end = rebuilt(views, view, COMPARED).await;
    assert_eq!(
        (end.phase, end.failure),
        (RebuildPhase::Done, None),
        "{view}"
    );
    let comparison = end.comparison.unwrap();
    assert!(comparison.is_equal(), "{view}: {comparison:?}");
}

async fn all_rebuilt(views: &Views) {
    for view in views.status() {
        rebuilt_equal(views, view.name).await;
    }
}

fn files_of(directory: &Directory, view: &str) -> Vec<PathBuf> {
    let begins = format!("{view}-v");
    let is_it = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with(&begins) && name.ends_with(".sqlite")
    };
    files(directory.dir.path())
        .into_iter()
        .filter(is_it)
        .collect()
}

async fn with_users(numbers: std::ops::RangeInclusive<u64>) -> Directory {
    let mut directory = Directory::with_account().await;
    for n in numbers {
        let created = vec![person(n).into(), joins(vec![linked(1, n)])];
        directory
            .commit(&acme(), vec![to_user(user_id(n), created)])
            .await;
    }
    directory
}

async fn count(views: &Views) -> Option<u64> {
    let everybody = ListUsers {
        total: true,
        ..ListUsers::of(acme())
    };
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    views.users().list(everybody).await.unwrap().total
}

#[tokio::test]
async fn r64_a_view_made_anew_takes_the_place_of_the_live_one_and_nothing_of_that_stays() {
    let mut directory = with_users(1..=20).await;
    let views = directory.views().await;
    let before = files_of(&directory, "users");
    let end = rebuilt(&views, "users", Rebuild::default()).await;
    assert_eq!(
        (end.phase, end.comparison, end.failure),
        (RebuildPhase::Done, None, None)
    );
    assert_eq!((end.position, end.indexes), (end.head, end.all_indexes));
    let after = files_of(&directory, "users");
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    directory
        .commit(&acme(), vec![to_user(user_id(21), vec![person(21).into()])])
        .await;
    assert_eq!(count(&views).await, Some(21));
    all_rebuilt(&views).await;
    views.shutdown().await;
    drop(views);
    let views = Views::start(directory.log.clone(), directory.dir.path())
        .await
        .unwrap();
    assert!(views.status().iter().all(|view| view.position > 20));
    assert_eq!(count(&views).await, Some(21));
}

#[tokio::test]
async fn r64_a_live_view_that_differs_is_told_and_only_then_replaced() {
    let directory = with_users(1..=5).await;
    let views = directory.views().await;
    views.caught_up(|_| {}).await.unwrap();
    Connection::open(file_of(directory.dir.path(), "users"))
        .unwrap()
        .execute_batch("UPDATE users SET phone = '1' WHERE number % 2; DELETE FROM user_companies")
        .unwrap();
    let before = files_of(&directory, "users");
    for how in [CHECKED, COMPARED] {
        let end = rebuilt(&views, "users", how).await;
        assert_eq!(end.phase, RebuildPhase::Done);
        let tables = end.comparison.unwrap().tables;
        let differing: Vec<_> = tables.iter().filter(|table| !table.is_equal()).collect();
        let [companies, users] = differing[..] else {
            panic!("{differing:?}");
        };
        assert_eq!(
            (companies.name.as_str(), companies.only_next),
            ("user_companies", 5)
        );
        assert_eq!(
            (users.name.as_str(), users.different + users.same),
            ("users", 5)
        );
        assert!(users.different >= 2);
        assert_eq!(files_of(&directory, "users") == before, how.keep);
    }
    all_rebuilt(&views).await;
}

#[tokio::test]
async fn r64_reads_and_writes_go_on_while_a_view_is_made_anew() {
    let mut directory = with_users(1..=30).await;
    let views = directory.views().await;
    let mut next = 31;
    for how in [COMPARED, Rebuild::default(), COMPARED] {
        let progress = views.rebuild("users", how).unwrap();
        while !progress.borrow().is_over() {
            directory
                .commit(
                    &acme(),
                    vec![to_user(user_id(next), vec![person(next).into()])],
                )
                .await;
            assert!(user(&views, next).await.is_some());
            assert_eq!(count(&views).await, Some(next));
            next += 1;
        }
        let end = progress.borrow().clone();
        assert_eq!(end.phase, RebuildPhase::Done, "{end:?}");
        assert!(
            end.comparison
                .is_none_or(|comparison| comparison.is_equal())
        );
    }
    assert_eq!(count(&views).await, Some(next - 1));
}

#[tokio::test]
async fn r64_views_are_made_anew_one_at_a_time_and_one_nobody_waits_for_is_not_begun() {
    let directory = with_users(1..=3).await;
    let views = directory.views().await;
    let first = views.rebuild("users", COMPARED).unwrap();
    let second = views.rebuild("users", Rebuild::default()).unwrap();
    drop(views.rebuild("audit", Rebuild::default()).unwrap());
    let audit = files_of(&directory, "audit");
    for mut progress in [first, second] {
        let end = progress.wait_for(RebuildProgress::is_over).await.unwrap();
        assert_eq!(end.phase, RebuildPhase::Done);
    }
    // Whoever comes last has its turn last.
    rebuilt(&views, "mails", Rebuild::default()).await;
    assert_eq!(files_of(&directory, "audit"), audit);
    assert!(views.rebuild("nobody", COMPARED).is_none());
}

#[tokio::test]
async fn r64_a_rebuild_that_was_cut_off_leaves_the_live_file_and_goes_at_the_next_start() {
    let directory = with_users(1..=5).await;
    directory.views().await.shutdown().await;
    let live = file_of(directory.dir.path(), "users");
    let name = live.to_str().unwrap();
    let next = PathBuf::from(name.replace(".1.sqlite", ".2.sqlite"));
    std::fs::copy(&live, &next).unwrap();
    Connection::open(&next)
        .unwrap()
        .execute_batch("UPDATE checkpoint SET live = 0")
        .unwrap();
    let views = directory.views().await;
    assert_eq!(files_of(&directory, "users"), std::slice::from_ref(&live));
    assert_eq!(count(&views).await, Some(5));
    views.shutdown().await;
    drop(views);
    // Cut off after it had taken the place, and before the other was removed.
    std::fs::copy(&live, &next).unwrap();
    let views = directory.views().await;
    assert_eq!(files_of(&directory, "users"), [next]);
    assert_eq!(count(&views).await, Some(5));
}

#[tokio::test]
async fn r64_an_event_that_cannot_be_applied_stops_a_rebuild_and_not_the_live_view() {
    let mut directory = with_users(1..=5).await;
    let poison = json!({ "UserRepainted": { "colour": 7 } });
    let poisoned = directory
        .commit(
            &acme(),
            vec![Happening::raw(user_id(1), "UserRepainted", poison)],
        )
        .await;
    let views = directory.views().await;
    views.caught_up(|_| {}).await.unwrap();
    let users = |views: &Views| {
        let status = views.status();
        status
            .into_iter()
            .find(|view| view.name == "users")
            .unwrap()
    };
    assert_eq!(users(&views).state, ViewState::Stopped);
    let end = rebuilt(&views, "users", Rebuild::default()).await;
    assert_eq!(end.phase, RebuildPhase::Failed);
    let at = format!("position {poisoned}");
    assert!(end.failure.unwrap().contains(&at));
    let stopped = users(&views);
    assert_eq!(stopped.state, ViewState::Stopped);
    assert!(stopped.error.unwrap().contains(&at));
    assert_eq!(files_of(&directory, "users").len(), 1);
}

#[tokio::test]
async fn r64_a_view_that_stopped_for_its_file_goes_on_once_it_is_made_anew() {
    let mut directory = with_users(1..=5).await;
    let views = directory.views().await;
    views.caught_up(|_| {}).await.unwrap();
    Connection::open(file_of(directory.dir.path(), "users"))
        .unwrap()
        .execute_batch("DROP TABLE user_roles")
        .unwrap();
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(6),
                vec![person(6).into(), roles(&["clerk"])],
            )],
        )
        .await;
    assert!(views.users().fresh(Freshness::Latest, None).await.is_err());
    assert_eq!(
        rebuilt(&views, "users", Rebuild::default()).await.phase,
        RebuildPhase::Done
    );
    assert_eq!(count(&views).await, Some(6));
    all_rebuilt(&views).await;
}

#[tokio::test]
async fn r62_who_is_erased_while_a_view_is_made_anew_is_in_neither_file() {
    let mut directory = with_users(1..=20).await;
    let created = named(30, "OTTWEN", "Ottilie", "Wennergren");
    let created = vec![created.into(), joins(vec![linked(1, 30)])];
    directory
        .commit(&acme(), vec![to_user(user_id(30), created)])
        .await;
    let views = directory.views().await;
    let mut progress = views.rebuild("users", COMPARED).unwrap();
    progress
        .wait_for(|progress| progress.position > 0)
        .await
        .unwrap();
    let erased = to_user(user_id(30), vec![UserDeleted {}.into()]).forgetting();
    directory.commit(&acme(), vec![erased]).await;
    let end = progress.wait_for(RebuildProgress::is_over).await;
    assert_eq!(end.unwrap().phase, RebuildPhase::Done);
    assert!(user(&views, 30).await.is_none());
    until("the views forgot", || {
        files_with(directory.dir.path(), "Wennergren").is_empty()
    })
    .await;
    all_rebuilt(&views).await;
}

#[tokio::test]
async fn r62_after_an_erasure_nothing_stands_in_unused_parts_of_the_views() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    // Names in no order, so that pages are filled anew again and again.
    for commit in 0..40 {
        let person = |n: u64| {
            let n = 1 + n * 389 % 1009;
            let created = vec![person(n).into(), joins(vec![linked(1, n)])];
            to_user(user_id(n), created)
        };
        let joined = (commit * 20..commit * 20 + 20).map(person).collect();
        directory.commit(&acme(), joined).await;
    }
    assert!(user(&views, 1).await.is_some());
    let data_dir = directory.dir.path().to_owned();
    assert!(pages_with_more(&data_dir) > 0, "there is nothing to sweep");
    let erased = to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting();
    directory.commit(&acme(), vec![erased]).await;
    until("the views are swept", || pages_with_more(&data_dir) == 0).await;
    assert!(user(&views, 390).await.is_some());
    all_rebuilt(&views).await;
}
