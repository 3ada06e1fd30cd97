//! Rotation of the master key in the database.
//!
//! Every process says by the name of a session that it keeps for as long as it lives which master keys it was given. A
//! rotation to a key that one of them lacks does not begin.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row as _};

use crate::error::{OpenError, StoreError};
use crate::keys::{KeyRow, LogKeys};
use crate::ring::{KeyId, Ring, WRAPPED};
use crate::rotation::{RotationRow, Step, Stepped, in_force};
use crate::stream::StreamId;

use super::reader::names;

const LOCK: &str = "SELECT FROM log_head FOR UPDATE";

/// What the sessions by which processes are present are called, before the ids of their keys.
const PRESENT: &str = "rollbook listener";

/// The name of the session by which a process with these keys is present.
pub(super) fn presence(ring: &Ring) -> String {
    format!("{PRESENT} {}", ring.ids())
}

/// Opens the keys of a log, where the process has its master keys.
pub(super) async fn open_keys(
    connection: &mut PgConnection,
    ring: Ring,
) -> Result<LogKeys, OpenError> {
    let failed = |error| OpenError::unavailable("the keys of the log", error);
    // Out of one snapshot: a rotation that begins changes both.
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .map_err(failed)?;
    let rotations = rotations(&mut *transaction, 2).await.map_err(failed)?;
    let rows: Vec<KeyRow> = sqlx::query_as("SELECT name, wrapped FROM log_keys")
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    let in_force = in_force(&rotations)
        .map_err(|error| OpenError::unavailable("the master keys of the log", error))?;
    LogKeys::open(ring, &in_force, &rows)
}

/// Records the master key of a log that does not say which it is, and takes what it says then.
pub(super) async fn learn(
    connection: &mut PgConnection,
    ring: &Ring,
    rows: &[KeyRow],
) -> Result<(), OpenError> {
    let failed = |error| OpenError::unavailable("the master keys of the log", error);
    if rotations(&mut *connection, 1)
        .await
        .map_err(failed)?
        .is_empty()
    {
        let key = LogKeys::first_master(ring, rows)?;
        sqlx::query(
            "INSERT INTO master_keys (number, key_id, begun_at, begun_by, finished_at)
             VALUES (1, $1, now(), '', now())",
        )
        .bind(key.as_bytes())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    let rotations = rotations(&mut *connection, 2).await.map_err(failed)?;
    let in_force = in_force(&rotations)
        .map_err(|error| OpenError::unavailable("the master keys of the log", error))?;
    ring.open(&in_force)
}

/// Whether this process has the master keys that are in force, asked whenever it was away.
pub(super) async fn recheck<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    ring: &Ring,
) -> Result<(), sqlx::Error> {
    let rows = rotations(executor, 2).await?;
    let learnt =
        in_force(&rows).and_then(|in_force| ring.learn(&in_force).map_err(StoreError::from));
    if let Err(error) = learnt {
        tracing::error!(
            %error,
            "this process cannot read what is wrapped under the log's master key: start it again with that key"
        );
    }
    Ok(())
}

pub(super) async fn rotations<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    limit: u32,
) -> Result<Vec<RotationRow>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, key_id, begun_at, begun_by, finished_at
         FROM master_keys
         ORDER BY number DESC
         LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RotationRow {
                number: row.try_get::<i32, _>("number")?.cast_unsigned(),
                key: row.try_get("key_id")?,
                begun_at: row.try_get("begun_at")?,
                begun_by: row.try_get("begun_by")?,
                finished_at: row.try_get("finished_at")?,
            })
        })
        .collect()
}

pub(super) async fn wrapped_otherwise<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    than: KeyId,
    after: &StreamId,
    limit: u32,
) -> Result<Vec<(StreamId, Vec<u8>)>, sqlx::Error> {
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
        "SELECT aggregate_type, aggregate_id, wrapped
         FROM stream_keys
         WHERE (aggregate_type, aggregate_id) > ($1, $2)
           AND wrapped IS NOT NULL
           AND NOT (length(wrapped) = $3 AND substr(wrapped, 1, 8) = $4)
         ORDER BY aggregate_type, aggregate_id
         LIMIT $5",
    )
    .bind(&after.aggregate_type)
    .bind(&after.aggregate_id)
    .bind(wrapped_length())
    .bind(than.as_bytes())
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    let row = |(kind, id, wrapped): (String, String, _)| (StreamId::new(kind, id), wrapped);
    Ok(rows.into_iter().map(row).collect())
}

