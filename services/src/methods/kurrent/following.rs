//! Subscriptions: everything from a place on, and then what happens.
//!
//! A subscriber that catches up reads as fast as it likes. One that is live is cut off when it keeps a message waiting too
//! long, and told that it fell behind when more piles up than is read at a time.

use futures::StreamExt as _;
use rollbook_eventstore::{Direction, Follow, ReadQuery, StoreError, StreamId, StreamQuery};

use super::super::streaming::{Gone, PATIENCE, hand_over, send};
use super::asked::{Named, Start};
use super::filter::EventFilter;
use super::{Batch, EVENTS_AT_A_TIME, Reader, told};
use crate::failure::Outcome;

impl Reader {
    /// Sends on as long as somebody reads.
    async fn tell(&self, live: bool, batch: Batch) -> Outcome<Result<(), Gone>> {
        if batch.is_empty() {
            return Ok(Ok(()));
        }
        if live {
            hand_over(&self.sender, batch, PATIENCE).await?;
            return Ok(if self.sender.is_closed() {
                Err(Gone)
            } else {
                Ok(())
            });
        }
        Ok(send(&self.sender, batch).await)
    }

    pub(super) async fn follow_stream(self, named: Named, start: Start) -> Outcome<()> {
        let Some(stream) = named.stream else {
            let nothing_comes = vec![told::confirmed(), self.teller.caught_up(None, None)];
            if let Ok(()) = send(&self.sender, nothing_comes).await {
                self.sender.closed().await;
            }
            return Ok(());
        };
        // Revisions count from 0 there and from 1 here, and the one that is named was seen already.
        let seen = match start {
            Start::Beginning => 0,
            Start::At(revision) => revision.saturating_add(1),
            Start::End => self.last(&stream).await?.map_or(0, |last| last.revision),
        };
        if let Err(Gone) = send(&self.sender, vec![told::confirmed()]).await {
            return Ok(());
        }
        let mut moved = self.directory.log().moved();
        let mut tail = StreamTail {
            stream,
            seen,
            live: false,
        };
        loop {
            let head = self.directory.log().head().await?;
            if let Err(Gone) = self.tell_stream(&mut tail).await? {
                return Ok(());
            }
            let known = moved.wait_for(|now| *now > head).await.map(drop);
            known.map_err(|_| StoreError::Closed)?;
        }
    }

    /// Tells what is new of a stream, up to its end.
    async fn tell_stream(&self, tail: &mut StreamTail) -> Outcome<Result<(), Gone>> {
        loop {
            let query = StreamQuery {
                stream: tail.stream.clone(),
                account_id: self.account.clone(),
                direction: Direction::Forwards,
                above: tail.seen,
                up_to: u64::MAX,
                limit: EVENTS_AT_A_TIME,
            };
            let events = self.directory.log().read_stream(&query).await?;
            let more = events.len() == EVENTS_AT_A_TIME;
            let mut batch = Vec::with_capacity(events.len() + 1);
            if more && tail.live {
                tail.live = false;
                batch.push(self.teller.fell_behind(tail.revision(), None));
            }
            tail.seen = events.last().map_or(tail.seen, |last| last.revision);
            batch.extend(events.into_iter().map(|event| self.teller.event(event)));
            let was_live = tail.live;
            if !more && !tail.live {
                tail.live = true;
                batch.push(self.teller.caught_up(tail.revision(), None));
            }
            if let Err(Gone) = self.tell(was_live, batch).await? {
                return Ok(Err(Gone));
            }
            if !more {
                return Ok(Ok(()));
            }
        }
    }

    pub(super) async fn follow_log(self, filter: Option<EventFilter>, start: Start) -> Outcome<()> {
        let from = match start {
            Start::Beginning => 0,
            Start::At(position) => position,
            Start::End => self.directory.log().head().await?,
        };
        if let Err(Gone) = send(&self.sender, vec![told::confirmed()]).await {
            return Ok(());
        }
        let query = ReadQuery {
            direction: Direction::Forwards,
            from,
            limit: EVENTS_AT_A_TIME,
            filter: self.seen(),
        };
        let events = self.directory.log().replay(query, true);
        let mut chunks = Box::pin(events.ready_chunks(EVENTS_AT_A_TIME));
        let mut tail = LogTail {
            filter,
            position: from,
            looked_at: 0,
            since_the_end: 0,
            live: false,
        };
        while let Some(chunk) = chunks.next().await {
            let was_live = tail.live;
            let mut batch = Vec::with_capacity(chunk.len());
            for item in chunk {
                self.tell_of(item?, &mut tail, &mut batch)?;
            }
            if let Err(Gone) = self.tell(was_live, batch).await? {
                return Ok(());
            }
        }
        // A subscription that ends well would be begun anew at once by some clients, for ever.
        Err(StoreError::Closed.into())
    }

    /// What is said of one item of the log.
    fn tell_of(&self, item: Follow, tail: &mut LogTail, batch: &mut Batch) -> Outcome<()> {
        match item {
            Follow::CaughtUp(position) => {
                tail.since_the_end = 0;
                tail.position = position;
                if !tail.live {
                    tail.live = true;
                    if tail.filter.is_some() {
                        batch.push(self.teller.checkpoint(position));
                    }
                    let place = (position > 0).then_some(position);
                    batch.push(self.teller.caught_up(None, place));
                }
            }
            Follow::Event(event) => {
                tail.since_the_end += 1;
                if tail.live && tail.since_the_end == EVENTS_AT_A_TIME {
                    tail.live = false;
                    batch.push(self.teller.fell_behind(None, Some(tail.position)));
                }
                tail.position = event.position;
                tail.looked_at += 1;
                let (passes, interval) = match &tail.filter {
                    Some(filter) => (filter.passes(&event)?, Some(filter.interval)),
                    None => (true, None),
                };
                if passes {
                    batch.push(self.teller.event(*event));
                }
                if interval.is_some_and(|interval| tail.looked_at.is_multiple_of(interval)) {
                    batch.push(self.teller.checkpoint(tail.position));
                }
            }
        }
        Ok(())
    }
}

/// Where a subscription to a stream is.
struct StreamTail {
    stream: StreamId,
    seen: u64,
    live: bool,
}

impl StreamTail {
    /// The last revision that was seen, which counts from 0.
    fn revision(&self) -> Option<u64> {
        self.seen.checked_sub(1)
    }
}

/// Where a subscription to the log is.
struct LogTail {
    filter: Option<EventFilter>,
    position: u64,
    /// How many events were looked at.
    looked_at: u64,
    /// How many of them since the end was last reached.
    since_the_end: usize,
    live: bool,
}
