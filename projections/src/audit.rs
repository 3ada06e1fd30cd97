//! The audit trail: where in the log an account's events stand that were done for an actor, and those of a type. The log
//! itself finds neither without reading all that the account has. Nothing in it is personal.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use crate::event::Folded;
use crate::page::rows;
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

const TABLES: &str = "
    CREATE TABLE accounts (
        account INTEGER PRIMARY KEY,
        account_id TEXT NOT NULL UNIQUE
    ) STRICT;

    CREATE TABLE actors (
        actor INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;

    CREATE TABLE event_types (
        event_type INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;

    CREATE TABLE events_by_actor (
        actor INTEGER NOT NULL,
        account INTEGER NOT NULL,
        position INTEGER NOT NULL,
        event_type INTEGER NOT NULL,
        PRIMARY KEY (actor, account, position)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events_by_type (
        event_type INTEGER NOT NULL,
        account INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (event_type, account, position)
    ) STRICT, WITHOUT ROWID;
";

const ADD_ACCOUNT: &str = "
    INSERT OR IGNORE INTO accounts (account_id)
    VALUES (?1)";

const ADD_ACTOR: &str = "
    INSERT OR IGNORE INTO actors (name)
    VALUES (?1)";

const ADD_TYPE: &str = "
    INSERT OR IGNORE INTO event_types (name)
    VALUES (?1)";

const PUT_BY_ACTOR: &str = "
    INSERT INTO events_by_actor (actor, account, position, event_type)
    SELECT actor, account, ?4, event_type
    FROM actors, accounts, event_types
    WHERE actors.name = ?1 AND account_id = ?2 AND event_types.name = ?3";

const PUT_BY_TYPE: &str = "
    INSERT INTO events_by_type (event_type, account, position)
    SELECT event_type, account, ?3
    FROM event_types, accounts
    WHERE name = ?1 AND account_id = ?2";

/// A statement for positions, forwards and backwards; `?1` to `?3` are the bounds and the limit.
macro_rules! positions {
    ($from:literal) => {
        [
            concat!($from, "\n    ORDER BY position\n    LIMIT ?3"),
            concat!($from, "\n    ORDER BY position DESC\n    LIMIT ?3"),
        ]
    };
}

const OF_ACTOR: [&str; 2] = positions!(
    "
    SELECT position
    FROM events_by_actor
    WHERE actor = (SELECT actor FROM actors WHERE name = ?4)
    AND position > ?1 AND position <= ?2
    AND (?5 = '[]' OR event_type IN (
        SELECT event_type
        FROM json_each(?5)
        JOIN event_types ON name = value
    ))"
);

const OF_ACTOR_IN_ACCOUNT: [&str; 2] = positions!(
    "
    SELECT position
    FROM events_by_actor
    WHERE actor = (SELECT actor FROM actors WHERE name = ?4)
    AND account = (SELECT account FROM accounts WHERE account_id = ?6)
    AND position > ?1 AND position <= ?2
    AND (?5 = '[]' OR event_type IN (
        SELECT event_type
        FROM json_each(?5)
        JOIN event_types ON name = value
    ))"
);

const OF_TYPE: [&str; 2] = positions!(
    "
    SELECT position
    FROM events_by_type
    WHERE event_type = (SELECT event_type FROM event_types WHERE name = ?4)
    AND account = (SELECT account FROM accounts WHERE account_id = ?5)
    AND position > ?1 AND position <= ?2"
);

/// What the events of a trail have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trail {
    /// They were done for one actor.
    OfActor {
        /// For whom.
        actor: String,
        /// Of which types; of any where none is named.
        event_types: Vec<String>,
        /// In which account; in all where none is named.
        account_id: Option<String>,
    },
    /// They are of some types, and one account's.
    OfTypes {
        /// Of which types.
        event_types: Vec<String>,
        /// In which account.
        account_id: String,
    },
}

/// A question for the positions of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindEvents {
    /// Of which events.
    pub trail: Trail,
    /// Only above this position.
    pub above: u64,
    /// Only up to this position.
    pub up_to: u64,
    /// Whether the newest come first.
    pub descending: bool,
    /// How many at most.
    pub limit: usize,
}

/// The view of the audit trail.
pub(crate) struct AuditView;

impl View for AuditView {
    const NAME: &'static str = "audit";
    const VERSION: u32 = 2;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = &[];

    fn concerns(_event: &Folded) -> bool {
        true
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        let recorded = &folded.recorded;
        let (account, event_type) = (&recorded.account_id, &recorded.event_type);
        let (actor, position) = (&recorded.metadata.actor, recorded.position);
        let by_actor = params![actor, account, event_type, position];
        let mut put = tables.prepare_cached(PUT_BY_ACTOR)?;
        if put.execute(by_actor)? == 0 {
            for (add, name) in [
                (ADD_ACCOUNT, account),
                (ADD_ACTOR, actor),
                (ADD_TYPE, event_type),
            ] {
                tables.prepare_cached(add)?.execute([name])?;
            }
            put.execute(by_actor)?;
        }
        let by_type = params![event_type, account, position];
        tables.prepare_cached(PUT_BY_TYPE)?.execute(by_type)?;
        Ok(())
    }
}

questions_of! {
    /// Which events were done for whom, and which are of a type.
    AuditTrail
}

impl AuditTrail {
    /// Where events of a trail stand in the log, in the order asked for.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn find(&self, query: FindEvents) -> Result<Vec<u64>, ReadError> {
        self.0.list(move |tables| find(tables, &query)).await
    }
}

fn find(tables: &Connection, query: &FindEvents) -> rusqlite::Result<Vec<u64>> {
    let way = usize::from(query.descending);
    let up_to = i64::try_from(query.up_to).unwrap_or(i64::MAX);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let (above, position) = (query.above, |row: &Row<'_>| row.get(0));
    match &query.trail {
        Trail::OfActor {
            actor,
            event_types,
            account_id,
        } => {
            let types = serde_json::Value::from(event_types.as_slice()).to_string();
            match account_id {
                None => {
                    let asked = params![above, up_to, limit, actor, types];
                    rows(tables, OF_ACTOR[way], asked, position)
                }
                Some(account) => {
                    let asked = params![above, up_to, limit, actor, types, account];
                    rows(tables, OF_ACTOR_IN_ACCOUNT[way], asked, position)
                }
            }
        }
        Trail::OfTypes {
            event_types,
            account_id,
        } => {
            let mut found = BTreeSet::new();
            for event_type in event_types {
                let asked = params![above, up_to, limit, event_type, account_id];
                found.extend(rows::<u64>(tables, OF_TYPE[way], asked, position)?);
            }
            let mut found: Vec<_> = found.into_iter().collect();
            if query.descending {
                found.reverse();
            }
            found.truncate(query.limit);
            Ok(found)
        }
    }
}
