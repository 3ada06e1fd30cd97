//! What holds for any sequence of commands.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use cqrs_es::Aggregate;
use proptest::prelude::*;

use crate::directory::Directory;
use crate::domain::{
    Actor, Claim, Claimant, Decide, Held, InvoiceKey, Recorded, Refusal, RefusalKind, Requires,
};
use crate::invoice::ReportInvoicePosted;
use crate::samples::{
    ANNA, BERT, CARL, NORTH, SOUTH, TOKEN, TOKEN_2, allegiance, create, email, grant, grant_in,
    invoice, name, new_company, role, service, signature,
};
use crate::user::{
    ActivateUser, AddUserCompanies, ChangePassword, CompanyProperties, CompletePasswordReset,
    CompleteWelcome, CopiedProperties, CopyUserCompany, DeactivateUser, DeleteUser, ExpireLock,
    ExpirePassword, ExpirePasswordReset, Link, LinkFlowTemplate, LockUser, PasswordState,
    RemoveUserCompanies, ReplaceSupervisor, ReportInvoiceDequeued, ReportInvoiceQueued,
    ReportInvoiceReviewed, ReportMfaEnrolled, RequestPasswordReset, ResendWelcome, ResetMfa,
    RetractInvoiceReview, ReviewKind, RevokeSessions, SetMode, SetPassword, SetUserPermissions,
    SetUserRoles, UnlinkFlowTemplate, UnlockUser, UpdateUser, UpdateUserCompany, User, UserCommand,
    UserError, UserEvent,
};
use crate::values::{Allegiance, CompanyId, FlowTemplateId, UserId, UserType};

const EVERYBODY: [UserId; 3] = [ANNA, BERT, CARL];

/// One step: somebody asks something of somebody, or an invoice is posted.
#[derive(Clone, Debug)]
enum Step {
    Ask(Actor, UserId, Box<UserCommand>),
    Post(ReportInvoicePosted),
}

fn user() -> impl Strategy<Value = UserId> {
    proptest::sample::select(EVERYBODY.to_vec())
}

fn company() -> impl Strategy<Value = CompanyId> {
    proptest::sample::select(vec![NORTH, SOUTH])
}

fn user_type() -> impl Strategy<Value = UserType> {
    proptest::sample::select(vec![UserType::Administrator, UserType::Standard])
}

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["anna", "ANNA", "bert", "åsa"]).prop_map(str::to_owned)
}

fn mode() -> impl Strategy<Value = SetMode> {
    proptest::sample::select(vec![SetMode::Replace, SetMode::Add, SetMode::Remove])
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        Just(service()),
        user().prop_map(Actor::Administrator),
        user().prop_map(Actor::User),
    ]
}

fn supervisor() -> impl Strategy<Value = Option<UserId>> {
    proptest::option::of(user())
}

fn creation(id: UserId) -> impl Strategy<Value = UserCommand> {
    (
        word(),
        user_type(),
        any::<bool>(),
        proptest::option::of((company(), supervisor())),
    )
        .prop_map(move |(word, user_type, active, company)| {
            let mut command = create(id, &word);
            command.user_type = user_type;
            command.active = active;
            let linked = company.map(|(company, supervisor)| new_company(company, supervisor));
            command.companies = linked.into_iter().collect();
            command.into()
        })
}

fn update() -> impl Strategy<Value = UserCommand> {
    let option = proptest::option::of::<_>;
    (
        option(word()),
        option(word()),
        option(word()),
        proptest::option::of(user_type()),
    )
        .prop_map(|(code, first, address, user_type)| {
            UpdateUser {
                signature: code.map(|code| signature(&code)),
                first_name: first.map(|first| name(&first)),
                email: address.map(|address| email(&format!("{address}@acme.example"))),
                user_type,
                ..UpdateUser::default()
            }
            .into()
        })
}

fn grants() -> impl Strategy<Value = UserCommand> {
    let permission = prop_oneof![
        proptest::sample::select(vec!["invoices", "pricing"]).prop_map(grant),
        company().prop_map(|company| grant_in("invoices", company)),
    ];
    (mode(), proptest::collection::btree_set(permission, 0..3))
        .prop_map(|(mode, permissions)| SetUserPermissions { mode, permissions }.into())
}

fn allegiances() -> impl Strategy<Value = BTreeSet<Allegiance>> {
    let one = proptest::sample::select(vec!["14", "15"]).prop_map(|n| allegiance("Department", n));
    proptest::collection::btree_set(one, 0..3)
}

