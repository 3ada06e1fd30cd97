//! The one statement that answers every question of a batch.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::append::{Holders, Repeated};
use crate::judge::{Facts, KeyState, Questions, RequestRow};
use crate::ring::KeyId;

use super::reader::{names, place_index};
use super::record::{HeldColumns, Query};

const LOOK: &str = include_str!("look.sql");

/// Asks; the commit's time is the server's, moved by the offset.
pub(super) fn questions(asked: &Questions, offset_micros: i64) -> Query<'static> {
    let (stream_types, stream_ids) = names(asked.streams.iter());
    let (key_types, key_ids) = names(asked.keys.iter());
    let claims = HeldColumns::of(asked.claims.iter().map(|row| (row, "")));
    let members = HeldColumns::of(asked.members.iter().map(|held| (&held.row, &*held.owner)));
    let (accounts, requests): (Vec<_>, Vec<_>) = asked.requests.iter().cloned().unzip();
    let (side_types, side_ids) = names(asked.side.iter().map(|(stream, _)| stream));
    let side_kinds: Vec<_> = asked.side.iter().map(|(_, kind)| kind.clone()).collect();
    sqlx::query(LOOK)
        .bind(offset_micros)
        .bind(stream_types)
        .bind(stream_ids)
        .bind(key_types)
        .bind(key_ids)
        .bind(asked.accounts.clone())
        .bind(claims.accounts)
        .bind(claims.kinds)
        .bind(claims.keys)
        .bind(members.accounts)
        .bind(members.kinds)
        .bind(members.keys)
        .bind(members.owners)
        .bind(accounts)
        .bind(requests)
        .bind(side_types)
        .bind(side_ids)
        .bind(side_kinds)
        .bind(asked.wrapping)
}

/// Puts a row of the answers where it belongs.
pub(super) fn answer(row: &PgRow, asked: &Questions, facts: &mut Facts) -> Result<(), sqlx::Error> {
    let kind: i64 = row.try_get("kind")?;
    let place = place_index(row.try_get("place")?);
    let first = row.try_get::<i64, _>("first")?.cast_unsigned();
    match kind {
        0 => {
            facts.position = first;
            facts.now = row.try_get("at")?;
        }
        1 => {
            facts.revisions.insert(asked.streams[place].clone(), first);
        }
        2 => {
            let wrapped: Option<_> = row.try_get("bytes")?;
            let state = wrapped.map_or(KeyState::Destroyed, KeyState::Present);
            facts.keys.insert(asked.keys[place].clone(), state);
        }
        3 => {
            facts.accounts.insert(asked.accounts[place].clone(), first);
        }
        4 => {
            let holders = Holders {
                count: first,
                owners: row.try_get("owners")?,
            };
            facts.claims.insert(asked.claims[place].clone(), holders);
        }
        5 => {
            facts.members.insert(asked.members[place].clone());
        }
        7 => {
            let value = row.try_get("bytes")?;
            facts.side.insert(asked.side[place].clone(), value);
        }
        8 => {
            let wrapping: Vec<u8> = row.try_get("bytes")?;
            facts.wrapping = KeyId::read(&wrapping);
        }
        _ => {
            let repeated = Repeated {
                first_position: first,
                last_position: row.try_get::<i64, _>("last")?.cast_unsigned(),
                recorded_at: row.try_get("at")?,
                outcome: row.try_get("more")?,
            };
            let digest = row.try_get("bytes")?;
            let request = RequestRow { digest, repeated };
            facts
                .requests
                .insert(asked.requests[place].clone(), request);
        }
    }
    Ok(())
}
