//! A row of an import: a user is created, under supervisors that are named by signature.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollbook_aggregates::domain::Claim;
use rollbook_aggregates::user::CreateUser;
use rollbook_aggregates::values::{CompanyId, Folded, UserId};
use rollbook_proto::v1::ErrorReason;

use super::{CreateUserPlan, UserOutcome};
use crate::convert::ImportRow;
use crate::executor::{Plan, Unit};
use crate::failure::{Failure, Outcome};

/// Whose a signature is. It never becomes another's, so what was found once holds.
#[derive(Default)]
pub struct Signatures(Mutex<HashMap<Folded, UserId>>);

impl Signatures {
    /// How many are remembered.
    const REMEMBERED: usize = 10_000;

    fn known(&self) -> MutexGuard<'_, HashMap<Folded, UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has, or had, the signature.
    async fn owner(&self, unit: &Unit<'_>, signature: &Folded) -> Outcome<Option<UserId>> {
        if let Some(user) = self.known().get(signature) {
            return Ok(Some(*user));
        }
        let claim = Claim::Signature(signature.clone());
        let holders = unit.holders(&[claim]).await?;
        let holder = holders.first().and_then(|holders| holders.owners.first());
        let found = holder.and_then(|owner| UserId::parse(owner).ok());
        if let Some(user) = found {
            let mut known = self.known();
            if known.len() >= Self::REMEMBERED {
                known.clear();
            }
            known.insert(signature.clone(), user);
        }
        Ok(found)
    }
}

/// Creates the user of a row.
pub struct ImportRowPlan {
    /// How it is created.
    pub create: CreateUserPlan,
    own: Folded,
    named: Vec<(CompanyId, Folded)>,
    signatures: Arc<Signatures>,
    missing: Mutex<Vec<(CompanyId, Folded)>>,
}

impl ImportRowPlan {
    /// One that creates the user of this row under this id.
    #[must_use]
    pub fn new(user: UserId, row: ImportRow, signatures: Arc<Signatures>) -> Self {
        let ImportRow { new, supervisors } = row;
        Self {
            own: new.signature().folded(),
            create: CreateUserPlan::new(user, new),
            named: supervisors,
            signatures,
            missing: Mutex::default(),
        }
    }

    /// The supervisors that nobody is; only a row that was merely validated may have some, who then stand in rows before it.
    #[must_use]
    pub fn missing(&self) -> Vec<(CompanyId, Folded)> {
        std::mem::take(&mut *self.missing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn name_supervisors(&self, unit: &Unit<'_>, create: &mut CreateUser) -> Outcome<()> {
        let mut missing = Vec::new();
        for (company, signature) in self.named.iter().filter(|(_, name)| *name != self.own) {
            let Some(user) = self.signatures.owner(unit, signature).await? else {
                missing.push((*company, signature.clone()));
                continue;
            };
            for link in &mut create.companies {
                if link.company_id == *company {
                    link.supervisor = Some(user);
                }
            }
        }
        if !missing.is_empty() && !unit.order().options.validate_only {
            let companies = missing.iter().map(|(company, _)| *company);
            return Err(nobody_has_the_signature(companies));
        }
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        Ok(())
    }
}

impl Plan for ImportRowPlan {
    type Outcome = UserOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<UserOutcome> {
        unit.account().await?;
        let mut create = self.create.create(unit);
        self.name_supervisors(unit, &mut create).await?;
        self.create.stage_user(unit, create).await
    }
}

/// The supervisors in these companies are named by signatures that nobody has.
#[must_use]
pub fn nobody_has_the_signature(companies: impl Iterator<Item = CompanyId>) -> Failure {
    unfit_supervisors(companies.map(|company| {
        let description = "nobody of the account has the signature that is named";
        (company, "SUPERVISOR_NOT_FOUND", description)
    }))
}

/// The supervisors in these companies cannot be.
pub fn unfit_supervisors(
    faults: impl Iterator<Item = (CompanyId, &'static str, &'static str)>,
) -> Failure {
    let failure = Failure::new(
        ErrorReason::SupervisorUnfit,
        "the supervisor must be an active user of the account with the company",
    );
    faults.fold(failure, |failure, (company, kind, description)| {
        failure.violating(kind, company, description)
    })
}
