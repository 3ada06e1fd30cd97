//! An event as the views fold it: read once, for all of them.

use std::sync::Arc;

use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::{EventSet, Recorded};
use rollbook_aggregates::invitation::InvitationEvent;
use rollbook_aggregates::invoice::InvoiceEvent;
use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::{InvitationId, UserId};
use rollbook_eventstore::RecordedEvent;
use serde::Deserialize;
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
pub(crate) enum Content {
    /// To the account of the event.
    Account(AccountEvent),
    /// To a user.
    User(UserId, UserEvent),
    /// To an invitation.
    Invitation(InvitationId, InvitationEvent),
    /// To an invoice.
    Invoice(InvoiceEvent),
    /// To something no view here shows.
    Other,
    /// An event of one of the streams above, in a form that is not known; with the reason.
    Unreadable(String),
}

impl Folded {
    pub(crate) fn decode(recorded: Arc<RecordedEvent>) -> Self {
        let content = content(&recorded).unwrap_or_else(Content::Unreadable);
        Self { recorded, content }
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

fn content(recorded: &RecordedEvent) -> Result<Content, String> {
    Ok(match recorded.stream.aggregate_type.as_str() {
        "account" => Content::Account(event(recorded)?),
        "user" => Content::User(id(recorded)?, event(recorded)?),
        "invitation" => Content::Invitation(id(recorded)?, event(recorded)?),
        "invoice" => Content::Invoice(event(recorded)?),
        _ => Content::Other,
    })
}

fn event<E: EventSet>(recorded: &RecordedEvent) -> Result<E, String> {
    match Recorded::<E>::deserialize(&recorded.payload) {
        Ok(read) => Ok(read.event),
        Err(error) => Err(format!(
            "{} version {}: {error}",
            recorded.event_type, recorded.event_version
        )),
    }
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
