//! An invoice, as far as the directory must know it: whether it is settled.
//!
//! A review reads it and posting reads its reviewers, each checked again by the commit, so a review either is released by
//! the settlement or is recorded as late (R39).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::Account;
use crate::domain::{
    Apply, Claim, Claimant, Context, Decide, Decision, Guards, Held, Holders, InvoiceKey, Reads,
    Reason, Recorded, Refusal, Requires, Surroundings, Timestamp, command_set, event_set,
};
use crate::values::{AccountId, CompanyId, InvoiceId};

event_set! {
    /// Everything that can happen to an invoice.
    InvoiceEvent for Invoice {
        InvoiceSettlementReported,
    }
}

command_set! {
    /// Everything a caller can ask of an invoice.
    InvoiceCommand for Invoice {
        ReportInvoicePosted,
        ReportInvoiceWithdrawn,
    }
}

/// How an invoice was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Settlement {
    /// It was final posted.
    Posted,
    /// It was withdrawn.
    Withdrawn,
}

/// An invoice as it is; by default nothing is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    account_id: Option<AccountId>,
    settled: Option<Settlement>,
    #[serde(skip)]
    guards: Guards,
}

impl Invoice {
    /// The account it was settled in.
    #[must_use]
    pub const fn account_id(&self) -> Option<&AccountId> {
        self.account_id.as_ref()
    }

    /// How it was settled, once it is.
    #[must_use]
    pub const fn settlement(&self) -> Option<Settlement> {
        self.settled
    }

    /// The id of its stream.
    #[must_use]
    pub fn stream_id(account: &AccountId, company: CompanyId, invoice: &InvoiceId) -> Uuid {
        let key = InvoiceKey {
            company_id: company,
            invoice_id: invoice.clone(),
        };
        key.stream_id(account)
    }

    /// What a commit of the stock framework needs beyond the events of the last command.
    #[must_use]
    pub const fn guards(&self) -> &Guards {
        &self.guards
    }

    fn settle(
        &self,
        ctx: &Context<'_>,
        key: InvoiceKey,
        settlement: Settlement,
    ) -> Result<Decision<Self>, InvoiceError> {
        let Some(account_id) = ctx.account.id().cloned() else {
            return Err(InvoiceError::AccountNotFound);
        };
        if self.settled.is_some() {
            return Ok(Decision::nothing());
        }
        let claim = Claim::Reviewer(key.clone());
        let reviewers = ctx.facts.holders(&claim);
        let owners: BTreeSet<String> = reviewers.owners.iter().cloned().collect();
        if u64::try_from(owners.len()).unwrap_or(u64::MAX) < reviewers.count {
            return Err(InvoiceError::TooManyReviewers(reviewers.count));
        }
        let event = InvoiceSettlementReported {
            account_id,
            company_id: key.company_id,
            invoice_id: key.invoice_id,
            settlement,
        };
        let same = Requires::Exactly { claim, owners };
        Ok(Decision::of(ctx, self, vec![event.into()]).requiring([same]))
    }
}

/// An invoice was final posted or withdrawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvoiceSettlementReported {
    /// The account.
    pub account_id: AccountId,
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
    /// How.
    pub settlement: Settlement,
}

impl Apply<Invoice> for InvoiceSettlementReported {
    fn apply(self, _at: Timestamp, invoice: &mut Invoice) {
        invoice.account_id = Some(self.account_id);
        invoice.settled = Some(self.settlement);
    }
}

/// Records that an invoice was final posted. Its reviewers, the holders of [`Claim::Reviewer`], are each given a
/// `SettleInvoice` in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInvoicePosted {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

/// Records that an invoice was withdrawn; otherwise as [`ReportInvoicePosted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInvoiceWithdrawn {
    /// Whose invoice.
    pub company_id: CompanyId,
    /// Which.
    pub invoice_id: InvoiceId,
}

fn reviewers_to_read(company_id: CompanyId, invoice_id: &InvoiceId) -> Reads {
    let key = InvoiceKey {
        company_id,
        invoice_id: invoice_id.clone(),
    };
    Reads {
        claims: std::iter::once(Claim::Reviewer(key)).collect(),
        ..Reads::default()
    }
}

impl Decide for ReportInvoicePosted {
    type Aggregate = Invoice;

    fn reads(&self, _account: &Account, _invoice: &Invoice) -> Reads {
        reviewers_to_read(self.company_id, &self.invoice_id)
    }

    fn decide(
        self,
        ctx: &Context<'_>,
        invoice: &Invoice,
    ) -> Result<Decision<Invoice>, InvoiceError> {
        let key = InvoiceKey {
            company_id: self.company_id,
            invoice_id: self.invoice_id,
        };
        invoice.settle(ctx, key, Settlement::Posted)
    }
}

impl Decide for ReportInvoiceWithdrawn {
    type Aggregate = Invoice;

    fn reads(&self, _account: &Account, _invoice: &Invoice) -> Reads {
        reviewers_to_read(self.company_id, &self.invoice_id)
    }

    fn decide(
        self,
        ctx: &Context<'_>,
        invoice: &Invoice,
    ) -> Result<Decision<Invoice>, InvoiceError> {
        let key = InvoiceKey {
            company_id: self.company_id,
            invoice_id: self.invoice_id,
        };
        invoice.settle(ctx, key, Settlement::Withdrawn)
    }
}

/// Why a command of an invoice is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// Its account does not exist.
    #[error("the account does not exist")]
    AccountNotFound,
    /// The actor is no administrator of the account who can act.
    #[error("the actor is not an administrator of the account who can act")]
    NotAdministrator,
    /// More users reviewed it than one commit can release.
    #[error("{0} users reviewed the invoice, more than one commit can release")]
    TooManyReviewers(u64),
}

impl Refusal for InvoiceError {
    fn reason(&self) -> Reason {
        match self {
            Self::AccountNotFound => Reason::AccountNotFound,
            Self::NotAdministrator => Reason::NotAdministrator,
            Self::TooManyReviewers(_) => Reason::TooManyReviewers,
        }
    }
}

impl Claimant for Invoice {
    type Happening = InvoiceEvent;

    fn claims(&self) -> BTreeSet<Held> {
        BTreeSet::new()
    }

    fn refusal_of(requires: &Requires, _holders: &Holders) -> Option<InvoiceError> {
        match requires {
            Requires::HeldBy {
                claim: Claim::Administrator | Claim::ExternalAdministrator,
                ..
            } => Some(InvoiceError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::HeldBy { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. }
            | Requires::Unshared { .. } => None,
        }
    }
}

impl cqrs_es::Aggregate for Invoice {
    const TYPE: &'static str = "invoice";
    type Command = InvoiceCommand;
    type Event = Recorded<InvoiceEvent>;
    type Error = InvoiceError;
    type Services = Surroundings;

    async fn handle(
        &mut self,
        command: InvoiceCommand,
        services: &Surroundings,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), InvoiceError> {
        let decision = command.decide(&services.context(), self)?;
        self.guards = decision.guards();
        for event in decision.events {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, recorded: Recorded<InvoiceEvent>) {
        let at = recorded.time();
        recorded.event.apply_to(at, self);
    }
}

#[cfg(test)]
mod tests;
