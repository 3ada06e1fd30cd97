//! What an access holds: the rules that span users ask for it, and count external users with the others.
//!
//! An external administrator is never among those who can act when the last one is asked for (R24): it holds a claim of
//! its own kind.

use std::collections::BTreeSet;

use super::{Access, AccessError, ExternalUser};
use crate::domain::{Claim, Claimant, Held, Holders, Requires};
use crate::values::UserType;

impl Claimant for Access {
    type Happening = super::AccessEvent;

    fn claims(&self) -> BTreeSet<Held> {
        let Some(external) = self.external() else {
            return BTreeSet::new();
        };
        let user = external.user_id().to_string();
        let held = |claim| Held {
            claim,
            owner: user.clone(),
        };
        let of_user = external.claims().into_iter().map(held);
        of_user.chain([external.own_claim()]).collect()
    }

    fn refusal_of(requires: &Requires, _holders: &Holders) -> Option<AccessError> {
        match requires {
            Requires::HeldBy {
                claim: Claim::Administrator | Claim::ExternalAdministrator,
                ..
            } => Some(AccessError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::HeldBy { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. }
            | Requires::Unshared { .. } => None,
        }
    }
}

impl ExternalUser {
    /// What makes the access found by its user, until the user is deleted.
    fn own_claim(&self) -> Held {
        Held {
            claim: Claim::ExternalAccess(self.user_id()),
            owner: self.account_id().to_string(),
        }
    }

    /// What its user holds in the account that is accessed.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        if self.administers() {
            claims.push(Claim::ExternalAdministrator);
        }
        for grant in self.permissions.iter().filter(|_| self.is_granted()) {
            claims.push(Claim::ModuleHolder(grant.module.clone()));
            claims.extend(grant.company.map(Claim::CompanyMember));
            match self.user_type {
                UserType::Administrator => {}
                UserType::Standard => {
                    claims.push(Claim::StandardModuleHolder(grant.module.clone()));
                }
            }
        }
        let reviewed = self.involvements.reviews_open().iter();
        claims.extend(reviewed.map(|(invoice, _)| Claim::Reviewer(invoice.clone())));
        claims
    }
}
