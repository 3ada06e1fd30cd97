//! Snapshots of long streams, beside the views: a file that is read when an aggregate is loaded, and a follower that fills it.
//!
//! Nothing rests on the file: whoever reads a snapshot checks it against the log, and one that is missing costs a longer
//! load. What is personal in it is sealed with the keys of the streams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rollbook_eventstore::{Log, Snapshot, Snapshots, StoreError, StreamId};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::event::Folded;
use crate::feed::Feed;
use crate::file::{connect, connect_to_read, remove};
use crate::views::ViewError;

/// The type of the aggregates whose streams become long.
const LONG_LIVED: &str = "user";

/// A stream with fewer events is loaded as fast without a snapshot.
const LONG: u64 = 512;

/// By how many events a stream grows before its snapshot is made anew, and by which part of itself at least.
const GROWN: u64 = 256;

/// How long streams wait for the next snapshot while the log does not stand still.
const WAIT: Duration = Duration::from_secs(1);

/// How far the saved position may fall behind while no snapshot is made.
const UNSAVED: u64 = 10_000;

/// The file and the form of its tables.
const FILE: &str = "snapshots-v1.sqlite";

const TABLES: &str = "
    CREATE TABLE snapshots (
        aggregate_type TEXT NOT NULL,
        aggregate_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        log_id BLOB NOT NULL,
        event_hash BLOB NOT NULL,
        form TEXT NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id)
    ) STRICT;

    CREATE TABLE followed (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        log_id BLOB NOT NULL,
        position INTEGER NOT NULL
    ) STRICT;
";

const SELECT_ALL: &str = "
    SELECT aggregate_type, aggregate_id, revision, form
    FROM snapshots";

const SELECT: &str = "
    SELECT revision, log_id, event_hash, form, sealed
    FROM snapshots
    WHERE aggregate_type = ?1 AND aggregate_id = ?2";

const SAVE: &str = "
    INSERT OR REPLACE INTO snapshots (aggregate_type, aggregate_id, revision, log_id, event_hash, form, sealed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const FORGET: &str = "
    DELETE FROM snapshots
    WHERE aggregate_type = ?1 AND aggregate_id = ?2";

const SELECT_FOLLOWED: &str = "
    SELECT log_id, position
    FROM followed";

const SAVE_FOLLOWED: &str = "
    INSERT OR REPLACE INTO followed (only, log_id, position)
    VALUES (1, ?1, ?2)";

/// Makes a snapshot of a stream, and keeps it.
pub type MakeSnapshot =
    Arc<dyn Fn(StreamId) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// The snapshots of a process.
pub struct KeptSnapshots {
    log: Uuid,
    /// Which there are, so that nobody asks the file for others.
    known: Mutex<BTreeMap<StreamId, u64>>,
    /// Of another form, or another log: to be made anew.
    stale: Mutex<BTreeSet<StreamId>>,
    writing: Mutex<Connection>,
    reading: Mutex<Connection>,
    position: u64,
}

/// What these locks guard is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeptSnapshots {
    /// Opens the file of a folder, or makes it; one that is damaged or of another log is made again.
    pub(crate) fn open(folder: &Path, log: &Log, form: &str, head: u64) -> Result<Self, ViewError> {
        let path = folder.join(FILE);
        if path.exists() {
            match Self::read(&path, log, form, head) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => warn!("the snapshots are of another log: they are made again"),
                Err(error) => warn!(%error, "the snapshots cannot be read: they are made again"),
            }
        }
        remove(&path)?;
        let broken = |source| ViewError::File {
            view: "snapshots",
            source,
        };
        let connection = connect(&path).map_err(broken)?;
        connection.execute_batch(TABLES).map_err(broken)?;
        save_followed(&connection, log.id(), 0).map_err(broken)?;
        drop(connection);
        Self::read(&path, log, form, head)
            .map_err(broken)?
            .ok_or_else(|| broken(rusqlite::Error::QueryReturnedNoRows))
    }

    fn read(path: &Path, log: &Log, form: &str, head: u64) -> rusqlite::Result<Option<Self>> {
        let connection = connect(path)?;
        let (id, position): (Uuid, u64) = connection.query_row(SELECT_FOLLOWED, [], |row| {
            Ok((uuid(row.get(0)?), row.get(1)?))
        })?;
        if id != log.id() || position > head {
            return Ok(None);
        }
        let (mut known, mut stale) = (BTreeMap::new(), BTreeSet::new());
        {
            let mut statement = connection.prepare(SELECT_ALL)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let stream = StreamId::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
                if row.get::<_, String>(3)? != form {
                    stale.insert(stream.clone());
                }
                known.insert(stream, row.get(2)?);
            }
        }
        Ok(Some(Self {
            log: log.id(),
            known: Mutex::new(known),
            stale: Mutex::new(stale),
            writing: Mutex::new(connection),
            reading: Mutex::new(connect_to_read(path)?),
            position,
        }))
    }

    /// The revision of a stream's snapshot, where there is one.
    #[must_use]
    pub fn revision_of(&self, stream: &StreamId) -> Option<u64> {
        lock(&self.known).get(stream).copied()
    }

    /// Whether a stream is long, and has grown enough since its snapshot.
    fn has_grown(&self, stream: &StreamId, revision: u64) -> bool {
        let since = |kept: u64| revision.saturating_sub(kept);
        revision >= LONG
            && since(self.revision_of(stream).unwrap_or(0)) >= GROWN.max(revision / GROWN)
    }

    fn followed(&self, position: u64) {
        if let Err(error) = save_followed(&lock(&self.writing), self.log, position) {
            warn!(%error, "how far the snapshots are cannot be saved");
        }
    }

    fn find(&self, stream: &StreamId) -> rusqlite::Result<Option<Snapshot>> {
        let reading = lock(&self.reading);
        let mut statement = reading.prepare_cached(SELECT)?;
        let key = params![stream.aggregate_type, stream.aggregate_id];
        statement
            .query_row(key, |row| {
                Ok(Snapshot {
                    stream: stream.clone(),
                    revision: row.get(0)?,
                    log: uuid(row.get(1)?),
                    event_hash: row.get(2)?,
                    form: row.get(3)?,
                    sealed: row.get(4)?,
                })
            })
            .optional()
    }
}

