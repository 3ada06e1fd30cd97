//! The tree over the log follows it, so that every event can be proved a moment after it was committed.

use std::time::Duration;

use rollbook_eventstore::proof::TreeKeeper;
use rollbook_eventstore::{Log, StoreError};
use tokio_util::sync::CancellationToken;

use super::Task;
use crate::failure::Outcome;

/// How long the tree is left alone once it has grown: under load, many commits are one step of it.
const REST: Duration = Duration::from_millis(100);

/// How long it goes without a look at what is stored, which may have been set back to an earlier moment.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the tree.
pub(super) struct Proof {
    log: Log,
}

impl Proof {
    pub(super) fn new(log: Log) -> Self {
        Self { log }
    }
}

impl Task for Proof {
    async fn run(&self, over: &CancellationToken) -> Outcome<()> {
        let mut moved = self.log.moved();
        let mut keeper = TreeKeeper::new(self.log.clone());
        while !over.is_cancelled() {
            let size = keeper.catch_up().await?;
            let further = tokio::time::timeout(LOOK, moved.wait_for(|head| *head > size));
            if let Some(Ok(Err(_))) = over.run_until_cancelled(further).await {
                return Err(StoreError::Closed.into());
            }
            let _ = over.run_until_cancelled(tokio::time::sleep(REST)).await;
        }
        Ok(())
    }
}
