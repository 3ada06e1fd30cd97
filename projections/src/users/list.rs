//! The list of an account's users: any filters and searches, sorted by any column, both ways, paged by key.
//!
//! A page is found in one of two ways and costs much the same wherever it lies. The users are **walked** along the index of the
//! column they are sorted by, until the page is full; that is short where many match. Or all who fulfil one condition are
//! **gathered** by its own index, tried and sorted; that is short where few do. Which is shorter is estimated. A walk that turns
//! out long is given up for the gathering that costs least.

mod filters;
mod named;
mod query;
mod searches;
mod sorting;
mod statements;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use rollbook_aggregates::values::UserId;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use self::filters::{Condition, Part, conditions};
use self::named::Named;
use self::sorting::{Column, KeyValue};
use super::find::Finder;
use super::numbers::Numbers;
use crate::columns::id;
use crate::page::{Page, one_more, rows, total};

pub(super) use self::searches::behind_all;

pub use self::query::{CompanyFilter, ListUsers, UserSearch, UserSort};
pub use self::sorting::UserKey;

/// How many users are at least, and at most, gathered or walked past before the other way is thought of.
const SHORT: RangeInclusive<i64> = 100..=20_000;

/// So few are gathered without thinking of another way.
const FEW: i64 = 500;

/// So many users are walked past for each place of a page, before it is estimated which way is shorter.
const TRIED: i64 = 8;

/// So many times farther is walked where the index alone tells who matches, and no row is fetched.
const FARTHER: i64 = 32;

/// So many users are walked past along an index in the time that one is fetched in and sorted.
const FETCHED: i64 = 5;

/// So many users are walked past along an index in the time that the first who bear a name are looked for.
const SOUGHT: i64 = 12;

/// So many times more than are gathered on a short way are gathered when a walk was too long.
const MORE: i64 = 10;

/// What it costs to look at so many users, where an index tells all that is asked or else their rows are fetched.
const fn cost(users: i64, by_index_alone: bool) -> i64 {
    if by_index_alone {
        users
    } else {
        FETCHED * users
    }
}

