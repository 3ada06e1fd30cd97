//! E-mail addresses.

use std::fmt;

use email_address::Options;
use serde::{Deserialize, Serialize};

use super::{Folded, ParseError};

/// An e-mail address without a display name, at most 254 bytes, kept as typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    const MAX: usize = 254;

    /// Reads one; blanks at the ends are dropped.
    ///
    /// # Errors
    /// When it is not an address to which mail can be sent.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let address = text.trim();
        if address.is_empty() {
            return Err(ParseError::new("must not be empty"));
        }
        if address.len() > Self::MAX {
            return Err(ParseError::new("must have at most 254 bytes"));
        }
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        let plain = !address.chars().any(|c| c.is_control() || c.is_whitespace());
        if !plain || email_address::EmailAddress::parse_with_options(address, options).is_err() {
            return Err(ParseError::new("must be an e-mail address"));
        }
        Ok(Self(address.to_owned()))
    }

    /// The address as typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which addresses are compared.
    #[must_use]
    pub fn folded(&self) -> Folded {
        Folded::of(&self.0)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
