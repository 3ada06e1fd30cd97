//! Nobody misses its own write, whichever process it asks.

use futures::future::join_all;
use rollbook_tests::{Directory, Home, Tenant};

/// How many callers there are at a time.
const CALLERS: usize = 64;

/// How often each of them writes and reads.
const TIMES: usize = 6;

/// Every caller writes at one process and asks the other, in turn.
async fn write_and_ask(one: &Tenant, other: &Tenant, round: usize) {
    let caller = |caller: usize| {
        let (mut here, mut there) = (one.clone(), other.clone());
        tokio::spawn(async move {
            for time in 0..TIMES {
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
    assert_eq!(one.signatures().await, other.signatures().await);
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
