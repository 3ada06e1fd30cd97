//! Backups: a log is made anew of one, on either home, and is the log it was; what was erased since stays so.

use std::path::Path;
use std::process::Output;

use rollbook_services::caller::Role;
use rollbook_tests::directory::Place;
use rollbook_tests::files::{files_below, files_with, tables_with};
use rollbook_tests::people::{PASSWORD, person, repeatable};
use rollbook_tests::{
    Answer as _, Code, Directory, Home, Identity, Tenant, ask, pb, program, stories,
};

stories! {
    r62_what_was_erased_since_a_backup_stays_erased,
    r63_a_log_made_of_an_export_alone_is_an_archive,
    r63_a_damaged_or_foreign_backup_is_refused_and_nothing_is_made,
}

fn operator() -> Identity {
    Identity::new(Role::Operator, "operator", None)
}

fn auditor() -> Identity {
    Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", None)
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command against a service that goes well.
async fn runs(directory: &Directory, identity: &Identity, words: &[&str]) -> String {
    let output = program::run(directory, identity, words).await;
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    said(&output)
}

fn name(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Makes a log in a place; answers what was said, and whether it went well.
async fn restore(directory: &Directory, place: &Place, words: &[&str]) -> (String, bool) {
    let key = directory.master_key_file().display().to_string();
    restore_with(&key, place, words).await
}

async fn restore_with(key: &str, place: &Place, words: &[&str]) -> (String, bool) {
    let flags = place.flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let words = [&["restore", "--master-key-file", key], words, &flags].concat();
    let output = program::alone(&words).output().await.unwrap();
    (said(&output), output.status.success())
}

/// The lines of a file of a backup between its first and its last, without those whose seals differ each time.
fn lines(folder: &str, file: &str) -> Vec<String> {
    let text = std::fs::read(Path::new(folder).join(file)).unwrap();
    let text = if Path::new(file).extension().is_some_and(|end| end == "zst") {
        zstd::decode_all(text.as_slice()).unwrap()
    } else {
        text
    };
    let text = String::from_utf8(text).unwrap();
    let told_apart = |line: &&str| {
        !line.starts_with("{\"side\"")
            && !line.starts_with("{\"form\"")
            && !line.starts_with("{\"end\"")
    };
    text.lines().filter(told_apart).map(str::to_owned).collect()
}

/// What is known of a directory before its backup.
struct Known {
    acme: Tenant,
    anna: pb::User,
    create: pb::CreateUserRequest,
    reset_token: String,
    events: Vec<pb::Event>,
}

async fn lived(directory: &Directory) -> Known {
    let acme = Tenant::with_passwords(directory, "acme").await;
    let create = pb::CreateUserRequest {
        command: Some(repeatable()),
        ..ask!(
            acme,
            CreateUserRequest {
                user: pb::NewUser {
                    welcome: true,
                    ..person("ANNA")
                }
            }
        )
    };
    let created = acme
        .admin
        .users()
        .create_user(create.clone())
        .await
        .answer();
    let administrator = &acme.administrator.email;
    let wrong = acme.sign_in(administrator, "not the password at all").await;
    assert_eq!(wrong, pb::SignInResult::Rejected);
    let reset_token = acme.reset_token(administrator).await;
    let (bert, _) = acme.welcomed("BERT").await;
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: bert }))
        .await
        .answer();
    Known {
        events: directory.events().await,
        anna: created.user.unwrap(),
        acme,
        create,
        reset_token,
    }
}

