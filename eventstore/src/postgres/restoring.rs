//! A log made in a database: in one transaction, so that there is all of it or nothing.

use futures::FutureExt as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::migration::{grant, make_tables};
use super::reader::names;
use super::record::HeldColumns;
use super::{parse, unreachable};
use crate::backup::{BackupRow, End, Made, NewHome, Origin};
use crate::clock::{Timestamp, timestamp};
use crate::error::OpenError;
use crate::proof::{Growth, ProvableEvent};

/// Everything that an empty log may have.
const EMPTY: &str = "
DELETE FROM log_head;
DELETE FROM log_keys;
DELETE FROM log_archive;
DELETE FROM master_keys;
DELETE FROM account_heads;
DELETE FROM claims;
DELETE FROM requests;
DELETE FROM stream_keys;
DELETE FROM side_rows;
DELETE FROM tree_tiles";

struct PostgresNewHome {
    connection: PgConnection,
}

/// Begins to make a log in a database.
pub(crate) async fn new_home(
    owner_url: &str,
    application_role: Option<String>,
    origin: Origin,
) -> Result<Box<dyn NewHome>, OpenError> {
    let options: PgConnectOptions = parse(owner_url)?.application_name("rollbook restore");
    let mut connection = PgConnection::connect_with(&options)
        .await
        .map_err(unreachable)?;
    connection.execute("BEGIN").await.map_err(unreachable)?;
    make_tables(&mut connection).await?;
    must_be_empty(&mut connection).await?;
    begin(&mut connection, &origin).await.map_err(unreachable)?;
    if let Some(role) = &application_role {
        grant(&mut connection, role).await?;
    }
    Ok(Box::new(PostgresNewHome { connection }))
}

async fn must_be_empty(connection: &mut PgConnection) -> Result<(), OpenError> {
    let events: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM events")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreachable)?;
    if let Some(events) = events {
        return Err(OpenError::NotEmpty(events.cast_unsigned()));
    }
    // A service that has the empty log open would go on with its id and keys.
    let serving: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'rollbook%' AND pid <> pg_backend_pid()",
    )
    .fetch_one(connection)
    .await
    .map_err(unreachable)?;
    if serving > 0 {
        return Err(OpenError::Unsafe(
            "a service runs on the database: stop it first".to_owned(),
        ));
    }
    Ok(())
}

async fn begin(connection: &mut PgConnection, origin: &Origin) -> Result<(), sqlx::Error> {
    connection.execute(EMPTY).await?;
    sqlx::query(
        "INSERT INTO log_head (single, log_id, position, last_at)
         VALUES (true, $1, 0, to_timestamp(0))",
    )
    .bind(origin.log_id)
    .execute(&mut *connection)
    .await?;
    for (name, wrapped) in &origin.log_keys {
        sqlx::query("INSERT INTO log_keys (name, wrapped) VALUES ($1, $2)")
            .bind(name)
            .bind(wrapped)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "INSERT INTO master_keys (number, key_id, begun_at, begun_by, finished_at)
         VALUES (1, $1, now(), '', now())",
    )
    .bind(origin.master_key.as_bytes())
    .execute(&mut *connection)
    .await?;
    if let Some(archive) = &origin.archive {
        sqlx::query(
            "INSERT INTO log_archive (single, checkpoint, verifier_key) VALUES (true, $1, $2)",
        )
        .bind(&archive.checkpoint)
        .bind(&archive.verifier_key)
        .execute(connection)
        .await?;
    }
    Ok(())
}

