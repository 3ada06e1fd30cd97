//! The master keys of a process: the one of the log, and the one that it is rotated to.
//!
//! What a master key wrapped begins with the id of that key, so that both can be in use while one takes the place of the
//! other. Which of them wraps what is new is said by the log, and by nothing that a process is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{OpenError, StoreError};
use crate::keys::{MasterKey, Secret};

/// How long a wrapped key is: the id of its master key, a nonce, and 32 bytes with their tag.
pub(crate) const WRAPPED: usize = KeyId::LENGTH + 24 + 48;

/// What tells one master key from another. Nothing of the key can be learnt from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; KeyId::LENGTH]);

impl KeyId {
    pub(crate) const LENGTH: usize = 8;

    /// Reads it as it is stored.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of the master key that wrapped this; `None` where an earlier version did, which did not say.
    pub(crate) fn of(wrapped: &[u8]) -> Option<Self> {
        let id = (wrapped.len() == WRAPPED).then(|| wrapped.first_chunk())??;
        Some(Self(*id))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The master keys that a process is given.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    key: MasterKey,
    next: Option<MasterKey>,
}

impl MasterKeys {
    /// The same, with the key that the log's is rotated to, was rotated to, or will be.
    #[must_use]
    pub fn with_next(self, next: Option<MasterKey>) -> Self {
        Self { next, ..self }
    }
}

impl From<MasterKey> for MasterKeys {
    fn from(key: MasterKey) -> Self {
        Self { key, next: None }
    }
}

impl From<&MasterKey> for MasterKeys {
    fn from(key: &MasterKey) -> Self {
        key.clone().into()
    }
}

/// Which master keys a log is wrapped under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    /// What is new is wrapped under this one.
    pub(crate) wrapping: KeyId,
    /// Some of what is old may still be wrapped under this one.
    pub(crate) former: Option<KeyId>,
}

/// A key that the log's keys are wrapped under, and that this process was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keys of this log are wrapped under the master key {0}, which this process was not given")]
pub struct KeyMissing(pub KeyId);

impl From<KeyMissing> for StoreError {
    fn from(missing: KeyMissing) -> Self {
        Self::unavailable(missing)
    }
}

/// The master keys in use, with the one that wraps what is new. Clones are the same ring.
#[derive(Clone)]
pub(crate) struct Ring {
    keys: Arc<[(KeyId, MasterKey)]>,
    /// The place of the key that wraps.
    wrapping: Arc<AtomicUsize>,
}

impl Ring {
    pub(crate) fn new(keys: MasterKeys) -> Self {
        let MasterKeys { key, next } = keys;
        let next = next.filter(|next| next.id() != key.id());
        let keys = std::iter::once(key).chain(next);
        Self {
            keys: keys.map(|key| (key.id(), key)).collect(),
            wrapping: Arc::default(),
        }
    }

    /// Takes what the log says of its master keys.
    pub(crate) fn learn(&self, in_force: &InForce) -> Result<(), KeyMissing> {
        if let Some(former) = in_force.former {
            self.place(former)?;
        }
        let place = self.place(in_force.wrapping)?;
        self.wrapping.store(place, Ordering::Release);
        Ok(())
    }

    /// As [`Self::learn`], for a process that begins.
    pub(crate) fn open(&self, in_force: &InForce) -> Result<(), OpenError> {
        let known = |id: KeyId| self.place(id).is_ok();
        let any = known(in_force.wrapping) || in_force.former.is_some_and(known);
        self.learn(in_force).map_err(|KeyMissing(id)| {
            if any {
                OpenError::MasterKeyMissing(id)
            } else {
                OpenError::WrongMasterKey
            }
        })
    }

    fn place(&self, id: KeyId) -> Result<usize, KeyMissing> {
        let mut ids = self.keys.iter().map(|(id, _)| *id);
        ids.position(|found| found == id).ok_or(KeyMissing(id))
    }

    fn current(&self) -> Option<&(KeyId, MasterKey)> {
        self.keys.get(self.wrapping.load(Ordering::Acquire))
    }

    /// The key that was given as the next one.
    pub(crate) fn next(&self) -> Option<KeyId> {
        self.keys.get(1).map(|(id, _)| *id)
    }

    /// The ids of all keys, as processes tell each other.
    pub(crate) fn ids(&self) -> String {
        let ids: Vec<_> = self.keys.iter().map(|(id, _)| id.to_string()).collect();
        ids.join(" ")
    }

