//! The audit trail.

use rollbook_aggregates::user::{UserDeleted, UserLocked};
use rollbook_aggregates::values::AccountId;
use rollbook_projections::{Freshness, ListTrail, Subject, TrailRow, Views};

use crate::kit::*;

fn everything() -> ListTrail {
    ListTrail {
        account: acme(),
        subject: None,
        descending: false,
        after: None,
        limit: 2,
        total: true,
    }
}

async fn all(views: &Views, mut query: ListTrail) -> Vec<TrailRow> {
    views.audit().fresh(Freshness::Latest, None).await.unwrap();
    let mut found = Vec::new();
    loop {
        let page = views.audit().list(query.clone()).await.unwrap();
        found.extend(page.rows);
        if page.next.is_none() {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        }
        query.after = page.next;
    }
}

#[tokio::test]
async fn every_event_stands_in_the_trail_of_its_account_both_ways() {
    let mut directory = Directory::with_account().await;
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(1),
                vec![person(1).into(), UserLocked {}.into()],
            )],
        )
        .await;
    let other = AccountId::parse("other").unwrap();
    let elsewhere = account_events(rollbook_aggregates::values::Login::Email);
    directory
        .commit(&other, vec![to_account(&other, elsewhere)])
        .await;
    directory
        .commit(
            &acme(),
            vec![to_invitation(
                invitation_id(1),
                vec![invited(1, "a@example.com").into()],
            )],
        )
        .await;
    let views = directory.views().await;
    let trail = all(&views, everything()).await;
    assert_eq!(
        trail
            .iter()
            .map(|row| row.account_number)
            .collect::<Vec<_>>(),
        (1..=8).collect::<Vec<_>>()
    );
    assert_eq!(
        trail.iter().map(|row| row.position).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7, 13]
    );
    let mut back = all(
        &views,
        ListTrail {
            descending: true,
            ..everything()
        },
    )
    .await;
    back.reverse();
    assert_eq!(back, trail);
    let locked = &trail[6];
    let who = (
        locked.event_type.as_str(),
        locked.actor.as_str(),
        locked.service.as_str(),
    );
    assert_eq!(who, ("UserLocked", "anna", "portal"));
    assert_eq!(
        (locked.subject_kind.as_str(), &locked.subject_id),
        ("user", &user_id(1).to_string())
    );
    assert_eq!(locked.request_id.as_deref(), Some("request-1"));
    assert_eq!(
        all(
            &views,
            ListTrail {
                account: other,
                ..everything()
            }
        )
        .await
        .len(),
        5
    );
}

#[tokio::test]
async fn the_trail_of_one_user_or_invitation_has_its_events_alone_and_outlives_it() {
    let mut directory = Directory::with_account().await;
    for n in [1, 2] {
        directory
            .commit(
                &acme(),
                vec![to_user(
                    user_id(n),
                    vec![person(n).into(), UserLocked {}.into()],
                )],
            )
            .await;
    }
    directory
        .commit(
            &acme(),
            vec![to_invitation(
                invitation_id(1),
                vec![invited(1, "a@example.com").into()],
            )],
        )
        .await;
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(1), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    let views = directory.views().await;
    let of = |subject| ListTrail {
        subject: Some(subject),
        ..everything()
    };
    let types = |rows: Vec<TrailRow>| {
        rows.into_iter()
            .map(|row| row.event_type)
            .collect::<Vec<_>>()
    };
    let user = of(Subject::User(user_id(1)));
    assert_eq!(
        types(all(&views, user.clone()).await),
        ["UserCreated", "UserLocked", "UserDeleted"]
    );
    let back = ListTrail {
        descending: true,
        ..user
    };
    assert_eq!(
        types(all(&views, back).await),
        ["UserDeleted", "UserLocked", "UserCreated"]
    );
    assert_eq!(
        types(all(&views, of(Subject::Invitation(invitation_id(1)))).await),
        ["UserInvited"]
    );
}
