//! Races with real concurrency: whatever the order, the rules hold.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use rollbook_tests::people::{administrator, person, report_to};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Home, Refusal, Tenant, ask, pb, stories,
};
use tokio::sync::Notify;

stories! {
    r4_of_two_hundred_creates_of_one_signature_one_wins,
    r25_of_two_administrators_who_delete_each_other_exactly_one_succeeds,
    r25_with_a_third_administrator_there_too,
    r25_a_review_comes_first_and_blocks_or_second_and_is_refused,
    r48_of_two_hundred_accepts_of_one_invitation_one_succeeds,
    r39_every_reviewer_is_released_whatever_comes_at_the_same_moment,
    r33_replacements_and_deletions_leave_nobody_with_a_supervisor_who_is_gone,
    r33_whoever_comes_under_a_supervisor_before_a_replacement_is_replaced_with_the_others,
    r5_email_becomes_the_login_or_a_second_user_gets_the_address,
}

/// Runs them all at once, each as a task of its own, and answers what became of each.
async fn at_once<T, F>(tasks: Vec<F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.unwrap())
        .collect()
}

/// How many went well, and how many were refused for each reason.
fn tally<T>(outcomes: &[Result<T, Box<Refusal>>]) -> (usize, BTreeMap<String, usize>) {
    let mut refusals = BTreeMap::new();
    for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        *refusals.entry(refusal.reason.clone()).or_default() += 1;
    }
    (
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        refusals,
    )
}

async fn creates_of_one_signature(acme: &Tenant, callers: &[Caller]) {
    let tasks = (0..200)
        .map(|number: usize| {
            let caller = callers[number % callers.len()].clone();
            let user = pb::NewUser {
                email: format!("n{number}@example.com"),
                ..person("ANNA")
            };
            let request = ask!(acme, CreateUserRequest { user });
            async move { caller.users().create_user(request).await.outcome() }
        })
        .collect();
    let outcomes = at_once(tasks).await;
    assert!(
        outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|refusal| refusal.code == Code::AlreadyExists)
    );
    assert_eq!(
        tally(&outcomes),
        (1, BTreeMap::from([("SIGNATURE_TAKEN".to_owned(), 199)]))
    );
    let listed = acme.signatures().await;
    assert_eq!(
        listed
            .iter()
            .filter(|signature| *signature == "ANNA")
            .count(),
        1
    );
}

/// Two administrators delete each other, again and again, alone or with a third one there.
async fn duels(directory: &Directory, acme: &Tenant, places: &[&Tenant], third: bool) {
    let first = acme.administrator.user_id.as_str();
    for round in 0..100 {
        // Who was deactivated in the round before has to sign in again.
        directory.clock.advance(Duration::from_secs(1));
        let acme = &Tenant {
            admin: acme.admin.signed_in_again(),
            ..acme.clone()
        };
        let left = acme.create_user(administrator(&format!("L{round}{third}")));
        let left = left.await.user_id;
        let right = acme.create_user(administrator(&format!("R{round}{third}")));
        let right = right.await.user_id;
        let callers = [&left, &right].map(|id| acme.administrator_caller(directory, id));
        if !third {
            let request = ask!(acme, DeactivateUserRequest { user_id: first });
            let mut users = callers[0].users();
            users.deactivate_user(request).await.answer();
        }
        let shoot = |caller: &Caller, place: &Tenant, user_id: &String| {
            let caller = place.reached_by(caller);
            let request = ask!(acme, DeleteUserRequest { user_id });
            async move { caller.users().delete_user(request).await.outcome() }
        };
        let outcomes = at_once(vec![
            shoot(&callers[0], places[0], &right),
            shoot(&callers[1], places[places.len() - 1], &left),
        ])
        .await;
        let (succeeded, reasons) = tally(&outcomes);
        assert_eq!(succeeded, 1, "round {round}: {reasons:?}");
        let (survivor, caller) = if outcomes[0].is_ok() {
            (&left, &callers[0])
        } else {
            (&right, &callers[1])
        };
        if !third {
            let request = ask!(acme, ActivateUserRequest { user_id: first });
            caller.users().activate_user(request).await.answer();
        }
        directory.clock.advance(Duration::from_secs(1));
        let request = ask!(acme, DeleteUserRequest { user_id: survivor });
        let admin = acme.admin.signed_in_again();
        admin.users().delete_user(request).await.answer();
    }
}

