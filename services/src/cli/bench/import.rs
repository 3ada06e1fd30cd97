//! `rollbook bench import`: rows a second of one import, without passwords, until every view shows them.

use std::{fmt::Write as _, time::Instant};

use clap::Args;
use rollbook_proto::v1::{ImportHeader, ImportRow, ImportUsersRequest, NewUser};

use super::{
    load::Side as _,
    ours::{ACCOUNT, Ours},
    postgres::{self, Postgres},
    report::machine,
};
use crate::cli::{client::because, output::print, problem::Problem};

/// How many rows a message has.
const ROWS_IN_A_MESSAGE: usize = 200;

/// Flags of `bench import`.
#[derive(Args, Clone, Debug)]
pub struct ImportFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many rows an import has
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    rows: usize,
    /// How many imports, one after the other
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
}

/// Measures and prints the tables.
pub async fn run(flags: ImportFlags) -> Result<(), Problem> {
    print(&format!(
        "## Rows of an import a second\n\nrollbook {} on {}. {} rows without passwords in one call through gRPC; the clock stops\n\
         with the last result, and once more when the last view has caught up.\n",
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.rows,
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("import").await?;
        let measured = home(&flags, Some(&database)).await;
        let settings = postgres::settings(&database).await?;
        server.end().await?;
        print(&format!(
            "### The log in PostgreSQL\n\n- {settings}\n\n{}",
            measured?
        ))?;
    }
    let measured = home(&flags, None).await?;
    print(&format!("### The log embedded, in SQLite\n\n{measured}"))
}

async fn home(flags: &ImportFlags, database: Option<&str>) -> Result<String, Problem> {
    let ours = Ours::start(database).await?;
    let mut table = "| rows | rows /s | rows /s, with the views |\n|--:|--:|--:|\n".to_owned();
    for _ in 0..flags.rounds {
        let begun = Instant::now();
        let done = import(&ours, flags.rows).await?;
        let answered = begun.elapsed();
        ours.reached(done);
        ours.caught_up().await?;
        let shown = begun.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 rows")]
        let rows = flags.rows as f64;
        // Writing to a text cannot fail.
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.0} |",
            flags.rows,
            rows / answered.as_secs_f64(),
            rows / shown.as_secs_f64()
        );
    }
    Ok(table)
}

/// Imports so many rows; answers the last position.
async fn import(ours: &Ours, rows: usize) -> Result<u64, Problem> {
    let users = (0..rows).map(|_| ours.somebody()).collect();
    import_users(ours, users).await
}

/// Imports these users; answers the last position.
pub async fn import_users(ours: &Ours, users: Vec<NewUser>) -> Result<u64, Problem> {
    let mut messages = vec![ImportUsersRequest {
        header: Some(ImportHeader {
            account_id: ACCOUNT.to_owned(),
            command: Some(because("")),
        }),
        rows: Vec::new(),
    }];
    let rows: Vec<ImportRow> = users
        .into_iter()
        .map(|user| ImportRow {
            user: Some(user),
            ..ImportRow::default()
        })
        .collect();
    let chunks = rows.chunks(ROWS_IN_A_MESSAGE);
    messages.extend(chunks.map(|rows| ImportUsersRequest {
        header: None,
        rows: rows.to_vec(),
    }));
    let mut answers = ours
        .administrator(0)
        .users_without_deadline()
        .import_users(tokio_stream::iter(messages))
        .await?
        .into_inner();
    let mut last = 0;
    while let Some(answer) = answers.message().await? {
        if answer.refused > 0 {
            return Err(Problem::failed("import", "rows were refused"));
        }
        for result in answer.results {
            use rollbook_proto::v1::import_result::Outcome;
            if let Some(Outcome::Created(created)) = result.outcome {
                last = last.max(created.position);
            }
        }
    }
    Ok(last)
}