fn companies() -> impl Strategy<Value = UserCommand> {
    prop_oneof![
        (company(), supervisor()).prop_map(|(company, supervisor)| {
            let companies = vec![new_company(company, supervisor)];
            AddUserCompanies { companies }.into()
        }),
        proptest::collection::btree_set(company(), 1..3)
            .prop_map(|company_ids| RemoveUserCompanies { company_ids }.into()),
        (
            company(),
            proptest::option::of(any::<bool>()),
            proptest::option::of(supervisor()),
            proptest::option::of(allegiances()),
            proptest::option::of(allegiances()),
        )
            .prop_map(
                |(company, show_as_addressee, supervisor, coding, routing)| {
                    UpdateUserCompany {
                        show_as_addressee,
                        supervisor,
                        coding_allegiances: coding,
                        routing_allegiances: routing,
                        ..UpdateUserCompany::of(company)
                    }
                    .into()
                }
            ),
    ]
}

fn copy() -> impl Strategy<Value = UserCommand> {
    let what = proptest::sample::select(vec![
        CopiedProperties::Everything,
        CopiedProperties::ShowAsAddressee,
        CopiedProperties::Allegiances,
        CopiedProperties::Supervisor,
    ]);
    (
        company(),
        proptest::collection::btree_set(company(), 1..3),
        what,
    )
        .prop_map(|(source, targets, what)| {
            CopyUserCompany {
                source,
                targets,
                what,
            }
            .into()
        })
}

fn replace() -> impl Strategy<Value = UserCommand> {
    let companies = proptest::collection::btree_set(company(), 1..3);
    (user(), user(), companies).prop_map(|(supervisor, replacement, companies)| {
        ReplaceSupervisor {
            supervisor,
            replacement,
            companies,
        }
        .into()
    })
}

fn report() -> impl Strategy<Value = UserCommand> {
    let kind = proptest::sample::select(vec![ReviewKind::Reviewed, ReviewKind::Attested]);
    let flow = || FlowTemplateId::parse("FLOW-1").unwrap();
    (
        company(),
        proptest::sample::select(vec!["INV-1", "INV-2"]),
        kind,
        0..6,
    )
        .prop_map(move |(company_id, id, kind, which)| {
            let invoice_id = invoice(id);
            let flow_template_id = flow();
            match which {
                0 => ReportInvoiceQueued {
                    company_id,
                    invoice_id,
                }
                .into(),
                1 => ReportInvoiceDequeued {
                    company_id,
                    invoice_id,
                }
                .into(),
                2 => ReportInvoiceReviewed {
                    company_id,
                    invoice_id,
                    kind,
                }
                .into(),
                3 => RetractInvoiceReview {
                    company_id,
                    invoice_id,
                    kind,
                }
                .into(),
                4 => LinkFlowTemplate {
                    company_id,
                    flow_template_id,
                }
                .into(),
                _ => UnlinkFlowTemplate {
                    company_id,
                    flow_template_id,
                }
                .into(),
            }
        })
}

fn credentials() -> impl Strategy<Value = UserCommand> {
    let token = || proptest::sample::select(vec![TOKEN, TOKEN_2]);
    let link = move || {
        (token(), any::<bool>()).prop_map(|(token_digest, by_mail)| Link {
            token_digest,
            by_mail,
        })
    };
    prop_oneof![
        any::<bool>().prop_map(|one_time| SetPassword { one_time }.into()),
        link().prop_map(|link| ResendWelcome { link }.into()),
        link().prop_map(|link| RequestPasswordReset { link }.into()),
        token().prop_map(|token_digest| CompletePasswordReset { token_digest }.into()),
        token().prop_map(|token_digest| {
            let password = PasswordState::Set;
            CompleteWelcome {
                token_digest,
                password,
            }
            .into()
        }),
        (1..3_u32).prop_map(|issue| ExpirePasswordReset { issue }.into()),
        proptest::sample::select(vec![
            UserCommand::from(ChangePassword),
            ExpirePassword.into(),
            ReportMfaEnrolled.into(),
            ResetMfa.into(),
            ExpireLock.into(),
            RevokeSessions.into(),
        ]),
    ]
}

