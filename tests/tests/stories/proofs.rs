//! Proof: an auditor checks the log without trusting the service that keeps it.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rollbook_eventstore::StreamId;
use rollbook_eventstore::proof::{
    Checkpoint, CheckpointKey, Hash, Leaf, Opening, TreeHead, consistent, included,
};
use rollbook_tests::database::Database;
use rollbook_tests::people::{person, repeatable};
use rollbook_tests::program::{Installation, Program};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Identity, Role, Tenant, ask, pb, program, stories,
};
use sqlx::Connection as _;

use crate::crashes::tenant;

stories! {
    r63_a_checkpoint_has_everything_that_was_acknowledged_and_proves_it,
    r63_the_tree_has_what_is_written_within_a_second,
    r63_an_auditor_of_one_account_proves_that_nothing_of_it_was_left_out,
    r63_what_an_auditor_was_shown_is_proven_and_erasure_breaks_nothing,
    r63_what_a_replay_shows_is_held_against_the_leaf,
    r63_what_cannot_be_proved_is_refused_with_a_reason,
    r63_the_log_is_verified_and_exported_from_the_command_line,
    r63_a_program_of_others_checks_an_export,
    r63_an_auditor_of_one_account_checks_an_export_of_it,
}

/// What a service says, checked with the key that it says.
pub async fn checkpoint(auditor: &Caller, account_id: &str) -> Checkpoint {
    let request = pb::GetCheckpointRequest {
        account_id: account_id.to_owned(),
        at_least_size: 0,
    };
    let answer = auditor.history().get_checkpoint(request).await.answer();
    let key = CheckpointKey::parse(&answer.verifier_key).unwrap();
    let checkpoint = key.open(&answer.checkpoint).unwrap();
    assert_eq!(checkpoint.head.size, answer.tree_size);
    assert_eq!(checkpoint.head.root.to_vec(), answer.root_hash);
    checkpoint
}

pub async fn export(auditor: &Caller, request: pb::ExportEventsRequest) -> Vec<pb::StoredEvent> {
    let mut stream = auditor.history().export_events(request).await.answer();
    let mut events = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        events.extend(piece.events);
    }
    events
}

/// The leaf as whoever reads the specification makes it.
pub fn leaf(event: &pb::StoredEvent) -> Hash {
    let stream: StreamId = event.stream.parse().unwrap();
    let time = event.recorded_at.unwrap();
    let nanos = u32::try_from(time.nanos).unwrap();
    Leaf {
        position: event.position,
        commit_position: event.commit_position,
        account_id: &event.account_id,
        account_number: event.account_number,
        stream: &stream,
        revision: event.revision,
        event_type: &event.event_type,
        event_version: &event.event_version,
        recorded_at: chrono::DateTime::from_timestamp(time.seconds, nanos).unwrap(),
        forgets: event.forgets,
        payload: &event.payload,
        metadata: &event.metadata,
    }
    .hash()
}

fn hashes(hashes: &[Vec<u8>]) -> Vec<Hash> {
    let hash = |hash: &Vec<u8>| hash.as_slice().try_into().unwrap();
    hashes.iter().map(hash).collect()
}

async fn consistency(auditor: &Caller, from: TreeHead, to: TreeHead) -> bool {
    let request = pb::GetConsistencyProofRequest {
        from_size: from.size,
        to_size: to.size,
    };
    let answer = auditor
        .history()
        .get_consistency_proof(request)
        .await
        .answer();
    consistent(&hashes(&answer.hashes), &from, &to)
}

