//! The server that takes mail (RFC 5321), and what its answers mean.
//!
//! Of an answer only the code is kept: the text may name the address.

use std::net::IpAddr;
use std::time::Duration;

use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::mail::MailFailure;
use rollbook_aggregates::values::{EmailAddress, MailId};

use super::templates::Said;

use super::{MailError, MailOptions};
use crate::failure::chain;

/// How many mails are on their way at a time.
pub(crate) const AT_ONCE: u32 = 4;
/// How long the server may take for one step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that no answer is wanted from whoever is away (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail, ready to be sent.
pub(crate) struct Message(lettre::Message);

/// The server is not there for any mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Away {
    /// What it answered, if it did.
    pub(crate) code: Option<u16>,
    /// What is wrong with the connection, if that is.
    pub(crate) cause: Option<String>,
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The server is not there for any mail.
    Away(Away),
    /// The server refuses this one for good.
    Refused(u16),
    /// This one may be taken another time.
    Later(MailFailure),
}

/// Brings mail to the server.
pub(crate) struct Postman {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Postman {
    /// One that uses this server.
    pub(crate) fn new(options: &MailOptions) -> Result<Self, MailError> {
        let url = &options.server;
        let from: Mailbox = options.from.parse().map_err(MailError::From)?;
        if url.password().is_some() {
            return Err(MailError::PasswordInUrl);
        }
        let host = url.host_str().ok_or(MailError::Server)?;
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(parameters(options, host)?), 465),
            // Who names whom to trust means TLS, wherever the server is.
            "smtp" if is_loopback(host) && options.ca_pem.is_none() => (Tls::None, 25),
            "smtp" if options.allow_plaintext => {
                (Tls::Opportunistic(parameters(options, host)?), 25)
            }
            "smtp" => (Tls::Required(parameters(options, host)?), 587),
            _ => return Err(MailError::Server),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .tls(tls)
            .port(url.port().unwrap_or(port))
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(AT_ONCE));
        if let (user, Some(password)) = (url.username(), &options.password) {
            let user = decoded(user);
            transport = transport.credentials(Credentials::new(user, password.clone()));
        }
        Ok(Self {
            transport: transport.build(),
            from,
        })
    }

    /// Makes a mail; the same one has the same id however often it is made, so that whoever gets it twice can tell.
    pub(crate) fn message(
        &self,
        mail: MailId,
        to: &EmailAddress,
        said: Said,
        now: Timestamp,
    ) -> Result<Message, MailFailure> {
        let to: Address = to.as_str().parse().map_err(|_| MailFailure::BadAddress)?;
        let text = SinglePart::plain(said.text);
        let builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(said.subject)
            .date(now.into())
            .message_id(Some(format!("<{mail}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(
                AUTO_SUBMITTED,
                "auto-generated".to_owned(),
            ));
        let message = match said.html {
            Some(html) => {
                let html = SinglePart::builder()
                    .header(ContentType::TEXT_HTML)
                    .body(html);
                builder.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
            }
            None => builder.singlepart(text),
        };
        message.map(Message).map_err(|_| MailFailure::BadAddress)
    }

    /// Whether the server takes mail at all now.
    pub(crate) async fn is_there(&self) -> Result<(), Away> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Away::default()),
            Err(error) => {
                let code = error.status().map(u16::from);
                let is_silent = code.is_none() && !error.is_response();
                let cause = is_silent.then(|| chain(&error));
                Err(Away { code, cause })
            }
        }
    }

    /// Brings a mail there.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Unsent> {
        let Message(message) = message;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(judge(error.status().map(u16::from), error.is_permanent())),
        }
    }
}

/// What an answer means for the mail it was given to.
fn judge(code: Option<u16>, is_permanent: bool) -> Unsent {
    match code {
        // The server closes, or wants to know who we are (RFC 5321, RFC 4954): that is about no mail.
        Some(421 | 454 | 530 | 534 | 535 | 538) => Unsent::Away(Away { code, cause: None }),
        Some(code) if is_permanent => Unsent::Refused(code),
        Some(code) => Unsent::Later(MailFailure::PutOff(code)),
        None => Unsent::Later(MailFailure::BrokenOff),
    }
}

fn parameters(options: &MailOptions, host: &str) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = &options.ca_pem {
        // What holds no certificate is read as none.
        if !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(MailError::Certificate);
        }
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(MailError::Tls)?);
    }
    builder.build_rustls().map_err(MailError::Tls)
}

/// Whether a host is this machine. A URL of this scheme tells an address as a name.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The user's name as it was meant: a URL has to escape what is in many.
fn decoded(user: &str) -> String {
    let query = format!("u={}", user.replace('+', "%2B"));
    let decoded = url::form_urlencoded::parse(query.as_bytes()).next();
    decoded.map_or_else(|| user.to_owned(), |(_, user)| user.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_one_mail_or_about_all() {
        for code in [421, 454, 530, 535] {
            let code_told = Some(code);
            let away = Unsent::Away(Away {
                code: code_told,
                cause: None,
            });
            assert_eq!(judge(Some(code), code >= 500), away);
        }
        assert_eq!(judge(Some(550), true), Unsent::Refused(550));
        let later = Unsent::Later(MailFailure::PutOff(451));
        assert_eq!(judge(Some(451), false), later);
        assert_eq!(judge(None, false), Unsent::Later(MailFailure::BrokenOff));
    }

    #[test]
    fn this_machine_is_known_by_each_of_its_names() {
        for (url, is_this) in [
            ("smtp://localhost", true),
            ("smtp://127.0.0.1:25", true),
            ("smtp://[::1]:25", true),
            ("smtp://192.0.2.1", false),
            ("smtp://localhost.example", false),
        ] {
            let url: url::Url = url.parse().unwrap();
            assert_eq!(is_loopback(url.host_str().unwrap()), is_this, "{url}");
        }
    }

    #[test]
    fn the_name_of_a_user_is_taken_as_it_was_meant() {
        for (written, meant) in [("ann", "ann"), ("a%40b", "a@b"), ("a+b", "a+b"), ("", "")] {
            assert_eq!(decoded(written), meant);
        }
    }
}
