//! A file of lines that says at its beginning what it is of and at its end that it is whole.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use rollbook_eventstore::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::packing;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The form of the file.
    pub form: String,
    /// The log.
    pub log: Uuid,
    /// The position it was taken at.
    pub position: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Of keys: until when they are to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<Timestamp>,
}

impl Head {
    /// The form of rows beside the events.
    pub const ROWS: &'static str = "rollbook rows 1";
    /// The form of keys.
    pub const KEYS: &'static str = "rollbook keys 1";
    /// The form of a list of what was erased.
    pub const ERASED: &'static str = "rollbook erased 1";
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    pub(super) end: End,
}

/// What it says of those before.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) lines: u64,
    pub(super) sha256: String,
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {what}", .path.display())]
pub struct Damage {
    path: PathBuf,
    line: u64,
    what: String,
}

impl Damage {
    /// Tells of a line of a file.
    #[must_use]
    pub fn at(path: &Path, line: u64, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

/// The lines of such a file. What they say is certain only once the last has been read.
pub struct Lines {
    path: PathBuf,
    text: Box<dyn BufRead>,
    head: Head,
    sum: Sha256,
    line: u64,
}

impl Lines {
    /// Opens a file of this form.
    ///
    /// # Errors
    /// Where it is none.
    pub fn open(path: &Path, form: &str) -> Result<Self, Damage> {
        let damage = |what: String| Damage::at(path, 1, what);
        let mut text = packing::open(path).map_err(|error| damage(error.to_string()))?;
        let mut first = Vec::new();
        text.read_until(b'\n', &mut first)
            .map_err(|error| damage(error.to_string()))?;
        let head: Head = serde_json::from_slice(&first)
            .map_err(|_| damage(format!("it is not a file of the form `{form}`")))?;
        if head.form != form {
            return Err(damage(format!(
                "it is of the form `{}`, where `{form}` is needed",
                head.form
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            text,
            head,
            sum: Sha256::new_with_prefix(&first),
            line: 1,
        })
    }

    /// What it is of.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Tells what is wrong with the line that stands so many before the one that was read last.
    #[must_use]
    pub fn damage(&self, before: u64, what: impl Into<String>) -> Damage {
        Damage::at(&self.path, self.line.saturating_sub(before), what)
    }

    /// The next line; none at the end of a file that is whole.
    ///
    /// # Errors
    /// Where it cannot be read, or the file ends too early.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Damage> {
        let mut bytes = Vec::new();
        let read = self.text.read_until(b'\n', &mut bytes);
        self.line += 1;
        read.map_err(|error| self.damage(0, format!("it cannot be read: {error}")))?;
        if bytes.pop() != Some(b'\n') {
            return Err(self.damage(0, "the file was cut off here"));
        }
        if let Ok(Last { end }) = serde_json::from_slice(&bytes) {
            self.must_end(&end)?;
            return Ok(None);
        }
        self.sum.update(&bytes);
        self.sum.update(b"\n");
        let row = serde_json::from_slice(&bytes);
        row.map(Some)
            .map_err(|_| self.damage(0, "it is not a line of such a file"))
    }

    fn must_end(&mut self, end: &End) -> Result<(), Damage> {
        let sum = std::mem::take(&mut self.sum);
        if end.lines != self.line - 1 {
            return Err(self.damage(0, format!("{} lines must stand before it", end.lines)));
        }
        if end.sha256 != hex::encode(sum.finalize()) {
            return Err(self.damage(0, "a line before it was changed: their SHA-256 is another"));
        }
        let more = self.text.fill_buf();
        match more.map(<[u8]>::is_empty) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.damage(0, "more stands behind the end")),
            Err(error) => Err(self.damage(0, format!("it cannot be read: {error}"))),
        }
    }
}
