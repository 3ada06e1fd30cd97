//! An indexed table of users in PostgreSQL, as it is usually written: a column for each field, an index for each order, trigrams
//! for the searches.

use rollbook_projections::sort_key;
use rollbook_proto::v1::{
    Activity, ListUsersRequest, Permission, User, UserCompany, UserSort, get_user_request::Key,
    list_users_request::Company,
};
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use uuid::Uuid;

/// What stands between the parts of a list in a column.
const BETWEEN: char = '\u{1f}';

const TABLES: &str = "
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE TABLE people (
        user_id uuid PRIMARY KEY,
        account_id text NOT NULL,
        signature text NOT NULL,
        signature_key text COLLATE \"C\" NOT NULL,
        first_name text NOT NULL,
        first_name_key text COLLATE \"C\" NOT NULL,
        last_name text NOT NULL,
        last_name_key text COLLATE \"C\" NOT NULL,
        email text NOT NULL,
        email_key text COLLATE \"C\" NOT NULL,
        phone text NOT NULL,
        mobile_phone text NOT NULL,
        language text NOT NULL,
        user_type integer NOT NULL,
        status integer NOT NULL,
        active boolean NOT NULL,
        roles text NOT NULL,
        first_role text COLLATE \"C\" NOT NULL,
        permissions text NOT NULL,
        companies text NOT NULL,
        sessions_valid_from bigint NOT NULL,
        created_at bigint NOT NULL,
        modified_at bigint NOT NULL,
        last_signed_in_at bigint NOT NULL,
        revision bigint NOT NULL
    );
    CREATE TABLE links (
        user_id uuid NOT NULL,
        company_id uuid NOT NULL,
        supervisor_id uuid NOT NULL,
        PRIMARY KEY (user_id, company_id)
    )";

const INDEXES: &str = "
    CREATE INDEX ON people (account_id, signature_key, user_id);
    CREATE INDEX ON people (account_id, first_name_key, user_id);
    CREATE INDEX ON people (account_id, last_name_key, user_id);
    CREATE INDEX ON people (account_id, email_key, user_id);
    CREATE INDEX ON people (account_id, status, user_id);
    CREATE INDEX ON people (account_id, user_type, user_id);
    CREATE INDEX ON people (account_id, first_role, user_id);
    CREATE INDEX ON people (account_id, created_at, user_id);
    CREATE INDEX ON people (account_id, modified_at, user_id);
    CREATE INDEX ON people (account_id, last_signed_in_at, user_id);
    CREATE INDEX ON people (account_id, signature_key, user_id) WHERE NOT active;
    CREATE INDEX ON people USING gin (signature_key gin_trgm_ops);
    CREATE INDEX ON people USING gin (first_name_key gin_trgm_ops);
    CREATE INDEX ON people USING gin (last_name_key gin_trgm_ops);
    CREATE INDEX ON people USING gin (email_key gin_trgm_ops);
    CREATE INDEX ON links (company_id, user_id);
    CREATE INDEX ON links (supervisor_id, user_id);
    VACUUM ANALYZE people;
    VACUUM ANALYZE links";

/// The table.
#[derive(Clone)]
pub struct Table {
    /// For what has the same plan whatever is asked.
    pool: PgPool,
    /// For patterns, whose plan depends on them.
    planned_each: PgPool,
}

impl Table {
    /// One on these connections.
    pub fn new(pool: PgPool, planned_each: PgPool) -> Self {
        Self { pool, planned_each }
    }

