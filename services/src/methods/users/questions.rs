//! Questions about users, answered from the users view.

use std::sync::Arc;

use prost::Message as _;
use rollbook_aggregates::access::Access;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::user::{AccessAnswer, External, Use, User, check_access};
use rollbook_aggregates::values::{AccountId, CompanyId, ModuleName, UserId};
use rollbook_projections::{FoundUser, ToldUsers};
use rollbook_proto::served::{
    BatchGetUsersResponse, FindUsersResponse, GetUserResponse, ListUsersResponse,
};
use rollbook_proto::v1 as pb;
use tonic::Request;

use super::super::{Arrived, Directory, order};
use super::{may_reach, not_own, user_not_found};
use crate::caller::Role;
use crate::convert::{
    self, Fields, FoundUsers, ListedUsers, UserKeyword, blocker, denial, told_user,
};
use crate::executor::{Options, access_id};
use crate::failure::{Failure, Outcome};

impl Directory {
    pub(super) async fn get(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Outcome<GetUserResponse> {
        let read = request.get_ref().read;
        let (call, _) = self.enter(&request, read).await?;
        let message = request.into_inner();
        let account_id = message.account_id.clone();
        let key = UserKeyword::try_from(message)?;
        let account = AccountId::parse(&account_id)
            .map_err(|problem| Failure::malformed_field("account_id", problem))?;
        let users = self.told_by_clock();
        let found = match key {
            UserKeyword::Id(id) => {
                may_reach(&call, id)?;
                users.get(&account, id)?.map(|user| (id, user))
            }
            UserKeyword::Signature(code) => users.by_signature(&account, code.folded().as_str())?,
            UserKeyword::UserName(name) => users.by_user_name(&account, &name)?,
            UserKeyword::Email(email) => {
                only_one(users.by_email(&account, email.folded().as_str())?)?
            }
        };
        match found {
            // Whether another one exists is nothing that a user may find out.
            None if call.caller.role == Role::Own => Err(not_own()),
            None => Err(self.nobody(&account)),
            Some((id, user)) => {
                may_reach(&call, id)?;
                Ok(GetUserResponse { user })
            }
        }
    }

    /// Users as answers have them, with what the clock says of their status.
    fn told_by_clock(&self) -> ToldUsers {
        let users = self.views().users().at(self.executor().clock.now());
        users.told(told_user)
    }

    /// Why nobody was found in an account.
    fn nobody(&self, account: &AccountId) -> Failure {
        self.there_is(account).err().unwrap_or_else(user_not_found)
    }

    pub(super) async fn batch(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Outcome<BatchGetUsersResponse> {
        let read = request.get_ref().read;
        self.enter(&request, read).await?;
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
        let found = self.told_by_clock().get_many(&account, ids.clone()).await?;
        let mut users = Vec::with_capacity(found.len());
        let mut not_found_ids = Vec::new();
        for (id, found) in ids.into_iter().zip(found) {
            match found {
                Some(user) => users.push(user),
                None => not_found_ids.push(id.to_string()),
            }
        }
        if users.is_empty() {
            self.there_is(&account)?;
        }
        Ok(BatchGetUsersResponse {
            users,
            not_found_ids,
        })
    }

    pub(super) async fn list(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Outcome<ListUsersResponse> {
        let read = request.get_ref().read;
        self.enter(&request, read).await?;
        let mut message = request.into_inner();
        let token = std::mem::take(&mut message.page_token);
        let ListedUsers(mut query) = ListedUsers::try_from(message.clone())?;
        // A page may have another size, freshness or count than the one before; the rest is the query.
        message.page_size = 0;
        message.read = None;
        message.include_total = false;
        let bound = [b"ListUsers".as_slice(), &message.encode_to_vec()].concat();
        query.after = self.pages().read(&bound, &token)?;
        let account = query.account.clone();
        let page = self.views().users().told(told_user).list(query).await?;
        if page.rows.is_empty() {
            self.there_is(&account)?;
        }
        Ok(ListUsersResponse {
            next_page_token: self.pages().write(&bound, page.next.as_ref()),
            total: page.total,
            users: page.rows,
        })
    }

    pub(super) async fn find(
        &self,
        request: Request<pb::FindUsersRequest>,
    ) -> Outcome<FindUsersResponse> {
        let read = request.get_ref().read;
        self.enter(&request, read).await?;
        let FoundUsers(query) = FoundUsers::try_from(request.into_inner())?;
        let account = query.account.clone();
        let users = self.views().users().told(told_user).find(query).await?;
        if users.is_empty() {
            self.there_is(&account)?;
        }
        Ok(FindUsersResponse { users })
    }

    pub(super) async fn check_deletion(
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

    pub(super) async fn access(
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
        let wanted = Use {
            module: &module,
            company,
            session_began: began,
            now: self.executor().clock.now(),
        };
        let access = self.answer_access(&account_id, user, &wanted).await?;
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

impl Directory {
    /// An account as new as its view.
    async fn account_as_listed(&self, account_id: &AccountId) -> Outcome<Arc<Account>> {
        let revision = self.views().accounts().revision(account_id)?;
        let executor = self.executor();
        let account = executor
            .at_least(account_id.as_str(), revision.unwrap_or_default())
            .await?;
        Ok(account.0)
    }

    /// Whether a user of the account, at home or external, may use something.
    async fn answer_access(
        &self,
        account_id: &AccountId,
        user: UserId,
        wanted: &Use<'_>,
    ) -> Outcome<AccessAnswer> {
        // The views say how new the aggregates must be, so that hot ones need no question to the log.
        let account = self.account_as_listed(account_id).await?;
        let executor = self.executor();
        let row = self.views().accesses().get(account_id, user)?;
        let mut external = None;
        if let Some(row) = &row {
            let id = access_id(account_id, user);
            let (access, _) = executor.at_least::<Access>(&id, row.revision).await?;
            external = Some((self.account_as_listed(&row.home_account_id).await?, access));
        }
        let home = row.as_ref().map_or(account_id, |row| &row.home_account_id);
        let revision = match self.views().users().get(home, user)? {
            None => return Err(user_not_found()),
            Some(FoundUser::Present(row)) => row.revision,
            Some(FoundUser::Deleted(deleted)) => deleted.revision,
        };
        let (user, _) = executor
            .at_least::<User>(&user.to_string(), revision)
            .await?;
        let external = external
            .as_ref()
            .map(|(home, access)| External { home, access });
        check_access(&account, &user, external, wanted).map_err(|error| Failure::refused(&error))
    }
}

/// The only one who has an address; where several share it, it names none of them (R5).
fn only_one<T>(found: Vec<T>) -> Outcome<Option<T>> {
    if found.len() > 1 {
        return Err(Failure::new(
            pb::ErrorReason::EmailAmbiguous,
            "several users share the address",
        ));
    }
    Ok(found.into_iter().next())
}
