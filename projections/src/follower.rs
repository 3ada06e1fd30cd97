//! The follower of one view: takes what the log has new, folds it, and tells the readers how far it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollbook_eventstore::StoreError;
use tokio::sync::watch;
use tokio::time::timeout_at;
use tracing::{error, info, warn};

use crate::event::Folded;
use crate::feed::{BATCH, Feed};
use crate::file::ViewFile;
use crate::view::View;

/// How long a moment without events must be to count as quiet.
const QUIET: Duration = Duration::from_millis(20);

/// How long to wait before a log that could not be read is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// How long commits gather after a fold while nobody waits for them: each transaction writes every page that it touches, so
/// fewer of them write less.
const GATHER: Duration = Duration::from_millis(60);

/// How often building a view is reported.
const REPORT: Duration = Duration::from_secs(2);

/// How a follower stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// How far its view is folded.
    pub(crate) position: u64,
    /// Why it stopped.
    pub(crate) stopped: Option<Arc<str>>,
    /// Why it waits for the log.
    pub(crate) waiting: Option<Arc<str>>,
}

/// What a follower does next.
enum Next {
    /// Folds these.
    Fold(Vec<Arc<Folded>>),
    /// Uses a quiet moment.
    Rest,
}

/// Why a follower ends for good, and how far it is.
struct Halt {
    position: u64,
    reason: String,
}

/// Keeps a view's file up with the log until `end` is set or dropped, the log is closed, or an event cannot be applied.
///
/// Up to `built_at` it reports how far it is, since a file that was empty can take minutes.
pub(crate) async fn follow<V: View>(
    mut file: ViewFile,
    feed: Arc<Feed>,
    standing: watch::Sender<Standing>,
    mut wanted: watch::Receiver<u64>,
    mut end: watch::Receiver<bool>,
    built_at: u64,
) {
    let mut reported = Instant::now();
    let mut gather_until = tokio::time::Instant::now();
    loop {
        let (position, chores) = (file.position(), file.has_chores());
        let next = async {
            let hurry = wanted.wait_for(|wanted| *wanted > position);
            drop(timeout_at(gather_until, hurry).await);
            next(&feed, position, chores).await
        };
        let next = tokio::select! {
            biased;
            _ = end.wait_for(|ended| *ended) => break,
            next = next => next,
        };
        let next = match next {
            Ok(next) => next,
            Err(StoreError::Closed) => break,
            Err(error) => {
                wait_for_log::<V>(&error, &standing, &mut end).await;
                continue;
            }
        };
        let building = position < built_at;
        let full = matches!(&next, Next::Fold(events) if events.len() >= BATCH);
        match work::<V>(file, next).await {
            Ok(worked) => file = worked,
            Err(reason) => return halt::<V>(reason, &standing),
        }
        let position = file.position();
        standing.send_modify(|standing| {
            standing.position = position;
            standing.waiting = None;
        });
        if !building && !full {
            gather_until = tokio::time::Instant::now() + GATHER;
        }
        if building && (position >= built_at || reported.elapsed() > REPORT) {
            info!(view = V::NAME, position, of = built_at, "building the view");
            reported = Instant::now();
        }
    }
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.close()).await {
        warn!(view = V::NAME, %error, "the file of the view was not closed cleanly");
    }
}

async fn next(feed: &Feed, position: u64, chores: bool) -> Result<Next, StoreError> {
    let events = feed.next(position);
    if !chores {
        return events.await.map(Next::Fold);
    }
    match tokio::time::timeout(QUIET, events).await {
        Ok(events) => events.map(Next::Fold),
        Err(_) => Ok(Next::Rest),
    }
}

/// Does the work, on a blocking thread where the file has a part in it, and gives the file back.
async fn work<V: View>(mut file: ViewFile, next: Next) -> Result<ViewFile, Halt> {
    let position = file.position();
    if let Next::Fold(events) = &next
        && file.pass_over::<V>(events)
    {
        return Ok(file);
    }
    let worked = tokio::task::spawn_blocking(move || {
        let resting = matches!(next, Next::Rest);
        let mut outcome = match next {
            Next::Fold(events) => file
                .fold::<V>(&events)
                .map_err(|stopped| stopped.to_string()),
            Next::Rest => Ok(()),
        };
        if outcome.is_ok() && (resting || file.must_erase()) {
            outcome = file
                .erase()
                .map_err(|error| format!("erased data cannot be removed from its file: {error}"));
        }
        match outcome {
            Ok(()) => Ok(file),
            Err(reason) => Err(Halt {
                position: file.position(),
                reason,
            }),
        }
    });
    match worked.await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Halt {
            position,
            reason: panic.to_string(),
        }),
    }
}

fn halt<V: View>(halt: Halt, standing: &watch::Sender<Standing>) {
    let Halt { position, reason } = halt;
    error!(view = V::NAME, position, reason, "the view has stopped");
    standing.send_modify(|standing| {
        standing.position = position;
        standing.stopped = Some(reason.into());
    });
}

async fn wait_for_log<V: View>(
    error: &StoreError,
    standing: &watch::Sender<Standing>,
    end: &mut watch::Receiver<bool>,
) {
    warn!(view = V::NAME, %error, "the view waits for the log");
    standing.send_modify(|standing| standing.waiting = Some(error.to_string().into()));
    // Ending is noticed by the caller, which looks first of all.
    let _ended = tokio::time::timeout(RETRY, end.wait_for(|ended| *ended)).await;
}
