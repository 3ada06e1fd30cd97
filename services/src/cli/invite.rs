//! `rollbook invite`: offers to e-mail addresses to become users.

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    AcceptInvitationRequest, DeleteInvitationRequest, GetInvitationRequest, InviteUsersRequest,
    InviteUsersResponse, ListInvitationsRequest, ListInvitationsResponse, LookUpInvitationRequest,
    ResendInvitationRequest, invite_result::Outcome,
};

use super::{
    choices::{InvitationState, Type, or_none},
    client::{Client, ClientFlags, CommandFlags, commit},
    output::{plain, table},
    pages::{Page, more, read_pages},
    problem::Problem,
    secret::{LinkTokenFlags, PasswordFlags},
    user::{Person, Rights},
    views::{self, UserAfter as _, committed},
};

/// Invitations of an account.
#[derive(Args, Debug)]
pub struct InviteArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: InviteCommand,
}

#[derive(Subcommand, Debug)]
enum InviteCommand {
    /// Invite addresses
    Send(Send),
    /// Show one invitation
    Get(Get),
    /// Show the invitation that a token belongs to; the token stays valid
    LookUp(LookUp),
    /// List invitations, the last sent first
    List(List),
    /// Send an invitation again; the earlier token is dead from then on
    Resend(Change),
    /// Delete an invitation; its address is free at once
    Delete(Change),
    /// Accept an invitation: creates the user
    Accept(Accept),
}

/// Runs a command about invitations.
pub async fn run(args: InviteArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        InviteCommand::Send(send) => send.run(&client).await,
        InviteCommand::Get(get) => get.run(&client).await,
        InviteCommand::LookUp(look_up) => look_up.run(&client).await,
        InviteCommand::List(list) => list.run(&client).await,
        InviteCommand::Resend(change) => change.resend(&client).await,
        InviteCommand::Delete(change) => change.delete(&client).await,
        InviteCommand::Accept(accept) => accept.run(&client).await,
    }
}

#[derive(Args, Debug)]
struct Send {
    /// The addresses, up to 1000
    #[arg(required = true, value_name = "ADDRESS")]
    emails: Vec<String>,
    #[command(flatten)]
    rights: Rights,
    #[command(flatten)]
    command: CommandFlags,
}

impl Send {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let Rights {
            user_type,
            roles,
            permissions,
            companies,
        } = self.rights;
        let request = InviteUsersRequest {
            account_id: client.account()?,
            emails: self.emails,
            user_type: or_none(user_type, Type::wire),
            roles,
            permissions: client.permissions(&permissions).await?,
            company_ids: client.company_ids(&companies).await?,
            command: Some(command),
        };
        let answer = commit(&id, client.invitations().invite_users(request)).await?;
        client.output.show(&answer, || results(&answer))
    }
}

/// What became of each address.
fn results(answer: &InviteUsersResponse) -> String {
    let mut table = table(["e-mail", "result", "invitation", "token"]);
    for result in &answer.results {
        match &result.outcome {
            Some(Outcome::Invited(invited)) => {
                let id = invited
                    .invitation
                    .as_ref()
                    .map(|invitation| invitation.invitation_id.as_str());
                table.add_row([
                    result.email.as_str(),
                    "invited",
                    id.unwrap_or_default(),
                    invited.token.as_str(),
                ]);
            }
            Some(Outcome::RefusedReason(reason)) => {
                table.add_row([
                    result.email.as_str(),
                    &format!("refused: {}", plain(reason, "")),
                    "",
                    "",
                ]);
            }
            None => {
                table.add_row([result.email.as_str(), "", "", ""]);
            }
        }
    }
    let outcome = match answer.position {
        0 => committed(0, 0),
        position => format!("position {position}"),
    };
    format!("{table}\n{outcome}")
}

#[derive(Args, Debug)]
struct Get {
    /// The invitation's id
    invitation: String,
}

impl Get {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = GetInvitationRequest {
            account_id: client.account()?,
            invitation_id: self.invitation,
            read: None,
        };
        let answer = client
            .invitations()
            .get_invitation(request)
            .await?
            .into_inner();
        client.output.show(&answer, || {
            answer
                .invitation
                .as_ref()
                .map(views::invitation)
                .unwrap_or_default()
        })
    }
}

#[derive(Args, Debug)]
struct LookUp {
    #[command(flatten)]
    token: LinkTokenFlags,
}

impl LookUp {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = LookUpInvitationRequest {
            token: self.token.read()?,
        };
        let answer = client
            .invitations()
            .look_up_invitation(request)
            .await?
            .into_inner();
        client.output.show(&answer, || {
            answer
                .invitation
                .as_ref()
                .map(views::invitation)
                .unwrap_or_default()
        })
    }
}

#[derive(Args, Debug)]
struct List {
    /// Those of this status
    #[arg(long)]
    status: Option<InvitationState>,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl List {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let account_id = client.account()?;
        let status = or_none(self.status, InvitationState::wire);
        let rows = read_pages(self.limit, "invitations", async |page_size, page_token| {
            let account_id = account_id.clone();
            let request = ListInvitationsRequest {
                account_id,
                status,
                page_size,
                page_token,
                read: None,
            };
            let page = client
                .invitations()
                .list_invitations(request)
                .await?
                .into_inner();
            Ok(Page {
                rows: page.invitations,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListInvitationsResponse {
            invitations: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || views::invitations(&answer.invitations) + more)
    }
}

#[derive(Args, Debug)]
struct Change {
    /// The invitation's id
    invitation: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl Change {
    async fn resend(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = ResendInvitationRequest {
            account_id: client.account()?,
            invitation_id: self.invitation,
            command: Some(command),
        };
        let answer = commit(&id, client.invitations().resend_invitation(request)).await?;
        client.output.show(&answer, || {
            let invitation = answer
                .invitation
                .as_ref()
                .map(views::invitation)
                .unwrap_or_default();
            format!(
                "{invitation}\n{}\ntoken: {}",
                committed(answer.revision, answer.position),
                answer.token
            )
        })
    }

    async fn delete(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = DeleteInvitationRequest {
            account_id: client.account()?,
            invitation_id: self.invitation,
            command: Some(command),
        };
        let answer = commit(&id, client.invitations().delete_invitation(request)).await?;
        client.output.show(&answer, || {
            let invitation = answer
                .invitation
                .as_ref()
                .map(views::invitation)
                .unwrap_or_default();
            format!(
                "{invitation}\n{}",
                committed(answer.revision, answer.position)
            )
        })
    }
}

#[derive(Args, Debug)]
struct Accept {
    #[command(flatten)]
    token: LinkTokenFlags,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    password: PasswordFlags,
    #[command(flatten)]
    command: CommandFlags,
}

impl Accept {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let Person {
            signature,
            first_name,
            last_name,
            phone,
            mobile_phone,
            language,
        } = self.person;
        let request = AcceptInvitationRequest {
            token: self.token.read()?,
            password: self.password.read()?,
            signature,
            first_name,
            last_name,
            phone,
            mobile_phone,
            language,
            command: Some(command),
        };
        let answer = commit(&id, client.invitations().accept_invitation(request)).await?;
        client.output.show(&answer, || answer.text())
    }
}
