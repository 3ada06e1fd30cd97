//! Sealing: personal values of an event are stored encrypted with their stream's key beside a salted commitment.
//!
//! `{"$personal": v}` becomes `{"$sealed": …, "$commitment": …}`; with the key it is read back, without it is
//! `{"$erased": true}`. A ciphertext is bound to its stream, revision, event type and place, so that it cannot be moved.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::keys::random;
use crate::proof::Opening;
use crate::stream::StreamId;

pub(crate) const PERSONAL: &str = "$personal";
pub(crate) const ERASED: &str = "$erased";
pub(crate) const RECORDED_AT: &str = "$recorded_at";
const SEALED: &str = "$sealed";
const COMMITMENT: &str = "$commitment";
const SALT: usize = 16;
const NONCE: usize = 24;

/// The place of the reason; no JSON pointer looks like it.
const REASON: &str = "reason";

/// What a ciphertext is bound to, beside its place in the event.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) revision: u64,
    pub(crate) event_type: &'a str,
}

impl Bound<'_> {
    fn to(self, place: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        for part in [
            self.stream.aggregate_type.as_str(),
            self.stream.aggregate_id.as_str(),
            self.event_type,
            place,
        ] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes.extend(self.revision.to_be_bytes());
        bytes
    }
}

/// A sealed value: ciphertext and commitment, both as text.
pub(crate) struct Sealed {
    pub(crate) text: String,
    pub(crate) commitment: String,
}

/// The value cannot be sealed or unsealed, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SealingError(String);

fn error(what: &str, place: &str) -> SealingError {
    SealingError(format!("{what} at `{place}`"))
}

