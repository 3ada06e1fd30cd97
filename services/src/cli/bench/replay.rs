//! `rollbook bench replay`: how fast an auditor reads the whole log, and what memory the service takes for it.

use std::{
    fs,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rollbook_eventstore::Log;
use rollbook_proto::kurrent::{
    Empty,
    streams::{
        ReadReq,
        read_req::{
            Options,
            options::{AllOptions, CountOption, StreamOption, all_options::AllOption},
        },
        read_resp::Content,
    },
};
use rollbook_proto::v1::ReplayEventsRequest;
use sqlx::{Connection as _, PgConnection};
use tonic::Request;

use super::{
    long_lives::{Life, live},
    ours::{Auditor, Ours},
    postgres::Postgres,
    report::machine,
};
use crate::{
    cli::{output::print, pages::counting, problem::Problem},
    executor::new_id,
};

/// How many events a life has, which are appended together.
const EVENTS_OF_A_LIFE: usize = 1_000;
/// How many lives are appended at once.
const LIVES_AT_ONCE: usize = 8;

/// What the replay is made of, in the order it is read.
const COPY: &str = "\
COPY (
    SELECT position, commit_position, account_id, account_number, aggregate_type, aggregate_id, sequence,
           event_type, event_version, recorded_at, payload, metadata
    FROM events
    ORDER BY position
) TO STDOUT";

/// Flags of `bench replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayFlags {
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
    /// How many times each is read; the medians are told
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// What one reading cost.
pub struct Reading {
    /// How many events were read.
    pub events: u64,
    /// How long it took.
    pub took: Duration,
    /// What the service's memory had peaked at after a tenth of the events, and after all.
    pub peaks: Option<(u64, u64)>,
}

/// Measures and prints the table.
pub async fn run(flags: ReplayFlags) -> Result<(), Problem> {
    print(&format!(
        "## Reading a log of {} events\n\nrollbook {} on {}. Medians of {} rounds; reader, service and database share the machine.\n\
         `$all` is read by a client of our own that is generated from the protos. Memory is the service's peak while it is read.\n\n\
         | log | read through | events /s | share of COPY | peak at 10 % | at the end |\n|---|---|--:|--:|--:|--:|",
        flags.events,
        env!("CARGO_PKG_VERSION"),
        machine(),
        flags.rounds,
    ))?;
    if let Some(mut server) = Postgres::find(flags.database_url.as_deref())? {
        let database = server.create("replay").await?;
        let measured = measure(&flags, Some(&database)).await;
        server.end().await?;
        print(&measured?)?;
    }
    print(&measure(&flags, None).await?)
}

