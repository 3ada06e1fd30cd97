//! The home on a PostgreSQL server, for any number of processes on one database.
//!
//! Each process writes on one connection of its own; the row of `log_head` is locked before anything is read, so that
//! commits happen one after another and positions follow their order. The application's role can add events and
//! never change them.

mod checks;
mod leading;
mod ledger;
mod look;
mod migration;
mod news;
mod reader;
mod record;
mod restoring;
mod rotating;
mod rows;

use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::OpenError;
use crate::log::{Archive, Log, QUEUE};
use crate::ring::{MasterKeys, Ring};
use crate::tail::Tail;
use crate::writer;
use ledger::PostgresLedger;
use news::Present;
use reader::PostgresHome;

pub(crate) use restoring::new_home;

/// The channel on which commits are told.
const CHANNEL: &str = "rollbook_log";

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Serve as a role that could change events, for development.
    pub allow_owner: bool,
    /// Bring the tables to this program's version first; the role must own them.
    pub migrate: bool,
    /// How many connections read at once.
    pub readers: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_owner: false,
            migrate: false,
            readers: 8,
        }
    }
}

/// Brings the tables to this program's version and, for a new log, makes its keys.
///
/// With an application role it is granted what serving needs: it may select and insert events, and nothing else with
/// them.
///
/// # Errors
/// When the database cannot be reached, has newer tables, or belongs to another master key.
pub async fn migrate(
    owner_url: &str,
    application_role: Option<&str>,
    keys: impl Into<MasterKeys>,
) -> Result<(), OpenError> {
    let options = parse(owner_url)?;
    migration::migrate(&options, application_role, &Ring::new(keys.into())).await
}

/// Opens the log of a database.
///
/// # Errors
/// When the server must not be used (older than 15, commits that are not durable, a role that could change events), the
/// tables are missing or of another version, or the master key is not the log's.
pub async fn open(
    url: &str,
    options: Options,
    keys: impl Into<MasterKeys>,
    clock: Clock,
) -> Result<Log, OpenError> {
    let connect = parse(url)?.application_name("rollbook");
    let ring = Ring::new(keys.into());
    if options.migrate {
        migration::migrate(&connect, None, &ring).await?;
    }
    // This process is present, with its keys, before it looks which it needs: a rotation begins before that or knows of it.
    let present = connect.clone().application_name(&rotating::presence(&ring));
    let mut first = PgConnection::connect_with(&present)
        .await
        .map_err(unreachable)?;
    checks::check(&mut first, options.allow_owner).await?;
    let keys = rotating::open_keys(&mut first, ring.clone()).await?;
    let (id, head): (Uuid, i64) = sqlx::query_as("SELECT log_id, position FROM log_head")
        .fetch_one(&mut first)
        .await
        .map_err(unreachable)?;
    let archive: Option<(String, String)> =
        sqlx::query_as("SELECT checkpoint, verifier_key FROM log_archive")
            .fetch_optional(&mut first)
            .await
            .map_err(unreachable)?;
    let archive = archive.map(|(checkpoint, verifier_key)| Archive {
        checkpoint,
        verifier_key,
    });
    let present = Present {
        session: first,
        ring,
    };
    let tail = Arc::new(Tail::new(head.cast_unsigned()));
    let pool = PgPoolOptions::new()
        .max_connections(options.readers.max(2))
        .connect_lazy_with(reading(&connect));
    let own = Uuid::now_v7();
    let home = Arc::new(PostgresHome::new(
        pool,
        &connect,
        tail.clone(),
        own,
        present,
    ));
    let (queue, jobs) = mpsc::channel(QUEUE);
    let ledger = PostgresLedger::new(connect, clock.clone(), own);
    writer::start(ledger, jobs, tail.clone())?;
    Ok(Log::new(id, keys, home, queue, tail, clock, archive))
}

fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    PgConnectOptions::from_str(url)
        .map_err(|error| OpenError::unavailable("the database URL", error))
}

fn reading(options: &PgConnectOptions) -> PgConnectOptions {
    options
        .clone()
        .application_name("rollbook reader")
        .options([("default_transaction_read_only", "on"), ("jit", "off")])
}

fn unreachable(error: sqlx::Error) -> OpenError {
    OpenError::unavailable("the database", error)
}
