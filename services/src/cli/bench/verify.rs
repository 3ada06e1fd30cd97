//! `rollbook bench verify`: how fast `rollbook verify` checks a log, as an export and as the service tells it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use rollbook_proto::v1::GetCheckpointRequest;

use super::{
    ours::Ours,
    postgres::Postgres,
    replay::{Reading, fill, median},
    report::machine,
    scratch::Scratch,
};
use crate::{
    cli::{
        client::Client,
        history::export::Export,
        output::print,
        problem::Problem,
        verify::{Known, Verified},
    },
    packing::Packing,
};

/// How many events a second are to be checked.
const GOAL: f64 = 300_000.0;

/// Flags of `bench verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many events the log has
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: usize,
    /// How many times each is checked; the medians are told
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// Measures and prints the table.
pub async fn run(flags: VerifyFlags) -> Result<(), Problem> {
    print(&format!(
        "## Verifying a log of {} events\n\nrollbook {} on {}. Medians of {} rounds of what `rollbook verify` does, from opening the \
         file or asking for\nthe checkpoint until the last event; verifier, service and database share the machine. The goal is 300,000 \
         events a second.\n\n\
         | log | verified | events /s | goal |\n|---|---|--:|---|",
        flags.events,
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.rounds,
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("verify").await?;
        let measured = measure(&flags, Some(&database)).await;
        server.end().await?;
        print(&measured?)?;
    }
    print(&measure(&flags, None).await?)
}

async fn measure(flags: &VerifyFlags, database: Option<&str>) -> Result<String, Problem> {
    let mut ours = Ours::start(database).await?;
    ours.meanwhile(|log| fill(log, flags.events)).await?;
    let auditor = ours.auditor().await?.client;
    let wanted = flags.events as u64;
    proven(&auditor, wanted).await?;
    let folder = Scratch::make("verify")?;
    let plain = exported(&auditor, folder.path(), None).await?;
    let packed = exported(&auditor, folder.path(), Some(Packing::Zstd)).await?;
    let known = Known::default();
    let (mut of_plain, mut of_packed, mut online) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..flags.rounds.max(1) {
        for (path, readings) in [(&plain, &mut of_plain), (&packed, &mut of_packed)] {
            let begun = Instant::now();
            let verified = known.check_file(path)?;
            readings.push(reading(&verified, begun.elapsed(), wanted)?);
        }
        let begun = Instant::now();
        let verified = known.check_service(&auditor).await?;
        online.push(reading(&verified, begun.elapsed(), wanted)?);
    }
    let home = database.map_or("SQLite", |_| "PostgreSQL");
    let lines = [
        ("its export", median(of_plain)),
        ("its export, zstd", median(of_packed)),
        ("the service", median(online)),
    ];
    let lines = lines.into_iter().filter_map(|(name, reading)| {
        let rate = reading?.rate();
        let met = if rate >= GOAL { "met" } else { "not met" };
        Some(format!("| {home} | {name} | {rate:.0} | {met} |"))
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// What was measured, where all of the log was.
fn reading(verified: &Verified, took: Duration, wanted: u64) -> Result<Reading, Problem> {
    let events = verified.events();
    if events < wanted {
        let what = format!("only {events} events were checked");
        return Err(Problem::failed("verify the log", what));
    }
    Ok(Reading {
        events,
        took,
        peaks: None,
    })
}

/// Waits until the tree holds so many events: it is not its growth that is measured.
async fn proven(auditor: &Client, events: u64) -> Result<(), Problem> {
    loop {
        let request = GetCheckpointRequest {
            at_least_size: 1,
            ..GetCheckpointRequest::default()
        };
        let answer = auditor.history(false).get_checkpoint(request).await?;
        if answer.into_inner().tree_size >= events {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes the log as a file; answers where it is.
async fn exported(
    auditor: &Client,
    folder: &Path,
    packing: Option<Packing>,
) -> Result<PathBuf, Problem> {
    let path = folder.join(packing.map_or("plain", |_| "packed"));
    Export::of_all(&path, packing).write(auditor).await?;
    Ok(path)
}
