//! How a process hears of commits: by asking, and by being told.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::clock::Timestamp;
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
        known: None,
    };
    let mut asking = Vec::new();
    loop {
        let came = tokio::time::timeout(QUIET, questions.recv_many(&mut asking, HEADS)).await;
        if came == Ok(0) {
            return;
        }
        // Who is about to ask comes along.
        tokio::task::yield_now().await;
        while let Ok(question) = questions.try_recv() {
            asking.push(question);
        }
        let answer = asker.head(&tail).await;
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
    /// What was answered last.
    known: Option<Mark>,
}

/// Where a log ends, and when that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    log: Uuid,
    position: u64,
    last_at: Timestamp,
}

impl Mark {
    /// How it shows that a log is not the one it was, which ended at least at `reached`.
    fn contradicts(&self, known: Option<&Self>, reached: u64) -> Option<String> {
        if self.position < reached {
            return Some(format!(
                "it ends at {} and ended at {reached}",
                self.position
            ));
        }
        let known = known?;
        if self.log != known.log {
            return Some("the database has another log".to_owned());
        }
        let rewritten = self.position == known.position && self.last_at != known.last_at;
        rewritten.then(|| format!("position {} was written at another time", self.position))
    }
}

impl HeadAsker {
    async fn head(&mut self, tail: &Tail) -> Result<u64, StoreError> {
        tail.history.check()?;
        // Whatever is known before the question is in its answer.
        let reached = tail.head();
        let mark = self.mark().await.map_err(StoreError::unavailable)?;
        if let Some(why) = mark.contradicts(self.known.as_ref(), reached) {
            return Err(tail.history.refute(why));
        }
        self.known = Some(mark);
        Ok(mark.position)
    }

    async fn mark(&mut self) -> Result<Mark, sqlx::Error> {
        // A connection that died since the last question is no answer.
        if self.connection.is_some()
            && let Ok(mark) = self.ask().await
        {
            return Ok(mark);
        }
        self.connection = None;
        let answer = self.ask().await;
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn ask(&mut self) -> Result<Mark, sqlx::Error> {
        let ask = async {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            let (log, position, last_at): (Uuid, i64, Timestamp) =
                sqlx::query_as("SELECT log_id, position, last_at FROM log_head")
                    .fetch_one(self.connection.insert(connection))
                    .await?;
            Ok(Mark {
                log,
                position: position.cast_unsigned(),
                last_at,
            })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(log: u128, position: u64, second: i64) -> Mark {
        Mark {
            log: Uuid::from_u128(log),
            position,
            last_at: Timestamp::from_timestamp(second, 0).unwrap(),
        }
    }

    #[test]
    fn r64_a_log_that_ends_earlier_or_was_written_otherwise_is_another() {
        let known = mark(1, 10, 100);
        let contradicts = |now: Mark, reached| now.contradicts(Some(&known), reached).is_some();
        assert!(!contradicts(mark(1, 10, 100), 10));
        assert!(!contradicts(mark(1, 12, 120), 10));
        assert!(contradicts(mark(1, 9, 90), 10));
        assert!(contradicts(mark(1, 10, 101), 10));
        assert!(contradicts(mark(2, 12, 120), 10));
        // What was heard of is known too.
        assert!(contradicts(mark(1, 12, 120), 13));
        assert!(mark(1, 5, 50).contradicts(None, 6).is_some());
        assert!(mark(1, 5, 50).contradicts(None, 5).is_none());
    }
}
