//! Random sequences of what people do with passwords, links, locks and second factors, sent to the service and told to a
//! small model that shares no code with it: both must answer alike and show the same people.

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rollbook_tests::model::live_through;
use rollbook_tests::people::person;
use rollbook_tests::{Answer as _, Directory, Home, Refusal, Tenant, ask, pb};

/// Every step takes so long.
const PACE: TimeDelta = TimeDelta::minutes(31);
/// So many wrong passwords in a row lock a user, for so long.
const LIMIT: u32 = 3;
const LOCKED_FOR: i64 = 90;
/// How long links are good for, and passwords, in minutes.
const RESET_FOR: i64 = 60;
const WELCOME_FOR: i64 = 7 * 24 * 60;
const AGE: i64 = 30 * 24 * 60;

const PASSWORDS: [&str; 3] = [
    "three green lamps at noon",
    "seven small boats at dawn",
    "an orange kite over hills",
];

/// What somebody does. People, passwords and links are named by number, and counted round.
#[derive(Clone, Debug)]
enum Step {
    Create(Option<usize>, bool),
    SignIn(usize, usize),
    Change(usize, usize, usize),
    Set(usize, usize, bool),
    Reset(usize),
    FollowReset(usize, usize),
    Resend(usize),
    FollowWelcome(usize, usize),
    Lock(usize),
    Unlock(usize),
    Deactivate(usize),
    Activate(usize),
    Enroll(usize),
    ClearFactor(usize),
    Revoke(usize),
    Delete(usize),
    Week,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, word) = (|| 0..3_usize, || 0..PASSWORDS.len());
    prop_oneof![
        3 => (prop::option::weighted(0.7, word()), any::<bool>()).prop_map(|(p, once)| Step::Create(p, once)),
        8 => (who(), word()).prop_map(|(who, p)| Step::SignIn(who, p)),
        3 => (who(), word(), word()).prop_map(|(who, old, new)| Step::Change(who, old, new)),
        2 => (who(), word(), any::<bool>()).prop_map(|(who, p, once)| Step::Set(who, p, once)),
        3 => who().prop_map(Step::Reset),
        3 => (0..4_usize, word()).prop_map(|(link, p)| Step::FollowReset(link, p)),
        1 => who().prop_map(Step::Resend),
        2 => (0..4_usize, word()).prop_map(|(link, p)| Step::FollowWelcome(link, p)),
        1 => who().prop_map(Step::Lock),
        1 => who().prop_map(Step::Unlock),
        1 => who().prop_map(Step::Deactivate),
        1 => who().prop_map(Step::Activate),
        1 => who().prop_map(Step::Enroll),
        1 => who().prop_map(Step::ClearFactor),
        1 => who().prop_map(Step::Revoke),
        1 => who().prop_map(Step::Delete),
        1 => Just(Step::Week),
    ]
}

/// What the model knows of a person; times are minutes.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the facets of a user are kept apart"
)]
struct Person {
    password: Option<usize>,
    set_at: i64,
    one_time: bool,
    onboarded: bool,
    inactive: bool,
    locked: bool,
    auto_locked_at: Option<i64>,
    wrong: u32,
    /// The link that is good, and until when; it is counted as waiting until then.
    reset: Option<(usize, i64)>,
    welcome: Option<(usize, i64)>,
    second_factor: bool,
    deleted: bool,
    sessions_from: i64,
    signed_in_at: Option<i64>,
}

impl Person {
    fn is_auto_locked(&self, now: i64) -> bool {
        self.auto_locked_at.is_some_and(|at| now < at + LOCKED_FOR)
    }

    fn must_change(&self, now: i64) -> bool {
        self.password.is_some() && (self.one_time || now >= self.set_at + AGE)
    }

