//! The files of a backup: what they are called, how they are written, and whether they are what they were.
//!
//! A backup is a folder: the events as an export, the rows beside them, the keys in a file of their own, a list of what was
//! erased, and a manifest that is written last, with a checksum of each. A folder without it is no backup.

mod lines;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rollbook_eventstore::backup::BackupRow;
use rollbook_eventstore::{StreamId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::packing::{Packing, packed};

pub use lines::{Damage, Head, Lines};

/// The events.
pub const EVENTS: &str = "events.ndjson.zst";
/// The rows beside them.
pub const ROWS: &str = "rows.ndjson.zst";
/// The keys.
pub const KEYS: &str = "keys.ndjson";
/// What was erased.
pub const ERASED: &str = "erased.ndjson";
/// The manifest.
pub const MANIFEST: &str = "backup.json";

/// How many bytes of text are compressed at a time.
const PIECE: usize = 1 << 20;

/// A row as a line.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn row_line(row: &BackupRow) -> io::Result<String> {
    Ok(serde_json::to_string(row)? + "\n")
}

/// A line of the list of what was erased.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// The stream.
    pub erased: String,
}

/// What was erased as a line.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn erased_line(stream: &StreamId) -> io::Result<String> {
    let erased = stream.to_string();
    Ok(serde_json::to_string(&Erased { erased })? + "\n")
}

/// How many lines a text has, of whole ones.
#[must_use]
pub fn lines_in(text: &[u8]) -> u64 {
    text.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// The manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupManifest {
    /// The form of the files.
    pub form: String,
    /// The log.
    pub log: Uuid,
    /// The position it was taken at.
    pub position: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Until when the file of keys is to be kept: it opens whatever is erased until then.
    pub keep_keys_until: Timestamp,
    /// The files.
    pub files: Vec<FileSum>,
}

/// A file, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

impl BackupManifest {
    /// The form that this program writes and reads.
    pub const FORM: &'static str = "rollbook backup 1";
}

impl FileSum {
    /// Of a file in this folder.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(folder: &Path, name: &str) -> io::Result<Self> {
        let mut file = File::open(folder.join(name))?;
        let (mut sum, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            sum.update(&piece[..read]);
            bytes += read as u64;
        }
        Ok(Self {
            name: name.to_owned(),
            bytes,
            sha256: hex::encode(sum.finalize()),
        })
    }

    /// What is wrong with the file in this folder; nothing where it is what it was.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn damage(&self, folder: &Path) -> io::Result<Option<String>> {
        let found = Self::of(folder, &self.name)?;
        Ok(if found.bytes == self.bytes {
            (found.sha256 != self.sha256)
                .then(|| "it was changed: its SHA-256 is not the one in the manifest".to_owned())
        } else {
            Some(format!(
                "it has {} bytes where the manifest says {}",
                found.bytes, self.bytes
            ))
        })
    }
}

/// A file of a backup that is being written, for its owner alone. With a head it ends with a line that says what is in it.
pub struct Writing {
    file: File,
    packing: Option<Packing>,
    text: Vec<u8>,
    sum: Option<(Sha256, u64)>,
}

impl Writing {
    /// Begins a new file.
    ///
    /// # Errors
    /// Where it is there already or cannot be written.
    pub fn begin(path: &Path, packing: Option<Packing>, head: Option<&Head>) -> io::Result<Self> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut writing = Self {
            file,
            packing,
            text: Vec::new(),
            sum: head.map(|_| (Sha256::new(), 0)),
        };
        if let Some(head) = head {
            let line = serde_json::to_string(head)? + "\n";
            writing.add(line.as_bytes())?;
        }
        Ok(writing)
    }

    /// Adds whole lines.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some((sum, count)) = &mut self.sum {
            sum.update(lines);
            *count += lines_in(lines);
        }
        self.text.extend(lines);
        if self.text.len() >= PIECE {
            self.put()?;
        }
        Ok(())
    }

    fn put(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        self.file.write_all(&packed(text, self.packing)?)
    }

    /// Ends the file, which is on the disk then.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some((sum, lines)) = self.sum.take() {
            let end = lines::End {
                lines,
                sha256: hex::encode(sum.finalize()),
            };
            self.text
                .extend((serde_json::to_string(&lines::Last { end })? + "\n").into_bytes());
        }
        self.put()?;
        self.file.sync_all()
    }
}
