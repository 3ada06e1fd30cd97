//! The connection of a person's command to the service: address, token, deadline, TLS.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use prost_types::FieldMask;
use rollbook_proto::v1::{
    CommandOptions, account_service_client::AccountServiceClient,
    credential_service_client::CredentialServiceClient,
    external_access_service_client::ExternalAccessServiceClient,
    history_service_client::HistoryServiceClient,
    invitation_service_client::InvitationServiceClient,
    involvement_service_client::InvolvementServiceClient,
    operations_service_client::OperationsServiceClient,
    routing_service_client::RoutingServiceClient, user_service_client::UserServiceClient,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use uuid::Uuid;

use super::{output::Output, problem::Problem};
use crate::{
    config::{self, ClientSettings},
    executor::new_id,
};

/// Options of every command that talks to a service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ClientFlags {
    #[command(flatten)]
    settings: ClientSettings,
    /// Print the answer as JSON, with the names of the contract
    #[arg(long, global = true)]
    json: bool,
    /// Give up after this many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// TOML file with what is given neither here nor in the environment, in a table `[client]`
    #[arg(long, global = true, value_name = "FILE", env = "ROLLBOOK_CONFIG")]
    config: Option<PathBuf>,
}

#[cfg(test)]
impl ClientFlags {
    /// The flags as they are typed.
    pub fn for_test(words: &[String]) -> Self {
        use clap::{Command, FromArgMatches as _};
        let command = Self::augment_args(Command::new("rollbook").no_binary_name(true));
        Self::from_arg_matches(&command.get_matches_from(words)).unwrap()
    }
}

/// A channel whose calls carry the token.
pub type Authorised = InterceptedService<Channel, Bearer>;

/// Puts the token, and a deadline where there is one, on every call.
#[derive(Clone, Debug)]
pub struct Bearer {
    token: MetadataValue<Ascii>,
    deadline: Option<Duration>,
}

impl Bearer {
    /// A bearer of a token whose calls end after a time.
    pub fn new(token: &str, deadline: Option<Duration>) -> Result<Self, Problem> {
        let mut token: MetadataValue<Ascii> =
            format!("Bearer {}", token.trim()).parse().map_err(|_| {
                Problem::Usage("the token holds characters that no token has".to_owned())
            })?;
        token.set_sensitive(true);
        Ok(Self { token, deadline })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.token.clone());
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        Ok(request)
    }
}

/// A connected service, and how its answers are printed.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    bearer: Bearer,
    account: Option<String>,
    /// How answers are printed.
    pub output: Output,
}

impl Client {
    /// Connects as the flags, the environment and the file say.
    pub async fn connect(flags: ClientFlags) -> Result<Self, Problem> {
        let settings = config::read_client(flags.settings, flags.config.as_deref())?;
        let server = settings
            .server
            .unwrap_or_else(|| config::DEFAULT_SERVER.to_owned());
        let token = match (settings.token, settings.token_file) {
            (_, Some(path)) => fs::read_to_string(&path).map_err(|source| Problem::File {
                action: "read the token file",
                path,
                source,
            })?,
            (Some(token), None) => token,
            (None, None) => return Err(Problem::Usage(NO_TOKEN.to_owned())),
        };
        let endpoint = Endpoint::from_shared(server.clone())
            .map_err(|_| {
                Problem::Usage(format!(
                    "`{server}` is not an address such as http://127.0.0.1:7657"
                ))
            })?
            .connect_timeout(Duration::from_secs(5));
        let endpoint = match (server.starts_with("https:"), settings.ca) {
            (true, Some(path)) => {
                let pem = fs::read(&path).map_err(|source| Problem::File {
                    action: "read",
                    path,
                    source,
                })?;
                endpoint
                    .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
                    .map_err(|source| Problem::Unreachable {
                        server: server.clone(),
                        source,
                    })?
            }
            (true, None) => {
                return Err(Problem::Usage(format!(
                    "name the certificate that {server} is trusted by with --ca"
                )));
            }
            (false, _) => endpoint,
        };
        let channel = endpoint
            .connect()
            .await
            .map_err(|source| Problem::Unreachable { server, source })?;
        let bearer = Bearer::new(&token, Some(Duration::from_secs(flags.timeout)))?;
        Ok(Self {
            channel,
            bearer,
            account: settings.account,
            output: Output::new(flags.json),
        })
    }

    /// A client over a channel that is there, with the token of its caller.
    pub fn over(channel: Channel, token: &str, account: Option<&str>) -> Result<Self, Problem> {
        let bearer = Bearer::new(token, Some(Duration::from_mins(1)))?;
        Ok(Self {
            channel,
            bearer,
            account: account.map(str::to_owned),
            output: Output::new(false),
        })
    }

