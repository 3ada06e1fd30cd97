//! `rollbook user reports` and `chain`: who has whom as supervisor.

use clap::Args;
use rollbook_proto::v1::{
    GetSupervisorChainRequest, GetSupervisorChainResponse, ListReportsRequest, ListReportsResponse,
    SupervisorChainEnd,
};

use crate::cli::{
    client::Client,
    look_up::People,
    output::table,
    pages::{Page, more, read_pages},
    problem::Problem,
};

/// Flags of `user reports`.
#[derive(Args, Debug)]
pub struct Reports {
    /// The supervisor: id, signature or e-mail address
    user: String,
    /// In this company, by id or title; in all where none is given
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Count all of them, too
    #[arg(long)]
    total: bool,
}

impl Reports {
    /// Lists the reports.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let company_id = match &self.company {
            Some(name) => client.company_id(name).await?,
            None => String::new(),
        };
        let query = ListReportsRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company_id,
            ..ListReportsRequest::default()
        };
        let total = std::cell::Cell::new(None);
        let rows = read_pages(self.limit, "reports", async |page_size, page_token| {
            let request = ListReportsRequest {
                page_size,
                include_total: self.total && page_token.is_empty(),
                page_token,
                ..query.clone()
            };
            let page = client.users().list_reports(request).await?.into_inner();
            total.set(total.get().or(page.total));
            Ok(Page {
                rows: page.reports,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListReportsResponse {
            reports: rows.rows,
            next_page_token: rows.next,
            total: total.get(),
        };
        let ids = answer.reports.iter().map(|report| report.user_id.clone());
        let people = client.people(ids).await?;
        client
            .output
            .show(&answer, || reports(&answer, &people) + more)
    }
}

fn reports(answer: &ListReportsResponse, people: &People) -> String {
    let mut table = table(["company", "user", "signature", "name"]);
    for report in &answer.reports {
        let [signature, name] = people.named(&report.user_id);
        table.add_row([&report.company_id, &report.user_id, &signature, &name]);
    }
    let total = answer
        .total
        .map(|total| format!("\n{total} in all"))
        .unwrap_or_default();
    table.to_string() + &total
}

/// Flags of `user chain`.
#[derive(Args, Debug)]
pub struct Above {
    /// The user: id, signature or e-mail address
    user: String,
    /// The company: id or title
    company: String,
}

impl Above {
    /// Shows the supervisors above the user, nearest first.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = GetSupervisorChainRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            company_id: client.company_id(&self.company).await?,
            read: None,
        };
        let answer = client
            .users()
            .get_supervisor_chain(request)
            .await?
            .into_inner();
        let ids = answer.supervisor_ids.iter().chain([&answer.met_again_id]);
        let people = client.people(ids.cloned()).await?;
        client.output.show(&answer, || chain(&answer, &people))
    }
}

fn chain(answer: &GetSupervisorChainResponse, people: &People) -> String {
    let mut table = table(["", "user", "signature", "name"]);
    for (above, id) in (1..).zip(&answer.supervisor_ids) {
        let [signature, name] = people.named(id);
        table.add_row([&above.to_string(), id, &signature, &name]);
    }
    let end = match answer.end() {
        SupervisorChainEnd::Unspecified | SupervisorChainEnd::Top => {
            "nobody is above the last one".to_owned()
        }
        SupervisorChainEnd::Cycle => {
            let [signature, _] = people.named(&answer.met_again_id);
            format!(
                "it runs in a circle: {signature} ({}) comes again",
                answer.met_again_id
            )
        }
        SupervisorChainEnd::NotLinked => "the last one is not linked to the company".to_owned(),
        SupervisorChainEnd::CutOff => "it goes on: ask for the chain above the last one".to_owned(),
    };
    if answer.supervisor_ids.is_empty() && answer.end() == SupervisorChainEnd::Top {
        return "nobody is above: the user is its own supervisor there".to_owned();
    }
    format!("{table}\n{end}")
}
