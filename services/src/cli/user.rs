//! `rollbook user`: the people of an account.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    ActivateUserRequest, DeactivateUserRequest, DeactivateUserResponse, DeleteUserRequest,
    LockUserRequest, ResendWelcomeRequest, UnlockUserRequest,
};

use super::{
    client::{Client, ClientFlags, CommandFlags, commit},
    output::counted,
    problem::Problem,
    views::{UserAfter as _, welcome_token},
};

mod create;
mod import;
mod links;
mod profile;
mod read;
mod replace;
mod sets;
mod supervisors;
mod watch;

pub use create::{Person, Rights};
pub use links::allegiance;

/// Users of an account.
#[derive(Args, Debug)]
pub struct UserArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand, Debug)]
enum UserCommand {
    /// Create a user
    Create(create::Create),
    /// Create a user with the roles, grants and companies of another
    Copy(create::Copy),
    /// Show one user
    Get(read::Get),
    /// List users
    List(read::List),
    /// Find users by a part of any name, signature or e-mail address; the best matches first
    Find(read::Find),
    /// List who has a user as supervisor
    Reports(supervisors::Reports),
    /// Show the supervisors above a user in a company
    Chain(supervisors::Above),
    /// Change a user's information: what is given, and nothing else
    Update(profile::Update),
    /// Delete a user for good, when nothing needs it any more
    Delete(OneUser),
    /// Tell what stands against deleting a user
    CheckDeletion(read::CheckDeletion),
    /// Tell whether a user may use a module, and if not why
    CheckAccess(read::CheckAccess),
    /// Let a user sign in
    Activate(OneUser),
    /// End that a user may sign in
    Deactivate(OneUser),
    /// Lock a user until it is unlocked
    Lock(OneUser),
    /// Lift every lock of a user
    Unlock(OneUser),
    /// Send a user its first-sign-in link again
    ResendWelcome(OneUser),
    /// Replace, add or remove roles
    Roles(sets::SetRoles),
    /// Replace, add or remove grants on modules
    Permissions(sets::SetPermissions),
    /// Link a user to companies
    AddCompanies(sets::AddCompanies),
    /// End a user's links to companies
    RemoveCompanies(sets::RemoveCompanies),
    /// Change a user's properties in one company: what is given, and nothing else
    Company(profile::ChangeCompany),
    /// Create many users out of a file
    Import(import::Import),
    /// See what happens to users, as it happens
    Watch(watch::Watch),
    /// Make a user in other companies what it is in one
    CopyCompany(profile::CopyCompany),
    /// Give everybody who has a supervisor another one
    ReplaceSupervisor(replace::ReplaceSupervisor),
}

/// A command about one user that takes nothing else.
#[derive(Args, Debug)]
struct OneUser {
    /// The user: id, signature or e-mail address
    user: String,
    #[command(flatten)]
    command: CommandFlags,
}

/// Runs a command about users.
pub async fn run(args: UserArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        UserCommand::Create(create) => create.run(&client).await,
        UserCommand::Copy(copy) => copy.run(&client).await,
        UserCommand::Get(get) => get.run(&client).await,
        UserCommand::List(list) => list.run(&client).await,
        UserCommand::Find(find) => find.run(&client).await,
        UserCommand::Reports(reports) => reports.run(&client).await,
        UserCommand::Chain(above) => above.run(&client).await,
        UserCommand::Update(update) => update.run(&client).await,
        UserCommand::Delete(one) => one.delete(&client).await,
        UserCommand::CheckDeletion(check) => check.run(&client).await,
        UserCommand::CheckAccess(check) => check.run(&client).await,
        UserCommand::Activate(one) => one.activate(&client).await,
        UserCommand::Deactivate(one) => one.deactivate(&client).await,
        UserCommand::Lock(one) => one.lock(&client).await,
        UserCommand::Unlock(one) => one.unlock(&client).await,
        UserCommand::ResendWelcome(one) => one.resend_welcome(&client).await,
        UserCommand::Roles(roles) => roles.run(&client).await,
        UserCommand::Permissions(permissions) => permissions.run(&client).await,
        UserCommand::AddCompanies(add) => add.run(&client).await,
        UserCommand::RemoveCompanies(remove) => remove.run(&client).await,
        UserCommand::Company(company) => company.run(&client).await,
        UserCommand::Import(import) => import.run(&client).await,
        UserCommand::Watch(watch) => watch.run(&client).await,
        UserCommand::CopyCompany(copy) => copy.run(&client).await,
        UserCommand::ReplaceSupervisor(replace) => replace.run(&client).await,
    }
}

/// Commands that take an account, a user and options, and show the user as it is then.
macro_rules! commands_about_one_user {
    ($($name:ident: $call:ident($request:ident)),* $(,)?) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let command = self.command.options();
            let id = command.request_id.clone();
            let user_id = client.user_id(&self.user).await?;
            let request = $request { account_id: client.account()?, user_id, command: Some(command) };
            let answer = commit(&id, client.users().$call(request)).await?;
            client.output.show(&answer, || answer.text())
        }
    )*};
}

impl OneUser {
    commands_about_one_user! {
        delete: delete_user(DeleteUserRequest),
        activate: activate_user(ActivateUserRequest),
        lock: lock_user(LockUserRequest),
        unlock: unlock_user(UnlockUserRequest),
    }

    async fn resend_welcome(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let user_id = client.user_id(&self.user).await?;
        let request = ResendWelcomeRequest {
            account_id: client.account()?,
            user_id,
            command: Some(command),
        };
        let answer = commit(&id, client.users().resend_welcome(request)).await?;
        let token = welcome_token(&answer.welcome_token);
        client.output.show(&answer, || answer.text() + &token)
    }

    async fn deactivate(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let user_id = client.user_id(&self.user).await?;
        let request = DeactivateUserRequest {
            account_id: client.account()?,
            user_id,
            command: Some(command),
        };
        let answer = commit(&id, client.users().deactivate_user(request)).await?;
        client
            .output
            .show(&answer, || answer.text() + &still_supervised(&answer))
    }
}

/// Who still has the deactivated user as supervisor.
fn still_supervised(answer: &DeactivateUserResponse) -> String {
    let line = |group: &rollbook_proto::v1::SupervisedUsers| {
        let count = counted(group.count, "user");
        let named = group.user_ids.join(", ");
        format!(
            "\nstill the supervisor of {count} in company {}: {named}",
            group.company_id
        )
    };
    answer.supervised.iter().map(line).collect()
}
