//! Connections to the file of a view: one that writes, any number that read.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 128;

/// How much of a file is mapped into memory for those who read it; memory that the system can take back at any time.
const MAPPED: i64 = 4 << 30;

/// How much of a file its writer keeps in memory, in KiB: of one that is being built, and of one that is followed with.
const WHILE_BUILDING: i64 = 32_000;
const WHILE_FOLLOWING: i64 = 8_000;

/// How long to wait for the file where nothing else is said.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Opens a connection that can only read; any number of them stand beside the one that writes.
pub(crate) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect_to_compare(path)?;
    connection.pragma_update(None, "query_only", true)?;
    // What is mapped is not kept a second time; only what stands in the write-ahead log is.
    connection.pragma_update(None, "cache_size", -2_000)?;
    // Rows that lie apart are read where the system has them, instead of being copied one page after the other.
    connection.pragma_update(None, "mmap_size", MAPPED)?;
    Ok(connection)
}

/// Likewise, and one that may have tables of its own beside those of the file; for what reads all of it once.
pub(crate) fn connect_to_compare(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    crate::pattern::teach(&connection)?;
    Ok(connection)
}

/// Opens the connection that writes a file.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -WHILE_FOLLOWING)?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    crate::users::grams::teach(&connection)?;
    Ok(connection)
}

/// Keeps more of a file in memory while it is being built than of one that is followed with.
pub(super) fn keep_for(connection: &Connection, building: bool) -> rusqlite::Result<()> {
    let kept = if building {
        WHILE_BUILDING
    } else {
        WHILE_FOLLOWING
    };
    connection.pragma_update(None, "cache_size", -kept)?;
    // What the making of its indexes took is given back.
    connection.execute_batch("PRAGMA shrink_memory")
}

/// Opens a connection that writes a file which is of no use unless it is written as a whole.
pub(crate) fn connect_to_write_once(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}
