//! Questions to the SQLite file, on connections that only read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Statement, params};
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use crate::append::Holders;
use crate::backup::TableRow;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::home::{Answer, Home, LogStatus, Stock};
use crate::judge::{KeyState, NAMED, RequestRow};
use crate::keys::{ClaimRow, KeyRow};
use crate::leadership::Leadership;
use crate::page::{self, Page, Parameter};
use crate::proof::{TileName, TreeHead};
use crate::ring::KeyId;
use crate::rotation::RotationRow;
use crate::stored::StoredEvent;
use crate::stream::StreamId;
use crate::tail::Tail;

use super::ledger::request_row;
use super::{SCHEMA_VERSION, rotating, time};

/// How many questions are answered at once.
const READERS: usize = 4;

const SELECT: &str = "
SELECT e.position, e.commit_position, e.account_id, e.account_number, e.aggregate_type, e.aggregate_id, e.sequence,
       e.event_type, e.event_version, e.recorded_at, e.forgets, e.payload, e.metadata, k.wrapped
FROM events e
LEFT JOIN stream_keys k ON k.aggregate_type = e.aggregate_type AND k.aggregate_id = e.aggregate_id";

pub(super) const KEY: &str = "
SELECT wrapped
FROM stream_keys
WHERE aggregate_type = ?1 AND aggregate_id = ?2";

/// The file's readers.
pub(super) struct SqliteHome {
    readers: Arc<Readers>,
    stock: SqlitePool,
    tail: Arc<Tail>,
}

struct Readers {
    free: Mutex<Vec<Connection>>,
    /// As many permits as there are connections.
    permits: Arc<Semaphore>,
}

impl SqliteHome {
    pub(super) fn open(file: &Path, tail: Arc<Tail>) -> rusqlite::Result<Self> {
        let free = (0..READERS)
            .map(|_| connect(file))
            .collect::<Result<_, _>>()?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "ON");
        Ok(Self {
            readers: Arc::new(Readers {
                free: Mutex::new(free),
                permits: Arc::new(Semaphore::new(READERS)),
            }),
            stock: SqlitePoolOptions::new()
                .max_connections(2)
                .connect_lazy_with(options),
            tail,
        })
    }

    /// Asks on a thread that may block, with a connection of its own.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'static, T> {
        let readers = self.readers.clone();
        async move {
            let permit = readers.permits.clone().acquire_owned().await;
            let permit = permit.map_err(|_| StoreError::Closed)?;
            let answer = tokio::task::spawn_blocking(move || {
                let taken = readers.lock().pop();
                let Some(connection) = taken else {
                    return Err(StoreError::Closed);
                };
                let answer = question(&connection);
                // A question that failed within a transaction must not keep it open.
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                readers.lock().push(connection);
                drop(permit);
                answer.map_err(StoreError::unavailable)
            });
            answer.await.map_err(StoreError::unavailable)?
        }
        .boxed()
    }
}

impl Readers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

