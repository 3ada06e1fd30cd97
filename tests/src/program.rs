//! The real program as a process of its own, for stories that kill it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rollbook_eventstore::{Clock, MasterKey};
use rollbook_services::caller::{Minter, Role, generate_key_pem};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::Channel;

use crate::caller::{Caller, Identity};
use crate::database::Database;
use crate::directory::{Directory, connect};

/// What the program prints before the address it serves at.
const SERVES_ON: &str = "rollbook serves on http://";

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with the keys and the data of the program, which outlives its processes.
pub struct Installation {
    folder: TempDir,
    minter: Arc<Minter>,
    database: Option<Database>,
}

/// A running process of the program.
pub struct Program {
    child: Child,
    channel: Channel,
}

impl Installation {
    /// One that keeps its log in this database, or in its data directory.
    #[must_use]
    pub fn new(database: Option<Database>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let minter = Minter::from_pem(&generate_key_pem().unwrap()).unwrap();
        std::fs::write(folder.path().join("token.pem"), minter.public_pem()).unwrap();
        MasterKey::generate()
            .write_new(&folder.path().join("master.key"))
            .unwrap();
        Self {
            folder,
            minter: Arc::new(minter),
            database,
        }
    }

    /// Where the process keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where its master key lies.
    #[must_use]
    pub fn master_key_file(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// Its database, where it has one.
    #[must_use]
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Takes the database out, to remove it.
    #[must_use]
    pub fn into_database(self) -> Option<Database> {
        self.database
    }

    fn command(&self, subcommand: &str) -> Command {
        self.command_in(subcommand, &self.data_dir())
    }

    /// A command of these words, with this data directory.
    fn command_in(&self, words: &str, data_dir: &Path) -> Command {
        let mut command = Command::new(binary());
        command
            .args(words.split_whitespace())
            .arg("--data-dir")
            .arg(data_dir)
            .arg("--master-key-file")
            .arg(self.folder.path().join("master.key"))
            .kill_on_drop(true)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROLLBOOK_")) {
            command.env_remove(name);
        }
        command
    }

    /// Brings the tables of the database up to date.
    pub async fn migrate(&self) {
        let database = self.database.as_ref().expect("a database to migrate");
        let status = self
            .command("migrate")
            .args(["--database-url", &database.owner_url()])
            .args(["--application-role", &database.application_role()])
            .stdout(Stdio::null())
            .status()
            .await
            .unwrap();
        assert!(status.success(), "migrate ended with {status}");
    }

    /// What fills the log with an account of so many users.
    #[must_use]
    pub fn seeding(&self, users: u64, events: u32) -> Command {
        let mut command = self.command("bench seed");
        command
            .args(["--account", "town", "--users", &users.to_string()])
            .args(["--events", &events.to_string()]);
        if let Some(url) = self.application_url() {
            command.args(["--database-url", &url]);
        }
        command
    }

    /// The master key that all its processes share.
    #[must_use]
    pub fn master_key(&self) -> MasterKey {
        MasterKey::from_file(&self.folder.path().join("master.key")).unwrap()
    }

    /// Starts a process with a data directory of its own on the same database, and waits until it serves.
    pub async fn serve_apart(&self, name: &str) -> Program {
        self.serve_in(&self.folder.path().join(name), &[]).await
    }

    fn serving(&self, database_url: Option<String>, level: &str) -> Command {
        self.serving_as(self.command("serve"), database_url, level)
    }

    fn serving_as(
        &self,
        mut command: Command,
        database_url: Option<String>,
        level: &str,
    ) -> Command {
        command
            .args(["--listen", "127.0.0.1:0", "--log", level])
            .arg("--token-key-file")
            .arg(self.folder.path().join("token.pem"))
            .stdout(Stdio::piped());
        if let Some(url) = database_url {
            command.args(["--database-url", &url]);
        }
        command
    }

    fn application_url(&self) -> Option<String> {
        self.database.as_ref().map(Database::application_url)
    }

    /// Starts a process that ends by itself, and answers what it said.
    pub async fn try_serve(&self) -> Output {
        ended(self.serving(self.application_url(), "warn")).await
    }

    /// Likewise, with these variables in its environment.
    pub async fn try_serve_with(&self, environment: &[(&str, &Path)]) -> Output {
        let mut command = self.serving(self.application_url(), "warn");
        command.envs(environment.iter().copied());
        ended(command).await
    }

    /// Likewise, as the role that owns the tables.
    pub async fn try_serve_as_owner(&self) -> Output {
        ended(self.serving(self.database.as_ref().map(Database::owner_url), "warn")).await
    }

