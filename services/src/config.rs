//! The configuration: flags, then the environment, then a TOML file. Secrets never come by flag.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::Problem;
use crate::mail::MailOptions;
use crate::passwords::Cost;
use crate::server::ViewsFrom;

/// Where the service is looked for when nothing else is said.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7657";
/// Where the service listens when nothing else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:7657";
/// Where the service keeps its files when nothing else is said.
const DEFAULT_DATA_DIR: &str = "rollbook-data";

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Flags that name the store and its secrets.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Store")]
pub struct StoreFlags {
    /// Directory for the views and, where no database is given, the log and its keys [default: rollbook-data]
    #[arg(long, value_name = "DIR", env = "ROLLBOOK_DATA_DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL database that holds the log, as `postgres://USER@HOST/NAME`; without it the log is a SQLite file in the data
    /// directory
    #[arg(
        long,
        value_name = "URL",
        env = "ROLLBOOK_DATABASE_URL",
        hide_env_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// File with the password for the database; it may also come in `ROLLBOOK_DATABASE_PASSWORD`
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_DATABASE_PASSWORD_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_password_file: Option<PathBuf>,
    /// File with the master key (see `rollbook keys new`); the key itself may come in `ROLLBOOK_MASTER_KEY`. Embedded, one is
    /// made in the data directory at first start
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_MASTER_KEY_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key_file: Option<PathBuf>,
    /// File with the master key that `rollbook keys rotate` rotates to, or has: until that is done, both are needed; the key
    /// itself may come in `ROLLBOOK_NEXT_MASTER_KEY`
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_NEXT_MASTER_KEY_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_master_key_file: Option<PathBuf>,
    /// TOML file with what is given neither here nor in the environment; keys are named like the flags, with `_` for `-`
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct ServeFlags {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7657]
    #[arg(long, value_name = "HOST:PORT", env = "ROLLBOOK_LISTEN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Bring the tables of the database up to date before serving
    #[arg(long, env = "ROLLBOOK_MIGRATE", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    migrate: Option<bool>,
    /// Serve even though the database user owns the tables, which lets it change the log; for development
    #[arg(long, env = "ROLLBOOK_ALLOW_OWNER", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_owner: Option<bool>,
    /// PEM file with a public key that tokens are checked with; several are named one after the other. Embedded, the key
    /// of the data directory counts too
    #[arg(
        long = "token-key-file",
        value_name = "FILE",
        env = "ROLLBOOK_TOKEN_KEY_FILES",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_key_files: Vec<PathBuf>,
    /// PEM file with the certificate chain for TLS
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_TLS_CERTIFICATE_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificate_file: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_TLS_KEY_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key_file: Option<PathBuf>,
    /// Serve plain text on an address that is not loopback, as behind a proxy that ends TLS
    #[arg(long, env = "ROLLBOOK_ALLOW_PLAINTEXT", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_plaintext: Option<bool>,
    /// Running process on the same database that views are taken from at the first start, instead of folding them from the
    /// whole log
    #[arg(long, value_name = "URL", env = "ROLLBOOK_VIEWS_FROM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    views_from: Option<Url>,
    /// File with an operator's token for that process; the token itself may come in `ROLLBOOK_VIEWS_TOKEN`
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_VIEWS_TOKEN_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    views_token_file: Option<PathBuf>,
    /// PEM file with the certificate that that process is trusted by
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_VIEWS_CA_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    views_ca_file: Option<PathBuf>,
    /// Mail server that links are sent through, as `smtps://USER@HOST` or `smtp://USER@HOST` (with STARTTLS, or in plain text on
    /// this machine unless a CA file is given); without it whoever asks for a link is told it
    #[arg(long, value_name = "URL", env = "ROLLBOOK_SMTP_URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_url: Option<Url>,
    /// File with the password for the mail server; it may also come in `ROLLBOOK_SMTP_PASSWORD`
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_SMTP_PASSWORD_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_password_file: Option<PathBuf>,
    /// PEM file with a certificate that the mail server is trusted by, beside those of the system
    #[arg(long, value_name = "FILE", env = "ROLLBOOK_SMTP_CA_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_ca_file: Option<PathBuf>,
    /// Send mail in plain text to another machine that offers nothing better
    #[arg(long, env = "ROLLBOOK_SMTP_ALLOW_PLAINTEXT", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_allow_plaintext: Option<bool>,
    /// Whom mail comes from, as `Name <address>`
    #[arg(long, value_name = "ADDRESS", env = "ROLLBOOK_MAIL_FROM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_from: Option<String>,
    /// Where links in mail lead: `welcome`, `password-reset` or `invitation` is added to it, and `?token=…`
    #[arg(long, value_name = "URL", env = "ROLLBOOK_MAIL_LINK_BASE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_link_base: Option<Url>,
    /// Directory with templates that stand over those that come with the program
    #[arg(long, value_name = "DIR", env = "ROLLBOOK_MAIL_TEMPLATES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_templates: Option<PathBuf>,
    /// Language of mail to those whose own is not known or has no template [default: en]
    #[arg(long, value_name = "TAG", env = "ROLLBOOK_MAIL_LANGUAGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_language: Option<String>,
    /// How many KiB of memory the hash of a password takes, 19456 or more; a password that was hashed with less is hashed
    /// anew when its user signs in [default: 19456]
    #[arg(long, value_name = "KIB", env = "ROLLBOOK_HASH_MEMORY_KIB", value_parser = clap::value_parser!(u32).range(19_456..=4_194_304))]
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_memory_kib: Option<u32>,
    /// How many passes over that memory it takes, 2 or more [default: 2]
    #[arg(long, value_name = "COUNT", env = "ROLLBOOK_HASH_PASSES", value_parser = clap::value_parser!(u32).range(2..=100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_passes: Option<u32>,
    /// What is logged, as a filter such as `info` or `rollbook_services=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "ROLLBOOK_LOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// The form of log lines [default: text]
    #[arg(long, value_name = "FORMAT", env = "ROLLBOOK_LOG_FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
    /// The store.
    #[command(flatten)]
    #[serde(flatten)]
    store: StoreFlags,
}

