//! The way of a command: load the aggregates, ask `decide`, hand one append to the log, answer with what is there afterwards.
//!
//! What is loaded may come from the cache of hot aggregates. The commit checks that none of it has moved, and a refusal that was
//! decided on cached state is decided again on fresh state, so the cache can never make an answer a lie.

pub mod attempts;
mod rows;
mod states;
mod turns;
mod unit;

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rollbook_aggregates::FORM;
use rollbook_aggregates::access::{Access, AccessKey};
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::{Claim, Context, Reason};
use rollbook_aggregates::invitation::Invitation;
use rollbook_aggregates::invoice::Invoice;
use rollbook_aggregates::mail::Mail;
use rollbook_aggregates::upcasters::upcasters;
use rollbook_aggregates::user::{Blocker, ExpireLock, User, deletion_blockers, deletion_reads};
use rollbook_aggregates::values::{AccountId, ReasonText, UserId};
use rollbook_eventstore::{
    Append, AppendError, Clock, Hot, Log, Metadata, RecordedEvent, Repeated, Repository, Request,
    SlotTaken, Snapshots, Violation,
};
use rollbook_projections::MakeSnapshot;
use rollbook_proto::v1::ErrorReason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::caller::Caller;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::passwords::Hasher;
use crate::plans::OnUser;

pub use states::{States, Stored};
use turns::{Turn, Turns};
use unit::How;
pub use unit::{Unit, account_not_found, not_acting, sessions_ended};

/// How often a command is decided anew because what it rests on moved.
const ATTEMPTS: usize = 100;
/// How many aggregates of each kind are kept hot.
const HOT: u64 = 100_000;

/// Runs commands.
#[derive(Clone)]
pub struct Executor {
    /// The log.
    pub log: Log,
    /// The time that rules judge by.
    pub clock: Clock,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Whether links are sent by mail, so that no caller gets their tokens.
    pub mail: bool,
    gates: attempts::Gates,
    turns: Turns,
    accounts: Repository<Account>,
    users: Repository<User>,
    accesses: Repository<Access>,
    invitations: Repository<Invitation>,
    invoices: Repository<Invoice>,
    mails: Repository<Mail>,
}

/// What every command carries beside its own content.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Makes a repeat safe.
    pub request_id: Option<Uuid>,
    /// The revision the resource must have; 0: any.
    pub expected_revision: u64,
    /// Commits nothing.
    pub validate_only: bool,
    /// Why it is done.
    pub reason: Option<ReasonText>,
}

/// A command as it came: by whom, for which account, with what.
#[derive(Debug)]
pub struct Order {
    /// What the gate found out.
    pub call: Call,
    /// The account it is for.
    pub account_id: AccountId,
    /// What it carries.
    pub options: Options,
    /// A keyed digest of its content.
    pub digest: [u8; 32],
}

impl Order {
    /// One that the service gives itself, when nobody asks.
    #[must_use]
    pub fn of_the_service(account_id: AccountId, clock: &Clock) -> Self {
        Self {
            call: Call {
                caller: Arc::new(Caller::service_itself(clock.now())),
                deadline: None,
                trace_id: None,
            },
            account_id,
            options: Options::default(),
            digest: [0; 32],
        }
    }
}

/// What a command plans to commit. It may be asked several times, each time on newer state.
pub trait Plan: Send + Sync {
    /// What tells the answer later, on a repeat too. Without personal data: it is stored with the request id.
    type Outcome: Serialize + DeserializeOwned + Send;

    /// Decides, and stages what is to be committed.
    fn plan(&self, unit: &mut Unit<'_>) -> impl Future<Output = Outcome<Self::Outcome>> + Send;
}

/// A command that was carried out.
pub struct Done<T> {
    /// What tells the answer.
    pub outcome: T,
    /// The last position of the commit; 0 where nothing was to be committed.
    pub position: u64,
    /// What became of the slots it took; empty for a repeat.
    pub slots: Vec<SlotTaken>,
    /// The aggregates it touched, as they are after the commit; empty for a repeat.
    pub states: States,
}

/// What became of one attempt.
enum Attempt<T> {
    Done(Done<T>),
    Refused(Failure),
    Again,
}

impl Executor {
    /// One that runs commands on this log.
    #[must_use]
    pub fn new(log: Log, clock: Clock, hasher: Hasher) -> Self {
        Self {
            accounts: stored(&log),
            users: stored(&log),
            accesses: stored(&log),
            invitations: stored(&log),
            invoices: stored(&log),
            mails: stored(&log),
            log,
            clock,
            hasher,
            mail: false,
            gates: attempts::Gates::default(),
            turns: Turns::default(),
        }
    }

