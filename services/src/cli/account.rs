//! `rollbook account`: accounts, their companies and their catalogues.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{Account, GetAccountRequest, ListAccountsRequest, ListAccountsResponse};

use super::{
    client::{Client, ClientFlags},
    pages::{Page, more, read_pages},
    problem::Problem,
    views::{self, committed},
};

mod catalogue;
mod create;
mod settings;

/// Accounts, their companies and their catalogues.
#[derive(Args, Debug)]
pub struct AccountArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand, Debug)]
enum AccountCommand {
    /// Create an account with its first administrator
    Create(Box<create::Create>),
    /// Show one account with its companies, roles and modules
    Get(Get),
    /// List the accounts
    List(List),
    /// Change an account's title and settings: what is given, and nothing else
    Settings(settings::Settings),
    /// Add a company
    AddCompany(catalogue::AddCompany),
    /// Give a company another title
    RenameCompany(catalogue::RenameCompany),
    /// Remove a company that no user is linked to
    RemoveCompany(catalogue::RemoveCompany),
    /// Define a role, or give it another title
    DefineRole(catalogue::DefineRole),
    /// Remove a role that no user holds
    RemoveRole(catalogue::RemoveRole),
    /// Define a module, or change its title or whom it is for
    DefineModule(catalogue::DefineModule),
    /// Remove a module that no user has a grant on
    RemoveModule(catalogue::RemoveModule),
}

/// Runs a command about accounts.
pub async fn run(args: AccountArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        AccountCommand::Create(create) => create.run(&client).await,
        AccountCommand::Get(get) => get.run(&client).await,
        AccountCommand::List(list) => list.run(&client).await,
        AccountCommand::Settings(settings) => settings.run(&client).await,
        AccountCommand::AddCompany(add) => add.run(&client).await,
        AccountCommand::RenameCompany(rename) => rename.run(&client).await,
        AccountCommand::RemoveCompany(remove) => remove.run(&client).await,
        AccountCommand::DefineRole(define) => define.run(&client).await,
        AccountCommand::RemoveRole(remove) => remove.run(&client).await,
        AccountCommand::DefineModule(define) => define.run(&client).await,
        AccountCommand::RemoveModule(remove) => remove.run(&client).await,
    }
}

/// An account as it is after a commit, and what became of the command.
fn after(account: Option<&Account>, revision: u64, position: u64) -> String {
    format!(
        "{}\n{}",
        account.map(views::account).unwrap_or_default(),
        committed(revision, position)
    )
}

#[derive(Args, Debug)]
struct Get {
    /// The account; the one of --account where none is given
    id: Option<String>,
}

impl Get {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let account_id = self.id.map_or_else(|| client.account(), Ok)?;
        let request = GetAccountRequest {
            account_id,
            read: None,
        };
        let answer = client.accounts().get_account(request).await?.into_inner();
        client.output.show(&answer, || {
            answer
                .account
                .as_ref()
                .map(views::account)
                .unwrap_or_default()
        })
    }
}

#[derive(Args, Debug)]
struct List {
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl List {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let rows = read_pages(self.limit, "accounts", async |page_size, page_token| {
            let request = ListAccountsRequest {
                page_size,
                page_token,
                read: None,
            };
            let page = client.accounts().list_accounts(request).await?.into_inner();
            Ok(Page {
                rows: page.accounts,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListAccountsResponse {
            accounts: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || views::accounts(&answer.accounts) + more)
    }
}
