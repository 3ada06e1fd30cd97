//! The database as the writer sees it: four round trips a batch.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::error::Cause;
use crate::judge::{Facts, Questions, REMEMBERED, Writes};
use crate::prepared::Prepared;
use crate::proof::Growth;
use crate::rotation::{Step, Stepped};
use crate::writer::{Ledger, Trouble};

use super::look::{answer, questions};
use super::reader::shared;
use super::record::Columns;
use super::rotating;

const LOCK: &str = "BEGIN; SELECT FROM log_head FOR UPDATE";

/// How long one round trip may take before the connection is given up.
const ROUND_TRIP: Duration = Duration::from_secs(30);
/// How long the fate of a commit is looked for.
const PATIENCE: Duration = Duration::from_secs(20);
const PRUNE_EVERY: TimeDelta = TimeDelta::minutes(10);

/// Plans that look up rows by their keys, made once; a process that hangs in a transaction must not hold the others up.
const SETTINGS: [(&str, &str); 9] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_material", "off"),
    ("jit", "off"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "15s"),
];

pub(super) struct PostgresLedger {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    clock: Clock,
    teller: Uuid,
    pruned_at: Option<Timestamp>,
}

/// How far a transaction got.
enum Failure {
    /// Not to its commit.
    Before(sqlx::Error),
    /// To its commit, whose answer was lost; this is the transaction's id.
    InCommit(sqlx::Error, String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Before(error)
    }
}

impl PostgresLedger {
    /// One that tells of its commits in the name of `teller`.
    pub(super) fn new(options: PgConnectOptions, clock: Clock, teller: Uuid) -> Self {
        Self {
            options: options
                .application_name("rollbook writer")
                .options(SETTINGS),
            connection: None,
            clock,
            teller,
            pruned_at: None,
        }
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(timely(PgConnection::connect_with(&self.options)).await?);
        }
        self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    async fn look_now(&mut self, asked: &Questions) -> Result<Facts, sqlx::Error> {
        let offset = self.clock.offset_micros();
        let connection = self.connection().await?;
        timely(connection.execute(LOCK)).await?;
        let rows = timely(questions(asked, offset).fetch_all(&mut *connection)).await?;
        let mut facts = Facts::default();
        for row in &rows {
            answer(row, asked, &mut facts)?;
        }
        for (account_id, kind) in &asked.shared {
            let holders = timely(shared(&mut *connection, account_id, kind)).await?;
            facts
                .shared
                .insert((account_id.clone(), kind.clone()), holders);
        }
        Ok(facts)
    }

    async fn record_now(&mut self, batch: &[&Prepared], writes: &Writes) -> Result<(), Failure> {
        let due = |at| writes.recorded_at >= at + PRUNE_EVERY;
        let prune = !writes.requests.is_empty() && self.pruned_at.is_none_or(due);
        let teller = self.teller;
        let connection = self.connection().await?;
        let row = timely(
            Columns::of(batch, writes)
                .statement(writes, teller)
                .fetch_one(&mut *connection),
        );
        let transaction: String = row.await?.try_get("transaction")?;
        if prune {
            timely(
                sqlx::query(
                    "DELETE FROM requests
                     WHERE (account_id, request_id) IN
                         (SELECT account_id, request_id FROM requests WHERE recorded_at < $1 LIMIT 5000)",
                )
                .bind(writes.recorded_at - REMEMBERED)
                .execute(&mut *connection),
            )
            .await?;
        }
        match timely(connection.execute("COMMIT")).await {
            Ok(_) => {}
            Err(error) if is_lost(&error) => return Err(Failure::InCommit(error, transaction)),
            Err(error) => return Err(error.into()),
        }
        if prune {
            self.pruned_at = Some(writes.recorded_at);
        }
        Ok(())
    }

