//! `RotateMasterKey`, and which master key is in force.

use rollbook_eventstore::{NotRotated, Rotation, RotationProgress};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::ErrorReason;
use tonic::Request;

use super::super::Directory;
use super::super::streaming::{Answers, Gone, Sender, send};
use crate::convert::wire_time;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

impl Directory {
    pub(super) async fn rotate_keys(
        &self,
        request: Request<pb::RotateMasterKeyRequest>,
    ) -> Outcome<Answers<pb::RotateMasterKeyResponse>> {
        let call = Call::of(&request)?;
        let pb::RotateMasterKeyRequest {} = request.into_inner();
        let by = call.caller.actor.to_string();
        let rotation = self.log().rotate_master_key(&by).await.map_err(refused)?;
        Ok(self.answers(&call, |sender| tell(rotation, sender)))
    }

    pub(super) async fn master_key_status(&self) -> Outcome<Option<pb::MasterKeyStatus>> {
        let last = self.log().master_keys(1).await?.pop();
        Ok(last.map(|record| {
            let former = record.former.filter(|_| record.finished_at.is_none());
            pb::MasterKeyStatus {
                key_id: record.key.to_string(),
                former_key_id: former.map(|id| id.to_string()).unwrap_or_default(),
                begun_at: Some(wire_time(record.begun_at)),
                begun_by: record.begun_by,
                finished_at: record.finished_at.map(wire_time),
            }
        }))
    }
}

/// Tells how far a rotation is until it is over.
async fn tell(mut rotation: Rotation, sender: Sender<pb::RotateMasterKeyResponse>) -> Outcome<()> {
    loop {
        let now = rotation.borrow_and_update().clone().map_err(refused)?;
        let over = now.done;
        if let Err(Gone) = send(&sender, progress(&now)).await {
            return Ok(());
        }
        if over {
            return Ok(());
        }
        if rotation.changed().await.is_err() {
            let message = "the service is stopping";
            return Err(Failure::new(ErrorReason::LogUnavailable, message));
        }
    }
}

fn progress(now: &RotationProgress) -> pb::RotateMasterKeyResponse {
    pb::RotateMasterKeyResponse {
        key_id: now.key.to_string(),
        rewrapped_count: now.rewrapped,
        all_count: now.total,
        done: now.done,
    }
}

fn refused(why: NotRotated) -> Failure {
    let message = why.to_string();
    match why {
        NotRotated::NoNextKey => Failure::new(ErrorReason::NextMasterKeyMissing, message),
        NotRotated::UnknownElsewhere(processes) => {
            Failure::new(ErrorReason::NextMasterKeyUnknownElsewhere, message)
                .with("processes", processes)
        }
        NotRotated::AnotherUnderWay(key) => {
            Failure::new(ErrorReason::KeyRotationUnderWay, message).with("key_id", key)
        }
        NotRotated::Store(error) => error.into(),
    }
}
