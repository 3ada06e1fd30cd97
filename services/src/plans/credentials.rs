//! Passwords, links and sign-ins.

use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{
    Entry, ExpireLock, Link, ReportSignIn, RequestPasswordReset, ResendWelcome, UnlockUser, User,
};
use rollbook_aggregates::values::UserId;
use rollbook_eventstore::{SideRow, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Hashed, OnUser, UserOutcome};
use crate::executor::attempts::{self, Proven};
use crate::executor::{Plan, Unit};
use crate::failure::Outcome;
use crate::passwords;
use crate::tokens;

/// A command that gives a user a password.
pub struct PasswordPlan<C> {
    /// The user and the command.
    pub on: OnUser<C>,
    /// The password, where one is given.
    pub hashed: Hashed,
    /// Who proved another password with it.
    pub proven_by: Option<UserId>,
}

impl<C> Plan for PasswordPlan<C>
where
    C: Decide<Aggregate = User> + Clone + Send + Sync,
{
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let outcome = self.on.decide(unit).await?;
        if unit.is_refused() {
            return Ok(outcome);
        }
        let user = unit.load::<User>(&self.on.user.to_string()).await?;
        if let Some(person) = user.person() {
            self.hashed.must_suit(person)?;
        }
        self.hashed.keep(unit, self.on.user).await?;
        if let Some(who) = self.proven_by {
            unit.set_aside(attempts::no_attempts(who));
        }
        Ok(outcome)
    }
}

/// Lifts the locks of a user, and forgets the wrong passwords of the row that it is in.
pub struct UnlockPlan(pub OnUser<UnlockUser>);

impl Plan for UnlockPlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let outcome = self.0.decide(unit).await?;
        unit.set_aside(attempts::no_attempts(self.0.user));
        Ok(outcome)
    }
}

/// Lets somebody in who has proven to be a user, or says what keeps it out.
pub struct SignInPlan {
    /// Who.
    pub user: UserId,
    /// What it proved.
    pub proven: Proven,
}

/// What became of a sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignInOutcome {
    /// What becomes of the user; nothing where the attempt failed, or its password is another one by now.
    pub entry: Option<Entry>,
    /// The user.
    pub user: UserOutcome,
}

impl Plan for SignInPlan {
    type Outcome = SignInOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<SignInOutcome> {
        let id = self.user.to_string();
        let account = unit.account().await?;
        let user = unit.load::<User>(&id).await?;
        let proven = user
            .person()
            .filter(|person| person.credentials().password_set_at() == self.proven.set_at);
        let entry = proven.map(|person| person.entry(account.settings(), unit.now));
        if entry.is_some() {
            unit.decide(&id, ExpireLock).await?;
            unit.set_aside(attempts::no_attempts(self.user));
            if let Some(hash) = &self.proven.better_hash {
                let stream = StreamId::new(<User as cqrs_es::Aggregate>::TYPE, id.as_str());
                unit.keep_secret(stream, passwords::SIDE_ROW, hash.clone());
            }
        }
        if entry == Some(Entry::SignedIn) {
            unit.tell_sign_in(self.user)?;
        }
        Ok(SignInOutcome {
            entry,
            user: outcome(unit, self.user),
        })
    }
}

/// Takes a report of a sign-in that was checked elsewhere.
pub struct ReportSignInPlan(pub OnUser<ReportSignIn>);

impl Plan for ReportSignInPlan {
    type Outcome = SignInOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<SignInOutcome> {
        let user = self.0.decide(unit).await?;
        let account = unit.account().await?;
        let state = unit.load::<User>(&user.user.to_string()).await?;
        let entry = state
            .person()
            .map(|person| person.entry(account.settings(), unit.now));
        let is_locked = attempts::is_locked(&account, &state, unit.now);
        let entry = match state.person() {
            Some(_) if self.0.command.succeeded => {
                unit.set_aside(attempts::no_attempts(user.user));
                if entry == Some(Entry::SignedIn) {
                    unit.tell_sign_in(user.user)?;
                }
                entry
            }
            Some(person) if !is_locked => {
                unit.take_slot(attempts::attempt_of(&account, person));
                None
            }
            Some(_) => Some(Entry::Locked),
            None => None,
        };
        Ok(SignInOutcome { entry, user })
    }
}

/// Sends a reset link.
pub struct RequestResetPlan(pub UserId);

/// A reset link that was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkOutcome {
    /// Whose.
    pub user: UserOutcome,
    /// How many were sent, with it.
    pub issue: u32,
    /// Whether it went by mail.
    #[serde(default)]
    pub by_mail: bool,
}

impl Plan for RequestResetPlan {
    type Outcome = LinkOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<LinkOutcome> {
        let user = unit.load::<User>(&self.0.to_string()).await?;
        let resets = user
            .person()
            .map_or(0, |person| person.credentials().resets());
        let issue = resets.saturating_add(1);
        let executor = unit.executor();
        let link = Link {
            token_digest: tokens::reset(&executor.log, self.0, issue).digest(),
            by_mail: executor.mail,
        };
        let on = OnUser {
            user: self.0,
            command: RequestPasswordReset { link },
        };
        let user = on.decide(unit).await?;
        Ok(LinkOutcome {
            user,
            issue,
            by_mail: link.by_mail,
        })
    }
}

/// Sends nobody a link, with the same steps; answers who nobody is, and whether the link would have gone by mail.
pub struct ResetNobodyPlan(pub Uuid);

impl Plan for ResetNobodyPlan {
    type Outcome = (Uuid, bool);

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<(Uuid, bool)> {
        unit.account().await?;
        unit.load::<User>(&self.0.to_string()).await?;
        unit.set_aside(SideRow {
            stream: attempts::nobodys_stream(&unit.order().account_id),
            kind: "reset".to_owned(),
            value: Some(self.0.as_bytes().to_vec()),
        });
        Ok((self.0, unit.executor().mail))
    }
}

/// Sends a welcome link again.
pub struct ResendWelcomePlan(pub UserId);

impl Plan for ResendWelcomePlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        let user = unit.load::<User>(&self.0.to_string()).await?;
        let welcome = user
            .person()
            .and_then(|person| person.credentials().welcome());
        let issue = welcome.map_or(0, |welcome| welcome.issue).saturating_add(1);
        let executor = unit.executor();
        let link = Link {
            token_digest: tokens::welcome(&executor.log, self.0, issue).digest(),
            by_mail: executor.mail,
        };
        let on = OnUser {
            user: self.0,
            command: ResendWelcome { link },
        };
        on.decide(unit).await
    }
}

fn outcome(unit: &Unit<'_>, user: UserId) -> UserOutcome {
    UserOutcome {
        user,
        revision: unit.revision::<User>(&user.to_string()),
    }
}
