//! The end of the log as this process wrote it, and the news that the log moved.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::event::RecordedEvent;
use crate::history::History;
use crate::stream::StreamId;

/// How many events are kept.
const KEPT: usize = 4096;

/// Is told of every stream whose key was destroyed, by whichever process, as soon as this one sees it.
pub(crate) type OnForget = dyn Fn(&StreamId) + Send + Sync;

/// What a process knows of the end of its log without asking.
pub(crate) struct Tail {
    /// Contiguous, whole commits except the first.
    events: Mutex<VecDeque<Arc<RecordedEvent>>>,
    head: watch::Sender<u64>,
    forgetful: Mutex<Vec<Weak<OnForget>>>,
    /// Whether all of this still is so.
    pub(crate) history: History,
}

impl Tail {
    pub(crate) fn new(head: u64) -> Self {
        Self {
            events: Mutex::new(VecDeque::new()),
            head: watch::Sender::new(head),
            forgetful: Mutex::new(Vec::new()),
            history: History::new(),
        }
    }

    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    pub(crate) fn moved(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// The log is known to have reached this position.
    pub(crate) fn reached(&self, position: u64) {
        self.head.send_if_modified(|head| {
            let moved = position > *head;
            *head = position.max(*head);
            moved
        });
    }

    /// Adds what this process committed, in order.
    pub(crate) fn push(&self, committed: &[Arc<RecordedEvent>]) {
        let Some(first) = committed.first() else {
            return;
        };
        {
            let mut events = lock(&self.events);
            if events
                .back()
                .is_some_and(|last| last.position + 1 != first.position)
            {
                events.clear();
            }
            events.extend(committed.iter().cloned());
            let excess = events.len().saturating_sub(KEPT);
            events.drain(..excess);
        }
        self.heed(committed.iter().map(AsRef::as_ref));
    }

    /// Forgets the streams that these events say are forgotten.
    pub(crate) fn heed<'a>(&self, events: impl Iterator<Item = &'a RecordedEvent>) {
        let forgotten: BTreeSet<_> = events
            .filter(|event| event.forgets)
            .map(|event| &event.stream)
            .collect();
        for stream in forgotten {
            self.forget(stream);
        }
    }

    /// What follows a position, in whole commits of at least `limit` events together as far as they are there; `None`
    /// where the answer is not here.
    pub(crate) fn after(&self, position: u64, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let events = lock(&self.events);
        let first = events.front()?.position;
        let start = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        let last = events
            .get(start.checked_add(limit.max(1) - 1)?)
            .or(events.back())?;
        let end = usize::try_from(last.commit_position + 1 - first).ok()?;
        (start < end && end <= events.len()).then(|| events.range(start..end).cloned().collect())
    }

    /// The hash of an event that is kept.
    pub(crate) fn hash(&self, position: u64) -> Option<[u8; 32]> {
        let events = lock(&self.events);
        let first = events.front()?.position;
        let index = usize::try_from(position.checked_sub(first)?).ok()?;
        Some(events.get(index)?.hash)
    }

    /// A stream's key is gone: nothing personal of it stays here.
    fn forget(&self, stream: &StreamId) {
        for event in lock(&self.events).iter_mut() {
            if event.stream == *stream {
                let mut erased = RecordedEvent::clone(event);
                erased.erase();
                *event = Arc::new(erased);
            }
        }
        lock(&self.forgetful).retain(|listener| match listener.upgrade() {
            Some(listener) => {
                listener(stream);
                true
            }
            None => false,
        });
    }

    /// Calls back on every [`Self::forget`] for as long as somebody keeps the callback.
    pub(crate) fn on_forget(&self, listener: &Arc<OnForget>) {
        lock(&self.forgetful).push(Arc::downgrade(listener));
    }
}

/// What these locks guard is whole after every statement, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