    /// The same, which loads users from snapshots where there are some.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<dyn Snapshots>) -> Self {
        Self {
            users: self.users.with_snapshots(snapshots, FORM),
            ..self
        }
    }

    /// What makes a snapshot of a user, and keeps it.
    #[must_use]
    pub fn snapshots_of_users(&self) -> MakeSnapshot {
        let users = self.users.clone();
        Arc::new(move |stream| {
            let users = users.clone();
            async move { users.snapshot(&stream.aggregate_id).await }.boxed()
        })
    }

    /// The same, with links sent by mail or told to the caller.
    #[must_use]
    pub fn sending_mail(mut self, mail: bool) -> Self {
        self.mail = mail;
        self
    }

    /// Carries a command out, or says why not.
    ///
    /// # Errors
    /// The refusal of the domain, a mismatch of revisions, a reused request id, or that the log cannot take it.
    pub async fn run<P: Plan>(&self, order: &Order, plan: &P) -> Outcome<Done<P::Outcome>> {
        let dry = order.options.validate_only;
        self.carry_out(order, plan, dry).await
    }

    /// Says why a command would be refused, and commits nothing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn dry_run<P: Plan>(&self, order: &Order, plan: &P) -> Outcome<()> {
        self.carry_out(order, plan, true).await.map(drop)
    }

    async fn carry_out<P: Plan>(
        &self,
        order: &Order,
        plan: &P,
        dry: bool,
    ) -> Outcome<Done<P::Outcome>> {
        let mut how = How { fresh: false, dry };
        let mut turn = self.turns.for_command();
        let mut looked_again = false;
        for _ in 0..ATTEMPTS {
            let mut unit = Unit::new(self, order, how);
            match self.attempt(&mut unit, plan, &mut turn).await? {
                Attempt::Done(done) => return Ok(done),
                Attempt::Again => {}
                Attempt::Refused(failure) if unit.rests_on_cache() => {
                    tracing::trace!(reason = failure.reason(), "refused on cached state");
                }
                Attempt::Refused(failure) if self.lift_of(order, &failure).await? => {}
                // Somebody else may have recorded the end of a lock after the refusal and before the look.
                Attempt::Refused(failure) if !looked_again && wants_administrator(&failure) => {
                    looked_again = true;
                }
                Attempt::Refused(failure) => {
                    return match self.repeated::<P>(order).await? {
                        Some(done) => Ok(done),
                        None => Err(failure),
                    };
                }
            }
            how.fresh = true;
        }
        Err(Failure::contention())
    }

    async fn attempt<P: Plan>(
        &self,
        unit: &mut Unit<'_>,
        plan: &P,
        turn: &mut Turn,
    ) -> Outcome<Attempt<P::Outcome>> {
        match self.planned(unit, plan).await {
            Ok(outcome) if !unit.commits() => self.check(unit, outcome).await,
            Ok(outcome) => self.commit(unit, outcome, turn).await,
            Err(failure) => Ok(Attempt::Refused(failure)),
        }
    }

    async fn planned<P: Plan>(&self, unit: &mut Unit<'_>, plan: &P) -> Outcome<P::Outcome> {
        unit.authorise().await?;
        let outcome = plan.plan(unit).await?;
        unit.end_sessions_elsewhere().await?;
        Ok(outcome)
    }

    async fn check<T>(&self, unit: &mut Unit<'_>, outcome: T) -> Outcome<Attempt<T>> {
        let (streams, require) = unit.checks();
        match self.log.check(streams, require).await {
            Ok(_) => Ok(match unit.take_refusal() {
                Some(failure) => Attempt::Refused(failure),
                None => Attempt::Done(Done {
                    outcome,
                    position: 0,
                    slots: Vec::new(),
                    states: unit.take_states(),
                }),
            }),
            Err(error) => unwritten(unit, error),
        }
    }

    async fn commit<T>(
        &self,
        unit: &mut Unit<'_>,
        outcome: T,
        turn: &mut Turn,
    ) -> Outcome<Attempt<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let append = append_of(unit, &outcome)?;
        turn.come(&append).await;
        match self.log.append(append).await {
            Ok(appended) => {
                let mut states = unit.take_states();
                states.committed(self, appended.recorded_at);
                Ok(match unit.take_refusal() {
                    Some(failure) => Attempt::Refused(failure),
                    None => Attempt::Done(Done {
                        outcome,
                        position: appended.last_position,
                        slots: appended.slots,
                        states,
                    }),
                })
            }
            Err(AppendError::Repeated(repeated)) => again(&repeated).map(Attempt::Done),
            Err(error) => unwritten(unit, error),
        }
    }

    /// Whether a command was refused for want of an administrator while the lock of one is over by the clock; that is recorded
    /// now.
    fn lift_of<'a>(
        &'a self,
        order: &'a Order,
        failure: &'a Failure,
    ) -> BoxFuture<'a, Outcome<bool>> {
        Box::pin(async move {
            let wanting = [
                Reason::LastAdministrator,
                Reason::NotAdministrator,
                Reason::UserStillNeeded,
            ];
            if !wanting
                .iter()
                .any(|reason| reason.as_str() == failure.reason())
            {
                return Ok(false);
            }
            let claim = rows::claim(&order.account_id, &Claim::LockedAdministrator);
            let mut lifted = false;
            for holders in self.log.holders(&[claim]).await? {
                for id in &holders.owners {
                    let (user, _) = self.fresh::<User>(id).await?;
                    lifted |= self.lift(&user).await?;
                }
            }
            Ok(lifted)
        })
    }

    /// Records that a user's lock is over by the clock, where it is.
    fn lift<'a>(&'a self, user: &'a User) -> BoxFuture<'a, Outcome<bool>> {
        Box::pin(async move {
            let Some(person) = user.person() else {
                return Ok(false);
            };
            let account_id = person.account_id();
            let (account, _) = self.fresh::<Account>(account_id.as_str()).await?;
            let over = person.facets().lock_expires_at(account.settings());
            if over.is_none_or(|time| time > self.clock.now()) {
                return Ok(false);
            }
            let order = Order::of_the_service(account_id.clone(), &self.clock);
            let expire = OnUser {
                user: person.id(),
                command: ExpireLock,
            };
            self.run(&order, &expire).await?;
            Ok(true)
        })
    }

    /// The answer of the same command, where it was carried out before.
    ///
    /// # Errors
    /// When the request id was used for another command, or the log cannot be read.
    pub async fn repeated<P: Plan>(&self, order: &Order) -> Outcome<Option<Done<P::Outcome>>> {
        let Some(request_id) = order.options.request_id else {
            return Ok(None);
        };
        let account = order.account_id.as_str();
        match self.log.repeated(account, request_id, order.digest).await {
            Ok(None) => Ok(None),
            Ok(Some(repeated)) => again(&repeated).map(Some),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller, where it is a user, may act as what its token says, before anything of the call is looked at.
    ///
    /// # Errors
    /// `NOT_ADMINISTRATOR`, `NOT_ALLOWED` or `SESSIONS_ENDED`.
    pub async fn authorise(&self, caller: &Caller) -> Outcome<()> {
        let Some(id) = caller.user() else {
            return Ok(());
        };
        let id = id.to_string();
        let user = self.users.get(&id).await?;
        let access = match unit::foreign(caller, &user.state) {
            Some(key) => Some(self.accesses.get(&key.to_string()).await?),
            None => None,
        };
        let cached = user.cached || access.as_ref().is_some_and(|hot| hot.cached);
        match unit::acting(caller, &user.state, access.as_ref().map(|hot| &*hot.state)) {
            Err(_) if cached || user.state.person().is_some() => {
                self.authorise_afresh(caller, &id).await
            }
            answer => answer.map(drop),
        }
    }

    async fn authorise_afresh(&self, caller: &Caller, id: &str) -> Outcome<()> {
        let mut user = self.users.fresh(id).await?.state;
        if self.lift(&user).await? {
            user = self.users.fresh(id).await?.state;
        }
        let access = match unit::foreign(caller, &user) {
            Some(key) => Some(self.accesses.fresh(&key.to_string()).await?.state),
            None => None,
        };
        unit::acting(caller, &user, access.as_deref()).map(drop)
    }

    /// An aggregate as it was at a revision.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn at<A: Stored>(&self, id: &str, revision: u64) -> Outcome<Arc<A>> {
        Ok(A::repository(self).at(id, revision).await?.state)
    }

    /// Aggregates as they were at a position, each with its revision then, folded from the log itself.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn as_of<A: Stored>(
        &self,
        ids: &[&str],
        position: u64,
    ) -> Outcome<Vec<(Arc<A>, u64)>> {
        let found = A::repository(self).as_of(ids, position).await?;
        Ok(found
            .into_iter()
            .map(|hot| (hot.state, hot.revision))
            .collect())
    }

    /// An aggregate after an event that follows it.
    ///
    /// # Errors
    /// When the event does not follow it.
    pub fn after<A: Stored>(&self, hot: &Hot<A>, event: &RecordedEvent) -> Outcome<Hot<A>> {
        Ok(A::repository(self).after(hot, [event])?)
    }

    /// An aggregate as it is now, with its revision.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn fresh<A: Stored>(&self, id: &str) -> Outcome<(Arc<A>, u64)> {
        let hot = A::repository(self).fresh(id).await?;
        Ok((hot.state, hot.revision))
    }

    /// An aggregate at this revision or a later one, with its revision.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn at_least<A: Stored>(&self, id: &str, revision: u64) -> Outcome<(Arc<A>, u64)> {
        let hot = A::repository(self).get(id).await?;
        if hot.revision >= revision {
            Ok((hot.state, hot.revision))
        } else {
            self.fresh(id).await
        }
    }

    /// Everything that stands against deleting a user now.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn deletion_blockers(&self, order: &Order, user: UserId) -> Outcome<Vec<Blocker>> {
        let mut unit = Unit::new(
            self,
            order,
            How {
                fresh: true,
                dry: true,
            },
        );
        unit.authorise().await?;
        let account = unit.account().await?;
        let user = unit.load::<User>(&user.to_string()).await?;
        let facts = unit.facts(deletion_reads(&user)).await?;
        let ctx = Context {
            actor: &unit.actor,
            now: unit.now,
            account: &account,
            facts: &facts,
        };
        deletion_blockers(&ctx, &user).map_err(|error| Failure::refused(&error))
    }
}

