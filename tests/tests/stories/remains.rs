//! What remains of an erased person, byte by byte: in the pages of the views, in the files of a database server, and in what
//! the service says about its work.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rollbook_tests::database::Database;
use rollbook_tests::files::{check_integrity, files_below};
use rollbook_tests::people::person;
use rollbook_tests::program::{Installation, PostgresServer};
use rollbook_tests::{Answer as _, Directory, Tenant, ask, pb, stories};
use sqlx::{Connection as _, Executor as _};

use crate::crashes::tenant;
use crate::erasure::{forms, lived, personal_texts, wrapped_key_in};

stories! {
    r62_no_run_of_letters_that_only_the_erased_had_is_left_in_a_page_of_a_view,
}

/// The letters of Gothic, without those that are numbers: each is four bytes long, of which the first two are always the same.
const LETTERS: [std::ops::RangeInclusive<char>; 2] =
    ['\u{10330}'..='\u{10340}', '\u{10342}'..='\u{10349}'];

/// Who is erased has every second of the letters and who stays has the others, so that what an index has of the ones stands
/// among what it has of the others.
fn letters(erased: bool) -> Vec<char> {
    let letters = LETTERS.into_iter().flatten();
    letters.skip(usize::from(!erased)).step_by(2).collect()
}

/// Somebody whose names are made of these letters alone.
fn somebody(number: usize, letters: &[char]) -> pb::NewUser {
    // Numbers that look thrown, and are the same in every run.
    let mut thrown = rand::rngs::StdRng::seed_from_u64(number as u64);
    let mut letter = || letters[thrown.gen_range(0..letters.len())];
    pb::NewUser {
        first_name: (0..40).map(|_| letter()).collect(),
        last_name: (0..40).map(|_| letter()).collect(),
        ..person(&format!("U{number}"))
    }
}

/// Two letters of the erased, one behind the other, with what stands behind them.
///
/// An index of runs leaves out what a run begins with where the one before it begins so too; of a run of three, two are there
/// in any case where no other begins with the same letter, and at least wherever one was the first of its page or its letter.
/// They are eight bytes. Of bytes that are thrown, about one in 2^50 is where such a pair begins: in a hundred million of them
/// stands one with a chance of less than one in ten million.
fn pairs(bytes: &[u8], letters: &[char]) -> Vec<(String, bool)> {
    let is_pair = |pair: &&[u8]| {
        pair[0] == 0xf0
            && pair[4] == 0xf0
            && std::str::from_utf8(pair)
                .is_ok_and(|pair| pair.chars().all(|letter| letters.contains(&letter)))
    };
    let found = bytes.windows(12).filter(|window| is_pair(&&window[..8]));
    found
        .map(|window| {
            let pair = String::from_utf8(window[..8].to_vec()).unwrap();
            (pair, window[8] == 0xf0)
        })
        .collect()
}

/// What a file holds; none of one that went while this looked, and of what is no file.
fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if path.is_file() => panic!("{}: {error}", path.display()),
        Err(_) => None,
    }
}

fn pairs_below(folder: &Path, letters: &[char]) -> Vec<(String, Vec<(String, bool)>)> {
    let mut found = Vec::new();
    for path in files_below(folder) {
        let Some(bytes) = bytes_of(&path) else {
            continue;
        };
        let pairs = pairs(&bytes, letters);
        if !pairs.is_empty() {
            found.push((path.display().to_string(), pairs));
        }
    }
    found
}

