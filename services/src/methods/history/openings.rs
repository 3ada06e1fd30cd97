//! What opens the personal values of events that are shown, so that they can be held against the leaves.

use std::collections::BTreeMap;

use rollbook_eventstore::{Filter, Log, ReadQuery};
use rollbook_proto::v1 as pb;

use crate::convert::opening;
use crate::failure::Outcome;

/// Adds to each event what opens its values.
///
/// The log is read a second time, so that nobody who does not want this pays for it. What was erased in between has nothing
/// that opens it any more.
pub(super) async fn add(log: &Log, events: &mut [pb::Event]) -> Outcome<()> {
    if events.is_empty() {
        return Ok(());
    }
    let query = ReadQuery {
        limit: events.len(),
        filter: Filter {
            positions: events.iter().map(|event| event.position).collect(),
            ..Filter::default()
        },
        ..ReadQuery::default()
    };
    let stored = log.provable(&query, u64::MAX, true).await?;
    let mut openings: BTreeMap<_, _> = stored
        .into_iter()
        .map(|stored| (stored.position, stored.openings))
        .collect();
    for event in events {
        let found = openings.remove(&event.position).unwrap_or_default();
        event.openings = found.into_iter().map(opening).collect();
    }
    Ok(())
}
