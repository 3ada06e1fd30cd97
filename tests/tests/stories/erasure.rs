//! Erasure: when a person or an invitation goes, what was personal is nowhere any more, and the log still replays.

use std::fmt::Write as _;

use rollbook_tests::database::Database;
use rollbook_tests::directory::Views;
use rollbook_tests::files::{files_below, files_with, rows_of_views, sqlite_files, tables_with};
use rollbook_tests::people::{link, repeatable};
use rollbook_tests::{
    Answer as _, Directory, Home, Identity, Role, Tenant, ask, pb, program, stories,
};

stories! {
    r62_while_it_serves_a_process_soon_holds_nothing_of_the_erased,
    r62_an_accepted_invitation_leaves_its_address_to_the_user_alone,
}

/// What is personal about the person of these stories, each unlike anything else.
const PERSONAL: [&str; 9] = [
    "QZXSIG",
    "Qzxfirst",
    "Qzxlast",
    "qzxmail",
    "+99 555 0147",
    "+99 555 0148",
    "qzxreason",
    "qzxnewmail",
    "Qzxmarried",
];

/// The same as the log and the views may have folded it.
pub fn personal_texts() -> Vec<String> {
    PERSONAL
        .iter()
        .flat_map(|text| [(*text).to_owned(), text.to_lowercase()])
        .collect()
}

fn because(reason: &str) -> pb::CommandOptions {
    pb::CommandOptions {
        reason: reason.to_owned(),
        ..repeatable()
    }
}

/// A life in the directory, from creation to what comes before a deletion.
pub async fn lived(acme: &Tenant) -> (String, pb::CreateUserRequest) {
    let request = pb::CreateUserRequest {
        command: Some(because("qzxreason for creating")),
        ..ask!(
            acme,
            CreateUserRequest {
                user: pb::NewUser {
                    signature: "QZXSIG".to_owned(),
                    first_name: "Qzxfirst".to_owned(),
                    last_name: "Qzxlast".to_owned(),
                    email: "qzxmail@example.com".to_owned(),
                    phone: "+99 555 0147".to_owned(),
                    mobile_phone: "+99 555 0148".to_owned(),
                    companies: vec![link(&acme.companies[0])],
                    ..Default::default()
                }
            }
        )
    };
    let user_id = acme
        .admin
        .users()
        .create_user(request.clone())
        .await
        .answer()
        .user
        .unwrap()
        .user_id;
    acme.admin
        .users()
        .update_user(pb::UpdateUserRequest {
            command: Some(because("qzxreason for marrying")),
            ..ask!(
                acme,
                UpdateUserRequest {
                    user_id: &user_id,
                    profile: pb::UserProfile {
                        last_name: "Qzxmarried".to_owned(),
                        email: "qzxnewmail@example.com".to_owned(),
                        ..Default::default()
                    },
                    update_mask: prost_types::FieldMask {
                        paths: vec!["last_name".to_owned(), "email".to_owned()]
                    },
                }
            )
        })
        .await
        .answer();
    acme.admin
        .users()
        .lock_user(pb::LockUserRequest {
            command: Some(because("qzxreason for locking")),
            ..ask!(acme, LockUserRequest { user_id: &user_id })
        })
        .await
        .answer();
    (user_id, request)
}

/// An invitation to an address, deleted.
async fn uninvited(acme: &Tenant) {
    let invited = acme
        .admin
        .invitations()
        .invite_users(ask!(
            acme,
            InviteUsersRequest {
                emails: vec!["qzxmail@invited.example.com".to_owned()],
            }
        ))
        .await
        .answer();
    let Some(pb::invite_result::Outcome::Invited(invited)) = invited.results[0].outcome.clone()
    else {
        panic!("{invited:?}");
    };
    let invitation_id = invited.invitation.unwrap().invitation_id;
    acme.admin
        .invitations()
        .delete_invitation(ask!(acme, DeleteInvitationRequest { invitation_id }))
        .await
        .answer();
}

async fn nothing_is_left(directory: &Directory, data_dirs: &[&std::path::Path]) {
    let texts = personal_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for data_dir in data_dirs {
        assert_eq!(files_with(data_dir, &texts), []);
    }
    if let Some(database) = directory.database() {
        assert_eq!(tables_with(database, &texts).await, []);
    }
}

const WRAPPED_KEY: &str =
    "SELECT wrapped FROM stream_keys WHERE aggregate_type = 'user' AND aggregate_id = $1";

