//! Two files of a view held against each other, row for row.
//!
//! Both are read in the order of their primary keys, side by side, so that it takes no more memory for more rows. Of the index
//! of runs it is compared what it finds, and not how its pages lie.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Rows};

use crate::file::connect_to_compare;

/// The tables of a file, without those that virtual ones keep.
const SELECT_TABLES: &str = "
    SELECT name, type = 'virtual'
    FROM pragma_table_list
    WHERE schema = 'main' AND type IN ('table', 'virtual')
        AND name <> 'checkpoint' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY name";

const SELECT_KEY: &str = "
    SELECT '\"' || name || '\"'
    FROM pragma_table_info(?1)
    WHERE pk > 0
    ORDER BY pk";

/// How the files of a view compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Its tables, by name.
    pub tables: Vec<TableComparison>,
}

/// How a table compares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableComparison {
    /// Its name.
    pub name: String,
    /// How many rows are the same in both.
    pub same: u64,
    /// How many rows have the same key and differ.
    pub different: u64,
    /// How many rows only the live file has.
    pub only_live: u64,
    /// How many rows only the next file has.
    pub only_next: u64,
}

impl Comparison {
    /// Whether every row is the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableComparison::is_equal)
    }
}

impl TableComparison {
    /// Whether every row is the same.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.different == 0 && self.only_live == 0 && self.only_next == 0
    }
}

/// Compares a file with the one at `next`, which nobody writes meanwhile.
pub(crate) fn compare(live: &Connection, next: &Path) -> rusqlite::Result<Comparison> {
    let next = connect_to_compare(next)?;
    let mut comparison = Comparison::default();
    for (name, is_index) in tables(live)? {
        let (question, key) = if is_index {
            (index(live, &name)?, 3)
        } else {
            question(live, &name)?
        };
        if is_index {
            index(&next, &name)?;
        }
        let table = compare_rows(live, &next, &question, key)?;
        comparison.tables.push(TableComparison { name, ..table });
    }
    Ok(comparison)
}

fn tables(tables: &Connection) -> rusqlite::Result<Vec<(String, bool)>> {
    tables
        .prepare(SELECT_TABLES)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The question for the rows of a table by its key, which its columns begin with, and how long that is.
fn question(tables: &Connection, name: &str) -> rusqlite::Result<(String, usize)> {
    let key: Vec<String> = tables
        .prepare(SELECT_KEY)?
        .query_map([name], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let columns = key.join(", ");
    let question = format!("SELECT {columns}, * FROM \"{name}\" ORDER BY {columns}");
    Ok((question, key.len()))
}

/// Likewise for what an index of runs finds, which comes in order by itself.
fn index(tables: &Connection, name: &str) -> rusqlite::Result<String> {
    tables.execute_batch(&format!(
        "CREATE VIRTUAL TABLE temp.found_by_{name} USING fts5vocab (main, {name}, instance)"
    ))?;
    Ok(format!("SELECT term, doc, col FROM temp.found_by_{name}"))
}

fn compare_rows(
    live: &Connection,
    next: &Connection,
    question: &str,
    key: usize,
) -> rusqlite::Result<TableComparison> {
    let (mut live, mut next) = (live.prepare(question)?, next.prepare(question)?);
    let columns = live.column_count();
    let (mut live, mut next) = (live.query([])?, next.query([])?);
    let mut told = TableComparison::default();
    let (mut a, mut b) = (row(&mut live, columns)?, row(&mut next, columns)?);
    loop {
        let order = match (&a, &b) {
            (None, None) => return Ok(told),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => by_key(&a[..key], &b[..key]),
        };
        match order {
            Ordering::Less => told.only_live += 1,
            Ordering::Greater => told.only_next += 1,
            Ordering::Equal if a == b => told.same += 1,
            Ordering::Equal => told.different += 1,
        }
        if order.is_le() {
            a = row(&mut live, columns)?;
        }
        if order.is_ge() {
            b = row(&mut next, columns)?;
        }
    }
}

fn row(rows: &mut Rows<'_>, columns: usize) -> rusqlite::Result<Option<Vec<Value>>> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    (0..columns)
        .map(|column| row.get(column))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The order that SQLite sorts keys in.
fn by_key(a: &[Value], b: &[Value]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| by_value(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn by_value(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        // No key here has anything else, and a column of a STRICT table has one type.
        _ => kind(a).cmp(&kind(b)),
    }
}

const fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "
        CREATE TABLE checkpoint (position INTEGER) STRICT;
        CREATE TABLE people (name TEXT, number INTEGER, at BLOB, PRIMARY KEY (at, name)) STRICT, WITHOUT ROWID;
        CREATE VIRTUAL TABLE words USING fts5 (word, content = '', columnsize = 0, detail = column);
        INSERT INTO people VALUES ('a', 1, x'02'), ('ä', 2, x'01'), ('b', 3, x'02');
        INSERT INTO words (rowid, word) VALUES (7, 'one two'), (9, 'two three');";

    fn compared(change: &str) -> Comparison {
        let folder = tempfile::tempdir().unwrap();
        let [live, next] = ["live", "next"].map(|name| folder.path().join(name));
        for (path, change) in [(&live, ""), (&next, change)] {
            let connection = Connection::open(path).unwrap();
            connection.execute_batch(TABLES).unwrap();
            connection.execute_batch(change).unwrap();
        }
        compare(&connect_to_compare(&live).unwrap(), &next).unwrap()
    }

    fn counts(comparison: &Comparison) -> Vec<(&str, [u64; 4])> {
        let table = |table: &TableComparison| {
            [
                table.same,
                table.different,
                table.only_live,
                table.only_next,
            ]
        };
        let tables = comparison.tables.iter();
        tables.map(|of| (of.name.as_str(), table(of))).collect()
    }

    #[test]
    fn r64_files_with_the_same_rows_are_equal_wherever_those_lie() {
        let same = compared(
            "INSERT INTO checkpoint VALUES (1);
            DELETE FROM people WHERE name = 'a';
            INSERT INTO people VALUES ('a', 1, x'02');",
        );
        assert!(same.is_equal());
        assert_eq!(
            counts(&same),
            [("people", [3, 0, 0, 0]), ("words", [4, 0, 0, 0])]
        );
    }

    #[test]
    fn r64_every_kind_of_difference_is_counted() {
        let differs = compared(
            "UPDATE people SET number = 9 WHERE name = 'ä';
            DELETE FROM people WHERE name = 'b';
            INSERT INTO people VALUES ('', 1, x'02'), ('z', 1, x'02');
            INSERT INTO words (rowid, word) VALUES (8, 'two');",
        );
        assert!(!differs.is_equal());
        assert_eq!(
            counts(&differs),
            [("people", [1, 1, 1, 2]), ("words", [4, 0, 0, 1])]
        );
    }
}
