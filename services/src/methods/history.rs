//! `HistoryService`.

mod as_of;
mod openings;
mod proofs;
mod trails;

use futures::{Stream, StreamExt as _};
use prost::Message as _;
use rollbook_aggregates::values::AccountId;
use rollbook_eventstore::{Direction, Filter, Follow, Log, ReadQuery, StoreError, ToldEvent};
use rollbook_projections::{FindEvents, ReadError, Trail};
use rollbook_proto::served::history_service_server::HistoryService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::streaming::{Answers, Gone, Sender, send};
use super::{Directory, at_least, may_enter};
use crate::convert::{Disclose, Fields, direction, event, event_filter};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::page;

/// How many events a message of a replay has at most.
const EVENTS_IN_A_MESSAGE: usize = 1000;

impl Directory {
    async fn page_of_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Outcome<pb::ListEventsResponse> {
        let call = Call::of(&request)?;
        let mut message = request.into_inner();
        may_see(&call, message.filter.as_ref())?;
        let token = std::mem::take(&mut message.page_token);
        let size = std::mem::take(&mut message.page_size);
        let bound = [b"ListEvents".as_slice(), &message.encode_to_vec()].concat();
        let pb::ListEventsRequest {
            filter,
            direction: way,
            page_size: _,
            page_token: _,
            open,
        } = message;
        let mut fields = Fields::default();
        let filter = event_filter(&mut fields, filter, call.caller.account.as_ref());
        let direction = direction(&mut fields, way);
        let limit = fields.checked("page_size", page::size(size));
        let (limit,) = fields.finish((limit,))?;
        let after: Option<u64> = self.pages().read(&bound, &token)?;
        let query = ReadQuery {
            direction,
            from: after.unwrap_or(0),
            limit: limit as usize + 1,
            filter,
        };
        let mut events = self.events(&call, query).await?;
        let more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let next = events.last().filter(|_| more).map(|last| last.position);
        let disclose = disclosure(&call);
        let mut events: Vec<_> = events.into_iter().map(|e| event(e, disclose)).collect();
        if open && disclose == Disclose::Shown {
            openings::add(self.log(), &mut events).await?;
        }
        Ok(pb::ListEventsResponse {
            events,
            next_page_token: self.pages().write(&bound, next.as_ref()),
        })
    }

    /// A page of events: found by the audit trail where the log alone would have to be read through.
    async fn events(&self, call: &Call, query: ReadQuery) -> Outcome<Vec<ToldEvent>> {
        let Some(trail) = trail_of(&query.filter) else {
            return Ok(self.log().list(&query).await?);
        };
        let (above, up_to) = self.log().span(&query).await?;
        let audit = self.views().audit();
        match audit.fresh(at_least(up_to), call.wait_until()).await {
            Ok(_) => {}
            // The log has every answer, if a slow one.
            Err(ReadError::Stopped { .. }) => return Ok(self.log().list(&query).await?),
            Err(error) => return Err(error.into()),
        }
        let positions = audit
            .find(FindEvents {
                trail,
                above,
                up_to,
                descending: query.direction == Direction::Backwards,
                limit: query.limit,
            })
            .await?;
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let filter = Filter {
            positions,
            ..Filter::default()
        };
        Ok(self.log().list(&ReadQuery { filter, ..query }).await?)
    }

    async fn replay(&self, request: Request<pb::ReplayEventsRequest>) -> Outcome<Replay> {
        let call = Call::of(&request)?;
        may_see(&call, request.get_ref().filter.as_ref())?;
        let pb::ReplayEventsRequest {
            filter,
            direction: way,
            from_position,
            follow,
            limit,
            open,
        } = request.into_inner();
        let mut fields = Fields::default();
        let filter = event_filter(&mut fields, filter, call.caller.account.as_ref());
        let direction = direction(&mut fields, way);
        if follow && direction == Direction::Backwards {
            fields.bad("follow", "must be false backwards");
        }
        fields.finish(())?;
        let head = self.log().head().await?;
        if from_position > head {
            return Err(Failure::beyond_head(from_position, head));
        }
        let query = ReadQuery {
            direction,
            from: from_position,
            limit: match usize::try_from(limit) {
                Ok(limit @ 1..EVENTS_IN_A_MESSAGE) => limit,
                Ok(_) | Err(_) => EVENTS_IN_A_MESSAGE,
            },
            filter,
        };
        let disclose = disclosure(&call);
        let opened = (open && disclose == Disclose::Shown).then(|| self.log().clone());
        let events = self.log().replay(query, follow);
        let messages = Messages {
            disclose,
            opened,
            position: from_position,
            left: if limit == 0 { u64::MAX } else { limit },
            broken: None,
        };
        Ok(self.answers(&call, |sender| messages.send(events, sender)))
    }
}

type Replay = Answers<pb::ReplayEventsResponse>;

/// Turns a replay into messages.
struct Messages {
    disclose: Disclose,
    /// Where what opens the events' values is read, where it is wanted.
    opened: Option<Log>,
    position: u64,
    left: u64,
    broken: Option<StoreError>,
}

