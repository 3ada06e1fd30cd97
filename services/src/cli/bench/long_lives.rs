//! `rollbook bench long-lives`: loading a user of whom a great many events are recorded, by a process that never commanded it.

use std::{
    path::Path,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use clap::Args;
use rollbook_aggregates::{
    domain::Recorded,
    invoice::Settlement,
    user::{
        InvoiceDequeued, InvoiceQueued, InvoiceReviewed, InvoiceSettled, ReviewKind, User,
        UserEvent,
    },
    values::{CompanyId, InvoiceId},
};
use rollbook_eventstore::{
    Append, Clock, Log, MasterKey, Metadata, NewEvent, StreamAppend, StreamId,
    postgres as database, sqlite,
};
use rollbook_projections::Views;
use serde_json::json;

use super::{
    postgres::Postgres,
    report::{machine, millis},
    scratch::Scratch,
};
use crate::{
    cli::{output::print, problem::Problem},
    executor::{Executor, new_id},
    passwords::Hasher,
};

/// How many events are appended at a time.
const AT_A_TIME: usize = 1_000;

/// Flags of `bench long-lives`.
#[derive(Args, Clone, Debug)]
pub struct LongLivesFlags {
    /// PostgreSQL as a superuser, who may make databases; without it a private one is started where its programs are found
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// How many events each user has
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: usize,
    /// How many times each is loaded
    #[arg(long, value_name = "N", default_value_t = 20)]
    times: usize,
}

/// What became of a user's invoices.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// All of them wait in its queue.
    Waiting,
    /// Each was queued and left the queue.
    Done,
    /// Each was reviewed and settled.
    Settled,
}

impl Life {
    const ALL: [Self; 3] = [Self::Waiting, Self::Done, Self::Settled];

    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "every invoice waits in the queue",
            Self::Done => "each invoice was queued and left the queue",
            Self::Settled => "each invoice was reviewed and settled",
        }
    }

    fn event(self, number: usize, company_id: CompanyId) -> Result<UserEvent, Problem> {
        let which = match self {
            Self::Waiting => number,
            Self::Done | Self::Settled => number / 2,
        };
        let invoice_id = InvoiceId::parse(&format!("INV-{which}"))
            .map_err(|problem| Problem::failed("name an invoice", problem.to_string()))?;
        Ok(match (self, number % 2) {
            (Self::Waiting, _) | (Self::Done, 0) => InvoiceQueued {
                company_id,
                invoice_id,
            }
            .into(),
            (Self::Done, _) => InvoiceDequeued {
                company_id,
                invoice_id,
            }
            .into(),
            (Self::Settled, 0) => InvoiceReviewed {
                company_id,
                invoice_id,
                kind: ReviewKind::Reviewed,
                settled: false,
            }
            .into(),
            (Self::Settled, _) => InvoiceSettled {
                company_id,
                invoice_id,
                settlement: Settlement::Posted,
            }
            .into(),
        })
    }
}

