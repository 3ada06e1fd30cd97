//! Events as they are stored, on the wire and back.

use rollbook_eventstore::proof::{Hash, Opening, ProvableEvent};
use rollbook_eventstore::{StreamId, Timestamp};
use rollbook_proto::v1 as pb;

use super::super::wire_time;

/// An event as the contract has it.
#[must_use]
pub fn stored_event(event: ProvableEvent, proof: Vec<Hash>) -> pb::StoredEvent {
    let openings = event.openings.into_iter();
    pb::StoredEvent {
        position: event.position,
        commit_position: event.commit_position,
        account_id: event.account_id,
        account_number: event.account_number,
        stream: event.stream.to_string(),
        revision: event.revision,
        event_type: event.event_type,
        event_version: event.event_version,
        recorded_at: Some(wire_time(event.recorded_at)),
        forgets: event.forgets,
        payload: event.payload,
        metadata: event.metadata,
        leaf_hash: event.leaf.map(Vec::from).unwrap_or_default(),
        openings: openings.map(opening).collect(),
        inclusion_proof: proof.into_iter().map(Vec::from).collect(),
        fault: event.fault.unwrap_or_default(),
    }
}

/// What opens a value, as the contract has it.
#[must_use]
pub fn opening(opening: Opening) -> pb::Opening {
    pb::Opening {
        place: opening.place,
        salt: opening.salt,
        value: opening.value,
    }
}

/// An event as it came, and its proof; `None` where it is malformed.
#[must_use]
pub fn read_stored_event(event: pb::StoredEvent) -> Option<(ProvableEvent, Vec<Hash>)> {
    let time = event.recorded_at?;
    let nanos = u32::try_from(time.nanos).ok()?;
    let stream: StreamId = event.stream.parse().ok()?;
    let proof = event.inclusion_proof.into_iter();
    let proof = proof
        .map(|hash| hash.try_into().ok())
        .collect::<Option<_>>()?;
    let openings = event.openings.into_iter();
    let event = ProvableEvent {
        position: event.position,
        commit_position: event.commit_position,
        account_id: event.account_id,
        account_number: event.account_number,
        stream,
        revision: event.revision,
        event_type: event.event_type,
        event_version: event.event_version,
        recorded_at: Timestamp::from_timestamp(time.seconds, nanos)?,
        forgets: event.forgets,
        payload: event.payload,
        metadata: event.metadata,
        leaf: event.leaf_hash.try_into().ok(),
        openings: openings
            .map(|opening| Opening {
                place: opening.place,
                salt: opening.salt,
                value: opening.value,
            })
            .collect(),
        fault: Some(event.fault).filter(|fault| !fault.is_empty()),
    };
    Some((event, proof))
}
