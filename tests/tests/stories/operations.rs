//! Operations: the log, the views, health and reflection.

use std::time::Duration;

use rollbook_tests::directory::{Views, check_log};
use rollbook_tests::{Answer as _, Code, Directory, Home, Tenant, ask, pb, stories};
use sqlx::Connection as _;

stories! {
    r56_views_follow_the_log,
    r58_the_log_tells_how_it_is,
}

async fn r56_views_follow_the_log(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.user("ANNA").await;
    acme.signatures().await;
    let projections = acme
        .operator
        .operations()
        .list_projections(pb::ListProjectionsRequest {})
        .await
        .answer()
        .projections;
    let names: Vec<_> = projections.iter().map(|view| view.name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    for name in [
        "audit",
        "deadlines",
        "invitations",
        "involvements",
        "mails",
        "past",
        "supervisors",
        "users",
    ] {
        let view = projections
            .iter()
            .find(|view| view.name == name)
            .unwrap_or_else(|| panic!("no {name} in {names:?}"));
        assert_eq!(
            (view.state(), view.error.as_str()),
            (pb::ProjectionState::Following, "")
        );
        assert!(view.version >= 1);
    }
    let users = projections
        .iter()
        .find(|view| view.name == "users")
        .unwrap();
    assert_eq!(users.position, directory.head().await);
}

async fn r58_the_log_tells_how_it_is(directory: &Directory) {
    let status = |directory: &Directory| {
        let mut client = directory.operator().operations();
        async move {
            client
                .get_log_status(pb::GetLogStatusRequest {})
                .await
                .answer()
        }
    };
    let empty = status(directory).await;
    assert_eq!((empty.head_position, empty.last_recorded_at), (0, None));
    let acme = Tenant::create(directory, "acme").await;
    let created = acme
        .try_create(rollbook_tests::people::person("ANNA"))
        .await
        .answer();
    let after = status(directory).await;
    assert_eq!(
        (after.head_position, after.log_id.clone()),
        (created.position, empty.log_id)
    );
    assert_eq!(after.last_recorded_at, created.user.unwrap().created_at);
    assert_eq!(
        after.home,
        match directory.home {
            Home::Embedded => "sqlite",
            Home::Postgres => "postgresql",
        }
    );
    uuid::Uuid::parse_str(&after.log_id).unwrap();
}

/// A process that lost its disk, or was only restarted, answers the same.
async fn restarted(home: Home, views: Views) {
    let directory = Directory::start(home).await;
    let acme = Tenant::create(&directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    let bert = acme.user("BERT").await;
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &bert.user_id
            }
        ))
        .await
        .answer();
    let before = directory.events().await;
    let directory = directory.restarted(views).await;
    assert_eq!(directory.events().await, before);
    check_log(&before);
    let acme = acme.at(directory.process());
    assert_eq!(acme.get(&anna.user_id).await, anna);
    assert_eq!(
        acme.get(&bert.user_id).await.status(),
        pb::UserStatus::Deleted
    );
    assert_eq!(acme.signatures().await, ["ADM", "ANNA"]);
    acme.user("CLEO").await;
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r64_an_embedded_process_without_views_builds_them_before_it_answers() {
    restarted(Home::Embedded, Views::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r64_a_process_on_postgres_without_views_builds_them_before_it_answers() {
    restarted(Home::Postgres, Views::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r59_an_embedded_log_is_there_after_a_restart() {
    restarted(Home::Embedded, Views::Kept).await;
}

/// A head that no event stands at is what a process sees whose followers are far behind.
#[tokio::test(flavor = "multi_thread")]
async fn r56_a_read_that_would_wait_past_its_deadline_says_so() {
    let directory = Directory::start(Home::Postgres).await;
    let acme = Tenant::create(&directory, "acme").await;
    let mut connection = directory.database().unwrap().connect().await;
    let move_head = "UPDATE log_head SET position = position + $1";
    let by = |count: i64| sqlx::query(move_head).bind(count);
    by(1).execute(&mut connection).await.unwrap();
    let mut request = tonic::Request::new(ask!(acme, ListUsersRequest {}));
    request.set_timeout(Duration::from_millis(500));
    let refusal = acme.admin.users().list_users(request).await.refusal();
    by(-1).execute(&mut connection).await.unwrap();
    refusal.is(Code::Unavailable, "VIEW_LAGGING");
    connection.close().await.unwrap();
    // To a process that knew of the head, one that was put back is another history: it serves no more.
    let directory = directory.restarted(Views::Kept).await;
    let acme = acme.at(directory.process());
    assert_eq!(acme.signatures().await, ["ADM"]);
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r56_a_second_process_on_the_database_reads_what_the_first_has_acknowledged() {
    let directory = Directory::start(Home::Postgres).await;
    let acme = Tenant::create(&directory, "acme").await;
    let second = directory.second_process().await;
    let there = acme.at(&second);
    for number in 0..30 {
        let here = acme.user(&format!("H{number}")).await;
        assert_eq!(there.get(&here.user_id).await, here);
        let away = there.user(&format!("T{number}")).await;
        assert_eq!(acme.get(&away.user_id).await, away);
        assert_eq!(acme.signatures().await, there.signatures().await);
    }
    directory.finish().await;
}
