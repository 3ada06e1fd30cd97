//! What happened to a user or an invoice, in words: told from the log, event by event, with what was true before each.

mod deletion;

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use rollbook_aggregates::access::{Access, AccessEvent};
use rollbook_aggregates::account::Account;
use rollbook_aggregates::invoice::InvoiceEvent;
use rollbook_aggregates::user::{Involvement, User, UserEvent};
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Direction, Filter, Hot, ReadQuery, Reason, RecordedEvent, StreamId};
use rollbook_projections::{Content, ListInvoiceEvents, read_event};
use rollbook_proto::v1 as pb;
use tonic::Request;

use super::super::users::user_not_found;
use super::super::{Directory, at_least};
use super::as_of::At;
use super::disclosure;
use crate::convert::{
    Disclose, InvoiceTrail, Seen, UserTrail, changes, streams_of, touched, wire_time,
};
use crate::executor::access_id;
use crate::failure::{Failure, Outcome};
use crate::words::{self, Names};

/// How many events are fetched at a time for a page.
const AT_A_TIME: usize = 8;

/// What a trail is told with.
struct Teller<'a> {
    directory: &'a Directory,
    account_id: AccountId,
    account: Arc<Account>,
    names: Names,
    disclose: Disclose,
}

/// A user as it was before the next event, at home or external.
struct Before {
    user: Hot<User>,
    access: Hot<Access>,
}

impl Directory {
    pub(super) async fn user_trail(
        &self,
        request: Request<pb::GetUserTrailRequest>,
    ) -> Outcome<pb::GetUserTrailResponse> {
        let call = Self::asked(&request)?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let UserTrail {
            account,
            user,
            direction,
            limit,
        } = UserTrail::try_from(message.clone())?;
        message.page_size = 0;
        let bound = [b"GetUserTrail".as_slice(), &message.encode_to_vec()].concat();
        let after: Option<u64> = self.pages().read(&bound, &token)?;
        let query = ReadQuery {
            direction,
            from: after.unwrap_or(0),
            limit: limit as usize + 1,
            filter: Filter {
                account_id: Some(account.to_string()),
                streams: streams_of(user, Some(&account)),
                ..Filter::default()
            },
        };
        let mut events = self.log().read(&query).await?;
        if events.is_empty() && after.is_none() {
            return Err(user_not_found());
        }
        let more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let next = events.last().filter(|_| more).map(|last| last.position);
        let mut teller = self.teller(account, disclosure(&call)).await?;
        if direction == Direction::Backwards {
            events.reverse();
        }
        let mut entries = teller.user(user, &events).await?;
        if direction == Direction::Backwards {
            entries.reverse();
        }
        Ok(pb::GetUserTrailResponse {
            entries,
            next_page_token: self.pages().write(&bound, next.as_ref()),
        })
    }

    pub(super) async fn invoice_trail(
        &self,
        request: Request<pb::GetInvoiceTrailRequest>,
    ) -> Outcome<pb::GetInvoiceTrailResponse> {
        let call = Self::asked(&request)?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let InvoiceTrail(mut query) = InvoiceTrail::try_from(message.clone())?;
        message.page_size = 0;
        let bound = [b"GetInvoiceTrail".as_slice(), &message.encode_to_vec()].concat();
        query.after = self.pages().read(&bound, &token)?;
        let head = self.log().head().await?;
        let ListInvoiceEvents {
            account, company, ..
        } = query.clone();
        let mut teller = self.teller(account, disclosure(&call)).await?;
        if teller.account.id().is_none() {
            return Err(crate::executor::account_not_found());
        }
        let past = self.views().past();
        past.fresh(at_least(head), call.wait_until()).await?;
        let page = past.invoice(query).await?;
        let events = self.events_at(page.rows).await?;
        let mut entries = Vec::with_capacity(events.len());
        for event in &events {
            entries.push(teller.invoice(event).await?);
        }
        if entries.is_empty() && !teller.names.has(company) {
            return Err(company_not_found());
        }
        Ok(pb::GetInvoiceTrailResponse {
            entries,
            next_page_token: self.pages().write(&bound, page.next.as_ref()),
        })
    }