async fn r63_a_checkpoint_has_everything_that_was_acknowledged_and_proves_it(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let auditor = directory.auditor();
    let mut kept = vec![checkpoint(&auditor, "").await.head];
    for number in 0..20 {
        acme.user(&format!("U{number}")).await;
        let head = checkpoint(&auditor, "").await.head;
        assert_eq!(head.size, directory.head().await);
        kept.push(head);
    }
    let head = *kept.last().unwrap();
    for older in &kept {
        assert!(consistency(&auditor, *older, head).await);
    }
    for event in export(&auditor, pb::ExportEventsRequest::default()).await {
        let request = pb::GetInclusionProofRequest {
            position: event.position,
            tree_size: head.size,
        };
        let proof = auditor
            .history()
            .get_inclusion_proof(request)
            .await
            .answer();
        assert_eq!(proof.leaf_hash, leaf(&event).to_vec());
        assert_eq!(proof.leaf_index + 1, event.position);
        let proof = hashes(&proof.hashes);
        assert!(included(&proof, &head, event.position, &leaf(&event)));
    }
    if directory.home == Home::Postgres {
        // Another process answers of the same tree, whoever keeps it.
        let second = directory.second_process().await;
        let there = auditor.at(second.channel());
        assert_eq!(checkpoint(&there, "").await.head, head);
        acme.at(&second).user("LAST").await;
        let grown = checkpoint(&auditor, "").await.head;
        assert_eq!(grown, checkpoint(&there, "").await.head);
        assert!(consistency(&there, head, grown).await);
        drop(second.stop().await);
    }
}

async fn r63_an_auditor_of_one_account_proves_that_nothing_of_it_was_left_out(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    for number in 0..5 {
        acme.user(&format!("A{number}")).await;
        other.user(&format!("B{number}")).await;
    }
    // A token for one account need not name it.
    let checkpoint = checkpoint(&acme.auditor, "").await;
    let end = checkpoint.account.unwrap();
    let request = pb::ExportEventsRequest {
        prove: true,
        ..Default::default()
    };
    let events = export(&acme.auditor, request).await;
    assert!(events.iter().all(|event| event.account_id == "acme"));
    let numbers: Vec<_> = events.iter().map(|event| event.account_number).collect();
    assert_eq!(numbers, (1..=end.events).collect::<Vec<_>>());
    for event in &events {
        let proof = hashes(&event.inclusion_proof);
        assert!(included(
            &proof,
            &checkpoint.head,
            event.position,
            &leaf(event)
        ));
    }
    let last = events.last().unwrap();
    assert_eq!(
        (end.last_position, end.last_leaf),
        (last.position, leaf(last))
    );
    // Of another account nothing is proved, not even that there is something.
    let foreign = directory.events().await;
    let foreign = foreign
        .iter()
        .find(|event| event.account_id == "other")
        .unwrap();
    let request = pb::GetInclusionProofRequest {
        position: foreign.position,
        tree_size: 0,
    };
    let refusal = acme
        .auditor
        .history()
        .get_inclusion_proof(request)
        .await
        .refusal();
    assert_eq!(
        (refusal.code, &*refusal.reason),
        (Code::NotFound, "EVENT_NOT_FOUND")
    );
    let request = ask!(other, GetCheckpointRequest {});
    let refusal = acme
        .auditor
        .history()
        .get_checkpoint(request)
        .await
        .refusal();
    assert_eq!(refusal.reason, "ACCOUNT_NOT_FOUND");
    let request = pb::GetCheckpointRequest {
        account_id: "nobody".to_owned(),
        at_least_size: 0,
    };
    let refusal = directory
        .auditor()
        .history()
        .get_checkpoint(request)
        .await
        .refusal();
    assert_eq!(refusal.reason, "ACCOUNT_NOT_FOUND");
}

