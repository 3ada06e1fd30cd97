//! A running directory of one's own, in process, on either home of the log.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use rollbook_aggregates::domain::Recorded;
use rollbook_aggregates::mail::{Errand, Letter, MailDeadLettered, MailEvent, MailFailure};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{
    Append, Clock, MasterKey, NewEvent, StreamAppend, StreamId, postgres, sqlite,
};
use rollbook_proto::v1 as pb;
use rollbook_services::caller::{Minter, Role, generate_key_pem};
use rollbook_services::mail::MailOptions;
use rollbook_services::passwords::Cost;
use rollbook_services::server::{self, Options, Running, Store, Tls, ViewsFrom};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::answer::Answer as _;
use crate::caller::{Caller, Identity};
use crate::database::Database;

/// How long what happens by itself may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the log lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In a SQLite file of the data directory.
    Embedded,
    /// In a database of the throw-away PostgreSQL server.
    Postgres,
}

/// Keys that all processes of a directory share.
struct Keys {
    folder: TempDir,
    minter: Arc<Minter>,
    tls: Option<Tls>,
}

impl Keys {
    fn generate() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["master.key", "next.key"] {
            MasterKey::generate()
                .write_new(&folder.path().join(name))
                .unwrap();
        }
        let minter = Minter::from_pem(&generate_key_pem().unwrap());
        Self {
            folder,
            minter: Arc::new(minter.unwrap()),
            tls: None,
        }
    }

    /// The same, with a certificate for `localhost`.
    fn secured(mut self) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate_pem = made.cert.pem().into_bytes();
        std::fs::write(self.folder.path().join("certificate.pem"), &certificate_pem).unwrap();
        self.tls = Some(Tls {
            certificate_pem,
            key_pem: made.signing_key.serialize_pem().into_bytes(),
        });
        self
    }

    fn master(&self) -> MasterKey {
        MasterKey::from_file(&self.folder.path().join("master.key")).unwrap()
    }

    fn next(&self) -> MasterKey {
        MasterKey::from_file(&self.folder.path().join("next.key")).unwrap()
    }
}

/// One serving process with its own data directory.
pub struct Process {
    data_dir: TempDir,
    running: Running,
    channel: Channel,
}

impl Process {
    /// A channel to it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &std::path::Path {
        self.data_dir.path()
    }

    /// Stops it, and answers what it leaves behind.
    pub async fn stop(self) -> TempDir {
        self.running.shutdown().await.unwrap();
        self.data_dir
    }
}

/// A running directory: a log on one of the homes, and a process that serves it.
pub struct Directory {
    /// Where the log lives.
    pub home: Home,
    /// The time of the log and of every token; a story advances it instead of waiting.
    pub clock: Clock,
    keys: Arc<Keys>,
    mail: Option<MailOptions>,
    database: Option<Database>,
    process: Process,
}

impl Directory {
    /// Starts a directory with an empty log.
    pub async fn start(home: Home) -> Self {
        Self::start_with(home, None).await
    }

    /// Starts a directory that sends its mail so.
    pub async fn start_with(home: Home, mail: Option<MailOptions>) -> Self {
        Self::start_of(home, Keys::generate(), mail).await
    }

    /// Starts a directory that speaks TLS, as `localhost`.
    pub async fn start_secured(home: Home) -> Self {
        Self::start_of(home, Keys::generate().secured(), None).await
    }

    async fn start_of(home: Home, keys: Keys, mail: Option<MailOptions>) -> Self {
        let clock = Clock::manual(start_of_time());
        let keys = Arc::new(keys);
        let database = match home {
            Home::Embedded => None,
            Home::Postgres => Some(Self::migrated(&keys).await),
        };
        let data_dir = tempfile::tempdir().unwrap();
        let process = serve(data_dir, database.as_ref(), &keys, &clock, mail.clone()).await;
        Self {
            home,
            clock,
            keys,
            mail,
            database,
            process,
        }
    }

