//! A log of a test's own, on either home.

use std::str::FromStr as _;

use rollbook_eventstore::{Clock, Log, MasterKey, MasterKeys, postgres, sqlite};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

/// Where a test's log lives, and what opens it.
pub struct House {
    pub place: Place,
    pub master: MasterKey,
    pub clock: Clock,
}

pub enum Place {
    Sqlite(tempfile::TempDir),
    Postgres {
        server: String,
        owner: String,
        application: String,
        name: String,
    },
}

impl House {
    pub fn sqlite() -> Self {
        Self::at(Place::Sqlite(tempfile::tempdir().unwrap()))
    }

    /// A database and a role with a name of their own, migrated.
    pub async fn postgres() -> Self {
        let house = Self::empty_postgres().await;
        let Place::Postgres { owner, name, .. } = &house.place else {
            unreachable!("it was made on PostgreSQL");
        };
        postgres::migrate(owner, Some(name), &house.master)
            .await
            .unwrap();
        house
    }

    pub async fn empty_postgres() -> Self {
        let server = std::env::var("ROLLBOOK_TEST_POSTGRES").expect(
            "ROLLBOOK_TEST_POSTGRES must be the URL of a superuser of a throw-away PostgreSQL server: run `./test`",
        );
        let name = format!("rollbook_{}", uuid::Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&server).await.unwrap();
        for sql in [
            format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'"),
            format!("CREATE DATABASE {name}"),
        ] {
            connection.execute(&*sql).await.unwrap();
        }
        let owner = PgConnectOptions::from_str(&server).unwrap().database(&name);
        let application = owner.clone().username(&name).password(&name);
        Self::at(Place::Postgres {
            server,
            owner: owner.to_url_lossy().to_string(),
            application: application.to_url_lossy().to_string(),
            name,
        })
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            master: MasterKey::generate(),
            clock: Clock::system(),
        }
    }

    pub async fn open(&self) -> Log {
        self.open_with(self.master.clone()).await.unwrap()
    }

    pub async fn open_with(
        &self,
        master: impl Into<MasterKeys>,
    ) -> Result<Log, rollbook_eventstore::OpenError> {
        match &self.place {
            Place::Sqlite(folder) => sqlite::open(folder.path(), master, self.clock.clone()).await,
            Place::Postgres { application, .. } => {
                let options = postgres::Options::default();
                postgres::open(application, options, master, self.clock.clone()).await
            }
        }
    }

    /// Runs a statement beside the log, as whoever may do most.
    pub async fn execute(&self, sql: &str) -> Result<(), String> {
        match &self.place {
            Place::Sqlite(folder) => rusqlite::Connection::open(folder.path().join(sqlite::FILE))
                .unwrap()
                .execute_batch(sql)
                .map_err(|error| error.to_string()),
            Place::Postgres { owner, .. } => execute(owner, sql).await,
        }
    }

    /// A number out of the tables.
    pub async fn number(&self, sql: &str) -> i64 {
        match &self.place {
            Place::Sqlite(folder) => rusqlite::Connection::open(folder.path().join(sqlite::FILE))
                .unwrap()
                .query_row(sql, [], |row| row.get(0))
                .unwrap(),
            Place::Postgres { owner, .. } => {
                let mut connection = PgConnection::connect(owner).await.unwrap();
                sqlx::query_scalar(sql)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
        }
    }

    /// A text out of the tables.
    pub async fn text(&self, sql: &str) -> String {
        match &self.place {
            Place::Sqlite(folder) => rusqlite::Connection::open(folder.path().join(sqlite::FILE))
                .unwrap()
                .query_row(sql, [], |row| row.get(0))
                .unwrap(),
            Place::Postgres { owner, .. } => {
                let mut connection = PgConnection::connect(owner).await.unwrap();
                sqlx::query_scalar(sql)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap()
            }
        }
    }

    /// Everything the home holds, as bytes: the files of the data directory, or every row of every table as text.
    pub async fn everything(&self) -> Vec<u8> {
        match &self.place {
            Place::Sqlite(folder) => std::fs::read_dir(folder.path())
                .unwrap()
                .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
                .collect(),
            Place::Postgres { owner, .. } => {
                let mut connection = PgConnection::connect(owner).await.unwrap();
                let tables: Vec<String> = sqlx::query_scalar(
                    "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'",
                )
                .fetch_all(&mut connection)
                .await
                .unwrap();
                let mut all = Vec::new();
                for table in tables {
                    let rows: Vec<String> =
                        sqlx::query_scalar(&format!("SELECT t::text FROM {table} t"))
                            .fetch_all(&mut connection)
                            .await
                            .unwrap();
                    all.extend(rows.concat().into_bytes());
                }
                all
            }
        }
    }

    pub async fn end(self) {
        if let Place::Postgres { server, name, .. } = self.place {
            let mut connection = PgConnection::connect(&server).await.unwrap();
            for sql in [
                format!("DROP DATABASE {name} WITH (FORCE)"),
                format!("DROP ROLE {name}"),
            ] {
                connection.execute(&*sql).await.unwrap();
            }
        }
    }
}

pub async fn execute(url: &str, sql: &str) -> Result<(), String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let done = connection.execute(sql).await;
    done.map(drop).map_err(|error| error.to_string())
}

/// Makes of `async fn name(house: &House)` a test on each home.
macro_rules! on_both_homes {
    ($($name:ident)*) => {
        $(mod $name {
            use crate::house::House;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let house = House::sqlite();
                super::$name(&house).await;
                house.end().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgresql() {
                let house = House::postgres().await;
                super::$name(&house).await;
                house.end().await;
            }
        })*
    };
}
pub(crate) use on_both_homes;