async fn r63_what_an_auditor_was_shown_is_proven_and_erasure_breaks_nothing(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let created = pb::CreateUserRequest {
        command: Some(pb::CommandOptions {
            reason: "Anna begins on Monday".to_owned(),
            ..repeatable()
        }),
        ..ask!(
            acme,
            CreateUserRequest {
                user: person("ANNA")
            }
        )
    };
    let created = acme.admin.users().create_user(created).await.answer();
    let anna = created.user.unwrap();
    let of_anna = pb::ExportEventsRequest {
        filter: Some(pb::EventFilter {
            account_id: "acme".to_owned(),
            user_id: anna.user_id.clone(),
            ..Default::default()
        }),
        open: true,
        prove: true,
        ..Default::default()
    };
    let shown = export(&directory.auditor(), of_anna.clone())
        .await
        .remove(0);
    let payload: serde_json::Value = serde_json::from_str(&shown.payload).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&shown.metadata).unwrap();
    let mut values = Vec::new();
    for opening in &shown.openings {
        let opens = Opening {
            place: opening.place.clone(),
            salt: opening.salt.clone(),
            value: opening.value.clone(),
        };
        let committed = match opening.place.as_str() {
            "reason" => &metadata["$reason_commitment"],
            place => &payload.pointer(place).unwrap()["$commitment"],
        };
        assert_eq!(committed, &opens.commitment());
        values.push(opening.value.as_str());
    }
    assert!(values.contains(&"\"ANNA\"") && values.contains(&"\"Anna begins on Monday\""));
    assert_eq!(shown.leaf_hash, leaf(&shown).to_vec());
    // Who may not see personal data gets the leaf, and nothing that opens it.
    let blind = directory.caller(Identity::new(Role::Auditor, "auditor", None));
    let withheld = export(&blind, of_anna.clone()).await.remove(0);
    assert_eq!(withheld.openings, []);
    assert_eq!(
        (&withheld.leaf_hash, &withheld.payload),
        (&shown.leaf_hash, &shown.payload)
    );

    let before = checkpoint(&directory.auditor(), "").await.head;
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    let after = checkpoint(&directory.auditor(), "").await.head;
    assert!(consistency(&directory.auditor(), before, after).await);
    let erased = export(&directory.auditor(), of_anna).await.remove(0);
    assert_eq!((erased.openings.len(), erased.fault.as_str()), (0, ""));
    assert_eq!(
        (&erased.leaf_hash, &erased.payload),
        (&shown.leaf_hash, &shown.payload)
    );
    let proof = hashes(&erased.inclusion_proof);
    assert!(included(&proof, &after, erased.position, &leaf(&erased)));
}

async fn replayed(auditor: &Caller, request: pb::ReplayEventsRequest) -> Vec<pb::Event> {
    let mut pieces = auditor.history().replay_events(request).await.answer();
    let mut events = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        events.extend(piece.events);
    }
    events
}

/// Checks what a replay showed against the leaf; answers the values that were opened.
fn held_against_the_leaf(
    head: &TreeHead,
    stored: &pb::StoredEvent,
    event: &pb::Event,
) -> Vec<String> {
    let proof = hashes(&stored.inclusion_proof);
    assert!(included(&proof, head, event.position, &leaf(stored)));
    let payload: serde_json::Value = serde_json::from_str(&stored.payload).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&stored.metadata).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
    let mut opened = Vec::new();
    for opening in &event.openings {
        let opens = Opening {
            place: opening.place.clone(),
            salt: opening.salt.clone(),
            value: opening.value.clone(),
        };
        let value: serde_json::Value = serde_json::from_str(&opening.value).unwrap();
        let (committed, said) = match opening.place.as_str() {
            "reason" => (
                &metadata["$reason_commitment"],
                serde_json::json!(event.reason),
            ),
            place => (
                &payload.pointer(place).unwrap()["$commitment"],
                shown.pointer(place).unwrap()["$personal"].clone(),
            ),
        };
        assert_eq!(committed, &opens.commitment());
        assert_eq!(said, value);
        opened.push(opening.value.clone());
    }
    assert_eq!(
        event.openings.len(),
        stored.payload.matches("$commitment").count()
            + stored.metadata.matches("$reason_commitment").count()
    );
    opened
}