/// Measures and prints the table.
pub async fn run(flags: LongLivesFlags) -> Result<(), Problem> {
    print(&format!(
        "## Loading a user with {} events\n\nrollbook {} on {}. By a process that never commanded the user; the median and the\n\
         longest of {} loads, and one without its snapshot.\n\n\
         | log | the user's life | median | longest | without a snapshot |\n|---|---|--:|--:|--:|",
        flags.events,
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.times,
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let url = server.create("lives").await?;
        let measured = on_postgres(&flags, &url).await;
        server.end().await?;
        print(&measured?)?;
    }
    let directory = Scratch::make("lives")?;
    let log = sqlite::open(directory.path(), MasterKey::generate(), Clock::system())
        .await
        .map_err(|source| Problem::failed("open a log", source))?;
    print(&measure(&flags, "SQLite", log, directory.path()).await?)
}

async fn on_postgres(flags: &LongLivesFlags, url: &str) -> Result<String, Problem> {
    let directory = Scratch::make("lives")?;
    let options = database::Options {
        allow_owner: true,
        migrate: true,
        ..database::Options::default()
    };
    let log = database::open(url, options, MasterKey::generate(), Clock::system())
        .await
        .map_err(|source| Problem::failed("open a log", source))?;
    measure(flags, "PostgreSQL", log, directory.path()).await
}

async fn measure(
    flags: &LongLivesFlags,
    home: &str,
    log: Log,
    directory: &Path,
) -> Result<String, Problem> {
    let failed = |source| Problem::failed("follow the log", source);
    let views = Views::start(log.clone(), directory).await.map_err(failed)?;
    let process = || {
        let parallel = available_parallelism().map_or(1, usize::from);
        Executor::new(log.clone(), Clock::system(), Hasher::new(parallel))
    };
    let keeper = process().with_snapshots(views.snapshots());
    views.keep_snapshots(keeper.snapshots_of_users());
    let mut lines = Vec::new();
    for life in Life::ALL {
        let id = new_id().to_string();
        live(&log, &id, life, flags.events).await?;
        let stream = StreamId::new("user", id.as_str());
        let enough = flags.events as u64 - flags.events as u64 / 100;
        while views.snapshots().revision_of(&stream).unwrap_or(0) < enough {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let load = async |process: Executor| -> Result<Duration, Problem> {
            let begun = Instant::now();
            let loaded = process.fresh::<User>(&id).await;
            let (_, revision) = loaded.map_err(|source| Problem::failed("load a user", source))?;
            let took = begun.elapsed();
            if revision != flags.events as u64 + 1 {
                return Err(Problem::failed(
                    "load a user",
                    "some of its life is missing",
                ));
            }
            Ok(took)
        };
        let mut loads = Vec::with_capacity(flags.times);
        for _ in 0..flags.times.max(1) {
            loads.push(load(process().with_snapshots(views.snapshots())).await?);
        }
        loads.sort_unstable();
        let whole = load(process()).await?;
        lines.push(format!(
            "| {home} | {} | {} | {} | {} |",
            life.name(),
            millis(loads[loads.len() / 2]),
            millis(loads.last().copied().unwrap_or_default()),
            millis(whole),
        ));
    }
    drop(keeper);
    views.shutdown().await;
    log.close().await;
    Ok(lines.join("\n"))
}

/// Records a life: a creation and so many events.
pub async fn live(log: &Log, id: &str, life: Life, events: usize) -> Result<(), Problem> {
    let company = CompanyId::new(new_id());
    let personal = |text: &str| json!({ "$personal": text });
    let created = NewEvent {
        event_type: "UserCreated".to_owned(),
        event_version: "1".to_owned(),
        payload: json!({ "UserCreated": {
            "user_id": id,
            "account_id": "bench",
            "signature": personal("LONG"),
            "first_name": personal("Long"),
            "last_name": personal("Lived"),
            "email": personal("long@bench.example"),
            "user_type": "Standard",
            "active": true,
            "password": "None",
            "onboarded": true,
        } }),
    };
    let mut revision = 0;
    let mut next = vec![created];
    for number in 0..events {
        let event = Recorded::from(life.event(number, company)?);
        let event =
            NewEvent::of(&event).map_err(|source| Problem::failed("write an event", source))?;
        next.push(event);
        if next.len() >= AT_A_TIME || number + 1 == events {
            let events = std::mem::take(&mut next);
            let count = events.len() as u64;
            log.append(addition(id, revision, events))
                .await
                .map_err(|source| Problem::failed("record a life", source))?;
            revision += count;
        }
    }
    Ok(())
}

fn addition(id: &str, expected_revision: u64, events: Vec<NewEvent>) -> Append {
    Append {
        streams: vec![StreamAppend {
            stream: StreamId::new("user", id),
            account_id: "bench".to_owned(),
            expected_revision,
            events,
            forget: false,
        }],
        metadata: Metadata {
            actor: "bench".to_owned(),
            service: "bench".to_owned(),
            ..Metadata::default()
        },
        ..Append::default()
    }
}