/// The restored log goes on as if nothing had happened.
async fn goes_on(restored: &Directory, known: &Known) {
    let acme = known.acme.at(restored.process());
    assert_eq!(restored.events().await, known.events);
    assert_eq!(acme.signatures().await, ["ADM", "ANNA"]);
    assert_eq!(acme.get(&known.anna.user_id).await, known.anna);
    let head = restored.head().await;
    let repeated = acme.admin.users().create_user(known.create.clone()).await;
    assert_eq!(repeated.answer().user.unwrap(), known.anna);
    assert_eq!(restored.head().await, head, "a repeat commits nothing");
    acme.admin
        .users()
        .create_user(ask!(
            acme,
            CreateUserRequest {
                user: pb::NewUser {
                    welcome: true,
                    ..person("anna")
                }
            }
        ))
        .await
        .refusal()
        .is(Code::AlreadyExists, "SIGNATURE_TAKEN");
    let administrator = &acme.administrator.email;
    let signed_in = acme.sign_in(administrator, PASSWORD).await;
    assert_eq!(signed_in, pb::SignInResult::SignedIn);
    acme.portal
        .credentials()
        .complete_password_reset(pb::CompletePasswordResetRequest {
            token: known.reset_token.clone(),
            password: "a lantern for every harbour".to_owned(),
            ..Default::default()
        })
        .await
        .answer();
    let acme = acme.signed_in_again();
    let before = restored.head().await;
    acme.welcomed("CARL").await;
    assert!(restored.head().await > before);
}

async fn restored(home: Home) {
    let directory = Directory::start(home).await;
    let known = lived(&directory).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    runs(&directory, &auditor(), &["verify", "--save", &file("kept")]).await;
    let made = runs(&directory, &operator(), &["backup", &file("backup")]).await;
    let head = directory.head().await;
    assert!(made.contains(&format!("up to position {head}")), "{made}");
    assert!(made.contains("keys.ndjson on "), "{made}");
    let events = file("backup/events.ndjson.zst");
    let kept = ["--checkpoint", &file("kept")];
    let verified = program::alone(&[&["verify", &events][..], &kept].concat());
    assert!({ verified }.status().await.unwrap().success());
    for home in [Home::Embedded, Home::Postgres] {
        let place = Place::new(home).await;
        let backup = file("backup");
        let words = [&[&*backup][..], &kept].concat();
        let (told, well) = restore(&directory, &place, &words).await;
        assert!(well && told.contains(&format!("{head} events")), "{told}");
        let (told, well) = restore(&directory, &place, &words).await;
        assert!(!well && told.contains("there is a log already"), "{told}");
        let restored = directory.on_log_in(place).await;
        let again = file(&format!("again {home:?}"));
        runs(&restored, &operator(), &["backup", &again]).await;
        for part in [
            "events.ndjson.zst",
            "rows.ndjson.zst",
            "keys.ndjson",
            "erased.ndjson",
        ] {
            assert_eq!(lines(&again, part), lines(&file("backup"), part), "{part}");
        }
        goes_on(&restored, &known).await;
        let verify = [&["verify"][..], &kept].concat();
        let verified = runs(&restored, &auditor(), &verify).await;
        assert!(
            verified.contains("1 earlier checkpoint agrees"),
            "{verified}"
        );
        restored.finish().await;
    }
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_embedded_a_backup_is_restored_on_either_home() {
    restored(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_on_postgres_a_backup_is_restored_on_either_home() {
    restored(Home::Postgres).await;
}

/// What is personal about the person who goes, as it was given and as it may be folded.
const PERSONAL: [&str; 7] = [
    "QZXSIG",
    "qzxsig",
    "Qzxfirst",
    "qzxfirst",
    "Qzxlast",
    "qzxmail",
    "+99 555 0147",
];

async fn r62_what_was_erased_since_a_backup_stays_erased(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let gone = acme
        .create_user(pb::NewUser {
            first_name: "Qzxfirst".to_owned(),
            last_name: "Qzxlast".to_owned(),
            email: "qzxmail@example.com".to_owned(),
            phone: "+99 555 0147".to_owned(),
            ..person("QZXSIG")
        })
        .await
        .user_id;
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    runs(directory, &operator(), &["backup", &file("backup")]).await;
    let stream = format!("user-{gone}");
    let key = lines(&file("backup"), "keys.ndjson")
        .into_iter()
        .find(|line| line.contains(&stream))
        .unwrap();
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let key = key["stream_key"]["wrapped"].as_str().unwrap().to_owned();
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).unwrap();
    assert_eq!(files_with(folder.path(), &PERSONAL), []);
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &gone }))
        .await
        .answer();
    runs(
        directory,
        &operator(),
        &["backup", &file("later"), "--erased-only"],
    )
    .await;
    let place = Place::new(directory.home).await;
    let words = [&*file("backup"), "--erased", &file("later")];
    let (told, well) = restore(directory, &place, &words).await;
    assert!(well && told.contains(&stream), "{told}");
    let restored = directory.on_log_in(place).await;
    let shown = acme.at(restored.process()).get(&gone).await;
    assert_eq!((&*shown.first_name, &*shown.email), ("", ""), "{shown:?}");
    let data_dir = restored.process().data_dir();
    assert_eq!(files_with(data_dir, &PERSONAL), []);
    for path in files_below(data_dir) {
        let bytes = std::fs::read(&path).unwrap();
        let there = bytes.windows(key.len()).any(|window| window == key);
        assert!(!there, "the key is in {}", path.display());
    }
    if let Some(database) = restored.database() {
        let hex = hex::encode(&key);
        let texts = [&PERSONAL[..], &[&hex]].concat();
        assert_eq!(tables_with(database, &texts).await, []);
    }
    acme.at(restored.process())
        .admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &gone }))
        .await
        .answer();
    let told = format!("{:?}", restored.events().await);
    assert!(PERSONAL.iter().all(|text| !told.contains(text)));
    // Its address is free, and its signature reserved, as after every deletion.
    let again = |signature: &str| {
        let user = pb::NewUser {
            email: "qzxmail@example.com".to_owned(),
            ..person(signature)
        };
        ask!(acme, CreateUserRequest { user })
    };
    let admin = acme.at(restored.process()).admin;
    let taken = admin.users().create_user(again("QZXSIG")).await;
    taken.refusal().is(Code::AlreadyExists, "SIGNATURE_TAKEN");
    admin.users().create_user(again("ANNA")).await.answer();
    restored.finish().await;
}