    /// Starts a directory on a copy of an embedded log that was kept in a folder with its master key.
    pub async fn of_log(folder: &Path) -> Self {
        let clock = Clock::manual(start_of_time());
        let keys = Arc::new(Keys::generate());
        std::fs::copy(
            folder.join("master.key"),
            keys.folder.path().join("master.key"),
        )
        .unwrap();
        let data_dir = tempfile::tempdir().unwrap();
        std::fs::copy(
            folder.join(sqlite::FILE),
            data_dir.path().join(sqlite::FILE),
        )
        .unwrap();
        let process = serve(data_dir, None, &keys, &clock, None).await;
        Self {
            home: Home::Embedded,
            clock,
            keys,
            mail: None,
            database: None,
            process,
        }
    }

    /// Where its master key lies.
    #[must_use]
    pub fn master_key_file(&self) -> PathBuf {
        self.keys.folder.path().join("master.key")
    }

    /// Another directory with the same keys and the same time, on a log that was put into this place.
    pub async fn on_log_in(&self, place: Place) -> Self {
        let Place { data_dir, database } = place;
        let home = if database.is_some() {
            Home::Postgres
        } else {
            Home::Embedded
        };
        let keys = Arc::clone(&self.keys);
        let process = serve(data_dir, database.as_ref(), &keys, &self.clock, None).await;
        Self {
            home,
            clock: self.clock.clone(),
            keys,
            mail: None,
            database,
            process,
        }
    }

    /// Puts something into the log that nobody asked for.
    pub async fn append(&self, append: Append) {
        self.process.running.log().append(append).await.unwrap();
    }

    /// Stops it, and answers what its process leaves behind.
    pub async fn stop(self) -> TempDir {
        self.process.stop().await
    }

    async fn migrated(keys: &Keys) -> Database {
        let database = Database::create().await;
        postgres::migrate(
            &database.owner_url(),
            Some(&database.application_role()),
            keys.master(),
        )
        .await
        .unwrap();
        database
    }

    /// The process that serves it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The database of the log, where it has one.
    #[must_use]
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Starts another process on the same database.
    pub async fn second_process(&self) -> Process {
        self.process_in(tempfile::tempdir().unwrap()).await
    }

    /// Starts another process on the same database, in a data directory that may have views already.
    pub async fn process_in(&self, data_dir: TempDir) -> Process {
        let database = self
            .database
            .as_ref()
            .expect("only a server database has more than one process");
        serve(
            data_dir,
            Some(database),
            &self.keys,
            &self.clock,
            self.mail.clone(),
        )
        .await
    }

    /// Starts another process on the same database, which takes its views from a running one with this token.
    pub async fn process_from(&self, from: &Process, token: String) -> Process {
        let views_from = ViewsFrom {
            server: format!("http://{}", from.address()).parse().unwrap(),
            token,
            ca_pem: None,
        };
        serve_at(
            tempfile::tempdir().unwrap(),
            self.database.as_ref(),
            &self.keys,
            &self.clock,
            Cost::default(),
            self.mail.clone(),
            Some(views_from),
        )
        .await
    }

    /// Stops the process and starts one again, with the data directory it had or with an empty one.
    #[must_use]
    pub async fn restarted(self, views: Views) -> Self {
        self.restarted_after(views, || {}).await
    }

    /// The same, with what happens while nobody serves.
    #[must_use]
    pub async fn restarted_after(self, views: Views, meanwhile: impl FnOnce()) -> Self {
        let data_dir = self.process.stop().await;
        meanwhile();
        if views == Views::Lost {
            std::fs::remove_dir_all(data_dir.path().join("views")).unwrap();
        }
        let process = serve(
            data_dir,
            self.database.as_ref(),
            &self.keys,
            &self.clock,
            self.mail.clone(),
        )
        .await;
        Self { process, ..self }
    }

    /// Stops the process and starts one again, which hashes passwords at another cost.
    #[must_use]
    pub async fn restarted_at(self, cost: Cost) -> Self {
        let data_dir = self.process.stop().await;
        let process = serve_at(
            data_dir,
            self.database.as_ref(),
            &self.keys,
            &self.clock,
            cost,
            self.mail.clone(),
            None,
        )
        .await;
        Self { process, ..self }
    }

    /// A caller of this directory.
    #[must_use]
    pub fn caller(&self, identity: Identity) -> Caller {
        Caller::new(
            self.process.channel(),
            Arc::clone(&self.keys.minter),
            self.clock.clone(),
            identity,
        )
    }

