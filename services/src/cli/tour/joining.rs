//! The third chapter: people are invited, and accept.

use rollbook_proto::v1::{
    AcceptInvitationRequest, InvitationStatus, InviteUsersRequest, InviteUsersResponse,
    ListInvitationsRequest, LookUpInvitationRequest, User, UserType, invite_result::Outcome,
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
        output::plain,
        problem::Problem,
        views,
    },
};

/// Somebody who is invited and accepts.
struct Guest {
    email: &'static str,
    signature: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    language: &'static str,
}

const SUCCESSOR: Guest = Guest {
    email: "yusuf.demirci@nordlys.example",
    signature: "YUDE",
    first_name: "Yusuf",
    last_name: "Demirci",
    language: "tr",
};
const CONSULTANT: Guest = Guest {
    email: "ines.ibarra@advisers.example",
    signature: "INÉS",
    first_name: "Inés",
    last_name: "Ibarra Muñoz",
    language: "es",
};
const AUDITOR: Guest = Guest {
    email: "tomoko.arai@advisers.example",
    signature: "新井",
    first_name: "智子",
    last_name: "新井",
    language: "ja",
};

/// Invites six addresses, of which some are refused alone, and lets three accept; answers the new administrator.
pub async fn invitations(stage: &Stage, users: &[(Person, String)]) -> Result<User, Problem> {
    chapter(3, "She invites people by e-mail; three accept")?;
    let taken = users
        .first()
        .map(|(person, _)| person.email.to_owned())
        .unwrap_or_default();
    let successor = invite(
        stage,
        vec![SUCCESSOR.email.to_owned()],
        UserType::Administrator,
    )
    .await?;
    let waiting = "not.yet@advisers.example".to_owned();
    let addresses = vec![
        CONSULTANT.email.to_owned(),
        AUDITOR.email.to_owned(),
        waiting,
        taken,
    ];
    let others = invite(stage, addresses, UserType::Standard).await?;
    for result in successor.results.iter().chain(&others.results) {
        let outcome = match &result.outcome {
            Some(Outcome::Invited(_)) => "invited".to_owned(),
            Some(Outcome::RefusedReason(reason)) => format!("refused alone: {}", plain(reason, "")),
            None => String::new(),
        };
        tell(&format!("{:34} {outcome}", result.email))?;
    }
    let administrator = accept(stage, &SUCCESSOR, &successor).await?;
    for guest in [&CONSULTANT, &AUDITOR] {
        accept(stage, guest, &others).await?;
    }
    let request = ListInvitationsRequest {
        account_id: ACCOUNT.to_owned(),
        status: InvitationStatus::Invited.into(),
        ..ListInvitationsRequest::default()
    };
    let open = stage
        .as_administrator()?
        .invitations()
        .list_invitations(request)
        .await?
        .into_inner();
    tell("still waiting:")?;
    tell(&views::invitations(&open.invitations))?;
    Ok(administrator)
}

async fn invite(
    stage: &Stage,
    emails: Vec<String>,
    user_type: UserType,
) -> Result<InviteUsersResponse, Problem> {
    let command = because("");
    let id = command.request_id.clone();
    let request = InviteUsersRequest {
        account_id: ACCOUNT.to_owned(),
        emails,
        user_type: user_type.into(),
        roles: vec!["reviewer".to_owned()],
        company_ids: vec![stage.company(HOME)],
        command: Some(command),
        ..InviteUsersRequest::default()
    };
    commit(
        &id,
        stage
            .as_administrator()?
            .invitations()
            .invite_users(request),
    )
    .await
}

/// The sign-in portal looks the invitation up by its token, which consumes nothing, and accepts it with a password.
async fn accept(
    stage: &Stage,
    guest: &Guest,
    invited: &InviteUsersResponse,
) -> Result<User, Problem> {
    let result = invited
        .results
        .iter()
        .find(|result| result.email == guest.email);
    let token = match result.and_then(|result| result.outcome.as_ref()) {
        Some(Outcome::Invited(invited)) => invited.token.clone(),
        Some(Outcome::RefusedReason(_)) | None => String::new(),
    };
    let portal = stage.caller(Role::Portal, "tour-portal")?;
    portal
        .invitations()
        .look_up_invitation(LookUpInvitationRequest {
            token: token.clone(),
        })
        .await?;
    let command = because("");
    let id = command.request_id.clone();
    let request = AcceptInvitationRequest {
        token,
        password: PASSWORD.to_owned(),
        signature: guest.signature.to_owned(),
        first_name: guest.first_name.to_owned(),
        last_name: guest.last_name.to_owned(),
        language: guest.language.to_owned(),
        command: Some(command),
        ..AcceptInvitationRequest::default()
    };
    let answer = commit(&id, portal.invitations().accept_invitation(request)).await?;
    let user = answer.user.unwrap_or_default();
    let status = views::status_name(user.status());
    tell(&format!(
        "accepted by {} ({}): user and invitation in one commit, {status}",
        views::full_name(&user),
        user.signature
    ))?;
    Ok(user)
}
