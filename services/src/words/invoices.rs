//! What other services reported of somebody's work, and what became of invoices, in words.

use rollbook_aggregates::invoice::{InvoiceSettlementReported, Settlement};
use rollbook_aggregates::user::Involvement;
use rollbook_aggregates::values::{CompanyId, InvoiceId, UserId};

use super::Names;

const fn how(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Posted => "final posted",
        Settlement::Withdrawn => "withdrawn",
    }
}

/// What was reported of somebody's work; a review with who its supervisor was then, where `user` is at home in the account.
#[must_use]
pub fn involved(
    involvement: &Involvement<'_>,
    names: &Names,
    user: Option<UserId>,
    at: u64,
) -> String {
    let company = |company: CompanyId| names.company(company, at);
    let invoice = |of: CompanyId, id: &InvoiceId| format!("invoice {id} of {}", company(of));
    match involvement {
        Involvement::InvoiceQueued(event) => format!(
            "had {} put into its queue",
            invoice(event.company_id, &event.invoice_id)
        ),
        Involvement::InvoiceDequeued(event) => format!(
            "had {} taken from its queue",
            invoice(event.company_id, &event.invoice_id)
        ),
        Involvement::InvoiceReviewed(event) => {
            let late = if event.settled {
                ", which was settled before"
            } else {
                ""
            };
            format!(
                "{} {}{late}{}",
                event.kind,
                invoice(event.company_id, &event.invoice_id),
                supervision(names, user, event.company_id, at)
            )
        }
        Involvement::InvoiceReviewRetracted(event) => format!(
            "took back that it had {} {}",
            event.kind,
            invoice(event.company_id, &event.invoice_id)
        ),
        Involvement::InvoiceSettled(event) => format!(
            "was released from {}, which was {}",
            invoice(event.company_id, &event.invoice_id),
            how(event.settlement)
        ),
        Involvement::FlowTemplateLinked(event) => format!(
            "was linked to flow template {} of {}",
            event.flow_template_id,
            company(event.company_id)
        ),
        Involvement::FlowTemplateUnlinked(event) => format!(
            "was unlinked from flow template {} of {}",
            event.flow_template_id,
            company(event.company_id)
        ),
        Involvement::ReferenceLinked(event) => format!(
            "was linked to reference {} of {}",
            event.reference_id,
            company(event.company_id)
        ),
        Involvement::ReferenceUnlinked(event) => format!(
            "was unlinked from reference {} of {}",
            event.reference_id,
            company(event.company_id)
        ),
    }
}

fn supervision(names: &Names, user: Option<UserId>, company: CompanyId, at: u64) -> String {
    let Some(user) = user else {
        return "; it was external and had no supervisor here".to_owned();
    };
    match names.supervisor(user, company, at) {
        None => "; it was not linked to that company then".to_owned(),
        Some(supervisor) if supervisor == user => {
            "; it was its own supervisor there then".to_owned()
        }
        Some(supervisor) => format!(
            "; its supervisor there then was {}",
            names.user(supervisor, at)
        ),
    }
}

/// How an invoice was settled.
#[must_use]
pub fn settled(event: &InvoiceSettlementReported, names: &Names, at: u64) -> String {
    format!(
        "invoice {} of {} was {}",
        event.invoice_id,
        names.company(event.company_id, at),
        how(event.settlement)
    )
}
