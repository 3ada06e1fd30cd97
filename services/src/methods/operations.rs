//! `OperationsService`.

use rollbook_projections::ViewState;
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::operations_service_server::OperationsService;
use tonic::{Request, Response, Status};

use super::Directory;
use crate::convert::wire_time;
use crate::failure::Failure;

#[tonic::async_trait]
impl OperationsService for Directory {
    async fn list_projections(
        &self,
        request: Request<pb::ListProjectionsRequest>,
    ) -> Result<Response<pb::ListProjectionsResponse>, Status> {
        let pb::ListProjectionsRequest {} = request.into_inner();
        let head = self.log().head().await.map_err(Failure::from)?;
        let mut projections: Vec<pb::Projection> = self
            .views()
            .status()
            .into_iter()
            .map(|view| pb::Projection {
                name: view.name.to_owned(),
                version: view.version,
                state: match view.state {
                    ViewState::Building => pb::ProjectionState::Building,
                    ViewState::Following => pb::ProjectionState::Following,
                    ViewState::Stopped => pb::ProjectionState::Stopped,
                }
                .into(),
                position: view.position,
                lag: head.saturating_sub(view.position),
                error: view.error.unwrap_or_default(),
            })
            .collect();
        projections.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Response::new(pb::ListProjectionsResponse { projections }))
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
        }))
    }
}
