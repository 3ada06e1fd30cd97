//! A log made in a data directory: filled in a file of another name, which takes its place when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::ready;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params, params_from_iter};

use super::directory::Directory;
use super::{FILE, MIGRATIONS, SCHEMA_VERSION};
use crate::backup::{BackupRow, End, Made, NewHome, Origin};
use crate::error::OpenError;
use crate::proof::{Growth, ProvableEvent};

/// What the file is called until it is whole.
const UNFINISHED: &str = "log.sqlite.restoring";

/// Views that were folded from what was there before.
const VIEWS: &str = "views";

/// Whether a log was being made there.
pub(super) fn unfinished(data_dir: &Path) -> bool {
    data_dir.join(UNFINISHED).exists()
}

struct SqliteNewHome {
    connection: Connection,
    data_dir: PathBuf,
    /// The lock is given back after the file is in its place.
    _directory: Directory,
}

/// Begins to make a log in a data directory.
pub(crate) fn new_home(data_dir: &Path, origin: &Origin) -> Result<Box<dyn NewHome>, OpenError> {
    let directory = Directory::lock(data_dir)?;
    let events = events_in(&data_dir.join(FILE))?;
    if events > 0 {
        return Err(OpenError::NotEmpty(events));
    }
    let file = data_dir.join(UNFINISHED);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::unavailable(file.display().to_string(), error));
        }
        Ok(()) | Err(_) => {}
    }
    let failed = |error| OpenError::unavailable(file.display().to_string(), error);
    let connection = connect(&file).map_err(failed)?;
    begin(&connection, origin).map_err(failed)?;
    Ok(Box::new(SqliteNewHome {
        connection,
        data_dir: data_dir.to_owned(),
        _directory: directory,
    }))
}

/// How many events a log has that may be there.
fn events_in(file: &Path) -> Result<u64, OpenError> {
    if !file.exists() {
        return Ok(0);
    }
    let failed = |error| OpenError::unavailable(file.display().to_string(), error);
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let made: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if made == 0 {
        return Ok(0);
    }
    let head = connection
        .query_row("SELECT position FROM log_head", [], |row| row.get(0))
        .optional();
    Ok(head.map_err(failed)?.unwrap_or(0))
}

/// Nobody reads the file before it is whole and synced, so it needs no journal.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "cache_size", -64_000)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(connection)
}

fn begin(connection: &Connection, origin: &Origin) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    for migration in MIGRATIONS {
        connection.execute_batch(migration)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    connection.execute(
        "INSERT INTO log_head (single, log_id, position, last_at) VALUES (1, ?1, 0, 0)",
        [origin.log_id.to_string()],
    )?;
    for (name, wrapped) in &origin.log_keys {
        connection.execute(
            "INSERT INTO log_keys (name, wrapped) VALUES (?1, ?2)",
            params![name, wrapped],
        )?;
    }
    if let Some(archive) = &origin.archive {
        connection.execute(
            "INSERT INTO log_archive (single, checkpoint, verifier_key) VALUES (1, ?1, ?2)",
            [&archive.checkpoint, &archive.verifier_key],
        )?;
    }
    Ok(())
}

