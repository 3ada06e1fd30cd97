//! Random sequences of commands by several actors, sent to the service and told to a small model that shares no code with
//! it: both must accept, refuse and end up alike. A sequence on which they differ is cut down to a short one and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rollbook_tests::model::live_through;
use rollbook_tests::people::{administrator, link, person, report_to};
use rollbook_tests::{Answer as _, Caller, Directory, Home, Refusal, Tenant, ask, pb};

/// Every step takes so long that the next call carries a token issued after it.
const PACE: TimeDelta = TimeDelta::minutes(31);

/// What somebody does. People, companies, addresses and invitations are named by number, and counted round.
#[derive(Clone, Debug)]
enum Step {
    Create {
        by: usize,
        signature: usize,
        email: usize,
        administrator: bool,
        active: bool,
        company: usize,
        supervisor: Option<usize>,
    },
    Activate(usize, usize),
    Deactivate(usize, usize),
    Lock(usize, usize),
    Unlock(usize, usize),
    Delete(usize, usize),
    Link(usize, usize, usize, Option<usize>),
    Unlink(usize, usize, usize),
    Supervise(usize, usize, usize, Option<usize>),
    Copy {
        by: usize,
        source: usize,
        signature: usize,
        email: usize,
    },
    CopyCompany(usize, usize, usize, usize),
    Replace {
        by: usize,
        supervisor: usize,
        replacement: usize,
        company: Option<usize>,
        leave: bool,
    },
    Retype(usize, usize, bool),
    Readdress(usize, usize, usize),
    Queue(usize, usize),
    Dequeue(usize, usize),
    Review(usize, usize),
    Retract(usize, usize),
    Post(usize),
    Invite(usize, usize),
    Resend(usize, usize),
    Withdraw(usize, usize),
    Accept(usize, usize),
    Week,
}

fn step() -> impl Strategy<Value = Step> {
    let (n, few) = (|| 0..6_usize, || 0..4_usize);
    let maybe = || prop::option::of(0..6_usize);
    prop_oneof![
        4 => (n(), 0..8_usize, n(), any::<bool>(), prop::bool::weighted(0.8), few(), maybe()).prop_map(
            |(by, signature, email, administrator, active, company, supervisor)| Step::Create {
                by, signature, email, administrator, active, company, supervisor
            }
        ),
        1 => (n(), n()).prop_map(|(by, who)| Step::Activate(by, who)),
        2 => (n(), n()).prop_map(|(by, who)| Step::Deactivate(by, who)),
        2 => (n(), n()).prop_map(|(by, who)| Step::Lock(by, who)),
        1 => (n(), n()).prop_map(|(by, who)| Step::Unlock(by, who)),
        3 => (n(), n()).prop_map(|(by, who)| Step::Delete(by, who)),
        2 => (n(), n(), few(), maybe()).prop_map(|(by, who, c, s)| Step::Link(by, who, c, s)),
        1 => (n(), n(), few()).prop_map(|(by, who, c)| Step::Unlink(by, who, c)),
        3 => (n(), n(), few(), maybe()).prop_map(|(by, who, c, s)| Step::Supervise(by, who, c, s)),
        2 => (n(), n(), 0..8_usize, n()).prop_map(|(by, source, signature, email)| Step::Copy {
            by, source, signature, email
        }),
        1 => (n(), n(), few(), few()).prop_map(|(by, who, from, to)| Step::CopyCompany(by, who, from, to)),
        2 => (n(), n(), n(), prop::option::of(few()), any::<bool>()).prop_map(
            |(by, supervisor, replacement, company, leave)| Step::Replace {
                by, supervisor, replacement, company, leave
            }
        ),
        2 => (n(), n(), any::<bool>()).prop_map(|(by, who, a)| Step::Retype(by, who, a)),
        1 => (n(), n(), n()).prop_map(|(by, who, e)| Step::Readdress(by, who, e)),
        1 => (n(), few()).prop_map(|(who, i)| Step::Queue(who, i)),
        1 => (n(), few()).prop_map(|(who, i)| Step::Dequeue(who, i)),
        2 => (n(), few()).prop_map(|(who, i)| Step::Review(who, i)),
        1 => (n(), few()).prop_map(|(who, i)| Step::Retract(who, i)),
        1 => few().prop_map(Step::Post),
        2 => (n(), n()).prop_map(|(by, e)| Step::Invite(by, e)),
        1 => (n(), few()).prop_map(|(by, i)| Step::Resend(by, i)),
        1 => (n(), few()).prop_map(|(by, i)| Step::Withdraw(by, i)),
        2 => (few(), 0..8_usize).prop_map(|(i, s)| Step::Accept(i, s)),
        1 => Just(Step::Week),
    ]
}