impl PostgresNewHome {
    async fn add_events(&mut self, events: &[ProvableEvent]) -> Result<(), sqlx::Error> {
        let (types, ids) = names(events.iter().map(|event| &event.stream));
        let numbers = |part: fn(&ProvableEvent) -> u64| -> Vec<i64> {
            events
                .iter()
                .map(|event| part(event).cast_signed())
                .collect()
        };
        let times: Vec<_> = events.iter().map(|event| event.recorded_at).collect();
        let forgets: Vec<_> = events.iter().map(|event| event.forgets).collect();
        sqlx::query(
            "INSERT INTO events
                 (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                  commit_position, account_id, account_number, recorded_at, forgets)
             SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version,
                    e.payload::json, e.metadata::json, e.commit_position, e.account_id, e.account_number,
                    e.recorded_at, e.forgets
             FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::bigint[], $10::text[], $11::bigint[], $12::timestamptz[], $13::boolean[])
                 AS e (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                       commit_position, account_id, account_number, recorded_at, forgets)",
        )
        .bind(numbers(|event| event.position))
        .bind(types)
        .bind(ids)
        .bind(numbers(|event| event.revision))
        .bind(texts(events, |event| &event.event_type))
        .bind(texts(events, |event| &event.event_version))
        .bind(texts(events, |event| &event.payload))
        .bind(texts(events, |event| &event.metadata))
        .bind(numbers(|event| event.commit_position))
        .bind(texts(events, |event| &event.account_id))
        .bind(numbers(|event| event.account_number))
        .bind(times)
        .bind(forgets)
        .execute(&mut self.connection)
        .await
        .map(drop)
    }

    async fn add_rows(&mut self, rows: Vec<BackupRow>) -> Result<(), sqlx::Error> {
        let columns = Columns::of(rows);
        let connection = &mut self.connection;
        sqlx::query(
            "INSERT INTO log_keys (name, wrapped) SELECT * FROM unnest($1::text[], $2::bytea[])",
        )
        .bind(columns.log_keys.0)
        .bind(columns.log_keys.1)
        .execute(&mut *connection)
        .await?;
        let (types, ids, wrapped) = columns.keys;
        sqlx::query(
            "INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped)
             SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])",
        )
        .bind(types)
        .bind(ids)
        .bind(wrapped)
        .execute(&mut *connection)
        .await?;
        let HeldColumns {
            accounts,
            kinds,
            keys,
            owners,
        } = columns.claims;
        sqlx::query(
            "INSERT INTO claims (account_id, kind, key, owner)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])",
        )
        .bind(accounts)
        .bind(kinds)
        .bind(keys)
        .bind(owners)
        .execute(&mut *connection)
        .await?;
        columns.requests.add(connection).await?;
        let (types, ids, kinds, values) = columns.side;
        sqlx::query(
            "INSERT INTO side_rows (aggregate_type, aggregate_id, kind, value)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])",
        )
        .bind(types)
        .bind(ids)
        .bind(kinds)
        .bind(values)
        .execute(connection)
        .await
        .map(drop)
    }

    async fn add_growth(&mut self, growth: &Growth) -> Result<(), sqlx::Error> {
        let (levels, numbers): (Vec<_>, Vec<_>) = growth
            .tiles
            .keys()
            .map(|(level, number)| (i16::from(*level), number.cast_signed()))
            .unzip();
        let hashes: Vec<&[u8]> = growth.tiles.values().map(Vec::as_slice).collect();
        sqlx::query(
            "INSERT INTO tree_tiles (level, number, hashes)
             SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
             ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
        )
        .bind(levels)
        .bind(numbers)
        .bind(hashes)
        .execute(&mut self.connection)
        .await?;
        sqlx::query("UPDATE tree_head SET size = $1, root = $2")
            .bind(growth.to.size.cast_signed())
            .bind(growth.to.root.as_slice())
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    async fn end(&mut self, end: End) -> Result<(), sqlx::Error> {
        let (accounts, numbers): (Vec<_>, Vec<_>) = end
            .accounts
            .into_iter()
            .map(|(account, number)| (account, number.cast_signed()))
            .unzip();
        sqlx::query(
            "INSERT INTO account_heads (account_id, number) SELECT * FROM unnest($1::text[], $2::bigint[])",
        )
        .bind(accounts)
        .bind(numbers)
        .execute(&mut self.connection)
        .await?;
        sqlx::query("UPDATE log_head SET position = $1, last_at = $2")
            .bind(end.position.cast_signed())
            .bind(end.last_at)
            .execute(&mut self.connection)
            .await?;
        self.connection
            .execute(
                "INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped)
                 SELECT DISTINCT e.aggregate_type, e.aggregate_id, NULL::bytea
                 FROM events AS e
                 WHERE (e.forgets
                        OR strpos(e.payload::text, '\"$sealed\":') > 0
                        OR strpos(e.metadata::text, '\"$reason\":') > 0)
                   AND NOT EXISTS (
                       SELECT 1
                       FROM stream_keys AS k
                       WHERE k.aggregate_type = e.aggregate_type AND k.aggregate_id = e.aggregate_id)",
            )
            .await
            .map(drop)
    }
}

