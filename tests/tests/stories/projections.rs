//! Views that are made anew while they serve, and views that a new process takes from a running one.

use rollbook_tests::database::Database;
use rollbook_tests::program::Installation;
use rollbook_tests::{
    Answer as _, Code, Directory, Home, Identity, Role, Tenant, ask, pb, stories,
};
use sqlx::Connection as _;

use crate::crashes::{reached_through, tenant};

stories! {
    r64_callers_read_and_write_while_each_view_is_made_anew_and_equals_the_live_one,
    r64_a_view_that_differs_from_the_log_is_told_and_replaced,
    r64_a_view_that_is_not_there_is_refused,
    r62_a_copy_of_a_view_tells_nothing_to_who_has_no_key,
}

fn rebuild(name: &str) -> pb::RebuildProjectionRequest {
    pb::RebuildProjectionRequest {
        name: name.to_owned(),
        compare: true,
        validate_only: false,
    }
}

/// Makes a view anew to the end; answers all it told.
async fn rebuilt(
    directory: &Directory,
    request: pb::RebuildProjectionRequest,
) -> Vec<pb::ProjectionRebuild> {
    let mut operations = directory.operator().operations();
    let mut answers = operations.rebuild_projection(request).await.answer();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        told.push(answer.rebuild.unwrap());
    }
    told
}

async fn projections(directory: &Directory) -> Vec<pb::Projection> {
    let mut operations = directory.operator().operations();
    let request = pb::ListProjectionsRequest {};
    operations
        .list_projections(request)
        .await
        .answer()
        .projections
}

fn is_equal(rebuild: &pb::ProjectionRebuild) -> bool {
    let equal = |table: &pb::TableComparison| {
        (table.different, table.only_live, table.only_next) == (0, 0, 0)
    };
    rebuild.compared && rebuild.tables.iter().all(equal)
}

async fn r64_callers_read_and_write_while_each_view_is_made_anew_and_equals_the_live_one(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    for view in projections(directory).await {
        let name = view.name.as_str();
        let all = rebuilt(directory, rebuild(name));
        tokio::pin!(all);
        let mut written = 0;
        let told = loop {
            let signature = format!("{}{written}", name[..4].to_uppercase());
            tokio::select! {
                biased;
                told = &mut all => break told,
                user = acme.user(&signature) => {
                    assert_eq!(acme.get(&user.user_id).await, user);
                    assert!(acme.signatures().await.contains(&user.signature));
                    written += 1;
                }
            }
        };
        let last = told.last().unwrap();
        assert_eq!(last.phase(), pb::RebuildPhase::Done);
        assert!(is_equal(last), "{name}: {last:?}");
        assert_eq!(last.index_count, last.all_index_count);
        assert_eq!(acme.get(&anna.user_id).await, anna);
    }
    for view in projections(directory).await {
        assert_eq!(
            (view.state(), view.rebuild),
            (pb::ProjectionState::Following, None)
        );
    }
}

async fn r64_a_view_that_differs_from_the_log_is_told_and_replaced(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    acme.signatures().await;
    let views = directory.process().data_dir().join("views");
    let users = std::fs::read_dir(views).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.starts_with("users-v") && name.ends_with(".sqlite")).then_some(path)
    });
    let url = format!("sqlite://{}", users.unwrap().display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE user_companies SET show_as_addressee = 7")
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    let only = pb::RebuildProjectionRequest {
        validate_only: true,
        ..rebuild("users")
    };
    for request in [only, rebuild("users")] {
        let told = rebuilt(directory, request).await;
        let last = told.last().unwrap();
        let differ = last.tables.iter().filter(|table| table.different > 0);
        let differ: Vec<_> = differ.map(|table| table.table.as_str()).collect();
        assert_eq!(differ, ["user_companies"], "{last:?}");
    }
    assert_eq!(acme.get(&anna.user_id).await, anna);
    assert!(is_equal(
        rebuilt(directory, rebuild("users")).await.last().unwrap()
    ));
}

