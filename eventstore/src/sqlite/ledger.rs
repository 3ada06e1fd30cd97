//! The SQLite file as the writer sees it.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::append::{Holders, Repeated};
use crate::clock::Clock;
use crate::judge::{Facts, Questions, REMEMBERED, RequestRow, Writes};
use crate::prepared::Prepared;
use crate::proof::Growth;
use crate::ring::KeyId;
use crate::rotation::{Step, Stepped};
use crate::writer::{Ledger, Trouble};

use super::directory::Directory;
use super::{reader, rotating, time};

/// How often old requests are removed, and how many at a time at most.
const PRUNE_EVERY: TimeDelta = TimeDelta::minutes(10);
const PRUNED: usize = 5_000;

pub(super) struct SqliteLedger {
    connection: Connection,
    clock: Clock,
    pruned_at: Option<crate::clock::Timestamp>,
    /// The write-ahead log may still hold what was forgotten.
    unerased: bool,
    /// The lock is given back after the file is closed.
    _directory: Directory,
}

impl SqliteLedger {
    pub(super) fn new(connection: Connection, clock: Clock, directory: Directory) -> Self {
        Self {
            connection,
            clock,
            pruned_at: None,
            unerased: false,
            _directory: directory,
        }
    }

    fn look_now(&self, asked: &Questions) -> rusqlite::Result<Facts> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let (position, last_at) = connection
            .prepare_cached("SELECT position, last_at FROM log_head")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut facts = Facts {
            position,
            now: self.clock.now().max(time(last_at)),
            ..Facts::default()
        };
        if asked.wrapping {
            let wrapping: Vec<u8> = connection
                .prepare_cached("SELECT key_id FROM master_keys ORDER BY number DESC LIMIT 1")?
                .query_row([], |row| row.get(0))?;
            facts.wrapping = KeyId::read(&wrapping);
        }
        facts_of_streams(connection, asked, &mut facts)?;
        facts_of_claims(connection, asked, &mut facts)?;
        facts_of_requests(connection, asked, &mut facts)?;
        Ok(facts)
    }

    fn record_now(&mut self, batch: &[&Prepared], writes: &Writes) -> rusqlite::Result<()> {
        write_events(&self.connection, batch, writes)?;
        write_beside(&self.connection, writes)?;
        self.prune(writes)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.unerased |= writes.forgets();
        if self.unerased {
            // The commit stands whatever comes of this; what is left is erased with the next batch or the next start.
            match truncate_wal(&self.connection) {
                Ok(()) => self.unerased = false,
                Err(error) => tracing::error!(%error, "the write-ahead log could not be emptied"),
            }
        }
        Ok(())
    }

    fn grow_now(&self, growth: &Growth) -> rusqlite::Result<bool> {
        let transaction = self.connection.unchecked_transaction()?;
        let moved = transaction
            .prepare_cached("UPDATE tree_head SET size = ?2, root = ?3 WHERE size = ?1")?
            .execute(params![growth.from, growth.to.size, growth.to.root])?;
        let mut statement = transaction.prepare_cached(
            "INSERT INTO tree_tiles (level, number, hashes)
             VALUES (?1, ?2, ?3)
             ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
        )?;
        if moved == 1 {
            for ((level, number), hashes) in &growth.tiles {
                statement.execute(params![level, number, hashes])?;
            }
        }
        drop(statement);
        transaction.commit()?;
        Ok(moved == 1)
    }

    fn prune(&mut self, writes: &Writes) -> rusqlite::Result<()> {
        let due = |at| writes.recorded_at >= at + PRUNE_EVERY;
        if writes.requests.is_empty() || !self.pruned_at.is_none_or(due) {
            return Ok(());
        }
        self.pruned_at = Some(writes.recorded_at);
        let before = (writes.recorded_at - REMEMBERED).timestamp_micros();
        self.connection
            .prepare_cached(
                "DELETE FROM requests
                 WHERE (account_id, request_id) IN
                     (SELECT account_id, request_id FROM requests WHERE recorded_at < ?1 LIMIT ?2)",
            )?
            .execute(params![before, PRUNED])
            .map(drop)
    }

    fn roll_back(&self) {
        // A failed commit may have ended the transaction already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn refused(&self, error: rusqlite::Error) -> Trouble {
        self.roll_back();
        Trouble::Refused(Arc::new(error))
    }
}

