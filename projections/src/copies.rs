//! Copies of views for other processes of the log, which need not fold it from its beginning then.
//!
//! * A copy is the file as it stands after a commit. It is made beside the file and has no name any more when it is read, so
//!   that it goes with whoever reads it.
//! * What is received is used only if it was folded from the same log; then it is followed on like any other file, and what
//!   was erased since it was made is erased from it before the view answers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::file::{connect_to_write_once, leaving, remove, saved_position};
use crate::reading::{Apart, Freshness, ReadError, Reading};
use crate::view::View;

/// A consistent copy of a view.
#[derive(Debug)]
pub struct ViewCopy {
    /// The version of its tables and its fold.
    pub version: u32,
    /// How far it is folded.
    pub position: u64,
    /// How many bytes it has.
    pub size: u64,
    /// The copy, which has no name.
    pub file: File,
}

/// Where copies of views come from.
pub trait ViewSource: Send + Sync {
    /// Writes a copy of the view to a place where nothing is; answers how far it is folded.
    fn fetch<'a>(
        &'a self,
        view: &'static str,
        version: u32,
        into: &'a Path,
    ) -> BoxFuture<'a, Result<u64, Box<dyn std::error::Error + Send + Sync>>>;
}

/// Copies one view when asked to.
pub(crate) trait Copied: Send + Sync {
    /// A copy of it as it stands, once it can be read.
    fn copy(&self) -> BoxFuture<'static, Result<ViewCopy, ReadError>>;
}

/// What copying a view needs.
pub(crate) struct Copier<V> {
    folder: PathBuf,
    reading: Arc<Reading>,
    copies: AtomicU64,
    view: std::marker::PhantomData<fn() -> V>,
}

impl<V: View> Copier<V> {
    pub(crate) fn new(folder: PathBuf, reading: Arc<Reading>) -> Self {
        Self {
            folder,
            reading,
            copies: AtomicU64::new(1),
            view: std::marker::PhantomData,
        }
    }
}

impl<V: View> Copied for Copier<V> {
    fn copy(&self) -> BoxFuture<'static, Result<ViewCopy, ReadError>> {
        let place = leaving::<V>(&self.folder, self.copies.fetch_add(1, Ordering::Relaxed));
        let reading = Arc::clone(&self.reading);
        Box::pin(async move {
            reading.fresh(Freshness::Fastest, None).await?;
            let apart = reading.apart().map_err(|source| ReadError::Storage {
                view: V::NAME,
                source,
            })?;
            let copied = tokio::task::spawn_blocking(move || copy(&apart, &place));
            let (file, size, position) = copied
                .await
                .map_err(std::io::Error::other)
                .flatten()
                .map_err(|source| ReadError::NotCopied {
                    view: V::NAME,
                    source,
                })?;
            Ok(ViewCopy {
                version: V::VERSION,
                position,
                size,
                file,
            })
        })
    }
}

/// Copies a file page by page, as it stands; answers the copy, its size and how far it is folded.
fn copy(from: &Apart, place: &Path) -> std::io::Result<(File, u64, u64)> {
    let copied = pages(&from.tables, place).map_err(std::io::Error::other);
    let file = copied.and_then(|position| Ok((File::open(place)?, position)));
    // From here on it has no name, whatever came of it.
    remove(place).map_err(std::io::Error::other)?;
    let (file, position) = file?;
    let size = file.metadata()?.len();
    Ok((file, size, position))
}

fn pages(from: &Connection, place: &Path) -> rusqlite::Result<u64> {
    let mut to = connect_to_write_once(place)?;
    // What is read first settles what all that follows will see.
    from.execute_batch("BEGIN")?;
    let position = saved_position(from)?;
    let all = -1;
    match Backup::new(from, &mut to)?.step(all)? {
        StepResult::Done => Ok(position),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the file was in use".to_owned()),
        )),
    }
}
