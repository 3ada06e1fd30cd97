//! The file of one view: its rows, and the checkpoint that says how far the log is folded into them.
//!
//! * Rows and checkpoint change in one transaction, and a transaction covers whole commits of the log.
//! * The checkpoint names the log and the hash of the event it stands at, so that a file folded from another history is noticed.
//! * This connection alone writes and checkpoints the file. A lost disk costs a replay, so the file is synchronised only when
//!   its write-ahead log is copied into it; that keeps it whole through a power cut.
//! * A view that is made anew is made in the file of the next generation, which says that it is not live until it is. Of the
//!   files that say so, the last counts; the others go when the process starts.

mod checkpoint;
mod connecting;
mod names;
mod sweeping;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollbook_eventstore::Log;
use rusqlite::Connection;
use tracing::{info, warn};

use self::checkpoint::Checkpoint;
use crate::copies::ViewSource;
use crate::event::Folded;
use crate::view::{FoldError, View};
use crate::views::ViewError;

pub(crate) use self::checkpoint::saved_position;
pub(crate) use self::connecting::{
    connect, connect_to_compare, connect_to_read, connect_to_write_once,
};
pub(crate) use self::names::{leaving, path, remove};

use self::connecting::{BUSY, keep_for};
use self::sweeping::{Sweep, Swept};

/// How far the checkpoint may fall behind over events that concern nothing here.
const UNSAVED: u64 = 10_000;

/// How long erased data may stay in the write-ahead log while there is no quiet moment.
const ERASE_WITHIN: Duration = Duration::from_secs(1);

/// After so many events the write-ahead log is written back in a quiet moment: until then, readers copy what stands in it page
/// by page.
const WRITTEN_BACK_AFTER: usize = 1_000;

/// How long to wait for readers that are in the way of emptying the write-ahead log.
const READERS_LEAVE: Duration = Duration::from_millis(50);

/// The writing side of a view's file.
pub(crate) struct ViewFile {
    connection: Connection,
    path: PathBuf,
    generation: u32,
    /// How many of the view's indexes there are.
    indexes: usize,
    /// How far it is folded; ahead of what is saved where nothing since then concerned the view.
    at: Checkpoint,
    saved: u64,
    erase_since: Option<Instant>,
    /// How far the unused parts of its pages are swept after an erasure.
    sweep: Option<Sweep>,
    /// Who was erased up to here was never in this file: the log gave it nothing personal of them.
    clean_up_to: u64,
    /// How many events were folded since the write-ahead log was written back.
    in_front: usize,
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
    /// Opens the live file, or makes one; one of another history, or one that is damaged, is made again. All other files of
    /// the view are removed.
    pub(crate) async fn open<V: View>(
        folder: &Path,
        log: &Log,
        head: u64,
        source: Option<&dyn ViewSource>,
    ) -> Result<Self, ViewError> {
        if let Some(file) = Self::find_live::<V>(folder, log, head).await? {
            names::remove_others::<V>(folder, Some(&file.path))?;
            return Ok(file);
        }
        names::remove_others::<V>(folder, None)?;
        if let Some(source) = source
            && let Some(file) = Self::receive::<V>(folder, log, source).await?
        {
            return Ok(file);
        }
        info!(
            view = V::NAME,
            version = V::VERSION,
            head,
            "building the view from the log"
        );
        let mut file =
            Self::create::<V>(folder, log, 1, true).map_err(|source| ViewError::File {
                view: V::NAME,
                source,
            })?;
        file.clean_up_to = head;
        Ok(file)
    }