/// What the model knows of a person.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the facets of a user are kept apart"
)]
struct Person {
    signature: String,
    email: String,
    administrator: bool,
    active: bool,
    locked: bool,
    deleted: bool,
    /// The number of the supervisor in each company.
    companies: BTreeMap<usize, usize>,
    queued: BTreeSet<usize>,
    reviewed: BTreeSet<usize>,
    /// How often its sessions were ended.
    ended: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Offered {
    /// When its link dies, counted in minutes.
    Until(i64),
    Accepted,
    Deleted,
    Expired,
}

/// The reasons, each of which may be told; none: it is done.
type Refused = BTreeSet<&'static str>;

#[derive(Debug, Default)]
struct Model {
    people: Vec<Person>,
    signatures: BTreeSet<String>,
    invitations: Vec<(String, Offered)>,
    settled: BTreeSet<usize>,
    minutes: i64,
}

fn refused(reasons: &[&'static str]) -> Refused {
    reasons.iter().copied().collect()
}

impl Model {
    fn can_act(&self, who: usize) -> bool {
        let person = &self.people[who];
        person.administrator && person.active && !person.locked && !person.deleted
    }

    fn is_the_last(&self, who: usize) -> bool {
        self.can_act(who)
            && (0..self.people.len()).all(|other| other == who || !self.can_act(other))
    }

    fn address_taken(&self, email: &str) -> bool {
        self.people.iter().any(|p| !p.deleted && p.email == email)
    }

    fn unfit(&self, who: usize, company: usize, supervisor: usize) -> bool {
        let other = &self.people[supervisor];
        supervisor != who
            && (other.deleted || !other.active || !other.companies.contains_key(&company))
    }

    /// Whether it supervises somebody else, in one company or in any.
    fn supervises(&self, who: usize, company: Option<usize>) -> bool {
        self.people.iter().enumerate().any(|(other, person)| {
            other != who
                && !person.deleted
                && person
                    .companies
                    .iter()
                    .any(|(at, boss)| *boss == who && company.is_none_or(|c| c == *at))
        })
    }

    fn offered(&self, invitation: usize) -> Offered {
        match self.invitations[invitation].1 {
            Offered::Until(end) if end <= self.minutes => Offered::Expired,
            other => other,
        }
    }

    fn closed(&self, invitation: usize) -> Option<&'static str> {
        match self.offered(invitation) {
            Offered::Until(_) => None,
            Offered::Accepted => Some("INVITATION_ACCEPTED"),
            Offered::Deleted => Some("INVITATION_DELETED"),
            Offered::Expired => Some("INVITATION_EXPIRED"),
        }
    }

    /// A new person, or why not.
    fn enter(&mut self, person: Person, unfit: bool) -> Refused {
        let mut reasons = Refused::new();
        if self.signatures.contains(&person.signature) {
            reasons.insert("SIGNATURE_TAKEN");
        }
        if self.address_taken(&person.email) {
            reasons.insert("EMAIL_TAKEN");
        }
        if unfit {
            reasons.insert("SUPERVISOR_UNFIT");
        }
        if reasons.is_empty() {
            self.signatures.insert(person.signature.clone());
            self.people.push(person);
        }
        reasons
    }

    /// What stands against a change of somebody who is there.
    fn change(&mut self, who: usize, last: bool, change: impl FnOnce(&mut Person)) -> Refused {
        if self.people[who].deleted {
            return refused(&["USER_DELETED"]);
        }
        if last {
            return refused(&["LAST_ADMINISTRATOR"]);
        }
        change(&mut self.people[who]);
        Refused::new()
    }

    /// A new person with the type and companies of another; where that one's supervisor is not fit for it, it is its own.
    fn copy(&mut self, source: usize, new: Person) -> Refused {
        if self.people[source].deleted {
            return refused(&["USER_DELETED"]);
        }
        let who = self.people.len();
        let own = |boss: usize| boss == source || !self.people[boss].active;
        let companies = self.people[source].companies.iter();
        let companies = companies
            .map(|(at, boss)| (*at, if own(*boss) { who } else { *boss }))
            .collect();
        let administrator = self.people[source].administrator;
        let new = Person {
            administrator,
            companies,
            ..new
        };
        self.enter(new, false)
    }

    fn copy_company(&mut self, who: usize, from: usize, to: usize) -> Refused {
        let person = &self.people[who];
        if person.deleted {
            return refused(&["USER_DELETED"]);
        }
        let Some(boss) = person.companies.get(&from).copied() else {
            return refused(&["COMPANY_NOT_LINKED"]);
        };
        let boss = if self.unfit(who, to, boss) { who } else { boss };
        self.change(who, false, |person| {
            person.companies.insert(to, boss);
        })
    }

    fn replace(&mut self, old: usize, new: usize, company: Option<usize>, leave: bool) -> Refused {
        if old == new {
            return refused(&["MALFORMED"]);
        }
        if self.people[old].deleted {
            return refused(&["USER_DELETED"]);
        }
        if self.people[new].deleted || !self.people[new].active {
            return refused(&["SUPERVISOR_UNFIT"]);
        }
        let has = |at: &usize| self.people[new].companies.contains_key(at);
        let supervised = |at: &usize| self.supervises(old, Some(*at));
        let there: Vec<usize> = (0..3)
            .filter(|at| company.is_none_or(|it| it == *at))
            .collect();
        if !leave && there.iter().any(|at| supervised(at) && !has(at)) {
            return refused(&["SUPERVISOR_UNFIT"]);
        }
        let changed: Vec<usize> = there.into_iter().filter(has).collect();
        for (who, person) in self.people.iter_mut().enumerate() {
            let bosses = person.companies.iter_mut();
            for (_, boss) in bosses.filter(|(at, _)| changed.contains(at)) {
                if who != old && *boss == old {
                    *boss = new;
                }
            }
        }
        Refused::new()
    }

    fn blockers(&self, by: usize, who: usize) -> BTreeSet<String> {
        let person = &self.people[who];
        let all = [
            (by == who, "OWN_USER"),
            (!person.queued.is_empty(), "QUEUED_INVOICE"),
            (!person.reviewed.is_empty(), "UNSETTLED_INVOICE"),
            (self.supervises(who, None), "SUPERVISED_USER"),
            (self.is_the_last(who), "LAST_ADMINISTRATOR"),
        ];
        all.into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, kind)| kind.to_owned())
            .collect()
    }
}

