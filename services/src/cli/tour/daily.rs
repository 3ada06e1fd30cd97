//! The sixth chapter: people sign in, invoices find who takes care of them, and somebody new takes over.

use prost_types::FieldMask;
use rollbook_proto::v1::{
    Allegiance, CompleteWelcomeRequest, CopyUserRequest, GetSupervisorChainRequest, NewUser,
    ProposeApproverRequest, ProposeReviewersRequest, SignInResult, UnlockUserRequest,
    UpdateUserCompanyRequest, User, UserCompany, VerifyPasswordRequest, WatchUsersRequest,
};

use super::{
    opening::{HOME, PASSWORD},
    people::Person,
    stage::{ACCOUNT, Stage, chapter, tell},
};
use crate::{
    caller::Role,
    cli::{
        client::{because, commit},
        credential::result_name,
        output::counted,
        problem::Problem,
        views,
    },
};

/// A day.
pub async fn day(
    stage: &Stage,
    successor: &User,
    chain: &[(Person, String)],
) -> Result<(), Problem> {
    chapter(6, "A day: sign-ins, routing, and somebody new")?;
    sign_ins(stage, successor).await?;
    if let [(clerk, clerk_id), (reviewer, reviewer_id), ..] = chain {
        routing(stage, (clerk, clerk_id), (reviewer, reviewer_id)).await?;
        newcomer(stage, clerk, clerk_id).await?;
    }
    Ok(())
}

/// Wrong passwords lock a user, those who watch hear of it at once, and an administrator unlocks it.
async fn sign_ins(stage: &Stage, user: &User) -> Result<(), Problem> {
    let answered = verify(stage, &user.user_name, PASSWORD).await?;
    tell(&format!("Yusuf signs in: {}", result_name(answered)))?;
    let request = WatchUsersRequest {
        account_id: ACCOUNT.to_owned(),
        sessions_ended_only: true,
        ..WatchUsersRequest::default()
    };
    let service = stage.caller(Role::Service, "console")?;
    let mut changes = service
        .users_without_deadline()
        .watch_users(request)
        .await?
        .into_inner();
    let mut wrong = 0;
    while verify(stage, &user.user_name, "not his password at all").await? == SignInResult::Rejected
    {
        wrong += 1;
    }
    tell(&format!(
        "somebody guesses his password: {} rejected, then the system locks him",
        counted(wrong, "attempt")
    ))?;
    let answered = verify(stage, &user.user_name, PASSWORD).await?;
    tell(&format!(
        "now his own password answers: {}",
        result_name(answered)
    ))?;
    while let Some(piece) = changes.message().await? {
        if let Some(change) = piece.changes.first() {
            tell(&format!(
                "the console, which watches, was told at position {}: {}, his sessions ended",
                change.position, change.event_type
            ))?;
            break;
        }
    }
    let command = because("it was not him");
    let id = command.request_id.clone();
    let request = UnlockUserRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: user.user_id.clone(),
        command: Some(command),
    };
    let unlocked = commit(&id, stage.as_administrator()?.users().unlock_user(request)).await?;
    let status = views::status_name(unlocked.user.unwrap_or_default().status());
    tell(&format!("Märta unlocks him: {status}"))
}

async fn verify(stage: &Stage, user_name: &str, password: &str) -> Result<SignInResult, Problem> {
    let request = VerifyPasswordRequest {
        account_id: ACCOUNT.to_owned(),
        user_name: user_name.to_owned(),
        password: password.to_owned(),
    };
    let portal = stage.caller(Role::Portal, "tour-portal")?;
    let answer = portal.credentials().verify_password(request).await?;
    Ok(answer.into_inner().result())
}

