//! Questions about who has whom as supervisor, answered from the view of supervisors.

use rollbook_aggregates::user::UserError;
use rollbook_aggregates::values::{AccountId, CompanyId, UserId};
use rollbook_projections::{Chain, ChainEnd, ListReports};
use rollbook_proto::v1 as pb;
use tonic::Request;

use super::super::{Directory, at_least};
use super::user_not_found;
use crate::convert::Fields;
use crate::failure::{Failure, Outcome};
use crate::page;

impl Directory {
    pub(super) async fn reports(
        &self,
        request: Request<pb::ListReportsRequest>,
    ) -> Outcome<pb::ListReportsResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::ListReportsRequest {
            account_id,
            user_id,
            company_id,
            page_size,
            page_token,
            include_total,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let company = fields.optional("company_id", &company_id, CompanyId::parse);
        let limit = fields.checked("page_size", page::size(page_size));
        let (account, supervisor, limit) = fields.finish((account, user, limit))?;
        self.must_be_known(&account, supervisor)?;
        let within = company.map_or_else(|| "all".to_owned(), |company| company.to_string());
        let bound = format!("ListReports {account} {supervisor} {within}");
        let query = ListReports {
            account,
            supervisor,
            company,
            after: self.pages().read(bound.as_bytes(), &page_token)?,
            limit,
            total: include_total,
        };
        let view = self.views().supervisors();
        view.fresh(at_least(position), call.wait_until()).await?;
        let page = view.reports(query).await?;
        let report = |report: &rollbook_projections::ReportRow| pb::Report {
            user_id: report.user_id.to_string(),
            company_id: report.company_id.to_string(),
        };
        Ok(pb::ListReportsResponse {
            next_page_token: self.pages().write(bound.as_bytes(), page.next.as_ref()),
            total: page.total,
            reports: page.rows.iter().map(report).collect(),
        })
    }

    pub(super) async fn chain(
        &self,
        request: Request<pb::GetSupervisorChainRequest>,
    ) -> Outcome<pb::GetSupervisorChainResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::GetSupervisorChainRequest {
            account_id,
            user_id,
            company_id,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let company = fields.read("company_id", &company_id, CompanyId::parse);
        let (account, user, company) = fields.finish((account, user, company))?;
        self.must_be_known(&account, user)?;
        let view = self.views().supervisors();
        view.fresh(at_least(position), call.wait_until()).await?;
        match view.chain(&account, company, user).await? {
            Some(chain) => Ok(told(&chain)),
            None => Err(Failure::refused(&UserError::CompanyNotLinked(company))),
        }
    }

    /// Whether the account has, or had, this user.
    fn must_be_known(&self, account: &AccountId, user: UserId) -> Outcome<()> {
        match self.views().users().get(account, user)? {
            Some(_) => Ok(()),
            None => Err(user_not_found()),
        }
    }
}

fn told(chain: &Chain) -> pb::GetSupervisorChainResponse {
    let (end, again) = chain_end(chain.end);
    pb::GetSupervisorChainResponse {
        supervisor_ids: chain.supervisors.iter().map(ToString::to_string).collect(),
        end: end.into(),
        met_again_id: again.map(|user| user.to_string()).unwrap_or_default(),
    }
}

/// Why a chain ends, and who is met again where it is a circle.
pub(in crate::methods) fn chain_end(end: ChainEnd) -> (pb::SupervisorChainEnd, Option<UserId>) {
    match end {
        ChainEnd::Top => (pb::SupervisorChainEnd::Top, None),
        ChainEnd::Cycle(again) => (pb::SupervisorChainEnd::Cycle, Some(again)),
        ChainEnd::NotLinked => (pb::SupervisorChainEnd::NotLinked, None),
        ChainEnd::CutOff => (pb::SupervisorChainEnd::CutOff, None),
    }
}
