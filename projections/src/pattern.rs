//! Patterns of searches, as people type them: `*` and `%` stand for any run of characters, none included; `\` takes the
//! character behind it as it is.

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, types::Value};
use serde::{Deserialize, Serialize};

use crate::text::sort_key;

/// How many characters a pattern has at most.
const LONGEST: usize = 300;

/// A pattern, ready to be held against the sort keys of texts: case and accents do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern {
    /// What stands between the wildcards, folded: the first part begins the text, the last one ends it, and a single one is
    /// all of it.
    parts: Vec<String>,
}

/// A text that is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More than it may have.
    #[error("must have at most {LONGEST} characters")]
    TooLong,
    /// What no text can hold.
    #[error("must not contain control characters")]
    Control,
    /// A `\` at its end.
    #[error("must not end with a \\ that escapes nothing")]
    EscapesNothing,
}

impl Pattern {
    /// Reads a pattern. White space around it does not count, unless it is escaped.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > LONGEST {
            return Err(PatternError::TooLong);
        }
        if text.trim().chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        let mut parts = Vec::new();
        let mut part = String::new();
        // How much of the part stays, should the text end here.
        let mut kept = 0;
        let mut letters = text.trim_start().chars();
        while let Some(letter) = letters.next() {
            match letter {
                '*' | '%' => {
                    parts.push(std::mem::take(&mut part));
                    kept = 0;
                    continue;
                }
                '\\' => part.push(letters.next().ok_or(PatternError::EscapesNothing)?),
                _ => part.push(letter),
            }
            if letter == '\\' || !letter.is_whitespace() {
                kept = part.len();
            }
        }
        part.truncate(kept);
        parts.push(part);
        match parts.as_slice() {
            [nothing] if nothing.is_empty() => Err(PatternError::Empty),
            parts => Ok(Self::of(parts)),
        }
    }

    fn of(parts: &[String]) -> Self {
        let last = parts.len() - 1;
        let parts = parts.iter().map(|part| sort_key(part)).enumerate();
        Self {
            // Wildcards beside each other are one.
            parts: parts
                .filter(|(at, part)| *at == 0 || *at == last || !part.is_empty())
                .map(|(_, part)| part)
                .collect(),
        }
    }

    /// Whether a sort key fits it. Takes the leftmost place for each part, so it never tries twice.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        let (begins, between, ends) = match self.parts.as_slice() {
            [] => return false,
            [whole] => return key == whole,
            [begins, between @ .., ends] => (begins, between, ends),
        };
        let Some(mut rest) = key
            .strip_prefix(begins.as_str())
            .and_then(|rest| rest.strip_suffix(ends.as_str()))
        else {
            return false;
        };
        between
            .iter()
            .all(|part| match rest.split_once(part.as_str()) {
                Some((_, behind)) => {
                    rest = behind;
                    true
                }
                None => false,
            })
    }

    /// Whether every text fits.
    pub(crate) fn is_anything(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(String::is_empty)
    }

    /// All of the text, where no wildcard leaves anything open.
    pub(crate) fn whole(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [whole] => Some(whole),
            _ => None,
        }
    }

    /// What every text that fits begins with; may be empty.
    pub(crate) fn beginning(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// Whether every text that begins so fits, or where nothing is open, that text alone: whether it can be told from where a
    /// text stands among the sorted.
    pub(crate) fn is_stretch(&self) -> bool {
        match self.parts.as_slice() {
            [_] => true,
            [_, ends] => ends.is_empty(),
            _ => false,
        }
    }

    /// Its parts, each with whether it ends the text.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, bool)> {
        let last = self.parts.len() - 1;
        let parts = self.parts.iter().enumerate();
        parts.map(move |(at, part)| (part.as_str(), at == last))
    }

    /// As the function `fits` takes it.
    pub(crate) fn to_value(&self) -> Value {
        Value::Text(self.parts.join(BETWEEN))
    }
}

/// What separates the parts where a pattern is handed to SQL; no text that can be stored holds it.
const BETWEEN: &str = "\u{1f}";

