//! What a home of the log offers to readers. The other half, for the writer, is [`crate::writer::Ledger`].

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::append::Holders;
use crate::backup::TableRow;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::judge::{KeyState, RequestRow};
use crate::keys::{ClaimRow, KeyRow};
use crate::leadership::Leadership;
use crate::page::Page;
use crate::proof::{TileName, TreeHead};
use crate::ring::KeyId;
use crate::rotation::RotationRow;
use crate::stored::StoredEvent;
use crate::stream::StreamId;

/// An answer of a home.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What is known of a log as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// Where it lives: `sqlite` or `postgresql`.
    pub home: &'static str,
    /// The version of its tables.
    pub schema_version: u32,
    /// Its last position, which is also the number of its events.
    pub head: u64,
    /// The number of accounts with events.
    pub accounts: u64,
    /// The time of its last commit.
    pub last_recorded_at: Option<Timestamp>,
}

/// cqrs-es' own repository on the log's table, for reading.
pub(crate) enum Stock {
    Sqlite(SqliteEventRepository),
    Postgres(PostgresEventRepository),
}

/// The questions to the tables.
pub(crate) trait Home: Send + Sync {
    /// The last position that is committed. Sees every commit that was answered before the question.
    fn head(&self) -> Answer<'_, u64>;
    /// Waits until this process leads in what the name says.
    fn lead(&self, name: String) -> BoxFuture<'_, Leadership>;
    fn page<'a>(&'a self, page: &'a Page) -> Answer<'a, Vec<StoredEvent>>;
    /// The events of each stream after a revision, all out of one snapshot.
    fn streams<'a>(&'a self, streams: &'a [(StreamId, u64)]) -> Answer<'a, Vec<Vec<StoredEvent>>>;
    fn keys<'a>(&'a self, streams: &'a [StreamId]) -> Answer<'a, Vec<KeyState>>;
    fn holders<'a>(&'a self, claims: &'a [ClaimRow]) -> Answer<'a, Vec<Holders>>;
    /// The first `limit` who hold each claim, ascending.
    fn owners<'a>(&'a self, claims: &'a [ClaimRow], limit: u32) -> Answer<'a, Vec<Vec<String>>>;
    fn shared<'a>(&'a self, account_id: &'a str, kind: &'a str) -> Answer<'a, Holders>;
    fn side_row<'a>(&'a self, stream: &'a StreamId, kind: &'a str) -> Answer<'a, Option<Vec<u8>>>;
    /// A request that was committed, however long ago.
    fn request<'a>(
        &'a self,
        account_id: &'a str,
        request_id: Uuid,
    ) -> Answer<'a, Option<RequestRow>>;
    /// The times of a stream's events, oldest first.
    fn dates<'a>(&'a self, stream: &'a StreamId) -> Answer<'a, Vec<Timestamp>>;
    fn recorded_at(&self, position: u64) -> Answer<'_, Option<Timestamp>>;
    fn status(&self) -> Answer<'_, LogStatus>;
    /// The tree as far as it is kept.
    fn tree(&self) -> Answer<'_, TreeHead>;
    /// Those of these tiles that are there.
    fn tiles<'a>(&'a self, names: &'a [TileName]) -> Answer<'a, BTreeMap<TileName, Vec<u8>>>;
    /// Sends every row beside the events, all out of one snapshot; answers the last position in it.
    fn rows(&self, to: mpsc::Sender<Vec<TableRow>>) -> Answer<'_, u64>;
    /// The rotations of the master key, the last one first, as many as are asked for.
    fn rotations(&self, limit: u32) -> Answer<'_, Vec<RotationRow>>;
    /// The wrapped keys of the log itself.
    fn log_keys(&self) -> Answer<'_, Vec<KeyRow>>;
    /// The next streams, in the order of their names, whose key is wrapped under another master key than this one.
    fn wrapped_otherwise<'a>(
        &'a self,
        than: KeyId,
        after: &'a StreamId,
        limit: u32,
    ) -> Answer<'a, Vec<(StreamId, Vec<u8>)>>;
    /// How many keys are wrapped under another master key than this one.
    fn count_wrapped_otherwise(&self, than: KeyId) -> Answer<'_, u64>;
    fn stock(&self) -> Stock;
    fn close(&self) -> BoxFuture<'_, ()>;
}
