//! `UserService`.

mod import;
mod questions;
mod supervisors;
mod watch;

use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{
    ActivateUser, AddUserCompanies, CopyUserCompany, DeactivateUser, DeleteUser, LockUser,
    RemoveUserCompanies, SetUserPermissions, SetUserRoles, Succession, UnlockUser, UpdateUser,
    UpdateUserCompany, User, UserError,
};
use rollbook_aggregates::values::UserId;
use rollbook_proto::served::user_service_server::UserService;
use rollbook_proto::{served, v1 as pb};
use tonic::{Request, Response, Status, Streaming};

pub(super) use self::supervisors::chain_end;
use super::streaming::Answers;
use super::{Arrived, Directory, InAccount, new_user_id, order};
use crate::caller::Role;
use crate::convert::{self, Again, CopiedUser, ToUser};
use crate::executor::Done;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::plans::{
    CopyUserPlan, CreateUserPlan, DeactivatePlan, DeletePlan, OnUser, ReplaceSupervisorPlan,
    ResendWelcomePlan, UnlockPlan, UserOutcome,
};

/// A user after a command on it.
pub(super) struct Changed {
    pub(super) user: pb::User,
    pub(super) revision: u64,
    pub(super) position: u64,
}

pub(super) fn user_not_found() -> Failure {
    Failure::refused(&UserError::NotFound)
}

pub(super) fn not_own() -> Failure {
    Failure::new(
        pb::ErrorReason::NotAllowed,
        "the role `self` reaches its own profile only",
    )
}

/// Whether a caller that is a user itself reaches this one.
fn may_reach(call: &Call, user: UserId) -> Outcome<()> {
    match call.caller.role {
        Role::Own if call.caller.user() != Some(user) => Err(not_own()),
        Role::Own
        | Role::Operator
        | Role::Administrator
        | Role::Service
        | Role::Portal
        | Role::Auditor => Ok(()),
    }
}

impl Directory {
    /// Carries a command on one user out.
    pub(super) async fn change_user<R, C>(&self, request: Request<R>) -> Outcome<Changed>
    where
        R: InAccount,
        ToUser<C>: TryFrom<R, Error = Failure>,
        C: Decide<Aggregate = User> + Clone + Send + Sync,
    {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::try_from(message)?;
        if call.caller.role == Role::Own && !(to.own && call.caller.user() == Some(to.user)) {
            return Err(not_own());
        }
        let order = order(call, digest, to.account, to.options);
        let plan = OnUser {
            user: to.user,
            command: to.command,
        };
        let done = self.executor().run(&order, &plan).await?;
        self.user_changed(&done).await
    }

    /// A user that a command left, as the answer has it.
    pub(super) async fn user_changed(&self, done: &Done<UserOutcome>) -> Outcome<Changed> {
        Ok(Changed {
            user: self.user_of(done, &done.outcome).await?,
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    async fn create(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Outcome<pb::CreateUserResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let (account, new, options) = convert::create_user(message)?;
        let order = order(call, digest, account, options);
        let plan = CreateUserPlan::new(new_user_id(), new);
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::CreateUserResponse {
            user: Some(self.user_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
            welcome_token: self.welcome_token(&done.outcome).await?,
        })
    }

    async fn unlock(&self, request: Request<pb::UnlockUserRequest>) -> Outcome<Changed> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<UnlockUser>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = UnlockPlan(OnUser {
            user: to.user,
            command: to.command,
        });
        let done = self.executor().run(&order, &plan).await?;
        self.user_changed(&done).await
    }

    async fn welcome_again(
        &self,
        request: Request<pb::ResendWelcomeRequest>,
    ) -> Outcome<pb::ResendWelcomeResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<Again>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let done = self
            .executor()
            .run(&order, &ResendWelcomePlan(to.user))
            .await?;
        let user = &done.outcome;
        Ok(pb::ResendWelcomeResponse {
            user: Some(self.user_of(&done, user).await?),
            revision: user.revision,
            position: done.position,
            welcome_token: self.welcome_token(user).await?,
        })
    }

    async fn remove_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Outcome<pb::DeleteUserResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<DeleteUser>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = DeletePlan(OnUser {
            user: to.user,
            command: to.command,
        });
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::DeleteUserResponse {
            user: Some(self.user_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
        })
    }

