//! The one task of a process that writes: it gathers what is queued into one transaction and gives each its verdict.
//!
//! An append that was queued is finished whether or not anybody waits for it. Nobody is answered before the commit
//! is durable or known not to have happened.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::append::{AppendError, Appended};
use crate::clock::Timestamp;
use crate::error::{Cause, OpenError, StoreError};
use crate::event::RecordedEvent;
use crate::judge::{Facts, Judge, Placed, Questions, Verdict, Writes};
use crate::prepared::Prepared;
use crate::proof::Growth;
use crate::rotation::{Step, Stepped};
use crate::stored::{date, hash_of};
use crate::tail::Tail;

/// The most appends in one transaction.
const BATCH: usize = 512;
/// No append joins a transaction that has so many events, or bytes of them, already.
const BATCH_EVENTS: usize = 4_096;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long a batch is tried again while the database is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tables as the writer sees them. A transaction is open from `look` to `record` or `abandon`.
pub(crate) trait Ledger: Send {
    /// Opens a transaction, locks the log, and only then reads what is asked.
    fn look(&mut self, asked: &Questions) -> impl Future<Output = Result<Facts, Trouble>> + Send;

    /// Writes and commits. On any trouble the transaction is over.
    fn record(
        &mut self,
        batch: &[&Prepared],
        writes: &Writes,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Stores that the tree is larger, in a transaction of its own; answers whether it had the size it grew from.
    fn grow(&mut self, growth: &Growth) -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// Takes a step of a rotation of the master key, in a transaction of its own.
    fn rotate(&mut self, step: &Step) -> impl Future<Output = Result<Stepped, Trouble>> + Send;

    /// Ends the transaction without writing.
    fn abandon(&mut self) -> impl Future<Output = ()> + Send;

    /// Waits before the database is tried again.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Leaves the tables in order.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why a batch was not written.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The database refused it; nothing is written.
    Refused(Cause),
    /// The database was lost; nothing is written.
    Lost(Cause),
    /// The database was lost in the commit and cannot be asked what became of it.
    Unknown(Cause),
}

impl Trouble {
    fn cause(self) -> Cause {
        let (Self::Refused(cause) | Self::Lost(cause) | Self::Unknown(cause)) = self;
        cause
    }
}

/// What an append comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done(Result<Appended, AppendError>),
    /// To be sealed again.
    KeyMoved,
}

/// Something for the writer to do.
pub(crate) enum Job {
    Append(Box<Prepared>, oneshot::Sender<Outcome>),
    /// The answer is whether the tree had the size that it was to grow from.
    Grow(Growth, oneshot::Sender<Result<bool, StoreError>>),
    Rotate(Step, oneshot::Sender<Result<Stepped, StoreError>>),
    Close(oneshot::Sender<()>),
}

struct Waiting {
    append: Prepared,
    answer: oneshot::Sender<Outcome>,
}

