//! Views that are made again: equal to those that followed along, of the right history, and without those who were erased.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use rollbook_aggregates::invitation::{InvitationDeleted, InvitationResent};
use rollbook_aggregates::invoice::{InvoiceSettlementReported, Settlement};
use rollbook_aggregates::user::{
    InvoiceDequeued, InvoiceQueued, InvoiceReviewed, InvoiceSettled, ReviewKind, UserActivated,
    UserAllegiancesSet, UserCompaniesRemoved, UserDeactivated, UserDeleted, UserEmailChanged,
    UserEvent, UserLocked, UserRenamed, UserSupervisorChanged, UserTypeChanged, UserUnlocked,
};
use rollbook_aggregates::values::{UserType, ValidityDays};
use rollbook_projections::{Freshness, ListUsers, ViewState, Views};

use crate::kit::*;
use crate::users::{assert_same, in_the_domain};

#[derive(Clone, Debug)]
enum Step {
    /// Something happens to a user; one who is not there is created first.
    User(u64, u8),
    Delete(u64),
    Invite(u64),
    Resend(u64),
    EndInvitation(u64),
    Settle(u64),
    /// The view that follows along is asked, so that what came so far is one or more batches.
    Look,
    /// The process ends and starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..8_u64, any::<u8>()).prop_map(|(user, what)| Step::User(user, what)),
        2 => (0..8_u64).prop_map(Step::Delete),
        2 => (0..4_u64).prop_map(Step::Invite),
        1 => (0..4_u64).prop_map(Step::Resend),
        1 => (0..4_u64).prop_map(Step::EndInvitation),
        1 => (0..4_u64).prop_map(Step::Settle),
        3 => Just(Step::Look),
        1 => Just(Step::Restart),
    ]
}

/// What happens to a user, by a number.
fn happening(user: u64, what: u8) -> UserEvent {
    let (company_id, invoice_id) = (
        company_id(1 + u64::from(what) % 2),
        invoice_id(u64::from(what) % 4),
    );
    let kind = if what % 32 < 16 {
        ReviewKind::Reviewed
    } else {
        ReviewKind::Attested
    };
    match what % 16 {
        0 => UserLocked {}.into(),
        1 => UserUnlocked {}.into(),
        2 => UserActivated {}.into(),
        3 => UserDeactivated {}.into(),
        4 => UserRenamed {
            first_name: person_name(&format!("Név{what}")),
            last_name: person_name("Ő"),
        }
        .into(),
        5 => UserEmailChanged {
            email: email(&format!("e{what}.{user}@example.com")),
        }
        .into(),
        6 => roles(&["clerk", "approver"][..usize::from(what) % 3]),
        7 => UserTypeChanged {
            user_type: UserType::Administrator,
        }
        .into(),
        8 | 9 => joins(vec![linked(1 + u64::from(what) % 2, u64::from(what) % 8)]),
        10 => UserCompaniesRemoved {
            company_ids: vec![company_id],
        }
        .into(),
        11 if what % 32 < 16 => UserAllegiancesSet {
            company_id,
            allegiances: allegiances(&what.to_string(), "P-7"),
        }
        .into(),
        11 => UserSupervisorChanged {
            company_id,
            supervisor: user_id(u64::from(what) % 8),
        }
        .into(),
        12 => InvoiceQueued {
            company_id,
            invoice_id,
        }
        .into(),
        13 => InvoiceDequeued {
            company_id,
            invoice_id,
        }
        .into(),
        _ => InvoiceReviewed {
            company_id,
            invoice_id,
            kind,
            settled: false,
        }
        .into(),
    }
}

/// A history, the views that follow along, and who is there.
struct Story {
    directory: Directory,
    views: Views,
    present: BTreeMap<u64, u64>,
    next_user: u64,
    pending: BTreeMap<u64, (u64, u32)>,
    next_invitation: u64,
    settled: BTreeSet<u64>,
}

