//! Tampering: somebody who may do anything to the tables changes them, and `rollbook verify` says where.

use rollbook_tests::people::repeatable;
use rollbook_tests::{Directory, Home, Identity, Role, Tenant, ask, pb, program, stories};
use sqlx::Executor as _;

use rollbook_tests::Answer as _;

stories! {
    r63_whatever_is_done_to_a_column_is_found_at_its_position,
    r63_whatever_is_done_to_the_order_of_events_is_found_at_its_position,
}

/// Runs statements as whoever may do most.
async fn execute(directory: &Directory, sql: &str) {
    if let Some(database) = directory.database() {
        database.connect().await.execute(sql).await.unwrap();
    } else {
        let path = directory.process().data_dir().join("log.sqlite");
        let connection = rusqlite::Connection::open(path).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

/// A log without what guards it, a copy of it, and the checkpoint of an auditor.
async fn unguarded(directory: &Directory, kept: &str) -> u64 {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..8 {
        let user = acme.user(&format!("U{number}")).await;
        let lock = pb::LockUserRequest {
            command: Some(pb::CommandOptions {
                reason: "a reason".to_owned(),
                ..repeatable()
            }),
            ..ask!(
                acme,
                LockUserRequest {
                    user_id: &user.user_id
                }
            )
        };
        acme.admin.users().lock_user(lock).await.answer();
    }
    let verified = verify(directory, &["--save", kept]).await;
    assert!(verified.0 == Some(0), "{}", verified.1);
    let guards = match directory.home {
        Home::Embedded => {
            "DROP TRIGGER events_are_never_changed; DROP TRIGGER events_are_never_removed;"
        }
        Home::Postgres => "DROP TRIGGER events_are_never_changed ON events;",
    };
    execute(directory, guards).await;
    execute(
        directory,
        "CREATE TABLE events_before AS SELECT * FROM events;
         CREATE TABLE tiles_before AS SELECT * FROM tree_tiles;",
    )
    .await;
    directory.head().await
}

async fn restore(directory: &Directory) {
    execute(
        directory,
        "DELETE FROM events;
         INSERT INTO events SELECT * FROM events_before;
         DELETE FROM tree_tiles;
         INSERT INTO tree_tiles SELECT * FROM tiles_before;",
    )
    .await;
}

async fn verify(directory: &Directory, more: &[&str]) -> (Option<i32>, String) {
    let auditor = Identity {
        scope: "personal-data".to_owned(),
        ..Identity::new(Role::Auditor, "auditor", None)
    };
    let output = program::run(directory, &auditor, &[&["verify"], more].concat()).await;
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Does something to the tables, which is found at this position, and undoes it.
async fn found(directory: &Directory, kept: &str, sql: &str, position: u64) {
    execute(directory, sql).await;
    let (code, text) = verify(directory, &["--checkpoint", kept]).await;
    assert_eq!(code, Some(3), "{sql}: {text}");
    assert!(
        text.contains(&format!("error: position {position}: ")),
        "{sql}: {text}"
    );
    restore(directory).await;
}

async fn r63_whatever_is_done_to_a_column_is_found_at_its_position(directory: &Directory) {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept").display().to_string();
    unguarded(directory, &kept).await;
    let embedded = directory.home == Home::Embedded;
    let json = if embedded { "" } else { "::json" };
    let later = if embedded {
        "recorded_at + 1"
    } else {
        "recorded_at + interval '1 microsecond'"
    };
    let forgets = if embedded { "1" } else { "true" };
    let changes = [
        ("aggregate_type", "'account'".to_owned()),
        ("aggregate_id", "'somebody'".to_owned()),
        ("sequence", "99".to_owned()),
        ("event_type", "'UserUnlocked'".to_owned()),
        ("event_version", "'2'".to_owned()),
        (
            "payload",
            format!("replace(CAST(payload AS text), 'Locked', 'locked'){json}"),
        ),
        (
            "metadata",
            format!("replace(CAST(metadata AS text), 'rollbook-tests', 'somebody-else'){json}"),
        ),
        ("position", "99999".to_owned()),
        ("commit_position", "commit_position + 1".to_owned()),
        ("account_id", "'other'".to_owned()),
        ("account_number", "account_number + 1000".to_owned()),
        ("recorded_at", later.to_owned()),
        ("forgets", forgets.to_owned()),
    ];
    for (column, value) in changes {
        // The lock of the second user.
        let sql = format!(
            "UPDATE events SET {column} = {value}
             WHERE position = (SELECT min(position) + 2 FROM events WHERE event_type = 'UserLocked')"
        );
        let position = 2 + locked(directory).await;
        found(directory, &kept, &sql, position).await;
    }
    // A commitment that fits another value; a leaf; a key that opens nothing is no fault of the log.
    let position = locked(directory).await - 1;
    let sql = format!(
        "UPDATE events SET payload = replace(CAST(payload AS text), '$commitment\":\"', '$commitment\":\"A'){json}
         WHERE position = {position}"
    );
    found(directory, &kept, &sql, position).await;
    let sql = if embedded {
        "UPDATE tree_tiles SET hashes = CAST(substr(hashes, 1, 64) || x'00' || substr(hashes, 66) AS BLOB) WHERE level = 0"
    } else {
        "UPDATE tree_tiles SET hashes = set_byte(hashes, 64, (get_byte(hashes, 64) + 1) % 256) WHERE level = 0"
    };
    found(directory, &kept, sql, 3).await;
    assert_eq!(verify(directory, &["--checkpoint", &kept]).await.0, Some(0));
}

/// The position of the first lock.
async fn locked(directory: &Directory) -> u64 {
    let events = directory.events().await;
    let first = events.iter().find(|event| event.event_type == "UserLocked");
    first.unwrap().position
}

async fn r63_whatever_is_done_to_the_order_of_events_is_found_at_its_position(
    directory: &Directory,
) {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept").display().to_string();
    let head = unguarded(directory, &kept).await;
    let position = 6;
    let next = position + 1;
    let swapped = format!(
        "UPDATE events SET position = 100000 WHERE position = {position};
         UPDATE events SET position = {position} WHERE position = {next};
         UPDATE events SET position = {next} WHERE position = 100000;"
    );
    found(directory, &kept, &swapped, position).await;
    let removed = format!("DELETE FROM events WHERE position = {position}");
    found(directory, &kept, &removed, position).await;
    let cut = format!("DELETE FROM events WHERE position >= {}", head - 1);
    found(directory, &kept, &cut, head - 1).await;
    let inserted = format!(
        "UPDATE events SET position = position + 100000 WHERE position >= {position};
         UPDATE events SET position = position - 99999 WHERE position >= 100000;
         INSERT INTO events (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                             commit_position, account_id, account_number, recorded_at, forgets)
         SELECT {position}, aggregate_type, aggregate_id, 99, event_type, event_version, payload, metadata,
                {position}, account_id, 99, recorded_at, forgets
         FROM events
         WHERE position = {next};"
    );
    found(directory, &kept, &inserted, position).await;
    let back = if directory.home == Home::Embedded {
        "recorded_at - 3600000000"
    } else {
        "recorded_at - interval '1 hour'"
    };
    let redated = format!("UPDATE events SET recorded_at = {back} WHERE position = {position}");
    found(directory, &kept, &redated, position).await;
    assert_eq!(verify(directory, &["--checkpoint", &kept]).await.0, Some(0));
}
