//! `CreateBackup`: the log as a whole, as it was at one position.
//!
//! The rows beside the events are copied first, into files that have no name and are gone with the call, so that a reader
//! who is slow keeps no snapshot of the database. What is in the log never changes, so its events are read as they are sent.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};

use rollbook_eventstore::backup::{BackupRow, TakesRows};
use rollbook_eventstore::proof::TreeHead;
use rollbook_eventstore::{Log, ReadQuery, StoreError};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::{BackupFile, ErrorReason};
use tonic::Request;

use super::super::Directory;
use super::super::streaming::{Answers, Gone, Sender, send};
use crate::backup::{erased_line, row_line};
use crate::convert::wire_time;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::verify::write_line;

/// How many bytes of text a message has, and then up to the end of a line.
const PIECE: usize = 256 * 1024;

/// How many events are read at a time.
const EVENTS: usize = 500;

/// What is beside the events, in files without names.
struct Spool {
    erased_only: bool,
    rows: BufWriter<File>,
    keys: BufWriter<File>,
    erased: BufWriter<File>,
}

impl Spool {
    fn new(erased_only: bool) -> io::Result<Self> {
        let file = || Ok::<_, io::Error>(BufWriter::new(tempfile::tempfile()?));
        Ok(Self {
            erased_only,
            rows: file()?,
            keys: file()?,
            erased: file()?,
        })
    }

    /// The files, from their beginnings, in the order in which they are sent.
    fn files(self) -> io::Result<Vec<(BackupFile, BufReader<File>)>> {
        let all = [
            (BackupFile::Rows, self.rows),
            (BackupFile::Keys, self.keys),
            (BackupFile::Erased, self.erased),
        ];
        let files = all.into_iter().map(|(name, written)| {
            let mut file = written
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok((name, BufReader::new(file)))
        });
        files.collect()
    }
}

impl TakesRows for Spool {
    fn take(&mut self, row: BackupRow) -> io::Result<()> {
        if let Some(stream) = row.erased() {
            self.erased.write_all(erased_line(stream)?.as_bytes())?;
        }
        if self.erased_only {
            return Ok(());
        }
        let file = if row.is_key() {
            &mut self.keys
        } else {
            &mut self.rows
        };
        file.write_all(row_line(&row)?.as_bytes())
    }
}

impl Directory {
    pub(super) async fn back_up(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> Outcome<Answers<pb::CreateBackupResponse>> {
        let call = Call::of(&request)?;
        let pb::CreateBackupRequest { erased_only } = request.into_inner();
        if self.log().archive().is_some() {
            return Err(Failure::archived());
        }
        let taken_at = self.executor().clock.now();
        let spool = Spool::new(erased_only).map_err(|error| not_kept(&error))?;
        let (position, spool) = self.log().back_up(spool).await?;
        let files = spool.files().map_err(|error| not_kept(&error))?;
        let head = self.tree(&call, position).await?;
        let head = self.tree_of(head, position).await?;
        let (checkpoint, verifier_key) = self.signed(&head, None)?;
        tracing::info!(
            position,
            erased_only,
            caller = call.caller.service,
            "handing out a backup"
        );
        let described = pb::CreateBackupResponse {
            backup: Some(pb::Backup {
                log_id: self.log().id().to_string(),
                position,
                taken_at: Some(wire_time(taken_at)),
                checkpoint,
                verifier_key,
            }),
            ..pb::CreateBackupResponse::default()
        };
        let log = self.log().clone();
        Ok(self.answers(&call, move |sender| async move {
            let up_to = if erased_only { 0 } else { position };
            // Nobody is left to tell where the reader is gone.
            match hand_out(described, files, log, up_to, &sender).await {
                Ok(()) | Err(Stop::Gone) => Ok(()),
                Err(Stop::Failed(failure)) => Err(failure),
            }
        }))
    }

    /// The tree as it was at a size that it has passed.
    async fn tree_of(&self, head: TreeHead, size: u64) -> Outcome<TreeHead> {
        if head.size == size {
            return Ok(head);
        }
        let root = self.log().tree_root(size).await?;
        let root = root
            .ok_or_else(|| Failure::from(StoreError::Corrupt("the tree has a gap".to_owned())))?;
        Ok(TreeHead { size, root })
    }
}

fn not_kept(error: &io::Error) -> Failure {
    tracing::error!(%error, "what is beside the events cannot be copied");
    Failure::new(
        ErrorReason::LogUnavailable,
        "what is beside the events cannot be copied",
    )
}

/// Why no more is sent.
enum Stop {
    Gone,
    Failed(Failure),
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn hand_out(
    described: pb::CreateBackupResponse,
    files: Vec<(BackupFile, BufReader<File>)>,
    log: Log,
    up_to: u64,
    sender: &Sender<pb::CreateBackupResponse>,
) -> Result<(), Stop> {
    send(sender, described).await?;
    for (name, mut file) in files {
        loop {
            let cut = tokio::task::spawn_blocking(move || cut(file)).await;
            let (text, rest) = cut
                .map_err(io::Error::other)
                .flatten()
                .map_err(|error| Stop::Failed(not_kept(&error)))?;
            if text.is_empty() {
                break;
            }
            file = rest;
            send(sender, piece(name, text)).await?;
        }
    }
    let mut position = 0;
    while position < up_to {
        let query = ReadQuery {
            from: position,
            limit: EVENTS,
            ..ReadQuery::default()
        };
        let mut text = Vec::new();
        let before = position;
        for event in log.provable(&query, up_to, false).await? {
            position = event.position;
            let line = write_line(log.id(), &event, None).ok_or_else(|| {
                StoreError::Corrupt(format!("position {position} cannot stand in an export"))
            })?;
            text.extend(line.into_bytes());
            text.push(b'\n');
        }
        if position == before {
            let what = format!("position {} is missing", before + 1);
            return Err(StoreError::Corrupt(what).into());
        }
        send(sender, piece(BackupFile::Events, text)).await?;
    }
    let end = pb::CreateBackupResponse {
        last: true,
        ..pb::CreateBackupResponse::default()
    };
    Ok(send(sender, end).await?)
}

fn piece(file: BackupFile, text: Vec<u8>) -> pb::CreateBackupResponse {
    pb::CreateBackupResponse {
        file: file.into(),
        text,
        ..pb::CreateBackupResponse::default()
    }
}

/// The next lines of a file; none at its end.
fn cut(mut file: BufReader<File>) -> io::Result<(Vec<u8>, BufReader<File>)> {
    let mut text = Vec::with_capacity(PIECE);
    file.by_ref().take(PIECE as u64).read_to_end(&mut text)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        file.read_until(b'\n', &mut text)?;
    }
    Ok((text, file))
}
