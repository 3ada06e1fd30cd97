//! A town moves into a log: through the executor, as if its people had been created, changed and involved by callers, many of
//! them in one commit. What is there of it is found by its ids, so that whoever was cut off goes on where it was.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use indicatif::ProgressBar;
use rollbook_aggregates::account::Account;
use rollbook_aggregates::invitation::{AcceptInvitation, Invitation, InviteUser};
use rollbook_aggregates::user::{
    LinkFlowTemplate, LinkReference, ReportInvoiceQueued, SetMode, SetUserRoles, UpdateUser, User,
};
use rollbook_aggregates::values::{
    CompanyId, FlowTemplateId, InvoiceId, LanguageTag, ParseError, PersonName, PhoneNumber,
    ReferenceId, RoleName,
};
use rollbook_eventstore::{Clock, Log, StreamId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::dice::Dice;
use super::names;
use super::town::{INVITED_BEFORE, Inhabitant, ROLES, Town};
use crate::cli::problem::Problem;
use crate::executor::{Executor, Options, Order, Plan, Unit};
use crate::failure::{Failure, Outcome};
use crate::passwords::Hasher;
use crate::tokens;

/// About how many events a commit has.
const EVENTS: u64 = 2_048;
/// The most users in a commit; three commits are under way, and whom somebody rests on came in one before them.
const USERS: u64 = 256;
/// How many commits are under way: one is written while the next are decided.
const UNDER_WAY: usize = 3;
/// Up to which number of users those they rest on may be in the commit just before.
const CLOSE: u64 = 16 * INVITED_BEFORE;

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// How many users were there.
    pub found: u64,
    /// How many were made.
    pub made: u64,
    /// The last position of what was made; 0 where nothing was.
    pub position: u64,
}

/// Makes the users of a town, up to so many.
pub async fn settle(
    log: &Log,
    town: &Town,
    users: u64,
    progress: &ProgressBar,
) -> Result<Settled, Problem> {
    let executor = Executor::new(log.clone(), Clock::system(), Hasher::new(1));
    let town = Arc::new(town.clone());
    found_account(&executor, &town).await?;
    let found = how_many(log, &town, users).await?;
    progress.set_length(users);
    progress.set_position(found);
    progress.reset_eta();
    let size = (EVENTS / u64::from(town.events.max(1))).clamp(1, USERS);
    // Commits are cut at the same users whether or not somebody was cut off.
    let commits = (found / size..users.div_ceil(size)).map(|commit| {
        let first = found.max(commit * size);
        first..users.min((commit + 1) * size)
    });
    let commits = commits.filter(|users| !users.is_empty());
    let (mut position, mut before) = (0, watch::Sender::new(true).subscribe());
    let commits = commits.map(|users| {
        let plan = Settling {
            town: Arc::clone(&town),
            users,
            before: before.clone(),
        };
        let (done, next) = watch::channel(false);
        before = next;
        let executor = executor.clone();
        tokio::spawn(async move {
            let users = plan.users.clone();
            let order = plan.order();
            let committed = executor.run(&order, &plan).await;
            if committed.is_ok() {
                done.send_replace(true);
            }
            (users, committed.map(|done| done.position))
        })
    });
    let mut commits = std::pin::pin!(stream::iter(commits).buffered(UNDER_WAY));
    while let Some(joined) = commits.next().await {
        let joined = joined.map_err(|source| Problem::failed("make users", source));
        let (users, committed) = joined?;
        position = committed.map_err(|source| Problem::failed("make users", source))?;
        progress.set_position(users.end);
    }
    Ok(Settled {
        found,
        made: users.saturating_sub(found),
        position,
    })
}

