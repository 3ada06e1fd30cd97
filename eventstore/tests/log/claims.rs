//! Claims: what may be required of them, and that nobody slips between a requirement and its commit.

use std::collections::BTreeSet;

use rollbook_eventstore::{Append, AppendError, ClaimKey, Holders, Log, Requirement};

use crate::given::{adds, claim, held, of, takes};
use crate::house::{House, on_both_homes};

on_both_homes! {
    every_requirement_is_judged_by_who_holds_the_claim
    all_requirements_that_do_not_hold_are_told_at_once
    requirements_see_the_claims_as_they_were_before
    claims_are_released_before_they_are_taken
    the_first_hundred_of_many_holders_are_named
    r4_of_two_hundred_that_want_one_free_claim_one_gets_it
    r5_shared_keys_of_a_kind_are_found
    r25_of_two_that_need_each_other_exactly_one_is_let_go
}

async fn violated(log: &Log, requirement: Requirement) -> Option<Holders> {
    match log.check(Vec::new(), vec![requirement.clone()]).await {
        Ok(_) => None,
        Err(AppendError::Refused(mut violations)) => {
            let violation = violations.pop().unwrap();
            assert_eq!(violation.requirement, requirement);
            Some(violation.holders)
        }
        Err(error) => panic!("{error}"),
    }
}

async fn every_requirement_is_judged_by_who_holds_the_claim(house: &House) {
    let log = house.open().await;
    let holders = [
        held("k", "two", "a"),
        held("k", "two", "b"),
        held("k", "one", "a"),
    ];
    log.append(takes(&holders)).await.unwrap();
    let (none, one, two) = (claim("k", "none"), claim("k", "one"), claim("k", "two"));
    let by = |claim: &rollbook_eventstore::Claim, owner: &str| (claim.clone(), owner.to_owned());
    let free_but = |(claim, owner)| Requirement::FreeBut { claim, owner };
    let held_by = |(claim, owner)| Requirement::HeldBy { claim, owner };
    let another = |(claim, owner)| Requirement::Another { claim, owner };
    let exactly = |claim: &rollbook_eventstore::Claim, owners: &[&str]| Requirement::Exactly {
        claim: claim.clone(),
        owners: owners
            .iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>(),
    };
    let hold = [
        Requirement::Free(none.clone()),
        free_but(by(&none, "a")),
        free_but(by(&one, "a")),
        held_by(by(&one, "a")),
        held_by(by(&two, "b")),
        another(by(&two, "a")),
        another(by(&one, "b")),
        exactly(&none, &[]),
        exactly(&one, &["a"]),
        exactly(&two, &["a", "b"]),
    ];
    for requirement in hold {
        assert_eq!(
            violated(&log, requirement.clone()).await,
            None,
            "{requirement:?}"
        );
    }
    let do_not = [
        (Requirement::Free(one.clone()), 1),
        (free_but(by(&one, "b")), 1),
        (free_but(by(&two, "a")), 2),
        (held_by(by(&one, "b")), 1),
        (held_by(by(&none, "a")), 0),
        (another(by(&one, "a")), 1),
        (another(by(&none, "a")), 0),
        (exactly(&two, &["a"]), 2),
        (exactly(&two, &["a", "c"]), 2),
        (exactly(&one, &["a", "b"]), 1),
        (exactly(&one, &[]), 1),
    ];
    for (requirement, count) in do_not {
        let holders = violated(&log, requirement.clone()).await;
        assert_eq!(holders.unwrap().count, count, "{requirement:?}");
    }
    // Another account, kind or form of the key is another claim.
    let mut other = claim("k", "one");
    other.account_id = "other".into();
    let mut personal = claim("k", "one");
    personal.key = ClaimKey::Personal("one".into());
    for claim in [other, claim("l", "one"), personal] {
        assert_eq!(violated(&log, Requirement::Free(claim)).await, None);
    }
}

async fn all_requirements_that_do_not_hold_are_told_at_once(house: &House) {
    let log = house.open().await;
    log.append(takes(&[held("k", "x", "a"), held("k", "y", "b")]))
        .await
        .unwrap();
    let require = vec![
        Requirement::Free(claim("k", "x")),
        Requirement::Free(claim("k", "z")),
        Requirement::Free(claim("k", "y")),
    ];
    let Err(AppendError::Refused(violations)) = log.check(Vec::new(), require.clone()).await else {
        panic!("nothing was refused");
    };
    let told: Vec<_> = violations
        .iter()
        .map(|v| (&v.requirement, &*v.holders.owners))
        .collect();
    assert_eq!(
        told,
        [
            (&require[0], &["a".to_owned()][..]),
            (&require[2], &["b".to_owned()][..])
        ]
    );
}

async fn requirements_see_the_claims_as_they_were_before(house: &House) {
    let log = house.open().await;
    log.append(Append {
        require: vec![Requirement::Free(claim("k", "x"))],
        take: vec![held("k", "x", "a")],
        ..Append::default()
    })
    .await
    .unwrap();
    let late = Append {
        require: vec![Requirement::Free(claim("k", "x"))],
        release: vec![held("k", "x", "a")],
        ..Append::default()
    };
    assert!(matches!(
        log.append(late).await,
        Err(AppendError::Refused(_))
    ));
}

