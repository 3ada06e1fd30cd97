//! `WatchUsers`: what happens to users, told to those who must know at once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_projections::{Changed, UserChanged, UserChanges};
use rollbook_proto::v1 as pb;
use tokio::time::Instant;
use tonic::Request;

use super::super::streaming::{Answers, PATIENCE, Sender, hand_over};
use super::super::{Directory, at_least, history::disclosure};
use crate::convert::{Disclose, WatchedUsers, change, former_external_user, found_user};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

/// How many changes a message has at most.
const CHANGES_IN_A_MESSAGE: usize = 1_000;
/// How long a checkpoint is put off while the log moves and nothing of it is to be told.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// How long a watcher waits for a word while nothing happens at all.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Directory {
    pub(super) async fn watch(
        &self,
        request: Request<pb::WatchUsersRequest>,
    ) -> Outcome<Answers<pb::WatchUsersResponse>> {
        let (call, _) = self.question(&request, None).await?;
        let watched = WatchedUsers::read(request.into_inner(), call.caller.account.is_some())?;
        let head = self.log().head().await?;
        let from = watched.from.unwrap_or(head);
        if from > head {
            return Err(Failure::beyond_head(from, head));
        }
        let watch = Watch {
            changes: self.views().user_changes(watched.account, from),
            directory: self.clone(),
            disclose: disclosure(&call),
            sessions_ended_only: watched.sessions_ended_only,
            call: call.clone(),
        };
        Ok(self.answers(&call, |sender| watch.run(sender)))
    }
}

/// One who watches.
struct Watch {
    directory: Directory,
    changes: UserChanges,
    call: Call,
    disclose: Disclose,
    sessions_ended_only: bool,
}

impl Watch {
    async fn run(mut self, sender: Sender<pb::WatchUsersResponse>) -> Outcome<()> {
        let checkpoint = |watch: &Self| pb::WatchUsersResponse {
            position: watch.changes.position(),
            caught_up: watch.changes.caught_up(),
            ..pb::WatchUsersResponse::default()
        };
        hand_over(&sender, checkpoint(&self), PATIENCE).await?;
        let (mut told, mut told_at) = (self.changes.position(), Instant::now());
        while !sender.is_closed() {
            let found = self.changes.next(CHECKPOINT).await?;
            let messages = self.messages(found).await?;
            // The view has these changes now: a token that counts no more after them tells its bearer nothing more.
            self.directory.still_acts(&self.call)?;
            let waited = told_at.elapsed();
            let moved = self.changes.position() > told;
            if messages.is_empty() && !(moved && waited >= CHECKPOINT || waited >= HEARTBEAT) {
                continue;
            }
            if messages.is_empty() {
                hand_over(&sender, checkpoint(&self), PATIENCE).await?;
            }
            for message in messages {
                hand_over(&sender, message, PATIENCE).await?;
            }
            (told, told_at) = (self.changes.position(), Instant::now());
        }
        Ok(())
    }

    /// The changes as messages, each with the user as it is now.
    async fn messages(&self, found: Changed) -> Outcome<Vec<pb::WatchUsersResponse>> {
        let Changed {
            mut changes,
            position,
        } = found;
        changes.retain(|change| change.ends_sessions || !self.sessions_ended_only);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let users = self.users(&changes, position).await?;
        let chunks = changes.chunks(CHANGES_IN_A_MESSAGE);
        let mut messages: Vec<_> = chunks
            .map(|chunk| pb::WatchUsersResponse {
                position: chunk.last().map_or(0, |last| last.position),
                changes: chunk
                    .iter()
                    .filter_map(|changed| {
                        let user = users.get(&(changed.account.clone(), changed.user))?;
                        Some(change(changed, user.clone(), self.disclose))
                    })
                    .collect(),
                ..pb::WatchUsersResponse::default()
            })
            .collect();
        for (message, next) in messages
            .iter_mut()
            .zip(changes.chunks(CHANGES_IN_A_MESSAGE).skip(1))
        {
            let commit = next.first().map(|first| first.commit_position);
            let last = message.changes.last().map(|last| last.commit_position);
            message.within_commit = commit == last;
        }
        if let Some(last) = messages.last_mut() {
            last.position = position;
            last.caught_up = self.changes.caught_up();
        }
        Ok(messages)
    }

    /// Those who were changed, as the view has them once it is as far.
    async fn users(
        &self,
        changes: &[UserChanged],
        position: u64,
    ) -> Outcome<HashMap<(AccountId, UserId), pb::User>> {
        let view = self.directory.views().users();
        view.fresh(at_least(position), None).await?;
        let mut wanted: BTreeMap<&AccountId, Vec<UserId>> = BTreeMap::new();
        for change in changes {
            wanted.entry(&change.account).or_default().push(change.user);
        }
        let mut users = HashMap::with_capacity(changes.len());
        for (account, mut ids) in wanted {
            ids.sort_unstable();
            ids.dedup();
            for (id, found) in ids.iter().zip(view.get_many(account, ids.clone()).await?) {
                let user = match found {
                    Some(found) => found_user(found),
                    None => match self.directory.views().accesses().get(account, *id)? {
                        Some(ended) => former_external_user(&ended),
                        None => continue,
                    },
                };
                users.insert((account.clone(), *id), user);
            }
        }
        Ok(users)
    }
}
