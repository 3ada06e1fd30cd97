//! Callers: who calls, with a token of their own, and a typed client for each service of the contract.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use http::uri::PathAndQuery;
use prost::bytes::{Buf as _, BufMut as _};
use rollbook_eventstore::Clock;
use rollbook_proto::v1::account_service_client::AccountServiceClient;
use rollbook_proto::v1::credential_service_client::CredentialServiceClient;
use rollbook_proto::v1::external_access_service_client::ExternalAccessServiceClient;
use rollbook_proto::v1::history_service_client::HistoryServiceClient;
use rollbook_proto::v1::invitation_service_client::InvitationServiceClient;
use rollbook_proto::v1::involvement_service_client::InvolvementServiceClient;
use rollbook_proto::v1::operations_service_client::OperationsServiceClient;
use rollbook_proto::v1::routing_service_client::RoutingServiceClient;
use rollbook_proto::v1::user_service_client::UserServiceClient;
use rollbook_services::caller::{Claims, Minter, Role, numeric_date};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// A token lives for an hour, and is minted anew when half of that has passed.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The largest answer a client takes: a page of 1000 users is larger than tonic's four megabytes may be.
const LARGEST_ANSWER: usize = 64 << 20;

/// Who calls.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The actor.
    pub subject: String,
    /// The service that calls for it.
    pub service: String,
    /// What it may do.
    pub role: Role,
    /// The one account it is for; none: all.
    pub account: Option<String>,
    /// Further rights, separated by spaces.
    pub scope: String,
}

impl Identity {
    /// Somebody with a role, for one account or for all.
    #[must_use]
    pub fn new(role: Role, subject: &str, account: Option<&str>) -> Self {
        Self {
            subject: subject.to_owned(),
            service: "rollbook-tests".to_owned(),
            role,
            account: account.map(str::to_owned),
            scope: String::new(),
        }
    }

    /// A token issued now.
    #[must_use]
    pub fn token(&self, minter: &Minter, now: DateTime<Utc>) -> String {
        let claims = Claims {
            sub: self.subject.clone(),
            azp: self.service.clone(),
            role: self.role,
            account: self.account.clone(),
            scope: self.scope.clone(),
            iat: numeric_date(now),
            exp: numeric_date(now + LIFETIME),
        };
        minter.mint(&claims).unwrap()
    }
}

/// What signs a call: nothing, a token as it is, or tokens of an identity that never grow old.
#[derive(Clone)]
enum Credential {
    Nothing,
    Text(MetadataValue<Ascii>),
    Minted(Arc<Minting>),
}

struct Minting {
    minter: Arc<Minter>,
    clock: Clock,
    identity: Identity,
    /// When the last token was minted, and the header that carries it.
    last: Mutex<(DateTime<Utc>, MetadataValue<Ascii>)>,
}

impl Minting {
    fn header(&self) -> MetadataValue<Ascii> {
        let now = self.clock.now();
        let mut last = self.last.lock().unwrap();
        if now - last.0 > LIFETIME / 2 {
            *last = (now, bearer(&self.identity.token(&self.minter, now)));
        }
        last.1.clone()
    }
}

fn bearer(token: &str) -> MetadataValue<Ascii> {
    format!("Bearer {token}").parse().unwrap()
}

/// Puts the token on every call.
#[derive(Clone)]
pub struct Bearer(Credential);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = match &self.0 {
            Credential::Nothing => return Ok(request),
            Credential::Text(header) => header.clone(),
            Credential::Minted(minting) => minting.header(),
        };
        request.metadata_mut().insert("authorization", header);
        Ok(request)
    }
}

/// A channel that carries the caller's token.
pub type Wire = InterceptedService<Channel, Bearer>;

/// Somebody who calls a process of a directory.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    credential: Credential,
}

impl Caller {
    /// A caller whose tokens are minted as time passes.
    #[must_use]
    pub fn new(channel: Channel, minter: Arc<Minter>, clock: Clock, identity: Identity) -> Self {
        let minting = Minting {
            minter,
            clock,
            identity,
            last: Mutex::new((DateTime::UNIX_EPOCH, bearer("none"))),
        };
        Self {
            channel,
            credential: Credential::Minted(Arc::new(minting)),
        }
    }

    /// The channel it calls through.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The same person at another process.
    #[must_use]
    pub fn at(&self, channel: Channel) -> Self {
        Self {
            channel,
            credential: self.credential.clone(),
        }
    }

    /// A caller with this token, whatever it is.
    #[must_use]
    pub fn with_token(channel: Channel, token: &str) -> Self {
        Self {
            channel,
            credential: Credential::Text(bearer(token)),
        }
    }

    /// A caller without a token.
    #[must_use]
    pub fn anonymous(channel: Channel) -> Self {
        Self {
            channel,
            credential: Credential::Nothing,
        }
    }

    /// The same person with a token minted now.
    #[must_use]
    pub fn signed_in_again(&self) -> Self {
        match &self.credential {
            Credential::Minted(minting) => Self::new(
                self.channel.clone(),
                Arc::clone(&minting.minter),
                minting.clock.clone(),
                minting.identity.clone(),
            ),
            Credential::Nothing | Credential::Text(_) => self.clone(),
        }
    }

    fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), Bearer(self.credential.clone()))
    }

    /// Client of the `AccountService`.
    #[must_use]
    pub fn accounts(&self) -> AccountServiceClient<Wire> {
        AccountServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `UserService`.
    #[must_use]
    pub fn users(&self) -> UserServiceClient<Wire> {
        UserServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `ExternalAccessService`.
    #[must_use]
    pub fn external_access(&self) -> ExternalAccessServiceClient<Wire> {
        ExternalAccessServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `CredentialService`.
    #[must_use]
    pub fn credentials(&self) -> CredentialServiceClient<Wire> {
        CredentialServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `InvitationService`.
    #[must_use]
    pub fn invitations(&self) -> InvitationServiceClient<Wire> {
        InvitationServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `InvolvementService`.
    #[must_use]
    pub fn involvements(&self) -> InvolvementServiceClient<Wire> {
        InvolvementServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `RoutingService`.
    #[must_use]
    pub fn routing(&self) -> RoutingServiceClient<Wire> {
        RoutingServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `HistoryService`.
    #[must_use]
    pub fn history(&self) -> HistoryServiceClient<Wire> {
        HistoryServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Client of the `OperationsService`.
    #[must_use]
    pub fn operations(&self) -> OperationsServiceClient<Wire> {
        OperationsServiceClient::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls a method by its path with these bytes, whatever they are, and answers the bytes of the first message that comes
    /// back; a stream that ends without one answers none.
    ///
    /// # Errors
    /// The status, where the call was refused.
    pub async fn raw(&self, path: &str, message: Vec<u8>) -> Result<Response<Vec<u8>>, Status> {
        let mut client =
            tonic::client::Grpc::new(self.wire()).max_decoding_message_size(LARGEST_ANSWER);
        client.ready().await.map_err(|error| {
            Status::unavailable(format!("the process cannot be reached: {error}"))
        })?;
        let path: PathAndQuery = path.parse().unwrap();
        let response: Response<Streaming<Vec<u8>>> = client
            .server_streaming(Request::new(message), path, Plain)
            .await?;
        let (metadata, mut stream, extensions) = response.into_parts();
        let first = stream.message().await?.unwrap_or_default();
        Ok(Response::from_parts(metadata, first, extensions))
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
