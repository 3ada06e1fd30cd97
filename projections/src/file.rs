//! The file of one view: its rows, and the checkpoint that says how far the log is folded into them.
//!
//! * Rows and checkpoint change in one transaction, and a transaction covers whole commits of the log.
//! * The checkpoint names the log and the hash of the event it stands at, so that a file folded from another history is noticed.
//! * This connection alone writes and checkpoints the file. A lost disk costs a replay, so the file is synchronised only when
//!   its write-ahead log is copied into it; that keeps it whole through a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollbook_eventstore::{Log, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use tracing::{info, warn};

use crate::event::Folded;
use crate::view::{FoldError, View};
use crate::views::ViewError;

const CHECKPOINT_TABLE: &str = "
    CREATE TABLE checkpoint (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        log_id BLOB NOT NULL,
        position INTEGER NOT NULL,
        event_hash BLOB NOT NULL
    ) STRICT";

const SELECT_CHECKPOINT: &str = "
    SELECT log_id, position, event_hash
    FROM checkpoint";

const SAVE_CHECKPOINT: &str = "
    INSERT OR REPLACE INTO checkpoint (only, log_id, position, event_hash)
    VALUES (1, ?1, ?2, ?3)";

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 128;

/// How much of a file is mapped into memory for those who read it; memory that the system can take back at any time.
const MAPPED: i64 = 4 << 30;

/// How far the checkpoint may fall behind over events that concern nothing here.
const UNSAVED: u64 = 10_000;

/// How long erased data may stay in the write-ahead log while there is no quiet moment.
const ERASE_WITHIN: Duration = Duration::from_secs(1);

/// How long to wait for readers that are in the way of emptying the write-ahead log.
const READERS_LEAVE: Duration = Duration::from_millis(50);

/// How long to wait for the file in every other case.
const BUSY: Duration = Duration::from_secs(5);

/// How far a file was folded, and from which log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checkpoint {
    log: [u8; 16],
    position: u64,
    /// Of the event at the position; zeros at 0.
    hash: [u8; 32],
}

impl Checkpoint {
    /// Whether what was folded up to here is how this log begins.
    async fn is_of(&self, log: &Log, head: u64) -> Result<bool, StoreError> {
        if self.log != log.id().into_bytes() || self.position > head {
            return Ok(false);
        }
        if self.position == 0 {
            return Ok(true);
        }
        Ok(log.event_hash(self.position).await? == Some(self.hash))
    }
}

/// The writing side of a view's file.
pub(crate) struct ViewFile {
    connection: Connection,
    /// How far it is folded; ahead of what is saved where nothing since then concerned the view.
    at: Checkpoint,
    saved: u64,
    erase_since: Option<Instant>,
}

/// An event at which folding stopped; everything before its commit is folded.
#[derive(Debug, thiserror::Error)]
#[error("position {position}: {error}")]
pub(crate) struct Stopped {
    /// The event.
    pub(crate) position: u64,
    /// Why.
    pub(crate) error: FoldError,
}

impl ViewFile {
    /// Opens the file, or makes it; one of another history, or one that is damaged, is made again.
    pub(crate) async fn open<V: View>(
        folder: &Path,
        log: &Log,
        head: u64,
    ) -> Result<Self, ViewError> {
        let path = path::<V>(folder);
        remove_other_versions::<V>(folder)?;
        let broken = |source| ViewError::File {
            view: V::NAME,
            source,
        };
        let found = match Self::open_existing(&path) {
            Ok(found) => found,
            Err(error) => {
                warn!(view = V::NAME, %error, "the file of the view cannot be read: building it again");
                None
            }
        };
        if let Some(file) = found {
            let at = file.at.clone();
            if at.is_of(log, head).await.map_err(ViewError::Log)? {
                return Ok(file);
            }
            let position = at.position;
            warn!(
                view = V::NAME,
                position, head, "the view was folded from another history: building it again"
            );
        }
        remove(&path)?;
        info!(
            view = V::NAME,
            version = V::VERSION,
            head,
            "building the view from the log"
        );
        Self::create::<V>(&path, log).map_err(broken)
    }