async fn r64_a_view_that_is_not_there_is_refused(directory: &Directory) {
    let mut operations = directory.operator().operations();
    let not_there = (Code::NotFound, "PROJECTION_NOT_FOUND");
    let no_name = (Code::InvalidArgument, "MALFORMED");
    for (name, (code, reason)) in [
        ("user", not_there),
        ("snapshots", not_there),
        ("", no_name),
        ("users-v1", no_name),
        ("../users", no_name),
        ("Users", no_name),
    ] {
        let answer = operations.rebuild_projection(rebuild(name)).await;
        answer.refusal().is(code, reason);
        let name = name.to_owned();
        let answer = operations
            .copy_projection(pb::CopyProjectionRequest { name })
            .await;
        answer.refusal().is(code, reason);
    }
}

async fn r62_a_copy_of_a_view_tells_nothing_to_who_has_no_key(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.user("WENNERGREN").await;
    acme.signatures().await;
    let name = "users".to_owned();
    let mut operations = directory.operator().operations();
    let mut pieces = operations
        .copy_projection(pb::CopyProjectionRequest { name })
        .await
        .answer();
    let first = pieces.message().await.unwrap().unwrap();
    let copy = first.copy.unwrap();
    assert_eq!(copy.position, directory.head().await);
    let (mut sealed, mut last, mut count) = (Vec::new(), false, 0);
    while let Some(piece) = pieces.message().await.unwrap() {
        assert!(!last);
        sealed.extend(piece.sealed);
        last = piece.last;
        count += 1;
    }
    assert!(last);
    // A tag stands behind each piece.
    assert_eq!(sealed.len() as u64, copy.byte_count + 16 * count);
    for text in [
        "WENNERGREN",
        "wennergren",
        "SQLite format 3",
        "CREATE TABLE",
    ] {
        let found = sealed
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        assert!(!found, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r64_a_new_process_takes_its_views_from_a_running_one() {
    let directory = Directory::start(Home::Postgres).await;
    let acme = Tenant::create(&directory, "acme").await;
    let anna = acme.clerk("ANNA").await;
    let bert = acme.user("BERT").await;
    let token = directory.token(&Identity::new(Role::Operator, "rollbook", None));
    let second = directory.process_from(directory.process(), token).await;
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
    let there = acme.at(&second);
    assert_eq!(there.get(&anna.user_id).await, anna);
    let gone = there.get(&bert.user_id).await;
    assert_eq!(gone.status(), pb::UserStatus::Deleted);
    let cleo = there.user("CLEO").await;
    assert_eq!(acme.get(&cleo.user_id).await, cleo);
    assert_eq!(there.signatures().await, acme.signatures().await);
    // One whose token may not folds the log itself, and serves the same.
    let third = directory
        .process_from(directory.process(), "not.a.token".to_owned())
        .await;
    assert_eq!(acme.at(&third).signatures().await, acme.signatures().await);
    directory.finish().await;
}

/// A process that is killed while it makes a view anew serves what it did before, whenever that was.
async fn killed_while_it_makes_a_view_anew(installation: Installation) {
    if installation.database().is_some() {
        installation.migrate().await;
    }
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    program.stop().await;
    let mut expected = vec!["ADM".to_owned()];
    for told in 0..4 {
        let program = installation.serve().await;
        let acme = reached_through(&acme, &program);
        let user = acme.user(&format!("ROUND{told}")).await;
        expected.push(user.signature);
        assert_eq!(acme.signatures().await, expected);
        let operator = Identity::new(Role::Operator, "operator", None);
        let mut operations = installation.caller(&program, operator).operations();
        let request = rebuild("users");
        let mut answers = operations.rebuild_projection(request).await.answer();
        for _ in 0..told {
            let _rebuild = answers.message().await.unwrap();
        }
        program.kill().await;
    }
    let program = installation.serve().await;
    let acme = reached_through(&acme, &program);
    assert_eq!(acme.signatures().await, expected);
    program.stop().await;
    let views = std::fs::read_dir(installation.data_dir().join("views")).unwrap();
    let names = views.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // A file's write-ahead log goes with its last connection, and a process may end before its readers do.
    let of_users: Vec<_> = names
        .filter(|name| name.starts_with("users-v") && name.ends_with(".sqlite"))
        .collect();
    assert_eq!(of_users.len(), 1, "{of_users:?}");
    if let Some(database) = installation.into_database() {
        database.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r64_an_embedded_process_is_killed_while_it_makes_a_view_anew() {
    killed_while_it_makes_a_view_anew(Installation::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r64_a_process_on_postgres_is_killed_while_it_makes_a_view_anew() {
    let database = Database::create().await;
    killed_while_it_makes_a_view_anew(Installation::new(Some(database))).await;
}
