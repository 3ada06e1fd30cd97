//! Reads a list page by page, up to as many as are wanted.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tonic::Status;

use super::problem::Problem;

/// The most a page holds.
const LARGEST_PAGE: u64 = 1000;

/// One page: its rows and where the next begins.
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; empty on the last.
    pub next: String,
}

/// Rows of a list, and where it goes on if not all were wanted.
pub type Rows<T> = Page<T>;

/// Reads pages with `read(page_size, page_token)` until `limit` rows are there; 0: all.
pub async fn read_pages<T, Read>(
    limit: u64,
    what: &'static str,
    mut read: Read,
) -> Result<Rows<T>, Problem>
where
    Read: AsyncFnMut(u32, String) -> Result<Page<T>, Status>,
{
    let mut rows = Vec::new();
    let mut next = String::new();
    let progress = counting(what);
    loop {
        let left = if limit == 0 {
            LARGEST_PAGE
        } else {
            limit - rows.len() as u64
        };
        let size = u32::try_from(left.min(LARGEST_PAGE)).unwrap_or(u32::MAX);
        let page = read(size, next).await?;
        rows.extend(page.rows);
        next = page.next;
        progress.set_position(rows.len() as u64);
        if next.is_empty() || (limit != 0 && rows.len() as u64 >= limit) {
            progress.finish_and_clear();
            return Ok(Rows { rows, next });
        }
    }
}

/// A line at the terminal that counts up; nothing is shown where standard error is no terminal.
#[must_use]
pub fn counting(what: &'static str) -> ProgressBar {
    let progress = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} {msg} ({per_sec})") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

/// The line below a list that was cut off.
#[must_use]
pub fn more<T>(rows: &Rows<T>) -> &'static str {
    if rows.next.is_empty() {
        ""
    } else {
        "\nthere are more; --limit 0 shows all"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(limit: u64, total: usize) -> (Vec<usize>, bool) {
        let rows = read_pages(limit, "numbers", async |size, token| {
            let from: usize = token.parse().unwrap_or(0);
            let to = (from + size as usize).min(total);
            let next = if to < total {
                to.to_string()
            } else {
                String::new()
            };
            Ok(Page {
                rows: (from..to).collect(),
                next,
            })
        });
        let rows = rows.await.unwrap();
        (rows.rows, rows.next.is_empty())
    }

    #[tokio::test]
    async fn pages_are_read_up_to_the_limit() {
        assert_eq!(read(0, 2500).await, ((0..2500).collect(), true));
        assert_eq!(read(1200, 2500).await, ((0..1200).collect(), false));
        assert_eq!(read(10, 3).await, ((0..3).collect(), true));
    }
}
