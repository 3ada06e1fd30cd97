//! An account that the program makes by itself is as any other, and whoever was cut off goes on where it was.

use std::process::Stdio;

use rollbook_eventstore::{Clock, Log, ReadQuery, postgres, sqlite};
use rollbook_tests::database::Database;
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{Answer as _, Caller, Identity, Role, pb};
use serde_json::Value;

/// How many users the account is to have: more than a commit takes.
const USERS: u64 = 900;
const EVENTS: u32 = 7;

async fn seed(installation: &Installation, users: u64) -> String {
    let ended = installation.seeding(users, EVENTS).output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

async fn open(installation: &Installation) -> Log {
    let (key, clock) = (installation.master_key(), Clock::system());
    match installation.database() {
        None => sqlite::open(&installation.data_dir(), key, clock)
            .await
            .unwrap(),
        Some(database) => {
            let options = postgres::Options::default();
            postgres::open(&database.application_url(), options, key, clock)
                .await
                .unwrap()
        }
    }
}

/// Everything that happened, by position; but for times, and for what follows from a log's own keys.
async fn history(installation: &Installation) -> Vec<(String, String, u64, Value)> {
    let log = open(installation).await;
    let all = ReadQuery {
        limit: 1_000_000,
        ..ReadQuery::default()
    };
    let events = log.read(&all).await.unwrap();
    log.close().await;
    events
        .into_iter()
        .map(|event| {
            let mut payload = event.payload;
            let payload_fields = payload.as_object_mut().unwrap();
            payload_fields.remove("$recorded_at");
            // It is made with a key of the log.
            for fields in payload_fields.values_mut() {
                if let Some(fields) = fields.as_object_mut() {
                    fields.remove("token_digest");
                }
            }
            (
                event.stream.to_string(),
                event.event_type,
                event.revision,
                payload,
            )
        })
        .collect()
}

async fn cut_off_and_go_on(installation: &Installation) {
    // Wherever this one is when it is killed, the next goes on from there.
    let mut cut_off = installation
        .seeding(USERS, EVENTS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let grown = tokio::time::timeout(std::time::Duration::from_millis(250), cut_off.wait()).await;
    if grown.is_err() {
        cut_off.kill().await.unwrap();
    }
    let told = seed(installation, USERS).await;
    assert!(
        told.starts_with(&format!("the account town has {USERS} users")),
        "{told}"
    );
    let again = seed(installation, USERS).await;
    assert!(
        again.contains(&format!("of whom {USERS} were there")),
        "{again}"
    );
}

/// The account can be served, and its users be found, changed and deleted as any others.
async fn live_in(installation: &Installation, program: &Program) {
    let caller = |role: Role| {
        let identity = Identity::new(role, role.as_str(), Some("town"));
        installation.caller(program, identity)
    };
    let listed = list(&caller(Role::Service)).await;
    assert_eq!(listed.total, Some(USERS));
    let first = pb::ListUsersRequest {
        account_id: "town".to_owned(),
        user_type: pb::UserType::Administrator.into(),
        sort: pb::UserSort::CreatedAt.into(),
        page_size: 1,
        ..pb::ListUsersRequest::default()
    };
    let service = caller(Role::Service);
    let found = service.users().list_users(first).await.answer().users;
    let identity = Identity::new(Role::Administrator, &found[0].user_id, Some("town"));
    let administrator = installation.caller(program, identity);
    let mut deleted = 0;
    for user in &listed.users {
        let account_id = "town".to_owned();
        let user_id = user.user_id.clone();
        let check = pb::CheckUserDeletionRequest {
            account_id: account_id.clone(),
            user_id: user_id.clone(),
        };
        let blockers = administrator
            .users()
            .check_user_deletion(check)
            .await
            .answer();
        if !blockers.blockers.is_empty() {
            continue;
        }
        let request = pb::DeleteUserRequest {
            account_id,
            user_id,
            ..pb::DeleteUserRequest::default()
        };
        administrator.users().delete_user(request).await.answer();
        deleted += 1;
        if deleted == 3 {
            break;
        }
    }
    assert_eq!(deleted, 3);
    assert_eq!(list(&service).await.total, Some(USERS - 3));
}

async fn list(service: &Caller) -> pb::ListUsersResponse {
    let all = pb::ListUsersRequest {
        account_id: "town".to_owned(),
        page_size: 1_000,
        include_total: true,
        ..pb::ListUsersRequest::default()
    };
    service.users().list_users(all).await.answer()
}

#[tokio::test]
async fn r55_a_town_that_was_cut_off_is_the_same_as_one_that_was_not_on_both_homes() {
    let database = Database::create().await;
    let shared = Installation::new(Some(database));
    shared.migrate().await;
    let embedded = Installation::new(None);
    let told = seed(&embedded, USERS).await;
    assert!(told.contains(&format!("made {USERS} users with")), "{told}");
    cut_off_and_go_on(&shared).await;
    let (whole, cut_off) = (history(&embedded).await, history(&shared).await);
    assert!(whole.len() as u64 > USERS * u64::from(EVENTS) * 3 / 4);
    assert_eq!(whole.len(), cut_off.len());
    for (whole, cut_off) in whole.iter().zip(&cut_off) {
        assert_eq!(whole, cut_off);
    }
    for installation in [&embedded, &shared] {
        let program = installation.serve().await;
        live_in(installation, &program).await;
        program.stop().await;
    }
    shared.into_database().unwrap().remove().await;
}
