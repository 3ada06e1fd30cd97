//! An account to tell stories about: three companies, roles, modules, an administrator, and a caller of every role.

use rollbook_proto::v1 as pb;
use rollbook_proto::v1::get_user_request::Key;
use rollbook_services::caller::Role;

use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::answer::Answer as _;
use crate::caller::{Caller, Identity};
use crate::directory::{Directory, Process};
use crate::people;
use crate::program::Program;

/// An account and those who call for it.
#[derive(Clone)]
pub struct Tenant {
    /// Its id.
    pub account_id: String,
    /// The ids of its three companies: Alpha, Beta, Gamma.
    pub companies: Vec<String>,
    /// Its first administrator.
    pub administrator: pb::User,
    /// Who creates accounts.
    pub operator: Caller,
    /// Its first administrator as a caller.
    pub admin: Caller,
    /// A service that reports involvements.
    pub service: Caller,
    /// Where people accept invitations.
    pub portal: Caller,
    /// Its auditor, who may see personal data.
    pub auditor: Caller,
}

/// A request about a tenant: its `account_id` is filled in, values are converted, what is not named takes its default.
#[macro_export]
macro_rules! ask {
    (@value $field:ident) => { $field };
    (@value $field:ident $value:expr) => { $value };
    ($tenant:expr, $request:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        {
            let mut request = $crate::pb::$request::default();
            $tenant.account_id.clone_into(&mut request.account_id);
            $(request.$field = ($crate::ask!(@value $field $($value)?)).into();)*
            request
        }
    };
}

impl Tenant {
    /// An account that keeps passwords elsewhere, so that nobody waits for a password to be hashed.
    pub async fn create(directory: &Directory, account_id: &str) -> Self {
        let request = Self::request(account_id);
        Self::create_with(directory, request).await
    }

    /// An account that keeps passwords itself; its administrator has [`people::PASSWORD`].
    pub async fn with_passwords(directory: &Directory, account_id: &str) -> Self {
        let mut request = Self::request(account_id);
        request.settings = Some(pb::AccountSettings::default());
        let administrator = request.administrator.as_mut().unwrap();
        people::PASSWORD.clone_into(&mut administrator.password);
        Self::create_with(directory, request).await
    }

    /// An account whose users sign in with their signature, and may share an e-mail address.
    pub async fn with_signature_login(directory: &Directory, account_id: &str) -> Self {
        let mut request = Self::request(account_id);
        let settings = request.settings.as_mut().unwrap();
        settings.login = pb::Login::Signature.into();
        Self::create_with(directory, request).await
    }

    /// The account as this request asks for it.
    pub async fn create_with(directory: &Directory, request: pb::CreateAccountRequest) -> Self {
        let operator = directory.operator();
        let created = operator.accounts().create_account(request).await.answer();
        let account = created.account.unwrap();
        let administrator = created.administrator.unwrap();
        let id = account.account_id.as_str();
        let caller = |role, subject: &str| {
            directory.caller(Identity {
                scope: "personal-data".to_owned(),
                ..Identity::new(role, subject, Some(id))
            })
        };
        Self {
            companies: account
                .companies
                .iter()
                .map(|company| company.company_id.clone())
                .collect(),
            admin: caller(Role::Administrator, &administrator.user_id),
            service: caller(Role::Service, "invoices"),
            portal: caller(Role::Portal, "portal"),
            auditor: caller(Role::Auditor, "auditor"),
            account_id: id.to_owned(),
            administrator,
            operator,
        }
    }

    /// What a story's account is made of.
    #[must_use]
    pub fn request(account_id: &str) -> pb::CreateAccountRequest {
        let named = |name: &str| pb::Role {
            role: name.to_owned(),
            title: format!("The {name}"),
        };
        pb::CreateAccountRequest {
            account_id: account_id.to_owned(),
            title: format!("Account {account_id}"),
            settings: Some(pb::AccountSettings {
                password_authority: pb::PasswordAuthority::External.into(),
                ..pb::AccountSettings::default()
            }),
            companies: ["Alpha", "Beta", "Gamma"].map(str::to_owned).to_vec(),
            roles: vec![named("clerk"), named("manager"), named("reviewer")],
            modules: vec![
                pb::Module {
                    module: "invoices".to_owned(),
                    title: "Invoices".to_owned(),
                    administrator_only: false,
                },
                pb::Module {
                    module: "archive".to_owned(),
                    title: "Archive".to_owned(),
                    administrator_only: false,
                },
            ],
            administrator: Some(people::administrator("ADM")),
            command: None,
        }
    }