    /// The account that was named.
    pub fn account(&self) -> Result<String, Problem> {
        self.account
            .clone()
            .ok_or_else(|| Problem::Usage(NO_ACCOUNT.to_owned()))
    }

    /// The account that was named, where one was.
    #[must_use]
    pub fn any_account(&self) -> String {
        self.account.clone().unwrap_or_default()
    }

    /// Calls of the account service.
    #[must_use]
    pub fn accounts(&self) -> AccountServiceClient<Authorised> {
        AccountServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the user service.
    #[must_use]
    pub fn users(&self) -> UserServiceClient<Authorised> {
        UserServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the user service that may take as long as they will.
    #[must_use]
    pub fn users_without_deadline(&self) -> UserServiceClient<Authorised> {
        let bearer = Bearer {
            deadline: None,
            ..self.bearer.clone()
        };
        UserServiceClient::with_interceptor(self.channel.clone(), bearer)
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the credential service.
    #[must_use]
    pub fn credentials(&self) -> CredentialServiceClient<Authorised> {
        CredentialServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the external access service.
    #[must_use]
    pub fn external_access(&self) -> ExternalAccessServiceClient<Authorised> {
        ExternalAccessServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the invitation service.
    #[must_use]
    pub fn invitations(&self) -> InvitationServiceClient<Authorised> {
        InvitationServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the involvement service.
    #[must_use]
    pub fn involvements(&self) -> InvolvementServiceClient<Authorised> {
        InvolvementServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the routing service.
    #[must_use]
    pub fn routing(&self) -> RoutingServiceClient<Authorised> {
        RoutingServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the history service; a replay that follows has no deadline.
    #[must_use]
    pub fn history(&self, follow: bool) -> HistoryServiceClient<Authorised> {
        let mut bearer = self.bearer.clone();
        bearer.deadline = bearer.deadline.filter(|_| !follow);
        HistoryServiceClient::with_interceptor(self.channel.clone(), bearer)
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Calls of the operations service.
    #[must_use]
    pub fn operations(&self) -> OperationsServiceClient<Authorised> {
        OperationsServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Calls of the operations service that may take as long as they will.
    #[must_use]
    pub fn operations_without_deadline(&self) -> OperationsServiceClient<Authorised> {
        let bearer = Bearer {
            deadline: None,
            ..self.bearer.clone()
        };
        OperationsServiceClient::with_interceptor(self.channel.clone(), bearer)
    }
}

/// A page of 1,000 accounts with their catalogues is large.
const LARGEST_ANSWER: usize = 64 << 20;
const NO_TOKEN: &str =
    "no token: make one with `rollbook token` and give it in ROLLBOOK_TOKEN or with --token-file";
const NO_ACCOUNT: &str = "no account: name it with --account or in ROLLBOOK_ACCOUNT";

/// Options of every command that changes something.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Command")]
pub struct CommandFlags {
    /// UUID that makes a repeat safe; a fresh one is made where none is given
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    /// Revision that the thing must have; 0: any
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    expected_revision: u64,
    /// Check everything, but change nothing
    #[arg(long)]
    validate_only: bool,
    /// Why it is done, for the log
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
}

impl CommandFlags {
    /// The options as they go over the wire, with a request id in any case.
    #[must_use]
    pub fn options(&self) -> CommandOptions {
        CommandOptions {
            request_id: self.request_id.unwrap_or_else(new_id).to_string(),
            expected_revision: self.expected_revision,
            validate_only: self.validate_only,
            reason: self.reason.clone(),
        }
    }
}

/// Options of a command with a fresh request id and a reason.
#[must_use]
pub fn because(reason: &str) -> CommandOptions {
    CommandOptions {
        request_id: new_id().to_string(),
        reason: reason.to_owned(),
        ..CommandOptions::default()
    }
}

/// Sends a command; where it fails, the problem knows the request id to repeat it with.
pub async fn commit<T>(
    id: &str,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Problem> {
    match answer.await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => Err(Problem::from(status).of_command(id)),
    }
}

/// The mask of what was given; a change of nothing is a mistake.
pub fn mask(given: &[(&str, bool)]) -> Result<FieldMask, Problem> {
    let paths: Vec<String> = given
        .iter()
        .filter(|(_, given)| *given)
        .map(|(path, _)| (*path).to_owned())
        .collect();
    if paths.is_empty() {
        return Err(Problem::Usage(
            "nothing to change was given; --help shows what can be".to_owned(),
        ));
    }
    Ok(FieldMask { paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_names_what_was_given() {
        let mask_of = mask(&[("email", true), ("phone", false)]).unwrap();
        assert_eq!(mask_of.paths, ["email"]);
        assert!(matches!(mask(&[("email", false)]), Err(Problem::Usage(_))));
    }
}
