//! Nobody misses its own write, whichever process it asks.
//!
//! `ROLLBOOK_TEST_OWN_WRITES=100000` makes it that many writes; a test run makes a few of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use rollbook_tests::database::Database;
use rollbook_tests::pb::get_user_request::Key;
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{Answer as _, Caller, Directory, Home, Identity, Role, Tenant, ask};
use tonic::Code;

use crate::crashes::tenant;

/// How many callers there are at a time.
const CALLERS: usize = 64;

/// How many writes there are where nothing else is said.
const WRITES: usize = 768;

/// How often each caller writes and reads in one of so many rounds.
fn times(rounds: usize) -> usize {
    let asked = std::env::var("ROLLBOOK_TEST_OWN_WRITES").ok();
    let writes = asked.and_then(|text| text.parse().ok()).unwrap_or(WRITES);
    writes.div_ceil(CALLERS * rounds)
}

/// Every caller writes at one process and asks the other, in turn.
async fn write_and_ask(one: &Tenant, other: &Tenant, round: usize) {
    let caller = |caller: usize| {
        let (mut here, mut there) = (one.clone(), other.clone());
        tokio::spawn(async move {
            for time in 0..times(3) {
                let signature = format!("R{round}C{caller}T{time}");
                let user = here.user(&signature).await;
                assert_eq!(there.get(&user.user_id).await, user);
                std::mem::swap(&mut here, &mut there);
            }
        })
    };
    for done in join_all((0..CALLERS).map(caller)).await {
        done.unwrap();
    }
    assert_eq!(total(one).await, total(other).await);
}

/// How many users there are.
async fn total(acme: &Tenant) -> Option<u64> {
    let include_total = true;
    let request = ask!(acme, ListUsersRequest { include_total });
    acme.admin.users().list_users(request).await.answer().total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_none_of_64_callers_misses_its_own_write_at_another_process() {
    let directory = Directory::start(Home::Postgres).await;
    let acme = Tenant::create(&directory, "acme").await;
    let second = directory.second_process().await;
    write_and_ask(&acme, &acme.at(&second), 0).await;
    let data_dir = second.stop().await;
    // What comes now it has to follow when it is back.
    write_and_ask(&acme, &acme, 1).await;
    let second = directory.process_in(data_dir).await;
    write_and_ask(&acme, &acme.at(&second), 2).await;
    directory.finish().await;
}

/// How many of those who asked saw what they wrote, and how many had no answer.
#[derive(Default)]
struct Found {
    seen: AtomicUsize,
    unanswered: AtomicUsize,
}

/// Every caller writes at the one and asks the other, who may be gone: no answer is no lie.
async fn ask_whoever_is_there(acme: &Tenant, reader: &Caller, round: usize, found: &Arc<Found>) {
    let caller = |caller: usize| {
        let (acme, reader, found) = (acme.clone(), reader.clone(), Arc::clone(found));
        tokio::spawn(async move {
            for time in 0..times(2) {
                let user = acme.user(&format!("K{round}C{caller}T{time}")).await;
                let key = Key::UserId(user.user_id.clone());
                let request = ask!(acme, GetUserRequest { key });
                let count = match reader.users().get_user(request).await {
                    Ok(answer) => {
                        assert_eq!(answer.into_inner().user, Some(user));
                        &found.seen
                    }
                    // The connection breaks, or there is none.
                    Err(status) => {
                        let broken = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                        assert!(broken.contains(&status.code()), "{status:?}");
                        &found.unanswered
                    }
                };
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    for done in join_all((0..CALLERS).map(caller)).await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_nobody_misses_its_own_write_at_a_process_that_was_killed_and_is_back() {
    let installation = Installation::new(Some(Database::create().await));
    installation.migrate().await;
    let first = installation.serve().await;
    let acme = tenant(&installation, &first).await;
    let reader = |program: &Program| {
        let identity = Identity::new(Role::Service, "reader", Some("acme"));
        installation.caller(program, identity)
    };
    let second = installation.serve_apart("second").await;
    let (there, found) = (reader(&second), Arc::new(Found::default()));
    let asking = ask_whoever_is_there(&acme, &there, 0, &found);
    let killing = async {
        while found.seen.load(Ordering::SeqCst) < CALLERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        second.kill().await;
    };
    tokio::join!(asking, killing);
    let asked = |found: &Found| {
        let seen = found.seen.load(Ordering::SeqCst);
        (seen, found.unanswered.load(Ordering::SeqCst))
    };
    let (seen, unanswered) = asked(&found);
    assert_eq!(seen + unanswered, CALLERS * times(2));
    // It goes on from where its files were when it was killed.
    let second = installation.serve_apart("second").await;
    let found = Arc::new(Found::default());
    ask_whoever_is_there(&acme, &reader(&second), 1, &found).await;
    assert_eq!(asked(&found), (CALLERS * times(2), 0));
    for program in [first, second] {
        program.stop().await;
    }
    installation.into_database().unwrap().remove().await;
}
