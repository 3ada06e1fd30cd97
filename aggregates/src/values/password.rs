//! Passwords in the clear, on their way to the hash and nowhere else.

use std::fmt;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::ParseError;

/// A password in the clear. It cannot be printed or serialised, and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// Without a second factor, which nobody has yet.
    const MIN_CHARS: usize = 15;
    const MAX_BYTES: usize = 1024;
    const MIN_OF_ITS_OWN: usize = 8;

    /// Reads a password that is to be set, and refuses what is easily guessed. Nothing is trimmed.
    ///
    /// # Errors
    /// When it is too short, too long, a common password or a short pattern repeated.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ParseError::new("must have at most 1024 bytes"));
        }
        if text.chars().count() < Self::MIN_CHARS {
            return Err(ParseError::new("must have at least 15 characters"));
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

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Passwords of 15 characters or more that lists of leaked ones name most often, folded, one a line.
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
