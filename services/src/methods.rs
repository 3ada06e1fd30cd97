//! The gRPC methods: each reads its message, asks the executor or a view, and writes the answer.

mod accesses;
mod accounts;
mod credentials;
mod history;
mod invitations;
mod involvements;
mod kurrent;
mod operations;
mod routing;
mod streaming;
mod users;

pub(crate) use operations::sealed_as;

use std::sync::Arc;

use prost::Message;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Actor;
use rollbook_aggregates::user::{Status as UserStatus, User};
use rollbook_aggregates::values::{AccountId, UserId, UserType};
use rollbook_eventstore::Log;
use rollbook_projections::{FoundUser, Freshness, Views};
use rollbook_proto::v1 as pb;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::convert::{self, user_from_state, wire_time};
use crate::executor::{
    Done, Executor, Options, Order, account_not_found, new_id, not_acting, sessions_ended,
};
use crate::failure::Outcome;
use crate::gate::Call;
use crate::page::PageTokens;
use crate::plans::UserOutcome;

/// The directory, as its methods see it.
#[derive(Clone)]
pub struct Directory(Arc<Parts>);

struct Parts {
    executor: Executor,
    views: Views,
    pages: PageTokens,
    stopping: CancellationToken,
}

/// A request that is for one account.
trait InAccount: Named {
    /// The account it names, as it came.
    fn account_id(&self) -> &str;
}

/// A request with a name that never changes, so that a repeat is known after an upgrade too.
trait Named: Message {
    /// The name of its message.
    const NAME: &'static str;
}

macro_rules! in_account {
    ($($request:ident)+) => {$(
        impl Named for pb::$request {
            const NAME: &'static str = stringify!($request);
        }

        impl InAccount for pb::$request {
            fn account_id(&self) -> &str {
                &self.account_id
            }
        }
    )+};
}

in_account! {
    GetAccountRequest UpdateAccountSettingsRequest AddCompanyRequest RenameCompanyRequest
    RemoveCompanyRequest DefineRoleRequest RemoveRoleRequest DefineModuleRequest
    RemoveModuleRequest CreateAccountRequest
    CreateUserRequest CopyUserRequest UpdateUserRequest GetUserRequest BatchGetUsersRequest ListUsersRequest ListReportsRequest GetSupervisorChainRequest FindUsersRequest
    DeleteUserRequest CheckUserDeletionRequest CheckAccessRequest ActivateUserRequest
    DeactivateUserRequest LockUserRequest UnlockUserRequest SetUserRolesRequest
    SetUserPermissionsRequest AddUserCompaniesRequest RemoveUserCompaniesRequest
    UpdateUserCompanyRequest WatchUsersRequest CopyUserCompanyRequest
    ReplaceSupervisorRequest
    InviteUsersRequest GetInvitationRequest ListInvitationsRequest ResendInvitationRequest
    DeleteInvitationRequest
    ReportInvoiceQueuedRequest ReportInvoiceDequeuedRequest ReportInvoiceReviewedRequest
    RetractInvoiceReviewRequest ReportInvoicePostedRequest ReportInvoiceWithdrawnRequest
    LinkFlowTemplateRequest UnlinkFlowTemplateRequest LinkReferenceRequest
    UnlinkReferenceRequest ListInvolvementsRequest ListReviewersRequest
    GrantAccessRequest UpdateAccessRequest RevokeAccessRequest ListAccessesRequest
    GetCodingDefaultsRequest ProposeReviewersRequest ProposeApproverRequest ListAddresseesRequest
    RetryDeadLetterRequest
    ResendWelcomeRequest SetPasswordRequest ChangePasswordRequest VerifyPasswordRequest
    RequestPasswordResetRequest ReportSignInRequest ReportMfaEnrolledRequest ResetMfaRequest
    RevokeSessionsRequest
    GetUserAsOfRequest DiffUserRequest ListUsersAsOfRequest ListReportsAsOfRequest
    GetUserTrailRequest GetInvoiceTrailRequest
}

macro_rules! named {
    ($($request:ident)+) => {$(
        impl Named for pb::$request {
            const NAME: &'static str = stringify!($request);
        }
    )+};
}

named! { AcceptInvitationRequest CompletePasswordResetRequest CompleteWelcomeRequest }

/// A command that passed the gate and authorisation, with the digest of its content.
struct Arrived<R> {
    call: Call,
    message: R,
    digest: [u8; 32],
}

impl Directory {
    /// One that answers from these, until `stopping` is cancelled.
    #[must_use]
    pub fn new(executor: Executor, views: Views, stopping: CancellationToken) -> Self {
        let pages = PageTokens::of(&executor.log);
        Self(Arc::new(Parts {
            executor,
            views,
            pages,
            stopping,
        }))
    }

    /// Cancelled when the service stops, so that streams without an end come to one.
    fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    fn executor(&self) -> &Executor {
        &self.0.executor
    }

    fn log(&self) -> &Log {
        &self.0.executor.log
    }

    fn views(&self) -> &Views {
        &self.0.views
    }

    fn pages(&self) -> &PageTokens {
        &self.0.pages
    }