impl Home for SqliteHome {
    fn head(&self) -> Answer<'_, u64> {
        ready(Ok(self.tail.head())).boxed()
    }

    /// One process has the directory, so nobody else could lead.
    fn lead(&self, _name: String) -> BoxFuture<'_, Leadership> {
        ready(Leadership::without_rivals()).boxed()
    }

    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, Vec<StoredEvent>> {
        let statement = page::Statement::page(SELECT, '?', page);
        self.ask(move |connection| {
            connection
                .prepare_cached(&statement.sql)?
                .query_map(rusqlite::params_from_iter(&statement.parameters), stored)?
                .collect()
        })
    }

    fn streams<'a>(&'a self, streams: &'a [(StreamId, u64)]) -> Answer<'a, Vec<Vec<StoredEvent>>> {
        let streams = streams.to_vec();
        self.ask(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(&format!(
                "{SELECT}
WHERE e.aggregate_type = ?1 AND e.aggregate_id = ?2 AND e.sequence > ?3
ORDER BY e.sequence"
            ))?;
            streams
                .iter()
                .map(|(stream, after)| {
                    let after = i64::try_from(*after).unwrap_or(i64::MAX);
                    statement
                        .query_map(
                            params![stream.aggregate_type, stream.aggregate_id, after],
                            stored,
                        )?
                        .collect()
                })
                .collect()
        })
    }

    fn keys<'a>(&'a self, streams: &'a [StreamId]) -> Answer<'a, Vec<KeyState>> {
        let streams = streams.to_vec();
        self.ask(move |connection| {
            let mut statement = connection.prepare_cached(KEY)?;
            streams
                .iter()
                .map(|stream| key_state(&mut statement, stream))
                .collect()
        })
    }

    fn holders<'a>(&'a self, claims: &'a [ClaimRow]) -> Answer<'a, Vec<Holders>> {
        let claims = claims.to_vec();
        self.ask(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            claims
                .iter()
                .map(|row| holders(&transaction, row))
                .collect()
        })
    }

    fn owners<'a>(&'a self, claims: &'a [ClaimRow], limit: u32) -> Answer<'a, Vec<Vec<String>>> {
        let claims = claims.to_vec();
        self.ask(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            claims
                .iter()
                .map(|row| owners(&transaction, row, limit))
                .collect()
        })
    }

    fn shared<'a>(&'a self, account_id: &'a str, kind: &'a str) -> Answer<'a, Holders> {
        let (account_id, kind) = (account_id.to_owned(), kind.to_owned());
        self.ask(move |connection| shared(connection, &account_id, &kind))
    }

    fn side_row<'a>(&'a self, stream: &'a StreamId, kind: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        let (stream, kind) = (stream.clone(), kind.to_owned());
        self.ask(move |connection| side_row(connection, &stream, &kind))
    }

    fn request<'a>(
        &'a self,
        account_id: &'a str,
        request_id: Uuid,
    ) -> Answer<'a, Option<RequestRow>> {
        let account_id = account_id.to_owned();
        self.ask(move |connection| request_row(connection, &account_id, request_id))
    }

    fn dates<'a>(&'a self, stream: &'a StreamId) -> Answer<'a, Vec<Timestamp>> {
        let stream = stream.clone();
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT recorded_at
                     FROM events
                     WHERE aggregate_type = ?1 AND aggregate_id = ?2
                     ORDER BY sequence",
                )?
                .query_map([stream.aggregate_type, stream.aggregate_id], |row| {
                    Ok(time(row.get(0)?))
                })?
                .collect()
        })
    }

    fn recorded_at(&self, position: u64) -> Answer<'_, Option<Timestamp>> {
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT recorded_at FROM events WHERE position = ?1")?
                .query_row([position], |row| Ok(time(row.get(0)?)))
                .optional()
        })
    }

    fn status(&self) -> Answer<'_, LogStatus> {
        self.ask(|connection| {
            connection.query_row(
                "SELECT position, last_at, (SELECT count(*) FROM account_heads) FROM log_head",
                [],
                |row| {
                    let head = row.get(0)?;
                    let last_at = row.get(1)?;
                    Ok(LogStatus {
                        home: "sqlite",
                        schema_version: SCHEMA_VERSION,
                        head,
                        accounts: row.get(2)?,
                        last_recorded_at: (head > 0).then(|| time(last_at)),
                    })
                },
            )
        })
    }

    fn tree(&self) -> Answer<'_, TreeHead> {
        self.ask(|connection| {
            connection
                .prepare_cached("SELECT size, root FROM tree_head")?
                .query_row([], |row| {
                    Ok(TreeHead {
                        size: row.get(0)?,
                        root: row.get(1)?,
                    })
                })
        })
    }

    fn tiles<'a>(&'a self, names: &'a [TileName]) -> Answer<'a, BTreeMap<TileName, Vec<u8>>> {
        let names = names.to_vec();
        self.ask(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction
                .prepare_cached("SELECT hashes FROM tree_tiles WHERE level = ?1 AND number = ?2")?;
            let mut tiles = BTreeMap::new();
            for name in names {
                if let Some(hashes) = statement.query_row(name, |row| row.get(0)).optional()? {
                    tiles.insert(name, hashes);
                }
            }
            Ok(tiles)
        })
    }

    fn rows(&self, to: mpsc::Sender<Vec<TableRow>>) -> Answer<'_, u64> {
        self.ask(move |connection| super::rows::send(connection, to))
    }

    fn rotations(&self, limit: u32) -> Answer<'_, Vec<RotationRow>> {
        self.ask(move |connection| rotating::rotations(connection, limit))
    }

    fn log_keys(&self) -> Answer<'_, Vec<KeyRow>> {
        self.ask(super::key_rows)
    }

    fn wrapped_otherwise<'a>(
        &'a self,
        than: KeyId,
        after: &'a StreamId,
        limit: u32,
    ) -> Answer<'a, Vec<(StreamId, Vec<u8>)>> {
        let after = after.clone();
        self.ask(move |connection| rotating::wrapped_otherwise(connection, than, &after, limit))
    }

    fn count_wrapped_otherwise(&self, than: KeyId) -> Answer<'_, u64> {
        self.ask(move |connection| rotating::count_wrapped_otherwise(connection, than))
    }

    fn stock(&self) -> Stock {
        Stock::Sqlite(SqliteEventRepository::new(self.stock.clone()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.stock.close().await;
            self.readers.permits.close();
            self.readers.lock().clear();
        }
        .boxed()
    }
}

