//! How a process hears of commits: by asking, and by being told.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::tail::Tail;

use super::CHANNEL;

/// How long a process that nobody asks goes without asking, in case it was not told.
const QUIET: Duration = Duration::from_secs(10);

pub(super) type HeadAnswer = oneshot::Sender<Result<u64, StoreError>>;

/// Answers questions for the head: one is under way at a time, and its answer serves every one that came before it.
pub(super) async fn answer_heads(
    pool: PgPool,
    mut questions: mpsc::Receiver<HeadAnswer>,
    tail: Arc<Tail>,
) {
    let mut asking = Vec::new();
    loop {
        let asked = tokio::time::timeout(QUIET, questions.recv_many(&mut asking, usize::MAX)).await;
        if asked == Ok(0) {
            return;
        }
        let answer = head(&pool).await;
        if let Ok(head) = answer {
            tail.reached(head);
        }
        for question in asking.drain(..) {
            // Who asked may be gone.
            let _ = question.send(answer.clone());
        }
    }
}

pub(super) async fn head(pool: &PgPool) -> Result<u64, StoreError> {
    let position: i64 = sqlx::query_scalar("SELECT position FROM log_head")
        .fetch_one(pool)
        .await
        .map_err(StoreError::unavailable)?;
    Ok(position.cast_unsigned())
}

/// Hears of every commit, also of other processes, on a connection of its own.
pub(super) async fn listen(options: PgConnectOptions, pool: PgPool, tail: Arc<Tail>) {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.application_name("rollbook listener"));
    loop {
        if let Err(error) = hear(&own, &pool, &tail).await {
            tracing::warn!(%error, "commits of other processes are not heard, trying again");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn hear(own: &PgPool, pool: &PgPool, tail: &Tail) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was committed while nobody listened is asked for.
        if let Ok(head) = head(pool).await {
            tail.reached(head);
        }
        while let Some(notification) = listener.try_recv().await? {
            if let Ok(position) = notification.payload().parse() {
                tail.reached(position);
            }
        }
    }
}
