//! The settlement of an invoice, which releases everybody who reviewed it.

use rollbook_aggregates::access::OfAccess;
use rollbook_aggregates::domain::{Claim, Decide, InvoiceKey};
use rollbook_aggregates::invoice::{Invoice, Settlement};
use rollbook_aggregates::user::SettleInvoice;
use rollbook_aggregates::values::UserId;
use serde::{Deserialize, Serialize};

use crate::executor::{Plan, Unit};
use crate::failure::Outcome;

/// Settles an invoice and releases its reviewers in one commit (R39).
pub struct SettlePlan<C> {
    /// The invoice.
    pub key: InvoiceKey,
    /// What to report of it.
    pub command: C,
    /// The same for each reviewer.
    pub settlement: Settlement,
}

/// What a settlement did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettleOutcome {
    /// The users it released.
    pub released: Vec<UserId>,
    /// The revision of the invoice's own record.
    pub revision: u64,
}

impl<C> Plan for SettlePlan<C>
where
    C: Decide<Aggregate = Invoice> + Clone + Send + Sync,
{
    type Outcome = SettleOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<SettleOutcome> {
        unit.account().await?;
        let id = self.key.stream_id(&unit.order().account_id).to_string();
        let settled = unit.load::<Invoice>(&id).await?.settlement().is_some();
        unit.expect_revision::<Invoice>(&id)?;
        unit.decide(&id, self.command.clone()).await?;
        let mut released = Vec::new();
        if !settled {
            let reviewers = unit.holders(&[Claim::Reviewer(self.key.clone())]).await?;
            let owners = reviewers.iter().flat_map(|holders| &holders.owners);
            released.extend(owners.filter_map(|owner| UserId::parse(owner).ok()));
        }
        for user in &released {
            let settle = SettleInvoice {
                company_id: self.key.company_id,
                invoice_id: self.key.invoice_id.clone(),
                settlement: self.settlement,
            };
            match unit.external(*user).await? {
                Some(access) => unit.decide(&access, OfAccess(settle)).await?,
                None => unit.decide(&user.to_string(), settle).await?,
            }
        }
        Ok(SettleOutcome {
            released,
            revision: unit.revision::<Invoice>(&id),
        })
    }
}
