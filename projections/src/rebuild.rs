//! A view is made anew beside the live one, which goes on serving.
//!
//! * The next file is folded from the first event on, gets its indexes once the rows are there, follows what came meanwhile,
//!   and takes the place of the live one in one step: the follower turns to it when it is as far, and questions that are
//!   under way end on the file they began with.
//! * Whatever goes wrong on the way, the live file stays, and what was begun is removed: at once, or when the process starts.
//! * One view of a process is made anew at a time; others wait for their turn. It goes on though nobody looks.
//! * What is erased meanwhile is erased in both files.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rollbook_eventstore::{Log, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::compare::{Comparison, compare};
use crate::event::Folded;
use crate::feed::{BATCH, Feed};
use crate::file::{ViewFile, path, remove, saved_position};
use crate::follower::{Halt, Handover, Standing, erase_if_due, fold, on_file};
use crate::reading::{Apart, Reading};
use crate::view::View;

/// How to make a view anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuild {
    /// Whether to hold the next file against the live one, row for row.
    pub compare: bool,
    /// Whether to keep the live file and remove the next one, whatever the comparison says.
    pub keep: bool,
}

/// What a rebuild is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebuildPhase {
    /// It waits until another view of the process is made.
    #[default]
    Waiting,
    /// It folds the log.
    Folding,
    /// It makes the indexes.
    Indexing,
    /// It holds both files against each other.
    Comparing,
    /// It follows what came meanwhile and takes the place of the live file.
    Switching,
    /// It is done.
    Done,
    /// It came to nothing; the live file is as it was.
    Failed,
}

/// How far a rebuild is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// What it is doing.
    pub phase: RebuildPhase,
    /// How far the next file is folded.
    pub position: u64,
    /// Where the log ended when that was told.
    pub head: u64,
    /// How many indexes it has.
    pub indexes: usize,
    /// How many it is to have.
    pub all_indexes: usize,
    /// How long the phase may still take, going by what it took so far.
    pub left: Option<Duration>,
    /// What the comparison said.
    pub comparison: Option<Comparison>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl RebuildProgress {
    /// Whether nothing more is coming.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, RebuildPhase::Done | RebuildPhase::Failed)
    }
}

/// Makes one view anew when asked to.
pub(crate) trait Rebuilds: Send + Sync {
    /// The work, and where to see how far it is.
    fn begin(
        self: Arc<Self>,
        how: Rebuild,
    ) -> (BoxFuture<'static, ()>, watch::Receiver<RebuildProgress>);

    /// How far the rebuild is that is under way, if one is.
    fn under_way(&self) -> Option<RebuildProgress>;
}

/// What making a view anew needs.
pub(crate) struct Rebuilder<V> {
    pub(crate) log: Log,
    pub(crate) feed: Arc<Feed>,
    pub(crate) folder: PathBuf,
    pub(crate) reading: Arc<Reading>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) handovers: mpsc::Sender<Handover>,
    pub(crate) end: watch::Receiver<bool>,
    /// Shared by the views of a process.
    pub(crate) turn: Arc<Semaphore>,
    pub(crate) under_way: Mutex<Option<watch::Receiver<RebuildProgress>>>,
    pub(crate) view: PhantomData<fn() -> V>,
}

/// Why a rebuild came to nothing.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("the log cannot be read: {0}")]
    Log(#[from] StoreError),
    #[error("the file of the view cannot be read or written: {0}")]
    File(#[from] rusqlite::Error),
    #[error("{0}")]
    Halted(String),
    #[error("the process is ending")]
    Ending,
}

impl From<Halt> for RebuildError {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt.reason)
    }
}

impl<V: View> Rebuilds for Rebuilder<V> {
    fn begin(
        self: Arc<Self>,
        how: Rebuild,
    ) -> (BoxFuture<'static, ()>, watch::Receiver<RebuildProgress>) {
        let all_indexes = V::INDEXES.len();
        let (told, progress) = watch::channel(RebuildProgress {
            all_indexes,
            ..RebuildProgress::default()
        });
        (
            Box::pin(async move { self.run(how, &told).await }),
            progress,
        )
    }

