//! The embedded home: one SQLite file of the data directory, which one process has at a time.
//!
//! One connection writes and checkpoints the file; every other one only reads. What is deleted is overwritten, and a
//! commit that forgets a stream is not answered before the write-ahead log is empty, so that no key outlives it there. What
//! SQLite leaves in [unused parts of pages](pages) is overwritten with it, or in a large log soon after it.

mod directory;
mod ledger;
pub mod pages;
mod reader;
mod restoring;
mod rotating;
mod rows;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::{Clock, timestamp};
use crate::error::{OpenError, StoreError};
use crate::keys::{KeyRow, LogKeys};
use crate::log::{Archive, Log, QUEUE};
use crate::ring::{MasterKeys, Ring};
use crate::rotation::in_force;
use crate::tail::Tail;
use crate::writer;
use directory::Directory;
use ledger::SqliteLedger;
use reader::SqliteHome;

pub(crate) use restoring::new_home;

/// The name of the file in the data directory.
pub const FILE: &str = "log.sqlite";

/// Each text takes the tables from its number's version to the next.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("sqlite/migrations/0001_log.sql"),
    include_str!("sqlite/migrations/0002_tree.sql"),
    include_str!("sqlite/migrations/0003_master_keys.sql"),
    include_str!("sqlite/migrations/0004_archive.sql"),
];

/// The version of the tables that this program reads and writes.
const SCHEMA_VERSION: u32 = 4;

/// Opens the log of a data directory; makes both where they are not there yet.
///
/// The directory is locked until the log is closed or its last clone is dropped.
///
/// # Errors
/// When another process has the directory, the master key is not the log's, or a file cannot be used.
pub async fn open(
    data_dir: &Path,
    keys: impl Into<MasterKeys>,
    clock: Clock,
) -> Result<Log, OpenError> {
    let data_dir = data_dir.to_owned();
    let keys = Ring::new(keys.into());
    let opened = tokio::task::spawn_blocking(move || open_blocking(&data_dir, keys, clock)).await;
    opened.map_err(|error| OpenError::unavailable("opening was cut off", error))?
}

fn open_blocking(data_dir: &Path, ring: Ring, clock: Clock) -> Result<Log, OpenError> {
    let directory = Directory::lock(data_dir)?;
    if restoring::unfinished(data_dir) {
        return Err(OpenError::Unfinished(data_dir.display().to_string()));
    }
    let file = data_dir.join(FILE);
    let failed = |error| OpenError::unavailable(file.display().to_string(), error);
    let mut connection = connect(&file).map_err(failed)?;
    migrate(&mut connection, &ring, &clock)?;
    // What a process that died in the middle of an erasure left goes before anybody is served.
    ledger::sweep_secrets(&connection).map_err(failed)?;
    ledger::truncate_wal(&connection).map_err(failed)?;
    let keys = read_keys(&connection, ring)?;
    let (id, head) = connection
        .query_row("SELECT log_id, position FROM log_head", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
        })
        .map_err(failed)?;
    let id = Uuid::parse_str(&id).map_err(|error| OpenError::unavailable("the log's id", error))?;
    let archive = archive(&connection).map_err(failed)?;

    let tail = Arc::new(Tail::new(head));
    let home = Arc::new(SqliteHome::open(&file, tail.clone()).map_err(failed)?);
    let (queue, jobs) = mpsc::channel(QUEUE);
    let ledger = SqliteLedger::new(connection, clock.clone(), directory);
    writer::start(ledger, jobs, tail.clone())?;
    Ok(Log::new(id, keys, home, queue, tail, clock, archive))
}

/// The one connection that writes.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Brings the tables to this program's version, and fills those of a new log.
fn migrate(connection: &mut Connection, ring: &Ring, clock: &Clock) -> Result<(), OpenError> {
    let failed = |error| OpenError::unavailable("the tables of the log", error);
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::SchemaVersion {
            found,
            needed: SCHEMA_VERSION,
        });
    }
    let transaction = connection.transaction().map_err(failed)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "user_version", SCHEMA_VERSION)
        .map_err(failed)?;
    let made: Option<u32> = transaction
        .query_row("SELECT single FROM log_head", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let keys = if made.is_none() {
        transaction
            .execute(
                "INSERT INTO log_head (single, log_id, position, last_at) VALUES (1, ?1, 0, 0)",
                [Uuid::now_v7().to_string()],
            )
            .map_err(failed)?;
        let keys = LogKeys::create(ring);
        let rows: Vec<_> = keys
            .iter()
            .map(|(name, wrapped)| ((*name).to_owned(), wrapped.clone()))
            .collect();
        rotating::first(&transaction, ring, &rows, clock)?;
        keys
    } else {
        let rows = key_rows(&transaction).map_err(failed)?;
        if rotating::rotations(&transaction, 1)
            .map_err(failed)?
            .is_empty()
        {
            rotating::first(&transaction, ring, &rows, clock)?;
        }
        let rows_of_keys = rotating::rotations(&transaction, 2).map_err(failed)?;
        ring.open(&in_force(&rows_of_keys).map_err(corrupt)?)?;
        LogKeys::missing(ring, &rows)
    };
    for (name, wrapped) in keys {
        transaction
            .execute(
                "INSERT INTO log_keys (name, wrapped) VALUES (?1, ?2)",
                (name, wrapped),
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn corrupt(error: StoreError) -> OpenError {
    OpenError::unavailable("the master keys of the log", error)
}

fn key_rows(connection: &Connection) -> rusqlite::Result<Vec<KeyRow>> {
    connection
        .prepare("SELECT name, wrapped FROM log_keys")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn read_keys(connection: &Connection, ring: Ring) -> Result<LogKeys, OpenError> {
    let failed = |error| OpenError::unavailable("the keys of the log", error);
    let rows = key_rows(connection).map_err(failed)?;
    let rotations = rotating::rotations(connection, 2).map_err(failed)?;
    LogKeys::open(ring, &in_force(&rotations).map_err(corrupt)?, &rows)
}

fn archive(connection: &Connection) -> rusqlite::Result<Option<Archive>> {
    connection
        .query_row(
            "SELECT checkpoint, verifier_key FROM log_archive",
            [],
            |row| {
                Ok(Archive {
                    checkpoint: row.get(0)?,
                    verifier_key: row.get(1)?,
                })
            },
        )
        .optional()
}

/// A time as it is stored.
fn time(micros: i64) -> crate::clock::Timestamp {
    timestamp(micros)
}