impl Story {
    async fn new() -> Self {
        let directory = Directory::with_account().await;
        let views = directory.views().await;
        Self {
            directory,
            views,
            present: BTreeMap::new(),
            next_user: 1,
            pending: BTreeMap::new(),
            next_invitation: 1,
            settled: BTreeSet::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        let commit = match step {
            Step::User(slot, what) => {
                let next = &mut self.next_user;
                let new = !self.present.contains_key(&slot);
                let n = *self.present.entry(slot).or_insert_with(|| {
                    *next += 1;
                    *next
                });
                let created = new.then(|| person(n).into());
                vec![to_user(
                    user_id(n),
                    created.into_iter().chain([happening(n, what)]).collect(),
                )]
            }
            Step::Delete(slot) => match self.present.remove(&slot) {
                Some(n) => vec![to_user(user_id(n), vec![UserDeleted {}.into()]).forgetting()],
                None => return,
            },
            Step::Invite(slot) => {
                if self.pending.contains_key(&slot) {
                    return;
                }
                self.next_invitation += 1;
                let n = self.next_invitation;
                self.pending.insert(slot, (n, 1));
                vec![to_invitation(
                    invitation_id(n),
                    vec![invited(n, &format!("guest{n}@example.com")).into()],
                )]
            }
            Step::Resend(slot) => match self.pending.get_mut(&slot) {
                Some((n, issue)) => {
                    *issue += 1;
                    let token_digest = digest(*n, u8::try_from(*issue).unwrap());
                    let validity_days = ValidityDays::default();
                    let resent = InvitationResent {
                        issue: *issue,
                        by_mail: false,
                        token_digest,
                        validity_days,
                    };
                    vec![to_invitation(invitation_id(*n), vec![resent.into()])]
                }
                None => return,
            },
            Step::EndInvitation(slot) => match self.pending.remove(&slot) {
                Some((n, _)) => vec![
                    to_invitation(invitation_id(n), vec![InvitationDeleted {}.into()]).forgetting(),
                ],
                None => return,
            },
            Step::Settle(n) if self.settled.insert(n) => self.settlement(n),
            Step::Settle(_) => return,
            Step::Look => {
                self.views
                    .users()
                    .fresh(Freshness::Latest, None)
                    .await
                    .unwrap();
                return;
            }
            Step::Restart => {
                self.views.shutdown().await;
                let there = self
                    .directory
                    .views_in(tempfile::tempdir().unwrap().path())
                    .await;
                drop(std::mem::replace(&mut self.views, there));
                self.views = self.directory.views().await;
                return;
            }
        };
        self.directory.commit(&acme(), commit).await;
    }

    /// An invoice is posted, and everybody there is released.
    fn settlement(&self, n: u64) -> Vec<Happening> {
        let (company_id, invoice_id, settlement) =
            (company_id(1), invoice_id(n), Settlement::Posted);
        let reported = InvoiceSettlementReported {
            account_id: acme(),
            company_id,
            invoice_id: invoice_id.clone(),
            settlement,
        };
        let mut commit = vec![to_invoice(
            &acme(),
            company_id,
            &invoice_id,
            reported.into(),
        )];
        for user in self.present.values() {
            let settled = InvoiceSettled {
                company_id,
                invoice_id: invoice_id.clone(),
                settlement,
            };
            commit.push(to_user(user_id(*user), vec![settled.into()]));
        }
        commit
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r64_a_rebuild_equals_the_live_views_row_for_row(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut story = Story::new().await;
            let any = steps.len();
            for step in steps {
                story.take(step).await;
            }
            story.views.caught_up(|_| {}).await.unwrap();
            for n in story.present.values() {
                let row = user(&story.views, *n).await.unwrap();
                assert_same(&row, &in_the_domain(&story.directory.log, *n).await);
            }
            let all = story.views.users().list(ListUsers { total: true, ..ListUsers::of(acme()) }).await.unwrap();
            assert_eq!(all.total, Some(story.present.len() as u64));
            let views = story.views.status();
            for view in ["users", views[any % views.len()].name] {
                crate::anew::rebuilt_equal(&story.views, view).await;
            }
            story.views.shutdown().await;
            let elsewhere = tempfile::tempdir().unwrap();
            let rebuilt = story.directory.views_in(elsewhere.path()).await;
            rebuilt.shutdown().await;
            assert_eq!(dump(elsewhere.path()), dump(story.directory.dir.path()));
        });
    }
}

