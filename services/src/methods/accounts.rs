//! `AccountService`.

use std::sync::Arc;

use rollbook_aggregates::account::{
    Account, DefineModule, DefineRole, RemoveCompany, RemoveModule, RemoveRole, RenameCompany,
    UpdateAccountSettings,
};
use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::User;
use rollbook_aggregates::values::{AccountId, CompanyId};
use rollbook_proto::served::account_service_server::AccountService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::{Arrived, Directory, InAccount, new_user_id, order};
use crate::convert::{
    Fields, NewAccount, ToAccount, account_from_row, account_from_state, add_company, freshness,
};
use crate::executor::{Done, account_not_found, new_id};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::page;
use crate::plans::{
    AccountOutcome, CreateAccountPlan, CreateUserPlan, DefineModulePlan, OnAccount, UserOutcome,
};
use crate::tokens;

/// An account after a command on it.
struct Changed {
    account: pb::Account,
    revision: u64,
    position: u64,
    company: Option<pb::Company>,
}

impl Directory {
    async fn account_of<T>(
        &self,
        done: &Done<T>,
        account: &AccountId,
        revision: u64,
    ) -> Outcome<pb::Account> {
        let id = account.as_str();
        let state = match done.states.get::<Account>(id) {
            Some((state, _)) => Arc::clone(state),
            None => self.executor().at::<Account>(id, revision).await?,
        };
        Ok(account_from_state(&state, revision))
    }

    async fn change_account<R, C>(&self, request: Request<R>) -> Outcome<Changed>
    where
        R: InAccount,
        ToAccount<C>: TryFrom<R, Error = Failure>,
        C: Decide<Aggregate = Account> + Clone + Send + Sync,
    {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToAccount::try_from(message)?;
        self.run_on_account(call, digest, to, None).await
    }

    async fn run_on_account<C>(
        &self,
        call: Call,
        digest: [u8; 32],
        to: ToAccount<C>,
        company: Option<CompanyId>,
    ) -> Outcome<Changed>
    where
        C: Decide<Aggregate = Account> + Clone + Send + Sync,
    {
        let order = order(call, digest, to.account, to.options);
        let plan = OnAccount {
            command: to.command,
            company,
        };
        let done = self.executor().run(&order, &plan).await?;
        let AccountOutcome { revision, company } = done.outcome;
        let account = self.account_of(&done, &order.account_id, revision).await?;
        let company = company.and_then(|id| {
            let id = id.to_string();
            let mut companies = account.companies.iter();
            companies.find(|company| company.company_id == id).cloned()
        });
        Ok(Changed {
            account,
            revision,
            position: done.position,
            company,
        })
    }

    async fn define(
        &self,
        request: Request<pb::DefineModuleRequest>,
    ) -> Outcome<pb::DefineModuleResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToAccount::<DefineModule>::try_from(message)?;
        let order = order(call, digest, to.account, to.options);
        let plan = DefineModulePlan(to.command);
        let done = self.executor().run(&order, &plan).await?;
        let revision = done.outcome.revision;
        let account = self.account_of(&done, &order.account_id, revision).await?;
        Ok(pb::DefineModuleResponse {
            account: Some(account),
            revision,
            position: done.position,
            changed_count: done.outcome.changed,
        })
    }

    async fn create_account_plan(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Outcome<pb::CreateAccountResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let new = NewAccount::try_from(message)?;
        if !new.administrator.companies.is_empty() {
            let problem = "must be empty: the first administrator is linked to every company";
            return Err(Failure::malformed_field("administrator.companies", problem));
        }
        let order = order(call, digest, new.account.clone(), new.options.clone());
        let ids = new.companies.iter();
        let plan = CreateAccountPlan {
            companies: ids.map(|_| CompanyId::new(new_id())).collect(),
            administrator: CreateUserPlan::new(new_user_id(), new.administrator.clone()),
            new,
        };
        let done = self.executor().run(&order, &plan).await?;
        let account = &order.account_id;
        let revision = done.outcome.revision;
        let administrator = &done.outcome.administrator;
        let welcome_token = self.welcome_token(administrator).await?;
        Ok(pb::CreateAccountResponse {
            account: Some(self.account_of(&done, account, revision).await?),
            administrator: Some(self.user_of(&done, administrator).await?),
            revision,
            position: done.position,
            welcome_token,
        })
    }

    /// The token of the first-sign-in link that a command left a user with; empty where there is none, or it went by mail.
    pub(super) async fn welcome_token(&self, left: &UserOutcome) -> Outcome<String> {
        let id = left.user.to_string();
        let user = self.executor().at::<User>(&id, left.revision).await?;
        let welcome = user
            .person()
            .and_then(|person| person.credentials().welcome());
        let told = welcome.filter(|welcome| !welcome.by_mail);
        Ok(told.map_or_else(String::new, |welcome| {
            let secret = tokens::welcome(self.log(), left.user, welcome.issue);
            tokens::text(left.user.as_uuid(), &secret)
        }))
    }

    async fn account_now(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Outcome<pb::GetAccountResponse> {
        let read = request.get_ref().read;
        self.question(&request, read).await?;
        let pb::GetAccountRequest {
            account_id,
            read: _,
        } = request.into_inner();
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let (account,) = fields.finish((account,))?;
        let row = self.views().accounts().get(&account)?;
        let row = row.ok_or_else(account_not_found)?;
        Ok(pb::GetAccountResponse {
            account: Some(account_from_row(row)),
        })
    }

    async fn page_of_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Outcome<pb::ListAccountsResponse> {
        let call = Call::of(&request)?;
        let pb::ListAccountsRequest {
            page_size,
            page_token,
            read,
        } = request.into_inner();
        let accounts = self.views().accounts();
        accounts.fresh(freshness(read), call.wait_until()).await?;
        let mut fields = Fields::default();
        let limit = fields.checked("page_size", page::size(page_size));
        let (limit,) = fields.finish((limit,))?;
        if let Some(only) = &call.caller.account {
            let row = accounts.get(only)?;
            return Ok(pb::ListAccountsResponse {
                accounts: row.into_iter().map(account_from_row).collect(),
                next_page_token: String::new(),
            });
        }
        let query = b"ListAccounts";
        let after = self.pages().read(query, &page_token)?;
        let page = accounts.list(after, limit).await?;
        Ok(pb::ListAccountsResponse {
            next_page_token: self.pages().write(query, page.next.as_ref()),
            accounts: page.rows.into_iter().map(account_from_row).collect(),
        })
    }
}

