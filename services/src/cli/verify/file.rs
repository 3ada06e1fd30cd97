//! The events of an export, checked as they are read.

use std::{
    io::{BufRead, Split},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use rollbook_eventstore::proof::ProvableEvent;
use uuid::Uuid;

use super::{Promise, bar, untrue};
use crate::{
    cli::problem::Problem,
    packing,
    verify::{Manifest, Verifier, read_lines},
};

/// How many lines are read at a time.
const LINES: usize = 4096;

/// An export that is read.
pub struct EventLines {
    path: PathBuf,
    log_id: Uuid,
    lines: Split<Box<dyn BufRead>>,
    verifier: Verifier,
    bar: ProgressBar,
    checked: u64,
    /// How many the manifest says.
    events: u64,
}

/// Opens an export of a log that is to be what was promised.
pub fn event_lines(
    path: &Path,
    manifest: &Manifest,
    promise: &Promise,
) -> Result<EventLines, Problem> {
    let text = packing::open(path).map_err(|source| Problem::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(EventLines {
        path: path.to_owned(),
        log_id: promise.log_id(),
        lines: text.split(b'\n'),
        verifier: promise.verifier(manifest.scope.clone())?,
        bar: bar(manifest.events),
        checked: 0,
        events: manifest.events,
    })
}

impl EventLines {
    /// The next events, which are what they were as far as can be told before the last; none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<ProvableEvent>>, Problem> {
        let chunk: Vec<_> = self
            .lines
            .by_ref()
            .take(LINES)
            .collect::<Result<_, _>>()
            .map_err(|error| {
                let (path, after) = (self.path.display(), self.verifier.expected() - 1);
                Problem::NotTrue(format!(
                    "{path} cannot be read behind position {after}: {error}"
                ))
            })?;
        let mut events = Vec::with_capacity(chunk.len());
        for line in read_lines(self.log_id, &chunk) {
            let expected = self.verifier.expected();
            let line =
                line.map_err(|what| Problem::NotTrue(format!("position {expected}: {what}")))?;
            self.verifier.check(&line).map_err(untrue)?;
            self.checked += 1;
            events.push(line.event);
        }
        self.bar.set_position(self.checked);
        Ok((!events.is_empty()).then_some(events))
    }

    /// Whether they were all there; answers how many.
    pub fn finish(self) -> Result<u64, Problem> {
        self.bar.finish_and_clear();
        self.verifier.finish().map_err(untrue)?;
        let Self {
            checked, events, ..
        } = self;
        if checked == events {
            return Ok(checked);
        }
        let what = format!("the manifest says {events} events, and there are {checked}");
        Err(Problem::NotTrue(what))
    }
}
