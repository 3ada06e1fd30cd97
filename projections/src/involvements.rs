//! What outside the directory needs a user: by user, and who reviewed an invoice.
//!
//! There is one row for each user and thing; where the user was involved with it more than once, the row shows the last time.
//! Rows stay when they end, and when their user is deleted: they name nobody.

mod fold;

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invoice::Settlement;
use rollbook_aggregates::user::ReviewKind;
use rollbook_aggregates::values::{AccountId, CompanyId, InvoiceId, UserId};
use rusqlite::{Connection, Row, params};

use crate::columns::{coded, codes, id, optional_time, time};
use crate::event::{Content, Folded};
use crate::page::{Page, first, one_more, rows, total};
use crate::reading::{ReadError, questions_of};
use crate::view::{FoldError, View};

/// What needs a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvolvementKind {
    /// An invoice in its personal queue.
    QueuedInvoice,
    /// An invoice it reviewed.
    ReviewedInvoice,
    /// An invoice it attested.
    AttestedInvoice,
    /// A flow template that is linked to it.
    FlowTemplate,
    /// A reference that is linked to it.
    Reference,
}

codes! {
    InvolvementKind {
        QueuedInvoice = 1,
        ReviewedInvoice = 2,
        AttestedInvoice = 3,
        FlowTemplate = 4,
        Reference = 5,
    }
}

impl From<ReviewKind> for InvolvementKind {
    fn from(kind: ReviewKind) -> Self {
        match kind {
            ReviewKind::Reviewed => Self::ReviewedInvoice,
            ReviewKind::Attested => Self::AttestedInvoice,
        }
    }
}

/// How an involvement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The invoice left the queue.
    Dequeued,
    /// The review was retracted.
    Retracted,
    /// The invoice was posted.
    Posted,
    /// The invoice was withdrawn.
    Withdrawn,
    /// The link was removed.
    Unlinked,
}

codes! {
    Ending {
        Dequeued = 1,
        Retracted = 2,
        Posted = 3,
        Withdrawn = 4,
        Unlinked = 5,
    }
}

impl From<Settlement> for Ending {
    fn from(settlement: Settlement) -> Self {
        match settlement {
            Settlement::Posted => Self::Posted,
            Settlement::Withdrawn => Self::Withdrawn,
        }
    }
}

codes! { Settlement { Posted = 3, Withdrawn = 4, } }

const TABLES: &str = "
    CREATE TABLE involvements (
        user_id BLOB NOT NULL,
        kind INTEGER NOT NULL,
        company_id BLOB NOT NULL,
        subject TEXT NOT NULL,
        account_id TEXT NOT NULL,
        since INTEGER NOT NULL,
        since_position INTEGER NOT NULL,
        ending INTEGER,
        ended_at INTEGER,
        PRIMARY KEY (user_id, kind, company_id, subject)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE settlements (
        account_id TEXT NOT NULL,
        company_id BLOB NOT NULL,
        invoice_id TEXT NOT NULL,
        settlement INTEGER NOT NULL,
        settled_at INTEGER NOT NULL,
        PRIMARY KEY (account_id, company_id, invoice_id)
    ) STRICT, WITHOUT ROWID;
";

/// What only questions need: made once the rows are there.
const INDEXES: &[&str] = &[
    "CREATE INDEX involvements_by_user ON involvements (user_id, since_position)",
    "CREATE INDEX involvements_open ON involvements (user_id, since_position) WHERE ending IS NULL",
    "CREATE INDEX involvements_by_invoice ON involvements (company_id, subject, since_position) WHERE kind IN (2, 3)",
];

/// The columns of an involvement, as [`read`] takes them.
macro_rules! columns {
    () => {
        "user_id, kind, company_id, subject, since, since_position, ending, ended_at"
    };
}

const SELECT_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM involvements INDEXED BY involvements_by_user
    WHERE user_id = ?1 AND account_id = ?2 AND since_position > ?3
    ORDER BY since_position
    LIMIT ?4"
);

const COUNT_ALL: &str = "
    SELECT count(*)
    FROM involvements
    WHERE user_id = ?1 AND account_id = ?2";

const SELECT_OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM involvements INDEXED BY involvements_open
    WHERE user_id = ?1 AND account_id = ?2 AND since_position > ?3 AND ending IS NULL
    ORDER BY since_position
    LIMIT ?4"
);

const COUNT_OPEN: &str = "
    SELECT count(*)
    FROM involvements INDEXED BY involvements_open
    WHERE user_id = ?1 AND account_id = ?2 AND ending IS NULL";

const SELECT_REVIEWERS: &str = concat!(
    "SELECT ",
    columns!(),
    "
    FROM involvements INDEXED BY involvements_by_invoice
    WHERE company_id = ?1 AND subject = ?2 AND account_id = ?3 AND since_position > ?4 AND kind IN (2, 3)
    ORDER BY since_position
    LIMIT ?5"
);

const COUNT_REVIEWERS: &str = "
    SELECT count(*)
    FROM involvements INDEXED BY involvements_by_invoice
    WHERE company_id = ?1 AND subject = ?2 AND account_id = ?3 AND kind IN (2, 3)";

const SELECT_SETTLEMENT: &str = "
    SELECT settlement, settled_at
    FROM settlements
    WHERE account_id = ?1 AND company_id = ?2 AND invoice_id = ?3";

