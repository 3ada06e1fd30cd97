//! Mail: what it says, in whose language, and the server that takes it.
//!
//! To whom a mail goes and what it says is read when it is sent, and stands nowhere before nor after.

mod postman;
mod templates;

use std::path::PathBuf;

use rollbook_aggregates::domain::Timestamp;
use url::Url;

pub(crate) use postman::{AT_ONCE, Away, Message, Postman, Unsent};
pub(crate) use templates::{Subject, Templates, Words};

/// How mail is sent.
#[derive(Clone)]
pub struct MailOptions {
    /// The server: `smtps://` with TLS from the start; `smtp://` with STARTTLS, or in plain text on this machine unless a CA is named.
    pub server: Url,
    /// The password for the user whom the server's URL names.
    pub password: Option<String>,
    /// A certificate, PEM, that the server may be trusted by beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether mail may travel to another machine in plain text where the server has no STARTTLS.
    pub allow_plaintext: bool,
    /// From whom mail comes, as `Name <address>` or the address alone.
    pub from: String,
    /// Where links lead: `welcome`, `password-reset` and `invitation` are added to its path, and the token to its query.
    pub link_base: Url,
    /// A folder with templates that stand over those that come with the program.
    pub templates: Option<PathBuf>,
    /// The language of those whose own is not known, or has no template.
    pub language: String,
}

/// Why mail cannot be sent as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The URL of the server is not one.
    #[error("the URL of the mail server is not of the form smtp://HOST or smtps://HOST")]
    Server,
    /// A password stands in the URL.
    #[error("the password for the mail server must not stand in its URL")]
    PasswordInUrl,
    /// There is no certificate where one was named.
    #[error("the file with the mail server's certificate holds none")]
    Certificate,
    /// The certificate is unusable, or TLS cannot be set up.
    #[error("TLS for mail cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// The sender's address is not one.
    #[error("mail cannot come from this address")]
    From(#[source] lettre::address::AddressError),
    /// Links cannot be built on this URL.
    #[error("links cannot begin with this URL: give one such as https://portal.example/")]
    LinkBase,
    /// The folder of templates cannot be read.
    #[error("the templates in {folder} cannot be read")]
    Folder {
        /// Which folder.
        folder: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A template makes no mail.
    #[error("the template {name} makes no mail: {problem}")]
    Template {
        /// Which.
        name: String,
        /// Why.
        problem: String,
    },
}

/// What mail is made with, and sent by.
pub(crate) struct Mailer {
    /// What it says.
    pub(crate) templates: Templates,
    /// Who brings it.
    pub(crate) postman: Postman,
    link_base: Url,
}

impl Mailer {
    /// One that is ready, or why it cannot be.
    pub(crate) fn new(options: &MailOptions) -> Result<Self, MailError> {
        let link_base = options.link_base.clone();
        if link_base.cannot_be_a_base() || !matches!(link_base.scheme(), "http" | "https") {
            return Err(MailError::LinkBase);
        }
        Ok(Self {
            templates: Templates::load(options.templates.as_deref(), &options.language)?,
            postman: Postman::new(options)?,
            link_base,
        })
    }

    /// The link that brings a token.
    pub(crate) fn link(&self, subject: Subject, token: &str) -> String {
        let mut link = self.link_base.clone();
        if let Ok(mut path) = link.path_segments_mut() {
            path.pop_if_empty().push(subject.name());
        }
        link.query_pairs_mut().append_pair("token", token);
        link.into()
    }
}

/// A time as mail tells it.
pub(crate) fn told(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests;
