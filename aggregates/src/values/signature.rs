//! A user's short unique code on coding rows.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::ParseError;
use super::text::{Folded, is_invisible, too_long};

/// A user's short unique code on coding rows: 1 to 32 characters without blanks, kept as typed (NFC).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(String);

impl Signature {
    const MAX: usize = 32;

    /// Reads one; blanks at the ends are dropped.
    ///
    /// # Errors
    /// When it is empty, too long, or holds blanks, control or invisible characters.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX * 16 {
            return Err(too_long(Self::MAX));
        }
        let code: String = text.trim().nfc().collect();
        if code.is_empty() {
            return Err(ParseError::new("must not be empty"));
        }
        if code.chars().count() > Self::MAX {
            return Err(too_long(Self::MAX));
        }
        if code
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || is_invisible(c))
        {
            return Err(ParseError::new(
                "must not contain blanks, control or invisible characters",
            ));
        }
        Ok(Self(code))
    }

    /// The code as typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which signatures are compared.
    #[must_use]
    pub fn folded(&self) -> Folded {
        Folded::of(&self.0)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