async fn reviews_against_deletions(acme: &Tenant, callers: &[Tenant]) {
    let mut won = (0, 0);
    for round in 0..100 {
        let anna = acme.clerk(&format!("V{round}")).await.user_id;
        let delete = {
            let caller = callers[0].admin.clone();
            let request = ask!(acme, DeleteUserRequest { user_id: &anna });
            async move {
                caller
                    .users()
                    .delete_user(request)
                    .await
                    .map(|_| tonic::Response::new(()))
                    .outcome()
            }
        };
        let review = {
            let caller = callers[callers.len() - 1].service.clone();
            let request = ask!(
                acme,
                ReportInvoiceReviewedRequest {
                    company_id: &acme.companies[0],
                    user_id: &anna,
                    invoice_id: format!("INV-{round}"),
                }
            );
            async move {
                caller
                    .involvements()
                    .report_invoice_reviewed(request)
                    .await
                    .map(|_| tonic::Response::new(()))
                    .outcome()
            }
        };
        let (deleted, reviewed) = tokio::join!(tokio::spawn(delete), tokio::spawn(review));
        match (deleted.unwrap(), reviewed.unwrap()) {
            (Ok(()), Err(refusal)) => {
                refusal.is(Code::FailedPrecondition, "USER_DELETED");
                won.0 += 1;
            }
            (Err(refusal), Ok(())) => {
                refusal.is(Code::FailedPrecondition, "USER_STILL_NEEDED");
                won.1 += 1;
            }
            both => panic!("round {round}: {both:?}"),
        }
    }
    println!("deletions {}, reviews {}", won.0, won.1);
}

async fn accepts_of_one_invitation(acme: &Tenant, callers: &[Caller]) {
    let emails = vec!["guest@example.com".to_owned()];
    let invited = acme
        .admin
        .invitations()
        .invite_users(ask!(acme, InviteUsersRequest { emails }))
        .await
        .answer();
    let Some(pb::invite_result::Outcome::Invited(sent)) = invited.results[0].outcome.clone() else {
        panic!("{invited:?}");
    };
    let tasks = (0..200)
        .map(|number: usize| {
            let caller = callers[number % callers.len()].clone();
            let request = pb::AcceptInvitationRequest {
                token: sent.token.clone(),
                signature: format!("G{number}"),
                first_name: "Greta".to_owned(),
                last_name: "Ek".to_owned(),
                ..Default::default()
            };
            async move {
                caller
                    .invitations()
                    .accept_invitation(request)
                    .await
                    .outcome()
            }
        })
        .collect();
    let outcomes = at_once(tasks).await;
    let (accepted, reasons) = tally(&outcomes);
    assert_eq!(accepted, 1, "{reasons:?}");
    assert!(
        reasons.keys().all(
            |reason| ["INVITATION_ACCEPTED", "INVITATION_NOT_FOUND"].contains(&reason.as_str())
        ),
        "{reasons:?}",
    );
    assert_eq!(acme.signatures().await.len(), 2);
}

async fn r4_of_two_hundred_creates_of_one_signature_one_wins(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    creates_of_one_signature(&acme, std::slice::from_ref(&acme.admin)).await;
}

async fn r25_of_two_administrators_who_delete_each_other_exactly_one_succeeds(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    duels(directory, &acme, &[&acme], false).await;
}

async fn r25_with_a_third_administrator_there_too(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    duels(directory, &acme, &[&acme], true).await;
}

async fn r25_a_review_comes_first_and_blocks_or_second_and_is_refused(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    reviews_against_deletions(&acme, std::slice::from_ref(&acme)).await;
}

async fn r48_of_two_hundred_accepts_of_one_invitation_one_succeeds(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    accepts_of_one_invitation(&acme, std::slice::from_ref(&acme.portal)).await;
}

async fn r39_every_reviewer_is_released_whatever_comes_at_the_same_moment(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    for round in 0..20 {
        let mut users = Vec::new();
        for number in 0..5 {
            users.push(acme.clerk(&format!("W{round}-{number}")).await.user_id);
        }
        let invoice_id = format!("INV-{round}");
        let mut tasks: Vec<futures::future::BoxFuture<'static, ()>> = Vec::new();
        for user_id in &users {
            let (service, request) = (
                acme.service.clone(),
                ask!(
                    acme,
                    ReportInvoiceReviewedRequest {
                        company_id: &acme.companies[0],
                        user_id,
                        invoice_id: &invoice_id,
                    }
                ),
            );
            tasks.push(Box::pin(async move {
                service
                    .involvements()
                    .report_invoice_reviewed(request)
                    .await
                    .answer();
            }));
        }
        let (service, request) = (
            acme.service.clone(),
            ask!(
                acme,
                ReportInvoicePostedRequest {
                    company_id: &acme.companies[0],
                    invoice_id: &invoice_id,
                }
            ),
        );
        tasks.insert(
            2,
            Box::pin(async move {
                service
                    .involvements()
                    .report_invoice_posted(request)
                    .await
                    .answer();
            }),
        );
        at_once(tasks).await;
        let reviewers = acme
            .service
            .involvements()
            .list_reviewers(ask!(
                acme,
                ListReviewersRequest {
                    company_id: &acme.companies[0],
                    invoice_id: &invoice_id,
                }
            ))
            .await
            .answer()
            .reviewers;
        assert_eq!(reviewers.len(), 5);
        assert!(
            reviewers.iter().all(|reviewer| !reviewer.open),
            "round {round}: {reviewers:?}"
        );
    }
}

