//! The log of a process: append, read, follow, and the questions to what is kept beside the events.

mod proving;
mod reading;
mod rotating;

pub(crate) use reading::{Resumed, Start};

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::append::{
    Append, AppendError, Appended, Claim, Holders, Repeated, Requirement, StreamAppend,
};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::history::OtherHistory;
use crate::home::{Home, LogStatus, Stock};
use crate::keys::{ClaimRow, LogKeys};
use crate::leadership::Leadership;
use crate::rotation::Rotation;
use crate::sealer::{SealedAppend, Sealer, append_error};
use crate::stream::StreamId;
use crate::tail::{OnForget, Tail};
use crate::writer::{Job, Outcome};

/// How many appends may wait for the writer.
pub(crate) const QUEUE: usize = 4_096;

/// How often an append is sealed again when a stream's key moves under it. It moves at most twice in its life, and once more
/// with each rotation of the master key.
const SEALINGS: usize = 8;

/// The log. Clones are the same log; a process has one.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    id: Uuid,
    keys: LogKeys,
    sealer: Sealer,
    home: Arc<dyn Home>,
    queue: mpsc::Sender<Job>,
    tail: Arc<Tail>,
    clock: Clock,
    /// The size of the tree as far as this process knows.
    tree: watch::Sender<u64>,
    archive: Option<Archive>,
    /// The rotation of the master key that this process is at, or was last.
    rotation: Mutex<Option<Rotation>>,
}

