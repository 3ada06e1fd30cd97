//! An event as a reader gets it.

use serde_json::Value;

use crate::clock::Timestamp;
use crate::stream::StreamId;

/// Who caused an append, through which service, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The actor as an opaque id.
    pub actor: String,
    /// The service that called.
    pub service: String,
    /// The request.
    pub request_id: Option<String>,
    /// The trace it was part of.
    pub trace_id: Option<String>,
    /// A reason a person gave. Personal: sealed with the key of each stream it is written to.
    pub reason: Option<String>,
}

/// The reason of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// None was given.
    #[default]
    NotGiven,
    /// The text.
    Known(String),
    /// One was given and is erased.
    Erased,
}

/// An event of the log, unsealed as far as its stream's key exists.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// Its number in the whole log, from 1, without a gap, in commit order.
    pub position: u64,
    /// The last position of its commit.
    pub commit_position: u64,
    /// The account it counts for.
    pub account_id: String,
    /// Its number in the account, from 1, without a gap.
    pub account_number: u64,
    /// Its stream.
    pub stream: StreamId,
    /// Its number in the stream, from 1.
    pub revision: u64,
    /// What happened.
    pub event_type: String,
    /// The version of the payload's form.
    pub event_version: String,
    /// When; never before the event at the position before it.
    pub recorded_at: Timestamp,
    /// Whether its commit destroyed the key of its stream.
    pub forgets: bool,
    /// Who, for which service, why. The reason is there only as far as it is known.
    pub metadata: Metadata,
    /// The reason, told apart from one that is erased.
    pub reason: Reason,
    /// The event as JSON: personal values are `{"$personal": value}` or `{"$erased": true}`, and
    /// `"$recorded_at"` is added at the top.
    pub payload: Value,
    /// The hash of its leaf in the log's tree: over all that is stored of it, personal data in its sealed form.
    pub hash: [u8; 32],
}

impl RecordedEvent {
    /// Drops what is personal.
    pub(crate) fn erase(&mut self) {
        crate::sealing::erase(&mut self.payload);
        self.metadata.reason = None;
        if matches!(self.reason, Reason::Known(_)) {
            self.reason = Reason::Erased;
        }
    }
}

/// An event as history tells it: what [`RecordedEvent`] has, but its content as text and without the hash of its leaf. Most
/// events have nothing to open and are told as they are stored, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldEvent {
    /// As [`RecordedEvent::position`].
    pub position: u64,
    /// As [`RecordedEvent::commit_position`].
    pub commit_position: u64,
    /// As [`RecordedEvent::account_id`].
    pub account_id: String,
    /// As [`RecordedEvent::account_number`].
    pub account_number: u64,
    /// As [`RecordedEvent::stream`].
    pub stream: StreamId,
    /// As [`RecordedEvent::revision`].
    pub revision: u64,
    /// As [`RecordedEvent::event_type`].
    pub event_type: String,
    /// As [`RecordedEvent::event_version`].
    pub event_version: String,
    /// As [`RecordedEvent::recorded_at`].
    pub recorded_at: Timestamp,
    /// As [`RecordedEvent::metadata`].
    pub metadata: Metadata,
    /// As [`RecordedEvent::reason`].
    pub reason: Reason,
    /// The event as JSON: personal values are `{"$personal": value}` or `{"$erased": true}`.
    pub payload: String,
}
