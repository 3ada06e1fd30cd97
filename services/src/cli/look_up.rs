//! People name users by signature or address and companies by title; the contract names them by id.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_proto::v1::{
    BatchGetUsersRequest, GetAccountRequest, GetUserRequest, Permission, get_user_request::Key,
};
use uuid::Uuid;

use super::{client::Client, problem::Problem, views::full_name};

/// How many users are asked for in one call.
const BATCH: usize = 1000;

/// What people call users whom an answer names by id alone.
pub struct People(BTreeMap<String, [String; 2]>);

impl People {
    /// The signature and the name of a user; empty where they are not known.
    #[must_use]
    pub fn named(&self, id: &str) -> [String; 2] {
        self.0.get(id).cloned().unwrap_or_default()
    }
}

/// What a person called a user by: an id, an e-mail address, or else a signature.
#[must_use]
pub fn user_key(name: &str) -> Key {
    if Uuid::try_parse(name).is_ok() {
        Key::UserId(name.to_owned())
    } else if name.contains('@') {
        Key::Email(name.to_owned())
    } else {
        Key::Signature(name.to_owned())
    }
}

impl Client {
    /// The id of the user that a person named; an id is taken as it is.
    pub async fn user_id(&self, name: &str) -> Result<String, Problem> {
        let key = match user_key(name) {
            Key::UserId(id) => return Ok(id),
            key => key,
        };
        let request = GetUserRequest {
            account_id: self.account()?,
            key: Some(key),
            read: None,
        };
        let answer = self.users().get_user(request).await?.into_inner();
        Ok(answer.user.unwrap_or_default().user_id)
    }

    /// What people call these users, where a table is to show it; a program that wants JSON asks itself.
    pub async fn people(&self, ids: impl IntoIterator<Item = String>) -> Result<People, Problem> {
        let ids: BTreeSet<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let mut people = BTreeMap::new();
        if self.output.is_json() {
            return Ok(People(people));
        }
        for ids in ids.chunks(BATCH) {
            let request = BatchGetUsersRequest {
                account_id: self.account()?,
                user_ids: ids.to_vec(),
                read: None,
            };
            let answer = self.users().batch_get_users(request).await?.into_inner();
            people.extend(answer.users.into_iter().map(|user| {
                let name = full_name(&user);
                (user.user_id, [user.signature, name])
            }));
        }
        Ok(People(people))
    }

    /// The ids of the companies that a person named by id or title.
    pub async fn company_ids(&self, names: &[String]) -> Result<Vec<String>, Problem> {
        if names.iter().all(|name| Uuid::try_parse(name).is_ok()) {
            return Ok(names.to_vec());
        }
        let request = GetAccountRequest {
            account_id: self.account()?,
            read: None,
        };
        let account = self
            .accounts()
            .get_account(request)
            .await?
            .into_inner()
            .account
            .unwrap_or_default();
        let id_of = |name: &String| {
            if Uuid::try_parse(name).is_ok() {
                return Ok(name.clone());
            }
            let wanted = name.to_lowercase();
            let found = account
                .companies
                .iter()
                .find(|company| company.title.to_lowercase() == wanted);
            found
                .map(|company| company.company_id.clone())
                .ok_or_else(|| {
                    let titles: Vec<&str> = account
                        .companies
                        .iter()
                        .map(|company| company.title.as_str())
                        .collect();
                    let titles = titles.join(", ");
                    Problem::Usage(format!(
                        "account {} has no company `{name}`; it has: {titles}",
                        account.account_id
                    ))
                })
        };
        names.iter().map(id_of).collect()
    }

    /// The id of one company that a person named.
    pub async fn company_id(&self, name: &str) -> Result<String, Problem> {
        let mut ids = self.company_ids(&[name.to_owned()]).await?;
        Ok(ids.pop().unwrap_or_default())
    }

    /// Grants, each written `MODULE` or `MODULE@COMPANY`.
    pub async fn permissions(&self, texts: &[String]) -> Result<Vec<Permission>, Problem> {
        let parts: Vec<(&str, &str)> = texts
            .iter()
            .map(|text| text.split_once('@').unwrap_or((text, "")))
            .collect();
        let mut permissions = Vec::with_capacity(parts.len());
        for (module, company) in parts {
            let company_id = if company.is_empty() {
                String::new()
            } else {
                self.company_id(company).await?
            };
            permissions.push(Permission {
                module: module.to_owned(),
                company_id,
            });
        }
        Ok(permissions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_id_address_or_signature() {
        let id = "01890000-0000-7000-8000-000000000000";
        assert_eq!(user_key(id), Key::UserId(id.into()));
        assert_eq!(
            user_key("anna@example.se"),
            Key::Email("anna@example.se".into())
        );
        assert_eq!(user_key("ANNÅ"), Key::Signature("ANNÅ".into()));
    }
}
