//! What happens to users, as it happens: whole commits of the log, of one account or of all.

use std::sync::Arc;
use std::time::Duration;

use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Direction, Filter, Log, ReadQuery, RecordedEvent, StoreError};

use crate::event::{Content, Folded};
use crate::feed::Feed;

/// Whoever is further behind than this reads its own account from the log, and not all of it.
const FAR: u64 = 2_048;

/// What users live through happens to themselves, or to their access to another account.
const KINDS: [&str; 2] = ["user", "access"];

/// How many events are read at a time from far behind.
const PAGE: usize = 1_000;

/// Something that happened to a user, which is more than another service's report of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChanged {
    /// Where it stands in the log.
    pub position: u64,
    /// The last position of its commit.
    pub commit_position: u64,
    /// When.
    pub recorded_at: Timestamp,
    /// What happened, by the name of the event.
    pub event_type: String,
    /// Whether sessions ended with it.
    pub ends_sessions: bool,
    /// The user's account, or the one that it has access to.
    pub account: AccountId,
    /// To whom.
    pub user: UserId,
}

/// What follows a position, in whole commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The changes, in the order of the log.
    pub changes: Vec<UserChanged>,
    /// Everything up to here was looked at.
    pub position: u64,
}

/// Reads the log for changes of users, from a position on.
pub struct UserChanges {
    log: Log,
    feed: Arc<Feed>,
    account: Option<AccountId>,
    position: u64,
}

impl UserChanges {
    pub(crate) fn new(
        log: Log,
        feed: Arc<Feed>,
        account: Option<AccountId>,
        position: u64,
    ) -> Self {
        Self {
            log,
            feed,
            account,
            position,
        }
    }

    /// Everything up to here was looked at.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is nothing more now, as far as this process knows.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.position >= *self.log.moved().borrow()
    }

    /// The next changes; waits for so long where the log has nothing new, and then answers none.
    ///
    /// # Errors
    /// The log cannot be read, or holds an event of a user that is of no known form.
    pub async fn next(&mut self, patience: Duration) -> Result<Changed, StoreError> {
        let mut moved = self.log.moved();
        let head = *moved.borrow_and_update();
        let mut found = if head.saturating_sub(self.position) > FAR {
            self.page().await?
        } else {
            self.near().await?
        };
        if found.position == self.position
            && tokio::time::timeout(patience, moved.changed())
                .await
                .is_ok()
        {
            found = self.near().await?;
        }
        self.position = found.position;
        Ok(found)
    }

    /// What the views are about to fold, or have folded just now.
    async fn near(&self) -> Result<Changed, StoreError> {
        let events = self.feed.read(self.position, None).await?;
        let position = events
            .last()
            .map_or(self.position, |event| event.recorded.position);
        Ok(Changed {
            changes: self.of(events.iter().map(Arc::as_ref))?,
            position,
        })
    }

    /// A page of what the account's users lived through long ago, cut after a whole commit.
    async fn page(&self) -> Result<Changed, StoreError> {
        let head = self.log.head().await?;
        let mut events = self.read(self.position).await?;
        let mut position = events
            .last()
            .map_or(head, |last| head.max(last.commit_position));
        if events.len() >= PAGE {
            position = self.whole_commits(&mut events).await?;
        }
        let folded: Vec<Folded> = events
            .into_iter()
            .map(|event| Folded::decode(Arc::new(event)))
            .collect();
        Ok(Changed {
            changes: self.of(folded.iter())?,
            position,
        })
    }

    /// Leaves the commits that are whole, and at least one; answers where the last of them ends.
    async fn whole_commits(&self, events: &mut Vec<RecordedEvent>) -> Result<u64, StoreError> {
        let commit = |event: Option<&RecordedEvent>| event.map_or(0, |event| event.commit_position);
        let (first, last) = (commit(events.first()), commit(events.last()));
        if first != last {
            events.retain(|event| event.commit_position != last);
            return Ok(commit(events.last()));
        }
        let mut end = events.last().map_or(0, |event| event.position);
        while end < first {
            let more = self.read(end).await?;
            let full = more.len() >= PAGE;
            let rest = more
                .into_iter()
                .filter(|event| event.commit_position == first);
            let before = events.len();
            events.extend(rest);
            if !full || events.len() < before + PAGE {
                break;
            }
            end = events.last().map_or(first, |event| event.position);
        }
        Ok(first)
    }

    async fn read(&self, after: u64) -> Result<Vec<RecordedEvent>, StoreError> {
        let query = ReadQuery {
            direction: Direction::Forwards,
            from: after,
            limit: PAGE,
            filter: Filter {
                account_id: self.account.as_ref().map(ToString::to_string),
                aggregate_types: KINDS.map(str::to_owned).to_vec(),
                ..Filter::default()
            },
        };
        self.log.read(&query).await
    }

    fn of<'a>(
        &self,
        events: impl Iterator<Item = &'a Folded>,
    ) -> Result<Vec<UserChanged>, StoreError> {
        events
            .filter_map(|event| self.change(event).transpose())
            .collect()
    }

    fn change(&self, folded: &Folded) -> Result<Option<UserChanged>, StoreError> {
        let recorded = &folded.recorded;
        let (user, is_report, ends_sessions) = match &folded.content {
            Content::User(user, event) => (*user, event.is_involvement(), event.ends_sessions()),
            Content::Access(key, event) => (
                key.user_id,
                event.involvement().is_some(),
                event.ends_sessions(),
            ),
            Content::Unreadable(why) if KINDS.contains(&&*recorded.stream.aggregate_type) => {
                let position = recorded.position;
                return Err(StoreError::Corrupt(format!("position {position}: {why}")));
            }
            Content::Unreadable(_)
            | Content::Account(_)
            | Content::Invitation(..)
            | Content::Invoice(_)
            | Content::Mail(..)
            | Content::SignIn(..)
            | Content::Other => return Ok(None),
        };
        let wanted = self.account.as_ref().map(AccountId::as_str);
        if is_report || wanted.is_some_and(|id| id != recorded.account_id) {
            return Ok(None);
        }
        let account = AccountId::parse(&recorded.account_id).map_err(|problem| {
            StoreError::Corrupt(format!("position {}: {problem}", recorded.position))
        })?;
        Ok(Some(UserChanged {
            position: recorded.position,
            commit_position: recorded.commit_position,
            recorded_at: recorded.recorded_at,
            event_type: recorded.event_type.clone(),
            ends_sessions,
            account,
            user,
        }))
    }
}
