//! Makes an append ready on the caller's side: looks up or makes the keys of its streams and seals it.
//!
//! Which key a stream has is checked again in the transaction, so a key remembered here can be out of date without harm.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chacha20poly1305::XChaCha20Poly1305;
use moka::sync::Cache;

use crate::append::{Append, AppendError, NewEvent, StreamAppend, Told};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::{Metadata, Reason, RecordedEvent};
use crate::home::Home;
use crate::judge::KeyState;
use crate::keys::{LogKeys, Secret};
use crate::prepared::{self, Fault, KeyUse, MAX_BYTES, Prepared, PreparedEvent, PreparedStream};
use crate::sealing::{self, Bound, SealingError};
use crate::stored::write_metadata;
use crate::stream::StreamId;
use crate::tail::{OnForget, Tail};

const REMEMBERED_KEYS: u64 = 50_000;
const REMEMBERED_FOR: Duration = Duration::from_mins(5);

/// A stream's key in both its forms.
pub(crate) struct StreamKey {
    secret: Secret,
    wrapped: Vec<u8>,
}

/// Seals appends.
pub(crate) struct Sealer {
    keys: LogKeys,
    remembered: Cache<StreamId, Arc<StreamKey>>,
    /// Kept for as long as the sealer is: drops remembered keys of forgotten streams.
    _on_forget: Arc<OnForget>,
}

/// The append was sealed, and with these new keys.
pub(crate) struct SealedAppend {
    pub(crate) prepared: Prepared,
    pub(crate) new: Vec<(StreamId, Arc<StreamKey>)>,
}

impl Sealer {
    pub(crate) fn new(keys: LogKeys, tail: &Tail) -> Self {
        let remembered = Cache::builder()
            .max_capacity(REMEMBERED_KEYS)
            .time_to_live(REMEMBERED_FOR)
            .build();
        let cache = remembered.clone();
        let on_forget: Arc<OnForget> = Arc::new(move |stream| cache.invalidate(stream));
        tail.on_forget(&on_forget);
        Self {
            keys,
            remembered,
            _on_forget: on_forget,
        }
    }

    /// Checks and seals.
    pub(crate) async fn seal(
        &self,
        append: &Append,
        home: &dyn Home,
    ) -> Result<SealedAppend, AppendError> {
        prepared::check(append).map_err(|fault| match fault {
            Fault::TooLarge => AppendError::TooLarge,
            Fault::Malformed(what) => AppendError::Malformed(what),
        })?;
        let known = self.look_up(append, home).await?;
        let mut sealed = SealedAppend {
            prepared: Prepared::unsealed(append, &self.keys),
            new: Vec::new(),
        };
        for stream in &append.streams {
            let stream = self.stream(stream, &append.metadata, &known, &mut sealed.new)?;
            sealed.prepared.streams.push(stream);
        }
        for told in &append.told {
            sealed.prepared.streams.push(tell(told, &append.metadata)?);
        }
        if sealed.prepared.bytes() > MAX_BYTES {
            return Err(AppendError::TooLarge);
        }
        Ok(sealed)
    }

    /// The append is committed: its new keys are the streams' keys.
    pub(crate) fn committed(&self, new: Vec<(StreamId, Arc<StreamKey>)>) {
        for (stream, key) in new {
            self.remembered.insert(stream, key);
        }
    }

    /// The append's keys are out of date.
    pub(crate) fn key_moved(&self, append: &Append) {
        for stream in &append.streams {
            self.remembered.invalidate(&stream.stream);
        }
    }

