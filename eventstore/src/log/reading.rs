//! Reading the log: streams, pages, replays, and batches for views.

use std::sync::Arc;

use cqrs_es::persist::SerializedEvent;
use futures::Stream;
use futures::stream::try_unfold;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::{RecordedEvent, ToldEvent};
use crate::judge::KeyState;
use crate::page::Page;
use crate::read::{Direction, Filter, Follow, ReadQuery, StreamQuery};
use crate::replay::Replay;
use crate::stored::{PageKeys, StoredEvent};
use crate::stream::StreamId;

use super::{Inner, Log};
use crate::snapshot::Snapshot;

/// Where the load of a stream begins.
pub(crate) enum Start {
    /// Behind the revision that was named: there is no snapshot.
    Revision,
    /// Behind a snapshot's revision, at this state.
    Snapshot(u64, Zeroizing<Vec<u8>>),
    /// Nowhere: the snapshot is not of this history, or cannot be opened.
    Refuted,
}

/// A stream with what a snapshot saved of its load.
pub(crate) struct Resumed {
    pub(crate) start: Start,
    pub(crate) events: Vec<RecordedEvent>,
}

/// A page of more events is opened off the async threads.
const LARGE_PAGE: usize = 64;

impl Log {
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

    /// As [`Self::load`], but from a snapshot on where there is one that holds: its state, and the events since. All of it is
    /// out of one snapshot of the log.
    pub(crate) async fn resume(
        &self,
        streams: Vec<(StreamId, u64, Option<Snapshot>)>,
    ) -> Result<Vec<Resumed>, StoreError> {
        let asked: Vec<_> = streams
            .iter()
            .map(|(stream, after, snapshot)| {
                // The event that the snapshot stands at must be the one that it says.
                let stands_at = snapshot.as_ref().map(|found| found.revision - 1);
                (stream.clone(), stands_at.unwrap_or(*after))
            })
            .collect();
        let stored = self.inner.home.streams(&asked).await?;
        let keys = self.inner.keys.clone();
        let open = move || -> Result<Vec<Resumed>, StoreError> {
            let mut page = PageKeys::new(&keys);
            streams
                .into_iter()
                .zip(stored)
                .map(|((.., snapshot), stored)| {
                    let mut stored = stored.into_iter();
                    let start = match &snapshot {
                        None => Start::Revision,
                        Some(snapshot) => match stored.next() {
                            None => Start::Refuted,
                            Some(event) => snapshot
                                .state_at(&keys, &mut page, event)?
                                .map_or(Start::Refuted, |state| {
                                    Start::Snapshot(snapshot.revision, state)
                                }),
                        },
                    };
                    let events = match start {
                        Start::Refuted => Vec::new(),
                        Start::Revision | Start::Snapshot(..) => stored
                            .map(|event| page.open(event))
                            .collect::<Result<_, _>>()?,
                    };
                    Ok(Resumed { start, events })
                })
                .collect()
        };
        tokio::task::spawn_blocking(open)
            .await
            .map_err(StoreError::unavailable)?
    }

    /// Makes a snapshot of a state; none where the stream has no key to seal it with.
    pub(crate) async fn snapshot(
        &self,
        event: &RecordedEvent,
        form: &str,
        state: Zeroizing<Vec<u8>>,
    ) -> Result<Option<Snapshot>, StoreError> {
        let Inner { home, keys, id, .. } = &*self.inner;
        let stream = event.stream.clone();
        let key = match home.keys(std::slice::from_ref(&stream)).await?.pop() {
            Some(KeyState::Present(wrapped)) => keys.stream_key(&stream, &wrapped),
            Some(KeyState::Absent | KeyState::Destroyed) | None => None,
        };
        let Some(key) = key else {
            return Ok(None);
        };
        let unsealed = Snapshot {
            stream,
            revision: event.revision,
            log: *id,
            event_hash: event.hash,
            form: form.to_owned(),
            sealed: Vec::new(),
        };
        tokio::task::spawn_blocking(move || unsealed.seal(&state, &key.cipher()))
            .await
            .map_err(StoreError::unavailable)
    }

