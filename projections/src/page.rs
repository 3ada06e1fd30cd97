//! Pages of a list, by key and never by offset, so that a late page costs what the first one costs.

use rusqlite::{Connection, Params, Row};

/// The longest page there is, whatever was asked for.
const LONGEST: u32 = 1000;

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R, K> {
    /// The rows, in the order of the list.
    pub rows: Vec<R>,
    /// The key of the last row where more rows follow: what the next page comes after. Nothing on the last page.
    pub next: Option<K>,
    /// How many rows the whole list has, where it was asked for.
    pub total: Option<u64>,
}

impl<R, K> Page<R, K> {
    /// Cuts a page of `limit` rows out of rows that were read with [`one_more`]; `key` names a row.
    pub(crate) fn cut(
        mut rows: Vec<R>,
        limit: u32,
        total: Option<u64>,
        key: impl FnOnce(&R) -> K,
    ) -> Self {
        let limit = length(limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { rows, next, total }
    }

    /// The page with what is read for its rows.
    pub(crate) fn read<T>(
        self,
        read: impl FnOnce(Vec<R>) -> rusqlite::Result<Vec<T>>,
    ) -> rusqlite::Result<Page<T, K>> {
        Ok(Page {
            rows: read(self.rows)?,
            next: self.next,
            total: self.total,
        })
    }
}

/// How many rows to read for a page of `limit`: one more shows whether another page follows.
pub(crate) fn one_more(limit: u32) -> i64 {
    i64::from(limit.clamp(1, LONGEST)) + 1
}

fn length(limit: u32) -> usize {
    limit.clamp(1, LONGEST) as usize
}

/// Every row of a statement.
pub(crate) fn rows<R>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<R>,
) -> rusqlite::Result<Vec<R>> {
    connection
        .prepare_cached(sql)?
        .query_map(params, read)?
        .collect()
}

/// The first row of a statement, if it has one.
pub(crate) fn first<R>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<R>,
) -> rusqlite::Result<Option<R>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The number a counting statement answers, where `wanted`.
pub(crate) fn total(
    connection: &Connection,
    wanted: bool,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<Option<u64>> {
    if !wanted {
        return Ok(None);
    }
    connection
        .prepare_cached(sql)?
        .query_row(params, |row| row.get(0))
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_where_one_row_more_was_read() {
        let page = Page::cut(vec![1, 2, 3], 2, None, |row| *row);
        assert_eq!(page.rows, [1, 2]);
        assert_eq!(page.next, Some(2));
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::cut(vec![1, 2], 2, Some(2), |row| *row);
        assert_eq!((page.next, page.total), (None, Some(2)));
    }

    #[test]
    fn a_limit_is_never_below_one_nor_above_a_thousand() {
        assert_eq!(
            (one_more(0), one_more(1000), one_more(u32::MAX)),
            (2, 1001, 1001)
        );
    }
}
