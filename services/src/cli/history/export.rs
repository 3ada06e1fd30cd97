//! `rollbook history export`: the log, or a part of it, as a file that anybody can check.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use rollbook_eventstore::proof::CheckpointKey;
use rollbook_proto::v1::{ExportEventsRequest, GetCheckpointRequest};
use serde::{Deserialize, Serialize};

use super::FilterFlags;
use crate::{
    cli::{client::Client, output::print, pages::counting, problem::Problem},
    convert::read_stored_event,
    packing::{Packing, packed},
    verify::{Manifest, Scope, write_line},
};

/// How many bytes of text are written at a time. What was written stays when the export is cut off.
const PIECE: usize = 1024 * 1024;

#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    filter: FilterFlags,
    /// File to write, one event a line; FILE.manifest.json beside it says what it is. An export that was cut off goes on
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Compress it
    #[arg(long, value_name = "HOW")]
    compress: Option<Packing>,
}

impl Export {
    /// All that the client may see, to this file.
    pub fn of_all(out: &Path, compress: Option<Packing>) -> Self {
        Self {
            filter: FilterFlags::default(),
            out: out.to_owned(),
            compress,
        }
    }

    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        print(&self.write(client).await?)
    }

    /// Writes it, and says what was written.
    pub async fn write(&self, client: &Client) -> Result<String, Problem> {
        if self.filter.backwards {
            let what = "an export is read forwards: leave --backwards out";
            return Err(Problem::Usage(what.to_owned()));
        }
        let manifest = self.manifest(client).await?;
        let filter = self.filter.filter(client).await?;
        let mut writing =
            Writing::begin(&self.out, manifest, self.compress, format!("{filter:?}"))?;
        let key = CheckpointKey::parse(&writing.progress.manifest.verifier_key);
        let key = key.map_err(not_read)?;
        let checkpoint = key.open(&writing.progress.manifest.checkpoint);
        let checkpoint = checkpoint.map_err(not_read)?;
        let prove = writing.progress.manifest.scope != Scope::Log;
        let request = ExportEventsRequest {
            filter: Some(filter),
            from_position: writing.progress.position,
            tree_size: checkpoint.head.size,
            open: false,
            prove,
        };
        let mut stream = client
            .history(true)
            .export_events(request)
            .await?
            .into_inner();
        let bar = counting("events").with_position(writing.progress.manifest.events);
        while let Some(piece) = stream.message().await? {
            for event in piece.events {
                let position = event.position;
                let line = read_stored_event(event).and_then(|(event, proof)| {
                    let proof = prove.then_some(proof.as_slice());
                    write_line(checkpoint.log_id, &event, proof)
                });
                let line = line.ok_or_else(|| {
                    Problem::NotTrue(format!("position {position} cannot stand in an export"))
                })?;
                writing.add(&line);
                bar.inc(1);
            }
            writing.progress.position = piece.position;
            writing.put(PIECE)?;
        }
        bar.finish_and_clear();
        let events = writing.finish()?.events;
        Ok(format!("wrote {events} events to {}", self.out.display()))
    }

    /// What the export will be, as of now.
    async fn manifest(&self, client: &Client) -> Result<Manifest, Problem> {
        let request = GetCheckpointRequest {
            account_id: client.any_account(),
            at_least_size: 0,
        };
        let answer = client.history(false).get_checkpoint(request).await?;
        let answer = answer.into_inner();
        let scope = match answer.account {
            _ if !self.filter.is_all() => Scope::Part,
            Some(end) => Scope::Account(end.account_id),
            None => Scope::Log,
        };
        Ok(Manifest {
            form: Manifest::FORM.to_owned(),
            scope,
            events: 0,
            gzip: None,
            checkpoint: answer.checkpoint,
            verifier_key: answer.verifier_key,
        })
    }
}

fn not_read(error: impl std::error::Error + Send + Sync + 'static) -> Problem {
    Problem::failed("read the checkpoint", error)
}

/// How far an export has come.
#[derive(Serialize, Deserialize)]
struct Progress {
    manifest: Manifest,
    packing: Option<Packing>,
    filter: String,
    position: u64,
    bytes: u64,
}

/// An export that is written. Every piece is a file of its own where it is compressed: they are read as one.
struct Writing {
    path: PathBuf,
    file: File,
    progress: Progress,
    text: Vec<u8>,
}

/// The file that says what an export is.
#[must_use]
pub fn manifest_path(path: &Path) -> PathBuf {
    beside(path, "manifest.json")
}

fn beside(path: &Path, name: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".");
    beside.push(name);
    beside.into()
}