    /// Makes it.
    pub async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(TABLES).execute(pool).await.map(drop)
    }

    /// Makes its indexes, once the rows are there.
    pub async fn index(pool: &PgPool) -> Result<(), sqlx::Error> {
        for index in INDEXES.split(';') {
            sqlx::raw_sql(index).execute(pool).await?;
        }
        Ok(())
    }

    /// Adds users.
    pub async fn add(pool: &PgPool, users: &[User]) -> Result<(), sqlx::Error> {
        let mut links = Vec::new();
        // A statement takes 65,535 values at most.
        for users in users.chunks(2_000) {
            let mut people = QueryBuilder::<Postgres>::new("INSERT INTO people ");
            people.push_values(users, |mut row, user| {
                row.push_bind(uuid(&user.user_id))
                    .push_bind(&user.account_id)
                    .push_bind(&user.signature)
                    .push_bind(sort_key(&user.signature))
                    .push_bind(&user.first_name)
                    .push_bind(sort_key(&user.first_name))
                    .push_bind(&user.last_name)
                    .push_bind(sort_key(&user.last_name))
                    .push_bind(&user.email)
                    .push_bind(sort_key(&user.email))
                    .push_bind(&user.phone)
                    .push_bind(&user.mobile_phone)
                    .push_bind(&user.language)
                    .push_bind(user.user_type)
                    .push_bind(user.status)
                    .push_bind(user.active)
                    .push_bind(joined(user.roles.iter().cloned()))
                    .push_bind(
                        user.roles
                            .first()
                            .map(|role| sort_key(role))
                            .unwrap_or_default(),
                    )
                    .push_bind(joined(user.permissions.iter().map(permission_text)))
                    .push_bind(joined(user.companies.iter().map(company_text)))
                    .push_bind(micros(user.sessions_valid_from.as_ref()))
                    .push_bind(micros(user.created_at.as_ref()))
                    .push_bind(micros(user.modified_at.as_ref()))
                    .push_bind(micros(user.last_signed_in_at.as_ref()))
                    .push_bind(user.revision.cast_signed());
            });
            people.build().execute(pool).await?;
            links.extend(users.iter().flat_map(|user| {
                let companies = user.companies.iter();
                companies.map(|company| {
                    let ids = [&user.user_id, &company.company_id, &company.supervisor_id];
                    ids.map(|id| uuid(id))
                })
            }));
        }
        for links in links.chunks(20_000) {
            let mut rows = QueryBuilder::<Postgres>::new("INSERT INTO links ");
            rows.push_values(links, |mut row, ids| {
                for id in ids {
                    row.push_bind(id);
                }
            });
            rows.build().execute(pool).await?;
        }
        Ok(())
    }

    /// One user.
    pub async fn get(&self, account: &str, key: &Key) -> Result<Option<User>, sqlx::Error> {
        let row = match key {
            Key::UserId(id) => {
                sqlx::query("SELECT * FROM people WHERE user_id = $1 AND account_id = $2")
                    .bind(uuid(id))
                    .bind(account)
                    .fetch_optional(&self.pool)
                    .await?
            }
            Key::Signature(text) => {
                sqlx::query("SELECT * FROM people WHERE account_id = $1 AND signature_key = $2")
                    .bind(account)
                    .bind(sort_key(text))
                    .fetch_optional(&self.pool)
                    .await?
            }
            Key::Email(text) | Key::UserName(text) => {
                sqlx::query("SELECT * FROM people WHERE account_id = $1 AND email_key = $2")
                    .bind(account)
                    .bind(sort_key(text))
                    .fetch_optional(&self.pool)
                    .await?
            }
        };
        row.as_ref().map(user).transpose()
    }

    /// Many users by their ids.
    pub async fn get_many(&self, account: &str, ids: &[String]) -> Result<Vec<User>, sqlx::Error> {
        let ids: Vec<Uuid> = ids.iter().map(|id| uuid(id)).collect();
        let rows = sqlx::query("SELECT * FROM people WHERE user_id = ANY($1) AND account_id = $2")
            .bind(ids)
            .bind(account)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(user).collect()
    }

    /// A page, and the token of the next.
    pub async fn list(&self, list: &ListUsersRequest) -> Result<(Vec<User>, String), sqlx::Error> {
        let column = column(list.sort());
        let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM people WHERE account_id = ");
        query.push_bind(&list.account_id);
        let mut patterns = false;
        for (column, pattern) in [
            ("first_name_key", &list.first_name),
            ("last_name_key", &list.last_name),
        ] {
            if !pattern.is_empty() {
                patterns = true;
                let like = sort_key(pattern).replace('*', "%");
                query.push(format!(" AND {column} LIKE ")).push_bind(like);
            }
        }
        if list.activity() == Activity::Inactive {
            query.push(" AND NOT active");
        }
        if let Some(Company::CompanyId(company)) = &list.company {
            query.push(" AND user_id IN (SELECT user_id FROM links WHERE company_id = ");
            query.push_bind(uuid(company)).push(")");
        }
        if !list.supervisor_id.is_empty() {
            let supervisor = uuid(&list.supervisor_id);
            query.push(" AND user_id IN (SELECT user_id FROM links WHERE supervisor_id = ");
            query.push_bind(supervisor);
            query
                .push(" AND user_id <> ")
                .push_bind(supervisor)
                .push(")");
        }
        // Only the order by signature is read on.
        if let Some((key, id)) = list.page_token.split_once(BETWEEN) {
            query.push(format!(" AND ({column}, user_id) > ("));
            query
                .push_bind(key)
                .push(", ")
                .push_bind(uuid(id))
                .push(")");
        }
        query.push(format!(" ORDER BY {column}, user_id LIMIT "));
        query.push_bind(i64::from(list.page_size));
        let pool = if patterns {
            &self.planned_each
        } else {
            &self.pool
        };
        let rows = query.build().fetch_all(pool).await?;
        let users: Vec<User> = rows.iter().map(user).collect::<Result<_, _>>()?;
        let end = users.last().filter(|_| list.sort() == UserSort::Signature);
        let next = end.map(page_token).unwrap_or_default();
        Ok((users, next))
    }
}

