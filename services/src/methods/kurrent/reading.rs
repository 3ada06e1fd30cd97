//! Reads that end: so many events of a stream or of the log.

use futures::StreamExt as _;
use rollbook_eventstore::{Direction, Filter, Follow, ReadQuery, StreamId, StreamQuery, ToldEvent};

use super::super::streaming::{Gone, send};
use super::asked::{Named, Start};
use super::filter::EventFilter;
use super::{EVENTS_AT_A_TIME, Reader, told};
use crate::failure::Outcome;

/// Which events of a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) direction: Direction,
    pub(super) start: Start,
    pub(super) count: u64,
    /// Whether the client understands being told where the end is.
    pub(super) tells_end: bool,
}

impl Reader {
    pub(super) async fn read_stream(self, named: Named, range: Range) -> Outcome<()> {
        let found = match &named.stream {
            Some(stream) => self.last(stream).await?.map(|last| (stream, last)),
            None => None,
        };
        let Some((stream, last)) = found else {
            let _: Result<(), Gone> = send(&self.sender, vec![told::not_found(named.name)]).await;
            return Ok(());
        };
        // Revisions count from 0 there and from 1 here.
        let (mut above, mut up_to) = match (range.direction, range.start) {
            (Direction::Forwards, Start::Beginning) | (Direction::Backwards, Start::End) => {
                (0, last.revision)
            }
            (Direction::Forwards, Start::At(revision)) => (revision, last.revision),
            (Direction::Forwards, Start::End) => (last.revision, last.revision),
            (Direction::Backwards, Start::At(revision)) => (0, revision.saturating_add(1)),
            (Direction::Backwards, Start::Beginning) => (0, 1),
        };
        let mut left = range.count;
        while left > 0 && above < up_to {
            let limit = at_most(left);
            let query = StreamQuery {
                stream: stream.clone(),
                account_id: self.account.clone(),
                direction: range.direction,
                above,
                up_to,
                limit,
            };
            let events = self.directory.log().read_stream(&query).await?;
            let Some(revision) = events.last().map(|last| last.revision) else {
                break;
            };
            match range.direction {
                Direction::Forwards => above = revision,
                Direction::Backwards => up_to = revision - 1,
            }
            left -= events.len() as u64;
            let ended = events.len() < limit;
            let batch = events.into_iter().map(|event| self.teller.event(event));
            if let Err(Gone) = send(&self.sender, batch.collect()).await {
                return Ok(());
            }
            if ended {
                break;
            }
        }
        if range.tells_end {
            let end = told::last_of_stream(last.revision - 1);
            let _: Result<(), Gone> = send(&self.sender, vec![end]).await;
        }
        Ok(())
    }

    /// The last event of a stream that the caller may see.
    pub(super) async fn last(&self, stream: &StreamId) -> Outcome<Option<ToldEvent>> {
        let query = StreamQuery {
            stream: stream.clone(),
            account_id: self.account.clone(),
            direction: Direction::Backwards,
            above: 0,
            up_to: u64::MAX,
            limit: 1,
        };
        Ok(self.directory.log().read_stream(&query).await?.pop())
    }

    pub(super) async fn read_log(self, filter: Option<EventFilter>, range: Range) -> Outcome<()> {
        let from = match (range.direction, range.start) {
            (Direction::Forwards, Start::Beginning) | (Direction::Backwards, Start::End) => Some(0),
            (Direction::Forwards, Start::At(position)) => Some(position.saturating_sub(1)),
            (Direction::Backwards, Start::At(position)) if position > 0 => Some(position),
            (Direction::Forwards, Start::End)
            | (Direction::Backwards, Start::Beginning | Start::At(_)) => None,
        };
        if let Some(from) = from
            && let Err(Gone) = self.send_log(filter, range, from).await?
        {
            return Ok(());
        }
        if range.tells_end && range.direction == Direction::Backwards {
            let head = self.directory.log().head().await?;
            let _: Result<(), Gone> = send(&self.sender, vec![told::last_of_log(head)]).await;
        }
        Ok(())
    }

    async fn send_log(
        &self,
        filter: Option<EventFilter>,
        range: Range,
        from: u64,
    ) -> Outcome<Result<(), Gone>> {
        let mut left = range.count;
        let query = ReadQuery {
            direction: range.direction,
            from,
            // Of those that a filter looks at nobody knows how many pass.
            limit: filter.as_ref().map_or(at_most(left), |_| EVENTS_AT_A_TIME),
            filter: self.seen(),
        };
        let events = self.directory.log().replay(query, false);
        let mut chunks = Box::pin(events.ready_chunks(EVENTS_AT_A_TIME));
        while left > 0
            && let Some(chunk) = chunks.next().await
        {
            let mut batch = Vec::with_capacity(chunk.len());
            for item in chunk {
                let Follow::Event(event) = item? else {
                    continue;
                };
                let passes = match &filter {
                    Some(filter) => filter.passes(&event)?,
                    None => true,
                };
                if passes && left > 0 {
                    left -= 1;
                    batch.push(self.teller.event(*event));
                }
            }
            if let Err(Gone) = send(&self.sender, batch).await {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }

    /// The events that the caller may see.
    pub(super) fn seen(&self) -> Filter {
        Filter {
            account_id: self.account.clone(),
            ..Filter::default()
        }
    }
}

/// How many events to read next where so many are left.
fn at_most(left: u64) -> usize {
    usize::try_from(left).map_or(EVENTS_AT_A_TIME, |left| left.min(EVENTS_AT_A_TIME))
}
