//! A valid request for each method of the contract, to be sent as it is or spoiled in every way.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use prost_types::FieldMask;
use rollbook_proto::v1 as pb;
use rollbook_services::access;
use rollbook_services::caller::Role;
use tonic::{Response, Status};

use crate::answer::Answer as _;
use crate::ask;
use crate::caller::{Caller, Identity};
use crate::contract;
use crate::directory::Directory;
use crate::people::{PASSWORD, allegiance, grant, link, person};
use crate::tenant::Tenant;

/// The methods whose samples are for the account that keeps passwords itself.
const PASSWORDS: [&str; 7] = [
    "SetPassword",
    "ChangePassword",
    "VerifyPassword",
    "RequestPasswordReset",
    "CompletePasswordReset",
    "CompleteWelcome",
    "ResendWelcome",
];

/// An account in which every method has something to work on.
pub struct World {
    tenant: Tenant,
    /// A user with every kind of involvement.
    busy: String,
    /// A user whom nothing needs.
    idle: String,
    /// A user of another account who has access to this one.
    guest: String,
    /// A user of another account who has none.
    stranger: String,
    invitation_id: String,
    invitation_token: String,
    /// A mail that could not be sent.
    mail_id: String,
    /// Of an event of this account.
    position: u64,
    own: Caller,
    keeper: Keeper,
}

/// An account that keeps passwords itself.
struct Keeper {
    tenant: Tenant,
    /// A user who was sent a welcome link.
    welcomed: String,
    welcome_token: String,
    /// Of its administrator.
    reset_token: String,
}

impl Keeper {
    async fn create(directory: &Directory, account_id: &str) -> Self {
        let tenant = Tenant::with_passwords(directory, account_id).await;
        let (welcomed, welcome_token) = tenant.welcomed("WEL").await;
        let reset_token = tenant.reset_token(&tenant.administrator.email).await;
        Self {
            tenant,
            welcomed,
            welcome_token,
            reset_token,
        }
    }
}

/// A valid request, and somebody who may send it.
#[derive(Clone)]
pub struct Sample {
    /// The method it is for.
    pub method: MethodDescriptor,
    /// The request.
    pub message: DynamicMessage,
    /// Who may send it.
    pub caller: Caller,
}

impl Sample {
    /// Sends the request as it now is, and answers the first message that comes back.
    ///
    /// # Errors
    /// The status, where it is refused.
    pub async fn send(&self) -> Result<Response<DynamicMessage>, Status> {
        self.send_bytes(self.message.encode_to_vec()).await
    }

    /// Sends these bytes instead.
    ///
    /// # Errors
    /// The status, where they are refused.
    pub async fn send_bytes(&self, bytes: Vec<u8>) -> Result<Response<DynamicMessage>, Status> {
        let path = contract::path(&self.method);
        let answer = self.caller.raw(&path, bytes).await?;
        let output = self.method.output();
        Ok(answer.map(|bytes| DynamicMessage::decode(output, bytes.as_slice()).unwrap()))
    }

    /// The same request with another value in one of its texts.
    #[must_use]
    pub fn with(&self, path: &[Step], text: &str) -> Self {
        let mut spoiled = self.clone();
        set(&mut spoiled.message, path, text);
        spoiled
    }

    /// The same request with these options.
    #[must_use]
    pub fn with_options(&self, options: &pb::CommandOptions) -> Self {
        let mut changed = self.clone();
        let descriptor = contract::pool()
            .get_message_by_name("rollbook.v1.CommandOptions")
            .unwrap();
        let options =
            DynamicMessage::decode(descriptor, options.encode_to_vec().as_slice()).unwrap();
        changed
            .message
            .set_field_by_name("command", Value::Message(options));
        changed
    }

    /// Where its texts are, those of messages inside it included.
    #[must_use]
    pub fn texts(&self) -> Vec<Vec<Step>> {
        let mut found = Vec::new();
        texts_of(&self.message, &mut Vec::new(), &mut found);
        found
    }
}

/// A step on the way to a value inside a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a field.
    Field(String),
    /// To an element of a list.
    Element(usize),
}

