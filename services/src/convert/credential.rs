//! Credentials on the wire.

use rollbook_aggregates::user::{
    ChangePassword, Entry, ReportMfaEnrolled, ReportSignIn, ResetMfa, RevokeSessions, SetPassword,
};
use rollbook_aggregates::values::{AccountId, EnteredPassword, Password, UserId};
use rollbook_proto::v1 as pb;

use super::user::{ToUser, known};
use super::{Fields, options};
use crate::executor::Options;
use crate::failure::{Failure, Outcome};
use crate::tokens::UserToken;

/// A command that gives a user a password, with the password that proves who asks for it.
#[derive(Clone, Debug)]
pub struct WithPasswords<C> {
    /// The command.
    pub command: C,
    /// The password to be.
    pub password: Password,
    /// The password that was entered as proof.
    pub entered: EnteredPassword,
}

impl TryFrom<pb::SetPasswordRequest> for ToUser<WithPasswords<SetPassword>> {
    type Error = Failure;

    fn try_from(request: pb::SetPasswordRequest) -> Outcome<Self> {
        let pb::SetPasswordRequest {
            account_id,
            user_id,
            password,
            one_time,
            administrator_password,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let password = fields.read("password", &password, Password::parse_shorter);
            let entered = fields.read(
                "administrator_password",
                &administrator_password,
                EnteredPassword::parse,
            );
            Some(WithPasswords {
                command: SetPassword { one_time },
                password: password?,
                entered: entered?,
            })
        })
    }
}

impl TryFrom<pb::ChangePasswordRequest> for ToUser<WithPasswords<ChangePassword>> {
    type Error = Failure;

    fn try_from(request: pb::ChangePasswordRequest) -> Outcome<Self> {
        let pb::ChangePasswordRequest {
            account_id,
            user_id,
            present_password,
            password,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let password = fields.read("password", &password, Password::parse_shorter);
            let entered = fields.read(
                "present_password",
                &present_password,
                EnteredPassword::parse,
            );
            let (password, entered) = (password?, entered?);
            if password.is(&entered) {
                fields.bad("password", "must be another one than it is");
            }
            Some(WithPasswords {
                command: ChangePassword,
                password,
                entered,
            })
        })
    }
}

/// A sign-in that is to be checked.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Where.
    pub account: AccountId,
    /// What the user signs in with, as typed.
    pub user_name: String,
    /// The password that was entered.
    pub entered: EnteredPassword,
}

impl TryFrom<pb::VerifyPasswordRequest> for SignIn {
    type Error = Failure;

    fn try_from(request: pb::VerifyPasswordRequest) -> Outcome<Self> {
        let pb::VerifyPasswordRequest {
            account_id,
            user_name,
            password,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let user_name = read_user_name(&mut fields, user_name);
        let entered = fields.read("password", &password, EnteredPassword::parse);
        let (account, user_name, entered) = fields.finish((account, user_name, entered))?;
        Ok(Self {
            account,
            user_name,
            entered,
        })
    }
}

/// Reads what somebody signs in with.
pub(in crate::convert) fn read_user_name(fields: &mut Fields, text: String) -> Option<String> {
    let fits = (1..=254).contains(&text.chars().count());
    let checked = fits.then_some(text).ok_or("must have 1 to 254 characters");
    fields.checked("user_name", checked)
}

/// A reset link that is asked for.
#[derive(Clone, Debug)]
pub struct ResetRequested {
    /// Where.
    pub account: AccountId,
    /// For whom: an id, or what the user signs in with.
    pub whose: Result<UserId, String>,
    /// What the command carries.
    pub options: Options,
}

impl TryFrom<pb::RequestPasswordResetRequest> for ResetRequested {
    type Error = Failure;

