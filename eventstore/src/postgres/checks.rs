//! What must be so before a database is served from.

use sqlx::PgConnection;

use crate::error::OpenError;

use super::migration::SCHEMA_VERSION;
use super::unreachable;

/// The oldest server that is served from.
const OLDEST: i32 = 150_000;

/// Refuses a server that could lose or change what was committed, and tables of another version.
pub(super) async fn check(
    connection: &mut PgConnection,
    allow_owner: bool,
) -> Result<(), OpenError> {
    let (version, fsync, synchronous): (i32, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('fsync'),
                current_setting('synchronous_commit')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(unreachable)?;
    let unsafe_because = |what: String| Err(OpenError::Unsafe(what));
    if version < OLDEST {
        return unsafe_because(format!("the server is older than 15: {version}"));
    }
    if fsync != "on" {
        return unsafe_because("fsync is off".to_owned());
    }
    if synchronous == "off" {
        return unsafe_because("synchronous_commit is off".to_owned());
    }
    match schema_version(connection).await? {
        None => return Err(OpenError::NotMigrated),
        Some(SCHEMA_VERSION) => {}
        Some(found) => {
            return Err(OpenError::SchemaVersion {
                found,
                needed: SCHEMA_VERSION,
            });
        }
    }
    let (role, mighty): (String, bool) = sqlx::query_as(
        "SELECT r.rolname::text, r.rolsuper OR pg_has_role(r.oid, t.relowner, 'MEMBER')
         FROM pg_roles AS r, pg_class AS t
         WHERE r.rolname = current_user AND t.oid = 'events'::regclass",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(unreachable)?;
    if mighty && !allow_owner {
        return unsafe_because(format!("role {role} could change events"));
    }
    Ok(())
}

/// The version of the tables, or `None` where there are none.
pub(super) async fn schema_version(
    connection: &mut PgConnection,
) -> Result<Option<u32>, OpenError> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('log_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreachable)?;
    if !there {
        return Ok(None);
    }
    let version: Option<i32> = sqlx::query_scalar("SELECT max(version) FROM log_migrations")
        .fetch_one(connection)
        .await
        .map_err(unreachable)?;
    Ok(version.map(i32::cast_unsigned))
}
