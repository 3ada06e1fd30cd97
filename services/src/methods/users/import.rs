//! `ImportUsers`: rows come in, each is a command of its own, and its result goes out.
//!
//! So many rows are under way at a time that the log's writer always has a batch to write; their results leave in the order
//! of the rows. Nothing grows with the length of an import, but what a rehearsal must remember.

mod rehearsal;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use prost::Message as _;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::values::{Folded, Login};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::ErrorReason;
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Request, Streaming};

use self::rehearsal::{Rehearsal, Rehearsed};
use super::super::streaming::{Answers, Gone, Sender, send};
use super::super::{Directory, may_enter, new_user_id};
use crate::convert::{ImportOf, ImportRow, import_refusal};
use crate::executor::{Options, Order, account_not_found};
use crate::failure::{self, Failure, Outcome};
use crate::gate::Call;
use crate::plans::{ImportRowPlan, Signatures};

/// How many rows are under way at a time: two batches of the log's writer, one to be written while the next is decided.
const UNDER_WAY: usize = 1_024;
/// How many rows a message may bring, and how many results it takes back.
const IN_A_MESSAGE: usize = 1_000;
/// How long a row waits when too many passwords wait to be hashed.
const HASHING_PAUSE: Duration = Duration::from_millis(200);

impl Directory {
    pub(super) async fn import(
        &self,
        request: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Outcome<Answers<pb::ImportUsersResponse>> {
        let call = Call::of(&request)?;
        let mut messages = request.into_inner();
        let first = next_message(&mut messages).await?.unwrap_or_default();
        let pb::ImportUsersRequest { header, rows } = first;
        if let Some(header) = &header {
            may_enter(&call, &header.account_id)?;
        }
        self.executor().authorise(&call.caller).await?;
        let of = ImportOf::try_from(header)?;
        let executor = self.executor();
        let (account, _) = executor.fresh::<Account>(of.account.as_str()).await?;
        if account.id().is_none() {
            return Err(account_not_found());
        }
        let login = account.settings().login;
        let rehearsal = of.options.validate_only.then(|| Rehearsal::new(login));
        let parallel = available_parallelism().map_or(1, usize::from);
        let import = Import {
            directory: self.clone(),
            call: call.clone(),
            of,
            signatures: Arc::default(),
            hashing: Semaphore::new(parallel),
            login,
        };
        let rows = stream::iter([Ok(rows)]).chain(later_rows(messages));
        Ok(self.answers(&call, |sender| import.run(rows, rehearsal, sender)))
    }
}

/// One import.
struct Import {
    directory: Directory,
    call: Call,
    of: ImportOf,
    signatures: Arc<Signatures>,
    /// Rows with passwords come to the hasher a few at a time, which leaves its queue to others.
    hashing: Semaphore,
    login: Login,
}

/// A row that was decided.
struct Decided {
    number: u64,
    key: String,
    outcome: Outcome<pb::ImportedUser>,
    rehearsed: Option<Rehearsed>,
}

/// How far an import is.
#[derive(Default)]
struct Tally {
    rows: u64,
    created: u64,
}

impl Import {
    async fn run(
        self,
        rows: impl Stream<Item = Outcome<Vec<pb::ImportRow>>> + Send,
        mut rehearsal: Option<Rehearsal>,
        sender: Sender<pb::ImportUsersResponse>,
    ) -> Outcome<()> {
        let import = Arc::new(self);
        let mut under_way = UnderWay::default();
        let mut number = 0;
        let mut tally = Tally::default();
        let decided = one_by_one(rows)
            .map(|row| {
                number += 1;
                import.begin(number, row, &mut under_way)
            })
            .buffered(UNDER_WAY)
            .ready_chunks(IN_A_MESSAGE);
        let mut decided = std::pin::pin!(decided);
        while let Some(chunk) = decided.next().await {
            let (results, end) = results(chunk, rehearsal.as_mut());
            if !results.is_empty()
                && let Err(Gone) = send(&sender, tally.message(results)).await
            {
                return Ok(());
            }
            end?;
        }
        let last = pb::ImportUsersResponse {
            finished: true,
            ..tally.message(Vec::new())
        };
        // One that is gone does not wait for it.
        let _ = send(&sender, last).await;
        Ok(())
    }

    /// Begins a row, which goes on by itself; what it needs of rows before it, it waits for.
    fn begin(
        self: &Arc<Self>,
        number: u64,
        row: Outcome<pb::ImportRow>,
        under_way: &mut UnderWay,
    ) -> impl Future<Output = Outcome<Decided>> + use<> {
        let row = match row {
            Ok(row) => row,
            Err(failure) => return std::future::ready(Err(failure)).left_future(),
        };
        let before = under_way.those_before(&row, self.login);
        let ended = under_way.add(&row);
        let import = Arc::clone(self);
        let decided = tokio::spawn(async move {
            for mut row in before {
                // It never says anything: it ends.
                while row.changed().await.is_ok() {}
            }
            let decided = import.decide(number, row).await;
            drop(ended);
            decided
        });
        decided
            .map(|joined| joined.unwrap_or_else(|_| Err(not_carried_out())))
            .right_future()
    }

