//! `UserService`.

use prost::Message as _;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{
    ActivateUser, AddUserCompanies, DeactivateUser, DeleteUser, LockUser, RemoveUserCompanies,
    SetUserPermissions, SetUserRoles, UnlockUser, UpdateUser, UpdateUserCompany, User, UserError,
    check_access,
};
use rollbook_aggregates::values::{AccountId, CompanyId, ModuleName, UserId};
use rollbook_projections::{FoundUser, UserRow};
use rollbook_proto::v1 as pb;
use rollbook_proto::v1::user_service_server::UserService;
use tonic::{Request, Response, Status};

use super::{Arrived, Directory, InAccount, order};
use crate::caller::Role;
use crate::convert::{
    self, Fields, ListedUsers, ToUser, UserKeyword, blocker, deleted_user, denial, user_from_row,
};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::plans::{CreateUserPlan, DeactivatePlan, OnUser};

/// A user after a command on it.
pub(super) struct Changed {
    pub(super) user: pb::User,
    pub(super) revision: u64,
    pub(super) position: u64,
}

fn user_not_found() -> Failure {
    Failure::refused(&UserError::NotFound)
}

fn not_own() -> Failure {
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
        Ok(Changed {
            user: self.user_of(&done, &done.outcome).await?,
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
        let plan = CreateUserPlan::new(self.new_user_id(), new);
        let done = self.executor().run(&order, &plan).await?;
        Ok(pb::CreateUserResponse {
            user: Some(self.user_of(&done, &done.outcome).await?),
            revision: done.outcome.revision,
            position: done.position,
            welcome_token: self.welcome_token(plan.new.welcome, done.outcome.user),
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

    async fn get(&self, request: Request<pb::GetUserRequest>) -> Outcome<pb::GetUserResponse> {
        let read = request.get_ref().read;
        let (call, _) = self.question(&request, read).await?;
        let message = request.into_inner();
        let account_id = message.account_id.clone();
        let key = UserKeyword::try_from(message)?;
        let account = AccountId::parse(&account_id)
            .map_err(|problem| Failure::malformed_field("account_id", problem))?;
        let users = self.views().users();
        let row = match key {
            UserKeyword::Id(id) => {
                may_reach(&call, id)?;
                return match users.get(&account, id)? {
                    Some(FoundUser::Present(row)) => Ok(found(*row)),
                    Some(FoundUser::Deleted(deleted)) => Ok(pb::GetUserResponse {
                        user: Some(deleted_user(&deleted)),
                    }),
                    None => Err(user_not_found()),
                };
            }
            UserKeyword::Signature(code) => users.by_signature(&account, code.folded().as_str())?,
            UserKeyword::UserName(name) => users.by_user_name(&account, &name)?,
            UserKeyword::Email(email) => {
                only_one(users.by_email(&account, email.folded().as_str())?)?
            }
        };
        match row {
            // Whether another one exists is nothing that a user may find out.
            None if call.caller.role == Role::Own => Err(not_own()),
            None => Err(user_not_found()),
            Some(row) => {
                may_reach(&call, row.user_id)?;
                Ok(found(row))
            }
        }
    }

    async fn batch(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Outcome<pb::BatchGetUsersResponse> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let pb::BatchGetUsersRequest {
            account_id,
            user_ids,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        if user_ids.is_empty() {
            fields.bad("user_ids", "must not be empty");
        }
        let ids = fields.list("user_ids", 1000, user_ids, |fields, id| {
            fields.read("", &id, UserId::parse)
        });
        let (account,) = fields.finish((account,))?;
        let found = self.views().users().get_many(&account, ids.clone()).await?;
        let mut users = Vec::with_capacity(found.len());
        let mut not_found_ids = Vec::new();
        for (id, found) in ids.into_iter().zip(found) {
            match found {
                Some(FoundUser::Present(row)) => users.push(user_from_row(*row)),
                Some(FoundUser::Deleted(deleted)) => users.push(deleted_user(&deleted)),
                None => not_found_ids.push(id.to_string()),
            }
        }
        Ok(pb::BatchGetUsersResponse {
            users,
            not_found_ids,
        })
    }

    async fn list(&self, request: Request<pb::ListUsersRequest>) -> Outcome<pb::ListUsersResponse> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let ListedUsers(mut query) = ListedUsers::try_from(message.clone())?;
        // A page may have another size, freshness or count than the one before; the rest is the query.
        message.page_size = 0;
        message.read = None;
        message.include_total = false;
        let bound = [b"ListUsers".as_slice(), &message.encode_to_vec()].concat();
        query.after = self.pages().read(&bound, &token)?;
        let page = self.views().users().list(query).await?;
        Ok(pb::ListUsersResponse {
            next_page_token: self.pages().write(&bound, page.next.as_ref()),
            total: page.total,
            users: page.rows.into_iter().map(user_from_row).collect(),
        })
    }

    async fn check_deletion(
        &self,
        request: Request<pb::CheckUserDeletionRequest>,
    ) -> Outcome<pb::CheckUserDeletionResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let pb::CheckUserDeletionRequest {
            account_id,
            user_id,
        } = message;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let (account, user) = fields.finish((account, user))?;
        let order = order(call, digest, account, Options::default());
        let blockers = self.executor().deletion_blockers(&order, user).await?;
        Ok(pb::CheckUserDeletionResponse {
            blockers: blockers.iter().flat_map(blocker).collect(),
        })
    }

    async fn access(
        &self,
        request: Request<pb::CheckAccessRequest>,
    ) -> Outcome<pb::CheckAccessResponse> {
        let (call, _) = self.question(&request, None).await?;
        let pb::CheckAccessRequest {
            account_id,
            user_id,
            module,
            company_id,
            session_started_at,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user = fields.read("user_id", &user_id, UserId::parse);
        let module = fields.read("module", &module, ModuleName::parse);
        let company = fields.optional("company_id", &company_id, CompanyId::parse);
        let began = convert::read_time(&mut fields, "session_started_at", session_started_at);
        let (account_id, user, module) = fields.finish((account, user, module))?;
        may_reach(&call, user)?;
        // The views say how new the aggregates must be, so that hot ones need no question to the log.
        let row = self.views().accounts().get(&account_id)?;
        let revision = row.map_or(0, |row| row.revision);
        let executor = self.executor();
        let (account, _) = executor
            .at_least::<Account>(account_id.as_str(), revision)
            .await?;
        let revision = match self.views().users().get(&account_id, user)? {
            None => return Err(user_not_found()),
            Some(FoundUser::Present(row)) => row.revision,
            Some(FoundUser::Deleted(deleted)) => deleted.revision,
        };
        let (user, _) = executor
            .at_least::<User>(&user.to_string(), revision)
            .await?;
        let access = check_access(&account, &user, &module, company, began)
            .map_err(|error| Failure::refused(&error))?;
        Ok(pb::CheckAccessResponse {
            allowed: access.allowed,
            denials: access
                .why
                .into_iter()
                .map(|why| denial(why).into())
                .collect(),
        })
    }
}

fn found(row: UserRow) -> pb::GetUserResponse {
    pb::GetUserResponse {
        user: Some(user_from_row(row)),
    }
}

/// The only one who has an address; where several share it, it names none of them (R5).
fn only_one(rows: Vec<UserRow>) -> Outcome<Option<UserRow>> {
    if rows.len() > 1 {
        return Err(Failure::new(
            pb::ErrorReason::EmailAmbiguous,
            "several users share the address",
        ));
    }
    Ok(rows.into_iter().next())
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

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        changed!(self, request, UpdateUser, UpdateUserResponse)
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        Ok(Response::new(self.get(request).await?))
    }

    async fn batch_get_users(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Result<Response<pb::BatchGetUsersResponse>, Status> {
        Ok(Response::new(self.batch(request).await?))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        Ok(Response::new(self.list(request).await?))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        changed!(self, request, DeleteUser, DeleteUserResponse)
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
        changed!(self, request, UnlockUser, UnlockUserResponse)
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
}
