//! The list of an account's users: any filters and searches, sorted by any column, both ways, paged by key.
//!
//! A page is found in one of two ways and costs much the same wherever it lies. The users are **walked** along the index of the
//! column they are sorted by, until the page is full; that is short where many match. Or all who fulfil one condition are
//! **gathered** by its own index, tried and sorted; that is short where few do. Which is shorter is estimated. A walk that turns
//! out long is given up for the gathering that costs least.

mod filters;
mod query;
mod searches;
mod sorting;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rollbook_aggregates::values::UserId;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use self::filters::{Condition, Part, blob, conditions};
use self::sorting::{Column, KeyValue};
use super::UserRow;
use super::find::Finder;
use super::numbers::Numbers;
use crate::columns::id;
use crate::page::{Page, one_more, rows, total};

pub(super) use self::searches::behind_all;

pub use self::query::{CompanyFilter, ListUsers, UserSearch, UserSort};
pub use self::sorting::UserKey;

/// How many users are at least, and at most, gathered or walked past before the other way is thought of.
const SHORT: std::ops::RangeInclusive<i64> = 100..=20_000;

pub(super) fn list(
    tables: &Connection,
    query: &ListUsers,
) -> rusqlite::Result<Page<UserRow, UserKey>> {
    let finder = Finder::new(tables, &query.account)?;
    let listing = Listing::new(tables, query, &finder)?;
    let way = listing.way()?;
    let total = if query.total {
        Some(listing.count(way)?)
    } else {
        None
    };
    let places = listing.places(way)?;
    let column = listing.column;
    let page = Page::cut(places, query.limit, total, |place: &Place| UserKey {
        column,
        value: place.value.clone(),
        user_id: place.user_id,
    });
    Ok(Page {
        rows: finder.rows(page.rows.iter().map(|place| place.number))?,
        next: page.next,
        total: page.total,
    })
}

/// Where a user stands in the list.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    number: i64,
    user_id: UserId,
    value: KeyValue,
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        number: row.get(0)?,
        user_id: id(row, 1)?,
        value: row.get(2)?,
    })
}

/// How the users that match are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Along the index of the column.
    Walk,
    /// By the index of this condition.
    Gather(usize),
}

/// A question for a page, and what is known for answering it.
struct Listing<'a> {
    tables: &'a Connection,
    query: &'a ListUsers,
    column: Column,
    users: i64,
    conditions: Vec<Condition>,
}

impl<'a> Listing<'a> {
    fn new(
        tables: &'a Connection,
        query: &'a ListUsers,
        finder: &Finder<'_>,
    ) -> rusqlite::Result<Self> {
        let numbers = Numbers::of(tables, query.account.as_str())?;
        let after = query.after.as_ref();
        Ok(Self {
            tables,
            query,
            column: after.map_or_else(
                || Column::of(query.sort, finder.login()),
                |after| after.column,
            ),
            users: numbers.users,
            conditions: conditions(query, numbers),
        })
    }

    /// So many users are as long to gather, as it takes to walk past others until a page of them is full.
    fn short(&self) -> i64 {
        let worth = one_more(self.query.limit)
            .saturating_mul(self.users)
            .isqrt();
        worth.clamp(*SHORT.start(), *SHORT.end())
    }

    /// The way that is shorter, as far as can be told without going it.
    fn way(&self) -> rusqlite::Result<Way> {
        let narrowest = self.narrowest(self.short())?;
        Ok(match narrowest {
            // The walk leads past nobody else.
            Some(at) if self.conditions[at].walks_along(self.column) => Way::Walk,
            Some(at) => Way::Gather(at),
            None => Way::Walk,
        })
    }

    /// The condition that the fewest fulfil, if they are at most so many.
    fn narrowest(&self, most: i64) -> rusqlite::Result<Option<usize>> {
        let mut narrowest = None;
        let mut most = most;
        for (at, condition) in self.conditions.iter().enumerate() {
            let Some(members) = condition.members.as_ref().filter(|found| found.countable) else {
                continue;
            };
            let counted = format!("SELECT count(*) FROM ({} LIMIT ?)", members.ids.sql);
            let limit = [Value::Integer(most + 1)];
            let values = members.ids.values.iter().chain(&limit);
            let count: i64 = self
                .tables
                .prepare_cached(&counted)?
                .query_row(params_from_iter(values), |row| row.get(0))?;
            // Of two with as many, the one that the walk can keep to.
            if count < most || (count == most && narrowest.is_none()) {
                (narrowest, most) = (Some(at), count);
            }
        }
        Ok(narrowest)
    }

    /// The places of the page, and one more where another page follows.
    fn places(&self, way: Way) -> rusqlite::Result<Vec<Place>> {
        let short = self.short();
        match way {
            Way::Gather(at) => self.gather(at),
            Way::Walk if self.conditions.is_empty() => self.walk(i64::MAX),
            Way::Walk => {
                let found = self.walk(short)?;
                if found.len() >= self.wanted() || !self.goes_on_behind(short)? {
                    return Ok(found);
                }
                match self.way_out()? {
                    Some(at) => self.gather(at),
                    None => self.walk(i64::MAX),
                }
            }
        }
    }

    /// What to gather by when a walk was too long, since few fulfil all conditions, or they stand far apart.
    fn way_out(&self) -> rusqlite::Result<Option<usize>> {
        if let Some(at) = self.narrowest(10 * self.short())? {
            return Ok(Some(at));
        }
        let by_text = |condition: &Condition| {
            let members = condition.members.as_ref();
            members.is_some_and(|members| members.by_text)
        };
        Ok(self.conditions.iter().position(by_text))
    }

    fn wanted(&self) -> usize {
        usize::try_from(one_more(self.query.limit)).unwrap_or(usize::MAX)
    }