    /// Lets a command in whose caller may act in its account, before anything else of it is looked at.
    async fn arrive<R: InAccount>(&self, request: Request<R>) -> Outcome<Arrived<R>> {
        let call = Call::of(&request)?;
        may_enter(&call, request.get_ref().account_id())?;
        self.executor().authorise(&call.caller).await?;
        let message = request.into_inner();
        Ok(self.arrived(call, message))
    }

    fn arrived<R: Named>(&self, call: Call, message: R) -> Arrived<R> {
        let actor = call.caller.actor.to_string();
        let parts: [&[u8]; 4] = [
            R::NAME.as_bytes(),
            actor.as_bytes(),
            call.caller.service.as_bytes(),
            &message.encode_to_vec(),
        ];
        let digest = self.log().digest("request", &parts);
        Arrived {
            call,
            message,
            digest,
        }
    }

    /// Lets a question in whose caller may act in its account, once the users view is as new as it must be. Answers the
    /// position that other views must have too.
    async fn question<R: InAccount>(
        &self,
        request: &Request<R>,
        read: Option<pb::ReadOptions>,
    ) -> Outcome<(Call, u64)> {
        let (call, position) = self.enter(request, read).await?;
        if let Ok(account) = AccountId::parse(request.get_ref().account_id()) {
            self.there_is(&account)?;
        }
        Ok((call, position))
    }

    /// As [`Self::question`], where whatever is found tells that there is the account.
    async fn enter<R: InAccount>(
        &self,
        request: &Request<R>,
        read: Option<pb::ReadOptions>,
    ) -> Outcome<(Call, u64)> {
        let call = Call::of(request)?;
        may_enter(&call, request.get_ref().account_id())?;
        let users = self.views().users();
        let position = users
            .fresh(convert::freshness(read), call.wait_until())
            .await?;
        self.still_acts(&call)?;
        Ok((call, position))
    }

    /// Whether there is an account, by its view.
    fn there_is(&self, account: &AccountId) -> Outcome<()> {
        match self.views().accounts().revision(account)? {
            Some(_) => Ok(()),
            None => Err(account_not_found()),
        }
    }

    /// Whether the caller, where it is a user, may act as what its token says, by the users view.
    fn still_acts(&self, call: &Call) -> Outcome<()> {
        let caller = &call.caller;
        let (Some(id), Some(account)) = (caller.user(), &caller.account) else {
            return Ok(());
        };
        let users = self.views().users().at(self.executor().clock.now());
        let Some(FoundUser::Present(row)) = users.get(account, id)? else {
            return Err(not_acting(&caller.actor));
        };
        let can_act = match row.status {
            UserStatus::Active | UserStatus::AwaitingNewPassword | UserStatus::Recovery => true,
            UserStatus::Deleted
            | UserStatus::Inactive
            | UserStatus::LockedByAdmin
            | UserStatus::AutoLocked
            | UserStatus::Provisioned => false,
        };
        let is_it = match caller.actor {
            Actor::Administrator(_) | Actor::ExternalAdministrator(_) => {
                row.user_type == UserType::Administrator
            }
            Actor::User(_) | Actor::Outside(_) => true,
        };
        if !can_act || !is_it {
            return Err(not_acting(&caller.actor));
        }
        if row.sessions_valid_from > caller.issued_at {
            return Err(sessions_ended());
        }
        Ok(())
    }

    /// The user that a command left, as the answer has it.
    async fn user_of<T>(&self, done: &Done<T>, outcome: &UserOutcome) -> Outcome<pb::User> {
        let id = outcome.user.to_string();
        let user = match done.states.get::<User>(&id) {
            Some((user, _)) => Arc::clone(user),
            None => self.executor().at::<User>(&id, outcome.revision).await?,
        };
        let account_id = user
            .account_id()
            .map(ToString::to_string)
            .unwrap_or_default();
        let account = match done.states.get::<Account>(&account_id) {
            Some((account, _)) => Arc::clone(account),
            None => self.executor().fresh::<Account>(&account_id).await?.0,
        };
        let now = self.executor().clock.now();
        let mut answer = user_from_state(&account, &user, outcome.revision, now);
        // Whoever was just created never signed in.
        if outcome.revision > 1
            && let Some(person) = user.person()
            && let Some(FoundUser::Present(row)) =
                self.views().users().get(person.account_id(), person.id())?
        {
            answer.last_signed_in_at = row.last_signed_in_at.map(wire_time);
        }
        Ok(answer)
    }
}

/// The order for a command that was read out of its message.
fn order(call: Call, digest: [u8; 32], account_id: AccountId, options: Options) -> Order {
    Order {
        call,
        account_id,
        options,
        digest,
    }
}

fn new_user_id() -> UserId {
    UserId::new(new_id())
}

/// An account that is not the caller's answers as if it did not exist (R68).
fn may_enter(call: &Call, account_id: &str) -> Outcome<()> {
    match AccountId::parse(account_id) {
        Ok(account) if !call.caller.may_enter(&account) => Err(account_not_found()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// As new as another view was found to be; a view that answers at once has no position to keep to.
const fn at_least(position: u64) -> Freshness {
    Freshness::AtLeast(position)
}