async fn r63_what_a_replay_shows_is_held_against_the_leaf(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let bert = acme.user("BERT").await;
    let request = pb::LockUserRequest {
        command: Some(pb::CommandOptions {
            reason: "lost her badge".to_owned(),
            ..repeatable()
        }),
        ..ask!(
            acme,
            LockUserRequest {
                user_id: &anna.user_id
            }
        )
    };
    acme.admin.users().lock_user(request).await.answer();
    let request = ask!(
        acme,
        DeleteUserRequest {
            user_id: &bert.user_id
        }
    );
    acme.admin.users().delete_user(request).await.answer();
    let auditor = directory.auditor();
    let head = checkpoint(&auditor, "").await.head;
    let all = pb::ReplayEventsRequest {
        open: true,
        ..Default::default()
    };
    let events = replayed(&auditor, all.clone()).await;
    let proven = pb::ExportEventsRequest {
        prove: true,
        ..Default::default()
    };
    let leaves = export(&auditor, proven).await;
    let plain = replayed(&auditor, pb::ReplayEventsRequest::default()).await;
    assert!(plain.iter().all(|event| event.openings.is_empty()));
    let mut values = Vec::new();
    for event in &events {
        if event.stream == format!("user-{}", bert.user_id) {
            assert_eq!(event.openings, []);
            continue;
        }
        let stored = &leaves[usize::try_from(event.position).unwrap() - 1];
        values.extend(held_against_the_leaf(&head, stored, event));
    }
    for value in ["ANNA", "lost her badge"] {
        assert!(
            values.contains(&format!("\"{value}\"")),
            "{value} in {values:?}"
        );
    }
    assert!(!values.contains(&"\"BERT\"".to_owned()));
    let backwards = pb::ReplayEventsRequest {
        direction: pb::Direction::Backwards.into(),
        ..all.clone()
    };
    let mut turned = replayed(&auditor, backwards).await;
    turned.reverse();
    assert_eq!(turned, events);
    let filter = Some(pb::EventFilter {
        account_id: "acme".to_owned(),
        user_id: anna.user_id.clone(),
        ..Default::default()
    });
    let of_anna: Vec<_> = events
        .iter()
        .filter(|event| event.stream == format!("user-{}", anna.user_id))
        .cloned()
        .collect();
    let mut token = String::new();
    for expected in &of_anna {
        let page = pb::ListEventsRequest {
            filter: filter.clone(),
            page_size: 1,
            page_token: token,
            open: true,
            ..Default::default()
        };
        let page = auditor.history().list_events(page).await.answer();
        assert_eq!(page.events, std::slice::from_ref(expected));
        token = page.next_page_token;
    }
    let blind = directory.caller(Identity::new(Role::Auditor, "auditor", None));
    let withheld = replayed(&blind, all).await;
    assert!(withheld.iter().all(|event| event.openings.is_empty()));
}

async fn r63_what_cannot_be_proved_is_refused_with_a_reason(directory: &Directory) {
    Tenant::create(directory, "acme").await;
    let mut history = directory.auditor().history();
    let head = directory.head().await;
    let consistency = |from_size, to_size| pb::GetConsistencyProofRequest { from_size, to_size };
    for (from, to, fields) in [
        (0, 1, vec!["from_size"]),
        (2, 1, vec!["to_size"]),
        (0, 0, vec!["from_size"]),
    ] {
        let refusal = history
            .get_consistency_proof(consistency(from, to))
            .await
            .refusal();
        assert_eq!(
            (refusal.reason.as_str(), refusal.fields),
            (
                "MALFORMED",
                fields.iter().map(ToString::to_string).collect()
            )
        );
    }
    let beyond = history
        .get_consistency_proof(consistency(1, head + 1))
        .await
        .refusal();
    assert_eq!(beyond.reason, "POSITION_BEYOND_HEAD");
    let inclusion = |position, tree_size| pb::GetInclusionProofRequest {
        position,
        tree_size,
    };
    for (position, size, field) in [(0, 0, "position"), (2, 1, "tree_size")] {
        let refusal = history
            .get_inclusion_proof(inclusion(position, size))
            .await
            .refusal();
        assert_eq!(
            (refusal.reason.as_str(), &*refusal.fields),
            ("MALFORMED", &[field.to_owned()][..])
        );
    }
    for (position, size) in [(head + 1, 0), (1, head + 1)] {
        let refusal = history
            .get_inclusion_proof(inclusion(position, size))
            .await
            .refusal();
        assert_eq!(refusal.reason, "POSITION_BEYOND_HEAD");
    }
    let request = pb::GetCheckpointRequest {
        at_least_size: head + 1,
        ..Default::default()
    };
    let refusal = history.get_checkpoint(request).await.refusal();
    assert_eq!(refusal.reason, "POSITION_BEYOND_HEAD");
    for request in [
        pb::ExportEventsRequest {
            from_position: head + 1,
            ..Default::default()
        },
        pb::ExportEventsRequest {
            tree_size: head + 1,
            ..Default::default()
        },
    ] {
        let refusal = history.export_events(request).await.refusal();
        assert_eq!(refusal.reason, "POSITION_BEYOND_HEAD");
    }
}