    fn under_way(&self) -> Option<RebuildProgress> {
        let under_way = self.lock_under_way();
        let progress = under_way.as_ref()?.borrow().clone();
        (!progress.is_over()).then_some(progress)
    }
}

impl<V: View> Rebuilder<V> {
    async fn run(&self, how: Rebuild, told: &watch::Sender<RebuildProgress>) {
        let mut end = self.end.clone();
        // One that nobody waits for any more is not begun.
        let turn = tokio::select! {
            biased;
            _ = end.wait_for(|ended| *ended) => return,
            () = told.closed() => return,
            turn = self.turn.acquire() => turn,
        };
        *self.lock_under_way() = Some(told.subscribe());
        info!(view = V::NAME, "making the view anew");
        let began = Instant::now();
        let built = tokio::select! {
            biased;
            _ = end.wait_for(|ended| *ended) => Err(RebuildError::Ending),
            built = self.build(how, told) => built,
        };
        drop(turn);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match built {
            Ok(()) => {
                info!(view = V::NAME, took_ms, "the view was made anew");
                self.tell(told, RebuildPhase::Done, |progress| progress.left = None);
            }
            Err(error) => {
                warn!(view = V::NAME, took_ms, %error, "the view could not be made anew: the one there was goes on");
                self.tell(told, RebuildPhase::Failed, |progress| {
                    progress.left = None;
                    progress.failure = Some(error.to_string());
                });
            }
        }
    }

    async fn build(
        &self,
        how: Rebuild,
        told: &watch::Sender<RebuildProgress>,
    ) -> Result<(), RebuildError> {
        let live = self.reading.apart()?;
        let generation = 1 + self.reading.generation();
        let place = path::<V>(&self.folder, generation);
        let _ended = discard(&place);
        let made = self.make(how, told, live, generation).await;
        if how.keep || made.is_err() {
            discard(&place)?;
        }
        made
    }

    async fn make(
        &self,
        how: Rebuild,
        told: &watch::Sender<RebuildProgress>,
        live: Apart,
        generation: u32,
    ) -> Result<(), RebuildError> {
        let next = ViewFile::create::<V>(&self.folder, &self.log, generation, false)?;
        // What the live one has not saved is left for later, so that the next one is never ahead where they are compared.
        let saved = saved_position(&live.tables)?;
        drop(live);
        let next = self.fold_up_to(next, saved, told).await?;
        let mut next = self.index(next, told).await?;
        if how.compare || how.keep {
            next = self.compare(next, told).await?;
        }
        if how.keep {
            return Ok(());
        }
        if self.standing.borrow().stopped.is_some() {
            // It must get past where the live one stopped, or nothing is won.
            let head = self.log.head().await?;
            next = self.fold_up_to(next, head, told).await?;
        }
        self.tell(told, RebuildPhase::Switching, |_| {});
        while self.standing.borrow().position > next.position() + BATCH as u64 {
            let goal = self.standing.borrow().position;
            next = self.fold_up_to(next, goal, told).await?;
        }
        self.switch(next).await
    }

    /// Folds whole commits up to the end of one; the next are read while those before are written.
    async fn fold_up_to(
        &self,
        mut next: ViewFile,
        goal: u64,
        told: &watch::Sender<RebuildProgress>,
    ) -> Result<ViewFile, RebuildError> {
        let (began, from) = (Instant::now(), next.position());
        let mut events = self.read(from, next.hash(), goal).await?;
        while let Some(last) = events.last() {
            let (after, hash) = (last.recorded.position, last.recorded.hash);
            let ahead = self.read(after, hash, goal);
            let (folded, ahead) = tokio::join!(fold::<V>(next, events), ahead);
            (next, events) = (folded?, ahead?);
            let left = time_left(began, after - from, goal - after);
            self.tell(told, RebuildPhase::Folding, |progress| {
                progress.position = after;
                progress.left = left;
            });
        }
        Ok(next)
    }

    async fn read(
        &self,
        after: u64,
        hash: [u8; 32],
        goal: u64,
    ) -> Result<Vec<Arc<Folded>>, StoreError> {
        if after >= goal {
            return Ok(Vec::new());
        }
        let mut events = self.feed.read(after, Some(hash)).await?;
        let within = |event: &Arc<Folded>| event.recorded.position <= goal;
        events.truncate(events.iter().take_while(|event| within(event)).count());
        Ok(events)
    }

