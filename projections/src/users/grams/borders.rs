//! The borders between the pages of the index.
//!
//! FTS5 finds a page by its border: as much of the first run on it as tells that one from the last run before. When it deletes
//! the run from the page it leaves the border there, in a table of its own, where the run could be read. So a border that begins
//! no run any more is moved to the next run. A page is found by it as before: no run is left between the two.

use std::collections::BTreeSet;
use std::ops::Bound;

use rusqlite::{Connection, OptionalExtension as _};

/// The runs of the index. Whoever opens this has FTS5 write what it holds first.
const RUNS: &str = "
    CREATE VIRTUAL TABLE IF NOT EXISTS temp.user_grams_runs USING fts5vocab (main, user_grams, row)";

/// FTS5 puts a letter of its own before each run, which is no part of it here.
const NEXT: &str = "
    SELECT CAST(term AS BLOB)
    FROM temp.user_grams_runs
    WHERE term >= CAST(?1 AS TEXT)
    ORDER BY term
    LIMIT 1";

/// One for each page, of which a million users take some ten thousand.
const BORDERS: &str = "
    SELECT segid, term
    FROM user_grams_idx
    ORDER BY segid DESC, term DESC";

const MOVE: &str = "
    UPDATE user_grams_idx
    SET term = ?3
    WHERE segid = ?1 AND term = ?2";

const REMOVE: &str = "
    DELETE FROM user_grams_idx
    WHERE segid = ?1 AND term = ?2";

/// What FTS5 puts before the runs of its main index.
const MAIN: u8 = b'0';

/// Takes runs that were deleted out of the borders, where no other run begins as they do.
pub(super) fn forget(tables: &Connection, gone: &BTreeSet<Vec<u8>>) -> rusqlite::Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    tables.execute_batch(RUNS)?;
    let mut next = tables.prepare_cached(NEXT)?;
    let mut next_run = |from: &[u8]| -> rusqlite::Result<Option<Vec<u8>>> {
        next.query_row([from], |row| row.get(0)).optional()
    };
    next_run(&[])?;
    let borders: Vec<(i64, Vec<u8>)> = tables
        .prepare_cached(BORDERS)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut behind: Option<(i64, Vec<u8>)> = None;
    for (segment, border) in borders {
        let begun = border.get(1..).unwrap_or_default();
        let mut stays = begun.is_empty() || !begins_one(gone, begun);
        let mut run = None;
        if !stays {
            run = next_run(begun)?;
            stays = run.as_ref().is_some_and(|run| run.starts_with(begun));
        }
        if stays {
            behind = Some((segment, border));
            continue;
        }
        let moved = run.map(|run| [&[MAIN][..], &run].concat());
        // Where that lies beyond the page, no run is left on the page that would have to be found.
        let on_page = |moved: &Vec<u8>| {
            let border = behind.as_ref().filter(|behind| behind.0 == segment);
            border.is_none_or(|(_, border)| moved < border)
        };
        match moved.filter(on_page) {
            Some(moved) => {
                let mut statement = tables.prepare_cached(MOVE)?;
                statement.execute((segment, &border, &moved))?;
                behind = Some((segment, moved));
            }
            None => {
                tables.prepare_cached(REMOVE)?.execute((segment, &border))?;
            }
        }
    }
    Ok(())
}

fn begins_one(runs: &BTreeSet<Vec<u8>>, begun: &[u8]) -> bool {
    let from = (Bound::Included(begun), Bound::Unbounded);
    let next = runs.range::<[u8], _>(from).next();
    next.is_some_and(|run| run.starts_with(begun))
}
