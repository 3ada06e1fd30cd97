//! The unused parts of a file's pages are overwritten after an erasure, some pages at a time ([`pages`] says why).

use rollbook_eventstore::sqlite::pages;
use rusqlite::{Connection, TransactionBehavior};
use tracing::warn;

/// How many pages are swept at a time.
const AT_A_TIME: i64 = 1_000;

/// Whether a file says that it is to be swept.
pub(super) fn is_due(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Has a file say whether it is to be swept, in the transaction in which that comes to be so.
pub(super) fn is_now_due(connection: &Connection, due: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", due)
}

/// Whether a file is swept at once.
pub(super) fn is_small(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(pages_of(connection)? <= AT_A_TIME)
}

fn pages_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA page_count", [], |row| row.get(0))
}

/// A sweep through a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    next: i64,
    /// Whether it is to begin again at its end.
    again: bool,
    swept: bool,
}

impl Sweep {
    /// One from the first page on.
    pub(super) const BEGIN: Self = Self {
        next: 1,
        again: false,
        swept: false,
    };

    /// The same, where something was erased since it began.
    pub(super) fn after_erasure(sweep: Option<Self>) -> Self {
        match sweep {
            Some(sweep) if sweep.next > 1 => Self {
                again: true,
                ..sweep
            },
            _ => Self::BEGIN,
        }
    }

    /// Sweeps the next pages.
    pub(super) fn go_on(self, connection: &mut Connection) -> rusqlite::Result<Swept> {
        if !pages::can_overwrite_unused(connection)? {
            warn!(
                "SQLite was built without SQLITE_ENABLE_DBPAGE_VTAB, or the file is too large: what was erased may \
                 stand in unused parts of it until the view is made anew"
            );
            return Ok(Swept::All { anything: false });
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let all = pages_of(&transaction)?;
        let to = all.min(self.next + AT_A_TIME - 1);
        let swept = pages::overwrite_unused(&transaction, self.next..=to)? || self.swept;
        if to >= all && !self.again {
            is_now_due(&transaction, false)?;
        }
        transaction.commit()?;
        Ok(match self {
            _ if to < all => Swept::Some(Self {
                next: to + 1,
                swept,
                ..self
            }),
            Self { again: true, .. } => Swept::Some(Self {
                swept,
                ..Self::BEGIN
            }),
            _ => Swept::All { anything: swept },
        })
    }
}

/// How far a sweep came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Swept {
    /// There is more to sweep.
    Some(Sweep),
    /// The file is swept; whether there was anything.
    All { anything: bool },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::connect;

    #[test]
    fn a_large_file_is_swept_a_part_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connect(&folder.path().join("large.sqlite")).unwrap();
        let fill = "
            CREATE TABLE texts (text TEXT);
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
            INSERT INTO texts SELECT printf('%.*c', 4000, 'x') FROM numbers";
        connection.execute_batch(fill).unwrap();
        is_now_due(&connection, true).unwrap();
        assert!(!is_small(&connection).unwrap());
        let (mut sweep, mut steps) = (Sweep::BEGIN, 1);
        while let Swept::Some(rest) = sweep.go_on(&mut connection).unwrap() {
            // Something is erased on the way: it begins again.
            sweep = if steps == 1 {
                Sweep::after_erasure(Some(rest))
            } else {
                rest
            };
            steps += 1;
            assert!(is_due(&connection).unwrap());
        }
        assert_eq!(steps, 6);
        assert!(!is_due(&connection).unwrap());
    }
}
