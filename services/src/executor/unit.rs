//! One unit of work: what a command has loaded and what it stages, until it becomes one append.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollbook_aggregates::access::{Access, AccessKey, EndExternalSessions};
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::{
    Actor, Claim, Context, Decide, Facts, Held, Holders, Reads, Recorded, Requires, Timestamp,
};
use rollbook_aggregates::signin::{self, SignInEvent, SignedIn};
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{AccountId, UserId, UserType};
use rollbook_eventstore::{
    Append, HeldClaim, Metadata, NewEvent, Request, Requirement, SideRow, Slot, StreamId, Told,
    Violation,
};
use rollbook_proto::v1::ErrorReason;

use super::states::{Staged, States, Stored};
use super::{Executor, Order, access_id, rows};
use crate::caller::Caller;
use crate::failure::{Failure, Outcome};

/// The most users that one command may change.
const MOST_USERS: u32 = 50_000;

type Refuses = Box<dyn Fn(&Holders) -> Option<Failure> + Send + Sync>;

/// How a unit of work is done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Whether nothing that is remembered will do.
    pub(super) fresh: bool,
    /// Whether nothing is committed.
    pub(super) dry: bool,
}

/// One unit of work.
pub struct Unit<'a> {
    executor: &'a Executor,
    order: &'a Order,
    how: How,
    rests_on_cache: bool,
    /// When it is decided.
    pub now: Timestamp,
    /// Who acts: what the token says, once it is known whether a user who acts is at home in the account.
    pub actor: Actor,
    states: States,
    require: Vec<(Requirement, Refuses)>,
    release: Vec<HeldClaim>,
    take: Vec<HeldClaim>,
    side: Vec<SideRow>,
    slots: Vec<Slot>,
    told: Vec<Told>,
    refused: Option<Failure>,
    decide_anew: bool,
}

impl<'a> Unit<'a> {
    pub(super) fn new(executor: &'a Executor, order: &'a Order, how: How) -> Self {
        Self {
            executor,
            order,
            how,
            rests_on_cache: false,
            now: executor.clock.now(),
            actor: order.call.caller.actor.clone(),
            states: States::default(),
            require: Vec::new(),
            release: Vec::new(),
            take: Vec::new(),
            side: Vec::new(),
            slots: Vec::new(),
            told: Vec::new(),
            refused: None,
            decide_anew: false,
        }
    }

