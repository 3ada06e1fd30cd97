//! The log of a process: append, read, follow, and the questions to what is kept beside the events.

use std::sync::Arc;

use cqrs_es::persist::SerializedEvent;
use futures::Stream;
use futures::stream::try_unfold;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::append::{
    Append, AppendError, Appended, Claim, Holders, Repeated, Requirement, StreamAppend,
};
use crate::clock::{Clock, Timestamp};
use crate::error::StoreError;
use crate::event::RecordedEvent;
use crate::home::{Home, LogStatus, Stock};
use crate::judge::KeyState;
use crate::keys::LogKeys;
use crate::page::Page;
use crate::read::{Direction, Follow, ReadQuery};
use crate::replay::Replay;
use crate::sealer::{SealedAppend, Sealer, append_error};
use crate::stored::{PageKeys, StoredEvent};
use crate::stream::StreamId;
use crate::tail::{OnForget, Tail};
use crate::writer::{Job, Outcome};

/// How many appends may wait for the writer.
pub(crate) const QUEUE: usize = 4_096;

/// How often an append is sealed again when a stream's key moves under it; it moves at most twice in its life.
const SEALINGS: usize = 4;

/// A page of more events is opened off the async threads.
const LARGE_PAGE: usize = 64;

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

    /// The events of each stream after a revision, out of one snapshot.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn load(
        &self,
        streams: &[(StreamId, u64)],
    ) -> Result<Vec<Vec<RecordedEvent>>, StoreError> {
        let stored = self.inner.home.streams(streams).await?;
        let sizes: Vec<_> = stored.iter().map(Vec::len).collect();
        let mut events = self
            .open(stored.into_iter().flatten().collect())
            .await?
            .into_iter();
        Ok(sizes
            .into_iter()
            .map(|size| events.by_ref().take(size).collect())
            .collect())
    }

    /// A page of the log. A page with fewer events than its limit is the last one there is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(&self, query: &ReadQuery) -> Result<Vec<RecordedEvent>, StoreError> {
        let (above, up_to) = self.bounds(query).await?;
        self.read_page(query, above, up_to).await
    }

    /// Every event from a position on, page by page; with `follow` forwards also every event to come.
    ///
    /// The query's limit is the size of a page. No event is skipped or given twice, and [`Follow::CaughtUp`] tells where
    /// the past ends; it comes again after new events.
    pub fn replay(
        &self,
        query: ReadQuery,
        follow: bool,
    ) -> impl Stream<Item = Result<Follow, StoreError>> + Send + use<> {
        let replay = Replay::new(self.clone(), query, follow);
        try_unfold(replay, |mut replay| async move {
            Ok(replay.next().await?.map(|item| (item, replay)))
        })
    }

    /// What follows a position, in whole commits: at least `limit` events as far as there are so many.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn follow_batch(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let Inner { home, tail, .. } = &*self.inner;
        if let Some(events) = tail.after(after, limit) {
            return Ok(events);
        }
        if home.sole_writer() && after >= tail.head() {
            return Ok(Vec::new());
        }
        let mut stored = home
            .page(&Page::span(after, u64::MAX, limit.max(1)))
            .await?;
        if let Some(last) = stored.last()
            && last.commit_position > last.position
        {
            let rest = Page::span(last.position, last.commit_position, usize::MAX);
            stored.extend(home.page(&rest).await?);
        }
        let events = self.open(stored).await?;
        tail.heed(events.iter());
        if let Some(last) = events.last() {
            tail.reached(last.position);
        }
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// The last position. Sees every commit that was answered, by any process, before the question.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn head(&self) -> Result<u64, StoreError> {
        let head = self.inner.home.head().await?;
        self.inner.tail.reached(head);
        Ok(head)
    }

    /// The last position this process knows of, and news of it.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.inner.tail.moved()
    }

    /// Who holds each claim.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn holders(&self, claims: &[Claim]) -> Result<Vec<Holders>, StoreError> {
        let rows: Vec<_> = claims
            .iter()
            .map(|claim| self.inner.keys.claim_row(claim))
            .collect();
        self.inner.home.holders(&rows).await
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

    /// The last position recorded before a time, or 0.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn time_position(&self, time: Timestamp) -> Result<u64, StoreError> {
        let home = &self.inner.home;
        // Times never decrease and positions have no gap, so halving finds it.
        let (mut before, mut from) = (0, home.head().await? + 1);
        while before + 1 < from {
            let middle = before.midpoint(from);
            let recorded_at = home.recorded_at(middle).await?;
            let recorded_at = recorded_at
                .ok_or_else(|| StoreError::Corrupt(format!("position {middle} is missing")))?;
            if recorded_at < time {
                before = middle;
            } else {
                from = middle;
            }
        }
        Ok(before)
    }

    /// The id that the log was given when it was made.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// The clock that dates the events.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The hash of the event at a position ([`RecordedEvent::hash`]): on another history it is another.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn event_hash(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        if let Some(hash) = self.inner.tail.hash(position) {
            return Ok(Some(hash));
        }
        let page = Page::span(position.saturating_sub(1), position, 1);
        let found = self.open(self.inner.home.page(&page).await?).await?;
        Ok(found.first().map(|event| event.hash))
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

    pub(crate) fn stock(&self) -> Stock {
        self.inner.home.stock()
    }

    /// Opens what a stock repository read of a stream. Such events have no position.
    pub(crate) async fn open_stock(
        &self,
        stream: StreamId,
        events: Vec<SerializedEvent>,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let wrapped = match self
            .inner
            .home
            .keys(std::slice::from_ref(&stream))
            .await?
            .pop()
        {
            Some(KeyState::Present(wrapped)) => Some(wrapped),
            Some(KeyState::Absent | KeyState::Destroyed) | None => None,
        };
        let dates = self.inner.home.dates(&stream).await?;
        let stored = events.into_iter().zip(dates).map(|(event, recorded_at)| {
            StoredEvent::of_stock(stream.clone(), event, recorded_at, wrapped.clone())
        });
        self.open(stored.collect()).await
    }

    pub(crate) fn on_forget(&self, listener: &Arc<OnForget>) {
        self.inner.tail.on_forget(listener);
    }

    /// The bounds of a query as positions: above the first, up to the second.
    pub(crate) async fn bounds(&self, query: &ReadQuery) -> Result<(u64, u64), StoreError> {
        let (mut above, mut up_to) = match (query.direction, query.from) {
            (Direction::Forwards, from) => (from, u64::MAX),
            (Direction::Backwards, 0) => (0, u64::MAX),
            (Direction::Backwards, from) => (0, from - 1),
        };
        if let Some(from_time) = query.filter.from_time {
            above = above.max(self.time_position(from_time).await?);
        }
        if let Some(to_time) = query.filter.to_time {
            up_to = up_to.min(self.time_position(to_time).await?);
        }
        Ok((above, up_to))
    }

    pub(crate) async fn read_page(
        &self,
        query: &ReadQuery,
        above: u64,
        up_to: u64,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let page = Page {
            direction: query.direction,
            above,
            up_to,
            limit: query.limit.max(1),
            filter: query.filter.clone(),
        };
        self.open(self.inner.home.page(&page).await?).await
    }

    async fn open(&self, stored: Vec<StoredEvent>) -> Result<Vec<RecordedEvent>, StoreError> {
        let keys = self.inner.keys.clone();
        let large = stored.len() > LARGE_PAGE;
        let open = move || {
            let mut keys = PageKeys::new(&keys);
            stored.into_iter().map(|event| keys.open(event)).collect()
        };
        if !large {
            return open();
        }
        tokio::task::spawn_blocking(open)
            .await
            .map_err(StoreError::unavailable)?
    }
}

impl Inner {
    async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
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
                Outcome::KeyMoved => self.sealer.key_moved(append),
            }
        }
        Err(AppendError::Corrupt(
            "the key of a stream moved more often than it can".to_owned(),
        ))
    }
}