impl ToSql for Parameter {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        position: row.get(0)?,
        commit_position: row.get(1)?,
        account_id: row.get(2)?,
        account_number: row.get(3)?,
        stream: StreamId {
            aggregate_type: row.get(4)?,
            aggregate_id: row.get(5)?,
        },
        revision: row.get(6)?,
        event_type: row.get(7)?,
        event_version: row.get(8)?,
        recorded_at: time(row.get(9)?),
        forgets: row.get(10)?,
        payload: row.get(11)?,
        metadata: row.get(12)?,
        wrapped: row.get(13)?,
    })
}

pub(super) fn key_state(
    statement: &mut Statement<'_>,
    stream: &StreamId,
) -> rusqlite::Result<KeyState> {
    let found = statement
        .query_row([&stream.aggregate_type, &stream.aggregate_id], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(match found {
        None => KeyState::Absent,
        Some(None) => KeyState::Destroyed,
        Some(Some(wrapped)) => KeyState::Present(wrapped),
    })
}

fn owners(connection: &Connection, row: &ClaimRow, limit: u32) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT owner
             FROM claims
             WHERE account_id = ?1 AND kind = ?2 AND key = ?3
             ORDER BY owner
             LIMIT ?4",
        )?
        .query_map(params![row.account_id, row.kind, row.key, limit], |row| {
            row.get(0)
        })?
        .collect()
}

pub(super) fn holders(connection: &Connection, row: &ClaimRow) -> rusqlite::Result<Holders> {
    let claim = [&row.account_id, &row.kind, &row.key];
    let owners = owners(connection, row, u32::try_from(NAMED).unwrap_or(u32::MAX))?;
    let count = if owners.len() < NAMED {
        owners.len() as u64
    } else {
        connection
            .prepare_cached(
                "SELECT count(*)
                 FROM claims
                 WHERE account_id = ?1 AND kind = ?2 AND key = ?3",
            )?
            .query_row(claim, |row| row.get(0))?
    };
    Ok(Holders { count, owners })
}

/// The value of a side row.
pub(super) fn side_row(
    connection: &Connection,
    stream: &StreamId,
    kind: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached(
            "SELECT value
             FROM side_rows
             WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND kind = ?3",
        )?
        .query_row(
            [&stream.aggregate_type, &stream.aggregate_id, kind],
            |row| row.get(0),
        )
        .optional()
}

pub(super) fn shared(
    connection: &Connection,
    account_id: &str,
    kind: &str,
) -> rusqlite::Result<Holders> {
    let owners: Vec<String> = connection
        .prepare_cached(
            "SELECT DISTINCT owner
             FROM claims
             WHERE account_id = ?1 AND kind = ?2 AND key IN
                 (SELECT key
                  FROM claims
                  WHERE account_id = ?1 AND kind = ?2
                  GROUP BY key
                  HAVING count(*) > 1)
             ORDER BY owner",
        )?
        .query_map([account_id, kind], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Holders {
        count: owners.len() as u64,
        owners: owners.into_iter().take(NAMED).collect(),
    })
}
