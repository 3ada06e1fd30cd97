//! The checkpoint of a view's file: how far it is folded, from which log, and how far it is made.

use rollbook_eventstore::{Log, StoreError};
use rusqlite::{Connection, params};

/// Beside the checkpoint: how many of the view's indexes there are, and whether the view is read from this file.
pub(super) const TABLE: &str = "
    CREATE TABLE checkpoint (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        log_id BLOB NOT NULL,
        position INTEGER NOT NULL,
        event_hash BLOB NOT NULL,
        indexes INTEGER NOT NULL,
        live INTEGER NOT NULL
    ) STRICT";

const SELECT: &str = "
    SELECT log_id, position, event_hash, indexes, live
    FROM checkpoint";

const SELECT_POSITION: &str = "
    SELECT position
    FROM checkpoint";

const BEGIN: &str = "
    INSERT INTO checkpoint (only, log_id, position, event_hash, indexes, live)
    VALUES (1, ?1, ?2, ?3, 0, ?4)";

const SAVE: &str = "
    UPDATE checkpoint
    SET position = ?1, event_hash = ?2";

const SAVE_INDEXES: &str = "
    UPDATE checkpoint
    SET indexes = ?1";

const GO_LIVE: &str = "
    UPDATE checkpoint
    SET live = TRUE";

/// How far a file was folded, and from which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) log: [u8; 16],
    pub(super) position: u64,
    /// Of the event at the position; zeros at 0.
    pub(super) hash: [u8; 32],
}

impl Checkpoint {
    /// Whether what was folded up to here is how this log begins.
    pub(super) async fn is_of(&self, log: &Log, head: u64) -> Result<bool, StoreError> {
        if self.log != log.id().into_bytes() || self.position > head {
            return Ok(false);
        }
        if self.position == 0 {
            return Ok(true);
        }
        Ok(log.event_hash(self.position).await? == Some(self.hash))
    }

    /// Writes it for the first time.
    pub(super) fn begin(&self, tables: &Connection, live: bool) -> rusqlite::Result<()> {
        tables.execute(BEGIN, params![self.log, self.position, self.hash, live])?;
        Ok(())
    }

    /// Writes it where it was.
    pub(super) fn save(&self, tables: &Connection) -> rusqlite::Result<()> {
        tables
            .prepare_cached(SAVE)?
            .execute(params![self.position, self.hash])?;
        Ok(())
    }
}

/// What a file says about itself.
pub(super) struct Found {
    pub(super) at: Checkpoint,
    pub(super) indexes: usize,
    pub(super) live: bool,
}

/// Reads what a file says about itself.
pub(super) fn find(tables: &Connection) -> rusqlite::Result<Found> {
    tables.query_row(SELECT, [], |row| {
        Ok(Found {
            at: Checkpoint {
                log: row.get(0)?,
                position: row.get(1)?,
                hash: row.get(2)?,
            },
            indexes: row.get(3)?,
            live: row.get(4)?,
        })
    })
}

/// The position that is saved in a file, as it is read now.
pub(crate) fn saved_position(tables: &Connection) -> rusqlite::Result<u64> {
    tables.query_row(SELECT_POSITION, [], |row| row.get(0))
}

/// Says how many indexes there are.
pub(super) fn save_indexes(tables: &Connection, indexes: usize) -> rusqlite::Result<()> {
    tables.execute(SAVE_INDEXES, [indexes])?;
    Ok(())
}

/// Says that the view is read from this file.
pub(super) fn go_live(tables: &Connection) -> rusqlite::Result<()> {
    tables.execute(GO_LIVE, [])?;
    Ok(())
}
