//! `rollbook user replace-supervisor`.

use clap::Args;
use rollbook_proto::v1::{ReplaceSupervisorRequest, ReplaceSupervisorResponse};

use crate::cli::{
    choices::Missing,
    client::{Client, CommandFlags, commit},
    output::{counted, table},
    problem::Problem,
    views::committed,
};

/// Flags of `user replace-supervisor`.
#[derive(Args, Debug)]
pub struct ReplaceSupervisor {
    /// Whose place is taken: id, signature or e-mail address
    supervisor: String,
    /// Who takes it: id, signature or e-mail address
    replacement: String,
    /// In this company alone: id or title
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// What to do where the replacement lacks a company
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    missing_company: Missing,
    #[command(flatten)]
    command: CommandFlags,
}

impl ReplaceSupervisor {
    /// Replaces it.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let command = self.command.options();
        let id = command.request_id.clone();
        let company_id = match &self.company {
            Some(company) => client.company_id(company).await?,
            None => String::new(),
        };
        let request = ReplaceSupervisorRequest {
            account_id: client.account()?,
            supervisor_id: client.user_id(&self.supervisor).await?,
            replacement_id: client.user_id(&self.replacement).await?,
            company_id,
            missing_company: self.missing_company.wire(),
            command: Some(command),
        };
        let answer = commit(&id, client.users().replace_supervisor(request)).await?;
        client.output.show(&answer, || text(&answer))
    }
}

fn text(answer: &ReplaceSupervisorResponse) -> String {
    let mut text = format!("{} changed", counted(answer.changed_count, "user"));
    if !answer.not_changed.is_empty() {
        let mut kept = table(["company", "kept their supervisor"]);
        for left in &answer.not_changed {
            kept.add_row([&left.company_id, &left.user_ids.join(", ")]);
        }
        text = format!("{text}\n{kept}");
    }
    format!("{text}\n{}", committed(answer.revision, answer.position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollbook_proto::v1::UnchangedReports;

    #[test]
    fn who_kept_the_supervisor_is_shown_by_company() {
        let mut answer = ReplaceSupervisorResponse {
            changed_count: 1,
            revision: 3,
            position: 9,
            ..ReplaceSupervisorResponse::default()
        };
        assert_eq!(text(&answer), "1 user changed\nrevision 3, position 9");
        answer.not_changed.push(UnchangedReports {
            company_id: "c1".to_owned(),
            user_ids: vec!["u1".to_owned(), "u2".to_owned()],
        });
        assert!(text(&answer).contains("u1, u2"));
    }
}
