//! What ends by itself: by when, and until it has.

use std::time::Duration;

use chrono::TimeDelta;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::{
    InvitationAccepted, InvitationDeleted, InvitationEvent, InvitationExpired, InvitationResent,
};
use rollbook_aggregates::values::ValidityDays;
use rollbook_projections::{Deadline, Deadlines, Ends, Freshness, Views};

use crate::kit::*;

const DAY: Duration = Duration::from_hours(24);

/// Everything that is due by then, by pages of two.
async fn due(views: &Views, now: Timestamp) -> Vec<Ends> {
    let deadlines = views.deadlines();
    deadlines.fresh(Freshness::Latest, None).await.unwrap();
    all_due(deadlines, now)
        .await
        .into_iter()
        .map(|deadline| deadline.ends)
        .collect()
}

async fn all_due(deadlines: &Deadlines, now: Timestamp) -> Vec<Deadline> {
    let mut found: Vec<Deadline> = Vec::new();
    loop {
        let after = found.last().cloned();
        let page = deadlines.due(now, after, 2).await.unwrap();
        if page.is_empty() {
            return found;
        }
        assert!(page.len() <= 2);
        found.extend(page);
    }
}

fn of(n: u64) -> Ends {
    Ends::Invitation(invitation_id(n))
}

#[tokio::test]
async fn r45_what_is_due_is_told_oldest_first_until_it_has_ended() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let begin = directory.clock.now();
    for n in 1..=5 {
        let sent = vec![invited(n, &format!("p{n}@example.com")).into()];
        let sent = to_invitation(invitation_id(n), sent);
        directory.commit(&acme(), vec![sent]).await;
        directory.clock.advance(DAY);
    }
    let day = |days| begin + TimeDelta::days(days);
    assert_eq!(due(&views, day(6)).await, []);
    assert_eq!(due(&views, day(8)).await, [of(1)]);
    assert_eq!(
        due(&views, day(20)).await,
        [of(1), of(2), of(3), of(4), of(5)]
    );
    let ends: [InvitationEvent; 3] = [
        InvitationExpired {}.into(),
        InvitationDeleted {}.into(),
        InvitationAccepted {
            user_id: user_id(1),
        }
        .into(),
    ];
    for (n, end) in (1..).zip(ends) {
        let ended = to_invitation(invitation_id(n), vec![end]).forgetting();
        directory.commit(&acme(), vec![ended]).await;
    }
    assert_eq!(due(&views, day(20)).await, [of(4), of(5)]);
    let next = views.deadlines().next(day(6)).unwrap();
    let left = all_due(views.deadlines(), day(20)).await;
    assert_eq!(next, Some(left[0].due_at));
    assert_eq!(views.deadlines().next(day(20)).unwrap(), None);
}

#[tokio::test]
async fn r46_what_was_sent_again_is_due_by_its_new_term_alone() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let begin = directory.clock.now();
    let sent = vec![invited(1, "p1@example.com").into()];
    let sent = to_invitation(invitation_id(1), sent);
    directory.commit(&acme(), vec![sent]).await;
    let old = all_due(views.deadlines(), begin + TimeDelta::days(9)).await;
    directory.clock.advance(3 * DAY);
    let again = InvitationResent {
        issue: 2,
        token_digest: digest(1, 2),
        validity_days: ValidityDays::parse(10).unwrap(),
    };
    let again = to_invitation(invitation_id(1), vec![again.into()]);
    directory.commit(&acme(), vec![again]).await;
    assert_eq!(due(&views, begin + TimeDelta::days(12)).await, []);
    assert_eq!(due(&views, begin + TimeDelta::days(14)).await, [of(1)]);
    let new = all_due(views.deadlines(), begin + TimeDelta::days(14)).await;
    assert_eq!(new[0].issue, 2);
    assert!(views.deadlines().is_there(&new[0]).unwrap());
    for gone in old {
        assert!(!views.deadlines().is_there(&gone).unwrap());
    }
}