impl NewHome for PostgresNewHome {
    fn events(&mut self, events: Vec<ProvableEvent>) -> Made<'_, ()> {
        async move { self.add_events(&events).await.map_err(unreachable) }.boxed()
    }

    fn rows(&mut self, rows: Vec<BackupRow>) -> Made<'_, ()> {
        async move { self.add_rows(rows).await.map_err(unreachable) }.boxed()
    }

    fn grow(&mut self, growth: Growth) -> Made<'_, ()> {
        async move { self.add_growth(&growth).await.map_err(unreachable) }.boxed()
    }

    fn abandon<'a>(self: Box<Self>) -> Made<'a, ()> {
        // A transaction ends with its connection.
        async move { self.connection.close().await.map_err(unreachable) }.boxed()
    }

    fn finish<'a>(mut self: Box<Self>, end: End) -> Made<'a, ()> {
        async move {
            self.end(end).await.map_err(unreachable)?;
            self.connection
                .execute("COMMIT")
                .await
                .map_err(unreachable)?;
            // What is committed stays, however the connection ends.
            let _ = self.connection.close().await;
            Ok(())
        }
        .boxed()
    }
}

/// A text of each event as a column.
fn texts(events: &[ProvableEvent], part: fn(&ProvableEvent) -> &String) -> Vec<&str> {
    events.iter().map(|event| part(event).as_str()).collect()
}

/// Rows as columns.
#[derive(Default)]
struct Columns {
    log_keys: (Vec<String>, Vec<Vec<u8>>),
    keys: (Vec<String>, Vec<String>, Vec<Option<Vec<u8>>>),
    claims: HeldColumns,
    requests: Requests,
    side: (Vec<String>, Vec<String>, Vec<String>, Vec<Vec<u8>>),
}

impl Columns {
    fn of(rows: Vec<BackupRow>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.add(row);
        }
        columns
    }

    fn add(&mut self, row: BackupRow) {
        match row {
            BackupRow::LogKey { name, wrapped } => {
                self.log_keys.0.push(name);
                self.log_keys.1.push(wrapped);
            }
            BackupRow::StreamKey { stream, wrapped } => {
                self.keys.0.push(stream.aggregate_type);
                self.keys.1.push(stream.aggregate_id);
                self.keys.2.push(wrapped);
            }
            BackupRow::Claim {
                account,
                kind,
                key,
                owner,
            } => {
                self.claims.accounts.push(account);
                self.claims.kinds.push(kind);
                self.claims.keys.push(key);
                self.claims.owners.push(owner);
            }
            BackupRow::Request {
                account,
                request,
                digest,
                first,
                last,
                at,
                outcome,
            } => {
                self.requests.accounts.push(account);
                self.requests.ids.push(request);
                self.requests.digests.push(digest);
                self.requests.firsts.push(first.cast_signed());
                self.requests.lasts.push(last.cast_signed());
                self.requests.times.push(timestamp(at));
                self.requests.outcomes.push(outcome);
            }
            BackupRow::Side {
                stream,
                kind,
                value,
            } => {
                self.side.0.push(stream.aggregate_type);
                self.side.1.push(stream.aggregate_id);
                self.side.2.push(kind);
                self.side.3.push(value);
            }
        }
    }
}

#[derive(Default)]
struct Requests {
    accounts: Vec<String>,
    ids: Vec<Uuid>,
    digests: Vec<Vec<u8>>,
    firsts: Vec<i64>,
    lasts: Vec<i64>,
    times: Vec<Timestamp>,
    outcomes: Vec<Vec<u8>>,
}

impl Requests {
    async fn add(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO requests
                 (account_id, request_id, digest, first_position, last_position, recorded_at, outcome)
             SELECT * FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::bigint[], $5::bigint[], $6::timestamptz[],
                                  $7::bytea[])",
        )
        .bind(self.accounts)
        .bind(self.ids)
        .bind(self.digests)
        .bind(self.firsts)
        .bind(self.lasts)
        .bind(self.times)
        .bind(self.outcomes)
        .execute(connection)
        .await
        .map(drop)
    }
}
