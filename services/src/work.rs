//! Work that happens by itself, when nobody asks: one process of all on a log does it.
//!
//! For a moment two processes may do it, so whatever it leads to is a command that changes nothing the second time.

mod expiry;
mod outbox;
mod proof;

use std::time::Duration;

use rollbook_eventstore::Log;
use rollbook_projections::Views;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::executor::Executor;
use crate::failure::Failure;
use crate::mail::Mailer;

/// How long to wait before work that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long work that is to end may take for what it has begun.
const FAREWELL: Duration = Duration::from_secs(5);

/// The work of a process.
pub struct Work {
    tasks: JoinSet<()>,
    over: CancellationToken,
}

impl Work {
    /// Begins to do it, or to stand by for the process that does.
    #[must_use]
    pub(crate) fn start(executor: &Executor, views: &Views, mailer: Option<Mailer>) -> Self {
        let mut work = Self {
            tasks: JoinSet::new(),
            over: CancellationToken::new(),
        };
        let expiry = expiry::Expiry::new(executor.clone(), views.deadlines().clone());
        work.add(executor.log.clone(), "expiry", expiry);
        let proof = proof::Proof::new(executor.log.clone());
        work.add(executor.log.clone(), "proof", proof);
        if let Some(mailer) = mailer {
            let outbox = outbox::Outbox::new(executor.clone(), views.mails().clone(), mailer);
            work.add(executor.log.clone(), "mail", outbox);
        }
        work
    }

    fn add(&mut self, log: Log, purpose: &'static str, task: impl Task) {
        self.tasks
            .spawn(stand_by(log, purpose, task, self.over.clone()));
    }

    /// Ends it, with what it has begun.
    pub async fn stop(self) {
        self.over.cancel();
        self.tasks.join_all().await;
    }
}

/// What one process of all does.
trait Task: Send + Sync + 'static {
    /// Does what there is to do, and waits for more, until it fails or is over.
    fn run(&self, over: &CancellationToken) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Does the work whenever this process leads in it, until it is over.
async fn stand_by(log: Log, purpose: &'static str, task: impl Task, over: CancellationToken) {
    while let Some(leadership) = over.run_until_cancelled(log.lead(purpose)).await {
        tracing::info!(purpose, "this process does it from now on");
        let ending = over.child_token();
        let mut working = std::pin::pin!(keep_on(&task, purpose, &ending));
        tokio::select! {
            () = &mut working => continue,
            () = over.cancelled() => {}
            () = leadership.lost() => {
                tracing::warn!(purpose, "this process does not lead any more");
            }
        }
        ending.cancel();
        if tokio::time::timeout(FAREWELL, working).await.is_err() {
            tracing::warn!(purpose, "what was begun is left unfinished");
        }
    }
}

/// Tries again what failed.
async fn keep_on(task: &impl Task, purpose: &'static str, over: &CancellationToken) {
    while !over.is_cancelled() {
        if let Err(failure) = task.run(over).await {
            tracing::warn!(purpose, %failure, "work failed, trying again");
            let _ = over.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        }
    }
}
