//! Snapshots: the state of a long stream at a revision, so that only what came later must be read.
//!
//! A snapshot is never trusted over the log. It names the log, the hash of the event that it stands at, and the form of its
//! state; one that does not fit, cannot be opened or cannot be read costs a longer load and nothing else. It is sealed with
//! the key of its stream, and so dies with it.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::{LogKeys, random};
use crate::stored::{PageKeys, StoredEvent};
use crate::stream::StreamId;

const NONCE: usize = 24;

/// The state of a stream at a revision, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of what.
    pub stream: StreamId,
    /// When in its life.
    pub revision: u64,
    /// The log it was made from.
    pub log: Uuid,
    /// The hash of the event at its revision ([`RecordedEvent::hash`](crate::RecordedEvent::hash)).
    pub event_hash: [u8; 32],
    /// The form of the state; a reader that knows another one leaves it alone.
    pub form: String,
    /// The state.
    pub sealed: Vec<u8>,
}

/// Where snapshots are kept. Nothing rests on it: what is lost or fails to be kept is made again.
pub trait Snapshots: Send + Sync {
    /// Whether there is a snapshot of a stream; answers at once.
    fn has(&self, stream: &StreamId) -> bool;
    /// The snapshot of a stream, where there is one; may read a file.
    fn load(&self, stream: &StreamId) -> Option<Snapshot>;
    /// Keeps a snapshot instead of the one before.
    fn save(&self, snapshot: &Snapshot);
    /// Drops the snapshot of a stream.
    fn forget(&self, stream: &StreamId);
}

impl Snapshot {
    /// Seals a state with the key of its stream.
    pub(crate) fn seal(mut self, state: &[u8], cipher: &XChaCha20Poly1305) -> Option<Self> {
        let nonce: [u8; NONCE] = random();
        let bound = self.bound();
        let payload = Payload {
            msg: state,
            aad: &bound,
        };
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        self.sealed = [nonce.as_slice(), &sealed].concat();
        Some(self)
    }

    fn open(&self, cipher: &XChaCha20Poly1305) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = self.sealed.split_at_checked(NONCE)?;
        let bound = self.bound();
        let payload = Payload {
            msg: sealed,
            aad: &bound,
        };
        let state = cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
        Some(Zeroizing::new(state))
    }

    /// What the sealed state cannot be separated from.
    fn bound(&self) -> Vec<u8> {
        let revision = self.revision.to_be_bytes();
        let parts: [&[u8]; 7] = [
            b"rollbook snapshot",
            self.stream.aggregate_type.as_bytes(),
            self.stream.aggregate_id.as_bytes(),
            &revision,
            self.log.as_bytes(),
            &self.event_hash,
            self.form.as_bytes(),
        ];
        let mut bound = Vec::with_capacity(256);
        for part in parts {
            bound.extend((part.len() as u64).to_be_bytes());
            bound.extend(part);
        }
        bound
    }

    /// The state, where this is the stream's event at the snapshot's revision, and its key is there.
    pub(crate) fn state_at(
        &self,
        keys: &LogKeys,
        page: &mut PageKeys<'_>,
        event: StoredEvent,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        if event.revision != self.revision || event.stream != self.stream {
            return Ok(None);
        }
        let key = event
            .wrapped
            .as_deref()
            .and_then(|wrapped| keys.stream_key(&self.stream, wrapped));
        let fits = page.open(event)?.hash == self.event_hash;
        Ok(key
            .filter(|_| fits)
            .and_then(|key| self.open(&key.cipher())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;

    fn snapshot() -> Snapshot {
        Snapshot {
            stream: StreamId::new("user", "1"),
            revision: 7,
            log: Uuid::from_u128(1),
            event_hash: [3; 32],
            form: "1".to_owned(),
            sealed: Vec::new(),
        }
    }

    #[test]
    fn r62_a_snapshot_is_opened_only_with_its_key_and_as_it_was_sealed() {
        let cipher = Secret::generate().cipher();
        let sealed = snapshot().seal(b"Ottilie", &cipher).unwrap();
        assert_eq!(sealed.open(&cipher).unwrap().as_slice(), b"Ottilie");
        let shown = String::from_utf8_lossy(&sealed.sealed).into_owned();
        assert!(!shown.contains("Ottilie"));
        assert!(sealed.open(&Secret::generate().cipher()).is_none());
        let changed: [fn(&mut Snapshot); 6] = [
            |s| s.stream = StreamId::new("user", "2"),
            |s| s.revision = 8,
            |s| s.log = Uuid::from_u128(2),
            |s| s.event_hash[0] = 0,
            |s| s.form.push('0'),
            |s| s.sealed[30] ^= 1,
        ];
        for change in changed {
            let mut other = sealed.clone();
            change(&mut other);
            assert!(other.open(&cipher).is_none(), "{other:?}");
        }
        let mut cut = sealed;
        cut.sealed.truncate(10);
        assert!(cut.open(&cipher).is_none());
    }
}
