//! Aggregates out of the log: loaded, remembered while they are hot, and cqrs-es' own `EventStore` over them.

mod framework;
mod snapshots;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cqrs_es::Aggregate;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use moka::ops::compute::Op;
use moka::sync::Cache;
use serde_json::Value;

use crate::append::{HeldClaim, Requirement, SideRow};
use crate::error::StoreError;
use crate::event::RecordedEvent;
use crate::log::Log;
use crate::stream::StreamId;
use crate::tail::OnForget;

use snapshots::{SnapshotsOf, Wanted};

pub use framework::HotContext;

/// How long an aggregate that nobody asks for is remembered.
const IDLE: Duration = Duration::from_mins(10);

/// What a commit through the stock framework needs beyond its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guards {
    /// The account that the events count for.
    pub account_id: String,
    /// As [`Append::require`](crate::Append::require).
    pub require: Vec<Requirement>,
    /// As [`Append::release`](crate::Append::release).
    pub release: Vec<HeldClaim>,
    /// As [`Append::take`](crate::Append::take).
    pub take: Vec<HeldClaim>,
    /// As [`StreamAppend::forget`](crate::StreamAppend::forget).
    pub forget: bool,
    /// As [`Append::side`](crate::Append::side).
    pub side: Vec<SideRow>,
}

/// An aggregate at a revision.
#[derive(Debug)]
pub struct Hot<A> {
    /// Its state.
    pub state: Arc<A>,
    /// The revision of its stream: 0 where there is none.
    pub revision: u64,
    /// Whether it was remembered, so that another process may have moved the stream since.
    pub cached: bool,
}

impl<A> Clone for Hot<A> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            ..*self
        }
    }
}

type Remembered<A> = Cache<String, (Arc<A>, u64)>;
type Upcasters = Vec<Box<dyn EventUpcaster>>;

/// The aggregates of one type.
pub struct Repository<A: Aggregate> {
    log: Log,
    upcasters: Arc<Upcasters>,
    remembered: Remembered<A>,
    guards: fn(&mut A) -> Guards,
    snapshots: Option<SnapshotsOf>,
    /// Kept for as long as the repository is: drops aggregates whose streams are forgotten.
    on_forget: Arc<OnForget>,
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            upcasters: self.upcasters.clone(),
            remembered: self.remembered.clone(),
            guards: self.guards,
            snapshots: self.snapshots.clone(),
            on_forget: self.on_forget.clone(),
        }
    }
}

