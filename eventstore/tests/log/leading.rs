//! One process of many does what must be done once for all of them.

use std::time::Duration;

use crate::house::{House, Place, execute, on_both_homes};

on_both_homes! {
    who_is_alone_leads_at_once_in_everything
}

/// How long to look whether something happens that must not: longer than a candidate takes to try again.
const NOT_WITHIN: Duration = Duration::from_millis(2_500);
/// How long a new leader may take.
const WITHIN: Duration = Duration::from_secs(30);

async fn who_is_alone_leads_at_once_in_everything(house: &House) {
    let log = house.open().await;
    let expiry = log.lead("expiry").await;
    let mail = log.lead("mail").await;
    assert!(
        tokio::time::timeout(NOT_WITHIN, expiry.lost())
            .await
            .is_err()
    );
    drop((expiry, mail));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_leads_and_the_other_follows_when_it_gives_up() {
    let house = House::postgres().await;
    let (one, two) = (house.open().await, house.open().await);
    let leads = one.lead("mail").await;
    let candidate = tokio::spawn({
        let two = two.clone();
        async move { two.lead("mail").await }
    });
    // Leading in one thing says nothing of another.
    two.lead("expiry").await;
    tokio::time::sleep(NOT_WITHIN).await;
    assert!(!candidate.is_finished(), "two lead at once");
    drop(leads);
    let successor = tokio::time::timeout(WITHIN, candidate).await;
    drop(successor.expect("nobody leads").unwrap());
    one.close().await;
    two.close().await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_session_dies_knows_it_and_another_follows() {
    let house = House::postgres().await;
    let Place::Postgres { owner, .. } = &house.place else {
        unreachable!("it was made on PostgreSQL");
    };
    let (one, two) = (house.open().await, house.open().await);
    let leads = one.lead("mail").await;
    let candidate = tokio::spawn({
        let two = two.clone();
        async move { two.lead("mail").await }
    });
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks
                JOIN pg_stat_activity USING (pid)
                WHERE locktype = 'advisory' AND granted AND datname = current_database()";
    execute(owner, kill).await.unwrap();
    let lost = tokio::time::timeout(WITHIN, leads.lost()).await;
    lost.expect("a leader without a session believes that it leads");
    let successor = tokio::time::timeout(WITHIN, candidate).await;
    let successor = successor.expect("nobody leads").unwrap();
    // The first one comes back as a candidate, and does not lead beside the second.
    let again = tokio::time::timeout(NOT_WITHIN, one.lead("mail")).await;
    assert!(again.is_err(), "two lead at once");
    drop((leads, successor));
    one.close().await;
    two.close().await;
    house.end().await;
}
