//! What outside the directory still needs a user, as other services report it (R39).
//!
//! Every report is idempotent by the id of what it is about. Reports are facts: they are recorded for inactive and locked
//! users too, and only what begins an involvement needs its company to be there. The work of an external user is recorded
//! on its access, by the same rules: what is [`Involved`] is one or the other.

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

use super::{Blocker, User, UserError, UserEvent};
use crate::account::{Account, CatalogueError};
use crate::domain::{Claimant, Context, Decide, Decision, EventSet, InvoiceKey, Reads, SharedSet};
use crate::values::{CompanyId, FlowTemplateId, ReferenceId};

/// What other services report involvements of: a user in its home account, or the access of an external one.
pub trait Involved: Claimant<Happening: InvolvementEvents, Error: From<CatalogueError>> {
    /// Its involvements.
    ///
    /// # Errors
    /// When the account of the command has no such user.
    fn involvements(&self, ctx: &Context<'_>) -> Result<&Involvements, Self::Error>;

    /// Its involvements, to change them; none where there is nobody to be involved.
    fn involvements_mut(&mut self) -> Option<&mut Involvements>;
}

/// Events among which are those of involvements.
pub trait InvolvementEvents:
    EventSet
    + From<InvoiceQueued>
    + From<InvoiceDequeued>
    + From<InvoiceReviewed>
    + From<InvoiceReviewRetracted>
    + From<InvoiceSettled>
    + From<FlowTemplateLinked>
    + From<FlowTemplateUnlinked>
    + From<ReferenceLinked>
    + From<ReferenceUnlinked>
{
}

impl InvolvementEvents for UserEvent {}

impl Involved for User {
    fn involvements(&self, ctx: &Context<'_>) -> Result<&Involvements, UserError> {
        Ok(&self.must_be_present(ctx)?.involvements)
    }

    fn involvements_mut(&mut self) -> Option<&mut Involvements> {
        self.person_mut().map(|person| &mut person.involvements)
    }
}

/// What another service reports of the work of a user. It decides alike on whatever is [`Involved`].
pub trait Report: Clone + Send + Sync {
    /// What must be looked up before it can be decided.
    fn reads_on(&self) -> Reads {
        Reads::default()
    }

    /// What happens; no events: it is known already.
    ///
    /// # Errors
    /// The rule that refuses it.
    fn decide_on<A: Involved>(
        self,
        ctx: &Context<'_>,
        involved: &A,
    ) -> Result<Decision<A>, A::Error>;
}

/// Lets reports be commands of a user.
macro_rules! commands_of_a_user {
    ($($report:ident,)+) => {$(
        impl Decide for $report {
            type Aggregate = User;

            fn reads(&self, _account: &Account, _user: &User) -> Reads {
                self.reads_on()
            }

            fn decide(self, ctx: &Context<'_>, user: &User) -> Result<Decision<User>, UserError> {
                self.decide_on(ctx, user)
            }
        }
    )+};
}

commands_of_a_user! {
    ReportInvoiceQueued,
    ReportInvoiceDequeued,
    ReportInvoiceReviewed,
    RetractInvoiceReview,
    SettleInvoice,
    LinkFlowTemplate,
    UnlinkFlowTemplate,
    LinkReference,
    UnlinkReference,
}

/// Changes the involvements, where there are any to change.
fn involve<A: Involved>(involved: &mut A, change: impl FnOnce(&mut Involvements) -> bool) {
    if let Some(involvements) = involved.involvements_mut() {
        change(involvements);
    }
}

/// One event, unless it is so already.
fn record<A: Involved>(
    ctx: &Context<'_>,
    involved: &A,
    already: bool,
    event: impl Into<A::Happening>,
) -> Decision<A> {
    if already {
        Decision::nothing()
    } else {
        Decision::of(ctx, involved, vec![event.into()])
    }
}

/// An event that another service reported, whatever it happened to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Involvement<'a> {
    /// See [`struct@InvoiceQueued`].
    InvoiceQueued(&'a InvoiceQueued),
    /// See [`struct@InvoiceDequeued`].
    InvoiceDequeued(&'a InvoiceDequeued),
    /// See [`struct@InvoiceReviewed`].
    InvoiceReviewed(&'a InvoiceReviewed),
    /// See [`struct@InvoiceReviewRetracted`].
    InvoiceReviewRetracted(&'a InvoiceReviewRetracted),
    /// See [`struct@InvoiceSettled`].
    InvoiceSettled(&'a InvoiceSettled),
    /// See [`struct@FlowTemplateLinked`].
    FlowTemplateLinked(&'a FlowTemplateLinked),
    /// See [`struct@FlowTemplateUnlinked`].
    FlowTemplateUnlinked(&'a FlowTemplateUnlinked),
    /// See [`struct@ReferenceLinked`].
    ReferenceLinked(&'a ReferenceLinked),
    /// See [`struct@ReferenceUnlinked`].
    ReferenceUnlinked(&'a ReferenceUnlinked),
}

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

/// A kind of thing that needs a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// An invoice in its personal queue.
    QueuedInvoice,
    /// A linked reference.
    LinkedReference,
    /// A linked flow template.
    LinkedFlowTemplate,
    /// An invoice it reviewed or attested that is not settled.
    UnsettledInvoice,
}

impl Need {
    /// The name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueuedInvoice => "QUEUED_INVOICE",
            Self::LinkedReference => "LINKED_REFERENCE",
            Self::LinkedFlowTemplate => "LINKED_FLOW_TEMPLATE",
            Self::UnsettledInvoice => "UNSETTLED_INVOICE",
        }
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

    /// How many things of each kind still need the user; kinds of which there is none are left out.
    #[must_use]
    pub fn needs(&self) -> Vec<(Need, usize)> {
        [
            (Need::QueuedInvoice, self.queued.len()),
            (Need::LinkedReference, self.references.len()),
            (Need::LinkedFlowTemplate, self.flow_templates.len()),
            (Need::UnsettledInvoice, self.reviews_open.len()),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
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
