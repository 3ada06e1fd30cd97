//! The one statement that writes all of a batch.

use uuid::Uuid;

use crate::judge::Writes;
use crate::keys::ClaimRow;
use crate::prepared::{Held, Prepared};
use crate::stream::StreamId;

use super::reader::names;

const RECORD: &str = include_str!("record.sql");

pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Claims with their owners as columns.
#[derive(Default)]
pub(super) struct HeldColumns {
    pub(super) accounts: Vec<String>,
    pub(super) kinds: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) owners: Vec<String>,
}

impl HeldColumns {
    pub(super) fn of<'a>(held: impl Iterator<Item = (&'a ClaimRow, &'a str)>) -> Self {
        let mut columns = Self::default();
        for (row, owner) in held {
            columns.accounts.push(row.account_id.clone());
            columns.kinds.push(row.kind.clone());
            columns.keys.push(row.key.clone());
            columns.owners.push(owner.to_owned());
        }
        columns
    }

    fn where_held(writes: &Writes, holds: bool) -> Self {
        let claims = writes.claims.iter().filter(|(_, held)| **held == holds);
        Self::of(claims.map(|(Held { row, owner }, _)| (row, &**owner)))
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.accounts)
            .bind(self.kinds)
            .bind(self.keys)
            .bind(self.owners)
    }
}

/// The events of a batch as columns.
#[derive(Default)]
pub(super) struct Columns<'a> {
    positions: Vec<i64>,
    types: Vec<&'a str>,
    ids: Vec<&'a str>,
    revisions: Vec<i64>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
    metadata: Vec<&'a str>,
    commit_positions: Vec<i64>,
    accounts: Vec<&'a str>,
    account_numbers: Vec<i64>,
    forgets: Vec<bool>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a [&'a Prepared], writes: &Writes) -> Self {
        let mut columns = Self::default();
        for placed in &writes.events {
            let stream = &batch[placed.append].streams[placed.stream];
            let event = &stream.events[placed.event];
            columns.positions.push(placed.position.cast_signed());
            columns.types.push(&stream.stream.aggregate_type);
            columns.ids.push(&stream.stream.aggregate_id);
            columns.revisions.push(placed.revision.cast_signed());
            columns.event_types.push(&event.draft.event_type);
            columns.event_versions.push(&event.draft.event_version);
            columns.payloads.push(&event.payload);
            columns.metadata.push(&event.metadata);
            columns
                .commit_positions
                .push(placed.commit_position.cast_signed());
            columns.accounts.push(&stream.account_id);
            columns
                .account_numbers
                .push(placed.account_number.cast_signed());
            columns.forgets.push(stream.forget);
        }
        columns
    }

    /// The statement, which tells everybody in the name of `teller` and answers the id of its transaction.
    pub(super) fn statement(self, writes: &Writes, teller: Uuid) -> Query<'a> {
        let (accounts, numbers): (Vec<_>, Vec<_>) = writes
            .accounts
            .iter()
            .map(|(account, number)| (account.clone(), number.cast_signed()))
            .unzip();
        let query = sqlx::query(RECORD)
            .bind(writes.recorded_at)
            .bind(self.positions)
            .bind(self.types)
            .bind(self.ids)
            .bind(self.revisions)
            .bind(self.event_types)
            .bind(self.event_versions)
            .bind(self.payloads)
            .bind(self.metadata)
            .bind(self.commit_positions)
            .bind(self.accounts)
            .bind(self.account_numbers)
            .bind(self.forgets)
            .bind(writes.position.cast_signed())
            .bind(accounts)
            .bind(numbers);
        let query = HeldColumns::where_held(writes, true).bind(query);
        let query = HeldColumns::where_held(writes, false).bind(query);
        bind_requests(bind_secrets(query, writes), writes).bind(teller.to_string())
    }
}

fn bind_secrets<'a>(query: Query<'a>, writes: &Writes) -> Query<'a> {
    let (key_types, key_ids) = names(writes.keys.keys());
    let wrapped: Vec<_> = writes.keys.values().cloned().collect();
    let set = writes
        .side
        .iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)));
    let (set_names, values): (Vec<_>, Vec<_>) = set.unzip();
    let removed = writes.side.iter().filter(|(_, value)| value.is_none());
    let query = query.bind(key_types).bind(key_ids).bind(wrapped);
    let query = bind_rows(query, set_names.into_iter()).bind(values);
    bind_rows(query, removed.map(|(name, _)| name))
}

fn bind_rows<'a, 'b>(
    query: Query<'a>,
    rows: impl Iterator<Item = &'b (StreamId, String)> + Clone,
) -> Query<'a> {
    let (types, ids) = names(rows.clone().map(|(stream, _)| stream));
    let kinds: Vec<_> = rows.map(|(_, kind)| kind.clone()).collect();
    query.bind(types).bind(ids).bind(kinds)
}

fn bind_requests<'a>(query: Query<'a>, writes: &Writes) -> Query<'a> {
    let (accounts, ids): (Vec<_>, Vec<_>) = writes.requests.keys().cloned().unzip();
    let rows = writes.requests.values();
    let digests: Vec<_> = rows.clone().map(|row| row.digest.clone()).collect();
    let firsts: Vec<_> = rows
        .clone()
        .map(|row| row.repeated.first_position.cast_signed())
        .collect();
    let lasts: Vec<_> = rows
        .clone()
        .map(|row| row.repeated.last_position.cast_signed())
        .collect();
    let outcomes: Vec<_> = rows.map(|row| row.repeated.outcome.clone()).collect();
    query
        .bind(accounts)
        .bind(ids)
        .bind(digests)
        .bind(firsts)
        .bind(lasts)
        .bind(outcomes)
}
