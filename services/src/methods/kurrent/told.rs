//! Events and what is said around them, in the words of that contract.

use rollbook_eventstore::{Clock, Timestamp, ToldEvent};
use rollbook_proto::kurrent as shared;
use rollbook_proto::kurrent::streams as wire;
use rollbook_proto::kurrent::streams::read_resp::Content;
use rollbook_proto::kurrent::streams::read_resp::read_event;
use rollbook_proto::kurrent::streams::{ReadResp, read_resp};
use rollbook_proto::v1 as pb;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::asked::Ids;
use crate::convert::{Disclose, event as shown, wire_time};

/// Tells one client what it reads.
pub(super) struct Teller {
    pub(super) log_id: Uuid,
    pub(super) ids: Ids,
    pub(super) disclose: Disclose,
    pub(super) clock: Clock,
}

/// What is recorded with an event beside its content, named as in [`pb::Event`].
#[derive(Serialize)]
struct Beside<'a> {
    account_id: &'a str,
    account_number: u64,
    commit_position: u64,
    event_version: &'a str,
    actor: &'a str,
    service: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Value::is_null")]
    reason: Value,
}

impl Teller {
    pub(super) fn event(&self, recorded: ToldEvent) -> ReadResp {
        let (position, revision) = (recorded.position, recorded.revision - 1);
        let created = ticks(recorded.recorded_at).to_string();
        let id = Uuid::new_v5(&self.log_id, &position.to_be_bytes());
        let event = shown(recorded, self.disclose);
        let beside = beside(&event);
        let metadata = [
            ("type", event.event_type),
            ("content-type", "application/json".to_owned()),
            ("created", created),
        ];
        let recorded = read_event::RecordedEvent {
            id: Some(uuid(id, self.ids)),
            stream_identifier: Some(identifier(event.stream.into_bytes())),
            stream_revision: revision,
            prepare_position: position,
            commit_position: position,
            metadata: metadata
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            custom_metadata: beside,
            data: event.payload.into_bytes(),
        };
        said(Content::Event(read_resp::ReadEvent {
            event: Some(recorded),
            link: None,
            position: Some(read_event::Position::CommitPosition(position)),
        }))
    }

    pub(super) fn caught_up(&self, revision: Option<u64>, position: Option<u64>) -> ReadResp {
        said(Content::CaughtUp(read_resp::CaughtUp {
            timestamp: Some(wire_time(self.clock.now())),
            stream_revision: revision.and_then(|revision| i64::try_from(revision).ok()),
            position: position.map(place),
        }))
    }

    pub(super) fn fell_behind(&self, revision: Option<u64>, position: Option<u64>) -> ReadResp {
        said(Content::FellBehind(read_resp::FellBehind {
            timestamp: Some(wire_time(self.clock.now())),
            stream_revision: revision.and_then(|revision| i64::try_from(revision).ok()),
            position: position.map(place),
        }))
    }

    pub(super) fn checkpoint(&self, position: u64) -> ReadResp {
        said(Content::Checkpoint(read_resp::Checkpoint {
            commit_position: position,
            prepare_position: position,
            timestamp: Some(wire_time(self.clock.now())),
        }))
    }
}

/// That a subscription has begun.
pub(super) fn confirmed() -> ReadResp {
    said(Content::Confirmation(read_resp::SubscriptionConfirmation {
        subscription_id: crate::executor::new_id().to_string(),
    }))
}

pub(super) fn not_found(name: Vec<u8>) -> ReadResp {
    said(Content::StreamNotFound(read_resp::StreamNotFound {
        stream_identifier: Some(identifier(name)),
    }))
}

/// The last revision of a stream, which counts from 0.
pub(super) fn last_of_stream(revision: u64) -> ReadResp {
    said(Content::LastStreamPosition(revision))
}

pub(super) fn last_of_log(position: u64) -> ReadResp {
    said(Content::LastAllStreamPosition(shared::AllStreamPosition {
        commit_position: position,
        prepare_position: position,
    }))
}

fn said(content: Content) -> ReadResp {
    wire::ReadResp {
        content: Some(content),
    }
}

fn place(position: u64) -> read_resp::Position {
    read_resp::Position {
        commit_position: position,
        prepare_position: position,
    }
}

fn identifier(stream_name: Vec<u8>) -> shared::StreamIdentifier {
    shared::StreamIdentifier { stream_name }
}

/// A time in tenths of microseconds since 1970.
pub(super) fn ticks(time: Timestamp) -> i64 {
    time.timestamp_micros().saturating_mul(10)
}

pub(super) fn uuid(id: Uuid, ids: Ids) -> shared::Uuid {
    use shared::uuid::{Structured, Value};
    let value = match ids {
        Ids::Text => Value::String(id.to_string()),
        Ids::Numbers => {
            let (most, least) = id.as_u64_pair();
            Value::Structured(Structured {
                most_significant_bits: most.cast_signed(),
                least_significant_bits: least.cast_signed(),
            })
        }
    };
    shared::Uuid { value: Some(value) }
}

fn beside(event: &pb::Event) -> Vec<u8> {
    // As personal values stand in a payload.
    let reason = match event.reason_disclosure() {
        pb::Disclosure::Unspecified => Value::Null,
        pb::Disclosure::Shown => json!({"$personal": event.reason}),
        pb::Disclosure::Withheld => json!({"$withheld": true}),
        pb::Disclosure::Erased => json!({"$erased": true}),
    };
    let beside = Beside {
        account_id: &event.account_id,
        account_number: event.account_number,
        commit_position: event.commit_position,
        event_version: &event.event_version,
        actor: &event.actor,
        service: &event.service,
        request_id: &event.request_id,
        trace_id: &event.trace_id,
        reason,
    };
    // Texts and numbers can always be written.
    serde_json::to_vec(&beside).unwrap_or_default()
}
