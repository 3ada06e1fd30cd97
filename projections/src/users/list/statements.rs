//! The statements of the two ways to a page.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::Listing;
use super::filters::{Part, blob};
use crate::page::one_more;

impl Listing<'_> {
    pub(super) fn account(&self) -> Value {
        Value::Text(self.query.account.as_str().to_owned())
    }

    /// All who are members of some conditions, as far as they fulfil the others too.
    pub(super) fn gathered(&self, by: &[usize]) -> Part {
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

    /// What must be true of a user, but for what is certain of those gathered by conditions.
    pub(super) fn matching(&self, gathered: &[usize]) -> Part {
        let mut matching = Part::new("", []);
        for (at, condition) in self.conditions.iter().enumerate() {
            let certain = gathered.contains(&at) && condition.is_certain_of_members();
            if let Some(matches) = condition.matches.as_ref().filter(|_| !certain) {
                matching.push(Part::new(" AND ", []));
                matching.push(matches.clone());
            }
        }
        matching
    }

    /// That a user stands behind where the page before ended.
    pub(super) fn behind(&self) -> Part {
        let Some(after) = &self.query.after else {
            return Part::new("", []);
        };
        let (key, beyond) = (self.column.names().0, self.order().1);
        Part::new(
            format!(" AND ({key}, user_id) {beyond} (?, ?)"),
            [after.value.to_value(), blob(after.user_id.as_uuid())],
        )
    }

    pub(super) fn order(&self) -> (&'static str, &'static str) {
        if self.query.descending {
            ("DESC", "<")
        } else {
            ("ASC", ">")
        }
    }

    pub(super) fn sorted(&self, limit: i64) -> Part {
        let (key, order) = (self.column.names().0, self.order().0);
        Part::new(
            format!(" ORDER BY {key} {order}, user_id {order} LIMIT ?"),
            [Value::Integer(limit)],
        )
    }

    pub(super) fn gathering(&self, by: &[usize]) -> Part {
        let key = self.column.names().0;
        let mut places = Part::new(format!("SELECT number, user_id, {key} "), []);
        places.push(self.gathered(by));
        places.push(self.behind());
        places.push(self.sorted(one_more(self.query.limit)));
        places
    }

    /// The users along the index of the column, from behind the page before; only as far as a search allows.
    pub(super) fn along(&self) -> Part {
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
    pub(super) fn walking(&self, budget: i64) -> Part {
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
        places.push(self.matching(&[]));
        let wanted = Value::Integer(one_more(self.query.limit));
        places.push(Part::new(" LIMIT ?", [wanted]));
        places
    }
}
