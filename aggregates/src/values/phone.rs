//! Phone numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ParseError;

/// A phone number as people write it: 3 to 32 of digits, blanks and `+ ( ) - . /`, kept as typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Reads one; blanks at the ends are dropped.
    ///
    /// # Errors
    /// When it is too short or too long, or holds anything a phone number does not.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let number = text.trim();
        if !(3..=32).contains(&number.len()) {
            return Err(ParseError::new("must have 3 to 32 characters"));
        }
        let allowed = |c: char| c.is_ascii_digit() || "+()-./ ".contains(c);
        if !number.chars().all(allowed) {
            return Err(ParseError::new(
                "must consist of digits, blanks and + ( ) - . /",
            ));
        }
        if number.chars().filter(char::is_ascii_digit).count() < 3 {
            return Err(ParseError::new("must have at least 3 digits"));
        }
        Ok(Self(number.to_owned()))
    }

    /// The number as typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
