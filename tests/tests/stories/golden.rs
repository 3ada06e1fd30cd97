//! Golden logs: what the real service stored once, read for ever, by everything that reads a log.
//!
//! A folder of `tests/golden` is the embedded home of a log, with its master key and the checkpoint that an auditor took
//! home. It is never edited. What is told of it, `told.txt` beside it, may change with the views and the words, in the open.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rollbook_aggregates::access::AccessEvent;
use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::{EventSet, RECORDED_AT, Recorded};
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::invoice::InvoiceEvent;
use rollbook_aggregates::mail::MailEvent;
use rollbook_aggregates::signin::SignInEvent;
use rollbook_aggregates::user::UserEvent;
use rollbook_eventstore::proof::{CheckpointKey, RunningTree};
use rollbook_eventstore::{Append, Clock, MasterKey, NewEvent, ReadQuery, StreamAppend, StreamId};
use rollbook_eventstore::{RecordedEvent, sqlite};
use rollbook_tests::directory::start_of_time;
use rollbook_tests::files::rows_of_views;
use rollbook_tests::samples::World;
use rollbook_tests::{Answer as _, Caller, Directory, Home, contract, pb};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::proofs::{checkpoint, export, leaf};

/// Every golden log, with the SHA-256 of each of its files. A line is added with a log, and none is ever changed.
const LOGS: &[(&str, [&str; 3])] = &[(
    "log-1",
    [
        "b3842784727611c18e0db5368002a74ee7727e92c8b479972e2fe7ebe573fe81",
        "eba61bff00d0b1fe77460d6068379e8c17a86bc3d93eb0e4dfeb9e3a3ca9d8bf",
        "296ba155822f806928bcc1f13affba8c287e177d511596fc48972d50f84765a3",
    ],
)];

const FILES: [&str; 3] = [sqlite::FILE, "master.key", "checkpoint.txt"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn wire() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../aggregates/tests/wire")
}

fn sums(folder: &Path) -> [String; 3] {
    FILES.map(|name| hex::encode(Sha256::digest(std::fs::read(folder.join(name)).unwrap())))
}

/// Every form that an event is or was stored in: type, version and content.
fn forms() -> Vec<(String, String, Value)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(wire())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    let form = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut parts = name.split('.').map(str::to_owned);
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        (name, version, serde_json::from_str(&text).unwrap())
    };
    paths.iter().map(form).collect()
}

/// The events of a golden log as they are stored, personal values in the clear where they can be read.
async fn stored(name: &str) -> Vec<RecordedEvent> {
    let copy = tempfile::tempdir().unwrap();
    let folder = golden().join(name);
    std::fs::copy(folder.join(sqlite::FILE), copy.path().join(sqlite::FILE)).unwrap();
    let key = MasterKey::from_file(&folder.join("master.key")).unwrap();
    let log = sqlite::open(copy.path(), key, Clock::manual(start_of_time()));
    let log = log.await.unwrap();
    let query = ReadQuery {
        limit: 100_000,
        ..ReadQuery::default()
    };
    let events = log.read(&query).await.unwrap();
    log.close().await;
    events
}

#[test]
fn r65_a_golden_log_is_never_edited() {
    assert!(!LOGS.is_empty());
    for (name, expected) in LOGS {
        let is = sums(&golden().join(name));
        assert_eq!(
            &is.each_ref().map(String::as_str),
            expected,
            "{name} was edited"
        );
    }
}

#[tokio::test]
async fn r65_every_event_of_every_version_is_in_a_golden_log() {
    let mut held = BTreeSet::new();
    for (name, _) in LOGS {
        let events = stored(name).await;
        held.extend(
            events
                .into_iter()
                .map(|event| (event.event_type, event.event_version)),
        );
    }
    let missing: Vec<_> = forms()
        .into_iter()
        .map(|(name, version, _)| (name, version))
        .filter(|form| !held.contains(form))
        .collect();
    assert!(
        missing.is_empty(),
        "no golden log holds {missing:?}: see docs/adding-a-command.md"
    );
}

/// What an event is stored as now, where its version is the present one.
fn stored_now<E: EventSet>(event: &RecordedEvent, payload: &Value) -> Option<Value> {
    let recorded: Recorded<E> = serde_json::from_value(payload.clone()).ok()?;
    (recorded.event.version() == event.event_version)
        .then(|| serde_json::to_value(&recorded).unwrap())
}