    async fn copy(&self, request: Request<pb::CopyUserRequest>) -> Outcome<pb::CopyUserResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let CopiedUser {
            account,
            source,
            new,
            user_type,
            options,
        } = message.try_into()?;
        let order = order(call, digest, account, options);
        let plan = CopyUserPlan {
            create: CreateUserPlan::new(new_user_id(), new),
            source,
            user_type,
        };
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::CopyUserResponse {
            user: Some(self.user_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
            welcome_token: self.welcome_token(&done.outcome).await?,
        })
    }

    async fn replace(
        &self,
        request: Request<pb::ReplaceSupervisorRequest>,
    ) -> Outcome<pb::ReplaceSupervisorResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<Succession>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = ReplaceSupervisorPlan(to.command);
        let done = self.executor().run(&order, &plan).await?;
        let left = done.outcome.left.iter();
        Ok(pb::ReplaceSupervisorResponse {
            user: Some(self.user_of(&done, &done.outcome.supervisor).await?),
            revision: done.outcome.supervisor.revision,
            position: done.position,
            changed_count: done.outcome.changed,
            not_changed: left
                .map(|(company, users)| pb::UnchangedReports {
                    company_id: company.to_string(),
                    user_ids: users.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        })
    }

    async fn deactivate(
        &self,
        request: Request<pb::DeactivateUserRequest>,
    ) -> Outcome<pb::DeactivateUserResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<DeactivateUser>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = DeactivatePlan(OnUser {
            user: to.user,
            command: to.command,
        });
        let done = self.executor().run(&order, &plan).await?;
        let supervised = done.outcome.supervised.iter();
        Ok(pb::DeactivateUserResponse {
            user: Some(self.user_of(&done, &done.outcome.user).await?),
            revision: done.outcome.user.revision,
            position: done.position,
            supervised: supervised
                .map(|(company, count, user_ids)| pb::SupervisedUsers {
                    company_id: company.to_string(),
                    count: *count,
                    user_ids: user_ids.clone(),
                })
                .collect(),
        })
    }
}

macro_rules! changed {
    ($directory:ident, $request:ident, $command:ty, $response:ident) => {{
        let changed = $directory.change_user::<_, $command>($request).await?;
        Ok(Response::new(pb::$response {
            user: Some(changed.user),
            revision: changed.revision,
            position: changed.position,
        }))
    }};
}
pub(super) use changed;