    fn try_from(request: pb::RequestPasswordResetRequest) -> Outcome<Self> {
        use pb::request_password_reset_request::Key;
        let pb::RequestPasswordResetRequest {
            account_id,
            key,
            command,
        } = request;
        let mut fields = Fields::default();
        let account = fields.read("account_id", &account_id, AccountId::parse);
        let whose = match key {
            None => {
                fields.bad("user_id", "or `user_name` must be given");
                None
            }
            Some(Key::UserId(id)) => fields.read("user_id", &id, UserId::parse).map(Ok),
            Some(Key::UserName(name)) => read_user_name(&mut fields, name).map(Err),
        };
        let options = options(&mut fields, command);
        let (account, whose) = fields.finish((account, whose))?;
        Ok(Self {
            account,
            whose,
            options,
        })
    }
}

/// A link that was followed, with the password that was chosen.
#[derive(Clone, Debug)]
pub struct LinkFollowed {
    /// The token of the link.
    pub token: UserToken,
    /// The password, where one was chosen.
    pub password: Option<Password>,
    /// What the command carries.
    pub options: Options,
}

impl LinkFollowed {
    fn read(
        token: &str,
        command: Option<pb::CommandOptions>,
        read: impl FnOnce(&mut Fields) -> Option<Option<Password>>,
    ) -> Outcome<Self> {
        let mut fields = Fields::default();
        let token = fields.read("token", token, UserToken::parse);
        let password = read(&mut fields);
        let options = options(&mut fields, command);
        let (token, password) = fields.finish((token, password))?;
        Ok(Self {
            token,
            password,
            options,
        })
    }
}

impl TryFrom<pb::CompletePasswordResetRequest> for LinkFollowed {
    type Error = Failure;

    fn try_from(request: pb::CompletePasswordResetRequest) -> Outcome<Self> {
        let pb::CompletePasswordResetRequest {
            token,
            password,
            command,
        } = request;
        Self::read(&token, command, |fields| {
            let password = fields.read("password", &password, Password::parse_shorter);
            password.map(Some)
        })
    }
}

impl TryFrom<pb::CompleteWelcomeRequest> for LinkFollowed {
    type Error = Failure;

    fn try_from(request: pb::CompleteWelcomeRequest) -> Outcome<Self> {
        let pb::CompleteWelcomeRequest {
            token,
            password,
            command,
        } = request;
        Self::read(&token, command, |fields| {
            Some(fields.optional("password", &password, Password::parse_shorter))
        })
    }
}

impl TryFrom<pb::ReportSignInRequest> for ToUser<ReportSignIn> {
    type Error = Failure;

    fn try_from(request: pb::ReportSignInRequest) -> Outcome<Self> {
        let pb::ReportSignInRequest {
            account_id,
            user_id,
            checked,
            command,
        } = request;
        Self::read(&account_id, &user_id, command, |fields| {
            let succeeded = match fields.checked("checked", known(checked))? {
                pb::CheckedSignIn::Unspecified => {
                    fields.bad("checked", "must be given");
                    None
                }
                pb::CheckedSignIn::Succeeded => Some(true),
                pb::CheckedSignIn::Failed => Some(false),
            };
            Some(ReportSignIn {
                succeeded: succeeded?,
            })
        })
    }
}

macro_rules! bare {
    ($($request:ident => $command:ident,)+) => {$(
        impl TryFrom<pb::$request> for ToUser<$command> {
            type Error = Failure;

            fn try_from(request: pb::$request) -> Outcome<Self> {
                let pb::$request {
                    account_id,
                    user_id,
                    command,
                } = request;
                Self::read(&account_id, &user_id, command, |_| Some($command))
            }
        }
    )+};
}

bare! {
    ReportMfaEnrolledRequest => ReportMfaEnrolled,
    ResetMfaRequest => ResetMfa,
}

impl TryFrom<pb::RevokeSessionsRequest> for ToUser<RevokeSessions> {
    type Error = Failure;

    fn try_from(request: pb::RevokeSessionsRequest) -> Outcome<Self> {
        let pb::RevokeSessionsRequest {
            account_id,
            user_id,
            command,
        } = request;
        let mut to = Self::read(&account_id, &user_id, command, |_| Some(RevokeSessions))?;
        to.own = true;
        Ok(to)
    }
}

/// What becomes of a sign-in, as the contract has it; nothing: it is rejected.
#[must_use]
pub const fn sign_in_result(entry: Option<Entry>) -> pb::SignInResult {
    match entry {
        Some(Entry::SignedIn) => pb::SignInResult::SignedIn,
        Some(Entry::PasswordChangeRequired) => pb::SignInResult::PasswordChangeRequired,
        Some(Entry::Inactive) => pb::SignInResult::Inactive,
        Some(Entry::Locked) => pb::SignInResult::Locked,
        // Who is not onboarded has no password here, and its sign-ins are not reported.
        Some(Entry::NotOnboarded) | None => pb::SignInResult::Rejected,
    }
}
