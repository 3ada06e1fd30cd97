//! The standard health service: whether the service as a whole, and each of its views, is ready.
//!
//! `""` and the name of each gRPC service tell of the whole; `projections/NAME` tells of one view.

use std::time::Duration;

use rollbook_projections::{Progress, ViewError, ViewState, Views};
use rollbook_proto::v1::DESCRIPTORS;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::v1alpha::{
    ServerReflection as ServerReflectionAlpha,
    ServerReflectionServer as ServerReflectionServerAlpha,
};

use super::StartError;
use crate::access;

/// What answers health checks.
pub(super) type Service = HealthServer<HealthService>;

/// How often the views are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells how the service is.
#[derive(Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// One that tells of a service that is not ready, and what answers health checks from it.
    pub(super) fn new() -> (Self, Service) {
        let reporter = HealthReporter::new();
        let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        (Self { reporter }, service)
    }

    /// Waits until every view has caught up, with progress in the log output, and tells that the service is ready.
    pub(super) async fn wait_until_ready(&self, views: &Views) -> Result<(), ViewError> {
        self.tell(views, ServingStatus::NotServing).await;
        let looking = self.clone();
        let looked_at = views.clone();
        let telling = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                looking.tell(&looked_at, ServingStatus::NotServing).await;
            }
        });
        let caught_up = views.caught_up(say).await;
        telling.abort();
        caught_up?;
        self.tell(views, ServingStatus::Serving).await;
        Ok(())
    }

    /// Goes on telling how the views are.
    pub(super) fn watch(self, views: Views, stopping: CancellationToken) {
        tokio::spawn(async move {
            while stopping
                .run_until_cancelled(tokio::time::sleep(LOOK))
                .await
                .is_some()
            {
                self.tell(&views, ServingStatus::Serving).await;
            }
            self.tell(&views, ServingStatus::NotServing).await;
        });
    }

    /// The whole goes on serving when one view has stopped: reads of that view say so themselves.
    async fn tell(&self, views: &Views, whole: ServingStatus) {
        let services = access::TABLE
            .iter()
            .map(|access| format!("rollbook.v1.{}", access.service))
            .collect::<std::collections::BTreeSet<_>>();
        for name in services.into_iter().chain([String::new()]) {
            self.reporter.set_service_status(name, whole).await;
        }
        for view in views.status() {
            let status = match view.state {
                ViewState::Following => ServingStatus::Serving,
                ViewState::Building | ViewState::Stopped => ServingStatus::NotServing,
            };
            let name = format!("projections/{}", view.name);
            self.reporter.set_service_status(name, status).await;
        }
    }
}

fn say(progress: &Progress) {
    tracing::info!(
        view = progress.view,
        position = progress.position,
        head = progress.head,
        "building a view from the log"
    );
}

fn described() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// What answers questions for the contract.
pub(super) fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, StartError> {
    described().build_v1().map_err(StartError::Reflection)
}

/// The same as older clients ask it.
pub(super) fn reflection_alpha()
-> Result<ServerReflectionServerAlpha<impl ServerReflectionAlpha>, StartError> {
    described().build_v1alpha().map_err(StartError::Reflection)
}
