//! Keeps the tree up with the log, off the way of those who write. One process of all does it.

use super::{Frontier, Hash};
use crate::error::StoreError;
use crate::log::Log;

/// How many leaves are added at a time.
const STEP: usize = 10_000;

/// Where the tree of a log grows.
///
/// Should two processes do it for a moment, what one stores does not fit the other's any more, which then looks again.
#[derive(Debug)]
pub struct TreeKeeper {
    log: Log,
    /// None: to be read.
    frontier: Option<Frontier>,
}

impl TreeKeeper {
    /// One that goes on where the stored tree ends.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self {
            log,
            frontier: None,
        }
    }

    /// Adds every event that is committed now; answers how many the tree holds then.
    ///
    /// # Errors
    /// When the log cannot be read or written. It may be tried again.
    pub async fn catch_up(&mut self) -> Result<u64, StoreError> {
        loop {
            let mut frontier = match self.frontier.take() {
                Some(frontier) => frontier,
                None => self.log.frontier().await?,
            };
            let leaves = self.log.leaves(frontier.size(), STEP).await?;
            if leaves.is_empty() {
                let size = frontier.size();
                let stored = self.log.tree(0).await?.size;
                if stored < size {
                    // As after a failover to an earlier moment: what this process kept is of another history.
                    tracing::warn!(
                        size,
                        stored,
                        "the tree was set back, and is kept from there"
                    );
                    continue;
                }
                self.frontier = Some(frontier);
                return Ok(size);
            }
            if self.add(&mut frontier, &leaves).await? {
                self.frontier = Some(frontier);
            }
        }
    }

    async fn add(&self, frontier: &mut Frontier, leaves: &[Hash]) -> Result<bool, StoreError> {
        let growth = frontier
            .grow(leaves)
            .ok_or_else(|| StoreError::Corrupt("the tiles of the tree do not fit".to_owned()))?;
        self.log.grow(growth).await
    }
}
