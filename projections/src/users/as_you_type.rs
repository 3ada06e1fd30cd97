//! Users found as somebody types: one short text, matched as part of any name, signature or e-mail address.
//!
//! The best matches come first: the very signature; signatures that begin so; names that begin so; addresses that begin so;
//! then whatever has it inside. Of several words each must be somewhere, and the first one counts for the names. Those that begin so are read from the indexes of
//! their columns. For the others the index of grams is asked; where the text is too short for it, users are looked through in
//! the order of their signatures first, and only if few have it, the index is asked for every gram that begins so.

use std::collections::BTreeSet;

use rollbook_aggregates::values::AccountId;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::grams::Grams;
use super::list::behind_all;
use super::numbers::Numbers;
use crate::page::rows;
use crate::text::sort_key;

/// How many users are looked through for one way to match, before another is tried.
const LOOKED_THROUGH: i64 = 5_000;

/// A question for users whose name is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindUsers {
    /// Whose users.
    pub account: AccountId,
    /// What was typed so far.
    pub text: String,
    /// Only active or only inactive ones.
    pub active: Option<bool>,
    /// How many at most.
    pub limit: u32,
}

/// How well a user matches; the best is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Signature,
    SignatureBegins,
    NameBegins,
    EmailBegins,
    Inside,
}

/// A user that matches, by its texts.
struct Found {
    number: i64,
    signature: String,
    first_name: String,
    last_name: String,
    email: String,
}

/// The users who match, by number.
pub(super) fn find(tables: &Connection, query: &FindUsers) -> rusqlite::Result<Vec<i64>> {
    let mut typing = Typing::new(tables, query)?;
    if !typing.words.is_empty() {
        typing.search()?;
    }
    let mut found = typing.found;
    found.sort_by_key(|found| rank(found, &typing.words));
    found.truncate(typing.limit);
    Ok(found.into_iter().map(|found| found.number).collect())
}

/// What was typed, and whom it found so far.
struct Typing<'a> {
    tables: &'a Connection,
    account: &'a str,
    numbers: Numbers,
    words: Vec<String>,
    active: Option<bool>,
    limit: usize,
    found: Vec<Found>,
    known: BTreeSet<i64>,
}

impl<'a> Typing<'a> {
    fn new(tables: &'a Connection, query: &'a FindUsers) -> rusqlite::Result<Self> {
        let key = sort_key(&query.text);
        Ok(Self {
            tables,
            account: query.account.as_str(),
            numbers: Numbers::of(tables, query.account.as_str())?,
            words: key.split_whitespace().map(str::to_owned).collect(),
            active: query.active,
            limit: query.limit.clamp(1, 1000) as usize,
            found: Vec::new(),
            known: BTreeSet::new(),
        })
    }

    fn search(&mut self) -> rusqlite::Result<()> {
        if self.active == Some(false) && self.inactive_are_few()? {
            return self.look_at_inactive();
        }
        let typed = self.words.join(" ");
        let first = self.words[0].clone();
        for (key, index, beginning) in [
            ("signature_key", "users_by_signature", &typed),
            ("first_name_key", "users_by_first_name", &first),
            ("last_name_key", "users_by_last_name", &first),
            ("email_key", "users_by_email", &typed),
        ] {
            if self.is_full() {
                return Ok(());
            }
            self.look_along(key, index, beginning, LOOKED_THROUGH)?;
        }
        if self.is_full() {
            return Ok(());
        }
        // Whatever has it inside.
        let short = |word: &String| !Grams::inside(word).are_whole();
        if self.words.iter().all(short) {
            self.look_along("signature_key", "users_by_signature", "", LOOKED_THROUGH)?;
            if self.is_full() || self.numbers.users <= LOOKED_THROUGH {
                return Ok(());
            }
        }
        self.ask_for_grams()
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    /// Looks at the users along an index whose text begins so.
    fn look_along(
        &mut self,
        key: &str,
        index: &str,
        beginning: &str,
        budget: i64,
    ) -> rusqlite::Result<()> {
        let mut values = vec![
            Value::Text(self.account.to_owned()),
            Value::Text(beginning.to_owned()),
        ];
        let mut before = String::new();
        if let Some(end) = behind_all(beginning) {
            before = format!(" AND {key} < ?");
            values.push(Value::Text(end));
        }
        values.push(Value::Integer(budget));
        let from = format!(
            "(
                SELECT number, signature_key, first_name_key, last_name_key, email_key, active
                FROM users INDEXED BY {index}
                WHERE account_id = ? AND {key} >= ?{before}
                ORDER BY {key}, user_id
                LIMIT ?
            ) AS users"
        );
        self.look(&from, values)
    }