fn signature(number: usize) -> String {
    format!("S{number}")
}

/// Another company than the one with the first number.
fn another_company(from: usize, to: usize) -> usize {
    (from % 3 + 1 + to % 2) % 3
}

fn address(number: usize) -> String {
    format!("a{number}@example.com")
}

/// The service, the model beside it, and how the model's numbers are called there.
struct Both<'a> {
    directory: &'a Directory,
    tenant: Tenant,
    model: Model,
    users: Vec<String>,
    callers: Vec<Caller>,
    invitations: Vec<(String, String)>,
}

fn newcomer(signature: String, email: String) -> Person {
    Person {
        signature,
        email,
        administrator: false,
        active: true,
        locked: false,
        deleted: false,
        companies: BTreeMap::new(),
        queued: BTreeSet::new(),
        reviewed: BTreeSet::new(),
        ended: 0,
    }
}

/// What the service said: done, or the reason.
type Said = Result<(), Box<Refusal>>;

impl<'a> Both<'a> {
    async fn start(directory: &'a Directory, account_id: &str) -> Self {
        let tenant = Tenant::create(directory, account_id).await;
        let first = Person {
            administrator: true,
            companies: (0..3).map(|company| (company, 0)).collect(),
            ..newcomer(
                tenant.administrator.signature.clone(),
                tenant.administrator.email.clone(),
            )
        };
        let model = Model {
            signatures: BTreeSet::from([first.signature.clone()]),
            people: vec![first],
            ..Model::default()
        };
        Self {
            directory,
            users: vec![tenant.administrator.user_id.clone()],
            callers: vec![tenant.admin.clone()],
            tenant,
            model,
            invitations: Vec::new(),
        }
    }

    fn who(&self, number: usize) -> usize {
        number % self.users.len()
    }

    fn came(&mut self, user: &pb::User) {
        self.users.push(user.user_id.clone());
        self.callers.push(
            self.tenant
                .administrator_caller(self.directory, &user.user_id),
        );
    }

