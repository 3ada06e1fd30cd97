//! `RoutingService`, answered from the users view.

use std::collections::BTreeSet;

use rollbook_aggregates::account::AccountError;
use rollbook_aggregates::user::UserError;
use rollbook_aggregates::values::{AccountId, Allegiance, CompanyId, UserId};
use rollbook_projections::{
    AccountRow, AllegianceKind, Approver, FoundUser, ListMatches, MatchRow, Matches, Unfit,
};
use rollbook_proto::served::routing_service_server::RoutingService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::Directory;
use super::users::{chain_end, user_not_found};
use crate::convert::{Fields, allegiance, allegiances, user_from_row};
use crate::failure::{Failure, Outcome};
use crate::page;

/// A question for those who have one of some allegiances.
struct Asked {
    account_id: String,
    company_id: String,
    allegiances: Vec<pb::Allegiance>,
    page_size: u32,
    page_token: String,
}

/// Those who can be proposed.
struct Proposed {
    proposals: Vec<pb::Proposal>,
    next_page_token: String,
    passed_over: u64,
}

macro_rules! asked {
    ($request:ident, $message:expr) => {{
        let pb::$request {
            account_id,
            company_id,
            allegiances,
            page_size,
            page_token,
            read: _,
        } = $message;
        Asked {
            account_id,
            company_id,
            allegiances,
            page_size,
            page_token,
        }
    }};
}

impl Directory {
    async fn coding_defaults(
        &self,
        request: Request<pb::GetCodingDefaultsRequest>,
    ) -> Outcome<pb::GetCodingDefaultsResponse> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let pb::GetCodingDefaultsRequest {
            account_id,
            user_id,
            company_id,
            read: _,
        } = request.into_inner();
        let (account, user, company) = read_link(&account_id, &user_id, &company_id)?;
        let linked = match self.views().users().get(&account, user)? {
            None => return Err(user_not_found()),
            Some(FoundUser::Deleted(_)) => None,
            Some(FoundUser::Present(row)) => {
                let mut links = row.companies.into_iter();
                links.find(|link| link.company_id == company)
            }
        };
        let link = linked.ok_or_else(|| not_linked(company))?;
        Ok(pb::GetCodingDefaultsResponse {
            allegiances: link.allegiances.coding.iter().map(allegiance).collect(),
        })
    }

    async fn approver(
        &self,
        request: Request<pb::ProposeApproverRequest>,
    ) -> Outcome<pb::ProposeApproverResponse> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let pb::ProposeApproverRequest {
            account_id,
            user_id,
            company_id,
            read: _,
        } = request.into_inner();
        let (account, user, company) = read_link(&account_id, &user_id, &company_id)?;
        if self.views().users().get(&account, user)?.is_none() {
            return Err(user_not_found());
        }
        let routing = self.views().routing();
        let approver = routing.approver(&account, company, user).await?;
        approver
            .map(proposed_approver)
            .ok_or_else(|| not_linked(company))
    }

    /// Those who have one of the allegiances that are asked for, where `may_ask` has nothing against it.
    async fn proposals(
        &self,
        kind: AllegianceKind,
        asked: Asked,
        may_ask: impl FnOnce(&AccountRow) -> Outcome<()> + Send,
    ) -> Outcome<Proposed> {
        let mut fields = Fields::default();
        let account = fields.read("account_id", &asked.account_id, AccountId::parse);
        let company = fields.read("company_id", &asked.company_id, CompanyId::parse);
        if asked.allegiances.is_empty() {
            fields.bad("allegiances", "must not be empty");
        }
        let wanted = allegiances(&mut fields, "allegiances", asked.allegiances);
        let limit = fields.checked("page_size", page::size(asked.page_size));
        let (account, company, limit) = fields.finish((account, company, limit))?;
        if let Some(row) = self.views().accounts().get(&account)? {
            if !row
                .companies
                .iter()
                .any(|known| known.company_id == company)
            {
                return Err(Failure::refused(&AccountError::CompanyNotFound(company)));
            }
            may_ask(&row)?;
        }
        let bound = bound(kind, &account, company, &wanted);
        let query = ListMatches {
            account,
            company,
            kind,
            allegiances: wanted,
            after: self.pages().read(bound.as_bytes(), &asked.page_token)?,
            limit,
        };
        let Matches { page, passed_over } = self.views().routing().matches(query).await?;
        Ok(Proposed {
            next_page_token: self.pages().write(bound.as_bytes(), page.next.as_ref()),
            proposals: page.rows.into_iter().map(proposal).collect(),
            passed_over,
        })
    }
}