    /// The keys of the streams that exist already and get something personal.
    async fn look_up(
        &self,
        append: &Append,
        home: &dyn Home,
    ) -> Result<HashMap<StreamId, Known>, AppendError> {
        let mut known = HashMap::new();
        let mut unknown = Vec::new();
        for stream in append
            .streams
            .iter()
            .filter(|s| needs_key(s, &append.metadata))
        {
            match self.remembered.get(&stream.stream) {
                Some(key) => {
                    known.insert(stream.stream.clone(), Known::Key(key));
                }
                None => unknown.push(stream.stream.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(known);
        }
        let states = home.keys(&unknown).await.map_err(append_error)?;
        for (stream, state) in unknown.into_iter().zip(states) {
            let key = match state {
                KeyState::Absent => continue,
                KeyState::Destroyed => Known::Destroyed,
                KeyState::Present(wrapped) => {
                    let secret = self.keys.stream_key(&stream, &wrapped).ok_or_else(|| {
                        append_error(self.keys.ring.why_not(&stream.to_string(), &wrapped))
                    })?;
                    let key = Arc::new(StreamKey { secret, wrapped });
                    self.remembered.insert(stream.clone(), key.clone());
                    Known::Key(key)
                }
            };
            known.insert(stream, key);
        }
        Ok(known)
    }

    fn stream(
        &self,
        append: &StreamAppend,
        metadata: &Metadata,
        known: &HashMap<StreamId, Known>,
        new: &mut Vec<(StreamId, Arc<StreamKey>)>,
    ) -> Result<PreparedStream, AppendError> {
        let personal = append
            .events
            .iter()
            .any(|e| sealing::has_personal(&e.payload));
        let throw_away = || Cipher::ThrowAway(Secret::generate().cipher());
        let (key, cipher) = if !personal && (metadata.reason.is_none() || append.events.is_empty())
        {
            (KeyUse::None, Cipher::None)
        } else if append.forget {
            // The stream's key goes with this commit, so nobody will read this again.
            (KeyUse::None, throw_away())
        } else {
            match known.get(&append.stream) {
                Some(Known::Key(key)) => (
                    KeyUse::Held(key.wrapped.clone()),
                    Cipher::Kept(key.secret.cipher()),
                ),
                Some(Known::Destroyed) if personal => (KeyUse::Forgotten, throw_away()),
                // A reason on a stream that is forgotten: it was given, and is erased from the start.
                Some(Known::Destroyed) => (KeyUse::None, throw_away()),
                None => {
                    let (secret, wrapped) = self.keys.new_stream_key(&append.stream);
                    let cipher = Cipher::Kept(secret.cipher());
                    let key = Arc::new(StreamKey { secret, wrapped });
                    new.push((append.stream.clone(), key.clone()));
                    (KeyUse::New(key.wrapped.clone()), cipher)
                }
            }
        };
        let events = append
            .events
            .iter()
            .zip(append.expected_revision + 1..)
            .map(|(event, revision)| seal_event(append, event, revision, metadata, &cipher))
            .collect::<Result<_, _>>()
            .map_err(|error| AppendError::Malformed(format!("{}: {error}", append.stream)))?;
        Ok(PreparedStream {
            stream: append.stream.clone(),
            account_id: append.account_id.clone(),
            expected_revision: Some(append.expected_revision),
            forget: append.forget,
            events,
            key,
        })
    }
}

/// An event for a stream that stands wherever it does: nothing of it is sealed.
fn tell(told: &Told, metadata: &Metadata) -> Result<PreparedStream, AppendError> {
    let Told {
        stream,
        account_id,
        event,
    } = told;
    if sealing::has_personal(&event.payload) {
        return Err(AppendError::Malformed(format!(
            "{stream}: an event for a stream that stands wherever it does holds something personal"
        )));
    }
    let append = StreamAppend {
        stream: stream.clone(),
        account_id: account_id.clone(),
        expected_revision: 0,
        events: Vec::new(),
        forget: false,
    };
    let metadata = Metadata {
        reason: None,
        ..metadata.clone()
    };
    // Its revision is known when it is placed.
    let event = seal_event(&append, event, 0, &metadata, &Cipher::None)
        .map_err(|error| AppendError::Malformed(format!("{stream}: {error}")))?;
    Ok(PreparedStream {
        stream: stream.clone(),
        account_id: account_id.clone(),
        expected_revision: None,
        events: vec![event],
        key: KeyUse::None,
        forget: false,
    })
}

/// What is known of a key that a stream has or had.
enum Known {
    Key(Arc<StreamKey>),
    Destroyed,
}

/// What an append to a stream is sealed with.
enum Cipher {
    /// Nothing in it is personal.
    None,
    /// The stream's key.
    Kept(XChaCha20Poly1305),
    /// A key that nobody keeps: what it seals is erased from the start.
    ThrowAway(XChaCha20Poly1305),
}

impl Cipher {
    fn get(&self) -> Option<&XChaCha20Poly1305> {
        match self {
            Self::None => None,
            Self::Kept(cipher) | Self::ThrowAway(cipher) => Some(cipher),
        }
    }
}

fn needs_key(append: &StreamAppend, metadata: &Metadata) -> bool {
    append.expected_revision > 0
        && !append.forget
        && !append.events.is_empty()
        && (metadata.reason.is_some()
            || append
                .events
                .iter()
                .any(|e| sealing::has_personal(&e.payload)))
}

fn seal_event(
    append: &StreamAppend,
    event: &NewEvent,
    revision: u64,
    metadata: &Metadata,
    cipher: &Cipher,
) -> Result<PreparedEvent, SealingError> {
    let bound = Bound {
        stream: &append.stream,
        revision,
        event_type: &event.event_type,
    };
    let payload = sealing::seal(&event.payload, bound, cipher.get())?.to_string();
    let reason = match (&metadata.reason, cipher.get()) {
        (Some(reason), Some(cipher)) => Some(sealing::seal_reason(reason, bound, cipher)?),
        (Some(_) | None, _) => None,
    };
    let mut draft = RecordedEvent {
        position: 0,
        commit_position: 0,
        account_id: append.account_id.clone(),
        account_number: 0,
        stream: append.stream.clone(),
        revision,
        event_type: event.event_type.clone(),
        event_version: event.event_version.clone(),
        recorded_at: Timestamp::default(),
        forgets: append.forget,
        reason: metadata
            .reason
            .clone()
            .map_or(Reason::NotGiven, Reason::Known),
        metadata: metadata.clone(),
        payload: event.payload.clone(),
        hash: [0; 32],
    };
    if matches!(cipher, Cipher::ThrowAway(_)) {
        draft.erase();
    }
    Ok(PreparedEvent {
        metadata: write_metadata(metadata, reason),
        payload,
        draft,
    })
}

/// A question on the way to an append that has no answer.
pub(crate) fn append_error(error: StoreError) -> AppendError {
    match error {
        StoreError::Unavailable(cause) => AppendError::Unavailable(cause),
        StoreError::Closed => AppendError::Unavailable(Arc::new(StoreError::Closed)),
        StoreError::Corrupt(what) => AppendError::Corrupt(what),
    }
}