    /// A page of the log. A page with fewer events than its limit is the last one there is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(&self, query: &ReadQuery) -> Result<Vec<RecordedEvent>, StoreError> {
        let (above, up_to) = self.bounds(query).await?;
        self.open(self.page(query, above, up_to).await?).await
    }

    /// As [`Self::read`], told as text.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn list(&self, query: &ReadQuery) -> Result<Vec<ToldEvent>, StoreError> {
        let (above, up_to) = self.bounds(query).await?;
        self.list_between(query, above, up_to).await
    }

    /// The positions that a query may find events at: above the first, up to the second, which is the head at most.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn span(&self, query: &ReadQuery) -> Result<(u64, u64), StoreError> {
        let head = self.head().await?;
        let (above, up_to) = self.bounds(query).await?;
        Ok((above, up_to.min(head)))
    }

    /// A page of a stream. A page with fewer events than its limit is the last one there is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read_stream(&self, query: &StreamQuery) -> Result<Vec<ToldEvent>, StoreError> {
        let page = Page {
            stream: Some(query.stream.clone()),
            direction: query.direction,
            above: query.above,
            up_to: query.up_to,
            limit: query.limit.max(1),
            filter: Filter {
                account_id: query.account_id.clone(),
                ..Filter::default()
            },
        };
        self.tell(self.inner.home.page(&page).await?).await
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
        self.follow_behind(after, None, limit).await
    }

    /// As [`Self::follow_batch`], behind an event that has this hash. Where the log has another one there, it is on another
    /// history, and nothing is answered from then on.
    ///
    /// # Errors
    /// When the log cannot be read, or is on another history.
    pub async fn follow_behind(
        &self,
        after: u64,
        hash: Option<[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let Inner { home, tail, .. } = &*self.inner;
        tail.history.check()?;
        let hash = hash.filter(|_| after > 0);
        let is_known = hash.is_none() || hash == tail.hash(after);
        if is_known && let Some(events) = tail.after(after, limit) {
            return Ok(events);
        }
        // What others commit is heard of, and asked for from time to time in case it was not heard.
        if after >= tail.head() {
            return Ok(Vec::new());
        }
        // With the event that it is to be behind.
        let (above, more) = if hash.is_some() {
            (after - 1, 1)
        } else {
            (after, 0)
        };
        let mut stored = home
            .page(&Page::span(above, u64::MAX, limit.max(1) + more))
            .await?;
        if let Some(last) = stored.last()
            && last.commit_position > last.position
        {
            let rest = Page::span(last.position, last.commit_position, usize::MAX);
            stored.extend(home.page(&rest).await?);
        }
        let mut events = self.open(stored).await?;
        if let Some(hash) = hash {
            let is_it = |event: &RecordedEvent| event.position == after && event.hash == hash;
            if !events.first().is_some_and(is_it) {
                let why = format!("position {after} is not what was read there");
                return Err(tail.history.refute(why));
            }
            events.remove(0);
        }
        tail.heed(events.iter());
        if let Some(last) = events.last() {
            tail.reached(last.position);
        }
        Ok(events.into_iter().map(Arc::new).collect())
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

    /// When the event at a position was recorded; nothing where there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn recorded_at(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        self.inner.home.recorded_at(position).await
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

    /// As [`Self::list`], above the first position and up to the second.
    pub(crate) async fn list_between(
        &self,
        query: &ReadQuery,
        above: u64,
        up_to: u64,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.tell(self.page(query, above, up_to).await?).await
    }

    async fn page(
        &self,
        query: &ReadQuery,
        above: u64,
        up_to: u64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let page = Page {
            stream: None,
            direction: query.direction,
            above,
            up_to,
            limit: query.limit.max(1),
            filter: query.filter.clone(),
        };
        self.inner.home.page(&page).await
    }

    async fn open(&self, stored: Vec<StoredEvent>) -> Result<Vec<RecordedEvent>, StoreError> {
        fn open(keys: &mut PageKeys<'_>, event: StoredEvent) -> Result<RecordedEvent, StoreError> {
            keys.open(event)
        }
        self.with_keys(stored, open).await
    }

    async fn tell(&self, stored: Vec<StoredEvent>) -> Result<Vec<ToldEvent>, StoreError> {
        fn tell(keys: &mut PageKeys<'_>, event: StoredEvent) -> Result<ToldEvent, StoreError> {
            keys.tell(event)
        }
        self.with_keys(stored, tell).await
    }

    async fn with_keys<E: Send + 'static>(
        &self,
        stored: Vec<StoredEvent>,
        each: fn(&mut PageKeys<'_>, StoredEvent) -> Result<E, StoreError>,
    ) -> Result<Vec<E>, StoreError> {
        let keys = self.inner.keys.clone();
        let large = stored.len() > LARGE_PAGE;
        let all = move || {
            let mut keys = PageKeys::new(&keys);
            let events = stored.into_iter();
            events.map(|event| each(&mut keys, event)).collect()
        };
        if !large {
            return all();
        }
        tokio::task::spawn_blocking(all)
            .await
            .map_err(StoreError::unavailable)?
    }
}
