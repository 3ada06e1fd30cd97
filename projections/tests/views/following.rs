//! How views keep up with the log, and what a read may rely on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollbook_aggregates::user::UserLocked;
use rollbook_projections::{
    FoundUser, Freshness, ListUsers, Progress, ReadError, ViewError, ViewState, Views,
};
use rusqlite::Connection;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::kit::*;

fn state(views: &Views, name: &str) -> ViewState {
    views
        .status()
        .into_iter()
        .find(|status| status.name == name)
        .unwrap()
        .state
}

#[tokio::test]
async fn r56_a_read_sees_every_write_that_was_acknowledged_before_it() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    for n in 1..=50 {
        let position = directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
        let freshness = if n % 2 == 0 {
            Freshness::Latest
        } else {
            Freshness::AtLeast(position)
        };
        assert!(views.users().fresh(freshness, None).await.unwrap() >= position);
        assert!(views.users().get(&acme(), user_id(n)).unwrap().is_some());
    }
}

#[tokio::test]
async fn r56_every_view_waits_for_the_head_of_the_log() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let position = directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let latest = Freshness::default();
    assert_eq!(views.users().fresh(latest, None).await.unwrap(), position);
    assert_eq!(
        views.accounts().fresh(latest, None).await.unwrap(),
        position
    );
    assert_eq!(
        views.supervisors().fresh(latest, None).await.unwrap(),
        position
    );
    assert_eq!(
        views.involvements().fresh(latest, None).await.unwrap(),
        position
    );
    assert_eq!(
        views.invitations().fresh(latest, None).await.unwrap(),
        position
    );
    assert_eq!(views.audit().fresh(latest, None).await.unwrap(), position);
}