/// An auditor with a token for all accounts, or one.
fn auditor(account: Option<&str>) -> Identity {
    Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", account)
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command that goes well, and answers what it says.
async fn runs(directory: &Directory, identity: &Identity, words: &[&str]) -> String {
    let output = program::run(directory, identity, words).await;
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    said(&output)
}

fn name(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

async fn r63_the_log_is_verified_and_exported_from_the_command_line(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    let all = auditor(None);
    let first = runs(directory, &all, &["verify", "--save", &file("first")]).await;
    assert!(
        first.contains("are what they were") && first.contains("keep it"),
        "{first}"
    );
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: &anna.user_id
            }
        ))
        .await
        .answer();
    for number in 0..30 {
        acme.user(&format!("U{number}")).await;
    }
    let key = first.split("checked with the key ").nth(1).unwrap();
    let key = key.split(',').next().unwrap().to_owned();
    let kept = ["--checkpoint", &file("first"), "--key", &key];
    let again = [&["verify"][..], &kept].concat();
    let again = runs(directory, &all, &again).await;
    let head = directory.head().await;
    assert!(
        again.contains(&format!("{head} events are what they were")),
        "{again}"
    );
    assert!(again.contains("1 earlier checkpoint agrees"), "{again}");
    for (export, more) in [
        ("log.ndjson", &[][..]),
        ("log.ndjson.gz", &["--compress", "gzip"][..]),
        ("log.ndjson.zst", &["--compress", "zstd"][..]),
    ] {
        let out = ["history", "export", "--out", &file(export)];
        let wrote = runs(directory, &all, &[&out[..], more].concat()).await;
        assert!(wrote.contains(&format!("wrote {head} events")), "{wrote}");
        let verify = ["verify", &file(export)];
        let verified = runs(directory, &all, &[&verify[..], &kept].concat()).await;
        assert!(verified.contains(&format!("{head} events")), "{verified}");
    }
    let text = std::fs::read_to_string(file("log.ndjson")).unwrap();
    // With what no ciphertext can have by chance.
    for personal in ["\"ANNA\"", "First ANNA", "ANNA@example.com"] {
        assert!(!text.contains(personal), "{personal} is in the export");
    }
    assert_eq!(text.lines().count() as u64, head);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["specversion"], &line["id"]),
        (&"1.0".into(), &"1".into())
    );
    // Another key, and a file that was changed, end with a code of their own.
    let wrong = key.replace(&key[key.len() - 8..], "AAAAAAA=");
    let refused = program::run(directory, &all, &["verify", "--key", &wrong]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    std::fs::write(
        file("log.ndjson"),
        text.replacen("UserCreated", "UserErected", 1),
    )
    .unwrap();
    let refused = program::run(directory, &all, &["verify", &file("log.ndjson")]).await;
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    let changed = text.lines().position(|line| line.contains("UserCreated"));
    let named = format!("position {}: ", changed.unwrap() + 1);
    assert!(said(&refused).contains(&named), "{}", said(&refused));
}

