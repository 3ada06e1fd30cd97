//! Page tokens: where a list goes on, sealed so that they can neither be read nor made up, and bound to their query.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rollbook_eventstore::Log;
use rollbook_proto::v1::ErrorReason;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};

/// How many rows a page has when the caller does not say.
const DEFAULT_SIZE: u32 = 100;
/// How many rows a page has at most.
const MAX_SIZE: u32 = 1000;
const MAX_TOKEN: usize = 8192;
const NONCE: usize = 24;

/// Makes and reads page tokens.
#[derive(Clone)]
pub struct PageTokens {
    cipher: XChaCha20Poly1305,
}

impl PageTokens {
    /// Tokens of this log: every process on it reads those of the others.
    #[must_use]
    pub fn of(log: &Log) -> Self {
        let key = log.token("page-token", &[]);
        Self {
            cipher: XChaCha20Poly1305::new(&key.into()),
        }
    }

    /// The token for the rows after `key` of `query`; empty where there are none.
    #[must_use]
    pub fn write<K: Serialize>(&self, query: &[u8], key: Option<&K>) -> String {
        let Some(plain) = key.and_then(|key| serde_json::to_vec(key).ok()) else {
            return String::new();
        };
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload {
            msg: &plain,
            aad: query,
        };
        match self.cipher.encrypt(&nonce, payload) {
            Ok(sealed) => BASE64.encode([nonce.as_slice(), &sealed].concat()),
            Err(_) => String::new(),
        }
    }

    /// The key in a token of `query`; none where it is empty.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID` when it was not made here for this query.
    pub fn read<K: DeserializeOwned>(&self, query: &[u8], token: &str) -> Outcome<Option<K>> {
        if token.is_empty() {
            return Ok(None);
        }
        self.open(query, token).map(Some).ok_or_else(|| {
            Failure::new(
                ErrorReason::PageTokenInvalid,
                "the page token was not made for this query",
            )
        })
    }

    fn open<K: DeserializeOwned>(&self, query: &[u8], token: &str) -> Option<K> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let bytes = BASE64.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: sealed,
            aad: query,
        };
        let plain = self
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

/// The size of a page as asked for.
///
/// # Errors
/// When it is over 1000.
pub fn size(asked: u32) -> Result<u32, String> {
    match asked {
        0 => Ok(DEFAULT_SIZE),
        1..=MAX_SIZE => Ok(asked),
        _ => Err(format!("must be at most {MAX_SIZE}")),
    }
}
