//! What ends by itself: by when, and until it has.

use std::time::Duration;

use chrono::TimeDelta;
use rollbook_aggregates::account::{LockDurationChanged, PasswordMaxAgeChanged};
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::{
    InvitationAccepted, InvitationDeleted, InvitationEvent, InvitationExpired, InvitationResent,
};
use rollbook_aggregates::user::{
    PasswordChanged, PasswordExpired, PasswordResetCompleted, PasswordResetExpired,
    PasswordResetRequested, PasswordSet, PasswordState, UserAutoLocked, UserDeleted,
    UserLockExpired, UserUnlocked, WelcomeCompleted, WelcomeExpired, WelcomeIssued,
};
use rollbook_aggregates::values::{LockDuration, PasswordMaxAge, ValidityDays};
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
        by_mail: false,
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

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

/// What is due within so many days from the beginning.
async fn due_after(views: &Views, begin: Timestamp, after: TimeDelta) -> Vec<Ends> {
    let mut ends = due(views, begin + after).await;
    ends.sort_by_key(|ends| format!("{ends:?}"));
    ends
}

#[tokio::test]
async fn r16_links_of_a_user_end_by_their_term_unless_they_are_used() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let begin = directory.clock.now();
    for n in 1..=4 {
        let issued = WelcomeIssued {
            issue: 1,
            token_digest: digest(n, 1),
            validity_days: ValidityDays::parse(7).unwrap(),
            by_mail: false,
        };
        let reset = PasswordResetRequested {
            issue: 1,
            token_digest: digest(n, 9),
            valid_minutes: 60,
            by_mail: false,
        };
        let events = vec![person(n).into(), issued.into(), reset.into()];
        directory
            .commit(&acme(), vec![to_user(user_id(n), events)])
            .await;
    }
    let soon = due_after(&views, begin, TimeDelta::minutes(61)).await;
    assert_eq!(soon, [1, 2, 3, 4].map(|n| Ends::PasswordReset(user_id(n))));
    let completed = WelcomeCompleted {
        password: PasswordState::Set,
    };
    for (n, end) in [
        (1, vec![completed.into()]),
        (
            2,
            vec![
                WelcomeExpired { issue: 1 }.into(),
                PasswordResetExpired { issue: 1 }.into(),
            ],
        ),
        (3, vec![UserDeleted {}.into()]),
        (4, vec![PasswordResetCompleted {}.into()]),
    ] {
        directory
            .commit(&acme(), vec![to_user(user_id(n), end)])
            .await;
    }
    assert_eq!(
        due_after(&views, begin, days(8)).await,
        [Ends::Welcome(user_id(4))]
    );
}

#[tokio::test]
async fn r21_a_password_ends_by_the_age_that_the_account_sets() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let begin = directory.clock.now();
    for n in 1..=3 {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
    }
    assert_eq!(due_after(&views, begin, days(9999)).await, []);
    let limit = |days: u32| PasswordMaxAgeChanged {
        days: Some(PasswordMaxAge::parse(days).unwrap()),
    };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![limit(90).into()])])
        .await;
    let password = |n| Ends::Password(user_id(n));
    assert_eq!(due_after(&views, begin, days(89)).await, []);
    assert_eq!(
        due_after(&views, begin, days(91)).await,
        [1, 2, 3].map(password)
    );
    directory.clock.advance(10 * DAY);
    let once = PasswordSet { one_time: true };
    for (n, event) in [
        (1, PasswordChanged {}.into()),
        (2, once.into()),
        (3, PasswordExpired {}.into()),
    ] {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![event])])
            .await;
    }
    assert_eq!(due_after(&views, begin, days(91)).await, []);
    assert_eq!(due_after(&views, begin, days(101)).await, [password(1)]);
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![limit(5).into()])])
        .await;
    assert_eq!(due_after(&views, begin, days(16)).await, [password(1)]);
    let none = PasswordMaxAgeChanged { days: None };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![none.into()])])
        .await;
    assert_eq!(due_after(&views, begin, days(9999)).await, []);
}

#[tokio::test]
async fn r14_a_lock_of_the_system_ends_after_the_time_that_the_account_sets() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let begin = directory.clock.now();
    let lasting = LockDurationChanged {
        seconds: Some(LockDuration::parse(3600).unwrap()),
    };
    directory
        .commit(&acme(), vec![to_account(&acme(), vec![lasting.into()])])
        .await;
    for n in 1..=3 {
        let locked = vec![person(n).into(), UserAutoLocked { by_mail: false }.into()];
        directory
            .commit(&acme(), vec![to_user(user_id(n), locked)])
            .await;
    }
    let lock = |n| Ends::Lock(user_id(n));
    assert_eq!(due_after(&views, begin, TimeDelta::minutes(59)).await, []);
    assert_eq!(
        due_after(&views, begin, TimeDelta::minutes(61)).await,
        [1, 2, 3].map(lock)
    );
    for (n, event) in [(1, UserUnlocked {}.into()), (2, UserLockExpired {}.into())] {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![event])])
            .await;
    }
    assert_eq!(
        due_after(&views, begin, TimeDelta::minutes(61)).await,
        [lock(3)]
    );
}