async fn measure(flags: &ReplayFlags, database: Option<&str>) -> Result<String, Problem> {
    let mut ours = Ours::start(database).await?;
    ours.meanwhile(|log| fill(log, flags.events)).await?;
    let auditor = ours.auditor().await?;
    let (mut copied, mut replayed, mut streamed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..flags.rounds.max(1) {
        if let Some(url) = database {
            copied.push(copy(url).await?);
        }
        replayed.push(replay(&ours, &auditor, flags.events).await?);
        streamed.push(all(&ours, &auditor, flags.events).await?);
    }
    let copied = median(copied);
    let beside = copied.as_ref().map(Reading::rate);
    let home = database.map_or("SQLite", |_| "PostgreSQL");
    let lines = [
        ("`COPY (SELECT …) TO STDOUT`", copied),
        ("`ReplayEvents`", median(replayed)),
        ("`$all` of the `KurrentDB` protocol", median(streamed)),
    ];
    let lines = lines.into_iter().filter_map(|(name, reading)| {
        let reading = reading?;
        let share = beside.map_or_else(String::new, |rate| format!("{:.2}", reading.rate() / rate));
        let (tenth, end) = reading.peaks.map_or_else(Default::default, |(tenth, end)| {
            (mebibytes(tenth), mebibytes(end))
        });
        let rate = reading.rate();
        Some(format!(
            "| {home} | {name} | {rate:.0} | {share} | {tenth} | {end} |"
        ))
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

impl Reading {
    /// Events a second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "so many events fit into the 53 bits of a float"
    )]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

/// The one of them that took as long as any other in the middle.
pub fn median(mut rounds: Vec<Reading>) -> Option<Reading> {
    rounds.sort_by_key(|reading| reading.took);
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle)
}

/// Records lives until the log has so many events more.
pub async fn fill(log: Log, events: usize) -> Result<Log, Problem> {
    let bar = counting("events").with_position(0);
    let lives = stream::iter(0..events.div_ceil(EVENTS_OF_A_LIFE));
    lives
        .map(|_| async {
            let id = new_id().to_string();
            live(&log, &id, Life::Done, EVENTS_OF_A_LIFE - 1).await
        })
        .buffer_unordered(LIVES_AT_ONCE)
        .try_for_each(|()| {
            bar.inc(EVENTS_OF_A_LIFE as u64);
            std::future::ready(Ok(()))
        })
        .await?;
    bar.finish_and_clear();
    Ok(log)
}

/// Reads the table as PostgreSQL itself writes it out, and counts its lines.
async fn copy(url: &str) -> Result<Reading, Problem> {
    let failed = |source| Problem::failed("copy the table", source);
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let begun = Instant::now();
    let mut events = 0;
    {
        let mut pieces = connection.copy_out_raw(COPY).await.map_err(failed)?;
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            // Each row comes as a piece of its own.
            events += u64::from(!piece.is_empty());
        }
    }
    let took = begun.elapsed();
    connection.close().await.map_err(failed)?;
    Ok(Reading {
        events,
        took,
        peaks: None,
    })
}

async fn replay(ours: &Ours, auditor: &Auditor, wanted: usize) -> Result<Reading, Problem> {
    let mut watched = Watched::begin(ours, wanted)?;
    let request = ReplayEventsRequest::default();
    let mut answers = auditor
        .client
        .history(true)
        .replay_events(request)
        .await?
        .into_inner();
    while let Some(answer) = answers.message().await? {
        watched.read(answer.events.len())?;
    }
    watched.end()
}

async fn all(ours: &Ours, auditor: &Auditor, wanted: usize) -> Result<Reading, Problem> {
    let mut watched = Watched::begin(ours, wanted)?;
    let all = AllOptions {
        all_option: Some(AllOption::Start(Empty {})),
    };
    let mut request = Request::new(ReadReq {
        options: Some(Options {
            stream_option: Some(StreamOption::All(all)),
            count_option: Some(CountOption::Count(u64::MAX)),
            ..Options::default()
        }),
    });
    let header = auditor.authorization.parse();
    let header = header.map_err(|source| Problem::failed("write the credentials", source))?;
    request.metadata_mut().insert("authorization", header);
    let mut answers = auditor.streams.clone().read(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        watched.read(usize::from(matches!(
            answer.content,
            Some(Content::Event(_))
        )))?;
    }
    watched.end()
}

/// A reading under way.
struct Watched {
    process: u32,
    begun: Instant,
    events: u64,
    tenth: u64,
    at_the_tenth: Option<u64>,
    wanted: u64,
}

impl Watched {
    fn begin(ours: &Ours, wanted: usize) -> Result<Self, Problem> {
        let ended = || Problem::failed("measure the service", "it has ended");
        let process = ours.process_id().ok_or_else(ended)?;
        // The peak is counted anew from here.
        fs::write(format!("/proc/{process}/clear_refs"), "5")?;
        Ok(Self {
            process,
            begun: Instant::now(),
            events: 0,
            tenth: wanted as u64 / 10,
            at_the_tenth: None,
            wanted: wanted as u64,
        })
    }

    fn read(&mut self, events: usize) -> Result<(), Problem> {
        self.events += events as u64;
        if self.at_the_tenth.is_none() && self.events >= self.tenth {
            self.at_the_tenth = Some(peak(self.process)?);
        }
        Ok(())
    }

    fn end(self) -> Result<Reading, Problem> {
        let took = self.begun.elapsed();
        let end = peak(self.process)?;
        if self.events < self.wanted {
            let what = format!("only {} events came", self.events);
            return Err(Problem::failed("read the log", what));
        }
        Ok(Reading {
            events: self.events,
            took,
            peaks: Some((self.at_the_tenth.unwrap_or(end), end)),
        })
    }
}

/// The most memory that a process had at once, in KiB.
fn peak(process: u32) -> Result<u64, Problem> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| Problem::failed("measure the service", "its memory is not told"))
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{} MiB", kibibytes / 1024)
}
