//! What a user stands for in a company: values of dimensions by which rows are coded and invoices find their way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::User;
use crate::domain::{Apply, Timestamp};
use crate::values::{Allegiance, CompanyId};

/// The allegiances of a user in a company (R30).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allegiances {
    /// What the user's rows are coded with, and what it is proposed as a reviewer of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub coding: BTreeSet<Allegiance>,
    /// What invoices are addressed to the user by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub routing: BTreeSet<Allegiance>,
}

impl Allegiances {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.coding.is_empty() && self.routing.is_empty()
    }
}

/// A user has these allegiances in a company, and no others there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserAllegiancesSet {
    /// The company.
    pub company_id: CompanyId,
    /// All it has there.
    pub allegiances: Allegiances,
}

impl Apply<User> for UserAllegiancesSet {
    fn apply(self, _at: Timestamp, user: &mut User) {
        user.change(|person| {
            if let Some(properties) = person.companies.get_mut(&self.company_id) {
                properties.allegiances = self.allegiances;
            }
        });
    }
}
