//! Commands on the access of one external user, and reports about users wherever they are at home.

use rollbook_aggregates::access::{Access, OfAccess};
use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::user::{Report, User};
use rollbook_aggregates::values::UserId;
use serde::{Deserialize, Serialize};

use super::{OnUser, UserOutcome};
use crate::executor::{Plan, Unit, access_id};
use crate::failure::Outcome;

/// An access to the command's account, as a command left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessOutcome {
    /// Whose.
    pub user: UserId,
    /// Its revision then.
    pub revision: u64,
}

/// A command on the access of a user to the command's account.
pub struct OnAccess<C> {
    /// Which user's.
    pub user: UserId,
    /// What to do.
    pub command: C,
}

impl<C> Plan for OnAccess<C>
where
    C: Decide<Aggregate = Access> + Clone + Send + Sync,
{
    type Outcome = AccessOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<AccessOutcome> {
        unit.account().await?;
        let id = access_id(&unit.order().account_id, self.user);
        unit.load::<Access>(&id).await?;
        unit.expect_revision::<Access>(&id)?;
        unit.decide(&id, self.command.clone()).await?;
        Ok(AccessOutcome {
            user: self.user,
            revision: unit.revision::<Access>(&id),
        })
    }
}

/// A user of the command's account, at home there or external, as a report left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportOutcome {
    /// Which user.
    pub user: UserOutcome,
    /// The revision of its access, where it is external.
    pub access: Option<u64>,
}

/// A report about a user, which is recorded on the user, or on the access of an external one.
pub struct ReportPlan<R> {
    /// Which user.
    pub user: UserId,
    /// What is reported.
    pub report: R,
}

impl<R> Plan for ReportPlan<R>
where
    R: Report + Decide<Aggregate = User>,
{
    type Outcome = ReportOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<ReportOutcome> {
        unit.account().await?;
        let Some(id) = unit.external(self.user).await? else {
            let at_home = OnUser {
                user: self.user,
                command: self.report.clone(),
            };
            return Ok(ReportOutcome {
                user: at_home.decide(unit).await?,
                access: None,
            });
        };
        unit.expect_revision::<Access>(&id)?;
        unit.decide(&id, OfAccess(self.report.clone())).await?;
        Ok(ReportOutcome {
            user: UserOutcome {
                user: self.user,
                revision: unit.revision::<User>(&self.user.to_string()),
            },
            access: Some(unit.revision::<Access>(&id)),
        })
    }
}
