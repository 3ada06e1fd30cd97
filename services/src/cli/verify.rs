//! `rollbook verify`: whether a log is what it was, checked by whoever does not trust it.

mod file;

use std::{
    fs,
    path::{Path, PathBuf},
    thread::available_parallelism,
    time::Duration,
};

use clap::Args;
use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_eventstore::proof::{Checkpoint, CheckpointKey, consistent};
use rollbook_proto::v1::{
    EventFilter, ExportEventsRequest, ExportEventsResponse, GetCheckpointRequest,
    GetConsistencyProofRequest, StoredEvent,
};
use tokio::task::spawn_blocking;
use tonic::Status;
use uuid::Uuid;

use super::{
    client::{Client, ClientFlags},
    history::export::read_manifest,
    output::{counted, print},
    problem::Problem,
};
use crate::{
    convert::read_stored_event,
    verify::{Fault, Line, Scope, Verifier},
};

pub use file::event_lines;

/// Flags of `verify`.
#[derive(Args, Debug)]
pub struct VerifyFlags {
    /// An export to check (see `rollbook history export`); none: the log of the service, with an auditor's token
    file: Option<PathBuf>,
    /// Keep the checkpoint that was reached in this file, for the next time
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    client: ClientFlags,
}

/// What an auditor knows from before.
#[derive(Args, Debug, Default)]
pub struct Known {
    /// A checkpoint that was kept from before; several are named one after the other
    #[arg(long = "checkpoint", value_name = "FILE")]
    kept: Vec<PathBuf>,
    /// The verifier key of the log, kept from before; none: the one that comes with it is believed
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// A log that is what it was.
pub struct Verified {
    note: String,
    text: String,
    events: u64,
}

impl Verified {
    /// What was found.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many events were checked.
    pub const fn events(&self) -> u64 {
        self.events
    }
}

/// What is to be checked against.
pub struct Promise {
    note: String,
    key: CheckpointKey,
    checkpoint: Checkpoint,
    kept: Vec<Checkpoint>,
}

/// Checks a log; what is wrong with it is the problem.
pub async fn run(flags: VerifyFlags) -> Result<(), Problem> {
    let verified = if let Some(path) = &flags.file {
        flags.known.check_file(path)?
    } else {
        let client = Client::connect(flags.client).await?;
        flags.known.check_service(&client).await?
    };
    if let Some(path) = &flags.save {
        fs::write(path, &verified.note).map_err(|source| Problem::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
    }
    print(verified.text())
}

impl Known {
    /// Checks an export.
    pub fn check_file(&self, path: &Path) -> Result<Verified, Problem> {
        let manifest = read_manifest(path)?;
        let promise = self.promise(manifest.checkpoint.clone(), &manifest.verifier_key)?;
        self.must_tell_of(&manifest.scope, &promise)?;
        let mut lines = event_lines(path, &manifest, &promise)?;
        while lines.next()?.is_some() {}
        let checked = lines.finish()?;
        Ok(self.verified(promise, checked))
    }

    /// Of a part of a log, a checkpoint tells something only where it says how far that part went.
    fn must_tell_of(&self, scope: &Scope, promise: &Promise) -> Result<(), Problem> {
        for (kept, path) in promise.kept.iter().zip(&self.kept) {
            let tells = match scope {
                Scope::Log => true,
                Scope::Account(account) => {
                    let end = kept.account.as_ref();
                    end.is_some_and(|end| end.account_id == *account)
                }
                Scope::Part => false,
            };
            if !tells {
                return Err(Problem::Usage(format!(
                    "{} tells nothing of this part of the log: check the service with it, or an export of all",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Checks the log of a service, or all of one account.
    pub async fn check_service(&self, client: &Client) -> Result<Verified, Problem> {
        let (promise, checked) = self.online(client).await?;
        Ok(self.verified(promise, checked))
    }

    /// Which key was believed.
    pub fn believed(&self, promise: &Promise) -> String {
        let believed = match self.key {
            Some(_) => "",
            None => ", which came with the log: keep it, and give it with --key",
        };
        format!("checked with the key {}{believed}", promise.key.text())
    }

    fn verified(&self, promise: Promise, checked: u64) -> Verified {
        Verified {
            text: format!(
                "{} {}, up to position {}; {} {}\n{}",
                counted(checked, "event"),
                if checked == 1 {
                    "is what it was"
                } else {
                    "are what they were"
                },
                promise.checkpoint.head.size,
                counted(promise.kept.len(), "earlier checkpoint"),
                if promise.kept.len() == 1 {
                    "agrees"
                } else {
                    "agree"
                },
                self.believed(&promise),
            ),
            note: promise.note,
            events: checked,
        }
    }

    async fn online(&self, client: &Client) -> Result<(Promise, u64), Problem> {
        let account_id = client.any_account();
        let request = GetCheckpointRequest {
            account_id: account_id.clone(),
            at_least_size: 0,
        };
        let answer = client.history(false).get_checkpoint(request).await?;
        let answer = answer.into_inner();
        let promise = self.promise(answer.checkpoint, &answer.verifier_key)?;
        let (scope, events) = match answer.account {
            Some(end) => (Scope::Account(end.account_id), end.events),
            None => (Scope::Log, promise.checkpoint.head.size),
        };
        let prove = scope != Scope::Log;
        let mut verifier = promise.verifier(scope)?;
        if prove {
            continued(client, &promise).await?;
        }
        let request = ExportEventsRequest {
            filter: Some(EventFilter {
                account_id,
                ..EventFilter::default()
            }),
            from_position: 0,
            tree_size: promise.checkpoint.head.size,
            open: true,
            prove,
        };
        let stream = client
            .history(true)
            .export_events(request)
            .await?
            .into_inner();
        let ahead = available_parallelism().map_or(1, usize::from);
        let mut pieces = stream.map(read_piece).buffered(ahead);
        let bar = bar(events);
        let mut checked = 0;
        while let Some(lines) = pieces.next().await {
            for line in lines? {
                verifier.check(&line?).map_err(untrue)?;
                checked += 1;
            }
            bar.set_position(checked);
        }
        bar.finish_and_clear();
        verifier.finish().map_err(untrue)?;
        Ok((promise, checked))
    }

    /// Opens the checkpoint that came, and those that were kept.
    pub fn promise(&self, note: String, came: &str) -> Result<Promise, Problem> {
        let text = self.key.as_deref().unwrap_or(came);
        let key = CheckpointKey::parse(text)
            .map_err(|source| Problem::failed("read the verifier key", source))?;
        let checkpoint = key
            .open(&note)
            .map_err(|error| Problem::NotTrue(format!("the checkpoint: {error}")))?;
        let kept = self.kept.iter().map(|path| {
            let note = fs::read_to_string(path).map_err(|source| Problem::File {
                action: "read",
                path: path.clone(),
                source,
            })?;
            key.open(&note)
                .map_err(|error| Problem::NotTrue(format!("{}: {error}", path.display())))
        });
        Ok(Promise {
            kept: kept.collect::<Result<_, _>>()?,
            note,
            key,
            checkpoint,
        })
    }
}

impl Promise {
    /// The log that it is about.
    pub fn log_id(&self) -> Uuid {
        self.checkpoint.log_id
    }

    fn verifier(&self, scope: Scope) -> Result<Verifier, Problem> {
        Verifier::new(scope, self.checkpoint.clone(), self.kept.clone()).map_err(untrue)
    }
}

/// Reads the events of an answer and hashes them, beside the task that puts them together.
async fn read_piece(
    piece: Result<ExportEventsResponse, Status>,
) -> Result<Vec<Result<Line, Problem>>, Problem> {
    let events = piece?.events;
    let read = |event: StoredEvent| {
        let position = event.position;
        read_stored_event(event)
            .map(|(event, proof)| Line::of(event, proof))
            .ok_or_else(|| Problem::NotTrue(format!("position {position}: it is malformed")))
    };
    spawn_blocking(move || events.into_iter().map(read).collect())
        .await
        .map_err(|source| Problem::failed("read the events", source))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what an error is mapped with"
)]
fn untrue(fault: Fault) -> Problem {
    Problem::NotTrue(fault.to_string())
}

fn bar(events: u64) -> ProgressBar {
    let bar = ProgressBar::new(events);
    let form = "{bar:40} {pos} of {len} events ({per_sec}, {eta} left)";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Whether the tree goes on from those that were kept, for whoever cannot compute it.
async fn continued(client: &Client, promise: &Promise) -> Result<(), Problem> {
    for kept in promise.kept.iter().filter(|kept| kept.head.size > 0) {
        let request = GetConsistencyProofRequest {
            from_size: kept.head.size,
            to_size: promise.checkpoint.head.size,
        };
        let answer = client.history(false).get_consistency_proof(request).await?;
        let hashes = answer.into_inner().hashes.into_iter();
        let proof: Option<Vec<_>> = hashes.map(|hash| hash.try_into().ok()).collect();
        let goes_on = |proof: Vec<_>| consistent(&proof, &kept.head, &promise.checkpoint.head);
        if !proof.is_some_and(goes_on) {
            return Err(Problem::NotTrue(format!(
                "positions 1 to {}: the log does not go on from a checkpoint that was kept",
                kept.head.size
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exports in `tests/golden`, and the keys that auditors kept.
    const GOLDEN: [(&str, &str); 1] = [(
        "export-1.ndjson",
        "rollbook/01a20383-aa03-71b1-9124-091455ceec8c+b1f9511e+ATXyBJpUFD/3L1Cl151oHOXGBGqsoptpgu9qJSvEAGgr",
    )];

    #[test]
    fn r63_an_export_of_every_version_is_verified_for_ever() {
        for (name, key) in GOLDEN {
            let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"));
            let known = Known {
                key: Some(key.to_owned()),
                ..Known::default()
            };
            let verified = known
                .check_file(&golden.join(name))
                .map_err(|found| found.to_string());
            let text = verified.map(|verified| verified.text().to_owned());
            assert!(
                text.as_ref()
                    .is_ok_and(|text| text.starts_with("29 events are what they were")),
                "{text:?}"
            );
        }
    }
}