    async fn decide(&self, number: u64, row: pb::ImportRow) -> Outcome<Decided> {
        let key = row.key.clone();
        let order = self.order(number, &row);
        let decided = |outcome, rehearsed| Decided {
            number,
            key,
            outcome,
            rehearsed,
        };
        let read = match ImportRow::try_from(row) {
            Ok(read) => read,
            Err(failure) => return Ok(decided(Err(failure), None)),
        };
        let mut rehearsed = self
            .of
            .options
            .validate_only
            .then(|| Rehearsed::of(&read.new));
        let with_password = read.new.password.is_some();
        let plan = ImportRowPlan::new(new_user_id(), read, Arc::clone(&self.signatures));
        let _turn = if with_password {
            self.hashing.acquire().await.ok()
        } else {
            None
        };
        match self.carry_out(&order, &plan).await {
            Ok(created) => {
                if let Some(rehearsed) = &mut rehearsed {
                    rehearsed.supervisors = plan.missing();
                }
                Ok(decided(Ok(created), rehearsed))
            }
            Err(failure) if is_of_the_row(&failure) => Ok(decided(Err(failure), None)),
            Err(failure) => Err(failure),
        }
    }

    async fn carry_out(&self, order: &Order, plan: &ImportRowPlan) -> Outcome<pb::ImportedUser> {
        let executor = self.directory.executor();
        let done = loop {
            match executor.run(order, plan).await {
                Err(failure) if failure.reason() == failure::name_of(ErrorReason::HashingBusy) => {
                    tokio::time::sleep(HASHING_PAUSE).await;
                }
                outcome => break outcome?,
            }
        };
        let user = done.outcome.user;
        Ok(pb::ImportedUser {
            user_id: user.to_string(),
            revision: done.outcome.revision,
            position: done.position,
            welcome_token: self.directory.welcome_token(&done.outcome).await?,
        })
    }

    /// The order of a row: its request id follows from the import's and from what the row goes by.
    fn order(&self, number: u64, row: &pb::ImportRow) -> Order {
        let ImportOf { account, options } = &self.of;
        let log = self.directory.log();
        let caller = &self.call.caller;
        let name = match row.key.as_str() {
            "" => format!("#{number}"),
            key => format!("={key}"),
        };
        let request_id = options.request_id.map(|import| {
            let parts = [
                account.as_str().as_bytes(),
                import.as_bytes(),
                name.as_bytes(),
            ];
            let digest = log.digest("import row", &parts);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&digest[..16]);
            uuid::Builder::from_custom_bytes(bytes).into_uuid()
        });
        let actor = caller.actor.to_string();
        let reason = options.reason.as_ref().map_or("", |reason| reason.as_str());
        let parts: [&[u8]; 6] = [
            b"ImportRow",
            actor.as_bytes(),
            caller.service.as_bytes(),
            account.as_str().as_bytes(),
            reason.as_bytes(),
            &row.encode_to_vec(),
        ];
        Order {
            call: self.call.clone(),
            account_id: account.clone(),
            options: Options {
                request_id,
                ..options.clone()
            },
            digest: log.digest("request", &parts),
        }
    }
}

impl Tally {
    fn message(&mut self, results: Vec<pb::ImportResult>) -> pb::ImportUsersResponse {
        use pb::import_result::Outcome;
        let created =
            |result: &&pb::ImportResult| matches!(result.outcome, Some(Outcome::Created(_)));
        self.rows += results.len() as u64;
        self.created += results.iter().filter(created).count() as u64;
        pb::ImportUsersResponse {
            results,
            rows: self.rows,
            created: self.created,
            refused: self.rows - self.created,
            finished: false,
        }
    }
}

/// The rows that are under way: a row waits for those before it that its own outcome rests on, or theirs on it.
#[derive(Default)]
struct UnderWay {
    /// By what only one may have.
    owning: HashMap<Own, watch::Receiver<()>>,
    /// By the signatures of supervisors, who are no rows before them unless they wait.
    naming: HashMap<Folded, Vec<watch::Receiver<()>>>,
}

/// What a row takes for its user.
#[derive(PartialEq, Eq, Hash)]
enum Own {
    Signature(Folded),
    Email(Folded),
}

impl UnderWay {
    /// The rows that have its signature or address, so that the first row gets it, those of its supervisors, and those that
    /// name it as theirs, so that none finds a row behind it.
    fn those_before(&self, row: &pb::ImportRow, login: Login) -> Vec<watch::Receiver<()>> {
        let signature = |text: &str| Own::Signature(Folded::of(text));
        let supervisors = row.supervisors.iter();
        let mut wanted: Vec<Own> = supervisors
            .map(|supervisor| signature(&supervisor.signature))
            .collect();
        if let Some(user) = &row.user {
            wanted.push(signature(&user.signature));
            // Addresses may be shared where they are no login; nobody waits for one then.
            wanted.extend((login == Login::Email).then(|| Own::Email(Folded::of(&user.email))));
        }
        let rows = wanted.iter().filter_map(|own| self.owning.get(own));
        let own = row.user.as_ref().map(|user| Folded::of(&user.signature));
        let naming = own.and_then(|own| self.naming.get(&own));
        rows.chain(naming.into_iter().flatten()).cloned().collect()
    }

