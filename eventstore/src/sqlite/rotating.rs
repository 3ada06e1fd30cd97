//! Rotation of the master key in the SQLite file.

use rusqlite::{Connection, params};

use crate::clock::Clock;
use crate::error::OpenError;
use crate::keys::{KeyRow, LogKeys};
use crate::ring::{KeyId, Ring, WRAPPED};
use crate::rotation::{RotationRow, Step, Stepped};
use crate::stream::StreamId;

use super::time;

/// Records the master key of a log that does not say which it is.
pub(super) fn first(
    connection: &Connection,
    ring: &Ring,
    rows: &[KeyRow],
    clock: &Clock,
) -> Result<(), OpenError> {
    let key = LogKeys::first_master(ring, rows)?;
    let now = clock.now().timestamp_micros();
    connection
        .execute(
            "INSERT INTO master_keys (number, key_id, begun_at, begun_by, finished_at)
             VALUES (1, ?1, ?2, '', ?2)",
            params![key.as_bytes(), now],
        )
        .map(drop)
        .map_err(|error| OpenError::unavailable("the master keys of the log", error))
}

pub(super) fn rotations(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<RotationRow>> {
    connection
        .prepare_cached(
            "SELECT number, key_id, begun_at, begun_by, finished_at
             FROM master_keys
             ORDER BY number DESC
             LIMIT ?1",
        )?
        .query_map([limit], |row| {
            Ok(RotationRow {
                number: row.get(0)?,
                key: row.get(1)?,
                begun_at: time(row.get(2)?),
                begun_by: row.get(3)?,
                finished_at: row.get::<_, Option<i64>>(4)?.map(time),
            })
        })?
        .collect()
}

pub(super) fn wrapped_otherwise(
    connection: &Connection,
    than: KeyId,
    after: &StreamId,
    limit: u32,
) -> rusqlite::Result<Vec<(StreamId, Vec<u8>)>> {
    connection
        .prepare_cached(
            "SELECT aggregate_type, aggregate_id, wrapped
             FROM stream_keys
             WHERE (aggregate_type, aggregate_id) > (?1, ?2)
               AND wrapped IS NOT NULL
               AND NOT (length(wrapped) = ?3 AND substr(wrapped, 1, 8) = ?4)
             ORDER BY aggregate_type, aggregate_id
             LIMIT ?5",
        )?
        .query_map(
            params![
                after.aggregate_type,
                after.aggregate_id,
                WRAPPED,
                than.as_bytes(),
                limit
            ],
            |row| {
                let stream = StreamId {
                    aggregate_type: row.get(0)?,
                    aggregate_id: row.get(1)?,
                };
                Ok((stream, row.get(2)?))
            },
        )?
        .collect()
}

pub(super) fn count_wrapped_otherwise(
    connection: &Connection,
    than: KeyId,
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*)
             FROM (SELECT wrapped FROM stream_keys UNION ALL SELECT wrapped FROM log_keys)
             WHERE wrapped IS NOT NULL AND NOT (length(wrapped) = ?1 AND substr(wrapped, 1, 8) = ?2)",
        )?
        .query_row(params![WRAPPED, than.as_bytes()], |row| row.get(0))
}

/// Takes a step in a transaction of its own. No other process has the file, so none can lack the key.
pub(super) fn take(connection: &Connection, step: &Step) -> rusqlite::Result<Stepped> {
    let transaction = connection.unchecked_transaction()?;
    let changed = match step {
        Step::Begin {
            number,
            key,
            begun_at,
            begun_by,
            log_keys,
        } => {
            let begun = transaction.execute(
                "INSERT INTO master_keys (number, key_id, begun_at, begun_by)
                 SELECT ?1, ?2, ?3, ?4
                 WHERE (SELECT max(number) FROM master_keys WHERE finished_at IS NOT NULL) = ?1 - 1
                   AND NOT EXISTS (SELECT 1 FROM master_keys WHERE number = ?1)",
                params![
                    number,
                    key.as_bytes(),
                    begun_at.timestamp_micros(),
                    begun_by
                ],
            )?;
            if begun == 1 {
                for (name, wrapped) in log_keys {
                    transaction.execute(
                        "UPDATE log_keys SET wrapped = ?2 WHERE name = ?1",
                        params![name, wrapped],
                    )?;
                }
            }
            begun
        }
        Step::Rewrap(rewrapped) => {
            let mut statement = transaction.prepare_cached(
                "UPDATE stream_keys
                 SET wrapped = ?4
                 WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND wrapped = ?3",
            )?;
            let mut changed = 0;
            for row in rewrapped {
                let stream = &row.stream;
                changed += statement.execute(params![
                    stream.aggregate_type,
                    stream.aggregate_id,
                    row.old,
                    row.new
                ])?;
            }
            changed
        }
        Step::Finish {
            number,
            finished_at,
        } => transaction.execute(
            "UPDATE master_keys SET finished_at = ?2 WHERE number = ?1 AND finished_at IS NULL",
            params![number, finished_at.timestamp_micros()],
        )?,
    };
    transaction.commit()?;
    Ok(Stepped::Changed(changed as u64))
}