    /// The command as it came.
    #[must_use]
    pub const fn order(&self) -> &'a Order {
        self.order
    }

    /// Whether what is staged is to be committed.
    #[must_use]
    pub const fn commits(&self) -> bool {
        !self.how.dry
    }

    /// What runs it.
    #[must_use]
    pub const fn executor(&self) -> &'a Executor {
        self.executor
    }

    /// Whether the caller, where it is a user, still is what its token says, on a token newer than its sessions (R68).
    pub(super) async fn authorise(&mut self) -> Outcome<()> {
        let caller = Arc::clone(&self.order.call.caller);
        let Some(id) = caller.user() else {
            return Ok(());
        };
        let user = self.load::<User>(&id.to_string()).await?;
        let access = match foreign(&caller, &user) {
            Some(key) => Some(self.load::<Access>(&key.to_string()).await?),
            None => None,
        };
        self.actor = acting(&caller, &user, access.as_deref())?;
        Ok(())
    }

    /// An aggregate with what is staged; what does not exist is its default. The commit checks that it did not move.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn load<A: Stored>(&mut self, id: &str) -> Outcome<Arc<A>> {
        if let Some(staged) = A::staged(&self.states).get(id) {
            return Ok(Arc::clone(&staged.state));
        }
        let repository = A::repository(self.executor);
        let hot = if self.how.fresh {
            repository.fresh(id).await?
        } else {
            repository.get(id).await?
        };
        self.rests_on_cache |= hot.cached;
        let staged = Staged::new(Arc::clone(&hot.state), hot.revision);
        A::staged_mut(&mut self.states).insert(id.to_owned(), staged);
        Ok(hot.state)
    }

    /// Loads many at once, so that each is there when it is asked for.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn load_all<A: Stored>(&mut self, ids: &[String]) -> Outcome<()> {
        let staged = A::staged(&self.states);
        let missing = ids.iter().map(String::as_str);
        let missing: Vec<&str> = missing.filter(|id| !staged.contains_key(*id)).collect();
        let repository = A::repository(self.executor);
        let hot = if self.how.fresh {
            repository.fresh_many(&missing).await?
        } else {
            repository.get_many(&missing).await?
        };
        for (id, hot) in missing.into_iter().zip(hot) {
            self.rests_on_cache |= hot.cached;
            let staged = Staged::new(hot.state, hot.revision);
            A::staged_mut(&mut self.states).insert(id.to_owned(), staged);
        }
        Ok(())
    }

    /// An aggregate that is about to be made under an id made just now, so that there is nothing to load.
    pub fn make<A: Stored>(&mut self, id: &str) {
        let staged = Staged::new(Arc::new(A::default()), 0);
        A::staged_mut(&mut self.states)
            .entry(id.to_owned())
            .or_insert(staged);
    }

    /// The account of the command.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND` when there is none.
    pub async fn account(&mut self) -> Outcome<Arc<Account>> {
        let account = self.load::<Account>(self.order.account_id.as_str()).await?;
        if account.id().is_some() {
            Ok(account)
        } else {
            Err(account_not_found())
        }
    }

    /// Refuses when the resource has not the revision that the caller expects.
    ///
    /// # Errors
    /// `REVISION_MISMATCH`.
    pub fn expect_revision<A: Stored>(&self, id: &str) -> Outcome<()> {
        let expected = self.order.options.expected_revision;
        let actual = A::staged(&self.states).get(id).map_or(0, |s| s.loaded);
        if expected == 0 || expected == actual {
            Ok(())
        } else {
            Err(Failure::revision_mismatch(expected, actual))
        }
    }

    /// The revision an aggregate has with what is staged.
    #[must_use]
    pub fn revision<A: Stored>(&self, id: &str) -> u64 {
        self.states.get::<A>(id).map_or(0, |(_, revision)| revision)
    }

    /// Who holds these claims now. What matters of it must be required of the commit.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn holders(&self, claims: &[Claim]) -> Outcome<Vec<Holders>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let account = &self.order.account_id;
        let claims: Vec<_> = claims.iter().map(|c| rows::claim(account, c)).collect();
        let holders = self.executor.log.holders(&claims).await?;
        Ok(holders.iter().map(rows::holders).collect())
    }

    /// Every user who holds each of these claims now, or that they are too many for one command. What matters of it must be
    /// required of the commit.
    ///
    /// # Errors
    /// `TOO_LARGE`, or that the log cannot be read.
    pub async fn users_with(&self, claims: &[Claim]) -> Outcome<Vec<BTreeSet<UserId>>> {
        let account = &self.order.account_id;
        let claims: Vec<_> = claims.iter().map(|c| rows::claim(account, c)).collect();
        let owners = self.executor.log.owners(&claims, MOST_USERS + 1).await?;
        let count: usize = owners.iter().map(Vec::len).sum();
        if count > MOST_USERS as usize {
            return Err(Failure::new(
                ErrorReason::TooLarge,
                format!("more than {MOST_USERS} users would change in one commit"),
            ));
        }
        let users = |owners: Vec<String>| {
            let read = owners.iter().map(|owner| UserId::parse(owner));
            read.filter_map(Result::ok).collect()
        };
        Ok(owners.into_iter().map(users).collect())
    }

    /// Every access that a user has, or had, to other accounts than its own, with what is staged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn accesses_of(&mut self, user_id: UserId) -> Outcome<Vec<Arc<Access>>> {
        let mut accesses = Vec::new();
        for holders in self.holders(&[Claim::ExternalAccess(user_id)]).await? {
            let accounts = holders.owners.iter().map(|owner| AccountId::parse(owner));
            for account_id in accounts.filter_map(Result::ok) {
                accesses.push(self.load(&access_id(&account_id, user_id)).await?);
            }
        }
        Ok(accesses)
    }

    /// Ends the sessions that users have in other accounts, where what is staged ends those at home (R41).
    pub(super) async fn end_sessions_elsewhere(&mut self) -> Outcome<()> {
        for user in self.states.whose_sessions_end() {
            let accesses = self.accesses_of(user).await?;
            let owners = accesses.iter().filter_map(|access| access.account_id());
            // One that is granted meanwhile is to be ended too.
            let all = Requires::Exactly {
                claim: Claim::ExternalAccess(user),
                owners: owners.map(ToString::to_string).collect(),
            };
            self.stage_requirements::<Access>(&[all]);
            for key in accesses.iter().filter_map(|access| access.key()) {
                self.decide(&key.to_string(), EndExternalSessions).await?;
            }
        }
        Ok(())
    }

    /// The stream of the access by which a user whose home is another account is, or was, one of the command's.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn external(&mut self, user_id: UserId) -> Outcome<Option<String>> {
        let user = self.load::<User>(&user_id.to_string()).await?;
        let account_id = &self.order.account_id;
        if user.account_id().is_none_or(|home| home == account_id) {
            return Ok(None);
        }
        let id = access_id(account_id, user_id);
        let access = self.load::<Access>(&id).await?;
        Ok(access.key().is_some().then_some(id))
    }

    /// Looks up what a command, or a question, needs to know.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn facts(&mut self, reads: Reads) -> Outcome<Facts> {
        let Reads {
            users,
            accesses_of,
            claims,
            invoices,
        } = reads;
        let mut facts = Facts::default();
        for id in users {
            let user = self.load::<User>(&id.to_string()).await?;
            facts.insert_user(id, user);
        }
        for id in accesses_of {
            facts.insert_accesses(id, self.accesses_of(id).await?);
        }
        for key in invoices {
            let id = key.stream_id(&self.order.account_id).to_string();
            facts.insert_invoice(key, self.load(&id).await?);
        }
        let claims: Vec<Claim> = claims.into_iter().collect();
        let holders = self.holders(&claims).await?;
        for (claim, holders) in claims.into_iter().zip(holders) {
            facts.insert_holders(claim, holders);
        }
        Ok(facts)
    }

    /// What a decision may look at, beside the aggregate it is on.
    #[must_use]
    pub const fn context<'c>(&'c self, account: &'c Account, facts: &'c Facts) -> Context<'c> {
        Context {
            actor: &self.actor,
            now: self.now,
            account,
            facts,
        }
    }

    /// Decides a command on an aggregate and stages what it leads to.
    ///
    /// # Errors
    /// The refusal of the domain.
    pub async fn decide<C>(&mut self, id: &str, command: C) -> Outcome<()>
    where
        C: Decide<Aggregate: Stored>,
    {
        let account_id = self.order.account_id.as_str();
        let account = self.load::<Account>(account_id).await?;
        let aggregate = self.load::<C::Aggregate>(id).await?;
        let facts = self.facts(command.reads(&account, &aggregate)).await?;
        let decision = command
            .decide(&self.context(&account, &facts), &aggregate)
            .map_err(|error| Failure::refused(&error))?;
        let account_id = match &decision.after {
            Some(after) => after.account_of(),
            None => aggregate.account_of(),
        };
        self.stage_requirements::<C::Aggregate>(&decision.requires);
        self.stage_claims(account_id, &decision.releases, &decision.takes);
        if let Some(error) = &decision.refused {
            self.refused = Some(Failure::refused(error));
        }
        if let Some(staged) = C::Aggregate::staged_mut(&mut self.states).get_mut(id)
            && let Some(after) = decision.after
        {
            staged.events.extend(decision.events);
            staged.state = Arc::from(after);
            staged.forget |= decision.forgets;
        }
        Ok(())
    }

    /// What a command requires is asked of its account, whatever the aggregate's is. That the actor still may is required first
    /// by each decision of a command, and asked once.
    pub fn stage_requirements<A: Stored>(&mut self, requires: &[Requires]) {
        let account = &self.order.account_id;
        for requires in requires {
            let requirement = rows::requirement(account, requires);
            if self
                .require
                .first()
                .is_some_and(|(first, _)| *first == requirement)
            {
                continue;
            }
            let requires = requires.clone();
            let refuses: Refuses = Box::new(move |holders| {
                A::refusal_of(&requires, holders).map(|error| Failure::refused(&error))
            });
            self.require.push((requirement, refuses));
        }
    }

    /// What an aggregate holds, it holds in its own account.
    fn stage_claims(&mut self, account: Option<&AccountId>, releases: &[Held], takes: &[Held]) {
        let account = account.unwrap_or(&self.order.account_id);
        let row = |held| rows::held(account, held);
        self.release.extend(releases.iter().map(row));
        self.take.extend(takes.iter().map(row));
    }

    /// Sets a secret beside a stream in the same commit.
    pub fn keep_secret(&mut self, stream: StreamId, kind: &str, value: String) {
        self.side.push(SideRow {
            stream,
            kind: kind.to_owned(),
            value: Some(value.into_bytes()),
        });
    }

    /// Sets or removes what stands beside a stream in the same commit.
    pub fn set_aside(&mut self, row: SideRow) {
        self.side.push(row);
    }

    /// Counts a try in the same commit; what became of it is told with the answer.
    pub fn take_slot(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    /// Tells in the same commit that a user signed in.
    ///
    /// # Errors
    /// When the event cannot be written down.
    pub fn tell_sign_in(&mut self, user: UserId) -> Outcome<()> {
        let event = Recorded::from(SignInEvent::from(SignedIn {}));
        self.told.push(Told {
            stream: StreamId::new(signin::TYPE, user.to_string()),
            account_id: self.order.account_id.to_string(),
            event: NewEvent::of(&event).map_err(|error| {
                Failure::from(rollbook_eventstore::StoreError::Corrupt(error.to_string()))
            })?,
        });
        Ok(())
    }

    pub(super) const fn rests_on_cache(&self) -> bool {
        self.rests_on_cache
    }

    /// Whether the caller is refused although something is to be committed.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    pub(super) fn take_refusal(&mut self) -> Option<Failure> {
        self.rests_on_cache = false;
        self.refused.take()
    }

    pub(super) fn take_states(&mut self) -> States {
        std::mem::take(&mut self.states)
    }

    /// Makes a violated requirement no refusal: what it says is asked again instead.
    pub const fn decide_anew_when_refused(&mut self) {
        self.decide_anew = true;
    }

    pub(super) fn refusal_of(&self, violation: &Violation) -> Option<Failure> {
        if self.decide_anew {
            return None;
        }
        let (_, refuses) = self
            .require
            .iter()
            .find(|(requirement, _)| *requirement == violation.requirement)?;
        refuses(&rows::holders(&violation.holders))
    }

    /// What must be so at the commit: where every stream is, and the requirements.
    pub(super) fn checks(&self) -> (Vec<(StreamId, u64)>, Vec<Requirement>) {
        (self.states.revisions(), self.requirements())
    }

    /// All of it as one append.
    ///
    /// # Errors
    /// When an event cannot be written down.
    pub(super) fn append(
        &mut self,
        request: Option<Request>,
        metadata: Metadata,
    ) -> Outcome<Append> {
        Ok(Append {
            streams: self.states.appends(&self.order.account_id)?,
            require: self.requirements(),
            release: std::mem::take(&mut self.release),
            take: std::mem::take(&mut self.take),
            request,
            side: std::mem::take(&mut self.side),
            slots: std::mem::take(&mut self.slots),
            told: std::mem::take(&mut self.told),
            metadata,
        })
    }

    fn requirements(&self) -> Vec<Requirement> {
        self.require.iter().map(|(r, _)| r.clone()).collect()
    }
}

