//! Watching: what happens to users is told at once, once, and to those who may know it.

use std::time::Duration;

use prost_types::FieldMask;
use rollbook_proto::v1::Disclosure::{Erased, Shown, Withheld};
use rollbook_tests::people::{grant, person};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Refusal, Role, Tenant, ask, pb, stories,
};
use tonic::Streaming;

stories! {
    r57_each_change_is_told_once_and_a_watcher_resumes_where_it_was,
    r41_those_who_watch_are_told_when_sessions_end,
    r57_changes_of_one_commit_are_told_as_such,
    r57_checkpoints_tell_how_far_the_log_was_looked_at,
    r57_a_watcher_far_behind_is_told_everything,
    r62_watchers_see_personal_data_as_withheld_or_erased,
    r68_a_watcher_is_told_of_its_own_account_alone,
    r68_a_watcher_whose_token_counts_no_more_is_cut_off,
}

type Watching = Streaming<pb::WatchUsersResponse>;

async fn watch(caller: &Caller, request: pb::WatchUsersRequest) -> Watching {
    caller.users().watch_users(request).await.answer()
}

/// The next message that has changes.
async fn changes(watching: &mut Watching) -> pb::WatchUsersResponse {
    loop {
        let message = watching.message().await.unwrap().unwrap();
        if !message.changes.is_empty() {
            return message;
        }
    }
}

/// Everything up to the head of the log.
async fn all(watching: &mut Watching) -> Vec<pb::UserChange> {
    let mut found = Vec::new();
    loop {
        let message = watching.message().await.unwrap().unwrap();
        let caught_up = message.caught_up;
        found.extend(message.changes);
        if caught_up {
            return found;
        }
    }
}

fn names(changes: &[pb::UserChange]) -> Vec<&str> {
    changes
        .iter()
        .map(|change| change.event_type.as_str())
        .collect()
}

fn from(acme: &Tenant, from_position: u64) -> pb::WatchUsersRequest {
    pb::WatchUsersRequest {
        from_position: Some(from_position),
        ..ask!(acme, WatchUsersRequest {})
    }
}

async fn lock(acme: &Tenant, user_id: &str) -> pb::LockUserResponse {
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id }))
        .await
        .answer()
}

async fn r57_each_change_is_told_once_and_a_watcher_resumes_where_it_was(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut from_now = watch(&acme.service, ask!(acme, WatchUsersRequest {})).await;
    let opened = from_now.message().await.unwrap().unwrap();
    assert!(opened.changes.is_empty() && opened.caught_up, "{opened:?}");
    assert_eq!(opened.position, directory.head().await);

    let anna = acme.user("ANNA").await;
    let first = changes(&mut from_now).await;
    assert_eq!(names(&first.changes), ["UserCreated"]);
    assert_eq!(first.changes[0].user.as_ref(), Some(&anna));
    assert_eq!(first.changes[0].recorded_at, anna.created_at);
    drop(from_now);

    lock(&acme, &anna.user_id).await;
    let unlock = ask!(
        acme,
        UnlockUserRequest {
            user_id: &anna.user_id
        }
    );
    acme.admin.users().unlock_user(unlock).await.answer();
    let mut resumed = watch(&acme.service, from(&acme, first.position)).await;
    let later = all(&mut resumed).await;
    assert_eq!(names(&later), ["UserLocked", "UserUnlocked"]);
    // Each shows the user as it is now.
    assert!(
        later
            .iter()
            .all(|change| change.user.as_ref().unwrap().revision == 3)
    );

    let everything = all(&mut watch(&acme.service, from(&acme, 0)).await).await;
    assert_eq!(
        names(&everything)[names(&everything).len() - 3..],
        ["UserCreated", "UserLocked", "UserUnlocked"]
    );
    let positions: Vec<u64> = everything.iter().map(|change| change.position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");

    let beyond = from(&acme, 999_999);
    acme.service
        .users()
        .watch_users(beyond)
        .await
        .refusal()
        .is(Code::OutOfRange, "POSITION_BEYOND_HEAD");
}

async fn r41_those_who_watch_are_told_when_sessions_end(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (anna, bert, carl) = (
        acme.user("ANNA").await.user_id,
        acme.user("BERT").await.user_id,
        acme.user("CARL").await.user_id,
    );
    let request = ask!(
        acme,
        WatchUsersRequest {
            sessions_ended_only: true
        }
    );
    let mut watching = watch(&acme.service, request).await;
    watching.message().await.unwrap();
    directory.clock.advance(Duration::from_mins(1));
    let mut users = acme.admin.users();
    let phone = ask!(
        acme,
        UpdateUserRequest {
            user_id: &anna,
            profile: pb::UserProfile {
                phone: "12345".to_owned(),
                ..Default::default()
            },
            update_mask: FieldMask {
                paths: vec!["phone".to_owned()]
            },
        }
    );
    users.update_user(phone).await.answer();
    lock(&acme, &anna).await;
    let locked = changes(&mut watching).await;
    users
        .deactivate_user(ask!(acme, DeactivateUserRequest { user_id: &bert }))
        .await
        .answer();
    let deactivated = changes(&mut watching).await;
    users
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &carl }))
        .await
        .answer();
    let deleted = changes(&mut watching).await;
    for (message, name, user_id) in [
        (locked, "UserLocked", &anna),
        (deactivated, "UserDeactivated", &bert),
        (deleted, "UserDeleted", &carl),
    ] {
        assert_eq!(names(&message.changes), [name]);
        let change = &message.changes[0];
        let user = change.user.as_ref().unwrap();
        assert_eq!((&user.user_id, change.sessions_ended), (user_id, true));
        assert_eq!(user.sessions_valid_from, change.recorded_at);
    }
}

