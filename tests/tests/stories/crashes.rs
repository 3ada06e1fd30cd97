//! Crashes: whatever is killed in the middle of whatever, what was acknowledged is there once, and what was not can be asked
//! again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prost_types::Timestamp;
use rollbook_tests::database::Database;
use rollbook_tests::directory::check_log;
use rollbook_tests::files::{check_integrity, rows_of_views};
use rollbook_tests::people::{person, repeatable};
use rollbook_tests::program::{Installation, PostgresServer, Program, open_to_all};
use rollbook_tests::{Answer as _, Caller, Identity, Role, Tenant, ask, pb};
use sqlx::{Connection as _, Executor as _};
use tokio::task::JoinHandle;
use tonic::Code;

/// How many callers load the process while it is killed.
const CALLERS: u64 = 16;

/// What a caller sent, and the position it was told, if it was told one.
struct Sent {
    request: pb::CreateUserRequest,
    position: Option<u64>,
}

impl Sent {
    fn request_id(&self) -> &str {
        &self.request.command.as_ref().unwrap().request_id
    }
}

/// Callers that create users as fast as they can, until told to stop or, if they are to, until the first call fails.
struct Load {
    acknowledged: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Sent>>>,
}

impl Load {
    fn begin(acme: &Tenant, round: usize) -> Self {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let callers = (0..CALLERS)
            .map(|number| {
                let (acme, stopped) = (acme.clone(), Arc::clone(&stopped));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    while !stopped.load(Ordering::SeqCst) {
                        let user = person(&format!("R{round}C{number}N{}", sent.len()));
                        let mut request = ask!(acme, CreateUserRequest { user });
                        request.command = Some(repeatable());
                        let answer = acme.admin.users().create_user(request.clone()).await;
                        let position = answer.map(|answer| answer.into_inner().position);
                        if position.is_ok() {
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                        }
                        sent.push(Sent {
                            request,
                            position: position.ok(),
                        });
                    }
                    sent
                })
            })
            .collect();
        Self {
            acknowledged,
            stopped,
            callers,
        }
    }

    /// Waits until so many commands more were acknowledged.
    async fn acknowledge(&self, more: u64) {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + more;
        let reached = async {
            while self.acknowledged.load(Ordering::SeqCst) < wanted {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reached)
            .await
            .expect("commands are no longer acknowledged");
    }

    async fn end(self) -> Vec<Sent> {
        self.stopped.store(true, Ordering::SeqCst);
        let mut sent = Vec::new();
        for caller in self.callers {
            sent.extend(caller.await.unwrap());
        }
        sent
    }
}

async fn events(auditor: &Caller) -> Vec<pb::Event> {
    let mut replay = auditor
        .history()
        .replay_events(pb::ReplayEventsRequest::default())
        .await
        .answer();
    let mut events = Vec::new();
    while let Some(piece) = replay.message().await.unwrap() {
        events.extend(piece.events);
    }
    events
}

/// An account in a running program.
pub async fn tenant(installation: &Installation, program: &Program) -> Tenant {
    let caller = |role, subject: &str, account: Option<&str>| {
        installation.caller(program, Identity::new(role, subject, account))
    };
    let operator = caller(Role::Operator, "operator", None);
    let created = operator
        .accounts()
        .create_account(Tenant::request("acme"))
        .await
        .answer();
    let administrator = created.administrator.unwrap();
    let account = created.account.unwrap();
    Tenant {
        account_id: "acme".to_owned(),
        companies: account
            .companies
            .into_iter()
            .map(|company| company.company_id)
            .collect(),
        admin: caller(Role::Administrator, &administrator.user_id, Some("acme")),
        service: caller(Role::Service, "invoices", Some("acme")),
        portal: caller(Role::Portal, "portal", Some("acme")),
        auditor: caller(Role::Auditor, "auditor", Some("acme")),
        administrator,
        operator,
    }
}

/// The same account, reached through another process.
pub fn reached_through(acme: &Tenant, program: &Program) -> Tenant {
    Tenant {
        admin: acme.admin.at(program.channel()),
        ..acme.clone()
    }
}

