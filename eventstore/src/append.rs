//! What an append is: everything that must happen in one commit, and what comes back from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Cause;
use crate::event::{Metadata, RecordedEvent};
use crate::stream::StreamId;

/// An event before it is in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened, such as `UserLocked`.
    pub event_type: String,
    /// The version of the payload's form.
    pub event_version: String,
    /// The event as JSON. A personal value stands as `{"$personal": value}` and is stored sealed.
    pub payload: Value,
}

impl NewEvent {
    /// Serialises an event of the domain.
    ///
    /// # Errors
    /// When the event cannot be written as JSON.
    pub fn of<E: cqrs_es::DomainEvent>(event: &E) -> Result<Self, serde_json::Error> {
        Ok(Self {
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: serde_json::to_value(event)?,
        })
    }
}

/// What one append adds to one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// The account that the events count for.
    pub account_id: String,
    /// The revision the stream must have: 0 for one that must not exist. Checked without events too.
    pub expected_revision: u64,
    /// The events, oldest first.
    pub events: Vec<NewEvent>,
    /// Destroys the stream's key and side rows in the same commit. Needs an event that says so.
    pub forget: bool,
}

/// An event for a stream that no command loads: it is added wherever the stream stands. Nothing in it is personal, and it
/// carries no reason, since both are sealed for one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The stream.
    pub stream: StreamId,
    /// The account that the event counts for.
    pub account_id: String,
    /// The event.
    pub event: NewEvent,
}

/// One of a bounded number of tries, counted in a side row: it is taken in the same commit, or there is none left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The stream that the row belongs to.
    pub stream: StreamId,
    /// The kind of the row.
    pub kind: String,
    /// Which series of tries it is one of; another series begins anew.
    pub series: i64,
    /// How many tries a series has.
    pub limit: u32,
}

/// What became of a [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotTaken {
    /// Whether it was taken.
    pub taken: bool,
    /// How many of the series are taken, with this one.
    pub used: u32,
    /// When the last of them was taken.
    pub last_at: Timestamp,
}

/// The key of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClaimKey {
    /// Stored as it is.
    Plain(String),
    /// Personal data: stored as a keyed hash, so that it outlives its person without naming it.
    Personal(String),
}

/// Something in an account that can be claimed, such as the signature `anna`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The account.
    pub account_id: String,
    /// What is claimed: `signature`, `administrator`, …
    pub kind: String,
    /// Which one.
    pub key: ClaimKey,
}

/// A claim with one of its owners; a claim may have several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeldClaim {
    /// The claim.
    pub claim: Claim,
    /// Who holds it.
    pub owner: String,
}

/// What must be so at the moment of the commit, before the append's own claims are released and taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nobody holds the claim.
    Free(Claim),
    /// Nobody but `owner` holds the claim.
    FreeBut {
        /// The claim.
        claim: Claim,
        /// Who may hold it.
        owner: String,
    },
    /// `owner` holds the claim, whoever else does.
    HeldBy {
        /// The claim.
        claim: Claim,
        /// Who must hold it.
        owner: String,
    },
    /// Somebody other than `owner` holds the claim.
    Another {
        /// The claim.
        claim: Claim,
        /// Who does not count.
        owner: String,
    },
    /// These hold the claim and nobody else does.
    Exactly {
        /// The claim.
        claim: Claim,
        /// Its owners.
        owners: BTreeSet<String>,
    },
    /// No key of this kind in the account has two owners.
    Unshared {
        /// The account.
        account_id: String,
        /// The kind of the claims.
        kind: String,
    },
}

/// A command's own id, so that it is committed once however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The account it belongs to.
    pub account_id: String,
    /// The id the caller chose.
    pub request_id: Uuid,
    /// A keyed digest of the request's content ([`crate::Log::digest`]).
    pub digest: [u8; 32],
    /// The answer in a form of the caller's, without personal data; given back on a repeat.
    pub outcome: Vec<u8>,
}

