//! The leaf of an event, and what shows that the values an auditor was shown are those in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Hash;
use crate::clock::Timestamp;
use crate::stream::StreamId;

/// What RFC 6962 puts before a leaf, so that none is taken for a node.
const LEAF: [u8; 1] = [0];

/// Names the form of a leaf, so that another one could never be mistaken for it.
const FORM: &str = "rollbook event 1";

/// All that is stored of an event, as its leaf has it. Personal values stand in the texts as ciphertext and commitment.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// Its position.
    pub position: u64,
    /// The last position of its commit.
    pub commit_position: u64,
    /// Its account.
    pub account_id: &'a str,
    /// Its number in its account.
    pub account_number: u64,
    /// Its stream.
    pub stream: &'a StreamId,
    /// Its number in its stream.
    pub revision: u64,
    /// Its type.
    pub event_type: &'a str,
    /// The version of its form.
    pub event_version: &'a str,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether its commit destroyed the key of its stream.
    pub forgets: bool,
    /// The payload's text.
    pub payload: &'a str,
    /// The metadata's text.
    pub metadata: &'a str,
}

impl Leaf<'_> {
    /// The hash of the leaf.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut content = Content(Sha256::new_with_prefix(LEAF));
        content
            .text(FORM)
            .number(self.position)
            .number(self.commit_position)
            .text(self.account_id)
            .number(self.account_number)
            .text(&self.stream.aggregate_type)
            .text(&self.stream.aggregate_id)
            .number(self.revision)
            .text(self.event_type)
            .text(self.event_version)
            .number(self.recorded_at.timestamp_micros().cast_unsigned())
            .number(u64::from(self.forgets))
            .text(self.payload)
            .text(self.metadata);
        content.0.finalize().into()
    }
}

struct Content(Sha256);

impl Content {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text);
        self
    }
}

/// What opens the commitment of one personal value.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Where the value stands: a JSON pointer into the payload, or `reason`.
    pub place: String,
    /// The salt.
    pub salt: Vec<u8>,
    /// The value as JSON.
    pub value: String,
}

impl Opening {
    /// The commitment that this opens, as it is stored.
    #[must_use]
    pub fn commitment(&self) -> String {
        let digest = Sha256::new_with_prefix(&self.salt).chain_update(&self.value);
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// An event as it is stored, with its leaf and what opens its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvableEvent {
    /// Its position.
    pub position: u64,
    /// The last position of its commit.
    pub commit_position: u64,
    /// Its account.
    pub account_id: String,
    /// Its number in its account.
    pub account_number: u64,
    /// Its stream.
    pub stream: StreamId,
    /// Its number in its stream.
    pub revision: u64,
    /// Its type.
    pub event_type: String,
    /// The version of its form.
    pub event_version: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether its commit destroyed the key of its stream.
    pub forgets: bool,
    /// The payload's text.
    pub payload: String,
    /// The metadata's text.
    pub metadata: String,
    /// The hash of the leaf as it was stored when the tree took the event in; none where it has not yet.
    pub leaf: Option<Hash>,
    /// What opens the commitments, as far as it was asked for and the key is there.
    pub openings: Vec<Opening>,
    /// Why its values cannot be opened, where that is not because they are erased.
    pub fault: Option<String>,
}

impl ProvableEvent {
    /// What its leaf is made of.
    #[must_use]
    pub fn content(&self) -> Leaf<'_> {
        Leaf {
            position: self.position,
            commit_position: self.commit_position,
            account_id: &self.account_id,
            account_number: self.account_number,
            stream: &self.stream,
            revision: self.revision,
            event_type: &self.event_type,
            event_version: &self.event_version,
            recorded_at: self.recorded_at,
            forgets: self.forgets,
            payload: &self.payload,
            metadata: &self.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r63_every_part_of_an_event_is_in_its_leaf() {
        let stream = StreamId::new("user", "1");
        let other = StreamId::new("user", "2");
        let leaf = Leaf {
            position: 3,
            commit_position: 4,
            account_id: "acme",
            account_number: 2,
            stream: &stream,
            revision: 1,
            event_type: "UserLocked",
            event_version: "1",
            recorded_at: Timestamp::default(),
            forgets: false,
            payload: "{}",
            metadata: "{\"actor\":\"a\"}",
        };
        let changed = [
            Leaf {
                position: 4,
                ..leaf
            },
            Leaf {
                commit_position: 5,
                ..leaf
            },
            Leaf {
                account_id: "acmf",
                ..leaf
            },
            Leaf {
                account_number: 3,
                ..leaf
            },
            Leaf {
                stream: &other,
                ..leaf
            },
            Leaf {
                revision: 2,
                ..leaf
            },
            Leaf {
                event_type: "UserLockee",
                ..leaf
            },
            Leaf {
                event_version: "2",
                ..leaf
            },
            Leaf {
                recorded_at: Timestamp::MAX_UTC,
                ..leaf
            },
            Leaf {
                forgets: true,
                ..leaf
            },
            Leaf {
                payload: "[]",
                ..leaf
            },
            Leaf {
                metadata: "{\"actor\":\"b\"}",
                ..leaf
            },
            // A border that moved between two neighbours.
            Leaf {
                event_type: "UserLocked1",
                event_version: "",
                ..leaf
            },
        ];
        for changed in changed {
            assert_ne!(changed.hash(), leaf.hash(), "{changed:?}");
        }
        assert_eq!(
            hex::encode(leaf.hash()),
            "5d4edca301e61f18b3106565a75bcd8898d7975b3bac862df1402343ec28dac2"
        );
    }
}
