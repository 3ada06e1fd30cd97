//! One supervisor in the place of another, with everybody who has it.

use std::collections::BTreeSet;

use rollbook_aggregates::domain::Claim;
use rollbook_aggregates::user::{Succession, User};
use rollbook_aggregates::values::{CompanyId, UserId};
use serde::{Deserialize, Serialize};

use super::UserOutcome;
use crate::executor::{Plan, Unit};
use crate::failure::{Failure, Outcome};

/// Gives everybody who has a supervisor another one, in one commit (R33).
pub struct ReplaceSupervisorPlan(pub Succession);

/// What became of those who had the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplacedSupervisor {
    /// Whose place was taken.
    pub supervisor: UserOutcome,
    /// How many users changed.
    pub changed: u64,
    /// Who did not, by company.
    pub left: Vec<(CompanyId, BTreeSet<UserId>)>,
}

impl Plan for ReplaceSupervisorPlan {
    type Outcome = ReplacedSupervisor;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<ReplacedSupervisor> {
        let Self(succession) = self;
        let refused = |error| Failure::refused(&error);
        let id = succession.supervisor.to_string();
        let account = unit.account().await?;
        let facts = unit.facts(succession.reads()).await?;
        let there = facts.user(succession.supervisor).and_then(User::account_id);
        if there == account.id() {
            unit.expect_revision::<User>(&id)?;
        }
        let companies = succession
            .companies(&unit.context(&account, &facts))
            .map_err(refused)?;
        let claims: Vec<Claim> = companies.iter().map(|id| succession.claim(*id)).collect();
        let users = unit.users_with(&claims).await?;
        let holders = companies.into_iter().zip(users).collect();
        let handover = succession
            .hand_over(&unit.context(&account, &facts), holders)
            .map_err(refused)?;
        unit.stage_requirements::<User>(&handover.requires);
        let reports: Vec<String> = handover.reports.iter().map(ToString::to_string).collect();
        unit.load_all::<User>(&reports).await?;
        for report in &reports {
            unit.decide(report, handover.command.clone()).await?;
        }
        Ok(ReplacedSupervisor {
            supervisor: UserOutcome {
                user: succession.supervisor,
                revision: unit.revision::<User>(&id),
            },
            changed: reports.len() as u64,
            left: handover.left,
        })
    }
}
