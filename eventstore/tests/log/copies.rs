//! Copies that one process of a log hands another.

use rollbook_eventstore::{Clock, Log, MasterKey, NotOfThisLog, sqlite};

async fn log() -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().unwrap();
    let log = sqlite::open(folder.path(), MasterKey::generate(), Clock::system())
        .await
        .unwrap();
    (folder, log)
}

#[tokio::test]
async fn r62_a_copy_is_read_with_the_keys_of_its_log_alone_and_only_whole() {
    let (_folder, of) = log().await;
    let (_elsewhere, other) = log().await;
    let mut seal = of.seal_copy("users-v7");
    let salt = seal.salt().to_vec();
    let first = seal.next(b"Ottilie").unwrap();
    let second = seal.next(b"Wennergren").unwrap();
    let last = seal.last(b"!").unwrap();
    assert!(!first.windows(7).any(|window| window == b"Ottilie"));

    let mut opened = of.open_copy("users-v7", &salt);
    assert_eq!(opened.next(&first).unwrap(), b"Ottilie");
    assert_eq!(opened.next(&second).unwrap(), b"Wennergren");
    assert_eq!(opened.last(&last).unwrap(), b"!");

    for (log, of_what, salt) in [
        (&other, "users-v7", &salt[..]),
        (&of, "users-v8", &salt[..]),
        (&of, "users-v7", &salt[1..]),
    ] {
        assert_eq!(log.open_copy(of_what, salt).next(&first), Err(NotOfThisLog));
    }
    let mut cut_off = of.open_copy("users-v7", &salt);
    cut_off.next(&first).unwrap();
    assert_eq!(cut_off.last(&second), Err(NotOfThisLog));
    assert_eq!(
        of.open_copy("users-v7", &salt).next(&second),
        Err(NotOfThisLog)
    );
    // Each copy has another key.
    assert_ne!(of.seal_copy("users-v7").next(b"Ottilie").unwrap(), first);
}
