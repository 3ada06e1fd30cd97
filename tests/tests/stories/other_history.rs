//! A database that is put back while a process runs: the process notices, says so, and makes everything anew before it answers.

use std::time::Duration;

use rollbook_tests::database::Database;
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{Answer as _, Caller, Identity, Role, Tenant, ask, pb};
use tonic::Code;

use crate::crashes::tenant;

/// Asks until there is an answer: while the process makes everything anew, or has to connect again, there is none.
async fn signatures(reader: &Caller) -> Vec<String> {
    let request = pb::ListUsersRequest {
        account_id: "acme".to_owned(),
        ..pb::ListUsersRequest::default()
    };
    let answered = async {
        loop {
            match reader.users().list_users(request.clone()).await {
                Ok(answer) => {
                    let users = answer.into_inner().users;
                    return users.into_iter().map(|user| user.signature).collect();
                }
                Err(status) => {
                    let nobody = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                    assert!(nobody.contains(&status.code()), "{status:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), answered)
        .await
        .expect("there is an answer again")
}

/// Creates somebody, as soon as there is a process that can.
async fn create(acme: &Tenant, signature: &str) {
    let user = rollbook_tests::people::person(signature);
    let mut request = ask!(acme, CreateUserRequest { user });
    request.command = Some(rollbook_tests::people::repeatable());
    let created = async {
        while let Err(status) = acme.admin.users().create_user(request.clone()).await {
            assert!(
                matches!(status.code(), Code::Unavailable | Code::Unknown),
                "{status:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), created)
        .await
        .expect("users can be created again");
}

fn reader(installation: &Installation, program: &Program) -> Caller {
    let identity = Identity::new(Role::Service, "reader", Some("acme"));
    installation.caller(program, identity)
}

#[tokio::test]
async fn r64_a_database_that_is_put_back_is_noticed_and_nothing_of_before_is_answered() {
    let installation = Installation::new(Some(Database::create().await));
    installation.migrate().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = installation.serve_logging(&log, &[]).await;
    let acme = tenant(&installation, &program).await;
    let reader = reader(&installation, &program);
    let database = installation.database().unwrap();

    // To an earlier point: whoever came since was never there.
    create(&acme, "KEPT").await;
    let before = signatures(&reader).await;
    database.keep().await;
    for signature in ["LOST1", "LOST2"] {
        create(&acme, signature).await;
    }
    assert_eq!(signatures(&reader).await.len(), before.len() + 2);
    database.put_back().await;
    assert_eq!(signatures(&reader).await, before);
    create(&acme, "AFTER").await;
    let since = signatures(&reader).await;
    assert_eq!(since.len(), before.len() + 1);

    // And where others have written more since than was lost, it is found out by what stands where it read.
    database.keep().await;
    create(&acme, "LOST3").await;
    assert_eq!(signatures(&reader).await.len(), since.len() + 1);
    database.put_back().await;
    let other = installation.serve_apart("other").await;
    let elsewhere = acme_at(&installation, &acme, &other);
    for number in 0..4 {
        create(&elsewhere, &format!("OTHER{number}")).await;
    }
    let there = signatures(&self::reader(&installation, &other)).await;
    assert_eq!(there.len(), since.len() + 4);
    assert_eq!(signatures(&reader).await, there);
    assert_eq!(
        heads(&acme.operator).await,
        heads(&elsewhere.operator).await
    );

    program.stop().await;
    other.stop().await;
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("the log is on another history"), "{said}");
    installation.into_database().unwrap().remove().await;
}

/// The same callers at another process.
fn acme_at(installation: &Installation, acme: &Tenant, program: &Program) -> Tenant {
    let caller = |role, subject: &str, account: Option<&str>| {
        installation.caller(program, Identity::new(role, subject, account))
    };
    Tenant {
        operator: caller(Role::Operator, "operator", None),
        admin: caller(
            Role::Administrator,
            &acme.administrator.user_id,
            Some("acme"),
        ),
        ..acme.clone()
    }
}

/// Where the log ends, by a process.
async fn heads(operator: &Caller) -> u64 {
    let mut operations = operator.operations();
    let request = pb::GetLogStatusRequest {};
    let status = operations.get_log_status(request).await.answer();
    status.head_position
}
