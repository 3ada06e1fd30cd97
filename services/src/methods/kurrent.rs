//! What clients of `KurrentDB` call: the log read as their streams, and what they ask before.

mod asked;
mod filter;
mod following;
mod reading;
mod told;

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use rollbook_proto::kurrent as shared;
use rollbook_proto::kurrent::gossip::gossip_server::Gossip;
use rollbook_proto::kurrent::gossip::{ClusterInfo, EndPoint, MemberInfo, member_info::VNodeState};
use rollbook_proto::kurrent::server_features::server_features_server::ServerFeatures;
use rollbook_proto::kurrent::server_features::{SupportedMethod, SupportedMethods};
use rollbook_proto::kurrent::streams as wire;
use rollbook_proto::kurrent::streams::streams_server::Streams;
use rollbook_proto::v1::ErrorReason;
use tonic::{Request, Response, Status};

use self::asked::{Asked, Extent, Place};
use self::reading::Range;
use self::told::Teller;
use super::Directory;
use super::history::disclosure;
use super::streaming::{Answers, Sender};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::kurrent::{ReachedAt, status};

/// The server that this one is like, as far as it is like one.
const LIKE_VERSION: &str = "24.10.0";
/// How many events are read at a time, and sent at most between two looks at whether anybody reads.
const EVENTS_AT_A_TIME: usize = 500;

/// Messages that are sent together.
type Batch = Vec<wire::ReadResp>;

/// One who reads.
struct Reader {
    directory: Directory,
    /// The only account whose events are seen.
    account: Option<String>,
    teller: Teller,
    sender: Sender<Batch>,
}

impl Directory {
    fn read_as_streams(&self, request: Request<wire::ReadReq>) -> Outcome<Answers<wire::ReadResp>> {
        let call = Call::of(&request)?;
        let asked = Asked::read(request.into_inner())?;
        let account = call.caller.account.as_ref().map(ToString::to_string);
        let directory = self.clone();
        let teller = Teller {
            log_id: self.log().id(),
            ids: asked.ids,
            disclose: disclosure(&call),
            clock: self.executor().clock.clone(),
        };
        let batches = self.answers_that_end(
            &call,
            |failure| status(&failure),
            |sender| {
                let reader = Reader {
                    directory,
                    account,
                    teller,
                    sender,
                };
                reader.answer(asked)
            },
        );
        Ok(Box::pin(batches.flat_map(|batch| {
            stream::iter(match batch {
                Ok(messages) => messages.into_iter().map(Ok).collect(),
                Err(status) => vec![Err(status)],
            })
        })))
    }
}

impl Reader {
    async fn answer(self, asked: Asked) -> Outcome<()> {
        let range = |count| Range {
            direction: asked.direction,
            start: asked.start,
            count,
            tells_end: asked.tells_end,
        };
        match (asked.place, asked.extent) {
            (Place::Stream(named), Extent::Count(count)) => {
                self.read_stream(named, range(count)).await
            }
            (Place::Log(filter), Extent::Count(count)) => self.read_log(filter, range(count)).await,
            (Place::Stream(named), Extent::OnAndOn) => self.follow_stream(named, asked.start).await,
            (Place::Log(filter), Extent::OnAndOn) => self.follow_log(filter, asked.start).await,
        }
    }
}

#[tonic::async_trait]
impl Streams for Directory {
    type ReadStream = Answers<wire::ReadResp>;

    async fn read(
        &self,
        request: Request<wire::ReadReq>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let answers = self.read_as_streams(request);
        let answers = answers.map_err(|failure| status(&failure))?;
        Ok(Response::new(answers))
    }

    // The gate refuses writes before they are decoded; that they are refused here too needs no gate.
    async fn append(
        &self,
        _: Request<tonic::Streaming<wire::AppendReq>>,
    ) -> Result<Response<wire::AppendResp>, Status> {
        Err(denied())
    }

    async fn delete(
        &self,
        _: Request<wire::DeleteReq>,
    ) -> Result<Response<wire::DeleteResp>, Status> {
        Err(denied())
    }

    async fn tombstone(
        &self,
        _: Request<wire::TombstoneReq>,
    ) -> Result<Response<wire::TombstoneResp>, Status> {
        Err(denied())
    }

    type BatchAppendStream =
        Pin<Box<dyn Stream<Item = Result<wire::BatchAppendResp, Status>> + Send>>;

    async fn batch_append(
        &self,
        _: Request<tonic::Streaming<wire::BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        Err(denied())
    }
}

fn denied() -> Status {
    status(&Failure::new(ErrorReason::NotAllowed, "Access Denied"))
}

#[tonic::async_trait]
impl ServerFeatures for Directory {
    async fn get_supported_methods(
        &self,
        _: Request<shared::Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        let method = |service: &str, method: &str, features: &[&str]| SupportedMethod {
            method_name: method.to_owned(),
            service_name: format!("event_store.client.{service}"),
            features: features.iter().map(|&name| name.to_owned()).collect(),
        };
        Ok(Response::new(SupportedMethods {
            methods: vec![
                method("streams.streams", "read", &["position", "events"]),
                method("gossip.gossip", "read", &[]),
                method("server_features.serverfeatures", "getsupportedmethods", &[]),
            ],
            event_store_server_version: LIKE_VERSION.to_owned(),
        }))
    }
}

#[tonic::async_trait]
impl Gossip for Directory {
    async fn read(&self, request: Request<shared::Empty>) -> Result<Response<ClusterInfo>, Status> {
        let reached_at = request.extensions().get::<ReachedAt>();
        // Whoever names no port uses that of its scheme, and clients that ask this speak TLS.
        let end_point = reached_at.map(|ReachedAt(authority)| EndPoint {
            address: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(443).into(),
        });
        let now = told::ticks(self.executor().clock.now());
        Ok(Response::new(ClusterInfo {
            members: vec![MemberInfo {
                instance_id: Some(told::uuid(self.log().id(), asked::Ids::Text)),
                time_stamp: now,
                state: VNodeState::Leader.into(),
                is_alive: true,
                http_end_point: end_point,
            }],
        }))
    }
}
