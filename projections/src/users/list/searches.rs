//! Searches by name: each pattern as a condition, with the stretch of an index that its beginning leads to, and together as a
//! question to the index of grams.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::filters::{Condition, Members, Part, Stretch, blob};
use super::named::Named;
use super::query::{CompanyFilter, ListUsers};
use super::sorting::Column;
use crate::pattern::Pattern;
use crate::users::grams::Grams;
use crate::users::numbers::Numbers;

pub(super) fn conditions(
    tables: &Connection,
    query: &ListUsers,
    numbers: Numbers,
) -> rusqlite::Result<Vec<Condition>> {
    let search = &query.search;
    let patterns: Vec<(Column, &Pattern)> = [
        (Column::Signature, &search.signature),
        (Column::FirstName, &search.first_name),
        (Column::LastName, &search.last_name),
        (Column::Email, &search.email),
    ]
    .into_iter()
    .filter_map(|(column, pattern)| Some((column, pattern.as_ref()?)))
    .filter(|(_, pattern)| !pattern.is_anything())
    .collect();
    let mut conditions = Vec::new();
    let mut unnamed = Vec::new();
    for (column, pattern) in patterns {
        let named = Named::fitting(tables, query, column, pattern)?;
        if named.is_none() {
            unnamed.push((column, pattern));
        }
        conditions.push(Condition {
            named,
            ..fits(query, column, pattern)
        });
    }
    conditions.extend(together(&unnamed, numbers));
    if let Some(pattern) = &search.supervisor {
        conditions.push(supervised_by_one_called(query, pattern, numbers));
    }
    if let Some(supervisor) = search.supervisor_id {
        let by = Part::new("link.supervisor = ?", [blob(supervisor.as_uuid())]);
        conditions.push(supervised(query, by.clone(), Members::certain(by)));
    }
    Ok(conditions)
}

/// That a column fits a pattern.
fn fits(query: &ListUsers, column: Column, pattern: &Pattern) -> Condition {
    let (key, index) = column.names();
    let fits = || Part::new(format!("fits(?, {key})"), [pattern.to_value()]);
    let stretch = Stretch::of(pattern);
    let members = stretch.as_ref().map(|stretch| {
        let account = Value::Text(query.account.as_str().to_owned());
        let mut ids = Part::new(
            format!("SELECT number FROM users INDEXED BY {index} WHERE account_id = ? AND "),
            [account],
        );
        ids.push(stretch.holds(key));
        let counted = ids.clone();
        if !pattern.is_stretch() {
            ids.push(Part::new(" AND ", []));
            ids.push(fits());
        }
        Members {
            counted: Some(counted),
            ..Members::numbered(ids)
        }
    });
    let told = stretch.as_ref().filter(|_| pattern.is_stretch());
    Condition {
        matches: Some(told.map_or_else(fits, |stretch| stretch.holds(key))),
        columns: &column.covers()[..1],
        members,
        stretch: stretch.map(|stretch| (column, stretch)),
        ..Condition::default()
    }
}

impl Stretch {
    /// Where the texts that fit a pattern lie; nothing where that is anywhere.
    pub(super) fn of(pattern: &Pattern) -> Option<Self> {
        match pattern.whole() {
            Some(whole) => Some(Self {
                from: whole.to_owned(),
                // The next text there can be.
                before: Some(format!("{whole}\0")),
            }),
            None if pattern.beginning().is_empty() => None,
            None => Some(Self::beginning(pattern.beginning())),
        }
    }

    /// Where the texts that begin so lie.
    pub(super) fn beginning(beginning: &str) -> Self {
        Self {
            from: beginning.to_owned(),
            before: behind_all(beginning),
        }
    }

    /// That a key lies in it.
    pub(super) fn holds(&self, key: &str) -> Part {
        let mut holds = Part::new(format!("{key} >= ?"), [Value::Text(self.from.clone())]);
        if let Some(before) = &self.before {
            let before = [Value::Text(before.clone())];
            holds.push(Part::new(format!(" AND {key} < ?"), before));
        }
        holds
    }
}

