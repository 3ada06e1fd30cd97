//! What an auditor checks the log with: checkpoints, proofs, and events as they are stored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rollbook_aggregates::values::AccountId;
use rollbook_eventstore::proof::{AccountEnd, ProvableEvent, TreeHead};
use rollbook_eventstore::{Filter, Log, ReadQuery, StoreError};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::ErrorReason;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::Request;

use super::super::streaming::{Answers, Gone, Sender, send};
use super::super::{Directory, may_enter};
use super::may_see;
use crate::convert::{Fields, event_filter, stored_event};
use crate::executor::account_not_found;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

/// How many events a message of an export has at most.
const EVENTS_IN_A_MESSAGE: usize = 1000;

/// How many pages are read while one is told, where it is known where they lie.
const PAGES_AHEAD: usize = 2;

/// How long the tree is waited for where the caller names no deadline.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Export = Answers<pb::ExportEventsResponse>;

impl Directory {
    pub(super) async fn checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Outcome<pb::GetCheckpointResponse> {
        let call = Call::of(&request)?;
        may_enter(&call, &request.get_ref().account_id)?;
        let pb::GetCheckpointRequest {
            account_id,
            at_least_size,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.optional("account_id", &account_id, AccountId::parse);
        fields.finish(())?;
        let head = self.tree(&call, at_least_size).await?;
        let end = match account.as_ref().or(call.caller.account.as_ref()) {
            Some(account) => Some(self.log().account_end(account.as_str(), head.size).await?),
            None => None,
        };
        if end.as_ref().is_some_and(|end| end.events == 0) {
            return Err(account_not_found());
        }
        let (checkpoint, verifier_key) = self.signed(&head, end.as_ref())?;
        Ok(pb::GetCheckpointResponse {
            checkpoint,
            verifier_key,
            tree_size: head.size,
            root_hash: head.root.to_vec(),
            account: end.map(|end| pb::AccountEnd {
                account_id: end.account_id,
                events: end.events,
                last_position: end.last_position,
                last_leaf_hash: end.last_leaf.to_vec(),
            }),
        })
    }

    /// A checkpoint, and the key that it is checked with. An archive has the one that came with it, and signs nothing.
    pub(in crate::methods) fn signed(
        &self,
        head: &TreeHead,
        end: Option<&AccountEnd>,
    ) -> Outcome<(String, String)> {
        let log = self.log();
        if let Some(archive) = log.archive() {
            if end.is_some() {
                return Err(Failure::archived());
            }
            return Ok((archive.checkpoint.clone(), archive.verifier_key.clone()));
        }
        let signed = log.sign_checkpoint(head, end).zip(log.checkpoint_key());
        signed
            .ok_or_else(|| Failure::new(ErrorReason::LogCorrupt, "the log has no key to sign with"))
    }

    pub(super) async fn inclusion(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Outcome<pb::GetInclusionProofResponse> {
        let call = Call::of(&request)?;
        let pb::GetInclusionProofRequest {
            position,
            tree_size,
        } = request.into_inner();
        let mut fields = Fields::default();
        if position == 0 {
            fields.bad("position", "must be at least 1");
        }
        if (1..position).contains(&tree_size) {
            fields.bad("tree_size", "must be at least the position");
        }
        fields.finish(())?;
        let head = self.tree(&call, tree_size.max(position)).await?;
        let size = if tree_size == 0 { head.size } else { tree_size };
        if let Some(own) = &call.caller.account
            && self.log().account_of(position).await?.as_deref() != Some(own.as_str())
        {
            return Err(Failure::new(
                ErrorReason::EventNotFound,
                format!("no event at position {position}"),
            ));
        }
        let proof = self.log().inclusion_proofs(size, &[position]).await?;
        Ok(pb::GetInclusionProofResponse {
            tree_size: size,
            leaf_index: position - 1,
            leaf_hash: self.log().stored_leaf(position).await?.to_vec(),
            hashes: proof.into_iter().flatten().map(Vec::from).collect(),
        })
    }

    pub(super) async fn consistency(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Outcome<pb::GetConsistencyProofResponse> {
        let call = Call::of(&request)?;
        let pb::GetConsistencyProofRequest { from_size, to_size } = request.into_inner();
        let mut fields = Fields::default();
        if from_size == 0 {
            fields.bad("from_size", "must be at least 1");
        }
        if to_size < from_size {
            fields.bad("to_size", "must be at least from_size");
        }
        fields.finish(())?;
        self.tree(&call, to_size).await?;
        let proof = self.log().consistency_proof(from_size, to_size).await?;
        Ok(pb::GetConsistencyProofResponse {
            hashes: proof.into_iter().map(Vec::from).collect(),
        })
    }

    pub(super) async fn export(
        &self,
        request: Request<pb::ExportEventsRequest>,
    ) -> Outcome<Export> {
        let call = Call::of(&request)?;
        may_see(&call, request.get_ref().filter.as_ref())?;
        let pb::ExportEventsRequest {
            filter,
            from_position,
            tree_size,
            open,
            prove,
        } = request.into_inner();
        let mut fields = Fields::default();
        let filter = event_filter(&mut fields, filter, call.caller.account.as_ref());
        fields.finish(())?;
        let size = match tree_size {
            0 => self.tree(&call, 0).await?.size,
            size => {
                self.tree(&call, size).await?;
                size
            }
        };
        if from_position > size {
            return Err(Failure::beyond_head(from_position, size));
        }
        let exporting = Exporting {
            log: self.log().clone(),
            filter,
            position: from_position,
            size,
            open: open && call.caller.personal_data,
            prove,
        };
        Ok(self.answers(&call, |sender| exporting.send(sender)))
    }

    /// The tree once it holds so many events; 0: all that are committed now.
    pub(in crate::methods) async fn tree(&self, call: &Call, at_least: u64) -> Outcome<TreeHead> {
        let head = self.log().head().await?;
        if at_least > head {
            return Err(Failure::beyond_head(at_least, head));
        }
        let wanted = if at_least == 0 { head } else { at_least };
        let deadline = call.wait_until().unwrap_or(Instant::now() + PATIENCE);
        match tokio::time::timeout_at(deadline, self.log().tree(wanted)).await {
            Ok(head) => Ok(head?),
            Err(_) => Err(lagging(wanted)),
        }
    }
}

fn lagging(wanted: u64) -> Failure {
    Failure::new(
        ErrorReason::TreeLagging,
        format!("the tree over the log did not reach position {wanted} in time"),
    )
    .with("wanted_position", wanted)
    .retry_after(Duration::from_millis(100))
}

/// A page that is being read.
type PageAhead = AbortOnDropHandle<Result<Vec<ProvableEvent>, StoreError>>;

/// Sends events as they are stored.
struct Exporting {
    log: Log,
    filter: Filter,
    position: u64,
    size: u64,
    open: bool,
    prove: bool,
}

impl Exporting {
    /// Sends what there is up to the size of the tree, or until nobody listens. Pages are read while one is told; reading ends
    /// with the export.
    async fn send(self, sender: Sender<pb::ExportEventsResponse>) -> Outcome<()> {
        let export = Arc::new(self);
        let mut ahead = VecDeque::new();
        export.read_ahead(&mut ahead, export.position);
        while let Some((above, page)) = ahead.pop_front() {
            let page = page.await;
            let page = page.map_err(|ended| StoreError::Unavailable(Arc::new(ended)))??;
            let position = match (export.behind(above), page.last()) {
                (Some(position), _) => position,
                (None, Some(last)) if page.len() == EVENTS_IN_A_MESSAGE => last.position,
                (None, _) => export.size,
            };
            export.read_ahead(&mut ahead, position);
            let message = pb::ExportEventsResponse {
                events: export.proved(page).await?,
                position,
                tree_size: export.size,
            };
            if let Err(Gone) = send(&sender, message).await {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Begins to read the pages behind a position, as far as it is known where they lie.
    fn read_ahead(self: &Arc<Self>, ahead: &mut VecDeque<(u64, PageAhead)>, position: u64) {
        let mut next = match ahead.back() {
            Some((above, _)) => self.behind(*above),
            None => Some(position),
        };
        while ahead.len() < PAGES_AHEAD
            && let Some(above) = next.filter(|above| *above < self.size)
        {
            let page = tokio::spawn(self.clone().page(above));
            ahead.push_back((above, AbortOnDropHandle::new(page)));
            next = self.behind(above);
        }
    }

    /// Where the page behind one begins, where that is known before it is read: of all events, positions tell how many there are.
    fn behind(&self, above: u64) -> Option<u64> {
        let last = above + EVENTS_IN_A_MESSAGE as u64;
        (self.filter == Filter::default() && last < self.size).then_some(last)
    }

    /// The events behind a position.
    async fn page(self: Arc<Self>, position: u64) -> Result<Vec<ProvableEvent>, StoreError> {
        let query = ReadQuery {
            from: position,
            limit: EVENTS_IN_A_MESSAGE,
            filter: self.filter.clone(),
            ..ReadQuery::default()
        };
        let last = self.behind(position).unwrap_or(self.size);
        self.log.provable(&query, last, self.open).await
    }

    async fn proved(&self, events: Vec<ProvableEvent>) -> Outcome<Vec<pb::StoredEvent>> {
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        let proofs = if self.prove {
            self.log.inclusion_proofs(self.size, &positions).await?
        } else {
            vec![Vec::new(); events.len()]
        };
        let proved = events.into_iter().zip(proofs);
        Ok(proved
            .map(|(event, proof)| stored_event(event, proof))
            .collect())
    }
}
