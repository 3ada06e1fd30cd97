//! Mail: asked for, sent, dropped, given up, tried again.

use rollbook_aggregates::invitation::{InvitationResent, UserInvited};
use rollbook_aggregates::mail::{
    DropCause, Errand, Letter, MailDeadLettered, MailDropped, MailEvent, MailFailure, MailRetried,
    MailSent,
};
use rollbook_aggregates::user::{PasswordResetRequested, UserAutoLocked, UserEvent, WelcomeIssued};
use rollbook_aggregates::values::ValidityDays;
use rollbook_projections::{Freshness, Mails, PendingMail, Views};

use crate::kit::*;

fn days() -> ValidityDays {
    ValidityDays::parse(7).unwrap()
}

async fn fresh(views: &Views) -> &Mails {
    views.mails().fresh(Freshness::Latest, None).await.unwrap();
    views.mails()
}

/// Everything that is to be sent, by pages of two.
async fn pending(views: &Views) -> Vec<Errand> {
    let mails = fresh(views).await;
    let mut all: Vec<PendingMail> = Vec::new();
    loop {
        let after = all.last().map_or(0, |mail| mail.position);
        let page = mails.pending(after, 2).await.unwrap();
        if page.is_empty() {
            return all.into_iter().map(|mail| mail.letter.errand).collect();
        }
        all.extend(page);
    }
}

fn of(n: u64, issue: u32) -> Errand {
    Errand::Invitation {
        invitation: invitation_id(n),
        issue,
    }
}

fn letter(errand: Errand) -> Letter {
    Letter {
        account_id: acme(),
        errand,
    }
}

fn became(errand: Errand, event: impl Into<MailEvent>) -> Happening {
    to_mail(errand.mail_id(), vec![event.into()])
}

fn by_mail(n: u64) -> Happening {
    let invited = UserInvited {
        by_mail: true,
        ..invited(n, &format!("p{n}@example.com"))
    };
    to_invitation(invitation_id(n), vec![invited.into()])
}

#[tokio::test]
async fn r23_what_is_to_be_sent_by_mail_is_told_in_its_order_until_it_was() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let told = to_invitation(invitation_id(9), vec![invited(9, "p9@example.com").into()]);
    directory.commit(&acme(), vec![told]).await;
    for n in [3, 1, 2] {
        directory.commit(&acme(), vec![by_mail(n)]).await;
    }
    let again = InvitationResent {
        issue: 2,
        token_digest: digest(1, 2),
        validity_days: days(),
        by_mail: true,
    };
    let again = to_invitation(invitation_id(1), vec![again.into()]);
    directory.commit(&acme(), vec![again]).await;
    assert_eq!(
        pending(&views).await,
        [of(3, 1), of(1, 1), of(2, 1), of(1, 2)]
    );
    let sent = MailSent {
        letter: letter(of(3, 1)),
    };
    let dropped = MailDropped {
        letter: letter(of(1, 1)),
        cause: DropCause::Superseded,
    };
    let ends = vec![became(of(3, 1), sent), became(of(1, 1), dropped)];
    directory.commit(&acme(), ends).await;
    assert_eq!(pending(&views).await, [of(2, 1), of(1, 2)]);
    assert!(views.mails().is_pending(of(2, 1).mail_id()).unwrap());
    assert!(!views.mails().is_pending(of(3, 1).mail_id()).unwrap());
}

#[tokio::test]
async fn every_event_that_says_so_asks_for_a_mail() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    let user = user_id(1);
    let events = |by_mail| -> Vec<UserEvent> {
        vec![
            WelcomeIssued {
                issue: 4,
                token_digest: digest(1, 4),
                validity_days: days(),
                by_mail,
            }
            .into(),
            PasswordResetRequested {
                issue: 5,
                token_digest: digest(1, 5),
                valid_minutes: 60,
                by_mail,
            }
            .into(),
            UserAutoLocked { by_mail }.into(),
        ]
    };
    let mut all: Vec<UserEvent> = vec![person(1).into()];
    all.extend(events(false));
    all.extend(events(true));
    directory.commit(&acme(), vec![to_user(user, all)]).await;
    let expected = [
        Errand::Welcome { user, issue: 4 },
        Errand::PasswordReset { user, issue: 5 },
        Errand::AccountLocked { user, revision: 7 },
    ];
    assert_eq!(pending(&views).await, expected);
}

#[tokio::test]
async fn dead_letters_are_listed_until_they_are_tried_again() {
    let mut directory = Directory::with_account().await;
    let views = directory.views().await;
    for n in 1..=3 {
        directory.commit(&acme(), vec![by_mail(n)]).await;
        let dead = MailDeadLettered {
            letter: letter(of(n, 1)),
            attempts: 2,
            failure: MailFailure::Refused(550),
        };
        directory
            .commit(&acme(), vec![became(of(n, 1), dead)])
            .await;
    }
    assert_eq!(pending(&views).await, []);
    let first = views.mails().dead(None, 2).await.unwrap();
    let errands: Vec<Errand> = first.rows.iter().map(|dead| dead.letter.errand).collect();
    assert_eq!(errands, [of(3, 1), of(2, 1)]);
    let dead = &first.rows[0];
    assert_eq!(
        (dead.attempts, dead.failure, dead.revision),
        (2, MailFailure::Refused(550), 1)
    );
    let second = views.mails().dead(first.next, 2).await.unwrap();
    assert_eq!((second.rows.len(), second.next), (1, None));
    let retried = became(of(2, 1), MailRetried {});
    directory.commit(&acme(), vec![retried]).await;
    assert_eq!(pending(&views).await, [of(2, 1)]);
    assert_eq!(views.mails().dead(None, 9).await.unwrap().rows.len(), 2);
}