/// A page of users, by number.
pub(super) fn list(
    tables: &Connection,
    query: &ListUsers,
    finder: &Finder<'_>,
) -> rusqlite::Result<Page<i64, UserKey>> {
    let listing = Listing::new(tables, query, finder)?;
    let total = if query.total {
        Some(listing.count()?)
    } else {
        None
    };
    let places = listing.places()?;
    let column = listing.column;
    let page = Page::cut(places, query.limit, total, |place: &Place| UserKey {
        column,
        value: place.value.clone(),
        user_id: place.user_id,
    });
    page.read(|places| Ok(places.iter().map(|place| place.number).collect()))
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
            conditions: conditions(tables, query, numbers)?,
        })
    }

    /// So many users are as long to gather, as it takes to walk past others until a page of them is full.
    fn short(&self) -> i64 {
        let worth = one_more(self.query.limit)
            .saturating_mul(self.users)
            .isqrt();
        worth.clamp(*SHORT.start(), *SHORT.end())
    }

    /// Whether the index that is walked along tells who matches, so that no row is fetched.
    fn is_covered(&self) -> bool {
        self.is_covered_by(self.column)
    }

    /// Whether the index of a column tells who matches, and in which order.
    fn is_covered_by(&self, column: Column) -> bool {
        let covers = column.covers();
        let mut asking = self
            .conditions
            .iter()
            .filter(|condition| condition.matches.is_some());
        covers.contains(&self.column.names().0)
            && asking.all(|condition| {
                let columns = condition.columns;
                !columns.is_empty() && columns.iter().all(|column| covers.contains(column))
            })
    }

    /// How far is walked before another way is thought of.
    fn far(&self) -> i64 {
        if self.is_covered() {
            FARTHER * self.short()
        } else {
            self.short()
        }
    }

    /// About how far a walk leads until a page is full of members of a condition, of whom there are so many; nothing where
    /// gathering them is shorter.
    fn shorter_walk(&self, at: usize, members: i64) -> Option<i64> {
        let steps = one_more(self.query.limit).saturating_mul(self.users) / members.max(1);
        let shorter = cost(steps, self.is_covered()) <= self.cost_of_gathering(at, members);
        // Twice as far, since they do not stand evenly.
        shorter.then_some(2 * steps)
    }

    fn cost_of_gathering(&self, at: usize, members: i64) -> i64 {
        let Some(named) = &self.conditions[at].named else {
            return cost(members, false);
        };
        let all = cost(members, self.is_covered_by(named.column));
        if self.column.behind(named.column).is_none() {
            return all;
        }
        let seeks = i64::try_from(named.names().len()).unwrap_or(i64::MAX);
        all.min(SOUGHT.saturating_mul(seeks) + FETCHED * one_more(self.query.limit))
    }

    /// The way to the members of a condition.
    fn to_members(&self, at: usize) -> Way {
        if self.conditions[at].walks_along(self.column) {
            // The walk leads past nobody else.
            Way::Walk
        } else {
            Way::Gather(at)
        }
    }

    /// The condition that the fewest fulfil and how many do, if they are at most so many.
    fn narrowest(&self, most: i64) -> rusqlite::Result<Option<(usize, i64)>> {
        let mut narrowest: Option<(usize, i64)> = None;
        for at in 0..self.conditions.len() {
            // Of two with as many, the one that the walk can keep to.
            let bound = narrowest.map_or(most, |(_, fewest)| fewest);
            if let Some(count) = self.count_members(at, bound)?
                && narrowest.is_none_or(|(_, fewest)| count < fewest)
            {
                narrowest = Some((at, count));
            }
        }
        Ok(narrowest)
    }

    /// How many fulfil a condition, if they are at most so many and an index can tell.
    fn count_members(&self, at: usize, most: i64) -> rusqlite::Result<Option<i64>> {
        if let Some(named) = &self.conditions[at].named {
            return Ok((named.bearers <= most).then_some(named.bearers));
        }
        let members = self.conditions[at].members.as_ref();
        let Some(members) = members.filter(|members| members.countable) else {
            return Ok(None);
        };
        let asked = members.counted.as_ref().unwrap_or(&members.ids);
        asked.count(self.tables, most)
    }

    /// The places of the page, and one more where another page follows.
    fn places(&self) -> rusqlite::Result<Vec<Place>> {
        if self.conditions.is_empty() {
            return self.walk(i64::MAX);
        }
        if let Some(few) = self.narrowest(FEW)? {
            return self.walk_or_go(few);
        }
        let tried = match self.rarest_names() {
            Some((at, bearers)) if !self.conditions[at].walks_along(self.column) => {
                match self.shorter_walk(at, bearers) {
                    Some(steps) => steps,
                    None => {
                        return self.walk_or_go(self.narrowest(bearers)?.unwrap_or((at, bearers)));
                    }
                }
            }
            _ => TRIED * FETCHED / cost(1, self.is_covered()) * one_more(self.query.limit),
        };
        if let Some(found) = self.walk_up_to(tried)? {
            return Ok(found);
        }
        match self.narrowest(self.short())? {
            Some(narrowest) => self.walk_or_go(narrowest),
            None => self.walk_or_gather(),
        }
    }

    /// The places of the page, where so many fulfil a condition: along the index where that is shorter, or else by the way that
    /// leads to them.
    fn walk_or_go(&self, (at, members): (usize, i64)) -> rusqlite::Result<Vec<Place>> {
        if let Some(steps) = self.shorter_walk(at, members)
            && let Some(found) = self.walk_up_to(steps)?
        {
            return Ok(found);
        }
        match self.to_members(at) {
            Way::Walk => self.walk(i64::MAX),
            Way::Gather(at) => self.gather(at),
        }
    }

    /// The condition whose names the fewest bear, and how many do.
    fn rarest_names(&self) -> Option<(usize, i64)> {
        let conditions = self.conditions.iter().enumerate();
        let named = conditions.filter_map(|(at, it)| Some((at, it.named.as_ref()?.bearers)));
        named.min_by_key(|(_, bearers)| *bearers)
    }

    /// Walks, as long as it is not too far.
    fn walk_or_gather(&self) -> rusqlite::Result<Vec<Place>> {
        if let Some(found) = self.walk_up_to(self.far())? {
            return Ok(found);
        }
        match self.way_out()? {
            Some(out) => self.gather_by(&out),
            None => self.walk(i64::MAX),
        }
    }

    /// The places of the page, if it is full or the list is at its end after so many users.
    fn walk_up_to(&self, budget: i64) -> rusqlite::Result<Option<Vec<Place>>> {
        let found = self.walk(budget)?;
        let enough = found.len() >= self.wanted() || !self.goes_on_behind(budget)?;
        Ok(enough.then_some(found))
    }

    /// What to gather by when a walk was too long, since few fulfil all conditions, or they stand far apart. Members of several
    /// conditions are compared by number, before any row is fetched.
    fn way_out(&self) -> rusqlite::Result<Option<Vec<usize>>> {
        let most = MORE * self.short();
        let mut counted = Vec::new();
        for at in 0..self.conditions.len() {
            if let Some(count) = self.count_members(at, most)? {
                counted.push((count, at));
            }
        }
        counted.sort_unstable();
        let by = |at: usize| {
            self.conditions[at]
                .members
                .as_ref()
                .map(|members| members.by)
        };
        if let Some((_, first)) = counted.first().copied() {
            if self.conditions[first].named.is_some() {
                return Ok(Some(vec![first]));
            }
            let same = |at: &usize| *at == first || by(*at) == by(first);
            return Ok(Some(
                counted.into_iter().map(|(_, at)| at).filter(same).collect(),
            ));
        }
        let by_text = |condition: &Condition| {
            let members = condition.members.as_ref();
            members.is_some_and(|members| members.by_text)
        };
        let by_text = self.conditions.iter().position(by_text);
        let out = by_text.or_else(|| self.rarest_names().map(|(at, _)| at));
        Ok(out.map(|at| vec![at]))
    }

    fn wanted(&self) -> usize {
        usize::try_from(one_more(self.query.limit)).unwrap_or(usize::MAX)
    }

    fn gather(&self, at: usize) -> rusqlite::Result<Vec<Place>> {
        self.gather_by(&[at])
    }

    fn gather_by(&self, by: &[usize]) -> rusqlite::Result<Vec<Place>> {
        if let [at] = *by
            && let Some(named) = &self.conditions[at].named
            && let Some(index) = self.column.behind(named.column)
        {
            return self.merge(at, named, index);
        }
        self.find(&self.gathering(by))
    }

    /// Of each name the first who bear it, and of all of them the first; no more of a name is read than may be among these.
    fn merge(&self, at: usize, named: &Named, index: &str) -> rusqlite::Result<Vec<Place>> {
        let wanted = self.wanted();
        let mut first: Vec<Place> = Vec::new();
        for name in named.names() {
            let last = first.get(wanted - 1);
            let bearing = self.find(&self.first_bearing(at, &name.key, index, last))?;
            first.extend(bearing);
            first.sort_unstable_by(|one, other| {
                let order = (&one.value, one.user_id).cmp(&(&other.value, other.user_id));
                if self.query.descending {
                    order.reverse()
                } else {
                    order
                }
            });
            first.truncate(wanted);
        }
        Ok(first)
    }

    fn walk(&self, budget: i64) -> rusqlite::Result<Vec<Place>> {
        match self.named() {
            Some((at, named)) => self.walk_by_name(at, named, budget),
            None => self.find(&self.walking(budget)),
        }
    }

    /// The condition whose names are walked along instead of all that are in the column.
    fn named(&self) -> Option<(usize, &Named)> {
        let mut conditions = self.conditions.iter().enumerate();
        conditions.find_map(|(at, condition)| Some((at, condition.named_by(self.column)?)))
    }

    fn walk_by_name(
        &self,
        at: usize,
        named: &Named,
        mut budget: i64,
    ) -> rusqlite::Result<Vec<Place>> {
        let mut found = Vec::new();
        for name in named.from(self.query) {
            if found.len() >= self.wanted() || budget <= 0 {
                break;
            }
            found.extend(self.find(&self.walking_among(at, &name.key, budget))?);
            budget -= name.bearers;
        }
        found.truncate(self.wanted());
        Ok(found)
    }

    fn find(&self, places: &Part) -> rusqlite::Result<Vec<Place>> {
        let values = params_from_iter(&places.values);
        rows(self.tables, &places.sql, values, place)
    }

    /// How many match, wherever the page lies.
    fn count(&self) -> rusqlite::Result<u64> {
        if self.conditions.is_empty() {
            return Ok(u64::try_from(self.users).unwrap_or_default());
        }
        let mut counted = Part::new("SELECT count(*) ", []);
        if let Some(out) = self.way_out()? {
            counted.push(self.gathered(&out));
        } else {
            let index = self.column.names().1;
            counted.push(Part::new(
                format!("FROM users INDEXED BY {index} WHERE account_id = ?"),
                [self.account()],
            ));
            counted.push(self.matching(&[]));
        }
        let count = total(
            self.tables,
            true,
            &counted.sql,
            params_from_iter(&counted.values),
        )?;
        Ok(count.unwrap_or_default())
    }

    fn goes_on_behind(&self, budget: i64) -> rusqlite::Result<bool> {
        if let Some((_, named)) = self.named() {
            let ahead = named.from(self.query).into_iter();
            return Ok(ahead.map(|name| name.bearers).sum::<i64>() > budget);
        }
        let mut next = Part::new("SELECT EXISTS (SELECT 1", []);
        next.push(self.along(1));
        next.push(Part::new(" OFFSET ?)", [Value::Integer(budget)]));
        self.tables
            .prepare_cached(&next.sql)?
            .query_row(params_from_iter(&next.values), |row| row.get(0))
    }
}