    fn gather(&self, at: usize) -> rusqlite::Result<Vec<Place>> {
        self.find(&self.gathering(at))
    }

    fn walk(&self, budget: i64) -> rusqlite::Result<Vec<Place>> {
        self.find(&self.walking(budget))
    }

    fn find(&self, places: &Part) -> rusqlite::Result<Vec<Place>> {
        let values = params_from_iter(&places.values);
        rows(self.tables, &places.sql, values, place)
    }

    /// How many match, wherever the page lies.
    fn count(&self, way: Way) -> rusqlite::Result<u64> {
        if self.conditions.is_empty() {
            return Ok(u64::try_from(self.users).unwrap_or_default());
        }
        let way = match way {
            Way::Walk => self.way_out()?.map_or(Way::Walk, Way::Gather),
            gather @ Way::Gather(_) => gather,
        };
        let mut counted = Part::new("SELECT count(*) ", []);
        counted.push(match way {
            Way::Gather(at) => self.gathered(at),
            Way::Walk => {
                let mut from = Part::new(
                    format!(
                        "FROM users INDEXED BY {} WHERE account_id = ?",
                        self.column.names().1
                    ),
                    [self.account()],
                );
                from.push(self.matching(None));
                from
            }
        });
        let count = total(
            self.tables,
            true,
            &counted.sql,
            params_from_iter(&counted.values),
        )?;
        Ok(count.unwrap_or_default())
    }

    fn account(&self) -> Value {
        Value::Text(self.query.account.as_str().to_owned())
    }

    /// All who fulfil a condition, as far as they fulfil the others too.
    fn gathered(&self, at: usize) -> Part {
        let mut from = Part::new("FROM users WHERE ", []);
        if let Some(members) = &self.conditions[at].members {
            from.push(Part::new(format!("{} IN (", members.by), []));
            from.push(members.ids.clone());
            from.push(Part::new(") AND ", []));
        }
        // The plus keeps SQLite from reading along an index of the account.
        from.push(Part::new("+account_id = ?", [self.account()]));
        from.push(self.matching(Some(at)));
        from
    }

    /// What must be true of a user, but for what is certain of those gathered by a condition.
    fn matching(&self, gathered: Option<usize>) -> Part {
        let mut matching = Part::new("", []);
        for (at, condition) in self.conditions.iter().enumerate() {
            let certain = gathered == Some(at) && condition.is_certain_of_members();
            if let Some(matches) = condition.matches.as_ref().filter(|_| !certain) {
                matching.push(Part::new(" AND ", []));
                matching.push(matches.clone());
            }
        }
        matching
    }

    /// That a user stands behind where the page before ended.
    fn behind(&self) -> Part {
        let Some(after) = &self.query.after else {
            return Part::new("", []);
        };
        let (key, beyond) = (self.column.names().0, self.order().1);
        Part::new(
            format!(" AND ({key}, user_id) {beyond} (?, ?)"),
            [after.value.to_value(), blob(after.user_id.as_uuid())],
        )
    }

    fn order(&self) -> (&'static str, &'static str) {
        if self.query.descending {
            ("DESC", "<")
        } else {
            ("ASC", ">")
        }
    }

    fn sorted(&self, limit: i64) -> Part {
        let (key, order) = (self.column.names().0, self.order().0);
        Part::new(
            format!(" ORDER BY {key} {order}, user_id {order} LIMIT ?"),
            [Value::Integer(limit)],
        )
    }

    fn gathering(&self, at: usize) -> Part {
        let key = self.column.names().0;
        let mut places = Part::new(format!("SELECT number, user_id, {key} "), []);
        places.push(self.gathered(at));
        places.push(self.behind());
        places.push(self.sorted(one_more(self.query.limit)));
        places
    }

    /// The users along the index of the column, from behind the page before; only as far as a search allows.
    fn along(&self) -> Part {
        let (key, index) = self.column.names();
        let mut along = Part::new(
            format!(" FROM users INDEXED BY {index} WHERE account_id = ?"),
            [self.account()],
        );
        along.push(self.behind());
        for condition in &self.conditions {
            // Where a page went before, its end is the nearer bound on that side.
            let after = self.query.after.is_some();
            let (lower, upper) = (
                self.query.descending || !after,
                !self.query.descending || !after,
            );
            along.push(condition.bounds(self.column, key, lower, upper));
        }
        along
    }

    /// The places of those who match among the next `budget` users.
    fn walking(&self, budget: i64) -> Part {
        let key = self.column.names().0;
        // Columns that nobody asks for would be fetched from beside the index.
        let asked = self
            .conditions
            .iter()
            .flat_map(|condition| condition.columns);
        let columns: BTreeSet<&str> = asked.copied().chain(["number", "user_id", key]).collect();
        let columns = columns.into_iter().collect::<Vec<_>>().join(", ");
        let mut places = Part::new(
            format!("SELECT number, user_id, {key} FROM (SELECT {columns}"),
            [],
        );
        places.push(self.along());
        places.push(self.sorted(budget));
        places.push(Part::new(") AS users WHERE TRUE", []));
        places.push(self.matching(None));
        let wanted = Value::Integer(one_more(self.query.limit));
        places.push(Part::new(" LIMIT ?", [wanted]));
        places
    }

    fn goes_on_behind(&self, budget: i64) -> rusqlite::Result<bool> {
        let mut next = Part::new("SELECT EXISTS (SELECT 1", []);
        next.push(self.along());
        next.push(self.sorted(1));
        next.push(Part::new(" OFFSET ?)", [Value::Integer(budget)]));
        self.tables
            .prepare_cached(&next.sql)?
            .query_row(params_from_iter(&next.values), |row| row.get(0))
    }
}