/// A hundred replacements and deletions of supervisors at once, at these places.
async fn successions(acme: &Tenant, places: &[Tenant]) {
    const SUPERVISORS: usize = 12;
    let mut chiefs = Vec::new();
    for number in 0..SUPERVISORS {
        chiefs.push(acme.clerk(&format!("CHIEF{number}")).await.user_id);
    }
    let mut reports = Vec::new();
    for number in 0..36 {
        let report = pb::NewUser {
            companies: acme.companies[..2]
                .iter()
                .map(|company| report_to(company, &chiefs[number % SUPERVISORS]))
                .collect(),
            ..person(&format!("REPORT{number}"))
        };
        reports.push(acme.create_user(report).await.user_id);
    }
    let tasks = (0..100)
        .map(|number: usize| {
            let place = &places[number % places.len()];
            let caller = place.admin.clone();
            let pair = number / 2;
            let chief = chiefs[pair % SUPERVISORS].clone();
            let next = chiefs[(pair + 1 + pair / SUPERVISORS) % SUPERVISORS].clone();
            let replace = ask!(
                acme,
                ReplaceSupervisorRequest {
                    supervisor_id: &chief,
                    replacement_id: &next,
                }
            );
            let delete = ask!(acme, DeleteUserRequest { user_id: &chief });
            async move {
                let mut users = caller.users();
                if number.is_multiple_of(2) {
                    users.replace_supervisor(replace).await.map(|_| ())
                } else {
                    users.delete_user(delete).await.map(|_| ())
                }
                .map(tonic::Response::new)
                .outcome()
            }
        })
        .collect();
    let (succeeded, reasons) = tally(&at_once(tasks).await);
    let expected = ["USER_STILL_NEEDED", "USER_DELETED", "SUPERVISOR_UNFIT"];
    assert!(
        reasons.keys().all(|it| expected.contains(&it.as_str())),
        "{reasons:?}"
    );
    println!("succeeded: {succeeded}, refused: {reasons:?}");
    for report in &reports {
        for link in acme.get(report).await.companies {
            let supervisor = acme.get(&link.supervisor_id).await;
            assert_ne!(supervisor.status(), pb::UserStatus::Deleted);
        }
    }
}

async fn r33_replacements_and_deletions_leave_nobody_with_a_supervisor_who_is_gone(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    successions(&acme, std::slice::from_ref(&acme)).await;
}

async fn r33_whoever_comes_under_a_supervisor_before_a_replacement_is_replaced_with_the_others(
    directory: &Directory,
) {
    const ROUNDS: usize = 6;
    const CALLERS: usize = 4;
    let acme = Tenant::create(directory, "acme").await;
    let company = acme.companies[0].as_str();
    for round in 0..ROUNDS {
        let old = acme.clerk(&format!("OLD{round}")).await.user_id;
        let new = acme.clerk(&format!("NEW{round}")).await.user_id;
        let done = Arc::new(AtomicBool::new(false));
        let came = Arc::new(Notify::new());
        let callers = (0..CALLERS).map(|caller| {
            let (acme, done, came) = (acme.clone(), Arc::clone(&done), Arc::clone(&came));
            let link = report_to(company, &old);
            tokio::spawn(async move {
                let mut created = Vec::new();
                for number in 0.. {
                    let last = done.load(Ordering::SeqCst);
                    let user = pb::NewUser {
                        companies: vec![link.clone()],
                        ..person(&format!("R{round}-{caller}-{number}"))
                    };
                    let request = ask!(acme, CreateUserRequest { user });
                    created.push(acme.admin.users().create_user(request).await.answer());
                    came.notify_one();
                    if last {
                        break;
                    }
                }
                created
            })
        });
        let callers: Vec<_> = callers.collect();
        came.notified().await;
        let request = ask!(
            acme,
            ReplaceSupervisorRequest {
                supervisor_id: &old,
                replacement_id: &new,
            }
        );
        let replaced = acme
            .admin
            .users()
            .replace_supervisor(request)
            .await
            .answer();
        done.store(true, Ordering::SeqCst);
        let (mut before, mut after) = (0, 0);
        for caller in callers {
            for created in caller.await.unwrap() {
                let user = acme.get(&created.user.unwrap().user_id).await;
                let supervisor = if created.position < replaced.position {
                    before += 1;
                    &new
                } else {
                    after += 1;
                    &old
                };
                assert_eq!(
                    &user.companies[0].supervisor_id, supervisor,
                    "round {round}"
                );
            }
        }
        // One was there before the replacement was asked for, and each caller made one more after it was done.
        assert!(
            before >= 1 && after >= CALLERS,
            "{before} before, {after} after"
        );
    }
}

