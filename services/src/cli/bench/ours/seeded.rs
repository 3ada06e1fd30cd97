//! A server on a log that was filled before, and who asks it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rollbook_eventstore::{Clock, MasterKey};
use rollbook_proto::v1::{CreateUserRequest, GetUserRequest, get_user_request::Key};

use super::{ACCOUNT, CONNECTIONS, Keys, Ours, connect, connections, somebody, spawn};
use crate::{
    caller::Role,
    cli::{
        bench::{
            scratch::Scratch,
            seed::{self, Town},
        },
        client::{Client, because},
        problem::Problem,
    },
    passwords::Cost,
    server::{self, Options, Store},
};

/// What filling a log came to.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    /// How many events it has.
    pub events: u64,
    /// How long it took to write them.
    pub filled: Duration,
    /// How long a process took from its start until it served with every view.
    pub built: Duration,
}

/// Creates users and reads them, from any task.
#[derive(Clone)]
pub struct Creating {
    administrators: Vec<Client>,
    made: Arc<AtomicU64>,
}

impl Creating {
    /// Creates somebody and answers its id.
    pub async fn create(&self, caller: usize) -> Result<String, Problem> {
        let request = CreateUserRequest {
            account_id: ACCOUNT.to_owned(),
            user: Some(somebody(self.made.fetch_add(1, Ordering::Relaxed))),
            command: Some(because("")),
        };
        let mut users = self.administrators[caller % CONNECTIONS].users();
        let answer = users.create_user(request).await?.into_inner();
        Ok(answer.user.unwrap_or_default().user_id)
    }

    /// Reads somebody, who must be there.
    pub async fn read(&self, caller: usize, user_id: String) -> Result<(), Problem> {
        let request = GetUserRequest {
            account_id: ACCOUNT.to_owned(),
            key: Some(Key::UserId(user_id)),
            ..GetUserRequest::default()
        };
        let mut users = self.administrators[caller % CONNECTIONS].users();
        users.get_user(request).await?;
        Ok(())
    }
}

impl Ours {
    /// Starts a server on a log that is filled with the users of a town first, which is the account's.
    pub async fn seeded(
        database: Option<&str>,
        town: &Town,
        users: u64,
    ) -> Result<(Self, Seeded), Problem> {
        let directory = Scratch::make("bench")?;
        let keys = Keys::make(directory.path())?;
        let data = directory.path().join("data");
        let begun = Instant::now();
        let events = fill(&data, &keys, database, town, users).await?;
        let filled = begun.elapsed();
        let begun = Instant::now();
        let (process, server) = spawn(&data, &keys, database).await?;
        let built = begun.elapsed();
        let operator = connect(&server, &keys.mint(Role::Operator, "bench")?).await?;
        let administrator = town.user(Town::ADMINISTRATOR).to_string();
        let ours = Self {
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
        };
        Ok((
            ours,
            Seeded {
                events,
                filled,
                built,
            },
        ))
    }

    /// The connections of a service.
    pub async fn readers(&self) -> Result<Vec<Client>, Problem> {
        self.readers_of(&self.server).await
    }

    /// The connections of a service to another server that checks tokens as this one does.
    pub async fn readers_of(&self, server: &str) -> Result<Vec<Client>, Problem> {
        connections(server, &self.keys, Role::Service, "bench").await
    }

    /// The operator, who calls it.
    pub const fn operator(&self) -> &Client {
        &self.operator
    }

    /// The key that its tokens are checked with.
    pub fn token_key(&self) -> &Path {
        &self.keys.token
    }

    /// How much memory of the server process is its own and no file's, in bytes.
    pub fn own_memory(&self) -> u64 {
        let id = self.process.id().unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.map_or(0, |kib: u64| kib * 1024)
    }

    /// What creates users and reads them, from any task.
    pub fn creating(&self) -> Creating {
        Creating {
            administrators: self.administrators.clone(),
            made: Arc::clone(&self.made),
        }
    }
}

/// Fills a log; answers how many events it has.
async fn fill(
    data: &Path,
    keys: &Keys,
    database: Option<&str>,
    town: &Town,
    users: u64,
) -> Result<u64, Problem> {
    let key = MasterKey::from_file(&keys.master)
        .map_err(|source| Problem::failed("read the master key", source))?;
    let store = database.map_or(Store::Embedded, |url| Store::Postgres {
        url: url.to_owned(),
        allow_owner: true,
        migrate: true,
    });
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data.to_owned(),
        store,
        master_key: Some(key),
        next_master_key: None,
        token_keys: Vec::new(),
        tls: None,
        allow_plaintext: false,
        mail: None,
        views_from: None,
        hash_cost: Cost::default(),
        clock: Clock::system(),
    };
    let log = server::open(&options)
        .await
        .map_err(|source| Problem::failed("open the log", source))?;
    let progress = seed::bar(users);
    let settled = seed::settle(&log, town, users, &progress).await;
    progress.finish_and_clear();
    log.close().await;
    Ok(settled?.position)
}
