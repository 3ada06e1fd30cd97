//! The directory as it was: folded from the log up to a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use rollbook_aggregates::access::Access;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::signin;
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Direction, Filter, ReadQuery, StreamId};
use rollbook_projections::{Content, PastReportKey, PastReportRow, read_event};
use rollbook_proto::v1 as pb;
use serde::{Deserialize, Serialize};
use tonic::Request;

use super::super::users::user_not_found;
use super::super::{Directory, InAccount, at_least, may_enter};
use super::disclosure;
use crate::convert::{
    AsOf, ReportsThen, Seen, UserBetween, UserThen, UsersThen, changes, touched, wire_time,
};
use crate::executor::{access_id, account_not_found};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

/// How many questions to the log are under way at a time for one answer.
const AT_A_TIME: usize = 8;

/// A moment of the log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct At {
    /// What had been recorded.
    pub position: u64,
    /// What the clock is taken to say.
    pub time: Timestamp,
}

/// Where a list as of a moment goes on.
#[derive(Serialize, Deserialize)]
struct GoOn<K> {
    at: At,
    after: K,
}

impl Directory {
    /// The call of a question about the history of an account.
    pub(super) fn asked<R: InAccount>(request: &Request<R>) -> Outcome<Call> {
        let call = Call::of(request)?;
        may_enter(&call, request.get_ref().account_id())?;
        Ok(call)
    }

    /// Finds a moment in the log.
    pub(super) async fn moment(&self, as_of: AsOf) -> Outcome<At> {
        let now = self.executor().clock.now();
        let head = self.log().head().await?;
        let position = match as_of {
            AsOf::Now => {
                return Ok(At {
                    position: head,
                    time: now,
                });
            }
            AsOf::Position(position) if position > head => {
                return Err(Failure::beyond_head(position, head));
            }
            AsOf::Position(position) => position,
            AsOf::Time(time) if time >= now => {
                return Ok(At {
                    position: head,
                    time: now,
                });
            }
            AsOf::Time(time) => {
                let behind = time + chrono::TimeDelta::microseconds(1);
                let position = self.log().time_position(behind).await?;
                return Ok(At { position, time });
            }
        };
        let time = self.log().recorded_at(position).await?;
        Ok(At {
            position,
            time: time.unwrap_or(Timestamp::UNIX_EPOCH),
        })
    }

    pub(super) async fn user_as_of(
        &self,
        request: Request<pb::GetUserAsOfRequest>,
    ) -> Outcome<pb::GetUserAsOfResponse> {
        let call = Self::asked(&request)?;
        let UserThen {
            account,
            user,
            as_of,
        } = UserThen::try_from(request.into_inner())?;
        let at = self.moment(as_of).await?;
        let seen = self
            .seen(&call, &account, &[user], at)
            .await?
            .pop()
            .flatten();
        Ok(pb::GetUserAsOfResponse {
            user: Some(seen.ok_or_else(user_not_found)?.shown(disclosure(&call))),
            position: at.position,
            time: Some(wire_time(at.time)),
        })
    }

    pub(super) async fn diff(
        &self,
        request: Request<pb::DiffUserRequest>,
    ) -> Outcome<pb::DiffUserResponse> {
        let call = Self::asked(&request)?;
        let UserBetween {
            account,
            user,
            from,
            to,
        } = UserBetween::try_from(request.into_inner())?;
        let from = self.moment(from).await?;
        let to = self.moment(to).await?;
        let before = self
            .seen(&call, &account, &[user], from)
            .await?
            .pop()
            .flatten();
        let after = self
            .seen(&call, &account, &[user], to)
            .await?
            .pop()
            .flatten();
        if before.is_none() && after.is_none() {
            return Err(user_not_found());
        }
        let set = self.set_between(user, from.position, to.position).await?;
        let revision = |seen: &Option<Seen>| seen.as_ref().map_or(0, Seen::revision);
        Ok(pb::DiffUserResponse {
            changes: changes(before.as_ref(), after.as_ref(), &set, disclosure(&call)),
            from_position: from.position,
            to_position: to.position,
            from_revision: revision(&before),
            to_revision: revision(&after),
        })
    }

