//! How a process hears of commits: by asking, and by being told.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::error::StoreError;
use crate::ring::Ring;
use crate::tail::Tail;

use super::reader::HEADS;
use super::{CHANNEL, rotating};

/// How long a process that nobody asks goes without asking, in case it was not told.
const QUIET: Duration = Duration::from_secs(10);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type HeadAnswer = oneshot::Sender<Result<u64, StoreError>>;

/// Answers questions for the head: one is under way at a time, and its answer serves every one that came before it.
pub(super) async fn answer_heads(
    options: PgConnectOptions,
    mut questions: mpsc::Receiver<HeadAnswer>,
    tail: Arc<Tail>,
) {
    let mut asker = HeadAsker {
        options: options.application_name("rollbook head"),
        connection: None,
    };
    let mut asking = Vec::new();
    loop {
        let came = tokio::time::timeout(QUIET, questions.recv_many(&mut asking, HEADS)).await;
        if came == Ok(0) {
            return;
        }
        let answer = asker.head().await;
        if let Ok(head) = answer {
            tail.reached(head);
        }
        for question in asking.drain(..) {
            // Who asked may be gone.
            let _ = question.send(answer.clone());
        }
    }
}

/// Asks on a connection of its own, so that no reader waits for another one's rows.
struct HeadAsker {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl HeadAsker {
    async fn head(&mut self) -> Result<u64, StoreError> {
        // A connection that died since the last question is no answer.
        if self.connection.is_some()
            && let Ok(head) = self.ask().await
        {
            return Ok(head);
        }
        self.connection = None;
        let answer = self.ask().await;
        if answer.is_err() {
            self.connection = None;
        }
        answer.map_err(StoreError::unavailable)
    }

    async fn ask(&mut self) -> Result<u64, sqlx::Error> {
        let ask = async {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            let position: i64 = sqlx::query_scalar("SELECT position FROM log_head")
                .fetch_one(self.connection.insert(connection))
                .await?;
            Ok(position.cast_unsigned())
        };
        match tokio::time::timeout(PATIENCE, ask).await {
            Ok(answer) => answer,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// By what a process is present before it listens, and which master keys it says that it has.
pub(super) struct Present {
    pub(super) session: PgConnection,
    pub(super) ring: Ring,
}

/// Hears of every commit, also of other processes, on a connection of its own.
pub(super) async fn listen(
    options: PgConnectOptions,
    heads: mpsc::Sender<HeadAnswer>,
    tail: Arc<Tail>,
    own: Uuid,
    present: Present,
) {
    let Present { session, ring } = present;
    let mut session = Some(session);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.application_name(&rotating::presence(&ring)));
    loop {
        if let Err(error) = hear(&pool, &heads, &tail, &own.to_string(), &ring, &mut session).await
        {
            tracing::warn!(%error, "commits of other processes are not heard, trying again");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn hear(
    pool: &PgPool,
    heads: &mpsc::Sender<HeadAnswer>,
    tail: &Tail,
    own: &str,
    ring: &Ring,
    present: &mut Option<PgConnection>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // The listener's session says from now on which keys this process has.
    if let Some(session) = present.take() {
        // A connection that does not say goodbye is no reason not to listen.
        let _ = session.close().await;
    }
    loop {
        // A rotation can have begun while this process was not present.
        rotating::recheck(&mut listener, ring).await?;
        // What was committed while nobody listened is asked for; the answer reaches the tail by itself.
        let _ = heads.send(oneshot::channel().0).await;
        while let Some(notification) = listener.try_recv().await? {
            // The writer of this process gives the tail its events and then tells it; being faster than that would make
            // readers ask the database for what is about to be here.
            if let Some((position, teller)) = notification.payload().split_once(' ')
                && teller != own
                && let Ok(position) = position.parse()
            {
                tail.reached(position);
            }
        }
    }
}
