//! Every row beside the events, out of one snapshot of the database.

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::{Executor as _, PgPool, Row as _};
use tokio::sync::mpsc;

use crate::backup::{BackupRow, Chunks, TableRow};
use crate::stream::StreamId;

/// A table: its rows, and how one is read.
type Table = (&'static str, fn(&PgRow) -> Result<TableRow, sqlx::Error>);

/// Keys come first: what follows is sealed with them.
const TABLES: [Table; 5] = [
    ("SELECT name, wrapped FROM log_keys ORDER BY name", log_key),
    (
        "SELECT aggregate_type, aggregate_id, wrapped FROM stream_keys ORDER BY aggregate_type, aggregate_id",
        stream_key,
    ),
    (
        "SELECT account_id, kind, key, owner FROM claims ORDER BY account_id, kind, key, owner",
        claim,
    ),
    (
        "SELECT account_id, request_id, digest, first_position, last_position, recorded_at, outcome
         FROM requests
         ORDER BY account_id, request_id",
        request,
    ),
    (
        "SELECT s.aggregate_type, s.aggregate_id, s.kind, s.value, k.wrapped
         FROM side_rows AS s
         LEFT JOIN stream_keys AS k ON k.aggregate_type = s.aggregate_type AND k.aggregate_id = s.aggregate_id
         ORDER BY s.aggregate_type, s.aggregate_id, s.kind",
        side,
    ),
];

/// Sends them; answers the last position in the snapshot.
pub(super) async fn send(
    pool: &PgPool,
    to: mpsc::Sender<Vec<TableRow>>,
) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    transaction
        .execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    let position: i64 = sqlx::query_scalar("SELECT position FROM log_head")
        .fetch_one(&mut *transaction)
        .await?;
    let position = position.cast_unsigned();
    let mut chunks = Chunks::new(to);
    for (query, read) in TABLES {
        let mut rows = sqlx::query(query).fetch(&mut *transaction);
        while let Some(row) = rows.next().await {
            if let Some(chunk) = chunks.add(read(&row?)?)
                && !chunks.send(chunk).await
            {
                return Ok(position);
            }
        }
    }
    let rest = chunks.rest();
    // Whoever does not take it any more says why.
    let _ = chunks.send(rest).await;
    transaction.rollback().await?;
    Ok(position)
}

fn stream(row: &PgRow) -> Result<StreamId, sqlx::Error> {
    Ok(StreamId {
        aggregate_type: row.try_get(0)?,
        aggregate_id: row.try_get(1)?,
    })
}

fn log_key(row: &PgRow) -> Result<TableRow, sqlx::Error> {
    let key = BackupRow::LogKey {
        name: row.try_get(0)?,
        wrapped: row.try_get(1)?,
    };
    Ok((key, None))
}

fn stream_key(row: &PgRow) -> Result<TableRow, sqlx::Error> {
    let key = BackupRow::StreamKey {
        stream: stream(row)?,
        wrapped: row.try_get(2)?,
    };
    Ok((key, None))
}

fn claim(row: &PgRow) -> Result<TableRow, sqlx::Error> {
    let claim = BackupRow::Claim {
        account: row.try_get(0)?,
        kind: row.try_get(1)?,
        key: row.try_get(2)?,
        owner: row.try_get(3)?,
    };
    Ok((claim, None))
}

fn request(row: &PgRow) -> Result<TableRow, sqlx::Error> {
    let request = BackupRow::Request {
        account: row.try_get(0)?,
        request: row.try_get(1)?,
        digest: row.try_get(2)?,
        first: row.try_get::<i64, _>(3)?.cast_unsigned(),
        last: row.try_get::<i64, _>(4)?.cast_unsigned(),
        at: row.try_get::<DateTime<Utc>, _>(5)?.timestamp_micros(),
        outcome: row.try_get(6)?,
    };
    Ok((request, None))
}

fn side(row: &PgRow) -> Result<TableRow, sqlx::Error> {
    let side = BackupRow::Side {
        stream: stream(row)?,
        kind: row.try_get(2)?,
        value: row.try_get(3)?,
    };
    Ok((side, row.try_get(4)?))
}