/// An invoice of a department finds its reviewer, and above the clerk the nearest who can be named approves.
async fn routing(
    stage: &Stage,
    (clerk, clerk_id): (&Person, &str),
    (reviewer, reviewer_id): (&Person, &str),
) -> Result<(), Problem> {
    let department = Allegiance {
        dimension: "Department".to_owned(),
        value: "14".to_owned(),
    };
    let command = because("");
    let id = command.request_id.clone();
    let request = UpdateUserCompanyRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: reviewer_id.to_owned(),
        company: Some(UserCompany {
            company_id: stage.company(HOME),
            show_as_addressee: true,
            coding_allegiances: vec![department.clone()],
            ..UserCompany::default()
        }),
        update_mask: Some(FieldMask {
            paths: vec![
                "show_as_addressee".to_owned(),
                "coding_allegiances".to_owned(),
            ],
        }),
        command: Some(command),
    };
    let administrator = stage.as_administrator()?;
    commit(&id, administrator.users().update_user_company(request)).await?;
    let service = stage.caller(Role::Service, "invoice-flow")?;
    let request = ProposeReviewersRequest {
        account_id: ACCOUNT.to_owned(),
        company_id: stage.company(HOME),
        allegiances: vec![department],
        ..ProposeReviewersRequest::default()
    };
    let proposed = service
        .routing()
        .propose_reviewers(request)
        .await?
        .into_inner();
    for proposal in &proposed.reviewers {
        let user = proposal.user.clone().unwrap_or_default();
        let matched: Vec<String> = proposal
            .matched
            .iter()
            .map(|allegiance| format!("{} {}", allegiance.dimension, allegiance.value))
            .collect();
        tell(&format!(
            "an invoice of Department 14 is for {}, because of {}",
            views::full_name(&user),
            matched.join(", ")
        ))?;
    }
    let request = ProposeApproverRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: clerk_id.to_owned(),
        company_id: stage.company(HOME),
        ..ProposeApproverRequest::default()
    };
    let proposed = service
        .routing()
        .propose_approver(request)
        .await?
        .into_inner();
    let approver = proposed.approver.unwrap_or_default();
    tell(&format!(
        "what {} {} codes is approved by {}; {} passed over ({} {} is shown as addressee)",
        clerk.first_name,
        clerk.last_name,
        views::full_name(&approver),
        counted(proposed.passed_over.len(), "supervisor"),
        reviewer.first_name,
        reviewer.last_name
    ))
}

/// Somebody new gets everything a colleague has but who the colleague is, and completes the welcome.
async fn newcomer(stage: &Stage, clerk: &Person, clerk_id: &str) -> Result<(), Problem> {
    let command = because("takes over half of the work");
    let id = command.request_id.clone();
    let request = CopyUserRequest {
        account_id: ACCOUNT.to_owned(),
        source_user_id: clerk_id.to_owned(),
        user: Some(NewUser {
            signature: "SØRN".to_owned(),
            first_name: "Søren".to_owned(),
            last_name: "Nygård".to_owned(),
            email: "soren.nygard@nordlys.example".to_owned(),
            language: "da".to_owned(),
            welcome: true,
            ..NewUser::default()
        }),
        command: Some(command),
    };
    let administrator = stage.as_administrator()?;
    let copied = commit(&id, administrator.users().copy_user(request)).await?;
    let copy = copied.user.unwrap_or_default();
    let portal = stage.caller(Role::Portal, "tour-portal")?;
    let command = because("");
    let id = command.request_id.clone();
    let request = CompleteWelcomeRequest {
        token: copied.welcome_token,
        password: PASSWORD.to_owned(),
        command: Some(command),
    };
    commit(&id, portal.credentials().complete_welcome(request)).await?;
    let answered = verify(stage, &copy.user_name, PASSWORD).await?;
    let request = GetSupervisorChainRequest {
        account_id: ACCOUNT.to_owned(),
        user_id: copy.user_id.clone(),
        company_id: stage.company(HOME),
        ..GetSupervisorChainRequest::default()
    };
    let chain = administrator
        .users()
        .get_supervisor_chain(request)
        .await?
        .into_inner();
    tell(&format!(
        "{} is created like {} {}: {}, {} above; follows the welcome link and signs in: {}",
        views::full_name(&copy),
        clerk.first_name,
        clerk.last_name,
        copy.roles.join(", "),
        counted(chain.supervisor_ids.len(), "supervisor"),
        result_name(answered)
    ))
}
