//! The unused parts of the pages of a SQLite file.
//!
//! `secure_delete` overwrites what is deleted where it stands. But where SQLite fills a page anew, since its neighbours have
//! become too full or too empty, cells that went to another page stay behind in the part that is not used any more, and with
//! them what is deleted later. So after an erasure the unused parts are overwritten
//! (<https://www.sqlite.org/fileformat2.html#b_tree_pages> says where they lie).

use rusqlite::Connection;

/// The first byte of a page that is none of a tree is the highest of a page's number. In a file with more pages it could be
/// taken for the mark of a tree.
const MOST: i64 = 1 << 24;

/// SQLite has this only where it is built so, as `.cargo/config.toml` says.
const CAN_OVERWRITE: &str = "
    SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'sqlite_dbpage')
        AND (SELECT page_count FROM pragma_page_count) < ?1";

const READ: &str = "
    SELECT data
    FROM sqlite_dbpage
    WHERE pgno = ?1";

const WRITE: &str = "
    UPDATE sqlite_dbpage
    SET data = ?2
    WHERE pgno = ?1";

/// Whether [`overwrite_unused`] can be used on a file: SQLite must be built with `SQLITE_ENABLE_DBPAGE_VTAB`, and the file have
/// fewer than 16,777,216 pages.
///
/// # Errors
/// The file cannot be read.
pub fn can_overwrite_unused(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(CAN_OVERWRITE)?
        .query_row([MOST], |row| row.get(0))
}

/// Overwrites the unused parts of pages with zeros, within the transaction that the connection is in; answers whether there was
/// anything in them. What is emptied may still stand in the write-ahead log.
///
/// # Errors
/// The file cannot be read or written.
pub fn overwrite_unused(
    connection: &Connection,
    pages: impl IntoIterator<Item = i64>,
) -> rusqlite::Result<bool> {
    let mut anything = false;
    let mut read = connection.prepare_cached(READ)?;
    let mut write = connection.prepare_cached(WRITE)?;
    for page in pages {
        let cleaned = read.query_row([page], |row| {
            Ok(without_unused(page, row.get_ref(0)?.as_blob()?))
        })?;
        if let Some(cleaned) = cleaned {
            write.execute((page, cleaned))?;
            anything = true;
        }
    }
    Ok(anything)
}

/// A page with nothing in its unused part, where there is something in it now.
fn without_unused(number: i64, page: &[u8]) -> Option<Vec<u8>> {
    // The first page begins with the header of the file.
    let header = if number == 1 { 100 } else { 0 };
    let cells = match page.get(header)? {
        2 | 5 => header + 12,
        10 | 13 => header + 8,
        _ => return None,
    };
    let two = |at: usize| {
        Some(usize::from(u16::from_be_bytes([
            *page.get(at)?,
            *page.get(at + 1)?,
        ])))
    };
    let from = cells + 2 * two(header + 3)?;
    // A page of 65,536 bytes without a cell has no room for where they begin.
    let to = match two(header + 5)? {
        0 => page.len(),
        to => to,
    };
    if page.get(from..to)?.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut cleaned = page.to_vec();
    cleaned.get_mut(from..to)?.fill(0);
    Some(cleaned)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    /// Numbers that are thrown (<https://prng.di.unimi.it/splitmix64.c>).
    struct Dice(u64);

    impl Dice {
        fn throw(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut thrown = self.0;
            thrown = (thrown ^ (thrown >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            thrown = (thrown ^ (thrown >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((thrown ^ (thrown >> 31)) % below as u64).unwrap()
        }

        fn name(&mut self) -> String {
            let length = 8 + self.throw(32);
            (0..length)
                .map(|_| char::from(b'a' + u8::try_from(self.throw(16)).unwrap()))
                .collect()
        }
    }

    /// A file in which many names come and go; and those that are gone.
    fn come_and_go(connection: &Connection, dice: &mut Dice) -> Vec<String> {
        let tables = "
            CREATE TABLE people (number INTEGER PRIMARY KEY, name TEXT NOT NULL);
            CREATE INDEX people_by_name ON people (name, number);
            BEGIN";
        connection.execute_batch(tables).unwrap();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for number in 0..6_000 {
            if dice.throw(10) < 7 || there.is_empty() {
                let name = dice.name();
                let put = "INSERT INTO people VALUES (?1, ?2)";
                connection
                    .prepare_cached(put)
                    .unwrap()
                    .execute((number, &name))
                    .unwrap();
                there.push((number, name));
            } else {
                let (number, name) = there.swap_remove(dice.throw(there.len()));
                let take = "DELETE FROM people WHERE number = ?1";
                connection
                    .prepare_cached(take)
                    .unwrap()
                    .execute([number])
                    .unwrap();
                gone.push(name);
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        gone
    }

    fn found(path: &std::path::Path, connection: &Connection, names: &[String]) -> usize {
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        emptied.unwrap();
        let file = std::fs::read(path).unwrap();
        let begins = |name: &String| name.as_bytes().first_chunk::<8>().copied().unwrap();
        let sought: HashMap<[u8; 8], &String> =
            names.iter().map(|name| (begins(name), name)).collect();
        let stands = |(at, begun): (usize, &[u8])| {
            let name = sought.get(begun)?;
            file[at..].starts_with(name.as_bytes()).then_some(*name)
        };
        let standing: BTreeSet<&String> = file.windows(8).enumerate().filter_map(stands).collect();
        standing.len()
    }

    fn sweep(connection: &Connection) -> bool {
        assert!(can_overwrite_unused(connection).unwrap());
        let count = "SELECT page_count FROM pragma_page_count";
        let pages: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        let anything = overwrite_unused(&transaction, 1..=pages).unwrap();
        transaction.commit().unwrap();
        anything
    }

    #[test]
    fn r62_what_was_deleted_stands_nowhere_in_a_file_whose_unused_parts_are_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut left_by_sqlite = 0;
        let mut dice = Dice(1);
        for file in 0..8 {
            let path = folder.path().join(format!("{file}.sqlite"));
            let connection = Connection::open(&path).unwrap();
            connection
                .pragma_update(None, "journal_mode", "WAL")
                .unwrap();
            connection
                .pragma_update(None, "secure_delete", true)
                .unwrap();
            let gone = come_and_go(&connection, &mut dice);
            assert!(gone.len() > 1_000);
            left_by_sqlite += found(&path, &connection, &gone);
            assert!(sweep(&connection), "pages were filled anew");
            assert_eq!(found(&path, &connection, &gone), 0);
            let check: String = connection
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(check, "ok");
            // And what is written after it is read as before.
            connection
                .execute("INSERT INTO people (name) VALUES ('Anna')", [])
                .unwrap();
            let found = "SELECT count(*) FROM people INDEXED BY people_by_name WHERE name = 'Anna'";
            let found: i64 = connection.query_row(found, [], |row| row.get(0)).unwrap();
            assert_eq!(found, 1);
            assert!(!sweep(&connection));
        }
        assert!(left_by_sqlite > 0, "there is nothing to sweep any more");
    }
}
