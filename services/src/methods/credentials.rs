//! `CredentialService`.

use std::sync::Arc;

use rollbook_aggregates::account::Account;
use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{
    ChangePassword, CompletePasswordReset, CompleteWelcome, Entry, PasswordState,
    ReportMfaEnrolled, ReportSignIn, ResetMfa, RevokeSessions, SetPassword, User, UserError,
};
use rollbook_aggregates::values::{
    AccountId, EnteredPassword, PasswordAuthority, TokenDigest, UserId,
};
use rollbook_proto::served::credential_service_server::CredentialService;
use rollbook_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::users::{Changed, changed, not_own, user_not_found};
use super::{Arrived, Directory, Named, account_not_found, order};
use crate::caller::Role;
use crate::convert::{LinkFollowed, ResetRequested, SignIn, ToUser, WithPasswords, sign_in_result};
use crate::executor::Order;
use crate::executor::attempts::{self, Claimed, Entered, Proof};
use crate::failure::{Failure, Outcome};
use crate::gate::Call;
use crate::plans::{
    Hashed, LinkOutcome, OnUser, PasswordPlan, ReportSignInPlan, RequestResetPlan, ResetNobodyPlan,
    SignInPlan,
};
use crate::tokens::{self, UserToken};

impl Directory {
    /// Gives a user a password, once who asks for it has proven its own.
    async fn give_password<C>(
        &self,
        order: Order,
        to: ToUser<WithPasswords<C>>,
        who: UserId,
    ) -> Outcome<Changed>
    where
        C: Decide<Aggregate = User> + Clone + Send + Sync,
    {
        let WithPasswords {
            command,
            password,
            entered,
        } = to.command;
        let plan = PasswordPlan {
            on: OnUser {
                user: to.user,
                command,
            },
            hashed: Hashed::later(Some(password)),
            proven_by: Some(who),
        };
        // What a repeat would prove is another password by now.
        let before = self.executor().repeated::<PasswordPlan<C>>(&order).await?;
        let done = if let Some(done) = before {
            done
        } else {
            self.must_be_proven(&order, who, entered, &plan).await?;
            self.executor().run(&order, &plan).await?
        };
        self.user_changed(&done).await
    }

    /// Refuses what the plan would be refused for anyhow, and then who does not know its own password.
    async fn must_be_proven<C>(
        &self,
        order: &Order,
        who: UserId,
        password: EnteredPassword,
        plan: &PasswordPlan<C>,
    ) -> Outcome<()>
    where
        C: Decide<Aggregate = User> + Clone + Send + Sync,
    {
        self.executor().dry_run(order, plan).await?;
        if order.options.validate_only {
            return Ok(());
        }
        // Who acts in an account that is not its home has its password at home.
        let (user, _) = self.executor().fresh::<User>(&who.to_string()).await?;
        let home = user.account_id().unwrap_or(&order.account_id).clone();
        self.account_that_keeps(&home).await?;
        let entered = Entered {
            account_id: home,
            claimed: Claimed::User(who),
            password,
        };
        match self.executor().prove(entered).await? {
            Proof::Right(_) => Ok(()),
            Proof::Wrong => Err(Failure::new(
                pb::ErrorReason::PasswordWrong,
                "the password of who asks is another one",
            )),
            Proof::UsedUp => Err(Failure::new(
                pb::ErrorReason::TooManyAttempts,
                "too many wrong passwords were given, so who asks is locked",
            )),
        }
    }

