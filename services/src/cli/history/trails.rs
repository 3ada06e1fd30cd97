//! `rollbook history trail|invoice`: what happened, in words.

use clap::Args;
use rollbook_proto::v1::{
    Direction, Disclosure, GetInvoiceTrailRequest, GetInvoiceTrailResponse, GetUserTrailRequest,
    GetUserTrailResponse, TrailEntry,
};

use super::super::{
    client::Client,
    output::time,
    pages::{Page, more, read_pages},
    problem::Problem,
};

/// Which way, and how many.
#[derive(Args, Debug)]
pub struct Reading {
    /// The newest first
    #[arg(long)]
    backwards: bool,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl Reading {
    fn direction(&self) -> i32 {
        if self.backwards {
            Direction::Backwards.into()
        } else {
            Direction::Forwards.into()
        }
    }
}

/// What happened to a user in the account.
#[derive(Args, Debug)]
pub struct UserTrail {
    /// The user's id
    user: String,
    #[command(flatten)]
    reading: Reading,
}

impl UserTrail {
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = GetUserTrailRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            direction: self.reading.direction(),
            ..GetUserTrailRequest::default()
        };
        let rows = read_pages(
            self.reading.limit,
            "events",
            async |page_size, page_token| {
                let request = GetUserTrailRequest {
                    page_size,
                    page_token,
                    ..request.clone()
                };
                let page = client.history(false).get_user_trail(request).await?;
                let page = page.into_inner();
                Ok(Page {
                    rows: page.entries,
                    next: page.next_page_token,
                })
            },
        );
        let rows = rows.await?;
        let more = more(&rows);
        let answer = GetUserTrailResponse {
            entries: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || lines(&answer.entries) + more)
    }
}

/// What happened to an invoice.
#[derive(Args, Debug)]
pub struct InvoiceTrail {
    /// The id of the company whose invoice it is
    company: String,
    /// The invoice
    invoice: String,
    #[command(flatten)]
    reading: Reading,
}

impl InvoiceTrail {
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = GetInvoiceTrailRequest {
            account_id: client.account()?,
            company_id: self.company,
            invoice_id: self.invoice,
            direction: self.reading.direction(),
            ..GetInvoiceTrailRequest::default()
        };
        let rows = read_pages(
            self.reading.limit,
            "events",
            async |page_size, page_token| {
                let request = GetInvoiceTrailRequest {
                    page_size,
                    page_token,
                    ..request.clone()
                };
                let page = client.history(false).get_invoice_trail(request).await?;
                let page = page.into_inner();
                Ok(Page {
                    rows: page.entries,
                    next: page.next_page_token,
                })
            },
        );
        let rows = rows.await?;
        let more = more(&rows);
        let answer = GetInvoiceTrailResponse {
            entries: rows.rows,
            next_page_token: rows.next,
        };
        client
            .output
            .show(&answer, || lines(&answer.entries) + more)
    }
}

fn lines(entries: &[TrailEntry]) -> String {
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An event in one line: where, when, by whom, what, why.
fn line(entry: &TrailEntry) -> String {
    let reason = match entry.reason_disclosure() {
        Disclosure::Unspecified => String::new(),
        Disclosure::Shown => format!(", because \"{}\"", entry.reason),
        Disclosure::Withheld => ", because (withheld)".to_owned(),
        Disclosure::Erased => ", because (erased)".to_owned(),
    };
    let actor = match entry.actor_signature.as_str() {
        "" => entry.actor.as_str(),
        signature => signature,
    };
    format!(
        "{:>7}  {}  {}  (by {actor} via {}{reason})",
        entry.position,
        time(entry.recorded_at.as_ref()),
        entry.text,
        entry.service,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r61_a_line_says_what_happened_by_whom_and_why() {
        let mut entry = TrailEntry {
            position: 7,
            text: "was unlocked".to_owned(),
            actor: "0190".to_owned(),
            actor_signature: "ADA".to_owned(),
            service: "portal".to_owned(),
            reason: "called in".to_owned(),
            reason_disclosure: Disclosure::Shown.into(),
            ..TrailEntry::default()
        };
        assert!(line(&entry).ends_with("was unlocked  (by ADA via portal, because \"called in\")"));
        entry.actor_signature.clear();
        entry.reason_disclosure = Disclosure::Erased.into();
        assert!(line(&entry).ends_with("(by 0190 via portal, because (erased))"));
    }
}
