//! The wire and the domain: messages are read once, here, and every bad field is named.
//!
//! A request is taken apart field by field, so that a field added to the contract does not compile until it is decided on.

mod access;
mod account;
mod credential;
mod fields;
mod history;
mod invitation;
mod involvement;
mod mail;
mod past;
mod user;

use prost_types::Timestamp as Wire;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::values::ReasonText;
use rollbook_projections::Freshness;
use rollbook_proto::v1 as pb;
use uuid::Uuid;

use crate::executor::Options;

pub use access::{
    access_from_row, access_from_state, external_user, former_external_user, list_accesses,
};
pub use account::{NewAccount, ToAccount, account_from_row, account_from_state, add_company};
pub use credential::{LinkFollowed, ResetRequested, SignIn, WithPasswords, sign_in_result};
pub use fields::Fields;
pub(crate) use history::direction;
pub use history::{
    Disclose, event, event_filter, opening, read_stored_event, stored_event, streams_of,
};
pub(crate) use invitation::read_statuses;
pub use invitation::{
    Acceptance, InviteMany, ToInvitation, invitation_from_row, invitation_from_state,
};
pub use involvement::{ToInvoice, involvement, reviewer};
pub use mail::{ToMail, dead_letter_from_row, dead_letter_from_state};
pub use past::{
    AsOf, InvoiceTrail, ReportsThen, Seen, UserBetween, UserThen, UserTrail, UsersThen, changes,
    touched,
};
use user::permission;
pub use user::{
    Again, CopiedUser, FoundUsers, ImportOf, ImportRow, ListedUsers, NewUser, ToUser, UserKeyword,
    WatchedUsers, allegiance, allegiances, blocker, change, create_user, denial, found_user,
    import_refusal, told_user, user_from_row, user_from_state,
};

/// A time as the contract has it.
#[must_use]
pub fn wire_time(time: Timestamp) -> Wire {
    Wire {
        seconds: time.timestamp(),
        // Below a billion, so it fits; a leap second would too.
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0),
    }
}

/// A time that the contract may leave out.
pub(crate) fn read_time(fields: &mut Fields, name: &str, time: Option<Wire>) -> Option<Timestamp> {
    let time = time?;
    let nanos = u32::try_from(time.nanos)
        .ok()
        .filter(|n| *n < 1_000_000_000);
    let read = nanos.and_then(|nanos| Timestamp::from_timestamp(time.seconds, nanos));
    // The range that google.protobuf.Timestamp allows.
    let year = |time: &Timestamp| chrono::Datelike::year(time);
    let read = read.filter(|time| (1..=9999).contains(&year(time)));
    if read.is_none() {
        fields.bad(name, "must be a time between the years 1 and 9999");
    }
    read
}

/// How new an answer must be.
#[must_use]
pub fn freshness(read: Option<pb::ReadOptions>) -> Freshness {
    use pb::read_options::Level;
    match read.and_then(|read| read.level) {
        None | Some(Level::Fastest(false)) => Freshness::Latest,
        Some(Level::AtLeastPosition(position)) => Freshness::AtLeast(position),
        Some(Level::Fastest(true)) => Freshness::Fastest,
    }
}

/// What every command carries.
pub(crate) fn options(fields: &mut Fields, command: Option<pb::CommandOptions>) -> Options {
    let pb::CommandOptions {
        request_id,
        expected_revision,
        validate_only,
        reason,
    } = command.unwrap_or_default();
    let request_id = (!request_id.is_empty())
        .then(|| read_request_id(fields, &request_id))
        .flatten();
    let reason = fields.optional("command.reason", &reason, ReasonText::parse);
    Options {
        request_id,
        expected_revision,
        validate_only,
        reason,
    }
}

/// What a command carries that makes a resource: there is no revision to expect.
pub(crate) fn creating(fields: &mut Fields, command: Option<pb::CommandOptions>) -> Options {
    let options = options(fields, command);
    if options.expected_revision != 0 {
        fields.bad(
            "command.expected_revision",
            "must be 0 for a command that creates a resource",
        );
    }
    options
}

fn read_request_id(fields: &mut Fields, text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text)
        .ok()
        .filter(|id| text.len() == 36 && !id.is_nil());
    if id.is_none() {
        fields.bad("command.request_id", "must be a UUID");
    }
    id
}