pub(super) async fn count_wrapped_otherwise<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    than: KeyId,
) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM (SELECT wrapped FROM stream_keys UNION ALL SELECT wrapped FROM log_keys) AS k
         WHERE wrapped IS NOT NULL AND NOT (length(wrapped) = $1 AND substr(wrapped, 1, 8) = $2)",
    )
    .bind(wrapped_length())
    .bind(than.as_bytes())
    .fetch_one(executor)
    .await?;
    Ok(count.cast_unsigned())
}

fn wrapped_length() -> i32 {
    i32::try_from(WRAPPED).unwrap_or(i32::MAX)
}

/// Takes a step in a transaction of its own.
pub(super) async fn take(
    connection: &mut PgConnection,
    step: &Step,
) -> Result<Stepped, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // With the log locked nobody is between reading a key and writing what rests on it.
    transaction.execute(LOCK).await?;
    let stepped = match step {
        Step::Begin { key, .. } => match lacking(&mut transaction, *key).await? {
            0 => Stepped::Changed(begin(&mut transaction, step).await?),
            processes => Stepped::UnknownElsewhere(processes),
        },
        Step::Rewrap(rewrapped) => {
            let (types, ids) = names(rewrapped.iter().map(|row| &row.stream));
            let old: Vec<&[u8]> = rewrapped.iter().map(|row| row.old.as_slice()).collect();
            let new: Vec<&[u8]> = rewrapped.iter().map(|row| row.new.as_slice()).collect();
            let changed = sqlx::query(
                "UPDATE stream_keys AS k
                 SET wrapped = q.new
                 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])
                     AS q (aggregate_type, aggregate_id, old, new)
                 WHERE k.aggregate_type = q.aggregate_type AND k.aggregate_id = q.aggregate_id
                   AND k.wrapped = q.old",
            )
            .bind(types)
            .bind(ids)
            .bind(old)
            .bind(new)
            .execute(&mut *transaction)
            .await?;
            Stepped::Changed(changed.rows_affected())
        }
        Step::Finish {
            number,
            finished_at,
        } => {
            let finished = sqlx::query(
                "UPDATE master_keys
                 SET finished_at = $2
                 WHERE number = $1 AND finished_at IS NULL",
            )
            .bind(number.cast_signed())
            .bind(finished_at)
            .execute(&mut *transaction)
            .await?;
            Stepped::Changed(finished.rows_affected())
        }
    };
    transaction.commit().await?;
    Ok(stepped)
}

/// How many processes on this database were not given the key.
async fn lacking(connection: &mut PgConnection, key: KeyId) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM pg_stat_activity
         WHERE datname = current_database()
           AND starts_with(application_name, $1)
           AND strpos(application_name, $2) = 0",
    )
    .bind(PRESENT)
    .bind(key.to_string())
    .fetch_one(connection)
    .await?;
    Ok(count.cast_unsigned())
}

async fn begin(connection: &mut PgConnection, step: &Step) -> Result<u64, sqlx::Error> {
    let Step::Begin {
        number,
        key,
        begun_at,
        begun_by,
        log_keys,
    } = step
    else {
        return Ok(0);
    };
    let begun = sqlx::query(
        "INSERT INTO master_keys (number, key_id, begun_at, begun_by)
         SELECT $1, $2, $3, $4
         WHERE (SELECT max(number) FROM master_keys WHERE finished_at IS NOT NULL) = $1 - 1
         ON CONFLICT DO NOTHING",
    )
    .bind(number.cast_signed())
    .bind(key.as_bytes())
    .bind(begun_at)
    .bind(begun_by)
    .execute(&mut *connection)
    .await?;
    if begun.rows_affected() == 1 {
        for (name, wrapped) in log_keys {
            sqlx::query("UPDATE log_keys SET wrapped = $2 WHERE name = $1")
                .bind(name)
                .bind(wrapped)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(begun.rows_affected())
}
