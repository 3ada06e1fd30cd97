//! Reading the log from a position to its end and beyond.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::ToldEvent;
use crate::log::Log;
use crate::read::{Direction, Follow, ReadQuery};

/// How many pages are read while one is told, where it is known where they lie.
const PAGES_AHEAD: usize = 2;

/// Where a replay is.
pub(crate) struct Replay {
    log: Log,
    moved: watch::Receiver<u64>,
    query: Arc<ReadQuery>,
    follow: bool,
    /// Read above the first, up to the second; moves with every page. `None` before the first page.
    bounds: Option<(u64, u64)>,
    /// The pages after this one, which are read while this one is told. Reading ends with the replay.
    ahead: VecDeque<Ahead>,
    /// A replay that follows ends before this time, which may be still to come.
    until: Option<Timestamp>,
    page: std::vec::IntoIter<ToldEvent>,
    /// Everything up to here is in this page or was before it.
    seen_to: Option<u64>,
    announced: bool,
    ended: bool,
}

impl Replay {
    pub(crate) fn new(log: Log, mut query: ReadQuery, follow: bool) -> Self {
        let follow = follow && query.direction == Direction::Forwards;
        let until = follow.then(|| query.filter.to_time.take()).flatten();
        Self {
            moved: log.moved(),
            log,
            query: Arc::new(query),
            follow,
            bounds: None,
            ahead: VecDeque::new(),
            until,
            page: Vec::new().into_iter(),
            seen_to: None,
            announced: false,
            ended: false,
        }
    }

    /// The next item, or `None` at the end of a replay that does not follow.
    pub(crate) async fn next(&mut self) -> Result<Option<Follow>, StoreError> {
        while !self.ended {
            if let Some(event) = self.page.next() {
                if self.until.is_some_and(|until| event.recorded_at >= until) {
                    break;
                }
                self.announced = false;
                return Ok(Some(Follow::Event(Box::new(event))));
            }
            match self.seen_to.take() {
                None => self.read().await?,
                Some(position) if !self.announced => {
                    self.announced = true;
                    if self.follow {
                        self.seen_to = Some(position);
                    } else {
                        self.ended = true;
                    }
                    if self.query.direction == Direction::Forwards {
                        return Ok(Some(Follow::CaughtUp(position)));
                    }
                }
                Some(position) => self
                    .moved
                    .wait_for(|head| *head > position)
                    .await
                    .map(drop)
                    .map_err(|_| StoreError::Closed)?,
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// Goes on to the next page.
    async fn read(&mut self) -> Result<(), StoreError> {
        // Who wants one page more is likely to want the rest.
        let goes_on = self.bounds.is_some();
        let Read {
            page,
            bounds,
            seen_to,
        } = match self.ahead.pop_front() {
            Some(ahead) => ahead.read.await.map_err(StoreError::unavailable)??,
            None => read(self.log.clone(), self.query.clone(), self.bounds).await?,
        };
        if goes_on && seen_to.is_none() {
            self.read_ahead(bounds);
        }
        self.bounds = Some(bounds);
        self.seen_to = seen_to;
        self.page = page.into_iter();
        Ok(())
    }

    /// Begins to read the pages that come next, as far as it is known where they lie.
    fn read_ahead(&mut self, bounds: (u64, u64)) {
        let last = self.ahead.back().map(|last| last.behind);
        let mut next = last.unwrap_or(Some(bounds));
        while self.ahead.len() < PAGES_AHEAD
            && let Some(bounds) = next
        {
            next = self.behind(bounds);
            let read = read(self.log.clone(), self.query.clone(), Some(bounds));
            self.ahead.push_back(Ahead {
                read: AbortOnDropHandle::new(tokio::spawn(read)),
                behind: next,
            });
        }
    }

    /// Where the page behind one lies, where that is known before it is read.
    fn behind(&self, (above, up_to): (u64, u64)) -> Option<(u64, u64)> {
        let last = above.saturating_add(self.query.limit.max(1) as u64);
        let is_known = self.query.is_dense() && last <= up_to.min(*self.moved.borrow());
        is_known.then_some((last, up_to))
    }
}

/// A page that is being read.
struct Ahead {
    read: AbortOnDropHandle<Result<Read, StoreError>>,
    /// Where the one behind it lies, where that is known.
    behind: Option<(u64, u64)>,
}

/// A page that was read, and where the next one lies.
struct Read {
    page: Vec<ToldEvent>,
    bounds: (u64, u64),
    /// Everything up to here was looked at; nothing where the page is full.
    seen_to: Option<u64>,
}

/// Reads a page. What is committed after the head was asked for is left to the page after it, so that nothing a filter hides is
/// looked at twice and nothing is passed over.
async fn read(
    log: Log,
    query: Arc<ReadQuery>,
    bounds: Option<(u64, u64)>,
) -> Result<Read, StoreError> {
    let (above, up_to) = match bounds {
        Some(bounds) => bounds,
        None => log.bounds(&query).await?,
    };
    let head = log.head().await?;
    let end = up_to.min(head);
    if query.is_dense() {
        let limit = query.limit.max(1) as u64;
        let last = end.min(above.saturating_add(limit)).max(above);
        return Ok(Read {
            page: log.list_between(&query, above, last).await?,
            bounds: (last, up_to),
            seen_to: (last >= end).then_some(last),
        });
    }
    let page = log.list_between(&query, above, end).await?;
    let full = page.len() >= query.limit.max(1);
    let (bounds, seen_to) = match (page.last(), query.direction) {
        (Some(last), Direction::Forwards) if full => ((last.position, up_to), None),
        (Some(last), Direction::Backwards) if full => ((above, last.position - 1), None),
        (_, Direction::Forwards) => ((end.max(above), up_to), Some(end.max(above))),
        (_, Direction::Backwards) => ((above, 0), Some(above)),
    };
    Ok(Read {
        page,
        bounds,
        seen_to,
    })
}
