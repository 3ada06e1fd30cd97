//! What an append does, alone and among others.

use std::collections::HashMap;
use std::time::Duration;

use rollbook_eventstore::{Append, AppendError, Conflict, Log, SideRow, Slot, StreamId, Told};
use serde_json::json;

use crate::given::{adds, all, event, forgets, held, of, stream, takes};
use crate::house::{House, on_both_homes};

on_both_homes! {
    an_append_answers_what_a_reader_gets
    an_append_over_several_streams_happens_as_a_whole
    a_bad_append_does_not_touch_those_it_is_committed_with
    an_append_is_finished_though_nobody_waits
    an_append_that_contradicts_itself_is_refused
    r58_positions_revisions_and_account_numbers_have_no_gap
    r58_times_never_decrease_when_the_clock_goes_back
    an_append_of_nothing_confirms_revisions
    r42_what_is_told_is_added_wherever_its_stream_stands
    r22_slots_are_taken_once_by_any_process_and_survive_it
    a_closed_log_finishes_what_is_queued_and_takes_no_more
    what_was_appended_is_there_after_a_restart
}

async fn an_append_answers_what_a_reader_gets(house: &House) {
    let log = house.open().await;
    let mut append = of(vec![adds("1", 0, 2), adds("2", 0, 1)]);
    append.streams[0].events[0] = event("Named", json!({"Named": {"name": {"$personal": "Zoë"}}}));
    append.metadata.reason = Some("because".into());
    append.metadata.request_id = Some("r".into());
    append.metadata.trace_id = Some("t".into());
    let appended = log.append(append).await.unwrap();
    assert_eq!((appended.first_position, appended.last_position), (1, 3));
    let answered: Vec<_> = appended
        .events
        .iter()
        .map(|event| (**event).clone())
        .collect();
    assert_eq!(answered, all(&log).await);
    assert_eq!(
        answered[0].payload["Named"]["name"],
        json!({"$personal": "Zoë"})
    );
    assert_eq!(answered[0].metadata.reason.as_deref(), Some("because"));
    let at = appended
        .recorded_at
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    assert_eq!(answered[0].payload["$recorded_at"], json!(at));
    assert!(answered.iter().all(|event| event.commit_position == 3));
    let followed = log.follow_batch(0, 10).await.unwrap();
    assert_eq!(followed, appended.events);
}

async fn an_append_over_several_streams_happens_as_a_whole(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 2)])).await.unwrap();
    let mut append = of(vec![adds("1", 1, 1), adds("2", 0, 1), adds("3", 4, 1)]);
    append.take.push(held("k", "x", "1"));
    let refused = log.append(append).await.unwrap_err();
    let AppendError::Conflict(conflicts) = refused else {
        panic!("{refused}");
    };
    let conflict = |id, expected, actual| Conflict {
        stream: stream(id),
        expected,
        actual,
    };
    assert_eq!(conflicts, [conflict("1", 1, 2), conflict("3", 4, 0)]);
    assert_eq!(all(&log).await.len(), 2);
    let claims = log.holders(&[held("k", "x", "1").claim]).await.unwrap();
    assert_eq!(claims[0].count, 0);
    let appended = log
        .append(of(vec![adds("1", 2, 1), adds("2", 0, 2)]))
        .await
        .unwrap();
    assert_eq!(appended.events.len(), 3);
}

async fn a_bad_append_does_not_touch_those_it_is_committed_with(house: &House) {
    let log = house.open().await;
    let mut tasks = Vec::new();
    for number in 0..200 {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            // Every other one expects a stream that is not there.
            log.append(of(vec![adds(&number.to_string(), number % 2, 1)]))
                .await
        }));
    }
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().is_ok(), number % 2 == 0, "{number}");
    }
    assert_eq!(all(&log).await.len(), 100);
}

async fn an_append_is_finished_though_nobody_waits(house: &House) {
    let log = house.open().await;
    for number in 0..50 {
        let append = log.append(of(vec![adds(&number.to_string(), 0, 1)]));
        let polled = tokio::time::timeout(Duration::ZERO, append).await;
        drop(polled);
    }
    let mut moved = log.moved();
    let head = tokio::time::timeout(Duration::from_secs(20), moved.wait_for(|head| *head == 50));
    head.await.unwrap().unwrap();
    assert_eq!(all(&log).await.len(), 50);
}