impl Ledger for SqliteLedger {
    fn look(&mut self, asked: &Questions) -> impl Future<Output = Result<Facts, Trouble>> + Send {
        ready(self.look_now(asked).map_err(|error| self.refused(error)))
    }

    fn record(
        &mut self,
        batch: &[&Prepared],
        writes: &Writes,
    ) -> impl Future<Output = Result<(), Trouble>> + Send {
        ready(
            self.record_now(batch, writes)
                .map_err(|error| self.refused(error)),
        )
    }

    fn grow(&mut self, growth: &Growth) -> impl Future<Output = Result<bool, Trouble>> + Send {
        ready(self.grow_now(growth).map_err(|error| self.refused(error)))
    }

    fn rotate(&mut self, step: &Step) -> impl Future<Output = Result<Stepped, Trouble>> + Send {
        let stepped = rotating::take(&self.connection, step).and_then(|stepped| {
            // What was wrapped under the former key must not outlive the rotation in the write-ahead log.
            if matches!(step, Step::Finish { .. }) {
                truncate_wal(&self.connection)?;
            }
            Ok(stepped)
        });
        ready(stepped.map_err(|error| self.refused(error)))
    }

    fn abandon(&mut self) -> impl Future<Output = ()> + Send {
        self.roll_back();
        ready(())
    }

    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        std::thread::sleep(time);
        ready(())
    }

    fn close(self) -> impl Future<Output = ()> + Send {
        if let Err(error) = truncate_wal(&self.connection) {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        ready(())
    }
}

/// Moves all of the write-ahead log into the file and empties it. Readers are waited for.
pub(super) fn truncate_wal(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("readers keep the write-ahead log".to_owned()),
        ));
    }
    Ok(())
}

fn facts_of_streams(
    connection: &Connection,
    asked: &Questions,
    facts: &mut Facts,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT max(sequence)
         FROM events
         WHERE aggregate_type = ?1 AND aggregate_id = ?2",
    )?;
    for stream in &asked.streams {
        let name = [&stream.aggregate_type, &stream.aggregate_id];
        if let Some(revision) = statement.query_row(name, |row| row.get(0))? {
            facts.revisions.insert(stream.clone(), revision);
        }
    }
    let mut statement = connection.prepare_cached(reader::KEY)?;
    for stream in &asked.keys {
        let state = reader::key_state(&mut statement, stream)?;
        facts.keys.insert(stream.clone(), state);
    }
    for (stream, kind) in &asked.side {
        if let Some(value) = reader::side_row(connection, stream, kind)? {
            facts.side.insert((stream.clone(), kind.clone()), value);
        }
    }
    let mut statement =
        connection.prepare_cached("SELECT number FROM account_heads WHERE account_id = ?1")?;
    for account in &asked.accounts {
        let number = statement
            .query_row([account], |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            facts.accounts.insert(account.clone(), number);
        }
    }
    Ok(())
}

fn facts_of_claims(
    connection: &Connection,
    asked: &Questions,
    facts: &mut Facts,
) -> rusqlite::Result<()> {
    for row in &asked.claims {
        facts
            .claims
            .insert(row.clone(), reader::holders(connection, row)?);
    }
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (
             SELECT 1
             FROM claims
             WHERE account_id = ?1 AND kind = ?2 AND key = ?3 AND owner = ?4)",
    )?;
    for held in &asked.members {
        let parameters = [
            &held.row.account_id,
            &held.row.kind,
            &held.row.key,
            &held.owner,
        ];
        if statement.query_row(parameters, |row| row.get(0))? {
            facts.members.insert(held.clone());
        }
    }
    for (account_id, kind) in &asked.shared {
        let holders: Holders = reader::shared(connection, account_id, kind)?;
        facts
            .shared
            .insert((account_id.clone(), kind.clone()), holders);
    }
    Ok(())
}

fn facts_of_requests(
    connection: &Connection,
    asked: &Questions,
    facts: &mut Facts,
) -> rusqlite::Result<()> {
    for (account_id, request_id) in &asked.requests {
        if let Some(row) = request_row(connection, account_id, *request_id)? {
            facts
                .requests
                .insert((account_id.clone(), *request_id), row);
        }
    }
    Ok(())
}

