//! Personal data: sealed on every disk, and gone when its key is destroyed.

use rollbook_eventstore::{AppendError, ClaimKey, Filter, ReadQuery, Reason, SideRow};
use serde_json::json;

use crate::given::{adds, all, claim, forgets, named, of, stream};
use crate::house::{House, on_both_homes};

on_both_homes! {
    r62_nothing_personal_is_stored_in_the_clear
    r62_what_is_forgotten_is_erased_for_every_reader
    r62_the_destroyed_key_and_side_rows_are_gone_from_the_disk
    r62_nothing_personal_is_written_to_a_forgotten_stream
    r62_a_stream_made_and_forgotten_in_one_commit_is_erased
    r62_a_personal_claim_is_found_again_and_never_named
    a_stream_gets_its_key_with_its_first_personal_value
    many_first_personal_values_at_once_share_one_key
    side_rows_are_set_replaced_and_removed
}

const NAME: &str = "Åsa-Märta Ek";

async fn r62_nothing_personal_is_stored_in_the_clear(house: &House) {
    let log = house.open().await;
    let mut append = named("1", 0, "plainname");
    append.metadata.reason = Some("plainreason".into());
    log.append(append).await.unwrap();
    let stored = house.everything().await;
    for secret in ["plainname", "plainreason"] {
        assert!(!contains(&stored, secret.as_bytes()), "{secret}");
    }
    assert!(contains(&stored, b"$commitment"));
    let read = all(&log).await.pop().unwrap();
    assert_eq!(
        read.payload["Named"]["name"],
        json!({"$personal": "plainname"})
    );
    assert_eq!(read.reason, Reason::Known("plainreason".into()));
}

async fn r62_what_is_forgotten_is_erased_for_every_reader(house: &House) {
    let log = house.open().await;
    let mut append = named("1", 0, NAME);
    append.metadata.reason = Some("a reason".into());
    log.append(append.clone()).await.unwrap();
    log.append(named("2", 0, "Other")).await.unwrap();
    let mut gone = forgets("1", 1);
    gone.metadata.reason = Some("left".into());
    let appended = log.append(gone).await.unwrap();
    assert_eq!(appended.events[0].reason, Reason::Erased);
    assert!(appended.events[0].forgets);
    let query = ReadQuery {
        filter: Filter {
            streams: vec![stream("1")],
            ..Filter::default()
        },
        ..ReadQuery::default()
    };
    let followed = log.follow_batch(0, 10).await.unwrap();
    let readers = [
        log.read(&query).await.unwrap(),
        log.load(&[(stream("1"), 0)]).await.unwrap().remove(0),
        followed
            .iter()
            .filter(|event| event.stream == stream("1"))
            .map(|event| (**event).clone())
            .collect(),
    ];
    for events in readers {
        assert_eq!(events[0].payload["Named"]["name"], json!({"$erased": true}));
        assert_eq!(events[0].payload["Named"]["n"], 1);
        for event in &events {
            assert_eq!(
                (&event.reason, &event.metadata.reason),
                (&Reason::Erased, &None)
            );
            assert_eq!(event.metadata.actor, "anna");
        }
    }
    assert_eq!(
        followed[1].payload["Named"]["name"],
        json!({"$personal": "Other"})
    );
}

async fn r62_the_destroyed_key_and_side_rows_are_gone_from_the_disk(house: &House) {
    let log = house.open().await;
    let secret = b"argon2-hash-of-a-password".to_vec();
    let mut append = named("1", 0, NAME);
    append.side.push(SideRow {
        stream: stream("1"),
        kind: "password".into(),
        value: Some(secret.clone()),
    });
    log.append(append).await.unwrap();
    // Others around it, so that its row is not the only one of its page.
    for number in 2..50 {
        log.append(named(&number.to_string(), 0, NAME))
            .await
            .unwrap();
    }
    let key = wrapped_key(house).await;
    let text = format!("\\x{}", hex::encode(&key)).into_bytes();
    let side = format!("\\x{}", hex::encode(&secret)).into_bytes();
    let before = house.everything().await;
    assert!(contains(&before, &key) || contains(&before, &text));
    assert!(contains(&before, &secret) || contains(&before, &side));
    log.append(forgets("1", 1)).await.unwrap();
    let after = house.everything().await;
    for gone in [key, text, secret, side] {
        assert!(!contains(&after, &gone));
    }
    assert_eq!(log.side_row(&stream("1"), "password").await.unwrap(), None);
    assert_eq!(
        house
            .number("SELECT count(*) FROM stream_keys WHERE wrapped IS NULL")
            .await,
        1
    );
}

