//! `rollbook history`: the log itself, for auditors.

pub mod export;
mod past;
mod trails;

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use rollbook_proto::v1::{
    Direction, Disclosure, Event, EventFilter, ListEventsRequest, ListEventsResponse,
    ReplayEventsRequest,
};
use serde_json::Value;

use super::{
    client::{Client, ClientFlags},
    output::time,
    pages::{Page, counting, more, read_pages},
    problem::Problem,
};

/// The log.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Subcommand, Debug)]
enum HistoryCommand {
    /// Show a piece of the log
    List(List),
    /// Stream the log from a position on; with --json one event a line
    Replay(Replay),
    /// Show a user as it was
    User(past::UserThen),
    /// Show what changed of a user between two moments
    Diff(past::Diff),
    /// List the users of the account as they were
    Users(past::UsersThen),
    /// List those who had a user as supervisor
    Reports(past::ReportsThen),
    /// Tell in words what happened to a user
    Trail(trails::UserTrail),
    /// Tell in words what happened to an invoice, and who reviewed it under whom
    Invoice(trails::InvoiceTrail),
    /// Write the log, or a part of it, to a file that anybody can check (`rollbook verify`)
    Export(export::Export),
}

/// Runs a command about the log.
pub async fn run(args: HistoryArgs) -> Result<(), Problem> {
    let client = Client::connect(args.client).await?;
    match args.command {
        HistoryCommand::List(list) => list.run(&client).await,
        HistoryCommand::Replay(replay) => replay.run(&client).await,
        HistoryCommand::User(user) => user.run(&client).await,
        HistoryCommand::Diff(diff) => diff.run(&client).await,
        HistoryCommand::Users(users) => users.run(&client).await,
        HistoryCommand::Reports(reports) => reports.run(&client).await,
        HistoryCommand::Trail(trail) => trail.run(&client).await,
        HistoryCommand::Invoice(trail) => trail.run(&client).await,
        HistoryCommand::Export(export) => export.run(&client).await,
    }
}

/// Which events, of the account of --account where one is given.
#[derive(Args, Debug, Default)]
struct FilterFlags {
    /// Those of this user: id, signature or e-mail address; a deleted one by its id
    #[arg(long)]
    user: Option<String>,
    /// Those of this stream, such as account-acme; several are named one after the other
    #[arg(long = "stream", value_name = "STREAM")]
    streams: Vec<String>,
    /// Those of this type, such as `UserLocked`; several are named one after the other
    #[arg(long = "type", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Those done for this actor
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// Those recorded at or after this time, such as 2026-02-28T08:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Those recorded before this time
    #[arg(long, value_name = "TIME")]
    to: Option<DateTime<Utc>>,
    /// The newest first
    #[arg(long)]
    backwards: bool,
}

impl FilterFlags {
    /// Whether nothing but an account narrows it.
    fn is_all(&self) -> bool {
        self.user.is_none()
            && self.streams.is_empty()
            && self.event_types.is_empty()
            && self.actor.is_empty()
            && self.from.is_none()
            && self.to.is_none()
    }

    async fn filter(&self, client: &Client) -> Result<EventFilter, Problem> {
        let user_id = match &self.user {
            Some(name) => client.user_id(name).await?,
            None => String::new(),
        };
        let wire_time = |at: DateTime<Utc>| SystemTime::from(at).into();
        Ok(EventFilter {
            account_id: client.any_account(),
            user_id,
            streams: self.streams.clone(),
            event_types: self.event_types.clone(),
            actor: self.actor.clone(),
            from_time: self.from.map(wire_time),
            to_time: self.to.map(wire_time),
        })
    }

    fn direction(&self) -> i32 {
        if self.backwards {
            Direction::Backwards.into()
        } else {
            Direction::Forwards.into()
        }
    }
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    filter: FilterFlags,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Ask for what opens personal values, for those who may see them; --json shows it
    #[arg(long)]
    open: bool,
}

