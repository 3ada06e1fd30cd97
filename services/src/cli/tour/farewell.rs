//! The last chapters: a deletion refused and accepted, and what the log still says.

use rollbook_proto::v1::{
    DeactivateUserRequest, DeleteUserRequest, Direction, Event, EventFilter, ListReviewersRequest,
    MissingCompany, ReplaceSupervisorRequest, ReplayEventsRequest, ReportInvoiceDequeuedRequest,
    UnlinkFlowTemplateRequest, UnlinkReferenceRequest, User,
};

use super::{
    opening::HOME,
    stage::{ACCOUNT, Stage, chapter, tell},
    work::{self, QUEUED, REFERENCE, TEMPLATE, UNSETTLED},
};
use crate::{
    caller::Role,
    cli::{
        client::{Client, because, commit},
        history,
        output::counted,
        problem::Problem,
        views,
    },
};

/// The only administrator who can act tries to delete herself: every reason stands against it, told at once and
/// answered.
pub async fn refused(stage: &Stage, successor: &User) -> Result<String, Problem> {
    chapter(
        7,
        "Märta leaves: her deletion is refused, with every reason at once",
    )?;
    let client = stage.as_administrator()?;
    let command = because("not here yet");
    let id = command.request_id.clone();
    let request = DeactivateUserRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: successor.user_id.clone(),
        command: Some(command),
    };
    commit(&id, client.users().deactivate_user(request)).await?;
    tell(
        "Yusuf, the other administrator, is not active yet; so Märta is the last one who can act",
    )?;
    match delete(stage, &client).await {
        Err(refusal @ Problem::Refused { .. }) => {
            let text = refusal.to_string();
            tell(&text)?;
            Ok(text)
        }
        Err(other) => Err(other),
        Ok(_) => Err(Problem::Usage(
            "the deletion was accepted although things still need her".to_owned(),
        )),
    }
}

/// The work is done by others, and the other administrator deletes her.
pub async fn accepted(stage: &Stage, successor: &User) -> Result<(), Problem> {
    chapter(8, "The work is done, and the same deletion is accepted")?;
    activate(stage, successor).await?;
    tell("Yusuf is active: another administrator can act")?;
    let changed = replace_supervisor(stage, successor).await?;
    tell(&format!(
        "{} had Märta as supervisor and has Yusuf now, in one commit",
        counted(changed, "user")
    ))?;
    release(stage).await?;
    work::post(stage, UNSETTLED).await?;
    tell(&format!(
        "{QUEUED} left the queue, {UNSETTLED} is posted, {TEMPLATE} and {REFERENCE} are unlinked"
    ))?;
    let client = stage.caller(Role::Administrator, &successor.user_id)?;
    let deleted = delete(stage, &client).await?;
    tell("deleted by Yusuf; what is left of her:")?;
    tell(&views::user(&deleted))
}

async fn delete(stage: &Stage, client: &Client) -> Result<User, Problem> {
    let command = because("Märta left the company");
    let id = command.request_id.clone();
    let user_id = stage.administrator.user_id.clone();
    let request = DeleteUserRequest {
        account_id: ACCOUNT.to_owned(),
        user_id,
        command: Some(command),
    };
    let answer = commit(&id, client.users().delete_user(request)).await?;
    Ok(answer.user.unwrap_or_default())
}

async fn activate(stage: &Stage, successor: &User) -> Result<(), Problem> {
    let command = because("first working day");
    let id = command.request_id.clone();
    let request = rollbook_proto::v1::ActivateUserRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: successor.user_id.clone(),
        command: Some(command),
    };
    commit(
        &id,
        stage.as_administrator()?.users().activate_user(request),
    )
    .await?;
    Ok(())
}

/// Everybody who has her as supervisor gets her successor; answers how many.
async fn replace_supervisor(stage: &Stage, successor: &User) -> Result<u64, Problem> {
    let command = because("Märta leaves");
    let id = command.request_id.clone();
    let request = ReplaceSupervisorRequest {
        account_id: ACCOUNT.to_owned(),
        supervisor_id: stage.administrator.user_id.clone(),
        replacement_id: successor.user_id.clone(),
        missing_company: MissingCompany::Refuse.into(),
        command: Some(command),
        ..ReplaceSupervisorRequest::default()
    };
    let client = stage.as_administrator()?;
    let replaced = commit(&id, client.users().replace_supervisor(request)).await?;
    Ok(replaced.changed_count)
}

/// Takes from the administrator what is not settled by posting.
async fn release(stage: &Stage) -> Result<(), Problem> {
    let service = stage.caller(Role::Service, "invoice-flow")?;
    let (company_id, user_id) = (stage.company(HOME), stage.administrator.user_id.clone());
    let request = ReportInvoiceDequeuedRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: company_id.clone(),
        user_id: user_id.clone(),
        invoice_id: QUEUED.to_owned(),
        command: Some(because("")),
    };
    service
        .involvements()
        .report_invoice_dequeued(request)
        .await?;
    let request = UnlinkFlowTemplateRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: company_id.clone(),
        user_id: user_id.clone(),
        flow_template_id: TEMPLATE.to_owned(),
        command: Some(because("")),
    };
    service.involvements().unlink_flow_template(request).await?;
    let request = UnlinkReferenceRequest {
        account_id: ACCOUNT.to_owned(),
        company_id,
        user_id,
        reference_id: REFERENCE.to_owned(),
        command: Some(because("")),
    };
    service.involvements().unlink_reference(request).await?;
    Ok(())
}

/// What an auditor sees of her, before or after: her first event, or all of them.
pub async fn replay(stage: &Stage, limit: u64) -> Result<Vec<Event>, Problem> {
    let auditor = stage.caller(Role::Auditor, "tour-auditor")?;
    let filter = EventFilter {
        account_id: ACCOUNT.to_owned(),
        user_id: stage.administrator.user_id.clone(),
        ..EventFilter::default()
    };
    let request = ReplayEventsRequest {
        filter: Some(filter),
        direction: Direction::Forwards.into(),
        limit,
        ..ReplayEventsRequest::default()
    };
    let mut stream = auditor
        .history(false)
        .replay_events(request)
        .await?
        .into_inner();
    let mut events = Vec::new();
    while let Some(piece) = stream.message().await? {
        events.extend(piece.events);
    }
    Ok(events)
}

/// An auditor replays her stream: the person is erased, the reviews are there. Answers the events.
pub async fn audited(stage: &Stage, before: &[Event]) -> Result<Vec<Event>, Problem> {
    chapter(
        9,
        "An auditor replays her log, with the right to see personal data",
    )?;
    tell("as it was before the deletion:")?;
    for event in before {
        tell(&history::line(event))?;
    }
    let after = replay(stage, 0).await?;
    tell(&format!(
        "as it is now, {}, every one there and the person erased:",
        counted(after.len(), "event")
    ))?;
    for event in &after {
        tell(&history::line(event))?;
    }
    let request = ListReviewersRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        invoice_id: UNSETTLED.to_owned(),
        ..ListReviewersRequest::default()
    };
    let service = stage.caller(Role::Service, "ledger")?;
    let reviewers = service
        .involvements()
        .list_reviewers(request)
        .await?
        .into_inner();
    tell(&format!("and {UNSETTLED} still knows who reviewed it:"))?;
    tell(&crate::cli::involvement::reviewers(&reviewers.reviewers))?;
    Ok(after)
}
