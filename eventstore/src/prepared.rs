//! An append made ready for the writer: checked, serialised, sealed, its claims as rows.

use uuid::Uuid;

use crate::append::{Append, Claim, ClaimKey, HeldClaim, Request, Requirement, SideRow, Slot};
use crate::event::RecordedEvent;
use crate::keys::{ClaimRow, LogKeys};
use crate::stream::StreamId;

/// The most events one commit may have.
const MAX_EVENTS: usize = 100_000;
/// The most bytes the payloads of one commit may have.
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most claims and requirements one commit may have.
const MAX_CLAIMS: usize = 400_000;

/// An append as the writer judges and writes it.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) streams: Vec<PreparedStream>,
    pub(crate) require: Vec<Required>,
    pub(crate) release: Vec<Held>,
    pub(crate) take: Vec<Held>,
    pub(crate) request: Option<Request>,
    pub(crate) side: Vec<SideRow>,
    pub(crate) slots: Vec<Slot>,
}

#[derive(Debug)]
pub(crate) struct PreparedStream {
    pub(crate) stream: StreamId,
    pub(crate) account_id: String,
    /// None: wherever it stands.
    pub(crate) expected_revision: Option<u64>,
    pub(crate) events: Vec<PreparedEvent>,
    pub(crate) key: KeyUse,
    pub(crate) forget: bool,
}

/// An event as it is stored, and as a reader will get it once it has a position.
#[derive(Debug)]
pub(crate) struct PreparedEvent {
    pub(crate) payload: String,
    pub(crate) metadata: String,
    pub(crate) draft: RecordedEvent,
}

/// Which key the events were sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// None, or one that nobody keeps.
    None,
    /// The stream's key, wrapped like this.
    Held(Vec<u8>),
    /// A new key that must become the stream's.
    New(Vec<u8>),
    /// The stream's key is destroyed and there is something personal to write.
    Forgotten,
}

/// A claim with an owner, as a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) row: ClaimRow,
    pub(crate) owner: String,
}

/// A requirement as the caller said it, and as it is asked of the rows.
#[derive(Debug)]
pub(crate) struct Required {
    pub(crate) requirement: Requirement,
    pub(crate) ask: Ask,
}

#[derive(Debug)]
pub(crate) enum Ask {
    Free(ClaimRow),
    FreeBut(Held),
    HeldBy(Held),
    Another(Held),
    Exactly(ClaimRow, Vec<Held>),
    Unshared { account_id: String, kind: String },
}

impl Ask {
    fn of(requirement: &Requirement, keys: &LogKeys) -> Self {
        let held = |claim, owner: &String| Held {
            row: keys.claim_row(claim),
            owner: owner.clone(),
        };
        match requirement {
            Requirement::Free(claim) => Self::Free(keys.claim_row(claim)),
            Requirement::FreeBut { claim, owner } => Self::FreeBut(held(claim, owner)),
            Requirement::HeldBy { claim, owner } => Self::HeldBy(held(claim, owner)),
            Requirement::Another { claim, owner } => Self::Another(held(claim, owner)),
            Requirement::Exactly { claim, owners } => {
                let row = keys.claim_row(claim);
                let with = |owner: &String| Held {
                    row: row.clone(),
                    owner: owner.clone(),
                };
                let owners = owners.iter().map(with).collect();
                Self::Exactly(row, owners)
            }
            Requirement::Unshared { account_id, kind } => Self::Unshared {
                account_id: account_id.clone(),
                kind: kind.clone(),
            },
        }
    }

    /// The claim that is asked about.
    pub(crate) fn row(&self) -> Option<&ClaimRow> {
        match self {
            Self::Free(row) | Self::Exactly(row, _) => Some(row),
            Self::FreeBut(held) | Self::HeldBy(held) | Self::Another(held) => Some(&held.row),
            Self::Unshared { .. } => None,
        }
    }

    /// The owners of whom it is asked whether they hold it.
    pub(crate) fn owners(&self) -> &[Held] {
        match self {
            Self::FreeBut(held) | Self::HeldBy(held) | Self::Another(held) => {
                std::slice::from_ref(held)
            }
            Self::Exactly(_, owners) => owners,
            Self::Free(_) | Self::Unshared { .. } => &[],
        }
    }
}