impl SqliteNewHome {
    fn add_events(&self, events: &[ProvableEvent]) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO events
                 (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                  commit_position, account_id, account_number, recorded_at, forgets)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for event in events {
            statement.execute(params![
                event.position,
                event.stream.aggregate_type,
                event.stream.aggregate_id,
                event.revision,
                event.event_type,
                event.event_version,
                event.payload,
                event.metadata,
                event.commit_position,
                event.account_id,
                event.account_number,
                event.recorded_at.timestamp_micros(),
                event.forgets,
            ])?;
        }
        Ok(())
    }

    fn add_row(&self, row: BackupRow) -> rusqlite::Result<()> {
        let (sql, values): (_, Vec<Value>) = match row {
            BackupRow::LogKey { name, wrapped } => (
                "INSERT INTO log_keys (name, wrapped) VALUES (?1, ?2)",
                vec![name.into(), wrapped.into()],
            ),
            BackupRow::StreamKey { stream, wrapped } => (
                "INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped) VALUES (?1, ?2, ?3)",
                vec![
                    stream.aggregate_type.into(),
                    stream.aggregate_id.into(),
                    wrapped.into(),
                ],
            ),
            BackupRow::Claim {
                account,
                kind,
                key,
                owner,
            } => (
                "INSERT INTO claims (account_id, kind, key, owner) VALUES (?1, ?2, ?3, ?4)",
                [account, kind, key, owner].map(Value::from).into(),
            ),
            BackupRow::Request {
                account,
                request,
                digest,
                first,
                last,
                at,
                outcome,
            } => (
                "INSERT INTO requests
                     (account_id, request_id, digest, first_position, last_position, recorded_at, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                vec![
                    account.into(),
                    request.as_bytes().to_vec().into(),
                    digest.into(),
                    first.cast_signed().into(),
                    last.cast_signed().into(),
                    at.into(),
                    outcome.into(),
                ],
            ),
            BackupRow::Side {
                stream,
                kind,
                value,
            } => (
                "INSERT INTO side_rows (aggregate_type, aggregate_id, kind, value) VALUES (?1, ?2, ?3, ?4)",
                vec![
                    stream.aggregate_type.into(),
                    stream.aggregate_id.into(),
                    kind.into(),
                    value.into(),
                ],
            ),
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(params_from_iter(values)).map(drop)
    }

    fn add_growth(&self, growth: &Growth) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO tree_tiles (level, number, hashes)
             VALUES (?1, ?2, ?3)
             ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
        )?;
        for ((level, number), hashes) in &growth.tiles {
            statement.execute(params![level, number, hashes])?;
        }
        self.connection
            .prepare_cached("UPDATE tree_head SET size = ?1, root = ?2")?
            .execute(params![growth.to.size, growth.to.root])
            .map(drop)
    }

    fn end(&self, end: &End) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare("INSERT INTO account_heads (account_id, number) VALUES (?1, ?2)")?;
        for (account, number) in &end.accounts {
            statement.execute(params![account, number])?;
        }
        self.connection.execute(
            "UPDATE log_head SET position = ?1, last_at = ?2",
            params![end.position, end.last_at.timestamp_micros()],
        )?;
        self.connection.execute(
            "INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped)
             SELECT DISTINCT e.aggregate_type, e.aggregate_id, NULL
             FROM events AS e
             WHERE (e.forgets OR instr(e.payload, '\"$sealed\":') OR instr(e.metadata, '\"$reason\":'))
               AND NOT EXISTS (
                   SELECT 1
                   FROM stream_keys AS k
                   WHERE k.aggregate_type = e.aggregate_type AND k.aggregate_id = e.aggregate_id)",
            [],
        )?;
        self.connection.execute_batch("COMMIT")
    }

    /// The file is whole and on the disk before it has its name, so that whatever has the name is a log.
    fn put_in_place(self) -> Result<(), OpenError> {
        let made = self.data_dir.join(UNFINISHED);
        let place = self.data_dir.join(FILE);
        self.connection
            .close()
            .map_err(|(_, error)| OpenError::unavailable(made.display().to_string(), error))?;
        let failed = |error| OpenError::unavailable(place.display().to_string(), error);
        let put = || {
            File::open(&made)?.sync_all()?;
            // Of an empty log, and of whatever views there are of another one: they may show persons who are erased here.
            for beside in ["-wal", "-shm"] {
                let mut name = place.clone().into_os_string();
                name.push(beside);
                gone(fs::remove_file(name))?;
            }
            gone(fs::remove_dir_all(self.data_dir.join(VIEWS)))?;
            fs::rename(&made, &place)?;
            File::open(&self.data_dir)?.sync_all()
        };
        put().map_err(failed)
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(error: rusqlite::Error) -> OpenError {
    OpenError::unavailable(UNFINISHED, error)
}

/// Only a command of the program makes a log, and does nothing else meanwhile.
impl NewHome for SqliteNewHome {
    fn events(&mut self, events: Vec<ProvableEvent>) -> Made<'_, ()> {
        ready(self.add_events(&events).map_err(failed)).boxed()
    }

    fn rows(&mut self, rows: Vec<BackupRow>) -> Made<'_, ()> {
        let added = rows.into_iter().try_for_each(|row| self.add_row(row));
        ready(added.map_err(failed)).boxed()
    }

    fn grow(&mut self, growth: Growth) -> Made<'_, ()> {
        ready(self.add_growth(&growth).map_err(failed)).boxed()
    }

    fn abandon<'a>(self: Box<Self>) -> Made<'a, ()> {
        let file = self.data_dir.join(UNFINISHED);
        drop(self.connection);
        let removed = fs::remove_file(&file)
            .map_err(|error| OpenError::unavailable(file.display().to_string(), error));
        ready(removed).boxed()
    }

    fn finish<'a>(self: Box<Self>, end: End) -> Made<'a, ()> {
        let ended = self.end(&end).map_err(failed);
        ready(ended.and_then(|()| self.put_in_place())).boxed()
    }
}
