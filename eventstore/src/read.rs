//! Questions for pages of the log.

use crate::clock::Timestamp;
use crate::event::ToldEvent;
use crate::stream::StreamId;

/// Which way to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forwards,
    /// Newest first.
    Backwards,
}

/// Which events to read; what is empty or `None` lets every event through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this account's.
    pub account_id: Option<String>,
    /// Only of one of these streams.
    pub streams: Vec<StreamId>,
    /// Only of streams of one of these types.
    pub aggregate_types: Vec<String>,
    /// Only of one of these types.
    pub event_types: Vec<String>,
    /// Only done by this actor.
    pub actor: Option<String>,
    /// Only from this time on.
    pub from_time: Option<Timestamp>,
    /// Only before this time.
    pub to_time: Option<Timestamp>,
    /// Only at one of these positions.
    pub positions: Vec<u64>,
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadQuery {
    /// Which way.
    pub direction: Direction,
    /// Forwards: after this position. Backwards: before it, where 0 stands for the end of the log.
    pub from: u64,
    /// At most so many events a page.
    pub limit: usize,
    /// Which events.
    pub filter: Filter,
}

impl ReadQuery {
    /// Whether it lets every event through between its bounds, so that positions tell how many there are.
    pub(crate) fn is_dense(&self) -> bool {
        let Self {
            direction,
            from: _,
            limit: _,
            filter,
        } = self;
        let Filter {
            account_id,
            streams,
            aggregate_types,
            event_types,
            actor,
            from_time: _,
            to_time: _,
            positions,
        } = filter;
        *direction == Direction::Forwards
            && account_id.is_none()
            && streams.is_empty()
            && aggregate_types.is_empty()
            && event_types.is_empty()
            && actor.is_none()
            && positions.is_empty()
    }
}

impl Default for ReadQuery {
    fn default() -> Self {
        Self {
            direction: Direction::Forwards,
            from: 0,
            limit: 1000,
            filter: Filter::default(),
        }
    }
}

/// A page of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamQuery {
    /// Which stream.
    pub stream: StreamId,
    /// Only this account's events of it.
    pub account_id: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// Only after this revision.
    pub above: u64,
    /// Only up to this revision.
    pub up_to: u64,
    /// At most so many events.
    pub limit: usize,
}

/// What a replay yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Follow {
    /// The next event.
    Event(Box<ToldEvent>),
    /// Every event up to this position was looked at; what follows is new. A replay may resume from here.
    CaughtUp(u64),
}