/// A way as errors name it: `user.companies[0].company_id`.
#[must_use]
pub fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.extend([".", name]),
            Step::Element(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}

fn texts_of(message: &DynamicMessage, way: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    for field in message.descriptor().fields() {
        way.push(Step::Field(field.name().to_owned()));
        let value = message.get_field(&field);
        match (&*value, field.kind()) {
            (Value::String(_), _)
                if field.containing_oneof().is_none() || message.has_field(&field) =>
            {
                found.push(way.clone());
            }
            (Value::Message(inner), _) if message.has_field(&field) => texts_of(inner, way, found),
            (Value::List(elements), Kind::String | Kind::Message(_)) => {
                for (index, element) in elements.iter().enumerate() {
                    way.push(Step::Element(index));
                    match element {
                        Value::Message(inner) => texts_of(inner, way, found),
                        _ => found.push(way.clone()),
                    }
                    way.pop();
                }
            }
            _ => {}
        }
        way.pop();
    }
}

fn set(message: &mut DynamicMessage, path: &[Step], text: &str) {
    let Some((Step::Field(name), rest)) = path.split_first() else {
        panic!("no field begins the way {path:?}");
    };
    let field = message.get_field_by_name_mut(name).unwrap();
    let (value, rest) = match (field, rest.split_first()) {
        (Value::List(elements), Some((Step::Element(index), rest))) => {
            (&mut elements[*index], rest)
        }
        (field, _) => (field, rest),
    };
    match value {
        Value::Message(inner) => set(inner, rest, text),
        value => *value = Value::String(text.to_owned()),
    }
}

