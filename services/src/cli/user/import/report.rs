//! The rows that were refused, in the form they came in, so that they can be corrected and imported again.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use rollbook_proto::v1::ImportRefusal;
use serde_json::{Value, json};

use super::rows::{PROBLEM, REASON, Raw, Row, Rows};
use crate::cli::problem::Problem;

/// The member of a JSON object under which a report says why.
pub const REFUSED: &str = "refused";

enum Sink {
    Csv {
        writer: Box<csv::Writer<File>>,
        /// How many of the headings are the file's own, and which of them an earlier report added.
        headings: usize,
        added: Vec<usize>,
    },
    Ndjson(BufWriter<File>),
}

/// A report that is being written.
pub struct Report {
    path: PathBuf,
    sink: Sink,
}

impl Report {
    /// Begins a report on these rows. Like the file they came from it may hold what is personal, so it is its owner's alone.
    pub fn create(path: &Path, rows: &Rows) -> Result<Self, Problem> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| unwritable(path, source))?;
        let sink = match rows.headings() {
            None => Sink::Ndjson(BufWriter::new(file)),
            Some(headings) => {
                let is_added = |name: &str| [REASON, PROBLEM].contains(&name);
                let added = headings
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| is_added(name));
                let added: Vec<usize> = added.map(|(index, _)| index).collect();
                let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(file);
                let own = headings.iter().filter(|name| !is_added(name));
                writer
                    .write_record(own.chain([REASON, PROBLEM]))
                    .map_err(|source| broken(path, source))?;
                Sink::Csv {
                    writer: Box::new(writer),
                    headings: headings.len(),
                    added,
                }
            }
        };
        Ok(Self {
            path: path.to_owned(),
            sink,
        })
    }

    /// Adds a row and why it was refused.
    pub fn add(&mut self, row: &Row, refusal: &ImportRefusal) -> Result<(), Problem> {
        match (&mut self.sink, &row.raw) {
            (
                Sink::Csv {
                    writer,
                    headings,
                    added,
                },
                Raw::Record(record),
            ) => {
                let problem = problem(refusal);
                let own = (0..*headings)
                    .filter(|index| !added.contains(index))
                    .map(|index| record.get(index).unwrap_or_default());
                let line = own.chain([refusal.reason.as_str(), problem.as_str()]);
                writer
                    .write_record(line)
                    .map_err(|source| broken(&self.path, source))
            }
            (Sink::Ndjson(file), Raw::Line(line)) => {
                writeln!(file, "{}", with_reason(line, refusal))
                    .map_err(|source| unwritable(&self.path, source))
            }
            (Sink::Csv { .. }, Raw::Line(_)) | (Sink::Ndjson(_), Raw::Record(_)) => Ok(()),
        }
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<(), Problem> {
        match self.sink {
            Sink::Csv { mut writer, .. } => writer.flush(),
            Sink::Ndjson(mut file) => file.flush(),
        }
        .map_err(|source| unwritable(&self.path, source))
    }
}

/// The line with the reason in it; one that is no object is wrapped into one.
fn with_reason(line: &str, refusal: &ImportRefusal) -> Value {
    let why = json!({ "reason": refusal.reason, "problem": problem(refusal) });
    match serde_json::from_str(line) {
        Ok(Value::Object(mut object)) => {
            object.insert(REFUSED.to_owned(), why);
            Value::Object(object)
        }
        Ok(_) | Err(_) => json!({ "line": line, REFUSED: why }),
    }
}

/// Why a row was refused, in one line: every bad field, and everything that stands against it.
#[must_use]
pub fn problem(refusal: &ImportRefusal) -> String {
    let fields = refusal.fields.iter().map(|bad| match bad.field.as_str() {
        "" => bad.description.clone(),
        field => format!("{field}: {}", bad.description),
    });
    let violations = refusal.violations.iter();
    let violations = violations.map(|found| format!("{} {}", found.subject, found.description));
    let all: Vec<String> = fields.chain(violations).collect();
    if all.is_empty() {
        refusal.message.clone()
    } else {
        all.join("; ")
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> Problem {
    Problem::File {
        action: "write",
        path: path.to_owned(),
        source,
    }
}

fn broken(path: &Path, source: csv::Error) -> Problem {
    Problem::failed(format!("write {}", path.display()), source)
}
