//! The service as a whole: opens the log, builds the views, and serves on one port.

mod health;
mod keys;
mod views_from;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use rollbook_eventstore::{
    Clock, Log, MasterKey, MasterKeyError, MasterKeys, OpenError, OtherHistory, postgres, sqlite,
};
use rollbook_projections::{ViewError, Views};
use rollbook_proto::kurrent;
use rollbook_proto::served;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::caller::{BadKey, Verifier};
use crate::executor::Executor;
use crate::failure::chain;
use crate::gate::GateLayer;
use crate::mail::{MailError, MailOptions, Mailer};
use crate::methods::Directory;
use crate::passwords::{Cost, Hasher};
use crate::work::Work;

pub use keys::token_key_pem;
pub(crate) use keys::{MASTER_KEY, private_dir};
pub use views_from::ViewsFrom;

/// Where the log lives.
#[derive(Clone, Debug)]
pub enum Store {
    /// In a file of the data directory, which one process holds.
    Embedded,
    /// In a PostgreSQL database, which any number of processes share.
    Postgres {
        /// Its URL.
        url: String,
        /// Whether to serve as the owner of the tables, who could undo what protects the log. For development.
        allow_owner: bool,
        /// Whether to migrate the schema first.
        migrate: bool,
    },
}

/// The certificate and key of TLS.
#[derive(Clone)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate_pem: Vec<u8>,
    /// The private key, PEM.
    pub key_pem: Vec<u8>,
}