/// The stream of the access of a user to an account.
#[must_use]
pub fn access_id(account: &AccountId, user: UserId) -> String {
    let key = AccessKey {
        account_id: account.clone(),
        user_id: user,
    };
    key.to_string()
}

/// A new id, a UUID of version 7.
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

fn stored<A: Stored>(log: &Log) -> Repository<A> {
    Repository::new(log.clone(), upcasters(A::TYPE), HOT, A::guards_of)
}

/// Whether a command was refused for want of an administrator, alone or among other reasons.
fn wants_administrator(failure: &Failure) -> bool {
    let last = Reason::LastAdministrator.as_str();
    let mut violations = failure.violations().iter();
    [last, Reason::NotAdministrator.as_str()].contains(&failure.reason())
        || violations.any(|violation| violation.r#type == last)
}

fn append_of<T: Serialize>(unit: &mut Unit<'_>, outcome: &T) -> Outcome<Append> {
    let order = unit.order();
    // A command that is refused although it commits (it met an expiry) is decided again on a repeat.
    let request = match order.options.request_id {
        Some(request_id) if !unit.is_refused() => Some(Request {
            account_id: order.account_id.to_string(),
            request_id,
            digest: order.digest,
            outcome: serde_json::to_vec(outcome)
                .map_err(|_| Failure::new(ErrorReason::TooLarge, "the answer is too large"))?,
        }),
        Some(_) | None => None,
    };
    unit.append(request, metadata_of(order))
}

fn again<T: DeserializeOwned>(repeated: &Repeated) -> Outcome<Done<T>> {
    let outcome = serde_json::from_slice(&repeated.outcome).map_err(|_| {
        Failure::new(
            ErrorReason::RequestIdReused,
            "the request id was used for another command",
        )
    })?;
    Ok(Done {
        outcome,
        position: repeated.last_position,
        slots: Vec::new(),
        states: States::default(),
    })
}

fn unwritten<T>(unit: &Unit<'_>, error: AppendError) -> Outcome<Attempt<T>> {
    match error {
        AppendError::Conflict(_) => Ok(Attempt::Again),
        AppendError::Refused(violations) => Ok(refused_by(unit, &violations)),
        other => Err(other.into()),
    }
}

/// The refusal that the violated requirements turn into, or that it must be decided anew.
fn refused_by<T>(unit: &Unit<'_>, violations: &[Violation]) -> Attempt<T> {
    match violations
        .iter()
        .find_map(|violation| unit.refusal_of(violation))
    {
        Some(failure) => Attempt::Refused(failure),
        None => Attempt::Again,
    }
}

fn metadata_of(order: &Order) -> Metadata {
    Metadata {
        actor: order.call.caller.actor.to_string(),
        service: order.call.caller.service.clone(),
        request_id: order.options.request_id.map(|id| id.to_string()),
        trace_id: order.call.trace_id.clone(),
        reason: order
            .options
            .reason
            .as_ref()
            .map(|reason| reason.as_str().to_owned()),
    }
}