    /// A token for this identity, as it is.
    #[must_use]
    pub fn token(&self, identity: &Identity) -> String {
        identity.token(&self.keys.minter, self.clock.now())
    }

    /// What a client of `KurrentDB` is told to connect to, with a token of this identity; for a directory that speaks TLS.
    #[must_use]
    pub fn kurrent_uri(&self, identity: &Identity) -> String {
        let (token, port) = (self.token(identity), self.process.address().port());
        let certificate = self.keys.folder.path().join("certificate.pem");
        let certificate = certificate.display();
        format!("kurrentdb://auditor:{token}@localhost:{port}?tlsCaFile={certificate}")
    }

    /// Who mints the tokens this directory accepts.
    #[must_use]
    pub fn minter(&self) -> &Minter {
        &self.keys.minter
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Caller {
        self.caller(Identity::new(Role::Operator, "operator", None))
    }

    /// An auditor of all accounts, who may see personal data.
    #[must_use]
    pub fn auditor(&self) -> Caller {
        self.caller(Identity {
            scope: "personal-data".to_owned(),
            ..Identity::new(Role::Auditor, "auditor", None)
        })
    }

    /// The position of the last event.
    pub async fn head(&self) -> u64 {
        self.operator()
            .operations()
            .get_log_status(pb::GetLogStatusRequest {})
            .await
            .answer()
            .head_position
    }

    /// The whole log, as an auditor reads it.
    pub async fn events(&self) -> Vec<pb::Event> {
        let mut replay = self
            .auditor()
            .history()
            .replay_events(pb::ReplayEventsRequest::default())
            .await
            .answer();
        let mut events = Vec::new();
        while let Some(piece) = replay.message().await.unwrap() {
            events.extend(piece.events);
        }
        events
    }

    /// Puts word of a lock into the log that could not be sent to a user, as a server's refusal would; answers the mail's id.
    pub async fn dead_letter(&self, account_id: &str, user_id: &str) -> String {
        self.dead_letters(account_id, user_id, 1).await.remove(0)
    }

    /// The same of so many locks, in one commit.
    pub async fn dead_letters(&self, account_id: &str, user_id: &str, count: u64) -> Vec<String> {
        let letters = (1..=count).map(|revision| {
            let errand = Errand::AccountLocked {
                user: UserId::parse(user_id).unwrap(),
                revision,
            };
            let mail_id = errand.mail_id().to_string();
            let dead = MailDeadLettered {
                letter: Letter {
                    account_id: AccountId::parse(account_id).unwrap(),
                    errand,
                },
                attempts: 1,
                failure: MailFailure::Refused(550),
            };
            let event = NewEvent::of(&Recorded::from(MailEvent::from(dead))).unwrap();
            let stream = StreamAppend {
                stream: StreamId::new("mail", mail_id.as_str()),
                account_id: account_id.to_owned(),
                expected_revision: 0,
                events: vec![event],
                forget: false,
            };
            (mail_id, stream)
        });
        let (mail_ids, streams) = letters.unzip();
        let append = Append {
            streams,
            ..Append::default()
        };
        self.process.running.log().append(append).await.unwrap();
        mail_ids
    }

    /// Waits until so many events of this type are in the log, and answers the first of them: for what happens by itself.
    pub async fn told(&self, event_type: &str, count: u64) -> Vec<pb::Event> {
        let request = pb::ReplayEventsRequest {
            filter: Some(pb::EventFilter {
                event_types: vec![event_type.to_owned()],
                ..Default::default()
            }),
            follow: true,
            limit: count,
            ..Default::default()
        };
        let mut history = self.auditor().history();
        let all = async {
            let mut replay = history.replay_events(request).await.answer();
            let mut events = Vec::new();
            while let Some(piece) = replay.message().await.unwrap() {
                events.extend(piece.events);
            }
            events
        };
        let told = tokio::time::timeout(PATIENCE, all).await;
        told.unwrap_or_else(|_| panic!("not {count} {event_type} after {PATIENCE:?}"))
    }

    /// Checks what must hold of every log, stops the process, and removes the database.
    pub async fn finish(self) {
        check_log(&self.events().await);
        drop(self.process.stop().await);
        if let Some(database) = self.database {
            database.remove().await;
        }
    }
}

/// A place for a log that is not there yet.
pub struct Place {
    /// The data directory of the process that will serve it.
    pub data_dir: TempDir,
    /// The database, where it is to be in one.
    pub database: Option<Database>,
}

impl Place {
    /// An empty one.
    pub async fn new(home: Home) -> Self {
        Self {
            data_dir: tempfile::tempdir().unwrap(),
            database: match home {
                Home::Embedded => None,
                Home::Postgres => Some(Database::create().await),
            },
        }
    }

