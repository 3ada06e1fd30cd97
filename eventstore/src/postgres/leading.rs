//! Who leads, by an advisory lock that a session of its own holds: it goes with the process, however that ends.
//!
//! It is tried for again and again and never waited for inside of the database, since a statement that waits keeps old rows
//! from being cleared away.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::oneshot;

use crate::leadership::Leadership;

/// How long until the lock is tried for again, and how often its holder asks whether its session lives.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one question may take; then the session counts as lost.
const PATIENCE: Duration = Duration::from_secs(4);
/// After this time without a question the server ends the session; its holder has noticed long before.
const IDLE: &str = "15s";

/// Waits until this process leads.
pub(super) async fn lead(options: PgConnectOptions, name: String) -> Leadership {
    let options = options
        .application_name("rollbook leader")
        .options([("idle_session_timeout", IDLE)]);
    let mut session = None;
    loop {
        match in_time(elected(&options, &mut session, &name)).await {
            Ok(Some(session)) => return Leadership::held(|given_up| hold(session, given_up)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, name, "nobody can be elected, trying again");
                session = None;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Tries once, on a session that is kept for the next time; gives it away where it has the lock.
async fn elected(
    options: &PgConnectOptions,
    session: &mut Option<PgConnection>,
    name: &str,
) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut candidate = match session.take() {
        Some(session) => session,
        None => PgConnection::connect_with(options).await?,
    };
    let won: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
        .bind(name)
        .fetch_one(&mut candidate)
        .await?;
    if won {
        return Ok(Some(candidate));
    }
    *session = Some(candidate);
    Ok(None)
}

/// Holds the session, and with it the lock, until it is given up or does not answer any more.
async fn hold(mut session: PgConnection, mut given_up: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut given_up => {
                // The server lets go of the lock in any case; this way it does at once.
                let _ = session.close().await;
                return;
            }
            () = tokio::time::sleep(AGAIN) => {}
        }
        if let Err(error) = in_time(session.ping()).await {
            tracing::warn!(%error, "the session by which this process leads is lost");
            return;
        }
    }
}

async fn in_time<T>(
    question: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
