//! Every row beside the events, out of one snapshot of the file.

use rusqlite::{Connection, Row};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::backup::{BackupRow, Chunks, TableRow};
use crate::stream::StreamId;

/// A table: its rows, and how one is read.
type Table = (&'static str, fn(&Row<'_>) -> rusqlite::Result<TableRow>);

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
pub(super) fn send(
    connection: &Connection,
    to: mpsc::Sender<Vec<TableRow>>,
) -> rusqlite::Result<u64> {
    let transaction = connection.unchecked_transaction()?;
    let position = transaction.query_row("SELECT position FROM log_head", [], |row| row.get(0))?;
    let mut chunks = Chunks::new(to);
    for (query, read) in TABLES {
        let mut statement = transaction.prepare(query)?;
        for row in statement.query_map([], read)? {
            if let Some(chunk) = chunks.add(row?)
                && !chunks.send_blocking(chunk)
            {
                return Ok(position);
            }
        }
    }
    let rest = chunks.rest();
    // Whoever does not take it any more says why.
    let _ = chunks.send_blocking(rest);
    Ok(position)
}

fn stream(row: &Row<'_>) -> rusqlite::Result<StreamId> {
    Ok(StreamId {
        aggregate_type: row.get(0)?,
        aggregate_id: row.get(1)?,
    })
}

fn log_key(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    let key = BackupRow::LogKey {
        name: row.get(0)?,
        wrapped: row.get(1)?,
    };
    Ok((key, None))
}

fn stream_key(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    let key = BackupRow::StreamKey {
        stream: stream(row)?,
        wrapped: row.get(2)?,
    };
    Ok((key, None))
}

fn claim(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    let claim = BackupRow::Claim {
        account: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        owner: row.get(3)?,
    };
    Ok((claim, None))
}

fn request(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    let id: [u8; 16] = row.get(1)?;
    let request = BackupRow::Request {
        account: row.get(0)?,
        request: Uuid::from_bytes(id),
        digest: row.get(2)?,
        first: row.get(3)?,
        last: row.get(4)?,
        at: row.get(5)?,
        outcome: row.get(6)?,
    };
    Ok((request, None))
}

fn side(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    let side = BackupRow::Side {
        stream: stream(row)?,
        kind: row.get(2)?,
        value: row.get(3)?,
    };
    Ok((side, row.get(4)?))
}
