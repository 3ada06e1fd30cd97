//! The tree over the log: growing it, signing what it is, and proving with it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

use super::Log;
use crate::error::StoreError;
use crate::page::Page;
use crate::proof::{AccountEnd, Frontier, Growth, Hash, Nodes, ProvableEvent, TileName, TreeHead};
use crate::read::{Direction, Filter, ReadQuery};
use crate::stored::{PageKeys, StoredEvent};
use crate::writer::Job;

/// How often it is looked how far another process has brought the tree.
const LOOK: Duration = Duration::from_millis(50);

/// How many leaves a tile of the lowest level holds.
const WIDTH: u64 = 256;
const HASH: usize = 32;

fn gap() -> StoreError {
    StoreError::Corrupt("the tiles of the tree have a gap".to_owned())
}

impl Log {
    /// The tree, once it holds at least so many events. They must have been committed, or this waits until they are.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn tree(&self, at_least: u64) -> Result<TreeHead, StoreError> {
        let mut grown = self.inner.tree.subscribe();
        loop {
            let head = self.inner.home.tree().await?;
            if head.size >= at_least {
                return Ok(head);
            }
            // Another process may keep the tree, of which nothing is heard here.
            let _ = timeout(LOOK, grown.wait_for(|size| *size >= at_least)).await;
        }
    }

    /// The root that the tree had when it held so many events; `None` where it does not.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn tree_root(&self, size: u64) -> Result<Option<Hash>, StoreError> {
        self.nodes(|nodes| nodes.root(size)).await
    }

    /// What proves that the tree of this size holds the events at these positions, for each of them.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree does not reach so far.
    pub async fn inclusion_proofs(
        &self,
        size: u64,
        positions: &[u64],
    ) -> Result<Vec<Vec<Hash>>, StoreError> {
        let proofs = self.nodes(|nodes| {
            // Each is asked for, so that all that is missing is known.
            let proofs = positions.iter().map(|at| nodes.inclusion(size, *at));
            let proofs: Vec<_> = proofs.collect();
            proofs.into_iter().collect::<Option<_>>()
        });
        proofs.await?.ok_or_else(gap)
    }

    /// The hash of the leaf at a position as the tree has it.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree does not reach so far.
    pub async fn stored_leaf(&self, position: u64) -> Result<Hash, StoreError> {
        let leaves = self.stored_leaves(std::iter::once(position)).await?;
        leaves.get(&position).copied().ok_or_else(gap)
    }

    /// The account of the event at a position; `None` where there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn account_of(&self, position: u64) -> Result<Option<String>, StoreError> {
        let page = Page::span(position.saturating_sub(1), position, 1);
        let found = self.inner.home.page(&page).await?.pop();
        Ok(found.map(|event| event.account_id))
    }

    /// What proves that the tree of one size goes on from that of another.
    ///
    /// # Errors
    /// When the log cannot be read, or the tree does not reach so far.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        let proof = self.nodes(|nodes| nodes.consistency(from, to)).await?;
        proof.ok_or_else(gap)
    }

    /// Answers a question that needs some of the tiles, in two steps: which, and what.
    async fn nodes<T>(&self, ask: impl Fn(&Nodes) -> Option<T>) -> Result<Option<T>, StoreError> {
        let mut nodes = Nodes::default();
        let at_once = ask(&nodes);
        let missing = nodes.missing();
        if missing.is_empty() {
            return Ok(at_once);
        }
        nodes.add(self.inner.home.tiles(&missing).await?);
        Ok(ask(&nodes))
    }

    /// Signs that the tree is so; `None` where the log's key cannot.
    #[must_use]
    pub fn sign_checkpoint(&self, head: &TreeHead, account: Option<&AccountEnd>) -> Option<String> {
        let signer = self.inner.keys.signer(self.inner.id)?;
        signer.sign(head, account)
    }

    /// The public key that checkpoints are checked with, as signed notes write it.
    #[must_use]
    pub fn checkpoint_key(&self) -> Option<String> {
        let signer = self.inner.keys.signer(self.inner.id)?;
        Some(signer.key().to_owned())
    }

    /// Where an account ends within the tree of this size.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn account_end(&self, account_id: &str, size: u64) -> Result<AccountEnd, StoreError> {
        let last = Page {
            stream: None,
            direction: Direction::Backwards,
            above: 0,
            up_to: size,
            limit: 1,
            filter: Filter {
                account_id: Some(account_id.to_owned()),
                ..Filter::default()
            },
        };
        let last = self.inner.home.page(&last).await?.pop();
        Ok(AccountEnd {
            account_id: account_id.to_owned(),
            events: last.as_ref().map_or(0, |event| event.account_number),
            last_position: last.as_ref().map_or(0, |event| event.position),
            last_leaf: last.as_ref().map_or([0; HASH], StoredEvent::leaf),
        })
    }

    /// A page of the log as it is stored, up to a position, nothing of it opened but with what opens it where that is wanted.
    ///
    /// # Errors
    /// When the log cannot be read. What stands in a row is no reason: the event says what is wrong with it.
    pub async fn provable(
        &self,
        query: &ReadQuery,
        last: u64,
        open: bool,
    ) -> Result<Vec<ProvableEvent>, StoreError> {
        let (above, up_to) = self.bounds(query).await?;
        let page = Page {
            stream: None,
            direction: query.direction,
            above,
            up_to: up_to.min(last),
            limit: query.limit.max(1),
            filter: query.filter.clone(),
        };
        let stored = self.inner.home.page(&page).await?;
        let leaves = self
            .stored_leaves(stored.iter().map(|event| event.position))
            .await?;
        let keys = self.inner.keys.clone();
        let prove = move || {
            let mut keys = PageKeys::new(&keys);
            let events = stored.into_iter();
            let prove = |event: StoredEvent| {
                let leaf = leaves.get(&event.position).copied();
                keys.prove(event, leaf, open)
            };
            events.map(prove).collect()
        };
        tokio::task::spawn_blocking(prove)
            .await
            .map_err(StoreError::unavailable)
    }

    /// The leaves of these positions as the tree has them.
    async fn stored_leaves(
        &self,
        positions: impl Iterator<Item = u64> + Clone,
    ) -> Result<BTreeMap<u64, Hash>, StoreError> {
        let place = |position: u64| {
            let index = position.saturating_sub(1);
            (
                (0, index / WIDTH),
                usize::try_from(index % WIDTH).unwrap_or(0),
            )
        };
        let names: BTreeSet<TileName> = positions.clone().map(|at| place(at).0).collect();
        let names: Vec<_> = names.into_iter().collect();
        let tiles = self.inner.home.tiles(&names).await?;
        let leaf = |position| {
            let (name, index) = place(position);
            let hash = tiles.get(&name)?.get(index * HASH..(index + 1) * HASH)?;
            Some((position, hash.try_into().ok()?))
        };
        Ok(positions.filter_map(leaf).collect())
    }

    /// The leaves of what follows a position, as the events have them.
    pub(crate) async fn leaves(&self, after: u64, limit: usize) -> Result<Vec<Hash>, StoreError> {
        if let Some(events) = self.inner.tail.after(after, limit) {
            return Ok(events.iter().map(|event| event.hash).collect());
        }
        let page = Page::span(after, u64::MAX, limit);
        let stored = self.inner.home.page(&page).await?;
        for (event, expected) in stored.iter().zip(after + 1..) {
            if event.position != expected {
                return Err(StoreError::Corrupt(format!(
                    "position {expected} is missing"
                )));
            }
        }
        let hash = move || stored.iter().map(StoredEvent::leaf).collect();
        tokio::task::spawn_blocking(hash)
            .await
            .map_err(StoreError::unavailable)
    }

    pub(crate) async fn frontier(&self) -> Result<Frontier, StoreError> {
        let TreeHead { size, .. } = self.inner.home.tree().await?;
        let tiles = self.inner.home.tiles(&Frontier::names(size)).await?;
        Frontier::new(size, tiles).ok_or_else(gap)
    }

    /// Stores that the tree is larger; answers whether it had the size it grew from.
    pub(crate) async fn grow(&self, growth: Growth) -> Result<bool, StoreError> {
        let size = growth.to.size;
        let (answer, grown) = oneshot::channel();
        let job = Job::Grow(growth, answer);
        let queued = self.inner.queue.send(job).await;
        queued.map_err(|_| StoreError::Closed)?;
        let grown = grown.await.map_err(|_| StoreError::Closed)??;
        if grown {
            self.inner.tree.send_replace(size);
        }
        Ok(grown)
    }
}
