//! The index by which parts of names are found: for every text the runs of three letters in it.
//!
//! * Two marks stand behind each text, so that every letter begins a run: what is shorter than three letters begins some run,
//!   and an end is found as well as what stands inside.
//! * It follows the rows of users by triggers, so no change of a row can forget it. They note what is due, which is done in one
//!   go before a fold is committed: FTS5 writes what it holds at every savepoint, and each statement with a trigger opens one.
//! * What it finds may fit; whoever asks looks at the text itself.
//! * It keeps no copy of the texts. What is taken out of it is gone from its pages at once: FTS5's own `secure-delete` sees to
//!   that, which SQLite's does not reach, and [`borders`] to what FTS5 leaves of it between them. FTS5 marks an index that it
//!   deletes from so with version 5, by which its integrity check goes, but forgets to where an index without texts is told
//!   what to delete: so it is marked from the start. (It must keep columns apart, too: with `detail = none`, FTS5 3.46 damages
//!   an index from which it deletes so.)

mod borders;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::pattern::Pattern;

pub(super) const TABLES: &str = "
    CREATE VIRTUAL TABLE user_grams USING fts5 (
        signature, first_name, last_name, email,
        content = '', columnsize = 0, detail = column, tokenize = 'ascii'
    );

    UPDATE user_grams_config
    SET v = 5
    WHERE k = 'version';

    INSERT INTO user_grams (user_grams, rank)
    VALUES ('secure-delete', 1);

    CREATE TABLE user_grams_due (
        number INTEGER PRIMARY KEY,
        was_signature TEXT,
        was_first_name TEXT,
        was_last_name TEXT,
        was_email TEXT,
        signature TEXT,
        first_name TEXT,
        last_name TEXT,
        email TEXT
    ) STRICT;
";

/// Takes up the rows that are there, and from then on every change.
pub(super) const INDEX: &str = "
    INSERT INTO user_grams (rowid, signature, first_name, last_name, email)
    SELECT number, runs(signature_key), runs(first_name_key), runs(last_name_key), runs(email_key)
    FROM users
    ORDER BY number;

    CREATE TRIGGER user_grams_put AFTER INSERT ON users
    BEGIN
        INSERT INTO user_grams_due (number, signature, first_name, last_name, email)
        VALUES (new.number, new.signature_key, new.first_name_key, new.last_name_key, new.email_key);
    END;

    CREATE TRIGGER user_grams_removed AFTER DELETE ON users
    BEGIN
        INSERT INTO user_grams_due (number, was_signature, was_first_name, was_last_name, was_email)
        VALUES (old.number, old.signature_key, old.first_name_key, old.last_name_key, old.email_key)
        ON CONFLICT (number) DO UPDATE
        SET signature = NULL, first_name = NULL, last_name = NULL, email = NULL;
    END;

    CREATE TRIGGER user_grams_changed
    AFTER UPDATE OF signature_key, first_name_key, last_name_key, email_key ON users
    BEGIN
        INSERT INTO user_grams_due
        VALUES (
            new.number,
            old.signature_key, old.first_name_key, old.last_name_key, old.email_key,
            new.signature_key, new.first_name_key, new.last_name_key, new.email_key
        )
        ON CONFLICT (number) DO UPDATE
        SET signature = excluded.signature, first_name = excluded.first_name,
            last_name = excluded.last_name, email = excluded.email;
    END;
";

const GOING: &str = "
    SELECT runs(was_signature) || ' ' || runs(was_first_name) || ' ' || runs(was_last_name) || ' ' || runs(was_email)
    FROM user_grams_due
    WHERE was_signature IS NOT NULL";

const TAKE_OUT: &str = "
    INSERT INTO user_grams (user_grams, rowid, signature, first_name, last_name, email)
    SELECT 'delete', number, runs(was_signature), runs(was_first_name), runs(was_last_name), runs(was_email)
    FROM user_grams_due
    WHERE was_signature IS NOT NULL";

const PUT_IN: &str = "
    INSERT INTO user_grams (rowid, signature, first_name, last_name, email)
    SELECT number, runs(signature), runs(first_name), runs(last_name), runs(email)
    FROM user_grams_due
    WHERE signature IS NOT NULL";

const DONE: &str = "
    DELETE FROM user_grams_due";

/// How long a run is.
const RUN: usize = 3;

/// What stands behind a text.
const END: char = '\u{3}';

/// How many runs of a text are asked for: more would hardly tell more.
const ASKED: usize = 16;

/// Gives a connection the function `runs(key)`, which the triggers need.
pub(crate) fn teach(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("runs", 1, flags, |call| {
        Ok(runs_of(call.get_raw(0).as_str()?))
    })
}

