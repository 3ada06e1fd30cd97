//! What can go wrong with the log itself.

use std::error::Error;
use std::sync::Arc;

use crate::ring::KeyId;

/// An error of a lower layer; shared, since one failure can be the answer to many appends.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A question to the log that has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer.
    #[error("the log cannot be reached")]
    Unavailable(#[source] Cause),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// What was read cannot have been written by us, or was changed since.
    #[error("the log is corrupt: {0}")]
    Corrupt(String),
}

impl StoreError {
    pub(crate) fn unavailable(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

/// A log that cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory.
    #[error("the data directory {directory} is in use by process {holder}")]
    InUse {
        /// The directory.
        directory: String,
        /// Its process id as far as it is known.
        holder: String,
    },
    /// The master key is not the one the log was made with.
    #[error("the master key is not the one of this log")]
    WrongMasterKey,
    /// The log's keys are being rotated, and one of the two master keys is missing.
    #[error(
        "keys of this log are still wrapped under the master key {0}: until their rotation is done, both master keys must be given"
    )]
    MasterKeyMissing(KeyId),
    /// There is no log in the database.
    #[error("the database holds no log: migrate it first")]
    NotMigrated,
    /// The tables are of another version than this program's.
    #[error("the log has schema version {found}, this program needs {needed}")]
    SchemaVersion {
        /// What the database has.
        found: u32,
        /// What the program needs.
        needed: u32,
    },
    /// There is a log already that has events.
    #[error("there is a log already, with {0} events: a log is made only where there is none")]
    NotEmpty(u64),
    /// A log was being made there, and that was not finished.
    #[error(
        "a log was being made in the data directory {0}, and that was not finished: make it again with `rollbook restore`"
    )]
    Unfinished(String),
    /// The server must not be used as it is set up.
    #[error("the database is not safe to serve from: {0}")]
    Unsafe(String),
    /// A file or the database cannot be reached.
    #[error("the log cannot be opened: {what}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: Cause,
    },
}

impl OpenError {
    pub(crate) fn unavailable(
        what: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable {
            what: what.into(),
            source: Arc::new(source),
        }
    }
}
