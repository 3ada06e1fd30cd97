//! The log as the views read it: each event fetched and decoded once for all of them.
//!
//! The last events are kept, decoded, so that views which are about equally far share them. A view that has fallen further
//! behind reads the log for itself, and holds nobody up. Of a person who is erased nothing personal is kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rollbook_eventstore::{Log, RecordedEvent, StoreError};
use tokio::sync::Mutex;

use crate::event::Folded;

/// About how many events a batch has; it is cut after a whole commit.
pub(crate) const BATCH: usize = 4_096;

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

    /// The next whole commits after a position, where the event of this hash stands; waits until there are any.
    pub(crate) async fn next(
        &self,
        after: u64,
        hash: Option<[u8; 32]>,
    ) -> Result<Vec<Arc<Folded>>, StoreError> {
        let mut moved = self.log.moved();
        loop {
            moved.borrow_and_update();
            let events = self.read(after, hash).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            if moved.changed().await.is_err() {
                return Err(StoreError::Closed);
            }
        }
    }

    /// The next whole commits after a position, as far as there are any.
    pub(crate) async fn read(
        &self,
        after: u64,
        hash: Option<[u8; 32]>,
    ) -> Result<Vec<Arc<Folded>>, StoreError> {
        self.log.sound()?;
        let mut tail = self.tail.lock().await;
        if after < tail.after {
            drop(tail);
            return self.fetch(after, hash).await;
        }
        if after >= tail.end() {
            let hash = hash.or_else(|| tail.hash(after));
            let events = self.fetch(after, hash).await?;
            tail.extend(after, events);
        }
        Ok(tail.batch(after))
    }

    async fn fetch(
        &self,
        after: u64,
        hash: Option<[u8; 32]>,
    ) -> Result<Vec<Arc<Folded>>, StoreError> {
        let recorded = self.log.follow_behind(after, hash, BATCH).await?;
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

    /// The hash of the last event, where it stands at this position.
    fn hash(&self, position: u64) -> Option<[u8; 32]> {
        let last = self.events.back()?;
        (last.recorded.position == position).then_some(last.recorded.hash)
    }

    fn extend(&mut self, after: u64, events: Vec<Arc<Folded>>) {
        if after != self.end() {
            self.events.clear();
            self.after = after;
        }
        self.erase(&events);
        self.events.extend(events);
        while self.events.len() > KEPT {
            self.events.pop_front();
            self.after += 1;
        }
    }

    /// Takes out what is personal to those who are forgotten from now on.
    fn erase(&mut self, news: &[Arc<Folded>]) {
        let forgets = |event: &&Arc<Folded>| event.recorded.forgets;
        let forgotten: BTreeSet<_> = news
            .iter()
            .filter(forgets)
            .map(|event| &event.recorded.stream)
            .collect();
        if forgotten.is_empty() {
            return;
        }
        for event in &mut self.events {
            if forgotten.contains(&event.recorded.stream) {
                *event = Arc::new(event.erased());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::user_event;

    fn tail(after: u64, events: Vec<Folded>) -> Tail {
        let mut tail = Tail::default();
        tail.extend(after, events.into_iter().map(Arc::new).collect());
        tail
    }

    fn positions(batch: &[Arc<Folded>]) -> Vec<u64> {
        batch.iter().map(|event| event.recorded.position).collect()
    }

    #[test]
    fn views_that_are_differently_far_share_what_is_kept() {
        let tail = tail(
            10,
            vec![user_event(11, 11), user_event(12, 13), user_event(13, 13)],
        );
        assert_eq!(positions(&tail.batch(10)), [11, 12, 13]);
        assert_eq!(positions(&tail.batch(11)), [12, 13]);
        assert!(tail.batch(13).is_empty());
    }

    #[test]
    fn r56_a_batch_never_ends_within_a_commit() {
        let long = BATCH as u64 + 5;
        let tail = tail(
            0,
            (1..=long + 1)
                .map(|position| user_event(position, long.max(position)))
                .collect(),
        );
        assert_eq!(positions(&tail.batch(0)).last(), Some(&long));
    }

    #[test]
    fn events_that_do_not_follow_take_the_place_of_what_was_kept() {
        let mut tail = tail(0, vec![user_event(1, 1)]);
        tail.extend(7, vec![Arc::new(user_event(8, 8))]);
        assert_eq!((tail.after, positions(&tail.batch(7))), (7, vec![8]));
    }

    #[test]
    fn only_so_many_events_are_kept() {
        let tail = tail(
            0,
            (1..=KEPT as u64 + 3)
                .map(|position| user_event(position, position))
                .collect(),
        );
        assert_eq!((tail.after, tail.events.len()), (3, KEPT));
    }

    #[test]
    fn r62_nothing_personal_is_kept_of_one_who_is_erased() {
        let mut tail = tail(0, vec![user_event(1, 1)]);
        assert!(format!("{:?}", tail.events).contains("Ottilie"));
        let mut deletion = user_event(2, 2).erased();
        Arc::make_mut(&mut deletion.recorded).forgets = true;
        tail.extend(1, vec![Arc::new(deletion)]);
        assert!(!format!("{:?}", tail.events).contains("Ottilie"));
    }

    #[test]
    fn a_gap_is_never_passed_over() {
        let events = [Arc::new(user_event(5, 5)), Arc::new(user_event(7, 7))];
        assert!(refuse_gap(4, &events[..1]).is_ok());
        assert!(refuse_gap(4, &events).is_err());
        assert!(refuse_gap(3, &events[..1]).is_err());
    }
}