    fn status(&self, now: i64) -> pb::UserStatus {
        if self.deleted {
            pb::UserStatus::Deleted
        } else if self.inactive {
            pb::UserStatus::Inactive
        } else if self.locked {
            pb::UserStatus::LockedByAdmin
        } else if self.is_auto_locked(now) {
            pb::UserStatus::AutoLocked
        } else if self.reset.is_some_and(|(_, until)| now < until) {
            pb::UserStatus::Recovery
        } else if self.must_change(now) {
            pb::UserStatus::AwaitingNewPassword
        } else if !self.onboarded {
            pb::UserStatus::Provisioned
        } else {
            pb::UserStatus::Active
        }
    }

    fn take(&mut self, password: usize, one_time: bool, now: i64) {
        self.password = Some(password);
        self.set_at = now;
        self.one_time = one_time;
        self.wrong = 0;
        self.reset = None;
        self.sessions_from = now;
    }

    /// Whether a password that is entered now is right; none where nothing is evaluated any more.
    fn enters(&mut self, password: usize, now: i64) -> Option<bool> {
        if self.is_auto_locked(now) {
            return None;
        }
        if self.auto_locked_at.take().is_some() {
            self.wrong = 0;
        }
        if self.password == Some(password) {
            self.wrong = 0;
            return Some(true);
        }
        self.wrong += 1;
        if self.wrong >= LIMIT {
            self.auto_locked_at = Some(now);
            self.sessions_from = now;
            self.wrong = 0;
        }
        Some(false)
    }
}

/// What an answer comes to: the result of a sign-in or the reason of a refusal; nothing where it is simply done.
type Answer = Option<String>;

#[expect(clippy::unnecessary_wraps, reason = "an answer like every other")]
fn reason(name: &str) -> Answer {
    Some(name.to_owned())
}

fn refused<T>(answer: Result<T, Box<Refusal>>) -> (Option<T>, Answer) {
    match answer {
        Ok(answer) => (Some(answer), None),
        Err(refusal) => (None, Some(refusal.reason)),
    }
}

/// The service, the model beside it, and how the model's numbers are called there.
struct Both<'a> {
    directory: &'a Directory,
    acme: Tenant,
    now: i64,
    people: Vec<Person>,
    users: Vec<pb::User>,
    resets: Vec<(usize, String)>,
    welcomes: Vec<(usize, String)>,
}

impl<'a> Both<'a> {
    async fn start(directory: &'a Directory, account_id: &str) -> Self {
        let acme = Tenant::with_passwords(directory, account_id).await;
        let settings = pb::AccountSettings {
            max_failed_sign_ins: LIMIT,
            lock_duration: Some(prost_types::Duration {
                seconds: LOCKED_FOR * 60,
                nanos: 0,
            }),
            password_max_age_days: u32::try_from(AGE / 24 / 60).unwrap(),
            ..pb::AccountSettings::default()
        };
        let paths = [
            "max_failed_sign_ins",
            "lock_duration",
            "password_max_age_days",
        ];
        let update_mask = prost_types::FieldMask {
            paths: paths.map(|path| format!("settings.{path}")).to_vec(),
        };
        let request = ask!(
            acme,
            UpdateAccountSettingsRequest {
                settings,
                update_mask
            }
        );
        let mut accounts = acme.operator.accounts();
        accounts.update_account_settings(request).await.answer();
        Self {
            directory,
            acme,
            now: 0,
            people: Vec::new(),
            users: Vec::new(),
            resets: Vec::new(),
            welcomes: Vec::new(),
        }
    }

