//! What people and companies were called at a position, and who had whom as supervisor.

use std::collections::{BTreeMap, BTreeSet};

use rollbook_aggregates::account::AccountEvent;
use rollbook_aggregates::domain::Personal;
use rollbook_aggregates::user::UserEvent;
use rollbook_aggregates::values::{AccountId, CompanyId, Signature, UserId};
use rollbook_eventstore::{Log, RecordedEvent, StoreError, StreamId};
use rollbook_projections::{Content, read_event};

use crate::convert::Disclose;

/// Values with the positions since when they held, in order.
type Since<T> = Vec<(u64, T)>;

/// What somebody was called, and whom it had as supervisor.
#[derive(Default)]
struct Known {
    signatures: Since<Personal<Signature>>,
    supervisors: BTreeMap<CompanyId, Since<Option<UserId>>>,
}

/// The names of the people and companies of an account at any position, out of their own streams.
pub struct Names {
    log: Log,
    account: AccountId,
    disclose: Disclose,
    people: BTreeMap<UserId, Known>,
    companies: BTreeMap<CompanyId, Since<String>>,
}

impl Names {
    /// Those of an account; of its people those who were asked for with [`Self::learn`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn of(log: Log, account: AccountId, disclose: Disclose) -> Result<Self, StoreError> {
        let stream = StreamId::new("account", account.to_string());
        let mut companies: BTreeMap<CompanyId, Since<String>> = BTreeMap::new();
        for event in log.load(&[(stream, 0)]).await?.into_iter().flatten() {
            let (company, title) = match read_event(&event) {
                Content::Account(AccountEvent::CompanyAdded(added)) => {
                    (added.company_id, added.title)
                }
                Content::Account(AccountEvent::CompanyRenamed(renamed)) => {
                    (renamed.company_id, renamed.title)
                }
                _ => continue,
            };
            let titles = companies.entry(company).or_default();
            titles.push((event.position, title.to_string()));
        }
        Ok(Self {
            log,
            account,
            disclose,
            people: BTreeMap::new(),
            companies,
        })
    }

    /// Whether what is personal may be shown.
    #[must_use]
    pub const fn disclose(&self) -> Disclose {
        self.disclose
    }

    /// Finds out about people. Those of other accounts stay without a name.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn learn(
        &mut self,
        people: impl IntoIterator<Item = UserId> + Send,
    ) -> Result<(), StoreError> {
        let people: BTreeSet<UserId> = people
            .into_iter()
            .filter(|id| !self.people.contains_key(id))
            .collect();
        if people.is_empty() {
            return Ok(());
        }
        let streams: Vec<_> = people
            .iter()
            .map(|id| (StreamId::new("user", id.to_string()), 0))
            .collect();
        let found = self.log.load(&streams).await?;
        for (id, events) in people.into_iter().zip(found) {
            let known = known(&events, &self.account);
            self.people.insert(id, known);
        }
        Ok(())
    }

    /// What somebody was called, where that can be shown.
    #[must_use]
    pub fn signature(&self, user: UserId, at: u64) -> Option<String> {
        let signature = latest(&self.people.get(&user)?.signatures, at)?.known()?;
        (self.disclose == Disclose::Shown).then(|| signature.to_string())
    }

    /// What somebody was called, or else its id.
    #[must_use]
    pub fn user(&self, user: UserId, at: u64) -> String {
        self.signature(user, at).unwrap_or_else(|| user.to_string())
    }

    /// Whether the account ever had a company.
    #[must_use]
    pub fn has(&self, company: CompanyId) -> bool {
        self.companies.contains_key(&company)
    }

    /// What a company was called, or else its id.
    #[must_use]
    pub fn company(&self, company: CompanyId, at: u64) -> String {
        let titles = self.companies.get(&company);
        titles
            .and_then(|titles| latest(titles, at).cloned())
            .unwrap_or_else(|| company.to_string())
    }

    /// Whom somebody had as supervisor in a company; itself where it had none there, nothing where it was not linked to it.
    #[must_use]
    pub fn supervisor(&self, user: UserId, company: CompanyId, at: u64) -> Option<UserId> {
        let supervisors = self.people.get(&user)?.supervisors.get(&company)?;
        latest(supervisors, at).copied().flatten()
    }
}

fn known(events: &[RecordedEvent], account: &AccountId) -> Known {
    let mut known = Known::default();
    for event in events {
        if event.account_id != account.as_str() {
            continue;
        }
        let at = event.position;
        let mut supervised = |company: CompanyId, supervisor: Option<UserId>| {
            let supervisors = known.supervisors.entry(company).or_default();
            supervisors.push((at, supervisor));
        };
        match read_event(event) {
            Content::User(_, UserEvent::UserCreated(created)) => {
                known.signatures.push((at, created.signature));
            }
            Content::User(_, UserEvent::UserSignatureChanged(changed)) => {
                known.signatures.push((at, changed.signature));
            }
            Content::User(_, UserEvent::UserCompaniesAdded(added)) => {
                for link in added.companies {
                    supervised(link.company_id, Some(link.supervisor));
                }
            }
            Content::User(_, UserEvent::UserSupervisorChanged(changed)) => {
                supervised(changed.company_id, Some(changed.supervisor));
            }
            Content::User(_, UserEvent::UserCompaniesRemoved(removed)) => {
                for company in removed.company_ids {
                    supervised(company, None);
                }
            }
            _ => {}
        }
    }
    known
}

/// What held at a position.
fn latest<T>(values: &Since<T>, at: u64) -> Option<&T> {
    let until = values.partition_point(|(since, _)| *since <= at);
    values.get(until.checked_sub(1)?).map(|(_, value)| value)
}