/// Brings the index to where the rows are.
pub(super) fn settle(tables: &Connection) -> rusqlite::Result<()> {
    let going = going(tables)?;
    for step in [TAKE_OUT, PUT_IN, DONE] {
        tables.prepare_cached(step)?.execute([])?;
    }
    borders::forget(tables, &going)
}

/// The runs that will be taken out.
fn going(tables: &Connection) -> rusqlite::Result<BTreeSet<Vec<u8>>> {
    let mut runs = BTreeSet::new();
    let mut statement = tables.prepare_cached(GOING)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str()?;
        runs.extend(text.split(' ').map(|run| run.as_bytes().to_vec()));
    }
    Ok(runs)
}

/// The runs of a text, each once, with spaces between them.
fn runs_of(key: &str) -> String {
    let letters = letters_of(key, true);
    let mut runs = runs(&letters);
    runs.sort_unstable();
    runs.dedup();
    runs.join(" ")
}

/// A part of a text, which ends it or not, in the letters of the index.
fn letters_of(part: &str, ends: bool) -> String {
    let end = std::iter::repeat_n(END, if ends { RUN - 1 } else { 0 });
    part.chars().chain(end).map(as_letter).collect()
}

/// The runs of three in such letters.
fn runs(letters: &str) -> Vec<&str> {
    let starts = letters.char_indices().map(|(at, _)| at);
    let ends = starts.clone().chain([letters.len()]).skip(RUN);
    starts
        .zip(ends)
        .map(|(from, to)| &letters[from..to])
        .collect()
}

/// The tokenizer takes a run for one word: everything that would divide it becomes a letter of Unicode's private use.
fn as_letter(letter: char) -> char {
    if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
        char::from_u32(0xe000 + u32::from(letter)).unwrap_or(letter)
    } else {
        letter
    }
}

/// A question to the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grams {
    whole: Vec<String>,
    /// Parts that are shorter than a run, and begin one.
    begun: Vec<String>,
}

impl Grams {
    /// What fits a pattern has.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let mut grams = Self::default();
        for (part, ends) in pattern.parts().filter(|(part, _)| !part.is_empty()) {
            // A space in it may be the one between two names, each of which is a text of its own.
            let words = part.split(' ');
            let last = words.clone().count() - 1;
            for (at, word) in words.enumerate().filter(|(_, word)| !word.is_empty()) {
                grams.add(word, ends && at == last);
            }
        }
        grams
    }

    /// What has a word inside has.
    pub(super) fn inside(word: &str) -> Self {
        let mut grams = Self::default();
        grams.add(word, false);
        grams
    }

    fn add(&mut self, part: &str, ends: bool) {
        let letters = letters_of(part, ends);
        let runs = runs(&letters);
        if runs.is_empty() {
            self.begun.push(letters);
        } else {
            self.whole.extend(runs.into_iter().map(str::to_owned));
            self.whole.truncate(ASKED);
        }
    }

    /// Whether it asks for runs as a whole, which cost what they find.
    pub(super) fn are_whole(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Whether it asks for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.begun.is_empty()
    }

    /// The runs it asks for, or what they begin with where it asks for none as a whole.
    pub(super) fn asked(&self) -> &[String] {
        if self.are_whole() {
            &self.whole
        } else {
            &self.begun
        }
    }

    /// As FTS5 takes it; in one column, or in any.
    pub(super) fn expression(&self, column: Option<&str>) -> String {
        let mut text = String::new();
        for (at, run) in self.asked().iter().enumerate() {
            let and = if at == 0 { "" } else { " AND " };
            let star = if self.are_whole() { "" } else { " *" };
            // Writing to a text cannot fail.
            let _written = write!(text, "{and}\"{run}\"{star}");
        }
        match column {
            Some(column) => format!("{column} : ({text})"),
            None => format!("({text})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_a_text_begins_a_run() {
        let end = as_letter(END);
        assert_eq!(runs_of("anna"), format!("ann a{end}{end} na{end} nna"));
        assert_eq!(runs_of("aaaaa"), format!("aaa aa{end} a{end}{end}"));
        assert!(!runs_of("o'neil @x.se").contains(['\'', '@', '.']));
    }

    #[test]
    fn short_parts_are_asked_for_by_how_they_begin_and_ends_as_a_whole() {
        let of = |pattern: &str| Grams::of(&Pattern::parse(pattern).unwrap());
        assert_eq!(of("*an*").expression(None), "(\"an\" *)");
        assert!(!of("*an*").are_whole());
        assert_eq!(
            of("*anna*").expression(Some("email")),
            "email : (\"ann\" AND \"nna\")"
        );
        assert!(of("*k").are_whole() && of("ek").are_whole());
        assert!(of("*").is_empty());
    }
}