async fn an_append_that_contradicts_itself_is_refused(house: &House) {
    let log = house.open().await;
    let mut forgets_silently = adds("1", 0, 0);
    forgets_silently.forget = true;
    let mut with_nul = adds("1", 0, 1);
    with_nul.events[0].event_type = "a\0b".into();
    let mut with_reserved = adds("1", 0, 1);
    with_reserved.events[0].payload = json!({"$sealed": 1});
    for streams in [
        vec![adds("1", 0, 1), adds("1", 1, 1)],
        vec![forgets_silently],
        vec![with_nul],
        vec![with_reserved],
        vec![adds("", 0, 1)],
    ] {
        let refused = log.append(of(streams)).await.unwrap_err();
        assert!(matches!(refused, AppendError::Malformed(_)), "{refused}");
    }
    // A payload may hold what no column may.
    let mut append = of(vec![adds("1", 0, 1)]);
    append.streams[0].events[0].payload = json!({"A": {"text": "a\0b\u{10ffff}"}});
    log.append(append).await.unwrap();
    assert_eq!(
        all(&log).await[0].payload["A"]["text"],
        json!("a\0b\u{10ffff}")
    );
    let large = of(vec![adds("2", 0, 100_001)]);
    assert!(matches!(
        log.append(large).await,
        Err(AppendError::TooLarge)
    ));
}

async fn r58_positions_revisions_and_account_numbers_have_no_gap(house: &House) {
    let log = house.open().await;
    let mut tasks = Vec::new();
    for writer in 0..8_usize {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            for turn in 0..25_u64 {
                let mut append = of(vec![adds(&writer.to_string(), turn * 2, 2)]);
                append.streams[0].account_id = ["acme", "other"][writer % 2].into();
                log.append(append).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let events = all(&log).await;
    assert_eq!(events.len(), 400);
    let mut revisions = HashMap::new();
    let mut numbers = HashMap::new();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, position);
        assert_eq!(event.commit_position, position + position % 2);
        let revision = revisions.entry(&event.stream).or_insert(0);
        *revision += 1;
        assert_eq!(event.revision, *revision);
        let number = numbers.entry(&event.account_id).or_insert(0);
        *number += 1;
        assert_eq!(event.account_number, *number);
    }
    assert!(events.is_sorted_by_key(|event| event.recorded_at));
    let status = log.status().await.unwrap();
    assert_eq!((status.head, status.accounts), (400, 2));
    assert_eq!(status.last_recorded_at, Some(events[399].recorded_at));
}

async fn r58_times_never_decrease_when_the_clock_goes_back(house: &House) {
    let log = house.open().await;
    let first = log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    house.clock.turn_back(Duration::from_hours(1));
    let second = log.append(of(vec![adds("1", 1, 1)])).await.unwrap();
    assert_eq!(second.recorded_at, first.recorded_at);
    house.clock.advance(Duration::from_hours(25));
    let third = log.append(of(vec![adds("1", 2, 1)])).await.unwrap();
    assert!(third.recorded_at > first.recorded_at + chrono::TimeDelta::hours(23));
}

async fn an_append_of_nothing_confirms_revisions(house: &House) {
    let log = house.open().await;
    assert_eq!(
        log.check(vec![(stream("1"), 0)], Vec::new()).await.unwrap(),
        0
    );
    log.append(of(vec![adds("1", 0, 3)])).await.unwrap();
    assert_eq!(
        log.check(vec![(stream("1"), 3)], Vec::new()).await.unwrap(),
        3
    );
    let moved = log.check(vec![(stream("1"), 2)], Vec::new()).await;
    assert!(matches!(moved, Err(AppendError::Conflict(_))));
    let appended = log.append(takes(&[held("k", "x", "1")])).await.unwrap();
    assert_eq!((appended.first_position, appended.last_position), (3, 3));
    assert!(appended.events.is_empty());
}

async fn a_closed_log_finishes_what_is_queued_and_takes_no_more(house: &House) {
    let log = house.open().await;
    let appends: Vec<_> = (0..100)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(of(vec![adds(&number.to_string(), 0, 1)])).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    log.clone().close().await;
    let mut accepted = 0;
    for append in appends {
        accepted += usize::from(append.await.unwrap().is_ok());
    }
    assert!(log.append(of(vec![adds("late", 0, 1)])).await.is_err());
    let log = house.open().await;
    assert_eq!(all(&log).await.len(), accepted);
}

