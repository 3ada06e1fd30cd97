//! Whether the log is still the one that was read. A database may be put back to an earlier point, or be replaced, while a
//! process runs; what the process remembers is then of another history, and it must not answer from it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::StoreError;

/// The log is not the one it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is on another history: {0}")]
pub struct OtherHistory(String);

/// What is known of it. Once it is another, it stays so for this process' opening of the log.
pub(crate) struct History {
    other: watch::Sender<Option<Arc<OtherHistory>>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            other: watch::Sender::new(None),
        }
    }

    /// Says that it is another; answers that as an error.
    pub(crate) fn refute(&self, why: impl Into<String>) -> StoreError {
        let found = Arc::new(OtherHistory(why.into()));
        let first = self.other.send_if_modified(|other| {
            let first = other.is_none();
            other.get_or_insert_with(|| Arc::clone(&found));
            first
        });
        if first {
            tracing::error!(cause = %found, "what this process knows of the log is not so any more");
        }
        StoreError::Unavailable(found)
    }

    /// Refuses where it is another.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &*self.other.borrow() {
            None => Ok(()),
            Some(found) => Err(StoreError::Unavailable(found.clone())),
        }
    }

    /// Waits until it is another, and answers how that shows.
    pub(crate) async fn other(&self) -> Arc<OtherHistory> {
        let mut other = self.other.subscribe();
        let found = other.wait_for(Option::is_some).await;
        match found.ok().and_then(|found| found.clone()) {
            Some(found) => found,
            // The sender is our own.
            None => std::future::pending().await,
        }
    }
}