#[tokio::test]
async fn r56_a_position_the_log_does_not_have_is_refused_at_once() {
    let directory = Directory::with_account().await;
    let views = directory.views().await;
    match views.users().fresh(Freshness::AtLeast(6), None).await {
        Err(ReadError::BeyondHead { wanted: 6, head: 5 }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r69_a_wait_ends_a_little_before_the_deadline_and_says_how_far_the_view_is() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    // Whoever else writes the file holds the view up.
    let blocker = Connection::open(file_of(directory.dir.path(), "users")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let position = directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let deadline = Instant::now() + Duration::from_millis(200);
    for freshness in [Freshness::Latest, Freshness::AtLeast(position)] {
        // However late this is woken: an answer that is there by the deadline is taken first.
        let answer = timeout_at(deadline, views.users().fresh(freshness, Some(deadline)));
        match answer.await.unwrap() {
            Err(ReadError::Lagging {
                view: "users",
                position: 5,
                wanted: 6,
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        views
            .users()
            .fresh(Freshness::Fastest, Some(deadline))
            .await
            .unwrap(),
        5
    );
    // The others are not held up.
    assert_eq!(
        views.audit().fresh(Freshness::Latest, None).await.unwrap(),
        6
    );
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        views.users().fresh(Freshness::Latest, None).await.unwrap(),
        6
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_no_read_shows_part_of_a_commit() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (views, done) = (views.clone(), done.clone());
        tokio::spawn(async move {
            let mut whole = 0;
            while !done.load(Ordering::SeqCst) {
                for n in 1..=200 {
                    if let Some(FoundUser::Present(row)) =
                        views.users().get(&acme(), user_id(n)).unwrap()
                    {
                        assert_eq!(
                            (row.roles.len(), row.companies.len(), row.revision),
                            (2, 1, 3)
                        );
                        whole += 1;
                    }
                }
                tokio::task::yield_now().await;
            }
            whole
        })
    };
    for n in 1..=200 {
        let events = vec![
            person(n).into(),
            roles(&["clerk", "approver"]),
            joins(vec![linked(1, n)]),
        ];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    done.store(true, Ordering::SeqCst);
    assert!(reader.await.unwrap() > 0);
}

/// Two thousand users in one commit of ten thousand events, while a reader lists all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_a_commit_of_ten_thousand_events_is_never_half_visible() {
    const USERS: u64 = 2_000;
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let reader = {
        let views = views.clone();
        tokio::spawn(async move {
            let everybody = ListUsers {
                total: true,
                limit: 1,
                ..ListUsers::of(acme())
            };
            let mut looks = 0;
            loop {
                let page = views.users().list(everybody.clone()).await.unwrap();
                looks += 1;
                match page.total {
                    Some(0) => assert!(page.rows.is_empty()),
                    Some(USERS) => return (looks, page.rows),
                    half => panic!("{half:?} of {USERS} users are shown"),
                }
            }
        })
    };
    let happening = |n| {
        let events = vec![
            person(n).into(),
            roles(&["approver"]),
            joins(vec![linked(1, n)]),
            UserLocked {}.into(),
            roles(&["clerk"]),
        ];
        to_user(user_id(n), events)
    };
    let position = directory
        .commit(&acme(), (1..=USERS).map(happening).collect())
        .await;
    assert_eq!(position, 5 + 5 * USERS);
    let (looks, rows) = reader.await.unwrap();
    assert!(looks > 0 && rows[0].roles == ["clerk"] && rows[0].facets.locked);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_the_views_that_need_it_and_no_other() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    let cloned = Happening::raw(user_id(2), "UserCloned", json!({ "UserCloned": {} }));
    // In one batch with a whole commit before it, which is still folded.
    let good = directory
        .commit(
            &acme(),
            vec![to_user(user_id(1), vec![UserLocked {}.into()])],
        )
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(3), vec![person(3).into()]), cloned],
        )
        .await;
    until("the users stop", || {
        state(&views, "users") == ViewState::Stopped
    })
    .await;
    for freshness in [Freshness::Latest, Freshness::AtLeast(1), Freshness::Fastest] {
        match views.users().fresh(freshness, None).await {
            Err(ReadError::Stopped {
                view: "users",
                position,
                reason,
            }) => {
                assert_eq!(position, good);
                assert!(
                    reason.contains("position 9") && reason.contains("UserCloned version 1"),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let stopped = views
        .status()
        .into_iter()
        .find(|status| status.name == "users")
        .unwrap();
    assert_eq!((stopped.position, stopped.head), (good, 9));
    assert!(stopped.error.is_some());
    for view in ["audit", "invitations"] {
        assert_eq!(state(&views, view), ViewState::Following, "{view}");
    }
    directory
        .commit(
            &acme(),
            vec![to_invitation(
                invitation_id(1),
                vec![invited(1, "a@example.com").into()],
            )],
        )
        .await;
    assert_eq!(
        views
            .invitations()
            .fresh(Freshness::Latest, None)
            .await
            .unwrap(),
        10
    );
    assert!(
        views
            .invitations()
            .get(&acme(), invitation_id(1))
            .unwrap()
            .is_some()
    );
    // Whoever waits for all views to be there does not wait for one that never will be.
    assert_eq!(views.caught_up(|_| {}).await.unwrap(), 10);
}

/// What no program could read yesterday, today's can: here the log is changed instead of the program.
#[tokio::test]
async fn a_view_that_stopped_goes_on_where_it_stood_once_its_event_can_be_read() {
    let mut directory = Directory::with_account().await;
    for n in 1..=3 {
        let created = vec![to_user(user_id(n), vec![person(n).into()])];
        directory.commit(&acme(), created).await;
    }
    let views = directory.views().await;
    views.caught_up(|_| {}).await.unwrap();
    let cloned = Happening::raw(user_id(2), "UserCloned", json!({ "UserCloned": {} }));
    let poisoned = directory.commit(&acme(), vec![cloned]).await;
    let after = directory
        .commit(&acme(), vec![to_user(user_id(4), vec![person(4).into()])])
        .await;
    until("the users stop", || {
        state(&views, "users") == ViewState::Stopped
    })
    .await;
    // As no event ever would: what is made again from the beginning does not have it.
    Connection::open(file_of(directory.dir.path(), "users"))
        .unwrap()
        .execute("UPDATE users SET phone = 'kept'", [])
        .unwrap();
    views.shutdown().await;
    drop(views);
    let directory = directory
        .reopen(|dir| {
            let log = Connection::open(dir.join("log.sqlite")).unwrap();
            let guards: Vec<String> = log
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for guard in guards {
                log.execute_batch(&format!("DROP TRIGGER {guard}")).unwrap();
            }
            let mended = log.execute(
                "UPDATE events SET event_type = 'UserLocked', payload = '{\"UserLocked\":{}}' WHERE position = ?1",
                [poisoned],
            );
            assert_eq!(mended.unwrap(), 1);
        })
        .await;
    let views = directory.views().await;
    let fresh = views.users().fresh(Freshness::Latest, None).await;
    assert_eq!(fresh.unwrap(), after);
    assert!(user(&views, 2).await.unwrap().facets.locked);
    assert_eq!(
        user(&views, 1).await.unwrap().phone.as_deref(),
        Some("kept")
    );
    assert!(user(&views, 4).await.is_some());
}

#[tokio::test]
async fn building_reports_how_far_it_is_until_each_view_is_there() {
    let mut directory = Directory::with_account().await;
    for n in 1..=20 {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
    }
    let views = Views::start(directory.log.clone(), directory.dir.path())
        .await
        .unwrap();
    let reports = Mutex::new(Vec::new());
    let head = views
        .caught_up(|progress| reports.lock().unwrap().push(*progress))
        .await
        .unwrap();
    assert_eq!(head, 25);
    let reports = reports.into_inner().unwrap();
    for view in [
        "users",
        "supervisors",
        "involvements",
        "invitations",
        "audit",
        "deadlines",
        "mails",
    ] {
        let last = reports.iter().rfind(|report| report.view == view).unwrap();
        assert_eq!(
            *last,
            Progress {
                view: last.view,
                position: 25,
                head: 25
            }
        );
    }
    for status in views.status() {
        assert_eq!(
            (status.position, status.head, status.state, status.error),
            (25, 25, ViewState::Following, None)
        );
    }
}

#[tokio::test]
async fn a_directory_of_views_has_one_process() {
    let directory = Directory::with_account().await;
    let views = directory.views().await;
    match Views::start(directory.log.clone(), directory.dir.path()).await {
        Err(ViewError::InUse(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("two processes share a directory of views"),
    }
    views.shutdown().await;
    drop(views);
    directory.views().await;
}

#[tokio::test]
async fn two_processes_on_one_log_each_follow_it() {
    let mut directory = Directory::with_account().await;
    let other = tempfile::tempdir().unwrap();
    let (here, there) = (
        directory.views().await,
        directory.views_in(other.path()).await,
    );
    directory
        .commit(&acme(), vec![to_user(user_id(1), vec![person(1).into()])])
        .await;
    assert_eq!(user(&here, 1).await, user(&there, 1).await);
}