async fn what_was_appended_is_there_after_a_restart(house: &House) {
    let log = house.open().await;
    let (id, digest) = (log.id(), log.digest("p", &[b"a"]));
    let mut append = of(vec![adds("1", 0, 2)]);
    append.take.push(held("k", "x", "1"));
    log.append(append).await.unwrap();
    let before = all(&log).await;
    log.close().await;
    let log = house.open().await;
    assert_eq!((log.id(), log.digest("p", &[b"a"])), (id, digest));
    assert_eq!(all(&log).await, before);
    assert_eq!(log.head().await.unwrap(), 2);
    let next = log.append(of(vec![adds("1", 2, 1)])).await.unwrap();
    assert_eq!((next.first_position, next.events[0].account_number), (3, 3));
    assert_eq!(
        log.holders(&[held("k", "x", "1").claim]).await.unwrap()[0].owners,
        ["1"]
    );
}

fn signs_in(id: &str) -> Told {
    Told {
        stream: StreamId::new("signin", id),
        account_id: "acme".into(),
        event: event("SignedIn", json!({"SignedIn": {}})),
    }
}

async fn r42_what_is_told_is_added_wherever_its_stream_stands(house: &House) {
    let log = house.open().await;
    let tell = || {
        let mut append = of(Vec::new());
        append.told.push(signs_in("1"));
        append.metadata.reason = Some("because".into());
        append
    };
    let told = futures::future::join_all((0..20).map(|_| log.append(tell()))).await;
    let mut revisions: Vec<u64> = told
        .into_iter()
        .map(|told| told.unwrap().events[0].revision)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=20).collect::<Vec<_>>());
    let stored = all(&log).await;
    assert_eq!(stored.len(), 20);
    for (event, number) in stored.iter().zip(1..) {
        assert_eq!((event.revision, event.position), (number, number));
        assert_eq!(event.account_number, number);
        assert_eq!(event.metadata.reason, None);
    }
    let mut personal = of(Vec::new());
    personal.told.push(Told {
        event: event("Named", json!({"Named": {"name": {"$personal": "Zoë"}}})),
        ..signs_in("1")
    });
    let mut twice = of(Vec::new());
    twice.told = vec![signs_in("1"), signs_in("1")];
    for malformed in [personal, twice] {
        let refused = log.append(malformed).await.unwrap_err();
        assert!(matches!(refused, AppendError::Malformed(_)), "{refused:?}");
    }
}

async fn take(log: &Log, series: i64) -> (bool, u32) {
    let slot = Slot {
        stream: stream("1"),
        kind: "tries".into(),
        series,
        limit: 3,
    };
    let append = Append {
        slots: vec![slot],
        ..of(Vec::new())
    };
    let taken = log.append(append).await.unwrap().slots[0];
    (taken.taken, taken.used)
}

async fn r22_slots_are_taken_once_by_any_process_and_survive_it(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    let many = futures::future::join_all((0..50).map(|_| take(&log, 7))).await;
    assert_eq!(many.iter().filter(|(taken, _)| *taken).count(), 3);
    assert_eq!(take(&log, 7).await, (false, 3));
    log.close().await;
    let log = house.open().await;
    assert_eq!(take(&log, 7).await, (false, 3));
    assert_eq!(take(&log, 8).await, (true, 1), "another series");
    let reset = Append {
        side: vec![SideRow {
            stream: stream("1"),
            kind: "tries".into(),
            value: None,
        }],
        ..of(Vec::new())
    };
    log.append(reset).await.unwrap();
    assert_eq!(take(&log, 8).await, (true, 1));
    log.append(forgets("1", 1)).await.unwrap();
    let append = Append {
        slots: vec![Slot {
            stream: stream("1"),
            kind: "tries".into(),
            series: 8,
            limit: 3,
        }],
        ..of(Vec::new())
    };
    let refused = log.append(append).await.unwrap_err();
    assert!(matches!(refused, AppendError::Forgotten(_)), "{refused:?}");
}