async fn r57_changes_of_one_commit_are_told_as_such(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let head = directory.head().await;
    let clerk = pb::NewUser {
        roles: vec!["clerk".to_owned()],
        permissions: vec![grant("invoices")],
        ..person("ANNA")
    };
    acme.create_user(clerk).await;
    let told = all(&mut watch(&acme.service, from(&acme, head)).await).await;
    assert_eq!(
        names(&told),
        ["UserCreated", "UserRolesSet", "UserPermissionsSet"]
    );
    let commits: Vec<u64> = told.iter().map(|change| change.commit_position).collect();
    assert_eq!(commits, [head + 3; 3]);
    // A watcher that was cut off within a commit goes on within it.
    let rest = all(&mut watch(&acme.service, from(&acme, head + 1)).await).await;
    assert_eq!(rest, told[1..]);
}

async fn r57_checkpoints_tell_how_far_the_log_was_looked_at(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut watching = watch(&acme.service, ask!(acme, WatchUsersRequest {})).await;
    let opened = watching.message().await.unwrap().unwrap();
    let other = Tenant::create(directory, "other").await;
    other.user("BERT").await;
    let head = directory.head().await;
    let mut last = opened.position;
    while last < head {
        let checkpoint = watching.message().await.unwrap().unwrap();
        assert!(checkpoint.changes.is_empty(), "{checkpoint:?}");
        assert!(checkpoint.position >= last);
        last = checkpoint.position;
    }
}

async fn r57_a_watcher_far_behind_is_told_everything(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let rows = |count: u64| {
        (0..count)
            .map(|number| pb::ImportRow {
                user: Some(pb::NewUser {
                    roles: vec!["clerk".to_owned()],
                    ..person(&format!("U{number}"))
                }),
                ..pb::ImportRow::default()
            })
            .collect::<Vec<_>>()
    };
    // More than a watcher takes out of memory, and more than one page of its own account.
    for (tenant, count) in [(&acme, 600), (&other, 600)] {
        let header = pb::ImportHeader {
            account_id: tenant.account_id.clone(),
            command: None,
        };
        let mut messages = vec![pb::ImportUsersRequest {
            header: Some(header),
            rows: Vec::new(),
        }];
        messages.extend(rows(count).chunks(500).map(|rows| pb::ImportUsersRequest {
            header: None,
            rows: rows.to_vec(),
        }));
        let mut answers = tenant
            .admin
            .users()
            .import_users(tokio_stream::iter(messages))
            .await
            .answer();
        while let Some(answer) = answers.message().await.unwrap() {
            assert_eq!(answer.refused, 0);
        }
    }
    let mut watching = watch(&acme.service, from(&acme, 0)).await;
    watching.message().await.unwrap();
    let told = all(&mut watching).await;
    let of_users =
        |event: &&pb::Event| event.account_id == "acme" && event.stream.starts_with("user-");
    let events = directory.events().await;
    let expected: Vec<u64> = events
        .iter()
        .filter(of_users)
        .map(|event| event.position)
        .collect();
    let positions: Vec<u64> = told.iter().map(|change| change.position).collect();
    assert_eq!(positions, expected);
    let middle = positions[positions.len() / 2];
    let mut resumed = watch(&acme.service, from(&acme, middle)).await;
    resumed.message().await.unwrap();
    let rest: Vec<u64> = all(&mut resumed)
        .await
        .iter()
        .map(|change| change.position)
        .collect();
    assert_eq!(rest, positions[positions.len() / 2 + 1..]);
}