/// Whether a command is another one each time it is given: another password, another link.
fn is_another_each_time(command: &UserCommand) -> bool {
    matches!(
        command,
        UserCommand::SetPassword(_)
            | UserCommand::ChangePassword(_)
            | UserCommand::ResendWelcome(_)
            | UserCommand::RequestPasswordReset(_)
    )
}

fn command(id: UserId) -> impl Strategy<Value = UserCommand> {
    prop_oneof![
        4 => creation(id),
        2 => update(),
        1 => grants(),
        1 => (mode(), Just(role("approver"))).prop_map(|(mode, role)| {
            let roles = [role].into();
            SetUserRoles { mode, roles }.into()
        }),
        3 => companies(),
        1 => copy(),
        1 => replace(),
        3 => report(),
        4 => proptest::sample::select(vec![
            UserCommand::from(ActivateUser),
            DeactivateUser.into(),
            LockUser.into(),
            UnlockUser.into(),
            DeleteUser.into(),
        ]),
        4 => credentials(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (actor(), user()).prop_flat_map(|(actor, id)| {
            command(id).prop_map(move |command| Step::Ask(actor.clone(), id, Box::new(command)))
        }),
        1 => (company(), Just("INV-1")).prop_map(|(company_id, id)| {
            Step::Post(ReportInvoicePosted { company_id, invoice_id: invoice(id) })
        }),
    ]
}

/// A state that was written and read again in the middle of a life goes on as if it had not been.
fn snapshot_and_tail_equal_replay(log: &[Recorded<UserEvent>], live: &User) {
    let (before, since) = log.split_at(log.len() / 2);
    let mut user = User::default();
    for recorded in before {
        user.apply(recorded.clone());
    }
    let kept = rmp_serde::to_vec_named(&user).unwrap();
    let mut user: User = rmp_serde::from_slice(&kept).unwrap();
    for recorded in since {
        user.apply(recorded.clone());
    }
    assert_eq!(&user, live);
}

/// Runs the steps and looks at the claims and the rules after each.
struct Run {
    directory: Directory,
    log: BTreeMap<UserId, Vec<Recorded<UserEvent>>>,
    signatures: BTreeSet<Held>,
    had_administrator: bool,
}

impl Run {
    fn new() -> Self {
        Self {
            directory: Directory::default(),
            log: BTreeMap::new(),
            signatures: BTreeSet::new(),
            had_administrator: false,
        }
    }

    fn take(&mut self, step: Step) {
        self.directory.now += Duration::seconds(1);
        match step {
            Step::Ask(actor, id, command) => self.ask(&actor, id, *command),
            Step::Post(post) => self.post(post),
        }
        self.check();
    }

    fn ask(&mut self, actor: &Actor, id: UserId, command: UserCommand) {
        let before = self.directory.clone();
        match self.directory.user(actor, id, command.clone()) {
            Ok(events) => {
                self.claims_change_as_they_differ(before.users.get(&id), id);
                self.record(id, events);
                if !is_another_each_time(&command) {
                    self.ask_again(id, command);
                }
            }
            Err(error) => {
                assert_eq!(self.directory.users, before.users);
                assert_eq!(self.directory.held, before.held);
                assert!(!error.to_string().is_empty());
                let told = error.kind() != RefusalKind::FailedPrecondition
                    || !error.violations().is_empty();
                assert!(told, "{error:?} says nothing");
            }
        }
    }

    /// Finding what changed without going through all claims finds the same.
    fn claims_change_as_they_differ(&self, before: Option<&User>, id: UserId) {
        let (before, after) = (
            before.cloned().unwrap_or_default(),
            &self.directory.users[&id],
        );
        let (old, new) = (before.claims(), after.claims());
        let takes: BTreeSet<Held> = new.difference(&old).cloned().collect();
        let releases: BTreeSet<Held> = old.difference(&new).cloned().collect();
        assert_eq!(before.claim_changes(after), (takes, releases));
    }

    /// Repeating a command adds nothing.
    fn ask_again(&self, id: UserId, command: UserCommand) {
        let user = &self.directory.users[&id];
        match self.directory.ask(&service(), user, command) {
            Ok(decision) => assert!(decision.events.is_empty(), "{:?}", decision.events),
            Err(UserError::Exists | UserError::Deleted | UserError::LinkNotFound) => {}
            Err(error) => panic!("accepted once, refused then: {error:?}"),
        }
    }

    fn post(&mut self, post: ReportInvoicePosted) {
        let key = InvoiceKey {
            company_id: post.company_id,
            invoice_id: post.invoice_id.clone(),
        };
        let before = self.directory.users.clone();
        self.directory.settle(&service(), &key, post).unwrap();
        for (id, user) in &self.directory.users {
            if before.get(id) != Some(user) {
                self.log.remove(id);
            }
        }
    }

    fn record(&mut self, id: UserId, events: Vec<UserEvent>) {
        let now = self.directory.now;
        if let Some(log) = self.log.get_mut(&id) {
            log.extend(events.into_iter().map(|event| Recorded::at(event, now)));
        } else if matches!(events.first(), Some(UserEvent::UserCreated(_))) {
            let events = events.into_iter().map(|event| Recorded::at(event, now));
            self.log.insert(id, events.collect());
        }
    }

    fn check(&mut self) {
        self.claims_follow_from_the_states();
        self.nobody_shares_what_is_exclusive();
        self.supervisors_are_there();
        let administrators = self.directory.holders(&Claim::Administrator).count;
        self.had_administrator |= administrators > 0;
        assert!(
            administrators > 0 || !self.had_administrator,
            "the last administrator is gone"
        );
    }

    fn claims_follow_from_the_states(&mut self) {
        let now: BTreeSet<Held> = self
            .directory
            .users
            .values()
            .flat_map(Claimant::claims)
            .collect();
        let is_signature = |held: &&Held| matches!(held.claim, Claim::Signature(_));
        self.signatures
            .extend(now.iter().filter(is_signature).cloned());
        let expected: BTreeSet<Held> = now.union(&self.signatures).cloned().collect();
        assert_eq!(self.directory.held, expected);
    }

    fn nobody_shares_what_is_exclusive(&self) {
        let login = self.directory.account.settings().login;
        for held in &self.directory.held {
            if held.claim.is_exclusive(login) {
                assert_eq!(self.directory.holders(&held.claim).count, 1, "{held:?}");
            }
        }
    }

    fn replay_equals_live(&self) {
        for (id, log) in &self.log {
            let text = serde_json::to_string(log).unwrap();
            let events: Vec<Recorded<UserEvent>> = serde_json::from_str(&text).unwrap();
            let mut user = User::default();
            for (event, recorded) in events.into_iter().zip(log) {
                assert_eq!(event.event, recorded.event);
                user.apply(Recorded::at(event.event, recorded.time()));
            }
            assert_eq!(user, self.directory.users[id]);
            let text = serde_json::to_string(&user).unwrap();
            assert_eq!(serde_json::from_str::<User>(&text).unwrap(), user);
            snapshot_and_tail_equal_replay(log, &user);
        }
    }

    /// Who supervises somebody else is there, and has the company (R24, R29, R31).
    fn supervisors_are_there(&self) {
        for person in self.directory.users.values().filter_map(User::person) {
            for (company, CompanyProperties { supervisor, .. }) in person.companies() {
                let supervisor = self.directory.users[supervisor].person().unwrap();
                assert!(supervisor.companies().contains_key(company));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_the_rules_that_span_users_hold(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        run.replay_equals_live();
    }

    #[test]
    fn a_decision_is_the_same_whenever_it_is_made(
        steps in proptest::collection::vec(step(), 1..20),
        id in user(),
        actor in actor(),
        seed in (0..usize::MAX).prop_flat_map(|_| command(ANNA)),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
        let user = run.directory.users.get(&id).cloned().unwrap_or_default();
        let decide = || run.directory.ask(&actor, &user, seed.clone());
        match (decide(), decide()) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(first.events, second.events);
                prop_assert_eq!(first.requires, second.requires);
            }
            (first, second) => prop_assert_eq!(first.err(), second.err()),
        }
    }

    #[test]
    fn an_administrators_command_always_requires_that_it_is_one(id in user(), command in command(ANNA)) {
        let directory = Directory::default();
        let facts = crate::domain::Facts::default();
        let ctx = crate::domain::Context {
            actor: &Actor::Administrator(id),
            now: directory.now,
            account: &directory.account,
            facts: &facts,
        };
        let user: User = crate::given::replayed(&[crate::samples::created()]);
        if let Ok(decision) = command.decide(&ctx, &user) {
            let still = Requires::HeldBy { claim: Claim::Administrator, owner: id.to_string() };
            prop_assert!(decision.events.is_empty() || decision.requires.contains(&still));
        }
    }
}