    async fn index(
        &self,
        mut next: ViewFile,
        told: &watch::Sender<RebuildProgress>,
    ) -> Result<ViewFile, RebuildError> {
        let began = Instant::now();
        while !next.is_indexed::<V>() {
            let (done, all) = (next.indexes() as u64, V::INDEXES.len() as u64);
            let left = time_left(began, done, all - done);
            self.tell(told, RebuildPhase::Indexing, |progress| {
                progress.indexes = next.indexes();
                progress.left = left;
            });
            let add = |file: &mut ViewFile| {
                let added = file.add_index::<V>();
                added.map_err(|error| format!("an index cannot be made: {error}"))?;
                erase_if_due(file)
            };
            next = on_file(next, add).await?;
        }
        self.tell(told, RebuildPhase::Indexing, |progress| {
            progress.indexes = next.indexes();
            progress.left = None;
        });
        Ok(next)
    }

    /// Holds the next file against the live one, as both are at the same position.
    async fn compare(
        &self,
        next: ViewFile,
        told: &watch::Sender<RebuildProgress>,
    ) -> Result<ViewFile, RebuildError> {
        let live = self.reading.apart()?;
        // What is read first settles what all that follows will see.
        live.tables.execute_batch("BEGIN")?;
        let saved = saved_position(&live.tables)?;
        let next = self.fold_up_to(next, saved, told).await?;
        if next.position() != saved {
            return Err(RebuildError::Halted(format!(
                "the next file is at position {} and the live one at {saved}",
                next.position()
            )));
        }
        self.tell(told, RebuildPhase::Comparing, |progress| {
            progress.left = None;
        });
        let place = next.path().to_owned();
        let compared = tokio::task::spawn_blocking(move || compare(&live.tables, &place)).await;
        let comparison = compared.map_err(|panic| RebuildError::Halted(panic.to_string()))??;
        if !comparison.is_equal() {
            warn!(
                view = V::NAME,
                position = saved,
                ?comparison,
                "the live view differs from what the log says"
            );
        }
        told.send_modify(|progress| progress.comparison = Some(comparison));
        Ok(next)
    }

    async fn switch(&self, next: ViewFile) -> Result<(), RebuildError> {
        let (done, switched) = oneshot::channel();
        let handover = Handover { file: next, done };
        let handed = self.handovers.send(handover).await;
        handed.map_err(|_| RebuildError::Ending)?;
        let left = switched.await.map_err(|_| RebuildError::Ending)?;
        let left = left.map_err(RebuildError::Halted)?.by_all().await;
        if let Err(error) = remove(&left) {
            warn!(view = V::NAME, %error, "the file that was left cannot be removed: it goes when the process starts");
        }
        Ok(())
    }

    fn tell(
        &self,
        told: &watch::Sender<RebuildProgress>,
        phase: RebuildPhase,
        more: impl FnOnce(&mut RebuildProgress),
    ) {
        let head = *self.log.moved().borrow();
        told.send_modify(|progress| {
            progress.phase = phase;
            progress.head = head.max(progress.position);
            more(progress);
        });
    }

    fn lock_under_way(
        &self,
    ) -> std::sync::MutexGuard<'_, Option<watch::Receiver<RebuildProgress>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn discard(place: &Path) -> Result<(), RebuildError> {
    remove(place).map_err(|error| RebuildError::Halted(error.to_string()))
}

/// How long the rest takes at the pace so far.
fn time_left(began: Instant, done: u64, left: u64) -> Option<Duration> {
    if done == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let share = left as f64 / done as f64;
    Duration::try_from_secs_f64(began.elapsed().as_secs_f64() * share).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r64_the_time_left_follows_from_the_pace_so_far() {
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let left = time_left(began, 200, 100).unwrap().as_secs();
        assert!((5..60).contains(&left), "{left}");
        assert_eq!(time_left(began, 0, 100), None);
        assert_eq!(time_left(began, 200, 0), Some(Duration::ZERO));
    }
}
