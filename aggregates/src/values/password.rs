//! Passwords in the clear, on their way to the hash and nowhere else.

use std::fmt;

use caseless::Caseless;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::ParseError;

/// A password in the clear. It cannot be printed or serialised, and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// Without a second factor.
    const MIN_CHARS: usize = 15;
    /// With one.
    const MIN_CHARS_BESIDE_A_FACTOR: usize = 8;
    const MAX_BYTES: usize = 1024;
    const MIN_OF_ITS_OWN: usize = 8;

    /// Reads a password that is to be set by somebody without a second factor, and refuses what is easily guessed. Nothing is
    /// trimmed.
    ///
    /// # Errors
    /// When it is too short, too long, a common password or a short pattern repeated.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() <= Self::MAX_BYTES && text.chars().count() < Self::MIN_CHARS {
            return Err(ParseError::new("must have at least 15 characters"));
        }
        Self::parse_shorter(text)
    }

    /// Reads a password that is to be set by somebody who may have a second factor; where it has none,
    /// [`Self::must_do_alone`] is to be asked too.
    ///
    /// # Errors
    /// When it is too short for anybody, too long, a common password or a short pattern repeated.
    pub fn parse_shorter(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ParseError::new("must have at most 1024 bytes"));
        }
        if text.chars().count() < Self::MIN_CHARS_BESIDE_A_FACTOR {
            return Err(ParseError::new("must have at least 8 characters"));
        }
        let plain = plain(text);
        if common().any(|line| line == plain.as_str()) {
            return Err(ParseError::new("must not be a common password"));
        }
        if repeats_a_pattern(&plain) {
            return Err(ParseError::new("must not repeat a short pattern"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Refuses a password that is too short without a second factor.
    ///
    /// # Errors
    /// When it has fewer than 15 characters.
    pub fn must_do_alone(&self) -> Result<(), ParseError> {
        if self.0.chars().count() < Self::MIN_CHARS {
            Err(ParseError::new(
                "must have at least 15 characters without a second factor",
            ))
        } else {
            Ok(())
        }
    }

    /// Whether it is the one that was entered, in a time that does not tell how much of them is alike.
    #[must_use]
    pub fn is(&self, entered: &EnteredPassword) -> bool {
        self.as_bytes().ct_eq(entered.as_bytes()).into()
    }

    /// Refuses a password that is little more than what is known of its owner.
    ///
    /// # Errors
    /// When fewer than 8 letters and digits are left after these words (a signature, names, an e-mail
    /// address) are taken out of it.
    pub fn must_say_more_than(&self, known: &[&str]) -> Result<(), ParseError> {
        let mut words: Vec<String> = known
            .iter()
            .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
            .map(|word| plain(word).to_string())
            .filter(|word| word.chars().count() > 1)
            .collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let whole = plain(&self.0);
        let mut rest = whole.clone();
        for word in &words {
            rest = Zeroizing::new(rest.replace(word.as_str(), " "));
        }
        let left = rest.chars().filter(|c| c.is_alphanumeric()).count();
        if rest != whole && left < Self::MIN_OF_ITS_OWN {
            return Err(ParseError::new(
                "must not consist of the user's own signature, name or e-mail",
            ));
        }
        Ok(())
    }

    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A password as somebody entered it to prove who it is: any text. It cannot be printed or serialised, and is wiped when
/// dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EnteredPassword(String);

impl EnteredPassword {
    /// Reads what was entered. Nothing is trimmed.
    ///
    /// # Errors
    /// When it is empty, or longer than any password.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if (1..=Password::MAX_BYTES).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("must have 1 to 1024 bytes"))
        }
    }

    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for EnteredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnteredPassword(…)")
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Passwords of 8 characters or more that lists of leaked ones name most often, folded, one a line.
fn common() -> impl Iterator<Item = &'static str> {
    include_str!("common_passwords.txt").lines()
}

fn plain(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        return Zeroizing::new(text.to_ascii_lowercase());
    }
    Zeroizing::new(text.nfkc().default_case_fold().nfkc().collect())
}

/// Whether the text is one piece of at most five characters again and again.
fn repeats_a_pattern(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=5).any(|size| {
        chars
            .iter()
            .zip(chars.iter().skip(size))
            .all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests;
