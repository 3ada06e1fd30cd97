//! Questions for trails.

use rollbook_aggregates::values::{AccountId, CompanyId, InvoiceId, UserId};
use rollbook_eventstore::Direction;
use rollbook_projections::ListInvoiceEvents;
use rollbook_proto::v1 as pb;

use crate::convert::{Fields, direction};
use crate::failure::{Failure, Outcome};

/// A question for what happened to a user, without where it goes on.
pub struct UserTrail {
    /// Whose account.
    pub account: AccountId,
    /// Who.
    pub user: UserId,
    /// Which way.
    pub direction: Direction,
    /// How many at most.
    pub limit: u32,
}

impl TryFrom<pb::GetUserTrailRequest> for UserTrail {
    type Error = Failure;

    fn try_from(request: pb::GetUserTrailRequest) -> Outcome<Self> {
        let pb::GetUserTrailRequest {
            account_id,
            user_id,
            direction: way,
            page_size,
            page_token: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let direction = direction(&mut fields, way);
        let limit = fields.checked("page_size", crate::page::size(page_size));
        let (account, user, limit) = fields.finish((account, user, limit))?;
        Ok(Self {
            account,
            user,
            direction,
            limit,
        })
    }
}

/// A question for what happened to an invoice, without where it goes on.
pub struct InvoiceTrail(pub ListInvoiceEvents);

impl TryFrom<pb::GetInvoiceTrailRequest> for InvoiceTrail {
    type Error = Failure;

    fn try_from(request: pb::GetInvoiceTrailRequest) -> Outcome<Self> {
        let pb::GetInvoiceTrailRequest {
            account_id,
            company_id,
            invoice_id,
            direction: way,
            page_size,
            page_token: _,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let company = fields.read("company_id", &company_id, CompanyId::parse);
        let invoice = fields.read("invoice_id", &invoice_id, InvoiceId::parse);
        let direction = direction(&mut fields, way);
        let limit = fields.checked("page_size", crate::page::size(page_size));
        let (account, company, invoice, limit) =
            fields.finish((account, company, invoice, limit))?;
        Ok(Self(ListInvoiceEvents {
            account,
            company,
            invoice,
            descending: direction == Direction::Backwards,
            after: None,
            limit,
        }))
    }
}
