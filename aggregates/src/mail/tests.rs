//! What becomes of a mail.

use super::*;
use crate::samples::{ANNA, account_id, service};

const INVITATION: InvitationId = InvitationId::new(Uuid::from_u128(7));

fn letter() -> Letter {
    Letter {
        account_id: account_id(),
        errand: Errand::Invitation {
            invitation: INVITATION,
            issue: 1,
        },
    }
}

fn sent() -> MailEvent {
    MailSent { letter: letter() }.into()
}

fn dropped() -> MailEvent {
    MailDropped {
        letter: letter(),
        cause: DropCause::Superseded,
    }
    .into()
}

fn dead() -> MailEvent {
    MailDeadLettered {
        letter: letter(),
        attempts: 3,
        failure: MailFailure::Refused(550),
    }
    .into()
}

fn retried() -> MailEvent {
    MailRetried {}.into()
}

fn give_up() -> DeadLetterMail {
    DeadLetterMail {
        letter: letter(),
        attempts: 3,
        failure: MailFailure::Refused(550),
    }
}

fn let_go() -> DropMail {
    DropMail {
        letter: letter(),
        cause: DropCause::Superseded,
    }
}

fn report() -> ReportMailSent {
    ReportMailSent { letter: letter() }
}

#[test]
fn r23_an_errand_has_one_mail_however_often_it_is_sent() {
    let errand = letter().errand;
    assert_eq!(errand.mail_id(), errand.mail_id());
    let other = Errand::Invitation {
        invitation: INVITATION,
        issue: 2,
    };
    let locked = Errand::AccountLocked {
        user: ANNA,
        revision: 1,
    };
    let reset = Errand::PasswordReset {
        user: ANNA,
        issue: 1,
    };
    let welcome = Errand::Welcome {
        user: ANNA,
        issue: 1,
    };
    let ids: BTreeSet<MailId> = [errand, other, locked, reset, welcome]
        .iter()
        .map(Errand::mail_id)
        .collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_mail_is_sent_dropped_or_given_up_once() {
    Mail::given(&[]).when(service(), report()).then(&[sent()]);
    Mail::given(&[])
        .when(service(), let_go())
        .then(&[dropped()]);
    Mail::given(&[]).when(service(), give_up()).then(&[dead()]);
    for end in [sent(), dropped()] {
        let ended = [end];
        Mail::given(&ended).when(service(), report()).then_nothing();
        Mail::given(&ended).when(service(), let_go()).then_nothing();
        Mail::given(&ended)
            .when(service(), give_up())
            .then_nothing();
    }
    Mail::given(&[dead()])
        .when(service(), let_go())
        .then_nothing();
    Mail::given(&[dead()])
        .when(service(), give_up())
        .then_nothing();
}

#[test]
fn a_mail_that_was_given_up_in_the_moment_it_was_sent_was_sent() {
    let mail = Mail::given(&[dead()])
        .when(service(), report())
        .then(&[sent()])
        .state();
    assert_eq!(mail.state(), MailState::Sent);
    assert_eq!(mail.given_up(), None);
}

#[test]
fn a_dead_letter_is_tried_again_and_can_die_again() {
    let mail = Mail::given(&[dead()])
        .when(service(), RetryDeadLetter)
        .then(&[retried()])
        .state();
    assert_eq!(mail.state(), MailState::Pending);
    assert_eq!(mail.given_up().map(|given_up| given_up.attempts), Some(3));
    let again = [dead(), retried()];
    Mail::given(&again)
        .when(service(), RetryDeadLetter)
        .then_nothing();
    Mail::given(&again)
        .when(service(), report())
        .then(&[sent()]);
    Mail::given(&again)
        .when(service(), give_up())
        .then(&[dead()]);
}

#[test]
fn what_is_no_dead_letter_is_not_found() {
    for events in [&[][..], &[sent()], &[dropped()]] {
        Mail::given(events)
            .when(service(), RetryDeadLetter)
            .refused(MailError::NotFound);
    }
    Mail::given(&[dead()])
        .inside(crate::account::Account::default())
        .when(service(), RetryDeadLetter)
        .refused(MailError::NotFound);
}