/// Opens the account, or makes sure that it is the one of this town.
async fn found_account(executor: &Executor, town: &Town) -> Result<(), Problem> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        Problem::failed("open the account", source)
    };
    let loaded = executor.fresh::<Account>(town.account.as_str()).await;
    let (account, _) = loaded.map_err(|source| failed(source.into()))?;
    let title = town.title().map_err(|source| failed(source.into()))?;
    match account.title() {
        Some(found) if *found == title => Ok(()),
        Some(found) => Err(Problem::Usage(format!(
            "the account {} is there and was made otherwise: it is called `{found}`, and not `{title}`",
            town.account
        ))),
        None => {
            let order = Order::of_the_service(town.account.clone(), &executor.clock);
            let opened = executor.run(&order, &Opening(town)).await;
            opened.map(drop).map_err(|source| failed(source.into()))
        }
    }
}

/// How many users of the town are there: they came in order.
async fn how_many(log: &Log, town: &Town, users: u64) -> Result<u64, Problem> {
    let (mut there, mut missing) = (0, users);
    while there < missing {
        let middle = there.midpoint(missing);
        let id = town.user(middle).to_string();
        let stream = StreamId::new(<User as cqrs_es::Aggregate>::TYPE, id);
        let events = log.load(&[(stream, 0)]).await;
        let events = events.map_err(|source| Problem::failed("read the log", source))?;
        if events.iter().any(|events| !events.is_empty()) {
            there = middle + 1;
        } else {
            missing = middle;
        }
    }
    Ok(there)
}

/// Opens the account of a town.
struct Opening<'a>(&'a Town);

impl Plan for Opening<'_> {
    type Outcome = ();

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<()> {
        let open = self.0.open().map_err(malformed)?;
        unit.decide(self.0.account.as_str(), open).await
    }
}

/// Makes some users in one commit.
struct Settling {
    town: Arc<Town>,
    users: Range<u64>,
    /// Whether those before are there.
    before: watch::Receiver<bool>,
}

/// What a repeat is answered with.
#[derive(Serialize, Deserialize)]
struct Made {}

impl Plan for Settling {
    type Outcome = Made;

    async fn plan(&self, unit: &mut Unit<'_>) -> Outcome<Made> {
        let close = self.users.start < CLOSE;
        if close {
            self.those_before().await?;
        }
        let people: Result<Vec<Inhabitant>, _> = self
            .users
            .clone()
            .map(|number| self.town.inhabitant(number))
            .collect();
        let people = people.map_err(malformed)?;
        self.load(unit, &people).await?;
        for (number, person) in self.users.clone().zip(people) {
            self.invite(unit, number + INVITED_BEFORE).await?;
            self.live(unit, number, person).await?;
        }
        if !close {
            self.those_before().await?;
        }
        Ok(Made {})
    }
}

impl Settling {
    fn order(&self) -> Order {
        let Range { start, end } = self.users;
        let mut order = Order::of_the_service(self.town.account.clone(), &Clock::system());
        order.options = Options {
            request_id: Some(self.town.request(start, end - start)),
            ..Options::default()
        };
        order
    }

