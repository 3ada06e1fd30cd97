//! Making and changing the tables. Migrations only add.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::error::OpenError;
use crate::keys::{KeyRow, LogKeys};
use crate::ring::Ring;

use super::checks::schema_version;
use super::{rotating, unreachable};

/// Each text takes the tables from its number's version to the next.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("migrations/0001_log.sql"),
    include_str!("migrations/0002_tree.sql"),
    include_str!("migrations/0003_master_keys.sql"),
    include_str!("migrations/0004_archive.sql"),
];

/// The version of the tables that this program reads and writes.
pub(super) const SCHEMA_VERSION: u32 = 4;

/// What the application's role may do with each table.
const GRANTS: [(&str, &str); 13] = [
    ("events", "SELECT, INSERT"),
    ("log_head", "SELECT, UPDATE"),
    ("log_keys", "SELECT, UPDATE (wrapped)"),
    ("log_archive", "SELECT"),
    ("master_keys", "SELECT, INSERT, UPDATE (finished_at)"),
    ("log_migrations", "SELECT"),
    ("account_heads", "SELECT, INSERT, UPDATE"),
    ("claims", "SELECT, INSERT, DELETE"),
    ("requests", "SELECT, INSERT, UPDATE, DELETE"),
    ("stream_keys", "SELECT, INSERT, UPDATE"),
    ("side_rows", "SELECT, INSERT, UPDATE, DELETE"),
    ("tree_tiles", "SELECT, INSERT, UPDATE"),
    ("tree_head", "SELECT, UPDATE"),
];

pub(super) async fn migrate(
    options: &PgConnectOptions,
    application_role: Option<&str>,
    ring: &Ring,
) -> Result<(), OpenError> {
    let mut connection = PgConnection::connect_with(options)
        .await
        .map_err(unreachable)?;
    let mut transaction = connection.begin().await.map_err(unreachable)?;
    make_tables(&mut transaction).await?;
    make_log(&mut transaction, ring).await?;
    if let Some(role) = application_role {
        grant(&mut transaction, role).await?;
    }
    transaction.commit().await.map_err(unreachable)?;
    // What is committed stays, however the connection ends.
    let _ = connection.close().await;
    Ok(())
}

/// Brings the tables to this program's version, within a transaction.
pub(super) async fn make_tables(transaction: &mut PgConnection) -> Result<(), OpenError> {
    // Two processes that start at once migrate one after the other.
    execute(
        transaction,
        "SELECT pg_advisory_xact_lock(hashtext('rollbook migration'))",
    )
    .await?;
    execute(
        transaction,
        "CREATE TABLE IF NOT EXISTS log_migrations
         (
             version    integer PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )",
    )
    .await?;
    let found = schema_version(transaction).await?.unwrap_or(0);
    if found > SCHEMA_VERSION {
        return Err(OpenError::SchemaVersion {
            found,
            needed: SCHEMA_VERSION,
        });
    }
    for (migration, version) in MIGRATIONS.iter().zip(1_u32..).skip(found as usize) {
        execute(transaction, migration).await?;
        sqlx::query("INSERT INTO log_migrations (version) VALUES ($1)")
            .bind(version.cast_signed())
            .execute(&mut *transaction)
            .await
            .map_err(unreachable)?;
    }
    Ok(())
}

/// Gives a new log its id and keys; checks the master key of one that has them.
async fn make_log(
    transaction: &mut Transaction<'_, Postgres>,
    ring: &Ring,
) -> Result<(), OpenError> {
    let rows: Vec<KeyRow> = sqlx::query_as("SELECT name, wrapped FROM log_keys")
        .fetch_all(&mut **transaction)
        .await
        .map_err(unreachable)?;
    if !rows.is_empty() {
        rotating::learn(transaction, ring, &rows).await?;
        return add_keys(transaction, LogKeys::missing(ring, &rows)).await;
    }
    sqlx::query(
        "INSERT INTO log_head (single, log_id, position, last_at)
         VALUES (true, $1, 0, to_timestamp(0))",
    )
    .bind(Uuid::now_v7())
    .execute(&mut **transaction)
    .await
    .map_err(unreachable)?;
    let keys = LogKeys::create(ring);
    let rows: Vec<KeyRow> = keys
        .iter()
        .map(|(name, wrapped)| ((*name).to_owned(), wrapped.clone()))
        .collect();
    rotating::learn(transaction, ring, &rows).await?;
    add_keys(transaction, keys).await
}

async fn add_keys(
    transaction: &mut Transaction<'_, Postgres>,
    keys: Vec<(&str, Vec<u8>)>,
) -> Result<(), OpenError> {
    for (name, wrapped) in keys {
        sqlx::query("INSERT INTO log_keys (name, wrapped) VALUES ($1, $2)")
            .bind(name)
            .bind(wrapped)
            .execute(&mut **transaction)
            .await
            .map_err(unreachable)?;
    }
    Ok(())
}

pub(super) async fn grant(transaction: &mut PgConnection, role: &str) -> Result<(), OpenError> {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let schema: String = sqlx::query_scalar("SELECT quote_ident(current_schema()::text)")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unreachable)?;
    execute(
        transaction,
        &format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
    )
    .await?;
    for (table, rights) in GRANTS {
        execute(transaction, &format!("REVOKE ALL ON {table} FROM {role}")).await?;
        execute(transaction, &format!("GRANT {rights} ON {table} TO {role}")).await?;
    }
    Ok(())
}

async fn execute(transaction: &mut PgConnection, sql: &str) -> Result<(), OpenError> {
    sqlx::raw_sql(sql)
        .execute(transaction)
        .await
        .map(drop)
        .map_err(unreachable)
}