impl Prepared {
    /// The part of an append that needs no key of a stream; the streams are still to be sealed.
    pub(crate) fn unsealed(append: &Append, keys: &LogKeys) -> Self {
        let hold = |held: &HeldClaim| Held {
            row: keys.claim_row(&held.claim),
            owner: held.owner.clone(),
        };
        Self {
            streams: Vec::new(),
            require: append
                .require
                .iter()
                .map(|requirement| Required {
                    ask: Ask::of(requirement, keys),
                    requirement: requirement.clone(),
                })
                .collect(),
            release: append.release.iter().map(hold).collect(),
            take: append.take.iter().map(hold).collect(),
            request: append.request.clone(),
            side: append.side.clone(),
            slots: append.slots.clone(),
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.streams.iter().map(|stream| stream.events.len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.streams
            .iter()
            .flat_map(|stream| &stream.events)
            .map(|event| event.payload.len() + event.metadata.len())
            .sum()
    }

    /// Whether it asks about a whole kind of claims, which is answered for nobody else.
    pub(crate) fn alone(&self) -> bool {
        self.require
            .iter()
            .any(|required| matches!(required.ask, Ask::Unshared { .. }))
    }

    pub(crate) fn request_key(&self) -> Option<(String, Uuid)> {
        let request = self.request.as_ref()?;
        Some((request.account_id.clone(), request.request_id))
    }
}

/// What is wrong with an append before anything is asked of the log.
pub(crate) enum Fault {
    TooLarge,
    Malformed(String),
}

/// Checks what can be checked without the log.
pub(crate) fn check(append: &Append) -> Result<(), Fault> {
    let events: usize = append.streams.iter().map(|s| s.events.len()).sum();
    let events = events + append.told.len();
    let claims = append.require.len() + append.release.len() + append.take.len();
    if events > MAX_EVENTS || claims > MAX_CLAIMS {
        return Err(Fault::TooLarge);
    }
    let malformed = |what: String| Err(Fault::Malformed(what));
    let mut seen = std::collections::HashSet::new();
    let told = append.told.iter().map(|told| &told.stream);
    for name in append.streams.iter().map(|s| &s.stream).chain(told) {
        if name.aggregate_type.is_empty()
            || name.aggregate_id.is_empty()
            || name.aggregate_type.contains('-')
        {
            return malformed(format!("`{name}` is not a stream"));
        }
        if !seen.insert(name) {
            return malformed(format!("stream {name} stands in it twice"));
        }
    }
    for stream in &append.streams {
        let name = &stream.stream;
        if stream.forget && stream.events.is_empty() {
            return malformed(format!("stream {name} is forgotten without an event"));
        }
        if stream.expected_revision > i64::MAX as u64 {
            return malformed(format!("stream {name} cannot have such a revision"));
        }
    }
    if texts(append).any(|text| text.contains('\0')) {
        return malformed("a name holds a NUL character".to_owned());
    }
    Ok(())
}

/// Every text that becomes a column of its own.
fn texts(append: &Append) -> impl Iterator<Item = &str> {
    let streams = append.streams.iter().flat_map(|s| {
        let events = s.events.iter();
        [
            &s.stream.aggregate_type,
            &s.stream.aggregate_id,
            &s.account_id,
        ]
        .into_iter()
        .chain(events.flat_map(|e| [&e.event_type, &e.event_version]))
    });
    let claims = append
        .release
        .iter()
        .chain(&append.take)
        .flat_map(held_texts);
    let asked = append.require.iter().flat_map(requirement_texts);
    let side = append.side.iter().flat_map(|row| {
        [
            &row.stream.aggregate_type,
            &row.stream.aggregate_id,
            &row.kind,
        ]
    });
    let slots = append.slots.iter().flat_map(|slot| {
        let Slot { stream, kind, .. } = slot;
        [&stream.aggregate_type, &stream.aggregate_id, kind]
    });
    let told = append.told.iter().flat_map(|told| {
        let (stream, event) = (&told.stream, &told.event);
        [
            &stream.aggregate_type,
            &stream.aggregate_id,
            &told.account_id,
            &event.event_type,
            &event.event_version,
        ]
    });
    let request = append.request.iter().map(|request| &request.account_id);
    streams
        .chain(claims)
        .chain(asked)
        .chain(side)
        .chain(slots)
        .chain(told)
        .chain(request)
        .map(String::as_str)
}

fn requirement_texts(requirement: &Requirement) -> Vec<&String> {
    let (claim, owners) = match requirement {
        Requirement::Free(claim) => (claim, Vec::new()),
        Requirement::FreeBut { claim, owner }
        | Requirement::HeldBy { claim, owner }
        | Requirement::Another { claim, owner } => (claim, vec![owner]),
        Requirement::Exactly { claim, owners } => (claim, owners.iter().collect()),
        Requirement::Unshared { account_id, kind } => return vec![account_id, kind],
    };
    claim_texts(claim).into_iter().chain(owners).collect()
}

fn held_texts(held: &HeldClaim) -> impl Iterator<Item = &String> {
    claim_texts(&held.claim).into_iter().chain([&held.owner])
}

fn claim_texts(claim: &Claim) -> [&String; 3] {
    let (ClaimKey::Plain(key) | ClaimKey::Personal(key)) = &claim.key;
    [&claim.account_id, &claim.kind, key]
}