fn copy_file(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// Ends the views, so that their files can be changed.
async fn end(views: Views) {
    views.shutdown().await;
    drop(views);
}

async fn add(directory: &mut Directory, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        directory
            .commit(&acme(), vec![to_user(user_id(n), vec![person(n).into()])])
            .await;
    }
}

#[tokio::test]
async fn a_restart_goes_on_from_the_checkpoint() {
    let mut directory = Directory::with_account().await;
    add(&mut directory, 1..=3).await;
    end(directory.views().await).await;
    let views = Views::start(directory.log.clone(), directory.dir.path())
        .await
        .unwrap();
    for status in views.status() {
        assert_eq!(
            (status.position, status.state),
            (8, ViewState::Following),
            "{}",
            status.name
        );
    }
    add(&mut directory, 4..=4).await;
    assert!(user(&views, 3).await.is_some() && user(&views, 4).await.is_some());
}

#[tokio::test]
async fn views_of_another_log_are_made_again() {
    let mut other = Directory::with_account().await;
    add(&mut other, 1..=3).await;
    end(other.views().await).await;
    let mut directory = Directory::with_account().await;
    add(&mut directory, 7..=9).await;
    std::fs::rename(
        other.dir.path().join("views"),
        directory.dir.path().join("views"),
    )
    .unwrap();
    let views = directory.views().await;
    assert!(user(&views, 7).await.is_some());
    assert!(user(&views, 1).await.is_none());
}

#[tokio::test]
async fn a_log_that_was_restored_to_an_earlier_point_is_another_history() {
    for longer_than_before in [false, true] {
        let mut directory = Directory::with_account().await;
        add(&mut directory, 1..=2).await;
        let backup = tempfile::tempdir().unwrap();
        let copy = backup.path().join("log.sqlite");
        let mut directory = directory
            .reopen(|dir| copy_file(&dir.join("log.sqlite"), &copy))
            .await;
        add(&mut directory, 3..=5).await;
        end(directory.views().await).await;
        let mut directory = directory
            .reopen(|dir| copy_file(&copy, &dir.join("log.sqlite")))
            .await;
        add(&mut directory, 6..=if longer_than_before { 9 } else { 6 }).await;
        let views = directory.views().await;
        assert!(
            user(&views, 3).await.is_none(),
            "longer: {longer_than_before}"
        );
        assert!(user(&views, 2).await.is_some() && user(&views, 6).await.is_some());
        assert_eq!(
            views
                .users()
                .list(ListUsers {
                    total: true,
                    ..ListUsers::of(acme())
                })
                .await
                .unwrap()
                .total,
            Some(if longer_than_before { 6 } else { 3 })
        );
    }
}

#[tokio::test]
async fn a_damaged_or_empty_file_is_made_again_and_other_versions_are_removed() {
    let mut directory = Directory::with_account().await;
    add(&mut directory, 1..=2).await;
    end(directory.views().await).await;
    let folder = directory.dir.path().join("views");
    let file = |view| file_of(directory.dir.path(), view);
    std::fs::write(file("users"), vec![7; 20_000]).unwrap();
    std::fs::write(file("audit"), []).unwrap();
    std::fs::write(folder.join("users-v0.sqlite-wal"), "Last1").unwrap();
    let views = directory.views().await;
    assert!(user(&views, 2).await.is_some());
    assert_eq!(
        views.audit().fresh(Freshness::Latest, None).await.unwrap(),
        7
    );
    assert!(!folder.join("users-v0.sqlite-wal").exists());
}

