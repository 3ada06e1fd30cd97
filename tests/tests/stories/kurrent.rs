//! The log as clients of `KurrentDB` read it, through their protocol.

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;
use rand::Rng as _;
use rollbook_proto::kurrent::gossip::gossip_client::GossipClient;
use rollbook_proto::kurrent::server_features::server_features_client::ServerFeaturesClient;
use rollbook_proto::kurrent::streams::read_req::options::CountOption;
use rollbook_proto::kurrent::streams::read_resp::Content;
use rollbook_proto::kurrent::streams::{AppendReq, BatchAppendReq, DeleteReq, TombstoneReq};
use rollbook_proto::kurrent::uuid::Value as Id;
use rollbook_proto::kurrent::{self, Empty};
use rollbook_services::kurrent::{PATHS, TABLE};
use rollbook_tests::kurrent::{Ask, Reader, basic, event, next};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Role, Tenant, ask, pb, stories,
};
use tokio::sync::Semaphore;
use tonic::Status;

stories! {
    r59_the_log_read_as_streams_is_the_one_that_is_replayed,
    r59_streams_are_read_both_ways_from_any_revision,
    r59_the_log_is_filtered_by_prefixes_and_regular_expressions,
    r59_a_subscription_catches_up_and_goes_on,
    r59_a_subscription_to_a_stream_goes_on,
    r59_a_thousand_resumptions_while_64_write_miss_nothing,
    r62_the_stream_of_a_deleted_user_reads_erased,
    r68_a_password_is_a_token_and_an_auditor_sees_its_account,
}

fn auditor(account: Option<&str>) -> Identity {
    Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", account)
    }
}

fn reader(directory: &Directory, identity: &Identity) -> Reader {
    let authorization = basic(&directory.token(identity));
    Reader::new(directory.process().channel(), Some(authorization))
}

async fn r59_the_log_read_as_streams_is_the_one_that_is_replayed(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..12 {
        acme.user(&format!("U{number}")).await;
    }
    let log = reader(directory, &auditor(None));
    let replayed = directory.events().await;
    let head = replayed.len() as u64;
    let read = log.events(Ask::log()).await;
    assert_eq!(read.len(), replayed.len());
    let mut ids = BTreeSet::new();
    for (read, replayed) in read.iter().zip(&replayed) {
        let name = &read.stream_identifier.as_ref().unwrap().stream_name;
        assert_eq!(name, replayed.stream.as_bytes());
        assert_eq!(read.stream_revision, replayed.revision - 1);
        assert_eq!(read.commit_position, replayed.position);
        assert_eq!(read.prepare_position, replayed.position);
        assert_eq!(read.metadata["type"], replayed.event_type);
        assert_eq!(read.metadata["content-type"], "application/json");
        let time = replayed.recorded_at.unwrap();
        let ticks = time.seconds * 10_000_000 + i64::from(time.nanos) / 100;
        assert_eq!(read.metadata["created"], ticks.to_string());
        assert_eq!(read.data, replayed.payload.as_bytes());
        let beside: serde_json::Value = serde_json::from_slice(&read.custom_metadata).unwrap();
        assert_eq!(beside["account_id"], replayed.account_id);
        assert_eq!(beside["account_number"], replayed.account_number);
        assert_eq!(beside["commit_position"], replayed.commit_position);
        assert_eq!(beside["actor"], replayed.actor);
        let Some(Id::String(id)) = read.id.clone().unwrap().value else {
            panic!("an id as text was asked for");
        };
        assert!(ids.insert(id), "two events have one id");
    }
    let numbered = log.events(Ask::log().numbered().limit(1)).await.remove(0);
    let Some(Id::Structured(id)) = numbered.id.unwrap().value else {
        panic!("an id as numbers was asked for");
    };
    let id = uuid::Uuid::from_u64_pair(
        id.most_significant_bits.cast_unsigned(),
        id.least_significant_bits.cast_unsigned(),
    );
    assert!(ids.contains(&id.to_string()));
    let backwards: Vec<u64> = (1..=head).rev().collect();
    let all = Ask::log().from_end().backwards();
    assert_eq!(log.positions(all.clone()).await, backwards);
    let Some(Content::LastAllStreamPosition(end)) = log.all(all).await.unwrap().pop() else {
        panic!("the end is not told");
    };
    assert_eq!(end.commit_position, head);
    // With a position forwards, before it backwards; what is not there is no error.
    assert_eq!(log.positions(Ask::log().from(4).limit(3)).await, [4, 5, 6]);
    let before = Ask::log().from(4).backwards();
    assert_eq!(log.positions(before).await, [3, 2, 1]);
    for nothing in [
        Ask::log().limit(0),
        Ask::log().from_end(),
        Ask::log().backwards(),
        Ask::log().from(0).backwards(),
        Ask::log().from(head + 1),
        Ask::log().from(u64::MAX),
    ] {
        assert!(
            log.positions(nothing.clone()).await.is_empty(),
            "{nothing:?}"
        );
    }
    assert_eq!(log.positions(Ask::log().from(0).limit(1)).await, [1]);
    let from_afar = Ask::log().from(head + 9).backwards().limit(1);
    assert_eq!(log.positions(from_afar).await, [head]);
}