/// A secret beside a stream, such as a password's hash, that changes in the same commit and goes with the stream's key.
#[derive(Clone, PartialEq, Eq)]
pub struct SideRow {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What it is.
    pub kind: String,
    /// The new value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

impl std::fmt::Debug for SideRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SideRow")
            .field("stream", &self.stream)
            .field("kind", &self.kind)
            .field("set", &self.value.is_some())
            .finish_non_exhaustive()
    }
}

/// One commit: all of it happens, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Append {
    /// The streams, each at most once.
    pub streams: Vec<StreamAppend>,
    /// What must be so.
    pub require: Vec<Requirement>,
    /// Claims given up. One that is not held is no error.
    pub release: Vec<HeldClaim>,
    /// Claims taken, after the releases. One already held is no error.
    pub take: Vec<HeldClaim>,
    /// The command's own id.
    pub request: Option<Request>,
    /// Secrets to set or remove.
    pub side: Vec<SideRow>,
    /// Tries to count.
    pub slots: Vec<Slot>,
    /// Events for streams that no command loads.
    pub told: Vec<Told>,
    /// Who did it, for which service, why.
    pub metadata: Metadata,
}

impl Append {
    /// Whether it would change anything, where all that it requires holds.
    #[must_use]
    pub fn changes(&self) -> bool {
        let Self {
            streams,
            require: _,
            release,
            take,
            request,
            side,
            slots,
            told,
            metadata: _,
        } = self;
        streams
            .iter()
            .any(|stream| stream.forget || !stream.events.is_empty())
            || !(release.is_empty() && take.is_empty() && side.is_empty())
            || !(slots.is_empty() && told.is_empty() && request.is_none())
    }
}

/// An append that is in the log, or found to be allowed where it had nothing to write.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The position of its first event; without events the head at that moment.
    pub first_position: u64,
    /// The position of its last event; without events the head at that moment.
    pub last_position: u64,
    /// When.
    pub recorded_at: Timestamp,
    /// The events as a reader gets them.
    pub events: Vec<Arc<RecordedEvent>>,
    /// What became of each slot, in their order.
    pub slots: Vec<SlotTaken>,
}

/// A stream that is not at the revision it was expected at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream: StreamId,
    /// The revision it was expected at.
    pub expected: u64,
    /// The revision it has.
    pub actual: u64,
}

/// A requirement that does not hold, with the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The requirement.
    pub requirement: Requirement,
    /// Who holds the claim; for [`Requirement::Unshared`] who shares.
    pub holders: Holders,
}

/// Who holds a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// How many.
    pub count: u64,
    /// The first hundred of them, ascending.
    pub owners: Vec<String>,
}

/// The same request was committed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// As answered then.
    pub first_position: u64,
    /// As answered then.
    pub last_position: u64,
    /// As answered then.
    pub recorded_at: Timestamp,
    /// What the request carried then as its outcome.
    pub outcome: Vec<u8>,
}

/// Why nothing was committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Streams have moved.
    #[error("{} of the streams moved, first {}", .0.len(), .0.first().map_or_else(String::new, |c| c.stream.to_string()))]
    Conflict(Vec<Conflict>),
    /// Requirements do not hold; all of those that do not.
    #[error("{} of the requirements do not hold", .0.len())]
    Refused(Vec<Violation>),
    /// The request was committed within the last seven days.
    #[error("the request was committed before, at position {}", .0.last_position)]
    Repeated(Repeated),
    /// The request id was used within the last seven days for another content.
    #[error("the request id was used for another request")]
    RequestReused,
    /// The key of the stream is destroyed, so nothing personal can be written to it.
    #[error("stream {0} is forgotten")]
    Forgotten(StreamId),
    /// The log is an archive, to which nothing can be added.
    #[error("the log is an archive")]
    Archived,
    /// More than one commit may hold.
    #[error("the append is larger than one commit may be")]
    TooLarge,
    /// The append contradicts itself or holds what cannot be stored.
    #[error("the append is malformed: {0}")]
    Malformed(String),
    /// It could not be committed, or its fate not be looked up. A request id tells on the next try.
    #[error("the log cannot take the append now")]
    Unavailable(#[source] Cause),
    /// The log holds something it cannot hold.
    #[error("the log is corrupt: {0}")]
    Corrupt(String),
}
