//! `rollbook operations`: how the log, the views and the mail are.

mod rebuild;

use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    DeadLetter, GetLogStatusRequest, GetLogStatusResponse, ListDeadLettersRequest,
    ListDeadLettersResponse, ListProjectionsRequest, ListProjectionsResponse, MasterKeyStatus,
    ProjectionState, RetryDeadLetterRequest,
};

use super::{
    client::{Client, ClientFlags, CommandFlags, commit},
    output::{plain, properties, table, time},
    pages::{Page, more, read_pages},
    problem::Problem,
    views::committed,
};

/// The log, the views and the mail of a service.
#[derive(Args, Debug)]
pub struct OperationsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: OperationsCommand,
}

#[derive(Subcommand, Debug)]
enum OperationsCommand {
    /// List the views of the process that answers
    Projections,
    /// Make a view anew from the log while the live one serves
    Rebuild(rebuild::Rebuild),
    /// Show how the log is
    Log,
    /// List the mail that could not be sent
    DeadLetters(DeadLetters),
    /// Have a mail that could not be sent tried again; --account names its account
    RetryDeadLetter(RetryDeadLetter),
}

/// Runs a command about the service.
pub async fn run(args: OperationsArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        OperationsCommand::Projections => {
            let answer = client
                .operations()
                .list_projections(ListProjectionsRequest {})
                .await?
                .into_inner();
            client.output.show(&answer, || projections(&answer))
        }
        OperationsCommand::Log => {
            let answer = client
                .operations()
                .get_log_status(GetLogStatusRequest {})
                .await?
                .into_inner();
            client.output.show(&answer, || log(&answer))
        }
        OperationsCommand::Rebuild(rebuild) => rebuild.run(&client).await,
        OperationsCommand::DeadLetters(list) => list.run(&client).await,
        OperationsCommand::RetryDeadLetter(retry) => retry.run(&client).await,
    }
}

#[derive(Args, Debug)]
struct DeadLetters {
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl DeadLetters {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let rows = read_pages(self.limit, "dead letters", async |page_size, page_token| {
            let request = ListDeadLettersRequest {
                page_size,
                page_token,
                read: None,
            };
            let page = client.operations().list_dead_letters(request).await?;
            let page = page.into_inner();
            Ok(Page {
                rows: page.dead_letters,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListDeadLettersResponse {
            dead_letters: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || dead_letters(&answer.dead_letters) + more)
    }
}

#[derive(Args, Debug)]
struct RetryDeadLetter {
    /// The id of the mail
    mail: String,
    #[command(flatten)]
    command: CommandFlags,
}

impl RetryDeadLetter {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let request = RetryDeadLetterRequest {
            account_id: client.account()?,
            mail_id: self.mail,
            command: Some(command),
        };
        let answer = commit(&id, client.operations().retry_dead_letter(request)).await?;
        client.output.show(&answer, || {
            let dead = dead_letters(answer.dead_letter.as_slice());
            format!("{dead}\n{}", committed(answer.revision, answer.position))
        })
    }
}

fn dead_letters(letters: &[DeadLetter]) -> String {
    let mut table = table([
        "mail", "account", "kind", "for", "state", "tries", "failure", "at",
    ]);
    for letter in letters {
        let failure = plain(letter.failure().as_str_name(), "MAIL_FAILURE_");
        let failure = match letter.smtp_code {
            0 => failure,
            code => format!("{failure} ({code})"),
        };
        table.add_row([
            letter.mail_id.clone(),
            letter.account_id.clone(),
            plain(letter.kind().as_str_name(), "MAIL_KIND_"),
            format!("{}{}", letter.user_id, letter.invitation_id),
            plain(letter.state().as_str_name(), "MAIL_STATE_"),
            letter.attempts.to_string(),
            failure,
            time(letter.failed_at.as_ref()),
        ]);
    }
    table.to_string()
}

fn projections(answer: &ListProjectionsResponse) -> String {
    let mut table = table(["view", "version", "state", "position", "behind"]);
    for view in &answer.projections {
        let state = plain(view.state().as_str_name(), "PROJECTION_STATE_");
        let state = match view.state() {
            ProjectionState::Stopped => format!("{state}: {}", view.error),
            ProjectionState::Unspecified
            | ProjectionState::Building
            | ProjectionState::Following => state,
        };
        let state = match &view.rebuild {
            Some(made) => format!("{state}, made anew: {}", rebuild::phase(made)),
            None => state,
        };
        table.add_row([
            view.name.clone(),
            view.version.to_string(),
            state,
            view.position.to_string(),
            view.lag.to_string(),
        ]);
    }
    table.to_string()
}

fn log(answer: &GetLogStatusResponse) -> String {
    let archive = if answer.archive {
        "yes: made from an export alone, to be read and not added to, without personal data"
    } else {
        "no"
    };
    properties(&[
        ("log", answer.log_id.clone()),
        ("home", answer.home.clone()),
        ("version of tables", answer.schema_version.to_string()),
        ("last position", answer.head_position.to_string()),
        ("last recorded", time(answer.last_recorded_at.as_ref())),
        ("service", answer.service_version.clone()),
        ("archive", archive.to_owned()),
        ("master key", master_key(answer.master_key.as_ref())),
    ])
}

fn master_key(status: Option<&MasterKeyStatus>) -> String {
    let Some(status) = status else {
        return String::new();
    };
    let id = &status.key_id;
    let since = time(status.begun_at.as_ref());
    match (status.former_key_id.as_str(), status.begun_by.as_str()) {
        ("", "") => id.clone(),
        ("", by) => {
            let done = time(status.finished_at.as_ref());
            format!("{id}, rotated to by {by} from {since} to {done}")
        }
        (former, by) => format!("{id}, being rotated to from {former} since {since} by {by}"),
    }
}
