//! `rollbook access`: what users of other accounts may do in an account.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    GrantAccessRequest, GrantAccessResponse, ListAccessesRequest, ListAccessesResponse,
    RevokeAccessRequest, RevokeAccessResponse, UpdateAccessRequest, UpdateAccessResponse,
};

use super::{
    choices::{Type, or_none},
    client::{Client, ClientFlags, CommandFlags, commit, mask},
    pages::{Page, more, read_pages},
    problem::Problem,
    views,
};

/// External users of an account.
#[derive(Args, Debug)]
pub struct AccessArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Subcommand, Debug)]
enum AccessCommand {
    /// Give a user of another account access to this one
    Grant(Grant),
    /// Change what an external user may do here: what is given, and nothing else
    Update(Update),
    /// End an external user's access, and its sessions here
    Revoke(Revoke),
    /// List the external users of an account, or all accesses of a user
    List(List),
}

/// Runs a command about accesses.
pub async fn run(args: AccessArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        AccessCommand::Grant(grant) => grant.run(&client).await,
        AccessCommand::Update(update) => update.run(&client).await,
        AccessCommand::Revoke(revoke) => revoke.run(&client).await,
        AccessCommand::List(list) => list.run(&client).await,
    }
}

/// Flags of `access grant`.
#[derive(Args, Debug)]
struct Grant {
    /// The user's id, as its home account knows it
    user: String,
    /// What kind of user it is to be here; standard where none is given
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<Type>,
    /// A grant here, for the whole account or for one company; several are named one after the other
    #[arg(long = "permission", value_name = "MODULE[@COMPANY]")]
    permissions: Vec<String>,
    #[command(flatten)]
    command: CommandFlags,
}

impl Grant {
    /// Grants the access.
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = GrantAccessRequest {
            account_id: client.account()?,
            user_id: self.user,
            user_type: or_none(self.user_type, Type::wire),
            permissions: client.permissions(&self.permissions).await?,
            command: Some(command),
        };
        let answer = commit(&id, client.external_access().grant_access(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `access update`.
#[derive(Args, Debug)]
struct Update {
    /// The user's id; `rollbook access list` shows it
    user: String,
    /// The new type
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<Type>,
    /// The grants it is to have; several are named one after the other
    #[arg(long = "permission", value_name = "MODULE[@COMPANY]")]
    permissions: Vec<String>,
    /// Take all grants from it
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    #[command(flatten)]
    command: CommandFlags,
}

impl Update {
    /// Changes what is given.
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let grants = self.no_permissions || !self.permissions.is_empty();
        let mask = mask(&[
            ("user_type", self.user_type.is_some()),
            ("permissions", grants),
        ])?;
        let request = UpdateAccessRequest {
            account_id: client.account()?,
            user_id: self.user,
            user_type: or_none(self.user_type, Type::wire),
            permissions: client.permissions(&self.permissions).await?,
            update_mask: Some(mask),
            command: Some(command),
        };
        let answer = commit(&id, client.external_access().update_access(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `access revoke`.
#[derive(Args, Debug)]
struct Revoke {
    /// The user's id; `rollbook access list` shows it
    user: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl Revoke {
    /// Ends the access.
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RevokeAccessRequest {
            account_id: client.account()?,
            user_id: self.user,
            command: Some(command),
        };
        let answer = commit(&id, client.external_access().revoke_access(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `access list`.
#[derive(Args, Debug)]
struct List {
    /// Only those of this user, by id; without an account: to all accounts (for operators)
    #[arg(
        long,
        value_name = "USER",
        default_value = "",
        hide_default_value = true
    )]
    user: String,
    /// Those that have ended, too
    #[arg(long)]
    all: bool,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Count all that match, too
    #[arg(long)]
    total: bool,
}

impl List {
    /// Lists the accesses.
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let total = std::cell::Cell::new(None);
        let rows = read_pages(self.limit, "accesses", async |page_size, page_token| {
            let request = ListAccessesRequest {
                account_id: client.any_account(),
                user_id: self.user.clone(),
                include_ended: self.all,
                include_total: self.total && page_token.is_empty(),
                page_size,
                page_token,
                read: None,
            };
            let answer = client.external_access().list_accesses(request).await?;
            let page = answer.into_inner();
            total.set(total.get().or(page.total));
            Ok(Page {
                rows: page.accesses,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListAccessesResponse {
            accesses: rows.rows,
            next_page_token: rows.next,
            total: total.get(),
        };
        client.output.show(&answer, || {
            let total = answer
                .total
                .map(|total| format!("\n{total} in all"))
                .unwrap_or_default();
            views::accesses(&answer.accesses) + &total + more
        })
    }
}

/// An answer that holds an access as it is after a commit.
trait AccessAfter {
    /// The access in words, and what became of the command.
    fn text(&self) -> String;
}

macro_rules! access_after {
    ($($answer:ident),* $(,)?) => {$(
        impl AccessAfter for $answer {
            fn text(&self) -> String {
                let access = self.access.as_ref().map(views::access).unwrap_or_default();
                format!("{access}\n{}", views::committed(self.revision, self.position))
            }
        }
    )*};
}

access_after! {
    GrantAccessResponse, UpdateAccessResponse, RevokeAccessResponse,
}
