//! Request ids: a command that is sent again is not done again.

use std::time::Duration;

use rollbook_eventstore::AppendError;
use uuid::Uuid;

use crate::given::{adds, all, claim, held, of, request, stream};
use crate::house::{House, on_both_homes};

on_both_homes! {
    r66_a_repeated_request_is_answered_as_before_and_commits_nothing
    r66_a_request_id_with_another_content_is_refused
    r66_a_request_id_is_forgotten_after_seven_days
    r66_of_many_repeats_at_once_one_is_committed
    r66_a_request_that_changed_nothing_is_remembered_too
    a_refused_request_may_be_sent_again
}

async fn r66_a_repeated_request_is_answered_as_before_and_commits_nothing(house: &House) {
    let log = house.open().await;
    let mut append = of(vec![adds("1", 0, 2)]);
    append.request = Some(request(Uuid::now_v7(), 7));
    let first = log.append(append.clone()).await.unwrap();
    log.append(of(vec![adds("2", 0, 1)])).await.unwrap();
    let Err(AppendError::Repeated(repeated)) = log.append(append.clone()).await else {
        panic!("it was not recognised");
    };
    assert_eq!((repeated.first_position, repeated.last_position), (1, 2));
    assert_eq!(
        (repeated.recorded_at, repeated.outcome.clone()),
        (first.recorded_at, vec![7])
    );
    assert_eq!(all(&log).await.len(), 3);
    let id = append.request.as_ref().unwrap().request_id;
    let asked = log.repeated("acme", id, [7; 32]).await.unwrap();
    assert_eq!(asked, Some(repeated));
    assert_eq!(log.repeated("other", id, [7; 32]).await.unwrap(), None);
    let reused = log.repeated("acme", id, [8; 32]).await;
    assert!(matches!(reused, Err(AppendError::RequestReused)));
    // The same id of another account is another request.
    let mut other = of(vec![adds("3", 0, 1)]);
    other.request.clone_from(&append.request);
    other.request.as_mut().unwrap().account_id = "other".into();
    log.append(other).await.unwrap();
}

async fn r66_a_request_id_with_another_content_is_refused(house: &House) {
    let log = house.open().await;
    let id = Uuid::now_v7();
    let mut append = of(vec![adds("1", 0, 1)]);
    append.request = Some(request(id, 1));
    log.append(append).await.unwrap();
    let mut other = of(vec![adds("2", 0, 1)]);
    other.request = Some(request(id, 2));
    assert!(matches!(
        log.append(other).await,
        Err(AppendError::RequestReused)
    ));
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn r66_a_request_id_is_forgotten_after_seven_days(house: &House) {
    let log = house.open().await;
    let id = Uuid::now_v7();
    let mut append = of(vec![adds("1", 0, 1)]);
    append.request = Some(request(id, 1));
    log.append(append.clone()).await.unwrap();
    house.clock.advance(Duration::from_hours(7 * 24 - 1));
    assert!(matches!(
        log.append(append).await,
        Err(AppendError::Repeated(_))
    ));
    house.clock.advance(Duration::from_hours(2));
    let mut other = of(vec![adds("2", 0, 1)]);
    other.request = Some(request(id, 2));
    log.append(other).await.unwrap();
    // Old ones are removed by and by.
    house.clock.advance(Duration::from_hours(8 * 24));
    let mut last = of(vec![adds("3", 0, 1)]);
    last.request = Some(request(Uuid::now_v7(), 3));
    log.append(last).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM requests").await, 1);
}

async fn r66_of_many_repeats_at_once_one_is_committed(house: &House) {
    let log = house.open().await;
    let id = Uuid::now_v7();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut append = of(vec![adds("1", 0, 1)]);
                append.request = Some(request(id, 1));
                log.append(append).await
            })
        })
        .collect();
    let mut committed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => committed += 1,
            Err(AppendError::Repeated(repeated)) => assert_eq!(repeated.last_position, 1),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((committed, log.head().await.unwrap()), (1, 1));
}

async fn r66_a_request_that_changed_nothing_is_remembered_too(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    let mut nothing = of(vec![adds("1", 1, 0)]);
    nothing.request = Some(request(Uuid::now_v7(), 1));
    log.append(nothing.clone()).await.unwrap();
    log.append(of(vec![adds("1", 1, 1)])).await.unwrap();
    // Asked again, it is the answer of then, though the stream moved since.
    assert!(
        matches!(log.append(nothing).await, Err(AppendError::Repeated(r)) if r.last_position == 1)
    );
}

async fn a_refused_request_may_be_sent_again(house: &House) {
    let log = house.open().await;
    let mut append = of(vec![adds("1", 1, 1)]);
    append.request = Some(request(Uuid::now_v7(), 1));
    append.take.push(held("k", "x", "1"));
    assert!(matches!(
        log.append(append.clone()).await,
        Err(AppendError::Conflict(_))
    ));
    append.streams[0].expected_revision = 0;
    log.append(append).await.unwrap();
    assert_eq!(log.holders(&[claim("k", "x")]).await.unwrap()[0].count, 1);
    assert_eq!(log.load(&[(stream("1"), 0)]).await.unwrap()[0].len(), 1);
}