    /// Takes a step on both sides and compares what they say.
    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let minutes = match step {
            Step::Week => TimeDelta::days(8).num_minutes(),
            _ => PACE.num_minutes(),
        };
        self.model.minutes += minutes;
        self.directory
            .clock
            .advance(Duration::from_secs(minutes.unsigned_abs() * 60));
        let Some((expected, said)) = self.both(step).await else {
            return Ok(());
        };
        match (&said, expected.is_empty()) {
            (Ok(()), true) => Ok(()),
            (Err(refusal), false) if expected.contains(refusal.reason.as_str()) => Ok(()),
            _ => Err(TestCaseError::fail(format!(
                "{step:?}: the model says {expected:?}, the service {said:?}"
            ))),
        }
    }

    /// What both say of a step; none where there is nobody to take it.
    async fn both(&mut self, step: &Step) -> Option<(Refused, Said)> {
        match *step {
            Step::Create { by, .. }
            | Step::Activate(by, _)
            | Step::Deactivate(by, _)
            | Step::Lock(by, _)
            | Step::Unlock(by, _)
            | Step::Delete(by, _)
            | Step::Link(by, ..)
            | Step::Unlink(by, ..)
            | Step::Supervise(by, ..)
            | Step::Copy { by, .. }
            | Step::CopyCompany(by, ..)
            | Step::Replace { by, .. }
            | Step::Retype(by, ..)
            | Step::Readdress(by, ..)
            | Step::Invite(by, _) => {
                let by = self.who(by);
                let said = self.administer(by, step).await;
                let expected = if self.model.can_act(by) {
                    self.expect(by, step, said.as_ref().err().map(|r| &**r))
                } else {
                    refused(&["NOT_ADMINISTRATOR"])
                };
                Some((expected, said))
            }
            Step::Resend(by, number) | Step::Withdraw(by, number) => {
                let by = self.who(by);
                let number = number.checked_rem(self.invitations.len())?;
                let resend = matches!(step, Step::Resend(..));
                let said = self.handle(by, number, resend).await;
                let expected = if self.model.can_act(by) {
                    self.expect_handled(number, resend)
                } else {
                    refused(&["NOT_ADMINISTRATOR"])
                };
                Some((expected, said))
            }
            Step::Accept(number, code) => {
                let number = number.checked_rem(self.invitations.len())?;
                let said = self.accept(number, code).await;
                let expected = if let Some(reason) = self.model.closed(number) {
                    refused(&[reason])
                } else {
                    let email = self.model.invitations[number].0.clone();
                    let entered = self.model.enter(newcomer(signature(code), email), false);
                    if entered.is_empty() {
                        self.model.invitations[number].1 = Offered::Accepted;
                    }
                    entered
                };
                Some((expected, said))
            }
            Step::Queue(who, invoice)
            | Step::Dequeue(who, invoice)
            | Step::Review(who, invoice)
            | Step::Retract(who, invoice) => {
                let who = self.who(who);
                let said = self.report(who, invoice, step).await;
                let settled = self.model.settled.contains(&invoice);
                let expected = self.model.change(who, false, |person| {
                    match step {
                        Step::Queue(..) => person.queued.insert(invoice),
                        Step::Dequeue(..) => person.queued.remove(&invoice),
                        Step::Review(..) => !settled && person.reviewed.insert(invoice),
                        _ => person.reviewed.remove(&invoice),
                    };
                });
                Some((expected, said))
            }
            Step::Post(invoice) => {
                let company_id = &*self.tenant.companies[0];
                let invoice_id = format!("INV-{invoice}");
                let request = ask!(
                    self.tenant,
                    ReportInvoicePostedRequest {
                        company_id,
                        invoice_id
                    }
                );
                let mut service = self.tenant.service.involvements();
                let said = service
                    .report_invoice_posted(request)
                    .await
                    .outcome()
                    .map(drop);
                self.model.settled.insert(invoice);
                for person in &mut self.model.people {
                    person.reviewed.remove(&invoice);
                }
                Some((Refused::new(), said))
            }
            Step::Week => None,
        }
    }

    /// A step of an administrator, at the service.
    async fn administer(&mut self, by: usize, step: &Step) -> Said {
        let tenant = self.tenant.clone();
        let mut users = self.callers[by].users();
        let id = |number: usize| self.users[number % self.users.len()].as_str();
        let company = |number: usize| tenant.companies[number % 3].as_str();
        let boss = |supervisor: Option<usize>| supervisor.map_or("", id);
        match *step {
            Step::Create {
                signature: code,
                email,
                administrator: manages,
                active,
                company: at,
                supervisor,
                ..
            } => {
                let base = if manages { administrator } else { person };
                let links = (at < 3).then(|| report_to(company(at), boss(supervisor)));
                let user = pb::NewUser {
                    email: address(email),
                    active: Some(active),
                    companies: links.into_iter().collect(),
                    ..base(&signature(code))
                };
                let request = ask!(tenant, CreateUserRequest { user });
                let created = users.create_user(request).await.outcome()?;
                self.came(&created.user.unwrap());
                Ok(())
            }
            Step::Activate(_, who) => {
                let request = ask!(tenant, ActivateUserRequest { user_id: id(who) });
                users.activate_user(request).await.outcome().map(drop)
            }
            Step::Deactivate(_, who) => {
                let request = ask!(tenant, DeactivateUserRequest { user_id: id(who) });
                users.deactivate_user(request).await.outcome().map(drop)
            }
            Step::Lock(_, who) => {
                let request = ask!(tenant, LockUserRequest { user_id: id(who) });
                users.lock_user(request).await.outcome().map(drop)
            }
            Step::Unlock(_, who) => {
                let request = ask!(tenant, UnlockUserRequest { user_id: id(who) });
                users.unlock_user(request).await.outcome().map(drop)
            }
            Step::Delete(_, who) => {
                let request = ask!(tenant, DeleteUserRequest { user_id: id(who) });
                users.delete_user(request).await.outcome().map(drop)
            }
            Step::Link(_, who, at, supervisor) => {
                let companies = vec![match supervisor {
                    Some(boss) => report_to(company(at), id(boss)),
                    None => link(company(at)),
                }];
                let request = ask!(
                    tenant,
                    AddUserCompaniesRequest {
                        user_id: id(who),
                        companies
                    }
                );
                users.add_user_companies(request).await.outcome().map(drop)
            }
            Step::Unlink(_, who, at) => {
                let company_ids = vec![company(at).to_owned()];
                let request = ask!(
                    tenant,
                    RemoveUserCompaniesRequest {
                        user_id: id(who),
                        company_ids
                    }
                );
                users
                    .remove_user_companies(request)
                    .await
                    .outcome()
                    .map(drop)
            }
            Step::Supervise(_, who, at, supervisor) => {
                let properties = report_to(company(at), boss(supervisor));
                let update_mask = mask("supervisor_id");
                let request = ask!(
                    tenant,
                    UpdateUserCompanyRequest {
                        user_id: id(who),
                        company: properties,
                        update_mask
                    }
                );
                users.update_user_company(request).await.outcome().map(drop)
            }
            Step::Copy {
                source,
                signature: code,
                email,
                ..
            } => {
                let source_user_id = id(source);
                let user = pb::NewUser {
                    email: address(email),
                    ..person(&signature(code))
                };
                let request = ask!(
                    tenant,
                    CopyUserRequest {
                        source_user_id,
                        user
                    }
                );
                let copied = users.copy_user(request).await.outcome()?;
                self.came(&copied.user.unwrap());
                Ok(())
            }
            Step::CopyCompany(_, who, from, to) => {
                let (from, to) = (from % 3, another_company(from, to));
                let request = ask!(
                    tenant,
                    CopyUserCompanyRequest {
                        user_id: id(who),
                        source_company_id: company(from),
                        target_company_ids: vec![company(to).to_owned()],
                    }
                );
                users.copy_user_company(request).await.outcome().map(drop)
            }
            Step::Replace {
                supervisor,
                replacement,
                company: at,
                leave,
                ..
            } => {
                let missing_company = if leave {
                    pb::MissingCompany::Leave
                } else {
                    pb::MissingCompany::Refuse
                };
                let request = ask!(
                    tenant,
                    ReplaceSupervisorRequest {
                        supervisor_id: id(supervisor),
                        replacement_id: id(replacement),
                        company_id: at.map_or("", company),
                        missing_company,
                    }
                );
                users.replace_supervisor(request).await.outcome().map(drop)
            }
            Step::Retype(_, who, administrator) => {
                let user_type = if administrator {
                    pb::UserType::Administrator
                } else {
                    pb::UserType::Standard
                };
                let profile = pb::UserProfile {
                    user_type: user_type.into(),
                    ..pb::UserProfile::default()
                };
                let update_mask = mask("user_type");
                let request = ask!(
                    tenant,
                    UpdateUserRequest {
                        user_id: id(who),
                        profile,
                        update_mask
                    }
                );
                users.update_user(request).await.outcome().map(drop)
            }
            Step::Readdress(_, who, email) => {
                let profile = pb::UserProfile {
                    email: address(email),
                    ..pb::UserProfile::default()
                };
                let update_mask = mask("email");
                let request = ask!(
                    tenant,
                    UpdateUserRequest {
                        user_id: id(who),
                        profile,
                        update_mask
                    }
                );
                users.update_user(request).await.outcome().map(drop)
            }
            Step::Invite(_, email) => {
                let request = ask!(
                    tenant,
                    InviteUsersRequest {
                        emails: vec![address(email)],
                        user_type: pb::UserType::Standard
                    }
                );
                let mut invitations = self.callers[by].invitations();
                let invited = invitations.invite_users(request).await.outcome()?;
                let result = invited.results.into_iter().next().unwrap();
                match result.outcome.unwrap() {
                    pb::invite_result::Outcome::Invited(invited) => {
                        let id = invited.invitation.unwrap().invitation_id;
                        self.invitations.push((id, invited.token));
                        Ok(())
                    }
                    pb::invite_result::Outcome::RefusedReason(reason) => Err(Box::new(Refusal {
                        code: rollbook_tests::Code::AlreadyExists,
                        reason,
                        message: String::new(),
                        fields: Vec::new(),
                        violations: Vec::new(),
                        metadata: BTreeMap::new(),
                    })),
                }
            }
            _ => unreachable!("{step:?} is no step of an administrator"),
        }
    }

    /// What the model says of it. Of a deletion that is refused, the kinds of what stands against it must be the same.
    fn expect(&mut self, by: usize, step: &Step, said: Option<&Refusal>) -> Refused {
        let people = self.model.people.len();
        let model = &mut self.model;
        match *step {
            Step::Create {
                signature: code,
                email,
                administrator,
                active,
                company,
                supervisor,
                ..
            } => {
                let supervisor = supervisor.map_or(people, |number| number % people);
                let unfit =
                    company < 3 && supervisor < people && model.unfit(people, company, supervisor);
                let linked = (company < 3).then_some((company, supervisor));
                let person = Person {
                    administrator,
                    active,
                    companies: linked.into_iter().collect(),
                    ..newcomer(signature(code), address(email))
                };
                model.enter(person, unfit)
            }
            Step::Activate(_, who) => {
                model.change(who % people, false, |person| person.active = true)
            }
            Step::Deactivate(_, who) => {
                let who = who % people;
                let last = model.people[who].active && model.is_the_last(who);
                model.change(who, last, |person| {
                    person.ended += u32::from(person.active);
                    person.active = false;
                })
            }
            Step::Lock(_, who) => {
                let who = who % people;
                let last = !model.people[who].locked && model.is_the_last(who);
                model.change(who, last, |person| {
                    person.ended += u32::from(!person.locked);
                    person.locked = true;
                })
            }
            Step::Unlock(_, who) => {
                model.change(who % people, false, |person| person.locked = false)
            }
            Step::Delete(_, who) => {
                let who = who % people;
                if model.people[who].deleted {
                    return Refused::new();
                }
                let blockers = model.blockers(by, who);
                if blockers.is_empty() {
                    return model.change(who, false, |person| person.deleted = true);
                }
                let told: BTreeSet<String> = said
                    .map(|refusal| refusal.kinds().into_iter().map(str::to_owned).collect())
                    .unwrap_or_default();
                if told == blockers {
                    refused(&["USER_STILL_NEEDED"])
                } else {
                    refused(&["other blockers"])
                }
            }
            Step::Link(_, who, company, supervisor) => {
                let (who, company) = (who % people, company % 3);
                let supervisor = supervisor.map_or(who, |number| number % people);
                let there = model.people[who].companies.contains_key(&company);
                if !model.people[who].deleted && !there && model.unfit(who, company, supervisor) {
                    return refused(&["SUPERVISOR_UNFIT"]);
                }
                model.change(who, false, |person| {
                    person.companies.entry(company).or_insert(supervisor);
                })
            }
            Step::Unlink(_, who, company) => {
                let (who, company) = (who % people, company % 3);
                let person = &model.people[who];
                let there = person.companies.contains_key(&company) && !person.deleted;
                if there && model.supervises(who, Some(company)) {
                    return refused(&["SUPERVISES_USERS"]);
                }
                model.change(who, false, |person| {
                    person.companies.remove(&company);
                })
            }
            Step::Supervise(_, who, company, supervisor) => {
                let (who, company) = (who % people, company % 3);
                let supervisor = supervisor.map_or(who, |number| number % people);
                let person = &model.people[who];
                let now = person.companies.get(&company).copied();
                match now {
                    None if !person.deleted => refused(&["COMPANY_NOT_LINKED"]),
                    Some(now)
                        if !person.deleted
                            && now != supervisor
                            && model.unfit(who, company, supervisor) =>
                    {
                        refused(&["SUPERVISOR_UNFIT"])
                    }
                    _ => model.change(who, false, |person| {
                        person.companies.insert(company, supervisor);
                    }),
                }
            }
            Step::Copy {
                source,
                signature: code,
                email,
                ..
            } => model.copy(source % people, newcomer(signature(code), address(email))),
            Step::CopyCompany(_, who, from, to) => {
                model.copy_company(who % people, from % 3, another_company(from, to))
            }
            Step::Replace {
                supervisor,
                replacement,
                company,
                leave,
                ..
            } => model.replace(
                supervisor % people,
                replacement % people,
                company.map(|number| number % 3),
                leave,
            ),
            Step::Retype(_, who, administrator) => {
                let who = who % people;
                let last = !administrator && model.is_the_last(who);
                model.change(who, last, |person| person.administrator = administrator)
            }
            Step::Readdress(_, who, email) => {
                let (who, email) = (who % people, address(email));
                let own = model.people[who].email == email;
                if !model.people[who].deleted && !own && model.address_taken(&email) {
                    return refused(&["EMAIL_TAKEN"]);
                }
                model.change(who, false, |person| person.email = email)
            }
            Step::Invite(_, email) => {
                let email = address(email);
                let open = |number: usize| matches!(model.offered(number), Offered::Until(_));
                let pending = (0..model.invitations.len())
                    .any(|number| model.invitations[number].0 == email && open(number));
                let mut reasons = Refused::new();
                if pending {
                    reasons.insert("ADDRESS_INVITED");
                }
                if model.address_taken(&email) {
                    reasons.insert("ADDRESS_IS_USER");
                }
                if reasons.is_empty() {
                    let end = model.minutes + TimeDelta::days(7).num_minutes();
                    model.invitations.push((email, Offered::Until(end)));
                }
                reasons
            }
            _ => unreachable!("{step:?} is no step of an administrator"),
        }
    }

    async fn handle(&mut self, by: usize, number: usize, resend: bool) -> Said {
        let invitation_id = self.invitations[number].0.clone();
        let mut invitations = self.callers[by].invitations();
        if resend {
            let request = ask!(self.tenant, ResendInvitationRequest { invitation_id });
            let answer = invitations.resend_invitation(request).await;
            self.invitations[number].1 = answer.outcome()?.token;
            Ok(())
        } else {
            let request = ask!(self.tenant, DeleteInvitationRequest { invitation_id });
            let deleted = invitations.delete_invitation(request).await;
            deleted.outcome().map(drop)
        }
    }

    fn expect_handled(&mut self, number: usize, resend: bool) -> Refused {
        let model = &mut self.model;
        match model.closed(number) {
            None if resend => {
                let end = model.minutes + TimeDelta::days(7).num_minutes();
                model.invitations[number].1 = Offered::Until(end);
            }
            None => model.invitations[number].1 = Offered::Deleted,
            Some(reason) if resend => return refused(&[reason]),
            Some("INVITATION_ACCEPTED") => return refused(&["INVITATION_ACCEPTED"]),
            Some(_) => {}
        }
        Refused::new()
    }

    async fn accept(&mut self, number: usize, code: usize) -> Said {
        let request = pb::AcceptInvitationRequest {
            token: self.invitations[number].1.clone(),
            signature: signature(code),
            first_name: "Ines".to_owned(),
            last_name: "Novak".to_owned(),
            ..pb::AcceptInvitationRequest::default()
        };
        let mut invitations = self.tenant.portal.invitations();
        let accepted = invitations.accept_invitation(request).await;
        self.came(&accepted.outcome()?.user.unwrap());
        Ok(())
    }

    async fn report(&self, who: usize, invoice: usize, step: &Step) -> Said {
        let tenant = &self.tenant;
        let (company_id, user_id) = (&*tenant.companies[0], &*self.users[who]);
        let invoice_id = format!("INV-{invoice}");
        let mut service = tenant.service.involvements();
        let kind = pb::ReviewKind::Reviewed;
        match step {
            Step::Queue(..) => {
                let request = ask!(
                    tenant,
                    ReportInvoiceQueuedRequest {
                        company_id,
                        user_id,
                        invoice_id
                    }
                );
                service
                    .report_invoice_queued(request)
                    .await
                    .outcome()
                    .map(drop)
            }
            Step::Dequeue(..) => {
                let request = ask!(
                    tenant,
                    ReportInvoiceDequeuedRequest {
                        company_id,
                        user_id,
                        invoice_id
                    }
                );
                service
                    .report_invoice_dequeued(request)
                    .await
                    .outcome()
                    .map(drop)
            }
            Step::Review(..) => {
                let request = ask!(
                    tenant,
                    ReportInvoiceReviewedRequest {
                        company_id,
                        user_id,
                        invoice_id,
                        kind
                    }
                );
                service
                    .report_invoice_reviewed(request)
                    .await
                    .outcome()
                    .map(drop)
            }
            _ => {
                let request = ask!(
                    tenant,
                    RetractInvoiceReviewRequest {
                        company_id,
                        user_id,
                        invoice_id,
                        kind
                    }
                );
                service
                    .retract_invoice_review(request)
                    .await
                    .outcome()
                    .map(drop)
            }
        }
    }

    /// Compares everybody who is there, as the list shows them.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let request = ask!(
            self.tenant,
            ListUsersRequest {
                page_size: 1000_u32
            }
        );
        let listed = self
            .tenant
            .service
            .users()
            .list_users(request)
            .await
            .answer()
            .users;
        let shown: BTreeMap<&str, &pb::User> = listed
            .iter()
            .map(|user| (user.user_id.as_str(), user))
            .collect();
        for (person, id) in self.model.people.iter().zip(&self.users) {
            let user = shown.get(id.as_str());
            prop_assert_eq!(user.is_none(), person.deleted, "{:?}", person);
            let Some(user) = user else {
                continue;
            };
            let companies: BTreeMap<usize, usize> = user
                .companies
                .iter()
                .map(|link| {
                    let at = |list: &[String], id: &str| list.iter().position(|x| x == id).unwrap();
                    (
                        at(&self.tenant.companies, &link.company_id),
                        at(&self.users, &link.supervisor_id),
                    )
                })
                .collect();
            let status = match (person.active, person.locked) {
                (false, _) => pb::UserStatus::Inactive,
                (true, true) => pb::UserStatus::LockedByAdmin,
                (true, false) => pb::UserStatus::Active,
            };
            let ended = user.sessions_valid_from != user.created_at;
            prop_assert_eq!(
                (
                    &user.signature,
                    &user.email,
                    user.status(),
                    user.user_type() == pb::UserType::Administrator,
                    &companies,
                    ended,
                ),
                (
                    &person.signature,
                    &person.email,
                    status,
                    person.administrator,
                    &person.companies,
                    person.ended > 0,
                ),
                "{:?}",
                person
            );
        }
        prop_assert_eq!(
            shown.len(),
            self.model.people.iter().filter(|p| !p.deleted).count()
        );
        Ok(())
    }
}

fn mask(path: &str) -> prost_types::FieldMask {
    prost_types::FieldMask {
        paths: vec![path.to_owned()],
    }
}

fn live(home: Home, cases: u32) {
    let steps = prop::collection::vec(step(), 1..60);
    live_through(home, cases, steps, &async |directory, account_id, steps| {
        let mut both = Both::start(directory, account_id).await;
        for step in steps {
            both.take(step).await?;
            both.compare().await?;
        }
        Ok(())
    });
}

#[test]
fn the_service_and_a_model_live_through_the_same_embedded() {
    live(Home::Embedded, 40);
}

#[test]
fn the_service_and_a_model_live_through_the_same_postgres() {
    live(Home::Postgres, 12);
}
