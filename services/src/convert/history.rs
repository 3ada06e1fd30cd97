//! The log on the wire.

mod stored;

pub use stored::{opening, read_stored_event, stored_event};

use rollbook_aggregates::signin;
use rollbook_aggregates::values::{AccountId, UserId};
use rollbook_eventstore::{Direction, Filter, Reason, StreamId, ToldEvent};
use rollbook_proto::v1 as pb;
use serde_json::{Map, Value};

use super::user::known;
use super::{Fields, read_time, wire_time};
use crate::executor::access_id;

/// How the log names the stream of a user.
const USER: &str = "user";
/// How the log names the stream of the access of a user to an account.
const ACCESS: &str = "access";
/// The streams there are.
const STREAMS: &[&str] = &[
    ACCESS,
    "account",
    "invitation",
    "invoice",
    signin::TYPE,
    USER,
];

/// Whether personal data is shown to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclose {
    /// It is.
    Shown,
    /// It is not: the caller lacks the scope.
    Withheld,
}

/// Reads which events are asked for. A caller for one account is given that account's.
pub fn event_filter(
    fields: &mut Fields,
    filter: Option<pb::EventFilter>,
    only: Option<&AccountId>,
) -> Filter {
    let pb::EventFilter {
        account_id,
        user_id,
        streams,
        event_types,
        actor,
        from_time,
        to_time,
    } = filter.unwrap_or_default();
    fields.within("filter", |fields| {
        let account = fields.optional("account_id", &account_id, AccountId::parse);
        let user = fields.optional("user_id", &user_id, UserId::parse);
        let mut streams = fields.list("streams", 100, streams, |fields, stream| {
            fields.read("", &stream, read_stream)
        });
        if let Some(user) = user {
            let own = streams_of(user, account.as_ref().or(only));
            if streams.is_empty() {
                streams = own;
            } else {
                streams.retain(|stream| own.contains(stream));
                if streams.is_empty() {
                    fields.bad("user_id", "must be among the streams where both are given");
                }
            }
        }
        let event_types = fields.list("event_types", 100, event_types, |fields, name| {
            let fits =
                (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
            fields.checked(
                "",
                fits.then_some(name).ok_or("must be the name of an event"),
            )
        });
        let fits = actor.len() <= 128 && actor.chars().all(|c| c.is_ascii_graphic());
        let actor = fields.checked(
            "actor",
            fits.then_some(actor).ok_or("must be an actor's id"),
        );
        Filter {
            account_id: account.as_ref().or(only).map(ToString::to_string),
            streams,
            aggregate_types: Vec::new(),
            event_types,
            actor: actor.filter(|actor| !actor.is_empty()),
            from_time: read_time(fields, "from_time", from_time),
            to_time: read_time(fields, "to_time", to_time),
            positions: Vec::new(),
        }
    })
}

/// What happened to a user: at home, when it signed in, and in the account that is asked about.
#[must_use]
pub fn streams_of(user: UserId, account: Option<&AccountId>) -> Vec<StreamId> {
    let access = account.map(|account| StreamId::new(ACCESS, access_id(account, user)));
    let at_home = StreamId::new(USER, user.to_string());
    let sign_ins = StreamId::new(signin::TYPE, user.to_string());
    [at_home, sign_ins].into_iter().chain(access).collect()
}

fn read_stream(text: &str) -> Result<StreamId, &'static str> {
    const PROBLEM: &str = "must be a stream such as user-<id>";
    let stream: StreamId = text.parse().map_err(|_| PROBLEM)?;
    let known = STREAMS.contains(&stream.aggregate_type.as_str());
    let fits = stream.aggregate_id.len() <= 128
        && stream
            .aggregate_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'/');
    (known && fits).then_some(stream).ok_or(PROBLEM)
}

/// Reads which way the log is read.
pub(crate) fn direction(fields: &mut Fields, value: i32) -> Direction {
    match fields.checked("direction", known(value)) {
        None | Some(pb::Direction::Unspecified | pb::Direction::Forwards) => Direction::Forwards,
        Some(pb::Direction::Backwards) => Direction::Backwards,
    }
}

/// An event as the contract has it.
#[must_use]
pub fn event(event: ToldEvent, disclose: Disclose) -> pb::Event {
    let (reason, reason_disclosure) = match (event.reason, disclose) {
        (Reason::NotGiven, _) => (String::new(), pb::Disclosure::Unspecified),
        (Reason::Erased, _) => (String::new(), pb::Disclosure::Erased),
        (Reason::Known(_), Disclose::Withheld) => (String::new(), pb::Disclosure::Withheld),
        (Reason::Known(reason), Disclose::Shown) => (reason, pb::Disclosure::Shown),
    };
    let payload = match disclose {
        Disclose::Shown => event.payload,
        Disclose::Withheld => without_personal(event.payload),
    };
    pb::Event {
        position: event.position,
        commit_position: event.commit_position,
        account_id: event.account_id,
        account_number: event.account_number,
        stream: event.stream.to_string(),
        revision: event.revision,
        event_type: event.event_type,
        event_version: event.event_version,
        recorded_at: Some(wire_time(event.recorded_at)),
        actor: event.metadata.actor,
        service: event.metadata.service,
        request_id: event.metadata.request_id.unwrap_or_default(),
        trace_id: event.metadata.trace_id.unwrap_or_default(),
        reason,
        reason_disclosure: reason_disclosure.into(),
        payload,
        openings: Vec::new(),
    }
}

/// An event without its personal values. Most have none: within a text a quotation mark is escaped, so that nothing else looks
/// like one. What is no JSON has none that could be told apart, and is not shown at all.
fn without_personal(payload: String) -> String {
    if !payload.contains("\"$personal\"") {
        return payload;
    }
    let mut value: Value = serde_json::from_str(&payload).unwrap_or_default();
    withhold(&mut value);
    value.to_string()
}

/// Replaces every personal value.
fn withhold(value: &mut Value) {
    match value {
        Value::Object(object) if object.contains_key("$personal") => {
            *object = Map::from_iter([("$withheld".to_owned(), Value::Bool(true))]);
        }
        Value::Object(object) => object.values_mut().for_each(withhold),
        Value::Array(array) => array.iter_mut().for_each(withhold),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r62_personal_values_are_withheld_at_any_depth_and_erased_ones_shown_as_such() {
        let mut payload = json!({"A": {
            "email": {"$personal": "ann@example.com"},
            "gone": {"$erased": true},
            "list": [{"$personal": {"nested": 1}}, 2],
            "plain": "kept",
        }});
        withhold(&mut payload);
        let withheld = json!({"$withheld": true});
        assert_eq!(
            payload,
            json!({"A": {
                "email": withheld, "gone": {"$erased": true}, "list": [withheld, 2], "plain": "kept",
            }})
        );
    }
}
