//! The log as the views read it: each event fetched and decoded once for all of them.
//!
//! The last events are kept, decoded, so that views which are about equally far share them. A view that has fallen further
//! behind reads the log for itself, and holds nobody up.

use std::collections::VecDeque;
use std::sync::Arc;

use rollbook_eventstore::{Log, RecordedEvent, StoreError};
use tokio::sync::Mutex;

use crate::event::Folded;

/// About how many events a batch has; it is cut after a whole commit.
const BATCH: usize = 4_096;

/// How many decoded events are kept.
const KEPT: usize = 16_384;

/// From how many events on decoding them is kept off the async threads.
const MANY: usize = 256;

/// The decoded end of the log, shared by the views of a process.
pub(crate) struct Feed {
    log: Log,
    tail: Mutex<Tail>,
}

/// A run of decoded events without a gap.
#[derive(Default)]
struct Tail {
    /// The position before the first of them.
    after: u64,
    events: VecDeque<Arc<Folded>>,
}

impl Feed {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            tail: Mutex::default(),
        }
    }

    /// The next whole commits after a position; waits until there are any.
    pub(crate) async fn next(&self, after: u64) -> Result<Vec<Arc<Folded>>, StoreError> {
        let mut moved = self.log.moved();
        loop {
            moved.borrow_and_update();
            let events = self.read(after).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            if moved.changed().await.is_err() {
                return Err(StoreError::Closed);
            }
        }
    }

    async fn read(&self, after: u64) -> Result<Vec<Arc<Folded>>, StoreError> {
        let mut tail = self.tail.lock().await;
        if after < tail.after {
            drop(tail);
            return self.fetch(after).await;
        }
        if after >= tail.end() {
            let events = self.fetch(after).await?;
            tail.extend(after, events);
        }
        Ok(tail.batch(after))
    }

    async fn fetch(&self, after: u64) -> Result<Vec<Arc<Folded>>, StoreError> {
        let recorded = self.log.follow_batch(after, BATCH).await?;
        let events = if recorded.len() < MANY {
            decode(recorded)
        } else {
            tokio::task::spawn_blocking(move || decode(recorded))
                .await
                .map_err(|error| {
                    StoreError::Corrupt(format!("events after {after} cannot be decoded: {error}"))
                })?
        };
        refuse_gap(after, &events)?;
        Ok(events)
    }
}

impl Tail {
    /// The position of the last event.
    fn end(&self) -> u64 {
        self.after + self.events.len() as u64
    }

    fn extend(&mut self, after: u64, events: Vec<Arc<Folded>>) {
        if after != self.end() {
            self.events.clear();
            self.after = after;
        }
        self.events.extend(events);
        while self.events.len() > KEPT {
            self.events.pop_front();
            self.after += 1;
        }
    }

    /// What follows a position, up to the end of the commit that makes the batch long enough.
    fn batch(&self, after: u64) -> Vec<Arc<Folded>> {
        let skipped = usize::try_from(after.saturating_sub(self.after)).unwrap_or(usize::MAX);
        let mut batch = Vec::new();
        for event in self.events.iter().skip(skipped) {
            batch.push(Arc::clone(event));
            if batch.len() >= BATCH && event.ends_commit() {
                break;
            }
        }
        batch
    }
}

fn decode(recorded: Vec<Arc<RecordedEvent>>) -> Vec<Arc<Folded>> {
    recorded
        .into_iter()
        .map(|event| Arc::new(Folded::decode(event)))
        .collect()
}

/// Positions have no gap; one would mean that an event is about to be skipped.
fn refuse_gap(after: u64, events: &[Arc<Folded>]) -> Result<(), StoreError> {
    for (event, expected) in events.iter().zip(after + 1..) {
        let found = event.recorded.position;
        if found != expected {
            return Err(StoreError::Corrupt(format!(
                "position {found} was read where {expected} comes next"
            )));
        }
    }
    Ok(())
}
