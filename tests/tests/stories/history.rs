//! History: the log as an auditor reads it.

use std::time::Duration;

use rollbook_tests::people::{person, repeatable};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Identity, Role, Tenant, ask, pb, stories,
};

/// Which events a filter lets through.
type Wanted<'a> = Box<dyn Fn(&pb::Event) -> bool + 'a>;

stories! {
    r58_every_event_says_who_what_when_and_why,
    r59_a_replay_goes_both_ways_from_any_position,
    r59_a_replay_is_filtered_by_everything_an_event_says,
    r59_following_shows_each_new_event_once_and_resumes,
    r59_events_are_listed_in_pages,
    r58_account_numbers_of_one_account_have_no_gap_for_its_auditor,
    r62_personal_data_is_withheld_from_callers_without_the_right_to_it,
}

/// Everything a replay streams until its end.
async fn replay(caller: &Caller, request: pb::ReplayEventsRequest) -> Vec<pb::Event> {
    let mut stream = caller.history().replay_events(request).await.answer();
    let mut events = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        events.extend(piece.events);
    }
    events
}

fn positions(events: &[pb::Event]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}

async fn r58_every_event_says_who_what_when_and_why(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let request_id = uuid::Uuid::now_v7().to_string();
    let mut request = tonic::Request::new(pb::CreateUserRequest {
        command: Some(pb::CommandOptions {
            request_id: request_id.clone(),
            reason: "Anna begins on Monday".to_owned(),
            ..Default::default()
        }),
        ..ask!(
            acme,
            CreateUserRequest {
                user: person("ANNA")
            }
        )
    });
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    let created = acme.admin.users().create_user(request).await.answer();
    let anna = created.user.unwrap();
    let event = directory.events().await.pop().unwrap();
    assert_eq!(
        (event.position, event.commit_position),
        (created.position, created.position)
    );
    assert_eq!(
        (event.account_id.as_str(), event.stream.clone()),
        ("acme", format!("user-{}", anna.user_id))
    );
    assert_eq!(
        (
            event.revision,
            event.event_type.as_str(),
            event.event_version.as_str()
        ),
        (1, "UserCreated", "1")
    );
    assert_eq!(
        (event.actor, event.service),
        (
            acme.administrator.user_id.clone(),
            "rollbook-tests".to_owned()
        )
    );
    assert_eq!(
        (event.request_id, event.trace_id.as_str()),
        (request_id, "4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!(
        (event.reason.as_str(), event.reason_disclosure),
        ("Anna begins on Monday", pb::Disclosure::Shown.into())
    );
    assert_eq!(event.recorded_at, anna.created_at);
    let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!(payload["UserCreated"]["signature"]["$personal"], "ANNA");
    assert!(
        !event.payload.contains("recorded_at"),
        "the payload holds no second time: {}",
        event.payload
    );
}

async fn r59_a_replay_goes_both_ways_from_any_position(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..30 {
        acme.user(&format!("U{number}")).await;
    }
    let head = directory.head().await;
    let forwards = replay(&directory.auditor(), pb::ReplayEventsRequest::default()).await;
    assert_eq!(positions(&forwards), (1..=head).collect::<Vec<_>>());
    let backwards = pb::ReplayEventsRequest {
        direction: pb::Direction::Backwards.into(),
        ..Default::default()
    };
    let mut backwards = replay(&directory.auditor(), backwards).await;
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let middle = pb::ReplayEventsRequest {
        from_position: 10,
        limit: 5,
        ..Default::default()
    };
    assert_eq!(
        positions(&replay(&directory.auditor(), middle).await),
        [11, 12, 13, 14, 15]
    );
    let middle = pb::ReplayEventsRequest {
        from_position: 10,
        limit: 3,
        direction: pb::Direction::Backwards.into(),
        ..Default::default()
    };
    assert_eq!(
        positions(&replay(&directory.auditor(), middle).await),
        [9, 8, 7]
    );
    let end = pb::ReplayEventsRequest {
        from_position: head,
        ..Default::default()
    };
    assert_eq!(replay(&directory.auditor(), end).await, []);
    let beyond = pb::ReplayEventsRequest {
        from_position: head + 1,
        ..Default::default()
    };
    directory
        .auditor()
        .history()
        .replay_events(beyond)
        .await
        .map(|_| tonic::Response::new(()))
        .refusal()
        .is(Code::OutOfRange, "POSITION_BEYOND_HEAD");
}

async fn r59_a_replay_is_filtered_by_everything_an_event_says(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    let anna = acme.user("ANNA").await.user_id;
    other.user("BERT").await;
    directory.clock.advance(Duration::from_hours(1));
    let later = directory.clock.now();
    acme.operator
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer();
    acme.admin
        .users()
        .lock_user(ask!(acme, LockUserRequest { user_id: &anna }))
        .await
        .answer();
    acme.operator
        .users()
        .unlock_user(ask!(acme, UnlockUserRequest { user_id: &anna }))
        .await
        .answer();
    let all = directory.events().await;
    let later = prost_types::Timestamp {
        seconds: later.timestamp(),
        nanos: 0,
    };
    let is_later = |event: &pb::Event| event.recorded_at.unwrap().seconds >= later.seconds;
    let stream = format!("user-{anna}");
    let filter = pb::EventFilter::default;
    let user = acme.administrator.user_id.as_str();
    let checks: Vec<(pb::EventFilter, Wanted<'_>)> = vec![
        (
            pb::EventFilter {
                account_id: "other".to_owned(),
                ..filter()
            },
            Box::new(|event| event.account_id == "other"),
        ),
        (
            pb::EventFilter {
                user_id: anna.clone(),
                ..filter()
            },
            Box::new(|event| event.stream == stream),
        ),
        (
            pb::EventFilter {
                streams: vec![stream.clone(), "account-acme".to_owned()],
                ..filter()
            },
            Box::new(|event| event.stream == stream || event.stream == "account-acme"),
        ),
        (
            pb::EventFilter {
                event_types: vec!["UserLocked".to_owned(), "UserUnlocked".to_owned()],
                ..filter()
            },
            Box::new(|event| ["UserLocked", "UserUnlocked"].contains(&event.event_type.as_str())),
        ),
        (
            pb::EventFilter {
                actor: user.to_owned(),
                ..filter()
            },
            Box::new(|event| event.actor == user),
        ),
        (
            pb::EventFilter {
                account_id: "acme".to_owned(),
                actor: user.to_owned(),
                event_types: vec!["UserLocked".to_owned()],
                ..filter()
            },
            Box::new(|event| event.actor == user && event.event_type == "UserLocked"),
        ),
        (
            pb::EventFilter {
                account_id: "acme".to_owned(),
                event_types: vec!["UserUnlocked".to_owned(), "UserCreated".to_owned()],
                ..filter()
            },
            Box::new(|event| {
                event.account_id == "acme"
                    && ["UserUnlocked", "UserCreated"].contains(&event.event_type.as_str())
            }),
        ),
        (
            pb::EventFilter {
                account_id: "acme".to_owned(),
                event_types: vec!["UserUnlocked".to_owned()],
                from_time: Some(later),
                ..filter()
            },
            Box::new(move |event| event.event_type == "UserUnlocked" && is_later(event)),
        ),
        (
            pb::EventFilter {
                from_time: Some(later),
                ..filter()
            },
            Box::new(is_later),
        ),
        (
            pb::EventFilter {
                to_time: Some(later),
                ..filter()
            },
            Box::new(move |event| !is_later(event)),
        ),
        (
            pb::EventFilter {
                event_types: vec!["NoSuchThing".to_owned()],
                ..filter()
            },
            Box::new(|_| false),
        ),
    ];
    for (filter, wanted) in checks {
        let expected: Vec<_> = all.iter().filter(|event| wanted(event)).cloned().collect();
        let request = pb::ReplayEventsRequest {
            filter: Some(filter.clone()),
            ..Default::default()
        };
        assert_eq!(
            replay(&directory.auditor(), request).await,
            expected,
            "{filter:?}"
        );
        let back: Vec<_> = expected.iter().rev().cloned().collect();
        for (direction, expected) in [
            (pb::Direction::Forwards, expected),
            (pb::Direction::Backwards, back),
        ] {
            let page = pb::ListEventsRequest {
                filter: Some(filter.clone()),
                page_size: 3,
                direction: direction.into(),
                ..Default::default()
            };
            assert_eq!(listed(directory, page).await, expected, "{filter:?}");
        }
    }
}

/// Every event of a list, page after page.
async fn listed(directory: &Directory, mut page: pb::ListEventsRequest) -> Vec<pb::Event> {
    let mut listed = Vec::new();
    loop {
        let request = page.clone();
        let mut auditor = directory.auditor().history();
        let answer = auditor.list_events(request).await.answer();
        listed.extend(answer.events);
        if answer.next_page_token.is_empty() {
            return listed;
        }
        page.page_token = answer.next_page_token;
    }
}

async fn r59_following_shows_each_new_event_once_and_resumes(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let follow = |from_position| pb::ReplayEventsRequest {
        follow: true,
        from_position,
        ..Default::default()
    };
    let mut stream = directory
        .auditor()
        .history()
        .replay_events(follow(0))
        .await
        .answer();
    let mut seen = Vec::new();
    let mut resume = 0;
    while let Some(piece) = stream.message().await.unwrap() {
        seen.extend(positions(&piece.events));
        resume = piece.position;
        if piece.caught_up {
            break;
        }
    }
    let writer = {
        let acme = acme.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                acme.user(&format!("U{number}")).await;
            }
        })
    };
    while seen.len() < 15 {
        let piece = stream
            .message()
            .await
            .unwrap()
            .expect("a replay that follows does not end");
        seen.extend(positions(&piece.events));
        resume = piece.position;
    }
    drop(stream);
    writer.await.unwrap();
    let head = directory.head().await;
    let mut stream = directory
        .auditor()
        .history()
        .replay_events(follow(resume))
        .await
        .answer();
    while seen.last().copied().unwrap_or_default() < head {
        let piece = stream
            .message()
            .await
            .unwrap()
            .expect("a replay that follows does not end");
        seen.extend(positions(&piece.events));
    }
    assert_eq!(
        seen,
        (1..=head).collect::<Vec<_>>(),
        "none skipped, none repeated"
    );
}