fn uuid(bytes: [u8; 16]) -> Uuid {
    Uuid::from_bytes(bytes)
}

fn save_followed(connection: &Connection, log: Uuid, position: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(SAVE_FOLLOWED)?
        .execute(params![log.into_bytes(), position])?;
    Ok(())
}

impl Snapshots for KeptSnapshots {
    fn has(&self, stream: &StreamId) -> bool {
        self.revision_of(stream).is_some()
    }

    fn load(&self, stream: &StreamId) -> Option<Snapshot> {
        self.find(stream).unwrap_or_else(|error| {
            warn!(%stream, %error, "a snapshot cannot be read");
            None
        })
    }

    fn save(&self, snapshot: &Snapshot) {
        let saved = {
            let writing = lock(&self.writing);
            writing.prepare_cached(SAVE).and_then(|mut statement| {
                statement.execute(params![
                    snapshot.stream.aggregate_type,
                    snapshot.stream.aggregate_id,
                    snapshot.revision,
                    snapshot.log.into_bytes(),
                    snapshot.event_hash,
                    snapshot.form,
                    snapshot.sealed,
                ])
            })
        };
        match saved {
            Ok(_) => {
                lock(&self.known).insert(snapshot.stream.clone(), snapshot.revision);
            }
            Err(error) => warn!(stream = %snapshot.stream, %error, "a snapshot cannot be kept"),
        }
    }

    fn forget(&self, stream: &StreamId) {
        if lock(&self.known).remove(stream).is_none() {
            return;
        }
        let key = params![stream.aggregate_type, stream.aggregate_id];
        let forgotten = lock(&self.writing).execute(FORGET, key);
        if let Err(error) = forgotten {
            warn!(%stream, %error, "a snapshot cannot be dropped");
        }
    }
}

/// Follows the log and has snapshots made of streams that have grown, until `end` is set or dropped or the log is closed.
pub(crate) async fn follow(
    kept: Arc<KeptSnapshots>,
    feed: Arc<Feed>,
    log: Log,
    make: MakeSnapshot,
    mut end: watch::Receiver<bool>,
) {
    let mut position = kept.position;
    let mut saved = position;
    let mut grown = std::mem::take(&mut *lock(&kept.stale));
    let mut waiting_since = Instant::now();
    loop {
        let due = !grown.is_empty()
            && (position >= *log.moved().borrow() || waiting_since.elapsed() > WAIT);
        if due || position - saved > UNSAVED {
            for stream in std::mem::take(&mut grown) {
                if *end.borrow() {
                    return;
                }
                if let Err(error) = make(stream.clone()).await {
                    warn!(%stream, %error, "no snapshot could be made");
                }
            }
            kept.followed(position);
            saved = position;
        }
        let events = tokio::select! {
            biased;
            _ = end.wait_for(|ended| *ended) => break,
            events = feed.next(position, None) => events,
        };
        match events {
            Ok(events) => {
                if grown.is_empty() {
                    waiting_since = Instant::now();
                }
                for event in &events {
                    look(&kept, event, &mut grown);
                    position = event.recorded.position;
                }
            }
            Err(StoreError::Closed) => break,
            Err(error) => {
                warn!(%error, "the snapshots wait for the log");
                tokio::time::sleep(WAIT).await;
            }
        }
    }
    kept.followed(position);
}

fn look(kept: &KeptSnapshots, event: &Folded, grown: &mut BTreeSet<StreamId>) {
    let recorded = &event.recorded;
    if recorded.stream.aggregate_type != LONG_LIVED {
        return;
    }
    if recorded.forgets {
        grown.remove(&recorded.stream);
        kept.forget(&recorded.stream);
    } else if kept.has_grown(&recorded.stream, recorded.revision) {
        grown.insert(recorded.stream.clone());
    }
}