    /// Takes the view from a process that has it; nothing where that cannot be, which is told.
    async fn receive<V: View>(
        folder: &Path,
        log: &Log,
        source: &dyn ViewSource,
    ) -> Result<Option<Self>, ViewError> {
        let arriving = names::arriving::<V>(folder);
        let fetched = source.fetch(V::NAME, V::VERSION, &arriving).await;
        let placed = fetched.and_then(|position| {
            std::fs::rename(&arriving, path::<V>(folder, 1))?;
            Ok(position)
        });
        match placed {
            Ok(position) => info!(
                view = V::NAME,
                version = V::VERSION,
                position,
                "the view was taken from a running process"
            ),
            Err(error) => {
                let error = &*error;
                warn!(
                    view = V::NAME,
                    error, "the view cannot be taken from a running process"
                );
            }
        }
        // What was received is newer than what was known of the log before.
        let head = log.head().await.map_err(ViewError::Log)?;
        let found = Self::find_live::<V>(folder, log, head).await?;
        if found.is_none() {
            names::remove_others::<V>(folder, None)?;
        }
        Ok(found)
    }

    /// The live file, where there is one of this log.
    pub(crate) async fn find_live<V: View>(
        folder: &Path,
        log: &Log,
        head: u64,
    ) -> Result<Option<Self>, ViewError> {
        for generation in names::generations::<V>(folder)? {
            let (file, live) = match Self::open_existing::<V>(folder, generation) {
                Ok(found) => found,
                Err(error) => {
                    warn!(view = V::NAME, generation, %error, "a file of the view cannot be read: it is left out");
                    continue;
                }
            };
            if !live {
                continue;
            }
            if file.at.is_of(log, head).await.map_err(ViewError::Log)? {
                return Ok(Some(file));
            }
            let position = file.at.position;
            warn!(
                view = V::NAME,
                generation,
                position,
                head,
                "a file of the view was folded from another history: it is left out"
            );
        }
        Ok(None)
    }

    /// Opens a file that is there; answers whether it is live.
    fn open_existing<V: View>(folder: &Path, generation: u32) -> rusqlite::Result<(Self, bool)> {
        let path = path::<V>(folder, generation);
        let connection = connect(&path)?;
        let found = checkpoint::find(&connection)?;
        keep_for(&connection, found.indexes < V::INDEXES.len())?;
        let file = Self {
            path,
            generation,
            indexes: found.indexes,
            saved: found.at.position,
            at: found.at,
            erase_since: Some(Instant::now()),
            sweep: sweeping::is_due(&connection)?.then_some(Sweep::BEGIN),
            clean_up_to: 0,
            in_front: 0,
            connection,
        };
        Ok((file, found.live))
    }