    fn open_existing(path: &Path) -> rusqlite::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(path)?;
        let at = connection
            .query_row(SELECT_CHECKPOINT, [], |row| {
                Ok(Checkpoint {
                    log: row.get(0)?,
                    position: row.get(1)?,
                    hash: row.get(2)?,
                })
            })
            .optional()?;
        Ok(at.map(|at| Self {
            connection,
            saved: at.position,
            at,
            erase_since: Some(Instant::now()),
        }))
    }

    fn create<V: View>(path: &Path, log: &Log) -> rusqlite::Result<Self> {
        let mut connection = connect(path)?;
        let at = Checkpoint {
            log: log.id().into_bytes(),
            position: 0,
            hash: [0; 32],
        };
        let transaction = connection.transaction()?;
        transaction.execute_batch(CHECKPOINT_TABLE)?;
        for tables in V::TABLES {
            transaction.execute_batch(tables)?;
        }
        save(&transaction, &at)?;
        transaction.commit()?;
        Ok(Self {
            connection,
            saved: 0,
            at,
            erase_since: None,
        })
    }

    /// How far it is folded.
    pub(crate) fn position(&self) -> u64 {
        self.at.position
    }

    /// Folds whole commits. Where an event cannot be applied, the commits before its own are folded.
    pub(crate) fn fold<V: View>(&mut self, events: &[Arc<Folded>]) -> Result<(), Stopped> {
        let Err(stopped) = self.fold_all::<V>(events) else {
            return Ok(());
        };
        let before = events
            .iter()
            .take_while(|event| event.recorded.commit_position < stopped.position)
            .count();
        self.fold_all::<V>(&events[..before])?;
        Err(stopped)
    }

    /// Passes over commits that concern nothing here, without a word to the file; answers whether it could. The checkpoint that
    /// is saved then falls behind, though not without end.
    pub(crate) fn pass_over<V: View>(&mut self, events: &[Arc<Folded>]) -> bool {
        let Some(at) = self.after(events) else {
            return true;
        };
        let passed =
            at.position - self.saved <= UNSAVED && !events.iter().any(|event| V::concerns(event));
        if passed {
            self.at = at;
        }
        passed
    }

    fn fold_all<V: View>(&mut self, events: &[Arc<Folded>]) -> Result<(), Stopped> {
        let Some(at) = self.after(events) else {
            return Ok(());
        };
        let concerned = || events.iter().filter(|event| V::concerns(event));
        self.write::<V>(concerned(), &at)?;
        if self.erase_since.is_none() && concerned().any(|event| event.recorded.forgets) {
            self.erase_since = Some(Instant::now());
        }
        self.saved = at.position;
        self.at = at;
        Ok(())
    }

    /// The checkpoint behind events.
    fn after(&self, events: &[Arc<Folded>]) -> Option<Checkpoint> {
        let last = &events.last()?.recorded;
        Some(Checkpoint {
            log: self.at.log,
            position: last.position,
            hash: last.hash,
        })
    }

    fn write<'a, V: View>(
        &mut self,
        events: impl Iterator<Item = &'a Arc<Folded>>,
        at: &Checkpoint,
    ) -> Result<(), Stopped> {
        let failed = |position| {
            move |error: rusqlite::Error| Stopped {
                position,
                error: error.into(),
            }
        };
        let transaction = self.connection.transaction().map_err(failed(at.position))?;
        for event in events {
            V::fold(&transaction, event).map_err(|error| Stopped {
                position: event.recorded.position,
                error,
            })?;
        }
        V::settle(&transaction).map_err(failed(at.position))?;
        save(&transaction, at).map_err(failed(at.position))?;
        transaction.commit().map_err(failed(at.position))
    }

    /// Whether erased data has waited for a quiet moment as long as it may.
    pub(crate) fn must_erase(&self) -> bool {
        self.erase_since
            .is_some_and(|since| since.elapsed() > ERASE_WITHIN)
    }

    /// Whether there is anything to do in a quiet moment.
    pub(crate) fn has_chores(&self) -> bool {
        self.erase_since.is_some()
    }

    /// Empties the write-ahead log, where pages from before an erasure may still stand; tried again later where a reader is
    /// in the way.
    pub(crate) fn erase(&mut self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(READERS_LEAVE)?;
        let emptying = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = self.connection.query_row(emptying, [], |row| row.get(0))?;
        self.connection.busy_timeout(BUSY)?;
        self.erase_since = if busy { Some(Instant::now()) } else { None };
        Ok(())
    }

    /// Saves the checkpoint and leaves nothing in the write-ahead log.
    pub(crate) fn close(mut self) -> rusqlite::Result<()> {
        save(&self.connection, &self.at)?;
        self.erase()?;
        self.connection.close().map_err(|(_, error)| error)
    }
}

/// The file of the present version of a view.
pub(crate) fn path<V: View>(folder: &Path) -> PathBuf {
    folder.join(format!("{}-v{}.sqlite", V::NAME, V::VERSION))
}

/// Opens a connection that can only read; any number of them stand beside the one that writes.
pub(crate) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    // Rows that lie apart are read where the system has them, instead of being copied one page after the other.
    connection.pragma_update(None, "mmap_size", MAPPED)?;
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
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    crate::users::grams::teach(&connection)?;
    Ok(connection)
}

fn save(connection: &Connection, at: &Checkpoint) -> rusqlite::Result<()> {
    connection
        .prepare_cached(SAVE_CHECKPOINT)?
        .execute(params![at.log, at.position, at.hash])?;
    Ok(())
}

/// Removes the files of other versions: what they hold of people would never be erased.
fn remove_other_versions<V: View>(folder: &Path) -> Result<(), ViewError> {
    let present = path::<V>(folder);
    let prefix = format!("{}-v", V::NAME);
    for entry in std::fs::read_dir(folder).map_err(ViewError::Folder)? {
        let other = entry.map_err(ViewError::Folder)?.path();
        let name = other
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_version = name
            .strip_prefix(&prefix)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_version && !files(&present).contains(&other) {
            std::fs::remove_file(&other).map_err(ViewError::Folder)?;
        }
    }
    Ok(())
}

/// Removes a file with its write-ahead log.
pub(crate) fn remove(path: &Path) -> Result<(), ViewError> {
    for file in files(path) {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ViewError::Folder(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file, its write-ahead log and that log's index.
fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        file.into()
    })
}
