//! `rollbook restore`: a log made anew of a backup, or an archive of an export.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use rollbook_aggregates::domain::Claim;
use rollbook_eventstore::{
    Clock, MasterKey, MasterKeys, StreamId,
    backup::{BackupRow, Restoration, RestoreError, RestoreFrom, RestoreInto, Restored},
};
use uuid::Uuid;

use super::{
    history::export::read_manifest,
    output::{counted, print},
    problem::Problem,
    verify::{Known, Promise, event_lines},
};
use crate::{
    backup::{BackupManifest, Damage, ERASED, EVENTS, Erased, Head, KEYS, Lines, MANIFEST, ROWS},
    config::{Settings, StoreFlags},
    server,
    verify::{Manifest, Scope},
};

/// How many rows are written at a time.
const ROWS_AT_ONCE: usize = 1_000;

/// Flags of `restore`.
#[derive(Args, Debug)]
pub struct RestoreFlags {
    /// A backup (see `rollbook backup`), of which the whole log is made; or an export of a whole log (see `rollbook history
    /// export`), of which an archive is made: it can be read and checked, without anything personal, and not be added to
    from: PathBuf,
    /// Erase what this list says, which was written since (see `rollbook backup --erased-only`); a later backup will do as
    /// well. Several are named one after the other
    #[arg(long, value_name = "FILE")]
    erased: Vec<PathBuf>,
    /// Take the keys from this file instead of the backup's
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Take keys although they were to be removed by now
    #[arg(long)]
    outlived_keys: bool,
    #[command(flatten)]
    known: Known,
    /// Database role that `serve` runs as: it is granted to read and add events, never to change them
    #[arg(long, value_name = "ROLE", env = "ROLLBOOK_APPLICATION_ROLE")]
    application_role: Option<String>,
    #[command(flatten)]
    store: StoreFlags,
}

/// What a log is to be made of.
struct Source {
    events: PathBuf,
    manifest: Manifest,
    /// None: of the events alone.
    beside: Option<Beside>,
}

/// The rest of a backup.
struct Beside {
    rows: PathBuf,
    keys: PathBuf,
    manifest: BackupManifest,
}

/// Makes a log.
pub async fn run(flags: RestoreFlags) -> Result<(), Problem> {
    let settings = Settings::read_store(&flags.store)?;
    let source = source(&flags)?;
    let promise = flags.known.promise(
        source.manifest.checkpoint.clone(),
        &source.manifest.verifier_key,
    )?;
    let log_id = promise.log_id();
    let master = master_key(&settings, source.beside.is_some())?;
    let from = match &source.beside {
        None => RestoreFrom::Export {
            checkpoint: source.manifest.checkpoint.clone(),
            verifier_key: source.manifest.verifier_key.clone(),
        },
        Some(beside) => beside.read_first(&flags, log_id)?,
    };
    let into = place(&settings, flags.application_role.clone())?;
    if let RestoreInto::Directory(directory) = &into {
        server::private_dir(directory).map_err(|source| Problem::File {
            action: "make",
            path: directory.clone(),
            source,
        })?;
    }
    // Of a backup that was made while the master key was rotated.
    let next = settings.next_master_key()?;
    let next = next.map(|text| MasterKey::from_base64(&text)).transpose();
    let next = next.map_err(|source| Problem::failed("read the next master key", source))?;
    let masters = MasterKeys::from(&master).with_next(next);
    let begun = Restoration::begin(&into, log_id, from, masters).await;
    let mut restoration = begun.map_err(not_made)?;
    let came = &source.manifest.verifier_key;
    if source.beside.is_some() && restoration.checkpoint_key(log_id).as_deref() != Some(came) {
        restoration.abandon().await.map_err(not_made)?;
        return Err(Problem::NotTrue(
            "the keys are not those that the checkpoint was signed with: they are of another log"
                .to_owned(),
        ));
    }
    let made = make(&mut restoration, &source, &promise).await;
    let restored = match made {
        Ok(()) => restoration.finish().await.map_err(not_made)?,
        Err(problem) => {
            restoration.abandon().await.map_err(not_made)?;
            return Err(problem);
        }
    };
    if let (RestoreInto::Directory(directory), None) = (&into, &source.beside) {
        keep_key(directory, &master)?;
    }
    let believed = flags.known.believed(&promise);
    print(&told(&flags, &source, &restored, &believed))
}