async fn r59_events_are_listed_in_pages(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for number in 0..10 {
        acme.user(&format!("U{number}")).await;
    }
    for direction in [pb::Direction::Forwards, pb::Direction::Backwards] {
        let mut request = pb::ListEventsRequest {
            page_size: 4,
            direction: direction.into(),
            ..Default::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = directory
                .auditor()
                .history()
                .list_events(request.clone())
                .await
                .answer();
            seen.extend(positions(&page.events));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if direction == pb::Direction::Backwards {
            seen.reverse();
        }
        assert_eq!(seen, (1..=directory.head().await).collect::<Vec<_>>());
    }
    let forged = pb::ListEventsRequest {
        page_token: "x".to_owned(),
        ..Default::default()
    };
    directory
        .auditor()
        .history()
        .list_events(forged)
        .await
        .refusal()
        .is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
}

async fn r58_account_numbers_of_one_account_have_no_gap_for_its_auditor(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let other = Tenant::create(directory, "other").await;
    for number in 0..5 {
        acme.user(&format!("A{number}")).await;
        other.user(&format!("B{number}")).await;
    }
    let events = replay(&acme.auditor, pb::ReplayEventsRequest::default()).await;
    assert!(
        events.iter().all(|event| event.account_id == "acme"),
        "an auditor of one account sees that one alone"
    );
    let numbers: Vec<_> = events.iter().map(|event| event.account_number).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let foreign = pb::EventFilter {
        account_id: "other".to_owned(),
        ..Default::default()
    };
    let foreign = pb::ListEventsRequest {
        filter: Some(foreign),
        ..Default::default()
    };
    let refusal = acme.auditor.history().list_events(foreign).await.refusal();
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::NotFound, "ACCOUNT_NOT_FOUND")
    );
}

async fn r62_personal_data_is_withheld_from_callers_without_the_right_to_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let mut request = ask!(
        acme,
        CreateUserRequest {
            user: person("ANNA")
        }
    );
    request.command = Some(pb::CommandOptions {
        reason: "a secret reason".to_owned(),
        ..repeatable()
    });
    acme.admin.users().create_user(request).await.answer();
    let without = directory.caller(Identity::new(Role::Auditor, "auditor", None));
    let events = replay(&without, pb::ReplayEventsRequest::default()).await;
    let told = format!("{events:?}");
    for personal in ["ANNA", "First", "@example.com", "a secret reason"] {
        assert!(!told.contains(personal), "{personal} is shown");
    }
    let last = events.last().unwrap();
    assert_eq!(last.reason_disclosure(), pb::Disclosure::Withheld);
    let payload: serde_json::Value = serde_json::from_str(&last.payload).unwrap();
    assert_eq!(payload["UserCreated"]["email"]["$withheld"], true);
}
