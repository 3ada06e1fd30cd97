//! `rollbook user get`, `list`, `check-deletion` and `check-access`.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clap::Args;
use rollbook_proto::v1::{
    CheckAccessRequest, CheckUserDeletionRequest, CheckUserDeletionResponse, FindUsersRequest,
    GetUserRequest, ListUsersRequest, ListUsersResponse, list_users_request,
};

use crate::cli::{
    choices::{Activity, Sort, Status, Type, or_none},
    client::Client,
    look_up::user_key,
    output::{plain, table},
    pages::{Page, more, read_pages},
    problem::Problem,
    views,
};

/// Flags of `user get`.
#[derive(Args, Debug)]
pub struct Get {
    /// The user: id, signature or e-mail address
    user: String,
}

impl Get {
    /// Shows the user.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let key = Some(user_key(&self.user));
        let request = GetUserRequest {
            account_id: client.account()?,
            key,
            read: None,
        };
        let answer = client.users().get_user(request).await?.into_inner();
        client.output.show(&answer, || {
            answer.user.as_ref().map(views::user).unwrap_or_default()
        })
    }
}

/// Flags of `user list`.
#[derive(Args, Debug)]
pub struct List {
    /// Those linked to this company: id or title
    #[arg(long, value_name = "COMPANY", conflicts_with = "no_company")]
    company: Option<String>,
    /// Those linked to no company
    #[arg(long)]
    no_company: bool,
    /// Those who may, or may not, sign in
    #[arg(long)]
    activity: Option<Activity>,
    /// Those of this status; several are named one after the other
    #[arg(long = "status", value_name = "STATUS")]
    statuses: Vec<Status>,
    /// Those who hold this role
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,
    /// Those of this type
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<Type>,
    /// Those whose home is another account (true), or this one (false)
    #[arg(long, value_name = "true|false")]
    external: Option<bool>,
    #[command(flatten)]
    called: Called,
    /// The column to sort by; the signature where none is given
    #[arg(long, value_name = "COLUMN")]
    sort: Option<Sort>,
    /// Sort the other way round
    #[arg(long)]
    descending: bool,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Count all that match, too
    #[arg(long)]
    total: bool,
}

/// Which users by what they are called.
#[derive(Args, Debug)]
#[command(
    next_help_heading = "Searches: * and % stand for any run of characters, \\ takes the next one as it is"
)]
struct Called {
    /// Those with this signature
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "",
        hide_default_value = true
    )]
    signature: String,
    /// Those with this first name
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "",
        hide_default_value = true
    )]
    first_name: String,
    /// Those with this last name
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "",
        hide_default_value = true
    )]
    last_name: String,
    /// Those with this e-mail address
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "",
        hide_default_value = true
    )]
    email: String,
    /// Those whose supervisor, who is somebody else, has this signature, name or e-mail address
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "",
        hide_default_value = true
    )]
    supervisor: String,
    /// Those who have this user as supervisor: id, signature or e-mail address
    #[arg(long, value_name = "USER")]
    report_to: Option<String>,
}

