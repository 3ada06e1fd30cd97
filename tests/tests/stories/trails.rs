//! Trails: what happened to a user or an invoice, in words that a person reads.

use prost_types::FieldMask;
use rollbook_tests::people::{PASSWORD, administrator, grant, link, person, report_to};
use rollbook_tests::{Answer as _, Code, Directory, Identity, Role, Tenant, ask, pb, stories};

stories! {
    r61_the_trail_of_a_user_tells_each_event_with_before_and_after,
    r61_the_trail_of_an_invoice_tells_who_reviewed_it_under_whom_and_when_it_was_posted,
    r61_the_trail_of_a_deletion_tells_what_its_check_saw,
    r61_trails_are_read_in_pages_both_ways,
    r61_the_trail_of_an_external_user_is_that_of_its_access,
    r61_trails_withhold_what_is_personal,
    r61_passwords_and_links_are_told_in_the_trail,
}

async fn user_trail(acme: &Tenant, user_id: &str) -> Vec<pb::TrailEntry> {
    let request = ask!(
        acme,
        GetUserTrailRequest {
            user_id,
            page_size: 1000_u32
        }
    );
    acme.auditor
        .history()
        .get_user_trail(request)
        .await
        .answer()
        .entries
}

async fn invoice_trail(acme: &Tenant, invoice_id: &str) -> Vec<pb::TrailEntry> {
    let request = ask!(
        acme,
        GetInvoiceTrailRequest {
            company_id: &acme.companies[0],
            invoice_id
        }
    );
    acme.auditor
        .history()
        .get_invoice_trail(request)
        .await
        .answer()
        .entries
}