/// Checks that what was acknowledged is in the log once and where it was said to be, and that the rest can be asked again.
async fn settle(acme: &Tenant, auditor: &Caller, sent: &[Sent]) {
    let by_request = |events: &[pb::Event]| {
        let mut positions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for event in events {
            positions
                .entry(event.request_id.clone())
                .or_default()
                .push(event.position);
        }
        positions
    };
    let before = by_request(&events(auditor).await);
    let mut lost = 0;
    for sent in sent {
        if let Some(position) = sent.position {
            assert_eq!(
                before.get(sent.request_id()),
                Some(&vec![position]),
                "an acknowledged command"
            );
        } else {
            lost += 1;
            let found = before.get(sent.request_id());
            let answer = acme
                .admin
                .users()
                .create_user(sent.request.clone())
                .await
                .answer();
            if let Some(positions) = found {
                assert_eq!(
                    positions,
                    &[answer.position],
                    "a commit whose answer was lost"
                );
            }
        }
    }
    let after = events(auditor).await;
    check_log(&after);
    let after = by_request(&after);
    assert!(sent.iter().all(|sent| {
        after
            .get(sent.request_id())
            .is_some_and(|positions| positions.len() == 1)
    }));
    println!("{} acknowledged, {lost} answers lost", sent.len() - lost);
}

/// Kills the serving process under load, again and again.
async fn killed_under_load(installation: Installation) {
    if installation.database().is_some() {
        installation.migrate().await;
    }
    let mut program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    for round in 0..4 {
        let load = Load::begin(&reached_through(&acme, &program), round);
        load.acknowledge(150).await;
        program.kill().await;
        let sent = load.end().await;
        program = installation.serve().await;
        settle(
            &reached_through(&acme, &program),
            &installation.auditor(&program),
            &sent,
        )
        .await;
    }
    views_equal_a_rebuild(&installation, program).await;
    if let Some(database) = installation.into_database() {
        database.remove().await;
    }
}

