//! Commands on mail.

use rollbook_aggregates::domain::Decide;
use rollbook_aggregates::mail::{Mail, MailError};
use rollbook_aggregates::values::MailId;
use serde::{Deserialize, Serialize};

use crate::executor::{Plan, Unit};
use crate::failure::{Failure, Outcome};

/// A mail, as a command left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailOutcome {
    /// Which.
    pub mail: MailId,
    /// Its revision then.
    pub revision: u64,
}

/// A command on a mail.
pub struct OnMail<C> {
    /// Which.
    pub mail: MailId,
    /// What to do.
    pub command: C,
}

impl<C> Plan for OnMail<C>
where
    C: Decide<Aggregate = Mail> + Clone + Send + Sync,
{
    type Outcome = MailOutcome;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<MailOutcome> {
        let id = self.mail.to_string();
        unit.account().await?;
        let mail = unit.load::<Mail>(&id).await?;
        let account = &unit.order().account_id;
        if mail.account_id().is_some_and(|own| own != account) {
            return Err(Failure::refused(&MailError::NotFound));
        }
        unit.expect_revision::<Mail>(&id)?;
        unit.decide(&id, self.command.clone()).await?;
        Ok(MailOutcome {
            mail: self.mail,
            revision: unit.revision::<Mail>(&id),
        })
    }
}