macro_rules! changed {
    ($response:ident, $changed:expr) => {{
        let changed: Changed = $changed;
        Response::new(pb::$response {
            account: Some(changed.account),
            revision: changed.revision,
            position: changed.position,
        })
    }};
}

#[tonic::async_trait]
impl AccountService for Directory {
    async fn create_account(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Result<Response<pb::CreateAccountResponse>, Status> {
        Ok(Response::new(self.create_account_plan(request).await?))
    }

    async fn get_account(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Result<Response<pb::GetAccountResponse>, Status> {
        Ok(Response::new(self.account_now(request).await?))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        Ok(Response::new(self.page_of_accounts(request).await?))
    }

    async fn update_account_settings(
        &self,
        request: Request<pb::UpdateAccountSettingsRequest>,
    ) -> Result<Response<pb::UpdateAccountSettingsResponse>, Status> {
        let changed = self
            .change_account::<_, UpdateAccountSettings>(request)
            .await?;
        Ok(changed!(UpdateAccountSettingsResponse, changed))
    }

    async fn add_company(
        &self,
        request: Request<pb::AddCompanyRequest>,
    ) -> Result<Response<pb::AddCompanyResponse>, Status> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let id = new_id();
        let to = add_company(message, id)?;
        let company = Some(CompanyId::new(id));
        let changed = self.run_on_account(call, digest, to, company).await?;
        Ok(Response::new(pb::AddCompanyResponse {
            company: changed.company,
            account: Some(changed.account),
            revision: changed.revision,
            position: changed.position,
        }))
    }

    async fn rename_company(
        &self,
        request: Request<pb::RenameCompanyRequest>,
    ) -> Result<Response<pb::RenameCompanyResponse>, Status> {
        let changed = self.change_account::<_, RenameCompany>(request).await?;
        Ok(changed!(RenameCompanyResponse, changed))
    }

    async fn remove_company(
        &self,
        request: Request<pb::RemoveCompanyRequest>,
    ) -> Result<Response<pb::RemoveCompanyResponse>, Status> {
        let changed = self.change_account::<_, RemoveCompany>(request).await?;
        Ok(changed!(RemoveCompanyResponse, changed))
    }

    async fn define_role(
        &self,
        request: Request<pb::DefineRoleRequest>,
    ) -> Result<Response<pb::DefineRoleResponse>, Status> {
        let changed = self.change_account::<_, DefineRole>(request).await?;
        Ok(changed!(DefineRoleResponse, changed))
    }

    async fn remove_role(
        &self,
        request: Request<pb::RemoveRoleRequest>,
    ) -> Result<Response<pb::RemoveRoleResponse>, Status> {
        let changed = self.change_account::<_, RemoveRole>(request).await?;
        Ok(changed!(RemoveRoleResponse, changed))
    }

    async fn define_module(
        &self,
        request: Request<pb::DefineModuleRequest>,
    ) -> Result<Response<pb::DefineModuleResponse>, Status> {
        Ok(Response::new(self.define(request).await?))
    }

    async fn remove_module(
        &self,
        request: Request<pb::RemoveModuleRequest>,
    ) -> Result<Response<pb::RemoveModuleResponse>, Status> {
        let changed = self.change_account::<_, RemoveModule>(request).await?;
        Ok(changed!(RemoveModuleResponse, changed))
    }
}