    async fn set(&self, request: Request<pb::SetPasswordRequest>) -> Outcome<Changed> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<WithPasswords<SetPassword>>::try_from(message)?;
        let who = call.caller.user().ok_or_else(not_own)?;
        let order = order(call, digest, to.account.clone(), to.options.clone());
        self.give_password(order, to, who).await
    }

    async fn change(&self, request: Request<pb::ChangePasswordRequest>) -> Outcome<Changed> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<WithPasswords<ChangePassword>>::try_from(message)?;
        if call.caller.user().is_some_and(|own| own != to.user) {
            return Err(not_own());
        }
        let who = to.user;
        let order = order(call, digest, to.account.clone(), to.options.clone());
        self.give_password(order, to, who).await
    }

    /// The account of a question or command that hides its users, as it is now.
    async fn account_that_keeps(&self, id: &AccountId) -> Outcome<Arc<Account>> {
        let (account, _) = self.executor().fresh::<Account>(id.as_str()).await?;
        if account.id().is_none() {
            return Err(account_not_found());
        }
        match account.settings().password_authority {
            PasswordAuthority::Directory => Ok(account),
            PasswordAuthority::External => {
                Err(Failure::refused(&UserError::PasswordsKeptElsewhere))
            }
        }
    }

    /// The user that signs in with this name.
    async fn named(&self, call: &Call, account: &AccountId, name: &str) -> Outcome<Option<UserId>> {
        let users = self.views().users();
        users
            .fresh(rollbook_projections::Freshness::Latest, call.wait_until())
            .await?;
        let row = users.by_user_name(account, name)?;
        Ok(row.map(|row| row.user_id))
    }

    async fn verify(
        &self,
        request: Request<pb::VerifyPasswordRequest>,
    ) -> Outcome<pb::VerifyPasswordResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let SignIn {
            account,
            user_name,
            entered,
        } = SignIn::try_from(message)?;
        self.account_that_keeps(&account).await?;
        let user = self.named(&call, &account, &user_name).await?;
        let nobody = Claimed::Nobody(tokens::nobody(self.log(), &account, &user_name));
        let entered = Entered {
            account_id: account.clone(),
            claimed: user.map_or(nobody, Claimed::User),
            password: entered,
        };
        let rejected = pb::VerifyPasswordResponse {
            result: pb::SignInResult::Rejected.into(),
            user: None,
            position: 0,
        };
        let (user, proven) = match (self.executor().prove(entered).await?, user) {
            (Proof::Right(proven), Some(user)) => (user, proven),
            (Proof::Wrong | Proof::Right(_), _) => return Ok(rejected),
            (Proof::UsedUp, _) => {
                return Ok(pb::VerifyPasswordResponse {
                    result: pb::SignInResult::Locked.into(),
                    ..rejected
                });
            }
        };
        let order = order(call, digest, account, crate::executor::Options::default());
        let plan = SignInPlan { user, proven };
        let done = self.executor().run(&order, &plan).await?;
        let entry = done.outcome.entry;
        let signed_in = entry == Some(Entry::SignedIn);
        let shown = signed_in || entry == Some(Entry::PasswordChangeRequired);
        Ok(pb::VerifyPasswordResponse {
            result: sign_in_result(entry).into(),
            user: if shown {
                Some(self.user_of(&done, &done.outcome.user).await?)
            } else {
                None
            },
            position: if signed_in { done.position } else { 0 },
        })
    }

    async fn request_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Outcome<pb::RequestPasswordResetResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let ResetRequested {
            account,
            whose,
            options,
        } = ResetRequested::try_from(message)?;
        let hides = call.caller.role == Role::Portal;
        if hides && options.expected_revision != 0 {
            return Err(Failure::malformed_field(
                "command.expected_revision",
                "must be 0 for a portal",
            ));
        }
        self.account_that_keeps(&account).await?;
        let user = match &whose {
            Ok(id) => Some(*id),
            Err(name) => self.named(&call, &account, name).await?,
        };
        let order = order(call, digest, account, options);
        if hides {
            let token = self.reset_in_secret(&order, user, whose).await?;
            return Ok(pb::RequestPasswordResetResponse {
                token,
                ..pb::RequestPasswordResetResponse::default()
            });
        }
        let plan = RequestResetPlan(user.ok_or_else(user_not_found)?);
        let done = self.executor().run(&order, &plan).await?;
        let user = &done.outcome.user;
        Ok(pb::RequestPasswordResetResponse {
            user: Some(self.user_of(&done, user).await?),
            revision: user.revision,
            position: done.position,
            token: self.reset_token(user.user, done.outcome.issue, done.outcome.by_mail),
        })
    }

    /// The token of a reset link; where there is nobody to send one to, one that opens nothing, made with the same steps.
    async fn reset_in_secret(
        &self,
        order: &Order,
        user: Option<UserId>,
        whose: Result<UserId, String>,
    ) -> Outcome<String> {
        const UNTOLD: [&str; 3] = ["USER_NOT_FOUND", "USER_DELETED", "NOT_ONBOARDED"];
        if let Some(user) = user {
            match self.executor().run(order, &RequestResetPlan(user)).await {
                Ok(done) => {
                    let LinkOutcome { issue, by_mail, .. } = done.outcome;
                    return Ok(self.reset_token(user, issue, by_mail));
                }
                Err(failure) if UNTOLD.contains(&failure.reason()) => {}
                Err(failure) => return Err(failure),
            }
        }
        let name = whose.map_or_else(|name| name, |id| id.to_string());
        let nobody = tokens::nobody(self.log(), &order.account_id, &name);
        let done = self.executor().run(order, &ResetNobodyPlan(nobody)).await?;
        let (nobody, by_mail) = done.outcome;
        Ok(self.reset_token(UserId::new(nobody), 0, by_mail))
    }

    fn reset_token(&self, user: UserId, issue: u32, by_mail: bool) -> String {
        if by_mail {
            return String::new();
        }
        tokens::text(user.as_uuid(), &tokens::reset(self.log(), user, issue))
    }

    /// Carries out what somebody asks who followed a link.
    async fn follow_link<R, C>(
        &self,
        request: Request<R>,
        command: impl FnOnce(TokenDigest, PasswordState) -> C,
    ) -> Outcome<Changed>
    where
        R: Named,
        LinkFollowed: TryFrom<R, Error = Failure>,
        C: Decide<Aggregate = User> + Clone + Send + Sync,
    {
        let call = Call::of(&request)?;
        let Arrived {
            call,
            message,
            digest,
        } = self.arrived(call, request.into_inner());
        let LinkFollowed {
            token,
            password,
            options,
        } = LinkFollowed::try_from(message)?;
        let account = self.account_of_token(&call, &token).await?;
        let state = match password {
            Some(_) => PasswordState::Set,
            None => PasswordState::None,
        };
        let plan = PasswordPlan {
            on: OnUser {
                user: token.user,
                command: command(token.digest(), state),
            },
            hashed: Hashed::later(password),
            proven_by: None,
        };
        let order = order(call, digest, account, options);
        let done = self.executor().run(&order, &plan).await?;
        self.user_changed(&done).await
    }

    /// The account of the user that a token names, where the caller may know of it and the token is one that was sent.
    async fn account_of_token(&self, call: &Call, token: &UserToken) -> Outcome<AccountId> {
        let (user, _) = self
            .executor()
            .fresh::<User>(&token.user.to_string())
            .await?;
        let account = user.account_id().cloned();
        account
            .filter(|account| call.caller.may_enter(account))
            .ok_or_else(|| Failure::refused(&UserError::LinkNotFound))
    }

    async fn report_checked(
        &self,
        request: Request<pb::ReportSignInRequest>,
    ) -> Outcome<pb::ReportSignInResponse> {
        let Arrived {
            call,
            message,
            digest,
        } = self.arrive(request).await?;
        let to = ToUser::<ReportSignIn>::try_from(message)?;
        let order = order(call, digest, to.account.clone(), to.options);
        let plan = ReportSignInPlan(OnUser {
            user: to.user,
            command: to.command,
        });
        let done = self.executor().run(&order, &plan).await?;
        let mut entry = done.outcome.entry;
        if let Some(slot) = done.slots.first() {
            let executor = self.executor();
            let (account, _) = executor.fresh::<Account>(to.account.as_str()).await?;
            if slot.used >= attempts::limit_of(&account) {
                let (user, _) = executor.fresh::<User>(&to.user.to_string()).await?;
                executor.lock(&to.account, &user).await?;
            }
            if !slot.taken {
                entry = Some(Entry::Locked);
            }
        }
        Ok(pb::ReportSignInResponse {
            result: sign_in_result(entry).into(),
            revision: done.outcome.user.revision,
            position: done.position,
        })
    }
}