/// The account does not exist, or not for this caller.
#[must_use]
pub fn account_not_found() -> Failure {
    Failure::new(ErrorReason::AccountNotFound, "no such account")
}

/// The access that the caller, which is this user, acts by where its token is for another account than its home.
pub(super) fn foreign(caller: &Caller, user: &User) -> Option<AccessKey> {
    let account_id = caller.account.clone()?;
    let elsewhere = user.account_id().is_some_and(|home| *home != account_id);
    let user_id = caller.user().filter(|_| elsewhere)?;
    Some(AccessKey {
        account_id,
        user_id,
    })
}

/// Who acts, where the caller, which is this user, may act as what its token says. Where its home is another account, its
/// access says what it is here, and its home whether it may sign in; sessions end with what ends them there or here.
///
/// # Errors
/// `NOT_ADMINISTRATOR`, `NOT_ALLOWED` or `SESSIONS_ENDED`.
pub(super) fn acting(caller: &Caller, user: &User, access: Option<&Access>) -> Outcome<Actor> {
    let refused = || not_acting(&caller.actor);
    let person = user.person().ok_or_else(refused)?;
    let external = access.and_then(Access::granted);
    let (account, user_type, sessions) = match external {
        None => (
            person.account_id(),
            person.user_type(),
            person.sessions_valid_from(),
        ),
        Some(external) => (
            external.account_id(),
            external.user_type(),
            external
                .sessions_valid_from()
                .max(person.sessions_valid_from()),
        ),
    };
    let actor = match (&caller.actor, user_type) {
        (Actor::Administrator(id), UserType::Administrator) if external.is_some() => {
            Actor::ExternalAdministrator(*id)
        }
        (Actor::Administrator(_) | Actor::ExternalAdministrator(_), UserType::Standard) => {
            return Err(refused());
        }
        (actor, UserType::Administrator | UserType::Standard) => actor.clone(),
    };
    if caller.account.as_ref() != Some(account) || !person.can_act() {
        return Err(refused());
    }
    if sessions > caller.issued_at {
        return Err(sessions_ended());
    }
    Ok(actor)
}

/// The token's subject may no longer act.
#[must_use]
pub fn not_acting(actor: &Actor) -> Failure {
    match actor {
        Actor::Administrator(_) | Actor::ExternalAdministrator(_) => Failure::new(
            ErrorReason::NotAdministrator,
            "the token's subject is not an administrator who can act",
        ),
        Actor::User(_) | Actor::Outside(_) => Failure::new(
            ErrorReason::NotAllowed,
            "the token's subject is not a user who can sign in",
        ),
    }
}

/// The token is older than the time from which its subject's sessions are valid.
#[must_use]
pub fn sessions_ended() -> Failure {
    Failure::new(
        ErrorReason::SessionsEnded,
        "the subject's sessions ended after the token was issued",
    )
}