fn texts(entries: &[pb::TrailEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

fn because(reason: &str) -> pb::CommandOptions {
    pb::CommandOptions {
        reason: reason.to_owned(),
        ..pb::CommandOptions::default()
    }
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

async fn reviewed(acme: &Tenant, user_id: &str, invoice_id: &str) {
    let company_id = &acme.companies[0];
    let kind = pb::ReviewKind::Reviewed;
    let request = ask!(
        acme,
        ReportInvoiceReviewedRequest {
            company_id,
            user_id,
            invoice_id,
            kind
        }
    );
    let mut involvements = acme.service.involvements();
    involvements.report_invoice_reviewed(request).await.answer();
}

async fn posted(acme: &Tenant, invoice_id: &str) {
    let company_id = &acme.companies[0];
    let request = ask!(
        acme,
        ReportInvoicePostedRequest {
            company_id,
            invoice_id
        }
    );
    let mut involvements = acme.service.involvements();
    involvements.report_invoice_posted(request).await.answer();
}

async fn supervised_by(acme: &Tenant, user_id: &str, supervisor: &str) {
    let company = report_to(&acme.companies[0], supervisor);
    let update_mask = mask(&["supervisor_id"]);
    let request = ask!(
        acme,
        UpdateUserCompanyRequest {
            user_id,
            company,
            update_mask
        }
    );
    acme.admin
        .users()
        .update_user_company(request)
        .await
        .answer();
}

async fn r61_the_trail_of_a_user_tells_each_event_with_before_and_after(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let boss = pb::NewUser {
        companies: vec![link(&acme.companies[0])],
        ..person("BOSS")
    };
    let boss = acme.create_user(boss).await.user_id;
    let anna = pb::NewUser {
        companies: vec![link(&acme.companies[0])],
        ..person("ANNA")
    };
    let user_id = acme.create_user(anna).await.user_id;
    let mut users = acme.admin.users();
    let profile = pb::UserProfile {
        last_name: "Berg".to_owned(),
        phone: "12 34 56".to_owned(),
        ..pb::UserProfile::default()
    };
    let request = pb::UpdateUserRequest {
        command: Some(because("she married")),
        ..ask!(
            acme,
            UpdateUserRequest {
                user_id: &user_id,
                profile,
                update_mask: mask(&["last_name", "phone"])
            }
        )
    };
    users.update_user(request).await.answer();
    supervised_by(&acme, &user_id, &boss).await;
    let roles = vec!["clerk".to_owned()];
    users
        .set_user_roles(ask!(
            acme,
            SetUserRolesRequest {
                user_id: &user_id,
                roles
            }
        ))
        .await
        .answer();
    let permissions = vec![grant("invoices")];
    let request = ask!(
        acme,
        SetUserPermissionsRequest {
            user_id: &user_id,
            permissions
        }
    );
    users.set_user_permissions(request).await.answer();
    users
        .lock_user(ask!(acme, LockUserRequest { user_id: &user_id }))
        .await
        .answer();
    let request = ask!(acme, UnlockUserRequest { user_id: &user_id });
    acme.operator.users().unlock_user(request).await.answer();
    let trail = user_trail(&acme, &user_id).await;
    assert_eq!(
        texts(&trail),
        [
            "was created as active standard user: \"ANNA\" (\"First ANNA\" \"Last ANNA\")",
            "was linked to Alpha (its own supervisor)",
            "its name changed from \"First ANNA\" \"Last ANNA\" to \"First ANNA\" \"Berg\"",
            "its phone changed from (none) to \"12 34 56\"",
            "its supervisor in Alpha changed from ANNA to BOSS",
            "its roles changed from (none) to clerk",
            "its grants changed from (none) to invoices",
            "was locked by an administrator, and its sessions ended",
            "was unlocked",
        ]
    );
    let renamed = &trail[2];
    assert_eq!(
        (
            renamed.actor.as_str(),
            renamed.actor_signature.as_str(),
            renamed.service.as_str()
        ),
        (
            acme.administrator.user_id.as_str(),
            acme.administrator.signature.as_str(),
            "rollbook-tests"
        )
    );
    assert_eq!(
        (renamed.reason.as_str(), renamed.reason_disclosure()),
        ("she married", pb::Disclosure::Shown)
    );
    let [change] = &renamed.changes[..] else {
        panic!("{renamed:?}");
    };
    let text = |value: &Option<pb::FieldValue>| value.clone().unwrap().text;
    assert_eq!(
        (
            change.field.as_str(),
            text(&change.before),
            text(&change.after)
        ),
        ("last_name", "Last ANNA".to_owned(), "Berg".to_owned())
    );
    let locked: Vec<&str> = trail[7]
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    assert_eq!(locked, ["status", "sessions_valid_from"]);
    let events = directory.events().await;
    for entry in &trail {
        let event = &events[usize::try_from(entry.position).unwrap() - 1];
        assert_eq!(
            (&event.event_type, event.recorded_at, &event.actor),
            (&entry.event_type, entry.recorded_at, &entry.actor)
        );
        assert_eq!(entry.user_id, user_id);
    }
}

async fn r61_the_trail_of_an_invoice_tells_who_reviewed_it_under_whom_and_when_it_was_posted(
    directory: &Directory,
) {
    let acme = Tenant::create(directory, "acme").await;
    let in_company = |signature: &str| pb::NewUser {
        companies: vec![link(&acme.companies[0])],
        ..person(signature)
    };
    let first = acme.create_user(in_company("FIRST")).await.user_id;
    let second = acme.create_user(in_company("SECOND")).await.user_id;
    let anna = acme.create_user(in_company("ANNA")).await.user_id;
    supervised_by(&acme, &anna, &first).await;
    let company_id = &acme.companies[0];
    let queued = ask!(
        acme,
        ReportInvoiceQueuedRequest {
            company_id,
            user_id: &anna,
            invoice_id: "INV-1"
        }
    );
    acme.service
        .involvements()
        .report_invoice_queued(queued)
        .await
        .answer();
    let dequeued = ask!(
        acme,
        ReportInvoiceDequeuedRequest {
            company_id,
            user_id: &anna,
            invoice_id: "INV-1"
        }
    );
    acme.service
        .involvements()
        .report_invoice_dequeued(dequeued)
        .await
        .answer();
    reviewed(&acme, &anna, "INV-1").await;
    // Whoever is her supervisor later was not then.
    supervised_by(&acme, &anna, &second).await;
    reviewed(&acme, &second, "INV-1").await;
    posted(&acme, "INV-1").await;
    reviewed(&acme, &first, "INV-1").await;
    let trail = invoice_trail(&acme, "INV-1").await;
    let told = texts(&trail);
    assert_eq!(
        told[..4],
        [
            "ANNA had invoice INV-1 of Alpha put into its queue",
            "ANNA had invoice INV-1 of Alpha taken from its queue",
            "ANNA reviewed invoice INV-1 of Alpha; its supervisor there then was FIRST",
            "SECOND reviewed invoice INV-1 of Alpha; it was its own supervisor there then",
        ]
    );
    let mut posting = told[4..7].to_vec();
    posting.sort_unstable();
    assert_eq!(
        posting,
        [
            "ANNA was released from invoice INV-1 of Alpha, which was final posted",
            "SECOND was released from invoice INV-1 of Alpha, which was final posted",
            "invoice INV-1 of Alpha was final posted",
        ]
    );
    assert_eq!(
        told[7..],
        [
            "FIRST reviewed invoice INV-1 of Alpha, which was settled before; it was its own supervisor there then"
        ]
    );
    assert_eq!(trail[2].supervisor_id, first);
    assert_eq!(trail[2].user_id, anna);
    assert_eq!(invoice_trail(&acme, "INV-2").await, []);
    // Gone for good, she still reviewed it: by her id.
    let request = ask!(acme, DeleteUserRequest { user_id: &anna });
    acme.admin.users().delete_user(request).await.answer();
    let trail = invoice_trail(&acme, "INV-1").await;
    let expected =
        format!("{anna} reviewed invoice INV-1 of Alpha; its supervisor there then was FIRST");
    assert_eq!(trail[2].text, expected);
    let unknown = uuid::Uuid::now_v7().to_string();
    let request = ask!(
        acme,
        GetInvoiceTrailRequest {
            company_id: unknown,
            invoice_id: "INV-1"
        }
    );
    let refusal = acme
        .auditor
        .history()
        .get_invoice_trail(request)
        .await
        .refusal();
    refusal.is(Code::NotFound, "COMPANY_NOT_FOUND");
}

async fn r61_the_trail_of_a_deletion_tells_what_its_check_saw(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let second = acme.create_user(administrator("SECOND")).await.user_id;
    let anna = pb::NewUser {
        companies: vec![link(&acme.companies[0])],
        ..administrator("ANNA")
    };
    let anna = acme.create_user(anna).await.user_id;
    reviewed(&acme, &anna, "INV-1").await;
    posted(&acme, "INV-1").await;
    let released = directory.head().await;
    let request = pb::DeleteUserRequest {
        command: Some(because("left us")),
        ..ask!(acme, DeleteUserRequest { user_id: &anna })
    };
    acme.admin.users().delete_user(request).await.answer();
    // An administrator who could act then cannot now.
    let request = ask!(acme, DeactivateUserRequest { user_id: &second });
    acme.admin.users().deactivate_user(request).await.answer();
    let trail = user_trail(&acme, &anna).await;
    let gone = trail.last().unwrap();
    assert_eq!(gone.event_type, "UserDeleted");
    assert_eq!(
        gone.text,
        "was deleted for good, and its personal data erased; the check found 0 invoices in its queue, 0 references and 0 \
         flow templates linked, 0 reviewed invoices not settled, 0 users supervised, 0 needs in other accounts; the 1 \
         invoice that it had reviewed was settled, and 2 other administrators could act"
    );
    assert_eq!(gone.reason_disclosure(), pb::Disclosure::Erased);
    let check = gone.deletion_check.clone().unwrap();
    let mut administrators = vec![acme.administrator.user_id.clone(), second];
    administrators.sort();
    assert_eq!(check.other_administrator_ids, administrators);
    let [review] = &check.settled_reviews[..] else {
        panic!("{check:?}");
    };
    assert_eq!(
        (&review.company_id, review.invoice_id.as_str()),
        (&acme.companies[0], "INV-1")
    );
    assert!(review.position <= released);
    assert_eq!(
        trail[0].text,
        "was created as active administrator: (erased) ((erased) (erased))"
    );
}

async fn r61_trails_are_read_in_pages_both_ways(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user_id = acme.user("ANNA").await.user_id;
    for _ in 0..3 {
        let request = ask!(acme, LockUserRequest { user_id: &user_id });
        acme.admin.users().lock_user(request).await.answer();
        let request = ask!(acme, UnlockUserRequest { user_id: &user_id });
        acme.admin.users().unlock_user(request).await.answer();
    }
    let all = user_trail(&acme, &user_id).await;
    assert_eq!(all.len(), 7);
    for direction in [pb::Direction::Forwards, pb::Direction::Backwards] {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ask!(
                acme,
                GetUserTrailRequest {
                    user_id: &user_id,
                    direction,
                    page_size: 2_u32,
                    page_token
                }
            );
            let page = acme
                .auditor
                .history()
                .get_user_trail(request)
                .await
                .answer();
            found.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if direction == pb::Direction::Backwards {
            found.reverse();
        }
        assert_eq!(found, all, "{direction:?}");
    }
    let nobody = uuid::Uuid::now_v7().to_string();
    let request = ask!(acme, GetUserTrailRequest { user_id: nobody });
    let refusal = acme
        .auditor
        .history()
        .get_user_trail(request)
        .await
        .refusal();
    refusal.is(Code::NotFound, "USER_NOT_FOUND");
}

async fn r61_the_trail_of_an_external_user_is_that_of_its_access(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let home = Tenant::create(directory, "home").await;
    let anna = home.user("ANNA").await.user_id;
    let mut accesses = acme.operator.external_access();
    let user_type = pb::UserType::Standard;
    let request = ask!(
        acme,
        GrantAccessRequest {
            user_id: &anna,
            user_type
        }
    );
    accesses.grant_access(request).await.answer();
    reviewed(&acme, &anna, "INV-1").await;
    let request = ask!(acme, RevokeAccessRequest { user_id: &anna });
    accesses.revoke_access(request).await.answer();
    let here = user_trail(&acme, &anna).await;
    assert_eq!(
        texts(&here),
        [
            "was given access as standard user, from the account home, with the grants (none)",
            "reviewed invoice INV-1 of Alpha; it was external and had no supervisor here",
            "lost its access, and its sessions here ended",
        ]
    );
    let there = user_trail(&home, &anna).await;
    assert_eq!(there.len(), 1);
    let invoice = invoice_trail(&acme, "INV-1").await;
    assert_eq!(
        texts(&invoice),
        [format!(
            "{anna} reviewed invoice INV-1 of Alpha; it was external and had no supervisor here"
        )]
    );
}

async fn r61_trails_withhold_what_is_personal(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user_id = acme.user("ANNA").await.user_id;
    let blind = directory.caller(Identity::new(Role::Auditor, "blind", Some("acme")));
    let request = ask!(acme, GetUserTrailRequest { user_id });
    let trail = blind
        .history()
        .get_user_trail(request)
        .await
        .answer()
        .entries;
    assert_eq!(
        texts(&trail),
        ["was created as active standard user: (withheld) ((withheld) (withheld))"]
    );
    assert_eq!(trail[0].actor_signature, "");
    assert!(!format!("{trail:?}").contains("ANNA"));
}

async fn r61_passwords_and_links_are_told_in_the_trail(directory: &Directory) {
    let keeper = Tenant::with_passwords(directory, "keeper").await;
    let user_id = keeper.user_with("ANNA", PASSWORD).await.user_id;
    keeper.sign_in("ANNA@example.com", PASSWORD).await;
    keeper.reset_token("ANNA@example.com").await;
    let (welcomed, _) = keeper.welcomed("WEL").await;
    let trail = user_trail(&keeper, &user_id).await;
    assert_eq!(
        texts(&trail),
        [
            "was created as active standard user: \"ANNA\" (\"First ANNA\" \"Last ANNA\"), with a password",
            "signed in",
            "was sent reset link no. 1, good for 60 minutes",
        ]
    );
    let trail = user_trail(&keeper, &welcomed).await;
    assert_eq!(
        texts(&trail)[1..],
        ["was sent its first-sign-in link no. 1, good for 7 days"]
    );
}
