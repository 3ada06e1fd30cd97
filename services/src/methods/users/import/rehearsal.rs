//! What rows that are merely validated would have left behind for those after them.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_aggregates::user::UserError;
use rollbook_aggregates::values::{CompanyId, Folded, Login};
use rollbook_proto::v1::ErrorReason;

use crate::convert::NewUser;
use crate::failure::{Failure, Outcome};
use crate::plans::unfit_supervisors;

/// How many rows are remembered.
const ROWS: usize = 500_000;

/// The rows of a rehearsal so far.
pub(super) struct Rehearsal {
    login: Login,
    users: BTreeMap<Folded, Standing>,
    emails: BTreeSet<Folded>,
}

/// What a rehearsed user would be as a supervisor.
struct Standing {
    active: bool,
    companies: Box<[CompanyId]>,
}

/// A row that would be carried out, as far as the directory is concerned.
pub(super) struct Rehearsed {
    signature: Folded,
    email: Folded,
    active: bool,
    companies: Box<[CompanyId]>,
    /// Supervisors whom nobody of the directory is.
    pub(super) supervisors: Vec<(CompanyId, Folded)>,
}

impl Rehearsed {
    pub(super) fn of(new: &NewUser) -> Self {
        Self {
            signature: new.signature().folded(),
            email: new.email().folded(),
            active: new.is_active(),
            companies: new.companies.iter().map(|link| link.company_id).collect(),
            supervisors: Vec::new(),
        }
    }
}

impl Rehearsal {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            users: BTreeMap::new(),
            emails: BTreeSet::new(),
        }
    }

    /// Lets a row follow those before it.
    ///
    /// # Errors
    /// What they leave it to be refused for; `TOO_LARGE` when there are too many.
    pub(super) fn follow(&mut self, row: Rehearsed) -> Outcome<()> {
        let Rehearsed {
            signature,
            email,
            active,
            companies,
            supervisors,
        } = row;
        if self.users.len() >= ROWS {
            let message = format!("at most {ROWS} rows can be validated in one call");
            return Err(Failure::new(ErrorReason::TooLarge, message));
        }
        if self.users.contains_key(&signature) {
            return Err(Failure::refused(&UserError::SignatureTaken));
        }
        if self.login == Login::Email && self.emails.contains(&email) {
            return Err(Failure::refused(&UserError::EmailTaken));
        }
        let faults: Vec<_> = supervisors
            .iter()
            .filter_map(|(company, name)| self.fault(*company, name))
            .collect();
        if !faults.is_empty() {
            return Err(unfit_supervisors(faults.into_iter()));
        }
        if self.login == Login::Email {
            self.emails.insert(email);
        }
        self.users.insert(signature, Standing { active, companies });
        Ok(())
    }

    fn fault(
        &self,
        company: CompanyId,
        supervisor: &Folded,
    ) -> Option<(CompanyId, &'static str, &'static str)> {
        let (kind, description) = match self.users.get(supervisor) {
            None => (
                "SUPERVISOR_NOT_FOUND",
                "nobody of the account, or of the rows before, has the signature that is named",
            ),
            Some(standing) if !standing.active => {
                ("SUPERVISOR_INACTIVE", "the supervisor is inactive")
            }
            Some(standing) if !standing.companies.contains(&company) => (
                "SUPERVISOR_NOT_LINKED",
                "the supervisor is not linked to the company",
            ),
            Some(_) => return None,
        };
        Some((company, kind, description))
    }
}
