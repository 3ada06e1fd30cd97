//! The follower of one view: takes what the log has new, folds it, and tells the readers how far it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollbook_eventstore::StoreError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout_at;
use tracing::{error, info, warn};

use crate::event::Folded;
use crate::feed::{BATCH, Feed};
use crate::file::ViewFile;
use crate::reading::{Left, Reading};
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
    /// Whether questions can be asked of it: from when its indexes are there.
    pub(crate) readable: bool,
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
    /// Makes the indexes.
    Index,
    /// Follows with another file from now on.
    Take(Box<Handover>),
}

/// A file that was made beside the live one, to be read and followed with from now on.
pub(crate) struct Handover {
    /// The file, with its indexes.
    pub(crate) file: ViewFile,
    /// Is told which file is left, or why the file was not taken.
    pub(crate) done: oneshot::Sender<Result<Left, String>>,
}

/// Why a follower cannot go on, and how far it is.
pub(crate) struct Halt {
    position: u64,
    /// Why.
    pub(crate) reason: String,
}

/// What the follower of a view works with.
pub(crate) struct Follower {
    /// Where the events come from.
    pub(crate) feed: Arc<Feed>,
    /// Where it tells how far it is.
    pub(crate) standing: watch::Sender<Standing>,
    /// How far somebody needs the view.
    pub(crate) wanted: watch::Receiver<u64>,
    /// When to end.
    pub(crate) end: watch::Receiver<bool>,
    /// Where the log ended when the view was opened. Up to there it reports how far it is, since a file that was empty can
    /// take minutes.
    pub(crate) built_at: u64,
    /// The side that asks, to be turned to another file.
    pub(crate) reading: Arc<Reading>,
    /// Files that were made beside the live one.
    pub(crate) handovers: mpsc::Receiver<Handover>,
}

impl Follower {
    /// Keeps a view's file up with the log until `end` is set or dropped, or the log is closed. Where an event cannot be
    /// applied it stops, and goes on only with another file.
    pub(crate) async fn follow<V: View>(mut self, mut file: ViewFile) {
        let mut reported = Instant::now();
        let mut gather_until = tokio::time::Instant::now();
        self.tell::<V>(&file);
        loop {
            let (position, hash) = (file.position(), file.hash());
            let chores = file.has_chores();
            let next = if position >= self.built_at && !file.is_indexed::<V>() {
                Ok(Some(Next::Index))
            } else {
                self.next(position, hash, chores, gather_until).await
            };
            let next = match next {
                Ok(Some(next)) => next,
                Ok(None) | Err(StoreError::Closed) => break,
                Err(error) => {
                    self.wait_for_log::<V>(&error).await;
                    continue;
                }
            };
            let building = position < self.built_at;
            let erasing = file.is_erasing();
            let full = matches!(&next, Next::Fold(events) if events.len() >= BATCH);
            file = match self.advance::<V>(file, next).await {
                Ok(file) => file,
                Err(halt) => match self.stop::<V>(halt).await {
                    Some(file) => file,
                    None => return,
                },
            };
            if erasing && !file.is_erasing() {
                self.reading.forget();
            }
            self.tell::<V>(&file);
            let position = file.position();
            if !building && !full {
                gather_until = tokio::time::Instant::now() + GATHER;
            }
            if building && (position >= self.built_at || reported.elapsed() > REPORT) {
                info!(
                    view = V::NAME,
                    position,
                    of = self.built_at,
                    "building the view"
                );
                reported = Instant::now();
            }
        }
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.close()).await {
            warn!(view = V::NAME, %error, "the file of the view was not closed cleanly");
        }
    }

    /// What to do next; nothing where it is to end.
    async fn next(
        &mut self,
        position: u64,
        hash: [u8; 32],
        chores: bool,
        gather_until: tokio::time::Instant,
    ) -> Result<Option<Next>, StoreError> {
        let Self {
            feed,
            wanted,
            end,
            handovers,
            ..
        } = self;
        let events = async {
            let hurry = wanted.wait_for(|wanted| *wanted > position);
            drop(timeout_at(gather_until, hurry).await);
            next(feed, position, hash, chores).await
        };
        tokio::select! {
            biased;
            _ = end.wait_for(|ended| *ended) => Ok(None),
            Some(handover) = handovers.recv() => Ok(Some(Next::Take(Box::new(handover)))),
            next = events => next.map(Some),
        }
    }

    async fn advance<V: View>(&self, file: ViewFile, next: Next) -> Result<ViewFile, Halt> {
        match next {
            Next::Take(handover) => {
                let position = file.position();
                let Some(taken) = self.take::<V>(*handover, position).await else {
                    return Ok(file);
                };
                // Nobody waits until the other file is closed: it goes.
                drop(tokio::task::spawn_blocking(move || drop(file)));
                Ok(taken)
            }
            next @ (Next::Fold(_) | Next::Rest | Next::Index) => work::<V>(file, next).await,
        }
    }

    /// Turns to a file that was made beside the live one, once it is as far; answers it, or nothing where that cannot be.
    async fn take<V: View>(&self, handover: Handover, position: u64) -> Option<ViewFile> {
        let Handover { file, done } = handover;
        let taken = match self.bring_up::<V>(file, position).await {
            Ok(file) => go_live(file).await,
            Err(reason) => Err(reason),
        };
        match taken {
            Ok(file) => {
                let left = self.reading.turn_to(&file);
                // Whoever asked may be gone; then the file that is left goes when the process starts again.
                let _asked = done.send(Ok(left));
                Some(file)
            }
            Err(reason) => {
                let _asked = done.send(Err(reason));
                None
            }
        }
    }

    async fn bring_up<V: View>(
        &self,
        mut file: ViewFile,
        position: u64,
    ) -> Result<ViewFile, String> {
        while file.position() < position {
            let events = self.feed.read(file.position(), Some(file.hash())).await;
            let events = events.map_err(|error| error.to_string())?;
            if events.is_empty() {
                return Err("the log ends before the view".to_owned());
            }
            let folded = work::<V>(file, Next::Fold(events)).await;
            file = folded.map_err(|halt| halt.reason)?;
        }
        Ok(file)
    }

    /// Says that the view has stopped, and why; answers another file to go on with, where there comes one.
    async fn stop<V: View>(&mut self, halt: Halt) -> Option<ViewFile> {
        let Halt { position, reason } = halt;
        error!(view = V::NAME, position, reason, "the view has stopped");
        self.standing.send_modify(|standing| {
            standing.position = position;
            standing.stopped = Some(reason.into());
        });
        loop {
            let handover = tokio::select! {
                biased;
                _ = self.end.wait_for(|ended| *ended) => return None,
                handover = self.handovers.recv() => handover?,
            };
            if let Some(file) = self.take::<V>(handover, position).await {
                info!(view = V::NAME, "the view goes on with another file");
                return Some(file);
            }
        }
    }

    /// Tells the readers how far the view is.
    fn tell<V: View>(&self, file: &ViewFile) {
        let (position, readable) = (file.position(), file.is_indexed::<V>());
        self.standing.send_if_modified(|standing| {
            let news = standing.position != position
                || standing.readable != readable
                || standing.waiting.is_some()
                || standing.stopped.is_some();
            *standing = Standing {
                position,
                readable,
                stopped: None,
                waiting: None,
            };
            news
        });
    }

    async fn wait_for_log<V: View>(&mut self, error: &StoreError) {
        warn!(view = V::NAME, %error, "the view waits for the log");
        let reason: Arc<str> = error.to_string().into();
        self.standing
            .send_modify(|standing| standing.waiting = Some(reason));
        // Ending is noticed by the caller, which looks first of all.
        let _ended = tokio::time::timeout(RETRY, self.end.wait_for(|ended| *ended)).await;
    }
}

