//! What the check saw that let a user go: looked up again as it stood before the commit of the deletion.

use std::collections::BTreeMap;

use rollbook_aggregates::access::Access;
use rollbook_aggregates::user::{Need, Person, ReviewKind, UserEvent};
use rollbook_aggregates::values::{CompanyId, InvoiceId};
use rollbook_eventstore::RecordedEvent;
use rollbook_projections::{Content, ListPastReports, read_event};
use rollbook_proto::v1 as pb;

use super::super::super::at_least;
use super::Teller;
use crate::executor::access_id;
use crate::failure::Outcome;

/// How many of a kind are told one by one.
const TOLD: usize = 100;

impl Teller<'_> {
    /// What the check saw of a person whose deletion is this event.
    pub(super) async fn deletion(
        &self,
        person: &Person,
        event: &RecordedEvent,
        history: &[Vec<RecordedEvent>],
    ) -> Outcome<pb::DeletionCheck> {
        let before = event.position - 1;
        let past = self.directory.views().past();
        past.fresh(at_least(event.position), None).await?;
        let account = self.account_id.clone();
        let administrators = past.administrators(account, before).await?;
        let others: Vec<String> = administrators
            .into_iter()
            .filter(|id| *id != person.id())
            .map(|id| id.to_string())
            .collect();
        let settled = settled_reviews(history, event.position);
        let needs: BTreeMap<&str, u64> = counted(person.involvements().needs());
        let needed = |need: Need| needs.get(need.name()).copied().unwrap_or_default();
        Ok(pb::DeletionCheck {
            queued_invoices: needed(Need::QueuedInvoice),
            linked_references: needed(Need::LinkedReference),
            linked_flow_templates: needed(Need::LinkedFlowTemplate),
            unsettled_invoices: needed(Need::UnsettledInvoice),
            supervised_users: self.supervised(person, before).await?,
            needed_elsewhere: self.needed_elsewhere(person, before).await?,
            other_administrators: count(others.len()),
            other_administrator_ids: others.into_iter().take(TOLD).collect(),
            settled_review_count: count(settled.len()),
            settled_reviews: settled.into_iter().take(TOLD).collect(),
        })
    }

    async fn supervised(&self, person: &Person, position: u64) -> Outcome<u64> {
        let mut query = ListPastReports {
            account: self.account_id.clone(),
            position,
            supervisor: person.id(),
            company: None,
            after: None,
            limit: 1000,
        };
        let mut found = std::collections::BTreeSet::new();
        loop {
            let page = self.directory.views().past().reports(query.clone()).await?;
            found.extend(page.rows.iter().map(|row| row.user_id));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(count(found.len())),
            }
        }
    }

    async fn needed_elsewhere(&self, person: &Person, position: u64) -> Outcome<u64> {
        let past = self.directory.views().past();
        let accounts = past.accessed(person.id(), position).await?;
        let ids: Vec<String> = accounts
            .iter()
            .map(|account| access_id(account, person.id()))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let executor = self.directory.executor();
        let accesses = executor.as_of::<Access>(&ids, position).await?;
        let needs = accesses.iter().filter_map(|(access, _)| access.external());
        let needs = needs.flat_map(|external| external.involvements().needs());
        Ok(count(needs.map(|(_, count)| count).sum()))
    }
}

fn counted(needs: Vec<(Need, usize)>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for (need, number) in needs {
        *counts.entry(need.name()).or_default() += count(number);
    }
    counts
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Whose invoice, which, and what the user did.
type Reviewed = (CompanyId, InvoiceId, ReviewKind);

/// The invoices that were reviewed, not taken back, and settled before a position.
fn settled_reviews(history: &[Vec<RecordedEvent>], before: u64) -> Vec<pb::SettledReview> {
    let mut reviews: BTreeMap<Reviewed, Option<u64>> = BTreeMap::new();
    let events = history.iter().flatten();
    for event in events.filter(|event| event.position < before) {
        match read_event(event) {
            Content::User(_, UserEvent::InvoiceReviewed(reviewed)) => {
                let key = (reviewed.company_id, reviewed.invoice_id, reviewed.kind);
                reviews.insert(key, reviewed.settled.then_some(event.position));
            }
            Content::User(_, UserEvent::InvoiceReviewRetracted(back)) => {
                reviews.remove(&(back.company_id, back.invoice_id, back.kind));
            }
            Content::User(_, UserEvent::InvoiceSettled(settled)) => {
                for kind in [ReviewKind::Reviewed, ReviewKind::Attested] {
                    let key = (settled.company_id, settled.invoice_id.clone(), kind);
                    if let Some(open @ None) = reviews.get_mut(&key) {
                        *open = Some(event.position);
                    }
                }
            }
            _ => {}
        }
    }
    let mut invoices: BTreeMap<(CompanyId, InvoiceId), u64> = BTreeMap::new();
    for ((company, invoice, _), position) in reviews {
        if let Some(position) = position {
            let last = invoices.entry((company, invoice)).or_default();
            *last = position.max(*last);
        }
    }
    invoices
        .into_iter()
        .map(|((company, invoice), position)| pb::SettledReview {
            company_id: company.to_string(),
            invoice_id: invoice.to_string(),
            position,
        })
        .collect()
}

/// What the check saw, in words.
pub(super) fn in_words(check: &pb::DeletionCheck) -> String {
    let administrators = match check.other_administrators {
        0 => "no other administrator could act".to_owned(),
        1 => "1 other administrator could act".to_owned(),
        more => format!("{more} other administrators could act"),
    };
    let reviews = match check.settled_review_count {
        0 => "it had reviewed no invoice".to_owned(),
        1 => "the 1 invoice that it had reviewed was settled".to_owned(),
        more => format!("the {more} invoices that it had reviewed were settled"),
    };
    format!(
        "the check found {} invoices in its queue, {} references and {} flow templates linked, {} reviewed invoices not \
         settled, {} users supervised, {} needs in other accounts; {reviews}, and {administrators}",
        check.queued_invoices,
        check.linked_references,
        check.linked_flow_templates,
        check.unsettled_invoices,
        check.supervised_users,
        check.needed_elsewhere,
    )
}