impl World {
    /// Makes an account of this id with everything in it.
    pub async fn create(directory: &Directory, account_id: &str) -> Self {
        let tenant = Tenant::create(directory, account_id).await;
        let busy = tenant.clerk("BUSY").await.user_id;
        let idle = tenant.clerk("IDLE").await.user_id;
        let (guest, stranger) = Self::from_elsewhere(directory, &tenant).await;
        let (company_id, user_id) = (&tenant.companies[0], &busy);
        let mut reports = tenant.service.involvements();
        reports
            .report_invoice_queued(ask!(
                tenant,
                ReportInvoiceQueuedRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-1"
                }
            ))
            .await
            .answer();
        reports
            .report_invoice_reviewed(ask!(
                tenant,
                ReportInvoiceReviewedRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-1"
                }
            ))
            .await
            .answer();
        reports
            .link_flow_template(ask!(
                tenant,
                LinkFlowTemplateRequest {
                    company_id,
                    user_id,
                    flow_template_id: "FLOW-1"
                }
            ))
            .await
            .answer();
        reports
            .link_reference(ask!(
                tenant,
                LinkReferenceRequest {
                    company_id,
                    user_id,
                    reference_id: "REF-1"
                }
            ))
            .await
            .answer();
        let emails = vec!["invited@example.com".to_owned()];
        let invited = tenant
            .admin
            .invitations()
            .invite_users(ask!(tenant, InviteUsersRequest { emails }))
            .await
            .answer();
        let Some(pb::invite_result::Outcome::Invited(invited)) = invited.results[0].outcome.clone()
        else {
            panic!("not invited: {invited:?}");
        };
        tenant
            .admin
            .accounts()
            .define_role(ask!(
                tenant,
                DefineRoleRequest {
                    role: "spare",
                    title: "Nobody's"
                }
            ))
            .await
            .answer();
        let spare = tenant
            .admin
            .accounts()
            .add_company(ask!(tenant, AddCompanyRequest { title: "Spare" }))
            .await
            .answer();
        let mail_id = directory.dead_letter(account_id, &idle).await;
        let mut companies = tenant.companies.clone();
        companies.push(spare.company.unwrap().company_id);
        Self {
            tenant: Tenant {
                companies,
                ..tenant
            },
            busy,
            own: directory.caller(Identity::new(Role::Own, &idle, Some(account_id))),
            idle,
            guest,
            stranger,
            invitation_id: invited.invitation.unwrap().invitation_id,
            invitation_token: invited.token,
            mail_id,
            position: spare.position,
            keeper: Keeper::create(directory, &format!("{account_id}-keeps")).await,
        }
    }

    /// Two users of another account: one who has access to this one, and one who has none.
    async fn from_elsewhere(directory: &Directory, tenant: &Tenant) -> (String, String) {
        let home = Tenant::create(directory, &format!("{}-home", tenant.account_id)).await;
        let user_id = home.user("GUEST").await.user_id;
        tenant
            .operator
            .external_access()
            .grant_access(ask!(tenant, GrantAccessRequest { user_id: &user_id }))
            .await
            .answer();
        (user_id, home.user("STRANGER").await.user_id)
    }

    /// The account.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// A caller of this role for this account; the operator is for all.
    #[must_use]
    pub fn caller(&self, role: Role) -> Caller {
        self.caller_of(&self.tenant, role)
    }

    fn caller_of(&self, tenant: &Tenant, role: Role) -> Caller {
        match role {
            Role::Operator => &tenant.operator,
            Role::Administrator => &tenant.admin,
            Role::Service => &tenant.service,
            Role::Portal => &tenant.portal,
            Role::Auditor => &tenant.auditor,
            Role::Own => &self.own,
        }
        .clone()
    }

    /// A valid request for each method of the contract.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        contract::methods()
            .into_iter()
            .map(|method| self.sample(method))
            .collect()
    }

    /// A valid request for this method, and the first of the roles that may send it, an administrator where it may.
    #[must_use]
    pub fn sample(&self, method: MethodDescriptor) -> Sample {
        let name = method.name();
        let bytes = [
            self.account_request(name),
            self.user_request(name),
            self.user_company_request(name),
            self.access_request(name),
            self.credential_request(name),
            self.invitation_request(name),
            self.involvement_request(name),
            self.routing_request(name),
            self.reading_request(name),
            self.proving_request(name),
        ]
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_else(|| panic!("no valid request for {name}: please add one"));
        let message = DynamicMessage::decode(method.input(), bytes.as_slice()).unwrap();
        let may = access::rule(&contract::path(&method))
            .unwrap_or_else(|| panic!("no access rule for {name}"))
            .roles;
        let role = if may.contains(&Role::Administrator) {
            Role::Administrator
        } else {
            may[0]
        };
        let tenant = if PASSWORDS.contains(&method.name()) {
            &self.keeper.tenant
        } else {
            &self.tenant
        };
        Sample {
            caller: self.caller_of(tenant, role),
            method,
            message,
        }
    }

    fn account_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let bytes = match method {
            "CreateAccount" => Tenant::request(&format!("{}-too", t.account_id)).encode_to_vec(),
            "GetAccount" => ask!(t, GetAccountRequest {}).encode_to_vec(),
            "ListAccounts" => pb::ListAccountsRequest::default().encode_to_vec(),
            "UpdateAccountSettings" => ask!(
                t,
                UpdateAccountSettingsRequest {
                    title: "Another title",
                    settings: pb::AccountSettings {
                        invitation_validity_days: 9,
                        ..Default::default()
                    },
                    update_mask: mask(&["title", "settings.invitation_validity_days"]),
                }
            )
            .encode_to_vec(),
            "AddCompany" => ask!(t, AddCompanyRequest { title: "Delta" }).encode_to_vec(),
            "RenameCompany" => ask!(
                t,
                RenameCompanyRequest {
                    company_id: &t.companies[0],
                    title: "Alpha Two"
                }
            )
            .encode_to_vec(),
            "RemoveCompany" => ask!(
                t,
                RemoveCompanyRequest {
                    company_id: &t.companies[3]
                }
            )
            .encode_to_vec(),
            "DefineRole" => ask!(
                t,
                DefineRoleRequest {
                    role: "pilot",
                    title: "Pilot"
                }
            )
            .encode_to_vec(),
            "RemoveRole" => ask!(t, RemoveRoleRequest { role: "spare" }).encode_to_vec(),
            "DefineModule" => ask!(
                t,
                DefineModuleRequest {
                    module: "flight",
                    title: "Flight"
                }
            )
            .encode_to_vec(),
            "RemoveModule" => ask!(t, RemoveModuleRequest { module: "archive" }).encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn user_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let user_id = &self.idle;
        let bytes = match method {
            "CreateUser" => ask!(
                t,
                CreateUserRequest {
                    user: pb::NewUser {
                        phone: "12 34 56".to_owned(),
                        mobile_phone: "65 43 21".to_owned(),
                        language: "sv".to_owned(),
                        roles: vec!["clerk".to_owned()],
                        permissions: vec![grant("invoices")],
                        companies: vec![link(&t.companies[0])],
                        ..person("NEW")
                    }
                }
            )
            .encode_to_vec(),
            "CopyUser" => ask!(
                t,
                CopyUserRequest {
                    source_user_id: &self.busy,
                    user: person("COPY")
                }
            )
            .encode_to_vec(),
            "UpdateUser" => ask!(
                t,
                UpdateUserRequest {
                    user_id,
                    profile: pb::UserProfile {
                        signature: "IDL2".to_owned(),
                        first_name: "Ida".to_owned(),
                        last_name: "Ek".to_owned(),
                        email: "ida@example.com".to_owned(),
                        user_type: pb::UserType::Standard.into(),
                        ..Default::default()
                    },
                    update_mask: mask(&["*"]),
                }
            )
            .encode_to_vec(),
            "ImportUsers" => pb::ImportUsersRequest {
                header: Some(pb::ImportHeader {
                    account_id: t.account_id.clone(),
                    command: None,
                }),
                rows: Vec::new(),
            }
            .encode_to_vec(),
            "WatchUsers" => ask!(t, WatchUsersRequest {}).encode_to_vec(),
            "DeleteUser" => ask!(t, DeleteUserRequest { user_id }).encode_to_vec(),
            "ActivateUser" => ask!(t, ActivateUserRequest { user_id }).encode_to_vec(),
            "DeactivateUser" => ask!(t, DeactivateUserRequest { user_id }).encode_to_vec(),
            "LockUser" => ask!(t, LockUserRequest { user_id }).encode_to_vec(),
            "UnlockUser" => ask!(t, UnlockUserRequest { user_id }).encode_to_vec(),
            "SetUserRoles" => ask!(
                t,
                SetUserRolesRequest {
                    user_id,
                    roles: vec!["manager".to_owned()]
                }
            )
            .encode_to_vec(),
            "SetUserPermissions" => ask!(
                t,
                SetUserPermissionsRequest {
                    user_id,
                    permissions: vec![pb::Permission {
                        company_id: t.companies[0].clone(),
                        ..grant("invoices")
                    }],
                }
            )
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn user_company_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let user_id = &self.idle;
        let bytes = match method {
            "AddUserCompanies" => {
                let companies = vec![link(&t.companies[3])];
                ask!(t, AddUserCompaniesRequest { user_id, companies }).encode_to_vec()
            }
            "RemoveUserCompanies" => {
                let company_ids = vec![t.companies[1].clone()];
                ask!(
                    t,
                    RemoveUserCompaniesRequest {
                        user_id,
                        company_ids
                    }
                )
                .encode_to_vec()
            }
            "CopyUserCompany" => ask!(
                t,
                CopyUserCompanyRequest {
                    user_id,
                    source_company_id: &t.companies[0],
                    target_company_ids: vec![t.companies[2].clone()],
                    what: pb::CopiedProperties::Everything,
                }
            )
            .encode_to_vec(),
            "ReplaceSupervisor" => ask!(
                t,
                ReplaceSupervisorRequest {
                    supervisor_id: &self.busy,
                    replacement_id: user_id,
                    company_id: &t.companies[0],
                    missing_company: pb::MissingCompany::Leave,
                }
            )
            .encode_to_vec(),
            "UpdateUserCompany" => ask!(
                t,
                UpdateUserCompanyRequest {
                    user_id,
                    company: pb::UserCompany {
                        show_as_addressee: true,
                        supervisor_id: self.busy.clone(),
                        coding_allegiances: vec![allegiance("Department", "14")],
                        routing_allegiances: vec![allegiance("Project", "P-7")],
                        ..link(&t.companies[0])
                    },
                    update_mask: mask(&["*"]),
                }
            )
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn access_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let permissions = vec![pb::Permission {
            company_id: t.companies[0].clone(),
            ..grant("invoices")
        }];
        let user_id = &self.guest;
        let bytes = match method {
            "GrantAccess" => ask!(
                t,
                GrantAccessRequest {
                    user_id: &self.stranger,
                    permissions
                }
            )
            .encode_to_vec(),
            "UpdateAccess" => ask!(
                t,
                UpdateAccessRequest {
                    user_id,
                    permissions,
                    update_mask: mask(&["*"]),
                }
            )
            .encode_to_vec(),
            "RevokeAccess" => ask!(t, RevokeAccessRequest { user_id }).encode_to_vec(),
            "ListAccesses" => ask!(t, ListAccessesRequest { user_id }).encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn credential_request(&self, method: &str) -> Option<Vec<u8>> {
        let (t, k) = (&self.tenant, &self.keeper.tenant);
        let user_id = &self.idle;
        let administrator = &k.administrator;
        let password = "four candles in a blue boat";
        let bytes = match method {
            "SetPassword" => ask!(
                k,
                SetPasswordRequest {
                    user_id: &self.keeper.welcomed,
                    password,
                    administrator_password: PASSWORD,
                }
            )
            .encode_to_vec(),
            "ChangePassword" => ask!(
                k,
                ChangePasswordRequest {
                    user_id: &administrator.user_id,
                    present_password: PASSWORD,
                    password,
                }
            )
            .encode_to_vec(),
            "VerifyPassword" => ask!(
                k,
                VerifyPasswordRequest {
                    user_name: &administrator.email,
                    password: PASSWORD,
                }
            )
            .encode_to_vec(),
            "RequestPasswordReset" => ask!(
                k,
                RequestPasswordResetRequest {
                    key: pb::request_password_reset_request::Key::UserId(
                        administrator.user_id.clone()
                    ),
                }
            )
            .encode_to_vec(),
            "CompletePasswordReset" => pb::CompletePasswordResetRequest {
                token: self.keeper.reset_token.clone(),
                password: password.to_owned(),
                command: None,
            }
            .encode_to_vec(),
            "CompleteWelcome" => pb::CompleteWelcomeRequest {
                token: self.keeper.welcome_token.clone(),
                password: password.to_owned(),
                command: None,
            }
            .encode_to_vec(),
            "ResendWelcome" => ask!(
                k,
                ResendWelcomeRequest {
                    user_id: &self.keeper.welcomed
                }
            )
            .encode_to_vec(),
            "ReportSignIn" => ask!(
                t,
                ReportSignInRequest {
                    user_id,
                    checked: pb::CheckedSignIn::Succeeded,
                }
            )
            .encode_to_vec(),
            "ReportMfaEnrolled" => ask!(t, ReportMfaEnrolledRequest { user_id }).encode_to_vec(),
            "ResetMfa" => ask!(t, ResetMfaRequest { user_id }).encode_to_vec(),
            "RevokeSessions" => ask!(t, RevokeSessionsRequest { user_id }).encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn invitation_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let invitation_id = &self.invitation_id;
        let bytes = match method {
            "InviteUsers" => ask!(
                t,
                InviteUsersRequest {
                    emails: vec!["guest@example.com".to_owned()],
                    roles: vec!["clerk".to_owned()],
                    permissions: vec![grant("invoices")],
                    company_ids: vec![t.companies[0].clone()],
                }
            )
            .encode_to_vec(),
            "GetInvitation" => ask!(t, GetInvitationRequest { invitation_id }).encode_to_vec(),
            "LookUpInvitation" => pb::LookUpInvitationRequest {
                token: self.invitation_token.clone(),
            }
            .encode_to_vec(),
            "ListInvitations" => ask!(t, ListInvitationsRequest {}).encode_to_vec(),
            "ResendInvitation" => {
                ask!(t, ResendInvitationRequest { invitation_id }).encode_to_vec()
            }
            "DeleteInvitation" => {
                ask!(t, DeleteInvitationRequest { invitation_id }).encode_to_vec()
            }
            "AcceptInvitation" => pb::AcceptInvitationRequest {
                token: self.invitation_token.clone(),
                signature: "GUEST".to_owned(),
                first_name: "Greta".to_owned(),
                last_name: "Ek".to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn involvement_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let (company_id, user_id) = (&t.companies[0], &self.busy);
        let bytes = match method {
            "ReportInvoiceQueued" => ask!(
                t,
                ReportInvoiceQueuedRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-2"
                }
            )
            .encode_to_vec(),
            "ReportInvoiceDequeued" => ask!(
                t,
                ReportInvoiceDequeuedRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "ReportInvoiceReviewed" => ask!(
                t,
                ReportInvoiceReviewedRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-2"
                }
            )
            .encode_to_vec(),
            "RetractInvoiceReview" => ask!(
                t,
                RetractInvoiceReviewRequest {
                    company_id,
                    user_id,
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "ReportInvoicePosted" => ask!(
                t,
                ReportInvoicePostedRequest {
                    company_id,
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "ReportInvoiceWithdrawn" => ask!(
                t,
                ReportInvoiceWithdrawnRequest {
                    company_id,
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "LinkFlowTemplate" => ask!(
                t,
                LinkFlowTemplateRequest {
                    company_id,
                    user_id,
                    flow_template_id: "FLOW-2"
                }
            )
            .encode_to_vec(),
            "UnlinkFlowTemplate" => ask!(
                t,
                UnlinkFlowTemplateRequest {
                    company_id,
                    user_id,
                    flow_template_id: "FLOW-1"
                }
            )
            .encode_to_vec(),
            "LinkReference" => ask!(
                t,
                LinkReferenceRequest {
                    company_id,
                    user_id,
                    reference_id: "REF-2"
                }
            )
            .encode_to_vec(),
            "UnlinkReference" => ask!(
                t,
                UnlinkReferenceRequest {
                    company_id,
                    user_id,
                    reference_id: "REF-1"
                }
            )
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn routing_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let (company_id, user_id) = (&t.companies[0], &self.busy);
        let allegiances = vec![allegiance("Department", "14")];
        let bytes = match method {
            "GetCodingDefaults" => ask!(
                t,
                GetCodingDefaultsRequest {
                    company_id,
                    user_id
                }
            )
            .encode_to_vec(),
            "ProposeReviewers" => ask!(
                t,
                ProposeReviewersRequest {
                    company_id,
                    allegiances
                }
            )
            .encode_to_vec(),
            "ProposeApprover" => ask!(
                t,
                ProposeApproverRequest {
                    company_id,
                    user_id
                }
            )
            .encode_to_vec(),
            "ListAddressees" => ask!(
                t,
                ListAddresseesRequest {
                    company_id,
                    allegiances
                }
            )
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn proving_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let bytes = match method {
            "ExportEvents" => pb::ExportEventsRequest {
                filter: Some(pb::EventFilter {
                    account_id: t.account_id.clone(),
                    ..Default::default()
                }),
                prove: true,
                ..Default::default()
            }
            .encode_to_vec(),
            "GetCheckpoint" => ask!(t, GetCheckpointRequest {}).encode_to_vec(),
            "GetInclusionProof" => pb::GetInclusionProofRequest {
                position: self.position,
                tree_size: 0,
            }
            .encode_to_vec(),
            "GetConsistencyProof" => pb::GetConsistencyProofRequest {
                from_size: 1,
                to_size: 2,
            }
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }

    fn reading_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let user_id = &self.idle;
        let bytes = match method {
            "GetUser" => {
                let key = pb::get_user_request::Key::UserId(user_id.clone());
                ask!(t, GetUserRequest { key }).encode_to_vec()
            }
            "BatchGetUsers" => ask!(
                t,
                BatchGetUsersRequest {
                    user_ids: vec![user_id.clone()]
                }
            )
            .encode_to_vec(),
            "ListUsers" => ask!(
                t,
                ListUsersRequest {
                    role: "clerk",
                    supervisor_id: &self.busy
                }
            )
            .encode_to_vec(),
            "FindUsers" => ask!(t, FindUsersRequest { text: "idl" }).encode_to_vec(),
            "ListReports" => ask!(
                t,
                ListReportsRequest {
                    user_id,
                    company_id: &t.companies[0]
                }
            )
            .encode_to_vec(),
            "GetSupervisorChain" => ask!(
                t,
                GetSupervisorChainRequest {
                    user_id,
                    company_id: &t.companies[0]
                }
            )
            .encode_to_vec(),
            "CheckUserDeletion" => ask!(t, CheckUserDeletionRequest { user_id }).encode_to_vec(),
            "CheckAccess" => ask!(
                t,
                CheckAccessRequest {
                    user_id,
                    module: "invoices"
                }
            )
            .encode_to_vec(),
            "ListInvolvements" => ask!(t, ListInvolvementsRequest { user_id }).encode_to_vec(),
            "ListReviewers" => ask!(
                t,
                ListReviewersRequest {
                    company_id: &t.companies[0],
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "ListProjections" => pb::ListProjectionsRequest {}.encode_to_vec(),
            "RebuildProjection" => pb::RebuildProjectionRequest {
                name: "mails".to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            "CopyProjection" => pb::CopyProjectionRequest {
                name: "mails".to_owned(),
            }
            .encode_to_vec(),
            "RotateMasterKey" => pb::RotateMasterKeyRequest {}.encode_to_vec(),
            "GetLogStatus" => pb::GetLogStatusRequest {}.encode_to_vec(),
            "CreateBackup" => pb::CreateBackupRequest::default().encode_to_vec(),
            "ListDeadLetters" => pb::ListDeadLettersRequest::default().encode_to_vec(),
            "RetryDeadLetter" => ask!(
                t,
                RetryDeadLetterRequest {
                    mail_id: &self.mail_id
                }
            )
            .encode_to_vec(),
            _ => return self.history_request(method),
        };
        Some(bytes)
    }

    fn history_request(&self, method: &str) -> Option<Vec<u8>> {
        let t = &self.tenant;
        let user_id = &self.idle;
        let filter = || pb::EventFilter {
            account_id: t.account_id.clone(),
            ..Default::default()
        };
        let bytes = match method {
            "ListEvents" => pb::ListEventsRequest {
                filter: Some(filter()),
                ..Default::default()
            }
            .encode_to_vec(),
            "ReplayEvents" => pb::ReplayEventsRequest {
                filter: Some(filter()),
                ..Default::default()
            }
            .encode_to_vec(),
            "GetUserAsOf" => ask!(
                t,
                GetUserAsOfRequest {
                    user_id,
                    as_of: now()
                }
            )
            .encode_to_vec(),
            "DiffUser" => ask!(
                t,
                DiffUserRequest {
                    user_id,
                    from: now(),
                    to: now()
                }
            )
            .encode_to_vec(),
            "GetUserTrail" => ask!(t, GetUserTrailRequest { user_id }).encode_to_vec(),
            "GetInvoiceTrail" => ask!(
                t,
                GetInvoiceTrailRequest {
                    company_id: &t.companies[0],
                    invoice_id: "INV-1"
                }
            )
            .encode_to_vec(),
            "ListUsersAsOf" => ask!(t, ListUsersAsOfRequest { as_of: now() }).encode_to_vec(),
            "ListReportsAsOf" => ask!(
                t,
                ListReportsAsOfRequest {
                    user_id,
                    as_of: now()
                }
            )
            .encode_to_vec(),
            _ => return None,
        };
        Some(bytes)
    }
}

/// A moment after everything that a sample needs.
fn now() -> pb::Moment {
    let time = prost_types::Timestamp {
        seconds: 4_102_444_800,
        nanos: 0,
    };
    pb::Moment {
        at: Some(pb::moment::At::Time(time)),
    }
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}