impl List {
    /// Lists the users.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let query = self.query(client).await?;
        let total = std::cell::Cell::new(None);
        let rows = read_pages(self.limit, "users", async |page_size, page_token| {
            let include_total = self.total && page_token.is_empty();
            let request = ListUsersRequest {
                page_size,
                page_token,
                include_total,
                ..query.clone()
            };
            let page = client.users().list_users(request).await?.into_inner();
            total.set(total.get().or(page.total));
            Ok(Page {
                rows: page.users,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListUsersResponse {
            users: rows.rows,
            next_page_token: rows.next,
            total: total.get(),
        };
        client.output.show(&answer, || {
            let total = answer
                .total
                .map(|total| format!("\n{total} in all"))
                .unwrap_or_default();
            views::users(&answer.users) + &total + more
        })
    }

    async fn query(&self, client: &Client) -> Result<ListUsersRequest, Problem> {
        let company = match &self.company {
            Some(name) => Some(list_users_request::Company::CompanyId(
                client.company_id(name).await?,
            )),
            None => self
                .no_company
                .then_some(list_users_request::Company::NoCompany(true)),
        };
        let supervisor_id = match &self.called.report_to {
            Some(name) => client.user_id(name).await?,
            None => String::new(),
        };
        let called = &self.called;
        Ok(ListUsersRequest {
            signature: called.signature.clone(),
            first_name: called.first_name.clone(),
            last_name: called.last_name.clone(),
            email: called.email.clone(),
            supervisor: called.supervisor.clone(),
            supervisor_id,
            account_id: client.account()?,
            company,
            activity: or_none(self.activity, Activity::wire),
            statuses: self.statuses.iter().map(|status| status.wire()).collect(),
            role: self.role.clone(),
            external: self.external,
            user_type: or_none(self.user_type, Type::wire),
            sort: or_none(self.sort, Sort::wire),
            descending: self.descending,
            ..ListUsersRequest::default()
        })
    }
}

/// Flags of `user find`.
#[derive(Args, Debug)]
pub struct Find {
    /// The text: a part of any name, signature or e-mail address; several words are each such a part
    #[arg(required = true)]
    text: Vec<String>,
    /// Those who may, or may not, sign in
    #[arg(long)]
    activity: Option<Activity>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

impl Find {
    /// Shows the users that match best.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = FindUsersRequest {
            account_id: client.account()?,
            text: self.text.join(" "),
            activity: or_none(self.activity, Activity::wire),
            limit: self.limit,
            read: None,
        };
        let answer = client.users().find_users(request).await?.into_inner();
        client.output.show(&answer, || views::users(&answer.users))
    }
}

/// Flags of `user check-deletion`.
#[derive(Args, Debug)]
pub struct CheckDeletion {
    /// The user: id, signature or e-mail address
    user: String,
}

impl CheckDeletion {
    /// Shows what stands against the deletion.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let user_id = client.user_id(&self.user).await?;
        let request = CheckUserDeletionRequest {
            account_id: client.account()?,
            user_id,
        };
        let answer = client
            .users()
            .check_user_deletion(request)
            .await?
            .into_inner();
        client.output.show(&answer, || blockers(&answer))
    }
}

fn blockers(answer: &CheckUserDeletionResponse) -> String {
    if answer.blockers.is_empty() {
        return "nothing: the user can be deleted now".to_owned();
    }
    let mut table = table(["what still needs the user", "company", "which"]);
    for blocker in &answer.blockers {
        let kind = plain(blocker.kind().as_str_name(), "DELETION_BLOCKER_KIND_");
        let which = match blocker.elsewhere {
            0 => blocker.subject.clone(),
            count => format!("{count} in other accounts"),
        };
        table.add_row([&kind, &blocker.company_id, &which]);
    }
    table.to_string()
}

/// Flags of `user check-access`.
#[derive(Args, Debug)]
pub struct CheckAccess {
    /// The user: id, signature or e-mail address
    user: String,
    /// The module
    module: String,
    /// In this company, by id or title; in the account as a whole where none is given
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// When the session began that the question is about, as 2026-02-28T08:00:00Z
    #[arg(long, value_name = "TIME")]
    session_started_at: Option<DateTime<Utc>>,
}

impl CheckAccess {
    /// Shows whether the user may use the module.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let company_id = match &self.company {
            Some(name) => client.company_id(name).await?,
            None => String::new(),
        };
        let request = CheckAccessRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            module: self.module,
            company_id,
            session_started_at: self
                .session_started_at
                .map(|at| SystemTime::from(at).into()),
        };
        let answer = client.users().check_access(request).await?.into_inner();
        client.output.show(&answer, || {
            if answer.allowed {
                return "allowed".to_owned();
            }
            let why = answer
                .denials()
                .map(|denial| plain(denial.as_str_name(), "ACCESS_DENIAL_REASON_"));
            format!("not allowed: {}", why.collect::<Vec<_>>().join(", "))
        })
    }
}
