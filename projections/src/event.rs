//! An event as the views fold it: read once, for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use rollbook_aggregates::access::{AccessEvent, AccessKey};
use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::{EventSet, Recorded};
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::invoice::InvoiceEvent;
use rollbook_aggregates::mail::MailEvent;
use rollbook_aggregates::signin::{self, SignInEvent};
use rollbook_aggregates::upcasters::upcasters;
use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::{InvitationId, MailId, UserId};
use rollbook_eventstore::RecordedEvent;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// An event of the log, with its content as the domain has it.
#[derive(Debug)]
pub(crate) struct Folded {
    /// As the log gave it.
    pub(crate) recorded: Arc<RecordedEvent>,
    /// What happened to whom.
    pub(crate) content: Content,
}

/// What happened to whom.
#[derive(Debug)]
pub enum Content {
    /// To the account of the event.
    Account(AccountEvent),
    /// To a user.
    User(UserId, UserEvent),
    /// To whoever signed in.
    SignIn(UserId, SignInEvent),
    /// To the access of a user to the account of the event.
    Access(AccessKey, AccessEvent),
    /// To an invitation.
    Invitation(InvitationId, InvitationEvent),
    /// To an invoice.
    Invoice(InvoiceEvent),
    /// To a mail.
    Mail(MailId, MailEvent),
    /// To something no view here shows.
    Other,
    /// An event of one of the streams above, in a form that is not known; with the reason.
    Unreadable(String),
}

impl Folded {
    pub(crate) fn decode(recorded: Arc<RecordedEvent>) -> Self {
        let content = read_event(&recorded);
        Self { recorded, content }
    }

    /// The event without what is personal in it.
    pub(crate) fn erased(&self) -> Self {
        let mut recorded = RecordedEvent::clone(&self.recorded);
        erase(&mut recorded.payload);
        recorded.metadata.reason = None;
        Self::decode(Arc::new(recorded))
    }

    /// Whether the commit is complete with it.
    pub(crate) fn ends_commit(&self) -> bool {
        self.recorded.position == self.recorded.commit_position
    }

    /// When it was recorded, as it stands in columns.
    pub(crate) fn micros(&self) -> i64 {
        self.recorded.recorded_at.timestamp_micros()
    }
}

/// What an event of the log says, in its present form.
#[must_use]
pub fn read_event(recorded: &RecordedEvent) -> Content {
    content(recorded).unwrap_or_else(Content::Unreadable)
}

fn content(recorded: &RecordedEvent) -> Result<Content, String> {
    Ok(match recorded.stream.aggregate_type.as_str() {
        "account" => Content::Account(event(recorded)?),
        "user" => Content::User(id(recorded)?, event(recorded)?),
        signin::TYPE => Content::SignIn(id(recorded)?, event(recorded)?),
        "access" => Content::Access(access(recorded)?, event(recorded)?),
        "invitation" => Content::Invitation(id(recorded)?, event(recorded)?),
        "invoice" => Content::Invoice(event(recorded)?),
        "mail" => Content::Mail(id(recorded)?, event(recorded)?),
        _ => Content::Other,
    })
}

/// Reads the event, brought into its present form first where it is stored in an older one.
fn event<E: EventSet>(recorded: &RecordedEvent) -> Result<E, String> {
    let upcasters = upcasters(&recorded.stream.aggregate_type);
    let payload = upcast(recorded, &upcasters);
    match Recorded::<E>::deserialize(payload.as_ref()) {
        Ok(read) => Ok(read.event),
        Err(error) => Err(format!(
            "{} version {}: {error}",
            recorded.event_type, recorded.event_version
        )),
    }
}

fn upcast<'a>(recorded: &'a RecordedEvent, upcasters: &[Box<dyn EventUpcaster>]) -> Cow<'a, Value> {
    let (event_type, version) = (&recorded.event_type, &recorded.event_version);
    if !upcasters
        .iter()
        .any(|upcaster| upcaster.can_upcast(event_type, version))
    {
        return Cow::Borrowed(&recorded.payload);
    }
    let stored = SerializedEvent {
        aggregate_id: recorded.stream.aggregate_id.clone(),
        sequence: usize::try_from(recorded.revision).unwrap_or(usize::MAX),
        aggregate_type: recorded.stream.aggregate_type.clone(),
        event_type: recorded.event_type.clone(),
        event_version: recorded.event_version.clone(),
        payload: recorded.payload.clone(),
        metadata: Value::Null,
    };
    let present = upcasters.iter().fold(stored, |event, upcaster| {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            upcaster.upcast(event)
        } else {
            event
        }
    });
    Cow::Owned(present.payload)
}