/// What a page token is bound to. Texts are told with their lengths, so that no two queries are told alike.
fn bound(
    kind: AllegianceKind,
    account: &AccountId,
    company: CompanyId,
    wanted: &BTreeSet<Allegiance>,
) -> String {
    let wanted = wanted.iter().map(|allegiance| {
        let (dimension, value) = (allegiance.dimension.as_str(), allegiance.value.as_str());
        format!(" {} {dimension} {} {value}", dimension.len(), value.len())
    });
    wanted.fold(format!("{kind:?} {account} {company}"), |text, next| {
        text + &next
    })
}

fn read_link(
    account_id: &str,
    user_id: &str,
    company_id: &str,
) -> Outcome<(AccountId, UserId, CompanyId)> {
    let mut fields = Fields::default();
    let account = fields.read("account_id", account_id, AccountId::parse);
    let user = fields.read("user_id", user_id, UserId::parse);
    let company = fields.read("company_id", company_id, CompanyId::parse);
    fields.finish((account, user, company))
}

fn not_linked(company: CompanyId) -> Failure {
    Failure::refused(&UserError::CompanyNotLinked(company))
}

fn proposal(row: MatchRow) -> pb::Proposal {
    pb::Proposal {
        user: Some(user_from_row(row.user)),
        matched: row.matched.iter().map(allegiance).collect(),
    }
}

fn proposed_approver(approver: Approver) -> pb::ProposeApproverResponse {
    let passed_over = approver.passed_over.into_iter().map(|(user, unfit)| {
        let reason = match unfit {
            Unfit::Inactive => pb::UnfitReason::Inactive,
            Unfit::NotLinked => pb::UnfitReason::NotLinked,
            Unfit::NotShown => pb::UnfitReason::NotShown,
        };
        pb::PassedOver {
            user_id: user.to_string(),
            reason: reason.into(),
        }
    });
    let (approver, end) = match approver.found {
        Ok(row) => (
            Some(user_from_row(*row)),
            pb::SupervisorChainEnd::Unspecified,
        ),
        Err(end) => (None, chain_end(end).0),
    };
    pb::ProposeApproverResponse {
        passed_over: passed_over.collect(),
        approver,
        end: end.into(),
    }
}

fn must_not_register_on_arrival(account: &AccountRow) -> Outcome<()> {
    if account.settings.arrival_registration {
        return Err(Failure::new(
            pb::ErrorReason::ArrivalRegistrationOn,
            "the account registers invoices on arrival, so nobody is their addressee",
        ));
    }
    Ok(())
}

#[tonic::async_trait]
impl RoutingService for Directory {
    async fn get_coding_defaults(
        &self,
        request: Request<pb::GetCodingDefaultsRequest>,
    ) -> Result<Response<pb::GetCodingDefaultsResponse>, Status> {
        Ok(Response::new(self.coding_defaults(request).await?))
    }

    async fn propose_reviewers(
        &self,
        request: Request<pb::ProposeReviewersRequest>,
    ) -> Result<Response<pb::ProposeReviewersResponse>, Status> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let asked = asked!(ProposeReviewersRequest, request.into_inner());
        let found = self
            .proposals(AllegianceKind::Coding, asked, |_| Ok(()))
            .await?;
        Ok(Response::new(pb::ProposeReviewersResponse {
            reviewers: found.proposals,
            next_page_token: found.next_page_token,
            passed_over: found.passed_over,
        }))
    }

    async fn propose_approver(
        &self,
        request: Request<pb::ProposeApproverRequest>,
    ) -> Result<Response<pb::ProposeApproverResponse>, Status> {
        Ok(Response::new(self.approver(request).await?))
    }

    async fn list_addressees(
        &self,
        request: Request<pb::ListAddresseesRequest>,
    ) -> Result<Response<pb::ListAddresseesResponse>, Status> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let asked = asked!(ListAddresseesRequest, request.into_inner());
        let found = self
            .proposals(AllegianceKind::Routing, asked, must_not_register_on_arrival)
            .await?;
        Ok(Response::new(pb::ListAddresseesResponse {
            addressees: found.proposals,
            next_page_token: found.next_page_token,
            passed_over: found.passed_over,
        }))
    }
}
