//! A log as a whole: the rows beside its events, all of one moment, and a log that is made of events and rows again.
//!
//! - Nothing leaves here that can be read without the master key: keys are wrapped, a secret beside a stream is sealed with
//!   the stream's key and goes with it, claims on personal values are keyed hashes.
//! - A log is made as a whole or not at all, and only where there is none.
//! - A key that was destroyed, as the events, the keys or a list say, is not written to the new log, not even for a moment.

mod restoring;

use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::mpsc;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::{LogKeys, random};
use crate::log::Log;
use crate::stream::StreamId;

pub(crate) use restoring::{End, Made, NewHome, Origin};
pub use restoring::{Restoration, RestoreError, RestoreFrom, RestoreInto, Restored};

/// How a backup knows of each table: a table that is not named here would be lost by it.
pub const TABLES: [(&str, &str); 13] = [
    ("events", "the log's file"),
    ("log_head", "follows from the events"),
    ("account_heads", "follows from the events"),
    ("tree_tiles", "follows from the events"),
    ("tree_head", "follows from the events"),
    ("log_archive", "an archive is not backed up"),
    (
        "master_keys",
        "everything is wrapped under one in the log that is made",
    ),
    ("log_migrations", "belongs to the program"),
    ("log_keys", "the file of keys"),
    ("stream_keys", "the file of keys"),
    ("claims", "the file of rows"),
    ("requests", "the file of rows"),
    ("side_rows", "the file of rows"),
];

/// How many rows are handed on at a time.
pub(crate) const CHUNK: usize = 1_000;

/// How many chunks wait for whoever takes them.
const CHUNKS_WAITING: usize = 4;

const NONCE: usize = 24;

/// Which key a secret beside a stream is sealed with: its first byte.
const WITH_THE_LOGS: u8 = 0;
const WITH_THE_STREAMS: u8 = 1;

/// A row beside the events, as a backup has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BackupRow {
    /// A key of the log itself, wrapped.
    LogKey {
        /// Its name.
        name: String,
        /// The wrapped key.
        #[serde(with = "base64_bytes")]
        wrapped: Vec<u8>,
    },
    /// The key of a stream, wrapped; none where it was destroyed.
    StreamKey {
        /// The stream.
        #[serde(with = "stream_name")]
        stream: StreamId,
        /// The wrapped key.
        #[serde(with = "base64_option")]
        wrapped: Option<Vec<u8>>,
    },
    /// A claim with one of its owners. A personal key is a keyed hash.
    Claim {
        /// The account.
        account: String,
        /// What is claimed.
        kind: String,
        /// Which one, as it is stored.
        key: String,
        /// Who holds it.
        owner: String,
    },
    /// A request that was committed.
    Request {
        /// The account.
        account: String,
        /// Its id.
        request: Uuid,
        /// The keyed digest of its content.
        #[serde(with = "base64_bytes")]
        digest: Vec<u8>,
        /// Its first position.
        first: u64,
        /// Its last position.
        last: u64,
        /// When it was committed, in microseconds since 1970.
        at: i64,
        /// What it was answered.
        #[serde(with = "base64_bytes")]
        outcome: Vec<u8>,
    },
    /// A secret beside a stream, sealed.
    Side {
        /// The stream.
        #[serde(with = "stream_name")]
        stream: StreamId,
        /// What it is.
        kind: String,
        /// The value; within this crate bare, in a backup sealed.
        #[serde(with = "base64_bytes")]
        value: Vec<u8>,
    },
}

impl BackupRow {
    /// Whether it holds a key, or says that one was destroyed: such rows have a file of their own.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        matches!(self, Self::LogKey { .. } | Self::StreamKey { .. })
    }

    /// The stream whose key was destroyed, where the row says that of one.
    #[must_use]
    pub const fn erased(&self) -> Option<&StreamId> {
        match self {
            Self::StreamKey {
                stream,
                wrapped: None,
            } => Some(stream),
            _ => None,
        }
    }
}

/// Whoever takes the rows of a backup.
pub trait TakesRows: Send + 'static {
    /// Takes the next.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn take(&mut self, row: BackupRow) -> std::io::Result<()>;
}

/// A row as its table has it, with the wrapped key of the stream that a secret stands beside.
pub(crate) type TableRow = (BackupRow, Option<Vec<u8>>);

/// Hands rows on in chunks; forgets them once nobody takes any.
pub(crate) struct Chunks {
    to: mpsc::Sender<Vec<TableRow>>,
    chunk: Vec<TableRow>,
}

impl Chunks {
    pub(crate) const fn new(to: mpsc::Sender<Vec<TableRow>>) -> Self {
        Self {
            to,
            chunk: Vec::new(),
        }
    }

