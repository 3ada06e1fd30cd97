//! The statements of the two ways to a page.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::filters::{Alone, Condition, Part, blob};
use super::named::Named;
use super::sorting::Column;
use super::{Listing, Place};
use crate::page::one_more;

impl Listing<'_> {
    pub(super) fn account(&self) -> Value {
        Value::Text(self.query.account.as_str().to_owned())
    }

    /// All who are members of some conditions, as far as they fulfil the others too.
    pub(super) fn gathered(&self, by: &[usize]) -> Part {
        if let [at] = *by
            && let Some(named) = &self.conditions[at].named
        {
            return self.bearing(at, named);
        }
        let mut from = Part::new("FROM users WHERE ", []);
        let members = by
            .iter()
            .filter_map(|at| self.conditions[*at].members.as_ref());
        for (nth, members) in members.enumerate() {
            let before = if nth == 0 {
                format!("{} IN (", members.by)
            } else {
                " INTERSECT ".to_owned()
            };
            from.push(Part::new(before, []));
            from.push(members.ids.clone());
        }
        // The plus keeps SQLite from reading along an index of the account.
        from.push(Part::new(") AND +account_id = ?", [self.account()]));
        from.push(self.matching(by));
        from
    }

    /// All who bear the names of a condition, along the index of these, as far as they fulfil the others too.
    fn bearing(&self, at: usize, named: &Named) -> Part {
        let index = named.column.names().1;
        let mut from = Part::new(
            format!("FROM users INDEXED BY {index} WHERE account_id = ? AND "),
            [self.account()],
        );
        from.push(named.borne());
        from.push(self.matching_beside(|other, _| other == at));
        from
    }

    /// The first places of those who bear a name of a condition, along an index that has them in the order of the list; up to
    /// a place where one is given.
    pub(super) fn first_bearing(
        &self,
        at: usize,
        name: &str,
        index: &str,
        up_to: Option<&Place>,
    ) -> Part {
        let order = Order::in_rows(self.column);
        let key = order.key;
        let borne = self.conditions[at].named.as_ref();
        let borne = borne.map_or(key, |named| named.column.names().0);
        let mut places = Part::new(
            format!(
                "SELECT number, user_id, {key} FROM users INDEXED BY {index} WHERE account_id = ? AND {borne} = ?"
            ),
            [self.account(), Value::Text(name.to_owned())],
        );
        places.push(self.behind(&order));
        if let Some(place) = up_to {
            let not_beyond = if self.query.descending { ">=" } else { "<=" };
            let bound = [place.value.to_value()];
            places.push(Part::new(format!(" AND {key} {not_beyond} ?"), bound));
        }
        places.push(self.matching_beside(|other, _| other == at));
        places.push(self.sorted(&order, one_more(self.query.limit)));
        places
    }

    /// What must be true of a user, but for what is certain of those gathered by conditions.
    pub(super) fn matching(&self, gathered: &[usize]) -> Part {
        self.matching_beside(|at, condition| {
            gathered.contains(&at) && condition.is_certain_of_members()
        })
    }

    /// What must be true of a user, but for what is certain.
    fn matching_beside(&self, certain: impl Fn(usize, &Condition) -> bool) -> Part {
        let mut matching = Part::new("", []);
        for (at, condition) in self.conditions.iter().enumerate() {
            if let Some(matches) = &condition.matches
                && !certain(at, condition)
            {
                matching.push(Part::new(" AND ", []));
                matching.push(matches.clone());
            }
        }
        matching
    }

    /// That a user stands behind where the page before ended.
    fn behind(&self, order: &Order) -> Part {
        let Some(after) = &self.query.after else {
            return Part::new("", []);
        };
        let (Order { key, id }, beyond) = (order, self.order().1);
        Part::new(
            format!(" AND ({key}, {id}) {beyond} (?, ?)"),
            [after.value.to_value(), blob(after.user_id.as_uuid())],
        )
    }

    /// Likewise among those who bear a name in the column that sorts.
    fn behind_among(&self, name: &str) -> Part {
        match &self.query.after {
            Some(after) if after.value.to_value() == Value::Text(name.to_owned()) => Part::new(
                format!(" AND user_id {} ?", self.order().1),
                [blob(after.user_id.as_uuid())],
            ),
            _ => Part::new("", []),
        }
    }

    pub(super) fn order(&self) -> (&'static str, &'static str) {
        if self.query.descending {
            ("DESC", "<")
        } else {
            ("ASC", ">")
        }
    }

    fn sorted(&self, by: &Order, limit: i64) -> Part {
        let (Order { key, id }, order) = (by, self.order().0);
        Part::new(
            format!(" ORDER BY {key} {order}, {id} {order} LIMIT ?"),
            [Value::Integer(limit)],
        )
    }

    pub(super) fn gathering(&self, by: &[usize]) -> Part {
        let order = Order::in_rows(self.column);
        let key = order.key;
        let mut places = Part::new(format!("SELECT number, user_id, {key} "), []);
        places.push(self.gathered(by));
        places.push(self.behind(&order));
        places.push(self.sorted(&order, one_more(self.query.limit)));
        places
    }

    /// The condition whose members are walked along instead of all users, and where they stand.
    fn alone(&self) -> Option<(usize, Alone<'static>)> {
        let conditions = self.conditions.iter().enumerate();
        let mut alone = conditions.filter_map(|(at, it)| Some((at, it.alone_by(self.column)?)));
        alone.next()
    }

    /// The next so many users along the index of the column, from behind the page before; only as far as a search allows.
    pub(super) fn along(&self, budget: i64) -> Part {
        self.along_those(self.alone().map(|(_, alone)| alone), budget)
    }

    fn along_those(&self, alone: Option<Alone<'_>>, budget: i64) -> Part {
        let rows = Order::in_rows(self.column);
        let (key, index) = self.column.names();
        let (from, given, order) = match alone {
            Some(Alone::Company(company)) => (
                "user_companies AS link INDEXED BY user_companies_by_company
                CROSS JOIN users ON users.user_id = link.user_id AND users.account_id = ?
                WHERE link.company_id = ?"
                    .to_owned(),
                vec![self.account(), blob(company.as_uuid())],
                Order {
                    key: "link.signature_key",
                    id: "link.user_id",
                },
            ),
            Some(Alone::Inactive) => (
                "users INDEXED BY users_inactive WHERE account_id = ? AND active = 0".to_owned(),
                vec![self.account()],
                rows,
            ),
            Some(Alone::Named(name)) => (
                format!("users INDEXED BY {index} WHERE account_id = ? AND {key} = ?"),
                vec![self.account(), Value::Text(name.to_owned())],
                rows,
            ),
            None => (
                format!("users INDEXED BY {index} WHERE account_id = ?"),
                vec![self.account()],
                rows,
            ),
        };
        let mut walked = Part::new(format!(" FROM {from}"), given);
        if let Some(Alone::Named(name)) = alone {
            walked.push(self.behind_among(name));
            walked.push(self.sorted(&order, budget));
            return walked;
        }
        walked.push(self.behind(&order));
        for condition in &self.conditions {
            // Where a page went before, its end is the nearer bound on that side.
            let after = self.query.after.is_some();
            let (lower, upper) = (
                self.query.descending || !after,
                !self.query.descending || !after,
            );
            walked.push(condition.bounds(self.column, order.key, lower, upper));
        }
        walked.push(self.sorted(&order, budget));
        walked
    }

    /// The places of those who match among the next `budget` users.
    pub(super) fn walking(&self, budget: i64) -> Part {
        let alone = self.alone();
        let among = self.along_those(alone.map(|(_, alone)| alone), budget);
        self.matching_among(among, alone.map(|(at, _)| at))
    }

    /// The places of those who match among the next `budget` users who bear a name of a condition.
    pub(super) fn walking_among(&self, at: usize, name: &str, budget: i64) -> Part {
        let among = self.along_those(Some(Alone::Named(name)), budget);
        self.matching_among(among, Some(at))
    }

    /// The places of those who match among some users, all of whom fulfil the condition that they stand alone by.
    fn matching_among(&self, among: Part, alone: Option<usize>) -> Part {
        let key = self.column.names().0;
        // Columns that nobody asks for would be fetched from beside the index.
        let asked = self.conditions.iter().enumerate();
        let asked = asked.filter(|(at, _)| Some(*at) != alone);
        let asked = asked.flat_map(|(_, condition)| condition.columns);
        let columns: BTreeSet<&str> = asked.copied().chain(["number", "user_id", key]).collect();
        let columns = columns
            .into_iter()
            .map(|name| format!("users.{name} AS {name}"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let mut places = Part::new(
            format!("SELECT number, user_id, {key} FROM (SELECT {columns}"),
            [],
        );
        places.push(among);
        places.push(Part::new(") AS users WHERE TRUE", []));
        places.push(self.matching_beside(|at, _| Some(at) == alone));
        let wanted = Value::Integer(one_more(self.query.limit));
        places.push(Part::new(" LIMIT ?", [wanted]));
        places
    }
}

/// What users are sorted by where they are read from; equal ones by their id.
struct Order {
    key: &'static str,
    id: &'static str,
}

impl Order {
    const fn in_rows(column: Column) -> Self {
        Self {
            key: column.names().0,
            id: "user_id",
        }
    }
}
