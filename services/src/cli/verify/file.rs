//! The events of an export, checked as they are read.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rollbook_eventstore::proof::ProvableEvent;

use super::{Promise, bar, untrue};
use crate::{
    cli::problem::Problem,
    packing,
    verify::{Lines, Manifest, Verifier},
};

/// An export that is read.
pub struct EventLines {
    path: PathBuf,
    lines: Lines,
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
    let lines = packing::open(path)
        .and_then(|text| Lines::read(promise.log_id(), text))
        .map_err(|source| Problem::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    Ok(EventLines {
        path: path.to_owned(),
        lines,
        verifier: promise.verifier(manifest.scope.clone())?,
        bar: bar(manifest.events),
        checked: 0,
        events: manifest.events,
    })
}

impl EventLines {
    /// The next events, which are what they were as far as can be told before the last; none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<ProvableEvent>>, Problem> {
        let Some(piece) = self.lines.next() else {
            return Ok(None);
        };
        let mut events = Vec::with_capacity(piece.lines.len());
        for line in piece.lines {
            let expected = self.verifier.expected();
            let line =
                line.map_err(|what| Problem::NotTrue(format!("position {expected}: {what}")))?;
            self.verifier.check(&line).map_err(untrue)?;
            self.checked += 1;
            events.push(line.event);
        }
        self.bar.set_position(self.checked);
        match piece.broken {
            None => Ok(Some(events)),
            Some(error) => {
                let (path, after) = (self.path.display(), self.verifier.expected() - 1);
                Err(Problem::NotTrue(format!(
                    "{path} cannot be read behind position {after}: {error}"
                )))
            }
        }
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
