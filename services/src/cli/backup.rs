//! `rollbook backup`: the log as a whole, out of a running service.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use clap::Args;
use rollbook_eventstore::{Clock, Timestamp};
use rollbook_proto::v1::{Backup, BackupFile, CreateBackupRequest, CreateBackupResponse};
use tonic::Streaming;

use super::{
    client::{Client, ClientFlags},
    history::export::{manifest_path, write_whole},
    output::{counted, print},
    pages::counting,
    problem::Problem,
};
use crate::{
    backup::{
        BackupManifest, ERASED, EVENTS, FileSum, Head, KEYS, MANIFEST, ROWS, Writing, lines_in,
    },
    packing::Packing,
    verify::{Manifest, Scope},
};

/// Flags of `backup`.
#[derive(Args, Debug)]
pub struct BackupFlags {
    /// Directory to make: it must not be there, or be empty. With --erased-only the file to write
    into: PathBuf,
    /// How many days its file of keys is kept. It opens whatever is erased while it is, so remove it then
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    keep_keys: u32,
    /// Write only the list of what was erased, for `rollbook restore --erased`
    #[arg(long, conflicts_with = "keep_keys")]
    erased_only: bool,
    #[command(flatten)]
    client: ClientFlags,
}

/// A backup that arrives.
struct Arriving {
    backup: Backup,
    head: Head,
    pieces: Streaming<CreateBackupResponse>,
}

/// Makes a backup.
pub async fn run(flags: BackupFlags) -> Result<(), Problem> {
    let client = Client::connect(flags.client).await?;
    if flags.erased_only {
        return erased(&client, &flags.into).await;
    }
    let folder = &flags.into;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(file("make", folder))?;
    let mut there = fs::read_dir(folder).map_err(file("read", folder))?;
    if there.next().is_some() {
        let what = format!("{} is not empty; name another directory", folder.display());
        return Err(Problem::Usage(what));
    }
    let keep_until = Clock::system().now() + TimeDelta::days(i64::from(flags.keep_keys));
    let written = write(&client, folder, keep_until).await;
    if written.is_err() {
        // What is there of it holds keys and is no backup.
        for name in [EVENTS, ROWS, KEYS, ERASED] {
            let _ = fs::remove_file(folder.join(name));
        }
    }
    print(&written?)
}

fn file(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Problem + use<> {
    let path = path.to_owned();
    move |source| Problem::File {
        action,
        path: path.clone(),
        source,
    }
}

fn malformed() -> Problem {
    Problem::failed("read the backup", "the service sent what is none")
}

/// Asks for a backup.
async fn ask(client: &Client, erased_only: bool) -> Result<Arriving, Problem> {
    let request = CreateBackupRequest { erased_only };
    let mut operations = client.operations_without_deadline();
    let mut pieces = operations.create_backup(request).await?.into_inner();
    let first = pieces.message().await?;
    let backup = first.and_then(|first| first.backup).ok_or_else(malformed)?;
    let at = backup
        .taken_at
        .as_ref()
        .and_then(|at| Timestamp::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?));
    let head = Head {
        form: String::new(),
        log: backup.log_id.parse().map_err(|_| malformed())?,
        position: backup.position,
        taken_at: at.ok_or_else(malformed)?,
        keep_until: None,
    };
    Ok(Arriving {
        backup,
        head,
        pieces,
    })
}

fn head_of(head: &Head, form: &str, keep_until: Option<Timestamp>) -> Head {
    Head {
        form: form.to_owned(),
        keep_until,
        ..head.clone()
    }
}

async fn erased(client: &Client, path: &Path) -> Result<(), Problem> {
    let failed = file("write", path);
    let mut arriving = ask(client, true).await?;
    let head = head_of(&arriving.head, Head::ERASED, None);
    let mut writing = Writing::begin(path, None, Some(&head)).map_err(&failed)?;
    let mut count = 0;
    loop {
        let piece = arriving.pieces.message().await?.ok_or_else(malformed)?;
        if piece.last {
            break;
        }
        count += lines_in(&piece.text);
        writing.add(&piece.text).map_err(&failed)?;
    }
    writing.finish().map_err(&failed)?;
    print(&format!(
        "wrote {} to {}, as of position {}",
        counted(count, "erasure"),
        path.display(),
        head.position
    ))
}

async fn write(client: &Client, folder: &Path, keep_until: Timestamp) -> Result<String, Problem> {
    let mut arriving = ask(client, false).await?;
    let failed = file("write", folder);
    let begin = |name: &str, packing, head: Option<Head>| {
        let path = folder.join(name);
        Writing::begin(&path, packing, head.as_ref()).map_err(file("write", &path))
    };
    let head = &arriving.head;
    let mut events = begin(EVENTS, Some(Packing::Zstd), None)?;
    let of_rows = head_of(head, Head::ROWS, None);
    let mut rows = begin(ROWS, Some(Packing::Zstd), Some(of_rows))?;
    let of_keys = head_of(head, Head::KEYS, Some(keep_until));
    let mut keys = begin(KEYS, None, Some(of_keys))?;
    let mut erased = begin(ERASED, None, Some(head_of(head, Head::ERASED, None)))?;
    let bar = counting("events").with_position(0);
    loop {
        let piece = arriving.pieces.message().await?.ok_or_else(malformed)?;
        if piece.last {
            break;
        }
        let into = match piece.file() {
            BackupFile::Events => {
                bar.inc(lines_in(&piece.text));
                &mut events
            }
            BackupFile::Rows => &mut rows,
            BackupFile::Keys => &mut keys,
            BackupFile::Erased => &mut erased,
            BackupFile::Unspecified => return Err(malformed()),
        };
        into.add(&piece.text).map_err(&failed)?;
    }
    bar.finish_and_clear();
    for writing in [events, rows, keys, erased] {
        writing.finish().map_err(&failed)?;
    }
    describe(folder, &arriving, keep_until)
}

/// Writes down what the files are, which makes them a backup.
fn describe(folder: &Path, arriving: &Arriving, keep_until: Timestamp) -> Result<String, Problem> {
    let Arriving { backup, head, .. } = arriving;
    let export = Manifest {
        form: Manifest::FORM.to_owned(),
        scope: Scope::Log,
        events: backup.position,
        gzip: None,
        checkpoint: backup.checkpoint.clone(),
        verifier_key: backup.verifier_key.clone(),
    };
    let described = manifest_path(Path::new(EVENTS));
    write_whole(&folder.join(&described), &export)?;
    let described = described.display().to_string();
    let files = [EVENTS, &described, ROWS, KEYS, ERASED];
    let sums = files.map(|name| FileSum::of(folder, name).map_err(file("read", folder)));
    let manifest = BackupManifest {
        form: BackupManifest::FORM.to_owned(),
        log: head.log,
        position: head.position,
        taken_at: head.taken_at,
        keep_keys_until: keep_until,
        files: sums.into_iter().collect::<Result<_, _>>()?,
    };
    write_whole(&folder.join(MANIFEST), &manifest)?;
    let folder = folder.display();
    let day = keep_until.format("%Y-%m-%d");
    Ok(format!(
        "wrote a backup up to position {} to {folder}\n\
         remove {folder}/{KEYS} on {day}: until then it opens what is erased meanwhile; the master key is not in it\n\
         checked with the key {}: keep it, and give it to `rollbook restore` with --key",
        head.position, backup.verifier_key
    ))
}
