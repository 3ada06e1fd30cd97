//! `ExternalAccessService`.

use std::sync::Arc;

use prost::Message as _;
use rollbook_aggregates::access::{Access, GrantAccess, RevokeAccess, UpdateAccess};
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{Report, User};
use rollbook_aggregates::values::AccountId;
use rollbook_proto::served::external_access_service_server::ExternalAccessService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::users::Changed;
use super::{Arrived, Directory, InAccount, order};
use crate::convert::{self, ToUser, access_from_row, access_from_state, external_user};
use crate::executor::{Done, access_id};
use crate::failure::{Failure, Outcome};
use crate::plans::{OnAccess, ReportOutcome, ReportPlan};

/// An access after a command on it.
struct ChangedAccess {
    access: pb::Access,
    revision: u64,
    position: u64,
}

impl Directory {
    /// Carries a command on the access of one user out.
    async fn change_access<R, C>(&self, request: Request<R>) -> Outcome<ChangedAccess>
    where
        R: InAccount,
        ToUser<C>: TryFrom<R, Error = Failure>,
        C: Decide<Aggregate = Access> + Clone + Send + Sync,
    {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::try_from(message)?;
        let id = access_id(&to.account, to.user);
        let order = order(call, digest, to.account, to.options);
        let plan = OnAccess {
            user: to.user,
            command: to.command,
        };
        let done = self.executor().run(&order, &plan).await?;
        let revision = done.outcome.revision;
        let access = self.access_after(&done, &id, revision).await?;
        Ok(ChangedAccess {
            access: access_from_state(&access, revision),
            revision,
            position: done.position,
        })
    }

    async fn access_after<T>(
        &self,
        done: &Done<T>,
        id: &str,
        revision: u64,
    ) -> Outcome<Arc<Access>> {
        match done.states.get::<Access>(id) {
            Some((access, _)) => Ok(Arc::clone(access)),
            None => self.executor().at::<Access>(id, revision).await,
        }
    }

    /// Carries a report about one user out, who may be an external one.
    pub(super) async fn report<R, C>(&self, request: Request<R>) -> Outcome<Changed>
    where
        R: InAccount,
        ToUser<C>: TryFrom<R, Error = Failure>,
        C: Report + Decide<Aggregate = User>,
    {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = ReportPlan {
            user: to.user,
            report: to.command,
        };
        let done = self.executor().run(&order, &plan).await?;
        let (user, revision) = match done.outcome.access {
            None => (
                self.user_of(&done, &done.outcome.user).await?,
                done.outcome.user.revision,
            ),
            Some(revision) => (
                self.external_user_of(&done, &order.account_id, revision)
                    .await?,
                revision,
            ),
        };
        Ok(Changed {
            user,
            revision,
            position: done.position,
        })
    }

    /// The external user that a report left, as the answer has it.
    async fn external_user_of(
        &self,
        done: &Done<ReportOutcome>,
        account_id: &AccountId,
        revision: u64,
    ) -> Outcome<pb::User> {
        let outcome = &done.outcome.user;
        let id = outcome.user.to_string();
        let user = match done.states.get::<User>(&id) {
            Some((user, _)) => Arc::clone(user),
            None => self.executor().at::<User>(&id, outcome.revision).await?,
        };
        let id = access_id(account_id, outcome.user);
        let access = self.access_after(done, &id, revision).await?;
        let account = match done.states.get::<Account>(account_id.as_str()) {
            Some((account, _)) => Arc::clone(account),
            None => self.executor().fresh(account_id.as_str()).await?.0,
        };
        let at_home = self.user_of(done, outcome).await?;
        Ok(external_user(at_home, &account, &user, &access, revision))
    }

    async fn page_of_accesses(
        &self,
        request: Request<pb::ListAccessesRequest>,
    ) -> Outcome<pb::ListAccessesResponse> {
        let read = request.get_ref().read;
        let (call, _) = self.question(&request, read).await?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let for_one_account = call.caller.account.is_some();
        let mut query = convert::list_accesses(message.clone(), for_one_account)?;
        // A page may have another size, freshness or count than the one before; the rest is the query.
        message.page_size = 0;
        message.read = None;
        message.include_total = false;
        let bound = [b"ListAccesses".as_slice(), &message.encode_to_vec()].concat();
        query.after = self.pages().read(&bound, &token)?;
        let page = self.views().accesses().list(query).await?;
        Ok(pb::ListAccessesResponse {
            next_page_token: self.pages().write(&bound, page.next.as_ref()),
            total: page.total,
            accesses: page.rows.iter().map(access_from_row).collect(),
        })
    }
}

macro_rules! changed_access {
    ($directory:ident, $request:ident, $command:ty, $response:ident) => {{
        let changed = $directory.change_access::<_, $command>($request).await?;
        Ok(Response::new(pb::$response {
            access: Some(changed.access),
            revision: changed.revision,
            position: changed.position,
        }))
    }};
}

#[tonic::async_trait]
impl ExternalAccessService for Directory {
    async fn grant_access(
        &self,
        request: Request<pb::GrantAccessRequest>,
    ) -> Result<Response<pb::GrantAccessResponse>, Status> {
        changed_access!(self, request, GrantAccess, GrantAccessResponse)
    }

    async fn update_access(
        &self,
        request: Request<pb::UpdateAccessRequest>,
    ) -> Result<Response<pb::UpdateAccessResponse>, Status> {
        changed_access!(self, request, UpdateAccess, UpdateAccessResponse)
    }

    async fn revoke_access(
        &self,
        request: Request<pb::RevokeAccessRequest>,
    ) -> Result<Response<pb::RevokeAccessResponse>, Status> {
        changed_access!(self, request, RevokeAccess, RevokeAccessResponse)
    }

    async fn list_accesses(
        &self,
        request: Request<pb::ListAccessesRequest>,
    ) -> Result<Response<pb::ListAccessesResponse>, Status> {
        Ok(Response::new(self.page_of_accesses(request).await?))
    }
}