async fn r62_nothing_personal_is_written_to_a_forgotten_stream(house: &House) {
    let log = house.open().await;
    log.append(named("1", 0, NAME)).await.unwrap();
    log.append(forgets("1", 1)).await.unwrap();
    let late = log.append(named("1", 2, NAME)).await;
    assert!(matches!(late, Err(AppendError::Forgotten(forgotten)) if forgotten == stream("1")));
    // Who does not know yet that the stream moved is told that first.
    assert!(matches!(
        log.append(named("1", 1, NAME)).await,
        Err(AppendError::Conflict(_))
    ));
    let mut secret = of(Vec::new());
    secret.side.push(SideRow {
        stream: stream("1"),
        kind: "password".into(),
        value: Some(vec![1]),
    });
    assert!(matches!(
        log.append(secret).await,
        Err(AppendError::Forgotten(_))
    ));
    let mut plain = of(vec![adds("1", 2, 1)]);
    plain.metadata.reason = Some("why".into());
    let appended = log.append(plain).await.unwrap();
    let read = all(&log).await.pop().unwrap();
    assert_eq!(read.reason, Reason::Erased);
    assert_eq!(*appended.events[0], read);
}

async fn r62_a_stream_made_and_forgotten_in_one_commit_is_erased(house: &House) {
    let log = house.open().await;
    let mut append = named("1", 0, NAME);
    append.streams[0].forget = true;
    append.side.push(SideRow {
        stream: stream("1"),
        kind: "password".into(),
        value: Some(vec![1]),
    });
    log.append(append).await.unwrap();
    assert_eq!(
        all(&log).await[0].payload["Named"]["name"],
        json!({"$erased": true})
    );
    assert_eq!(log.side_row(&stream("1"), "password").await.unwrap(), None);
    assert!(matches!(
        log.append(named("1", 1, NAME)).await,
        Err(AppendError::Forgotten(_))
    ));
}

async fn r62_a_personal_claim_is_found_again_and_never_named(house: &House) {
    let log = house.open().await;
    let mut signature = claim("signature", "");
    signature.key = ClaimKey::Personal("plainsignature".into());
    let mut append = of(Vec::new());
    append.take.push(rollbook_eventstore::HeldClaim {
        claim: signature.clone(),
        owner: "1".into(),
    });
    log.append(append).await.unwrap();
    assert_eq!(log.holders(&[signature]).await.unwrap()[0].owners, ["1"]);
    assert!(!contains(&house.everything().await, b"plainsignature"));
}

async fn a_stream_gets_its_key_with_its_first_personal_value(house: &House) {
    let log = house.open().await;
    log.append(of(vec![adds("1", 0, 1)])).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM stream_keys").await, 0);
    log.append(named("1", 1, "first")).await.unwrap();
    log.append(named("1", 2, "second")).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM stream_keys").await, 1);
    log.close().await;
    let log = house.open().await;
    log.append(named("1", 3, "third")).await.unwrap();
    let names: Vec<_> = all(&log)
        .await
        .iter()
        .skip(1)
        .map(|e| e.payload["Named"]["name"].clone())
        .collect();
    let expected = ["first", "second", "third"].map(|name| json!({"$personal": name}));
    assert_eq!(names, expected);
}

async fn many_first_personal_values_at_once_share_one_key(house: &House) {
    let log = house.open().await;
    for round in 0..10 {
        let id = round.to_string();
        log.append(of(vec![adds(&id, 0, 1)])).await.unwrap();
        // Each expects the revision that the one before it makes: all make a key, the first one's stays.
        let tasks: Vec<_> = (1..4)
            .map(|revision| {
                let (log, append) = (log.clone(), named(&id, revision, NAME));
                tokio::spawn(async move {
                    while let Err(error) = log.append(append.clone()).await {
                        assert!(matches!(error, AppendError::Conflict(_)), "{error}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    for event in all(&log)
        .await
        .iter()
        .filter(|event| event.event_type == "Named")
    {
        assert_eq!(event.payload["Named"]["name"], json!({"$personal": NAME}));
    }
}

async fn side_rows_are_set_replaced_and_removed(house: &House) {
    let log = house.open().await;
    let side = |value: Option<&[u8]>| {
        let mut append = of(Vec::new());
        append.side.push(SideRow {
            stream: stream("1"),
            kind: "k".into(),
            value: value.map(Into::into),
        });
        log.append(append)
    };
    side(Some(b"a")).await.unwrap();
    assert_eq!(
        log.side_row(&stream("1"), "k").await.unwrap().as_deref(),
        Some(&b"a"[..])
    );
    side(Some(b"b")).await.unwrap();
    assert_eq!(
        log.side_row(&stream("1"), "k").await.unwrap().as_deref(),
        Some(&b"b"[..])
    );
    assert_eq!(log.side_row(&stream("1"), "other").await.unwrap(), None);
    side(None).await.unwrap();
    assert_eq!(log.side_row(&stream("1"), "k").await.unwrap(), None);
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

/// The wrapped key of the stream `user-1`.
async fn wrapped_key(house: &House) -> Vec<u8> {
    use crate::house::Place;
    const SQL: &str = "SELECT wrapped FROM stream_keys WHERE aggregate_id = '1'";
    match &house.place {
        Place::Sqlite(folder) => rusqlite::Connection::open(folder.path().join("log.sqlite"))
            .unwrap()
            .query_row(SQL, [], |row| row.get(0))
            .unwrap(),
        Place::Postgres { owner, .. } => {
            use sqlx::Connection as _;
            let mut connection = sqlx::PgConnection::connect(owner).await.unwrap();
            sqlx::query_scalar(SQL)
                .fetch_one(&mut connection)
                .await
                .unwrap()
        }
    }
}