async fn make(
    restoration: &mut Restoration,
    source: &Source,
    promise: &Promise,
) -> Result<(), Problem> {
    let mut lines = event_lines(&source.events, &source.manifest, promise)?;
    while let Some(events) = lines.next()? {
        restoration.events(events).await.map_err(not_made)?;
    }
    lines.finish()?;
    if let Some(beside) = &source.beside {
        add_rows(restoration, &beside.keys, Head::KEYS).await?;
        add_rows(restoration, &beside.rows, Head::ROWS).await?;
    }
    Ok(())
}

fn not_made(error: RestoreError) -> Problem {
    match error {
        RestoreError::Unfit(what) => Problem::NotTrue(what),
        RestoreError::Into(source) => Problem::failed("make the log", source),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what an error is mapped with"
)]
fn damaged(damage: Damage) -> Problem {
    Problem::NotTrue(damage.to_string())
}

async fn add_rows(restoration: &mut Restoration, path: &Path, form: &str) -> Result<(), Problem> {
    let mut lines = Lines::open(path, form).map_err(damaged)?;
    loop {
        let mut rows = Vec::with_capacity(ROWS_AT_ONCE);
        let mut over = false;
        while rows.len() < ROWS_AT_ONCE && !over {
            let row: Option<BackupRow> = lines.next().map_err(damaged)?;
            match row {
                Some(row) if row.is_key() == (form == Head::KEYS) => rows.push(row),
                Some(_) => return Err(damaged(lines.damage(0, "it belongs into another file"))),
                None => over = true,
            }
        }
        // The last line that was read is the end, where it is over.
        let behind = rows.len() as u64 - u64::from(!over);
        let added = restoration.rows(rows).await;
        added.map_err(|(place, error)| match error {
            RestoreError::Unfit(what) => damaged(lines.damage(behind - place as u64, what)),
            RestoreError::Into(_) => not_made(error),
        })?;
        if over {
            return Ok(());
        }
    }
}

fn source(flags: &RestoreFlags) -> Result<Source, Problem> {
    let from = &flags.from;
    if !from.is_dir() {
        let manifest = read_manifest(from)?;
        if manifest.scope != Scope::Log {
            let what = "a log can be made of an export of all of it only: this is one of a part";
            return Err(Problem::Usage(what.to_owned()));
        }
        if !flags.erased.is_empty() || flags.keys.is_some() {
            let what = "an export has no keys that could be taken or destroyed: name a backup";
            return Err(Problem::Usage(what.to_owned()));
        }
        return Ok(Source {
            events: from.clone(),
            manifest,
            beside: None,
        });
    }
    let path = from.join(MANIFEST);
    let failed = |source| Problem::File {
        action: "read",
        path: path.clone(),
        source,
    };
    if !path.exists() {
        return Err(Problem::Usage(format!(
            "{} is no backup: it has no {MANIFEST}, which is written last",
            from.display()
        )));
    }
    let text = fs::read(&path).map_err(failed)?;
    let manifest: BackupManifest = serde_json::from_slice(&text)
        .map_err(|source| Problem::failed(format!("read {}", path.display()), source))?;
    if manifest.form != BackupManifest::FORM {
        let what = format!(
            "{} is of a form that this program does not read",
            path.display()
        );
        return Err(Problem::Usage(what));
    }
    let keys = flags.keys.clone().unwrap_or_else(|| from.join(KEYS));
    must_be_what_they_were(from, &manifest, flags.keys.is_some())?;
    let events = from.join(EVENTS);
    Ok(Source {
        manifest: read_manifest(&events)?,
        events,
        beside: Some(Beside {
            rows: from.join(ROWS),
            keys,
            manifest,
        }),
    })
}

