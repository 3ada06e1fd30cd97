//! People and things for the tests.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::access::{AccessEvent, AccessGranted, AccessKey};
use crate::account::{
    Account, AccountCreated, AccountEvent, CompanyAdded, ModuleDefined, RoleDefined, Settings,
};
use crate::domain::{Actor, Recorded, Timestamp};
use crate::invitation::{Acceptance, InvitationEvent, InviteUser, UserInvited};
use crate::user::{
    Allegiances, CreateUser, LinkedCompany, NewCompany, PasswordState, UserCompaniesAdded,
    UserCreated, UserEvent,
};
use crate::values::{
    AccountId, Allegiance, CompanyId, DimensionName, DimensionValue, EmailAddress, InvitationId,
    InvoiceId, Login, ModuleName, PasswordAuthority, Permission, PersonName, RoleName, Signature,
    TokenDigest, UserId, UserType, ValidityDays,
};

const fn v7(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub const ANNA: UserId = UserId::new(v7(0xa1));
pub const BERT: UserId = UserId::new(v7(0xb2));
pub const CARL: UserId = UserId::new(v7(0xc3));
pub const NORTH: CompanyId = CompanyId::new(v7(0xe1));
pub const SOUTH: CompanyId = CompanyId::new(v7(0xe2));
pub const NOWHERE: CompanyId = CompanyId::new(v7(0xe9));
pub const OFFER: InvitationId = InvitationId::new(v7(0xf1));
pub const OLD_OFFER: InvitationId = InvitationId::new(v7(0xf0));
pub const TOKEN: TokenDigest = TokenDigest::new([7; 32]);
pub const TOKEN_2: TokenDigest = TokenDigest::new([8; 32]);

/// The administrator who acts in most tests, and is nobody else in them.
pub const ADMIN: UserId = UserId::new(v7(0xad));

pub fn admin() -> Actor {
    Actor::Administrator(ADMIN)
}

pub fn service() -> Actor {
    Actor::Outside("invoice-flow".to_owned())
}

/// The moment at which tests begin.
pub fn dawn() -> Timestamp {
    Timestamp::from_timestamp(1_750_000_000, 0).unwrap()
}

pub fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

pub fn module(name: &str) -> ModuleName {
    ModuleName::parse(name).unwrap()
}

pub fn invoice(id: &str) -> InvoiceId {
    InvoiceId::parse(id).unwrap()
}

pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub fn signature(text: &str) -> Signature {
    Signature::parse(text).unwrap()
}

pub fn name(text: &str) -> PersonName {
    PersonName::parse(text).unwrap()
}

pub fn days(days: u32) -> ValidityDays {
    ValidityDays::parse(days).unwrap()
}

pub fn grant(name: &str) -> Permission {
    Permission {
        module: module(name),
        company: None,
    }
}

pub fn grant_in(name: &str, company: CompanyId) -> Permission {
    Permission {
        module: module(name),
        company: Some(company),
    }
}

pub fn set<T: Ord, const N: usize>(items: [T; N]) -> BTreeSet<T> {
    BTreeSet::from(items)
}

pub fn account_id() -> AccountId {
    AccountId::parse("acme").unwrap()
}

pub fn settings(login: Login, password_authority: PasswordAuthority) -> Settings {
    Settings {
        login,
        password_authority,
        ..Settings::default()
    }
}

/// What made the account of most tests: two companies, two roles, and the module `invoices` beside the usual ones.
pub fn account_events(settings: Settings) -> Vec<AccountEvent> {
    let company = |company_id, title: &str| CompanyAdded {
        company_id,
        title: crate::values::CompanyTitle::parse(title).unwrap(),
    };
    let role_defined = |name: &str| RoleDefined {
        role: role(name),
        title: crate::values::RoleTitle::parse(name).unwrap(),
    };
    let module_defined = |name: &str, administrator_only| ModuleDefined {
        module: module(name),
        title: crate::values::ModuleTitle::parse(name).unwrap(),
        administrator_only,
    };
    vec![
        AccountCreated {
            account_id: account_id(),
            title: crate::values::AccountTitle::parse("Acme").unwrap(),
            settings,
        }
        .into(),
        company(NORTH, "North").into(),
        company(SOUTH, "South").into(),
        role_defined("approver").into(),
        role_defined("reviewer").into(),
        module_defined("payment", true).into(),
        module_defined("pricing", true).into(),
        module_defined("user-management", true).into(),
        module_defined("invoices", false).into(),
    ]
}

pub fn account_with(settings: Settings) -> Account {
    let mut account = Account::default();
    for event in account_events(settings) {
        cqrs_es::Aggregate::apply(&mut account, Recorded::at(event, dawn()));
    }
    account
}

pub fn account() -> Account {
    account_with(Settings::default())
}

/// A command that creates a STANDARD user whose signature and names follow from `who`.
pub fn create(user_id: UserId, who: &str) -> CreateUser {
    CreateUser {
        user_id,
        signature: signature(who),
        first_name: name(who),
        last_name: name("Berg"),
        email: email(&format!("{who}@acme.example")),
        phone: None,
        mobile_phone: None,
        language: None,
        user_type: UserType::Standard,
        active: true,
        password: PasswordState::Set,
        welcome: None,
        roles: BTreeSet::new(),
        permissions: BTreeSet::new(),
        companies: Vec::new(),
        invitation: None,
        copied_from: None,
    }
}

/// What that command leads to.
pub fn user_created(user_id: UserId, who: &str) -> UserCreated {
    UserCreated {
        user_id,
        account_id: account_id(),
        signature: signature(who).into(),
        first_name: name(who).into(),
        last_name: name("Berg").into(),
        email: email(&format!("{who}@acme.example")).into(),
        phone: None,
        mobile_phone: None,
        language: None,
        user_type: UserType::Standard,
        active: true,
        password: PasswordState::Set,
        onboarded: true,
        invitation_id: None,
        copied_from: None,
    }
}

/// Anna was created, a STANDARD user.
pub fn created() -> UserEvent {
    user_created(ANNA, "anna").into()
}

/// Anna was created, an administrator.
pub fn created_administrator() -> UserEvent {
    let mut created = user_created(ANNA, "anna");
    created.user_type = UserType::Administrator;
    created.into()
}

/// The account where the external user of most tests is at home.
pub fn home_id() -> AccountId {
    AccountId::parse("home").unwrap()
}

/// The access of an external user to the account of most tests.
pub fn access_key(user_id: UserId) -> AccessKey {
    AccessKey {
        account_id: account_id(),
        user_id,
    }
}

/// Somebody was created in another account, which is its home.
pub fn created_at_home(user_id: UserId, who: &str) -> UserEvent {
    let mut created = user_created(user_id, who);
    created.account_id = home_id();
    created.into()
}

/// Anna, who is at home elsewhere, was granted access as this kind of user.
pub fn granted(
    user_type: UserType,
    permissions: impl IntoIterator<Item = Permission>,
) -> AccessEvent {
    AccessGranted {
        account_id: account_id(),
        user_id: ANNA,
        home_account_id: home_id(),
        user_type,
        permissions: permissions.into_iter().collect(),
    }
    .into()
}

/// Someone is linked to a company under a supervisor.
pub fn linked(company_id: CompanyId, supervisor: UserId) -> UserEvent {
    let company = LinkedCompany {
        company_id,
        show_as_addressee: false,
        supervisor,
        allegiances: Allegiances::default(),
    };
    UserCompaniesAdded {
        companies: vec![company],
    }
    .into()
}

pub fn new_company(company_id: CompanyId, supervisor: Option<UserId>) -> NewCompany {
    NewCompany {
        supervisor,
        ..NewCompany::of(company_id)
    }
}

pub fn allegiance(dimension: &str, value: &str) -> Allegiance {
    Allegiance {
        dimension: DimensionName::parse(dimension).unwrap(),
        value: DimensionValue::parse(value).unwrap(),
    }
}

/// A command that invites an address as a STANDARD user.
pub fn invite(invitation_id: InvitationId, address: &str) -> InviteUser {
    InviteUser {
        invitation_id,
        email: email(address),
        user_type: UserType::Standard,
        roles: set([role("reviewer")]),
        permissions: set([grant("invoices")]),
        companies: set([NORTH]),
        by_mail: false,
        token_digest: TOKEN,
        replaces: None,
    }
}

/// What that command leads to.
pub fn invited() -> InvitationEvent {
    UserInvited {
        invitation_id: OFFER,
        account_id: account_id(),
        email: email("dora@acme.example").into(),
        user_type: UserType::Standard,
        roles: set([role("reviewer")]),
        permissions: set([grant("invoices")]),
        companies: set([NORTH]),
        issue: 1,
        by_mail: false,
        token_digest: TOKEN,
        validity_days: days(7),
    }
    .into()
}

pub fn acceptance(user_id: UserId, who: &str) -> Acceptance {
    Acceptance {
        user_id,
        signature: signature(who),
        first_name: name(who),
        last_name: name("Berg"),
        phone: None,
        mobile_phone: None,
        language: None,
        password: PasswordState::Set,
    }
}