/// E-mail becomes the login in the moment in which a second user gets an address.
async fn logins_against_shared_addresses(acme: &Tenant, places: &[&Tenant]) {
    let mut won = (0, 0);
    let login = |login: pb::Login| {
        ask!(
            acme,
            UpdateAccountSettingsRequest {
                settings: pb::AccountSettings {
                    login: login.into(),
                    ..Default::default()
                },
                update_mask: prost_types::FieldMask {
                    paths: vec!["settings.login".to_owned()]
                },
            }
        )
    };
    for round in 0..50 {
        let email = format!("shared{round}@example.com");
        let user = |signature: String| pb::NewUser {
            email: email.clone(),
            ..person(&signature)
        };
        acme.create_user(user(format!("F{round}"))).await;
        let turn_on = {
            let (caller, request) = (places[0].admin.clone(), login(pb::Login::Email));
            async move {
                caller
                    .accounts()
                    .update_account_settings(request)
                    .await
                    .outcome()
            }
        };
        let create = {
            let caller = places[places.len() - 1].admin.clone();
            let second = user(format!("S{round}"));
            let request = ask!(acme, CreateUserRequest { user: second });
            async move { caller.users().create_user(request).await.outcome() }
        };
        let (turned_on, created) = tokio::join!(tokio::spawn(turn_on), tokio::spawn(create));
        match (turned_on.unwrap(), created.unwrap()) {
            (Ok(_), Err(refusal)) => {
                refusal.is(Code::AlreadyExists, "EMAIL_TAKEN");
                let mut accounts = acme.admin.accounts();
                let back = login(pb::Login::Signature);
                accounts.update_account_settings(back).await.answer();
                won.0 += 1;
            }
            (Err(refusal), Ok(second)) => {
                refusal.is(Code::FailedPrecondition, "EMAIL_SHARED");
                let user_id = second.user.unwrap().user_id;
                let delete = ask!(acme, DeleteUserRequest { user_id });
                acme.admin.users().delete_user(delete).await.answer();
                won.1 += 1;
            }
            both => panic!("round {round}: {both:?}"),
        }
    }
    println!("logins {}, second users {}", won.0, won.1);
}

async fn r5_email_becomes_the_login_or_a_second_user_gets_the_address(directory: &Directory) {
    let acme = Tenant::with_signature_login(directory, "acme").await;
    logins_against_shared_addresses(&acme, &[&acme]).await;
}

/// All of it again, with half of the callers at another process on the same database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_all_of_this_holds_with_two_processes_on_one_database() {
    let directory = Directory::start(Home::Postgres).await;
    let second = directory.second_process().await;
    let acme = Tenant::create(&directory, "acme").await;
    let there = acme.at(&second);
    creates_of_one_signature(&acme, &[acme.admin.clone(), there.admin.clone()]).await;
    let guests = Tenant::create(&directory, "guests").await;
    accepts_of_one_invitation(&guests, &[guests.portal.clone(), guests.at(&second).portal]).await;
    reviews_against_deletions(&acme, &[acme.clone(), there.clone()]).await;
    let duelists = Tenant::create(&directory, "duelists").await;
    let away = duelists.at(&second);
    duels(&directory, &duelists, &[&duelists, &away], false).await;
    duels(&directory, &duelists, &[&duelists, &away], true).await;
    assert_eq!(acme.signatures().await, there.signatures().await);
    let chiefs = Tenant::create(&directory, "chiefs").await;
    successions(&chiefs, &[chiefs.clone(), chiefs.at(&second)]).await;
    let logins = Tenant::with_signature_login(&directory, "logins").await;
    logins_against_shared_addresses(&logins, &[&logins, &logins.at(&second)]).await;
    directory.finish().await;
}
