//! What a view is: its tables, and how an event changes them.

use rusqlite::Connection;

use crate::event::Folded;

/// A view. What it shows follows from the events alone: a fold reads no clock and nothing outside its own tables.
pub(crate) trait View: 'static {
    /// Its name, which is also its file's.
    const NAME: &'static str;
    /// The version of its tables and its fold. Whoever changes one of them takes the next number, and the view is made again.
    const VERSION: u32;
    /// The statements that make its tables, with what a fold needs to find its rows.
    const TABLES: &'static [&'static str];
    /// What only questions need: made from the rows once they are there, one after the other, which takes less than keeping
    /// it up from the first row on.
    const INDEXES: &'static [&'static str];

    /// Whether the event changes anything here; one that cannot be read concerns every view that would have to read it.
    fn concerns(event: &Folded) -> bool;

    /// Changes the rows as the event says. Called once for each event that concerns the view, in the order of the log.
    fn fold(tables: &Connection, event: &Folded) -> Result<(), FoldError>;

    /// Brings to an end what folding left to be done for many events at once; called before they are committed.
    fn settle(_tables: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// An event that a view cannot apply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    /// The event is not of a form known here.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
    /// The tables refuse it, or cannot be written.
    #[error("the tables cannot be written: {0}")]
    Tables(#[from] rusqlite::Error),
    /// A value cannot be stored as JSON.
    #[error("a value cannot be stored: {0}")]
    Value(#[from] serde_json::Error),
}