async fn r62_no_run_of_letters_that_only_the_erased_had_is_left_in_a_page_of_a_view(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let (going, staying) = (letters(true), letters(false));
    let mut gone = Vec::new();
    for number in 0..30 {
        let user = acme.create_user(somebody(number, &going)).await;
        gone.push(user.user_id);
        acme.create_user(somebody(100 + number, &staying)).await;
    }
    let data_dir = directory.process().data_dir();
    acme.signatures().await;
    // Where no letter follows, a pair ends a run or one of the sixty names: there are more, so the index is seen.
    let seen = pairs_below(data_dir, &going);
    let ends: BTreeSet<_> = seen
        .iter()
        .flat_map(|(_, pairs)| pairs)
        .filter(|(_, goes_on)| !goes_on)
        .map(|(pair, _)| pair)
        .collect();
    assert!(ends.len() > 60, "{ends:?}");
    for user_id in &gone {
        acme.admin
            .users()
            .delete_user(ask!(acme, DeleteUserRequest { user_id }))
            .await
            .answer();
    }
    let erased = async {
        while !pairs_below(data_dir, &going).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_mins(1), erased).await;
    assert!(outcome.is_ok(), "{:?}", pairs_below(data_dir, &going));
    assert_ne!(pairs_below(data_dir, &staying), []);
    check_integrity(&data_dir.join("views"));
}

/// The files below a folder that hold one of these.
fn holding(folder: &Path, wanted: &[Vec<u8>]) -> Vec<String> {
    // A hundred million bytes are gone through once, whatever is looked for.
    let start = |two: &[u8]| usize::from(two[0]) << 8 | usize::from(two[1]);
    let mut starts = vec![false; 1 << 16];
    for part in wanted {
        starts[start(part)] = true;
    }
    let holds = |path: &PathBuf| {
        let bytes = bytes_of(path).unwrap_or_default();
        let mut places = bytes.windows(2).enumerate();
        places.any(|(at, two)| {
            starts[start(two)] && wanted.iter().any(|part| bytes[at..].starts_with(part))
        })
    };
    let files = files_below(folder).into_iter().filter(holds);
    files.map(|path| path.display().to_string()).collect()
}

async fn run(database: &Database, statements: &[&str]) {
    let mut connection = database.connect().await;
    for statement in statements {
        connection.execute(*statement).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What takes erased keys out of the server's files, as docs/operations.md says.
const WRITTEN_ANEW: [&str; 3] = [
    "VACUUM (FULL) stream_keys, side_rows",
    "SELECT pg_switch_wal()",
    "CHECKPOINT",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_of_the_erased_nothing_is_left_in_the_files_of_the_database_server_or_in_the_output() {
    let server = PostgresServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let installation = Installation::new(Some(Database::create_on(server.url()).await));
    let database = installation.database().unwrap();
    run(
        database,
        &[
            "ALTER SYSTEM SET wal_recycle = off",
            "SELECT pg_reload_conf()",
        ],
    )
    .await;
    installation.migrate().await;
    let program = installation.serve_logging(&log, &[]).await;
    let acme = tenant(&installation, &program).await;
    let (user_id, _) = lived(&acme).await;
    let key = wrapped_key_in(database, &user_id).await.unwrap();
    // Without the id of the master key, which others have too.
    let key = forms(&key[8..]);
    run(database, &["CHECKPOINT"]).await;
    let files = server.files();
    let holding_key = holding(&files, &key);
    for place in ["/base/", "/pg_wal/"] {
        assert!(
            holding_key.iter().any(|path| path.contains(place)),
            "the key is found while it is there: {holding_key:?}"
        );
    }
    let command = Some(pb::CommandOptions {
        reason: "qzxreason for deleting".to_owned(),
        ..Default::default()
    });
    acme.admin
        .users()
        .delete_user(pb::DeleteUserRequest {
            command,
            ..ask!(acme, DeleteUserRequest { user_id: &user_id })
        })
        .await
        .answer();
    assert_eq!(wrapped_key_in(database, &user_id).await, None);
    run(database, &WRITTEN_ANEW).await;
    assert_eq!(holding(&files, &key), [""; 0]);
    program.stop().await;
    let texts: Vec<_> = personal_texts()
        .into_iter()
        .map(String::into_bytes)
        .collect();
    assert_eq!(holding(&files, &texts), [""; 0]);
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(
        logged.contains("hpack::decode"),
        "the output is fine enough to show a leak"
    );
    for text in personal_texts() {
        assert!(!logged.contains(&text), "{text} is in the output");
    }
}
