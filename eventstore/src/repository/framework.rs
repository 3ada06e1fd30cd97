//! cqrs-es' `EventStore` over a repository, so that its stock framework runs on the log.

use std::collections::HashMap;

use cqrs_es::persist::{PersistedEventRepository as _, SerializedEvent};
use cqrs_es::{Aggregate, AggregateContext, AggregateError, EventEnvelope, EventStore};

use crate::append::{Append, AppendError, NewEvent, StreamAppend};
use crate::error::StoreError;
use crate::event::Metadata;
use crate::home::Stock;
use crate::stream::StreamId;

use super::{Guards, Hot, Repository};

/// An aggregate on its way through cqrs-es' framework.
pub struct HotContext<A: Aggregate> {
    id: String,
    /// As loaded, to remember the next state from.
    loaded: Hot<A>,
    /// As the command leaves it.
    aggregate: A,
}

impl<A: Aggregate> AggregateContext<A> for HotContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl<A: Aggregate + Clone + 'static> EventStore<A> for Repository<A> {
    type AC = HotContext<A>;

    /// Reads the stream through the stock repository of the home, and opens it with the stream's key.
    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stored = self.stock_events(aggregate_id).await?;
        let opened = self
            .log
            .open_stock(Self::stream(aggregate_id), stored)
            .await
            .map_err(|error| AggregateError::UnexpectedError(Box::new(error)))?;
        let mut envelopes = Vec::with_capacity(opened.len());
        for event in opened {
            let metadata = texts(&event.metadata);
            let revision = event.revision;
            envelopes.push(EventEnvelope {
                aggregate_id: aggregate_id.to_owned(),
                sequence: usize::try_from(revision).unwrap_or(usize::MAX),
                payload: self
                    .event(event)
                    .map_err(|error| AggregateError::DeserializationError(Box::new(error)))?,
                metadata,
            });
        }
        Ok(envelopes)
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<Self::AC, AggregateError<A::Error>> {
        let loaded = self.fresh(aggregate_id).await.map_err(store_error)?;
        Ok(HotContext {
            id: aggregate_id.to_owned(),
            aggregate: A::clone(&loaded.state),
            loaded,
        })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        mut context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let guards = (self.guards)(&mut context.aggregate);
        let new = events
            .iter()
            .map(NewEvent::of)
            .collect::<Result<Vec<_>, _>>()?;
        let append = append_of(&context, guards, new, &metadata);
        let appended = self.log.append(append).await.map_err(append_error)?;
        let recorded = appended.events.iter().map(AsRef::as_ref);
        let next = self.after(&context.loaded, recorded).map_err(store_error)?;
        if next.revision > 0 {
            self.remember(&context.id, next.state, next.revision);
        }
        let first = context.loaded.revision + 1;
        Ok(events
            .into_iter()
            .zip(first..)
            .map(|(payload, revision)| EventEnvelope {
                aggregate_id: context.id.clone(),
                sequence: usize::try_from(revision).unwrap_or(usize::MAX),
                payload,
                metadata: metadata.clone(),
            })
            .collect())
    }
}

fn append_of<A: Aggregate>(
    context: &HotContext<A>,
    guards: Guards,
    events: Vec<NewEvent>,
    metadata: &HashMap<String, String>,
) -> Append {
    let text = |name: &str| metadata.get(name).cloned();
    Append {
        streams: vec![StreamAppend {
            stream: StreamId::new(A::TYPE, &context.id),
            account_id: guards.account_id,
            expected_revision: context.loaded.revision,
            events,
            forget: guards.forget,
        }],
        require: guards.require,
        release: guards.release,
        take: guards.take,
        request: None,
        side: guards.side,
        slots: Vec::new(),
        told: Vec::new(),
        metadata: Metadata {
            actor: text("actor").unwrap_or_default(),
            service: text("service").unwrap_or_default(),
            request_id: text("request_id"),
            trace_id: text("trace_id"),
            reason: text("reason"),
        },
    }
}

fn texts(metadata: &Metadata) -> HashMap<String, String> {
    [
        ("actor", Some(&metadata.actor)),
        ("service", Some(&metadata.service)),
        ("request_id", metadata.request_id.as_ref()),
        ("trace_id", metadata.trace_id.as_ref()),
        ("reason", metadata.reason.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
    .collect()
}

fn store_error<E: std::error::Error>(error: StoreError) -> AggregateError<E> {
    match error {
        StoreError::Unavailable(_) | StoreError::Closed => {
            AggregateError::DatabaseConnectionError(Box::new(error))
        }
        StoreError::Corrupt(_) => AggregateError::DeserializationError(Box::new(error)),
    }
}

fn append_error<E: std::error::Error>(error: AppendError) -> AggregateError<E> {
    match error {
        AppendError::Conflict(_) => AggregateError::AggregateConflict,
        AppendError::Unavailable(_) => AggregateError::DatabaseConnectionError(Box::new(error)),
        AppendError::Refused(_)
        | AppendError::Repeated(_)
        | AppendError::RequestReused
        | AppendError::Forgotten(_)
        | AppendError::Archived
        | AppendError::TooLarge
        | AppendError::Malformed(_)
        | AppendError::Corrupt(_) => AggregateError::UnexpectedError(Box::new(error)),
    }
}

impl<A: Aggregate + Clone + 'static> Repository<A> {
    /// The events of a stream as the home's stock repository reads them.
    async fn stock_events(
        &self,
        id: &str,
    ) -> Result<Vec<SerializedEvent>, AggregateError<A::Error>> {
        Ok(match self.log.stock() {
            Stock::Sqlite(repository) => repository.get_events::<A>(id).await?,
            Stock::Postgres(repository) => repository.get_events::<A>(id).await?,
        })
    }
}
