//! The master key rotated under load, cut off by a kill, and the former one destroyed.

use std::time::Duration;

use rollbook_eventstore::MasterKey;
use rollbook_tests::database::Database;
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Role, Tenant, ask, pb, stories,
};

use crate::crashes::tenant;

stories! {
    r62_the_master_key_is_rotated_while_callers_read_and_write,
}

const NEXT: &str = "ROLLBOOK_NEXT_MASTER_KEY_FILE";

/// Rotates to the end; answers the last that was told.
async fn rotated(operator: &Caller) -> pb::RotateMasterKeyResponse {
    let request = pb::RotateMasterKeyRequest {};
    let mut answers = operator
        .operations()
        .rotate_master_key(request)
        .await
        .answer();
    let mut last = None;
    while let Some(answer) = answers.message().await.unwrap() {
        last = Some(answer);
    }
    last.unwrap()
}

async fn master_key(operator: &Caller) -> pb::MasterKeyStatus {
    let request = pb::GetLogStatusRequest {};
    let status = operator.operations().get_log_status(request).await.answer();
    status.master_key.unwrap()
}

async fn r62_the_master_key_is_rotated_while_callers_read_and_write(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    let bert = acme.clerk("BERT").await;
    let request = ask!(
        acme,
        DeleteUserRequest {
            user_id: &bert.user_id
        }
    );
    acme.admin.users().delete_user(request).await.answer();
    let before = master_key(&acme.operator).await;
    assert!(before.former_key_id.is_empty() && before.begun_by.is_empty());
    let second = match directory.home {
        Home::Postgres => Some(directory.second_process().await),
        Home::Embedded => None,
    };
    let elsewhere = match &second {
        Some(process) => acme.at(process),
        None => acme.clone(),
    };
    let rotation = rotated(&acme.operator);
    tokio::pin!(rotation);
    let mut written = 0;
    // Whatever the rotation is at, some commands come while it is, and some after it.
    let done = loop {
        let signature = format!("N{written}");
        tokio::select! {
            biased;
            done = &mut rotation => break done,
            user = elsewhere.user(&signature) => {
                assert_eq!(acme.get(&user.user_id).await, user);
                written += 1;
            }
        }
    };
    assert!(done.done);
    assert_ne!(done.key_id, before.key_id);
    let after = master_key(&elsewhere.operator).await;
    assert_eq!(after.key_id, done.key_id);
    assert_eq!(
        (after.former_key_id.as_str(), after.begun_by.as_str()),
        ("", "operator")
    );
    assert!(after.finished_at.is_some());
    let late = elsewhere.user("LATE").await;
    assert_eq!(acme.get(&late.user_id).await, late);
    assert_eq!(acme.get(&anna.user_id).await, anna);
    let again = rotated(&elsewhere.operator).await;
    assert_eq!((again.done, again.rewrapped_count), (true, 0));
    if let Some(process) = second {
        drop(process.stop().await);
    }
}

fn operator_of(installation: &Installation, program: &Program) -> Caller {
    installation.caller(program, Identity::new(Role::Operator, "operator", None))
}

async fn killed_and_destroyed(installation: &Installation) {
    let next = installation.master_key_file().with_file_name("next.key");
    MasterKey::generate().write_new(&next).unwrap();
    let program = installation.serve().await;
    let acme = tenant(installation, &program).await;
    for number in 0..20 {
        acme.user(&format!("U{number}")).await;
    }
    let gone = acme.user("GONE").await;
    let request = ask!(
        acme,
        DeleteUserRequest {
            user_id: &gone.user_id
        }
    );
    acme.admin.users().delete_user(request).await.answer();
    let request = pb::RotateMasterKeyRequest {};
    let refused = acme.operator.operations().rotate_master_key(request).await;
    refused
        .refusal()
        .is(Code::FailedPrecondition, "NEXT_MASTER_KEY_MISSING");
    if installation.database().is_some() {
        // One of two processes has the next key: what it wrote would be nothing to the other.
        let dir = tempfile::tempdir().unwrap();
        let second = installation.serve_in(dir.path(), &[(NEXT, &next)]).await;
        let operator = operator_of(installation, &second);
        let refused = operator.operations().rotate_master_key(request).await;
        refused.refusal().is(
            Code::FailedPrecondition,
            "NEXT_MASTER_KEY_UNKNOWN_ELSEWHERE",
        );
        second.stop().await;
    }
    program.stop().await;

    // It is killed as soon as the rotation has begun, whatever that has come to.
    let program = installation.serve_with(&[(NEXT, &next)]).await;
    let operator = operator_of(installation, &program);
    let begun = async {
        loop {
            match operator
                .operations()
                .rotate_master_key(request)
                .await
                .outcome()
            {
                Ok(mut answers) => return answers.message().await.unwrap().unwrap(),
                // The server may not have noticed yet that the process without the key is gone.
                Err(refusal) => refusal.is(
                    Code::FailedPrecondition,
                    "NEXT_MASTER_KEY_UNKNOWN_ELSEWHERE",
                ),
            };
            tokio::task::yield_now().await;
        }
    };
    let begun = tokio::time::timeout(Duration::from_mins(1), begun).await;
    let first = begun.unwrap();
    program.kill().await;

    let program = installation.serve_with(&[(NEXT, &next)]).await;
    let operator = operator_of(installation, &program);
    let done = rotated(&operator).await;
    assert_eq!((done.done, &done.key_id), (true, &first.key_id));
    program.stop().await;
    let refused = installation.try_serve().await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("the master key is not the one of this log"),
        "{said}"
    );
    std::fs::rename(&next, installation.master_key_file()).unwrap();
    let program = installation.serve().await;
    let acme = acme.through(&program);
    let there = acme.signatures().await;
    assert_eq!(there.len(), 21, "{there:?}");
    assert!(!there.contains(&gone.signature));
    acme.user("AFTER").await;
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_rotation_survives_a_kill_and_the_former_key_is_destroyed_embedded() {
    killed_and_destroyed(&Installation::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_rotation_survives_a_kill_and_the_former_key_is_destroyed_postgres() {
    let installation = Installation::new(Some(Database::create().await));
    installation.migrate().await;
    killed_and_destroyed(&installation).await;
    installation.into_database().unwrap().remove().await;
}
