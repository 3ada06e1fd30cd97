//! The stock libraries, doing the same work in process: our own domain on their framework, with one view.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use cqrs_es::{
    Aggregate as _, CqrsFramework, EventEnvelope, EventStore, Query, View,
    persist::{GenericQuery, PersistedEventStore, ViewRepository},
};
use postgres_es::{PostgresEventRepository, PostgresViewRepository};
use rollbook_aggregates::{
    account::{Account, AccountCreated, AccountEvent, Settings},
    domain::{Actor, Facts, Recorded, Surroundings},
    user::{CreateUser, PasswordState, UpdateUser, User, UserCommand},
    values::{
        AccountId, AccountTitle, EmailAddress, PasswordAuthority, PersonName, PhoneNumber,
        Signature, UserId, UserType,
    },
};
use rollbook_eventstore::Clock;
use serde::{Deserialize, Serialize};
use sqlite_es::{SqliteEventRepository, SqliteViewRepository};
use sqlx::{PgPool, SqlitePool};

use super::load::{Side, USERS_EACH};
use crate::{cli::problem::Problem, executor::new_id};

/// The view: a user as its events say.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SeenUser(User);

impl View<User> for SeenUser {
    fn update(&mut self, event: &EventEnvelope<User>) {
        self.0.apply(event.payload.clone());
    }
}

/// The stock framework on a store of its own.
pub struct Stock<S: EventStore<User>> {
    framework: CqrsFramework<User, S>,
    users: Mutex<Vec<UserId>>,
    made: AtomicU64,
    lost: Arc<AtomicU64>,
}

/// On PostgreSQL, with the tables it ships with.
pub async fn on_postgres(
    pool: PgPool,
) -> Result<Stock<PersistedEventStore<PostgresEventRepository, User>>, Problem> {
    for statement in [EVENTS_ON_POSTGRES, VIEW_ON_POSTGRES] {
        sqlx::query(statement)
            .execute(&pool)
            .await
            .map_err(no_tables)?;
    }
    let view = PostgresViewRepository::<SeenUser, User>::new("user_view", pool.clone());
    let store = PersistedEventStore::new_event_store(PostgresEventRepository::new(pool));
    Stock::new(store, view)
}

/// On SQLite, with the tables it ships with.
pub async fn on_sqlite(
    pool: SqlitePool,
) -> Result<Stock<PersistedEventStore<SqliteEventRepository, User>>, Problem> {
    for statement in [EVENTS_ON_SQLITE, VIEW_ON_SQLITE] {
        sqlx::query(statement)
            .execute(&pool)
            .await
            .map_err(no_tables)?;
    }
    let view = SqliteViewRepository::<SeenUser, User>::new("user_view", pool.clone());
    let store = PersistedEventStore::new_event_store(SqliteEventRepository::new(pool));
    Stock::new(store, view)
}

fn no_tables(source: sqlx::Error) -> Problem {
    Problem::failed("make the tables of the stock library", source)
}

impl<S: EventStore<User>> Stock<S> {
    fn new<R>(store: S, view: R) -> Result<Self, Problem>
    where
        R: ViewRepository<SeenUser, User> + 'static,
    {
        let lost = Arc::new(AtomicU64::new(0));
        let mut query = GenericQuery::new(Arc::new(view));
        let count = Arc::clone(&lost);
        query.use_error_handler(Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        let queries: Vec<Box<dyn Query<User>>> = vec![Box::new(query)];
        let framework = CqrsFramework::new(store, queries, surroundings()?);
        Ok(Self {
            framework,
            users: Mutex::default(),
            made: AtomicU64::new(0),
            lost,
        })
    }

    /// How many updates of the view were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn create_one(&self) -> Result<UserId, Problem> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let id = UserId::new(new_id());
        self.execute(id, new_user(id, number)?.into()).await?;
        Ok(id)
    }

    async fn execute(&self, id: UserId, command: UserCommand) -> Result<(), Problem> {
        self.framework
            .execute(&id.to_string(), command)
            .await
            .map_err(|source| Problem::failed("do the work with the stock library", source))
    }
}