#[tokio::test]
async fn r65_the_stored_form_of_an_event_changes_only_with_its_version() {
    let mut checked = 0;
    for (name, _) in LOGS {
        for event in stored(name).await {
            let mut payload = event.payload.clone();
            payload.as_object_mut().unwrap().remove(RECORDED_AT);
            let now = match event.stream.aggregate_type.as_str() {
                "account" => stored_now::<AccountEvent>(&event, &payload),
                "user" => stored_now::<UserEvent>(&event, &payload),
                "access" => stored_now::<AccessEvent>(&event, &payload),
                "invitation" => stored_now::<InvitationEvent>(&event, &payload),
                "invoice" => stored_now::<InvoiceEvent>(&event, &payload),
                "mail" => stored_now::<MailEvent>(&event, &payload),
                "signin" => stored_now::<SignInEvent>(&event, &payload),
                other => panic!("{name} has a stream of the unknown kind {other}"),
            };
            let current = forms()
                .iter()
                .filter(|(name, ..)| *name == event.event_type)
                .map(|(_, version, _)| version.parse::<u32>().unwrap())
                .max();
            if current.unwrap().to_string() == event.event_version {
                let what = format!("{name}, position {}: {}", event.position, event.event_type);
                assert_eq!(now.as_ref(), Some(&payload), "{what}");
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r65_everything_that_reads_a_log_tells_the_same_of_a_golden_one() {
    for (name, _) in LOGS {
        let folder = golden().join(name);
        let directory = Directory::of_log(&folder).await;
        proven(&directory, &folder).await;
        let told = told(&directory).await;
        let expected = std::fs::read_to_string(folder.join("told.txt")).unwrap();
        for (is, was) in told.lines().zip(expected.lines()) {
            assert_eq!(
                is, was,
                "{name} tells something else; if that is meant, see docs/adding-a-command.md"
            );
        }
        assert_eq!(told.lines().count(), expected.lines().count());
        directory.finish().await;
    }
}

/// The checkpoint that was taken home holds, and is that of the tree over what is there.
async fn proven(directory: &Directory, folder: &Path) {
    let kept = std::fs::read_to_string(folder.join("checkpoint.txt")).unwrap();
    let (key, note) = kept.split_once('\n').unwrap();
    let kept = CheckpointKey::parse(key).unwrap().open(note).unwrap();
    let auditor = directory.auditor();
    let events = export(&auditor, pb::ExportEventsRequest::default()).await;
    let mut tree = RunningTree::default();
    for event in &events {
        tree.push(leaf(event));
    }
    assert_eq!(tree.head(), kept.head);
    assert_eq!(checkpoint(&auditor, "").await.head, kept.head);
}

/// What the views, the trails and the questions about what was tell, a line each.
async fn told(directory: &Directory) -> String {
    let mut text = String::new();
    let events = directory.events().await;
    for event in &events {
        let (stream, payload) = (&event.stream, &event.payload);
        writeln!(text, "event {} of {stream}: {payload}", event.position).unwrap();
    }
    let auditor = directory.auditor();
    for (account, stream) in users(&events) {
        trail(&auditor, &mut text, account, stream).await;
    }
    for (account, company, invoice) in invoices(&events) {
        let request = pb::GetInvoiceTrailRequest {
            account_id: account.clone(),
            company_id: company,
            invoice_id: invoice.clone(),
            page_size: 1000,
            ..Default::default()
        };
        let answer = auditor.history().get_invoice_trail(request).await.outcome();
        let lines = answer.map_or_else(
            |refusal| vec![refusal.reason],
            |trail| lines_of(trail.entries),
        );
        for line in lines {
            writeln!(text, "invoice {invoice}: {line}").unwrap();
        }
    }
    let mut rows: BTreeMap<String, Vec<String>> = rows_of_views(directory.process().data_dir());
    // Snapshots are sealed, each time otherwise.
    rows.retain(|table, _| !table.starts_with("snapshots"));
    for (table, rows) in rows {
        for row in rows {
            writeln!(text, "{table}: {row}").unwrap();
        }
    }
    text
}

async fn trail(auditor: &Caller, text: &mut String, account: &str, user: &str) {
    let request = pb::GetUserTrailRequest {
        account_id: account.to_owned(),
        user_id: user.to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    let answer = auditor.history().get_user_trail(request).await.outcome();
    let (lines, positions) = match answer {
        Err(refusal) => (vec![refusal.reason], Vec::new()),
        Ok(trail) => {
            let positions = trail.entries.iter().map(|entry| entry.position).collect();
            (lines_of(trail.entries), positions)
        }
    };
    for line in lines {
        writeln!(text, "user {user}: {line}").unwrap();
    }
    for position in positions {
        let request = pb::GetUserAsOfRequest {
            account_id: account.to_owned(),
            user_id: user.to_owned(),
            as_of: Some(pb::Moment {
                at: Some(pb::moment::At::Position(position)),
            }),
        };
        let was = auditor.history().get_user_as_of(request).await.outcome();
        let was = was.map_or_else(|refusal| refusal.reason, |was| format!("{:?}", was.user));
        writeln!(text, "user {user} as of {position}: {was}").unwrap();
    }
}

fn lines_of(entries: Vec<pb::TrailEntry>) -> Vec<String> {
    let line = |entry: pb::TrailEntry| format!("{} {}", entry.position, entry.text);
    entries.into_iter().map(line).collect()
}

fn users(events: &[pb::Event]) -> BTreeSet<(&str, &str)> {
    let user = |event: &'_ pb::Event| event.stream.starts_with("user-");
    events
        .iter()
        .filter(|event| user(event))
        .map(|event| {
            (
                event.account_id.as_str(),
                event.stream.trim_start_matches("user-"),
            )
        })
        .collect()
}

fn invoices(events: &[pb::Event]) -> BTreeSet<(String, String, String)> {
    events
        .iter()
        .filter_map(|event| {
            let payload: Value = serde_json::from_str(&event.payload).unwrap();
            let (_, fields) = payload.as_object()?.iter().next()?;
            let text = |name: &str| Some(fields.get(name)?.as_str()?.to_owned());
            Some((
                event.account_id.clone(),
                text("company_id")?,
                text("invoice_id")?,
            ))
        })
        .collect()
}

/// The kind of stream that an event stands in.
fn kind_of(name: &str) -> &'static str {
    let kinds: [(&[&str], &'static str); 7] = [
        (AccountEvent::NAMES, "account"),
        (UserEvent::NAMES, "user"),
        (AccessEvent::NAMES, "access"),
        (InvitationEvent::NAMES, "invitation"),
        (InvoiceEvent::NAMES, "invoice"),
        (MailEvent::NAMES, "mail"),
        (SignInEvent::NAMES, "signin"),
    ];
    let found = kinds.into_iter().find(|(names, _)| names.contains(&name));
    found.unwrap_or_else(|| panic!("{name} is no event")).1
}

/// Has everything happen that can be asked for, as callers ask for it.
async fn everything_happens(directory: &Directory, account: &str, last: &str) {
    let world = World::create(directory, account).await;
    let methods = contract::methods();
    let (end, rest): (Vec<_>, Vec<_>) = methods
        .into_iter()
        .filter(contract::is_command)
        .partition(|method| method.name() == last || method.name() == "DeleteUser");
    for method in rest.into_iter().chain(end) {
        // What the one before has made impossible is refused, and happens in the other account.
        let _ = world.sample(method).send().await;
    }
}

/// Appends every form that did not happen, each to a stream of its own.
async fn rest_is_appended(directory: &Directory) {
    let events = directory.events().await;
    let held: BTreeSet<_> = events
        .iter()
        .map(|event| (event.event_type.as_str(), event.event_version.as_str()))
        .collect();
    let forms = forms();
    for (number, (name, version, payload)) in forms.iter().enumerate() {
        if held.contains(&(name.as_str(), version.as_str())) {
            continue;
        }
        println!("appended as it is stored: {name} {version}");
        let id = uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number as u128);
        let append = Append {
            streams: vec![StreamAppend {
                stream: StreamId::new(kind_of(name), id.to_string()),
                account_id: "acme".to_owned(),
                expected_revision: 0,
                events: vec![NewEvent {
                    event_type: name.clone(),
                    event_version: version.clone(),
                    payload: payload.clone(),
                }],
                forget: false,
            }],
            ..Append::default()
        };
        directory.append(append).await;
    }
}

/// Writes the next golden log. See docs/adding-a-command.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes a new golden log: run it by its name when there is a new event or version"]
async fn write_a_golden_log() {
    let directory = Directory::start(Home::Embedded).await;
    everything_happens(&directory, "acme", "DeleteInvitation").await;
    everything_happens(&directory, "umbrella", "AcceptInvitation").await;
    rest_is_appended(&directory).await;
    let auditor = directory.auditor();
    let mut history = auditor.history();
    let answer = history.get_checkpoint(pb::GetCheckpointRequest::default());
    let answer = answer.await.answer();
    let free = |number: &u32| !golden().join(format!("log-{number}")).exists();
    let name = format!("log-{}", (1..1000).find(free).unwrap());
    let folder = golden().join(&name);
    std::fs::create_dir(&folder).unwrap();
    let key = directory.master_key_file();
    std::fs::copy(key, folder.join("master.key")).unwrap();
    let kept = format!("{}\n{}", answer.verifier_key, answer.checkpoint);
    std::fs::write(folder.join("checkpoint.txt"), kept).unwrap();
    let data_dir = directory.stop().await;
    std::fs::copy(
        data_dir.path().join(sqlite::FILE),
        folder.join(sqlite::FILE),
    )
    .unwrap();
    tell_of(&name).await;
    println!("add to LOGS: (\"{name}\", {:?})", sums(&folder));
}

async fn tell_of(name: &str) {
    let folder = golden().join(name);
    let directory = Directory::of_log(&folder).await;
    let told = told(&directory).await;
    std::fs::write(folder.join("told.txt"), told).unwrap();
    directory.finish().await;
}

/// Writes anew what is told of the golden logs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes anew what is told of the golden logs: run it by its name when views or words are meant to change"]
async fn tell_anew_of_the_golden_logs() {
    for (name, _) in LOGS {
        tell_of(name).await;
    }
}
