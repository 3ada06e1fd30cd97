//! `rollbook credential`: passwords, links, second factors and sessions of users.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    ChangePasswordRequest, CompletePasswordResetRequest, CompleteWelcomeRequest,
    ReportMfaEnrolledRequest, ReportSignInRequest, ReportSignInResponse,
    RequestPasswordResetRequest, RequestPasswordResetResponse, ResetMfaRequest,
    RevokeSessionsRequest, SetPasswordRequest, SignInResult, VerifyPasswordRequest,
    VerifyPasswordResponse, request_password_reset_request::Key,
};
use uuid::Uuid;

use super::{
    choices::Checked,
    client::{Client, ClientFlags, CommandFlags, commit},
    output::plain,
    problem::Problem,
    secret::{EnteredFlags, LinkTokenFlags, OwnPasswordFlags, PasswordFlags},
    views::{self, UserAfter as _, committed},
};

/// Passwords, links, second factors and sessions of users.
#[derive(Args, Debug)]
pub struct CredentialArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Subcommand, Debug)]
enum CredentialCommand {
    /// Give a user a password; you prove your own with it
    Set(Set),
    /// Change your own password
    Change(Change),
    /// Check the password of somebody who signs in
    Verify(Verify),
    /// Send a user a link to choose another password
    RequestReset(RequestReset),
    /// Choose another password through a reset link
    CompleteReset(FollowLink),
    /// Complete an onboarding through a welcome link
    CompleteWelcome(FollowLink),
    /// Report what became of a sign-in that was checked elsewhere
    ReportSignIn(ReportSignIn),
    /// Report that a user enrolled a second factor
    ReportMfa(OneUser),
    /// Clear a user's second factor
    ResetMfa(OneUser),
    /// End the sessions of a user
    RevokeSessions(OneUser),
}

/// Runs a command about credentials.
pub async fn run(args: CredentialArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        CredentialCommand::Set(set) => set.run(&client).await,
        CredentialCommand::Change(change) => change.run(&client).await,
        CredentialCommand::Verify(verify) => verify.run(&client).await,
        CredentialCommand::RequestReset(request) => request.run(&client).await,
        CredentialCommand::CompleteReset(follow) => follow.reset(&client).await,
        CredentialCommand::CompleteWelcome(follow) => follow.welcome(&client).await,
        CredentialCommand::ReportSignIn(report) => report.run(&client).await,
        CredentialCommand::ReportMfa(one) => one.report_mfa(&client).await,
        CredentialCommand::ResetMfa(one) => one.reset_mfa(&client).await,
        CredentialCommand::RevokeSessions(one) => one.revoke_sessions(&client).await,
    }
}