    /// Makes an empty file of a generation.
    pub(crate) fn create<V: View>(
        folder: &Path,
        log: &Log,
        generation: u32,
        live: bool,
    ) -> rusqlite::Result<Self> {
        let path = path::<V>(folder, generation);
        let mut connection = connect(&path)?;
        keep_for(&connection, true)?;
        let at = Checkpoint {
            log: log.id().into_bytes(),
            position: 0,
            hash: [0; 32],
        };
        let transaction = connection.transaction()?;
        transaction.execute_batch(checkpoint::TABLE)?;
        for tables in V::TABLES {
            transaction.execute_batch(tables)?;
        }
        at.begin(&transaction, live)?;
        transaction.commit()?;
        Ok(Self {
            connection,
            path,
            generation,
            indexes: 0,
            saved: 0,
            at,
            erase_since: None,
            sweep: None,
            // What was decoded before may be folded, and personal to somebody who has been erased since.
            clean_up_to: 0,
            in_front: 0,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which one of its view it is.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many of the view's indexes there are.
    pub(crate) fn indexes(&self) -> usize {
        self.indexes
    }

    /// Whether questions can be asked of it.
    pub(crate) fn is_indexed<V: View>(&self) -> bool {
        self.indexes == V::INDEXES.len()
    }

    /// Makes the next index from the rows that are there.
    pub(crate) fn add_index<V: View>(&mut self) -> rusqlite::Result<()> {
        let Some(index) = V::INDEXES.get(self.indexes) else {
            return Ok(());
        };
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(index)?;
        checkpoint::save_indexes(&transaction, self.indexes + 1)?;
        transaction.commit()?;
        self.indexes += 1;
        keep_for(&self.connection, !self.is_indexed::<V>())
    }

    /// Makes it the file that the view is read from: at once, and for whoever opens it after a power cut too.
    pub(crate) fn go_live(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        self.at.save(&transaction)?;
        checkpoint::go_live(&transaction)?;
        transaction.commit()?;
        self.saved = self.at.position;
        // What is in the file, and not only in its write-ahead log, is synchronised.
        self.erase()
    }

    /// How far it is folded.
    pub(crate) fn position(&self) -> u64 {
        self.at.position
    }

    /// The hash of the event at its position; zeros at 0.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.at.hash
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
        let forgotten = concerned().filter(|event| event.recorded.forgets);
        let forgotten = forgotten.map(|event| event.recorded.position).max();
        let to_sweep = forgotten.is_some_and(|position| position > self.clean_up_to);
        self.write::<V>(concerned(), &at, to_sweep)?;
        if forgotten.is_some() {
            self.erase_since.get_or_insert_with(Instant::now);
        }
        if to_sweep {
            self.sweep = Some(Sweep::after_erasure(self.sweep));
        }
        self.in_front += events.len();
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
        to_sweep: bool,
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
        if to_sweep {
            sweeping::is_now_due(&transaction, true).map_err(failed(at.position))?;
        }
        at.save(&transaction).map_err(failed(at.position))?;
        transaction.commit().map_err(failed(at.position))
    }

    /// Whether erased data has waited for a quiet moment as long as it may.
    pub(crate) fn must_erase(&self) -> bool {
        self.erase_since
            .is_some_and(|since| since.elapsed() > ERASE_WITHIN)
    }

    /// Whether something was erased that may still stand in the write-ahead log.
    pub(crate) fn is_erasing(&self) -> bool {
        self.erase_since.is_some()
    }

    /// Whether there is anything to do in a quiet moment.
    pub(crate) fn has_chores(&self) -> bool {
        self.is_erasing() || self.sweep.is_some() || self.in_front >= WRITTEN_BACK_AFTER
    }

    /// Does what there is to do in a quiet moment.
    pub(crate) fn rest(&mut self) -> rusqlite::Result<()> {
        if self.is_erasing() {
            return self.erase();
        }
        if self.sweep.is_some() {
            return self.sweep();
        }
        // Waits for nobody: what a reader is in the way of is written back another time.
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        self.in_front = 0;
        Ok(())
    }

    /// Sweeps some pages, all of a small file.
    fn sweep(&mut self) -> rusqlite::Result<()> {
        let Some(sweep) = self.sweep else {
            return Ok(());
        };
        self.sweep = match sweep.go_on(&mut self.connection)? {
            Swept::Some(rest) => Some(rest),
            Swept::All { anything } => {
                if anything {
                    // The pages as they were may stand in the write-ahead log.
                    self.erase_since.get_or_insert_with(Instant::now);
                }
                None
            }
        };
        Ok(())
    }

    /// Empties the write-ahead log, where pages from before an erasure may still stand; tried again later where a reader is
    /// in the way.
    pub(crate) fn erase(&mut self) -> rusqlite::Result<()> {
        if sweeping::is_small(&self.connection)? {
            self.sweep()?;
        }
        self.connection.busy_timeout(READERS_LEAVE)?;
        let emptying = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = self.connection.query_row(emptying, [], |row| row.get(0))?;
        self.connection.busy_timeout(BUSY)?;
        self.erase_since = if busy { Some(Instant::now()) } else { None };
        self.in_front = 0;
        Ok(())
    }

    /// Saves the checkpoint and leaves nothing in the write-ahead log.
    pub(crate) fn close(mut self) -> rusqlite::Result<()> {
        self.at.save(&self.connection)?;
        self.erase()?;
        self.connection.close().map_err(|(_, error)| error)
    }
}