/// The first text behind all that begin like this; none where there is no such text.
pub(in crate::users) fn behind_all(beginning: &str) -> Option<String> {
    let mut letters: Vec<char> = beginning.chars().collect();
    while let Some(last) = letters.pop() {
        // Steps over the surrogates, as texts do.
        if let Some(next) = (last..=char::MAX).nth(1) {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// All patterns as one question to the index of grams, which leaves out whoever cannot fit.
fn together(patterns: &[(Column, &Pattern)], numbers: Numbers) -> Option<Condition> {
    let grams: Vec<(Column, Grams)> = patterns
        .iter()
        .map(|(column, pattern)| (*column, Grams::of(pattern)))
        .filter(|(_, grams)| !grams.is_empty())
        .collect();
    let whole = grams.iter().any(|(_, grams)| grams.are_whole());
    let asked = grams
        .iter()
        .filter(|(_, grams)| grams.are_whole() == whole)
        .map(|(column, grams)| grams.expression(column.text()));
    let asked = asked.collect::<Vec<_>>().join(" AND ");
    (!asked.is_empty()).then(|| Condition {
        members: Some(Members {
            certain: false,
            countable: whole,
            by_text: true,
            ..Members::numbered(having(asked, numbers))
        }),
        ..Condition::default()
    })
}

/// The numbers of those in an account who have certain grams.
fn having(expression: String, numbers: Numbers) -> Part {
    Part::new(
        "SELECT rowid FROM user_grams WHERE user_grams MATCH ? AND rowid BETWEEN ? AND ?",
        [
            Value::Text(expression),
            Value::Integer(numbers.first),
            Value::Integer(numbers.last),
        ],
    )
}

/// That one who is called so supervises the user, in the company that is listed or in any.
fn supervised_by_one_called(query: &ListUsers, pattern: &Pattern, numbers: Numbers) -> Condition {
    const CALLED: &str = "SELECT 1
        FROM users AS supervisors
        WHERE supervisors.user_id = link.supervisor
            AND (
                fits(?1, signature_key) OR fits(?1, first_name_key) OR fits(?1, last_name_key)
                OR fits(?1, email_key) OR fits(?1, first_name_key || ' ' || last_name_key)
            )";
    let called = CALLED.replace("?1", "?");
    let called = Part::new(
        format!("EXISTS ({called})"),
        std::iter::repeat_n(pattern.to_value(), 5),
    );
    let grams = Grams::of(pattern);
    let mut members = Members::certain(Part::new("link.supervisor IN (", []));
    members.certain = false;
    members.countable = grams.are_whole();
    members.by_text = true;
    if grams.is_empty() {
        members.ids = Part::new("link.supervisor >= x''", []);
    } else {
        let mut ids = Part::new("SELECT user_id FROM users WHERE number IN (", []);
        ids.push(having(grams.expression(None), numbers));
        ids.push(Part::new("))", []));
        members.ids.push(ids);
    }
    supervised(query, called, members)
}

/// That somebody else supervises the user, of whom `by` is true; `members` says so with what an index has.
fn supervised(query: &ListUsers, by: Part, members: Members) -> Condition {
    let mut link = Part::new(" AND link.supervisor <> link.user_id", []);
    if let CompanyFilter::In(company) = query.company {
        let company = blob(company.as_uuid());
        link.push(Part::new(" AND link.company_id = ?", [company]));
    }
    let mut matches = Part::new(
        "EXISTS (SELECT 1 FROM user_companies AS link WHERE link.user_id = users.user_id AND ",
        [],
    );
    matches.push(by);
    matches.push(link.clone());
    matches.push(Part::new(")", []));
    let mut ids = Part::new(
        "SELECT link.user_id
        FROM user_companies AS link INDEXED BY user_companies_by_supervisor
        WHERE ",
        [],
    );
    ids.push(members.ids);
    ids.push(link);
    Condition {
        matches: Some(matches),
        members: Some(Members { ids, ..members }),
        ..Condition::default()
    }
}