/// Texts that stand nowhere but in what was erased.
const GONE: [&str; 7] = [
    "Ottilie",
    "ottilie",
    "Wennergren",
    "wennergren",
    "OTTWEN",
    "+46 70 999",
    // Three letters that nobody else has are one gram.
    "җҙҟ",
];

async fn with_one_to_erase() -> Directory {
    let mut directory = Directory::with_account().await;
    add(&mut directory, 1..=5).await;
    let mut created = named(9, "OTTWEN", "Ottilie", "Wennergren");
    created.phone = Some(
        rollbook_aggregates::values::PhoneNumber::parse("+46 70 999")
            .unwrap()
            .into(),
    );
    directory
        .commit(
            &acme(),
            vec![to_user(
                user_id(9),
                vec![created.into(), joins(vec![linked(1, 9)])],
            )],
        )
        .await;
    let renamed = UserRenamed {
        first_name: person_name("Ottilie"),
        last_name: person_name("Wennergren-Җҙҟ"),
    };
    directory
        .commit(&acme(), vec![to_user(user_id(9), vec![renamed.into()])])
        .await;
    let guest = invited(9, "ottilie.wennergren@example.com");
    directory
        .commit(
            &acme(),
            vec![to_invitation(invitation_id(9), vec![guest.into()])],
        )
        .await;
    directory
}

async fn erase(directory: &mut Directory) {
    directory
        .commit(
            &acme(),
            vec![to_user(user_id(9), vec![UserDeleted {}.into()]).forgetting()],
        )
        .await;
    let deleted = to_invitation(invitation_id(9), vec![InvitationDeleted {}.into()]).forgetting();
    directory.commit(&acme(), vec![deleted]).await;
}

fn standing(directory: &Directory) -> Vec<(&'static str, Vec<std::path::PathBuf>)> {
    let found = GONE
        .iter()
        .map(|text| (*text, files_with(directory.dir.path(), text)));
    found.filter(|(_, files)| !files.is_empty()).collect()
}

#[tokio::test]
async fn r62_nothing_of_an_erased_person_stays_in_a_file_of_the_views() {
    let mut directory = with_one_to_erase().await;
    let views = directory.views().await;
    assert!(user(&views, 9).await.is_some());
    assert_eq!(standing(&directory).len(), GONE.len());
    let known = || {
        let grams = grams(directory.dir.path());
        grams.iter().any(|gram| gram.contains('җ'))
    };
    assert!(known());
    erase(&mut directory).await;
    until("the views forgot", || standing(&directory).is_empty()).await;
    add(&mut directory, 10..=12).await;
    assert!(user(&views, 12).await.is_some());
    end(views).await;
    assert_eq!(standing(&directory), []);
    let grams = grams(directory.dir.path());
    assert!(grams.contains(&"fir".to_owned()));
    assert!(
        grams
            .iter()
            .all(|gram| !gram.contains(['җ', 'ҙ', 'ҟ', 'w'])),
        "{grams:?}"
    );
}

#[tokio::test]
async fn r62_a_reader_in_the_way_delays_the_erasure_and_does_not_prevent_it() {
    let mut directory = with_one_to_erase().await;
    let views = directory.views().await;
    let path = file_of(directory.dir.path(), "users");
    let reader = rusqlite::Connection::open(path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM users;")
        .unwrap();
    let _count: i64 = reader
        .query_row("SELECT count(*) FROM users", [], |row| row.get(0))
        .unwrap();
    erase(&mut directory).await;
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    assert!(!standing(&directory).is_empty());
    reader.execute_batch("COMMIT").unwrap();
    until("the views forgot", || standing(&directory).is_empty()).await;
}

#[tokio::test]
async fn r62_a_process_that_was_stopped_erases_when_it_comes_back() {
    let mut directory = with_one_to_erase().await;
    end(directory.views().await).await;
    erase(&mut directory).await;
    assert!(!standing(&directory).is_empty());
    let views = directory.views().await;
    assert!(user(&views, 9).await.is_none());
    until("the views forgot", || standing(&directory).is_empty()).await;
}
