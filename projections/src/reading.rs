//! How a question is asked of a view: as new as it must be, on connections that can only read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollbook_eventstore::{Log, StoreError};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;

use crate::file::{ViewFile, connect_to_compare, connect_to_read};
use crate::follower::Standing;
use crate::forms::Forms;

/// How long before the caller's deadline a wait ends, so that there is time to say why.
const MARGIN: Duration = Duration::from_millis(20);

/// How many lists of one view are read at a time; a look-up never waits for them.
const LISTS: usize = 4;

/// How many connections are kept for the next question.
const IDLE: usize = 8;

/// How new an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// It has every write that was acknowledged before the question came, on any process.
    #[default]
    Latest,
    /// It has everything up to this position.
    AtLeast(u64),
    /// Whatever is there.
    Fastest,
}

/// A question to a view that has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The view did not get there in time.
    #[error(
        "the view {view} is at position {position} and did not reach {wanted} before the deadline"
    )]
    Lagging {
        /// Which view.
        view: &'static str,
        /// How far it is.
        position: u64,
        /// How far it had to be.
        wanted: u64,
    },
    /// The view has stopped at an event it cannot apply.
    #[error("the view {view} has stopped after position {position}: {reason}")]
    Stopped {
        /// Which view.
        view: &'static str,
        /// How far it is.
        position: u64,
        /// Why it stopped.
        reason: String,
    },
    /// The log does not have the position that was asked for.
    #[error("position {wanted} lies beyond the head of the log, which is {head}")]
    BeyondHead {
        /// What was asked for.
        wanted: u64,
        /// The last position there is.
        head: u64,
    },
    /// The log could not be asked for its head.
    #[error("the head of the log is not known")]
    Log(#[source] StoreError),
    /// The file of the view cannot be read.
    #[error("the file of the view {view} cannot be read")]
    Storage {
        /// Which view.
        view: &'static str,
        /// What the file's database says.
        #[source]
        source: rusqlite::Error,
    },
    /// The file of the view cannot be copied.
    #[error("the view {view} cannot be copied")]
    NotCopied {
        /// Which view.
        view: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The reading side of a view's file.
pub(crate) struct Reading {
    view: &'static str,
    log: Log,
    standing: watch::Receiver<Standing>,
    /// How far somebody needs the view, so that its follower hurries.
    wanted: watch::Sender<u64>,
    /// The file that is read now.
    file: Mutex<Arc<OpenFile>>,
    /// Tells when nobody reads it any more.
    readers: Mutex<oneshot::Receiver<()>>,
    lists: Semaphore,
}

/// A file that is read, until the last who reads it lets go.
struct OpenFile {
    path: PathBuf,
    generation: u32,
    idle: Mutex<Vec<Connection>>,
    forms: Forms,
    /// Dropped with the last who reads it.
    _open: oneshot::Sender<()>,
}

/// A file that is not read from any more, but may still be by questions that are under way.
#[derive(Debug)]
pub(crate) struct Left {
    /// Which file.
    pub(crate) path: PathBuf,
    readers: oneshot::Receiver<()>,
}

impl Left {
    /// Waits until nobody reads it.
    pub(crate) async fn by_all(self) -> PathBuf {
        // The other end is never used, only dropped.
        let _dropped = self.readers.await;
        self.path
    }
}

/// A connection of its own to the file that is read now, which keeps it in place.
pub(crate) struct Apart {
    /// The connection.
    pub(crate) tables: Connection,
    _file: Arc<OpenFile>,
}

impl OpenFile {
    fn new(file: &ViewFile) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (open, readers) = oneshot::channel();
        let file = Self {
            path: file.path().to_owned(),
            generation: file.generation(),
            idle: Mutex::default(),
            forms: Forms::default(),
            _open: open,
        };
        (Arc::new(file), readers)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        match lock(&self.idle).pop() {
            Some(connection) => Ok(connection),
            None => connect_to_read(&self.path),
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reading {
    pub(crate) fn new(
        view: &'static str,
        log: Log,
        standing: watch::Receiver<Standing>,
        wanted: watch::Sender<u64>,
        file: &ViewFile,
    ) -> Arc<Self> {
        let (file, readers) = OpenFile::new(file);
        Arc::new(Self {
            view,
            log,
            standing,
            wanted,
            file: Mutex::new(file),
            readers: Mutex::new(readers),
            lists: Semaphore::new(LISTS),
        })
    }

    /// Reads from another file from now on, which must be at least as far; answers the one that it was.
    pub(crate) fn turn_to(&self, file: &ViewFile) -> Left {
        let (next, next_readers) = OpenFile::new(file);
        let mut file = lock(&self.file);
        let left = std::mem::replace(&mut *file, next);
        let readers = std::mem::replace(&mut *lock(&self.readers), next_readers);
        Left {
            path: left.path.clone(),
            readers,
        }
    }

    /// A connection of its own, for what takes longer than a question.
    pub(crate) fn apart(&self) -> rusqlite::Result<Apart> {
        let file = self.file();
        Ok(Apart {
            tables: connect_to_compare(&file.path)?,
            _file: file,
        })
    }

    /// Which file of the view is read now.
    pub(crate) fn generation(&self) -> u32 {
        self.file().generation
    }

    fn file(&self) -> Arc<OpenFile> {
        Arc::clone(&lock(&self.file))
    }

    /// Waits until the view is as new as it must be; answers how far it is.
    pub(crate) async fn fresh(
        &self,
        freshness: Freshness,
        deadline: Option<Instant>,
    ) -> Result<u64, ReadError> {
        self.log.sound().map_err(ReadError::Log)?;
        let position = self.position()?;
        let readable = self.standing.borrow().readable;
        let wanted = match freshness {
            Freshness::Fastest if readable => return Ok(position),
            Freshness::AtLeast(wanted) if readable && wanted <= position => return Ok(position),
            Freshness::Fastest => 0,
            Freshness::AtLeast(wanted) => wanted,
            Freshness::Latest => position,
        };
        let arrived = self.arrive(freshness);
        let Some(deadline) = deadline else {
            return arrived.await;
        };
        let in_time = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        match tokio::time::timeout_at(in_time, arrived).await {
            Ok(position) => position,
            Err(_) => Err(ReadError::Lagging {
                view: self.view,
                position: self.standing.borrow().position,
                wanted: wanted.max(*self.log.moved().borrow()),
            }),
        }
    }

    async fn arrive(&self, freshness: Freshness) -> Result<u64, ReadError> {
        let wanted = match freshness {
            // What this process has heard of is there; only what it has not must be asked for.
            Freshness::AtLeast(wanted) if wanted <= *self.log.moved().borrow() => wanted,
            Freshness::AtLeast(wanted) => {
                let head = self.log.head().await.map_err(ReadError::Log)?;
                if wanted > head {
                    return Err(ReadError::BeyondHead { wanted, head });
                }
                wanted
            }
            Freshness::Fastest => 0,
            Freshness::Latest => self.log.head().await.map_err(ReadError::Log)?,
        };
        self.want(wanted);
        let mut standing = self.standing.clone();
        let there = |standing: &Standing| {
            standing.stopped.is_some() || (standing.readable && standing.position >= wanted)
        };
        // Without its follower the view gets no further, and `position` says so; nor does it where the log is another.
        tokio::select! {
            () = async { drop(standing.wait_for(there).await) } => {}
            _other = self.log.other_history() => {}
        }
        self.log.sound().map_err(ReadError::Log)?;
        let position = self.position()?;
        if position < wanted || !self.standing.borrow().readable {
            return Err(ReadError::Lagging {
                view: self.view,
                position,
                wanted,
            });
        }
        Ok(position)
    }

    /// Makes the follower hurry until the view is there.
    pub(crate) fn want(&self, position: u64) {
        self.wanted.send_if_modified(|wanted| {
            let further = position > *wanted;
            *wanted = position.max(*wanted);
            further
        });
    }

    /// Waits until the view is further than this position; answers how far.
    pub(crate) async fn beyond(&self, position: u64) -> Result<u64, ReadError> {
        let mut standing = self.standing.clone();
        let there =
            |standing: &Standing| standing.stopped.is_some() || standing.position > position;
        if standing.wait_for(there).await.is_err() {
            return Err(ReadError::Log(StoreError::Closed));
        }
        self.position()
    }

    fn position(&self) -> Result<u64, ReadError> {
        let standing = self.standing.borrow();
        match &standing.stopped {
            None => Ok(standing.position),
            Some(reason) => Err(ReadError::Stopped {
                view: self.view,
                position: standing.position,
                reason: reason.to_string(),
            }),
        }
    }

    /// Asks where it stands: for look-ups, which take microseconds. Nothing is awaited while a connection is out, so there
    /// are never more of them than threads.
    pub(crate) fn look_up<R>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<R>,
    ) -> Result<R, ReadError> {
        self.look_up_kept(|tables, _| question(tables))
    }

    /// Likewise, beside what was kept of earlier answers out of the same file.
    pub(crate) fn look_up_kept<R>(
        &self,
        question: impl FnOnce(&Connection, &Forms) -> rusqlite::Result<R>,
    ) -> Result<R, ReadError> {
        let standing = self.standing.borrow();
        if !standing.readable {
            return Err(ReadError::Lagging {
                view: self.view,
                position: standing.position,
                wanted: standing.position.max(*self.log.moved().borrow()),
            });
        }
        drop(standing);
        self.ask(question).map_err(|source| ReadError::Storage {
            view: self.view,
            source,
        })
    }

    /// Asks on a blocking thread: for lists, which may take milliseconds.
    pub(crate) async fn list<R: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, ReadError> {
        self.list_kept(|tables, _| question(tables)).await
    }

    /// Likewise, beside what was kept of earlier answers out of the same file.
    pub(crate) async fn list_kept<R: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection, &Forms) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, ReadError> {
        let _turn = self.lists.acquire().await;
        let reading = Arc::clone(self);
        match tokio::task::spawn_blocking(move || reading.look_up_kept(question)).await {
            Ok(answer) => answer,
            Err(cut_off) => match cut_off.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ReadError::Log(StoreError::Closed)),
            },
        }
    }

    /// Asks within one transaction, so that all statements of a question see the same commits.
    fn ask<R>(
        &self,
        question: impl FnOnce(&Connection, &Forms) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<R> {
        let file = self.file();
        let connection = file.connect()?;
        connection.prepare_cached("BEGIN")?.execute([])?;
        // A connection that is not kept is closed, and its transaction with it.
        let answer = question(&connection, &file.forms)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        file.keep(connection);
        Ok(answer)
    }

    /// Drops what was kept of earlier answers, once nobody reads any more what was there before an erasure.
    pub(crate) fn forget(&self) {
        self.file().forms.forget();
    }

    /// Closes the connections that wait for the next question.
    pub(crate) fn close(&self) {
        lock(&self.file().idle).clear();
    }
}

/// Declares what the questions of a view are asked of; with how they are asked, where that differs.
macro_rules! questions_of {
    ($(#[$meta:meta])* $name:ident $({ $how:ty })?) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(std::sync::Arc<crate::reading::Reading> $(, $how)?);

        impl $name {
            pub(crate) fn new(reading: std::sync::Arc<crate::reading::Reading>) -> Self {
                Self(reading $(, <$how>::default())?)
            }

            /// Waits until the view is as new as it must be, or until shortly before the deadline; answers the position that
            /// an answer given from now on has at least.
            ///
            /// # Errors
            /// The view has stopped, is not there in time, or the log cannot be asked.
            pub async fn fresh(
                &self,
                freshness: crate::reading::Freshness,
                deadline: Option<tokio::time::Instant>,
            ) -> Result<u64, crate::reading::ReadError> {
                self.0.fresh(freshness, deadline).await
            }

            /// Waits until the view has more than it had at this position; answers how far it is.
            ///
            /// # Errors
            /// The view has stopped.
            pub async fn beyond(&self, position: u64) -> Result<u64, crate::reading::ReadError> {
                self.0.beyond(position).await
            }
        }
    };
}
pub(crate) use questions_of;
