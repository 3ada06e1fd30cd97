//! Personal values, which can be erased from the log.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A personal value: the store seals it with the key of its user or invitation, and erases it with that key.
///
/// Serialises as `{"$personal": value}`; reads that and `{"$erased": true}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value as it was given.
    Known(T),
    /// There was a value; its key was destroyed.
    #[default]
    Erased,
}

impl<T> Personal<T> {
    /// The value, unless it was erased.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

const KNOWN: &str = "$personal";
const ERASED: &str = "$erased";

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Known(value) => map.serialize_entry(KNOWN, value)?,
            Self::Erased => map.serialize_entry(ERASED, &true)?,
        }
        map.end()
    }
}

#[derive(Deserialize)]
enum Key {
    #[serde(rename = "$personal")]
    Known,
    #[serde(rename = "$erased")]
    Erased,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PersonalVisitor(PhantomData))
    }
}

struct PersonalVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PersonalVisitor<T> {
    type Value = Personal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a personal value or the mark that it was erased")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let value = match map.next_key::<Key>()? {
            Some(Key::Known) => Personal::Known(map.next_value()?),
            Some(Key::Erased) => {
                map.next_value::<IgnoredAny>()?;
                Personal::Erased
            }
            None => return Err(M::Error::missing_field(KNOWN)),
        };
        match map.next_key::<Key>()? {
            None => Ok(value),
            Some(Key::Known | Key::Erased) => Err(M::Error::custom("more than one personal value")),
        }
    }
}

#[cfg(test)]
mod tests;