/// Flags of `credential set`.
#[derive(Args, Debug)]
struct Set {
    /// The user: id, signature or e-mail address
    user: String,
    /// It must be changed at the first sign-in
    #[arg(long)]
    one_time: bool,
    #[command(flatten)]
    own: OwnPasswordFlags,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl Set {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = SetPasswordRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            administrator_password: self.own.read()?,
            password: self.password.read()?,
            one_time: self.one_time,
            command: Some(command),
        };
        let answer = commit(&id, client.credentials().set_password(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `credential change`.
#[derive(Args, Debug)]
struct Change {
    /// The user: its id; where the token may read users, its signature or e-mail address too
    user: String,
    #[command(flatten)]
    own: OwnPasswordFlags,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl Change {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = ChangePasswordRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            present_password: self.own.read()?,
            password: self.password.read()?,
            command: Some(command),
        };
        let answer = commit(&id, client.credentials().change_password(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `credential verify`.
#[derive(Args, Debug)]
struct Verify {
    /// What the user signs in with
    user_name: String,
    #[command(flatten)]
    password: EnteredFlags,
}

impl Verify {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = VerifyPasswordRequest {
            account_id: client.account()?,
            user_name: self.user_name,
            password: self.password.read()?,
        };
        let mut credentials = client.credentials();
        let answer = credentials.verify_password(request).await?.into_inner();
        client.output.show(&answer, || verified(&answer))
    }
}

fn verified(answer: &VerifyPasswordResponse) -> String {
    let result = result_name(answer.result());
    match &answer.user {
        Some(user) => format!("{result}\n{}", views::user(user)),
        None => result,
    }
}

/// What came of a sign-in, in words.
pub fn result_name(result: SignInResult) -> String {
    plain(result.as_str_name(), "SIGN_IN_RESULT_")
}

/// Flags of `credential request-reset`.
#[derive(Args, Debug)]
struct RequestReset {
    /// The user: its id, or what it signs in with
    user: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RequestReset {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let key = if Uuid::try_parse(&self.user).is_ok() {
            Key::UserId(self.user)
        } else {
            Key::UserName(self.user)
        };
        let request = RequestPasswordResetRequest {
            account_id: client.account()?,
            key: Some(key),
            command: Some(command),
        };
        let answer = commit(&id, client.credentials().request_password_reset(request)).await?;
        client.output.show(&answer, || sent(&answer))
    }
}

fn sent(answer: &RequestPasswordResetResponse) -> String {
    let mut lines = Vec::new();
    if let Some(user) = &answer.user {
        lines.push(views::user(user));
        lines.push(committed(answer.revision, answer.position));
    }
    lines.push(match answer.token.as_str() {
        "" => "sent by mail, if there is such a user".to_owned(),
        token => format!("token: {token}"),
    });
    lines.join("\n")
}

/// Flags of what somebody does who follows a link.
#[derive(Args, Debug)]
struct FollowLink {
    #[command(flatten)]
    token: LinkTokenFlags,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl FollowLink {
    async fn reset(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = CompletePasswordResetRequest {
            token: self.token.read()?,
            password: self.password.read()?,
            command: Some(command),
        };
        let answer = commit(&id, client.credentials().complete_password_reset(request)).await?;
        client.output.show(&answer, || answer.text())
    }

    async fn welcome(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = CompleteWelcomeRequest {
            token: self.token.read()?,
            password: self.password.read()?,
            command: Some(command),
        };
        let answer = commit(&id, client.credentials().complete_welcome(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}

/// Flags of `credential report-sign-in`.
#[derive(Args, Debug)]
struct ReportSignIn {
    /// The user: id, signature or e-mail address
    user: String,
    /// What was found out
    checked: Checked,
    #[command(flatten)]
    command: CommandFlags,
}

impl ReportSignIn {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = ReportSignInRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            checked: self.checked.wire(),
            command: Some(command),
        };
        let answer: ReportSignInResponse =
            commit(&id, client.credentials().report_sign_in(request)).await?;
        client.output.show(&answer, || {
            let result = result_name(answer.result());
            format!("{result}\n{}", committed(answer.revision, answer.position))
        })
    }
}

/// A command about one user that takes nothing else.
#[derive(Args, Debug)]
struct OneUser {
    /// The user: id, signature or e-mail address
    user: String,
    #[command(flatten)]
    command: CommandFlags,
}

macro_rules! commands_about_one_user {
    ($($name:ident: $call:ident($request:ident)),* $(,)?) => {$(
        async fn $name(self, client: &Client) -> Result<(), Problem> {
            let command = self.command.options();
            let id = command.request_id.clone();
            let user_id = client.user_id(&self.user).await?;
            let request = $request { account_id: client.account()?, user_id, command: Some(command) };
            let answer = commit(&id, client.credentials().$call(request)).await?;
            client.output.show(&answer, || answer.text())
        }
    )*};
}

impl OneUser {
    commands_about_one_user! {
        report_mfa: report_mfa_enrolled(ReportMfaEnrolledRequest),
        reset_mfa: reset_mfa(ResetMfaRequest),
        revoke_sessions: revoke_sessions(RevokeSessionsRequest),
    }
}