    async fn teller(&self, account_id: AccountId, disclose: Disclose) -> Outcome<Teller<'_>> {
        let head = At {
            position: u64::MAX,
            time: self.executor().clock.now(),
        };
        let log = self.log().clone();
        Ok(Teller {
            directory: self,
            account: self.account_then(&account_id, head).await?,
            names: Names::of(log, account_id.clone(), disclose).await?,
            account_id,
            disclose,
        })
    }

    /// The events at these positions, in their order.
    async fn events_at(&self, positions: Vec<u64>) -> Outcome<Vec<RecordedEvent>> {
        let log = self.log().clone();
        let reads = positions.into_iter().map(move |position| {
            let log = log.clone();
            async move {
                let query = ReadQuery {
                    from: position - 1,
                    limit: 1,
                    ..ReadQuery::default()
                };
                log.read(&query).await.map_err(Failure::from)
            }
        });
        let reads: Vec<_> = reads.collect();
        let found: Vec<Vec<RecordedEvent>> = stream::iter(reads)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn company_not_found() -> Failure {
    Failure::new(pb::ErrorReason::CompanyNotFound, "no such company")
}

impl Teller<'_> {
    /// Tells events of a user, the oldest first.
    async fn user(
        &mut self,
        user: UserId,
        events: &[RecordedEvent],
    ) -> Outcome<Vec<pb::TrailEntry>> {
        let Some(first) = events.first() else {
            return Ok(Vec::new());
        };
        let history = self.history(user).await?;
        let mut before = Before {
            user: nothing(),
            access: nothing(),
        };
        for event in history.iter().flatten() {
            if event.position < first.position {
                before = self.after(&before, event)?;
            }
        }
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let after = self.after(&before, event)?;
            entries.push(self.entry(user, event, &before, &after, &history).await?);
            before = after;
        }
        Ok(entries)
    }

    /// Everything that happened to a user in this account, at home and as an external one.
    async fn history(&self, user: UserId) -> Outcome<Vec<Vec<RecordedEvent>>> {
        let streams = [
            (StreamId::new("user", user.to_string()), 0),
            (
                StreamId::new("access", access_id(&self.account_id, user)),
                0,
            ),
        ];
        let mut history = self.directory.log().load(&streams).await?;
        for events in &mut history {
            events.retain(|event| event.account_id == self.account_id.as_str());
        }
        Ok(history)
    }

    fn after(&self, before: &Before, event: &RecordedEvent) -> Outcome<Before> {
        let executor = self.directory.executor();
        let (mut user, mut access) = (before.user.clone(), before.access.clone());
        match event.stream.aggregate_type.as_str() {
            "user" => user = executor.after(&user, event)?,
            "access" => access = executor.after(&access, event)?,
            _ => {}
        }
        Ok(Before { user, access })
    }

    async fn entry(
        &mut self,
        user: UserId,
        event: &RecordedEvent,
        before: &Before,
        after: &Before,
        history: &[Vec<RecordedEvent>],
    ) -> Outcome<pb::TrailEntry> {
        let at = event.position;
        let mut set = std::collections::BTreeSet::new();
        let mut check = None;
        let mut supervisor = None;
        let text = match read_event(event) {
            Content::User(_, happened) => {
                let person = before.user.state.person();
                self.names
                    .learn(words::mentioned(&happened, person))
                    .await?;
                supervisor = self.supervisor(user, &happened, at).await?;
                set.extend(touched(&happened).iter().copied());
                let mut text = words::happened(&happened, user, person, &self.names, at);
                if matches!(happened, UserEvent::UserDeleted(_))
                    && let Some(person) = person
                {
                    let found = self.deletion(person, event, history).await?;
                    text.push_str("; ");
                    text.push_str(&deletion::in_words(&found));
                    check = Some(found);
                }
                text
            }
            Content::Access(_, happened) => {
                let external = before.access.state.external();
                words::accessed(&happened, external, &self.names, at)
            }
            Content::SignIn(..) => "signed in".to_owned(),
            _ => event.event_type.clone(),
        };
        let (old, new) = (self.seen(before, event), self.seen(after, event));
        let entry = pb::TrailEntry {
            user_id: user.to_string(),
            text,
            changes: changes(old.as_ref(), new.as_ref(), &set, self.disclose),
            supervisor_id: supervisor.map(|id| id.to_string()).unwrap_or_default(),
            deletion_check: check,
            ..pb::TrailEntry::default()
        };
        self.signed(entry, event).await
    }

    /// A user as far as this account knows it, by what is recorded.
    fn seen(&self, then: &Before, event: &RecordedEvent) -> Option<Seen> {
        let Hot {
            state, revision, ..
        } = &then.user;
        match then.access.state.granted() {
            Some(access) => Some(Seen::external(access, then.access.revision)),
            None => Seen::at_home(&self.account, state, *revision, event.recorded_at),
        }
    }

    /// Who had reviewed something under whom.
    async fn supervisor(
        &mut self,
        user: UserId,
        event: &UserEvent,
        at: u64,
    ) -> Outcome<Option<UserId>> {
        let UserEvent::InvoiceReviewed(reviewed) = event else {
            return Ok(None);
        };
        self.names.learn([user]).await?;
        let supervisor = self.names.supervisor(user, reviewed.company_id, at);
        self.names.learn(supervisor).await?;
        Ok(supervisor)
    }

    /// Tells an event of an invoice.
    async fn invoice(&mut self, event: &RecordedEvent) -> Outcome<pb::TrailEntry> {
        let at = event.position;
        let mut entry = pb::TrailEntry::default();
        match read_event(event) {
            Content::User(user, happened) => {
                self.names.learn([user]).await?;
                let supervisor = self.supervisor(user, &happened, at).await?;
                entry.supervisor_id = supervisor.map(|id| id.to_string()).unwrap_or_default();
                let involvement = happened.involvement();
                self.involved(&mut entry, user, Some(user), involvement, at);
            }
            Content::Access(key, happened) => {
                let involvement = AccessEvent::involvement(&happened);
                self.involved(&mut entry, key.user_id, None, involvement, at);
            }
            Content::Invoice(InvoiceEvent::InvoiceSettlementReported(settled)) => {
                entry.text = words::settled(&settled, &self.names, at);
            }
            _ => entry.text.clone_from(&event.event_type),
        }
        self.signed(entry, event).await
    }

    fn involved(
        &self,
        entry: &mut pb::TrailEntry,
        user: UserId,
        at_home: Option<UserId>,
        involvement: Option<Involvement<'_>>,
        at: u64,
    ) {
        entry.user_id = user.to_string();
        if let Some(involvement) = involvement {
            let what = words::involved(&involvement, &self.names, at_home, at);
            entry.text = format!("{} {what}", self.names.user(user, at));
        }
    }

    /// The entry with who did it, when and why.
    async fn signed(
        &mut self,
        entry: pb::TrailEntry,
        event: &RecordedEvent,
    ) -> Outcome<pb::TrailEntry> {
        let actor = UserId::parse(&event.metadata.actor).ok();
        self.names.learn(actor).await?;
        let (reason, disclosure) = match (&event.reason, self.disclose) {
            (Reason::NotGiven, _) => (String::new(), pb::Disclosure::Unspecified),
            (Reason::Erased, _) => (String::new(), pb::Disclosure::Erased),
            (Reason::Known(_), Disclose::Withheld) => (String::new(), pb::Disclosure::Withheld),
            (Reason::Known(reason), Disclose::Shown) => (reason.clone(), pb::Disclosure::Shown),
        };
        let signature = actor.and_then(|actor| self.names.signature(actor, event.position));
        Ok(pb::TrailEntry {
            position: event.position,
            recorded_at: Some(wire_time(event.recorded_at)),
            event_type: event.event_type.clone(),
            actor: event.metadata.actor.clone(),
            actor_signature: signature.unwrap_or_default(),
            service: event.metadata.service.clone(),
            reason,
            reason_disclosure: disclosure.into(),
            ..entry
        })
    }
}

fn nothing<A: Default + cqrs_es::Aggregate>() -> Hot<A> {
    Hot {
        state: Arc::new(A::default()),
        revision: 0,
        cached: false,
    }
}
