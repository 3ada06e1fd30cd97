//! The statement for a page of events. Both homes run it; they differ in how a parameter is written.

use std::fmt::Write as _;

use crate::read::{Direction, Filter};
use crate::stream::StreamId;

/// A page of the log with its bounds as positions, or of a stream with its bounds as revisions.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The stream whose page it is; none: of the log.
    pub(crate) stream: Option<StreamId>,
    pub(crate) direction: Direction,
    /// Above this one.
    pub(crate) above: u64,
    /// Up to this one.
    pub(crate) up_to: u64,
    pub(crate) limit: usize,
    /// Its times are not looked at: they are bounds already.
    pub(crate) filter: Filter,
}

impl Page {
    /// All of the log above a position and up to another, oldest first.
    pub(crate) fn span(above: u64, up_to: u64, limit: usize) -> Self {
        Self {
            stream: None,
            direction: Direction::Forwards,
            above,
            up_to,
            limit,
            filter: Filter::default(),
        }
    }
}

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    Number(i64),
    Text(String),
}

/// A statement and its parameters.
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Parameter>,
    mark: char,
}

impl Statement {
    /// `select` is everything up to `WHERE`; `mark` stands before a parameter's number.
    pub(crate) fn page(select: &str, mark: char, page: &Page) -> Self {
        let mut statement = Self {
            sql: select.to_owned(),
            parameters: Vec::new(),
            mark,
        };
        let counted = match &page.stream {
            None => {
                statement.sql.push_str("\nWHERE ");
                "e.position"
            }
            Some(stream) => {
                statement.add("\nWHERE e.aggregate_type = ", text(&stream.aggregate_type));
                statement.add("\nAND e.aggregate_id = ", text(&stream.aggregate_id));
                statement.sql.push_str("\nAND ");
                "e.sequence"
            }
        };
        statement.add(&format!("{counted} > "), number(page.above));
        statement.add(&format!("\nAND {counted} <= "), number(page.up_to));
        statement.filter(&page.filter);
        // Writing to a string does not fail.
        let _ = write!(statement.sql, "\nORDER BY {counted}");
        if page.direction == Direction::Backwards {
            statement.sql.push_str(" DESC");
        }
        statement.add("\nLIMIT ", number(page.limit as u64));
        statement
    }

    fn filter(&mut self, filter: &Filter) {
        if let Some(account_id) = &filter.account_id {
            self.add("\nAND e.account_id = ", text(account_id));
        }
        if let Some(actor) = &filter.actor {
            self.add("\nAND e.metadata ->> 'actor' = ", text(actor));
        }
        self.one_of("\nAND e.aggregate_type IN (", &filter.aggregate_types);
        self.one_of("\nAND e.event_type IN (", &filter.event_types);
        if !filter.streams.is_empty() {
            let mut join = "\nAND (";
            for stream in &filter.streams {
                self.sql.push_str(join);
                self.add("e.aggregate_type = ", text(&stream.aggregate_type));
                self.add(" AND e.aggregate_id = ", text(&stream.aggregate_id));
                join = "\nOR ";
            }
            self.sql.push(')');
        }
        if let Some(last) = filter.positions.last() {
            // The last one again and again up to the next power of two: a database plans a few statements, not a thousand.
            let padded = filter.positions.len().next_power_of_two();
            let mut join = "\nAND e.position IN (";
            for at in 0..padded {
                self.add(join, number(*filter.positions.get(at).unwrap_or(last)));
                join = ", ";
            }
            self.sql.push(')');
        }
    }

    fn one_of(&mut self, start: &str, values: &[String]) {
        let mut join = start;
        for value in values {
            self.add(join, text(value));
            join = ", ";
        }
        if !values.is_empty() {
            self.sql.push(')');
        }
    }

    fn add(&mut self, sql: &str, parameter: Parameter) {
        self.parameters.push(parameter);
        // Writing to a string does not fail.
        let _ = write!(self.sql, "{sql}{}{}", self.mark, self.parameters.len());
    }
}

fn number(number: u64) -> Parameter {
    Parameter::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Parameter {
    Parameter::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_filter_becomes_a_condition_with_numbered_parameters() {
        let page = Page {
            stream: None,
            direction: Direction::Backwards,
            above: 1,
            up_to: u64::MAX,
            limit: 5,
            filter: Filter {
                account_id: Some("acme".into()),
                streams: vec![StreamId::new("user", "1"), StreamId::new("user", "2")],
                aggregate_types: vec!["user".into()],
                event_types: vec!["A".into(), "B".into()],
                actor: Some("anna".into()),
                ..Filter::default()
            },
        };
        let statement = Statement::page("SELECT 1", '$', &page);
        assert_eq!(
            statement.sql,
            "SELECT 1\nWHERE e.position > $1\nAND e.position <= $2\nAND e.account_id = $3\
             \nAND e.metadata ->> 'actor' = $4\nAND e.aggregate_type IN ($5)\
             \nAND e.event_type IN ($6, $7)\nAND (e.aggregate_type = $8 AND e.aggregate_id = $9\
             \nOR e.aggregate_type = $10 AND e.aggregate_id = $11)\nORDER BY e.position DESC\nLIMIT $12"
        );
        assert_eq!(statement.parameters[1], Parameter::Number(i64::MAX));
    }

    #[test]
    fn statements_for_positions_come_in_few_lengths() {
        let page = Page {
            filter: Filter {
                positions: vec![4, 5, 9],
                ..Filter::default()
            },
            ..Page::span(0, 9, 3)
        };
        let statement = Statement::page("SELECT 1", '?', &page);
        assert!(
            statement
                .sql
                .contains("\nAND e.position IN (?3, ?4, ?5, ?6)\nORDER BY"),
            "{}",
            statement.sql
        );
        let asked = [4, 5, 9, 9].map(Parameter::Number);
        assert_eq!(statement.parameters[2..6], asked);
    }

    #[test]
    fn a_page_of_a_stream_is_counted_by_revisions() {
        let page = Page {
            stream: Some(StreamId::new("user", "1")),
            ..Page::span(2, 7, 5)
        };
        assert_eq!(
            Statement::page("SELECT 1", '?', &page).sql,
            "SELECT 1\nWHERE e.aggregate_type = ?1\nAND e.aggregate_id = ?2\nAND e.sequence > ?3\
             \nAND e.sequence <= ?4\nORDER BY e.sequence\nLIMIT ?5"
        );
    }
}