fn id<T: From<Uuid>>(recorded: &RecordedEvent) -> Result<T, String> {
    match Uuid::try_parse(&recorded.stream.aggregate_id) {
        Ok(id) => Ok(id.into()),
        Err(_) => Err(format!(
            "the stream {} is not named by a UUID",
            recorded.stream
        )),
    }
}

fn access(recorded: &RecordedEvent) -> Result<AccessKey, String> {
    AccessKey::parse(&recorded.stream.aggregate_id)
        .map_err(|problem| format!("the stream {} {problem}", recorded.stream))
}

/// Leaves of each personal value that there was one.
fn erase(value: &mut Value) {
    match value {
        Value::Object(fields) if fields.contains_key("$personal") => {
            *value = json!({ "$erased": true });
        }
        Value::Object(fields) => fields.values_mut().for_each(erase),
        Value::Array(items) => items.iter_mut().for_each(erase),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cqrs_es::persist::SemanticVersionEventUpcaster;
    use rollbook_eventstore::{Metadata, Reason, StreamId};

    use super::*;

    fn recorded(kind: &str, id: &str, payload: Value) -> RecordedEvent {
        RecordedEvent {
            position: 1,
            commit_position: 1,
            account_id: "acme".to_owned(),
            account_number: 1,
            stream: StreamId::new(kind, id),
            revision: 1,
            event_type: "UserRenamed".to_owned(),
            event_version: "1".to_owned(),
            recorded_at: "2026-03-01T08:00:00Z".parse().unwrap(),
            forgets: false,
            metadata: Metadata::default(),
            reason: Reason::NotGiven,
            payload,
            hash: [0; 32],
        }
    }

    fn renamed() -> Value {
        json!({
            "UserRenamed": { "first_name": { "$personal": "Ottilie" }, "last_name": { "$personal": "Ek" } },
            "$recorded_at": "2026-03-01T08:00:00.000000Z",
        })
    }

    /// The event at a position of a commit, by which somebody is called Ottilie.
    pub(crate) fn user_event(position: u64, commit_position: u64) -> Folded {
        let mut event = recorded("user", "0190a1b2-0000-7000-8000-000000000001", renamed());
        (event.position, event.commit_position) = (position, commit_position);
        Folded::decode(Arc::new(event))
    }

    #[test]
    fn an_event_is_read_by_the_type_of_its_stream() {
        assert!(matches!(
            user_event(1, 1).content,
            Content::User(_, UserEvent::UserRenamed(_))
        ));
    }

    #[test]
    fn a_stream_no_view_shows_is_passed_over() {
        let event = Folded::decode(Arc::new(recorded("weather", "1", json!({ "Rained": {} }))));
        assert!(matches!(event.content, Content::Other));
    }

    #[test]
    fn an_event_of_an_unknown_form_says_which() {
        for (id, payload, why) in [
            (
                "0190a1b2-0000-7000-8000-000000000001",
                json!({ "UserCloned": {} }),
                "UserRenamed version 1",
            ),
            ("anna", renamed(), "user-anna is not named by a UUID"),
        ] {
            match Folded::decode(Arc::new(recorded("user", id, payload))).content {
                Content::Unreadable(reason) => assert!(reason.contains(why), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn r65_an_event_of_an_older_form_is_read_in_its_present_one() {
        let rename = |mut payload: Value| {
            payload["UserRenamed"]["last_name"] = json!({ "$personal": "Wennergren" });
            payload
        };
        let upcaster = SemanticVersionEventUpcaster::new("UserRenamed", "1", Box::new(rename));
        let stored = recorded("user", "1", renamed());
        assert_eq!(
            upcast(&stored, &[])["UserRenamed"]["last_name"],
            json!({ "$personal": "Ek" })
        );
        let upcasters: [Box<dyn EventUpcaster>; 1] = [Box::new(upcaster)];
        let older = RecordedEvent {
            event_version: "0".to_owned(),
            ..stored
        };
        assert_eq!(
            upcast(&older, &upcasters)["UserRenamed"]["last_name"],
            json!({ "$personal": "Wennergren" })
        );
    }

    #[test]
    fn r62_an_erased_event_is_still_read() {
        let erased = user_event(1, 1).erased();
        assert!(matches!(
            erased.content,
            Content::User(_, UserEvent::UserRenamed(_))
        ));
        assert!(!format!("{erased:?}").contains("Ottilie"));
    }
}
