//! An event as a line of an export: a `CloudEvent` (1.0, JSON format) in one way of writing it.
//!
//! `data` stands last and is the stored payload byte for byte; `metadata` is the stored metadata as a text. A line that would
//! be written otherwise is refused, so that no byte of it can be changed unseen.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use memchr::memmem;
use rollbook_eventstore::StreamId;
use rollbook_eventstore::proof::{Hash, Opening, ProvableEvent};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const DATA: &str = ",\"data\":";
const HASH: usize = 32;
/// What a line has beside payload and metadata, about: enough that it need not be moved while it is written.
const ROOM: usize = 768;

/// An event with what is computed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The event.
    pub event: ProvableEvent,
    /// The hash of the leaf that its content makes.
    pub content: Hash,
    /// The proof that the tree holds it; none where all events are there.
    pub proof: Vec<Hash>,
    /// Where a value was shown that is not the one the event holds.
    pub unfit: Option<String>,
}

impl Line {
    /// Computes what an event's content makes.
    #[must_use]
    pub fn of(event: ProvableEvent, proof: Vec<Hash>) -> Self {
        Self {
            content: event.content().hash(),
            unfit: unfit(&event),
            event,
            proof,
        }
    }
}

/// The attributes, in the order they are written. Numbers are texts, since those of a `CloudEvent` end at 2³¹.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attributes<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    datacontenttype: Cow<'a, str>,
    #[serde(borrow)]
    commitposition: Cow<'a, str>,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    accountnumber: Cow<'a, str>,
    #[serde(borrow)]
    revision: Cow<'a, str>,
    #[serde(borrow)]
    eventversion: Cow<'a, str>,
    forgets: bool,
    #[serde(borrow)]
    metadata: Cow<'a, str>,
    #[serde(borrow)]
    leafhash: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inclusionproof: Option<Cow<'a, str>>,
    /// Written as it is stored, and read only as far as it must be JSON.
    #[serde(rename = "data", skip_serializing)]
    _data: IgnoredAny,
}

/// Writes an event as a line, without its end; `None` where it cannot stand in one.
#[must_use]
pub fn write_line(log_id: Uuid, event: &ProvableEvent, proof: Option<&[Hash]>) -> Option<String> {
    if event.payload.contains('\n') {
        return None;
    }
    let number = |number: u64| Cow::from(number.to_string());
    let time = event
        .recorded_at
        .to_rfc3339_opts(SecondsFormat::Micros, true);
    let attributes = Attributes {
        specversion: "1.0".into(),
        id: number(event.position),
        source: format!("rollbook/{log_id}").into(),
        r#type: event.event_type.as_str().into(),
        subject: event.stream.to_string().into(),
        time: time.into(),
        datacontenttype: "application/json".into(),
        commitposition: number(event.commit_position),
        account: event.account_id.as_str().into(),
        accountnumber: number(event.account_number),
        revision: number(event.revision),
        eventversion: event.event_version.as_str().into(),
        forgets: event.forgets,
        metadata: event.metadata.as_str().into(),
        leafhash: STANDARD.encode(event.leaf?).into(),
        inclusionproof: proof.map(|proof| STANDARD.encode(proof.concat()).into()),
        _data: IgnoredAny,
    };
    let texts = event.payload.len() + event.metadata.len();
    let mut line = Vec::with_capacity(texts + ROOM);
    serde_json::to_writer(&mut line, &attributes).ok()?;
    let mut line = String::from_utf8(line).ok()?;
    line.pop();
    line.push_str(DATA);
    line.push_str(&event.payload);
    line.push('}');
    Some(line)
}

pub(super) fn read(log_id: Uuid, line: &[u8]) -> Result<Line, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "its line is not text")?;
    let (event, proof) = read_text(text).ok_or("its line is not that of an event")?;
    if write_line(log_id, &event, proof.as_deref()).as_deref() != Some(text) {
        return Err("its line is not written as an export of this log writes it");
    }
    Ok(Line::of(event, proof.unwrap_or_default()))
}

fn read_text(text: &str) -> Option<(ProvableEvent, Option<Vec<Hash>>)> {
    // Inside of a text the quotes would be escaped, so this is where the member begins.
    let data = memmem::find(text.as_bytes(), DATA.as_bytes())? + DATA.len();
    let payload = text.get(data..)?.strip_suffix('}')?;
    let attributes: Attributes<'_> = serde_json::from_str(text).ok()?;
    let proof = match &attributes.inclusionproof {
        Some(proof) => Some(hashes(proof)?),
        None => None,
    };
    let stream: StreamId = attributes.subject.parse().ok()?;
    let time = DateTime::parse_from_rfc3339(&attributes.time).ok()?;
    let event = ProvableEvent {
        position: attributes.id.parse().ok()?,
        commit_position: attributes.commitposition.parse().ok()?,
        account_id: attributes.account.into_owned(),
        account_number: attributes.accountnumber.parse().ok()?,
        stream,
        revision: attributes.revision.parse().ok()?,
        event_type: attributes.r#type.into_owned(),
        event_version: attributes.eventversion.into_owned(),
        recorded_at: time.with_timezone(&Utc),
        forgets: attributes.forgets,
        payload: payload.to_owned(),
        metadata: attributes.metadata.into_owned(),
        leaf: Some(hashes(&attributes.leafhash)?.first().copied()?),
        openings: Vec::new(),
        fault: None,
    };
    Some((event, proof))
}

fn hashes(text: &str) -> Option<Vec<Hash>> {
    let bytes = STANDARD.decode(text).ok()?;
    let hashes = bytes.chunks(HASH).map(|hash| hash.try_into().ok());
    hashes.collect()
}

/// The place of the first value that was shown and is not the one the event holds.
fn unfit(event: &ProvableEvent) -> Option<String> {
    if event.openings.is_empty() {
        return None;
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (payload, metadata) = (read(&event.payload), read(&event.metadata));
    let is_fit = |opening: &&Opening| {
        let committed = if opening.place == "reason" {
            metadata
                .as_ref()
                .and_then(|metadata| metadata.get("$reason_commitment"))
        } else {
            let value = payload
                .as_ref()
                .and_then(|payload| payload.pointer(&opening.place));
            value.and_then(|value| value.get("$commitment"))
        };
        committed.and_then(Value::as_str) == Some(&opening.commitment())
    };
    let first = event.openings.iter().find(|opening| !is_fit(opening));
    first.map(|opening| opening.place.clone())
}
