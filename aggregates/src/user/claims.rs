//! What a user holds in its account: the rules that span users ask for it.

use std::collections::BTreeSet;

use super::{Person, User, UserError};
use crate::domain::{Claim, Claimant, Held, Holders, Requires};
use crate::values::UserType;

impl Claimant for User {
    type Happening = super::UserEvent;

    fn claims(&self) -> BTreeSet<Held> {
        let Some(person) = self.person() else {
            return BTreeSet::new();
        };
        let owner = person.id.to_string();
        let held = |claim| Held {
            claim,
            owner: owner.clone(),
        };
        let mut claims = person.claims();
        let reviewed = person.involvements.reviews_open().iter();
        claims.extend(reviewed.map(|(invoice, _)| Claim::Reviewer(invoice.clone())));
        claims.into_iter().map(held).collect()
    }

    fn claim_changes(&self, after: &Self) -> (BTreeSet<Held>, BTreeSet<Held>) {
        (after.claims_beyond(self), self.claims_beyond(after))
    }

    fn refusal_of(requires: &Requires, _holders: &Holders) -> Option<UserError> {
        match requires {
            Requires::FreeBut {
                claim: Claim::Signature(_),
                ..
            } => Some(UserError::SignatureTaken),
            Requires::FreeBut {
                claim: Claim::Email(_),
                ..
            } => Some(UserError::EmailTaken),
            Requires::HeldBy {
                claim: Claim::Administrator | Claim::ExternalAdministrator,
                ..
            } => Some(UserError::NotAdministrator),
            Requires::Free(_)
            | Requires::FreeBut { .. }
            | Requires::HeldBy { .. }
            | Requires::Another { .. }
            | Requires::Exactly { .. }
            | Requires::Unshared { .. } => None,
        }
    }
}

impl User {
    /// The claims it holds and the other, which is the same user at another time, does not.
    fn claims_beyond(&self, other: &Self) -> BTreeSet<Held> {
        let Some(person) = self.person() else {
            return BTreeSet::new();
        };
        let Some(other) = other.person() else {
            return self.claims();
        };
        let theirs: BTreeSet<Claim> = other.claims().into_iter().collect();
        let own = person.claims().into_iter();
        let own = own.filter(|claim| !theirs.contains(claim));
        let reviews = person
            .involvements
            .reviews_open()
            .difference(other.involvements.reviews_open())
            .filter(|(invoice, _)| !other.involvements.has_open_review(invoice))
            .map(|(invoice, _)| Claim::Reviewer(invoice.clone()));
        let owner = person.id.to_string();
        let held = |claim| Held {
            claim,
            owner: owner.clone(),
        };
        own.chain(reviews).map(held).collect()
    }
}

impl Person {
    /// What it holds but for the invoices it reviewed, which may be a great many.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        claims.extend(
            self.profile
                .signature
                .known()
                .map(|code| Claim::Signature(code.folded())),
        );
        claims.extend(
            self.profile
                .email
                .known()
                .map(|email| Claim::Email(email.folded())),
        );
        if self.can_act_as_administrator() {
            claims.push(Claim::Administrator);
        }
        if self.is_administrator_but_for_a_lock() {
            claims.push(Claim::LockedAdministrator);
        }
        self.claim_companies(&mut claims);
        self.claim_catalogue(&mut claims);
        claims
    }

    fn claim_companies(&self, claims: &mut Vec<Claim>) {
        let granted = self.permissions.iter().filter_map(|grant| grant.company);
        let members = self.companies.keys().copied().chain(granted);
        claims.extend(members.map(Claim::CompanyMember));
        claims.extend(
            self.companies
                .iter()
                .filter(|(_, properties)| properties.supervisor != self.id)
                .map(|(company, properties)| Claim::Supervises {
                    supervisor: properties.supervisor,
                    company: *company,
                }),
        );
    }

    fn claim_catalogue(&self, claims: &mut Vec<Claim>) {
        claims.extend(self.roles.iter().cloned().map(Claim::RoleHolder));
        for grant in &self.permissions {
            claims.push(Claim::ModuleHolder(grant.module.clone()));
            match self.user_type {
                UserType::Administrator => {}
                UserType::Standard => {
                    claims.push(Claim::StandardModuleHolder(grant.module.clone()));
                }
            }
        }
    }
}
