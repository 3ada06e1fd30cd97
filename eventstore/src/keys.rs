//! Keys: the master key, what it wraps, and the digests that need a key.
//!
//! Nothing here prints a key, and every key is wiped from memory when it is dropped.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use rand::RngCore as _;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::append::{Claim, ClaimKey};
use crate::error::OpenError;
use crate::proof::Signer;
use crate::ring::{InForce, KeyId, Ring};
use crate::stream::StreamId;

const NONCE: usize = 24;

/// The key that wraps every other key of a log. Kept by the operator, never stored in the log.
#[derive(Clone, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// A master key that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file.
    #[error("the master key file {path} cannot be used")]
    File {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text.
    #[error("a master key is 32 bytes in base64")]
    Malformed,
}

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When the text is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let mut bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| MasterKeyError::Malformed)?;
        let key = bytes.as_slice().try_into().map(Self);
        bytes.zeroize();
        key.map_err(|_| MasterKeyError::Malformed)
    }

    /// Reads a file that holds the text form.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let text = std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
        Self::from_base64(&Zeroizing::new(text))
    }

    /// Writes the text form to a new file that only its owner can read. An existing file is never touched.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), MasterKeyError> {
        let mut text = Zeroizing::new(STANDARD.encode(self.0));
        text.push('\n');
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => {
                    std::fs::File::open(folder)?.sync_all()
                }
                _ => Ok(()),
            })
            .map_err(|source| file_error(path, source))
    }

    /// What tells this key from others.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Secret(self.0).mac("rollbook master key id", &[]);
        let mut id = [0; KeyId::LENGTH];
        id.copy_from_slice(&digest[..KeyId::LENGTH]);
        KeyId(id)
    }

    /// Encrypts a key under this one, bound to the name of what it is for.
    pub(crate) fn wrap(&self, name: &str, secret: &Secret) -> Vec<u8> {
        let nonce: [u8; NONCE] = random();
        let payload = Payload {
            msg: &secret.0,
            aad: name.as_bytes(),
        };
        let mut wrapped = nonce.to_vec();
        // XChaCha20-Poly1305 fails above 256 GiB only; an empty text would not unwrap again.
        wrapped.extend(
            self.cipher()
                .encrypt(XNonce::from_slice(&nonce), payload)
                .unwrap_or_default(),
        );
        wrapped
    }

    /// Decrypts a wrapped key; `None` where it was wrapped by another master key or for something else.
    pub(crate) fn unwrap(&self, name: &str, wrapped: &[u8]) -> Option<Secret> {
        let (nonce, sealed) = wrapped.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: sealed,
            aad: name.as_bytes(),
        };
        let bytes = Zeroizing::new(
            self.cipher()
                .decrypt(XNonce::from_slice(nonce), payload)
                .ok()?,
        );
        Some(Secret(bytes.as_slice().try_into().ok()?))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

fn file_error(path: &Path, source: std::io::Error) -> MasterKeyError {
    MasterKeyError::File {
        path: path.display().to_string(),
        source,
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes
}

/// A key that the master key wraps.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) fn generate() -> Self {
        Self(random())
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length, so this cannot be `None`.
        let Ok(mut mac) = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&self.0) else {
            return [0; 32];
        };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// What a stream's key is bound to.
pub(crate) fn stream_key_name(stream: &StreamId) -> String {
    format!("rollbook stream key {stream}")
}

/// The names of the log's own keys in its table.
pub(crate) const CHECK: &str = "check";
pub(crate) const CLAIMS: &str = "claims";
pub(crate) const TOKENS: &str = "tokens";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
const NAMES: [&str; 4] = [CHECK, CLAIMS, TOKENS, CHECKPOINTS];

/// A key of the log as its table has it: name and wrapped key.
pub(crate) type KeyRow = (String, Vec<u8>);