async fn r63_a_program_of_others_checks_an_export(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    for number in 0..40 {
        // What is not personal stands in the payload as it is.
        let title = format!("Ünion \"{number}\" \\ 日本 /");
        let company = ask!(acme, AddCompanyRequest { title });
        acme.admin.accounts().add_company(company).await.answer();
        other.user(&format!("B{number}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = name(folder.path(), "log.ndjson.gz");
    let plain = name(folder.path(), "log.ndjson");
    let export = ["history", "export", "--out", &file, "--compress", "gzip"];
    runs(directory, &auditor(None), &export).await;
    runs(
        directory,
        &auditor(None),
        &["history", "export", "--out", &plain],
    )
    .await;
    let check = |file: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/check-export.py");
        std::process::Command::new("python3")
            .arg(script)
            .arg(file)
            .output()
            .unwrap()
    };
    for file in [&file, &plain] {
        let output = check(file);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("events are what they were"));
    }
    let text = std::fs::read_to_string(&plain).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let changed = lines[6].replacen("\"forgets\":false", "\"forgets\":true", 1);
    std::fs::write(&plain, text.replacen(lines[6], &changed, 1)).unwrap();
    let output = check(&plain);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("position 7: it is not what its leaf says"),
        "{}",
        said(&output)
    );
    let cut = lines[..lines.len() - 1].join("\n") + "\n";
    std::fs::write(&plain, cut).unwrap();
    assert!(said(&check(&plain)).contains("missing at the end"));
}

