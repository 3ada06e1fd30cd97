//! `OperationsService`.

mod backup;
mod keys;
mod projections;

pub(crate) use projections::sealed_as;

use std::sync::Arc;

use rollbook_aggregates::mail::Mail;
use rollbook_proto::served::operations_service_server::OperationsService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::streaming::Answers;
use super::{Arrived, Directory, order};
use crate::convert::{
    Fields, ToMail, dead_letter_from_row, dead_letter_from_state, freshness, wire_time,
};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::page;
use crate::plans::OnMail;

impl Directory {
    async fn page_of_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Outcome<pb::ListDeadLettersResponse> {
        let call = Call::of(&request)?;
        let pb::ListDeadLettersRequest {
            page_size,
            page_token,
            read,
        } = request.into_inner();
        let mut fields = Fields::default();
        let limit = fields.checked("page_size", page::size(page_size));
        let (limit,) = fields.finish((limit,))?;
        let query = b"ListDeadLetters";
        let after = self.pages().read(query, &page_token)?;
        let mails = self.views().mails();
        mails.fresh(freshness(read), call.wait_until()).await?;
        let page = mails.dead(after, limit).await?;
        Ok(pb::ListDeadLettersResponse {
            next_page_token: self.pages().write(query, page.next.as_ref()),
            dead_letters: page.rows.iter().map(dead_letter_from_row).collect(),
        })
    }

    async fn retry(
        &self,
        request: Request<pb::RetryDeadLetterRequest>,
    ) -> Outcome<pb::RetryDeadLetterResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToMail::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = OnMail {
            mail: to.mail,
            command: to.command,
        };
        let done = self.executor().run(&order, &plan).await?;
        let id = to.mail.to_string();
        let revision = done.outcome.revision;
        let mail = match done.states.get::<Mail>(&id) {
            Some((mail, _)) => Arc::clone(mail),
            None => self.executor().at::<Mail>(&id, revision).await?,
        };
        Ok(pb::RetryDeadLetterResponse {
            dead_letter: dead_letter_from_state(&mail),
            revision,
            position: done.position,
        })
    }
}

#[tonic::async_trait]
impl OperationsService for Directory {
    type RebuildProjectionStream = Answers<pb::RebuildProjectionResponse>;
    type CopyProjectionStream = Answers<pb::CopyProjectionResponse>;
    type CreateBackupStream = Answers<pb::CreateBackupResponse>;
    type RotateMasterKeyStream = Answers<pb::RotateMasterKeyResponse>;

    async fn list_projections(
        &self,
        request: Request<pb::ListProjectionsRequest>,
    ) -> Result<Response<pb::ListProjectionsResponse>, Status> {
        let pb::ListProjectionsRequest {} = request.into_inner();
        let head = self.log().head().await.map_err(Failure::from)?;
        let views = self.views().status();
        let mut projections: Vec<_> = views
            .into_iter()
            .map(|view| projections::projection(view, head))
            .collect();
        projections.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Response::new(pb::ListProjectionsResponse { projections }))
    }

    async fn rebuild_projection(
        &self,
        request: Request<pb::RebuildProjectionRequest>,
    ) -> Result<Response<Self::RebuildProjectionStream>, Status> {
        Ok(Response::new(self.rebuild_view(request)?))
    }

    async fn copy_projection(
        &self,
        request: Request<pb::CopyProjectionRequest>,
    ) -> Result<Response<Self::CopyProjectionStream>, Status> {
        Ok(Response::new(self.copy_view(request).await?))
    }

    async fn get_log_status(
        &self,
        request: Request<pb::GetLogStatusRequest>,
    ) -> Result<Response<pb::GetLogStatusResponse>, Status> {
        let pb::GetLogStatusRequest {} = request.into_inner();
        let status = self.log().status().await.map_err(Failure::from)?;
        Ok(Response::new(pb::GetLogStatusResponse {
            log_id: self.log().id().to_string(),
            home: status.home.to_owned(),
            schema_version: status.schema_version,
            head_position: status.head,
            last_recorded_at: status.last_recorded_at.map(wire_time),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            archive: self.log().archive().is_some(),
            master_key: self.master_key_status().await?,
        }))
    }

    async fn create_backup(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> Result<Response<Self::CreateBackupStream>, Status> {
        Ok(Response::new(self.back_up(request).await?))
    }

    async fn rotate_master_key(
        &self,
        request: Request<pb::RotateMasterKeyRequest>,
    ) -> Result<Response<Self::RotateMasterKeyStream>, Status> {
        Ok(Response::new(self.rotate_keys(request).await?))
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        Ok(Response::new(self.page_of_dead_letters(request).await?))
    }

    async fn retry_dead_letter(
        &self,
        request: Request<pb::RetryDeadLetterRequest>,
    ) -> Result<Response<pb::RetryDeadLetterResponse>, Status> {
        Ok(Response::new(self.retry(request).await?))
    }
}