fn make(ring: &Ring, name: &'static str) -> (&'static str, Vec<u8>) {
    (name, ring.wrap(&log_key_name(name), &Secret::generate()))
}

fn log_key_name(name: &str) -> String {
    format!("rollbook log key {name}")
}

/// The keys a log works with. Those for claims, tokens and checkpoints are random and outlive every master key.
#[derive(Clone)]
pub(crate) struct LogKeys {
    pub(crate) ring: Ring,
    claims: Secret,
    tokens: Secret,
    checkpoints: Secret,
}

impl LogKeys {
    /// Makes the keys of a new log: rows of name and wrapped key.
    pub(crate) fn create(ring: &Ring) -> Vec<(&'static str, Vec<u8>)> {
        NAMES.map(|name| make(ring, name)).into()
    }

    /// Makes the keys that a log of an earlier version lacks.
    pub(crate) fn missing(ring: &Ring, rows: &[KeyRow]) -> Vec<(&'static str, Vec<u8>)> {
        let there = |name: &str| rows.iter().any(|(found, _)| found == name);
        let missing = NAMES.into_iter().filter(|name| !there(name));
        missing.map(|name| make(ring, name)).collect()
    }

    /// The master key of a log whose tables do not say which it is.
    pub(crate) fn first_master(ring: &Ring, rows: &[KeyRow]) -> Result<KeyId, OpenError> {
        let check = rows.iter().find(|(name, _)| name == CHECK);
        check
            .and_then(|(name, wrapped)| ring.opener(&log_key_name(name), wrapped))
            .ok_or(OpenError::WrongMasterKey)
    }

    /// Unwraps the keys, where these are the master keys.
    pub(crate) fn open(ring: Ring, in_force: &InForce, rows: &[KeyRow]) -> Result<Self, OpenError> {
        ring.open(in_force)?;
        let find = |name: &str| {
            let row = rows.iter().find(|(found, _)| found == name);
            row.and_then(|(_, wrapped)| ring.unwrap(&log_key_name(name), wrapped))
                .ok_or(OpenError::WrongMasterKey)
        };
        find(CHECK)?;
        let (claims, tokens, checkpoints) = (find(CLAIMS)?, find(TOKENS)?, find(CHECKPOINTS)?);
        Ok(Self {
            ring,
            claims,
            tokens,
            checkpoints,
        })
    }

    /// The same rows under another master key; `None` where one cannot be read.
    pub(crate) fn rewrap(&self, to: KeyId, rows: &[KeyRow]) -> Option<Vec<KeyRow>> {
        let rewrap = |(name, wrapped): &KeyRow| {
            let wrapped = self.ring.rewrap(to, &log_key_name(name), wrapped)?;
            Some((name.clone(), wrapped))
        };
        rows.iter().map(rewrap).collect()
    }

    /// What signs the checkpoints of this log; `None` where its key does not make one.
    pub(crate) fn signer(&self, log_id: Uuid) -> Option<Signer> {
        Signer::new(log_id, &self.checkpoints.0)
    }

    pub(crate) fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.claims.mac(purpose, parts)
    }

    pub(crate) fn token(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.tokens.mac(purpose, parts)
    }

    /// The row of a claim: a personal key becomes a keyed hash. The first character tells the two apart.
    pub(crate) fn claim_row(&self, claim: &Claim) -> ClaimRow {
        let key = match &claim.key {
            ClaimKey::Plain(key) => format!("={key}"),
            ClaimKey::Personal(key) => {
                let parts = [
                    claim.account_id.as_bytes(),
                    claim.kind.as_bytes(),
                    key.as_bytes(),
                ];
                format!("#{}", hex::encode(self.digest("claim", &parts)))
            }
        };
        ClaimRow {
            account_id: claim.account_id.clone(),
            kind: claim.kind.clone(),
            key,
        }
    }

    /// A new key for a stream, and its wrapped form.
    pub(crate) fn new_stream_key(&self, stream: &StreamId) -> (Secret, Vec<u8>) {
        let key = Secret::generate();
        let wrapped = self.ring.wrap(&stream_key_name(stream), &key);
        (key, wrapped)
    }

    pub(crate) fn stream_key(&self, stream: &StreamId, wrapped: &[u8]) -> Option<Secret> {
        self.ring.unwrap(&stream_key_name(stream), wrapped)
    }

    /// A stream's wrapped key under another master key; `None` where it cannot be read.
    pub(crate) fn rewrap_stream_key(
        &self,
        to: KeyId,
        stream: &StreamId,
        wrapped: &[u8],
    ) -> Option<Vec<u8>> {
        self.ring.rewrap(to, &stream_key_name(stream), wrapped)
    }
}