macro_rules! answer {
    ($changed:expr, $response:ident) => {{
        let changed: Changed = $changed.await?;
        Ok(Response::new(pb::$response {
            user: Some(changed.user),
            revision: changed.revision,
            position: changed.position,
        }))
    }};
}

#[tonic::async_trait]
impl CredentialService for Directory {
    async fn set_password(
        &self,
        request: Request<pb::SetPasswordRequest>,
    ) -> Result<Response<pb::SetPasswordResponse>, Status> {
        answer!(self.set(request), SetPasswordResponse)
    }

    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        answer!(self.change(request), ChangePasswordResponse)
    }

    async fn verify_password(
        &self,
        request: Request<pb::VerifyPasswordRequest>,
    ) -> Result<Response<pb::VerifyPasswordResponse>, Status> {
        Ok(Response::new(self.verify(request).await?))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        Ok(Response::new(self.request_reset(request).await?))
    }

    async fn complete_password_reset(
        &self,
        request: Request<pb::CompletePasswordResetRequest>,
    ) -> Result<Response<pb::CompletePasswordResetResponse>, Status> {
        let complete = |token_digest, _| CompletePasswordReset { token_digest };
        answer!(
            self.follow_link(request, complete),
            CompletePasswordResetResponse
        )
    }

    async fn complete_welcome(
        &self,
        request: Request<pb::CompleteWelcomeRequest>,
    ) -> Result<Response<pb::CompleteWelcomeResponse>, Status> {
        let complete = |token_digest, password| CompleteWelcome {
            token_digest,
            password,
        };
        answer!(self.follow_link(request, complete), CompleteWelcomeResponse)
    }

    async fn report_sign_in(
        &self,
        request: Request<pb::ReportSignInRequest>,
    ) -> Result<Response<pb::ReportSignInResponse>, Status> {
        Ok(Response::new(self.report_checked(request).await?))
    }

    async fn report_mfa_enrolled(
        &self,
        request: Request<pb::ReportMfaEnrolledRequest>,
    ) -> Result<Response<pb::ReportMfaEnrolledResponse>, Status> {
        changed!(self, request, ReportMfaEnrolled, ReportMfaEnrolledResponse)
    }

    async fn reset_mfa(
        &self,
        request: Request<pb::ResetMfaRequest>,
    ) -> Result<Response<pb::ResetMfaResponse>, Status> {
        changed!(self, request, ResetMfa, ResetMfaResponse)
    }

    async fn revoke_sessions(
        &self,
        request: Request<pb::RevokeSessionsRequest>,
    ) -> Result<Response<pb::RevokeSessionsResponse>, Status> {
        changed!(self, request, RevokeSessions, RevokeSessionsResponse)
    }
}