/// Where the service is, who calls it and for which account.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Address of the service [default: `http://127.0.0.1:7657`]
    #[arg(long, global = true, value_name = "URL", env = "ROLLBOOK_SERVER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Account that the command is about
    #[arg(long, global = true, value_name = "ID", env = "ROLLBOOK_ACCOUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// File with the token (see `rollbook token`); the token itself may come in `ROLLBOOK_TOKEN`
    #[arg(long, global = true, value_name = "FILE", env = "ROLLBOOK_TOKEN_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate that the service is trusted by
    #[arg(long, global = true, value_name = "FILE", env = "ROLLBOOK_CA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The token; a secret, so never a flag.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What the service is told, from wherever it came.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Directory for the views, and for the log where it is embedded.
    pub data_dir: PathBuf,
    database_url: Option<String>,
    database_password: Option<String>,
    database_password_file: Option<PathBuf>,
    master_key: Option<String>,
    master_key_file: Option<PathBuf>,
    next_master_key: Option<String>,
    next_master_key_file: Option<PathBuf>,
    /// Whether to migrate at start.
    #[serde(default)]
    pub migrate: bool,
    /// Whether the owner of the tables may serve.
    #[serde(default)]
    pub allow_owner: bool,
    #[serde(default)]
    token_key_files: Vec<PathBuf>,
    tls_certificate_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    /// Whether plain text may leave the machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    views_from: Option<Url>,
    views_token: Option<String>,
    views_token_file: Option<PathBuf>,
    views_ca_file: Option<PathBuf>,
    smtp_url: Option<Url>,
    smtp_password: Option<String>,
    smtp_password_file: Option<PathBuf>,
    smtp_ca_file: Option<PathBuf>,
    smtp_allow_plaintext: Option<bool>,
    mail_from: Option<String>,
    mail_link_base: Option<Url>,
    mail_templates: Option<PathBuf>,
    mail_language: Option<String>,
    #[serde(default)]
    hash_memory_kib: u32,
    #[serde(default)]
    hash_passes: u32,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    #[serde(default)]
    pub log_format: LogFormat,
    #[serde(rename = "client")]
    _client: Option<ClientSettings>,
}

/// A certificate chain and its private key, as PEM.
pub type TlsPair = (Vec<u8>, Vec<u8>);

impl Settings {
    /// Reads what `serve` is told.
    pub fn read(flags: &ServeFlags) -> Result<Self, Problem> {
        Self::extract(flags.store.config.as_deref(), flags)
    }

    /// Reads what a command is told that needs the store alone.
    pub fn read_store(flags: &StoreFlags) -> Result<Self, Problem> {
        Self::extract(flags.config.as_deref(), flags)
    }

    fn extract(file: Option<&Path>, flags: &impl Serialize) -> Result<Self, Problem> {
        let defaults = [
            ("listen", DEFAULT_LISTEN),
            ("data_dir", DEFAULT_DATA_DIR),
            ("log", "info"),
        ];
        let mut figment = Figment::new();
        for (key, value) in defaults {
            figment = figment.merge(Serialized::default(key, value));
        }
        figment
            .merge(toml(file)?)
            .merge(secrets(&[
                "master_key",
                "next_master_key",
                "database_password",
                "smtp_password",
                "views_token",
            ]))
            .merge(Serialized::defaults(flags))
            .extract_lossy()
            .map_err(|source| Problem::Configuration(Box::new(source)))
    }