/// Whether the key of a claim as it is stored stands for a personal one.
pub(crate) fn is_personal(key: &str) -> bool {
    key.starts_with('#')
}

/// A claim as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClaimRow {
    pub(crate) account_id: String,
    pub(crate) kind: String,
    pub(crate) key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> LogKeys {
        let master = MasterKey::generate();
        let ring = Ring::new(master.clone().into());
        let rows: Vec<_> = LogKeys::create(&ring)
            .into_iter()
            .map(|(name, wrapped)| (name.to_owned(), wrapped))
            .collect();
        let in_force = InForce {
            wrapping: master.id(),
            former: None,
        };
        let other = Ring::new(MasterKey::generate().into());
        let refused = LogKeys::open(other, &in_force, &rows).map(drop);
        assert!(matches!(refused, Err(OpenError::WrongMasterKey)));
        LogKeys::open(ring, &in_force, &rows).unwrap()
    }

    #[test]
    fn a_key_is_unwrapped_only_by_its_master_key_and_for_its_name() {
        let master = MasterKey::generate();
        let wrapped = master.wrap("a", &Secret([7; 32]));
        assert_eq!(master.unwrap("a", &wrapped).unwrap().0, [7; 32]);
        assert!(master.unwrap("b", &wrapped).is_none());
        assert!(MasterKey::generate().unwrap("a", &wrapped).is_none());
        assert!(master.unwrap("a", &wrapped[..10]).is_none());
    }

    #[test]
    fn a_master_key_file_is_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let key = MasterKey::generate();
        key.write_new(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(MasterKey::from_file(&path).unwrap().0, key.0);
        assert!(MasterKey::generate().write_new(&path).is_err());
        assert!(MasterKey::from_base64("c2hvcnQ=").is_err());
    }

    #[test]
    fn digests_depend_on_key_purpose_and_the_bounds_of_parts() {
        let keys = made();
        assert_eq!(keys.digest("p", &[b"ab"]), keys.digest("p", &[b"ab"]));
        assert_ne!(keys.digest("p", &[b"ab"]), keys.digest("p", &[b"a", b"b"]));
        assert_ne!(keys.digest("p", &[b"ab"]), keys.digest("q", &[b"ab"]));
        assert_ne!(keys.digest("p", &[b"ab"]), keys.token("p", &[b"ab"]));
    }

    #[test]
    fn r62_a_personal_claim_key_is_stored_as_a_hash_of_account_kind_and_key() {
        let keys = made();
        let claim = |account: &str, key| Claim {
            account_id: account.into(),
            kind: "email".into(),
            key,
        };
        let row = keys.claim_row(&claim("acme", ClaimKey::Personal("anna".into())));
        assert!(!row.key.contains("anna"));
        assert_eq!(
            row,
            keys.claim_row(&claim("acme", ClaimKey::Personal("anna".into())))
        );
        assert_ne!(
            row.key,
            keys.claim_row(&claim("other", ClaimKey::Personal("anna".into())))
                .key
        );
        assert_eq!(
            keys.claim_row(&claim("acme", ClaimKey::Plain("#x".into())))
                .key,
            "=#x"
        );
    }
}