async fn claims_are_released_before_they_are_taken(house: &House) {
    let log = house.open().await;
    let both = Append {
        release: vec![held("k", "x", "a"), held("k", "gone", "a")],
        take: vec![held("k", "x", "a")],
        ..Append::default()
    };
    log.append(both).await.unwrap();
    // Taking what one holds is no error.
    log.append(takes(&[held("k", "x", "a")])).await.unwrap();
    let holders = log
        .holders(&[claim("k", "x"), claim("k", "gone")])
        .await
        .unwrap();
    assert_eq!(
        (&*holders[0].owners, holders[0].count),
        (&["a".to_owned()][..], 1)
    );
    assert_eq!(holders[1], Holders::default());
}

async fn the_first_hundred_of_many_holders_are_named(house: &House) {
    let log = house.open().await;
    let owners: Vec<_> = (0..250)
        .map(|number| held("k", "x", &format!("{number:03}")))
        .collect();
    log.append(takes(&owners)).await.unwrap();
    let holders = log
        .holders(&[claim("k", "x")])
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!((holders.count, holders.owners.len()), (250, 100));
    assert_eq!((&*holders.owners[0], &*holders.owners[99]), ("000", "099"));
    let [x, nobody] = ["x", "nobody"].map(|key| claim("k", key));
    let all = log.owners(&[nobody, x], 1000).await.unwrap();
    let everybody: Vec<_> = owners.iter().map(|held| held.owner.clone()).collect();
    assert_eq!(all, [Vec::new(), everybody.clone()]);
    let some = log.owners(&[claim("k", "x")], 200).await.unwrap();
    assert_eq!(some, [everybody[..200].to_vec()]);
    let told = violated(&log, Requirement::Free(claim("k", "x")))
        .await
        .unwrap();
    assert_eq!(told, holders);
    let owners = owners.into_iter().map(|held| held.owner).collect();
    let exactly = Requirement::Exactly {
        claim: claim("k", "x"),
        owners,
    };
    assert_eq!(violated(&log, exactly).await, None);
}

async fn r4_of_two_hundred_that_want_one_free_claim_one_gets_it(house: &House) {
    let log = house.open().await;
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move {
                let id = number.to_string();
                let mut append = of(vec![adds(&id, 0, 1)]);
                append
                    .require
                    .push(Requirement::Free(claim("signature", "anna")));
                append.take.push(held("signature", "anna", &id));
                log.append(append).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(AppendError::Refused(violations)) => assert_eq!(violations[0].holders.count, 1),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(log.head().await.unwrap(), 1);
}

async fn r5_shared_keys_of_a_kind_are_found(house: &House) {
    let log = house.open().await;
    let unshared = || Requirement::Unshared {
        account_id: "acme".into(),
        kind: "email".into(),
    };
    let alone = [
        held("email", "x", "a"),
        held("email", "y", "b"),
        held("other", "x", "c"),
    ];
    log.append(takes(&alone)).await.unwrap();
    assert_eq!(violated(&log, unshared()).await, None);
    let shared = [
        held("email", "x", "d"),
        held("email", "z", "d"),
        held("email", "z", "e"),
    ];
    log.append(takes(&shared)).await.unwrap();
    let holders = violated(&log, unshared()).await.unwrap();
    assert_eq!(
        (holders.count, holders.owners.concat()),
        (3, "ade".to_owned())
    );
    assert_eq!(log.shared("acme", "email").await.unwrap(), holders);
    assert_eq!(
        log.shared("other", "email").await.unwrap(),
        Holders::default()
    );
    // Those that come at the same moment are judged one after the other.
    let release = Append {
        release: vec![held("email", "x", "d"), held("email", "z", "d")],
        ..Append::default()
    };
    log.append(release).await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move {
                let append = if number % 2 == 0 {
                    Append {
                        require: vec![unshared()],
                        take: vec![held("login", "email", "acme")],
                        ..Append::default()
                    }
                } else {
                    Append {
                        require: vec![Requirement::Free(claim("login", "email"))],
                        take: vec![held("email", "x", &format!("n{number}"))],
                        ..Append::default()
                    }
                };
                log.append(append).await.is_ok()
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let login = log.holders(&[claim("login", "email")]).await.unwrap()[0].count;
    let found = log.shared("acme", "email").await.unwrap().count;
    assert!(login == 0 || found == 0, "both were let through");
}

async fn r25_of_two_that_need_each_other_exactly_one_is_let_go(house: &House) {
    let log = house.open().await;
    for round in 0..20 {
        let kind = format!("administrator-{round}");
        let [a, b] = ["a", "b"].map(|owner| held(&kind, "", owner));
        log.append(takes(&[a.clone(), b.clone()])).await.unwrap();
        let leave = |who: &rollbook_eventstore::HeldClaim| {
            let append = Append {
                require: vec![Requirement::Another {
                    claim: who.claim.clone(),
                    owner: who.owner.clone(),
                }],
                release: vec![who.clone()],
                ..Append::default()
            };
            let log = log.clone();
            tokio::spawn(async move { log.append(append).await.is_ok() })
        };
        let (first, second) = (leave(&a), leave(&b));
        assert!(first.await.unwrap() ^ second.await.unwrap());
    }
}