/// Before anything is written: whether all files are there, and what they were.
fn must_be_what_they_were(
    folder: &Path,
    manifest: &BackupManifest,
    other_keys: bool,
) -> Result<(), Problem> {
    for file in &manifest.files {
        let path = folder.join(&file.name);
        if file.name == KEYS && (other_keys || !path.exists()) {
            if other_keys {
                continue;
            }
            return Err(Problem::Usage(format!(
                "{} is gone: without it the log cannot be served, only be kept as an archive, made with `rollbook restore {}`",
                path.display(),
                folder.join(EVENTS).display()
            )));
        }
        let damage = file.damage(folder).map_err(|source| Problem::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        if let Some(what) = damage {
            return Err(Problem::NotTrue(format!("{}: {what}", path.display())));
        }
    }
    Ok(())
}

impl Beside {
    /// What must be known before anything is made: the log's own keys, and what is not to have one any more.
    fn read_first(&self, flags: &RestoreFlags, log_id: Uuid) -> Result<RestoreFrom, Problem> {
        let mut keys = Lines::open(&self.keys, Head::KEYS).map_err(damaged)?;
        let rows = Lines::open(&self.rows, Head::ROWS).map_err(damaged)?;
        for lines in [&keys, &rows] {
            if lines.head().log != log_id {
                return Err(damaged(lines.damage(0, "it is of another log")));
            }
        }
        let until = keys.head().keep_until;
        let outlived = until.is_some_and(|until| until < Clock::system().now());
        if outlived && !flags.outlived_keys {
            let day = until.map(|until| until.format("%Y-%m-%d").to_string());
            return Err(Problem::Usage(format!(
                "the keys in {} were to be removed on {}: they open what was erased since. \
                 Name lists of what was erased with --erased, and say --outlived-keys to take them all the same",
                self.keys.display(),
                day.unwrap_or_default()
            )));
        }
        let mut log_keys = Vec::new();
        while let Some(row) = keys.next::<BackupRow>().map_err(damaged)? {
            if let BackupRow::LogKey { name, wrapped } = row {
                log_keys.push((name, wrapped));
            }
        }
        let mut erased = HashSet::new();
        let own = flags.from.join(ERASED);
        for path in [&own].into_iter().chain(&flags.erased) {
            let path = if path.is_dir() {
                path.join(ERASED)
            } else {
                path.clone()
            };
            read_erased(&path, log_id, &mut erased)?;
        }
        Ok(RestoreFrom::Backup {
            log_keys,
            erased,
            outliving: vec![Claim::SIGNATURE.to_owned()],
        })
    }
}

fn read_erased(path: &Path, log_id: Uuid, into: &mut HashSet<StreamId>) -> Result<(), Problem> {
    let mut lines = Lines::open(path, Head::ERASED).map_err(damaged)?;
    if lines.head().log != log_id {
        return Err(damaged(lines.damage(0, "it is of another log")));
    }
    while let Some(Erased { erased }) = lines.next().map_err(damaged)? {
        let stream = erased.parse();
        into.insert(stream.map_err(|_| damaged(lines.damage(0, "it names no stream")))?);
    }
    Ok(())
}

fn place(settings: &Settings, application_role: Option<String>) -> Result<RestoreInto, Problem> {
    Ok(match settings.database()? {
        None => RestoreInto::Directory(settings.data_dir.clone()),
        Some(owner_url) => RestoreInto::Database {
            owner_url,
            application_role,
        },
    })
}

/// The master key that is given or lies in the data directory. An archive may have a new one: there is nothing that it opens.
fn master_key(settings: &Settings, must_fit: bool) -> Result<MasterKey, Problem> {
    let kept = settings.data_dir.join(server::MASTER_KEY);
    let embedded = settings.database()?.is_none();
    let key = match settings.master_key()? {
        Some(text) => MasterKey::from_base64(&text),
        None if embedded && kept.exists() => MasterKey::from_file(&kept),
        None if embedded && !must_fit => Ok(MasterKey::generate()),
        None => {
            let what = "name the master key of the log with --master-key-file; no backup holds it";
            return Err(Problem::Usage(what.to_owned()));
        }
    };
    key.map_err(|source| Problem::failed("read the master key", source))
}

/// Leaves the key of an archive in its data directory, where `serve` looks for it.
fn keep_key(directory: &Path, key: &MasterKey) -> Result<(), Problem> {
    let path = directory.join(server::MASTER_KEY);
    if path.exists() {
        return Ok(());
    }
    key.write_new(&path)
        .map_err(|source| Problem::failed("keep the master key", source))
}

fn told(flags: &RestoreFlags, source: &Source, restored: &Restored, believed: &str) -> String {
    let events = counted(restored.tree.size, "event");
    let Some(beside) = &source.beside else {
        return format!(
            "made an archive of {events}: it can be read and checked, without anything personal, and not be added to\n{believed}"
        );
    };
    let mut lines = vec![format!(
        "made the log of {events} with {}, as of {}",
        counted(restored.keys, "key"),
        beside.manifest.taken_at.format("%Y-%m-%d %H:%M:%S UTC"),
    )];
    if !restored.erased.is_empty() {
        lines.push(format!(
            "{} of the backup {} erased since, and not restored:",
            counted(restored.erased.len(), "key"),
            if restored.erased.len() == 1 {
                "was"
            } else {
                "were"
            },
        ));
        let mut streams: Vec<_> = restored.erased.iter().map(ToString::to_string).collect();
        streams.sort();
        lines.extend(streams.into_iter().map(|stream| format!("  {stream}")));
    }
    if flags.erased.is_empty() {
        lines.push(
            "what was erased after the backup is not known here: erase it again, or restore with a later list (--erased)"
                .to_owned(),
        );
    }
    lines.push(believed.to_owned());
    lines.join("\n")
}
