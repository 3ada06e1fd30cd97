//! Reading the log from a position to its end and beyond.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::ToldEvent;
use crate::log::Log;
use crate::read::{Direction, Follow, ReadQuery};

/// Where a replay is.
pub(crate) struct Replay {
    log: Log,
    moved: watch::Receiver<u64>,
    query: Arc<ReadQuery>,
    follow: bool,
    /// Read above the first, up to the second; moves with every page. `None` before the first page.
    bounds: Option<(u64, u64)>,
    /// The page after this one, which is read while this one is told. Reading ends with the replay.
    ahead: JoinSet<Result<Read, StoreError>>,
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
            ahead: JoinSet::new(),
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
        } = match self.ahead.join_next().await {
            Some(read) => read.map_err(StoreError::unavailable)??,
            None => read(self.log.clone(), self.query.clone(), self.bounds).await?,
        };
        if goes_on && seen_to.is_none() {
            let next = read(self.log.clone(), self.query.clone(), Some(bounds));
            self.ahead.spawn(next);
        }
        self.bounds = Some(bounds);
        self.seen_to = seen_to;
        self.page = page.into_iter();
        Ok(())
    }
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