/// A question for what needs a user, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInvolvements {
    /// Whose account.
    pub account: AccountId,
    /// Which user.
    pub user: UserId,
    /// Only what has not ended.
    pub open_only: bool,
    /// Where the page before ended.
    pub after: Option<u64>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count them all.
    pub total: bool,
}

/// A question for who reviewed or attested an invoice, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReviewers {
    /// Whose account.
    pub account: AccountId,
    /// In which company.
    pub company: CompanyId,
    /// Which invoice.
    pub invoice: InvoiceId,
    /// Where the page before ended.
    pub after: Option<u64>,
    /// How many at most, 1 to 1000.
    pub limit: u32,
    /// Whether to count them all.
    pub total: bool,
}

/// Something that needs a user, or needed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvolvementRow {
    /// The user.
    pub user_id: UserId,
    /// What kind of thing.
    pub kind: InvolvementKind,
    /// In which company.
    pub company_id: CompanyId,
    /// Which invoice, flow template or reference.
    pub subject: String,
    /// When it began.
    pub since: Timestamp,
    /// Where that stands in the log.
    pub since_position: u64,
    /// How it ended; nothing while it is open.
    pub ended: Option<Ended>,
}

/// The end of an involvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: Ending,
    /// When.
    pub at: Timestamp,
}

/// The settlement of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementRow {
    /// How it was settled.
    pub settlement: Settlement,
    /// When.
    pub at: Timestamp,
}

/// The view of involvements.
pub(crate) struct InvolvementView;

impl View for InvolvementView {
    const NAME: &'static str = "involvements";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static str] = &[TABLES];
    const INDEXES: &'static [&'static str] = INDEXES;

    fn concerns(event: &Folded) -> bool {
        match &event.content {
            Content::User(_, event) => event.is_involvement(),
            Content::Access(_, event) => event.involvement().is_some(),
            Content::Invoice(_) | Content::Unreadable(_) => true,
            Content::Account(_)
            | Content::SignIn(..)
            | Content::Mail(..)
            | Content::Invitation(..)
            | Content::Other => false,
        }
    }

    fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
        fold::fold(tables, folded)
    }
}

questions_of! {
    /// What needs users, and who reviewed an invoice.
    Involvements
}

impl Involvements {
    /// A page of what needs a user; a page ends at its last row's position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(
        &self,
        query: ListInvolvements,
    ) -> Result<Page<InvolvementRow, u64>, ReadError> {
        self.0.list(move |tables| list(tables, &query)).await
    }

    /// A page of who reviewed or attested an invoice; a page ends at its last row's position.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn reviewers(
        &self,
        query: ListReviewers,
    ) -> Result<Page<InvolvementRow, u64>, ReadError> {
        self.0.list(move |tables| reviewers(tables, &query)).await
    }

    /// How and when an invoice was settled; nothing where it is not.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn settlement(
        &self,
        account: &AccountId,
        company: CompanyId,
        invoice: &InvoiceId,
    ) -> Result<Option<SettlementRow>, ReadError> {
        let company = company.as_uuid().into_bytes();
        self.0.look_up(|tables| {
            first(
                tables,
                SELECT_SETTLEMENT,
                params![account.as_str(), company, invoice.as_str()],
                |row| {
                    Ok(SettlementRow {
                        settlement: coded(row, 0)?,
                        at: time(row, 1)?,
                    })
                },
            )
        })
    }
}

fn list(
    tables: &Connection,
    query: &ListInvolvements,
) -> rusqlite::Result<Page<InvolvementRow, u64>> {
    let (select, count) = if query.open_only {
        (SELECT_OPEN, COUNT_OPEN)
    } else {
        (SELECT_ALL, COUNT_ALL)
    };
    let (user, account) = (query.user.as_uuid().into_bytes(), query.account.as_str());
    let page = params![
        user,
        account,
        query.after.unwrap_or(0),
        one_more(query.limit)
    ];
    let found = rows(tables, select, page, read)?;
    let total = total(tables, query.total, count, params![user, account])?;
    Ok(Page::cut(
        found,
        query.limit,
        total,
        |row: &InvolvementRow| row.since_position,
    ))
}

fn reviewers(
    tables: &Connection,
    query: &ListReviewers,
) -> rusqlite::Result<Page<InvolvementRow, u64>> {
    let company = query.company.as_uuid().into_bytes();
    let (invoice, account) = (query.invoice.as_str(), query.account.as_str());
    let page = params![
        company,
        invoice,
        account,
        query.after.unwrap_or(0),
        one_more(query.limit)
    ];
    let found = rows(tables, SELECT_REVIEWERS, page, read)?;
    let total = total(
        tables,
        query.total,
        COUNT_REVIEWERS,
        params![company, invoice, account],
    )?;
    Ok(Page::cut(
        found,
        query.limit,
        total,
        |row: &InvolvementRow| row.since_position,
    ))
}

fn read(row: &Row<'_>) -> rusqlite::Result<InvolvementRow> {
    let ended = match optional_time(row, 7)? {
        Some(at) => Some(Ended {
            how: coded(row, 6)?,
            at,
        }),
        None => None,
    };
    Ok(InvolvementRow {
        user_id: id(row, 0)?,
        kind: coded(row, 1)?,
        company_id: id(row, 2)?,
        subject: row.get(3)?,
        since: time(row, 4)?,
        since_position: row.get(5)?,
        ended,
    })
}