#[tonic::async_trait]
impl UserService for Directory {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        Ok(Response::new(self.create(request).await?))
    }

    async fn copy_user(
        &self,
        request: Request<pb::CopyUserRequest>,
    ) -> Result<Response<pb::CopyUserResponse>, Status> {
        Ok(Response::new(self.copy(request).await?))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        changed!(self, request, UpdateUser, UpdateUserResponse)
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<served::GetUserResponse>, Status> {
        Ok(Response::new(self.get(request).await?))
    }

    async fn batch_get_users(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Result<Response<served::BatchGetUsersResponse>, Status> {
        Ok(Response::new(self.batch(request).await?))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<served::ListUsersResponse>, Status> {
        Ok(Response::new(self.list(request).await?))
    }

    async fn find_users(
        &self,
        request: Request<pb::FindUsersRequest>,
    ) -> Result<Response<served::FindUsersResponse>, Status> {
        Ok(Response::new(self.find(request).await?))
    }

    async fn list_reports(
        &self,
        request: Request<pb::ListReportsRequest>,
    ) -> Result<Response<pb::ListReportsResponse>, Status> {
        Ok(Response::new(self.reports(request).await?))
    }

    async fn get_supervisor_chain(
        &self,
        request: Request<pb::GetSupervisorChainRequest>,
    ) -> Result<Response<pb::GetSupervisorChainResponse>, Status> {
        Ok(Response::new(self.chain(request).await?))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        Ok(Response::new(self.remove_user(request).await?))
    }

    async fn check_user_deletion(
        &self,
        request: Request<pb::CheckUserDeletionRequest>,
    ) -> Result<Response<pb::CheckUserDeletionResponse>, Status> {
        Ok(Response::new(self.check_deletion(request).await?))
    }

    async fn check_access(
        &self,
        request: Request<pb::CheckAccessRequest>,
    ) -> Result<Response<pb::CheckAccessResponse>, Status> {
        Ok(Response::new(self.access(request).await?))
    }

    async fn activate_user(
        &self,
        request: Request<pb::ActivateUserRequest>,
    ) -> Result<Response<pb::ActivateUserResponse>, Status> {
        changed!(self, request, ActivateUser, ActivateUserResponse)
    }

    async fn deactivate_user(
        &self,
        request: Request<pb::DeactivateUserRequest>,
    ) -> Result<Response<pb::DeactivateUserResponse>, Status> {
        Ok(Response::new(self.deactivate(request).await?))
    }

    async fn lock_user(
        &self,
        request: Request<pb::LockUserRequest>,
    ) -> Result<Response<pb::LockUserResponse>, Status> {
        changed!(self, request, LockUser, LockUserResponse)
    }

    async fn unlock_user(
        &self,
        request: Request<pb::UnlockUserRequest>,
    ) -> Result<Response<pb::UnlockUserResponse>, Status> {
        let changed = self.unlock(request).await?;
        Ok(Response::new(pb::UnlockUserResponse {
            user: Some(changed.user),
            revision: changed.revision,
            position: changed.position,
        }))
    }

    async fn resend_welcome(
        &self,
        request: Request<pb::ResendWelcomeRequest>,
    ) -> Result<Response<pb::ResendWelcomeResponse>, Status> {
        Ok(Response::new(self.welcome_again(request).await?))
    }

    async fn set_user_roles(
        &self,
        request: Request<pb::SetUserRolesRequest>,
    ) -> Result<Response<pb::SetUserRolesResponse>, Status> {
        changed!(self, request, SetUserRoles, SetUserRolesResponse)
    }

    async fn set_user_permissions(
        &self,
        request: Request<pb::SetUserPermissionsRequest>,
    ) -> Result<Response<pb::SetUserPermissionsResponse>, Status> {
        changed!(
            self,
            request,
            SetUserPermissions,
            SetUserPermissionsResponse
        )
    }

    async fn add_user_companies(
        &self,
        request: Request<pb::AddUserCompaniesRequest>,
    ) -> Result<Response<pb::AddUserCompaniesResponse>, Status> {
        changed!(self, request, AddUserCompanies, AddUserCompaniesResponse)
    }

    async fn remove_user_companies(
        &self,
        request: Request<pb::RemoveUserCompaniesRequest>,
    ) -> Result<Response<pb::RemoveUserCompaniesResponse>, Status> {
        changed!(
            self,
            request,
            RemoveUserCompanies,
            RemoveUserCompaniesResponse
        )
    }

    async fn update_user_company(
        &self,
        request: Request<pb::UpdateUserCompanyRequest>,
    ) -> Result<Response<pb::UpdateUserCompanyResponse>, Status> {
        changed!(self, request, UpdateUserCompany, UpdateUserCompanyResponse)
    }

    async fn copy_user_company(
        &self,
        request: Request<pb::CopyUserCompanyRequest>,
    ) -> Result<Response<pb::CopyUserCompanyResponse>, Status> {
        changed!(self, request, CopyUserCompany, CopyUserCompanyResponse)
    }

    async fn replace_supervisor(
        &self,
        request: Request<pb::ReplaceSupervisorRequest>,
    ) -> Result<Response<pb::ReplaceSupervisorResponse>, Status> {
        Ok(Response::new(self.replace(request).await?))
    }

    type ImportUsersStream = Answers<pb::ImportUsersResponse>;

    async fn import_users(
        &self,
        request: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<Self::ImportUsersStream>, Status> {
        Ok(Response::new(self.import(request).await?))
    }

    type WatchUsersStream = Answers<pb::WatchUsersResponse>;

    async fn watch_users(
        &self,
        request: Request<pb::WatchUsersRequest>,
    ) -> Result<Response<Self::WatchUsersStream>, Status> {
        Ok(Response::new(self.watch(request).await?))
    }
}