    /// Adds a row, which is under way for as long as what is answered is kept.
    fn add(&mut self, row: &pb::ImportRow) -> watch::Sender<()> {
        let goes_on = |row: &watch::Receiver<()>| row.has_changed().is_ok();
        if self.owning.len() >= 8 * UNDER_WAY {
            self.owning.retain(|_, row| goes_on(row));
            self.naming.retain(|_, rows| rows.iter().any(goes_on));
        }
        let (ended, row_ends) = watch::channel(());
        for supervisor in &row.supervisors {
            let signature = Folded::of(&supervisor.signature);
            let rows = self.naming.entry(signature).or_default();
            if rows.len() >= 2 * UNDER_WAY {
                rows.retain(goes_on);
            }
            rows.push(row_ends.clone());
        }
        if let Some(user) = &row.user {
            let own = Own::Signature(Folded::of(&user.signature));
            self.owning.insert(own, row_ends.clone());
            let own = Own::Email(Folded::of(&user.email));
            self.owning.insert(own, row_ends);
        }
        ended
    }
}

/// What became of rows, up to a failure that is no row's.
fn results(
    chunk: Vec<Outcome<Decided>>,
    mut rehearsal: Option<&mut Rehearsal>,
) -> (Vec<pb::ImportResult>, Outcome<()>) {
    use pb::import_result::Outcome as Told;
    let mut results = Vec::with_capacity(chunk.len());
    for decided in chunk {
        let Decided {
            number,
            key,
            mut outcome,
            rehearsed,
        } = match decided {
            Ok(decided) => decided,
            Err(failure) => return (results, Err(failure)),
        };
        if let (Some(rehearsal), Some(rehearsed)) = (rehearsal.as_mut(), rehearsed) {
            outcome = match rehearsal.follow(rehearsed) {
                Ok(()) => outcome,
                Err(failure) if is_of_the_row(&failure) => Err(failure),
                Err(failure) => return (results, Err(failure)),
            };
        }
        let told = match outcome {
            Ok(created) => Told::Created(created),
            Err(failure) => Told::Refused(import_refusal(&failure)),
        };
        results.push(pb::ImportResult {
            number,
            key,
            outcome: Some(told),
        });
    }
    (results, Ok(()))
}

/// Whether another row could fare better: otherwise the import ends.
fn is_of_the_row(failure: &Failure) -> bool {
    let ends = [ErrorReason::AccountNotFound, ErrorReason::TooLarge].map(failure::name_of);
    !ends.contains(&failure.reason())
        && !matches!(
            failure.code(),
            Code::Unauthenticated
                | Code::PermissionDenied
                | Code::Unavailable
                | Code::DataLoss
                | Code::DeadlineExceeded
        )
}

fn not_carried_out() -> Failure {
    Failure::new(
        ErrorReason::LogUnavailable,
        "a row could not be carried out; the import may be sent again",
    )
}

async fn next_message(
    messages: &mut Streaming<pb::ImportUsersRequest>,
) -> Outcome<Option<pb::ImportUsersRequest>> {
    let message = messages.message().await;
    message.map_err(|status| failure::of_framework(status.code(), status.message()))
}

/// The rows of the messages behind the first.
fn later_rows(
    messages: Streaming<pb::ImportUsersRequest>,
) -> impl Stream<Item = Outcome<Vec<pb::ImportRow>>> + Send {
    stream::try_unfold(messages, |mut messages| async move {
        match next_message(&mut messages).await? {
            None => Ok(None),
            Some(pb::ImportUsersRequest {
                header: Some(_), ..
            }) => Err(Failure::malformed_field(
                "header",
                "must be in the first message and in no other",
            )),
            Some(pb::ImportUsersRequest { header: None, rows }) => Ok(Some((rows, messages))),
        }
    })
}

fn one_by_one(
    rows: impl Stream<Item = Outcome<Vec<pb::ImportRow>>> + Send,
) -> impl Stream<Item = Outcome<pb::ImportRow>> + Send {
    rows.flat_map(|rows| {
        let rows = match rows {
            Ok(rows) if rows.len() > IN_A_MESSAGE => Err(Failure::malformed_field(
                "rows",
                format!("must have at most {IN_A_MESSAGE} elements"),
            )),
            other => other,
        };
        match rows {
            Ok(rows) => stream::iter(rows).map(Ok).left_stream(),
            Err(failure) => stream::iter([Err(failure)]).right_stream(),
        }
    })
}
