//! Readers that stop reading: they cost nobody else anything, are told why they were cut off, and miss nothing when they go on.

use std::time::{Duration, Instant};

use rollbook_proto::kurrent::streams::read_resp::Content;
use rollbook_tests::kurrent::{Ask, Reader, basic, event, next};
use rollbook_tests::people::{person, repeatable};
use rollbook_tests::{
    Answer as _, Code, Directory, Identity, Refusal, Role, Tenant, ask, pb, stories,
};
use tonic::transport::{Channel, Endpoint};

stories! {
    r57_r59_who_stops_reading_is_cut_off_and_resumes_without_loss,
}

/// How often the user is locked and unlocked until no reader that stopped has room for more: of each change they are told more
/// than 1 KiB, and there are 64 KiB with the reader and 400 with the service.
const TURNS: usize = 300;

/// Longer than anything is kept waiting for (docs/operations.md).
const TOO_LONG: Duration = Duration::from_secs(12);

/// A connection that holds little of what nobody reads.
async fn narrow(directory: &Directory) -> Channel {
    let address = format!("http://{}", directory.process().address());
    let endpoint = Endpoint::from_shared(address).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535);
    endpoint.connect().await.unwrap()
}

/// Locks and unlocks, each with a reason of 4 KB.
async fn turn(acme: &Tenant, user_id: &str) {
    let because = || pb::CommandOptions {
        reason: "\u{10330}".repeat(1000),
        ..repeatable()
    };
    let lock = pb::LockUserRequest {
        command: Some(because()),
        ..ask!(acme, LockUserRequest { user_id })
    };
    acme.admin.users().lock_user(lock).await.answer();
    let unlock = pb::UnlockUserRequest {
        command: Some(because()),
        ..ask!(acme, UnlockUserRequest { user_id })
    };
    acme.admin.users().unlock_user(unlock).await.answer();
}

/// The positions that a subscription told of, until it was ended; and how.
async fn told(
    answers: &mut tonic::Streaming<rollbook_proto::kurrent::streams::ReadResp>,
) -> (Vec<u64>, tonic::Status) {
    let mut seen = Vec::new();
    loop {
        match answers.message().await {
            Ok(answer) => {
                let content = answer.expect("no end without a reason").content.unwrap();
                seen.extend(event(content).map(|event| event.commit_position));
            }
            Err(status) => return (seen, status),
        }
    }
}

async fn r57_r59_who_stops_reading_is_cut_off_and_resumes_without_loss(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let name = || "\u{10330}".repeat(100);
    let user = pb::NewUser {
        first_name: name(),
        last_name: name(),
        ..person("LONG")
    };
    let user_id = acme.create_user(user).await.user_id;
    let before = directory.head().await;
    let channel = narrow(directory).await;

    let identity = Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", None)
    };
    let token = directory.token(&identity);
    let log = Reader::new(channel.clone(), Some(basic(&token)));
    let ask = Ask::log().from(before).follow();
    let mut subscription = log.begin(ask.options()).await.unwrap();
    while !matches!(next(&mut subscription).await, Content::CaughtUp(_)) {}
    let watcher = acme.service.at(channel.clone());
    let watch = ask!(acme, WatchUsersRequest {});
    let mut watching = watcher.users().watch_users(watch).await.answer();
    assert!(watching.message().await.unwrap().unwrap().caught_up);
    let replay = pb::ReplayEventsRequest {
        from_position: before,
        follow: true,
        ..Default::default()
    };
    let auditor = acme.auditor.at(channel);
    let mut replaying = auditor.history().replay_events(replay).await.answer();

    for _ in 0..TURNS {
        turn(&acme, &user_id).await;
    }
    let full = Instant::now();
    while full.elapsed() < TOO_LONG {
        turn(&acme, &user_id).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let head = directory.head().await;
    let all: Vec<u64> = (before + 1..=head).collect();

    let (mut seen, ended) = told(&mut subscription).await;
    assert_eq!(
        (ended.code(), ended.message()),
        (Code::Aborted, "Consumer too slow")
    );
    let last = *seen.last().unwrap();
    assert!(last < head, "it was cut off before the end");
    let again = Ask::log().from(last).follow();
    let mut subscription = log.begin(again.options()).await.unwrap();
    while seen.last() != Some(&head) {
        let told = event(next(&mut subscription).await);
        seen.extend(told.map(|event| event.commit_position));
    }
    assert_eq!(seen, all);

    let (mut seen, mut position) = (Vec::new(), before);
    let ended = loop {
        match watching.message().await {
            Ok(message) => {
                let message = message.expect("no end without a reason");
                seen.extend(message.changes.iter().map(|change| change.position));
                position = message.position;
            }
            Err(status) => break Refusal::of(&status),
        }
    };
    ended.is(Code::ResourceExhausted, "WATCHER_TOO_SLOW");
    assert!(position < head, "it was cut off before the end");
    let again = pb::WatchUsersRequest {
        from_position: Some(position),
        ..ask!(acme, WatchUsersRequest {})
    };
    let mut watching = watcher.users().watch_users(again).await.answer();
    while position < head {
        let message = watching.message().await.unwrap().unwrap();
        seen.extend(message.changes.iter().map(|change| change.position));
        position = message.position;
    }
    assert_eq!(seen, all);

    // Who reads the log itself keeps nothing waiting, and takes the time it likes.
    let mut seen = Vec::new();
    while seen.len() < all.len() {
        let message = replaying.message().await.unwrap().unwrap();
        seen.extend(message.events.iter().map(|event| event.position));
    }
    assert_eq!(seen, all);
}