    /// Starts a process, and waits until it serves.
    pub async fn serve(&self) -> Program {
        self.serve_with(&[]).await
    }

    /// Starts a process with these variables in its environment, and waits until it serves.
    pub async fn serve_with(&self, environment: &[(&str, &Path)]) -> Program {
        let mut command = self.serving(self.application_url(), "warn");
        command.envs(environment.iter().copied());
        started(command).await
    }

    /// Starts another process on the same database, with a data directory of its own, and waits until it serves.
    pub async fn serve_in(&self, data_dir: &Path, environment: &[(&str, &Path)]) -> Program {
        let command = self.command_in("serve", data_dir);
        let mut command = self.serving_as(command, self.application_url(), "warn");
        command.envs(environment.iter().copied());
        started(command).await
    }

    /// The same, and it writes all it logs, down to the finest level, into a file.
    pub async fn serve_logging(&self, log: &Path, environment: &[(&str, &Path)]) -> Program {
        let mut command = self.serving(self.application_url(), "trace");
        command.envs(environment.iter().copied());
        command.stderr(std::fs::File::create(log).unwrap());
        started(command).await
    }

    /// A caller of a process.
    #[must_use]
    pub fn caller(&self, program: &Program, identity: Identity) -> Caller {
        let minter = Arc::clone(&self.minter);
        Caller::new(program.channel.clone(), minter, Clock::system(), identity)
    }

    /// An auditor of all accounts.
    #[must_use]
    pub fn auditor(&self, program: &Program) -> Caller {
        self.caller(program, Identity::new(Role::Auditor, "auditor", None))
    }
}

impl Program {
    /// A channel to the process.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Ends it with SIGKILL: nothing of it runs any more.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end with SIGTERM, as an operator would, and waits until it has.
    pub async fn stop(mut self) {
        let id = self.child.id().expect("a running process").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(asked.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("the program did not end in time").unwrap();
        assert!(status.success(), "the program ended with {status}");
    }
}

async fn started(mut command: Command) -> Program {
    let mut child = command.spawn().unwrap();
    let output = child.stdout.take().unwrap();
    let address = tokio::time::timeout(PATIENCE, address_in(output))
        .await
        .expect("the program did not serve in time");
    Program {
        child,
        channel: connect(address),
    }
}

async fn ended(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the program did not end by itself")
        .unwrap()
}

async fn address_in(output: tokio::process::ChildStdout) -> SocketAddr {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(address) = line.strip_prefix(SERVES_ON) {
            return address.trim().parse().unwrap();
        }
    }
    panic!("the program ended without serving");
}

/// The program stands beside the folder of the test's own executable.
/// Runs a command of the program against a directory that runs in this process, as this caller.
pub async fn run(directory: &Directory, identity: &Identity, words: &[&str]) -> Output {
    let server = format!("http://{}", directory.process().address());
    let mut command = alone(words);
    command
        .env("ROLLBOOK_SERVER", server)
        .env("ROLLBOOK_TOKEN", directory.token(identity));
    let ended = tokio::time::timeout(PATIENCE, command.output());
    ended.await.expect("the program ends in time").unwrap()
}

/// A command of the program that asks no service.
#[must_use]
pub fn alone(words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ROLLBOOK_")) {
        command.env_remove(name);
    }
    command.args(words).kill_on_drop(true).stdin(Stdio::null());
    command
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("rollbook");
    assert!(
        path.exists(),
        "{} is not there: run `./test`, or `cargo build --bin rollbook`",
        path.display()
    );
    path
}

/// A throw-away PostgreSQL server of one's own, for stories that do to it what others must not feel.
pub struct PostgresServer {
    folder: TempDir,
    url: String,
}

impl PostgresServer {
    /// Starts one, with these variables in its environment.
    #[must_use]
    pub fn start(environment: &[(&str, &Path)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let url = run_tool("start", &folder.path().join("server"), environment);
        Self { folder, url }
    }

    /// Its URL, for its superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where all its files are.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("server")
    }
}

impl PostgresServer {
    /// Ends it at once, as a loss of power would.
    pub fn halt(&self) {
        run_tool("halt", &self.folder.path().join("server"), &[]);
    }

    /// Starts it again at the same URL.
    pub fn resume(&self) {
        run_tool("resume", &self.folder.path().join("server"), &[]);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        run_tool("stop", &self.folder.path().join("server"), &[]);
    }
}

/// The server may run as another user, who must reach its folder.
pub fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn run_tool(verb: &str, folder: &Path, environment: &[(&str, &Path)]) -> String {
    let output = std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/postgres"))
        .arg(verb)
        .arg(folder)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
