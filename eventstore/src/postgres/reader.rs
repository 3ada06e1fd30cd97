//! Questions to the database, on connections that only read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use postgres_es::PostgresEventRepository;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{PgPool, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::append::{Holders, Repeated};
use crate::backup::TableRow;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::home::{Answer, Home, LogStatus, Stock};
use crate::judge::{KeyState, NAMED, RequestRow};
use crate::keys::{ClaimRow, KeyRow};
use crate::leadership::Leadership;
use crate::page::{Page, Parameter, Statement};
use crate::proof::{TileName, TreeHead};
use crate::ring::KeyId;
use crate::rotation::RotationRow;
use crate::stored::StoredEvent;
use crate::stream::StreamId;
use crate::tail::Tail;

use super::leading;
use super::migration::SCHEMA_VERSION;
use super::news::{self, HeadAnswer, Present};
use super::rotating;

/// The most questions for the head that wait.
pub(super) const HEADS: usize = 4_096;

/// Without the keys, which few events of a page need.
const SELECT: &str = "
SELECT e.position, e.commit_position, e.account_id, e.account_number, e.aggregate_type, e.aggregate_id, e.sequence,
       e.event_type, e.event_version, e.recorded_at, e.forgets, e.payload::text, e.metadata::text
FROM events AS e";

const SELECT_STREAMS: &str = "
SELECT e.position, e.commit_position, e.account_id, e.account_number, e.aggregate_type, e.aggregate_id, e.sequence,
       e.event_type, e.event_version, e.recorded_at, e.forgets, e.payload::text, e.metadata::text, k.wrapped, q.place
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS q (aggregate_type, aggregate_id, after, place)
JOIN events AS e
  ON e.aggregate_type = q.aggregate_type AND e.aggregate_id = q.aggregate_id AND e.sequence > q.after
LEFT JOIN stream_keys AS k ON k.aggregate_type = e.aggregate_type AND k.aggregate_id = e.aggregate_id
ORDER BY q.place, e.sequence";

/// The database's readers.
pub(super) struct PostgresHome {
    options: PgConnectOptions,
    pool: PgPool,
    heads: mpsc::Sender<HeadAnswer>,
    tasks: [JoinHandle<()>; 2],
}

impl PostgresHome {
    /// One that hears of every commit but those that are told in the name of `own`: their writer tells the tail itself.
    pub(super) fn new(
        pool: PgPool,
        options: &PgConnectOptions,
        tail: Arc<Tail>,
        own: Uuid,
        present: Present,
    ) -> Self {
        let (heads, questions) = mpsc::channel(HEADS);
        let tasks = [
            tokio::spawn(news::answer_heads(options.clone(), questions, tail.clone())),
            tokio::spawn(news::listen(
                options.clone(),
                heads.clone(),
                tail,
                own,
                present,
            )),
        ];
        Self {
            options: options.clone(),
            pool,
            heads,
            tasks,
        }
    }

    /// The keys that streams have or had, with the place of the stream, from 1.
    async fn wrapped(
        &self,
        streams: impl Iterator<Item = &StreamId>,
    ) -> Result<Vec<(i64, Option<Vec<u8>>)>, sqlx::Error> {
        let (types, ids) = names(streams);
        sqlx::query_as(
            "SELECT q.place, k.wrapped
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (aggregate_type, aggregate_id, place)
             JOIN stream_keys AS k ON k.aggregate_type = q.aggregate_type AND k.aggregate_id = q.aggregate_id",
        )
        .bind(types)
        .bind(ids)
        .fetch_all(&self.pool)
        .await
    }

    /// Adds the keys of those events that have something to open. A key that is destroyed meanwhile is not there any more,
    /// which is what a reader is to see.
    async fn add_keys(&self, events: &mut [StoredEvent]) -> Result<(), sqlx::Error> {
        let sealed = events.iter().filter(|event| event.may_be_sealed());
        let streams: Vec<StreamId> = sealed
            .map(|event| event.stream.clone())
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        if streams.is_empty() {
            return Ok(());
        }
        let found = self.wrapped(streams.iter()).await?.into_iter();
        let keys: HashMap<&StreamId, Vec<u8>> = found
            .filter_map(|(place, wrapped)| Some((&streams[place_index(place)], wrapped?)))
            .collect();
        for event in events.iter_mut().filter(|event| event.may_be_sealed()) {
            event.wrapped = keys.get(&event.stream).cloned();
        }
        Ok(())
    }
}

