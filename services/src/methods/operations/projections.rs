//! `RebuildProjection` and `CopyProjection`: a view made anew, and a view handed to another process.

use std::io::Read as _;

use rollbook_eventstore::CopySeal;
use rollbook_projections::{
    Rebuild, RebuildPhase, RebuildProgress, TableComparison, ViewCopy, ViewState, ViewStatus,
};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::ErrorReason;
use tokio::sync::watch;
use tonic::Request;

use super::super::Directory;
use super::super::streaming::{Answers, Gone, Sender, send};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

/// How many bytes of a copy stand in one message.
const PIECE: usize = 256 * 1024;

/// How long the name of a view may be.
const LONGEST_NAME: usize = 40;

/// What a copy of a view is sealed as.
pub(crate) fn sealed_as(name: &str, version: u32) -> String {
    format!("view {name} v{version}")
}

impl Directory {
    pub(super) fn rebuild_view(
        &self,
        request: Request<pb::RebuildProjectionRequest>,
    ) -> Outcome<Answers<pb::RebuildProjectionResponse>> {
        let call = Call::of(&request)?;
        let pb::RebuildProjectionRequest {
            name,
            compare,
            validate_only,
        } = request.into_inner();
        let name = view_name(name)?;
        let how = Rebuild {
            compare,
            keep: validate_only,
        };
        let progress = self.views().rebuild(&name, how).ok_or_else(not_found)?;
        Ok(self.answers(&call, |sender| tell(name, progress, sender)))
    }

    pub(super) async fn copy_view(
        &self,
        request: Request<pb::CopyProjectionRequest>,
    ) -> Outcome<Answers<pb::CopyProjectionResponse>> {
        let call = Call::of(&request)?;
        let pb::CopyProjectionRequest { name } = request.into_inner();
        let name = view_name(name)?;
        let copy = self.views().copy(&name).await?.ok_or_else(not_found)?;
        tracing::info!(
            view = name,
            position = copy.position,
            bytes = copy.size,
            caller = call.caller.service,
            "handing out a copy of the view"
        );
        let seal = self.log().seal_copy(&sealed_as(&name, copy.version));
        let described = pb::CopyProjectionResponse {
            copy: Some(pb::ProjectionCopy {
                log_id: self.log().id().to_string(),
                version: copy.version,
                position: copy.position,
                byte_count: copy.size,
                salt: seal.salt().to_vec(),
            }),
            ..pb::CopyProjectionResponse::default()
        };
        Ok(self.answers(&call, |sender| hand_out(described, copy, seal, sender)))
    }
}

/// A name as views have them.
fn view_name(name: String) -> Outcome<String> {
    let is_one = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|letter| letter.is_ascii_lowercase());
    if is_one {
        Ok(name)
    } else {
        let problem = format!("1 to {LONGEST_NAME} small letters from a to z");
        Err(Failure::malformed_field("name", problem))
    }
}

fn not_found() -> Failure {
    Failure::new(ErrorReason::ProjectionNotFound, "there is no such view")
}

/// Tells how far a rebuild is until it is over.
async fn tell(
    name: String,
    mut progress: watch::Receiver<RebuildProgress>,
    sender: Sender<pb::RebuildProjectionResponse>,
) -> Outcome<()> {
    loop {
        let now = progress.borrow_and_update().clone();
        if let Some(failure) = &now.failure {
            let message = format!("the view `{name}` could not be made anew: {failure}");
            return Err(Failure::new(ErrorReason::ViewStopped, message).with("view", name));
        }
        let over = now.is_over();
        let response = pb::RebuildProjectionResponse {
            rebuild: Some(rebuild(now)),
        };
        if let Err(Gone) = send(&sender, response).await {
            return Ok(());
        }
        if over {
            return Ok(());
        }
        if progress.changed().await.is_err() {
            let message = "the service is stopping";
            return Err(Failure::new(ErrorReason::LogUnavailable, message));
        }
    }
}

/// Sends a copy, piece by piece.
async fn hand_out(
    described: pb::CopyProjectionResponse,
    copy: ViewCopy,
    seal: CopySeal,
    sender: Sender<pb::CopyProjectionResponse>,
) -> Outcome<()> {
    let mut message = described;
    let mut rest = Some(Rest {
        file: copy.file,
        left: copy.size,
        seal,
    });
    loop {
        if let Err(Gone) = send(&sender, message).await {
            return Ok(());
        }
        let Some(from) = rest else {
            return Ok(());
        };
        let cut = tokio::task::spawn_blocking(move || from.cut()).await;
        (message, rest) = cut
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| {
                tracing::error!(%error, "a copy of a view broke off");
                Failure::new(ErrorReason::ViewStopped, "the copy of the view broke off")
            })?;
    }
}

/// What is still to be sent of a copy.
struct Rest {
    file: std::fs::File,
    left: u64,
    seal: CopySeal,
}

impl Rest {
    /// Cuts the next piece off; nothing is left behind the last.
    fn cut(mut self) -> std::io::Result<(pb::CopyProjectionResponse, Option<Self>)> {
        let mut piece = Vec::with_capacity(PIECE);
        let mut next = self.file.by_ref().take(PIECE as u64);
        let read = next.read_to_end(&mut piece)?;
        self.left = self.left.saturating_sub(read as u64);
        let last = self.left == 0 || read == 0;
        let (sealed, rest) = if last {
            (self.seal.last(&piece), None)
        } else {
            (self.seal.next(&piece), Some(self))
        };
        let message = pb::CopyProjectionResponse {
            copy: None,
            sealed: sealed.map_err(std::io::Error::other)?,
            last,
        };
        Ok((message, rest))
    }
}

/// A view, as the contract has it.
pub(super) fn projection(view: ViewStatus, head: u64) -> pb::Projection {
    pb::Projection {
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
        rebuild: view.rebuild.map(rebuild),
    }
}

fn rebuild(progress: RebuildProgress) -> pb::ProjectionRebuild {
    pb::ProjectionRebuild {
        phase: match progress.phase {
            RebuildPhase::Waiting => pb::RebuildPhase::Waiting,
            RebuildPhase::Folding => pb::RebuildPhase::Folding,
            RebuildPhase::Indexing => pb::RebuildPhase::Indexing,
            RebuildPhase::Comparing => pb::RebuildPhase::Comparing,
            RebuildPhase::Switching => pb::RebuildPhase::Switching,
            RebuildPhase::Done => pb::RebuildPhase::Done,
            // What failed ends with a status, and is not listed.
            RebuildPhase::Failed => pb::RebuildPhase::Unspecified,
        }
        .into(),
        position: progress.position,
        head_position: progress.head,
        index_count: count(progress.indexes),
        all_index_count: count(progress.all_indexes),
        time_left: progress.left.and_then(|left| left.try_into().ok()),
        compared: progress.comparison.is_some(),
        tables: progress
            .comparison
            .map(|comparison| comparison.tables)
            .unwrap_or_default()
            .into_iter()
            .map(table)
            .collect(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn table(table: TableComparison) -> pb::TableComparison {
    pb::TableComparison {
        table: table.name,
        same: table.same,
        different: table.different,
        only_live: table.only_live,
        only_next: table.only_next,
    }
}
