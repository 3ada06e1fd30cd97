//! Loading, pages, replay and following.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rollbook_eventstore::{Direction, Filter, Follow, Log, ReadQuery, RecordedEvent, ToldEvent};

use crate::given::{adds, all, event, forgets, named, of, stream};
use crate::house::{House, on_both_homes};

on_both_homes! {
    several_streams_are_loaded_at_once_and_in_order
    r59_pages_go_both_ways_and_resume_from_a_position
    r59_a_filter_lets_through_what_it_says
    r59_times_bound_what_is_read
    r59_a_replay_gives_everything_once_and_goes_on_with_what_is_new
    r59_a_replay_without_follow_ends
    r59_what_is_listed_is_what_is_read
    r56_a_batch_to_follow_is_never_part_of_a_commit
    the_hash_of_an_event_is_that_of_its_stored_form
}

fn positions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

async fn several_streams_are_loaded_at_once_and_in_order(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 3), adds("2", 0, 2)]))
        .await
        .unwrap();
    log.append(named("1", 3, "Zoë")).await.unwrap();
    let asked = [
        (stream("2"), 1),
        (stream("none"), 0),
        (stream("1"), 0),
        (stream("1"), 9),
    ];
    let loaded = log.load(&asked).await.unwrap();
    let revisions: Vec<Vec<u64>> = loaded
        .iter()
        .map(|events| events.iter().map(|event| event.revision).collect())
        .collect();
    assert_eq!(revisions, [vec![2], vec![], vec![1, 2, 3, 4], vec![]]);
    assert_eq!(loaded[2][3].payload["Named"]["name"]["$personal"], "Zoë");
    assert!(log.load(&[]).await.unwrap().is_empty());
}

async fn r59_pages_go_both_ways_and_resume_from_a_position(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 10)])).await.unwrap();
    let page = |direction, from, limit| ReadQuery {
        direction,
        from,
        limit,
        filter: Filter::default(),
    };
    for (query, expected) in [
        (page(Direction::Forwards, 0, 3), vec![1, 2, 3]),
        (page(Direction::Forwards, 8, 3), vec![9, 10]),
        (page(Direction::Forwards, 10, 3), vec![]),
        (page(Direction::Backwards, 0, 3), vec![10, 9, 8]),
        (page(Direction::Backwards, 3, 5), vec![2, 1]),
        (page(Direction::Backwards, 1, 5), vec![]),
    ] {
        assert_eq!(
            positions(&log.read(&query).await.unwrap()),
            expected,
            "{query:?}"
        );
    }
}

