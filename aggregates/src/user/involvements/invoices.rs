//! Invoices in a user's queue, and those it reviewed or attested.

use serde::{Deserialize, Serialize};

use super::{Involved, Involvements, Report, ReviewKind, involve, record};
use crate::domain::{Apply, Context, Decision, InvoiceKey, Reads, Timestamp};
use crate::invoice::{Invoice, Settlement};
use crate::values::{CompanyId, InvoiceId};

/// An invoice was put into a user's personal queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceQueued {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

/// An invoice left a user's personal queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceDequeued {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

/// A user reviewed or attested an invoice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceReviewed {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// What the user did.
    pub kind: ReviewKind,
    /// Whether the invoice was settled before; then it does not need the user any more.
    pub settled: bool,
}

/// A user took back that it reviewed or attested an invoice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceReviewRetracted {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// What the user had done.
    pub kind: ReviewKind,
}

/// An invoice that a user had reviewed or attested was settled, and does not need the user any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceSettled {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// How.
    pub settlement: Settlement,
}

impl<A: Involved> Apply<A> for InvoiceQueued {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let key = key(self.company_id, self.invoice_id);
        involve(involved, |involvements| involvements.queued.insert(key));
    }
}

impl<A: Involved> Apply<A> for InvoiceDequeued {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let key = key(self.company_id, self.invoice_id);
        involve(involved, |involvements| involvements.queued.remove(&key));
    }
}

impl<A: Involved> Apply<A> for InvoiceReviewed {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let key = key(self.company_id, self.invoice_id);
        involve(involved, |involvements| {
            if self.settled {
                involvements
                    .reviews_settled
                    .insert((key.digest(), self.kind))
            } else {
                involvements.reviews_open.insert((key, self.kind))
            }
        });
    }
}

impl<A: Involved> Apply<A> for InvoiceReviewRetracted {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let key = key(self.company_id, self.invoice_id);
        involve(involved, |involvements| {
            involvements
                .reviews_settled
                .remove(&(key.digest(), self.kind));
            involvements.reviews_open.remove(&(key, self.kind))
        });
    }
}

impl<A: Involved> Apply<A> for InvoiceSettled {
    fn apply(self, _at: Timestamp, involved: &mut A) {
        let key = key(self.company_id, self.invoice_id);
        involve(involved, |involvements| {
            for kind in [ReviewKind::Reviewed, ReviewKind::Attested] {
                if involvements.reviews_open.remove(&(key.clone(), kind)) {
                    involvements.reviews_settled.insert((key.digest(), kind));
                }
            }
            true
        });
    }
}

const fn key(company_id: CompanyId, invoice_id: InvoiceId) -> InvoiceKey {
    InvoiceKey {
        company_id,
        invoice_id,
    }
}

impl Involvements {
    fn has_review(&self, invoice: &InvoiceKey, kind: ReviewKind) -> bool {
        self.reviews_open.contains(&(invoice.clone(), kind))
            || self.reviews_settled.contains(&(invoice.digest(), kind))
    }

    /// Whether it reviewed or attested the invoice, and that is not settled.
    pub(in crate::user) fn has_open_review(&self, invoice: &InvoiceKey) -> bool {
        [ReviewKind::Reviewed, ReviewKind::Attested]
            .into_iter()
            .any(|kind| self.reviews_open.contains(&(invoice.clone(), kind)))
    }
}

/// Records that an invoice was put into a user's personal queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInvoiceQueued {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

impl Report for ReportInvoiceQueued {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = involvements.queued.contains(&key);
        if !already {
            ctx.account.must_have_companies([key.company_id])?;
        }
        let event = InvoiceQueued {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
        };
        Ok(record(ctx, involved, already, event))
    }
}

/// Records that an invoice left a user's personal queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInvoiceDequeued {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

impl Report for ReportInvoiceDequeued {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !involvements.queued.contains(&key);
        let event = InvoiceDequeued {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
        };
        Ok(record(ctx, involved, already, event))
    }
}

/// Records that a user reviewed or attested an invoice; one that is settled already does not need the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInvoiceReviewed {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// What the user did.
    pub kind: ReviewKind,
}

impl Report for ReportInvoiceReviewed {
    fn reads_on(&self) -> Reads {
        let key = key(self.company_id, self.invoice_id.clone());
        Reads {
            invoices: std::iter::once(key).collect(),
            ..Reads::default()
        }
    }

    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = involvements.has_review(&key, self.kind);
        if !already {
            ctx.account.must_have_companies([key.company_id])?;
        }
        let invoice = ctx.facts.invoice(&key);
        let settled = invoice.and_then(Invoice::settlement).is_some();
        let event = InvoiceReviewed {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            kind: self.kind,
            settled,
        };
        Ok(record(ctx, involved, already, event))
    }
}

/// Records that a user took back that it reviewed or attested an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetractInvoiceReview {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// What the user had done.
    pub kind: ReviewKind,
}

impl Report for RetractInvoiceReview {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !involvements.has_review(&key, self.kind);
        let event = InvoiceReviewRetracted {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            kind: self.kind,
        };
        Ok(record(ctx, involved, already, event))
    }
}

/// Releases a user from an invoice that was settled. Given to every reviewer in the commit that settles the invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleInvoice {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// How.
    pub settlement: Settlement,
}

impl Report for SettleInvoice {
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error> {
        let involvements = involved.involvements(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !involvements.has_open_review(&key);
        let event = InvoiceSettled {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            settlement: self.settlement,
        };
        Ok(record(ctx, involved, already, event))
    }
}
