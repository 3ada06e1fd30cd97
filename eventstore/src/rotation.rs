//! Rotation of the master key: every key that it wraps is wrapped under another one, while the log is read and written.
//!
//! It begins with one commit, after which nothing is wrapped under the former key any more, goes on in bounded steps, each of
//! which changes only what is still as it was read, and ends when nothing is left. So it can be cut off at any moment and
//! gone on with, and two processes can be at it at once.

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::keys::KeyRow;
use crate::ring::{InForce, KeyId};
use crate::stream::StreamId;

/// A master key that the log has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRecord {
    /// The key.
    pub key: KeyId,
    /// The one before it.
    pub former: Option<KeyId>,
    /// Since when it wraps what is new.
    pub begun_at: Timestamp,
    /// Who had the log rotated to it; empty for the first.
    pub begun_by: String,
    /// Since when it wraps everything.
    pub finished_at: Option<Timestamp>,
}

/// How far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationProgress {
    /// The key that everything is to be wrapped under.
    pub key: KeyId,
    /// How many keys this process has wrapped anew.
    pub rewrapped: u64,
    /// How many were still to be when it began.
    pub total: u64,
    /// Whether nothing is wrapped under another master key any more.
    pub done: bool,
}

/// A rotation that a process is at: what it tells, and at last what became of it.
pub type Rotation = watch::Receiver<Result<RotationProgress, NotRotated>>;

/// Why keys are not rotated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotRotated {
    /// This process was given no other master key.
    #[error("this process was given no next master key")]
    NoNextKey,
    /// Other processes on this log could not read what is wrapped under the next key.
    #[error("{0} other processes on this log were not given the next master key")]
    UnknownElsewhere(u64),
    /// A rotation to yet another key is not finished.
    #[error("a rotation to the master key {0} is not finished")]
    AnotherUnderWay(KeyId),
    /// The log.
    #[error("the rotation broke off and can be gone on with")]
    Store(#[from] StoreError),
}

/// A row of the table of master keys.
#[derive(Clone, Debug)]
pub(crate) struct RotationRow {
    pub(crate) number: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) begun_at: Timestamp,
    pub(crate) begun_by: String,
    pub(crate) finished_at: Option<Timestamp>,
}

impl RotationRow {
    pub(crate) fn key(&self) -> Result<KeyId, StoreError> {
        KeyId::read(&self.key)
            .ok_or_else(|| StoreError::Corrupt("the id of a master key is none".to_owned()))
    }
}

/// What the last two rows of that table, the last one first, say.
pub(crate) fn in_force(rows: &[RotationRow]) -> Result<InForce, StoreError> {
    let last = rows
        .first()
        .ok_or_else(|| StoreError::Corrupt("the log has no master key".to_owned()))?;
    let former = match (last.finished_at, rows.get(1)) {
        (None, Some(former)) => Some(former.key()?),
        (Some(_), _) | (None, None) => None,
    };
    Ok(InForce {
        wrapping: last.key()?,
        former,
    })
}

/// What is written at a time.
#[derive(Debug)]
pub(crate) enum Step {
    /// From now on the key wraps what is new; the log's own keys are wrapped under it already.
    Begin {
        /// The number of the rotation, one more than the last.
        number: u32,
        key: KeyId,
        begun_at: Timestamp,
        begun_by: String,
        log_keys: Vec<KeyRow>,
    },
    /// Keys of streams, each as it was read and as it is to be. One that is not as it was read any more is left alone.
    Rewrap(Vec<Rewrapped>),
    /// Nothing is wrapped under the former key any more.
    Finish { number: u32, finished_at: Timestamp },
}

/// A stream's key as it was read, and as it is to be.
#[derive(Debug)]
pub(crate) struct Rewrapped {
    pub(crate) stream: StreamId,
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// So many rows were changed.
    Changed(u64),
    /// It does not begin: so many processes do not have the key.
    UnknownElsewhere(u64),
}
