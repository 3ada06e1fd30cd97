//! An event as its row has it, and the way from there to a reader.

use std::collections::HashMap;

use chacha20poly1305::XChaCha20Poly1305;
use cqrs_es::persist::SerializedEvent;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::{Metadata, Reason, RecordedEvent, ToldEvent};
use crate::keys::LogKeys;
use crate::proof::{Hash, Leaf, Opening, ProvableEvent};
use crate::sealing::{self, Bound, RECORDED_AT, Sealed};
use crate::stream::StreamId;

const SEALED_REASON: &str = "$reason";
const REASON_COMMITMENT: &str = "$reason_commitment";

/// A row of the table of events, with the wrapped key of its stream where it may have something to open.
#[derive(Clone, Debug)]
pub(crate) struct StoredEvent {
    pub(crate) position: u64,
    pub(crate) commit_position: u64,
    pub(crate) account_id: String,
    pub(crate) account_number: u64,
    pub(crate) stream: StreamId,
    pub(crate) revision: u64,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) recorded_at: Timestamp,
    pub(crate) forgets: bool,
    pub(crate) payload: String,
    pub(crate) metadata: String,
    pub(crate) wrapped: Option<Vec<u8>>,
}

impl StoredEvent {
    /// What its ciphertexts are bound to.
    fn bound(&self) -> Bound<'_> {
        Bound {
            stream: &self.stream,
            revision: self.revision,
            event_type: &self.event_type,
        }
    }

    /// Whether it can have anything to open; `false` is certain.
    pub(crate) fn may_be_sealed(&self) -> bool {
        sealing::may_be_sealed(&self.payload) || self.metadata.contains(SEALED_REASON)
    }

    /// Its leaf, without opening it.
    pub(crate) fn leaf(&self) -> Hash {
        let leaf = Leaf {
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
        };
        leaf.hash()
    }

    /// What a stock repository read, which knows of no columns of ours.
    pub(crate) fn of_stock(
        stream: StreamId,
        event: SerializedEvent,
        recorded_at: Timestamp,
        wrapped: Option<Vec<u8>>,
    ) -> Self {
        Self {
            position: 0,
            commit_position: 0,
            account_id: String::new(),
            account_number: 0,
            stream,
            revision: event.sequence as u64,
            event_type: event.event_type,
            event_version: event.event_version,
            recorded_at,
            forgets: false,
            payload: event.payload.to_string(),
            metadata: event.metadata.to_string(),
            wrapped,
        }
    }
}

/// See [`RecordedEvent::hash`]; the payload and metadata are the texts that are stored.
pub(crate) fn hash_of(event: &RecordedEvent, payload: &str, metadata: &str) -> Hash {
    let leaf = Leaf {
        position: event.position,
        commit_position: event.commit_position,
        account_id: &event.account_id,
        account_number: event.account_number,
        stream: &event.stream,
        revision: event.revision,
        event_type: &event.event_type,
        event_version: &event.event_version,
        recorded_at: event.recorded_at,
        forgets: event.forgets,
        payload,
        metadata,
    };
    leaf.hash()
}

/// The ciphers of one page, so that a stream's key is unwrapped once a page and kept no longer.
pub(crate) struct PageKeys<'a> {
    keys: &'a LogKeys,
    ciphers: HashMap<StreamId, XChaCha20Poly1305>,
}

impl<'a> PageKeys<'a> {
    pub(crate) fn new(keys: &'a LogKeys) -> Self {
        Self {
            keys,
            ciphers: HashMap::new(),
        }
    }

    /// What opens an event's values, where it can have any and they are not erased.
    fn cipher(&mut self, stored: &StoredEvent) -> Result<Option<&XChaCha20Poly1305>, StoreError> {
        let stream = &stored.stream;
        let Some(wrapped) = stored.wrapped.as_deref().filter(|_| stored.may_be_sealed()) else {
            return Ok(None);
        };
        if !self.ciphers.contains_key(stream) {
            let key = self.keys.stream_key(stream, wrapped);
            let key = key.ok_or_else(|| self.keys.ring.why_not(&stream.to_string(), wrapped))?;
            self.ciphers.insert(stream.clone(), key.cipher());
        }
        Ok(self.ciphers.get(stream))
    }

