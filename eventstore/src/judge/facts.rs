//! What is asked before a batch is judged, what is known then, and what is to be written after.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::append::{AppendError, Holders, Repeated};
use crate::clock::Timestamp;
use crate::keys::ClaimRow;
use crate::prepared::{Ask, Held, KeyUse, Prepared};
use crate::ring::KeyId;
use crate::stream::StreamId;

/// How many owners are named.
pub(crate) const NAMED: usize = 100;

/// How long a request id is remembered.
pub(crate) const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// What must be known to judge a batch.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    pub(crate) streams: Vec<StreamId>,
    pub(crate) keys: Vec<StreamId>,
    pub(crate) accounts: Vec<String>,
    pub(crate) claims: Vec<ClaimRow>,
    pub(crate) members: Vec<Held>,
    pub(crate) requests: Vec<(String, Uuid)>,
    pub(crate) shared: Vec<(String, String)>,
    pub(crate) side: Vec<(StreamId, String)>,
    /// Which master key wraps what is new.
    pub(crate) wrapping: bool,
}

impl Questions {
    pub(crate) fn of<'a>(batch: impl Iterator<Item = &'a Prepared> + Clone) -> Self {
        let streams = batch.clone().flat_map(|append| &append.streams);
        let slots = batch.clone().flat_map(|append| &append.slots);
        let asks = batch.clone().flat_map(|append| &append.require);
        let claims: BTreeSet<_> = asks.clone().filter_map(|r| r.ask.row()).collect();
        let moved = batch
            .clone()
            .flat_map(|append| append.release.iter().chain(&append.take))
            .filter(|held| claims.contains(&held.row));
        let members: BTreeSet<_> = asks
            .clone()
            .flat_map(|r| r.ask.owners())
            .chain(moved)
            .collect();
        // A stream that must not exist has no key either.
        let keys: BTreeSet<_> = streams
            .clone()
            .filter(|s| s.expected_revision.is_some_and(|revision| revision > 0))
            .filter(|s| matches!(s.key, KeyUse::Held(_) | KeyUse::New(_)))
            .map(|s| &s.stream)
            .chain(batch.clone().flat_map(|a| &a.side).map(|row| &row.stream))
            .chain(slots.clone().map(|slot| &slot.stream))
            .collect();
        let shared: BTreeSet<_> = asks
            .filter_map(|r| match &r.ask {
                Ask::Unshared { account_id, kind } => Some((account_id.clone(), kind.clone())),
                Ask::Free(_)
                | Ask::FreeBut(_)
                | Ask::HeldBy(_)
                | Ask::Another(_)
                | Ask::Exactly(..) => None,
            })
            .collect();
        let wrapping = streams
            .clone()
            .any(|stream| matches!(stream.key, KeyUse::New(_)));
        let side: BTreeSet<_> = slots
            .map(|slot| (slot.stream.clone(), slot.kind.clone()))
            .collect();
        Self {
            wrapping,
            side: side.into_iter().collect(),
            streams: distinct(streams.clone().map(|s| &s.stream)),
            accounts: distinct(
                streams
                    .filter(|s| !s.events.is_empty())
                    .map(|s| &s.account_id),
            ),
            requests: batch.filter_map(Prepared::request_key).collect(),
            keys: keys.into_iter().cloned().collect(),
            claims: claims.into_iter().cloned().collect(),
            members: members.into_iter().cloned().collect(),
            shared: shared.into_iter().collect(),
        }
    }
}

fn distinct<'a, T: Ord + Clone + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    let set: BTreeSet<_> = items.collect();
    set.into_iter().cloned().collect()
}

/// A stream's key as the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyState {
    #[default]
    Absent,
    Present(Vec<u8>),
    Destroyed,
}

/// A request that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestRow {
    pub(crate) digest: Vec<u8>,
    pub(crate) repeated: Repeated,
}

impl RequestRow {
    /// What a request under its id is answered; none once it is not remembered any more.
    pub(crate) fn answer(&self, digest: &[u8], now: Timestamp) -> Option<AppendError> {
        (self.repeated.recorded_at + REMEMBERED > now).then(|| {
            if self.digest == digest {
                AppendError::Repeated(self.repeated.clone())
            } else {
                AppendError::RequestReused
            }
        })
    }
}

/// The answers to [`Questions`]; what is missing is not there.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The last position of the log.
    pub(crate) position: u64,
    /// The time of this batch, not before the last one's.
    pub(crate) now: Timestamp,
    pub(crate) revisions: HashMap<StreamId, u64>,
    pub(crate) keys: HashMap<StreamId, KeyState>,
    pub(crate) accounts: HashMap<String, u64>,
    pub(crate) claims: HashMap<ClaimRow, Holders>,
    pub(crate) members: HashSet<Held>,
    pub(crate) requests: HashMap<(String, Uuid), RequestRow>,
    pub(crate) shared: HashMap<(String, String), Holders>,
    /// The master key that wraps what is new.
    pub(crate) wrapping: Option<KeyId>,
    /// Counts of tries.
    pub(crate) side: HashMap<(StreamId, String), Vec<u8>>,
}

/// Where an accepted event goes; the indexes name it in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) append: usize,
    pub(crate) stream: usize,
    pub(crate) event: usize,
    pub(crate) position: u64,
    pub(crate) revision: u64,
    pub(crate) commit_position: u64,
    pub(crate) account_number: u64,
}

/// What the accepted appends of a batch change, each row once.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) events: Vec<Placed>,
    /// The last number of each account that got events.
    pub(crate) accounts: BTreeMap<String, u64>,
    /// Whether each claim is held in the end.
    pub(crate) claims: BTreeMap<Held, bool>,
    /// New keys, and streams whose key and side rows go.
    pub(crate) keys: BTreeMap<StreamId, Option<Vec<u8>>>,
    pub(crate) side: BTreeMap<(StreamId, String), Option<Vec<u8>>>,
    pub(crate) requests: BTreeMap<(String, Uuid), RequestRow>,
    /// The head after the batch.
    pub(crate) position: u64,
    pub(crate) recorded_at: Timestamp,
}

impl Writes {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.claims.is_empty()
            && self.keys.is_empty()
            && self.side.is_empty()
            && self.requests.is_empty()
    }

    pub(crate) fn forgets(&self) -> bool {
        self.keys.values().any(Option::is_none)
    }
}
