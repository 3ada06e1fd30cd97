//! How the rows of the past follow from what happened.

use rollbook_aggregates::access::AccessEvent;
use rollbook_aggregates::invoice::InvoiceEvent;
use rollbook_aggregates::user::{Involvement, UserEvent};
use rollbook_aggregates::values::{CompanyId, InvoiceId, UserId, UserType};
use rusqlite::{Connection, Row, params};

use super::OPEN;
use crate::columns::{Coded, coded};
use crate::event::Folded;
use crate::page::{first, rows};
use crate::view::FoldError;

const SELECT_STANDING: &str = "
    SELECT since, external, user_type, active, locked, auto_locked, onboarded
    FROM standings
    WHERE account_id = ?1 AND user_id = ?2 AND until = ?3
    ORDER BY since DESC
    LIMIT 1";

const PUT_STANDING: &str = "
    INSERT OR REPLACE INTO standings (
        account_id, user_id, since, until, external, user_type, active, locked, auto_locked, onboarded
    )
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const END_STANDING: &str = "
    UPDATE standings
    SET until = ?3
    WHERE account_id = ?1 AND user_id = ?2 AND until = ?4";

const DROP_STANDING: &str = "
    DELETE FROM standings
    WHERE account_id = ?1 AND user_id = ?2 AND since = until";

const SELECT_LINKS: &str = "
    SELECT company_id
    FROM links
    WHERE user_id = ?1 AND until = ?2";

const SELECT_SUPERVISOR: &str = "
    SELECT supervisor
    FROM links
    WHERE user_id = ?1 AND company_id = ?2 AND until = ?3";

const PUT_LINK: &str = "
    INSERT OR REPLACE INTO links (user_id, company_id, since, until, account_id, supervisor)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const END_LINK: &str = "
    UPDATE links
    SET until = ?3
    WHERE user_id = ?1 AND company_id = ?2 AND until = ?4";

const DROP_LINK: &str = "
    DELETE FROM links
    WHERE user_id = ?1 AND company_id = ?2 AND since = until";

const PUT_INVOICE_EVENT: &str = "
    INSERT OR REPLACE INTO invoice_events (account_id, company_id, invoice_id, position)
    VALUES (?1, ?2, ?3, ?4)";

/// Whether an event changes how a user stands or whom it has as supervisor.
pub(super) fn concerns(event: &UserEvent) -> bool {
    matches!(
        event,
        UserEvent::UserCompaniesAdded(_)
            | UserEvent::UserCompaniesRemoved(_)
            | UserEvent::UserSupervisorChanged(_)
            | UserEvent::UserCreated(_)
            | UserEvent::UserDeleted(_)
    ) || stands_otherwise(event).is_some()
}

/// How a user stands in an account.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each facet survives the others"
)]
struct Standing {
    external: bool,
    user_type: UserType,
    active: bool,
    locked: bool,
    auto_locked: bool,
    onboarded: bool,
}

impl Standing {
    fn read(row: &Row<'_>) -> rusqlite::Result<(u64, Self)> {
        Ok((
            row.get(0)?,
            Self {
                external: row.get(1)?,
                user_type: coded(row, 2)?,
                active: row.get(3)?,
                locked: row.get(4)?,
                auto_locked: row.get(5)?,
                onboarded: row.get(6)?,
            },
        ))
    }

    const fn external(user_type: UserType) -> Self {
        Self {
            external: true,
            user_type,
            active: true,
            locked: false,
            auto_locked: false,
            onboarded: true,
        }
    }
}

/// A change of how a user stands.
type Otherwise = Box<dyn FnOnce(&mut Standing)>;

/// What an event changes of how a user stands, where it does.
fn stands_otherwise(event: &UserEvent) -> Option<Otherwise> {
    Some(match event {
        UserEvent::UserActivated(_) => Box::new(|user| user.active = true),
        UserEvent::UserDeactivated(_) => Box::new(|user| user.active = false),
        UserEvent::UserLocked(_) => Box::new(|user| user.locked = true),
        UserEvent::UserUnlocked(_) => Box::new(|user| {
            user.locked = false;
            user.auto_locked = false;
        }),
        UserEvent::UserAutoLocked(_) => Box::new(|user| user.auto_locked = true),
        UserEvent::UserLockExpired(_) => Box::new(|user| user.auto_locked = false),
        UserEvent::UserTypeChanged(changed) => {
            let user_type = changed.user_type;
            Box::new(move |user| user.user_type = user_type)
        }
        UserEvent::WelcomeCompleted(_) => Box::new(|user| user.onboarded = true),
        _ => return None,
    })
}

/// A change by one event.
pub(super) struct Change<'a> {
    tables: &'a Connection,
    account: &'a str,
    /// From here on the event counts: the last position of its commit.
    at: u64,
    position: u64,
}

impl<'a> Change<'a> {
    pub(super) fn new(tables: &'a Connection, folded: &'a Folded) -> Self {
        Self {
            tables,
            account: &folded.recorded.account_id,
            at: folded.recorded.commit_position,
            position: folded.recorded.position,
        }
    }

    pub(super) fn user(&self, user: UserId, event: &UserEvent) -> Result<(), FoldError> {
        if let Some(involvement) = event.involvement() {
            return self.involved(&involvement);
        }
        match event {
            UserEvent::UserCreated(created) => self.stands(
                user,
                Standing {
                    external: false,
                    user_type: created.user_type,
                    active: created.active,
                    locked: false,
                    auto_locked: false,
                    onboarded: created.onboarded,
                },
            ),
            UserEvent::UserDeleted(_) => self.leaves_for_good(user),
            UserEvent::UserCompaniesAdded(added) => added
                .companies
                .iter()
                .try_for_each(|link| self.link(user, link.company_id, link.supervisor)),
            UserEvent::UserCompaniesRemoved(removed) => removed
                .company_ids
                .iter()
                .try_for_each(|company| self.unlink(user, company.as_uuid().into_bytes())),
            UserEvent::UserSupervisorChanged(changed) => {
                self.link(user, changed.company_id, changed.supervisor)
            }
            other => match stands_otherwise(other) {
                Some(change) => self.changes(user, change),
                None => Ok(()),
            },
        }
    }

