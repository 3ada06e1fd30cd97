//! Mail that was asked for is sent, at least once.
//!
//! The view of mails says what there is to send; what became of each is a command on the mail. To whom it goes, what it says
//! and whether there still is a need for it is read when it is sent. Neither addresses nor tokens leave this room.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use chrono::TimeDelta;
use futures::StreamExt as _;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::{Decide, Timestamp};
use rollbook_aggregates::invitation::Invitation;
use rollbook_aggregates::mail::{
    DeadLetterMail, DropCause, DropMail, Errand, Mail, MailFailure, ReportMailSent,
};
use rollbook_aggregates::user::{Person, User};
use rollbook_aggregates::values::{EmailAddress, LanguageTag, MailId, UserId};
use rollbook_projections::{Freshness, Mails, PendingMail};
use tokio_util::sync::CancellationToken;

use super::Task;
use crate::executor::{Executor, Order};
use crate::failure::Outcome;
use crate::mail::{AT_ONCE, Away, Mailer, Message, Subject, Unsent, Words, told};
use crate::plans::OnMail;
use crate::tokens;

/// How many mails are read at a time.
const PAGE: u32 = 256;
/// How often a mail is tried before it is given up: with the waits between, for some six hours.
const ATTEMPTS: u32 = 14;
/// How long the first wait is, and the longest.
const WAITS: [Duration; 2] = [Duration::from_secs(10), Duration::from_hours(1)];
/// The same for a server that takes no mail at all.
const AWAY: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(5)];

/// Sends mail.
pub(super) struct Outbox {
    executor: Executor,
    mails: Mails,
    mailer: Mailer,
}

/// What was tried of one mail.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    attempts: u32,
    again_at: Option<Timestamp>,
    /// A server took it, and that is not recorded yet.
    sent: bool,
}

/// What is remembered between rounds; after a restart tries are counted anew.
#[derive(Default)]
struct Memory {
    tried: HashMap<MailId, Tried>,
    /// How often in a row the server took no mail at all, and when to ask it again.
    away: u32,
    away_until: Option<Timestamp>,
}

/// What a mail is about to be.
enum Draft {
    /// It can be sent.
    Ready(Message),
    /// There is no need for it any more.
    Needless(DropCause),
    /// It cannot be made.
    Failed(MailFailure),
}

/// What became of one try.
enum Tries {
    /// It is over with this mail, as the log has it at this position.
    Over(u64),
    /// It is to be tried again.
    Again(Tried),
    /// The server takes no mail at all.
    Away(Away),
}