impl Messages {
    /// Sends what there is until it ends, the limit is reached, or nobody listens.
    async fn send(
        mut self,
        events: impl Stream<Item = Result<Follow, StoreError>> + Send,
        sender: Sender<pb::ReplayEventsResponse>,
    ) -> Outcome<()> {
        let mut chunks = Box::pin(events.ready_chunks(EVENTS_IN_A_MESSAGE));
        while let Some(chunk) = chunks.next().await {
            let mut message = self.message(chunk);
            if let Some(log) = &self.opened {
                openings::add(log, &mut message.events).await?;
            }
            if let Err(Gone) = send(&sender, message).await {
                return Ok(());
            }
            if let Some(error) = self.broken.take() {
                return Err(error.into());
            }
            if self.left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn message(&mut self, chunk: Vec<Result<Follow, StoreError>>) -> pb::ReplayEventsResponse {
        let mut message = pb::ReplayEventsResponse::default();
        for item in chunk {
            match item {
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
                Ok(Follow::CaughtUp(position)) => {
                    self.position = position;
                    message.caught_up = true;
                }
                Ok(Follow::Event(found)) => {
                    self.position = found.position;
                    message.caught_up = false;
                    message.events.push(event(*found, self.disclose));
                    self.left -= 1;
                    if self.left == 0 {
                        break;
                    }
                }
            }
        }
        message.position = self.position;
        message
    }
}

/// The trail that has what a filter lets through; none where the log finds it as fast.
fn trail_of(filter: &Filter) -> Option<Trail> {
    if !filter.streams.is_empty() {
        return None;
    }
    let (account_id, event_types) = (filter.account_id.clone(), filter.event_types.clone());
    match (&filter.actor, account_id) {
        (Some(actor), account_id) => Some(Trail::OfActor {
            actor: actor.clone(),
            event_types,
            account_id,
        }),
        (None, Some(account_id)) if !event_types.is_empty() => Some(Trail::OfTypes {
            event_types,
            account_id,
        }),
        (None, _) => None,
    }
}

/// A caller for one account sees that account's events only; another one answers as if it did not exist (R68).
fn may_see(call: &Call, filter: Option<&pb::EventFilter>) -> Outcome<()> {
    match filter {
        Some(filter) if AccountId::parse(&filter.account_id).is_ok() => {
            may_enter(call, &filter.account_id)
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn disclosure(call: &Call) -> Disclose {
    if call.caller.personal_data {
        Disclose::Shown
    } else {
        Disclose::Withheld
    }
}

#[tonic::async_trait]
impl HistoryService for Directory {
    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        Ok(Response::new(self.page_of_events(request).await?))
    }

    type ReplayEventsStream = Replay;

    async fn replay_events(
        &self,
        request: Request<pb::ReplayEventsRequest>,
    ) -> Result<Response<Replay>, Status> {
        Ok(Response::new(Directory::replay(self, request).await?))
    }

    async fn get_user_as_of(
        &self,
        request: Request<pb::GetUserAsOfRequest>,
    ) -> Result<Response<pb::GetUserAsOfResponse>, Status> {
        Ok(Response::new(self.user_as_of(request).await?))
    }

    async fn diff_user(
        &self,
        request: Request<pb::DiffUserRequest>,
    ) -> Result<Response<pb::DiffUserResponse>, Status> {
        Ok(Response::new(self.diff(request).await?))
    }

    async fn list_users_as_of(
        &self,
        request: Request<pb::ListUsersAsOfRequest>,
    ) -> Result<Response<pb::ListUsersAsOfResponse>, Status> {
        Ok(Response::new(self.users_as_of(request).await?))
    }

    async fn list_reports_as_of(
        &self,
        request: Request<pb::ListReportsAsOfRequest>,
    ) -> Result<Response<pb::ListReportsAsOfResponse>, Status> {
        Ok(Response::new(self.reports_as_of(request).await?))
    }

    async fn get_user_trail(
        &self,
        request: Request<pb::GetUserTrailRequest>,
    ) -> Result<Response<pb::GetUserTrailResponse>, Status> {
        Ok(Response::new(self.user_trail(request).await?))
    }

    async fn get_invoice_trail(
        &self,
        request: Request<pb::GetInvoiceTrailRequest>,
    ) -> Result<Response<pb::GetInvoiceTrailResponse>, Status> {
        Ok(Response::new(self.invoice_trail(request).await?))
    }

    type ExportEventsStream = proofs::Export;

    async fn export_events(
        &self,
        request: Request<pb::ExportEventsRequest>,
    ) -> Result<Response<proofs::Export>, Status> {
        Ok(Response::new(self.export(request).await?))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        Ok(Response::new(self.checkpoint(request).await?))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Result<Response<pb::GetInclusionProofResponse>, Status> {
        Ok(Response::new(self.inclusion(request).await?))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Result<Response<pb::GetConsistencyProofResponse>, Status> {
        Ok(Response::new(self.consistency(request).await?))
    }
}
