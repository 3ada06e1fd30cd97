//! Our side: a server process of this very program, called through gRPC.

mod seeded;

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prost_types::FieldMask;
use rollbook_eventstore::{Clock, Log, MasterKey, postgres as database, sqlite};
use rollbook_proto::kurrent::streams::streams_client::StreamsClient;
use rollbook_proto::v1::{
    AccountSettings, CreateAccountRequest, CreateUserRequest, ListProjectionsRequest, NewUser,
    PasswordAuthority, UpdateUserRequest, UserProfile,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tonic::transport::{Channel, Endpoint};

pub use self::seeded::Seeded;
use super::{
    load::{Side, USERS_EACH},
    scratch::Scratch,
    stock::phone,
};
use crate::{
    caller::{self, Minter, Role},
    cli::{
        client::{Client, because},
        problem::Problem,
        token::Caller,
    },
};

/// The account that everything is done in.
pub const ACCOUNT: &str = "bench";
/// The password of everybody in an account that keeps them.
pub const PASSWORD: &str = "seven small boats at dawn";
/// How many connections the callers share; one alone would wait for its own locks.
const CONNECTIONS: usize = 8;

/// A server process and its callers.
pub struct Ours {
    administrators: Vec<Client>,
    operator: Client,
    server: String,
    users: Mutex<Vec<String>>,
    made: Arc<AtomicU64>,
    reached: AtomicU64,
    keys: Keys,
    administrator: String,
    database: Option<String>,
    process: Child,
    directory: Scratch,
}

/// The keys that all server processes of a log share.
struct Keys {
    signing: String,
    master: PathBuf,
    token: PathBuf,
}

fn somebody(number: u64) -> NewUser {
    NewUser {
        signature: format!("S{number}"),
        first_name: "Åsa-Lena".to_owned(),
        last_name: "O'Brien Ångström".to_owned(),
        email: format!("s{number}@bench.example"),
        ..NewUser::default()
    }
}

/// Somebody who reads the log.
pub struct Auditor {
    /// By the contract.
    pub client: Client,
    /// By that of `KurrentDB`, with this header.
    pub streams: StreamsClient<Channel>,
    /// The header.
    pub authorization: String,
}

/// Another server process on the same database.
pub struct Another {
    /// The administrator, who calls it.
    pub administrator: Client,
    _process: Child,
}

impl Ours {
    /// Starts a server on the embedded log, or on a database.
    pub async fn start(database: Option<&str>) -> Result<Self, Problem> {
        Self::start_with(database, PasswordAuthority::External).await
    }

    /// The same, with an account that keeps passwords itself and locks nobody soon.
    pub async fn with_passwords(database: Option<&str>) -> Result<Self, Problem> {
        Self::start_with(database, PasswordAuthority::Directory).await
    }

    async fn start_with(
        database: Option<&str>,
        authority: PasswordAuthority,
    ) -> Result<Self, Problem> {
        let directory = Scratch::make("bench")?;
        let keys = Keys::make(directory.path())?;
        let (process, server) = spawn(&directory.path().join("data"), &keys, database).await?;
        let operator = connect(&server, &keys.mint(Role::Operator, "bench")?).await?;
        let administrator = open_account(&operator, authority).await?;
        Ok(Self {
            administrators: connections(&server, &keys, Role::Administrator, &administrator)
                .await?,
            operator,
            server,
            users: Mutex::default(),
            made: Arc::default(),
            reached: AtomicU64::new(0),
            keys,
            administrator,
            database: database.map(str::to_owned),
            process,
            directory,
        })
    }

    /// Ends the server process and starts one anew on the same data: it remembers nothing.
    pub async fn restart(&mut self) -> Result<(), Problem> {
        self.process.kill().await?;
        let data = self.directory.path().join("data");
        let database = self.database.as_deref();
        let (process, server) = spawn(&data, &self.keys, database).await?;
        self.process = process;
        let operator = self.keys.mint(Role::Operator, "bench")?;
        self.operator = connect(&server, &operator).await?;
        let role = Role::Administrator;
        self.administrators = connections(&server, &self.keys, role, &self.administrator).await?;
        self.server = server;
        self.caught_up().await
    }

    /// Starts another process on the same database.
    pub async fn another(&self) -> Result<Another, Problem> {
        let data = self.directory.path().join("another");
        let (process, server) = spawn(&data, &self.keys, self.database.as_deref()).await?;
        let token = self.keys.mint(Role::Administrator, &self.administrator)?;
        Ok(Another {
            administrator: connect(&server, &token).await?,
            _process: process,
        })
    }

    /// Somebody who is not there yet.
    pub fn somebody(&self) -> NewUser {
        somebody(self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// The views are to show what was committed up to here.
    pub fn reached(&self, position: u64) {
        self.reached.fetch_max(position, Ordering::Relaxed);
    }

    /// The administrator, as one of the callers.
    pub fn administrator(&self, caller: usize) -> &Client {
        &self.administrators[caller % CONNECTIONS]
    }

    /// The connections of a portal.
    pub async fn portals(&self) -> Result<Vec<Client>, Problem> {
        connections(&self.server, &self.keys, Role::Portal, "portal").await
    }

    /// An auditor of the whole log, by the contract and by that of `KurrentDB`.
    pub async fn auditor(&self) -> Result<Auditor, Problem> {
        let token = self.keys.mint(Role::Auditor, "auditor")?;
        let server = self.server.clone();
        let channel = endpoint(&server)?.connect().await;
        let channel = channel.map_err(|source| Problem::Unreachable { server, source })?;
        Ok(Auditor {
            streams: StreamsClient::new(channel.clone()),
            client: Client::over(channel, &token, None)?,
            authorization: format!("Bearer {token}"),
        })
    }

    /// Lets something happen to the log while nobody serves it, and serves it again.
    pub async fn meanwhile<F>(&mut self, work: impl FnOnce(Log) -> F) -> Result<(), Problem>
    where
        F: Future<Output = Result<Log, Problem>>,
    {
        self.process.kill().await?;
        let failed = |source| Problem::failed("open the log", source);
        let key = MasterKey::from_file(&self.keys.master)
            .map_err(|source| Problem::failed("read the master key", source))?;
        let log = match &self.database {
            None => {
                let data = self.directory.path().join("data");
                sqlite::open(&data, key, Clock::system()).await
            }
            Some(url) => {
                let options = database::Options {
                    allow_owner: true,
                    ..database::Options::default()
                };
                database::open(url, options, key, Clock::system()).await
            }
        };
        let log = work(log.map_err(failed)?).await?;
        log.close().await;
        self.restart().await
    }

    /// The server process.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Creates somebody and answers its id.
    pub async fn create_one(&self, caller: usize) -> Result<String, Problem> {
        self.create_user(caller, self.somebody()).await
    }

    /// Creates a user and answers its id.
    pub async fn create_user(&self, caller: usize, user: NewUser) -> Result<String, Problem> {
        let request = CreateUserRequest {
            account_id: ACCOUNT.to_owned(),
            user: Some(user),
            command: Some(because("")),
        };
        let answer = self
            .administrator(caller)
            .users()
            .create_user(request)
            .await?
            .into_inner();
        self.reached(answer.position);
        Ok(answer.user.unwrap_or_default().user_id)
    }
}

impl Side for Ours {
    async fn prepare(&self, callers: usize) -> Result<(), Problem> {
        let mut users = Vec::with_capacity(callers * USERS_EACH);
        for _ in 0..callers * USERS_EACH {
            users.push(self.create_one(0).await?);
        }
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(())
    }

    async fn create(&self, caller: usize) -> Result<(), Problem> {
        self.create_one(caller).await.map(drop)
    }

    async fn update(&self, caller: usize, number: u64) -> Result<(), Problem> {
        let turn = usize::try_from(number).unwrap_or_default() % USERS_EACH;
        let user_id = self.users.lock().unwrap_or_else(PoisonError::into_inner)
            [caller * USERS_EACH + turn]
            .clone();
        let request = UpdateUserRequest {
            account_id: ACCOUNT.to_owned(),
            user_id,
            profile: Some(UserProfile {
                phone: phone(number),
                ..UserProfile::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["phone".to_owned()],
            }),
            command: Some(because("")),
        };
        let answer = self
            .administrator(caller)
            .users()
            .update_user(request)
            .await?
            .into_inner();
        self.reached(answer.position);
        Ok(())
    }

    async fn caught_up(&self) -> Result<(), Problem> {
        let reached = self.reached.load(Ordering::Relaxed);
        loop {
            let request = ListProjectionsRequest {};
            let answer = self
                .operator
                .operations()
                .list_projections(request)
                .await?
                .into_inner();
            if let Some(stopped) = answer
                .projections
                .iter()
                .find(|view| !view.error.is_empty())
            {
                return Err(Problem::failed(
                    format!("follow with the view {}", stopped.name),
                    stopped.error.clone(),
                ));
            }
            if answer
                .projections
                .iter()
                .all(|view| view.position >= reached)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn connect(server: &str, token: &str) -> Result<Client, Problem> {
    let unreachable = |source| Problem::Unreachable {
        server: server.to_owned(),
        source,
    };
    Client::over(
        endpoint(server)?.connect().await.map_err(unreachable)?,
        token,
        Some(ACCOUNT),
    )
}

fn endpoint(server: &str) -> Result<Endpoint, Problem> {
    let endpoint = Endpoint::from_shared(server.to_owned());
    let endpoint = endpoint.map_err(|source| Problem::Unreachable {
        server: server.to_owned(),
        source,
    })?;
    Ok(endpoint.tcp_nodelay(true))
}

/// The connections of a caller to a server.
async fn connections(
    server: &str,
    keys: &Keys,
    role: Role,
    subject: &str,
) -> Result<Vec<Client>, Problem> {
    let token = keys.mint(role, subject)?;
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(connect(server, &token).await?);
    }
    Ok(connections)
}

/// Opens the account; answers its administrator.
async fn open_account(operator: &Client, authority: PasswordAuthority) -> Result<String, Problem> {
    let password = match authority {
        PasswordAuthority::Directory => PASSWORD.to_owned(),
        PasswordAuthority::External | PasswordAuthority::Unspecified => String::new(),
    };
    let administrator = NewUser {
        signature: "ADMIN".to_owned(),
        first_name: "Ada".to_owned(),
        last_name: "Ministrator".to_owned(),
        email: "admin@bench.example".to_owned(),
        password,
        ..NewUser::default()
    };
    let settings = AccountSettings {
        password_authority: authority.into(),
        max_failed_sign_ins: 100,
        ..AccountSettings::default()
    };
    let request = CreateAccountRequest {
        account_id: ACCOUNT.to_owned(),
        title: "Bench".to_owned(),
        settings: Some(settings),
        administrator: Some(administrator),
        command: Some(because("")),
        ..CreateAccountRequest::default()
    };
    let answer = operator
        .accounts()
        .create_account(request)
        .await?
        .into_inner();
    Ok(answer.administrator.unwrap_or_default().user_id)
}

impl Keys {
    /// Makes keys of their own in a directory.
    fn make(directory: &Path) -> Result<Self, Problem> {
        let keys = Self {
            signing: caller::generate_key_pem()
                .map_err(|source| Problem::failed("make a key", source))?,
            master: directory.join("bench-master.key"),
            token: directory.join("bench-token.pub.pem"),
        };
        MasterKey::generate()
            .write_new(&keys.master)
            .map_err(|source| Problem::failed("make a master key", source))?;
        let minter = Minter::from_pem(&keys.signing)
            .map_err(|source| Problem::failed("make a key for tokens", source))?;
        std::fs::write(&keys.token, minter.public_pem()).map_err(|source| Problem::File {
            action: "write",
            path: keys.token.clone(),
            source,
        })?;
        Ok(keys)
    }

    fn mint(&self, role: Role, subject: &str) -> Result<String, Problem> {
        let of_all = matches!(role, Role::Operator | Role::Auditor);
        let account = (!of_all).then(|| ACCOUNT.to_owned());
        let caller = Caller {
            role,
            account,
            subject: subject.to_owned(),
            service: "bench".to_owned(),
            scope: String::new(),
        };
        caller.mint(&self.signing, Duration::from_hours(12))
    }
}

/// Starts `rollbook serve` and waits for the line that tells its address.
async fn spawn(
    data: &Path,
    keys: &Keys,
    database: Option<&str>,
) -> Result<(Child, String), Problem> {
    let program = env::current_exe()?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--log", "warn"]);
    command.arg("--data-dir").arg(data);
    command
        .arg("--master-key-file")
        .arg(&keys.master)
        .arg("--token-key-file")
        .arg(&keys.token);
    if let Some(url) = database {
        command
            .env("ROLLBOOK_DATABASE_URL", url)
            .args(["--migrate", "--allow-owner"]);
    }
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Problem::failed("start a server process", source))?;
    let Some(output) = process.stdout.take() else {
        return Err(Problem::failed(
            "start a server process",
            "its output cannot be read",
        ));
    };
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(server) = line.strip_prefix("rollbook serves on ") {
            return Ok((process, server.to_owned()));
        }
    }
    Err(Problem::failed(
        "start a server process",
        "it ended before it served",
    ))
}
