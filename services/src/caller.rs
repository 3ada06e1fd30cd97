//! Who is calling: bearer tokens, what they say, and how they are checked and minted.
//!
//! A token is a JWT (RFC 7519) signed with Ed25519 (`EdDSA`, RFC 8037). A verified one is remembered until it expires, so that
//! a call does not pay for its signature again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rollbook_aggregates::domain::{Actor, Timestamp};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::Clock;
use rollbook_proto::v1::ErrorReason;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// What a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the installation: accounts, unlocking, external access, operations.
    Operator,
    /// A user who manages one account.
    Administrator,
    /// A service that reads, and reports involvements, of one account or all.
    Service,
    /// A sign-in portal of one account or all: invitations and passwords.
    Portal,
    /// Reads the history of one account or all, nothing else.
    Auditor,
    /// A user who sees and changes its own profile.
    #[serde(rename = "self")]
    Own,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Operator,
        Self::Administrator,
        Self::Service,
        Self::Portal,
        Self::Auditor,
        Self::Own,
    ];

    /// The name in a token's `role`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Administrator => "administrator",
            Self::Service => "service",
            Self::Portal => "portal",
            Self::Auditor => "auditor",
            Self::Own => "self",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
                format!("must be one of {}", names.join(", "))
            })
    }
}

/// What a token says (the claims of RFC 7519, RFC 8693 and `OpenID` Connect that are used here).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who it is done for, an opaque id of 1 to 128 printable characters; of an administrator and of `self` the user id.
    pub sub: String,
    /// The service that calls, 1 to 128 printable characters.
    pub azp: String,
    /// What the caller is.
    pub role: Role,
    /// The only account it is for; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What else it allows, separated by blanks; known is `personal-data`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// When it was issued: seconds since 1970, with decimals as RFC 7519 allows.
    pub iat: f64,
    /// When it expires, likewise.
    pub exp: f64,
}

/// The scope that is the right to see personal data in history.
pub const PERSONAL_DATA: &str = "personal-data";

/// A caller whose token was verified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is done for.
    pub actor: Actor,
    /// What it is.
    pub role: Role,
    /// The service that calls.
    pub service: String,
    /// The only account it may see; none: all.
    pub account: Option<AccountId>,
    /// Whether it may see personal data in history.
    pub personal_data: bool,
    /// When its token was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Caller {
    /// The service itself, for what it does when nobody asks.
    #[must_use]
    pub fn service_itself(now: Timestamp) -> Self {
        Self {
            actor: Actor::Outside("system".to_owned()),
            role: Role::Operator,
            service: "rollbook".to_owned(),
            account: None,
            personal_data: false,
            issued_at: now,
            expires_at: now,
        }
    }

    /// The user that the caller acts as, where it is one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match &self.actor {
            Actor::Administrator(id) | Actor::ExternalAdministrator(id) | Actor::User(id) => {
                Some(*id)
            }
            Actor::Outside(_) => None,
        }
    }

    /// Whether the caller may know that the account exists.
    #[must_use]
    pub fn may_enter(&self, account: &AccountId) -> bool {
        self.account.as_ref().is_none_or(|own| own == account)
    }
}

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<Vec<DecodingKey>>,
    verified: moka::sync::Cache<String, Arc<Caller>>,
    clock: Clock,
}

/// A key that is not one.
#[derive(Debug, thiserror::Error)]
#[error("not the PEM of an Ed25519 key")]
pub struct BadKey;

impl Verifier {
    const REMEMBERED: u64 = 100_000;