    /// Adds a row; answers a chunk that is to be handed on.
    pub(crate) fn add(&mut self, row: TableRow) -> Option<Vec<TableRow>> {
        self.chunk.push(row);
        (self.chunk.len() >= CHUNK).then(|| std::mem::take(&mut self.chunk))
    }

    /// What is left at the end.
    pub(crate) fn rest(&mut self) -> Vec<TableRow> {
        std::mem::take(&mut self.chunk)
    }

    /// Hands a chunk on; false: nobody takes it.
    pub(crate) async fn send(&self, chunk: Vec<TableRow>) -> bool {
        self.to.send(chunk).await.is_ok()
    }

    /// The same, on a thread that may block.
    pub(crate) fn send_blocking(&self, chunk: Vec<TableRow>) -> bool {
        self.to.blocking_send(chunk).is_ok()
    }
}

impl Log {
    /// Hands over every row beside the events, all as they were at one position, which is answered.
    ///
    /// # Errors
    /// When the log cannot be read, or a row not be taken.
    pub async fn back_up<T: TakesRows>(&self, mut into: T) -> Result<(u64, T), StoreError> {
        let (to, mut rows) = mpsc::channel::<Vec<TableRow>>(CHUNKS_WAITING);
        let keys = self.keys().clone();
        let taking = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = rows.blocking_recv() {
                for (row, wrapped) in chunk {
                    let row = sealed(&keys, row, wrapped.as_deref())?;
                    into.take(row).map_err(StoreError::unavailable)?;
                }
            }
            Ok::<T, StoreError>(into)
        });
        let position = self.home().rows(to).await;
        let taken = taking.await.map_err(StoreError::unavailable)?;
        Ok((position?, taken?))
    }
}

/// A row as it may leave the log.
fn sealed(keys: &LogKeys, row: BackupRow, wrapped: Option<&[u8]>) -> Result<BackupRow, StoreError> {
    let BackupRow::Side {
        stream,
        kind,
        value,
    } = row
    else {
        return Ok(row);
    };
    let value = Zeroizing::new(value);
    let corrupt = || StoreError::Corrupt(format!("what is beside {stream} cannot be sealed"));
    let (with, cipher) = cipher(keys, &stream, wrapped).ok_or_else(corrupt)?;
    let nonce: [u8; NONCE] = random();
    let aad = beside(&stream, &kind);
    let payload = Payload {
        msg: &value,
        aad: aad.as_bytes(),
    };
    let text = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| corrupt())?;
    let value = [&[with][..], &nonce, &text].concat();
    Ok(BackupRow::Side {
        stream,
        kind,
        value,
    })
}

/// Opens a secret beside a stream; `None` where it was sealed otherwise, or the key is another.
pub(crate) fn unsealed(
    keys: &LogKeys,
    stream: &StreamId,
    kind: &str,
    wrapped: Option<&[u8]>,
    value: &[u8],
) -> Option<Vec<u8>> {
    let (with, sealed) = value.split_first()?;
    let (nonce, text) = sealed.split_at_checked(NONCE)?;
    let (expected, cipher) = cipher(keys, stream, wrapped)?;
    let aad = beside(stream, kind);
    let payload = Payload {
        msg: text,
        aad: aad.as_bytes(),
    };
    let value = cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
    (*with == expected).then_some(value)
}

/// What seals the secrets of a stream: its own key, or the log's where it has none.
fn cipher(
    keys: &LogKeys,
    stream: &StreamId,
    wrapped: Option<&[u8]>,
) -> Option<(u8, XChaCha20Poly1305)> {
    if let Some(wrapped) = wrapped {
        return Some((WITH_THE_STREAMS, keys.stream_key(stream, wrapped)?.cipher()));
    }
    let key = Zeroizing::new(keys.token("backup", &[stream.to_string().as_bytes()]));
    Some((WITH_THE_LOGS, XChaCha20Poly1305::new((&*key).into())))
}

fn beside(stream: &StreamId, kind: &str) -> String {
    format!("rollbook side row {kind} {stream}")
}

mod base64_bytes {
    use base64::Engine as _;

    use super::{Deserialize as _, Deserializer, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

mod base64_option {
    use base64::Engine as _;

    use super::{Deserialize as _, Deserializer, STANDARD, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "this is how serde calls it")]
    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes
            .as_ref()
            .map(|bytes| STANDARD.encode(bytes))
            .serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

mod stream_name {
    use super::{Deserialize as _, Deserializer, Serializer, StreamId};

    pub(super) fn serialize<S: Serializer>(stream: &StreamId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(stream)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<StreamId, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