    /// A row as it is, with what opens its values where that is wanted.
    pub(crate) fn prove(
        &mut self,
        stored: StoredEvent,
        leaf: Option<Hash>,
        open: bool,
    ) -> ProvableEvent {
        let openings = if open {
            self.openings(&stored)
        } else {
            Ok(Vec::new())
        };
        let (openings, fault) = match openings {
            Ok(openings) => (openings, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        ProvableEvent {
            position: stored.position,
            commit_position: stored.commit_position,
            account_id: stored.account_id,
            account_number: stored.account_number,
            stream: stored.stream,
            revision: stored.revision,
            event_type: stored.event_type,
            event_version: stored.event_version,
            recorded_at: stored.recorded_at,
            forgets: stored.forgets,
            payload: stored.payload,
            metadata: stored.metadata,
            leaf,
            openings,
            fault,
        }
    }

    fn openings(&mut self, stored: &StoredEvent) -> Result<Vec<Opening>, String> {
        let cipher = self.cipher(stored);
        let Some(cipher) = cipher.map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        let payload: Value =
            serde_json::from_str(&stored.payload).map_err(|error| error.to_string())?;
        let metadata: Value =
            serde_json::from_str(&stored.metadata).map_err(|error| error.to_string())?;
        let bound = stored.bound();
        let mut openings =
            sealing::openings(&payload, bound, cipher).map_err(|error| error.to_string())?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str);
        if let Some(sealed) = text(SEALED_REASON) {
            let sealed = Sealed {
                text: sealed.to_owned(),
                commitment: text(REASON_COMMITMENT).unwrap_or_default().to_owned(),
            };
            let opening = sealing::reason_opening(&sealed, bound, cipher);
            openings.push(opening.map_err(|error| error.to_string())?);
        }
        Ok(openings)
    }

    /// Tells a row as far as its key allows.
    pub(crate) fn tell(&mut self, stored: StoredEvent) -> Result<ToldEvent, StoreError> {
        let position = stored.position;
        let corrupt = |what: String| StoreError::Corrupt(format!("position {position}: {what}"));
        let bound = stored.bound();
        let cipher = self.cipher(&stored)?;
        let opened = if sealing::may_be_sealed(&stored.payload) {
            let mut payload: Value = serde_json::from_str(&stored.payload)
                .map_err(|error| corrupt(error.to_string()))?;
            sealing::unseal(&mut payload, bound, cipher)
                .map_err(|error| corrupt(error.to_string()))?;
            Some(payload.to_string())
        } else {
            None
        };
        let (metadata, reason) = read_metadata(&stored.metadata, bound, cipher).map_err(corrupt)?;
        Ok(ToldEvent {
            position,
            commit_position: stored.commit_position,
            account_id: stored.account_id,
            account_number: stored.account_number,
            stream: stored.stream,
            revision: stored.revision,
            event_type: stored.event_type,
            event_version: stored.event_version,
            recorded_at: stored.recorded_at,
            metadata,
            reason,
            payload: opened.unwrap_or(stored.payload),
        })
    }

    /// Opens a row as far as its key allows.
    pub(crate) fn open(&mut self, stored: StoredEvent) -> Result<RecordedEvent, StoreError> {
        let position = stored.position;
        let corrupt = |what: String| StoreError::Corrupt(format!("position {position}: {what}"));
        let mut payload: Value =
            serde_json::from_str(&stored.payload).map_err(|error| corrupt(error.to_string()))?;
        let bound = stored.bound();
        let cipher = self.cipher(&stored)?;
        sealing::unseal(&mut payload, bound, cipher).map_err(|error| corrupt(error.to_string()))?;
        date(&mut payload, stored.recorded_at);
        let (metadata, reason) = read_metadata(&stored.metadata, bound, cipher).map_err(corrupt)?;
        let mut event = RecordedEvent {
            position,
            commit_position: stored.commit_position,
            account_id: stored.account_id,
            account_number: stored.account_number,
            revision: stored.revision,
            event_version: stored.event_version,
            recorded_at: stored.recorded_at,
            forgets: stored.forgets,
            stream: stored.stream,
            event_type: stored.event_type,
            metadata,
            reason,
            payload,
            hash: [0; 32],
        };
        event.hash = hash_of(&event, &stored.payload, &stored.metadata);
        Ok(event)
    }
}

/// Adds to an event the time that its row has.
pub(crate) fn date(payload: &mut Value, recorded_at: Timestamp) {
    if let Value::Object(map) = payload {
        let text = recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        map.insert(RECORDED_AT.to_owned(), Value::from(text));
    }
}

/// The metadata as it is stored: a flat map of texts, as cqrs-es reads it.
pub(crate) fn write_metadata(metadata: &Metadata, reason: Option<Sealed>) -> String {
    let mut map = Map::new();
    map.insert("actor".into(), metadata.actor.clone().into());
    map.insert("service".into(), metadata.service.clone().into());
    if let Some(request_id) = &metadata.request_id {
        map.insert("request_id".into(), request_id.clone().into());
    }
    if let Some(trace_id) = &metadata.trace_id {
        map.insert("trace_id".into(), trace_id.clone().into());
    }
    if let Some(Sealed { text, commitment }) = reason {
        map.insert(SEALED_REASON.into(), text.into());
        map.insert(REASON_COMMITMENT.into(), commitment.into());
    }
    Value::Object(map).to_string()
}

/// What [`write_metadata`] writes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredMetadata {
    actor: String,
    service: String,
    request_id: Option<String>,
    trace_id: Option<String>,
    #[serde(rename = "$reason")]
    reason: Option<String>,
    #[serde(rename = "$reason_commitment")]
    reason_commitment: String,
}

fn read_metadata(
    text: &str,
    bound: Bound<'_>,
    cipher: Option<&XChaCha20Poly1305>,
) -> Result<(Metadata, Reason), String> {
    let stored: StoredMetadata = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let reason = match (stored.reason, cipher) {
        (None, _) => Reason::NotGiven,
        (Some(_), None) => Reason::Erased,
        (Some(text), Some(cipher)) => {
            let commitment = stored.reason_commitment;
            let sealed = Sealed { text, commitment };
            sealing::unseal_reason(&sealed, bound, cipher)
                .map(Reason::Known)
                .map_err(|error| error.to_string())?
        }
    };
    let metadata = Metadata {
        actor: stored.actor,
        service: stored.service,
        request_id: stored.request_id,
        trace_id: stored.trace_id,
        reason: match &reason {
            Reason::Known(text) => Some(text.clone()),
            Reason::NotGiven | Reason::Erased => None,
        },
    };
    Ok((metadata, reason))
}