/// The wrapped key of a user, as its row in a database has it.
pub async fn wrapped_key_in(database: &Database, user_id: &str) -> Option<Vec<u8>> {
    let mut connection = database.connect().await;
    let query = sqlx::query_scalar(WRAPPED_KEY).bind(user_id);
    query.fetch_one(&mut connection).await.unwrap()
}

/// The same, wherever its row is.
async fn wrapped_key(directory: &Directory, user_id: &str) -> Option<Vec<u8>> {
    if let Some(database) = directory.database() {
        return wrapped_key_in(database, user_id).await;
    }
    let path = directory.process().data_dir().join("log.sqlite");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .query_row(WRAPPED_KEY, [user_id], |row| row.get(0))
        .unwrap()
}

/// An auditor's export of the whole log.
async fn exported(directory: &Directory, folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(name).display().to_string();
    let auditor = Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", None)
    };
    let export = ["history", "export", "--out", &path];
    let wrote = program::run(directory, &auditor, &export).await;
    assert!(wrote.status.success(), "{wrote:?}");
    let verified = program::run(directory, &auditor, &["verify", &path]).await;
    assert!(verified.status.success(), "{verified:?}");
    std::fs::read_to_string(path).unwrap()
}

/// A text or bytes in every form that somebody may have written them in.
pub fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let mut forms = vec![bytes.to_vec(), hex::encode(bytes).into_bytes()];
    forms.push(hex::encode_upper(bytes).into_bytes());
    if let Ok(text) = std::str::from_utf8(bytes) {
        forms.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        forms.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    // In base64 it depends on what stands before it; the letters at both ends are shared with neighbours.
    for before in 0..3 {
        let shifted = [&vec![0; before][..], bytes].concat();
        for text in [
            STANDARD_NO_PAD.encode(&shifted),
            URL_SAFE_NO_PAD.encode(&shifted),
        ] {
            forms.push(text.as_bytes()[(before * 4).div_ceil(3)..text.len() - 1].to_vec());
        }
    }
    forms
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn trigrams(text: &str) -> std::collections::BTreeSet<String> {
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    let trigrams = letters.windows(3).map(String::from_iter);
    // Of hexadecimal digits and dashes alone one may stand in an id by chance.
    let in_ids = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let unlike = |trigram: &String| !trigram.chars().all(in_ids);
    trigrams.filter(unlike).collect()
}

/// What can be read in an export: all but hashes and ciphertexts, in which any three letters stand by chance.
fn readable(export: &str) -> String {
    fn texts(value: &serde_json::Value, found: &mut String) {
        match value {
            serde_json::Value::Object(map) => {
                for (name, value) in map {
                    let random = [
                        "$sealed",
                        "$commitment",
                        "$reason",
                        "$reason_commitment",
                        "leafhash",
                    ];
                    if name == "metadata" {
                        texts(
                            &serde_json::from_str(value.as_str().unwrap()).unwrap(),
                            found,
                        );
                    } else if !random.contains(&name.as_str()) {
                        found.push_str(name);
                        texts(value, found);
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            other => {
                // Apart, so that no three letters come of two values.
                found.push('\n');
                found.push_str(&other.to_string());
                found.push('\n');
            }
        }
    }
    let mut found = String::new();
    for line in export.lines() {
        texts(&serde_json::from_str(line).unwrap(), &mut found);
    }
    found
}

/// Neither the person nor its key is in any file, table or export, in whatever form.
async fn no_form_is_left(directory: &Directory, before: &str, after: &str, key: &[u8]) {
    let personal = personal_texts();
    // The bytes of the key itself as well, without the id of the master key before them.
    let wanted = personal
        .iter()
        .map(String::as_bytes)
        .chain([key, &key[8..]]);
    let forms: Vec<_> = wanted
        .flat_map(forms)
        .filter(|form| form.len() >= 6)
        .collect();
    let files = files_below(directory.process().data_dir());
    for (name, bytes) in files
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .chain([("the export".to_owned(), after.as_bytes().to_vec())])
    {
        for form in &forms {
            assert!(
                !holds(&bytes, form),
                "{name} holds {}",
                String::from_utf8_lossy(form)
            );
        }
    }
    if let Some(database) = directory.database() {
        let key = hex::encode(key);
        assert_eq!(tables_with(database, &[&key]).await, []);
    }
    let others = trigrams(&readable(before));
    let own = personal.iter().flat_map(|text| trigrams(text));
    let own: Vec<_> = own.filter(|trigram| !others.contains(trigram)).collect();
    assert!(own.len() > 20, "{own:?}");
    let left = readable(after).to_lowercase();
    for trigram in own {
        assert!(!left.contains(&trigram), "{trigram} is in the export");
    }
}

/// What history tells of a user: its trail, and what it was after each event and how that differs from the beginning.
async fn history_of(acme: &Tenant, user_id: &str) -> String {
    let trail = ask!(
        acme,
        GetUserTrailRequest {
            user_id,
            page_size: 1000_u32
        }
    );
    let trail = acme.auditor.history().get_user_trail(trail).await.answer();
    let mut told = format!("{trail:?}");
    let moment = |position| pb::Moment {
        at: Some(pb::moment::At::Position(position)),
    };
    for entry in &trail.entries {
        let then = || moment(entry.position);
        let as_of = ask!(
            acme,
            GetUserAsOfRequest {
                user_id,
                as_of: then()
            }
        );
        let was = acme.auditor.history().get_user_as_of(as_of).await;
        let listed = ask!(acme, ListUsersAsOfRequest { as_of: then() });
        let listed = acme.auditor.history().list_users_as_of(listed).await;
        let differs = ask!(
            acme,
            DiffUserRequest {
                user_id,
                from: moment(trail.entries[0].position - 1),
                to: then()
            }
        );
        let differs = acme.auditor.history().diff_user(differs).await;
        write!(told, "{was:?} {listed:?} {differs:?}").unwrap();
    }
    told
}

/// Every term that a search index of the views has, and every text of their tables, as trigrams.
fn trigrams_of_views(directory: &Directory) -> std::collections::BTreeSet<String> {
    let views = directory.process().data_dir().join("views");
    let mut found = std::collections::BTreeSet::new();
    for path in sqlite_files(&views) {
        let file = rusqlite::Connection::open(path).unwrap();
        let texts = |query: &str| -> Vec<String> {
            let mut statement = file.prepare(query).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let indexes = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'";
        for index in texts(indexes) {
            file.execute_batch(&format!(
                "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', '{index}', 'row')"
            ))
            .unwrap();
            found.extend(texts("SELECT term FROM temp.vocabulary"));
            file.execute_batch("DROP TABLE temp.vocabulary").unwrap();
        }
    }
    for rows in rows_of_views(directory.process().data_dir()).values() {
        found.extend(rows.iter().flat_map(|row| texts_in(row)).flat_map(trigrams));
    }
    found
}

/// The texts of a row. Any three letters stand by chance in how its numbers and bytes are written.
fn texts_in(row: &str) -> impl Iterator<Item = &str> {
    row.split("Text(\"")
        .skip(1)
        .filter_map(|text| text.split("\")").next())
}

async fn erased(home: Home) {
    let directory = Directory::start(home).await;
    let acme = Tenant::create(&directory, "acme").await;
    uninvited(&acme).await;
    let folder = tempfile::tempdir().unwrap();
    let before = exported(&directory, folder.path(), "before").await;
    let shared = trigrams_of_views(&directory);
    let (user_id, create) = lived(&acme).await;
    acme.signatures().await;
    let own: Vec<String> = trigrams_of_views(&directory)
        .into_iter()
        .filter(|trigram| !shared.contains(trigram))
        .filter(|trigram| {
            personal_texts()
                .iter()
                .any(|text| text.to_lowercase().contains(trigram))
        })
        .collect();
    assert!(own.len() > 20, "{own:?}");
    let known = history_of(&acme, &user_id).await;
    assert!(known.contains("Qzxfirst") && known.contains("Qzxmarried"));
    let key = wrapped_key(&directory, &user_id).await.unwrap();
    acme.admin
        .users()
        .delete_user(pb::DeleteUserRequest {
            command: Some(because("qzxreason for deleting")),
            ..ask!(acme, DeleteUserRequest { user_id: &user_id })
        })
        .await
        .answer();
    assert_eq!(acme.signatures().await, ["ADM"]);

    let events = directory.events().await;
    let told = format!("{events:?}");
    for personal in personal_texts() {
        assert!(!told.contains(&personal), "{personal} is in the replay");
    }
    let stream = format!("user-{user_id}");
    let of_user: Vec<_> = events
        .iter()
        .filter(|event| event.stream == stream)
        .collect();
    assert!(of_user.len() >= 5);
    assert!(
        of_user
            .iter()
            .all(|event| event.reason_disclosure() == pb::Disclosure::Erased),
        "{of_user:?}"
    );
    let payload: serde_json::Value = serde_json::from_str(&of_user[0].payload).unwrap();
    for field in [
        "signature",
        "first_name",
        "last_name",
        "email",
        "phone",
        "mobile_phone",
    ] {
        assert_eq!(
            payload["UserCreated"][field]["$erased"], true,
            "{field} of {payload}"
        );
    }
    let repeated = acme.admin.users().create_user(create).await.answer();
    assert_eq!(
        repeated.user.unwrap().signature,
        "",
        "a repeat answers with nothing personal"
    );

    let directory = directory.restarted(Views::Kept).await;
    let data_dir = directory.process().data_dir().to_owned();
    nothing_is_left(&directory, &[&data_dir]).await;
    assert_eq!(wrapped_key(&directory, &user_id).await, None);
    let acme = acme.at(directory.process());
    let known = history_of(&acme, &user_id).await;
    for personal in personal_texts() {
        assert!(!known.contains(&personal), "{personal} is in the history");
    }
    let left = trigrams_of_views(&directory);
    let left: Vec<_> = own
        .iter()
        .filter(|trigram| left.contains(*trigram))
        .collect();
    assert!(left.is_empty(), "the views hold {left:?}");
    let after = exported(&directory, folder.path(), "after").await;
    no_form_is_left(&directory, &before, &after, &key).await;
    let directory = directory.restarted(Views::Lost).await;
    let acme = acme.at(directory.process());
    assert_eq!(acme.get(&user_id).await.status(), pb::UserStatus::Deleted);
    assert_eq!(
        directory.events().await,
        events,
        "a rebuild from an erased log works"
    );
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_embedded_a_deleted_user_is_erased_everywhere() {
    erased(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_on_postgres_a_deleted_user_is_erased_everywhere() {
    erased(Home::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_process_that_was_stopped_erases_before_it_serves_again() {
    let directory = Directory::start(Home::Postgres).await;
    let second = directory.second_process().await;
    let acme = Tenant::create(&directory, "acme").await;
    let (user_id, _) = lived(&acme).await;
    acme.at(&second).signatures().await;
    let stopped = second.stop().await;
    let texts = personal_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_ne!(
        files_with(stopped.path(), &texts),
        [],
        "its views knew the person"
    );
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &user_id }))
        .await
        .answer();
    let second = directory.process_in(stopped).await;
    assert_eq!(acme.at(&second).signatures().await, ["ADM"]);
    let stopped = second.stop().await;
    assert_eq!(files_with(stopped.path(), &texts), []);
    directory.finish().await;
}

async fn r62_while_it_serves_a_process_soon_holds_nothing_of_the_erased(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let (user_id, _) = lived(&acme).await;
    acme.admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .answer();
    let texts = personal_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let gone = async {
        while !files_with(directory.process().data_dir(), &texts).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(std::time::Duration::from_secs(20), gone).await;
    assert!(
        outcome.is_ok(),
        "still there: {:?}",
        files_with(directory.process().data_dir(), &texts)
    );
}

async fn r62_an_accepted_invitation_leaves_its_address_to_the_user_alone(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let emails = vec!["qzxmail@example.com".to_owned()];
    let invited = acme
        .admin
        .invitations()
        .invite_users(ask!(acme, InviteUsersRequest { emails }))
        .await
        .answer();
    let Some(pb::invite_result::Outcome::Invited(invited)) = invited.results[0].outcome.clone()
    else {
        panic!("{invited:?}");
    };
    let user = acme
        .portal
        .invitations()
        .accept_invitation(pb::AcceptInvitationRequest {
            token: invited.token,
            signature: "QZXSIG".to_owned(),
            first_name: "Qzxfirst".to_owned(),
            last_name: "Qzxlast".to_owned(),
            ..Default::default()
        })
        .await
        .answer()
        .user
        .unwrap();
    let shown = |events: Vec<pb::Event>| {
        let mut streams: Vec<_> = events
            .into_iter()
            .filter(|event| event.payload.contains("qzxmail"))
            .map(|event| event.stream)
            .collect();
        streams.dedup();
        streams
    };
    assert_eq!(
        shown(directory.events().await),
        [format!("user-{}", user.user_id)]
    );
    acme.admin
        .users()
        .delete_user(ask!(
            acme,
            DeleteUserRequest {
                user_id: user.user_id
            }
        ))
        .await
        .answer();
    assert_eq!(shown(directory.events().await), Vec::<String>::new());
}