async fn r63_a_log_made_of_an_export_alone_is_an_archive(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.clerk("ANNA").await.user_id;
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    let export = [
        "history",
        "export",
        "--compress",
        "zstd",
        "--out",
        &file("log"),
    ];
    runs(directory, &auditor(), &export).await;
    let place = Place::new(directory.home).await;
    let (told, well) = restore(directory, &place, &[&file("log")]).await;
    assert!(well && told.contains("made an archive"), "{told}");
    let archive = directory.on_log_in(place).await;
    let verified = runs(&archive, &auditor(), &["verify"]).await;
    let head = directory.head().await;
    assert!(verified.contains(&format!("{head} events")), "{verified}");
    let status = archive.operator().operations();
    let status = { status }.get_log_status(pb::GetLogStatusRequest {}).await;
    assert!(status.answer().archive);
    let acme = acme.at(archive.process());
    let trail = acme
        .auditor
        .history()
        .get_user_trail(ask!(acme, GetUserTrailRequest { user_id: &anna }))
        .await
        .answer();
    assert!(!trail.entries.is_empty());
    assert_eq!(acme.get(&anna).await.first_name, "");
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .refusal()
        .is(Code::FailedPrecondition, "LOG_ARCHIVED");
    let backup = archive.operator().operations();
    let backup = { backup }
        .create_backup(pb::CreateBackupRequest::default())
        .await;
    backup
        .refusal()
        .is(Code::FailedPrecondition, "LOG_ARCHIVED");
    let account_id = acme.account_id.clone();
    let checkpoint = pb::GetCheckpointRequest {
        account_id,
        at_least_size: 0,
    };
    let history = archive.auditor().history();
    let signed = { history }.get_checkpoint(checkpoint).await;
    signed
        .refusal()
        .is(Code::FailedPrecondition, "LOG_ARCHIVED");
    assert_eq!(archive.head().await, head);
    archive.finish().await;
}