    /// Looks at the users who have the grams of what was typed, oldest first.
    fn ask_for_grams(&mut self) -> rusqlite::Result<()> {
        let grams: Vec<Grams> = self.words.iter().map(|word| Grams::inside(word)).collect();
        let whole = grams.iter().any(Grams::are_whole);
        let asked = grams.iter().filter(|grams| grams.are_whole() == whole);
        let asked: Vec<String> = asked.map(|grams| grams.expression(None)).collect();
        let values = vec![
            Value::Text(asked.join(" AND ")),
            Value::Integer(self.numbers.first),
            Value::Integer(self.numbers.last),
        ];
        let from = "(
                SELECT rowid AS found
                FROM user_grams
                WHERE user_grams MATCH ? AND rowid BETWEEN ? AND ?
            ) AS grams
            CROSS JOIN users ON users.number = grams.found";
        self.look(from, values)
    }

    fn inactive_are_few(&self) -> rusqlite::Result<bool> {
        let sql = "
            SELECT NOT EXISTS (
                SELECT 1
                FROM users INDEXED BY users_inactive
                WHERE account_id = ?1 AND active = 0
                LIMIT 1 OFFSET ?2
            )";
        self.tables
            .prepare_cached(sql)?
            .query_row((self.account, LOOKED_THROUGH), |row| row.get(0))
    }

    fn look_at_inactive(&mut self) -> rusqlite::Result<()> {
        let from = "(
                SELECT number, signature_key, first_name_key, last_name_key, email_key, active
                FROM users INDEXED BY users_inactive
                WHERE account_id = ? AND active = 0
            ) AS users";
        let values = vec![Value::Text(self.account.to_owned())];
        // Few enough to look at all of them: only then the best are known.
        let limit = std::mem::replace(&mut self.limit, usize::MAX);
        let looked = self.look(from, values);
        self.limit = limit;
        looked
    }

    /// Looks at users one by one and keeps those that match, until there are enough.
    fn look(&mut self, from: &str, mut values: Vec<Value>) -> rusqlite::Result<()> {
        let mut sql = format!(
            "SELECT number, signature_key, first_name_key, last_name_key, email_key FROM {from} WHERE TRUE"
        );
        for word in &self.words {
            sql.push_str(
                " AND (
                    instr(signature_key, ?) OR instr(first_name_key, ?) OR instr(last_name_key, ?)
                    OR instr(email_key, ?)
                )",
            );
            values.extend(std::iter::repeat_n(Value::Text(word.clone()), 4));
        }
        if let Some(active) = self.active {
            sql.push_str(" AND active = ?");
            values.push(Value::Integer(active.into()));
        }
        sql.push_str(" LIMIT ?");
        // Those that were found before may come again.
        let limit = self.limit.saturating_add(self.found.len());
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let found = rows(self.tables, &sql, params_from_iter(values), |row| {
            Ok(Found {
                number: row.get(0)?,
                signature: row.get(1)?,
                first_name: row.get(2)?,
                last_name: row.get(3)?,
                email: row.get(4)?,
            })
        })?;
        let new = found
            .into_iter()
            .filter(|found| self.known.insert(found.number));
        self.found.extend(new);
        Ok(())
    }
}

fn rank(found: &Found, words: &[String]) -> Match {
    let typed = words.join(" ");
    let begins = |name: &str| words.first().is_some_and(|word| name.starts_with(word));
    if found.signature == typed {
        Match::Signature
    } else if found.signature.starts_with(&typed) {
        Match::SignatureBegins
    } else if begins(&found.first_name) || begins(&found.last_name) {
        Match::NameBegins
    } else if found.email.starts_with(&typed) {
        Match::EmailBegins
    } else {
        Match::Inside
    }
}