/// Gives a connection the function `fits(pattern, key)`.
pub(crate) fn teach(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("fits", 2, flags, |call| {
        let pattern = call.get_or_create_aux(0, |pattern| {
            pattern.as_str().map(|text| Pattern {
                parts: text.split(BETWEEN).map(str::to_owned).collect(),
            })
        })?;
        Ok(pattern.fits(call.get_raw(1).as_str()?))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(&sort_key(text))
    }

    #[test]
    fn r51_wildcards_stand_anywhere_and_without_one_the_match_is_exact() {
        for (pattern, text, expected) in [
            ("anna", "Anna", true),
            ("anna", "Annabel", false),
            ("ann*", "Annabel", true),
            ("%bel", "Annabel", true),
            ("*nab*", "Annabel", true),
            ("a*b%l", "Annabel", true),
            ("a*l*b", "Annabel", false),
            ("ab*ba", "aba", false),
            ("*", "anybody", true),
            ("a**a", "aa", true),
            ("_nna", "Anna", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn r51_a_backslash_takes_the_next_character_as_it_is() {
        assert!(fits(r"100\%", "100%") && !fits(r"100\%", "100 and more"));
        assert!(fits(r"\*\\*", r"*\x") && !fits(r"\*\\*", "x"));
        assert!(fits(r"a\b", "ab"));
        assert_eq!(Pattern::parse(r"a\"), Err(PatternError::EscapesNothing));
    }

    #[test]
    fn r51_case_and_accents_do_not_count() {
        for (pattern, text) in [
            ("å*", "Anna"),
            ("A*", "åsa"),
            ("*ß*", "GROSSMANN"),
            ("*ss*", "Großmann"),
            ("oster", "Øster"),
            ("lodz", "Łódź"),
            ("aero", "Ærø"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn white_space_around_a_pattern_does_not_count_unless_it_is_escaped() {
        assert!(fits("  anna maria ", "Anna Maria"));
        assert!(fits("anna *", "Anna Maria") && !fits("anna *", "Annabel"));
        assert!(fits(r"anna\ ", "anna ") && !fits(r"anna\ ", "anna"));
        assert_eq!(Pattern::parse("  "), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("a\u{1f}b"), Err(PatternError::Control));
        assert_eq!(Pattern::parse(&"a".repeat(301)), Err(PatternError::TooLong));
    }

    /// A matcher that tries everything, straight from what is typed.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*' | '%', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            ['\\', letter, rest @ ..] | [letter, rest @ ..] => {
                text.first() == Some(letter) && naive(rest, &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn r51_patterns_fit_what_a_naive_matcher_says(
            pattern in r"(a|b|\*|%|\\a|\\\*|\\%|\\\\){1,8}",
            text in r"[ab*%\\]{0,8}",
        ) {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&letters(&pattern), &letters(&text));
            prop_assert_eq!(fits(&pattern, &text), expected);
            // And handed to SQL and back.
            let connection = Connection::open_in_memory().unwrap();
            teach(&connection).unwrap();
            let told: bool = connection
                .query_row(
                    "SELECT fits(?1, ?2)",
                    rusqlite::params![Pattern::parse(&pattern).unwrap().to_value(), text],
                    |row| row.get(0),
                )
                .unwrap();
            prop_assert_eq!(told, expected);
        }

        #[test]
        fn an_escaped_text_fits_itself_alone(text in r"[a-cå*%\\ ]{1,10}", other in r"[a-c*%\\]{0,10}") {
            let escaped: String = text.chars().flat_map(|letter| ['\\', letter]).collect();
            prop_assert!(fits(&escaped, &text));
            prop_assert_eq!(fits(&escaped, &other), sort_key(&text) == sort_key(&other));
        }

        #[test]
        fn texts_fold_letter_by_letter(one in any::<String>(), other in any::<String>()) {
            prop_assert_eq!(sort_key(&format!("{one}{other}")), sort_key(&one) + &sort_key(&other));
        }
    }
}