/// Whether anything in the event is personal.
pub(crate) fn has_personal(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(PERSONAL) || map.values().any(has_personal),
        Value::Array(items) => items.iter().any(has_personal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The event as it is stored. Without a cipher the event must have nothing personal.
pub(crate) fn seal(
    payload: &Value,
    bound: Bound<'_>,
    cipher: Option<&XChaCha20Poly1305>,
) -> Result<Value, SealingError> {
    if payload.get(RECORDED_AT).is_some() {
        return Err(error("reserved name", RECORDED_AT));
    }
    seal_at(payload, &mut String::new(), bound, cipher)
}

fn seal_at(
    value: &Value,
    place: &mut String,
    bound: Bound<'_>,
    cipher: Option<&XChaCha20Poly1305>,
) -> Result<Value, SealingError> {
    match value {
        Value::Object(map) => {
            if let Some(personal) = map.get(PERSONAL) {
                if map.len() != 1 {
                    return Err(error("a personal value has neighbours", place));
                }
                let cipher = cipher.ok_or_else(|| error("no key", place))?;
                let sealed = seal_value(personal, place, bound, cipher)?;
                return Ok(json!({ SEALED: sealed.text, COMMITMENT: sealed.commitment }));
            }
            if map.contains_key(SEALED) || map.contains_key(COMMITMENT) {
                return Err(error("reserved name", place));
            }
            let mut result = Map::new();
            for (key, inner) in map {
                let inner = within(place, key, |place| seal_at(inner, place, bound, cipher))?;
                result.insert(key.clone(), inner);
            }
            Ok(Value::Object(result))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                within(place, &index.to_string(), |place| {
                    seal_at(item, place, bound, cipher)
                })
            })
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
    }
}

/// Goes one step down a JSON pointer and comes back.
fn within<T>(place: &mut String, step: &str, inside: impl FnOnce(&mut String) -> T) -> T {
    let length = place.len();
    place.push('/');
    if step.contains(['~', '/']) {
        place.push_str(&step.replace('~', "~0").replace('/', "~1"));
    } else {
        place.push_str(step);
    }
    let result = inside(place);
    place.truncate(length);
    result
}

fn seal_value(
    value: &Value,
    place: &str,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Sealed, SealingError> {
    let nonce: [u8; NONCE] = random();
    let mut opened = Zeroizing::new(random::<SALT>().to_vec());
    serde_json::to_writer(&mut *opened, value).map_err(|_| error("not JSON", place))?;
    let payload = Payload {
        msg: &opened,
        aad: &bound.to(place),
    };
    let ciphertext = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| error("too large to seal", place))?;
    let mut text = URL_SAFE_NO_PAD.encode(nonce);
    // 24 bytes are 32 characters without a rest, so the two parts join without decoding.
    URL_SAFE_NO_PAD.encode_string(ciphertext, &mut text);
    Ok(Sealed {
        text,
        commitment: URL_SAFE_NO_PAD.encode(Sha256::digest(&*opened)),
    })
}

fn unseal_value(
    text: &str,
    commitment: &str,
    place: &str,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Value, SealingError> {
    let opened = open_value(text, commitment, place, bound, cipher)?;
    opened
        .get(SALT..)
        .and_then(|json| serde_json::from_slice(json).ok())
        .ok_or_else(|| error("sealed value is not JSON", place))
}

/// Salt and value, whose digest is the commitment.
fn open_value(
    text: &str,
    commitment: &str,
    place: &str,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| error("sealed value is not base64", place))?;
    let (nonce, ciphertext) = bytes
        .split_at_checked(NONCE)
        .ok_or_else(|| error("sealed value is cut off", place))?;
    let payload = Payload {
        msg: ciphertext,
        aad: &bound.to(place),
    };
    let opened = cipher
        .decrypt(XNonce::from_slice(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| error("sealed value is not what was written", place))?;
    if URL_SAFE_NO_PAD.encode(Sha256::digest(&*opened)) != commitment {
        return Err(error("commitment does not match", place));
    }
    Ok(opened)
}

/// What opens each personal value of an event that was stored.
pub(crate) fn openings(
    payload: &Value,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Vec<Opening>, SealingError> {
    let mut openings = Vec::new();
    openings_at(payload, &mut String::new(), bound, cipher, &mut openings)?;
    Ok(openings)
}

fn openings_at(
    value: &Value,
    place: &mut String,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
    openings: &mut Vec<Opening>,
) -> Result<(), SealingError> {
    match value {
        Value::Object(map) if map.contains_key(SEALED) => {
            let text = |name| map.get(name).and_then(Value::as_str).unwrap_or_default();
            let sealed = Sealed {
                text: text(SEALED).to_owned(),
                commitment: text(COMMITMENT).to_owned(),
            };
            openings.push(opening(&sealed, place, bound, cipher)?);
        }
        Value::Object(map) => {
            for (key, inner) in map {
                within(place, key, |place| {
                    openings_at(inner, place, bound, cipher, openings)
                })?;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(place, &index.to_string(), |place| {
                    openings_at(item, place, bound, cipher, openings)
                })?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

/// What opens the reason of an event.
pub(crate) fn reason_opening(
    sealed: &Sealed,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Opening, SealingError> {
    opening(sealed, REASON, bound, cipher)
}

fn opening(
    sealed: &Sealed,
    place: &str,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Opening, SealingError> {
    let opened = open_value(&sealed.text, &sealed.commitment, place, bound, cipher)?;
    let (salt, value) = opened
        .split_at_checked(SALT)
        .ok_or_else(|| error("sealed value is cut off", place))?;
    Ok(Opening {
        place: place.to_owned(),
        salt: salt.to_vec(),
        value: String::from_utf8(value.to_vec())
            .map_err(|_| error("sealed value is not JSON", place))?,
    })
}

/// Whether an event that was stored, as text, can have anything to open; `false` is certain. Within a text of the event a
/// quotation mark is escaped.
pub(crate) fn may_be_sealed(payload: &str) -> bool {
    payload.contains("\"$sealed\"")
}

/// Opens an event that was stored; without a cipher its personal values become erased.
pub(crate) fn unseal(
    payload: &mut Value,
    bound: Bound<'_>,
    cipher: Option<&XChaCha20Poly1305>,
) -> Result<(), SealingError> {
    unseal_at(payload, &mut String::new(), bound, cipher)
}

fn unseal_at(
    value: &mut Value,
    place: &mut String,
    bound: Bound<'_>,
    cipher: Option<&XChaCha20Poly1305>,
) -> Result<(), SealingError> {
    match value {
        Value::Object(map) => {
            if let Some(sealed) = map.get(SEALED) {
                *value = match cipher {
                    None => json!({ ERASED: true }),
                    Some(cipher) => {
                        let text = sealed.as_str().unwrap_or_default();
                        let commitment = map.get(COMMITMENT).and_then(Value::as_str);
                        let opened = unseal_value(
                            text,
                            commitment.unwrap_or_default(),
                            place,
                            bound,
                            cipher,
                        )?;
                        json!({ PERSONAL: opened })
                    }
                };
                return Ok(());
            }
            for (key, inner) in map {
                within(place, key, |place| unseal_at(inner, place, bound, cipher))?;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                within(place, &index.to_string(), |place| {
                    unseal_at(item, place, bound, cipher)
                })?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

pub(crate) fn seal_reason(
    reason: &str,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<Sealed, SealingError> {
    seal_value(&Value::from(reason), REASON, bound, cipher)
}

pub(crate) fn unseal_reason(
    sealed: &Sealed,
    bound: Bound<'_>,
    cipher: &XChaCha20Poly1305,
) -> Result<String, SealingError> {
    match unseal_value(&sealed.text, &sealed.commitment, REASON, bound, cipher)? {
        Value::String(reason) => Ok(reason),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(error("not a text", REASON))
        }
    }
}

/// Drops the personal values of an event that is open.
pub(crate) fn erase(value: &mut Value) {
    match value {
        Value::Object(map) if map.contains_key(PERSONAL) => *value = json!({ ERASED: true }),
        Value::Object(map) => map.values_mut().for_each(erase),
        Value::Array(items) => items.iter_mut().for_each(erase),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Secret;

    fn bound(stream: &StreamId) -> Bound<'_> {
        Bound {
            stream,
            revision: 3,
            event_type: "UserRenamed",
        }
    }

    fn stream() -> StreamId {
        StreamId::new("user", "1")
    }

    #[test]
    fn r62_a_personal_value_is_stored_as_ciphertext_and_commitment_only() {
        let cipher = Secret::generate().cipher();
        let payload = json!({"UserRenamed": {"names": [{"first": {"$personal": "Zoë"}}], "n": 1}});
        let stream = stream();
        let stored = seal(&payload, bound(&stream), Some(&cipher)).unwrap();
        let text = stored.to_string();
        assert!(!text.contains("Zoë") && text.contains("$commitment"));
        assert_eq!(stored["UserRenamed"]["n"], 1);
        let mut read = stored.clone();
        unseal(&mut read, bound(&stream), Some(&cipher)).unwrap();
        assert_eq!(read, payload);
        let mut erased = stored;
        unseal(&mut erased, bound(&stream), None).unwrap();
        assert_eq!(
            erased["UserRenamed"]["names"][0]["first"],
            json!({"$erased": true})
        );
    }

    #[test]
    fn r62_two_equal_values_have_different_ciphertexts_and_commitments() {
        let cipher = Secret::generate().cipher();
        let stream = stream();
        let payload = json!({"a": {"$personal": "x"}, "b": {"$personal": "x"}});
        let stored = seal(&payload, bound(&stream), Some(&cipher)).unwrap();
        assert_ne!(stored["a"]["$sealed"], stored["b"]["$sealed"]);
        assert_ne!(stored["a"]["$commitment"], stored["b"]["$commitment"]);
    }

    #[test]
    fn r62_a_ciphertext_cannot_be_moved_or_changed() {
        let cipher = Secret::generate().cipher();
        let stream = stream();
        let payload = json!({"a": {"$personal": "x"}, "b": {"$personal": "y"}});
        let stored = seal(&payload, bound(&stream), Some(&cipher)).unwrap();
        let fails = |mut value: Value, bound| unseal(&mut value, bound, Some(&cipher)).is_err();
        let swapped = json!({"a": stored["b"], "b": stored["a"]});
        assert!(fails(swapped, bound(&stream)));
        let later = Bound {
            revision: 4,
            ..bound(&stream)
        };
        assert!(fails(stored.clone(), later));
        let other = StreamId::new("user", "2");
        assert!(fails(stored.clone(), bound(&other)));
        let mut broken = stored;
        broken["a"]["$commitment"] = broken["b"]["$commitment"].clone();
        assert!(fails(broken, bound(&stream)));
    }

    #[test]
    fn reserved_names_and_personal_values_with_neighbours_are_refused() {
        let cipher = Secret::generate().cipher();
        let stream = stream();
        for payload in [
            json!({"a": {"$sealed": "x"}}),
            json!({"a": {"$commitment": "x"}}),
            json!({"$recorded_at": "x"}),
            json!({"a": {"$personal": "x", "b": 1}}),
        ] {
            assert!(
                seal(&payload, bound(&stream), Some(&cipher)).is_err(),
                "{payload}"
            );
        }
        assert!(seal(&json!({"$personal": 1}), bound(&stream), None).is_err());
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            ".{0,12}".prop_map(|text| json!({ PERSONAL: text })),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z/~]{0,4}", inner.clone(), 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
                inner.prop_map(|value| match value {
                    marked @ Value::Object(_) => marked,
                    plain => json!({ PERSONAL: plain }),
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn r62_any_event_is_read_back_as_it_was_and_erased_where_it_was_personal(payload in json_value()) {
            let cipher = Secret::generate().cipher();
            let stream = stream();
            let stored = seal(&payload, bound(&stream), Some(&cipher)).unwrap();
            prop_assert!(!has_personal(&stored));
            let mut read = stored.clone();
            unseal(&mut read, bound(&stream), Some(&cipher)).unwrap();
            prop_assert_eq!(&read, &payload);
            let mut forgotten = stored;
            unseal(&mut forgotten, bound(&stream), None).unwrap();
            erase(&mut read);
            prop_assert_eq!(forgotten, read);
        }
    }
}
