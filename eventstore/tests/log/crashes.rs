//! Connections that die, and several processes on one database.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollbook_eventstore::{AppendError, Requirement, postgres};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::given::{adds, all, claim, forgets, held, named, of, request, stream};
use crate::house::{House, Place};
use crate::proxy::{Cut, Proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_loses_nothing_and_doubles_nothing() {
    let house = House::postgres().await;
    let log = house.open().await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (log, done) = (log.clone(), done.clone());
            tokio::spawn(async move {
                let mut acknowledged = 0;
                while !done.load(Ordering::Relaxed) {
                    log.append(of(vec![adds(&writer.to_string(), acknowledged, 1)]))
                        .await
                        .unwrap();
                    acknowledged += 1;
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        house
            .execute(
                "SELECT pg_terminate_backend(pid)
                 FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'rollbook writer'",
            )
            .await
            .unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let mut acknowledged = HashMap::new();
    for (writer, task) in writers.into_iter().enumerate() {
        acknowledged.insert(stream(&writer.to_string()), task.await.unwrap());
    }
    let events = all(&log).await;
    assert_eq!(events.len() as u64, acknowledged.values().sum::<u64>());
    for (stream, count) in &acknowledged {
        assert_eq!(
            events
                .iter()
                .filter(|event| event.stream == *stream)
                .count() as u64,
            *count
        );
    }
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, position)| event.position == position)
    );
    log.close().await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_database_share_positions_and_claims() {
    let house = House::postgres().await;
    let logs = [house.open().await, house.open().await];
    let tasks: Vec<_> = (0..200_usize)
        .map(|number| {
            let log = logs[number % 2].clone();
            tokio::spawn(async move {
                let id = number.to_string();
                let mut append = of(vec![adds(&id, 0, 1)]);
                let signature = (number / 4).to_string();
                append
                    .require
                    .push(Requirement::Free(claim("signature", &signature)));
                append.take.push(held("signature", &signature, &id));
                log.append(append).await.is_ok()
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 50);
    for log in &logs {
        assert_eq!(log.head().await.unwrap(), 50);
        let events = all(log).await;
        assert!(
            events
                .iter()
                .zip(1..)
                .all(|(event, position)| event.position == position)
        );
        assert!(
            events
                .iter()
                .zip(1..)
                .all(|(event, number)| event.account_number == number)
        );
        let mut followed = Vec::new();
        while followed.len() < 50 {
            let after = followed.len() as u64;
            followed.extend(log.follow_batch(after, 7).await.unwrap());
        }
        let followed: Vec<_> = followed.iter().map(|event| (**event).clone()).collect();
        assert_eq!(followed, events);
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_a_process_sees_at_once_what_another_committed() {
    let house = House::postgres().await;
    let [one, two] = [house.open().await, house.open().await];
    for revision in 0..20 {
        let appended = one.append(of(vec![adds("1", revision, 1)])).await.unwrap();
        assert_eq!(two.head().await.unwrap(), appended.last_position);
    }
    // It is also told without asking.
    let mut moved = two.moved();
    let task = tokio::spawn(async move {
        let told = moved.wait_for(|head| *head >= 21);
        tokio::time::timeout(Duration::from_secs(8), told)
            .await
            .unwrap()
            .map(|head| *head)
            .unwrap()
    });
    one.append(of(vec![adds("1", 20, 1)])).await.unwrap();
    assert_eq!(task.await.unwrap(), 21);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_key_that_another_process_destroyed_is_not_used_again() {
    let house = House::postgres().await;
    let [one, two] = [house.open().await, house.open().await];
    one.append(named("1", 0, "Zoë")).await.unwrap();
    two.append(forgets("1", 1)).await.unwrap();
    // The first process still knows the key, and the next revision.
    let late = one.append(named("1", 2, "Zoë")).await;
    assert!(matches!(late, Err(AppendError::Forgotten(_))), "{late:?}");
    let erased = serde_json::json!({"$erased": true});
    assert_eq!(all(&one).await[0].payload["Named"]["name"], erased);
    one.follow_batch(1, 1).await.unwrap();
    assert_eq!(
        one.follow_batch(0, 1).await.unwrap()[0].payload["Named"]["name"],
        erased
    );
    house.end().await;
}

/// A log whose line to the server is cut, and what is in it in the end, seen past the proxy.
async fn cut(cut: Cut) {
    let house = House::postgres().await;
    let Place::Postgres { application, .. } = &house.place else {
        unreachable!("it was made on PostgreSQL");
    };
    let server = PgConnectOptions::from_str(application).unwrap();
    let proxy = Proxy::before(server.clone()).await;
    let line = server
        .host("127.0.0.1")
        .port(proxy.port)
        .ssl_mode(PgSslMode::Disable)
        .to_url_lossy();
    let log = postgres::open(
        line.as_str(),
        postgres::Options::default(),
        house.master.clone(),
        house.clock.clone(),
    )
    .await
    .unwrap();
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    for revision in 1..4 {
        proxy.cut_next(cut);
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let log = log.clone();
                let id = format!("{revision}-{number}");
                tokio::spawn(async move { log.append(named(&id, 0, "Zoë")).await })
            })
            .collect();
        let appended = log.append(of(vec![adds("1", revision, 1)])).await.unwrap();
        assert_eq!(appended.events[0].revision, revision + 1);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert!(proxy.has_cut(), "the line was not cut");
        // A commit without events has nothing but its transaction to be known by.
        proxy.cut_next(cut);
        let mut claims = of(Vec::new());
        claims.request = Some(request(uuid::Uuid::now_v7(), 1));
        claims
            .require
            .push(Requirement::Free(claim("k", &revision.to_string())));
        claims.take.push(held("k", &revision.to_string(), "1"));
        log.append(claims.clone()).await.unwrap();
        assert!(proxy.has_cut(), "the line was not cut");
        assert!(matches!(
            log.append(claims).await,
            Err(AppendError::Repeated(_))
        ));
    }
    let events = all(&log).await;
    assert_eq!(events.len(), 4 + 15);
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, position)| event.position == position)
    );
    assert_eq!(house.number("SELECT count(*) FROM requests").await, 3);
    drop(log);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found() {
    cut(Cut::AfterCommit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_server_never_heard_of_is_made_again() {
    cut(Cut::BeforeCommit).await;
}
