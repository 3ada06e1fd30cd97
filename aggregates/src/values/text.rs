//! Text as people write it: names, titles and reasons, and how two of them are compared.

use std::fmt;

use caseless::Caseless;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{ModuleName, ParseError};

/// A text in the form in which it is compared: NFKC, full case folding, NFKC again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Folded(String);

impl Folded {
    /// Folds any text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self(text.to_ascii_lowercase());
        }
        Self(text.nfkc().default_case_fold().nfkc().collect())
    }

    /// The folded text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that show nothing or turn the writing direction: two texts that look alike must not differ by them.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Joiners are letters' neighbours in Persian, Hindi and others, so a name may hold them.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Trims, composes (NFC), and refuses what no line of text should hold.
fn parse_line(text: &str, max: usize) -> Result<String, ParseError> {
    // Before normalising, so that a huge text costs nothing.
    if text.len() > max.saturating_mul(16) {
        return Err(too_long(max));
    }
    let line: String = text.trim().nfc().collect();
    if line.is_empty() {
        return Err(ParseError::new("must not be empty"));
    }
    if line.chars().count() > max {
        return Err(too_long(max));
    }
    if line.chars().any(char::is_control) {
        return Err(ParseError::new("must not contain control characters"));
    }
    if line.chars().any(|c| is_invisible(c) && !is_joiner(c)) {
        return Err(ParseError::new("must not contain invisible characters"));
    }
    if line.chars().all(|c| is_joiner(c) || c.is_whitespace()) {
        return Err(ParseError::new("must not be empty"));
    }
    Ok(line)
}

pub(super) fn too_long(max: usize) -> ParseError {
    ParseError::owned(format!("must have at most {max} characters"))
}

macro_rules! line_of_text {
    ($($(#[$meta:meta])* $name:ident($max:literal);)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads one; blanks at the ends are dropped, the rest is kept as typed (NFC).
            ///
            /// # Errors
            /// When it is empty, too long, or holds control or invisible characters.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                parse_line(text, $max).map(Self)
            }

            /// The text as typed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The form in which it is compared.
            #[must_use]
            pub fn folded(&self) -> Folded {
                Folded::of(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

line_of_text! {
    /// A first or a last name, 1 to 128 characters.
    PersonName(128);
    /// What an account is called, 1 to 200 characters.
    AccountTitle(200);
    /// What a company is called, 1 to 200 characters.
    CompanyTitle(200);
    /// What a role is called, 1 to 200 characters.
    RoleTitle(200);
    /// What a module is called, 1 to 200 characters.
    ModuleTitle(200);
}

impl ModuleTitle {
    /// A title for a module that nobody gave one: its name.
    #[must_use]
    pub fn from_name(name: &ModuleName) -> Self {
        Self(name.to_string())
    }
}

/// Why a command was given, in the words of who gave it: up to 1000 characters, line breaks allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReasonText(String);

impl ReasonText {
    const MAX: usize = 1000;

    /// Reads one; blanks at the ends are dropped.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters other than line breaks and tabs.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ParseError::new("must not be empty"));
        }
        if text.chars().take(Self::MAX + 1).count() > Self::MAX {
            return Err(too_long(Self::MAX));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return Err(ParseError::new("must not contain control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReasonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