impl<A: Aggregate + Clone + 'static> Repository<A> {
    /// A repository that remembers `capacity` aggregates at most.
    ///
    /// `guards` takes from an aggregate, after it handled a command, what its commit needs beyond events.
    #[must_use]
    pub fn new(
        log: Log,
        upcasters: Upcasters,
        capacity: u64,
        guards: fn(&mut A) -> Guards,
    ) -> Self {
        let remembered: Remembered<A> = Cache::builder()
            .max_capacity(capacity)
            .time_to_idle(IDLE)
            .build();
        let cache = remembered.clone();
        let on_forget: Arc<OnForget> = Arc::new(move |stream| {
            if stream.aggregate_type == A::TYPE {
                cache.invalidate(&stream.aggregate_id);
            }
        });
        log.on_forget(&on_forget);
        Self {
            log,
            upcasters: Arc::new(upcasters),
            remembered,
            guards,
            snapshots: None,
            on_forget,
        }
    }

    /// The stream of an aggregate.
    #[must_use]
    pub fn stream(id: &str) -> StreamId {
        StreamId::new(A::TYPE, id)
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// An aggregate as it is remembered, or else as it is. The append's revision check finds out what moved since.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn get(&self, id: &str) -> Result<Hot<A>, StoreError> {
        match self.remembered.get(id) {
            Some((state, revision)) => Ok(Hot {
                state,
                revision,
                cached: true,
            }),
            None => self.fresh(id).await,
        }
    }

    /// An aggregate as it is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn fresh(&self, id: &str) -> Result<Hot<A>, StoreError> {
        let mut found = self.load(&[id], true).await?;
        Ok(found.swap_remove(0))
    }

    /// As [`Self::get`], for several at once and in their order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn get_many(&self, ids: &[&str]) -> Result<Vec<Hot<A>>, StoreError> {
        let mut found: HashMap<&str, Hot<A>> = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            match self.remembered.get(*id) {
                Some((state, revision)) => {
                    let hot = Hot {
                        state,
                        revision,
                        cached: true,
                    };
                    found.insert(id, hot);
                }
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            let loaded = self.load(&missing, false).await?;
            found.extend(missing.into_iter().zip(loaded));
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    /// As [`Self::fresh`], for several at once and in their order, all out of one snapshot of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn fresh_many(&self, ids: &[&str]) -> Result<Vec<Hot<A>>, StoreError> {
        self.load(ids, true).await
    }

    /// An aggregate as it was at a revision. What was erased since is erased in it too.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn at(&self, id: &str, revision: u64) -> Result<Hot<A>, StoreError> {
        if let Some((state, remembered)) = self.remembered.get(id)
            && remembered == revision
        {
            return Ok(Hot {
                state,
                revision,
                cached: true,
            });
        }
        let snapshot = self
            .snapshot_of(id)
            .await?
            .filter(|snapshot| snapshot.revision <= revision);
        let found = self.newer(vec![(Self::stream(id), 0, snapshot)]).await?;
        let mut hot = nothing();
        for (resumed, events) in found {
            hot = resumed.unwrap_or(hot);
            let upto = events
                .into_iter()
                .filter(|event| event.revision <= revision);
            self.fold(&mut hot, upto)?;
        }
        Ok(hot)
    }

    /// Aggregates as they were at a position, in their order. A commit counts once all of it lies at or before the position.
    ///
    /// Each is folded from the log alone, so that what was erased since is erased in it, whichever process erased it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn as_of(&self, ids: &[&str], position: u64) -> Result<Vec<Hot<A>>, StoreError> {
        let streams: Vec<_> = ids.iter().map(|id| (Self::stream(id), 0)).collect();
        let mut found = Vec::with_capacity(ids.len());
        for events in self.log.load(&streams).await? {
            let mut hot = nothing();
            let by_then = events
                .into_iter()
                .take_while(|event| event.commit_position <= position);
            self.fold(&mut hot, by_then)?;
            found.push(hot);
        }
        Ok(found)
    }

    /// The state after events that follow it. Gives what [`Self::fresh`] would, without asking the log.
    ///
    /// # Errors
    /// When an event is not one of this aggregate's.
    pub fn after<'a>(
        &self,
        hot: &Hot<A>,
        events: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<Hot<A>, StoreError> {
        let mut next = hot.clone();
        self.fold(&mut next, events.into_iter().cloned())?;
        Ok(next)
    }

    /// Remembers a state. One of an older revision than is remembered already changes nothing.
    pub fn remember(&self, id: &str, state: Arc<A>, revision: u64) {
        self.remembered
            .entry(id.to_owned())
            .and_compute_with(|entry| match entry {
                Some(entry) if entry.value().1 > revision => Op::Nop,
                Some(_) | None => Op::Put((state, revision)),
            });
    }

    /// Drops what is remembered of an aggregate.
    pub fn forget(&self, id: &str) {
        self.remembered.invalidate(id);
    }

    /// Loads what is newer than what is remembered; with `known` false, all of it.
    async fn load(&self, ids: &[&str], known: bool) -> Result<Vec<Hot<A>>, StoreError> {
        let start: Vec<Hot<A>> = ids
            .iter()
            .map(|id| {
                let found = self.remembered.get(*id).filter(|_| known);
                found.map_or_else(nothing, |(state, revision)| Hot {
                    state,
                    revision,
                    cached: false,
                })
            })
            .collect();
        let mut asked = Vec::with_capacity(ids.len());
        for (id, hot) in ids.iter().zip(&start) {
            let snapshot = match hot.revision {
                0 => self.snapshot_of(id).await?,
                _ => None,
            };
            asked.push((Self::stream(id), hot.revision, snapshot));
        }
        let newer = self.newer(asked).await?;
        let mut loaded = Vec::with_capacity(ids.len());
        for ((id, hot), (resumed, events)) in ids.iter().zip(start).zip(newer) {
            let mut hot = resumed.unwrap_or(hot);
            self.fold(&mut hot, events)?;
            if hot.revision > 0 {
                self.remember(id, hot.state.clone(), hot.revision);
            }
            loaded.push(hot);
        }
        Ok(loaded)
    }

    /// The events of each stream after its revision, or since its snapshot together with the state there.
    async fn newer(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<(Option<Hot<A>>, Vec<RecordedEvent>)>, StoreError> {
        if wanted.iter().any(|(.., snapshot)| snapshot.is_some()) {
            return self.resume(wanted).await;
        }
        let streams: Vec<_> = wanted
            .into_iter()
            .map(|(stream, after, _)| (stream, after))
            .collect();
        let events = self.log.load(&streams).await?;
        Ok(events.into_iter().map(|events| (None, events)).collect())
    }

    fn fold(
        &self,
        hot: &mut Hot<A>,
        events: impl IntoIterator<Item = RecordedEvent>,
    ) -> Result<(), StoreError> {
        for event in events {
            if event.revision != hot.revision + 1 {
                return Err(StoreError::Corrupt(format!(
                    "{} goes from revision {} to {}",
                    event.stream, hot.revision, event.revision
                )));
            }
            hot.revision = event.revision;
            Arc::make_mut(&mut hot.state).apply(self.event(event)?);
        }
        Ok(())
    }

    /// Upcasts and deserialises.
    fn event(&self, event: RecordedEvent) -> Result<A::Event, StoreError> {
        let position = event.position;
        let serialized = serialized(event);
        let event_type = serialized.event_type.clone();
        serde_json::from_value(self.upcast(serialized).payload).map_err(|error| {
            StoreError::Corrupt(format!("position {position}, {event_type}: {error}"))
        })
    }

    fn upcast(&self, event: SerializedEvent) -> SerializedEvent {
        self.upcasters.iter().fold(event, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) {
                upcaster.upcast(event)
            } else {
                event
            }
        })
    }
}

fn nothing<A: Aggregate>() -> Hot<A> {
    Hot {
        state: Arc::new(A::default()),
        revision: 0,
        cached: false,
    }
}

fn serialized(event: RecordedEvent) -> SerializedEvent {
    SerializedEvent::new(
        event.stream.aggregate_id,
        usize::try_from(event.revision).unwrap_or(usize::MAX),
        event.stream.aggregate_type,
        event.event_type,
        event.event_version,
        event.payload,
        Value::Object(serde_json::Map::new()),
    )
}
