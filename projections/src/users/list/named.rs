//! Searches by first or last name, where few names fit: by those names, in their order, instead of by their many bearers.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::filters::{Part, Stretch};
use super::query::ListUsers;
use super::sorting::{Column, KeyValue};
use crate::page::rows;
use crate::pattern::Pattern;
use crate::users::grams::Grams;

/// So many names are looked at for a pattern. What more of them may fit is broad, and found by walking.
const LOOKED_AT: i64 = 1_000;

/// So many, where only one or two letters are known.
const LOOKED_AT_FOR_SHORT: i64 = 200;

/// The names that fit a pattern.
#[derive(Debug)]
pub(super) struct Named {
    /// Where they are borne.
    pub(super) column: Column,
    /// How many users bear one of them there.
    pub(super) bearers: i64,
    /// In their order.
    names: Vec<Name>,
}

/// A name, and how many users bear it.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: String,
    pub(super) bearers: i64,
}

impl Named {
    /// Those in the account of a list; nothing where there are too many to look at, or the column has no names.
    pub(super) fn fitting(
        tables: &Connection,
        query: &ListUsers,
        column: Column,
        pattern: &Pattern,
    ) -> rusqlite::Result<Option<Self>> {
        let Some(borne) = column.borne() else {
            return Ok(None);
        };
        let account = Value::Text(query.account.as_str().to_owned());
        let Some(candidates) = candidates(tables, &account, borne, pattern)? else {
            return Ok(None);
        };
        let values = params_from_iter(&candidates.values);
        let mut names = rows(tables, &candidates.sql, values, |row| {
            Ok(Name {
                key: row.get(0)?,
                bearers: row.get(1)?,
            })
        })?;
        names.retain(|name| name.bearers > 0 && pattern.fits(&name.key));
        names.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(Some(Self {
            column,
            bearers: names.iter().map(|name| name.bearers).sum(),
            names,
        }))
    }

    /// The names in the order of a list, from where the page before ended.
    pub(super) fn from(&self, query: &ListUsers) -> Vec<&Name> {
        let mut names: Vec<&Name> = self.names.iter().collect();
        if let Some(KeyValue::Text(after)) = query.after.as_ref().map(|after| &after.value) {
            names.retain(|name| {
                if query.descending {
                    name.key <= *after
                } else {
                    name.key >= *after
                }
            });
        }
        if query.descending {
            names.reverse();
        }
        names
    }

    /// The names.
    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }

    /// That a user bears one of them.
    pub(super) fn borne(&self) -> Part {
        let keys: Vec<&str> = self.names.iter().map(|name| name.key.as_str()).collect();
        let keys = serde_json::Value::from(keys).to_string();
        Part::new(
            format!(
                "{} IN (SELECT value FROM json_each(?))",
                self.column.names().0
            ),
            [Value::Text(keys)],
        )
    }
}

/// The names that may fit with how many bear each, by the narrowest of what a pattern says of them; nothing where that is not
/// narrow.
fn candidates(
    tables: &Connection,
    account: &Value,
    borne: &str,
    pattern: &Pattern,
) -> rusqlite::Result<Option<Part>> {
    let grams = Grams::of(pattern);
    let by_runs = grams.are_whole() && !pattern.is_stretch();
    if let Some(stretch) = Stretch::of(pattern).filter(|_| !by_runs) {
        let mut lying = Part::new(
            format!("SELECT name_key, {borne} FROM user_names WHERE account_id = ? AND "),
            [account.clone()],
        );
        lying.push(stretch.holds("name_key"));
        let are_few = lying.count(tables, LOOKED_AT)?.is_some();
        return Ok(are_few.then_some(lying));
    }
    let mut most = if by_runs {
        LOOKED_AT
    } else {
        LOOKED_AT_FOR_SHORT
    };
    let mut narrowest = None;
    for run in grams.asked() {
        let runs = if by_runs {
            Part::new("run = ?", [Value::Text(run.clone())])
        } else {
            Stretch::beginning(run).holds("run")
        };
        let having = having(account, runs);
        if let Some(count) = having.count(tables, most)? {
            (narrowest, most) = (Some(having), count);
        }
    }
    let Some(having) = narrowest else {
        return Ok(None);
    };
    let mut counted = Part::new(format!("SELECT names.name_key, names.{borne} FROM ("), []);
    counted.push(having);
    counted.push(Part::new(
        ") AS found
        CROSS JOIN user_names AS names
            ON names.account_id = ? AND names.name_key = found.name_key
        WHERE fits(?, found.name_key)",
        [account.clone(), pattern.to_value()],
    ));
    Ok(Some(counted))
}

/// The names that have certain runs.
fn having(account: &Value, runs: Part) -> Part {
    let mut having = Part::new(
        "SELECT DISTINCT name_key FROM user_name_runs WHERE account_id = ? AND ",
        [account.clone()],
    );
    having.push(runs);
    having
}