    /// The personal fields of a user that were set between two positions, whichever is the later.
    async fn set_between(
        &self,
        user: UserId,
        from: u64,
        to: u64,
    ) -> Outcome<BTreeSet<&'static str>> {
        let (from, to) = (from.min(to), from.max(to));
        let stream = StreamId::new("user", user.to_string());
        let events = self.log().load(&[(stream, 0)]).await?;
        Ok(events
            .into_iter()
            .flatten()
            .filter(|event| event.commit_position > from && event.commit_position <= to)
            .flat_map(|event| match read_event(&event) {
                Content::User(_, event) => touched(&event),
                _ => &[],
            })
            .copied()
            .collect())
    }

    pub(super) async fn users_as_of(
        &self,
        request: Request<pb::ListUsersAsOfRequest>,
    ) -> Outcome<pb::ListUsersAsOfResponse> {
        let call = Self::asked(&request)?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let UsersThen { mut query, as_of } = UsersThen::try_from(message.clone())?;
        message.page_size = 0;
        let bound = [b"ListUsersAsOf".as_slice(), &message.encode_to_vec()].concat();
        let go_on: Option<GoOn<UserId>> = self.pages().read(&bound, &token)?;
        let at = match &go_on {
            Some(go_on) => go_on.at,
            None => self.moment(as_of).await?,
        };
        query.position = at.position;
        query.after = go_on.map(|go_on| go_on.after);
        let account = query.account.clone();
        self.must_be_there(&account, at).await?;
        let past = self.views().past();
        past.fresh(at_least(at.position), call.wait_until()).await?;
        let page = past.users(query).await?;
        let ids: Vec<UserId> = page.rows.iter().map(|row| row.user_id).collect();
        let seen = self.seen(&call, &account, &ids, at).await?;
        let disclose = disclosure(&call);
        let users = seen.into_iter().flatten();
        let next = page.next.map(|after| GoOn { at, after });
        Ok(pb::ListUsersAsOfResponse {
            users: users.map(|seen| seen.shown(disclose)).collect(),
            next_page_token: self.pages().write(&bound, next.as_ref()),
            position: at.position,
            time: Some(wire_time(at.time)),
        })
    }

    pub(super) async fn reports_as_of(
        &self,
        request: Request<pb::ListReportsAsOfRequest>,
    ) -> Outcome<pb::ListReportsAsOfResponse> {
        let call = Self::asked(&request)?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let ReportsThen { mut query, as_of } = ReportsThen::try_from(message.clone())?;
        message.page_size = 0;
        let bound = [b"ListReportsAsOf".as_slice(), &message.encode_to_vec()].concat();
        let go_on: Option<GoOn<PastReportKey>> = self.pages().read(&bound, &token)?;
        let at = match &go_on {
            Some(go_on) => go_on.at,
            None => self.moment(as_of).await?,
        };
        query.position = at.position;
        query.after = go_on.map(|go_on| go_on.after);
        let supervisor = [query.supervisor];
        let known = self.seen(&call, &query.account, &supervisor, at).await?;
        if known.into_iter().flatten().next().is_none() {
            return Err(user_not_found());
        }
        let past = self.views().past();
        past.fresh(at_least(at.position), call.wait_until()).await?;
        let page = past.reports(query).await?;
        let next = page.next.map(|after| GoOn { at, after });
        Ok(pb::ListReportsAsOfResponse {
            reports: page.rows.iter().map(report).collect(),
            next_page_token: self.pages().write(&bound, next.as_ref()),
            position: at.position,
            time: Some(wire_time(at.time)),
        })
    }

    async fn must_be_there(&self, account: &AccountId, at: At) -> Outcome<()> {
        let found = self.account_then(account, at).await?;
        found.id().map(drop).ok_or_else(account_not_found)
    }

    pub(super) async fn account_then(&self, account: &AccountId, at: At) -> Outcome<Arc<Account>> {
        let ids = [account.as_str()];
        let found = self.executor().as_of::<Account>(&ids, at.position).await?;
        Ok(found.into_iter().next().unwrap_or_default().0)
    }

    /// Users of an account as they were, each in its place; nothing for one who was not there.
    pub(super) async fn seen(
        &self,
        call: &Call,
        account_id: &AccountId,
        ids: &[UserId],
        at: At,
    ) -> Outcome<Vec<Option<Seen>>> {
        let account = self.account_then(account_id, at).await?;
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = texts.iter().map(String::as_str).collect();
        let users = self.executor().as_of::<User>(&names, at.position).await?;
        let mut found = Vec::with_capacity(ids.len());
        let mut homes = BTreeMap::new();
        for (id, (user, revision)) in ids.iter().zip(users) {
            let seen = if user.account_id() == Some(account_id) {
                Seen::at_home(&account, &user, revision, at.time)
            } else {
                let guest = Guest {
                    id: *id,
                    user: &user,
                    account: &account,
                };
                self.guest(call, account_id, guest, &mut homes, at).await?
            };
            found.push(seen);
        }
        self.with_sign_ins(call, account_id, ids, found, at).await
    }

    /// A user of another account, where it had access to this one then.
    async fn guest(
        &self,
        call: &Call,
        account_id: &AccountId,
        guest: Guest<'_>,
        homes: &mut BTreeMap<AccountId, Arc<Account>>,
        at: At,
    ) -> Outcome<Option<Seen>> {
        let id = access_id(account_id, guest.id);
        let found = self.executor().as_of::<Access>(&[&id], at.position).await?;
        let (access, revision) = found.into_iter().next().unwrap_or_default();
        let Some(access) = access.granted() else {
            return Ok(None);
        };
        let seen = Seen::external(access, revision);
        // What its home account says of it is in no event of this one.
        let Some(person) = guest
            .user
            .person()
            .filter(|_| call.caller.account.is_none())
        else {
            return Ok(Some(seen));
        };
        let home_id = access.home_account_id();
        if !homes.contains_key(home_id) {
            let home = self.account_then(home_id, at).await?;
            homes.insert(home_id.clone(), home);
        }
        Ok(homes
            .get(home_id)
            .map(|home| seen.known_at_home(access, guest.account, home, person, at.time)))
    }

    async fn with_sign_ins(
        &self,
        call: &Call,
        account_id: &AccountId,
        ids: &[UserId],
        found: Vec<Option<Seen>>,
        at: At,
    ) -> Outcome<Vec<Option<Seen>>> {
        let only = call.caller.account.as_ref().map(|_| account_id);
        let work = ids.iter().zip(found).map(|(id, seen)| async move {
            match seen {
                Some(seen) => {
                    let signed_in = self.signed_in(*id, only, at).await?;
                    Ok(Some(seen.signed_in(signed_in)))
                }
                None => Ok(None),
            }
        });
        // Boxed, because the compiler cannot tell that what borrows from here may be sent elsewhere.
        let work: Vec<_> = work.map(futures::FutureExt::boxed).collect();
        stream::iter(work).buffered(AT_A_TIME).try_collect().await
    }

    /// When a user had signed in last, as far as events of the account tell where it is limited to one.
    async fn signed_in(
        &self,
        user: UserId,
        only: Option<&AccountId>,
        at: At,
    ) -> Outcome<Option<Timestamp>> {
        let query = ReadQuery {
            direction: Direction::Backwards,
            from: at.position + 1,
            limit: 2,
            filter: Filter {
                account_id: only.map(ToString::to_string),
                streams: vec![StreamId::new(signin::TYPE, user.to_string())],
                ..Filter::default()
            },
        };
        let events = self.log().read(&query).await?;
        Ok(events
            .into_iter()
            .find(|event| event.commit_position <= at.position)
            .map(|event| event.recorded_at))
    }
}

/// Somebody whose home is another account.
struct Guest<'a> {
    id: UserId,
    user: &'a User,
    account: &'a Account,
}

fn report(row: &PastReportRow) -> pb::PastReport {
    pb::PastReport {
        user_id: row.user_id.to_string(),
        company_id: row.company_id.to_string(),
        since_position: row.since,
        until_position: row.until.unwrap_or_default(),
    }
}
