//! `rollbook verify`: whether a log is what it was, checked by whoever does not trust it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_eventstore::proof::{Checkpoint, CheckpointKey, consistent};
use rollbook_proto::v1::{
    EventFilter, ExportEventsRequest, GetCheckpointRequest, GetConsistencyProofRequest,
};

use super::{
    client::{Client, ClientFlags},
    history::export::read_manifest,
    output::{counted, print},
    problem::Problem,
};
use crate::{
    convert::read_stored_event,
    verify::{Fault, Line, Manifest, Scope, Verifier, read_lines},
};

/// How many lines are read at a time.
const LINES: usize = 4096;

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
}

impl Verified {
    /// What was found.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What is to be checked against.
struct Promise {
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
        let checked = file(path, manifest, &promise)?;
        Ok(self.verified(promise, checked))
    }

    /// Checks the log of a service, or all of one account.
    pub async fn check_service(&self, client: &Client) -> Result<Verified, Problem> {
        let (promise, checked) = self.online(client).await?;
        Ok(self.verified(promise, checked))
    }

    fn verified(&self, promise: Promise, checked: u64) -> Verified {
        let believed = match self.key {
            Some(_) => "",
            None => ", which came with the log: keep it, and give it with --key",
        };
        Verified {
            text: format!(
                "{} {}, up to position {}; {} {}\nchecked with the key {}{believed}",
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
                promise.key.text(),
            ),
            note: promise.note,
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
        let mut stream = client
            .history(true)
            .export_events(request)
            .await?
            .into_inner();
        let bar = bar(events);
        let mut checked = 0;
        while let Some(piece) = stream.message().await? {
            for event in piece.events {
                let position = event.position;
                let (event, proof) = read_stored_event(event).ok_or_else(|| {
                    Problem::NotTrue(format!("position {position}: it is malformed"))
                })?;
                verifier.check(&Line::of(event, proof)).map_err(untrue)?;
                checked += 1;
            }
            bar.set_position(checked);
        }
        bar.finish_and_clear();
        verifier.finish().map_err(untrue)?;
        Ok((promise, checked))
    }

    /// Opens the checkpoint that came, and those that were kept.
    fn promise(&self, note: String, came: &str) -> Result<Promise, Problem> {
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
    fn verifier(&self, scope: Scope) -> Result<Verifier, Problem> {
        Verifier::new(scope, self.checkpoint.clone(), self.kept.clone()).map_err(untrue)
    }
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

/// Checks an export; answers how many events it holds.
fn file(path: &Path, manifest: Manifest, promise: &Promise) -> Result<u64, Problem> {
    let Manifest {
        events,
        gzip,
        scope,
        ..
    } = manifest;
    let failed = |source| Problem::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let file: Box<dyn Read> = if gzip {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut lines = BufReader::with_capacity(1 << 20, file).split(b'\n');
    let mut verifier = promise.verifier(scope)?;
    let bar = bar(events);
    let mut checked = 0;
    loop {
        let chunk: Vec<_> = lines
            .by_ref()
            .take(LINES)
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        for line in read_lines(promise.checkpoint.log_id, &chunk) {
            let expected = verifier.expected();
            let line =
                line.map_err(|what| Problem::NotTrue(format!("position {expected}: {what}")))?;
            verifier.check(&line).map_err(untrue)?;
            checked += 1;
        }
        bar.set_position(checked);
    }
    bar.finish_and_clear();
    verifier.finish().map_err(untrue)?;
    if checked != events {
        let what = format!("the manifest says {events} events, and there are {checked}");
        return Err(Problem::NotTrue(what));
    }
    Ok(checked)
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
