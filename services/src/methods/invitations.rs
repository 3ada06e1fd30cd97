//! `InvitationService`.

use std::sync::Arc;

use rollbook_aggregates::invitation::{
    DeleteInvitation, Invitation, InvitationError, Outcome as Ending,
};
use rollbook_aggregates::values::{AccountId, InvitationId};
use rollbook_projections::ListInvitations;
use rollbook_proto::served::invitation_service_server::InvitationService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::{Arrived, Directory, at_least, new_user_id, order};
use crate::convert::{
    Acceptance, Fields, InviteMany, ToInvitation, invitation_from_row, invitation_from_state,
    read_statuses,
};
use crate::executor::Done;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::page;
use crate::plans::{
    AcceptPlan, Hashed, InvitationOutcome, InviteOutcome, InvitePlan, OnInvitation, ResendPlan,
};
use crate::tokens::{self, InvitationToken};

fn not_found() -> Failure {
    Failure::refused(&InvitationError::NotFound)
}

impl Directory {
    /// An invitation that a command left, as the answer has it.
    async fn invitation_of<T>(
        &self,
        done: &Done<T>,
        outcome: &InvitationOutcome,
    ) -> Outcome<pb::Invitation> {
        let invitation = self.invitation_after(done, outcome).await?;
        let now = self.executor().clock.now();
        Ok(invitation_from_state(&invitation, outcome.revision, now))
    }

    /// An invitation that a command left.
    async fn invitation_after<T>(
        &self,
        done: &Done<T>,
        outcome: &InvitationOutcome,
    ) -> Outcome<Arc<Invitation>> {
        let id = outcome.invitation.to_string();
        match done.states.get::<Invitation>(&id) {
            Some((invitation, _)) => Ok(Arc::clone(invitation)),
            None => self.executor().at(&id, outcome.revision).await,
        }
    }

    /// The token of an invitation as a command left it; nothing where it goes by mail.
    async fn invitation_token<T>(
        &self,
        done: &Done<T>,
        outcome: &InvitationOutcome,
    ) -> Outcome<String> {
        let invitation = self.invitation_after(done, outcome).await?;
        let offer = invitation.offer().filter(|offer| !offer.by_mail);
        Ok(offer.map_or_else(String::new, |offer| {
            let secret = tokens::invitation(self.log(), offer.invitation_id, offer.issue);
            tokens::text(offer.invitation_id.as_uuid(), &secret)
        }))
    }