/// Writes a file of a backup anew.
fn spoil(folder: &str, file: &str, how: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::new(folder).join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    how(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Makes the manifest say of a file what it is now, as somebody would who changed both.
fn admit(folder: &str, file: &str) {
    use sha2::Digest as _;
    let path = Path::new(folder).join("backup.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let bytes = std::fs::read(Path::new(folder).join(file)).unwrap();
    for entry in manifest["files"].as_array_mut().unwrap() {
        if entry["name"] == file {
            entry["bytes"] = bytes.len().into();
            entry["sha256"] = hex::encode(sha2::Sha256::digest(&bytes)).into();
        }
    }
    std::fs::write(path, manifest.to_string()).unwrap();
}

fn copy(from: &str, to: &str) {
    std::fs::create_dir(to).unwrap();
    for path in files_below(Path::new(from)) {
        std::fs::copy(&path, Path::new(to).join(path.file_name().unwrap())).unwrap();
    }
}

async fn r63_a_damaged_or_foreign_backup_is_refused_and_nothing_is_made(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    acme.clerk("ANNA").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |file: &str| name(folder.path(), file);
    let good = file("good");
    runs(
        directory,
        &operator(),
        &["backup", &good, "--keep-keys", "0"],
    )
    .await;
    let place = Place::new(directory.home).await;
    let refused = async |words: &[&str], because: &str| {
        let (told, well) = restore(directory, &place, words).await;
        assert!(!well && told.contains(because), "{words:?}: {told}");
    };
    refused(&[&good], "were to be removed on").await;
    let late = "--outlived-keys";
    let other = rollbook_eventstore::MasterKey::generate();
    other
        .write_new(folder.path().join("other.key").as_path())
        .unwrap();
    let (told, well) = restore_with(&file("other.key"), &place, &[&good, late]).await;
    assert!(
        !well && told.contains("master key is not the one"),
        "{told}"
    );

    let cut = file("cut");
    copy(&good, &cut);
    spoil(&cut, "rows.ndjson.zst", |bytes| {
        bytes.truncate(bytes.len() - 9);
    });
    refused(&[&cut, late], "rows.ndjson.zst: it has").await;
    admit(&cut, "rows.ndjson.zst");
    refused(&[&cut, late], "rows.ndjson.zst, line ").await;

    let changed = file("changed");
    copy(&good, &changed);
    let events = "events.ndjson.zst";
    spoil(&changed, events, |bytes| {
        let mut text = zstd::decode_all(bytes.as_slice()).unwrap();
        let second = text.iter().position(|byte| *byte == b'\n').unwrap();
        let at = second + 30;
        text[at] ^= 1;
        *bytes = zstd::encode_all(text.as_slice(), 1).unwrap();
    });
    refused(&[&changed, late], "events.ndjson.zst: it ").await;
    admit(&changed, events);
    refused(&[&changed, late], "position 2: ").await;
    spoil(&changed, "keys.ndjson", |bytes| {
        bytes.truncate(bytes.len() / 2);
    });
    refused(
        &[
            &changed,
            late,
            "--keys",
            &name(Path::new(&changed), "keys.ndjson"),
        ],
        "was cut off here",
    )
    .await;

    std::fs::remove_file(Path::new(&cut).join("keys.ndjson")).unwrap();
    refused(&[&cut, late], "kept as an archive").await;
    std::fs::remove_file(Path::new(&cut).join("backup.json")).unwrap();
    refused(&[&cut, late], "is no backup").await;

    let foreign = Directory::start(Home::Embedded).await;
    let elsewhere = file("elsewhere");
    runs(&foreign, &operator(), &["backup", &elsewhere]).await;
    foreign.finish().await;
    let keys = name(Path::new(&elsewhere), "keys.ndjson");
    refused(&[&good, late, "--keys", &keys], "it is of another log").await;
    refused(
        &[&good, late, "--erased", &elsewhere],
        "it is of another log",
    )
    .await;

    assert!(!place.data_dir.path().join("log.sqlite").exists());
    let (told, well) = restore(directory, &place, &[&good, late]).await;
    assert!(well, "{told}");
    let restored = directory.on_log_in(place).await;
    assert_eq!(restored.head().await, directory.head().await);
    restored.finish().await;
}