/// Waits until every view of the program has folded the whole log.
async fn caught_up(installation: &Installation, program: &Program) {
    let operator = installation.caller(program, Identity::new(Role::Operator, "operator", None));
    let mut client = operator.operations();
    let caught_up = async {
        loop {
            let status = client.get_log_status(pb::GetLogStatusRequest {});
            let head = status.await.answer().head_position;
            let views = client.list_projections(pb::ListProjectionsRequest {});
            let views = views.await.answer().projections;
            if views.iter().all(|view| view.position == head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(30), caught_up).await;
    outcome.expect("a view does not catch up");
}

/// Stops the program, checks its files, and compares its views with those it builds anew from the log.
async fn views_equal_a_rebuild(installation: &Installation, program: Program) {
    caught_up(installation, &program).await;
    program.stop().await;
    let data_dir = installation.data_dir();
    check_integrity(&data_dir);
    let live = rows_of_views(&data_dir);
    std::fs::remove_dir_all(data_dir.join("views")).unwrap();
    installation.serve().await.stop().await;
    let rebuilt = rows_of_views(&data_dir);
    assert_eq!(
        live.keys().collect::<Vec<_>>(),
        rebuilt.keys().collect::<Vec<_>>()
    );
    for (table, rows) in &live {
        assert!(
            rows == &rebuilt[table],
            "{table} is not what a rebuild makes of the log"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_an_embedded_process_is_killed_under_load() {
    killed_under_load(Installation::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_a_process_on_postgres_is_killed_under_load() {
    killed_under_load(Installation::new(Some(Database::create().await))).await;
}

/// Ends the connections that the process commits through, in the middle of commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_connections_to_postgres_end_in_the_middle_of_commits() {
    let installation = Installation::new(Some(Database::create().await));
    installation.migrate().await;
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    let load = Load::begin(&acme, 0);
    let database = installation.database().unwrap();
    let mut connection = database.connect().await;
    for _ in 0..20 {
        load.acknowledge(30).await;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1")
            .bind(database.application_role())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let sent = load.end().await;
    settle(&acme, &installation.auditor(&program), &sent).await;
    connection.close().await.unwrap();
    views_equal_a_rebuild(&installation, program).await;
    installation.into_database().unwrap().remove().await;
}

/// Kills a backend of PostgreSQL with SIGKILL, upon which the server throws everybody out and recovers from its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_a_backend_of_postgres_is_killed_in_the_middle_of_commits() {
    let server = PostgresServer::start(&[]);
    let installation = Installation::new(Some(Database::create_on(server.url()).await));
    installation.migrate().await;
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    let load = Load::begin(&acme, 0);
    let database = installation.database().unwrap();
    for _ in 0..5 {
        load.acknowledge(50).await;
        let pid = backend(database).await;
        let killed = tokio::process::Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status()
            .await;
        assert!(killed.unwrap().success());
    }
    load.acknowledge(50).await;
    let sent = load.end().await;
    settle(&acme, &installation.auditor(&program), &sent).await;
    views_equal_a_rebuild(&installation, program).await;
}

/// Takes the power from PostgreSQL, and gives it back: the process says that the log is away, and goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r67_while_postgres_is_away_calls_are_refused_as_such() {
    let server = PostgresServer::start(&[]);
    let installation = Installation::new(Some(Database::create_on(server.url()).await));
    installation.migrate().await;
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    server.halt();
    let user = person("ANNA");
    let mut request = ask!(acme, CreateUserRequest { user });
    request.command = Some(repeatable());
    let command = acme.admin.users().create_user(request.clone()).await;
    command.refusal().is(Code::Unavailable, "LOG_UNAVAILABLE");
    let question = ask!(acme, ListUsersRequest {});
    let answer = acme.admin.users().list_users(question).await;
    answer.refusal().is(Code::Unavailable, "LOG_UNAVAILABLE");
    server.resume();
    let created = async {
        loop {
            match acme
                .admin
                .users()
                .create_user(request.clone())
                .await
                .outcome()
            {
                Ok(created) => return created,
                Err(refusal) => refusal.is(Code::Unavailable, "LOG_UNAVAILABLE"),
            };
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let created = tokio::time::timeout(Duration::from_secs(30), created).await;
    let created = created
        .expect("the process does not come back")
        .user
        .unwrap();
    assert_eq!(acme.signatures().await, ["ADM", "ANNA"]);
    assert_eq!(created.signature, "ANNA");
    views_equal_a_rebuild(&installation, program).await;
}

/// The process id of a backend that serves the program.
async fn backend(database: &Database) -> i32 {
    let mut connection = database.connect().await;
    let pid = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY query_start DESC LIMIT 1",
    )
    .bind(database.application_role())
    .fetch_one(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    pid
}

/// Counts the syncs of every process that it is preloaded into.
struct SyncCounter {
    _folder: tempfile::TempDir,
    library: PathBuf,
    counter: PathBuf,
}

impl SyncCounter {
    fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let library = folder.path().join("count-syncs.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/count-syncs.c");
        let built = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .status()
            .unwrap();
        assert!(built.success(), "the C compiler ended with {built}");
        let counter = folder.path().join("syncs");
        std::fs::write(&counter, [0; 8]).unwrap();
        for path in [&library, &counter] {
            open_to_all(path);
        }
        Self {
            _folder: folder,
            library,
            counter,
        }
    }

    fn environment(&self) -> [(&str, &Path); 2] {
        [
            ("LD_PRELOAD", &self.library),
            ("ROLLBOOK_SYNC_COUNTER", &self.counter),
        ]
    }

    fn syncs(&self) -> u64 {
        u64::from_ne_bytes(std::fs::read(&self.counter).unwrap().try_into().unwrap())
    }
}

/// Checks that no commit is acknowledged before its sync: as many syncs as commits one after the other, and under load at
/// least one for each group of commands that were committed together.
async fn every_commit_is_synced(
    installation: &Installation,
    program: &Program,
    counter: &SyncCounter,
) {
    let acme = tenant(installation, program).await;
    for number in 0..50 {
        let before = counter.syncs();
        acme.user(&format!("S{number}")).await;
        assert!(
            counter.syncs() > before,
            "acknowledged before it was synced"
        );
    }
    let head = events(&acme.auditor).await.len();
    let before = counter.syncs();
    let load = Load::begin(&acme, 0);
    load.acknowledge(500).await;
    let sent = load.end().await;
    let syncs = counter.syncs() - before;
    let mut groups: Vec<Option<Timestamp>> = events(&acme.auditor).await[head..]
        .iter()
        .map(|event| event.recorded_at)
        .collect();
    groups.dedup();
    println!(
        "{} commands, {} commits, {syncs} syncs",
        sent.len(),
        groups.len()
    );
    assert!(
        syncs >= groups.len() as u64,
        "{} commits, {syncs} syncs",
        groups.len()
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_embedded_every_commit_is_synced_before_it_is_acknowledged() {
    let counter = SyncCounter::build();
    let installation = Installation::new(None);
    let program = installation.serve_with(&counter.environment()).await;
    every_commit_is_synced(&installation, &program, &counter).await;
    program.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_on_postgres_every_commit_is_synced_before_it_is_acknowledged() {
    let counter = SyncCounter::build();
    let server = PostgresServer::start(&counter.environment());
    let installation = Installation::new(Some(Database::create_on(server.url()).await));
    installation.migrate().await;
    let program = installation.serve().await;
    every_commit_is_synced(&installation, &program, &counter).await;
    program.stop().await;
}

/// What `serve` says when it ends at once.
async fn refusal_to_serve(installation: &Installation) -> String {
    let output = installation.try_serve().await;
    assert!(!output.status.success(), "it serves: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_a_database_that_does_not_sync_is_refused() {
    let server = PostgresServer::start(&[]);
    let installation = Installation::new(Some(Database::create_on(server.url()).await));
    installation.migrate().await;
    let database = installation.database().unwrap();
    let mut connection = database.connect().await;
    let off = format!(
        "ALTER ROLE {} SET synchronous_commit = off",
        database.application_role()
    );
    connection.execute(off.as_str()).await.unwrap();
    let told = refusal_to_serve(&installation).await;
    assert!(told.contains("synchronous_commit"), "{told}");
    let on = format!(
        "ALTER ROLE {} RESET synchronous_commit",
        database.application_role()
    );
    connection.execute(on.as_str()).await.unwrap();
    installation.serve().await.stop().await;
    connection
        .execute("ALTER SYSTEM SET fsync = off")
        .await
        .unwrap();
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
    let reloaded = async {
        loop {
            let mut other = database.connect().await;
            let fsync: String = sqlx::query_scalar("SHOW fsync")
                .fetch_one(&mut other)
                .await
                .unwrap();
            if fsync == "off" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reloaded)
        .await
        .unwrap();
    let told = refusal_to_serve(&installation).await;
    assert!(told.contains("fsync"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_a_process_that_owns_the_tables_is_refused() {
    let database = Database::create().await;
    let installation = Installation::new(Some(database));
    installation.migrate().await;
    let told = {
        let output = installation.try_serve_as_owner().await;
        assert!(!output.status.success(), "it serves: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told.contains("own"), "{told}");
    installation.into_database().unwrap().remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_a_second_process_on_one_data_directory_is_refused() {
    let installation = Installation::new(None);
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    let told = refusal_to_serve(&installation).await;
    assert!(told.contains("data"), "{told}");
    acme.user("ANNA").await;
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_a_graceful_end_finishes_every_accepted_command() {
    let installation = Installation::new(None);
    let program = installation.serve().await;
    let acme = tenant(&installation, &program).await;
    let load = Load::begin(&acme, 0);
    load.acknowledge(100).await;
    program.stop().await;
    let sent = load.end().await;
    let program = installation.serve().await;
    let log = events(&installation.auditor(&program)).await;
    let committed = log
        .iter()
        .filter(|event| !event.request_id.is_empty())
        .count();
    let acknowledged = sent.iter().filter(|sent| sent.position.is_some()).count();
    assert_eq!(
        committed, acknowledged,
        "every command that was committed was answered"
    );
    let missing = acme
        .admin
        .at(program.channel())
        .users()
        .create_user(
            sent.iter()
                .rfind(|sent| sent.position.is_none())
                .unwrap()
                .request
                .clone(),
        )
        .await;
    assert!(missing.is_ok() || missing.unwrap_err().code() == Code::AlreadyExists);
    program.stop().await;
}
