//! The PostgreSQL that both sides share: the one that is named, or a private one.

use std::{
    env,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sqlx::{Connection as _, PgConnection, Row as _};
use url::Url;

use super::scratch::Scratch;
use crate::{cli::problem::Problem, executor::new_id};

/// A server where databases can be made, and those that were.
pub struct Postgres {
    administration: Url,
    made: Vec<String>,
    private: Option<Private>,
}

impl Postgres {
    /// The server that is named by the URL of a superuser, or a private one where its programs are found.
    pub fn find(url: Option<&str>) -> Result<Option<Self>, Problem> {
        let (administration, private) = match url {
            Some(text) => (
                Url::parse(text)
                    .map_err(|source| Problem::failed("read the database URL", source))?,
                None,
            ),
            None => match Private::start()? {
                Some(private) => (private.url()?, Some(private)),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            administration,
            made: Vec::new(),
            private,
        }))
    }

    /// Makes a database and answers its URL.
    pub async fn create(&mut self, side: &str) -> Result<String, Problem> {
        let name = format!("rollbook_bench_{side}_{}", new_id().simple());
        self.administer(&format!("CREATE DATABASE {name}")).await?;
        self.made.push(name.clone());
        let mut url = self.administration.clone();
        url.set_path(&name);
        Ok(url.into())
    }

    /// Drops a database that was made, which nobody needs any more.
    pub async fn drop_database(&mut self, url: &str) -> Result<(), Problem> {
        let made = self.made.iter().position(|name| url.ends_with(&**name));
        match made.map(|place| self.made.swap_remove(place)) {
            Some(name) => {
                self.administer(&format!("DROP DATABASE {name} WITH (FORCE)"))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Drops what was made, and ends the server where it is private.
    pub async fn end(mut self) -> Result<(), Problem> {
        for name in std::mem::take(&mut self.made) {
            self.administer(&format!("DROP DATABASE {name} WITH (FORCE)"))
                .await?;
        }
        drop(self.private.take());
        Ok(())
    }

    async fn administer(&self, statement: &str) -> Result<(), Problem> {
        let failed = |source| Problem::failed("prepare the database server", source);
        let mut connection = PgConnection::connect(self.administration.as_str())
            .await
            .map_err(failed)?;
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

/// The settings of a database that decide what durable means.
pub async fn settings(url: &str) -> Result<String, Problem> {
    let failed = |source| Problem::failed("read the settings of the database", source);
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let rows = sqlx::query(SETTINGS)
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
    let mut settings = Vec::with_capacity(rows.len());
    for row in rows {
        let (name, value): (String, String) = (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
        );
        settings.push(format!("{name}={value}"));
    }
    connection.close().await.map_err(failed)?;
    Ok(settings.join(", "))
}

const SETTINGS: &str = "\
SELECT name, setting
FROM pg_settings
WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'server_version')
ORDER BY name";

/// A server of our own in a scratch directory.
struct Private {
    programs: PathBuf,
    port: u16,
    directory: Scratch,
}

impl Private {
    /// Starts one with the settings it ships with; nothing where its programs are not found.
    fn start() -> Result<Option<Self>, Problem> {
        let Some(programs) = find_programs() else {
            return Ok(None);
        };
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let private = Self {
            programs,
            port,
            directory: Scratch::make("postgres")?,
        };
        let data = private.data();
        private.run(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync"],
        )?;
        let options =
            format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''");
        let log = private.directory.path().join("log").display().to_string();
        private.run(
            "pg_ctl",
            &["start", "-w", "-D", &data, "-l", &log, "-o", &options],
        )?;
        Ok(Some(private))
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn url(&self) -> Result<Url, Problem> {
        Url::parse(&format!(
            "postgres://postgres@127.0.0.1:{}/postgres",
            self.port
        ))
        .map_err(|source| Problem::failed("name the private database server", source))
    }

    /// Runs one of the server's programs, as the user `postgres` where we are root, which it refuses to run as.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), Problem> {
        let program = self.programs.join(program);
        let mut command = if self.directory.is_of_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        command.args(arguments).current_dir(self.directory.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let failed = format!("run {}", program.display());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Problem::failed(failed, format!("it ended with {status}"))),
            Err(source) => Err(Problem::failed(failed, source)),
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Nothing is left to tell where this fails: the directory goes in any case.
        let _ = self.run("pg_ctl", &["stop", "-w", "-m", "fast", "-D", &self.data()]);
    }
}

/// Where `initdb` and `pg_ctl` are: on the path, or where distributions put them, the newest first.
fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut installed: Vec<(u32, PathBuf)> = Vec::new();
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"] {
        for entry in Path::new(root).read_dir().into_iter().flatten().flatten() {
            let name = entry
                .file_name()
                .to_string_lossy()
                .trim_start_matches("postgresql@")
                .to_owned();
            if let Ok(version) = name.parse() {
                installed.push((version, entry.path().join("bin")));
            }
        }
    }
    installed.sort();
    places.extend(installed.into_iter().rev().map(|(_, path)| path));
    places
        .into_iter()
        .find(|place| place.join("initdb").is_file() && place.join("pg_ctl").is_file())
}
