//! The stage of the tour: a running service, its callers, and the voice that tells what happens.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rollbook_proto::v1::{Company, User};
use tonic::transport::{Channel, Endpoint};

use crate::{
    caller::{PERSONAL_DATA, Role},
    cli::{client::Client, keys::TOKEN_KEY, output::print, problem::Problem, token::Caller},
};

/// The account that the tour makes.
pub const ACCOUNT: &str = "nordlys";
/// How long the tour's tokens are valid.
const TERM: Duration = Duration::from_hours(12);

/// A running service and what the tour has made in it.
pub struct Stage {
    channel: Channel,
    signing_key: String,
    /// Where the service keeps its data.
    pub data_dir: PathBuf,
    /// The companies of the account.
    pub companies: Vec<Company>,
    /// The first administrator.
    pub administrator: User,
}

impl Stage {
    /// Connects to the service whose data directory holds the key for tokens.
    pub async fn enter(server: &str, data_dir: &Path) -> Result<Self, Problem> {
        let path = data_dir.join(TOKEN_KEY);
        let signing_key = fs::read_to_string(&path).map_err(|source| Problem::File {
            action: "read",
            path,
            source,
        })?;
        let unreachable = |source| Problem::Unreachable {
            server: server.to_owned(),
            source,
        };
        let endpoint = Endpoint::from_shared(server.to_owned()).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self {
            channel,
            signing_key,
            data_dir: data_dir.to_owned(),
            companies: Vec::new(),
            administrator: User::default(),
        })
    }

    /// A token for a role: of the account, or of all accounts for the operator and the portal.
    pub fn token(&self, role: Role, subject: &str) -> Result<String, Problem> {
        let whole = matches!(role, Role::Operator | Role::Portal);
        let service = match role {
            Role::Service | Role::Portal => subject,
            Role::Operator | Role::Administrator | Role::Auditor | Role::Own => "console",
        };
        let scope = if role == Role::Auditor {
            PERSONAL_DATA
        } else {
            ""
        };
        let caller = Caller {
            role,
            account: (!whole).then(|| ACCOUNT.to_owned()),
            subject: subject.to_owned(),
            service: service.to_owned(),
            scope: scope.to_owned(),
        };
        caller.mint(&self.signing_key, TERM)
    }

    /// Calls as a role.
    pub fn caller(&self, role: Role, subject: &str) -> Result<Client, Problem> {
        Client::over(
            self.channel.clone(),
            &self.token(role, subject)?,
            Some(ACCOUNT),
        )
    }

    /// Calls as the first administrator.
    pub fn as_administrator(&self) -> Result<Client, Problem> {
        self.caller(Role::Administrator, &self.administrator.user_id)
    }

    /// The id of a company by its title.
    pub fn company(&self, title: &str) -> String {
        let found = self.companies.iter().find(|company| company.title == title);
        found
            .map(|company| company.company_id.clone())
            .unwrap_or_default()
    }
}

/// Begins a chapter.
pub fn chapter(number: u32, title: &str) -> Result<(), Problem> {
    print(&format!("\n{number}. {title}"))
}

/// Tells one thing.
pub fn tell(text: &str) -> Result<(), Problem> {
    print(&format!("   {}", text.replace('\n', "\n   ")))
}