    /// The address of the database with its password, where the log lives in one.
    pub fn database(&self) -> Result<Option<String>, Problem> {
        let Some(text) = &self.database_url else {
            return Ok(None);
        };
        let mut url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
            .ok_or_else(|| {
                Problem::Usage(
                    "the database URL is not of the form postgres://USER@HOST/NAME".to_owned(),
                )
            })?;
        let password = match &self.database_password_file {
            Some(path) => Some(read_text(path)?),
            None => self.database_password.clone(),
        };
        if let Some(password) = password {
            url.set_password(Some(&password)).map_err(|()| {
                Problem::Usage("the database URL names no host to give a password to".to_owned())
            })?;
        }
        Ok(Some(url.into()))
    }

    /// The master key as base64, where one is given.
    pub fn master_key(&self) -> Result<Option<String>, Problem> {
        match &self.master_key_file {
            Some(path) => read_text(path).map(Some),
            None => Ok(self.master_key.clone()),
        }
    }

    /// The master key to rotate to as base64, where one is given.
    pub fn next_master_key(&self) -> Result<Option<String>, Problem> {
        match &self.next_master_key_file {
            Some(path) => read_text(path).map(Some),
            None => Ok(self.next_master_key.clone()),
        }
    }

    /// The public keys that tokens are checked with, as PEM.
    pub fn token_keys(&self) -> Result<Vec<String>, Problem> {
        self.token_key_files
            .iter()
            .map(|path| read_text(path))
            .collect()
    }

    /// Where views are taken from, where they are.
    pub fn views_from(&self) -> Result<Option<ViewsFrom>, Problem> {
        let Some(server) = self.views_from.clone() else {
            return Ok(None);
        };
        if self.database_url.is_none() {
            return Err(Problem::Usage(
                "--views-from needs --database-url: an embedded log has one process".to_owned(),
            ));
        }
        let token = match &self.views_token_file {
            Some(path) => Some(read_text(path)?),
            None => self.views_token.clone(),
        };
        let token = token.ok_or_else(|| {
            let missing = "--views-from needs --views-token-file, with the token of an operator";
            Problem::Usage(missing.to_owned())
        })?;
        Ok(Some(ViewsFrom {
            server,
            token,
            ca_pem: self.views_ca_file.as_deref().map(read_bytes).transpose()?,
        }))
    }

    /// How mail is sent, where it is.
    pub fn mail(&self) -> Result<Option<MailOptions>, Problem> {
        let Some(server) = self.smtp_url.clone() else {
            return Ok(None);
        };
        let (Some(from), Some(link_base)) = (&self.mail_from, &self.mail_link_base) else {
            return Err(Problem::Usage(
                "mail needs --mail-from, whom it comes from, and --mail-link-base, where its links lead"
                    .to_owned(),
            ));
        };
        let password = match &self.smtp_password_file {
            Some(path) => Some(read_text(path)?),
            None => self.smtp_password.clone(),
        };
        Ok(Some(MailOptions {
            server,
            password,
            ca_pem: self.smtp_ca_file.as_deref().map(read_bytes).transpose()?,
            allow_plaintext: self.smtp_allow_plaintext.unwrap_or_default(),
            from: from.clone(),
            link_base: link_base.clone(),
            templates: self.mail_templates.clone(),
            language: self
                .mail_language
                .clone()
                .unwrap_or_else(|| "en".to_owned()),
        }))
    }

    /// What a password's hash costs; what is given is never below the least it may.
    pub fn hash_cost(&self) -> Cost {
        let least = Cost::default();
        Cost {
            memory_kib: self.hash_memory_kib.max(least.memory_kib),
            passes: self.hash_passes.max(least.passes),
        }
    }

    /// The certificate and its key, where both are given.
    pub fn tls(&self) -> Result<Option<TlsPair>, Problem> {
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => {
                Ok(Some((read_bytes(certificate)?, read_bytes(key)?)))
            }
            (None, None) => Ok(None),
            _ => Err(Problem::Usage(
                "TLS needs both a certificate file and its key file".to_owned(),
            )),
        }
    }
}

/// Reads what a client is told beyond its flags: the token from the environment, and the file's table `[client]`.
pub fn read_client(flags: ClientSettings, file: Option<&Path>) -> Result<ClientSettings, Problem> {
    let problem = |source: figment::Error| Problem::Configuration(Box::new(source));
    let from_file: ClientSettings = match Figment::from(toml(file)?).find_value("client") {
        Ok(value) => value.deserialize().map_err(problem)?,
        Err(_) => ClientSettings::default(),
    };
    let figment = Figment::from(Serialized::defaults(from_file)).merge(secrets(&["token"]));
    figment
        .merge(Serialized::defaults(flags))
        .extract_lossy()
        .map_err(problem)
}

