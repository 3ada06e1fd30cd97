//! Sealing of what one process of a log hands another: only who has the log's keys can read it, piece by piece.
//!
//! Pieces cannot be changed, left out, told in another order or cut off at the end without being noticed (STREAM, with
//! XChaCha20-Poly1305). Each copy has a key of its own, which follows from a key of the log, what is copied, and a random salt.

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::KeyInit as _;
use chacha20poly1305::aead::stream::{DecryptorBE32, EncryptorBE32};
use zeroize::Zeroizing;

use crate::keys::random;
use crate::log::Log;

const SALT: usize = 32;

/// The salt goes into the key, so that no key has two nonces to begin with.
const NONCE: [u8; 19] = [0; 19];

/// A piece cannot be sealed, or was not sealed by a process of this log as the next of its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the piece is not the next of a copy by a process of this log")]
pub struct NotOfThisLog;

/// Seals the pieces of one copy.
pub struct CopySeal {
    salt: [u8; SALT],
    pieces: EncryptorBE32<XChaCha20Poly1305>,
}

/// Opens the pieces of one copy.
pub struct CopyOpener {
    pieces: DecryptorBE32<XChaCha20Poly1305>,
}

impl Log {
    /// Begins a copy of something.
    #[must_use]
    pub fn seal_copy(&self, of: &str) -> CopySeal {
        let salt = random();
        CopySeal {
            salt,
            pieces: EncryptorBE32::from_aead(self.copy_cipher(of, &salt), &NONCE.into()),
        }
    }

    /// Begins to read a copy of something, by its salt.
    #[must_use]
    pub fn open_copy(&self, of: &str, salt: &[u8]) -> CopyOpener {
        CopyOpener {
            pieces: DecryptorBE32::from_aead(self.copy_cipher(of, salt), &NONCE.into()),
        }
    }

    fn copy_cipher(&self, of: &str, salt: &[u8]) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(self.token("copy", &[of.as_bytes(), salt]));
        XChaCha20Poly1305::new((&*key).into())
    }
}

impl CopySeal {
    /// What whoever opens the copy must know.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Seals a piece that is not the last.
    ///
    /// # Errors
    /// After 2^32 pieces.
    pub fn next(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotOfThisLog> {
        self.pieces.encrypt_next(piece).map_err(|_| NotOfThisLog)
    }

    /// Seals the last piece.
    ///
    /// # Errors
    /// After 2^32 pieces.
    pub fn last(self, piece: &[u8]) -> Result<Vec<u8>, NotOfThisLog> {
        self.pieces.encrypt_last(piece).map_err(|_| NotOfThisLog)
    }
}

impl CopyOpener {
    /// Opens a piece that is not the last.
    ///
    /// # Errors
    /// When it is not the next one, as it was sealed.
    pub fn next(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotOfThisLog> {
        self.pieces.decrypt_next(piece).map_err(|_| NotOfThisLog)
    }

    /// Opens the last piece.
    ///
    /// # Errors
    /// When it is not the last one, as it was sealed.
    pub fn last(self, piece: &[u8]) -> Result<Vec<u8>, NotOfThisLog> {
        self.pieces.decrypt_last(piece).map_err(|_| NotOfThisLog)
    }
}
