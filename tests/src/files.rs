//! What the files of a data directory, and the tables of a database, hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use sqlx::{Connection as _, Row as _};

use crate::database::Database;

/// Every file below a folder.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The files below a folder in which one of these texts stands, byte for byte.
#[must_use]
pub fn files_with(folder: &Path, texts: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in files_below(folder) {
        let bytes = std::fs::read(&path).unwrap();
        for text in texts {
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push((path.clone(), (*text).to_owned()));
            }
        }
    }
    found
}

/// The SQLite files below a folder.
#[must_use]
pub fn sqlite_files(folder: &Path) -> Vec<PathBuf> {
    files_below(folder)
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sqlite")
        })
        .collect()
}

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
}

/// Checks that SQLite finds nothing wrong with any of its files.
pub fn check_integrity(folder: &Path) {
    let files = sqlite_files(folder);
    assert!(
        !files.is_empty(),
        "no SQLite file below {}",
        folder.display()
    );
    for path in files {
        let verdict: String = open(&path)
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok", "{}", path.display());
    }
}

/// Every row of every table of the views below a folder, in an order of its own.
#[must_use]
pub fn rows_of_views(data_dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for path in sqlite_files(&data_dir.join("views")) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let connection = open(&path);
        for table in tables(&connection) {
            rows.insert(format!("{file} {table}"), rows_of(&connection, &table));
        }
    }
    rows
}

fn tables(connection: &Connection) -> Vec<String> {
    // An index for searches is a virtual table, and how it lies in its shadow tables depends on how it came about.
    let query = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(query).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

fn rows_of(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("SELECT * FROM \"{table}\""))
        .unwrap();
    let columns = statement.column_count();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let values: Vec<Value> = (0..columns)
                .map(|column| row.get(column))
                .collect::<Result<_, _>>()?;
            Ok(format!("{values:?}"))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    rows.sort_unstable();
    rows
}

/// The tables of a database in which one of these texts stands, in any column, written as text.
pub async fn tables_with(database: &Database, texts: &[&str]) -> Vec<(String, String)> {
    let mut connection = database.connect().await;
    let query = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables \
                 WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(query)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(!tables.is_empty());
    let mut found = Vec::new();
    for table in tables {
        let rows = sqlx::query(&format!("SELECT t::text AS text FROM {table} t"))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        for row in rows {
            let row: String = row.get("text");
            found.extend(
                texts
                    .iter()
                    .filter(|text| row.contains(**text) || row.contains(&hex::encode(text)))
                    .map(|text| (table.clone(), (*text).to_owned())),
            );
        }
    }
    connection.close().await.unwrap();
    found
}