/// The token of the page behind a user, by signature.
pub fn page_token(user: &User) -> String {
    format!("{}{BETWEEN}{}", sort_key(&user.signature), user.user_id)
}

const fn column(sort: UserSort) -> &'static str {
    match sort {
        UserSort::Unspecified | UserSort::Signature => "signature_key",
        UserSort::FirstName => "first_name_key",
        UserSort::LastName => "last_name_key",
        UserSort::Email | UserSort::UserName => "email_key",
        UserSort::Status => "status",
        UserSort::UserType => "user_type",
        UserSort::Role => "first_role",
        UserSort::CreatedAt => "created_at",
        UserSort::ModifiedAt => "modified_at",
        UserSort::LastSignedInAt => "last_signed_in_at",
    }
}

fn user(row: &PgRow) -> Result<User, sqlx::Error> {
    let id: Uuid = row.try_get("user_id")?;
    let email: String = row.try_get("email")?;
    let revision: i64 = row.try_get("revision")?;
    Ok(User {
        user_id: id.to_string(),
        account_id: row.try_get("account_id")?,
        signature: row.try_get("signature")?,
        user_name: email.clone(),
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        email,
        phone: row.try_get("phone")?,
        mobile_phone: row.try_get("mobile_phone")?,
        language: row.try_get("language")?,
        user_type: row.try_get("user_type")?,
        status: row.try_get("status")?,
        active: row.try_get("active")?,
        roles: parts(row.try_get("roles")?).map(str::to_owned).collect(),
        permissions: parts(row.try_get("permissions")?).map(permission).collect(),
        companies: parts(row.try_get("companies")?).map(company).collect(),
        sessions_valid_from: time(row.try_get("sessions_valid_from")?),
        created_at: time(row.try_get("created_at")?),
        modified_at: time(row.try_get("modified_at")?),
        last_signed_in_at: time(row.try_get("last_signed_in_at")?),
        revision: revision.cast_unsigned(),
        mfa_enrolled: false,
        external: false,
    })
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(&BETWEEN.to_string())
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(BETWEEN).filter(|part| !part.is_empty())
}

fn permission_text(permission: &Permission) -> String {
    format!("{}@{}", permission.module, permission.company_id)
}

fn permission(text: &str) -> Permission {
    let (module, company_id) = text.split_once('@').unwrap_or((text, ""));
    Permission {
        module: module.to_owned(),
        company_id: company_id.to_owned(),
    }
}

fn company_text(company: &UserCompany) -> String {
    let shown = if company.show_as_addressee { "!" } else { "" };
    format!("{}@{}{shown}", company.company_id, company.supervisor_id)
}

fn company(text: &str) -> UserCompany {
    let (company_id, supervisor) = text.split_once('@').unwrap_or((text, ""));
    UserCompany {
        company_id: company_id.to_owned(),
        supervisor_id: supervisor.trim_end_matches('!').to_owned(),
        show_as_addressee: supervisor.ends_with('!'),
        ..UserCompany::default()
    }
}

fn uuid(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_default()
}

fn micros(time: Option<&prost_types::Timestamp>) -> i64 {
    time.map_or(0, |time| {
        time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000
    })
}

fn time(micros: i64) -> Option<prost_types::Timestamp> {
    (micros != 0).then(|| prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_in_a_column_is_taken_apart_again() {
        let linked = UserCompany {
            company_id: "c".to_owned(),
            supervisor_id: "s".to_owned(),
            show_as_addressee: true,
            ..UserCompany::default()
        };
        assert_eq!(company(&company_text(&linked)), linked);
        let granted = Permission {
            module: "archive".to_owned(),
            company_id: String::new(),
        };
        assert_eq!(permission(&permission_text(&granted)), granted);
        assert_eq!(
            parts(&joined(["a".to_owned(), "b".to_owned()].into_iter())).count(),
            2
        );
        assert_eq!(
            micros(time(1_700_000_000_123_456).as_ref()),
            1_700_000_000_123_456
        );
    }
}
