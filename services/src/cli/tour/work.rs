//! The fourth and fifth chapters: who is above whom, and what the invoice services report.

use prost_types::FieldMask;
use rollbook_proto::v1::{
    LinkFlowTemplateRequest, LinkReferenceRequest, ReportInvoicePostedRequest,
    ReportInvoiceQueuedRequest, ReportInvoiceReviewedRequest, ReviewKind, UpdateUserCompanyRequest,
    UserCompany,
};

use super::{
    opening::HOME,
    people::Person,
    stage::{ACCOUNT, Stage, chapter, tell},
};
use crate::{
    caller::Role,
    cli::{
        client::{because, commit},
        output::counted,
        problem::Problem,
    },
};

/// The invoice that stays unsettled until the farewell.
pub const UNSETTLED: &str = "INV-2041";
/// The invoice that waits in the administrator's queue.
pub const QUEUED: &str = "INV-2077";
/// The flow template that names the administrator.
pub const TEMPLATE: &str = "standard-purchase";
/// The reference that stands for the administrator.
pub const REFERENCE: &str = "REF-4711";
const POSTED: &str = "INV-1977";

/// A clerk below a reviewer below an approver below the administrator; answers them, the approver last.
pub async fn supervisors(
    stage: &Stage,
    users: &[(Person, String)],
) -> Result<Vec<(Person, String)>, Problem> {
    chapter(4, "A chain of supervisors")?;
    let of_role = |role: &str| {
        users
            .iter()
            .find(|(person, _)| person.role == role && person.company == HOME)
            .cloned()
    };
    let chain: Vec<(Person, String)> = ["invoice-clerk", "reviewer", "approver"]
        .into_iter()
        .filter_map(of_role)
        .collect();
    let above = chain
        .iter()
        .skip(1)
        .map(|(_, id)| id.as_str())
        .chain([stage.administrator.user_id.as_str()]);
    for ((_, below), above) in chain.iter().zip(above) {
        set_supervisor(stage, below, above).await?;
    }
    let names = chain.iter().map(|(person, _)| {
        format!(
            "{} {} ({})",
            person.first_name, person.last_name, person.role
        )
    });
    tell(&format!(
        "in {HOME}: {} < Märta Åkerblom-O'Neill",
        names.collect::<Vec<_>>().join(" < ")
    ))?;
    Ok(chain)
}

/// Gives a user a supervisor in the home company.
async fn set_supervisor(stage: &Stage, user_id: &str, supervisor_id: &str) -> Result<(), Problem> {
    let command = because("");
    let id = command.request_id.clone();
    let company = UserCompany {
        company_id: stage.company(HOME),
        supervisor_id: supervisor_id.to_owned(),
        ..UserCompany::default()
    };
    let request = UpdateUserCompanyRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: user_id.to_owned(),
        company: Some(company),
        update_mask: Some(FieldMask {
            paths: vec!["supervisor_id".to_owned()],
        }),
        command: Some(command),
    };
    commit(
        &id,
        stage
            .as_administrator()?
            .users()
            .update_user_company(request),
    )
    .await?;
    Ok(())
}

/// The invoice services report queued, reviewed, attested and posted invoices, and what else names the administrator.
pub async fn invoices(stage: &Stage, chain: &[(Person, String)]) -> Result<(), Problem> {
    chapter(5, "The invoice services report what people work on")?;
    let marta = stage.administrator.user_id.as_str();
    for (person, user_id) in chain.iter().skip(1) {
        review(stage, user_id, POSTED, ReviewKind::Reviewed).await?;
        tell(&format!(
            "{POSTED} reviewed by {} {}",
            person.first_name, person.last_name
        ))?;
    }
    review(stage, marta, POSTED, ReviewKind::Attested).await?;
    tell(&format!("{POSTED} attested by Märta Åkerblom-O'Neill"))?;
    let released = post(stage, POSTED).await?;
    tell(&format!(
        "{POSTED} posted, which settles it and releases {} in one commit",
        counted(released, "reviewer")
    ))?;
    review(stage, marta, UNSETTLED, ReviewKind::Reviewed).await?;
    tell(&format!("{UNSETTLED} reviewed by Märta, not posted yet"))?;
    queue(stage, marta).await?;
    tell(&format!("{QUEUED} waits in Märta's personal queue"))?;
    link(stage, marta).await?;
    tell(&format!(
        "flow template {TEMPLATE} and reference {REFERENCE} name Märta"
    ))
}

async fn review(
    stage: &Stage,
    user_id: &str,
    invoice: &str,
    kind: ReviewKind,
) -> Result<(), Problem> {
    let command = because("");
    let id = command.request_id.clone();
    let request = ReportInvoiceReviewedRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        user_id: user_id.to_owned(),
        invoice_id: invoice.to_owned(),
        kind: kind.into(),
        command: Some(command),
    };
    let service = stage.caller(Role::Service, "invoice-flow")?;
    commit(&id, service.involvements().report_invoice_reviewed(request)).await?;
    Ok(())
}

/// Posts an invoice; answers how many reviewers it released.
pub async fn post(stage: &Stage, invoice: &str) -> Result<usize, Problem> {
    let command = because("");
    let id = command.request_id.clone();
    let request = ReportInvoicePostedRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        invoice_id: invoice.to_owned(),
        command: Some(command),
    };
    let service = stage.caller(Role::Service, "ledger")?;
    let answer = commit(&id, service.involvements().report_invoice_posted(request)).await?;
    Ok(answer.released_user_ids.len())
}

async fn queue(stage: &Stage, user_id: &str) -> Result<(), Problem> {
    let command = because("");
    let id = command.request_id.clone();
    let request = ReportInvoiceQueuedRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        user_id: user_id.to_owned(),
        invoice_id: QUEUED.to_owned(),
        command: Some(command),
    };
    let service = stage.caller(Role::Service, "invoice-flow")?;
    commit(&id, service.involvements().report_invoice_queued(request)).await?;
    Ok(())
}

async fn link(stage: &Stage, user_id: &str) -> Result<(), Problem> {
    let service = stage.caller(Role::Service, "invoice-flow")?;
    let (template, reference) = (because(""), because(""));
    let (template_id, reference_id) = (template.request_id.clone(), reference.request_id.clone());
    let request = LinkFlowTemplateRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        user_id: user_id.to_owned(),
        flow_template_id: TEMPLATE.to_owned(),
        command: Some(template),
    };
    commit(
        &template_id,
        service.involvements().link_flow_template(request),
    )
    .await?;
    let request = LinkReferenceRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        user_id: user_id.to_owned(),
        reference_id: REFERENCE.to_owned(),
        command: Some(reference),
    };
    commit(
        &reference_id,
        service.involvements().link_reference(request),
    )
    .await?;
    Ok(())
}