impl Writing {
    /// Begins, or goes on where an export of the same was cut off.
    fn begin(
        path: &Path,
        manifest: Manifest,
        packing: Option<Packing>,
        filter: String,
    ) -> Result<Self, Problem> {
        let failed = |action, path: PathBuf| {
            move |source| Problem::File {
                action,
                path,
                source,
            }
        };
        let exists = manifest_path(path);
        if exists.exists() {
            let what = format!("{} is an export already; name another file", path.display());
            return Err(Problem::Usage(what));
        }
        let noted = beside(path, "progress");
        let mut progress = Progress {
            manifest,
            packing,
            filter,
            position: 0,
            bytes: 0,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if noted.exists() {
            let text = fs::read(&noted).map_err(failed("read", noted.clone()))?;
            let found: Progress = serde_json::from_slice(&text)
                .map_err(|source| Problem::failed(format!("read {}", noted.display()), source))?;
            let same = |a: &Progress, b: &Progress| {
                (&a.filter, a.packing, &a.manifest.scope)
                    == (&b.filter, b.packing, &b.manifest.scope)
            };
            if !same(&found, &progress) {
                let what = format!(
                    "{} was begun as another export; remove it, or name another file",
                    path.display()
                );
                return Err(Problem::Usage(what));
            }
            progress = found;
        } else {
            options.create_new(true);
        }
        let mut file = options
            .open(path)
            .map_err(failed("write", path.to_owned()))?;
        file.set_len(progress.bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(failed("write", path.to_owned()))?;
        let mut writing = Self {
            path: path.to_owned(),
            file,
            progress,
            text: Vec::new(),
        };
        writing.note()?;
        Ok(writing)
    }

    fn add(&mut self, line: &str) {
        self.text.extend(line.as_bytes());
        self.text.push(b'\n');
        self.progress.manifest.events += 1;
    }

    /// Writes what is there, where it is at least so much.
    fn put(&mut self, at_least: usize) -> Result<(), Problem> {
        if self.text.len() < at_least.max(1) {
            return Ok(());
        }
        let failed = |source| Problem::File {
            action: "write",
            path: self.path.clone(),
            source,
        };
        let text = std::mem::take(&mut self.text);
        let piece = packed(text, self.progress.packing).map_err(failed)?;
        self.file
            .write_all(&piece)
            .and_then(|()| self.file.sync_data())
            .map_err(failed)?;
        self.progress.bytes += piece.len() as u64;
        self.note()
    }

    /// Writes down how far it has come.
    fn note(&mut self) -> Result<(), Problem> {
        write_whole(&beside(&self.path, "progress"), &self.progress)
    }

    fn finish(mut self) -> Result<Manifest, Problem> {
        self.put(0)?;
        let manifest = self.progress.manifest;
        write_whole(&manifest_path(&self.path), &manifest)?;
        let noted = beside(&self.path, "progress");
        fs::remove_file(&noted).map_err(|source| Problem::File {
            action: "remove",
            path: noted,
            source,
        })?;
        Ok(manifest)
    }
}

/// Writes a file whole or not at all.
pub fn write_whole(path: &Path, content: &impl Serialize) -> Result<(), Problem> {
    let failed = |source| Problem::File {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut text = serde_json::to_vec_pretty(content)
        .map_err(|source| Problem::failed(format!("write {}", path.display()), source))?;
    text.push(b'\n');
    let made = beside(path, "new");
    File::create(&made)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&made, path))
        .map_err(failed)
}

/// The manifest of an export.
pub fn read_manifest(path: &Path) -> Result<Manifest, Problem> {
    let path = manifest_path(path);
    let mut text = String::new();
    File::open(&path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(|source| Problem::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|source| Problem::failed(format!("read {}", path.display()), source))?;
    if manifest.form == Manifest::FORM {
        Ok(manifest)
    } else {
        let what = format!(
            "{} is of a form that this program does not read",
            path.display()
        );
        Err(Problem::Usage(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing;

    fn manifest() -> Manifest {
        Manifest {
            form: Manifest::FORM.to_owned(),
            scope: Scope::Log,
            events: 0,
            gzip: None,
            checkpoint: "note".to_owned(),
            verifier_key: "key".to_owned(),
        }
    }

    #[test]
    fn r63_an_export_that_was_cut_off_goes_on_where_it_was() {
        for packing in [None, Some(Packing::Gzip), Some(Packing::Zstd)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.ndjson");
            let begin = || Writing::begin(&path, manifest(), packing, "all".to_owned());
            let mut writing = begin().unwrap();
            writing.add("one");
            writing.progress.position = 1;
            writing.put(1).unwrap();
            // What came after the last piece is lost, and what the disk had of it is no piece.
            writing.add("two");
            writing.file.write_all(b"tw").unwrap();
            drop(writing);
            let otherwise = packing.map_or(Some(Packing::Gzip), |_| None);
            let other = Writing::begin(&path, manifest(), otherwise, "all".to_owned());
            assert!(matches!(other, Err(Problem::Usage(_))));
            let mut writing = begin().unwrap();
            assert_eq!(writing.progress.position, 1);
            writing.add("two");
            writing.add("three");
            assert_eq!(writing.finish().unwrap().events, 3);
            let mut text = String::new();
            let mut file = packing::open(&path).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\ntwo\nthree\n");
            assert_eq!(read_manifest(&path).unwrap().events, 3);
            assert!(matches!(begin(), Err(Problem::Usage(_))));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }
}