async fn r59_streams_are_read_both_ways_from_any_revision(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    for _ in 0..3 {
        lock_and_unlock(&acme, &anna).await;
    }
    let log = reader(directory, &auditor(None));
    let anna = || Ask::stream(format!("user-{anna}"));
    assert_eq!(log.revisions(anna()).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(log.revisions(anna().from(5)).await, [5, 6]);
    assert_eq!(log.revisions(anna().from(2).limit(2)).await, [2, 3]);
    let backwards = || anna().backwards();
    assert_eq!(
        log.revisions(backwards().from_end()).await,
        [6, 5, 4, 3, 2, 1, 0]
    );
    assert_eq!(log.revisions(backwards().from(2)).await, [2, 1, 0]);
    assert_eq!(log.revisions(backwards().from(4).limit(2)).await, [4, 3]);
    assert_eq!(log.revisions(backwards().from(99).limit(1)).await, [6]);
    assert_eq!(log.revisions(backwards()).await, [0]);
    for nothing in [anna().from_end(), anna().from(7), anna().from(u64::MAX)] {
        let told = log.all(nothing).await.unwrap();
        assert_eq!(told, [Content::LastStreamPosition(6)]);
    }
    // One who does not understand where the end is, is not told.
    let mut options = anna().limit(1).options();
    options.control_option = None;
    let mut answers = log.begin(options).await.unwrap();
    assert!(event(next(&mut answers).await).is_some());
    assert!(answers.message().await.unwrap().is_none());
    for name in ["user-nobody", "$$user-nobody", "nothing", "", "user-\0"] {
        let told = log.all(Ask::stream(name)).await.unwrap();
        let [Content::StreamNotFound(missing)] = told.as_slice() else {
            panic!("{name} is there: {told:?}");
        };
        let told = missing.stream_identifier.as_ref().unwrap();
        assert_eq!(told.stream_name, name.as_bytes());
    }
}

async fn lock_and_unlock(acme: &Tenant, user_id: &str) {
    let mut users = acme.admin.users();
    let lock = ask!(acme, LockUserRequest { user_id });
    users.lock_user(lock).await.answer();
    let unlock = ask!(acme, UnlockUserRequest { user_id });
    users.unlock_user(unlock).await.answer();
}

async fn r59_the_log_is_filtered_by_prefixes_and_regular_expressions(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    lock_and_unlock(&acme, &anna).await;
    lock_and_unlock(&acme, &anna).await;
    let log = reader(directory, &auditor(None));
    let all = directory.events().await;
    let those = |passes: &dyn Fn(&pb::Event) -> bool| -> Vec<u64> {
        let passing = all.iter().filter(|event| passes(event));
        passing.map(|event| event.position).collect()
    };
    let locks = those(&|event| event.event_type == "UserLocked");
    assert_eq!(locks.len(), 2);
    assert_eq!(
        log.positions(Ask::log().types(&["UserLocked"])).await,
        locks
    );
    assert_eq!(
        log.positions(Ask::log().types(&["UserL", "UserU"])).await,
        those(
            &|event| event.event_type.starts_with("UserL") || event.event_type.starts_with("UserU")
        )
    );
    assert_eq!(
        log.positions(Ask::log().types_like("Locked$").limit(1))
            .await,
        locks[..1]
    );
    let backwards = Ask::log().from_end().backwards();
    assert_eq!(
        log.positions(backwards.types_like("^User(?!Unl|Cr).*$"))
            .await,
        those(&|event| event.event_type.starts_with("User")
            && !event.event_type.starts_with("UserUnl")
            && !event.event_type.starts_with("UserCr"))
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
    );
    assert_eq!(
        log.positions(Ask::log().streams(&["account-"])).await,
        those(&|event| event.stream.starts_with("account-"))
    );
    assert_eq!(
        log.positions(Ask::log().streams_like("^(?!account)")).await,
        those(&|event| !event.stream.starts_with("account"))
    );
    let python = r"^(?!(\$.+$|PersistentConfig\d+$|Result$))";
    assert_eq!(
        log.positions(Ask::log().types_like(python)).await,
        those(&|_| true)
    );
    for bad in [
        Ask::log().types_like("("),
        Ask::log().types_like(&"a".repeat(2_000)),
        Ask::log().types(&[]),
        Ask::log().types_like(r"^((\w|\w)|(\w|\w))*(?=!)\1c$"),
        Ask::log().backwards().follow(),
    ] {
        let status = log.all(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let empty = log.begin(kurrent::streams::read_req::Options::default());
    assert_eq!(empty.await.unwrap_err().code(), Code::InvalidArgument);
    let mut counted_by_nothing = Ask::log().options();
    counted_by_nothing.count_option = None::<CountOption>;
    let refused = log.begin(counted_by_nothing).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

fn position_of(content: Content) -> u64 {
    event(content).expect("an event").commit_position
}

async fn r59_a_subscription_catches_up_and_goes_on(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    lock_and_unlock(&acme, &anna).await;
    let log = reader(directory, &auditor(None));
    let head = directory.head().await;
    let subscribe = |ask: Ask| log.begin(ask.follow().options());
    // Position 0 is before all that is there.
    let mut all = subscribe(Ask::log().from(0)).await.unwrap();
    assert!(matches!(next(&mut all).await, Content::Confirmation(_)));
    for position in 1..=head {
        assert_eq!(position_of(next(&mut all).await), position);
    }
    let Content::CaughtUp(end) = next(&mut all).await else {
        panic!("it has caught up");
    };
    assert_eq!(end.position.unwrap().commit_position, head);
    assert_eq!(end.stream_revision, None);
    assert!(end.timestamp.is_some());
    // A resumption goes on after what was seen; one from the end begins with what comes.
    let mut resumed = subscribe(Ask::log().from(head - 1)).await.unwrap();
    assert!(matches!(next(&mut resumed).await, Content::Confirmation(_)));
    assert_eq!(position_of(next(&mut resumed).await), head);
    assert!(matches!(next(&mut resumed).await, Content::CaughtUp(_)));
    let mut locks = subscribe(Ask::log().from_end().types(&["UserLocked"]))
        .await
        .unwrap();
    assert!(matches!(next(&mut locks).await, Content::Confirmation(_)));
    let Content::Checkpoint(end) = next(&mut locks).await else {
        panic!("a filtered subscription says how far it looked");
    };
    assert_eq!(end.commit_position, head);
    assert!(matches!(next(&mut locks).await, Content::CaughtUp(_)));
    lock_and_unlock(&acme, &anna).await;
    for live in [&mut all, &mut resumed] {
        assert_eq!(position_of(next(live).await), head + 1);
        assert_eq!(position_of(next(live).await), head + 2);
    }
    assert_eq!(position_of(next(&mut locks).await), head + 1);
    // More in one commit than is read at a time: it falls behind, and catches up again.
    directory.dead_letters("acme", &anna, 600).await;
    let mut fell_behind_at = None;
    let mut seen = head + 2;
    let caught_up = loop {
        match next(&mut all).await {
            Content::FellBehind(behind) => fell_behind_at = behind.position,
            Content::CaughtUp(end) => break end.position.unwrap(),
            other => {
                seen += 1;
                assert_eq!(position_of(other), seen);
            }
        }
    };
    assert!(fell_behind_at.is_some_and(|place| place.commit_position < caught_up.commit_position));
    assert_eq!((seen, caught_up.commit_position), (head + 602, head + 602));
    checkpoints(&log, head).await;
}

/// Every ten events that are looked at, and at the end, a filtered subscription says so.
async fn checkpoints(log: &Reader, from: u64) {
    let ask = Ask::log().from(from + 502).types(&["MailSent"]).follow();
    let mut answers = log.begin(ask.options()).await.unwrap();
    assert!(matches!(next(&mut answers).await, Content::Confirmation(_)));
    let mut reached = Vec::new();
    while let Content::Checkpoint(place) = next(&mut answers).await {
        reached.push(place.commit_position);
    }
    let every_ten = (1..=10).map(|tens| from + 502 + tens * 10);
    let end = [from + 602];
    assert_eq!(reached, every_ten.chain(end).collect::<Vec<_>>());
}

async fn r59_a_subscription_to_a_stream_goes_on(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    lock_and_unlock(&acme, &anna).await;
    let log = reader(directory, &auditor(None));
    let revision = |content| event(content).expect("an event").stream_revision;
    let mut subscriptions = Vec::new();
    for (ask, seen) in [
        (Ask::stream(format!("user-{anna}")), vec![0, 1, 2]),
        (Ask::stream(format!("user-{anna}")).from(1), vec![2]),
        (Ask::stream(format!("user-{anna}")).from_end(), vec![]),
    ] {
        let mut answers = log.begin(ask.follow().options()).await.unwrap();
        assert!(matches!(next(&mut answers).await, Content::Confirmation(_)));
        for expected in seen {
            assert_eq!(revision(next(&mut answers).await), expected);
        }
        let Content::CaughtUp(end) = next(&mut answers).await else {
            panic!("it has caught up");
        };
        assert_eq!((end.stream_revision, end.position), (Some(2), None));
        subscriptions.push(answers);
    }
    lock_and_unlock(&acme, &anna).await;
    for answers in &mut subscriptions {
        assert_eq!(revision(next(answers).await), 3);
        assert_eq!(revision(next(answers).await), 4);
    }
    // What is not there may come; what cannot be there is waited for in vain, and is no error.
    let mails = format!("mail-{}", directory.dead_letter("acme", &anna).await);
    let bert = uuid::Uuid::now_v7();
    for (name, is_there) in [
        (mails.as_str(), true),
        (&format!("user-{bert}"), false),
        ("$$settings", false),
    ] {
        let ask = Ask::stream(name).follow();
        let mut answers = log.begin(ask.options()).await.unwrap();
        assert!(matches!(next(&mut answers).await, Content::Confirmation(_)));
        if is_there {
            assert_eq!(revision(next(&mut answers).await), 0);
        }
        let Content::CaughtUp(end) = next(&mut answers).await else {
            panic!("{name} has caught up");
        };
        assert_eq!(end.stream_revision, is_there.then_some(0));
    }
}

/// How many resume, and how many write how often meanwhile.
const RESUMPTIONS: u64 = 1_000;
const WRITERS: u64 = 64;
const WRITES: u64 = 8;

async fn r59_a_thousand_resumptions_while_64_write_miss_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let before = directory.head().await;
    // Each write waits until as many were seen as there are writers, so that there are always new ones and never a great many.
    let turns = Semaphore::new(usize::try_from(WRITERS).unwrap());
    let writing = (0..WRITERS).map(|number| write(&acme, number, &turns));
    let planned = WRITERS * WRITES;
    let (_, seen) = tokio::join!(
        futures::future::join_all(writing),
        resume_again_and_again(directory, before, planned, &turns)
    );
    assert_eq!(seen, (before + 1..=before + planned).collect::<Vec<_>>());
}

async fn write(acme: &Tenant, number: u64, turns: &Semaphore) {
    let turn = async || turns.acquire().await.unwrap().forget();
    turn().await;
    let user_id = acme.user(&format!("W{number}")).await.user_id;
    let mut users = acme.admin.users();
    for write in 1..WRITES {
        turn().await;
        if write % 2 == 1 {
            let lock = ask!(acme, LockUserRequest { user_id: &user_id });
            users.lock_user(lock).await.answer();
        } else {
            let unlock = ask!(acme, UnlockUserRequest { user_id: &user_id });
            users.unlock_user(unlock).await.answer();
        }
    }
}

/// Resumes at whatever was seen last, by either protocol, and reads a little; at last all that is left.
async fn resume_again_and_again(
    directory: &Directory,
    from: u64,
    planned: u64,
    turns: &Semaphore,
) -> Vec<u64> {
    let log = reader(directory, &auditor(None));
    let replaying = directory.auditor();
    let mut seen: Vec<u64> = Vec::new();
    for resumption in 0..RESUMPTIONS {
        let last = seen.last().copied().unwrap_or(from);
        let left = planned - seen.len() as u64;
        // One of two each time, so that about as many are read as are written.
        let wanted = rand::thread_rng().gen_range(0..=1).min(left);
        let read = if resumption % 2 == 0 {
            subscribed(&log, last, wanted).await
        } else {
            followed(&replaying, last, wanted).await
        };
        turns.add_permits(read.len());
        seen.extend(read);
    }
    while (seen.len() as u64) < planned {
        let last = seen.last().copied().unwrap_or(from);
        let read = subscribed(&log, last, 1).await;
        turns.add_permits(read.len());
        seen.extend(read);
    }
    seen
}

async fn subscribed(log: &Reader, from: u64, wanted: u64) -> Vec<u64> {
    let ask = Ask::log().from(from).follow();
    let mut answers = log.begin(ask.options()).await.unwrap();
    assert!(matches!(next(&mut answers).await, Content::Confirmation(_)));
    let mut seen = Vec::new();
    while (seen.len() as u64) < wanted {
        seen.extend(event(next(&mut answers).await).map(|event| event.commit_position));
    }
    seen
}

async fn followed(auditor: &Caller, from: u64, wanted: u64) -> Vec<u64> {
    let request = pb::ReplayEventsRequest {
        from_position: from,
        follow: true,
        limit: wanted,
        ..Default::default()
    };
    let mut answers = auditor.history().replay_events(request).await.answer();
    let mut seen: Vec<u64> = Vec::new();
    while (seen.len() as u64) < wanted {
        let answer = answers.message().await.unwrap().expect("no end");
        seen.extend(answer.events.iter().map(|event| event.position));
    }
    seen
}

async fn r62_the_stream_of_a_deleted_user_reads_erased(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA-LENA").await.user_id;
    let stream = || Ask::stream(format!("user-{anna}"));
    let log = reader(directory, &auditor(None));
    let created = log.events(stream()).await.remove(0);
    let shown = String::from_utf8(created.data).unwrap();
    assert!(shown.contains(r#"{"$personal":"ANNA-LENA"}"#), "{shown}");
    let unseen = Identity::new(Role::Auditor, "auditor", None);
    let created = reader(directory, &unseen).events(stream()).await.remove(0);
    let withheld = String::from_utf8(created.data).unwrap();
    assert!(
        withheld.contains("$withheld") && !withheld.contains("ANNA-LENA"),
        "{withheld}"
    );
    let mut delete = ask!(acme, DeleteUserRequest { user_id: &anna });
    delete.command = Some(pb::CommandOptions {
        reason: "Anna-Lena has left".to_owned(),
        ..Default::default()
    });
    acme.admin.users().delete_user(delete).await.answer();
    let erased = log.events(stream()).await;
    let types: Vec<&str> = erased
        .iter()
        .map(|event| event.metadata["type"].as_str())
        .collect();
    assert_eq!(types, ["UserCreated", "UserDeleted"]);
    for event in &erased {
        let text = String::from_utf8([&*event.data, &*event.custom_metadata].concat()).unwrap();
        assert!(!text.to_lowercase().contains("anna-lena"), "{text}");
    }
    let data: serde_json::Value = serde_json::from_slice(&erased[0].data).unwrap();
    assert_eq!(data["UserCreated"]["signature"]["$erased"], true);
    let beside: serde_json::Value = serde_json::from_slice(&erased[1].custom_metadata).unwrap();
    assert_eq!(beside["reason"]["$erased"], true);
}

/// What a refusal is in their protocol: a code, a text and perhaps a trailer, which details would hide.
fn refused(status: &Status, code: Code, exception: Option<&str>) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.details().is_empty(), "{status:?}");
    let told = status.metadata().get("exception");
    assert_eq!(told.map(|text| text.to_str().unwrap()), exception);
}

async fn r68_a_password_is_a_token_and_an_auditor_sees_its_account(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    other.user("OTTO").await;
    let channel = directory.process().channel();
    let ask = || Ask::log().limit(1);
    for nobody in [
        None,
        Some(basic("no token")),
        Some("Basic nonsense".to_owned()),
    ] {
        let status = Reader::new(channel.clone(), nobody)
            .all(ask())
            .await
            .unwrap_err();
        refused(&status, Code::Unauthenticated, None);
    }
    let token = directory.token(&auditor(None));
    let bearer = Reader::new(channel.clone(), Some(format!("Bearer {token}")));
    assert_eq!(bearer.positions(ask()).await, [1]);
    let operator = Identity::new(Role::Operator, "operator", None);
    let status = reader(directory, &operator).all(ask()).await.unwrap_err();
    refused(&status, Code::PermissionDenied, Some("access-denied"));
    // Each sees its own account, and streams of others are not there.
    let all = directory.events().await;
    for account in ["acme", "other"] {
        let own = all.iter().filter(|event| event.account_id == account);
        let own: Vec<u64> = own.map(|event| event.position).collect();
        let log = reader(directory, &auditor(Some(account)));
        assert_eq!(log.positions(Ask::log()).await, own);
        let mut backwards = log.positions(Ask::log().from_end().backwards()).await;
        backwards.reverse();
        assert_eq!(backwards, own);
        let mut subscribed = log.begin(Ask::log().follow().options()).await.unwrap();
        assert!(matches!(
            next(&mut subscribed).await,
            Content::Confirmation(_)
        ));
        for position in own {
            assert_eq!(position_of(next(&mut subscribed).await), position);
        }
        assert!(matches!(next(&mut subscribed).await, Content::CaughtUp(_)));
    }
    let log = reader(directory, &auditor(Some("acme")));
    assert!(!log.events(Ask::stream("account-acme")).await.is_empty());
    let told = log.all(Ask::stream("account-other")).await.unwrap();
    assert!(matches!(told.as_slice(), [Content::StreamNotFound(_)]));
    let theirs = format!("user-{}", other.administrator.user_id);
    let mut waiting = log
        .begin(Ask::stream(theirs).follow().options())
        .await
        .unwrap();
    assert!(matches!(next(&mut waiting).await, Content::Confirmation(_)));
    assert!(matches!(next(&mut waiting).await, Content::CaughtUp(_)));
    nothing_is_written(&log).await;
    what_is_no_request_is_refused(directory, &acme).await;
    what_clients_ask_first(directory).await;
}

async fn nothing_is_written(log: &Reader) {
    let mut client = log.client();
    let append = log.request(tokio_stream::iter([AppendReq {}]));
    let batch = log.request(tokio_stream::iter([BatchAppendReq {}]));
    let refusals = [
        client.append(append).await.map(drop).unwrap_err(),
        client.batch_append(batch).await.map(drop).unwrap_err(),
        client
            .delete(log.request(DeleteReq {}))
            .await
            .map(drop)
            .unwrap_err(),
        client
            .tombstone(log.request(TombstoneReq {}))
            .await
            .map(drop)
            .unwrap_err(),
    ];
    for status in refusals {
        refused(&status, Code::PermissionDenied, Some("access-denied"));
        assert_eq!(status.message(), "Access Denied");
    }
    let anonymous = log.anonymous();
    let status = anonymous.client().delete(DeleteReq {}).await.unwrap_err();
    refused(&status, Code::Unauthenticated, None);
}

async fn what_is_no_request_is_refused(directory: &Directory, acme: &Tenant) {
    let auditor = acme.auditor.clone();
    let read = format!("{PATHS}streams.Streams/Read");
    let status = auditor.raw(&read, vec![0xff; 9]).await.unwrap_err();
    refused(&status, Code::InvalidArgument, None);
    for _ in 0..64 {
        let length = rand::thread_rng().gen_range(0..48);
        let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        if let Err(status) = auditor.raw(&read, bytes.clone()).await {
            assert_eq!(status.code(), Code::InvalidArgument, "{bytes:?}");
        }
    }
    let too_much = auditor.raw(&read, vec![0; 5 << 20]).await.unwrap_err();
    refused(&too_much, Code::OutOfRange, None);
    for unknown in [
        "streams.Streams/Write",
        "persistent_subscriptions.PersistentSubscriptions/Read",
    ] {
        let path = format!("{PATHS}{unknown}");
        let status = directory
            .auditor()
            .raw(&path, Vec::new())
            .await
            .unwrap_err();
        refused(&status, Code::Unimplemented, None);
    }
}

/// Without credentials, since some clients ask before they give any.
async fn what_clients_ask_first(directory: &Directory) {
    let channel = directory.process().channel();
    let supported = ServerFeaturesClient::new(channel.clone())
        .get_supported_methods(Empty {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(supported.event_store_server_version, "24.10.0");
    let names: Vec<&str> = supported
        .methods
        .iter()
        .map(|method| method.method_name.as_str())
        .collect();
    assert!(names.contains(&"read") && !names.contains(&"batchappend"));
    let members = GossipClient::new(channel)
        .read(Empty {})
        .await
        .unwrap()
        .into_inner()
        .members;
    let [member] = members.as_slice() else {
        panic!("one member is told: {members:?}");
    };
    assert!(member.is_alive);
    let reached_at = member.http_end_point.clone().unwrap();
    let address = directory.process().address();
    assert_eq!(reached_at.address, address.ip().to_string());
    assert_eq!(reached_at.port, u32::from(address.port()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r59_a_subscription_ends_unavailable_when_the_service_ends() {
    let directory = Directory::start(Home::Embedded).await;
    Tenant::create(&directory, "acme").await;
    let log = reader(&directory, &auditor(None));
    let mut subscriptions = Vec::new();
    for ask in [Ask::log(), Ask::stream("account-acme"), Ask::stream("$$x")] {
        let answers = log.begin(ask.follow().options()).await.unwrap();
        subscriptions.push(answers);
    }
    directory.finish().await;
    for mut answers in subscriptions {
        let ended = loop {
            match answers.message().await {
                Ok(answer) => assert!(answer.is_some(), "a subscription never ends well"),
                Err(status) => break status,
            }
        };
        refused(&ended, Code::Unavailable, None);
    }
}

#[test]
fn r68_every_method_of_the_foreign_contract_has_a_rule() {
    let pool = DescriptorPool::decode(kurrent::DESCRIPTORS).unwrap();
    let methods: BTreeSet<String> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let service = method.parent_service().full_name().to_owned();
            format!("/{service}/{}", method.name())
        })
        .collect();
    let ruled: Vec<String> = TABLE
        .iter()
        .map(|(service, method, _)| format!("{PATHS}{service}/{method}"))
        .collect();
    assert_eq!(ruled.len(), methods.len(), "a method has two rules");
    assert_eq!(methods, ruled.into_iter().collect());
    assert!(methods.contains(&format!("{PATHS}streams.Streams/Read")));
}
