//! A database of one's own on the throw-away server, gone when the test is over.

use std::env;

use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// The variable that names the throw-away server, as its superuser.
pub const SERVER: &str = "ROLLBOOK_TEST_POSTGRES";

/// A database with two roles: its owner, who migrates, and the application, which serves.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Creates a database on the throw-away server.
    pub async fn create() -> Self {
        let server = env::var(SERVER).unwrap_or_else(|_| {
            panic!(
                "{SERVER} names no PostgreSQL server: run `./test`, or `export {SERVER}=$(tests/tools/postgres start DIR)`"
            )
        });
        Self::create_on(&server).await
    }

    /// Creates a database on this server.
    pub async fn create_on(server: &str) -> Self {
        let name = format!("rollbook_{}", Uuid::now_v7().simple());
        let database = Self {
            server: server.to_owned(),
            name,
        };
        let name = &database.name;
        database
            .on_server([
                format!("CREATE ROLE {name}_app LOGIN"),
                format!("CREATE ROLE {name}_owner LOGIN"),
                format!("CREATE DATABASE {name} OWNER {name}_owner"),
            ])
            .await;
        database
    }

    /// The URL for the role that owns the tables.
    #[must_use]
    pub fn owner_url(&self) -> String {
        self.url_of(&format!("{}_owner", self.name))
    }

    /// The URL for the role that serves.
    #[must_use]
    pub fn application_url(&self) -> String {
        self.url_of(&self.application_role())
    }

    /// The name of the role that serves.
    #[must_use]
    pub fn application_role(&self) -> String {
        format!("{}_app", self.name)
    }

    /// The URL for the superuser of the server.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.url_of("postgres")
    }

    /// What the server calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection as the superuser of the server.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.superuser_url()).await.unwrap()
    }

    fn url_of(&self, role: &str) -> String {
        let (_, address) = self.server.split_once('@').expect("a URL with a user");
        let (address, _) = address.rsplit_once('/').expect("a URL with a database");
        format!("postgres://{role}@{address}/{}", self.name)
    }

    /// Keeps a copy of the database as it is. Whoever is connected has to connect again.
    pub async fn keep(&self) {
        let name = &self.name;
        self.without_connections(vec![format!("CREATE DATABASE {name}_kept TEMPLATE {name}")])
            .await;
        self.admit().await;
    }

    /// Puts the copy that was kept in its place.
    pub async fn put_back(&self) {
        let name = &self.name;
        self.without_connections(vec![
            format!("DROP DATABASE {name} WITH (FORCE)"),
            format!("ALTER DATABASE {name}_kept RENAME TO {name}"),
        ])
        .await;
        self.admit().await;
    }

    async fn without_connections(&self, statements: Vec<String>) {
        let name = &self.name;
        let alone = [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        ];
        self.on_server(alone.into_iter().chain(statements)).await;
    }

    async fn admit(&self) {
        let name = &self.name;
        self.on_server([format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")])
            .await;
    }

    async fn on_server(&self, statements: impl IntoIterator<Item = String>) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        for statement in statements {
            connection.execute(statement.as_str()).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Drops the database and its roles.
    pub async fn remove(self) {
        let name = &self.name;
        self.on_server([
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("DROP ROLE {name}_app"),
            format!("DROP ROLE {name}_owner"),
        ])
        .await;
    }
}
