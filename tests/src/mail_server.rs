//! A real mail server of one's own, which can be away for a while and refuse whom it is told to.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rollbook_services::mail::MailOptions;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long mail may take, or the server to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a protected server is logged in to with.
const LOGIN: &str = "rollbook";
const PASSWORD: &str = "qpwmail pewter button 9";

/// How a mail server protects what is said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    Plaintext,
    /// With TLS from the first word on, and a password.
    Tls,
    /// With TLS once it was greeted, and a password.
    StartTls,
}

/// A mail server.
pub struct MailServer {
    folder: TempDir,
    port: u16,
    serving: Option<Child>,
    protection: Protection,
    ca_pem: Option<Vec<u8>>,
}

/// A mail as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its id, the same for a mail that came twice.
    pub message_id: String,
    /// As plain text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Everything of it.
    pub whole: Value,
}

impl Arrived {
    /// The token in its link.
    #[must_use]
    pub fn token(&self) -> String {
        let (_, token) = self.text.split_once("?token=").expect("a link");
        token.split_whitespace().next().unwrap().to_owned()
    }
}

impl MailServer {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(Protection::Plaintext).await
    }

    /// Starts one that is protected so.
    pub async fn start_with(protection: Protection) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_pem = (protection != Protection::Plaintext).then(|| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let certificate = made.cert.pem();
            fs::write(folder.path().join("certificate.pem"), &certificate).unwrap();
            let key = made.signing_key.serialize_pem();
            fs::write(folder.path().join("key.pem"), key).unwrap();
            let login = format!("{LOGIN} {PASSWORD}\n");
            fs::write(folder.path().join("login"), login).unwrap();
            if protection == Protection::Tls {
                fs::write(folder.path().join("tls-from-the-start"), "").unwrap();
            }
            certificate.into_bytes()
        });
        let mut server = Self {
            folder,
            port: 0,
            serving: None,
            protection,
            ca_pem,
        };
        server.resume().await;
        server
    }

    /// Ends it, as a failure would.
    pub async fn halt(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.kill().await.unwrap();
        }
    }

    /// Starts it again where it was.
    pub async fn resume(&mut self) {
        let mut serving = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/mail"))
            .arg("serve")
            .arg(self.folder.path())
            .arg(self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = serving.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let port = line.expect("the mail server does not start").unwrap();
        self.port = port
            .and_then(|port| port.parse().ok())
            .expect("the mail server tells no port");
        self.serving = Some(serving);
    }

    /// How a service sends its mail here.
    #[must_use]
    pub fn options(&self) -> MailOptions {
        let port = self.port;
        let (server, password) = match self.protection {
            Protection::Plaintext => (format!("smtp://127.0.0.1:{port}"), None),
            Protection::Tls => (format!("smtps://{LOGIN}@localhost:{port}"), Some(PASSWORD)),
            Protection::StartTls => (format!("smtp://{LOGIN}@localhost:{port}"), Some(PASSWORD)),
        };
        MailOptions {
            server: server.parse().unwrap(),
            password: password.map(str::to_owned),
            ca_pem: self.ca_pem.clone(),
            allow_plaintext: false,
            from: "Rollbook <noreply@rollbook.example>".to_owned(),
            link_base: "https://portal.example/".parse().unwrap(),
            templates: None,
            language: "en".to_owned(),
        }
    }

    /// Refuses mail to this address with this code from now on.
    pub fn refuse(&self, address: &str, code: u16) {
        fs::write(self.refused(), format!("{address} {code}\n")).unwrap();
    }

    /// Takes mail to everybody.
    pub fn refuse_nobody(&self) {
        fs::write(self.refused(), "").unwrap();
    }

    fn refused(&self) -> std::path::PathBuf {
        self.folder.path().join("refused")
    }

    /// Everything that arrived so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Arrived> {
        let mails = fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        // A line that is being written has no end yet.
        let complete = mails.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(arrived).collect()
    }

    /// Waits for the mail that was sent to an address after so many others, and answers it.
    pub async fn mail_to(&self, address: &str, after: usize) -> Arrived {
        let mail = async {
            loop {
                let mut mails = self.mails().into_iter().filter(|mail| mail.to == address);
                if let Some(mail) = mails.nth(after) {
                    return mail;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, mail).await;
        arrived.unwrap_or_else(|_| panic!("no mail {after} to {address}: {:?}", self.mails()))
    }

    /// Waits until there is a mail to each of these, and answers them all.
    pub async fn mails_to(&self, addresses: &[&str]) -> Vec<Arrived> {
        let all = async {
            loop {
                let mails = self.mails();
                let has = |address: &&str| mails.iter().any(|mail| mail.to == *address);
                if addresses.iter().all(has) {
                    return mails;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, all).await;
        arrived.unwrap_or_else(|_| panic!("no mail to each of {addresses:?}: {:?}", self.mails()))
    }
}

fn arrived(line: &str) -> Arrived {
    let whole: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| whole[name].as_str().unwrap_or_default().to_owned();
    Arrived {
        to: whole["to"][0].as_str().unwrap_or_default().to_owned(),
        subject: text("subject"),
        message_id: text("message_id"),
        text: text("text"),
        html: text("html"),
        whole,
    }
}