    /// The id of the key that opens this.
    pub(crate) fn opener(&self, name: &str, wrapped: &[u8]) -> Option<KeyId> {
        if let Some(id) = KeyId::of(wrapped) {
            return self.unwrap(name, wrapped).map(|_| id);
        }
        let mut keys = self.keys.iter();
        keys.find_map(|(id, key)| key.unwrap(name, wrapped).map(|_| *id))
    }

    pub(crate) fn wrap(&self, name: &str, secret: &Secret) -> Vec<u8> {
        // There is always one that wraps; an empty text would not unwrap again.
        self.current()
            .map(|(id, key)| wrapped_by(*id, key, name, secret))
            .unwrap_or_default()
    }

    /// Wraps under a certain key what is wrapped under any.
    pub(crate) fn rewrap(&self, to: KeyId, name: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        let secret = self.unwrap(name, wrapped)?;
        let (_, key) = self.keys.iter().find(|(id, _)| *id == to)?;
        Some(wrapped_by(to, key, name, &secret))
    }

    pub(crate) fn unwrap(&self, name: &str, wrapped: &[u8]) -> Option<Secret> {
        match KeyId::of(wrapped) {
            Some(id) => {
                let (_, key) = self.keys.iter().find(|(found, _)| *found == id)?;
                key.unwrap(name, wrapped.get(KeyId::LENGTH..)?)
            }
            None => self
                .keys
                .iter()
                .find_map(|(_, key)| key.unwrap(name, wrapped)),
        }
    }

    /// Why something cannot be unwrapped: its master key is not here, or it is damaged.
    pub(crate) fn why_not(&self, what: &str, wrapped: &[u8]) -> StoreError {
        let missing = KeyId::of(wrapped).and_then(|id| self.place(id).err());
        match missing {
            Some(missing) => missing.into(),
            None => StoreError::Corrupt(format!("the key of {what} cannot be unwrapped")),
        }
    }
}

fn wrapped_by(id: KeyId, key: &MasterKey, name: &str, secret: &Secret) -> Vec<u8> {
    let mut wrapped = id.0.to_vec();
    wrapped.extend(key.wrap(name, secret));
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r62_what_is_wrapped_says_under_which_master_key_and_is_opened_by_that_alone() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let secret = Secret::generate();
        let before = Ring::new(old.clone().into());
        let both = Ring::new(MasterKeys::from(&old).with_next(Some(new.clone())));
        let after = Ring::new(new.clone().into());
        let wrapped = before.wrap("a", &secret);
        assert_eq!(KeyId::of(&wrapped), Some(old.id()));
        assert!(both.unwrap("a", &wrapped).is_some());
        assert!(after.unwrap("a", &wrapped).is_none());
        let rewrapped = both.rewrap(new.id(), "a", &wrapped).unwrap();
        assert_eq!(KeyId::of(&rewrapped), Some(new.id()));
        assert_eq!(after.unwrap("a", &rewrapped).unwrap(), secret);
        assert!(before.unwrap("a", &rewrapped).is_none());
        assert!(both.unwrap("b", &rewrapped).is_none());
        assert!(matches!(
            before.why_not("a", &rewrapped),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(
            before.why_not("a", &wrapped),
            StoreError::Corrupt(_)
        ));
    }

    #[test]
    fn r62_what_an_earlier_version_wrapped_is_opened_and_rewrapped() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let secret = Secret::generate();
        let both = Ring::new(MasterKeys::from(&old).with_next(Some(new.clone())));
        let wrapped = old.wrap("a", &secret);
        assert_eq!(KeyId::of(&wrapped), None);
        assert_eq!(both.opener("a", &wrapped), Some(old.id()));
        assert_eq!(both.unwrap("a", &wrapped).unwrap(), secret);
        let rewrapped = both.rewrap(new.id(), "a", &wrapped).unwrap();
        assert_eq!(both.unwrap("a", &rewrapped).unwrap(), secret);
    }

    #[test]
    fn a_ring_wraps_under_the_key_that_the_log_says_and_names_the_one_it_lacks() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let both = Ring::new(MasterKeys::from(&old).with_next(Some(new.clone())));
        let rotating = InForce {
            wrapping: new.id(),
            former: Some(old.id()),
        };
        both.open(&rotating).unwrap();
        let wrapped = both.wrap("a", &Secret::generate());
        assert_eq!(KeyId::of(&wrapped), Some(new.id()));
        let only = |key: &MasterKey| Ring::new(key.into()).open(&rotating);
        assert!(matches!(only(&old), Err(OpenError::MasterKeyMissing(id)) if id == new.id()));
        assert!(matches!(only(&new), Err(OpenError::MasterKeyMissing(id)) if id == old.id()));
        let neither = only(&MasterKey::generate());
        assert!(matches!(neither, Err(OpenError::WrongMasterKey)));
    }
}
