//! Events as they are recorded: the event alone is written, the time comes with it on reading.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// The field under which the store gives the time of an event on reading. It is never written.
pub const RECORDED_AT: &str = "$recorded_at";

/// All events of one aggregate. Made by `event_set!`.
pub trait EventSet: Serialize + Clone + fmt::Debug + PartialEq + Send + Sync + Sized {
    /// The names of all events, as they stand in the log.
    const NAMES: &'static [&'static str];

    /// The event's name, as it stands in the log.
    fn name(&self) -> &'static str;

    /// The version of the event's form.
    fn version(&self) -> &'static str;

    /// Reads the content of the event called `name`, one of [`Self::NAMES`].
    ///
    /// # Errors
    /// When the content is not of that event.
    fn read<'de, M: MapAccess<'de>>(name: &'static str, map: &mut M) -> Result<Self, M::Error>;
}

/// An event together with when it was recorded.
///
/// Its serialised form is the event's alone, `{"UserLocked": {}}`; on reading, the time stands beside it
/// under [`RECORDED_AT`].
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<E> {
    /// What happened.
    pub event: E,
    /// When, once it is in the log.
    pub at: Option<Timestamp>,
}

impl<E> Recorded<E> {
    /// An event that was recorded at this time.
    pub const fn at(event: E, at: Timestamp) -> Self {
        Self {
            event,
            at: Some(at),
        }
    }

    /// When it was recorded; the epoch for an event that was not.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.at.unwrap_or_default()
    }
}

impl<E> From<E> for Recorded<E> {
    fn from(event: E) -> Self {
        Self { event, at: None }
    }
}

impl<E: Serialize> Serialize for Recorded<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.event.serialize(serializer)
    }
}

impl<'de, E: EventSet> Deserialize<'de> for Recorded<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordedVisitor(PhantomData))
    }
}

impl<E: EventSet> cqrs_es::DomainEvent for Recorded<E> {
    fn event_type(&self) -> String {
        self.event.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.event.version().to_owned()
    }
}

struct RecordedVisitor<E>(PhantomData<E>);

impl<'de, E: EventSet> Visitor<'de> for RecordedVisitor<E> {
    type Value = Recorded<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut event, mut at) = (None, None);
        while let Some(key) = map.next_key_seed(KeySeed(E::NAMES))? {
            match key {
                Key::RecordedAt => at = Some(map.next_value()?),
                Key::Event(name) if event.is_none() => event = Some(E::read(name, &mut map)?),
                Key::Event(_) => return Err(M::Error::custom("more than one event")),
            }
        }
        let event = event.ok_or_else(|| M::Error::custom("no event"))?;
        Ok(Recorded { event, at })
    }
}

enum Key {
    RecordedAt,
    Event(&'static str),
}

struct KeySeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an event")
    }

    fn visit_str<Err: Error>(self, key: &str) -> Result<Key, Err> {
        if key == RECORDED_AT {
            return Ok(Key::RecordedAt);
        }
        match self.0.iter().find(|name| **name == key) {
            Some(name) => Ok(Key::Event(name)),
            None => Err(Err::unknown_variant(key, self.0)),
        }
    }
}

#[cfg(test)]
mod tests;
