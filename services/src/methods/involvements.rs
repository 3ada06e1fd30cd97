//! `InvolvementService`.

use rollbook_aggregates::domain::{Decide, InvoiceKey};
use rollbook_aggregates::invoice::{
    Invoice, ReportInvoicePosted, ReportInvoiceWithdrawn, Settlement,
};
use rollbook_aggregates::user::{
    LinkFlowTemplate, LinkReference, ReportInvoiceDequeued, ReportInvoiceQueued,
    ReportInvoiceReviewed, RetractInvoiceReview, UnlinkFlowTemplate, UnlinkReference, UserError,
};
use rollbook_aggregates::values::{AccountId, CompanyId, InvoiceId, UserId};
use rollbook_projections::{ListInvolvements, ListReviewers};
use rollbook_proto::served::involvement_service_server::InvolvementService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::{Arrived, Directory, InAccount, at_least, order};
use crate::convert::{Fields, ToInvoice, involvement, reviewer};
use crate::failure::{Failure, Outcome};
use crate::page;
use crate::plans::SettlePlan;

/// A settled invoice.
struct Settled {
    released_user_ids: Vec<String>,
    revision: u64,
    position: u64,
}

impl Directory {
    async fn settle<R, C>(
        &self,
        request: Request<R>,
        settlement: Settlement,
        command: impl FnOnce(CompanyId, InvoiceId) -> C + Send,
    ) -> Outcome<Settled>
    where
        R: InAccount,
        ToInvoice: TryFrom<R, Error = Failure>,
        C: Decide<Aggregate = Invoice> + Clone + Send + Sync,
    {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToInvoice::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = SettlePlan {
            command: command(to.company, to.invoice.clone()),
            key: InvoiceKey {
                company_id: to.company,
                invoice_id: to.invoice,
            },
            settlement,
        };
        let done = self.executor().run(&order, &plan).await?;
        let released = done.outcome.released.iter();
        Ok(Settled {
            released_user_ids: released.map(ToString::to_string).collect(),
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    async fn page_of_involvements(
        &self,
        request: Request<pb::ListInvolvementsRequest>,
    ) -> Outcome<pb::ListInvolvementsResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::ListInvolvementsRequest {
            account_id,
            user_id,
            include_ended,
            page_size,
            page_token,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let limit = fields.checked("page_size", page::size(page_size));
        let (account, user, limit) = fields.finish((account, user, limit))?;
        if self.views().users().get(&account, user)?.is_none()
            && self.views().accesses().get(&account, user)?.is_none()
        {
            return Err(Failure::refused(&UserError::NotFound));
        }
        let bound = format!("ListInvolvements {account} {user} {include_ended}");
        let query = ListInvolvements {
            account,
            user,
            open_only: !include_ended,
            after: self.pages().read(bound.as_bytes(), &page_token)?,
            limit,
            total: false,
        };
        let view = self.views().involvements();
        view.fresh(at_least(position), call.wait_until()).await?;
        let page = view.list(query).await?;
        Ok(pb::ListInvolvementsResponse {
            next_page_token: self.pages().write(bound.as_bytes(), page.next.as_ref()),
            involvements: page.rows.into_iter().map(involvement).collect(),
        })
    }

    async fn page_of_reviewers(
        &self,
        request: Request<pb::ListReviewersRequest>,
    ) -> Outcome<pb::ListReviewersResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::ListReviewersRequest {
            account_id,
            company_id,
            invoice_id,
            page_size,
            page_token,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let company = fields.read("company_id", &company_id, CompanyId::parse);
        let invoice = fields.read("invoice_id", &invoice_id, InvoiceId::parse);
        let limit = fields.checked("page_size", page::size(page_size));
        let (account, company, invoice, limit) =
            fields.finish((account, company, invoice, limit))?;
        let bound = format!("ListReviewers {account} {company} {invoice}");
        let query = ListReviewers {
            account,
            company,
            invoice,
            after: self.pages().read(bound.as_bytes(), &page_token)?,
            limit,
            total: false,
        };
        let view = self.views().involvements();
        view.fresh(at_least(position), call.wait_until()).await?;
        let page = view.reviewers(query).await?;
        Ok(pb::ListReviewersResponse {
            next_page_token: self.pages().write(bound.as_bytes(), page.next.as_ref()),
            reviewers: page.rows.iter().map(reviewer).collect(),
        })
    }
}

macro_rules! settled {
    ($response:ident, $settled:expr) => {{
        let settled: Settled = $settled;
        Ok(Response::new(pb::$response {
            released_user_ids: settled.released_user_ids,
            revision: settled.revision,
            position: settled.position,
        }))
    }};
}

macro_rules! reported {
    ($directory:ident, $request:ident, $report:ty, $response:ident) => {{
        let changed = $directory.report::<_, $report>($request).await?;
        Ok(Response::new(pb::$response {
            user: Some(changed.user),
            revision: changed.revision,
            position: changed.position,
        }))
    }};
}

#[tonic::async_trait]
impl InvolvementService for Directory {
    async fn report_invoice_queued(
        &self,
        request: Request<pb::ReportInvoiceQueuedRequest>,
    ) -> Result<Response<pb::ReportInvoiceQueuedResponse>, Status> {
        reported!(
            self,
            request,
            ReportInvoiceQueued,
            ReportInvoiceQueuedResponse
        )
    }

    async fn report_invoice_dequeued(
        &self,
        request: Request<pb::ReportInvoiceDequeuedRequest>,
    ) -> Result<Response<pb::ReportInvoiceDequeuedResponse>, Status> {
        reported!(
            self,
            request,
            ReportInvoiceDequeued,
            ReportInvoiceDequeuedResponse
        )
    }

    async fn report_invoice_reviewed(
        &self,
        request: Request<pb::ReportInvoiceReviewedRequest>,
    ) -> Result<Response<pb::ReportInvoiceReviewedResponse>, Status> {
        reported!(
            self,
            request,
            ReportInvoiceReviewed,
            ReportInvoiceReviewedResponse
        )
    }

    async fn retract_invoice_review(
        &self,
        request: Request<pb::RetractInvoiceReviewRequest>,
    ) -> Result<Response<pb::RetractInvoiceReviewResponse>, Status> {
        reported!(
            self,
            request,
            RetractInvoiceReview,
            RetractInvoiceReviewResponse
        )
    }

    async fn report_invoice_posted(
        &self,
        request: Request<pb::ReportInvoicePostedRequest>,
    ) -> Result<Response<pb::ReportInvoicePostedResponse>, Status> {
        let settled = self
            .settle(request, Settlement::Posted, |company_id, invoice_id| {
                ReportInvoicePosted {
                    company_id,
                    invoice_id,
                }
            })
            .await?;
        settled!(ReportInvoicePostedResponse, settled)
    }

    async fn report_invoice_withdrawn(
        &self,
        request: Request<pb::ReportInvoiceWithdrawnRequest>,
    ) -> Result<Response<pb::ReportInvoiceWithdrawnResponse>, Status> {
        let settled = self
            .settle(request, Settlement::Withdrawn, |company_id, invoice_id| {
                ReportInvoiceWithdrawn {
                    company_id,
                    invoice_id,
                }
            })
            .await?;
        settled!(ReportInvoiceWithdrawnResponse, settled)
    }

    async fn link_flow_template(
        &self,
        request: Request<pb::LinkFlowTemplateRequest>,
    ) -> Result<Response<pb::LinkFlowTemplateResponse>, Status> {
        reported!(self, request, LinkFlowTemplate, LinkFlowTemplateResponse)
    }

    async fn unlink_flow_template(
        &self,
        request: Request<pb::UnlinkFlowTemplateRequest>,
    ) -> Result<Response<pb::UnlinkFlowTemplateResponse>, Status> {
        reported!(
            self,
            request,
            UnlinkFlowTemplate,
            UnlinkFlowTemplateResponse
        )
    }

    async fn link_reference(
        &self,
        request: Request<pb::LinkReferenceRequest>,
    ) -> Result<Response<pb::LinkReferenceResponse>, Status> {
        reported!(self, request, LinkReference, LinkReferenceResponse)
    }

    async fn unlink_reference(
        &self,
        request: Request<pb::UnlinkReferenceRequest>,
    ) -> Result<Response<pb::UnlinkReferenceResponse>, Status> {
        reported!(self, request, UnlinkReference, UnlinkReferenceResponse)
    }

    async fn list_involvements(
        &self,
        request: Request<pb::ListInvolvementsRequest>,
    ) -> Result<Response<pb::ListInvolvementsResponse>, Status> {
        Ok(Response::new(self.page_of_involvements(request).await?))
    }

    async fn list_reviewers(
        &self,
        request: Request<pb::ListReviewersRequest>,
    ) -> Result<Response<pb::ListReviewersResponse>, Status> {
        Ok(Response::new(self.page_of_reviewers(request).await?))
    }
}