impl Drop for PostgresHome {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Home for PostgresHome {
    fn head(&self) -> Answer<'_, u64> {
        async {
            let (answer, head) = oneshot::channel();
            let asked = self.heads.send(answer).await;
            asked.map_err(|_| StoreError::Closed)?;
            head.await.map_err(|_| StoreError::Closed)?
        }
        .boxed()
    }

    fn lead(&self, name: String) -> BoxFuture<'_, Leadership> {
        leading::lead(self.options.clone(), name).boxed()
    }

    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, Vec<StoredEvent>> {
        async move {
            let statement = Statement::page(SELECT, '$', page);
            let mut query = sqlx::query(&statement.sql);
            for parameter in statement.parameters {
                query = match parameter {
                    Parameter::Number(number) => query.bind(number),
                    Parameter::Text(text) => query.bind(text),
                };
            }
            let rows = query.fetch_all(&self.pool).await?;
            let mut events: Vec<_> = rows
                .iter()
                .map(|row| stored(row, None))
                .collect::<Result<_, _>>()?;
            self.add_keys(&mut events).await?;
            Ok(events)
        }
        .map(unavailable)
        .boxed()
    }

    fn streams<'a>(&'a self, streams: &'a [(StreamId, u64)]) -> Answer<'a, Vec<Vec<StoredEvent>>> {
        async move {
            let after = streams
                .iter()
                .map(|(_, after)| i64::try_from(*after).unwrap_or(i64::MAX));
            let (types, ids) = names(streams.iter().map(|(stream, _)| stream));
            let rows = sqlx::query(SELECT_STREAMS)
                .bind(types)
                .bind(ids)
                .bind(after.collect::<Vec<_>>())
                .fetch_all(&self.pool)
                .await?;
            let mut result = vec![Vec::new(); streams.len()];
            for row in &rows {
                let place: i64 = row.try_get("place")?;
                result[place_index(place)].push(stored(row, row.try_get(13)?)?);
            }
            Ok(result)
        }
        .map(unavailable)
        .boxed()
    }

    fn keys<'a>(&'a self, streams: &'a [StreamId]) -> Answer<'a, Vec<KeyState>> {
        async move {
            let mut states = vec![KeyState::Absent; streams.len()];
            for (place, wrapped) in self.wrapped(streams.iter()).await? {
                states[place_index(place)] = wrapped.map_or(KeyState::Destroyed, KeyState::Present);
            }
            Ok(states)
        }
        .map(unavailable)
        .boxed()
    }

    fn holders<'a>(&'a self, claims: &'a [ClaimRow]) -> Answer<'a, Vec<Holders>> {
        async move {
            let rows: Vec<(i64, Option<Vec<String>>)> = sqlx::query_as(
                "SELECT c.count, c.owners
                 FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS q (account_id, kind, key, place)
                 CROSS JOIN LATERAL (
                     SELECT count(*) AS count, (array_agg(owner ORDER BY owner))[1:100] AS owners
                     FROM claims
                     WHERE account_id = q.account_id AND kind = q.kind AND key = q.key) AS c
                 ORDER BY q.place",
            )
            .bind(column(claims, |row| &row.account_id))
            .bind(column(claims, |row| &row.kind))
            .bind(column(claims, |row| &row.key))
            .fetch_all(&self.pool)
            .await?;
            Ok(rows
                .into_iter()
                .map(|(count, owners)| Holders {
                    count: count.cast_unsigned(),
                    owners: owners.unwrap_or_default(),
                })
                .collect())
        }
        .map(unavailable)
        .boxed()
    }

    fn owners<'a>(&'a self, claims: &'a [ClaimRow], limit: u32) -> Answer<'a, Vec<Vec<String>>> {
        async move {
            let rows: Vec<Option<Vec<String>>> = sqlx::query_scalar(
                "SELECT c.owners
                 FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS q (account_id, kind, key, place)
                 CROSS JOIN LATERAL (
                     SELECT array_agg(owner ORDER BY owner) AS owners
                     FROM (
                         SELECT owner
                         FROM claims
                         WHERE account_id = q.account_id AND kind = q.kind AND key = q.key
                         ORDER BY owner
                         LIMIT $4) AS first) AS c
                 ORDER BY q.place",
            )
            .bind(column(claims, |row| &row.account_id))
            .bind(column(claims, |row| &row.kind))
            .bind(column(claims, |row| &row.key))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
            Ok(rows.into_iter().map(Option::unwrap_or_default).collect())
        }
        .map(unavailable)
        .boxed()
    }

    fn shared<'a>(&'a self, account_id: &'a str, kind: &'a str) -> Answer<'a, Holders> {
        shared(&self.pool, account_id, kind)
            .map(unavailable)
            .boxed()
    }

    fn side_row<'a>(&'a self, stream: &'a StreamId, kind: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        sqlx::query_scalar(
            "SELECT value
             FROM side_rows
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND kind = $3",
        )
        .bind(&stream.aggregate_type)
        .bind(&stream.aggregate_id)
        .bind(kind)
        .fetch_optional(&self.pool)
        .map(unavailable)
        .boxed()
    }

    fn request<'a>(
        &'a self,
        account_id: &'a str,
        request_id: Uuid,
    ) -> Answer<'a, Option<RequestRow>> {
        async move {
            let row = sqlx::query(
                "SELECT digest, first_position, last_position, recorded_at, outcome
                 FROM requests
                 WHERE account_id = $1 AND request_id = $2",
            )
            .bind(account_id)
            .bind(request_id)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| request_row(&row)).transpose()
        }
        .map(unavailable)
        .boxed()
    }

    fn dates<'a>(&'a self, stream: &'a StreamId) -> Answer<'a, Vec<Timestamp>> {
        sqlx::query_scalar(
            "SELECT recorded_at
             FROM events
             WHERE aggregate_type = $1 AND aggregate_id = $2
             ORDER BY sequence",
        )
        .bind(&stream.aggregate_type)
        .bind(&stream.aggregate_id)
        .fetch_all(&self.pool)
        .map(unavailable)
        .boxed()
    }

    fn recorded_at(&self, position: u64) -> Answer<'_, Option<Timestamp>> {
        sqlx::query_scalar("SELECT recorded_at FROM events WHERE position = $1")
            .bind(position.cast_signed())
            .fetch_optional(&self.pool)
            .map(unavailable)
            .boxed()
    }

    fn status(&self) -> Answer<'_, LogStatus> {
        async {
            let (head, last_at, accounts): (i64, Timestamp, i64) = sqlx::query_as(
                "SELECT position, last_at, (SELECT count(*) FROM account_heads) FROM log_head",
            )
            .fetch_one(&self.pool)
            .await?;
            Ok(LogStatus {
                home: "postgresql",
                schema_version: SCHEMA_VERSION,
                head: head.cast_unsigned(),
                accounts: accounts.cast_unsigned(),
                last_recorded_at: (head > 0).then_some(last_at),
            })
        }
        .map(unavailable)
        .boxed()
    }

    fn tree(&self) -> Answer<'_, TreeHead> {
        async {
            let (size, root): (i64, Vec<u8>) = sqlx::query_as("SELECT size, root FROM tree_head")
                .fetch_one(&self.pool)
                .await?;
            let root = root
                .try_into()
                .map_err(|_| sqlx::Error::Decode("the root of the tree is no hash".into()))?;
            Ok(TreeHead {
                size: size.cast_unsigned(),
                root,
            })
        }
        .map(unavailable)
        .boxed()
    }

    fn tiles<'a>(&'a self, names: &'a [TileName]) -> Answer<'a, BTreeMap<TileName, Vec<u8>>> {
        async move {
            let (levels, numbers): (Vec<_>, Vec<_>) = names
                .iter()
                .map(|(level, number)| (i16::from(*level), number.cast_signed()))
                .unzip();
            let rows: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(
                "SELECT t.level, t.number, t.hashes
                 FROM unnest($1::smallint[], $2::bigint[]) AS q (level, number)
                 JOIN tree_tiles AS t ON t.level = q.level AND t.number = q.number",
            )
            .bind(levels)
            .bind(numbers)
            .fetch_all(&self.pool)
            .await?;
            let name = |level: i16, number: i64| {
                let level = u8::try_from(level).unwrap_or(u8::MAX);
                (level, number.cast_unsigned())
            };
            let tiles = rows.into_iter();
            Ok(tiles
                .map(|(level, number, hashes)| (name(level, number), hashes))
                .collect())
        }
        .map(unavailable)
        .boxed()
    }

    fn rows(&self, to: mpsc::Sender<Vec<TableRow>>) -> Answer<'_, u64> {
        super::rows::send(&self.pool, to).map(unavailable).boxed()
    }

    fn rotations(&self, limit: u32) -> Answer<'_, Vec<RotationRow>> {
        rotating::rotations(&self.pool, limit)
            .map(unavailable)
            .boxed()
    }

    fn log_keys(&self) -> Answer<'_, Vec<KeyRow>> {
        sqlx::query_as("SELECT name, wrapped FROM log_keys")
            .fetch_all(&self.pool)
            .map(unavailable)
            .boxed()
    }

    fn wrapped_otherwise<'a>(
        &'a self,
        than: KeyId,
        after: &'a StreamId,
        limit: u32,
    ) -> Answer<'a, Vec<(StreamId, Vec<u8>)>> {
        rotating::wrapped_otherwise(&self.pool, than, after, limit)
            .map(unavailable)
            .boxed()
    }

    fn count_wrapped_otherwise(&self, than: KeyId) -> Answer<'_, u64> {
        rotating::count_wrapped_otherwise(&self.pool, than)
            .map(unavailable)
            .boxed()
    }

    fn stock(&self) -> Stock {
        Stock::Postgres(PostgresEventRepository::new(self.pool.clone()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.tasks.iter().for_each(JoinHandle::abort);
            self.pool.close().await;
        }
        .boxed()
    }
}

