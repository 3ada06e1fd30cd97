//! `rollbook user import`: users out of a file, many at a time.

mod report;
mod rows;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_proto::v1::{
    GetAccountRequest, ImportHeader, ImportRefusal, ImportResult, ImportRow, ImportUsersRequest,
    ImportUsersResponse, import_result::Outcome,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use self::{
    report::Report,
    rows::{Companies, Format, Row, Rows},
};
use crate::cli::{
    client::{Client, CommandFlags},
    output::{counted, print},
    problem::Problem,
};

/// How many rows a message has.
const ROWS_IN_A_MESSAGE: usize = 200;
/// How many messages are made ready.
const MESSAGES_READY: usize = 4;
/// How many refused rows are told; the report has all of them.
const TOLD: usize = 20;

/// Flags of `user import`.
#[derive(Args, Debug)]
#[command(after_help = HEADINGS)]
pub struct Import {
    /// File with the users: CSV with a line of headings, or a JSON object a line (NDJSON)
    file: PathBuf,
    /// What the file is; its ending tells where this is not given
    #[arg(long)]
    format: Option<Format>,
    /// File to write the rows to that were refused, in the form they came in, each with the reason
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Send a first-sign-in link to everybody who has no password
    #[arg(long)]
    welcome: bool,
    #[command(flatten)]
    command: CommandFlags,
}

const HEADINGS: &str = "\
Headings of a CSV file, in any order; the first four are needed:
  signature, first_name, last_name, email
  phone, mobile_phone, language     as of `user create`
  active, one_time_password, welcome, show_as_addressee
                                    yes or no, true or false, 1 or 0
  type                              administrator or standard
  role                              several are separated by `;`
  permission                        MODULE or MODULE@COMPANY; several are separated by `;`
  company                           id or title; several are separated by `;`
  supervisor                        id, or the signature of a user who is there or stands in an earlier line
  password                          in the clear: keep such a file short-lived
  key                               names the line for a repeat; its number does where there is none
  reason, problem                   what a report adds; not read

An NDJSON line is an `ImportRow` of the contract, where companies may be given by title as well:
  {\"user\": {\"signature\": \"BO\", \"first_name\": \"Bo\", \"last_name\": \"Ek\", \"email\": \"bo@example.com\",
   \"companies\": [{\"company_id\": \"North\"}]}, \"supervisors\": [{\"signature\": \"ANNA\"}]}

An import that broke off is repeated with the same --request-id: what was done is not done again.";

impl Import {
    /// Imports the file.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let checked = command.validate_only;
        let format = Format::of(&self.file, self.format)?;
        let companies = Companies::of(client.account_of_import().await?);
        let rows = Rows::open(&self.file, format, companies, self.welcome)?;
        let mut report = match &self.report {
            Some(path) => Some(Report::create(path, &rows)?),
            None => None,
        };
        let header = ImportHeader {
            account_id: client.account()?,
            command: Some(command),
        };
        let progress = bar(rows.length());
        let (messages, requests) = mpsc::channel(MESSAGES_READY);
        let (sent, expected) = mpsc::unbounded_channel();
        let reading = tokio::task::spawn_blocking(move || read(rows, header, &messages, &sent));
        let mut told = Told {
            client,
            expected,
            report: report.as_mut(),
            progress: &progress,
            lines: Vec::new(),
            refused: 0,
            created: 0,
        };
        let requests = ReceiverStream::new(requests);
        let outcome = told
            .tell(client.users_without_deadline().import_users(requests))
            .await;
        progress.finish_and_clear();
        // A file that cannot be read is told first: the service only saw that it ended.
        match reading.await {
            Ok(read) => read?,
            Err(source) => return Err(Problem::failed("read the file", source)),
        }
        outcome.map_err(|problem| problem.of_command(&id))?;
        let Told {
            lines,
            refused,
            created,
            ..
        } = told;
        if let Some(report) = report {
            report.finish()?;
        }
        summary(client, &lines, created, refused, checked)
    }
}

impl Client {
    async fn account_of_import(&self) -> Result<rollbook_proto::v1::Account, Problem> {
        let request = GetAccountRequest {
            account_id: self.account()?,
            read: None,
        };
        let answer = self.accounts().get_account(request).await?.into_inner();
        Ok(answer.account.unwrap_or_default())
    }
}

/// Reads the file row by row and makes messages of it, as fast as the service takes them.
fn read(
    rows: Rows,
    header: ImportHeader,
    messages: &mpsc::Sender<ImportUsersRequest>,
    sent: &mpsc::UnboundedSender<Row>,
) -> Result<(), Problem> {
    let mut message = ImportUsersRequest {
        header: Some(header),
        rows: Vec::new(),
    };
    for row in rows {
        let row = row?;
        if let Ok(read) = &row.read {
            message.rows.push(ImportRow::clone(read));
        }
        // Who expects the row may have given up; then the message cannot be sent either.
        let _ = sent.send(row);
        if message.rows.len() >= ROWS_IN_A_MESSAGE
            && messages
                .blocking_send(std::mem::take(&mut message))
                .is_err()
        {
            return Ok(());
        }
    }
    let _ = messages.blocking_send(message);
    Ok(())
}

/// Takes the results, each with the row it is of.
struct Told<'a> {
    client: &'a Client,
    expected: mpsc::UnboundedReceiver<Row>,
    report: Option<&'a mut Report>,
    progress: &'a ProgressBar,
    lines: Vec<String>,
    created: u64,
    refused: u64,
}

