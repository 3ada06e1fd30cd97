//! Signed checkpoints: notes in the C2SP forms `tlog-checkpoint` and `signed-note`, signed with Ed25519.
//!
//! The origin is `rollbook/<log id>`, which is the name of the key too. A checkpoint that is asked for about an account says
//! in an extension line where the account ends: `account <id> <events> <last position> <its leaf hash>`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::checkpoint::Checkpoint as Head;
use tlog_tiles::tlog;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Hash, TreeHead};

const ACCOUNT: &str = "account";

/// Where an account ends within a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEnd {
    /// The account.
    pub account_id: String,
    /// How many events it has, which is also the account number of its last.
    pub events: u64,
    /// The position of its last event; 0 where it has none.
    pub last_position: u64,
    /// The leaf of its last event; zeros where it has none.
    pub last_leaf: Hash,
}

impl AccountEnd {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let word = words.next()?;
        let end = Self {
            account_id: words.next()?.to_owned(),
            events: words.next()?.parse().ok()?,
            last_position: words.next()?.parse().ok()?,
            last_leaf: STANDARD.decode(words.next()?).ok()?.try_into().ok()?,
        };
        // Written in one way only.
        (word == ACCOUNT && words.next().is_none() && end.to_string() == line).then_some(end)
    }
}

impl fmt::Display for AccountEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account_id,
            events,
            last_position,
            last_leaf,
        } = self;
        let leaf = STANDARD.encode(last_leaf);
        write!(f, "{ACCOUNT} {account_id} {events} {last_position} {leaf}")
    }
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which log.
    pub log_id: Uuid,
    /// The tree.
    pub head: TreeHead,
    /// Where an account ends in it.
    pub account: Option<AccountEnd>,
}

/// A checkpoint that is not one, or not by this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is no signed checkpoint of a log.
    #[error("it is not a signed checkpoint of a log")]
    Malformed,
    /// The key did not sign it.
    #[error("its signature is not by the key of the log")]
    NotSigned,
    /// The text is not a key.
    #[error("it is not the verifier key of a log")]
    Key,
}

/// The public key that checkpoints are checked with.
#[derive(Clone)]
pub struct CheckpointKey {
    text: String,
    verifier: StandardVerifier,
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointKey").field(&self.text).finish()
    }
}

impl CheckpointKey {
    /// Reads a key as signed notes write it: `rollbook/<log id>+<key id>+<key>`.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let verifier = StandardVerifier::new(text).map_err(|_| CheckpointError::Key)?;
        log_of(signed_note::Verifier::name(&verifier)).ok_or(CheckpointError::Key)?;
        Ok(Self {
            text: text.to_owned(),
            verifier,
        })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a checkpoint that this key signed.
    ///
    /// # Errors
    /// When it is not one, or not signed by this key.
    pub fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        note.verify(&known)
            .map_err(|_| CheckpointError::NotSigned)?;
        let text = Head::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)?;
        if text.origin() != signed_note::Verifier::name(&self.verifier) {
            return Err(CheckpointError::NotSigned);
        }
        let mut account = None;
        for line in text.extension().lines() {
            // Others may add lines of their own.
            if line.starts_with(ACCOUNT) {
                account = Some(AccountEnd::read(line).ok_or(CheckpointError::Malformed)?);
            }
        }
        Ok(Checkpoint {
            log_id: log_of(text.origin()).ok_or(CheckpointError::Malformed)?,
            head: TreeHead {
                size: text.size(),
                root: text.hash().0,
            },
            account,
        })
    }
}

fn origin(log_id: Uuid) -> String {
    format!("rollbook/{log_id}")
}

fn log_of(origin: &str) -> Option<Uuid> {
    Uuid::parse_str(origin.strip_prefix("rollbook/")?).ok()
}

/// Signs checkpoints of one log.
#[derive(Clone)]
pub(crate) struct Signer {
    log_id: Uuid,
    public: String,
    private: StandardSigner,
}

