//! `rollbook bench rebuild`: how fast a view is made anew beside the live one, from the first event of the log to the switch.

use std::time::{Duration, Instant};

use clap::Args;
use rollbook_aggregates::values::AccountId;
use rollbook_proto::v1::{RebuildPhase, RebuildProjectionRequest, RebuildProjectionResponse};

use super::{
    ours::{ACCOUNT, Ours, Seeded},
    postgres::{self, Postgres},
    report::machine,
    seed::Town,
};
use crate::cli::{output::print, problem::Problem};

/// Flags of `bench rebuild`.
#[derive(Args, Clone, Debug)]
pub struct RebuildFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many users the log has
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    users: u64,
    /// About how many events each user has
    #[arg(long, value_name = "N", default_value_t = 10)]
    events: u32,
    /// How many rounds; the fastest and the slowest are told
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Which view
    #[arg(long, value_name = "NAME", default_value = "users")]
    view: String,
}

/// Measures and prints the table.
pub async fn run(flags: RebuildFlags) -> Result<(), Problem> {
    print(&format!(
        "## The view `{}` made anew\n\nrollbook {} on {}. {} users with about {} events each; from the call to the switch, through\n\
         gRPC, while the live file could be read. Goal: 100,000 events a second from PostgreSQL.\n\n\
         | log | events | written /s | all views at first start | fastest | events /s | slowest | events /s |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|",
        flags.view,
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.users,
        flags.events
    ))?;
    let mut settings = None;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("rebuild").await?;
        let measured = home(&flags, Some(&database)).await;
        settings = Some(postgres::settings(&database).await?);
        server.end().await?;
        print(&line("PostgreSQL", &measured?))?;
    }
    print(&line("SQLite", &home(&flags, None).await?))?;
    match settings {
        Some(settings) => print(&format!("\nPostgreSQL: {settings}")),
        None => Ok(()),
    }
}

async fn home(
    flags: &RebuildFlags,
    database: Option<&str>,
) -> Result<(Seeded, Vec<Duration>), Problem> {
    let town = Town {
        account: AccountId::parse(ACCOUNT)
            .map_err(|source| Problem::failed("name the account", source))?,
        seed: 1,
        events: flags.events,
    };
    let (ours, seeded) = Ours::seeded(database, &town, flags.users).await?;
    let mut rounds = Vec::new();
    for _ in 0..flags.rounds.max(1) {
        rounds.push(rebuild(&ours, &flags.view).await?);
    }
    Ok((seeded, rounds))
}

/// Makes the view anew; answers how long it took.
async fn rebuild(ours: &Ours, view: &str) -> Result<Duration, Problem> {
    let request = RebuildProjectionRequest {
        name: view.to_owned(),
        ..RebuildProjectionRequest::default()
    };
    let mut operations = ours.operator().operations_without_deadline();
    let begun = Instant::now();
    let mut answers = operations.rebuild_projection(request).await?.into_inner();
    let mut last = RebuildProjectionResponse::default();
    while let Some(answer) = answers.message().await? {
        last = answer;
    }
    let took = begun.elapsed();
    let phase = last.rebuild.unwrap_or_default().phase();
    if phase == RebuildPhase::Done {
        Ok(took)
    } else {
        let what = format!("it ended while {}", phase.as_str_name());
        Err(Problem::failed("make the view anew", what))
    }
}

fn line(log: &str, (seeded, rounds): &(Seeded, Vec<Duration>)) -> String {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 events")]
    let rate = |took: Duration| seeded.events as f64 / took.as_secs_f64();
    let fastest = rounds.iter().copied().min().unwrap_or_default();
    let slowest = rounds.iter().copied().max().unwrap_or_default();
    format!(
        "| {log} | {} | {:.0} | {:.1} s | {:.1} s | {:.0} | {:.1} s | {:.0} |",
        seeded.events,
        rate(seeded.filled),
        seeded.built.as_secs_f64(),
        fastest.as_secs_f64(),
        rate(fastest),
        slowest.as_secs_f64(),
        rate(slowest)
    )
}
