//! Invitations: their course, their token, their list.

use chrono::Duration;
use rollbook_aggregates::invitation::{
    InvitationAccepted, InvitationDeleted, InvitationEvent, InvitationExpired, InvitationResent,
};
use rollbook_aggregates::values::{AccountId, ValidityDays};
use rollbook_projections::{Freshness, InvitationRow, InvitationStatus, ListInvitations, Views};

use crate::kit::*;

async fn invitation(views: &Views, n: u64) -> InvitationRow {
    views
        .invitations()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    views
        .invitations()
        .get(&acme(), invitation_id(n))
        .unwrap()
        .unwrap()
}

async fn all(views: &Views, mut query: ListInvitations) -> Vec<InvitationRow> {
    views
        .invitations()
        .fresh(Freshness::Latest, None)
        .await
        .unwrap();
    let mut found = Vec::new();
    loop {
        let page = views.invitations().list(query.clone()).await.unwrap();
        found.extend(page.rows);
        let Some(key) = page.next else {
            assert_eq!(page.total, Some(found.len() as u64));
            return found;
        };
        let text = serde_json::to_string(&key).unwrap();
        query.after = Some(serde_json::from_str(&text).unwrap());
    }
}

fn every() -> ListInvitations {
    ListInvitations {
        account: acme(),
        statuses: Vec::new(),
        descending: false,
        after: None,
        limit: 3,
        total: true,
    }
}

#[tokio::test]
async fn r45_a_pending_invitation_is_shown_as_invited_until_its_days_are_over() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let position = directory
        .commit(
            &acme(),
            vec![to_invitation(
                invitation_id(1),
                vec![invited(1, "New@example.com").into()],
            )],
        )
        .await;
    let row = invitation(&views, 1).await;
    let expected = InvitationRow {
        account_id: acme(),
        invitation_id: invitation_id(1),
        status: InvitationStatus::Invited,
        email: Some("New@example.com".to_owned()),
        user_type: rollbook_aggregates::values::UserType::Standard,
        roles: vec!["clerk".to_owned()],
        permissions: Vec::new(),
        companies: vec![company_id(1)],
        issue: 1,
        token_digest: digest(1, 1).to_string(),
        created_by: "anna".to_owned(),
        created_at: row.sent_at,
        sent_at: row.sent_at,
        expires_at: row.sent_at + Duration::days(7),
        ended_at: None,
        accepted_by: None,
        revision: 1,
        position,
    };
    assert_eq!(row, expected);
}

#[tokio::test]
async fn r46_only_the_token_sent_last_is_known() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    directory
        .commit(
            &acme(),
            vec![to_invitation(
                invitation_id(1),
                vec![invited(1, "new@example.com").into()],
            )],
        )
        .await;
    let first = invitation(&views, 1).await;
    directory.clock.advance(std::time::Duration::from_hours(24));
    let days = ValidityDays::parse(3).unwrap();
    let resent = InvitationResent {
        issue: 2,
        by_mail: false,
        token_digest: digest(1, 2),
        validity_days: days,
    };
    directory
        .commit(
            &acme(),
            vec![to_invitation(invitation_id(1), vec![resent.into()])],
        )
        .await;
    let row = invitation(&views, 1).await;
    assert_eq!((row.issue, row.created_at), (2, first.created_at));
    assert!(row.sent_at >= first.sent_at + Duration::days(1));
    assert_eq!(row.expires_at, row.sent_at + Duration::days(3));
    let by_digest = |issue| {
        views
            .invitations()
            .by_token_digest(&digest(1, issue).to_string())
            .unwrap()
    };
    assert_eq!(by_digest(1), None);
    assert_eq!(by_digest(2), Some(row));
}

#[tokio::test]
async fn r49_the_address_goes_with_the_end_of_the_invitation() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let ends: [(InvitationEvent, InvitationStatus); 3] = [
        (
            InvitationAccepted {
                user_id: user_id(5),
            }
            .into(),
            InvitationStatus::Accepted,
        ),
        (InvitationExpired {}.into(), InvitationStatus::Expired),
        (InvitationDeleted {}.into(), InvitationStatus::Deleted),
    ];
    for (n, (end, status)) in (1..).zip(ends) {
        let id = invitation_id(n);
        directory
            .commit(
                &acme(),
                vec![to_invitation(
                    id,
                    vec![invited(n, &format!("n{n}@example.com")).into()],
                )],
            )
            .await;
        assert!(invitation(&views, n).await.email.is_some());
        directory
            .commit(&acme(), vec![to_invitation(id, vec![end]).forgetting()])
            .await;
        let row = invitation(&views, n).await;
        assert_eq!((row.status, row.email, row.revision), (status, None, 2));
        assert_eq!(row.accepted_by, (n == 1).then(|| user_id(5)));
        assert!(row.ended_at.is_some());
        assert_eq!(
            views
                .invitations()
                .by_token_digest(&digest(n, 1).to_string())
                .unwrap()
                .unwrap()
                .status,
            status
        );
    }
}

#[tokio::test]
async fn invitations_are_listed_by_when_they_were_sent_both_ways_and_by_status() {
    let mut directory = Directory::with_account().await;
    for n in 1..=11 {
        let id = invitation_id(n);
        // Several in one commit are sent at the same moment.
        let mut commit = vec![to_invitation(
            id,
            vec![invited(n, &format!("n{n}@example.com")).into()],
        )];
        if n % 2 == 0 {
            let twin = invited(n + 50, &format!("twin{n}@example.com"));
            commit.push(to_invitation(invitation_id(n + 50), vec![twin.into()]));
        }
        directory.commit(&acme(), commit).await;
        if n % 4 == 0 {
            directory
                .commit(
                    &acme(),
                    vec![to_invitation(id, vec![InvitationDeleted {}.into()]).forgetting()],
                )
                .await;
        }
        if n % 5 == 0 {
            directory
                .commit(
                    &acme(),
                    vec![to_invitation(id, vec![InvitationExpired {}.into()]).forgetting()],
                )
                .await;
        }
    }
    let views = directory.views().await;
    let ids = |rows: &[InvitationRow]| rows.iter().map(|row| row.invitation_id).collect::<Vec<_>>();
    let up = all(&views, every()).await;
    assert_eq!(up.len(), 16);
    let mut sorted = up.clone();
    sorted.sort_by_key(|row| (row.sent_at, row.invitation_id));
    assert_eq!(ids(&up), ids(&sorted));
    let mut down = ids(&all(
        &views,
        ListInvitations {
            descending: true,
            ..every()
        },
    )
    .await);
    down.reverse();
    assert_eq!(down, ids(&up));
    for statuses in [
        vec![InvitationStatus::Invited],
        vec![InvitationStatus::Deleted, InvitationStatus::Expired],
    ] {
        let expected: Vec<_> = up
            .iter()
            .filter(|row| statuses.contains(&row.status))
            .cloned()
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(
            ids(&all(
                &views,
                ListInvitations {
                    statuses,
                    ..every()
                }
            )
            .await),
            ids(&expected)
        );
    }
    let other = AccountId::parse("other").unwrap();
    assert!(
        all(
            &views,
            ListInvitations {
                account: other.clone(),
                ..every()
            }
        )
        .await
        .is_empty()
    );
    assert_eq!(
        views.invitations().get(&other, invitation_id(1)).unwrap(),
        None
    );
}