async fn go_live(mut file: ViewFile) -> Result<ViewFile, String> {
    let gone_live = tokio::task::spawn_blocking(move || file.go_live().map(|()| file));
    match gone_live.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(format!("the file cannot be made the live one: {error}")),
        Err(panic) => Err(panic.to_string()),
    }
}

async fn next(
    feed: &Feed,
    position: u64,
    hash: [u8; 32],
    chores: bool,
) -> Result<Next, StoreError> {
    let events = feed.next(position, Some(hash));
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
    if let Next::Fold(events) = &next
        && file.pass_over::<V>(events)
    {
        return Ok(file);
    }
    on_file(file, move |file| match next {
        Next::Fold(events) => {
            file.fold::<V>(&events)
                .map_err(|stopped| stopped.to_string())?;
            if file.must_erase() {
                erase(file)
            } else {
                Ok(())
            }
        }
        Next::Rest => rest(file),
        Next::Index => index::<V>(file),
        // A file is taken by the follower itself.
        Next::Take(_) => Ok(()),
    })
    .await
}

/// Folds events into a file, and erases what has waited long enough to be.
pub(crate) async fn fold<V: View>(
    file: ViewFile,
    events: Vec<Arc<Folded>>,
) -> Result<ViewFile, Halt> {
    work::<V>(file, Next::Fold(events)).await
}

/// Works on a file on a blocking thread, and gives it back.
pub(crate) async fn on_file(
    mut file: ViewFile,
    work: impl FnOnce(&mut ViewFile) -> Result<(), String> + Send + 'static,
) -> Result<ViewFile, Halt> {
    let position = file.position();
    let worked = tokio::task::spawn_blocking(move || match work(&mut file) {
        Ok(()) => Ok(file),
        Err(reason) => Err(Halt {
            position: file.position(),
            reason,
        }),
    });
    match worked.await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Halt {
            position,
            reason: panic.to_string(),
        }),
    }
}

/// Erases where that has waited for a quiet moment as long as it may.
pub(crate) fn erase_if_due(file: &mut ViewFile) -> Result<(), String> {
    if file.must_erase() {
        erase(file)
    } else {
        Ok(())
    }
}

fn rest(file: &mut ViewFile) -> Result<(), String> {
    file.rest()
        .map_err(|error| format!("the write-ahead log cannot be written back: {error}"))
}

fn erase(file: &mut ViewFile) -> Result<(), String> {
    file.erase()
        .map_err(|error| format!("erased data cannot be removed from its file: {error}"))
}

/// Makes the indexes that are missing.
fn index<V: View>(file: &mut ViewFile) -> Result<(), String> {
    while !file.is_indexed::<V>() {
        file.add_index::<V>()
            .map_err(|error| format!("an index cannot be made: {error}"))?;
        erase_if_due(file)?;
    }
    Ok(())
}
