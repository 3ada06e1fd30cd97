//! The numbers of users within the file: those of one account lie beside each other, so that a search stays within it.

use rusqlite::{Connection, OptionalExtension};

pub(super) const TABLES: &str = "
    CREATE TABLE user_numbers (
        account_id TEXT PRIMARY KEY,
        account INTEGER NOT NULL UNIQUE,
        last INTEGER NOT NULL,
        users INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TRIGGER user_counted_in AFTER INSERT ON users
    BEGIN
        UPDATE user_numbers
        SET users = users + 1
        WHERE account_id = new.account_id;
    END;

    CREATE TRIGGER user_counted_out AFTER DELETE ON users
    BEGIN
        UPDATE user_numbers
        SET users = users - 1
        WHERE account_id = old.account_id;
    END;
";

/// How many bits the users of one account have for their numbers.
const BITS: u32 = 40;

const OPEN: &str = "
    INSERT INTO user_numbers (account_id, account, last, users)
    SELECT ?1, coalesce(max(account), 0) + 1, 0, 0
    FROM user_numbers";

const NEXT: &str = "
    UPDATE OR FAIL user_numbers
    SET last = last + 1
    WHERE account_id = ?1
    RETURNING account, last";

const SELECT: &str = "
    SELECT account, users
    FROM user_numbers
    WHERE account_id = ?1";

/// The numbers of an account's users.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// No user has a smaller one.
    pub(super) first: i64,
    /// No user has a greater one.
    pub(super) last: i64,
    /// How many users there are.
    pub(super) users: i64,
}

impl Numbers {
    /// Those of an account; none where nobody was ever added.
    pub(super) fn of(tables: &Connection, account_id: &str) -> rusqlite::Result<Self> {
        let found = tables
            .prepare_cached(SELECT)?
            .query_row([account_id], |row| {
                let (account, users): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Self {
                    first: account << BITS,
                    last: ((account + 1) << BITS) - 1,
                    users,
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}

/// A number for a user who is added to an account; no other user ever gets it.
pub(super) fn next(tables: &Connection, account_id: &str) -> rusqlite::Result<i64> {
    if let Some(number) = take(tables, account_id)? {
        return Ok(number);
    }
    tables.prepare_cached(OPEN)?.execute([account_id])?;
    take(tables, account_id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn take(tables: &Connection, account_id: &str) -> rusqlite::Result<Option<i64>> {
    let mut next = tables.prepare_cached(NEXT)?;
    next.query_row([account_id], |row| {
        let (account, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((account << BITS) | last)
    })
    .optional()
}