/// The variables that hold secrets, which have no flag; the others are read with their flags.
fn secrets(names: &'static [&'static str]) -> Env {
    Env::prefixed("ROLLBOOK_").only(names)
}

/// The file, or nothing where none is named; one that is named must be there.
fn toml(file: Option<&Path>) -> Result<figment::providers::Data<Toml>, Problem> {
    match file {
        Some(path) => read_bytes(path).map(|_| Toml::file_exact(path)),
        None => Ok(Toml::string("")),
    }
}

fn read_text(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|source| Problem::File {
            action: "read",
            path: path.to_owned(),
            source,
        })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|source| Problem::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_flag_stands_over_the_file_and_the_file_over_the_default() {
        let file =
            file("listen = \"127.0.0.1:1\"\ndata_dir = \"/from/file\"\nlog_format = \"json\"\n");
        let flags = ServeFlags {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            store: StoreFlags {
                config: Some(file.path().to_owned()),
                ..StoreFlags::default()
            },
            ..ServeFlags::default()
        };
        let settings = Settings::read(&flags).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.data_dir, Path::new("/from/file"));
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(settings.log, "info");
        assert!(!settings.migrate);
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_by_name() {
        let file = file("lisen = \"127.0.0.1:1\"\n");
        let flags = StoreFlags {
            config: Some(file.path().to_owned()),
            ..StoreFlags::default()
        };
        let problem = Settings::read_store(&flags).unwrap_err();
        assert!(
            matches!(&problem, Problem::Configuration(source) if source.to_string().contains("lisen")),
            "{problem:?}"
        );
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let flags = StoreFlags {
            config: Some("/nowhere/rollbook.toml".into()),
            ..StoreFlags::default()
        };
        assert!(matches!(
            Settings::read_store(&flags),
            Err(Problem::File { .. })
        ));
    }

    #[test]
    fn the_password_of_the_database_comes_from_its_file() {
        let password = file("s3cret with / and @\n");
        let flags = StoreFlags {
            database_url: Some("postgres://rollbook@db.example/rollbook?sslmode=require".into()),
            database_password_file: Some(password.path().to_owned()),
            ..StoreFlags::default()
        };
        let url = Settings::read_store(&flags)
            .unwrap()
            .database()
            .unwrap()
            .unwrap();
        assert_eq!(
            url,
            "postgres://rollbook:s3cret%20with%20%2F%20and%20%40@db.example/rollbook?sslmode=require"
        );
    }

    #[test]
    fn views_come_from_a_process_on_the_same_database_with_a_token() {
        let token = file("head.body.signature\n");
        let flags = |database: bool, token_file: Option<PathBuf>| ServeFlags {
            views_from: Some("https://one.example:7657".parse().unwrap()),
            views_token_file: token_file,
            store: StoreFlags {
                database_url: database.then(|| "postgres://rollbook@db/rollbook".to_owned()),
                ..StoreFlags::default()
            },
            ..ServeFlags::default()
        };
        let read = |flags: &ServeFlags| Settings::read(flags).unwrap().views_from();
        let from = read(&flags(true, Some(token.path().to_owned())));
        assert_eq!(from.unwrap().unwrap().token, "head.body.signature");
        for incomplete in [
            flags(false, Some(token.path().to_owned())),
            flags(true, None),
        ] {
            assert!(matches!(read(&incomplete), Err(Problem::Usage(_))));
        }
        assert!(read(&ServeFlags::default()).unwrap().is_none());
    }

    #[test]
    fn a_database_url_of_another_kind_is_refused() {
        let flags = StoreFlags {
            database_url: Some("mysql://db/rollbook".into()),
            ..StoreFlags::default()
        };
        assert!(matches!(
            Settings::read_store(&flags).unwrap().database(),
            Err(Problem::Usage(_))
        ));
    }

    #[test]
    fn a_client_reads_its_table_of_the_file() {
        let file = file(
            "listen = \"127.0.0.1:1\"\n[client]\nserver = \"http://one\"\naccount = \"acme\"\n",
        );
        let flags = ClientSettings {
            account: Some("other".into()),
            ..ClientSettings::default()
        };
        let settings = read_client(flags, Some(file.path())).unwrap();
        assert_eq!(settings.server.as_deref(), Some("http://one"));
        assert_eq!(settings.account.as_deref(), Some("other"));
        assert!(settings.token_file.is_none());
    }
}