    /// Asks for this user.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn try_create(
        &self,
        user: pb::NewUser,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let request = ask!(self, CreateUserRequest { user });
        self.admin.users().create_user(request).await
    }

    /// Creates this user.
    pub async fn create_user(&self, user: pb::NewUser) -> pb::User {
        self.try_create(user).await.answer().user.unwrap()
    }

    /// Creates an active STANDARD user without companies.
    pub async fn user(&self, signature: &str) -> pb::User {
        self.create_user(people::person(signature)).await
    }

    /// Creates a user who is sent a welcome link; answers its id and the token.
    pub async fn welcomed(&self, signature: &str) -> (String, String) {
        let user = pb::NewUser {
            welcome: true,
            ..people::person(signature)
        };
        let created = self.try_create(user).await.answer();
        (created.user.unwrap().user_id, created.welcome_token)
    }

    /// Creates a user with this password.
    pub async fn user_with(&self, signature: &str, password: &str) -> pb::User {
        self.create_user(pb::NewUser {
            password: password.to_owned(),
            ..people::person(signature)
        })
        .await
    }

    /// What becomes of somebody who signs in at the portal.
    pub async fn sign_in(&self, user_name: &str, password: &str) -> pb::SignInResult {
        self.portal
            .credentials()
            .verify_password(ask!(
                self,
                VerifyPasswordRequest {
                    user_name,
                    password
                }
            ))
            .await
            .answer()
            .result()
    }

    /// The token of a reset link, which the portal asked for.
    pub async fn reset_token(&self, user_name: &str) -> String {
        let key = pb::request_password_reset_request::Key::UserName(user_name.to_owned());
        self.portal
            .credentials()
            .request_password_reset(ask!(self, RequestPasswordResetRequest { key }))
            .await
            .answer()
            .token
    }

    /// Creates an active STANDARD user in all three companies.
    pub async fn clerk(&self, signature: &str) -> pb::User {
        self.create_user(pb::NewUser {
            companies: self.companies.iter().map(|id| people::link(id)).collect(),
            ..people::person(signature)
        })
        .await
    }

    /// Creates another administrator, and answers it with a caller of its own.
    pub async fn another_administrator(
        &self,
        directory: &Directory,
        signature: &str,
    ) -> (pb::User, Caller) {
        let user = self.create_user(people::administrator(signature)).await;
        let caller = self.administrator_caller(directory, &user.user_id);
        (user, caller)
    }

    /// A caller with the token of an administrator of this account, whatever the user is.
    #[must_use]
    pub fn administrator_caller(&self, directory: &Directory, user_id: &str) -> Caller {
        directory.caller(Identity {
            scope: "personal-data".to_owned(),
            ..Identity::new(Role::Administrator, user_id, Some(&self.account_id))
        })
    }

    /// Asks for the user that this key names, as a service does.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn find(&self, key: Key) -> Result<Response<pb::GetUserResponse>, Status> {
        let request = ask!(self, GetUserRequest { key });
        self.service.users().get_user(request).await
    }

    /// The same account at another process.
    #[must_use]
    pub fn at(&self, process: &Process) -> Self {
        self.on(&process.channel())
    }

    /// The same account and callers, at a process of the program.
    #[must_use]
    pub fn through(&self, program: &Program) -> Self {
        self.on(&program.channel())
    }

    fn on(&self, channel: &Channel) -> Self {
        let at = |caller: &Caller| caller.at(channel.clone());
        Self {
            operator: at(&self.operator),
            admin: at(&self.admin),
            service: at(&self.service),
            portal: at(&self.portal),
            auditor: at(&self.auditor),
            ..self.clone()
        }
    }

    /// The same account, whose administrator has a token of now.
    #[must_use]
    pub fn signed_in_again(&self) -> Self {
        Self {
            admin: self.admin.signed_in_again(),
            ..self.clone()
        }
    }

    /// The same person as a caller of the process that this account is reached through.
    #[must_use]
    pub fn reached_by(&self, caller: &Caller) -> Caller {
        caller.at(self.admin.channel())
    }

    /// The user as it is now.
    pub async fn get(&self, user_id: &str) -> pb::User {
        let key = Key::UserId(user_id.to_owned());
        self.find(key).await.answer().user.unwrap()
    }

    /// The account as it is now.
    pub async fn account(&self) -> pb::Account {
        self.admin
            .accounts()
            .get_account(ask!(self, GetAccountRequest {}))
            .await
            .answer()
            .account
            .unwrap()
    }

    /// The signatures that a list of all users shows, in its order.
    pub async fn signatures(&self) -> Vec<String> {
        self.admin
            .users()
            .list_users(ask!(
                self,
                ListUsersRequest {
                    page_size: 1000_u32
                }
            ))
            .await
            .answer()
            .users
            .into_iter()
            .map(|user| user.signature)
            .collect()
    }

    /// The types of the events of a stream, in order.
    pub async fn event_types(&self, stream: &str) -> Vec<String> {
        self.auditor
            .history()
            .list_events(pb::ListEventsRequest {
                filter: Some(pb::EventFilter {
                    account_id: self.account_id.clone(),
                    streams: vec![stream.to_owned()],
                    ..pb::EventFilter::default()
                }),
                page_size: 1000,
                ..pb::ListEventsRequest::default()
            })
            .await
            .answer()
            .events
            .into_iter()
            .map(|event| event.event_type)
            .collect()
    }
}
