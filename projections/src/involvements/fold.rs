//! How involvements and settlements follow from what was reported.

use rollbook_aggregates::invoice::{InvoiceEvent, InvoiceSettlementReported};
use rollbook_aggregates::user::{InvoiceReviewed, InvoiceSettled, Involvement};
use rollbook_aggregates::values::CompanyId;
use rusqlite::{Connection, params};

use super::{Ending, InvolvementKind};
use crate::columns::Coded;
use crate::event::{Content, Folded};
use crate::view::FoldError;

const BEGIN: &str = "
    INSERT OR REPLACE INTO involvements (user_id, kind, company_id, subject, account_id, since, since_position)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const END: &str = "
    UPDATE involvements
    SET ending = ?5, ended_at = ?6
    WHERE user_id = ?1 AND kind = ?2 AND company_id = ?3 AND subject = ?4";

/// A review of an invoice that was settled before it.
const END_LATE: &str = "
    UPDATE involvements
    SET ended_at = ?5, ending = coalesce(
        (
            SELECT settlement
            FROM settlements
            WHERE settlements.account_id = involvements.account_id
                AND settlements.company_id = ?3
                AND settlements.invoice_id = ?4
        ),
        3
    )
    WHERE user_id = ?1 AND kind = ?2 AND company_id = ?3 AND subject = ?4";

const SETTLE: &str = "
    UPDATE involvements
    SET ending = ?4, ended_at = ?5
    WHERE user_id = ?1 AND kind IN (2, 3) AND company_id = ?2 AND subject = ?3 AND ending IS NULL";

const INSERT_SETTLEMENT: &str = "
    INSERT INTO settlements (account_id, company_id, invoice_id, settlement, settled_at)
    VALUES (?1, ?2, ?3, ?4, ?5)";

pub(super) fn fold(tables: &Connection, folded: &Folded) -> Result<(), FoldError> {
    let (user, involvement) = match &folded.content {
        Content::User(user, event) => (*user, event.involvement()),
        Content::Access(key, event) => (key.user_id, event.involvement()),
        Content::Invoice(InvoiceEvent::InvoiceSettlementReported(reported)) => {
            settle(tables, folded, reported)?;
            return Ok(());
        }
        Content::Unreadable(why) => return Err(FoldError::Unreadable(why.clone())),
        Content::Account(_)
        | Content::SignIn(..)
        | Content::Mail(..)
        | Content::Invitation(..)
        | Content::Other => {
            return Ok(());
        }
    };
    if let Some(involvement) = involvement {
        let involved = Involved {
            tables,
            folded,
            user: user.as_uuid().into_bytes(),
        };
        involved.fold(involvement)?;
    }
    Ok(())
}

fn settle(
    tables: &Connection,
    folded: &Folded,
    reported: &InvoiceSettlementReported,
) -> rusqlite::Result<usize> {
    tables.prepare_cached(INSERT_SETTLEMENT)?.execute(params![
        folded.recorded.account_id,
        reported.company_id.as_uuid().into_bytes(),
        reported.invoice_id.as_str(),
        reported.settlement.code(),
        folded.micros(),
    ])
}

/// An event that involves a user.
struct Involved<'a> {
    tables: &'a Connection,
    folded: &'a Folded,
    user: [u8; 16],
}

/// What a user is involved with.
type Thing<'a> = (InvolvementKind, CompanyId, &'a str);

impl Involved<'_> {
    fn fold(&self, involvement: Involvement<'_>) -> rusqlite::Result<usize> {
        use InvolvementKind::{FlowTemplate, QueuedInvoice, Reference};
        match involvement {
            Involvement::InvoiceQueued(it) => {
                self.begin((QueuedInvoice, it.company_id, it.invoice_id.as_str()))
            }
            Involvement::InvoiceDequeued(it) => self.end(
                (QueuedInvoice, it.company_id, it.invoice_id.as_str()),
                Ending::Dequeued,
            ),
            Involvement::InvoiceReviewed(reviewed) => self.review(reviewed),
            Involvement::InvoiceReviewRetracted(it) => self.end(
                (it.kind.into(), it.company_id, it.invoice_id.as_str()),
                Ending::Retracted,
            ),
            Involvement::InvoiceSettled(settled) => self.release(settled),
            Involvement::FlowTemplateLinked(it) => {
                self.begin((FlowTemplate, it.company_id, it.flow_template_id.as_str()))
            }
            Involvement::FlowTemplateUnlinked(it) => self.end(
                (FlowTemplate, it.company_id, it.flow_template_id.as_str()),
                Ending::Unlinked,
            ),
            Involvement::ReferenceLinked(it) => {
                self.begin((Reference, it.company_id, it.reference_id.as_str()))
            }
            Involvement::ReferenceUnlinked(it) => self.end(
                (Reference, it.company_id, it.reference_id.as_str()),
                Ending::Unlinked,
            ),
        }
    }

    fn begin(&self, (kind, company, subject): Thing<'_>) -> rusqlite::Result<usize> {
        self.tables.prepare_cached(BEGIN)?.execute(params![
            self.user,
            kind.code(),
            company.as_uuid().into_bytes(),
            subject,
            self.folded.recorded.account_id,
            self.folded.micros(),
            self.folded.recorded.position,
        ])
    }

    fn end(&self, (kind, company, subject): Thing<'_>, ending: Ending) -> rusqlite::Result<usize> {
        let (company, at) = (company.as_uuid().into_bytes(), self.folded.micros());
        let end = params![self.user, kind.code(), company, subject, ending.code(), at];
        self.tables.prepare_cached(END)?.execute(end)
    }

    fn review(&self, reviewed: &InvoiceReviewed) -> rusqlite::Result<usize> {
        let (kind, subject) = (reviewed.kind.into(), reviewed.invoice_id.as_str());
        let begun = self.begin((kind, reviewed.company_id, subject))?;
        if !reviewed.settled {
            return Ok(begun);
        }
        let (company, at) = (
            reviewed.company_id.as_uuid().into_bytes(),
            self.folded.micros(),
        );
        let end = params![self.user, kind.code(), company, subject, at];
        self.tables.prepare_cached(END_LATE)?.execute(end)
    }

    fn release(&self, settled: &InvoiceSettled) -> rusqlite::Result<usize> {
        self.tables.prepare_cached(SETTLE)?.execute(params![
            self.user,
            settled.company_id.as_uuid().into_bytes(),
            settled.invoice_id.as_str(),
            Ending::from(settled.settlement).code(),
            self.folded.micros(),
        ])
    }
}
