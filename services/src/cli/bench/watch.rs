//! `rollbook bench watch`: how long it takes from a command that ends sessions until those who watch are told.

use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use rollbook_proto::v1::{
    LockUserRequest, UnlockUserRequest, WatchUsersRequest, WatchUsersResponse,
};
use tonic::Streaming;

use super::{
    ours::{ACCOUNT, Ours},
    postgres::Postgres,
    report::{machine, millis},
};
use crate::cli::{
    client::{Client, because},
    output::print,
    problem::Problem,
};

/// Flags of `bench watch`.
#[derive(Args, Clone, Debug)]
pub struct WatchFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many times sessions are ended
    #[arg(long, value_name = "N", default_value_t = 200)]
    times: u32,
    /// How long nothing happens in between, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    pause: u64,
}

/// Measures and prints the table.
pub async fn run(flags: WatchFlags) -> Result<(), Problem> {
    print(&format!(
        "## How soon watchers are told that sessions ended\n\nrollbook {} on {}. A user is locked {} times; the clock runs from\n\
         the sending of the command to the arrival of the change at a watcher.\n\n\
         | log | watcher | p50 | p99 |\n|---|---|--:|--:|",
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.times,
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("watch").await?;
        let measured = on_postgres(&flags, &database).await;
        server.end().await?;
        print(&measured?)?;
    }
    let ours = Ours::start(None).await?;
    let told = measure(&flags, &ours, ours.administrator(1)).await?;
    print(&line("SQLite", "at the same process", &told))
}

async fn on_postgres(flags: &WatchFlags, database: &str) -> Result<String, Problem> {
    let ours = Ours::start(Some(database)).await?;
    let here = measure(flags, &ours, ours.administrator(1)).await?;
    let another = ours.another().await?;
    let there = measure(flags, &ours, &another.administrator).await?;
    Ok([
        line("PostgreSQL", "at the same process", &here),
        line("PostgreSQL", "at another process", &there),
    ]
    .join("\n"))
}

fn line(log: &str, watcher: &str, told: &Histogram<u64>) -> String {
    let at = |quantile| millis(Duration::from_micros(told.value_at_quantile(quantile)));
    format!("| {log} | {watcher} | {} | {} |", at(0.5), at(0.99))
}

async fn measure(
    flags: &WatchFlags,
    ours: &Ours,
    watcher: &Client,
) -> Result<Histogram<u64>, Problem> {
    let user_id = ours.create_one(0).await?;
    let account_id = ACCOUNT.to_owned();
    let request = WatchUsersRequest {
        account_id: account_id.clone(),
        from_position: None,
        sessions_ended_only: true,
    };
    let mut watching = watcher
        .users_without_deadline()
        .watch_users(request)
        .await?
        .into_inner();
    let mut told = Histogram::new_with_max(60_000_000, 3)
        .map_err(|source| Problem::failed("measure", source))?;
    for _ in 0..flags.times {
        tokio::time::sleep(Duration::from_millis(flags.pause)).await;
        let lock = LockUserRequest {
            account_id: account_id.clone(),
            user_id: user_id.clone(),
            command: Some(because("")),
        };
        let sent = Instant::now();
        let mut users = ours.administrator(0).users();
        let (locked, arrived) = tokio::join!(users.lock_user(lock), next(&mut watching));
        locked?;
        let took = arrived?.duration_since(sent);
        told.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let unlock = UnlockUserRequest {
            account_id: account_id.clone(),
            user_id: user_id.clone(),
            command: Some(because("")),
        };
        users.unlock_user(unlock).await?;
    }
    Ok(told)
}

/// When the next change arrived.
async fn next(watching: &mut Streaming<WatchUsersResponse>) -> Result<Instant, Problem> {
    while let Some(message) = watching.message().await? {
        if !message.changes.is_empty() {
            return Ok(Instant::now());
        }
    }
    Err(Problem::failed("watch", "the service ended it"))
}