/// Who shares a key of a kind of claims; on any connection, so that the writer can ask in its transaction.
pub(super) async fn shared(
    database: impl sqlx::PgExecutor<'_>,
    account_id: &str,
    kind: &str,
) -> Result<Holders, sqlx::Error> {
    let owners: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT owner
         FROM claims
         WHERE account_id = $1 AND kind = $2 AND key IN
             (SELECT key
              FROM claims
              WHERE account_id = $1 AND kind = $2
              GROUP BY key
              HAVING count(*) > 1)
         ORDER BY owner",
    )
    .bind(account_id)
    .bind(kind)
    .fetch_all(database)
    .await?;
    Ok(Holders {
        count: owners.len() as u64,
        owners: owners.into_iter().take(NAMED).collect(),
    })
}

fn stored(row: &PgRow, wrapped: Option<Vec<u8>>) -> Result<StoredEvent, sqlx::Error> {
    let number = |index: usize| row.try_get::<i64, _>(index).map(i64::cast_unsigned);
    Ok(StoredEvent {
        position: number(0)?,
        commit_position: number(1)?,
        account_id: row.try_get(2)?,
        account_number: number(3)?,
        stream: StreamId {
            aggregate_type: row.try_get(4)?,
            aggregate_id: row.try_get(5)?,
        },
        revision: number(6)?,
        event_type: row.try_get(7)?,
        event_version: row.try_get(8)?,
        recorded_at: row.try_get(9)?,
        forgets: row.try_get(10)?,
        payload: row.try_get(11)?,
        metadata: row.try_get(12)?,
        wrapped,
    })
}