    pub(super) fn access(&self, user: UserId, event: &AccessEvent) -> Result<(), FoldError> {
        if let Some(involvement) = event.involvement() {
            return self.involved(&involvement);
        }
        match event {
            AccessEvent::AccessGranted(granted) => {
                self.stands(user, Standing::external(granted.user_type))
            }
            AccessEvent::AccessTypeChanged(changed) => {
                let user_type = changed.user_type;
                self.changes(user, Box::new(move |user| user.user_type = user_type))
            }
            AccessEvent::AccessRevoked(_) | AccessEvent::ExternalUserDeleted(_) => {
                self.leaves(user)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn settled(&self, event: &InvoiceEvent) -> Result<(), FoldError> {
        let InvoiceEvent::InvoiceSettlementReported(settled) = event;
        self.invoice(settled.company_id, &settled.invoice_id)
    }

    fn involved(&self, involvement: &Involvement<'_>) -> Result<(), FoldError> {
        let (company, invoice) = match involvement {
            Involvement::InvoiceQueued(event) => (event.company_id, &event.invoice_id),
            Involvement::InvoiceDequeued(event) => (event.company_id, &event.invoice_id),
            Involvement::InvoiceReviewed(event) => (event.company_id, &event.invoice_id),
            Involvement::InvoiceReviewRetracted(event) => (event.company_id, &event.invoice_id),
            Involvement::InvoiceSettled(event) => (event.company_id, &event.invoice_id),
            Involvement::FlowTemplateLinked(_)
            | Involvement::FlowTemplateUnlinked(_)
            | Involvement::ReferenceLinked(_)
            | Involvement::ReferenceUnlinked(_) => return Ok(()),
        };
        self.invoice(company, invoice)
    }

    fn invoice(&self, company: CompanyId, invoice: &InvoiceId) -> Result<(), FoldError> {
        let company = company.as_uuid().into_bytes();
        let event = params![self.account, company, invoice.as_str(), self.position];
        self.tables
            .prepare_cached(PUT_INVOICE_EVENT)?
            .execute(event)?;
        Ok(())
    }

    fn changes(&self, user: UserId, change: Otherwise) -> Result<(), FoldError> {
        let key = params![self.account, user.as_uuid().into_bytes(), OPEN];
        let Some((_, mut standing)) = first(self.tables, SELECT_STANDING, key, Standing::read)?
        else {
            return Ok(());
        };
        let before = standing;
        change(&mut standing);
        if standing == before {
            return Ok(());
        }
        self.stands(user, standing)
    }

    /// From this commit on a user stands so.
    fn stands(&self, user: UserId, standing: Standing) -> Result<(), FoldError> {
        self.leaves(user)?;
        self.tables.prepare_cached(PUT_STANDING)?.execute(params![
            self.account,
            user.as_uuid().into_bytes(),
            self.at,
            OPEN,
            standing.external,
            standing.user_type.code(),
            standing.active,
            standing.locked,
            standing.auto_locked,
            standing.onboarded,
        ])?;
        Ok(())
    }

    /// From this commit on a user is not there; what held only within the commit never was.
    fn leaves(&self, user: UserId) -> Result<(), FoldError> {
        let user = user.as_uuid().into_bytes();
        let end = params![self.account, user, self.at, OPEN];
        self.tables.prepare_cached(END_STANDING)?.execute(end)?;
        let drop = params![self.account, user];
        self.tables.prepare_cached(DROP_STANDING)?.execute(drop)?;
        Ok(())
    }

    fn leaves_for_good(&self, user: UserId) -> Result<(), FoldError> {
        self.leaves(user)?;
        let linked: Vec<[u8; 16]> = rows(
            self.tables,
            SELECT_LINKS,
            params![user.as_uuid().into_bytes(), OPEN],
            |row| row.get(0),
        )?;
        linked
            .into_iter()
            .try_for_each(|company| self.unlink(user, company))
    }

    /// From this commit on a user has this supervisor in a company.
    fn link(&self, user: UserId, company: CompanyId, supervisor: UserId) -> Result<(), FoldError> {
        let supervisor = supervisor.as_uuid().into_bytes();
        let (id, company) = (user.as_uuid().into_bytes(), company.as_uuid().into_bytes());
        let key = params![id, company, OPEN];
        let present: Option<[u8; 16]> =
            first(self.tables, SELECT_SUPERVISOR, key, |row| row.get(0))?;
        if present == Some(supervisor) {
            return Ok(());
        }
        self.unlink(user, company)?;
        let link = params![id, company, self.at, OPEN, self.account, supervisor];
        self.tables.prepare_cached(PUT_LINK)?.execute(link)?;
        Ok(())
    }

    fn unlink(&self, user: UserId, company: [u8; 16]) -> Result<(), FoldError> {
        let user = user.as_uuid().into_bytes();
        let end = params![user, company, self.at, OPEN];
        self.tables.prepare_cached(END_LINK)?.execute(end)?;
        let drop = params![user, company];
        self.tables.prepare_cached(DROP_LINK)?.execute(drop)?;
        Ok(())
    }
}