async fn r59_a_filter_lets_through_what_it_says(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1), adds("2", 0, 1)]))
        .await
        .unwrap();
    let mut other = of(vec![adds("3", 0, 1)]);
    other.streams[0].account_id = "other".into();
    other.streams[0].stream.aggregate_type = "account".into();
    other.streams[0]
        .events
        .push(event("Renamed", serde_json::json!({"Renamed": {}})));
    other.metadata.actor = "bertil".into();
    log.append(other).await.unwrap();
    let is = Filter::default();
    let cases = [
        (
            Filter {
                account_id: Some("acme".into()),
                ..is.clone()
            },
            vec![1, 2],
        ),
        (
            Filter {
                streams: vec![stream("2"), "account-3".parse().unwrap()],
                ..is.clone()
            },
            vec![2, 3, 4],
        ),
        (
            Filter {
                aggregate_types: vec!["account".into()],
                ..is.clone()
            },
            vec![3, 4],
        ),
        (
            Filter {
                event_types: vec!["Renamed".into(), "None".into()],
                ..is.clone()
            },
            vec![4],
        ),
        (
            Filter {
                actor: Some("bertil".into()),
                ..is.clone()
            },
            vec![3, 4],
        ),
        (
            Filter {
                actor: Some("bertil".into()),
                account_id: Some("acme".into()),
                ..is.clone()
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        let query = ReadQuery {
            filter,
            ..ReadQuery::default()
        };
        assert_eq!(
            positions(&log.read(&query).await.unwrap()),
            expected,
            "{query:?}"
        );
    }
}

async fn r59_times_bound_what_is_read(house: &House) {
    let log = house.open().await;
    let mut times = Vec::new();
    for revision in 0..9 {
        times.push(
            log.append(of(vec![adds("1", revision, 1)]))
                .await
                .unwrap()
                .recorded_at,
        );
        house.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(log.time_position(times[0]).await.unwrap(), 0);
    assert_eq!(log.time_position(times[4]).await.unwrap(), 4);
    assert_eq!(log.time_position(house.clock.now()).await.unwrap(), 9);
    let filter = Filter {
        from_time: Some(times[2]),
        to_time: Some(times[5]),
        ..Filter::default()
    };
    let mut query = ReadQuery {
        filter,
        ..ReadQuery::default()
    };
    assert_eq!(positions(&log.read(&query).await.unwrap()), [3, 4, 5]);
    query.direction = Direction::Backwards;
    assert_eq!(positions(&log.read(&query).await.unwrap()), [5, 4, 3]);
    query.direction = Direction::Forwards;
    query.limit = 2;
    for follow in [false, true] {
        let replayed = log.replay(query.clone(), follow);
        let replayed: Vec<_> = replayed.map(Result::unwrap).take(4).collect().await;
        let seen = replayed.iter().filter_map(|item| match item {
            Follow::Event(event) => Some(event.position),
            Follow::CaughtUp(_) => None,
        });
        assert_eq!(seen.collect::<Vec<_>>(), [3, 4, 5], "{follow}");
    }
}

async fn r59_a_replay_gives_everything_once_and_goes_on_with_what_is_new(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("0", 0, 25)])).await.unwrap();
    let query = |account: Option<&str>| ReadQuery {
        limit: 10,
        filter: Filter {
            account_id: account.map(Into::into),
            ..Filter::default()
        },
        ..ReadQuery::default()
    };
    let (everything, acme) = (
        log.replay(query(None), true),
        log.replay(query(Some("acme")), true),
    );
    let writers: Vec<_> = (1..=4_u64)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                for revision in 0..20 {
                    let mut append = of(vec![adds(&writer.to_string(), revision, 1)]);
                    append.streams[0].account_id =
                        if writer % 2 == 0 { "acme" } else { "other" }.into();
                    log.append(append).await.unwrap();
                }
            })
        })
        .collect();
    // The last one is of the account that is followed: it hears of no end that comes after others' events alone.
    let last = {
        let log = log.clone();
        tokio::spawn(async move {
            for writer in writers {
                writer.await.unwrap();
            }
            log.append(of(vec![adds("5", 0, 1)])).await.unwrap();
        })
    };
    let upto = |last: u64| {
        move |item: &Follow| match item {
            Follow::Event(event) => event.position <= last,
            Follow::CaughtUp(position) => *position < last,
        }
    };
    let take = |replay: std::pin::Pin<Box<dyn futures::Stream<Item = _> + Send>>| {
        tokio::time::timeout(
            Duration::from_secs(30),
            replay
                .map(|item: Result<Follow, _>| item.unwrap())
                .take_while(move |item| std::future::ready(upto(106)(item)))
                .collect::<Vec<_>>(),
        )
    };
    let (everything, acme) = tokio::join!(take(Box::pin(everything)), take(Box::pin(acme)));
    last.await.unwrap();
    let events = |items: Vec<Follow>| -> Vec<ToldEvent> {
        items
            .into_iter()
            .filter_map(|item| match item {
                Follow::Event(event) => Some(*event),
                Follow::CaughtUp(_) => None,
            })
            .collect()
    };
    let written = log.list(&ReadQuery::default()).await.unwrap();
    assert_eq!(events(everything.unwrap()), written);
    let of_acme: Vec<_> = written
        .into_iter()
        .filter(|event| event.account_id == "acme")
        .collect();
    assert_eq!(of_acme.len(), 66);
    assert_eq!(events(acme.unwrap()), of_acme);
}

