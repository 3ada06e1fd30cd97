//! What ends when its time has come is recorded then, without anybody asking.
//!
//! The view of deadlines says where to look; each is a command, which judges by the clock and finds nothing to do where
//! somebody else was faster. So an expiry comes late after a time without service, and is never lost nor recorded twice.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::invitation::ExpireInvitation;
use rollbook_aggregates::user::{ExpireLock, ExpirePassword, ExpirePasswordReset, ExpireWelcome};
use rollbook_projections::{Deadline, Deadlines, Ends, Freshness};
use tokio_util::sync::CancellationToken;

use super::Task;
use crate::executor::{Executor, Order, Plan};
use crate::failure::Outcome;
use crate::plans::{OnInvitation, OnUser};

/// How many deadlines are read at a time.
const PAGE: u32 = 256;
/// How many commands are under way at a time; the log commits them together.
const AT_ONCE: usize = 16;
/// How long until a deadline is tried again that is due still although its command was carried out, or that failed.
const AGAIN: Duration = Duration::from_mins(1);

/// Records what has ended.
pub(super) struct Expiry {
    executor: Executor,
    deadlines: Deadlines,
}

/// What is due still, and when it is tried again.
type Put = HashMap<Deadline, Timestamp>;

impl Task for Expiry {
    async fn run(&self, over: &CancellationToken) -> Outcome<()> {
        let mut put_off = Put::new();
        let mut position = self.deadlines.fresh(Freshness::Latest, None).await?;
        while !over.is_cancelled() {
            let now = self.executor.clock.now();
            self.record(now, &mut put_off, over).await?;
            tokio::select! {
                () = over.cancelled() => {}
                () = self.next(now, &put_off)? => {}
                further = self.deadlines.beyond(position) => position = further?,
            }
        }
        Ok(())
    }
}

impl Expiry {
    pub(super) fn new(executor: Executor, deadlines: Deadlines) -> Self {
        Self {
            executor,
            deadlines,
        }
    }

    /// Ends when the next thing does, or is to be tried again.
    fn next(&self, now: Timestamp, put_off: &Put) -> Outcome<impl Future<Output = ()>> {
        let again = put_off.values().min().copied();
        let next = self.deadlines.next(now)?.into_iter().chain(again).min();
        let clock = &self.executor.clock;
        Ok(async move {
            match next {
                Some(next) => clock.reach(next).await,
                None => std::future::pending().await,
            }
        })
    }

    /// Records everything that is due.
    async fn record(
        &self,
        now: Timestamp,
        put_off: &mut Put,
        over: &CancellationToken,
    ) -> Outcome<()> {
        if self.deadlines.due(now, None, 1).await?.is_empty() {
            put_off.clear();
            return Ok(());
        }
        // What others have done since is no news to them.
        self.deadlines.fresh(Freshness::Latest, None).await?;
        let mut after = None;
        let mut still_due = Put::new();
        while !over.is_cancelled() {
            let page = self.deadlines.due(now, after, PAGE).await?;
            after = page.last().cloned();
            if after.is_none() {
                break;
            }
            let waits = |deadline: &Deadline| put_off.get(deadline).is_some_and(|at| *at > now);
            let (waiting, due): (Vec<_>, Vec<_>) = page.into_iter().partition(waits);
            for deadline in waiting {
                let until = put_off.get(&deadline).copied().unwrap_or(now);
                still_due.insert(deadline, until);
            }
            let position = futures::stream::iter(due.clone())
                .map(async |deadline| self.end(&deadline).await)
                .buffer_unordered(AT_ONCE)
                .fold(0, async |last: u64, position| last.max(position))
                .await;
            let carried_out = Freshness::AtLeast(position);
            self.deadlines.fresh(carried_out, None).await?;
            for deadline in due {
                if self.deadlines.is_there(&deadline)? {
                    still_due.insert(deadline, now + AGAIN);
                }
            }
        }
        *put_off = still_due;
        Ok(())
    }

    /// Ends one; answers the position that has it.
    async fn end(&self, deadline: &Deadline) -> u64 {
        let order = Order::of_the_service(deadline.account_id.clone(), &self.executor.clock);
        let issue = deadline.issue;
        let position = match deadline.ends {
            Ends::Invitation(invitation) => {
                let command = ExpireInvitation;
                let plan = OnInvitation {
                    invitation,
                    command,
                };
                self.position(&order, plan).await
            }
            Ends::Welcome(user) => {
                let command = ExpireWelcome { issue };
                self.position(&order, OnUser { user, command }).await
            }
            Ends::PasswordReset(user) => {
                let command = ExpirePasswordReset { issue };
                self.position(&order, OnUser { user, command }).await
            }
            Ends::Password(user) => {
                let command = ExpirePassword;
                self.position(&order, OnUser { user, command }).await
            }
            Ends::Lock(user) => {
                let command = ExpireLock;
                self.position(&order, OnUser { user, command }).await
            }
        };
        position.unwrap_or_else(|failure| {
            tracing::warn!(?deadline, %failure, "an expiry is not recorded yet");
            0
        })
    }

    async fn position(&self, order: &Order, plan: impl Plan) -> Outcome<u64> {
        Ok(self.executor.run(order, &plan).await?.position)
    }
}