/// How to serve.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The process's own directory: its views, and the log when embedded.
    pub data_dir: PathBuf,
    /// Where the log lives.
    pub store: Store,
    /// The key that all other keys are wrapped with. None: the embedded default keeps one in the data directory.
    pub master_key: Option<MasterKey>,
    /// The master key that the log can be rotated to, or was.
    pub next_master_key: Option<MasterKey>,
    /// The Ed25519 public keys (SPKI PEM) that tokens are checked with. The embedded default adds its own.
    pub token_keys: Vec<String>,
    /// TLS; none: plain text.
    pub tls: Option<Tls>,
    /// Whether plain text is allowed elsewhere than on loopback.
    pub allow_plaintext: bool,
    /// How mail is sent; none: who asks for a link is told its token instead.
    pub mail: Option<MailOptions>,
    /// Where views are taken from that would have to be built.
    pub views_from: Option<ViewsFrom>,
    /// What a password's hash costs.
    pub hash_cost: Cost,
    /// The time that rules judge by.
    pub clock: Clock,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("the data directory {directory} cannot be used")]
    DataDir {
        /// Which.
        directory: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A server database needs a master key that is given.
    #[error("a server database needs a master key: make one with `rollbook keys new FILE`")]
    NoMasterKey,
    /// The master key cannot be read or made.
    #[error("the master key cannot be read or made")]
    MasterKey(#[from] MasterKeyError),
    /// The data directory has a log whose master key is gone.
    #[error(
        "the data directory has a log, but its master key {0} is gone: put it back, or give it"
    )]
    MasterKeyLost(String),
    /// There is no key to check tokens with.
    #[error("no public key to check tokens with is configured")]
    NoTokenKey,
    /// A key for tokens is not one.
    #[error("a key for tokens is unusable")]
    TokenKey(#[from] BadKey),
    /// The log cannot be opened.
    #[error("the log cannot be opened")]
    Log(#[from] OpenError),
    /// The views cannot be opened.
    #[error("the views cannot be opened")]
    Views(#[from] ViewError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Plain text is for loopback.
    #[error("{0} is not loopback: give a TLS certificate and key, or allow plain text by name")]
    PlainText(SocketAddr),
    /// The certificate or its key is unusable.
    #[error("the TLS certificate or key is unusable")]
    Tls(#[source] tonic::transport::Error),
    /// Views cannot be taken from elsewhere as it is configured.
    #[error("views cannot be taken from a running process")]
    ViewsFrom(#[from] views_from::ViewsFromError),
    /// Mail cannot be sent as it is configured.
    #[error("mail cannot be sent")]
    Mail(#[from] MailError),
    /// The contract cannot be told by reflection.
    #[error("the contract cannot be told by reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// A service that runs.
pub struct Running {
    address: SocketAddr,
    log: Log,
    views: Views,
    work: Option<Work>,
    stopping: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Running {
    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Its views.
    #[must_use]
    pub const fn views(&self) -> &Views {
        &self.views
    }

    /// Stops: takes no more calls, finishes those it accepted, then closes views and log.
    ///
    /// # Errors
    /// When serving ended with an error.
    pub async fn shutdown(mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.stopping.cancel();
        let served = (&mut self.serving).await;
        self.end().await;
        Ok(served??)
    }

    /// Ends what goes on beside serving.
    async fn end(self) {
        if let Some(work) = self.work {
            work.stop().await;
        }
        self.views.shutdown().await;
        self.log.close().await;
    }

    /// Serves until `stop` is ready, the log is found to be on another history, or serving ends by itself; then stops.
    ///
    /// # Errors
    /// When serving ended with an error.
    pub async fn serve_until(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> Result<Ended, Box<dyn Error + Send + Sync>> {
        let log = self.log.clone();
        tokio::select! {
            () = stop => self.shutdown().await.map(|()| Ended::Asked),
            other = log.other_history() => {
                drop(log);
                self.shutdown().await.map(|()| Ended::OtherHistory(other))
            }
            served = &mut self.serving => {
                self.end().await;
                Ok(served?.map(|()| Ended::Asked)?)
            }
        }
    }
}

/// Why a service ended in good order.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The log is not the one it was. Nothing that the service remembers or folded holds; it may be started again.
    OtherHistory(Arc<OtherHistory>),
}

/// Starts the service; answers once it serves and every view has caught up.
///
/// # Errors
/// See [`StartError`].
pub async fn start(options: Options) -> Result<Running, StartError> {
    if options.tls.is_none() && !options.listen.ip().is_loopback() && !options.allow_plaintext {
        return Err(StartError::PlainText(options.listen));
    }
    own_dir(&options)?;
    let mailer = options.mail.as_ref().map(Mailer::new).transpose()?;
    let log = open_log(&options).await?;
    let verifier = Verifier::new(&keys::token_keys(&options)?, options.clock.clone())?;
    let source = views_from::source(options.views_from.as_ref(), &log)?;
    let views = Views::start_from(log.clone(), &options.data_dir, source).await?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|source| StartError::Listen {
        address: options.listen,
        source,
    })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen {
        address: options.listen,
        source,
    })?;
    let stopping = CancellationToken::new();
    // One processor is left to whoever does not wait for a password.
    let processors = available_parallelism().map_or(1, usize::from);
    let hasher = Hasher::new(processors - 1).at(options.hash_cost);
    let executor = Executor::new(log.clone(), options.clock.clone(), hasher)
        .with_snapshots(views.snapshots())
        .sending_mail(mailer.is_some());
    views.keep_snapshots(executor.snapshots_of_users());
    let directory = Directory::new(executor.clone(), views.clone(), stopping.clone());
    let (health, reporter) = health::Health::new();
    let router = router(&options, directory, verifier, reporter)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = tokio::spawn(
        router.serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned()),
    );
    let mut running = Running {
        address,
        log,
        views,
        work: None,
        stopping,
        serving,
    };
    match health.wait_until_ready(&running.views).await {
        Ok(()) => {
            health.watch(running.views.clone(), running.stopping.clone());
            if running.log.archive().is_none() {
                running.work = Some(Work::start(&executor, &running.views, mailer));
            } else {
                tracing::warn!("the log is an archive: it can be read and not be added to");
            }
            Ok(running)
        }
        Err(error) => {
            if let Err(error) = running.shutdown().await {
                tracing::warn!(cause = chain(&*error), "the service did not stop cleanly");
            }
            Err(error.into())
        }
    }
}

/// Opens the log alone, where nothing is to be served.
///
/// # Errors
/// See [`StartError`].
pub async fn open(options: &Options) -> Result<Log, StartError> {
    own_dir(options)?;
    open_log(options).await
}

fn own_dir(options: &Options) -> Result<(), StartError> {
    keys::private_dir(&options.data_dir).map_err(|source| StartError::DataDir {
        directory: options.data_dir.display().to_string(),
        source,
    })
}

async fn open_log(options: &Options) -> Result<Log, StartError> {
    let key = keys::master_key(options)?;
    let key = MasterKeys::from(key).with_next(options.next_master_key.clone());
    let clock = options.clock.clone();
    Ok(match &options.store {
        Store::Embedded => sqlite::open(&options.data_dir, key, clock).await?,
        Store::Postgres {
            url,
            allow_owner,
            migrate,
        } => {
            let how = postgres::Options {
                allow_owner: *allow_owner,
                migrate: *migrate,
                ..postgres::Options::default()
            };
            postgres::open(url, how, key, clock).await?
        }
    })
}

type Gated = tower::layer::util::Stack<
    GateLayer,
    tower::layer::util::Stack<tonic_web::GrpcWebLayer, tower::layer::util::Identity>,
>;

fn router(
    options: &Options,
    directory: Directory,
    verifier: Verifier,
    health: health::Service,
) -> Result<tonic::transport::server::Router<Gated>, StartError> {
    let mut server = Server::builder().accept_http1(true);
    if let Some(tls) = &options.tls {
        let identity = Identity::from_pem(&tls.certificate_pem, &tls.key_pem);
        server = server
            .tls_config(ServerTlsConfig::new().identity(identity))
            .map_err(StartError::Tls)?;
    }
    Ok(server
        .layer(tonic_web::GrpcWebLayer::new())
        .layer(GateLayer::new(verifier))
        .add_service(health)
        .add_service(health::reflection()?)
        .add_service(health::reflection_alpha()?)
        .add_service(served::account_service_server::AccountServiceServer::new(
            directory.clone(),
        ))
        .add_service(served::user_service_server::UserServiceServer::new(
            directory.clone(),
        ))
        .add_service(
            served::external_access_service_server::ExternalAccessServiceServer::new(
                directory.clone(),
            ),
        )
        .add_service(
            served::credential_service_server::CredentialServiceServer::new(directory.clone()),
        )
        .add_service(
            served::invitation_service_server::InvitationServiceServer::new(directory.clone()),
        )
        .add_service(
            served::involvement_service_server::InvolvementServiceServer::new(directory.clone()),
        )
        .add_service(served::routing_service_server::RoutingServiceServer::new(
            directory.clone(),
        ))
        .add_service(served::history_service_server::HistoryServiceServer::new(
            directory.clone(),
        ))
        .add_service(
            served::operations_service_server::OperationsServiceServer::new(directory.clone()),
        )
        .add_service(kurrent::streams::streams_server::StreamsServer::new(
            directory.clone(),
        ))
        .add_service(kurrent::gossip::gossip_server::GossipServer::new(
            directory.clone(),
        ))
        .add_service(
            kurrent::server_features::server_features_server::ServerFeaturesServer::new(directory),
        ))
}