async fn r62_watchers_see_personal_data_as_withheld_or_erased(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let head = directory.head().await;
    let anna = acme.user("ANNA").await.user_id;
    let bert = acme.user("BERT").await.user_id;
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &bert }))
        .await
        .answer();
    let told = all(&mut watch(&acme.service, from(&acme, head)).await).await;
    let disclosures: Vec<_> = told.iter().map(pb::UserChange::disclosure).collect();
    assert_eq!(disclosures, [Shown, Erased, Erased]);
    assert!(!format!("{told:?}").contains("BERT"));

    let without = directory.caller(Identity::new(Role::Service, "portal", Some("acme")));
    let told = all(&mut watch(&without, from(&acme, head)).await).await;
    let disclosures: Vec<_> = told.iter().map(pb::UserChange::disclosure).collect();
    assert_eq!(disclosures, [Withheld, Erased, Erased]);
    for personal in ["ANNA", "BERT", "@example.com"] {
        assert!(
            !format!("{told:?}").contains(personal),
            "{personal} is shown"
        );
    }
    assert_eq!(told[0].user.as_ref().unwrap().user_id, anna);
}

async fn r68_a_watcher_is_told_of_its_own_account_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let bert = other.user("BERT").await;
    let anna = acme.user("ANNA").await;
    let of_acme = all(&mut watch(&acme.service, from(&acme, 0)).await).await;
    let account = |change: &pb::UserChange| change.user.as_ref().unwrap().account_id.clone();
    assert!(of_acme.iter().all(|change| account(change) == "acme"));
    let everywhere = directory.caller(Identity::new(Role::Service, "gateway", None));
    let request = pb::WatchUsersRequest {
        from_position: Some(0),
        ..Default::default()
    };
    let told = all(&mut watch(&everywhere, request.clone()).await).await;
    for id in [bert.user_id, anna.user_id] {
        let of = |change: &&pb::UserChange| change.user.as_ref().unwrap().user_id == id;
        assert!(told.iter().any(|change| of(&change)), "{id} is not told");
    }
    acme.service
        .users()
        .watch_users(request)
        .await
        .refusal()
        .is(Code::InvalidArgument, "MALFORMED")
        .names(&["account_id"]);
    acme.service
        .users()
        .watch_users(ask!(other, WatchUsersRequest {}))
        .await
        .refusal()
        .is(Code::NotFound, "ACCOUNT_NOT_FOUND");
}

async fn r68_a_watcher_whose_token_counts_no_more_is_cut_off(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (second, other) = acme.another_administrator(directory, "ADM2").await;
    let mut watching = watch(&other, ask!(acme, WatchUsersRequest {})).await;
    watching.message().await.unwrap();
    lock(&acme, &second.user_id).await;
    let status = loop {
        match watching.message().await {
            Ok(Some(message)) => assert!(message.changes.is_empty(), "{message:?}"),
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
    };
    Refusal::of(&status).is(Code::PermissionDenied, "NOT_ADMINISTRATOR");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r41_a_watcher_at_one_process_is_told_of_commands_at_another() {
    let directory = Directory::start(Home::Postgres).await;
    let acme = Tenant::create(&directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let second = directory.second_process().await;
    let there = acme.at(&second);
    let mut watching = watch(&there.service, ask!(acme, WatchUsersRequest {})).await;
    watching.message().await.unwrap();
    let locked = lock(&acme, &anna.user_id).await;
    let told = changes(&mut watching).await;
    assert_eq!(told.changes[0].position, locked.position);
    assert!(told.changes[0].sessions_ended);
    assert_eq!(told.changes[0].user, locked.user);
    drop(watching);
    drop(second.stop().await);
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r57_a_watcher_is_told_that_the_service_stops() {
    let directory = Directory::start(Home::Embedded).await;
    let acme = Tenant::create(&directory, "acme").await;
    let mut watching = watch(&acme.service, ask!(acme, WatchUsersRequest {})).await;
    watching.message().await.unwrap();
    let ended = tokio::spawn(async move {
        loop {
            if let Err(status) = watching.message().await {
                return status;
            }
        }
    });
    directory.finish().await;
    Refusal::of(&ended.await.unwrap()).is(Code::Unavailable, "LOG_UNAVAILABLE");
}