impl List {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let filter = self.filter.filter(client).await?;
        let direction = self.filter.direction();
        let rows = read_pages(self.limit, "events", async |page_size, page_token| {
            let request = ListEventsRequest {
                filter: Some(filter.clone()),
                direction,
                page_size,
                page_token,
                open: self.open,
            };
            let page = client
                .history(false)
                .list_events(request)
                .await?
                .into_inner();
            Ok(Page {
                rows: page.events,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListEventsResponse {
            events: rows.rows,
            next_page_token: rows.next,
        };
        client.output.show(&answer, || {
            let lines: Vec<String> = answer.events.iter().map(line).collect();
            lines.join("\n") + more
        })
    }
}

#[derive(Args, Debug)]
struct Replay {
    #[command(flatten)]
    filter: FilterFlags,
    /// Position of the last event seen; the stream goes on behind it
    #[arg(long, value_name = "N", default_value_t = 0)]
    from_position: u64,
    /// Go on with new events as they are committed
    #[arg(long, conflicts_with = "backwards")]
    follow: bool,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: u64,
    /// Ask for what opens personal values, for those who may see them; --json shows it
    #[arg(long)]
    open: bool,
}

impl Replay {
    async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = ReplayEventsRequest {
            filter: Some(self.filter.filter(client).await?),
            direction: self.filter.direction(),
            from_position: self.from_position,
            follow: self.follow,
            limit: self.limit,
            open: self.open,
        };
        let mut stream = client
            .history(self.follow)
            .replay_events(request)
            .await?
            .into_inner();
        let progress = counting("events");
        while let Some(piece) = stream.message().await? {
            for event in &piece.events {
                progress.suspend(|| client.output.show_line(event, || line(event)))?;
            }
            progress.inc(piece.events.len() as u64);
        }
        progress.finish_and_clear();
        Ok(())
    }
}

/// An event in one line: where, when, what, by whom, why.
#[must_use]
pub fn line(event: &Event) -> String {
    let reason = match event.reason_disclosure() {
        Disclosure::Unspecified => String::new(),
        Disclosure::Shown => format!("  because \"{}\"", event.reason),
        Disclosure::Withheld => "  because (withheld)".to_owned(),
        Disclosure::Erased => "  because (erased)".to_owned(),
    };
    format!(
        "{:>7}  {}  {} #{}  {}  {}  by {} via {}{reason}",
        event.position,
        time(event.recorded_at.as_ref()),
        event.stream,
        event.revision,
        event.event_type,
        content(event),
        event.actor,
        event.service,
    )
}

/// What an event says, as `name=value`; what is personal and cannot be read says so.
#[must_use]
pub fn content(event: &Event) -> String {
    let Ok(payload) = serde_json::from_str::<Value>(&event.payload) else {
        return event.payload.clone();
    };
    let inner = payload.get(&event.event_type).unwrap_or(&payload);
    match inner.as_object() {
        Some(fields) => {
            let shown = fields
                .iter()
                .filter(|(_, value)| !value.is_null() && !is_empty(value));
            shown
                .map(|(name, value)| format!("{name}={}", readable(value)))
                .collect::<Vec<_>>()
                .join(" ")
        }
        None => readable(inner),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn readable(value: &Value) -> String {
    if let Some(personal) = value.get("$personal") {
        return readable(personal);
    }
    if value.get("$withheld").is_some() {
        return "(withheld)".to_owned();
    }
    if value.get("$erased").is_some() {
        return "(erased)".to_owned();
    }
    match value {
        Value::String(text) if text.contains(' ') => format!("{text:?}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &Value) -> Event {
        Event {
            event_type: "UserCreated".into(),
            payload: payload.to_string(),
            ..Event::default()
        }
    }

    #[test]
    fn personal_values_are_shown_or_said_to_be_withheld_or_erased() {
        let event = event(&serde_json::json!({"UserCreated": {
            "active": true,
            "email": {"$withheld": true},
            "first_name": {"$personal": "Anna Maria"},
            "last_name": {"$erased": true},
            "phone": null,
            "roles": [],
        }}));
        let text = content(&event);
        assert_eq!(
            text,
            "active=true email=(withheld) first_name=\"Anna Maria\" last_name=(erased)"
        );
    }

    #[test]
    fn a_payload_of_another_form_is_shown_as_it_is() {
        assert_eq!(
            content(&Event {
                payload: "?".into(),
                ..Event::default()
            }),
            "?"
        );
        assert_eq!(content(&event(&serde_json::json!({"Other": 1}))), "Other=1");
    }

    #[test]
    fn a_reason_stands_at_the_end_of_the_line() {
        let mut event = event(&serde_json::json!({"UserCreated": {}}));
        event.reason = "left us".into();
        event.reason_disclosure = Disclosure::Shown.into();
        assert!(line(&event).ends_with("because \"left us\""));
        event.reason_disclosure = Disclosure::Erased.into();
        assert!(line(&event).ends_with("because (erased)"));
    }
}