    /// Waits until those before are in the log; where they never will be, these are not to be either.
    async fn those_before(&self) -> Outcome<()> {
        let mut before = self.before.clone();
        match before.wait_for(|there| *there).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::contention()),
        }
    }

    /// Loads what they rest on, all at once.
    async fn load(&self, unit: &mut Unit<'_>, people: &[Inhabitant]) -> Outcome<()> {
        let supervisors = people.iter().filter_map(|person| person.supervisor);
        let others = supervisors.filter(|number| !self.users.contains(number));
        let mut ids: Vec<String> = others.map(|n| self.town.user(n).to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        unit.load_all::<User>(&ids).await?;
        let numbers = self.users.clone().zip(people);
        let invited = numbers.filter(|(_, person)| person.invited);
        let ids: Vec<String> = invited
            .map(|(number, _)| self.town.invitation(number).to_string())
            .collect();
        unit.load_all::<Invitation>(&ids).await
    }

    /// Invites somebody who comes later, where that is how it comes.
    async fn invite(&self, unit: &mut Unit<'_>, number: u64) -> Outcome<()> {
        if !self.town.is_invited(number) {
            return Ok(());
        }
        let later = self.town.inhabitant(number).map_err(malformed)?.create;
        let invitation_id = self.town.invitation(number);
        let companies = later.companies.iter().map(|company| company.company_id);
        let invite = InviteUser {
            invitation_id,
            email: later.email,
            user_type: later.user_type,
            roles: later.roles,
            permissions: later.permissions,
            companies: companies.collect(),
            token_digest: tokens::invitation(&unit.executor().log, invitation_id, 1).digest(),
            by_mail: false,
            replaces: None,
        };
        let id = invitation_id.to_string();
        unit.make::<Invitation>(&id);
        unit.decide(&id, invite).await
    }

    /// Creates somebody, and lets happen to it what does.
    async fn live(&self, unit: &mut Unit<'_>, number: u64, person: Inhabitant) -> Outcome<()> {
        let Inhabitant {
            id,
            mut create,
            invited,
            signs_in,
            mut dice,
            events,
            ..
        } = person;
        if invited {
            let invitation = self.town.invitation(number);
            let accept = AcceptInvitation {
                user_id: id,
                token_digest: tokens::invitation(&unit.executor().log, invitation, 1).digest(),
            };
            unit.decide(&invitation.to_string(), accept).await?;
            create.invitation = Some(invitation);
        }
        let company = create.companies.first().map(|company| company.company_id);
        let stream = id.to_string();
        unit.make::<User>(&stream);
        unit.decide(&stream, create).await?;
        if signs_in && events > 1 {
            unit.tell_sign_in(id)?;
        }
        let mut happened = unit.revision::<User>(&stream) + u64::from(signs_in);
        while happened < events {
            if let Some(company) = company {
                happen(unit, &stream, &mut dice, company).await?;
            }
            happened += 1;
        }
        Ok(())
    }
}

/// Something happens to somebody.
async fn happen(unit: &mut Unit<'_>, id: &str, dice: &mut Dice, company: CompanyId) -> Outcome<()> {
    let number = dice.below(1_000_000);
    match dice.below(10) {
        5 | 6 => {
            let invoice_id = InvoiceId::parse(&format!("INV-{number}")).map_err(malformed)?;
            let queued = ReportInvoiceQueued {
                company_id: company,
                invoice_id,
            };
            unit.decide(id, queued).await
        }
        7 => {
            let reference_id = ReferenceId::parse(&format!("REF-{number}")).map_err(malformed)?;
            let linked = LinkReference {
                company_id: company,
                reference_id,
            };
            unit.decide(id, linked).await
        }
        8 => {
            let template = format!("FLOW-{}", number % 5_000);
            let linked = LinkFlowTemplate {
                company_id: company,
                flow_template_id: FlowTemplateId::parse(&template).map_err(malformed)?,
            };
            unit.decide(id, linked).await
        }
        4 => {
            let role = RoleName::parse(dice.any(&ROLES)).map_err(malformed)?;
            let promoted = SetUserRoles {
                mode: SetMode::Add,
                roles: [role].into(),
            };
            unit.decide(id, promoted).await
        }
        which => {
            let update = update(which, number, dice).map_err(malformed)?;
            unit.decide(id, update).await
        }
    }
}

/// A change of what is known of somebody.
fn update(which: u64, number: u64, dice: &mut Dice) -> Result<UpdateUser, ParseError> {
    let mut update = UpdateUser::default();
    match which {
        0 | 1 => update.phone = Some(Some(PhoneNumber::parse(&format!("+46 {number:09}"))?)),
        2 => {
            let name = names::region(dice).last_name(dice);
            update.last_name = Some(PersonName::parse(&name)?);
        }
        3 => update.language = Some(Some(LanguageTag::parse(names::region(dice).language)?)),
        _ => {
            let number = PhoneNumber::parse(&format!("+46 7{number:08}"))?;
            update.mobile_phone = Some(Some(number));
        }
    }
    Ok(update)
}

fn malformed(problem: ParseError) -> Failure {
    Failure::malformed_field("user", problem)
}
