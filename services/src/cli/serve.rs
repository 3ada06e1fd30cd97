//! `rollbook serve` and `rollbook migrate`.

use std::time::Duration;

use clap::Args;
use rollbook_eventstore::{Clock, MasterKey, MasterKeys, postgres};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{logs, output::print, problem::Problem};
use crate::{
    config::{LogFormat, ServeFlags, Settings, StoreFlags},
    failure::chain,
    server::{self, Ended, Options, Running, Store, Tls},
};

/// How long to wait before a service that could not start again is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Serves until SIGINT or SIGTERM, then finishes what was accepted.
pub async fn run(flags: ServeFlags) -> Result<(), Problem> {
    let settings = Settings::read(&flags)?;
    logs::begin(&settings.log, settings.log_format)?;
    let mut options = options(&settings)?;
    let scheme = if options.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut running = start(options.clone()).await?;
    options.listen = running.address();
    // Whoever reads that it serves may send a signal at once.
    let mut signals = Stop::listen()?;
    print(&format!("rollbook serves on {scheme}://{}", options.listen))?;
    while let Ended::OtherHistory(other) = signals.end(running).await? {
        tracing::error!(cause = %other, "everything is made anew from the log as it is now");
        match signals.start(&options).await? {
            Some(again) => running = again,
            None => break,
        }
    }
    Ok(())
}

/// Starts a service.
pub async fn start(options: Options) -> Result<Running, Problem> {
    server::start(options)
        .await
        .map_err(|source| Problem::failed("serve", source))
}

/// Prints that it serves, then serves until SIGINT or SIGTERM, and finishes what was accepted; a second signal ends it at
/// once.
pub async fn until_asked(running: Running, serves: &str) -> Result<(), Problem> {
    // Whoever reads that it serves may send a signal at once.
    let mut signals = Stop::listen()?;
    print(serves)?;
    signals.end(running).await.map(drop)
}

/// What asks a service to stop: a signal, and a second one, to stop at once.
struct Stop {
    once: Signals,
    twice: Signals,
}

impl Stop {
    fn listen() -> Result<Self, Problem> {
        Ok(Self {
            once: Signals::listen()?,
            twice: Signals::listen()?,
        })
    }

    /// Serves until it ends.
    async fn end(&mut self, running: Running) -> Result<Ended, Problem> {
        let Self { once, twice } = self;
        tokio::select! {
            ended = running.serve_until(once.next()) => {
                ended.map_err(|source| Problem::failed("end in good order", source))
            }
            () = async { twice.next().await; twice.next().await } => {
                Err(Problem::Usage("ended before everything was finished, as a second signal asked".to_owned()))
            }
        }
    }

    /// Starts a service again, as soon as its database is there; nothing where it is asked to stop before.
    async fn start(&mut self, options: &Options) -> Result<Option<Running>, Problem> {
        let starting = async {
            loop {
                match server::start(options.clone()).await {
                    Ok(running) => return running,
                    Err(error) => {
                        let cause = chain(&error);
                        tracing::warn!(cause, "the service cannot start again yet");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        };
        tokio::select! {
            running = starting => Ok(Some(running)),
            () = self.once.next() => Ok(None),
        }
    }
}

/// The signals that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Problem> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// How to serve, as the settings say.
pub fn options(settings: &Settings) -> Result<Options, Problem> {
    let store = match settings.database()? {
        None => Store::Embedded,
        Some(url) => Store::Postgres {
            url,
            allow_owner: settings.allow_owner,
            migrate: settings.migrate,
        },
    };
    let tls = settings.tls()?.map(|(certificate_pem, key_pem)| Tls {
        certificate_pem,
        key_pem,
    });
    Ok(Options {
        listen: settings.listen,
        data_dir: settings.data_dir.clone(),
        store,
        master_key: master_key(settings.master_key()?)?,
        next_master_key: master_key(settings.next_master_key()?)?,
        token_keys: settings.token_keys()?,
        tls,
        allow_plaintext: settings.allow_plaintext,
        mail: settings.mail()?,
        views_from: settings.views_from()?,
        hash_cost: settings.hash_cost(),
        clock: Clock::system(),
    })
}

fn master_key(text: Option<String>) -> Result<Option<MasterKey>, Problem> {
    text.map(|text| MasterKey::from_base64(&text))
        .transpose()
        .map_err(|source| Problem::failed("read the master key", source))
}

/// Flags of `migrate`.
#[derive(Args, Debug)]
pub struct MigrateFlags {
    #[command(flatten)]
    store: StoreFlags,
    /// Database role that `serve` runs as: it is granted to read and add events, never to change them
    #[arg(long, value_name = "ROLE", env = "ROLLBOOK_APPLICATION_ROLE")]
    application_role: Option<String>,
}

/// Brings the tables of a database up to date, as their owner.
pub async fn migrate(flags: MigrateFlags) -> Result<(), Problem> {
    let settings = Settings::read_store(&flags.store)?;
    logs::begin(&settings.log, LogFormat::Text)?;
    let url = settings.database()?.ok_or_else(|| {
        Problem::Usage(
            "name the database with --database-url; an embedded log needs no migration".to_owned(),
        )
    })?;
    let key = master_key(settings.master_key()?)?.ok_or_else(|| {
        let missing = "name the master key with --master-key-file; `rollbook keys new` makes one";
        Problem::Usage(missing.to_owned())
    })?;
    let next = master_key(settings.next_master_key()?)?;
    let keys = MasterKeys::from(key).with_next(next);
    postgres::migrate(&url, flags.application_role.as_deref(), keys)
        .await
        .map_err(|source| Problem::failed("migrate the database", source))?;
    print("the database is up to date")
}
