//! Reading the log from a position to its end and beyond.

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::RecordedEvent;
use crate::log::Log;
use crate::read::{Direction, Follow, ReadQuery};

/// Where a replay is.
pub(crate) struct Replay {
    log: Log,
    moved: watch::Receiver<u64>,
    query: ReadQuery,
    follow: bool,
    /// Read above the first, up to the second; moves with every page. `None` before the first page.
    bounds: Option<(u64, u64)>,
    /// A replay that follows ends before this time, which may be still to come.
    until: Option<Timestamp>,
    page: std::vec::IntoIter<RecordedEvent>,
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
            query,
            follow,
            bounds: None,
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

    /// Reads the next page. What is committed after the head was asked for is left to the page after it, so that
    /// nothing a filter hides is looked at twice and nothing is passed over.
    async fn read(&mut self) -> Result<(), StoreError> {
        let (above, up_to) = match self.bounds {
            Some(bounds) => bounds,
            None => self.log.bounds(&self.query).await?,
        };
        let head = self.log.head().await?;
        let end = up_to.min(head);
        let page = self.log.read_page(&self.query, above, end).await?;
        let full = page.len() >= self.query.limit.max(1);
        let (bounds, seen_to) = match (page.last(), self.query.direction) {
            (Some(last), Direction::Forwards) if full => ((last.position, up_to), None),
            (Some(last), Direction::Backwards) if full => ((above, last.position - 1), None),
            (_, Direction::Forwards) => ((end.max(above), up_to), Some(end.max(above))),
            (_, Direction::Backwards) => ((above, 0), Some(above)),
        };
        self.bounds = Some(bounds);
        self.seen_to = seen_to;
        self.page = page.into_iter();
        Ok(())
    }
}