/// What a log shows that was made from an export alone. Nothing can be added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The checkpoint that came with the export.
    pub checkpoint: String,
    /// The key that it is checked with.
    pub verifier_key: String,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("id", &self.inner.id)
            .finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn new(
        id: Uuid,
        keys: LogKeys,
        home: Arc<dyn Home>,
        queue: mpsc::Sender<Job>,
        tail: Arc<Tail>,
        clock: Clock,
        archive: Option<Archive>,
    ) -> Self {
        let sealer = Sealer::new(keys.clone(), &tail);
        let inner = Inner {
            id,
            keys,
            sealer,
            home,
            queue,
            tail,
            clock,
            tree: watch::Sender::new(0),
            archive,
            rotation: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Commits all of an append or none of it. It is finished even if the returned future is dropped.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was committed, except that after `Unavailable` it may have been.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let inner = self.inner.clone();
        match tokio::spawn(async move { inner.append(&append).await }).await {
            Ok(result) => result,
            Err(error) => Err(AppendError::Unavailable(Arc::new(error))),
        }
    }

    /// Confirms that streams have not moved and requirements hold, and answers the head at that moment.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn check(
        &self,
        streams: Vec<(StreamId, u64)>,
        require: Vec<Requirement>,
    ) -> Result<u64, AppendError> {
        let streams = streams.into_iter().map(|(stream, revision)| StreamAppend {
            stream,
            account_id: String::new(),
            expected_revision: revision,
            events: Vec::new(),
            forget: false,
        });
        let append = Append {
            streams: streams.collect(),
            require,
            ..Append::default()
        };
        Ok(self.append(append).await?.last_position)
    }

    /// What a request with this id and digest was answered, where it was committed within the last seven days.
    ///
    /// # Errors
    /// [`AppendError::RequestReused`] when the id was used for another digest.
    pub async fn repeated(
        &self,
        account_id: &str,
        request_id: Uuid,
        digest: [u8; 32],
    ) -> Result<Option<Repeated>, AppendError> {
        let Inner { home, clock, .. } = &*self.inner;
        let found = home.request(account_id, request_id).await;
        let row = found.map_err(|error| AppendError::Unavailable(Arc::new(error)))?;
        match row.and_then(|row| row.answer(&digest, clock.now())) {
            None => Ok(None),
            Some(AppendError::Repeated(repeated)) => Ok(Some(repeated)),
            Some(error) => Err(error),
        }
    }

    /// The last position. Sees every commit that was answered, by any process, before the question.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn head(&self) -> Result<u64, StoreError> {
        let head = self.inner.home.head().await?;
        self.sound()?;
        self.inner.tail.reached(head);
        Ok(head)
    }

    /// Whether the log is on the history that this process read of it, as far as it has noticed.
    ///
    /// # Errors
    /// When it is on another.
    pub fn sound(&self) -> Result<(), StoreError> {
        self.inner.tail.history.check()
    }

    /// Waits until the log is found to be on another history than this process read. Nothing that was remembered of it holds
    /// then: it is to be opened anew.
    pub async fn other_history(&self) -> Arc<OtherHistory> {
        self.inner.tail.history.other().await
    }

    /// The last position this process knows of, and news of it.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.inner.tail.moved()
    }

    /// Waits until this process is the one of all on this log that does what must be done once for all of them.
    pub async fn lead(&self, purpose: &str) -> Leadership {
        let name = format!("rollbook {} {purpose}", self.inner.id);
        self.inner.home.lead(name).await
    }

    /// Who holds each claim.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn holders(&self, claims: &[Claim]) -> Result<Vec<Holders>, StoreError> {
        let rows = self.rows(claims);
        self.inner.home.holders(&rows).await
    }

    /// Everybody who holds each claim, ascending, up to so many each.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn owners(
        &self,
        claims: &[Claim],
        limit: u32,
    ) -> Result<Vec<Vec<String>>, StoreError> {
        let rows = self.rows(claims);
        self.inner.home.owners(&rows, limit).await
    }

    fn rows(&self, claims: &[Claim]) -> Vec<ClaimRow> {
        let row = |claim| self.inner.keys.claim_row(claim);
        claims.iter().map(row).collect()
    }

    /// Who shares a key of this kind of claims with somebody else in the account.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn shared(&self, account_id: &str, kind: &str) -> Result<Holders, StoreError> {
        self.inner.home.shared(account_id, kind).await
    }

    /// A secret beside a stream.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn side_row(
        &self,
        stream: &StreamId,
        kind: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.home.side_row(stream, kind).await
    }

    /// A keyed digest: the same for the same purpose and parts in this log for ever, and nothing to anybody else.
    #[must_use]
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.inner.keys.digest(purpose, parts)
    }

    /// A token: as [`Self::digest`], with a key used for nothing else.
    #[must_use]
    pub fn token(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.inner.keys.token(purpose, parts)
    }

    /// The id that the log was given when it was made.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// What the log shows where it is an archive, to which nothing can be added.
    #[must_use]
    pub fn archive(&self) -> Option<&Archive> {
        self.inner.archive.as_ref()
    }

    /// The clock that dates the events.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// What is known of the log as a whole.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn status(&self) -> Result<LogStatus, StoreError> {
        self.inner.home.status().await
    }

    /// Finishes what is queued and leaves the log in order. Other clones answer that it is closed.
    pub async fn close(self) {
        let (answer, closed) = oneshot::channel();
        if self.inner.queue.send(Job::Close(answer)).await.is_ok() {
            // An error means that the writer ended in another way; it is closed all the same.
            let _ = closed.await;
        }
        self.inner.home.close().await;
    }

    pub(crate) fn keys(&self) -> &LogKeys {
        &self.inner.keys
    }

    pub(crate) fn home(&self) -> &dyn Home {
        &*self.inner.home
    }

    pub(crate) fn stock(&self) -> Stock {
        self.inner.home.stock()
    }

    pub(crate) fn on_forget(&self, listener: &Arc<OnForget>) {
        self.inner.tail.on_forget(listener);
    }
}

impl Inner {
    async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        if self.archive.is_some() && append.changes() {
            return Err(AppendError::Archived);
        }
        for _ in 0..SEALINGS {
            let SealedAppend { prepared, new } = self.sealer.seal(append, &*self.home).await?;
            let (answer, outcome) = oneshot::channel();
            let job = Job::Append(Box::new(prepared), answer);
            let closed = || append_error(StoreError::Closed);
            self.queue.send(job).await.map_err(|_| closed())?;
            match outcome.await.map_err(|_| closed())? {
                Outcome::Done(Ok(appended)) => {
                    self.sealer.committed(new);
                    return Ok(appended);
                }
                Outcome::Done(Err(error)) => return Err(error),
                Outcome::KeyMoved => {
                    self.sealer.key_moved(append);
                    self.learn_master().await.map_err(append_error)?;
                }
            }
        }
        Err(AppendError::Corrupt(
            "the key of a stream moved more often than it can".to_owned(),
        ))
    }
}