    /// The flags that name it to the program.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            "--data-dir".to_owned(),
            self.data_dir.path().display().to_string(),
        ];
        if let Some(database) = &self.database {
            flags.extend(["--database-url".to_owned(), database.owner_url()]);
            flags.extend(["--application-role".to_owned(), database.application_role()]);
        }
        flags
    }
}

/// What becomes of the views when a process is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// They are there.
    Kept,
    /// Their disk was lost.
    Lost,
}

/// When every story begins: an ordinary Monday morning.
#[must_use]
pub fn start_of_time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 8, 0, 0).unwrap()
}

async fn serve(
    data_dir: TempDir,
    database: Option<&Database>,
    keys: &Keys,
    clock: &Clock,
    mail: Option<MailOptions>,
) -> Process {
    serve_at(data_dir, database, keys, clock, Cost::default(), mail, None).await
}

async fn serve_at(
    data_dir: TempDir,
    database: Option<&Database>,
    keys: &Keys,
    clock: &Clock,
    hash_cost: Cost,
    mail: Option<MailOptions>,
    views_from: Option<ViewsFrom>,
) -> Process {
    let running = server::start(Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        data_dir: data_dir.path().to_owned(),
        store: database.map_or(Store::Embedded, |database| Store::Postgres {
            url: database.application_url(),
            allow_owner: false,
            migrate: false,
        }),
        master_key: Some(keys.master()),
        next_master_key: Some(keys.next()),
        token_keys: vec![keys.minter.public_pem().to_owned()],
        tls: keys.tls.clone(),
        allow_plaintext: false,
        mail,
        hash_cost,
        views_from,
        clock: clock.clone(),
    })
    .await
    .unwrap();
    let channel = match &keys.tls {
        Some(tls) => connect_securely(running.address(), tls),
        None => connect(running.address()),
    };
    Process {
        data_dir,
        running,
        channel,
    }
}

/// A channel to an address, connected when it is first used.
#[must_use]
pub fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .tcp_nodelay(true)
        .connect_lazy()
}

fn connect_securely(address: SocketAddr, tls: &Tls) -> Channel {
    let trusting = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&tls.certificate_pem))
        .domain_name("localhost");
    Endpoint::from_shared(format!("https://{address}"))
        .unwrap()
        .tls_config(trusting)
        .unwrap()
        .tcp_nodelay(true)
        .connect_lazy()
}

/// Checks that positions, account numbers and revisions are dense, that commits are whole and that time never goes back.
#[track_caller]
pub fn check_log(events: &[pb::Event]) {
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last_time = (0, 0);
    let mut commit = 0;
    for (event, position) in events.iter().zip(1_u64..) {
        assert_eq!(event.position, position, "a gap in the log: {event:?}");
        if position > commit {
            commit = event.commit_position;
        }
        assert_eq!(
            event.commit_position, commit,
            "a commit within another: {event:?}"
        );
        let number = numbers.entry(&event.account_id).or_default();
        *number += 1;
        assert_eq!(
            event.account_number, *number,
            "a gap in the account: {event:?}"
        );
        let revision = revisions.entry(&event.stream).or_default();
        *revision += 1;
        assert_eq!(event.revision, *revision, "a gap in the stream: {event:?}");
        let time = event
            .recorded_at
            .map(|time| (time.seconds, time.nanos))
            .expect("an event without a time");
        assert!(time >= last_time, "time went back: {event:?}");
        last_time = time;
    }
    assert_eq!(
        commit,
        events.len() as u64,
        "the last commit is cut off at its {commit}"
    );
}
