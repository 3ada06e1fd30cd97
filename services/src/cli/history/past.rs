//! `rollbook history user|diff|users|reports`: the directory as it was.

use std::{str::FromStr, time::SystemTime};

use chrono::{DateTime, Utc};
use clap::Args;
use rollbook_proto::v1::{
    DiffUserRequest, Disclosure, FieldChange, FieldValue, GetUserAsOfRequest,
    ListReportsAsOfRequest, ListReportsAsOfResponse, ListUsersAsOfRequest, ListUsersAsOfResponse,
    Moment, PastUser, list_users_as_of_request::Company, moment::At,
};

use super::super::{
    choices::{Activity, Type, or_none},
    client::Client,
    output::{table, time},
    pages::{Page, more, read_pages},
    problem::Problem,
    views,
};

/// A moment as it is typed: a position or a time.
#[derive(Clone, Copy, Debug)]
pub struct Then(At);

impl FromStr for Then {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(position) = text.parse() {
            return Ok(Self(At::Position(position)));
        }
        let time: DateTime<Utc> = text
            .parse()
            .map_err(|_| "must be a position, or a time such as 2026-02-28T08:00:00Z")?;
        Ok(Self(At::Time(SystemTime::from(time).into())))
    }
}

fn moment(then: Option<Then>) -> Option<Moment> {
    then.map(|Then(at)| Moment { at: Some(at) })
}

/// A user as it was.
#[derive(Args, Debug)]
pub struct UserThen {
    /// The user's id
    user: String,
    /// As of which position or time; not given: now
    #[arg(long, value_name = "WHEN")]
    at: Option<Then>,
}

impl UserThen {
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = GetUserAsOfRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            as_of: moment(self.at),
        };
        let answer = client.history(false).get_user_as_of(request).await?;
        let answer = answer.into_inner();
        client.output.show(&answer, || {
            let user = answer.user.as_ref();
            format!(
                "{}\nas of position {}, {}",
                user.map(past_user).unwrap_or_default(),
                answer.position,
                time(answer.time.as_ref())
            )
        })
    }
}

/// What can be read of a user, and why what is personal cannot.
fn past_user(past: &PastUser) -> String {
    let user = past.user.as_ref().map(views::user).unwrap_or_default();
    match personal(past) {
        "" => user,
        why => format!("{user}\npersonal data: {why}"),
    }
}

fn personal(past: &PastUser) -> &'static str {
    match past.personal_data() {
        Disclosure::Unspecified | Disclosure::Shown => "",
        Disclosure::Withheld => "(withheld)",
        Disclosure::Erased => "(erased)",
    }
}

/// What changed of a user between two moments.
#[derive(Args, Debug)]
pub struct Diff {
    /// The user's id
    user: String,
    /// Since which position or time
    #[arg(long, value_name = "WHEN")]
    from: Then,
    /// Until which position or time; not given: now
    #[arg(long, value_name = "WHEN")]
    to: Option<Then>,
}

impl Diff {
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = DiffUserRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            from: moment(Some(self.from)),
            to: moment(self.to),
        };
        let answer = client.history(false).diff_user(request).await?;
        let answer = answer.into_inner();
        client.output.show(&answer, || {
            let mut lines: Vec<String> = answer.changes.iter().map(change).collect();
            if lines.is_empty() {
                lines.push("nothing changed".to_owned());
            }
            lines.push(format!(
                "between position {} (revision {}) and position {} (revision {})",
                answer.from_position, answer.from_revision, answer.to_position, answer.to_revision
            ));
            lines.join("\n")
        })
    }
}

/// A change in one line.
#[must_use]
pub fn change(change: &FieldChange) -> String {
    format!(
        "{}: {} -> {}",
        change.field,
        value(change.before.as_ref()),
        value(change.after.as_ref())
    )
}

fn value(value: Option<&FieldValue>) -> String {
    let Some(value) = value else {
        return "(none)".to_owned();
    };
    match value.disclosure() {
        Disclosure::Unspecified => "(none)".to_owned(),
        Disclosure::Shown => value.text.clone(),
        Disclosure::Withheld => "(withheld)".to_owned(),
        Disclosure::Erased => "(erased)".to_owned(),
    }
}

