//! `rollbook token`: mints a token and prints it, and nothing else.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use rollbook_eventstore::Clock;

use super::{keys::TOKEN_KEY, output::print, problem::Problem, term::term};
use crate::{
    caller::{Claims, Minter, Role, numeric_date},
    config::{Settings, StoreFlags},
};

/// Flags of `token`.
#[derive(Args, Debug)]
pub struct TokenFlags {
    /// What the caller is: operator, administrator, service, portal, auditor or self
    #[arg(long)]
    role: Role,
    /// The only account it is for; all where none is given. Administrator and self need one
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Who calls: for administrator and self the id of the user, else a name of your choice
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// The service that calls
    #[arg(long, value_name = "NAME", default_value = "rollbook-cli")]
    service: String,
    /// What else it allows, such as personal-data; several are named one after the other
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it is valid, such as 90s, 15m, 8h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = term)]
    ttl: Duration,
    /// PEM file with the private key to sign with; without it the one of the data directory
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlags,
}

/// Mints the token and prints it.
pub fn run(flags: TokenFlags) -> Result<(), Problem> {
    let subject = match (flags.subject, flags.role) {
        (Some(subject), _) => subject,
        (None, Role::Administrator | Role::Own) => {
            return Err(Problem::Usage(
                "name the user's id with --subject".to_owned(),
            ));
        }
        (None, role) => role.to_string(),
    };
    if flags.account.is_none() && matches!(flags.role, Role::Administrator | Role::Own) {
        return Err(Problem::Usage("name the account with --account".to_owned()));
    }
    let path = match flags.key_file {
        Some(path) => path,
        None => Settings::read_store(&flags.store)?.data_dir.join(TOKEN_KEY),
    };
    let pem = fs::read_to_string(&path).map_err(|source| Problem::File {
        action: "read the key for tokens from",
        path,
        source,
    })?;
    let token = Caller {
        role: flags.role,
        account: flags.account,
        subject,
        service: flags.service,
        scope: flags.scopes.join(" "),
    };
    print(&token.mint(&pem, flags.ttl)?)
}

/// Who a token is for.
pub struct Caller {
    /// What the caller is.
    pub role: Role,
    /// The only account it is for.
    pub account: Option<String>,
    /// Who calls.
    pub subject: String,
    /// The service that calls.
    pub service: String,
    /// What else it allows.
    pub scope: String,
}

impl Caller {
    /// A token for this caller, signed with a private key in PEM, valid from now on for a time.
    pub fn mint(self, pem: &str, ttl: Duration) -> Result<String, Problem> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            Problem::failed("sign the token", source)
        };
        let minter = Minter::from_pem(pem).map_err(|source| failed(source.into()))?;
        let now = numeric_date(Clock::system().now());
        let claims = Claims {
            sub: self.subject,
            azp: self.service,
            role: self.role,
            account: self.account,
            scope: self.scope,
            iat: now,
            exp: now + ttl.as_secs_f64(),
        };
        minter.mint(&claims).map_err(|source| failed(source.into()))
    }
}