impl Told<'_> {
    async fn tell(
        &mut self,
        answers: impl Future<
            Output = Result<tonic::Response<tonic::Streaming<ImportUsersResponse>>, tonic::Status>,
        >,
    ) -> Result<(), Problem> {
        let mut answers = answers.await?.into_inner();
        while let Some(answer) = answers.message().await? {
            for result in answer.results {
                self.result(result).await?;
            }
        }
        // What stands behind the last row that was sent could not even be read.
        while let Some(row) = self.expected.recv().await {
            self.unsent(&row)?;
        }
        Ok(())
    }

    async fn result(&mut self, result: ImportResult) -> Result<(), Problem> {
        while let Some(row) = self.expected.recv().await {
            if self.unsent(&row)? {
                continue;
            }
            let result = ImportResult {
                number: row.number,
                ..result
            };
            self.client
                .output
                .show_if_json(|| result.clone(), self.progress)?;
            return match &result.outcome {
                Some(Outcome::Refused(refusal)) => self.refused(&row, refusal),
                Some(Outcome::Created(_)) | None => {
                    self.created += 1;
                    self.advance(&row);
                    Ok(())
                }
            };
        }
        Ok(())
    }

    /// A row that was not sent since it cannot be read; answers whether it is one.
    fn unsent(&mut self, row: &Row) -> Result<bool, Problem> {
        let Err(refusal) = &row.read else {
            return Ok(false);
        };
        let result = || ImportResult {
            number: row.number,
            key: String::new(),
            outcome: Some(Outcome::Refused(refusal.clone())),
        };
        self.client.output.show_if_json(result, self.progress)?;
        self.refused(row, refusal)?;
        Ok(true)
    }

    fn refused(&mut self, row: &Row, refusal: &ImportRefusal) -> Result<(), Problem> {
        self.refused += 1;
        if self.lines.len() < TOLD {
            let (number, why) = (row.number, report::problem(refusal));
            self.lines
                .push(format!("row {number}: {why} ({})", refusal.reason));
        }
        if let Some(report) = &mut self.report {
            report.add(row, refusal)?;
        }
        self.advance(row);
        Ok(())
    }

    fn advance(&self, row: &Row) {
        self.progress.set_position(row.end);
        self.progress
            .set_message(format!("{} done, {} refused", self.created, self.refused));
    }
}

fn summary(
    client: &Client,
    lines: &[String],
    created: u64,
    refused: u64,
    checked: bool,
) -> Result<(), Problem> {
    let done = if checked {
        format!("{} can be created", counted(created, "user"))
    } else {
        format!("{} created", counted(created, "user"))
    };
    if !client.output.is_json() {
        for line in lines {
            print(line)?;
        }
        print(&done)?;
    }
    if refused == 0 {
        return Ok(());
    }
    let rest = if refused > lines.len() as u64 {
        "; --report FILE has all of them"
    } else {
        ""
    };
    Err(Problem::Usage(format!(
        "{} refused{rest}; correct and import them again, what was created stays",
        counted(refused, "row")
    )))
}

/// A bar over the bytes of the file.
fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = "{bar:40} {percent}% {msg}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
