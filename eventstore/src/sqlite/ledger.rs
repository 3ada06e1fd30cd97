//! The SQLite file as the writer sees it.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use super::{pages, reader, rotating, time};

/// How often old requests are removed, and how many at a time at most.
const PRUNE_EVERY: TimeDelta = TimeDelta::minutes(10);
const PRUNED: usize = 5_000;

/// A log of so many pages is swept before a commit that forgets is answered; a larger one soon after it.
const SMALL: i64 = 2_000;

/// Sweeping takes one part of the time in so many.
const SWEEPING: u32 = 20;

/// What stands beside the events of a stream and goes with its key.
const SECRETS: [&str; 2] = ["stream_keys", "side_rows"];

pub(super) struct SqliteLedger {
    connection: Connection,
    clock: Clock,
    pruned_at: Option<crate::clock::Timestamp>,
    /// The write-ahead log may still hold what was forgotten.
    unerased: bool,
    /// The unused parts of pages may still hold it.
    unswept: bool,
    /// When they may be swept next.
    sweep_from: Instant,
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
            unswept: false,
            sweep_from: Instant::now(),
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
        if writes.forgets() {
            self.unerased = true;
            self.unswept = true;
        }
        if self.unswept && self.is_small() {
            self.sweep();
        }
        if self.unerased {
            // The commit stands whatever comes of this; what is left is erased with the next batch or the next start.
            match truncate_wal(&self.connection) {
                Ok(()) => self.unerased = false,
                Err(error) => tracing::error!(%error, "the write-ahead log could not be emptied"),
            }
        }
        Ok(())
    }

    fn grow_now(&mut self, growth: &Growth) -> rusqlite::Result<bool> {
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
        if self.unswept && Instant::now() >= self.sweep_from {
            self.sweep();
        }
        Ok(moved == 1)
    }

    fn is_small(&self) -> bool {
        let pages = self
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
        pages.is_ok_and(|pages| pages <= SMALL)
    }

    /// Overwrites what forgotten secrets left in the unused parts of pages. What was committed before stands whatever comes of
    /// it; what is left is swept with the next commit that forgets or the next start.
    fn sweep(&mut self) {
        let began = Instant::now();
        let swept = sweep_secrets(&self.connection).and_then(|anything| {
            if anything {
                truncate_wal(&self.connection)?;
            }
            Ok(())
        });
        match swept {
            Ok(()) => self.unswept = false,
            Err(error) => {
                tracing::error!(%error, "unused parts of the log's file could not be overwritten");
            }
        }
        self.sweep_from = Instant::now() + SWEEPING * began.elapsed();
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
            // What was wrapped under the former key must not outlive the rotation in unused parts or the write-ahead log.
            if matches!(step, Step::Finish { .. }) {
                sweep_secrets(&self.connection)?;
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

    fn close(mut self) -> impl Future<Output = ()> + Send {
        if self.unswept {
            self.sweep();
        }
        if let Err(error) = truncate_wal(&self.connection) {
            tracing::warn!(%error, "the write-ahead log could not be emptied");
        }
        ready(())
    }
}

/// Overwrites the unused parts of the pages of all secrets; answers whether there was anything in them.
pub(super) fn sweep_secrets(connection: &Connection) -> rusqlite::Result<bool> {
    if !pages::can_overwrite_unused(connection)? {
        tracing::warn!(
            "SQLite was built without SQLITE_ENABLE_DBPAGE_VTAB, or the file is too large: keys that were destroyed, \
             as the master key wrapped them, may stand in unused parts of it"
        );
        return Ok(false);
    }
    let transaction = connection.unchecked_transaction()?;
    let mut anything = false;
    for table in SECRETS {
        let of_table: Vec<i64> = transaction
            .prepare_cached("SELECT pageno FROM dbstat WHERE name = ?1")?
            .query_map([table], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        anything |= pages::overwrite_unused(&transaction, of_table)?;
    }
    transaction.commit()?;
    Ok(anything)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A number that looks thrown, and is the same each time (<https://prng.di.unimi.it/splitmix64.c>).
    fn thrown(at: usize, below: usize) -> usize {
        let mut thrown = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        thrown = (thrown ^ (thrown >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        thrown = (thrown ^ (thrown >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((thrown ^ (thrown >> 31)) % below as u64).unwrap()
    }

    /// A secret that begins like no other.
    fn secret(number: usize) -> Vec<u8> {
        let length = 60 + thrown(number, 140);
        let begins = format!("secret {number:06} ").into_bytes();
        begins.into_iter().cycle().take(length).collect()
    }

    fn numbers_in(file: &[u8]) -> BTreeSet<usize> {
        let begins = b"secret ";
        let numbered = |at: usize| {
            let number = std::str::from_utf8(file.get(at + 7..at + 13)?).ok()?;
            file[at..]
                .starts_with(begins)
                .then(|| number.parse().ok())?
        };
        (0..file.len()).filter_map(numbered).collect()
    }

    /// Streams come in about the order of their ids, as when many are made at a time; their secrets change, and some go.
    #[test]
    fn r62_secrets_that_were_forgotten_stand_nowhere_in_a_file_that_was_swept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.sqlite");
        let connection = super::super::connect(&file).unwrap();
        connection
            .execute_batch(super::super::MIGRATIONS[0])
            .unwrap();
        let put = "
            INSERT INTO side_rows (aggregate_type, aggregate_id, kind, value)
            VALUES ('user', ?1, 'password', ?2)
            ON CONFLICT DO UPDATE SET value = excluded.value";
        let mut there: Vec<(usize, usize)> = Vec::new();
        let mut gone = Vec::new();
        connection.execute_batch("BEGIN").unwrap();
        for at in 0..20_000 {
            let id = at ^ thrown(at / 64, 64);
            let put_in = |id: usize, number: usize| {
                let row = params![format!("{id:012}"), secret(number)];
                connection
                    .prepare_cached(put)
                    .unwrap()
                    .execute(row)
                    .unwrap();
            };
            put_in(id, at);
            there.push((id, at));
            let picked = thrown(at + 100_000, there.len());
            match at % 4 {
                0 => {
                    put_in(there[picked].0, at + 500_000);
                    gone.push(there[picked].1);
                    there[picked].1 = at + 500_000;
                }
                1 => {
                    let (id, number) = there.swap_remove(picked);
                    let take = "DELETE FROM side_rows WHERE aggregate_id = ?1";
                    let mut take = connection.prepare_cached(take).unwrap();
                    assert_eq!(take.execute([format!("{id:012}")]).unwrap(), 1);
                    gone.push(number);
                }
                _ => {}
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        let left = || {
            truncate_wal(&connection).unwrap();
            let stand = numbers_in(&std::fs::read(&file).unwrap());
            assert!(there.iter().all(|(_, number)| stand.contains(number)));
            gone.iter().filter(|number| stand.contains(number)).count()
        };
        assert!(left() > 0, "there is nothing to sweep any more");
        assert!(sweep_secrets(&connection).unwrap());
        assert_eq!(left(), 0);
        assert!(!sweep_secrets(&connection).unwrap());
    }
}