/// The users of the account as they were.
#[derive(Args, Debug)]
pub struct UsersThen {
    /// As of which position or time; not given: now
    #[arg(long, value_name = "WHEN")]
    at: Option<Then>,
    /// Those linked to this company then, by its id
    #[arg(long, value_name = "ID", conflicts_with = "no_company")]
    company: Option<String>,
    /// Those of the account linked to no company then
    #[arg(long)]
    no_company: bool,
    /// Active ones, or inactive ones
    #[arg(long, value_enum)]
    activity: Option<Activity>,
    /// Those of this type
    #[arg(long = "type", value_enum)]
    user_type: Option<Type>,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl UsersThen {
    fn request(self, account_id: String) -> ListUsersAsOfRequest {
        let company = match self.company {
            Some(id) => Some(Company::CompanyId(id)),
            None => self.no_company.then_some(Company::NoCompany(true)),
        };
        ListUsersAsOfRequest {
            account_id,
            as_of: moment(self.at),
            company,
            activity: or_none(self.activity, Activity::wire),
            user_type: or_none(self.user_type, Type::wire),
            ..ListUsersAsOfRequest::default()
        }
    }

    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let limit = self.limit;
        let request = self.request(client.account()?);
        let (mut position, mut at) = (0, None);
        let rows = read_pages(limit, "users", async |page_size, page_token| {
            let request = ListUsersAsOfRequest {
                page_size,
                page_token,
                ..request.clone()
            };
            let page = client.history(false).list_users_as_of(request).await?;
            let page = page.into_inner();
            (position, at) = (page.position, page.time);
            Ok(Page {
                rows: page.users,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListUsersAsOfResponse {
            users: rows.rows,
            next_page_token: rows.next,
            position,
            time: at,
        };
        client.output.show(&answer, || {
            let mut table = table(["user", "signature", "name", "type", "status", "personal"]);
            for past in &answer.users {
                let user = past.user.clone().unwrap_or_default();
                table.add_row([
                    user.user_id.clone(),
                    user.signature.clone(),
                    views::full_name(&user),
                    views::type_name(user.user_type()),
                    views::status_name(user.status()),
                    personal(past).to_owned(),
                ]);
            }
            format!(
                "{table}{more}\nas of position {position}, {}",
                time(at.as_ref())
            )
        })
    }
}

/// Those who had a user as supervisor.
#[derive(Args, Debug)]
pub struct ReportsThen {
    /// The supervisor's id
    user: String,
    /// As of which position or time; not given: now
    #[arg(long, value_name = "WHEN")]
    at: Option<Then>,
    /// In this company, by its id; not given: in all
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    company: String,
    /// How many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
}

impl ReportsThen {
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = ListReportsAsOfRequest {
            account_id: client.account()?,
            user_id: client.user_id(&self.user).await?,
            as_of: moment(self.at),
            company_id: self.company,
            ..ListReportsAsOfRequest::default()
        };
        let (mut position, mut at) = (0, None);
        let rows = read_pages(self.limit, "reports", async |page_size, page_token| {
            let request = ListReportsAsOfRequest {
                page_size,
                page_token,
                ..request.clone()
            };
            let page = client.history(false).list_reports_as_of(request).await?;
            let page = page.into_inner();
            (position, at) = (page.position, page.time);
            Ok(Page {
                rows: page.reports,
                next: page.next_page_token,
            })
        });
        let rows = rows.await?;
        let more = more(&rows);
        let answer = ListReportsAsOfResponse {
            reports: rows.rows,
            next_page_token: rows.next,
            position,
            time: at,
        };
        client.output.show(&answer, || {
            let mut table = table(["company", "user", "since", "until"]);
            for report in &answer.reports {
                let until = match report.until_position {
                    0 => String::new(),
                    position => position.to_string(),
                };
                table.add_row([
                    report.company_id.clone(),
                    report.user_id.clone(),
                    report.since_position.to_string(),
                    until,
                ]);
            }
            format!(
                "{table}{more}\nas of position {position}, {}",
                time(at.as_ref())
            )
        })
    }
}