    async fn grow_now(&mut self, growth: &Growth) -> Result<bool, sqlx::Error> {
        let names = growth.tiles.keys();
        let (levels, numbers): (Vec<_>, Vec<_>) = names
            .map(|(level, number)| (i16::from(*level), number.cast_signed()))
            .unzip();
        let hashes: Vec<&[u8]> = growth.tiles.values().map(Vec::as_slice).collect();
        let query = sqlx::query(
            "WITH moved AS (
                 UPDATE tree_head
                 SET size = $2, root = $3
                 WHERE size = $1
                 RETURNING size
             )
             INSERT INTO tree_tiles (level, number, hashes)
             SELECT t.level, t.number, t.hashes
             FROM moved, unnest($4::smallint[], $5::bigint[], $6::bytea[]) AS t (level, number, hashes)
             ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
        )
        .bind(growth.from.cast_signed())
        .bind(growth.to.size.cast_signed())
        .bind(growth.to.root.as_slice())
        .bind(levels)
        .bind(numbers)
        .bind(hashes);
        let connection = self.connection().await?;
        Ok(timely(query.execute(connection)).await?.rows_affected() > 0)
    }

    /// Ends what is open after an error that the server reported, or drops a connection that is gone.
    async fn trouble(&mut self, error: sqlx::Error) -> Trouble {
        let lost = is_lost(&error) || self.connection.is_none();
        let cause: Cause = Arc::new(error);
        if lost {
            self.connection = None;
            return Trouble::Lost(cause);
        }
        self.roll_back().await;
        Trouble::Refused(cause)
    }

    async fn roll_back(&mut self) {
        if let Some(connection) = self.connection.as_mut()
            && timely(connection.execute("ROLLBACK")).await.is_err()
        {
            self.connection = None;
        }
    }

    /// Finds out whether a transaction was committed whose answer was lost.
    async fn fate(
        &mut self,
        error: sqlx::Error,
        transaction: &str,
        batch: &[&Prepared],
        writes: &Writes,
    ) -> Result<(), Trouble> {
        let cause: Cause = Arc::new(error);
        tracing::warn!(%cause, "the database was lost in a commit, its fate is looked up");
        let start = Instant::now();
        loop {
            self.connection = None;
            match self.committed(transaction, batch, writes).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Trouble::Lost(cause)),
                Err(error) if start.elapsed() >= PATIENCE => {
                    self.connection = None;
                    return Err(Trouble::Unknown(Arc::new(error)));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn committed(
        &mut self,
        transaction: &str,
        batch: &[&Prepared],
        writes: &Writes,
    ) -> Result<bool, sqlx::Error> {
        let connection = self.connection().await?;
        // The old transaction holds this lock for as long as it is not decided.
        timely(connection.execute(LOCK)).await?;
        let status: Option<String> = timely(
            sqlx::query_scalar(
                "SELECT CASE
                     WHEN $1::xid8 < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status($1::xid8)
                     ELSE 'aborted'
                 END",
            )
            .bind(transaction)
            .fetch_one(&mut *connection),
        )
        .await?;
        let found = match writes.events.first() {
            // After a failover the number may be another transaction's: the first event tells.
            Some(placed) => {
                let stream = &batch[placed.append].streams[placed.stream];
                let query = sqlx::query_scalar(
                    "SELECT EXISTS (
                         SELECT 1
                         FROM events
                         WHERE position = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND sequence = $4
                           AND recorded_at = $5)",
                )
                .bind(placed.position.cast_signed())
                .bind(&stream.stream.aggregate_type)
                .bind(&stream.stream.aggregate_id)
                .bind(stream.events[placed.event].draft.revision.cast_signed())
                .bind(writes.recorded_at);
                timely(query.fetch_one(&mut *connection)).await?
            }
            None => true,
        };
        timely(connection.execute("ROLLBACK")).await?;
        match status.as_deref() {
            Some("committed") => Ok(found),
            Some("aborted") => Ok(false),
            // Too old to be known, which a moment after the commit it is not; or still open, against the lock.
            Some(_) | None => Err(sqlx::Error::WorkerCrashed),
        }
    }
}

impl Ledger for PostgresLedger {
    async fn look(&mut self, asked: &Questions) -> Result<Facts, Trouble> {
        match self.look_now(asked).await {
            Ok(facts) => Ok(facts),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    async fn record(&mut self, batch: &[&Prepared], writes: &Writes) -> Result<(), Trouble> {
        match self.record_now(batch, writes).await {
            Ok(()) => Ok(()),
            Err(Failure::Before(error)) => Err(self.trouble(error).await),
            Err(Failure::InCommit(error, transaction)) => {
                self.fate(error, &transaction, batch, writes).await
            }
        }
    }

    async fn grow(&mut self, growth: &Growth) -> Result<bool, Trouble> {
        match self.grow_now(growth).await {
            Ok(grown) => Ok(grown),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    async fn rotate(&mut self, step: &Step) -> Result<Stepped, Trouble> {
        let stepped = async {
            let connection = self.connection().await?;
            timely(rotating::take(connection, step)).await
        };
        match stepped.await {
            Ok(stepped) => Ok(stepped),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    async fn abandon(&mut self) {
        self.roll_back().await;
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            // Everything is committed, however the connection ends.
            let _ = connection.close().await;
        }
    }
}

/// A round trip that does not take for ever. Boxed, since the compiler cannot see through all that sqlx returns.
fn timely<'a, T: 'a>(
    trip: impl Future<Output = Result<T, sqlx::Error>> + Send + 'a,
) -> BoxFuture<'a, Result<T, sqlx::Error>> {
    async move {
        match tokio::time::timeout(ROUND_TRIP, trip).await {
            Ok(result) => result,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
    .boxed()
}

/// Whether the connection is gone or better given up, with what was open on it: the batch is not to blame.
fn is_lost(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // 08: connection exception, 53: out of resources, 57P: the server ends or starts, 25P03: idle in a transaction
        // for too long, 55P03: another process keeps the lock.
        Some(error) => error.code().is_some_and(|code| {
            ["08", "53", "57P", "25P03", "55P03"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        None => true,
    }
}
