//! Involvements on the wire.

use rollbook_aggregates::user::{
    LinkFlowTemplate, LinkReference, ReportInvoiceDequeued, ReportInvoiceQueued,
    ReportInvoiceReviewed, RetractInvoiceReview, ReviewKind, UnlinkFlowTemplate, UnlinkReference,
};
use rollbook_aggregates::values::{AccountId, CompanyId, FlowTemplateId, InvoiceId, ReferenceId};
use rollbook_projections::{InvolvementKind, InvolvementRow};
use rollbook_proto::v1 as pb;

use super::user::{ToUser, known};
use super::{Fields, options, wire_time};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};

macro_rules! reports {
    ($($request:ident => $command:ident { $field:ident: $value:ident $(, $kind:ident)? },)+) => {$(
        impl TryFrom<pb::$request> for ToUser<$command> {
            type Error = Failure;

            fn try_from(request: pb::$request) -> Outcome<Self> {
                let pb::$request {
                    account_id,
                    company_id,
                    user_id,
                    $field,
                    $($kind,)?
                    command,
                } = request;
                Self::read(&account_id, &user_id, command, |fields| {
                    let company_id = fields.read("company_id", &company_id, CompanyId::parse);
                    let $field = fields.read(stringify!($field), &$field, $value::parse);
                    $(let $kind = review(fields, $kind);)?
                    Some($command {
                        company_id: company_id?,
                        $field: $field?,
                        $($kind: $kind?,)?
                    })
                })
            }
        }
    )+};
}

reports! {
    ReportInvoiceQueuedRequest => ReportInvoiceQueued { invoice_id: InvoiceId },
    ReportInvoiceDequeuedRequest => ReportInvoiceDequeued { invoice_id: InvoiceId },
    ReportInvoiceReviewedRequest => ReportInvoiceReviewed { invoice_id: InvoiceId, kind },
    RetractInvoiceReviewRequest => RetractInvoiceReview { invoice_id: InvoiceId, kind },
    LinkFlowTemplateRequest => LinkFlowTemplate { flow_template_id: FlowTemplateId },
    UnlinkFlowTemplateRequest => UnlinkFlowTemplate { flow_template_id: FlowTemplateId },
    LinkReferenceRequest => LinkReference { reference_id: ReferenceId },
    UnlinkReferenceRequest => UnlinkReference { reference_id: ReferenceId },
}

fn review(fields: &mut Fields, kind: i32) -> Option<ReviewKind> {
    fields.checked("kind", known(kind)).map(|kind| match kind {
        pb::ReviewKind::Unspecified | pb::ReviewKind::Reviewed => ReviewKind::Reviewed,
        pb::ReviewKind::Attested => ReviewKind::Attested,
    })
}

/// A report about an invoice as a whole.
#[derive(Clone, Debug)]
pub struct ToInvoice {
    /// Whose invoice.
    pub account: AccountId,
    /// Of which company.
    pub company: CompanyId,
    /// Which invoice.
    pub invoice: InvoiceId,
    /// What the command carries.
    pub options: Options,
}

macro_rules! settlements {
    ($($request:ident,)+) => {$(
        impl TryFrom<pb::$request> for ToInvoice {
            type Error = Failure;

            fn try_from(request: pb::$request) -> Outcome<Self> {
                let pb::$request {
                    account_id,
                    company_id,
                    invoice_id,
                    command,
                } = request;
                let mut fields = Fields::default();
                let account = fields.read("account_id", &account_id, AccountId::parse);
                let company = fields.read("company_id", &company_id, CompanyId::parse);
                let invoice = fields.read("invoice_id", &invoice_id, InvoiceId::parse);
                let options = options(&mut fields, command);
                let (account, company, invoice) = fields.finish((account, company, invoice))?;
                Ok(Self {
                    account,
                    company,
                    invoice,
                    options,
                })
            }
        }
    )+};
}

settlements! {
    ReportInvoicePostedRequest,
    ReportInvoiceWithdrawnRequest,
}

/// An involvement as the contract has it.
#[must_use]
pub fn involvement(row: InvolvementRow) -> pb::Involvement {
    let kind = match row.kind {
        InvolvementKind::QueuedInvoice => pb::InvolvementKind::QueuedInvoice,
        InvolvementKind::ReviewedInvoice => pb::InvolvementKind::ReviewedInvoice,
        InvolvementKind::AttestedInvoice => pb::InvolvementKind::AttestedInvoice,
        InvolvementKind::FlowTemplate => pb::InvolvementKind::FlowTemplate,
        InvolvementKind::Reference => pb::InvolvementKind::Reference,
    };
    pb::Involvement {
        kind: kind.into(),
        company_id: row.company_id.to_string(),
        subject: row.subject,
        open: row.ended.is_none(),
        since: Some(wire_time(row.since)),
        ended_at: row.ended.map(|ended| wire_time(ended.at)),
    }
}

/// Somebody who reviewed or attested an invoice, as the contract has it.
#[must_use]
pub fn reviewer(row: &InvolvementRow) -> pb::Reviewer {
    let kind = match row.kind {
        InvolvementKind::AttestedInvoice => pb::ReviewKind::Attested,
        InvolvementKind::ReviewedInvoice
        | InvolvementKind::QueuedInvoice
        | InvolvementKind::FlowTemplate
        | InvolvementKind::Reference => pb::ReviewKind::Reviewed,
    };
    pb::Reviewer {
        user_id: row.user_id.to_string(),
        kind: kind.into(),
        open: row.ended.is_none(),
        since: Some(wire_time(row.since)),
        ended_at: row.ended.as_ref().map(|ended| wire_time(ended.at)),
    }
}