impl<S: EventStore<User> + Send + Sync + 'static> Side for Stock<S>
where
    S::AC: Send,
{
    async fn prepare(&self, callers: usize) -> Result<(), Problem> {
        let mut users = Vec::with_capacity(callers * USERS_EACH);
        for _ in 0..callers * USERS_EACH {
            users.push(self.create_one().await?);
        }
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(())
    }

    async fn create(&self, _caller: usize) -> Result<(), Problem> {
        self.create_one().await.map(drop)
    }

    async fn update(&self, caller: usize, number: u64) -> Result<(), Problem> {
        let turn = usize::try_from(number).unwrap_or_default() % USERS_EACH;
        let id =
            self.users.lock().unwrap_or_else(PoisonError::into_inner)[caller * USERS_EACH + turn];
        let phone = PhoneNumber::parse(&phone(number)).map_err(bad_value)?;
        self.execute(
            id,
            UpdateUser {
                phone: Some(Some(phone)),
                ..UpdateUser::default()
            }
            .into(),
        )
        .await
    }

    /// The stock view is written before a command answers.
    async fn caught_up(&self) -> Result<(), Problem> {
        Ok(())
    }
}

/// A phone number that differs from the one before.
pub fn phone(number: u64) -> String {
    format!("+46 {number:010}")
}

fn bad_value(source: impl std::error::Error + Send + Sync + 'static) -> Problem {
    Problem::failed("make a value of the domain", source)
}

fn new_user(user_id: UserId, number: u64) -> Result<CreateUser, Problem> {
    Ok(CreateUser {
        user_id,
        signature: Signature::parse(&format!("S{number}")).map_err(bad_value)?,
        first_name: PersonName::parse("Åsa-Lena").map_err(bad_value)?,
        last_name: PersonName::parse("O'Brien Ångström").map_err(bad_value)?,
        email: EmailAddress::parse(&format!("s{number}@bench.example")).map_err(bad_value)?,
        phone: None,
        mobile_phone: None,
        language: None,
        user_type: UserType::Standard,
        active: true,
        password: PasswordState::None,
        welcome: None,
        roles: [].into(),
        permissions: [].into(),
        companies: Vec::new(),
        invitation: None,
        copied_from: None,
    })
}

/// An account that keeps passwords elsewhere, so that users are created without any.
fn surroundings() -> Result<Surroundings, Problem> {
    let mut account = Account::default();
    let settings = Settings {
        password_authority: PasswordAuthority::External,
        ..Settings::default()
    };
    let opened = AccountCreated {
        account_id: AccountId::parse("bench").map_err(bad_value)?,
        title: AccountTitle::parse("Bench").map_err(bad_value)?,
        settings,
    };
    account.apply(Recorded::from(AccountEvent::from(opened)));
    let actor = Actor::Outside("bench".to_owned());
    Ok(Surroundings {
        actor,
        now: Clock::system().now(),
        account: Arc::new(account),
        facts: Facts::default(),
    })
}

const EVENTS_ON_POSTGRES: &str = "\
CREATE TABLE events (
  aggregate_type text                         NOT NULL,
  aggregate_id   text                         NOT NULL,
  sequence       bigint CHECK (sequence >= 0) NOT NULL,
  event_type     text                         NOT NULL,
  event_version  text                         NOT NULL,
  payload        json                         NOT NULL,
  metadata       json                         NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";
const VIEW_ON_POSTGRES: &str = "\
CREATE TABLE user_view (
  view_id text                        NOT NULL,
  version bigint CHECK (version >= 0) NOT NULL,
  payload json                        NOT NULL,
  PRIMARY KEY (view_id)
)";
const EVENTS_ON_SQLITE: &str = "\
CREATE TABLE events (
  aggregate_type text                          NOT NULL,
  aggregate_id   text                          NOT NULL,
  sequence       integer CHECK (sequence >= 0) NOT NULL,
  event_type     text                          NOT NULL,
  event_version  text                          NOT NULL,
  payload        text                          NOT NULL,
  metadata       text                          NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, sequence)
) STRICT";
const VIEW_ON_SQLITE: &str = "\
CREATE TABLE user_view (
  view_id text                         NOT NULL,
  version integer CHECK (version >= 0) NOT NULL,
  payload text                         NOT NULL,
  PRIMARY KEY (view_id)
) STRICT";
