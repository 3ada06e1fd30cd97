//! What outside the directory still needs a user, as other services report it (R39).
//!
//! Every report is idempotent by the id of what it is about. Reports are facts: they are recorded for inactive and locked
//! users too, and only what begins an involvement needs its company to be there.

mod invoices;
mod links;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use invoices::{
    InvoiceDequeued, InvoiceQueued, InvoiceReviewRetracted, InvoiceReviewed, InvoiceSettled,
    ReportInvoiceDequeued, ReportInvoiceQueued, ReportInvoiceReviewed, RetractInvoiceReview,
    SettleInvoice,
};
pub use links::{
    FlowTemplateLinked, FlowTemplateUnlinked, LinkFlowTemplate, LinkReference, ReferenceLinked,
    ReferenceUnlinked, UnlinkFlowTemplate, UnlinkReference,
};

use super::Blocker;
use crate::domain::{InvoiceKey, SharedSet};
use crate::values::{CompanyId, FlowTemplateId, ReferenceId};

/// What a user did with an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReviewKind {
    /// Reviewed it.
    Reviewed,
    /// Attested it.
    Attested,
}

impl fmt::Display for ReviewKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reviewed => "reviewed",
            Self::Attested => "attested",
        })
    }
}

/// The involvements of a user, which may be a great many. Of settled reviews only a digest is kept, to know a repeated report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Involvements {
    queued: SharedSet<InvoiceKey>,
    references: SharedSet<(CompanyId, ReferenceId)>,
    flow_templates: SharedSet<(CompanyId, FlowTemplateId)>,
    reviews_open: SharedSet<(InvoiceKey, ReviewKind)>,
    reviews_settled: SharedSet<(Uuid, ReviewKind)>,
}

impl Involvements {
    /// The invoices in its personal queue.
    #[must_use]
    pub const fn queued(&self) -> &SharedSet<InvoiceKey> {
        &self.queued
    }

    /// The references linked to it.
    #[must_use]
    pub const fn references(&self) -> &SharedSet<(CompanyId, ReferenceId)> {
        &self.references
    }

    /// The flow templates linked to it.
    #[must_use]
    pub const fn flow_templates(&self) -> &SharedSet<(CompanyId, FlowTemplateId)> {
        &self.flow_templates
    }

    /// What it did with invoices that are not settled.
    #[must_use]
    pub const fn reviews_open(&self) -> &SharedSet<(InvoiceKey, ReviewKind)> {
        &self.reviews_open
    }

    /// Everything that stands against deleting the user.
    pub(super) fn blockers(&self) -> impl Iterator<Item = Blocker> {
        let queued = self.queued.iter().cloned();
        let references = self.references.iter().cloned();
        let flow_templates = self.flow_templates.iter().cloned();
        let reviews = self.reviews_open.iter().cloned();
        queued
            .map(|invoice| Blocker::PersonalQueueNotEmpty {
                company_id: invoice.company_id,
                invoice_id: invoice.invoice_id,
            })
            .chain(
                references.map(|(company_id, reference_id)| Blocker::ReferenceLinked {
                    company_id,
                    reference_id,
                }),
            )
            .chain(flow_templates.map(|(company_id, flow_template_id)| {
                Blocker::FlowTemplateLinked {
                    company_id,
                    flow_template_id,
                }
            }))
            .chain(reviews.map(|(invoice, kind)| Blocker::InvoiceNotSettled {
                company_id: invoice.company_id,
                invoice_id: invoice.invoice_id,
                kind,
            }))
    }
}

#[cfg(test)]
mod tests;
