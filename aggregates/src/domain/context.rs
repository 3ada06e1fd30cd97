//! What a decision may look at beside its own aggregate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{Claim, Holders, Timestamp};
use crate::access::Access;
use crate::account::Account;
use crate::invoice::Invoice;
use crate::user::User;
use crate::values::{AccountId, CompanyId, InvoiceId, UserId};

/// Who a command is done for. Its text is what events record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An administrator of the account; must still be one who can act when the command is committed (R25).
    Administrator(UserId),
    /// A user of another account who administers this one by an access; must still do when the command is committed.
    ExternalAdministrator(UserId),
    /// A user of the account who acts as itself.
    User(UserId),
    /// Anybody else: an operator, a service, a portal, by an opaque id.
    Outside(String),
}

impl Actor {
    /// Whether the actor is that user.
    #[must_use]
    pub fn is(&self, user: UserId) -> bool {
        match self {
            Self::Administrator(id) | Self::ExternalAdministrator(id) | Self::User(id) => {
                *id == user
            }
            Self::Outside(_) => false,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Administrator(id) | Self::ExternalAdministrator(id) | Self::User(id) => {
                fmt::Display::fmt(id, f)
            }
            Self::Outside(id) => f.write_str(id),
        }
    }
}

/// An invoice of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceKey {
    /// Whose invoice it is.
    pub company_id: CompanyId,
    /// Which one.
    pub invoice_id: InvoiceId,
}

// A pair without names: a state may hold a great many of them.
impl Serialize for InvoiceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.company_id, &self.invoice_id).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for InvoiceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (company_id, invoice_id) = Deserialize::deserialize(deserializer)?;
        Ok(Self {
            company_id,
            invoice_id,
        })
    }
}

impl InvoiceKey {
    const NAMESPACE: Uuid = Uuid::from_u128(0x6d1b_6c3e_7a42_4c7b_9d55_2f3b_8a0e_91c4);

    /// A UUID that stands for this invoice within its account.
    #[must_use]
    pub fn digest(&self) -> Uuid {
        Self::name(&[&self.company_id.to_string(), self.invoice_id.as_str()])
    }

    /// The id of the invoice's stream.
    #[must_use]
    pub fn stream_id(&self, account: &AccountId) -> Uuid {
        let company = self.company_id.to_string();
        Self::name(&[account.as_str(), &company, self.invoice_id.as_str()])
    }

    fn name(parts: &[&str]) -> Uuid {
        Uuid::new_v5(&Self::NAMESPACE, parts.join("/").as_bytes())
    }
}

/// What a command needs to know before it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Other users; the commit checks that they did not change since.
    pub users: BTreeSet<UserId>,
    /// Users of whom every access to other accounts must be known; the commit checks that these did not change since, and
    /// that there is no other is required of it.
    pub accesses_of: BTreeSet<UserId>,
    /// Who holds these claims; what matters of it is required of the commit.
    pub claims: BTreeSet<Claim>,
    /// Invoices; the commit checks that they did not change since, nor came to be.
    pub invoices: BTreeSet<InvoiceKey>,
}

impl Reads {
    /// Nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.accesses_of.is_empty()
            && self.claims.is_empty()
            && self.invoices.is_empty()
    }
}

/// What was looked up for a command: other users, their accesses, who holds which claims, and invoices.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    users: BTreeMap<UserId, Arc<User>>,
    accesses: BTreeMap<UserId, Vec<Arc<Access>>>,
    holders: BTreeMap<Claim, Holders>,
    invoices: BTreeMap<InvoiceKey, Arc<Invoice>>,
}

impl Facts {
    /// A user that was looked up; one that does not exist may be left out.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id).map(Arc::as_ref)
    }

    /// The accesses of a user to other accounts, revoked ones too; none, when they were not looked up.
    #[must_use]
    pub fn accesses_of(&self, user: UserId) -> &[Arc<Access>] {
        self.accesses.get(&user).map_or(&[], Vec::as_slice)
    }

    /// Who holds a claim; nobody, when it was not looked up.
    #[must_use]
    pub fn holders(&self, claim: &Claim) -> &Holders {
        const NOBODY: &Holders = &Holders {
            count: 0,
            owners: Vec::new(),
        };
        self.holders.get(claim).unwrap_or(NOBODY)
    }

    /// An invoice that was looked up; one of which nothing is recorded may be left out.
    #[must_use]
    pub fn invoice(&self, key: &InvoiceKey) -> Option<&Invoice> {
        self.invoices.get(key).map(Arc::as_ref)
    }

    /// Adds a user.
    pub fn insert_user(&mut self, id: UserId, user: Arc<User>) {
        self.users.insert(id, user);
    }

    /// Adds all accesses of a user.
    pub fn insert_accesses(&mut self, user: UserId, accesses: Vec<Arc<Access>>) {
        self.accesses.insert(user, accesses);
    }

    /// Adds the holders of a claim.
    pub fn insert_holders(&mut self, claim: Claim, holders: Holders) {
        self.holders.insert(claim, holders);
    }

    /// Adds an invoice.
    pub fn insert_invoice(&mut self, key: InvoiceKey, invoice: Arc<Invoice>) {
        self.invoices.insert(key, invoice);
    }
}

/// What a decision may look at beside its own aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who the command is done for.
    pub actor: &'a Actor,
    /// When.
    pub now: Timestamp,
    /// The account, whose settings and catalogue the rules ask; the commit checks that it did not change since.
    pub account: &'a Account,
    /// What was looked up.
    pub facts: &'a Facts,
}

/// A [`Context`] that owns what it shows: what the stock framework is given as services.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Who the command is done for.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
    /// The account.
    pub account: Arc<Account>,
    /// What was looked up.
    pub facts: Facts,
}

impl Surroundings {
    /// The same as a context.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context {
            actor: &self.actor,
            now: self.now,
            account: &self.account,
            facts: &self.facts,
        }
    }
}