/// Writes on a thread of its own until the queue is closed. Everybody waits for it, so it must not take its turn among those
/// who wait.
pub(crate) fn start<L: Ledger + 'static>(
    ledger: L,
    queue: mpsc::Receiver<Job>,
    tail: Arc<Tail>,
) -> Result<(), OpenError> {
    let failed = |error| OpenError::unavailable("the writer's thread", error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name("log writer".to_owned())
        .spawn(move || runtime.block_on(run(ledger, queue, tail)))
        .map(drop)
        .map_err(failed)
}

async fn run<L: Ledger>(ledger: L, mut queue: mpsc::Receiver<Job>, tail: Arc<Tail>) {
    let mut writer = Writer { ledger, tail };
    let mut next = None;
    let closed = loop {
        let job = match next.take() {
            Some(job) => job,
            None => match queue.recv().await {
                Some(job) => job,
                None => break None,
            },
        };
        match job {
            Job::Append(append, answer) => {
                let first = Waiting {
                    append: *append,
                    answer,
                };
                let batch = gather(first, &mut queue, &mut next);
                writer.write(batch).await;
            }
            Job::Grow(growth, answer) => {
                let grown = writer.ledger.grow(&growth).await;
                let (Ok(grown) | Err(grown)) = grown
                    .map(Ok)
                    .map_err(|trouble| Err(StoreError::Unavailable(trouble.cause())));
                // Whoever keeps the tree may have been cut off; it looks at what is stored first.
                let _ = answer.send(grown);
            }
            Job::Rotate(step, answer) => {
                let stepped = writer.ledger.rotate(&step).await;
                let stepped = stepped.map_err(|trouble| StoreError::Unavailable(trouble.cause()));
                // Whoever rotates looks at what is stored before its next step.
                let _ = answer.send(stepped);
            }
            Job::Close(answer) => break Some(answer),
        }
    };
    writer.ledger.close().await;
    if let Some(answer) = closed {
        let _ = answer.send(());
    }
}

/// Takes what is queued, without waiting for more. What must wait for this batch is put into `next`.
fn gather(first: Waiting, queue: &mut mpsc::Receiver<Job>, next: &mut Option<Job>) -> Vec<Waiting> {
    let alone = first.append.alone();
    let (mut events, mut bytes) = (first.append.events(), first.append.bytes());
    let mut batch = vec![first];
    while !alone && batch.len() < BATCH && events < BATCH_EVENTS && bytes < BATCH_BYTES {
        match queue.try_recv() {
            Ok(Job::Append(append, answer)) if !append.alone() => {
                events += append.events();
                bytes += append.bytes();
                batch.push(Waiting {
                    append: *append,
                    answer,
                });
            }
            Ok(job) => {
                *next = Some(job);
                break;
            }
            Err(_) => break,
        }
    }
    batch
}

/// The verdicts of a batch that is written.
struct Written {
    verdicts: Vec<Verdict>,
    placed: Vec<Placed>,
    recorded_at: Timestamp,
    position: u64,
}

struct Writer<L> {
    ledger: L,
    tail: Arc<Tail>,
}

impl<L: Ledger> Writer<L> {
    async fn write(&mut self, batch: Vec<Waiting>) {
        let appends: Vec<_> = batch.iter().map(|waiting| &waiting.append).collect();
        match self.attempt(&appends).await {
            Ok(written) => self.answer(batch, written),
            Err(Trouble::Refused(cause)) if batch.len() > 1 => {
                tracing::warn!(%cause, appends = batch.len(), "the database refused a batch, its appends are tried one by one");
                for waiting in batch {
                    match self.attempt(&[&waiting.append]).await {
                        Ok(written) => self.answer(vec![waiting], written),
                        Err(trouble) => fail(waiting, &trouble),
                    }
                }
            }
            Err(trouble) => {
                for waiting in batch {
                    fail(waiting, &trouble);
                }
            }
        }
    }

    /// Tries until the batch is written, refused, or the database was away for too long.
    async fn attempt(&mut self, batch: &[&Prepared]) -> Result<Written, Trouble> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            match self.once(batch).await {
                Err(Trouble::Lost(cause)) if start.elapsed() < PATIENCE => {
                    tracing::warn!(%cause, "the database was lost, the batch is tried again");
                    self.ledger.pause(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                other => return other,
            }
        }
    }

    async fn once(&mut self, batch: &[&Prepared]) -> Result<Written, Trouble> {
        let refused = |error| Trouble::Refused(Arc::new(error));
        self.tail.history.check().map_err(refused)?;
        let known = self.tail.head();
        let facts = self
            .ledger
            .look(&Questions::of(batch.iter().copied()))
            .await?;
        if facts.position < known {
            self.ledger.abandon().await;
            let why = format!("it ends at {} and ended at {known}", facts.position);
            return Err(refused(self.tail.history.refute(why)));
        }
        let mut judge = Judge::new(facts);
        let verdicts = batch
            .iter()
            .enumerate()
            .map(|(index, append)| judge.judge(index, append))
            .collect();
        let writes = judge.finish();
        if writes.is_empty() {
            self.ledger.abandon().await;
        } else {
            self.ledger.record(batch, &writes).await?;
        }
        Ok(Written {
            verdicts,
            recorded_at: writes.recorded_at,
            position: writes.position,
            placed: writes.events,
        })
    }

    fn answer(&self, batch: Vec<Waiting>, written: Written) {
        let mut placed = written.placed.into_iter().peekable();
        let mut answers = Vec::with_capacity(batch.len());
        let mut committed = Vec::with_capacity(placed.len());
        for (index, (waiting, verdict)) in batch.into_iter().zip(written.verdicts).enumerate() {
            let outcome = match verdict {
                Verdict::Accepted { first, last, slots } => {
                    let mut events = Vec::with_capacity(waiting.append.events());
                    let own = std::iter::from_fn(|| placed.next_if(|p| p.append == index));
                    complete(waiting.append, own, written.recorded_at, &mut events);
                    committed.extend(events.iter().cloned());
                    Outcome::Done(Ok(Appended {
                        first_position: first,
                        last_position: last,
                        recorded_at: written.recorded_at,
                        events,
                        slots,
                    }))
                }
                Verdict::Refused(error) => Outcome::Done(Err(error)),
                Verdict::KeyMoved => Outcome::KeyMoved,
            };
            answers.push((waiting.answer, outcome));
        }
        self.tail.push(&committed);
        self.tail.reached(written.position);
        for (answer, outcome) in answers {
            // Nobody may be waiting any more; the append is in the log all the same.
            let _ = answer.send(outcome);
        }
    }
}

fn fail(waiting: Waiting, trouble: &Trouble) {
    let (Trouble::Refused(cause) | Trouble::Lost(cause) | Trouble::Unknown(cause)) = trouble;
    let error = AppendError::Unavailable(cause.clone());
    let _ = waiting.answer.send(Outcome::Done(Err(error)));
}

/// Makes of the drafts what a reader would get.
fn complete(
    append: Prepared,
    placed: impl Iterator<Item = Placed>,
    recorded_at: Timestamp,
    events: &mut Vec<Arc<RecordedEvent>>,
) {
    let drafts = append.streams.into_iter().flat_map(|stream| stream.events);
    for (event, placed) in drafts.zip(placed) {
        let mut recorded = event.draft;
        recorded.position = placed.position;
        recorded.revision = placed.revision;
        recorded.commit_position = placed.commit_position;
        recorded.account_number = placed.account_number;
        recorded.recorded_at = recorded_at;
        recorded.hash = hash_of(&recorded, &event.payload, &event.metadata);
        date(&mut recorded.payload, recorded_at);
        events.push(Arc::new(recorded));
    }
}