/// A request that was committed, however long ago.
pub(super) fn request_row(
    connection: &Connection,
    account_id: &str,
    request_id: Uuid,
) -> rusqlite::Result<Option<RequestRow>> {
    connection
        .prepare_cached(
            "SELECT digest, first_position, last_position, recorded_at, outcome
             FROM requests
             WHERE account_id = ?1 AND request_id = ?2",
        )?
        .query_row(params![account_id, request_id.as_bytes()], |row| {
            Ok(RequestRow {
                digest: row.get(0)?,
                repeated: Repeated {
                    first_position: row.get(1)?,
                    last_position: row.get(2)?,
                    recorded_at: time(row.get(3)?),
                    outcome: row.get(4)?,
                },
            })
        })
        .optional()
}

fn write_events(
    connection: &Connection,
    batch: &[&Prepared],
    writes: &Writes,
) -> rusqlite::Result<()> {
    let recorded_at = writes.recorded_at.timestamp_micros();
    let mut statement = connection.prepare_cached(
        "INSERT INTO events
             (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
              commit_position, account_id, account_number, recorded_at, forgets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for placed in &writes.events {
        let stream = &batch[placed.append].streams[placed.stream];
        let event = &stream.events[placed.event];
        statement.execute(params![
            placed.position,
            stream.stream.aggregate_type,
            stream.stream.aggregate_id,
            placed.revision,
            event.draft.event_type,
            event.draft.event_version,
            event.payload,
            event.metadata,
            placed.commit_position,
            stream.account_id,
            placed.account_number,
            recorded_at,
            stream.forget,
        ])?;
    }
    if !writes.events.is_empty() {
        connection
            .prepare_cached("UPDATE log_head SET position = ?1, last_at = ?2")?
            .execute(params![writes.position, recorded_at])?;
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO account_heads (account_id, number)
         VALUES (?1, ?2)
         ON CONFLICT (account_id) DO UPDATE SET number = excluded.number",
    )?;
    for (account_id, number) in &writes.accounts {
        statement.execute(params![account_id, number])?;
    }
    Ok(())
}

fn write_beside(connection: &Connection, writes: &Writes) -> rusqlite::Result<()> {
    let mut take = connection.prepare_cached(
        "INSERT INTO claims (account_id, kind, key, owner)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?;
    let mut release = connection.prepare_cached(
        "DELETE FROM claims
         WHERE account_id = ?1 AND kind = ?2 AND key = ?3 AND owner = ?4",
    )?;
    for (held, holds) in &writes.claims {
        let statement: &mut CachedStatement<'_> = if *holds { &mut take } else { &mut release };
        statement.execute([
            &held.row.account_id,
            &held.row.kind,
            &held.row.key,
            &held.owner,
        ])?;
    }
    write_keys(connection, writes)?;
    let mut set = connection.prepare_cached(
        "INSERT INTO side_rows (aggregate_type, aggregate_id, kind, value)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (aggregate_type, aggregate_id, kind) DO UPDATE SET value = excluded.value",
    )?;
    let mut remove = connection.prepare_cached(
        "DELETE FROM side_rows
         WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND kind = ?3",
    )?;
    for ((stream, kind), value) in &writes.side {
        match value {
            Some(value) => set.execute(params![
                stream.aggregate_type,
                stream.aggregate_id,
                kind,
                value
            ])?,
            None => remove.execute([&stream.aggregate_type, &stream.aggregate_id, kind])?,
        };
    }
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO requests
             (account_id, request_id, digest, first_position, last_position, recorded_at, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for ((account_id, request_id), row) in &writes.requests {
        statement.execute(params![
            account_id,
            request_id.as_bytes(),
            row.digest,
            row.repeated.first_position,
            row.repeated.last_position,
            row.repeated.recorded_at.timestamp_micros(),
            row.repeated.outcome,
        ])?;
    }
    Ok(())
}

fn write_keys(connection: &Connection, writes: &Writes) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped)
         VALUES (?1, ?2, ?3)
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET wrapped = excluded.wrapped",
    )?;
    let mut drop_side_rows = connection
        .prepare_cached("DELETE FROM side_rows WHERE aggregate_type = ?1 AND aggregate_id = ?2")?;
    for (stream, wrapped) in &writes.keys {
        statement.execute(params![stream.aggregate_type, stream.aggregate_id, wrapped])?;
        if wrapped.is_none() {
            drop_side_rows.execute([&stream.aggregate_type, &stream.aggregate_id])?;
        }
    }
    Ok(())
}