async fn r63_an_auditor_of_one_account_checks_an_export_of_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    for number in 0..6 {
        acme.user(&format!("A{number}")).await;
        other.user(&format!("B{number}")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    let one = auditor(Some("acme"));
    let first = runs(directory, &one, &["verify", "--save", &file("first")]).await;
    let events = acme.auditor.history();
    let count = {
        let mut events = events;
        let request = pb::ListEventsRequest {
            page_size: 1000,
            ..Default::default()
        };
        events.list_events(request).await.answer().events.len()
    };
    assert!(
        first.contains(&format!("{count} events are what they were")),
        "{first}"
    );
    acme.user("LAST").await;
    let kept = ["--checkpoint", &file("first")];
    runs(directory, &one, &[&["verify"][..], &kept].concat()).await;
    runs(
        directory,
        &one,
        &["history", "export", "--out", &file("acme")],
    )
    .await;
    let verify = ["verify", &file("acme")];
    let verified = runs(directory, &one, &[&verify[..], &kept].concat()).await;
    assert!(
        verified.contains(&format!("{} events", count + 1)),
        "{verified}"
    );
    // Leaving one out is seen by its number, and a part of the log says that it is one.
    let text = std::fs::read_to_string(file("acme")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let left_out = [&lines[..3], &lines[4..]].concat().join("\n") + "\n";
    std::fs::write(file("acme"), left_out).unwrap();
    let refused = program::run(directory, &one, &verify).await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        said(&refused).contains("its account number is 5 where 4 must stand"),
        "{}",
        said(&refused)
    );
    let part = [
        "history",
        "export",
        "--type",
        "UserCreated",
        "--out",
        &file("part"),
    ];
    runs(directory, &one, &part).await;
    let mute = ["verify", &file("part"), "--checkpoint", &file("first")];
    let mute = program::run(directory, &one, &mute).await;
    assert!(
        said(&mute).contains("tells nothing of this part"),
        "{}",
        said(&mute)
    );
    let verified = runs(directory, &one, &["verify", &file("part")]).await;
    assert!(
        verified.contains("8 events are what they were"),
        "{verified}"
    );
}

/// How many events the tree holds as it is now: whoever asks for one waits for none.
async fn size_of_tree(auditor: &Caller) -> u64 {
    let request = pb::GetCheckpointRequest {
        at_least_size: 1,
        ..Default::default()
    };
    let answer = auditor.history().get_checkpoint(request).await.answer();
    answer.tree_size
}

async fn r63_the_tree_has_what_is_written_within_a_second(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let auditor = directory.auditor();
    let mut lags = Vec::new();
    for number in 0..15 {
        // Nothing else is under way: the tree has all that was written before.
        checkpoint(&auditor, "").await;
        acme.user(&format!("U{number}")).await;
        let written = Instant::now();
        let head = directory.head().await;
        while size_of_tree(&auditor).await < head {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lags.push(written.elapsed());
    }
    lags.sort_unstable();
    // On a machine that is busy with other things, any one may take longer.
    assert!(lags[lags.len() / 2] <= Duration::from_secs(1), "{lags:?}");
}

/// A process that answers for a log on PostgreSQL, and its auditor.
async fn reaches(installation: &Installation, program: &Program, at_least: u64) {
    let auditor = installation.auditor(program);
    let request = pb::GetCheckpointRequest {
        at_least_size: at_least,
        ..Default::default()
    };
    let reached = async {
        loop {
            match auditor
                .history()
                .get_checkpoint(request.clone())
                .await
                .outcome()
            {
                Ok(answer) => return answer,
                Err(refusal) => refusal.is(Code::Unavailable, "TREE_LAGGING"),
            };
        }
    };
    let reached = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(reached.expect("nobody keeps the tree").tree_size >= at_least);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_another_process_keeps_the_tree_when_its_keeper_dies_and_a_tree_that_lags_is_told() {
    let installation = Installation::new(Some(Database::create().await));
    installation.migrate().await;
    let dirs = tempfile::tempdir().unwrap();
    let one = installation.serve().await;
    let acme = tenant(&installation, &one).await;
    let two = installation.serve_in(&dirs.path().join("two"), &[]).await;
    acme.user("ONE").await;
    reaches(&installation, &two, head(&acme.operator).await).await;
    // One of these two kept the tree when it was killed, whichever it was.
    one.kill().await;
    let acme = acme.through(&two);
    reaches(&installation, &two, head(&acme.operator).await).await;
    let three = installation.serve_in(&dirs.path().join("three"), &[]).await;
    two.kill().await;
    let acme = acme.through(&three);
    acme.user("TWO").await;
    reaches(&installation, &three, head(&acme.operator).await).await;
    three.kill().await;

    // The place of the keeper is taken by somebody who does not keep it.
    let database = installation.database().unwrap();
    let mut session = database.connect().await;
    let log_id: uuid::Uuid = sqlx::query_scalar("SELECT log_id FROM log_head")
        .fetch_one(&mut session)
        .await
        .unwrap();
    sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
        .bind(format!("rollbook {log_id} proof"))
        .execute(&mut session)
        .await
        .unwrap();
    let four = installation.serve_in(&dirs.path().join("four"), &[]).await;
    let acme = acme.through(&four);
    acme.user("THREE").await;
    let auditor = installation.auditor(&four);
    let lags = loop {
        let mut request = tonic::Request::new(pb::GetCheckpointRequest::default());
        request.set_timeout(Duration::from_secs(1));
        let lags = auditor.history().get_checkpoint(request).await;
        // A client that is too busy to hear why in time is told nothing.
        if lags
            .as_ref()
            .is_err_and(|status| status.code() == Code::Unavailable)
        {
            break lags;
        }
        assert!(lags.is_err());
    };
    lags.refusal().is(Code::Unavailable, "TREE_LAGGING");
    session.close().await.unwrap();
    reaches(&installation, &four, head(&acme.operator).await).await;
    four.stop().await;
    installation.into_database().unwrap().remove().await;
}

async fn head(operator: &Caller) -> u64 {
    let request = pb::GetLogStatusRequest {};
    let status = operator.operations().get_log_status(request).await;
    status.answer().head_position
}