    /// One that accepts what any of these Ed25519 public keys (SPKI PEM) signed.
    ///
    /// # Errors
    /// When one of them is not such a key.
    pub fn new(public_keys: &[String], clock: Clock) -> Result<Self, BadKey> {
        let keys = public_keys
            .iter()
            .map(|pem| DecodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| BadKey))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys: Arc::new(keys),
            verified: moka::sync::Cache::new(Self::REMEMBERED),
            clock,
        })
    }

    /// The caller of a token.
    ///
    /// # Errors
    /// `TOKEN_INVALID` when it is malformed, expired, or signed by an unknown key.
    pub fn verify(&self, token: &str) -> Outcome<Arc<Caller>> {
        let caller = if let Some(caller) = self.verified.get(token) {
            caller
        } else {
            let caller = Arc::new(self.check(token)?);
            self.verified.insert(token.to_owned(), Arc::clone(&caller));
            caller
        };
        if caller.expires_at <= self.clock.now() {
            self.verified.invalidate(token);
            return Err(invalid("the token has expired"));
        }
        Ok(caller)
    }

    fn check(&self, token: &str) -> Outcome<Caller> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The service's own clock judges the expiry, at each use.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = self
            .keys
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok())
            .ok_or_else(|| invalid("the token is malformed or not signed by a known key"))?
            .claims;
        caller_of(claims)
    }
}

fn invalid(message: &str) -> Failure {
    Failure::new(ErrorReason::TokenInvalid, message)
}

fn caller_of(claims: Claims) -> Outcome<Caller> {
    let account = claims
        .account
        .map(|account| AccountId::parse(&account))
        .transpose()
        .map_err(|_| invalid("the token's `account` is not an account id"))?;
    if account.is_none() && matches!(claims.role, Role::Administrator | Role::Own) {
        return Err(invalid("the token's role needs an `account`"));
    }
    let actor = match claims.role {
        Role::Administrator => Actor::Administrator(subject_user(&claims.sub)?),
        Role::Own => Actor::User(subject_user(&claims.sub)?),
        Role::Operator | Role::Service | Role::Portal | Role::Auditor => {
            Actor::Outside(printable(claims.sub, "sub")?)
        }
    };
    Ok(Caller {
        actor,
        role: claims.role,
        service: printable(claims.azp, "azp")?,
        account,
        personal_data: claims.scope.split(' ').any(|scope| scope == PERSONAL_DATA),
        issued_at: moment(claims.iat, "iat")?,
        expires_at: moment(claims.exp, "exp")?,
    })
}

fn subject_user(sub: &str) -> Outcome<UserId> {
    UserId::parse(sub).map_err(|_| invalid("the token's `sub` is not a user id"))
}

fn printable(text: String, name: &str) -> Outcome<String> {
    let fits = (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(text)
    } else {
        Err(invalid(&format!(
            "the token's `{name}` is not 1 to 128 printable ASCII characters"
        )))
    }
}

fn moment(seconds: f64, name: &str) -> Outcome<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float out of range becomes the nearest integer, which is no time"
    )]
    let micros = (seconds * 1e6).round() as i64;
    Timestamp::from_timestamp_micros(micros)
        .ok_or_else(|| invalid(&format!("the token's `{name}` is not a time")))
}

/// Seconds since 1970 with decimals, as a token has them.
#[must_use]
pub fn numeric_date(time: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of this age fit into the 53 bits of a float"
    )]
    let micros = time.timestamp_micros() as f64;
    micros / 1e6
}

/// Mints tokens.
pub struct Minter {
    key: EncodingKey,
    public_pem: String,
}

impl Minter {
    /// One that signs with an Ed25519 private key (PKCS #8 PEM).
    ///
    /// # Errors
    /// When it is not such a key.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let signing = SigningKey::from_pkcs8_pem(pem).map_err(|_| BadKey)?;
        let public_pem = signing
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| BadKey)?;
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| BadKey)?;
        Ok(Self { key, public_pem })
    }

    /// The public key that its tokens are checked with (SPKI PEM).
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// A token.
    ///
    /// # Errors
    /// When the claims cannot be signed.
    pub fn mint(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.key)
    }
}

/// A new Ed25519 private key (PKCS #8 PEM).
///
/// # Errors
/// Never in practice: only when the key cannot be encoded.
pub fn generate_key_pem() -> Result<String, BadKey> {
    let key = SigningKey::generate(&mut rand::rngs::OsRng);
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| BadKey)?;
    Ok(pem.to_string())
}