    async fn invite(
        &self,
        request: Request<pb::InviteUsersRequest>,
    ) -> Outcome<pb::InviteUsersResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let many = InviteMany::try_from(message)?;
        let order = order(call, digest, many.account.clone(), many.options.clone());
        let plan = InvitePlan(many);
        let done = self.executor().run(&order, &plan).await?;
        let mut results = Vec::with_capacity(done.outcome.len());
        for (email, outcome) in plan.0.emails.iter().zip(&done.outcome) {
            use pb::invite_result::Outcome as Wire;
            let outcome = match outcome {
                InviteOutcome::Refused(reason) => Wire::RefusedReason(reason.clone()),
                InviteOutcome::Invited(invited) => Wire::Invited(pb::Invited {
                    invitation: Some(self.invitation_of(&done, invited).await?),
                    token: self.invitation_token(&done, invited).await?,
                }),
            };
            results.push(pb::InviteResult {
                email: email.to_string(),
                outcome: Some(outcome),
            });
        }
        Ok(pb::InviteUsersResponse {
            results,
            position: done.position,
        })
    }

    async fn resend(
        &self,
        request: Request<pb::ResendInvitationRequest>,
    ) -> Outcome<pb::ResendInvitationResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToInvitation::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let done = self
            .executor()
            .run(&order, &ResendPlan(to.invitation))
            .await?;
        let invitation = self.invitation_of(&done, &done.outcome).await?;
        Ok(pb::ResendInvitationResponse {
            token: self.invitation_token(&done, &done.outcome).await?,
            invitation: Some(invitation),
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteInvitationRequest>,
    ) -> Outcome<pb::DeleteInvitationResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToInvitation::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = OnInvitation {
            invitation: to.invitation,
            command: DeleteInvitation,
        };
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::DeleteInvitationResponse {
            invitation: Some(self.invitation_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    /// The invitation that a token belongs to, and its account, where the caller may know of it.
    async fn of_token(
        &self,
        call: &Call,
        token: &InvitationToken,
    ) -> Outcome<(Arc<Invitation>, u64, AccountId)> {
        let id = token.invitation.to_string();
        let (invitation, revision) = self.executor().fresh::<Invitation>(&id).await?;
        let offer = invitation.offer().ok_or_else(not_found)?;
        let secret = tokens::invitation(self.log(), token.invitation, offer.issue);
        if !token.is(&secret) || !call.caller.may_enter(&offer.account_id) {
            return Err(not_found());
        }
        let account = offer.account_id.clone();
        Ok((invitation, revision, account))
    }

    async fn look_up(
        &self,
        request: Request<pb::LookUpInvitationRequest>,
    ) -> Outcome<pb::LookUpInvitationResponse> {
        let call = Call::of(&request)?;
        let pb::LookUpInvitationRequest { token } = request.into_inner();
        let mut fields = Fields::default();
        let token = fields.read("token", &token, InvitationToken::parse);
        let (token,) = fields.finish((token,))?;
        let (invitation, revision, _) = self.of_token(&call, &token).await?;
        let now = self.executor().clock.now();
        let refused = match invitation.outcome() {
            None if invitation.has_expired_unrecorded(now) => Some(InvitationError::Expired),
            None => None,
            Some(Ending::Accepted(_)) => Some(InvitationError::Accepted),
            Some(Ending::Expired) => Some(InvitationError::Expired),
            Some(Ending::Deleted) => Some(InvitationError::Deleted),
        };
        if let Some(refused) = refused {
            return Err(Failure::refused(&refused));
        }
        Ok(pb::LookUpInvitationResponse {
            invitation: Some(invitation_from_state(&invitation, revision, now)),
        })
    }

    async fn accept(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Outcome<pb::AcceptInvitationResponse> {
        let call = Call::of(&request)?;
        let arrived = self.arrived(call, request.into_inner());
        let acceptance = Acceptance::try_from(arrived.message)?;
        let (_, _, account) = self.of_token(&arrived.call, &acceptance.token).await?;
        let options = acceptance.options.clone();
        let order = order(arrived.call, arrived.digest, account, options);
        let plan = AcceptPlan {
            user: new_user_id(),
            hashed: Hashed::later(acceptance.password.clone()),
            acceptance,
        };
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::AcceptInvitationResponse {
            user: Some(self.user_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    async fn invitation_now(
        &self,
        request: Request<pb::GetInvitationRequest>,
    ) -> Outcome<pb::GetInvitationResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::GetInvitationRequest {
            account_id,
            invitation_id,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let invitation = fields.read("invitation_id", &invitation_id, InvitationId::parse);
        let (account, invitation) = fields.finish((account, invitation))?;
        let view = self.views().invitations();
        view.fresh(at_least(position), call.wait_until()).await?;
        let row = view.get(&account, invitation)?.ok_or_else(not_found)?;
        let id = invitation.to_string();
        let (state, revision) = self
            .executor()
            .at_least::<Invitation>(&id, row.revision)
            .await?;
        let now = self.executor().clock.now();
        Ok(pb::GetInvitationResponse {
            invitation: Some(invitation_from_state(&state, revision, now)),
        })
    }

    async fn page_of_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Outcome<pb::ListInvitationsResponse> {
        let read = request.get_ref().read;
        let (call, position) = self.question(&request, read).await?;
        let pb::ListInvitationsRequest {
            account_id,
            status,
            page_size,
            page_token,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let statuses = read_statuses(&mut fields, status);
        let limit = fields.checked("page_size", page::size(page_size));
        let (account, limit) = fields.finish((account, limit))?;
        let bound = format!("ListInvitations {account} {status}");
        let query = ListInvitations {
            account,
            statuses,
            descending: true,
            after: self.pages().read(bound.as_bytes(), &page_token)?,
            limit,
            total: false,
        };
        let view = self.views().invitations();
        view.fresh(at_least(position), call.wait_until()).await?;
        let page = view.list(query).await?;
        Ok(pb::ListInvitationsResponse {
            next_page_token: self.pages().write(bound.as_bytes(), page.next.as_ref()),
            invitations: page.rows.into_iter().map(invitation_from_row).collect(),
        })
    }
}

#[tonic::async_trait]
impl InvitationService for Directory {
    async fn invite_users(
        &self,
        request: Request<pb::InviteUsersRequest>,
    ) -> Result<Response<pb::InviteUsersResponse>, Status> {
        Ok(Response::new(self.invite(request).await?))
    }

    async fn get_invitation(
        &self,
        request: Request<pb::GetInvitationRequest>,
    ) -> Result<Response<pb::GetInvitationResponse>, Status> {
        Ok(Response::new(self.invitation_now(request).await?))
    }

    async fn look_up_invitation(
        &self,
        request: Request<pb::LookUpInvitationRequest>,
    ) -> Result<Response<pb::LookUpInvitationResponse>, Status> {
        Ok(Response::new(self.look_up(request).await?))
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        Ok(Response::new(self.page_of_invitations(request).await?))
    }

    async fn resend_invitation(
        &self,
        request: Request<pb::ResendInvitationRequest>,
    ) -> Result<Response<pb::ResendInvitationResponse>, Status> {
        Ok(Response::new(self.resend(request).await?))
    }

    async fn delete_invitation(
        &self,
        request: Request<pb::DeleteInvitationRequest>,
    ) -> Result<Response<pb::DeleteInvitationResponse>, Status> {
        Ok(Response::new(self.delete(request).await?))
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        Ok(Response::new(self.accept(request).await?))
    }
}
