//! Languages.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ParseError;

/// A language tag (BCP 47) in its canonical spelling, such as `sv-SE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Reads one in any spelling.
    ///
    /// # Errors
    /// When it is not a well-formed tag of at most 64 characters.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > 64 {
            return Err(ParseError::new("must have at most 64 characters"));
        }
        oxilangtag::LanguageTag::parse_and_normalize(text)
            .map(|tag| Self(tag.into_inner()))
            .map_err(|_| ParseError::new("must be a language tag (BCP 47), such as en or sv-SE"))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