/// One part of each claim.
fn column(claims: &[ClaimRow], part: fn(&ClaimRow) -> &String) -> Vec<String> {
    claims.iter().map(part).cloned().collect()
}

/// The names of streams as two columns.
pub(super) fn names<'a>(streams: impl Iterator<Item = &'a StreamId>) -> (Vec<String>, Vec<String>) {
    streams
        .map(|stream| (stream.aggregate_type.clone(), stream.aggregate_id.clone()))
        .unzip()
}

/// Where in a list an `ORDINALITY` points, which counts from 1.
pub(super) fn place_index(place: i64) -> usize {
    usize::try_from(place - 1).unwrap_or(0)
}

fn request_row(row: &PgRow) -> Result<RequestRow, sqlx::Error> {
    Ok(RequestRow {
        digest: row.try_get("digest")?,
        repeated: Repeated {
            first_position: row.try_get::<i64, _>("first_position")?.cast_unsigned(),
            last_position: row.try_get::<i64, _>("last_position")?.cast_unsigned(),
            recorded_at: row.try_get("recorded_at")?,
            outcome: row.try_get("outcome")?,
        },
    })
}

fn unavailable<T>(answer: Result<T, sqlx::Error>) -> Result<T, StoreError> {
    answer.map_err(StoreError::unavailable)
}
