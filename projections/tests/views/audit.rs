//! The audit trail.

use rollbook_aggregates::user::{UserDeleted, UserLocked, UserUnlocked};
use rollbook_aggregates::values::{AccountId, Login};
use rollbook_eventstore::ReadQuery;
use rollbook_projections::{FindEvents, Freshness, Trail, Views};

use crate::kit::*;

/// Three users of one account, of whom one was locked, unlocked and deleted; another account; an invitation.
async fn history() -> Directory {
    let mut directory = Directory::with_account().await;
    for n in [1, 2] {
        let events = vec![person(n).into(), UserLocked {}.into()];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    let other = AccountId::parse("other").unwrap();
    let elsewhere = account_events(Login::Email);
    directory
        .commit(&other, vec![to_account(&other, elsewhere)])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(2), vec![UserUnlocked {}.into()])],
        )
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    directory
}

/// What a question finds, both ways and in pages of two.
async fn found(views: &Views, trail: &Trail, above: u64, up_to: u64) -> Vec<u64> {
    views.audit().fresh(Freshness::Latest, None).await.unwrap();
    let ask = |above, up_to, descending, limit| {
        let trail = trail.clone();
        let query = FindEvents {
            trail,
            above,
            up_to,
            descending,
            limit,
        };
        async { views.audit().find(query).await.unwrap() }
    };
    let all = ask(above, up_to, false, 1_000).await;
    let mut back = ask(above, up_to, true, 1_000).await;
    back.reverse();
    assert_eq!(back, all);
    let (mut paged, mut after) = (Vec::new(), above);
    loop {
        let page = ask(after, up_to, false, 2).await;
        let Some(last) = page.last() else {
            break;
        };
        after = *last;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    all
}

fn of_types(event_types: &[&str], account_id: &str) -> Trail {
    Trail::OfTypes {
        event_types: event_types.iter().map(ToString::to_string).collect(),
        account_id: account_id.to_owned(),
    }
}

fn of_actor(actor: &str, event_types: &[&str], account_id: Option<&str>) -> Trail {
    Trail::OfActor {
        actor: actor.to_owned(),
        event_types: event_types.iter().map(ToString::to_string).collect(),
        account_id: account_id.map(str::to_owned),
    }
}

#[tokio::test]
async fn events_are_found_by_type_within_their_account() {
    let directory = history().await;
    let views = directory.views().await;
    let log = directory.log.read(&ReadQuery::default()).await.unwrap();
    let expected = |types: &[&str], account: &str| -> Vec<u64> {
        log.iter()
            .filter(|event| types.contains(&&*event.event_type) && event.account_id == account)
            .map(|event| event.position)
            .collect()
    };
    for (types, account, count) in [
        (&["UserLocked"][..], "acme", 2),
        (&["UserLocked", "UserDeleted", "NeverHeardOf"], "acme", 3),
        (&["UserLocked"], "other", 0),
        (&["AccountCreated"], "other", 1),
        (&["UserLocked"], "nowhere", 0),
    ] {
        let expected = expected(types, account);
        assert_eq!(expected.len(), count, "{types:?} {account}");
        let trail = of_types(types, account);
        assert_eq!(found(&views, &trail, 0, u64::MAX).await, expected);
    }
    let locked = of_types(&["UserLocked"], "acme");
    let all = expected(&["UserLocked"], "acme");
    assert_eq!(found(&views, &locked, all[0], u64::MAX).await, all[1..]);
    assert_eq!(found(&views, &locked, 0, all[1] - 1).await, all[..1]);
}

#[tokio::test]
async fn events_are_found_by_actor_in_one_account_or_all() {
    let directory = history().await;
    let views = directory.views().await;
    let log = directory.log.read(&ReadQuery::default()).await.unwrap();
    let all: Vec<u64> = log.iter().map(|event| event.position).collect();
    let anna = of_actor("anna", &[], None);
    assert_eq!(found(&views, &anna, 0, u64::MAX).await, all);
    let elsewhere: Vec<u64> = log
        .iter()
        .filter(|event| event.account_id == "other")
        .map(|event| event.position)
        .collect();
    assert!(!elsewhere.is_empty());
    let there = of_actor("anna", &[], Some("other"));
    assert_eq!(found(&views, &there, 0, u64::MAX).await, elsewhere);
    let deleted: Vec<u64> = log
        .iter()
        .filter(|event| event.event_type == "UserDeleted")
        .map(|event| event.position)
        .collect();
    for account in [None, Some("acme")] {
        let trail = of_actor("anna", &["UserDeleted", "NeverHeardOf"], account);
        assert_eq!(found(&views, &trail, 0, u64::MAX).await, deleted);
        let nobody = of_actor("nobody", &[], account);
        assert!(found(&views, &nobody, 0, u64::MAX).await.is_empty());
    }
}
