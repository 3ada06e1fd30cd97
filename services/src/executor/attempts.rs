//! Proving a password: an attempt takes its slot before anything is hashed (R22).
//!
//! Slots are counted beside the user's stream, in the log, so that they hold across processes and survive a restart. A row of
//! attempts begins anew with another password, with a lock, with its being lifted, and when a password was right. Who is nobody takes the
//! same way with the same steps, on a row that is nobody's and is never used up.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::{AutoLockUser, Person, User};
use rollbook_aggregates::values::{AccountId, EnteredPassword, UserId};
use rollbook_eventstore::{Append, AppendError, SideRow, Slot, SlotTaken, StreamId};
use rollbook_proto::v1::ErrorReason;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Executor, Order};
use crate::failure::{Failure, Outcome};
use crate::passwords;
use crate::plans::OnUser;

/// The kind of side row that attempts are counted in.
const ATTEMPTS: &str = "attempts";

/// For so long the verdict on a slot that another process took is waited for; after that the process is taken to have died.
const VERDICT: chrono::Duration = chrono::Duration::seconds(10);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Who an attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// A user of the account.
    User(UserId),
    /// Nobody, under a name that stands for this id.
    Nobody(Uuid),
}

impl Claimed {
    fn id(self) -> Uuid {
        match self {
            Self::User(user) => user.as_uuid(),
            Self::Nobody(id) => id,
        }
    }
}

/// A password that somebody entered to prove who it is.
#[derive(Clone)]
pub struct Entered {
    /// The account.
    pub account_id: AccountId,
    /// Who it says it is.
    pub claimed: Claimed,
    /// The password.
    pub password: EnteredPassword,
}

/// What an attempt proved.
#[derive(Clone, Debug)]
pub enum Proof {
    /// It is the user's password.
    Right(Proven),
    /// It is not, or there is no such user.
    Wrong,
    /// The user's attempts are used up, so nothing was evaluated.
    UsedUp,
}

/// A password that was right.
#[derive(Clone, Debug)]
pub struct Proven {
    /// When it was set: another password is another one.
    pub set_at: Option<Timestamp>,
    /// Its hash at the present cost, where it was kept at a lower one.
    pub better_hash: Option<String>,
}

/// Lets the attempts on one name be made one after the other in a process, so that none is refused because of those that
/// are under way.
#[derive(Clone)]
pub struct Gates(Cache<Uuid, Arc<Mutex<()>>>);

impl Default for Gates {
    fn default() -> Self {
        const NAMES: u64 = 100_000;
        let gates = Cache::builder()
            .max_capacity(NAMES)
            .time_to_idle(Duration::from_mins(1));
        Self(gates.build())
    }
}

impl Gates {
    fn of(&self, id: Uuid) -> Arc<Mutex<()>> {
        self.0.get_with(id, Arc::default)
    }
}

/// The row that a user's attempts are counted in, emptied.
#[must_use]
pub fn no_attempts(user: UserId) -> SideRow {
    SideRow {
        stream: user_stream(user.as_uuid()),
        kind: ATTEMPTS.to_owned(),
        value: None,
    }
}

fn user_stream(id: Uuid) -> StreamId {
    StreamId::new(<User as cqrs_es::Aggregate>::TYPE, id.to_string())
}

impl Executor {
    /// Finds out whether a password is right. It is finished though nobody waits for it: a slot that was taken gets its
    /// verdict.
    ///
    /// # Errors
    /// `HASHING_BUSY`, or when the log cannot be reached.
    pub async fn prove(&self, entered: Entered) -> Outcome<Proof> {
        let executor = self.clone();
        let proving = tokio::spawn(async move { executor.proof(&entered).await });
        proving.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an attempt was cut off");
            Err(Failure::new(
                ErrorReason::LogUnavailable,
                "the attempt was cut off",
            ))
        })
    }

    async fn proof(&self, entered: &Entered) -> Outcome<Proof> {
        let id = entered.claimed.id();
        let gate = self.gates.of(id);
        let _alone = gate.lock().await;
        let place = self.hasher.admit()?;
        let (account, _) = self.fresh::<Account>(entered.account_id.as_str()).await?;
        let (user, taken) = loop {
            let (user, _) = self.fresh::<User>(&id.to_string()).await?;
            if is_locked(&account, &user, self.clock.now()) {
                return Ok(Proof::UsedUp);
            }
            let Some(taken) = self.take_slot(entered, &account, &user).await? else {
                continue;
            };
            if taken.taken {
                break (user, taken);
            }
            if taken.last_at + VERDICT <= self.clock.now() {
                self.lock(&entered.account_id, &user).await?;
                return Ok(Proof::UsedUp);
            }
            tokio::time::sleep(LOOK).await;
        };
        let kept = self
            .log
            .side_row(&user_stream(id), passwords::SIDE_ROW)
            .await?;
        let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
        let verified = self
            .hasher
            .verify(place, entered.password.clone(), kept)
            .await?;
        match user.person() {
            Some(person) if verified.right => Ok(Proof::Right(Proven {
                set_at: person.credentials().password_set_at(),
                better_hash: verified.better,
            })),
            Some(_) | None => {
                if taken.used >= limit_of(&account) {
                    self.lock(&entered.account_id, &user).await?;
                }
                Ok(Proof::Wrong)
            }
        }
    }

    /// Takes a slot; nothing where the user was deleted this moment.
    async fn take_slot(
        &self,
        entered: &Entered,
        account: &Account,
        user: &User,
    ) -> Outcome<Option<SlotTaken>> {
        let slot = match user.person() {
            Some(person) => attempt_of(account, person),
            // A series of its own each time, so that it is never used up.
            None => Slot {
                stream: nobodys_stream(&entered.account_id),
                kind: ATTEMPTS.to_owned(),
                series: self.clock.now().timestamp_micros(),
                limit: u32::MAX,
            },
        };
        let append = Append {
            slots: vec![slot],
            ..Append::default()
        };
        match self.log.append(append).await {
            Ok(appended) => Ok(appended.slots.first().copied()),
            Err(AppendError::Forgotten(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Locks a user who has used up its attempts; nobody is never locked.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub async fn lock(&self, account_id: &AccountId, user: &User) -> Outcome<()> {
        let Some(person) = user.person() else {
            return Ok(());
        };
        let order = Order::of_the_service(account_id.clone(), &self.clock);
        let lock = OnUser {
            user: person.id(),
            command: AutoLockUser {
                attempts_from: person.credentials().attempts_from(),
                by_mail: self.mail,
            },
        };
        self.run(&order, &lock).await.map(drop)
    }
}

/// The next attempt on a user's password.
#[must_use]
pub fn attempt_of(account: &Account, person: &Person) -> Slot {
    Slot {
        stream: user_stream(person.id().as_uuid()),
        kind: ATTEMPTS.to_owned(),
        series: person.credentials().attempts_from().timestamp_micros(),
        limit: limit_of(account),
    }
}

/// How many wrong passwords in a row an account lets pass.
#[must_use]
pub fn limit_of(account: &Account) -> u32 {
    account.settings().max_failed_sign_ins.count().into()
}

/// Whether the system has locked a user, by the clock.
#[must_use]
pub fn is_locked(account: &Account, user: &User, now: Timestamp) -> bool {
    user.person().is_some_and(|person| {
        let facets = person.facets().at(account.settings(), now);
        facets.auto_locked_at.is_some()
    })
}

/// Where what is done for nobody is written, so that it takes the same steps as for somebody.
#[must_use]
pub fn nobodys_stream(account_id: &AccountId) -> StreamId {
    StreamId::new("nobody", account_id.as_str())
}