async fn r59_a_replay_without_follow_ends(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 7)])).await.unwrap();
    let mut query = ReadQuery {
        limit: 3,
        from: 2,
        ..ReadQuery::default()
    };
    let items: Vec<_> = log
        .replay(query.clone(), false)
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(items.len(), 6);
    assert_eq!(items[5], Follow::CaughtUp(7));
    query.direction = Direction::Backwards;
    query.from = 0;
    let items: Vec<_> = log.replay(query, true).map(Result::unwrap).collect().await;
    let seen: Vec<_> = items
        .iter()
        .map(|item| match item {
            Follow::Event(event) => event.position,
            Follow::CaughtUp(_) => 0,
        })
        .collect();
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
}

async fn r59_what_is_listed_is_what_is_read(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 3)])).await.unwrap();
    for (id, name) in [("2", "Åsa \"Märta\" Ek"), ("3", "$sealed")] {
        let mut append = named(id, 0, name);
        append.metadata.reason = Some("a reason".into());
        append.metadata.trace_id = Some("a trace".into());
        log.append(append).await.unwrap();
    }
    log.append(forgets("2", 1)).await.unwrap();
    let read = all(&log).await;
    let listed = log.list(&ReadQuery::default()).await.unwrap();
    assert_eq!(read.len(), 6);
    assert_eq!(listed.len(), read.len());
    for (listed, mut read) in listed.into_iter().zip(read) {
        read.payload.as_object_mut().unwrap().remove("$recorded_at");
        let content: serde_json::Value = serde_json::from_str(&listed.payload).unwrap();
        assert_eq!(content, read.payload);
        let as_listed = ToldEvent {
            position: read.position,
            commit_position: read.commit_position,
            account_id: read.account_id,
            account_number: read.account_number,
            stream: read.stream,
            revision: read.revision,
            event_type: read.event_type,
            event_version: read.event_version,
            recorded_at: read.recorded_at,
            metadata: read.metadata,
            reason: read.reason,
            payload: listed.payload.clone(),
        };
        assert_eq!(listed, as_listed);
    }
}

async fn r56_a_batch_to_follow_is_never_part_of_a_commit(house: &House) {
    let log = house.open().await;
    for (id, size) in [("1", 1), ("2", 5), ("3", 1), ("4", 3)] {
        log.append(of(vec![adds(id, 0, size)])).await.unwrap();
    }
    check_batches(&log).await;
    log.close().await;
    // Without what the process remembers it is the same.
    check_batches(&house.open().await).await;
}

async fn check_batches(log: &Log) {
    let batch = |after, limit| {
        let log = log.clone();
        async move {
            let batch: Vec<Arc<RecordedEvent>> = log.follow_batch(after, limit).await.unwrap();
            batch.iter().map(|event| event.position).collect::<Vec<_>>()
        }
    };
    assert_eq!(batch(0, 1).await, [1]);
    assert_eq!(batch(0, 2).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(batch(1, 1).await, [2, 3, 4, 5, 6]);
    assert_eq!(batch(6, 2).await, [7, 8, 9, 10]);
    assert_eq!(batch(0, 100).await.len(), 10);
    assert!(batch(10, 5).await.is_empty());
}

async fn the_hash_of_an_event_is_that_of_its_stored_form(house: &House) {
    let log = house.open().await;
    let appended = log.append(named("1", 0, "Zoë")).await.unwrap();
    let hash = log.event_hash(1).await.unwrap().unwrap();
    assert_eq!(appended.events[0].hash, hash);
    assert_eq!(all(&log).await[0].hash, hash);
    log.append(crate::given::forgets("1", 1)).await.unwrap();
    log.close().await;
    // It stays the same when the person is forgotten.
    let log = house.open().await;
    assert_eq!(log.event_hash(1).await.unwrap(), Some(hash));
    assert_ne!(log.event_hash(2).await.unwrap(), Some(hash));
    assert_eq!(log.event_hash(3).await.unwrap(), None);
    assert_eq!(log.event_hash(0).await.unwrap(), None);
}