    /// Takes a step on both sides and compares what they say and show.
    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let pace = match step {
            Step::Week => TimeDelta::days(8),
            _ => PACE,
        };
        self.now += pace.num_minutes();
        self.directory.clock.advance(pace.to_std().unwrap());
        let Some((expected, said)) = self.both(step).await else {
            return Ok(());
        };
        prop_assert_eq!(&expected, &said, "{:?}: the model, and the service", step);
        self.compare(step).await
    }

    async fn both(&mut self, step: &Step) -> Option<(Answer, Answer)> {
        match *step {
            Step::Week => None,
            Step::Create(password, one_time) => Some(self.create(password, one_time).await),
            Step::FollowReset(link, password) => self.follow_reset(link, password).await,
            Step::FollowWelcome(link, password) => self.follow_welcome(link, password).await,
            Step::SignIn(who, password) => {
                let who = who.checked_rem(self.people.len())?;
                Some(self.sign_in(who, password).await)
            }
            Step::Change(who, old, new) => {
                let who = who.checked_rem(self.people.len())?;
                Some(
                    self.change(who, old, (old + 1 + new % 2) % PASSWORDS.len())
                        .await,
                )
            }
            Step::Set(who, ..)
            | Step::Reset(who)
            | Step::Resend(who)
            | Step::Lock(who)
            | Step::Unlock(who)
            | Step::Deactivate(who)
            | Step::Activate(who)
            | Step::Enroll(who)
            | Step::ClearFactor(who)
            | Step::Revoke(who)
            | Step::Delete(who) => {
                let who = who.checked_rem(self.people.len())?;
                let said = self.administer(who, step).await;
                Some((self.expect(who, step), said))
            }
        }
    }

    async fn create(&mut self, password: Option<usize>, one_time: bool) -> (Answer, Answer) {
        let user = pb::NewUser {
            password: password.map_or("", |it| PASSWORDS[it]).to_owned(),
            one_time_password: password.is_some() && one_time,
            welcome: password.is_none(),
            ..person(&format!("P{}", self.people.len()))
        };
        let created = self.acme.try_create(user).await.outcome();
        let (created, said) = refused(created);
        let who = self.people.len();
        let mut new = Person {
            onboarded: password.is_some(),
            ..Person::default()
        };
        match password {
            Some(password) => new.take(password, one_time, self.now),
            None => new.welcome = Some((self.welcomes.len(), self.now + WELCOME_FOR)),
        }
        new.sessions_from = self.now;
        self.people.push(new);
        if let Some(created) = created {
            if password.is_none() {
                self.welcomes.push((who, created.welcome_token));
            }
            self.users.push(created.user.unwrap());
        }
        (None, said)
    }

    async fn sign_in(&mut self, who: usize, password: usize) -> (Answer, Answer) {
        let said = self
            .acme
            .sign_in(&self.users[who].email, PASSWORDS[password])
            .await;
        let (now, person) = (self.now, &mut self.people[who]);
        let expected = if person.deleted {
            pb::SignInResult::Rejected
        } else {
            match person.enters(password, now) {
                None => pb::SignInResult::Locked,
                Some(false) => pb::SignInResult::Rejected,
                Some(true) if person.inactive => pb::SignInResult::Inactive,
                Some(true) if person.locked => pb::SignInResult::Locked,
                Some(true) if person.must_change(now) => pb::SignInResult::PasswordChangeRequired,
                Some(true) => {
                    person.signed_in_at = Some(now);
                    pb::SignInResult::SignedIn
                }
            }
        };
        (reason(expected.as_str_name()), reason(said.as_str_name()))
    }

    async fn change(&mut self, who: usize, old: usize, new: usize) -> (Answer, Answer) {
        let request = ask!(
            self.acme,
            ChangePasswordRequest {
                user_id: &self.users[who].user_id,
                present_password: PASSWORDS[old],
                password: PASSWORDS[new],
            }
        );
        let mut credentials = self.acme.portal.credentials();
        let (_, said) = refused(credentials.change_password(request).await.outcome());
        let (now, person) = (self.now, &mut self.people[who]);
        if person.deleted {
            return (reason("USER_DELETED"), said);
        }
        let expected = match person.enters(old, now) {
            None => reason("TOO_MANY_ATTEMPTS"),
            Some(false) => reason("PASSWORD_WRONG"),
            Some(true) => {
                person.take(new, false, now);
                None
            }
        };
        (expected, said)
    }

    async fn follow_reset(&mut self, link: usize, password: usize) -> Option<(Answer, Answer)> {
        let link = link.checked_rem(self.resets.len())?;
        let (who, token) = self.resets[link].clone();
        let request = pb::CompletePasswordResetRequest {
            token,
            password: PASSWORDS[password].to_owned(),
            ..Default::default()
        };
        let mut credentials = self.acme.portal.credentials();
        let (_, said) = refused(credentials.complete_password_reset(request).await.outcome());
        let (now, person) = (self.now, &mut self.people[who]);
        let expected = match person.reset {
            Some((good, until)) if good == link && !person.deleted => {
                if now < until {
                    person.take(password, false, now);
                    None
                } else {
                    reason("LINK_EXPIRED")
                }
            }
            _ => reason("LINK_NOT_FOUND"),
        };
        Some((expected, said))
    }

    async fn follow_welcome(&mut self, link: usize, password: usize) -> Option<(Answer, Answer)> {
        let link = link.checked_rem(self.welcomes.len())?;
        let (who, token) = self.welcomes[link].clone();
        let request = pb::CompleteWelcomeRequest {
            token,
            password: PASSWORDS[password].to_owned(),
            ..Default::default()
        };
        let mut credentials = self.acme.portal.credentials();
        let (_, said) = refused(credentials.complete_welcome(request).await.outcome());
        let (now, person) = (self.now, &mut self.people[who]);
        let expected = match person.welcome {
            Some((good, until)) if good == link && !person.onboarded && !person.deleted => {
                if now < until {
                    person.take(password, false, now);
                    person.onboarded = true;
                    None
                } else {
                    reason("LINK_EXPIRED")
                }
            }
            _ => reason("LINK_NOT_FOUND"),
        };
        Some((expected, said))
    }

    /// A step of the administrator, at the service.
    async fn administer(&mut self, who: usize, step: &Step) -> Answer {
        let acme = &self.acme;
        let user_id = self.users[who].user_id.as_str();
        let (mut users, mut credentials) = (acme.admin.users(), acme.admin.credentials());
        match *step {
            Step::Set(_, password, one_time) => {
                let request = ask!(
                    acme,
                    SetPasswordRequest {
                        user_id,
                        password: PASSWORDS[password],
                        one_time,
                        administrator_password: rollbook_tests::people::PASSWORD,
                    }
                );
                refused(credentials.set_password(request).await.outcome()).1
            }
            Step::Reset(_) => {
                let key = pb::request_password_reset_request::Key::UserId(user_id.to_owned());
                let request = ask!(acme, RequestPasswordResetRequest { key: Some(key) });
                let answer = credentials.request_password_reset(request).await;
                let (answer, said) = refused(answer.outcome());
                self.resets.extend(answer.map(|answer| (who, answer.token)));
                said
            }
            Step::Resend(_) => {
                let request = ask!(acme, ResendWelcomeRequest { user_id });
                let (answer, said) = refused(users.resend_welcome(request).await.outcome());
                let sent = answer.map(|answer| (who, answer.welcome_token));
                self.welcomes.extend(sent);
                said
            }
            Step::Lock(_) => {
                let request = ask!(acme, LockUserRequest { user_id });
                refused(users.lock_user(request).await.outcome()).1
            }
            Step::Unlock(_) => {
                let request = ask!(acme, UnlockUserRequest { user_id });
                refused(users.unlock_user(request).await.outcome()).1
            }
            Step::Deactivate(_) => {
                let request = ask!(acme, DeactivateUserRequest { user_id });
                refused(users.deactivate_user(request).await.outcome()).1
            }
            Step::Activate(_) => {
                let request = ask!(acme, ActivateUserRequest { user_id });
                refused(users.activate_user(request).await.outcome()).1
            }
            Step::Enroll(_) => {
                let request = ask!(acme, ReportMfaEnrolledRequest { user_id });
                let mut credentials = acme.service.credentials();
                refused(credentials.report_mfa_enrolled(request).await.outcome()).1
            }
            Step::ClearFactor(_) => {
                let request = ask!(acme, ResetMfaRequest { user_id });
                refused(credentials.reset_mfa(request).await.outcome()).1
            }
            Step::Revoke(_) => {
                let request = ask!(acme, RevokeSessionsRequest { user_id });
                refused(credentials.revoke_sessions(request).await.outcome()).1
            }
            Step::Delete(_) => {
                let request = ask!(acme, DeleteUserRequest { user_id });
                refused(users.delete_user(request).await.outcome()).1
            }
            _ => unreachable!("{step:?} is no step of an administrator"),
        }
    }

    /// What the model says of it.
    fn expect(&mut self, who: usize, step: &Step) -> Answer {
        let (now, resets, welcomes) = (self.now, self.resets.len(), self.welcomes.len());
        let person = &mut self.people[who];
        if person.deleted {
            return (!matches!(step, Step::Delete(_))).then(|| "USER_DELETED".to_owned());
        }
        match *step {
            Step::Set(_, password, one_time) => {
                person.take(password, one_time, now);
                person.onboarded = true;
            }
            Step::Reset(_) if !person.onboarded => return reason("NOT_ONBOARDED"),
            Step::Reset(_) => person.reset = Some((resets.saturating_sub(1), now + RESET_FOR)),
            Step::Resend(_) if person.onboarded => return reason("ONBOARDED"),
            Step::Resend(_) => {
                person.welcome = Some((welcomes.saturating_sub(1), now + WELCOME_FOR));
            }
            Step::Lock(_) if !person.locked => {
                person.locked = true;
                person.sessions_from = now;
            }
            Step::Unlock(_)
                if person.locked || person.auto_locked_at.is_some() || person.wrong > 0 =>
            {
                person.locked = false;
                person.auto_locked_at = None;
                person.wrong = 0;
            }
            Step::Deactivate(_) if !person.inactive => {
                person.inactive = true;
                person.sessions_from = now;
            }
            Step::Activate(_) => person.inactive = false,
            Step::Enroll(_) => person.second_factor = true,
            Step::ClearFactor(_) => person.second_factor = false,
            Step::Revoke(_) => person.sessions_from = now,
            Step::Delete(_) => person.deleted = true,
            _ => {}
        }
        None
    }

    /// Compares everybody as single reads show them.
    async fn compare(&self, step: &Step) -> Result<(), TestCaseError> {
        let start = self.directory.clock.now() - TimeDelta::minutes(self.now);
        let minutes = |time: &Option<prost_types::Timestamp>| {
            time.as_ref().map(|time| {
                let since = time.seconds - start.timestamp();
                Duration::from_secs(u64::try_from(since).unwrap_or_default()).as_secs_f64() / 60.0
            })
        };
        for (person, user) in self.people.iter().zip(&self.users) {
            let shown = self.acme.get(&user.user_id).await;
            prop_assert_eq!(
                shown.status(),
                person.status(self.now),
                "{:?} {:?}",
                step,
                person
            );
            if person.deleted {
                continue;
            }
            prop_assert_eq!(shown.mfa_enrolled, person.second_factor, "{:?}", step);
            let near = |shown: Option<f64>, expected: Option<i64>| match (shown, expected) {
                (Some(shown), Some(expected)) => {
                    #[expect(clippy::cast_precision_loss, reason = "minutes of a few weeks")]
                    let expected = expected as f64;
                    (shown - expected).abs() < 15.0
                }
                (None, None) => true,
                _ => false,
            };
            let sessions = minutes(&shown.sessions_valid_from);
            prop_assert!(
                near(sessions, Some(person.sessions_from)),
                "{:?}: {:?} {:?}",
                step,
                sessions,
                person
            );
            let signed_in = minutes(&shown.last_signed_in_at);
            prop_assert!(
                near(signed_in, person.signed_in_at),
                "{:?}: {:?} {:?}",
                step,
                signed_in,
                person
            );
        }
        Ok(())
    }
}

fn live(home: Home, cases: u32) {
    let steps = prop::collection::vec(step(), 1..50);
    live_through(home, cases, steps, &async |directory, account_id, steps| {
        let mut both = Both::start(directory, account_id).await;
        for step in steps {
            both.take(step).await?;
        }
        Ok(())
    });
}

#[test]
fn passwords_links_and_locks_go_as_in_a_model_embedded() {
    live(Home::Embedded, 12);
}

#[test]
fn passwords_links_and_locks_go_as_in_a_model_postgres() {
    live(Home::Postgres, 8);
}