impl Signer {
    /// One with this Ed25519 key; `None` where the parts do not make a key.
    pub(crate) fn new(log_id: Uuid, secret: &[u8; 32]) -> Option<Self> {
        const ED25519: u8 = 1;
        let name = origin(log_id);
        let public = ed25519_dalek::SigningKey::from_bytes(secret).verifying_key();
        let key = signed_note::new_ed25519_verifier_key(&name, &public);
        let (_, id) = key.strip_prefix(&*name)?.split_once('+')?;
        let (id, _) = id.split_once('+')?;
        let bytes = Zeroizing::new([&[ED25519], &secret[..]].concat());
        let private = Zeroizing::new(STANDARD.encode(&*bytes));
        let text = Zeroizing::new(format!("PRIVATE+KEY+{name}+{id}+{}", &*private));
        Some(Self {
            log_id,
            private: StandardSigner::new(&text).ok()?,
            public: key,
        })
    }

    /// The public key, as text.
    pub(crate) fn key(&self) -> &str {
        &self.public
    }

    /// The note.
    pub(crate) fn sign(&self, head: &TreeHead, account: Option<&AccountEnd>) -> Option<String> {
        let extension = account.map_or_else(String::new, |end| format!("{end}\n"));
        let root = tlog::Hash(head.root);
        let text = Head::new(&origin(self.log_id), head.size, root, &extension).ok()?;
        let mut note = Note::new(&text.to_bytes(), &[]).ok()?;
        note.add_sigs(&[&self.private]).ok()?;
        String::from_utf8(note.to_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: u8) -> Signer {
        Signer::new(Uuid::nil(), &[secret; 32]).unwrap()
    }

    fn head() -> TreeHead {
        TreeHead {
            size: 7,
            root: [3; 32],
        }
    }

    fn end() -> AccountEnd {
        AccountEnd {
            account_id: "acme".to_owned(),
            events: 5,
            last_position: 6,
            last_leaf: [9; 32],
        }
    }

    #[test]
    fn r63_a_checkpoint_has_the_form_of_c2sp() {
        let note = signer(1).sign(&head(), Some(&end())).unwrap();
        let lines: Vec<_> = note.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "rollbook/00000000-0000-0000-0000-000000000000",
                "7",
                "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
                "account acme 5 6 CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=",
                "",
            ]
        );
        assert!(lines[5].starts_with("— rollbook/00000000-0000-0000-0000-000000000000 "));
        assert_eq!(lines.len(), 6);
        assert!(note.ends_with('\n'));
    }

    #[test]
    fn r63_a_checkpoint_is_read_with_the_key_that_signed_it_alone() {
        let key = CheckpointKey::parse(signer(1).key()).unwrap();
        for account in [None, Some(end())] {
            let note = signer(1).sign(&head(), account.as_ref()).unwrap();
            let read = key.open(&note).unwrap();
            assert_eq!((read.head, read.account), (head(), account));
            assert_eq!(read.log_id, Uuid::nil());
            let other = signer(2).sign(&head(), None).unwrap();
            assert_eq!(key.open(&other), Err(CheckpointError::NotSigned));
        }
        assert!(CheckpointKey::parse("rollbook/x+00000000+AA==").is_err());
        assert!(CheckpointKey::parse("something else").is_err());
    }

    #[test]
    fn r63_no_byte_of_a_checkpoint_can_be_changed() {
        let key = CheckpointKey::parse(signer(1).key()).unwrap();
        let note = signer(1).sign(&head(), Some(&end())).unwrap();
        for index in 0..note.len() {
            let mut changed = note.clone().into_bytes();
            changed[index] ^= 1;
            let opened = String::from_utf8(changed).map(|note| key.open(&note));
            assert!(!matches!(opened, Ok(Ok(_))), "byte {index}");
        }
    }
}
