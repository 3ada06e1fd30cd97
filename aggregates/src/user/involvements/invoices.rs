//! Invoices in a user's queue, and those it reviewed or attested.

use serde::{Deserialize, Serialize};

use super::{Involvements, ReviewKind};
use crate::account::Account;
use crate::domain::{Apply, Context, Decide, Decision, InvoiceKey, Reads, Timestamp};
use crate::invoice::{Invoice, Settlement};
use crate::user::{User, UserError, UserEvent};
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

impl Apply<User> for InvoiceQueued {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let key = key(self.company_id, self.invoice_id);
        user.involve(|involvements| involvements.queued.insert(key));
    }
}

impl Apply<User> for InvoiceDequeued {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let key = key(self.company_id, self.invoice_id);
        user.involve(|involvements| involvements.queued.remove(&key));
    }
}

impl Apply<User> for InvoiceReviewed {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let key = key(self.company_id, self.invoice_id);
        user.involve(|involvements| {
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

impl Apply<User> for InvoiceReviewRetracted {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let key = key(self.company_id, self.invoice_id);
        user.involve(|involvements| {
            involvements
                .reviews_settled
                .remove(&(key.digest(), self.kind));
            involvements.reviews_open.remove(&(key, self.kind))
        });
    }
}

impl Apply<User> for InvoiceSettled {
    fn apply(self, _at: Timestamp, user: &mut User) {
        let key = key(self.company_id, self.invoice_id);
        user.involve(|involvements| {
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

impl User {
    pub(super) fn involve(&mut self, change: impl FnOnce(&mut Involvements) -> bool) {
        self.change(|person| {
            change(&mut person.involvements);
        });
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

/// One event, unless it is so already.
pub(super) fn record(
    ctx: &Context<'_>,
    user: &User,
    already: bool,
    event: impl Into<UserEvent>,
) -> Decision<User> {
    if already {
        Decision::nothing()
    } else {
        Decision::of(ctx, user, vec![event.into()])
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

impl Decide for ReportInvoiceQueued {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = person.involvements.queued.contains(&key);
        if !already {
            ctx.account.must_have_companies([key.company_id])?;
        }
        let event = InvoiceQueued {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
        };
        Ok(record(ctx, user, already, event))
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

impl Decide for ReportInvoiceDequeued {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !person.involvements.queued.contains(&key);
        let event = InvoiceDequeued {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
        };
        Ok(record(ctx, user, already, event))
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

impl Decide for ReportInvoiceReviewed {
    type Aggregate = User;

    fn reads(&self, _account: &Account, _user: &User) -> Reads {
        let key = key(self.company_id, self.invoice_id.clone());
        Reads {
            invoices: std::iter::once(key).collect(),
            ..Reads::default()
        }
    }

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = person.involvements.has_review(&key, self.kind);
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
        Ok(record(ctx, user, already, event))
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

impl Decide for RetractInvoiceReview {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !person.involvements.has_review(&key, self.kind);
        let event = InvoiceReviewRetracted {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            kind: self.kind,
        };
        Ok(record(ctx, user, already, event))
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

impl Decide for SettleInvoice {
    type Aggregate = User;

    fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
        let person = user.must_be_present(ctx)?;
        let key = key(self.company_id, self.invoice_id);
        let already = !person.involvements.has_open_review(&key);
        let event = InvoiceSettled {
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            settlement: self.settlement,
        };
        Ok(record(ctx, user, already, event))
    }
}
