//! Users in the form in which they are told: made of a row once, and kept while the row is as it was.

use bytes::Bytes;
use rollbook_aggregates::domain::Timestamp;
use rollbook_aggregates::user::Facets;
use rollbook_aggregates::values::{AccountId, UserId};
use rusqlite::Connection;

use super::as_you_type::{self, FindUsers};
use super::find::{Finder, Head};
use super::list::{self, ListUsers, UserKey};
use super::{FoundUser, Users};
use crate::forms::{Form, Forms};
use crate::page::Page;
use crate::reading::ReadError;

/// How a user is told. It must depend on nothing but the user.
pub type Tell = fn(FoundUser) -> Bytes;

/// The users, each as it is told.
#[derive(Clone)]
pub struct ToldUsers {
    users: Users,
    tell: Tell,
}

impl Users {
    /// Answers users as they are told, instead of row by row.
    #[must_use]
    pub fn told(&self, tell: Tell) -> ToldUsers {
        ToldUsers {
            users: self.clone(),
            tell,
        }
    }
}

impl ToldUsers {
    /// A user by its id; nothing where the account never had it.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn get(&self, account: &AccountId, user: UserId) -> Result<Option<Bytes>, ReadError> {
        self.look_up(account, |teller| teller.find(user))
    }

    /// Users by their ids: an answer for each, in the order asked.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn get_many(
        &self,
        account: &AccountId,
        users: Vec<UserId>,
    ) -> Result<Vec<Option<Bytes>>, ReadError> {
        let (asked, account) = (self.clone(), account.clone());
        let find = move |tables: &Connection, forms: &Forms| {
            let teller = asked.teller(tables, forms, &account)?;
            users.into_iter().map(|user| teller.find(user)).collect()
        };
        self.users.0.list_kept(find).await
    }

    /// The user at home in the account that has a signature, given in its folded form.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_signature(
        &self,
        account: &AccountId,
        folded: &str,
    ) -> Result<Option<(UserId, Bytes)>, ReadError> {
        self.look_up(account, |teller| {
            let found = teller.finder.by_signature(folded)?;
            found.map(|head| teller.named(&head)).transpose()
        })
    }

    /// The users at home in the account that have an e-mail address, given in its folded form: two at most, which is enough to
    /// know that it is ambiguous.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_email(
        &self,
        account: &AccountId,
        folded: &str,
    ) -> Result<Vec<(UserId, Bytes)>, ReadError> {
        self.look_up(account, |teller| {
            let found = teller.finder.by_email(folded)?;
            found.iter().map(|head| teller.named(head)).collect()
        })
    }

    /// The user at home in the account that signs in with this text, as typed.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub fn by_user_name(
        &self,
        account: &AccountId,
        text: &str,
    ) -> Result<Option<(UserId, Bytes)>, ReadError> {
        self.look_up(account, |teller| {
            let found = teller.finder.by_user_name(text)?;
            found.map(|head| teller.named(&head)).transpose()
        })
    }

    /// A page of the users of an account; deleted ones are not listed.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn list(&self, query: ListUsers) -> Result<Page<Bytes, UserKey>, ReadError> {
        let asked = self.clone();
        let list = move |tables: &Connection, forms: &Forms| {
            let teller = asked.teller(tables, forms, &query.account)?;
            let page = list::list(tables, &query, &teller.finder)?;
            page.read(|numbers| teller.listed(numbers))
        };
        self.users.0.list_kept(list).await
    }

    /// The users of an account who match what was typed so far, best matches first.
    ///
    /// # Errors
    /// The file of the view cannot be read.
    pub async fn find(&self, query: FindUsers) -> Result<Vec<Bytes>, ReadError> {
        let asked = self.clone();
        let find = move |tables: &Connection, forms: &Forms| {
            let teller = asked.teller(tables, forms, &query.account)?;
            teller.listed(as_you_type::find(tables, &query)?)
        };
        self.users.0.list_kept(find).await
    }

    fn look_up<R>(
        &self,
        account: &AccountId,
        question: impl FnOnce(&Teller<'_>) -> rusqlite::Result<R>,
    ) -> Result<R, ReadError> {
        self.users
            .0
            .look_up_kept(|tables, forms| question(&self.teller(tables, forms, account)?))
    }

    fn teller<'a>(
        &self,
        tables: &'a Connection,
        forms: &'a Forms,
        account: &'a AccountId,
    ) -> rusqlite::Result<Teller<'a>> {
        Ok(Teller {
            finder: self.users.finder(tables, account)?,
            forms,
            tell: self.tell,
        })
    }
}

/// Tells users of one account.
struct Teller<'a> {
    finder: Finder<'a>,
    forms: &'a Forms,
    tell: Tell,
}

impl Teller<'_> {
    fn find(&self, user: UserId) -> rusqlite::Result<Option<Bytes>> {
        if let Some(head) = self.finder.by_id(user)? {
            return self.told(&head).map(Some);
        }
        let deleted = self.finder.deleted(user)?;
        Ok(deleted.map(|deleted| (self.tell)(FoundUser::Deleted(deleted))))
    }

    fn named(&self, head: &Head) -> rusqlite::Result<(UserId, Bytes)> {
        Ok((head.user_id, self.told(head)?))
    }

    fn listed(&self, numbers: Vec<i64>) -> rusqlite::Result<Vec<Bytes>> {
        let found = self.finder.by_number(numbers)?;
        found.iter().map(|head| self.told(head)).collect()
    }

    fn told(&self, head: &Head) -> rusqlite::Result<Bytes> {
        let stamp = self.finder.stamp(head);
        if let Some(stamp) = stamp
            && let Some(told) = self
                .forms
                .get(head.number, stamp, self.tell, self.finder.now())
        {
            return Ok(told);
        }
        let row = self.finder.row(head.number)?;
        // What the clock says is kept only where it is what is recorded, so that it is the same whoever asks.
        let until = self.until(&row.facets)?;
        let is_recorded = row.status == row.facets.status();
        let told = (self.tell)(FoundUser::Present(Box::new(row)));
        if let Some(stamp) = stamp.filter(|_| is_recorded) {
            let form = Form {
                stamp,
                tell: self.tell,
                until,
                told: told.clone(),
            };
            self.forms.keep(head.number, form);
        }
        Ok(told)
    }

    /// When the status changes by the clock.
    fn until(&self, facets: &Facets) -> rusqlite::Result<Option<Timestamp>> {
        if facets.depends_on_clock() {
            Ok(facets.changes_at(self.finder.settings()?))
        } else {
            Ok(None)
        }
    }
}
