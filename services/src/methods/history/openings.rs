//! What opens the personal values of events that are shown, so that they can be held against the leaves.

use rollbook_eventstore::{Direction, Log, ReadQuery};
use rollbook_proto::v1 as pb;

use crate::convert::opening;
use crate::failure::Outcome;

/// Adds to each event what opens its values. The query finds them one after the other, from the first on.
///
/// The log is read a second time, so that nobody who does not want this pays for it. What was erased in between has nothing
/// that opens it any more.
pub(super) async fn add(log: &Log, query: &ReadQuery, events: &mut [pb::Event]) -> Outcome<()> {
    let Some(first) = events.first() else {
        return Ok(());
    };
    let query = ReadQuery {
        from: match query.direction {
            Direction::Forwards => first.position - 1,
            Direction::Backwards => first.position + 1,
        },
        limit: events.len(),
        ..query.clone()
    };
    let stored = log.provable(&query, u64::MAX, true).await?;
    for (event, stored) in events.iter_mut().zip(stored) {
        if event.position == stored.position {
            event.openings = stored.openings.into_iter().map(opening).collect();
        }
    }
    Ok(())
}
