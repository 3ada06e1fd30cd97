//! `rollbook bench commands`: interleaved rounds of the same work on both sides, on each home of the log.

use std::{sync::Arc, time::Duration};

use clap::Args;
use cqrs_es::EventStore;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_aggregates::user::User;
use sqlx::{
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    load::{Side as _, Work, measure},
    ours::Ours,
    postgres::{self, Postgres},
    report::{Line, Table, machine},
    scratch::Scratch,
    stock::{self, Stock},
};
use crate::cli::{output::print, problem::Problem};

/// How many connections the stock libraries open by default.
const STOCK_CONNECTIONS: u32 = 10;

/// Flags of `bench commands`.
#[derive(Args, Clone, Debug)]
pub struct CommandsFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many rounds; their median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// How long each measurement takes
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    seconds: u64,
    /// How many callers at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 8, 64])]
    callers: Vec<usize>,
}

/// Measures and prints the tables.
pub async fn run(flags: CommandsFlags) -> Result<(), Problem> {
    print(&format!(
        "## Durable commands a second\n\nrollbook {} on {}.\n\
         Users are created without passwords, updates change a phone number, mixed does both in turn.\n\
         rollbook is called through gRPC in another process, its views follow, and its clock stops when the last one has\n\
         caught up. The stock library runs the same domain in process, with one view (`GenericQuery`)\n\
         and {STOCK_CONNECTIONS} connections, its default.\n\
         Median of {} interleaved rounds of {} s.\n",
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.rounds,
        flags.seconds
    ))?;
    if cfg!(debug_assertions) {
        print(
            "This is a build for development: build with --release for figures that mean anything.\n",
        )?;
    }
    match Postgres::find(flags.database_url.as_deref())? {
        Some(mut server) => {
            let table = on_postgres(&flags, &mut server).await;
            server.end().await?;
            print(&table?.markdown())?;
        }
        None => print(
            "No PostgreSQL was found and none was named with --database-url: the embedded log alone.\n",
        )?,
    }
    print(&embedded(&flags).await?.markdown())
}

async fn on_postgres(flags: &CommandsFlags, server: &mut Postgres) -> Result<Table, Problem> {
    let (our_database, stock_database) =
        (server.create("ours").await?, server.create("stock").await?);
    let pool = PgPoolOptions::new()
        .max_connections(STOCK_CONNECTIONS)
        .connect(&stock_database)
        .await
        .map_err(|source| Problem::failed("open the database of the stock library", source))?;
    let stock = Arc::new(stock::on_postgres(pool).await?);
    let ours = Arc::new(Ours::start(Some(&our_database)).await?);
    let lines = rounds(flags, "PostgreSQL", &ours, &stock).await?;
    Ok(Table {
        home: "The log in PostgreSQL".to_owned(),
        beside: "postgres-es",
        settings: vec![
            ("rollbook", postgres::settings(&our_database).await?),
            ("postgres-es", postgres::settings(&stock_database).await?),
        ],
        lines,
        lost: stock.lost(),
    })
}

async fn embedded(flags: &CommandsFlags) -> Result<Table, Problem> {
    let directory = Scratch::make("sqlite-es")?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("stock.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(STOCK_CONNECTIONS)
        .connect_with(options)
        .await
        .map_err(|source| Problem::failed("open the file of the stock library", source))?;
    let (journal, synchronous): (String, i64) = sqlx::query_as(STOCK_PRAGMAS)
        .fetch_one(&pool)
        .await
        .map_err(|source| Problem::failed("read the settings of the stock library", source))?;
    let stock = Arc::new(stock::on_sqlite(pool).await?);
    let ours = Arc::new(Ours::start(None).await?);
    let lines = rounds(flags, "SQLite", &ours, &stock).await?;
    Ok(Table {
        home: "The log embedded, in SQLite".to_owned(),
        beside: "sqlite-es",
        settings: vec![
            (
                "rollbook",
                "journal_mode=wal, synchronous=2 (FULL), as it opens every log".to_owned(),
            ),
            (
                "sqlite-es",
                format!("journal_mode={journal}, synchronous={synchronous} (FULL)"),
            ),
        ],
        lines,
        lost: stock.lost(),
    })
}

const STOCK_PRAGMAS: &str = "\
SELECT journal_mode, synchronous
FROM pragma_journal_mode, pragma_synchronous";

/// Both sides in turn, the one and then the other first.
async fn rounds<S>(
    flags: &CommandsFlags,
    home: &'static str,
    ours: &Arc<Ours>,
    stock: &Arc<Stock<S>>,
) -> Result<Vec<Line>, Problem>
where
    S: EventStore<User> + Send + Sync + 'static,
    S::AC: Send,
{
    let span = Duration::from_secs(flags.seconds);
    let each = |work| {
        flags.callers.iter().map(move |&callers| Line {
            work,
            callers,
            ours: Vec::new(),
            stock: Vec::new(),
        })
    };
    let mut lines: Vec<Line> = Work::ALL.into_iter().flat_map(each).collect();
    let progress = bar(lines.len() as u64 * u64::from(flags.rounds) * 2, home);
    for round in 0..flags.rounds {
        for line in &mut lines {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    line.ours
                        .push(measure(ours, line.work, line.callers, span).await?);
                } else {
                    line.stock
                        .push(measure(stock, line.work, line.callers, span).await?);
                }
                progress.inc(1);
            }
        }
    }
    ours.caught_up().await?;
    progress.finish_and_clear();
    Ok(lines)
}

fn bar(length: u64, home: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(home);
    match ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} measurements, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
