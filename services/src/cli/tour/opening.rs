//! The first chapters: an account, and a thousand people in it.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use rollbook_proto::v1::{
    CreateAccountRequest, CreateUserRequest, ListUsersRequest, Module, NewUser,
    Role as CatalogueRole, UserCompany, UserSort,
};

use super::{
    people::{Person, people},
    stage::{ACCOUNT, Stage, chapter, tell},
};
use crate::{
    caller::Role,
    cli::{
        client::{Client, because, commit},
        problem::Problem,
        views,
    },
};

/// The company of the first administrator.
pub const HOME: &str = "Nordlys Industri AB";
const COMPANIES: [&str; 3] = [HOME, "Lumière & Fils SARL", "Harbour & Kin Ltd"];
/// How many people are created at once.
const AT_ONCE: usize = 64;
/// The password of everybody on the tour who has one.
pub const PASSWORD: &str = "nine lanterns over the harbour";

/// An operator creates the account with its first administrator.
pub async fn account(stage: &mut Stage) -> Result<(), Problem> {
    chapter(
        1,
        "An operator creates an account with three companies and its first administrator",
    )?;
    let role = |(role, title): (&str, &str)| CatalogueRole {
        role: role.to_owned(),
        title: title.to_owned(),
    };
    let roles = [
        ("invoice-clerk", "Registers invoices"),
        ("reviewer", "Reviews invoices"),
        ("approver", "Approves invoices"),
        ("accountant", "Posts invoices"),
        ("controller", "Reads everything"),
    ];
    let module = |(module, title): (&str, &str)| Module {
        module: module.to_owned(),
        title: title.to_owned(),
        administrator_only: false,
    };
    let administrator = NewUser {
        signature: "MÄRTA".to_owned(),
        first_name: "Märta".to_owned(),
        last_name: "Åkerblom-O'Neill".to_owned(),
        email: "marta.akerblom@nordlys.example".to_owned(),
        phone: "+46 70 174 06 05".to_owned(),
        language: "sv".to_owned(),
        password: PASSWORD.to_owned(),
        ..NewUser::default()
    };
    let command = because("new customer");
    let id = command.request_id.clone();
    let request = CreateAccountRequest {
        account_id: ACCOUNT.to_owned(),
        title: "Nordlys Group".to_owned(),
        companies: COMPANIES.map(str::to_owned).to_vec(),
        roles: roles.map(role).to_vec(),
        modules: [("invoices", "Invoices"), ("archive", "Archive")]
            .map(module)
            .to_vec(),
        administrator: Some(administrator),
        command: Some(command),
        ..CreateAccountRequest::default()
    };
    let operator = stage.caller(Role::Operator, "tour-operator")?;
    let answer = commit(&id, operator.accounts().create_account(request)).await?;
    let account = answer.account.unwrap_or_default();
    stage.companies.clone_from(&account.companies);
    stage.administrator = answer.administrator.unwrap_or_default();
    tell(&views::account(&account))?;
    tell(&format!(
        "account and administrator are one commit, up to position {}:",
        answer.position
    ))?;
    tell(&views::user(&stage.administrator))
}

/// The administrator creates the people of the file, many at once.
pub async fn users(stage: &Stage) -> Result<Vec<(Person, String)>, Problem> {
    chapter(
        2,
        "She creates 1,000 users, each to be welcomed by a first-sign-in link",
    )?;
    let client = stage.as_administrator()?;
    let progress = bar(1000);
    let begun = Instant::now();
    let created: Vec<(Person, String)> = stream::iter(people())
        .map(|person| create(&client, stage.company(person.company), person))
        .buffer_unordered(AT_ONCE)
        .inspect_ok(|_| progress.inc(1))
        .try_collect()
        .await?;
    progress.finish_and_clear();
    let taken = begun.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a thousand or so")]
    let rate = created.len() as f64 / taken.as_secs_f64();
    tell(&format!(
        "{} users in {:.1} s, {AT_ONCE} at once: {rate:.0} a second, each on disk before its answer",
        created.len(),
        taken.as_secs_f64()
    ))?;
    let request = ListUsersRequest {
        account_id: ACCOUNT.to_owned(),
        sort: UserSort::LastName.into(),
        descending: true,
        page_size: 8,
        include_total: true,
        ..ListUsersRequest::default()
    };
    let page = client.users().list_users(request).await?.into_inner();
    tell(&format!(
        "the list has them at once: {} users, here the last eight by last name",
        page.total.unwrap_or_default()
    ))?;
    tell(&views::users(&page.users))?;
    Ok(created)
}

async fn create(
    client: &Client,
    company_id: String,
    person: Person,
) -> Result<(Person, String), Problem> {
    let user = NewUser {
        signature: person.signature.to_owned(),
        first_name: person.first_name.to_owned(),
        last_name: person.last_name.to_owned(),
        email: person.email.to_owned(),
        phone: person.phone.to_owned(),
        language: person.language.to_owned(),
        roles: vec![person.role.to_owned()],
        companies: vec![UserCompany {
            company_id,
            ..UserCompany::default()
        }],
        welcome: true,
        ..NewUser::default()
    };
    let command = because("");
    let id = command.request_id.clone();
    let request = CreateUserRequest {
        account_id: ACCOUNT.to_owned(),
        user: Some(user),
        command: Some(command),
    };
    let answer = commit(&id, client.users().create_user(request)).await?;
    Ok((person, answer.user.unwrap_or_default().user_id))
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("   {bar:40} {pos}/{len} users, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
