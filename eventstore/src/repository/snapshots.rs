//! Loading a long aggregate from its snapshot, and making one.

use std::sync::Arc;

use cqrs_es::Aggregate;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::event::RecordedEvent;
use crate::log::{Resumed, Start};
use crate::snapshot::{Snapshot, Snapshots};
use crate::stream::StreamId;

use super::{Hot, Repository, nothing};

/// The snapshots of one type of aggregates.
#[derive(Clone)]
pub(super) struct SnapshotsOf {
    kept: Arc<dyn Snapshots>,
    form: Arc<str>,
}

/// A stream to be loaded from a revision on, or from a snapshot.
pub(super) type Wanted = (StreamId, u64, Option<Snapshot>);

impl<A: Aggregate + Clone + 'static> Repository<A> {
    /// The same repository, which loads from these snapshots. The form names the type's own form: it must be another one
    /// as soon as a state is read, or events are applied, in another way.
    #[must_use]
    pub fn with_snapshots(self, kept: Arc<dyn Snapshots>, form: &str) -> Self {
        let snapshots = SnapshotsOf {
            kept,
            form: form.into(),
        };
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    /// Makes a snapshot of an aggregate as it is now, and keeps it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn snapshot(&self, id: &str) -> Result<(), StoreError> {
        let Some(SnapshotsOf { kept, form }) = &self.snapshots else {
            return Ok(());
        };
        let mut hot = self.fresh(id).await?;
        let Some(before) = hot.revision.checked_sub(1) else {
            return Ok(());
        };
        let events = self.log.load(&[(Self::stream(id), before)]).await?;
        let events: Vec<RecordedEvent> = events.into_iter().flatten().collect();
        hot = self.after(&hot, events.iter().skip(1))?;
        let Some(last) = events.last() else {
            return Ok(());
        };
        let state = Arc::clone(&hot.state);
        let written = tokio::task::spawn_blocking(move || rmp_serde::to_vec_named(&*state));
        let state = match written.await.map_err(StoreError::unavailable)? {
            Ok(state) => Zeroizing::new(state),
            Err(error) => {
                tracing::warn!(stream = %last.stream, %error, "a state cannot be written as a snapshot");
                return Ok(());
            }
        };
        if let Some(snapshot) = self.log.snapshot(last, form, state).await? {
            let kept = Arc::clone(kept);
            tokio::task::spawn_blocking(move || kept.save(&snapshot))
                .await
                .map_err(StoreError::unavailable)?;
        }
        Ok(())
    }

    /// The snapshot of an aggregate, if it is of this log and of the form that is read here.
    pub(super) async fn snapshot_of(&self, id: &str) -> Result<Option<Snapshot>, StoreError> {
        let stream = Self::stream(id);
        let Some(SnapshotsOf { kept, form }) = self.snapshots.clone() else {
            return Ok(None);
        };
        if !kept.has(&stream) {
            return Ok(None);
        }
        let log = self.log.id();
        let load = move || {
            kept.load(&stream).filter(|found| {
                let of_this = found.stream == stream && found.log == log;
                of_this && *found.form == *form && found.revision > 0
            })
        };
        tokio::task::spawn_blocking(load)
            .await
            .map_err(StoreError::unavailable)
    }

    /// Where each stream's load begins, and the events from there on. A snapshot that does not hold is dropped, and its stream
    /// loaded from the beginning.
    pub(super) async fn resume(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<(Option<Hot<A>>, Vec<RecordedEvent>)>, StoreError> {
        let streams: Vec<StreamId> = wanted.iter().map(|(stream, ..)| stream.clone()).collect();
        let resumed = self.log.resume(wanted).await?;
        let mut loaded = Vec::with_capacity(streams.len());
        for (stream, Resumed { start, events }) in streams.into_iter().zip(resumed) {
            let state = match start {
                Start::Revision => {
                    loaded.push((None, events));
                    continue;
                }
                Start::Snapshot(revision, state) => {
                    read(state).await?.map(|state| (Arc::new(state), revision))
                }
                Start::Refuted => None,
            };
            loaded.push(match state {
                Some((state, revision)) => {
                    let hot = Hot {
                        state,
                        revision,
                        cached: false,
                    };
                    (Some(hot), events)
                }
                None => (Some(nothing()), self.whole(stream).await?),
            });
        }
        Ok(loaded)
    }

    /// All events of a stream whose snapshot does not hold.
    async fn whole(&self, stream: StreamId) -> Result<Vec<RecordedEvent>, StoreError> {
        tracing::warn!(%stream, "a snapshot does not hold, and is dropped");
        if let Some(SnapshotsOf { kept, .. }) = &self.snapshots {
            kept.forget(&stream);
        }
        let events = self.log.load(&[(stream, 0)]).await?;
        Ok(events.into_iter().flatten().collect())
    }
}

/// The state that was written, unless it is none of this type.
async fn read<A: Aggregate + 'static>(state: Zeroizing<Vec<u8>>) -> Result<Option<A>, StoreError> {
    tokio::task::spawn_blocking(move || rmp_serde::from_slice(&state).ok())
        .await
        .map_err(StoreError::unavailable)
}