impl Task for Outbox {
    async fn run(&self, over: &CancellationToken) -> Outcome<()> {
        let mut memory = Memory::default();
        let mut position = self.mails.fresh(Freshness::Latest, None).await?;
        while !over.is_cancelled() {
            let next = self.round(&mut memory, over).await?;
            let clock = &self.executor.clock;
            let again = async {
                match next {
                    Some(next) => clock.reach(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over.cancelled() => {}
                () = again => {}
                further = self.mails.beyond(position) => position = further?,
            }
        }
        Ok(())
    }
}

impl Outbox {
    pub(super) fn new(executor: Executor, mails: Mails, mailer: Mailer) -> Self {
        Self {
            executor,
            mails,
            mailer,
        }
    }

    /// Sends what can be sent now; answers when there is more to try.
    async fn round(
        &self,
        memory: &mut Memory,
        over: &CancellationToken,
    ) -> Outcome<Option<Timestamp>> {
        let now = self.executor.clock.now();
        if let Some(until) = memory.away_until.filter(|until| *until > now) {
            return Ok(Some(until));
        }
        let pending = self.pending().await?;
        memory
            .tried
            .retain(|mail, _| pending.iter().any(|pending| pending.mail_id == *mail));
        let due: Vec<PendingMail> = pending
            .into_iter()
            .filter(|mail| memory.is_due(mail.mail_id, now))
            .collect();
        if !due.is_empty() {
            match self.mailer.postman.is_there().await {
                Ok(()) => memory.is_there(),
                Err(away) => return Ok(Some(memory.is_away(away, now))),
            }
            let away = self.send_all(due, memory, over).await?;
            if let Some(away) = away {
                return Ok(Some(memory.is_away(away, now)));
            }
        }
        Ok(memory.next())
    }

    /// Everything that is to be sent.
    async fn pending(&self) -> Outcome<Vec<PendingMail>> {
        let mut all: Vec<PendingMail> = Vec::new();
        loop {
            let after = all.last().map_or(0, |mail| mail.position);
            let page = self.mails.pending(after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Tries each; stops where the server turns out to be away.
    async fn send_all(
        &self,
        due: Vec<PendingMail>,
        memory: &mut Memory,
        over: &CancellationToken,
    ) -> Outcome<Option<Away>> {
        let queue: Vec<(PendingMail, Tried)> = due
            .into_iter()
            .map(|mail| {
                let tried = memory.tried.get(&mail.mail_id).copied();
                (mail, tried.unwrap_or_default())
            })
            .collect();
        let enough = over.child_token();
        let outcomes = futures::stream::iter(queue)
            .take_until(enough.cancelled())
            .map(async |(mail, tried)| (mail.mail_id, self.try_one(&mail, tried).await))
            .buffer_unordered(AT_ONCE as usize);
        let mut outcomes = std::pin::pin!(outcomes);
        let (mut position, mut away) = (0, None);
        while let Some((mail, outcome)) = outcomes.next().await {
            match outcome {
                Tries::Over(at) => {
                    memory.tried.remove(&mail);
                    position = position.max(at);
                }
                Tries::Again(tried) => {
                    memory.tried.insert(mail, tried);
                }
                // What is under way is waited for, or it could be sent without being recorded.
                Tries::Away(met) => {
                    away = Some(met);
                    enough.cancel();
                }
            }
        }
        self.mails.fresh(Freshness::AtLeast(position), None).await?;
        Ok(away)
    }

    async fn try_one(&self, mail: &PendingMail, mut tried: Tried) -> Tries {
        let now = self.executor.clock.now();
        let done = if tried.sent {
            Ok(())
        } else {
            match self.draft(mail, now).await {
                Ok(Draft::Ready(message)) => self.mailer.postman.send(message).await,
                Ok(Draft::Needless(cause)) => {
                    return self.end(mail, tried, drop_of(mail, cause)).await;
                }
                Ok(Draft::Failed(failure)) => return self.give_up(mail, tried, failure).await,
                Err(failure) => {
                    tracing::warn!(mail = %mail.mail_id, %failure, "a mail cannot be made now");
                    return Tries::Again(tried.waiting(now));
                }
            }
        };
        match done {
            Ok(()) => {
                tried.sent = true;
                let letter = mail.letter.clone();
                self.end(mail, tried, ReportMailSent { letter }).await
            }
            Err(Unsent::Away(away)) => Tries::Away(away),
            Err(Unsent::Refused(code)) => {
                tried.attempts += 1;
                self.give_up(mail, tried, MailFailure::Refused(code)).await
            }
            Err(Unsent::Later(failure)) => {
                tried.attempts += 1;
                tracing::info!(mail = %mail.mail_id, ?failure, attempts = tried.attempts, "a mail is tried again later");
                if tried.attempts >= ATTEMPTS {
                    self.give_up(mail, tried, failure).await
                } else {
                    Tries::Again(tried.waiting(now))
                }
            }
        }
    }

    async fn give_up(&self, mail: &PendingMail, tried: Tried, failure: MailFailure) -> Tries {
        tracing::warn!(mail = %mail.mail_id, ?failure, "a mail cannot be sent, and waits for an operator");
        let dead = DeadLetterMail {
            letter: mail.letter.clone(),
            attempts: tried.attempts,
            failure,
        };
        self.end(mail, tried, dead).await
    }

    /// Records what became of a mail.
    async fn end<C>(&self, mail: &PendingMail, tried: Tried, command: C) -> Tries
    where
        C: Decide<Aggregate = Mail> + Clone + Send + Sync,
    {
        let order = Order::of_the_service(mail.letter.account_id.clone(), &self.executor.clock);
        let mail = mail.mail_id;
        match self.executor.run(&order, &OnMail { mail, command }).await {
            Ok(done) => Tries::Over(done.position),
            Err(failure) => {
                tracing::warn!(%mail, %failure, "what became of a mail is not recorded yet");
                Tries::Again(tried.waiting(self.executor.clock.now()))
            }
        }
    }

    /// Makes a mail out of what is so now.
    async fn draft(&self, mail: &PendingMail, now: Timestamp) -> Outcome<Draft> {
        match mail.letter.errand {
            Errand::Invitation { .. } => self.draft_invitation(mail, now).await,
            Errand::Welcome { user, .. }
            | Errand::PasswordReset { user, .. }
            | Errand::AccountLocked { user, .. } => self.draft_for_user(mail, user, now).await,
        }
    }

    async fn draft_invitation(&self, mail: &PendingMail, now: Timestamp) -> Outcome<Draft> {
        let Errand::Invitation { invitation, issue } = mail.letter.errand else {
            return Ok(Draft::Needless(DropCause::Over));
        };
        let (state, _) = self
            .executor
            .fresh::<Invitation>(&invitation.to_string())
            .await?;
        let Some(offer) = state.offer().filter(|_| state.outcome().is_none()) else {
            return Ok(Draft::Needless(DropCause::Over));
        };
        if offer.issue != issue {
            return Ok(Draft::Needless(DropCause::Superseded));
        }
        let Some(email) = offer.email.known() else {
            return Ok(Draft::Needless(DropCause::Erased));
        };
        let secret = tokens::invitation(&self.executor.log, invitation, issue);
        let token = tokens::text(invitation.as_uuid(), &secret);
        let link = Link {
            token,
            expires_at: offer.expires_at(),
        };
        self.letter(mail, Subject::Invitation, email, None, Some(link), now)
            .await
    }

    async fn draft_for_user(
        &self,
        mail: &PendingMail,
        user: UserId,
        now: Timestamp,
    ) -> Outcome<Draft> {
        let (state, _) = self.executor.fresh::<User>(&user.to_string()).await?;
        let Some(person) = state.person() else {
            return Ok(Draft::Needless(DropCause::Erased));
        };
        let Some(email) = person.profile().email.known() else {
            return Ok(Draft::Needless(DropCause::Erased));
        };
        let credentials = person.credentials();
        let log = &self.executor.log;
        let (subject, link) = match mail.letter.errand {
            Errand::Welcome { issue, .. } => {
                let welcome = credentials.welcome().filter(|_| !person.is_onboarded());
                match welcome.map(|welcome| (welcome.issue, welcome.expires_at())) {
                    None => return Ok(Draft::Needless(DropCause::Over)),
                    Some((last, _)) if last != issue => {
                        return Ok(Draft::Needless(DropCause::Superseded));
                    }
                    Some((_, expires_at)) => {
                        let token =
                            tokens::text(user.as_uuid(), &tokens::welcome(log, user, issue));
                        (Subject::Welcome, Some(Link { token, expires_at }))
                    }
                }
            }
            Errand::PasswordReset { issue, .. } => {
                match credentials
                    .reset()
                    .map(|reset| (reset.issue, reset.expires_at()))
                {
                    None => return Ok(Draft::Needless(DropCause::Over)),
                    Some((last, _)) if last != issue => {
                        return Ok(Draft::Needless(DropCause::Superseded));
                    }
                    Some((_, expires_at)) => {
                        let secret = tokens::reset(log, user, issue);
                        let token = tokens::text(user.as_uuid(), &secret);
                        (Subject::PasswordReset, Some(Link { token, expires_at }))
                    }
                }
            }
            Errand::AccountLocked { .. } | Errand::Invitation { .. } => {
                if person.auto_locked_at().is_none() {
                    return Ok(Draft::Needless(DropCause::Over));
                }
                (Subject::AccountLocked, None)
            }
        };
        self.letter(mail, subject, email, Some(person), link, now)
            .await
    }

    /// Puts it into words.
    async fn letter(
        &self,
        mail: &PendingMail,
        subject: Subject,
        email: &EmailAddress,
        person: Option<&Person>,
        link: Option<Link>,
        now: Timestamp,
    ) -> Outcome<Draft> {
        if link.as_ref().is_some_and(|link| link.expires_at <= now) {
            return Ok(Draft::Needless(DropCause::Expired));
        }
        let id = mail.letter.account_id.as_str();
        let (account, _) = self.executor.fresh::<Account>(id).await?;
        let mut words = Words {
            account: account.title().map(ToString::to_string).unwrap_or_default(),
            ..Words::default()
        };
        if let Some(link) = link {
            words.link = self.mailer.link(subject, &link.token);
            words.token = link.token;
            words.expires_at = told(link.expires_at);
        }
        if let Some(person) = person {
            let profile = person.profile();
            words.first_name = profile
                .first_name
                .known()
                .map(ToString::to_string)
                .unwrap_or_default();
            words.last_name = profile
                .last_name
                .known()
                .map(ToString::to_string)
                .unwrap_or_default();
            let until = person.facets().lock_expires_at(account.settings());
            words.locked_until = until.map(told).unwrap_or_default();
        }
        let language = person.and_then(|person| person.profile().language.as_ref());
        let language = language.map(LanguageTag::as_str);
        let Ok(said) = self.mailer.templates.say(subject, language, &words) else {
            return Ok(Draft::Failed(MailFailure::BadTemplate));
        };
        Ok(
            match self.mailer.postman.message(mail.mail_id, email, said, now) {
                Ok(message) => Draft::Ready(message),
                Err(failure) => Draft::Failed(failure),
            },
        )
    }
}

/// A link, and until when it is good.
struct Link {
    token: String,
    expires_at: Timestamp,
}

fn drop_of(mail: &PendingMail, cause: DropCause) -> DropMail {
    DropMail {
        letter: mail.letter.clone(),
        cause,
    }
}

impl Tried {
    fn waiting(mut self, now: Timestamp) -> Self {
        self.again_at = Some(now + wait(WAITS, self.attempts));
        self
    }
}

impl Memory {
    fn is_due(&self, mail: MailId, now: Timestamp) -> bool {
        let tried = self.tried.get(&mail);
        tried
            .and_then(|tried| tried.again_at)
            .is_none_or(|at| at <= now)
    }

    fn is_there(&mut self) {
        if self.away > 0 {
            tracing::info!("the mail server takes mail again");
        }
        self.away = 0;
        self.away_until = None;
    }

    /// Answers when to ask again.
    fn is_away(&mut self, Away { code, cause }: Away, now: Timestamp) -> Timestamp {
        tracing::warn!(code, cause, "the mail server takes no mail, trying again");
        self.away = self.away.saturating_add(1);
        let until = now + wait(AWAY, self.away);
        self.away_until = Some(until);
        until
    }

    fn next(&self) -> Option<Timestamp> {
        self.tried.values().filter_map(|tried| tried.again_at).min()
    }
}

/// How long to wait after so many tries: twice as long each time, and a bit more or less, so that not all come at once.
fn wait([first, longest]: [Duration; 2], attempts: u32) -> TimeDelta {
    let mut waits = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .build();
    let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = waits.nth(nth.min(64)).unwrap_or(longest);
    TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let hour = TimeDelta::from_std(WAITS[1]).unwrap();
        let mut before = TimeDelta::zero();
        for attempts in 1..=ATTEMPTS {
            let wait = wait(WAITS, attempts);
            assert!(wait >= before.min(hour) / 2, "{attempts}: {wait}");
            assert!(
                wait <= hour * 2 + TimeDelta::seconds(1),
                "{attempts}: {wait}"
            );
            before = wait;
        }
        let all: TimeDelta = (1..ATTEMPTS).map(|attempts| wait(WAITS, attempts)).sum();
        assert!(all > TimeDelta::hours(3), "{all}");
    }
}
