//! What was: the directory as of a moment, and what changed between two.

use std::collections::BTreeMap;
use std::time::Duration;

use prost_types::{FieldMask, Timestamp};
use rollbook_tests::people::{allegiance, grant, link, person, report_to};
use rollbook_tests::{
    Answer as _, Caller, Code, Directory, Identity, Role, Tenant, ask, pb, stories,
};

use pb::list_users_as_of_request::Company;
use pb::moment::At;

stories! {
    r60_as_of_equals_then_after_every_command,
    r60_a_difference_tells_values_before_and_after,
    r60_lists_of_the_past_are_filtered_and_read_in_pages_of_one_moment,
    r60_what_was_erased_since_shows_as_erased,
    r60_no_moment_shows_part_of_a_commit,
    r60_an_external_user_is_shown_as_the_account_knew_it,
    r60_moments_that_are_not_there_are_refused,
}

/// Random numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, among: &'a [String]) -> &'a str {
        &among[self.roll(among.len())]
    }
}

fn at(position: u64) -> pb::Moment {
    pb::Moment {
        at: Some(At::Position(position)),
    }
}

fn at_time(time: Timestamp) -> pb::Moment {
    pb::Moment {
        at: Some(At::Time(time)),
    }
}

fn wire(directory: &Directory) -> Timestamp {
    std::time::SystemTime::from(directory.clock.now()).into()
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// What everybody is, and who has whom, as callers were told it after a command.
struct Then {
    position: u64,
    time: Timestamp,
    users: BTreeMap<String, pb::User>,
    listed: Vec<String>,
    reports: BTreeMap<String, Vec<pb::Report>>,
}

async fn look(directory: &Directory, acme: &Tenant, people: &[String]) -> Then {
    let mut users = BTreeMap::new();
    let mut reports = BTreeMap::new();
    for id in people {
        let found = acme.find(pb::get_user_request::Key::UserId(id.clone()));
        if let Ok(found) = found.await.outcome() {
            users.insert(id.clone(), found.user.unwrap());
            let request = ask!(acme, ListReportsRequest { user_id: id });
            let answer = acme.service.users().list_reports(request).await;
            if let Ok(answer) = answer.outcome() {
                reports.insert(id.clone(), answer.reports);
            }
        }
    }
    let request = ask!(
        acme,
        ListUsersRequest {
            page_size: 1000_u32
        }
    );
    let listed = acme.service.users().list_users(request).await.answer();
    let mut listed: Vec<String> = listed.users.into_iter().map(|user| user.user_id).collect();
    listed.sort();
    Then {
        position: directory.head().await,
        time: wire(directory),
        users,
        listed,
        reports,
    }
}

/// One random command, which may be refused.
async fn step(acme: &Tenant, home: &Tenant, dice: &mut Dice, people: &mut Vec<String>) {
    let user_id = dice.pick(people).to_owned();
    let other = dice.pick(people).to_owned();
    let company_id = acme.companies[dice.roll(3)].clone();
    let mut users = acme.admin.users();
    match dice.roll(16) {
        0 | 1 => {
            let number = people.len();
            let user = pb::NewUser {
                companies: vec![report_to(&company_id, &other)],
                phone: "12 34 56".to_owned(),
                ..person(&format!("N{number}"))
            };
            let created = users
                .create_user(ask!(acme, CreateUserRequest { user }))
                .await;
            people.extend(created.outcome().ok().map(|it| it.user.unwrap().user_id));
        }
        2 => {
            let request = ask!(acme, LockUserRequest { user_id });
            let _maybe = users.lock_user(request).await;
        }
        3 => {
            let request = ask!(acme, UnlockUserRequest { user_id });
            let _maybe = users.unlock_user(request).await;
        }
        4 => {
            let request = ask!(acme, DeactivateUserRequest { user_id });
            let _maybe = users.deactivate_user(request).await;
        }
        5 => {
            let request = ask!(acme, ActivateUserRequest { user_id });
            let _maybe = users.activate_user(request).await;
        }
        6 => {
            let profile = pb::UserProfile {
                first_name: format!("First {}", dice.roll(99)),
                mobile_phone: "98 76".to_owned(),
                email: format!("mail{}@example.com", dice.roll(999)),
                ..pb::UserProfile::default()
            };
            let update_mask = mask([&["first_name"][..], &["mobile_phone", "email"]][dice.roll(2)]);
            let request = ask!(
                acme,
                UpdateUserRequest {
                    user_id,
                    profile,
                    update_mask
                }
            );
            let _maybe = users.update_user(request).await;
        }
        7 => {
            let roles = vec![["clerk", "manager"][dice.roll(2)].to_owned()];
            let request = ask!(acme, SetUserRolesRequest { user_id, roles });
            let _maybe = users.set_user_roles(request).await;
        }
        8 => {
            let permissions = vec![grant("invoices")];
            let request = ask!(
                acme,
                SetUserPermissionsRequest {
                    user_id,
                    permissions
                }
            );
            let _maybe = users.set_user_permissions(request).await;
        }
        9 | 10 => {
            let companies = vec![report_to(&company_id, &other)];
            let request = ask!(acme, AddUserCompaniesRequest { user_id, companies });
            let _maybe = users.add_user_companies(request).await;
        }
        11 => {
            let company_ids = vec![company_id];
            let request = ask!(
                acme,
                RemoveUserCompaniesRequest {
                    user_id,
                    company_ids
                }
            );
            let _maybe = users.remove_user_companies(request).await;
        }
        12 => {
            let company = pb::UserCompany {
                show_as_addressee: true,
                coding_allegiances: vec![allegiance("Department", "14")],
                ..report_to(&company_id, &other)
            };
            let update_mask = mask(&["supervisor_id", "coding_allegiances"]);
            let request = ask!(
                acme,
                UpdateUserCompanyRequest {
                    user_id,
                    company,
                    update_mask
                }
            );
            let _maybe = users.update_user_company(request).await;
        }
        13 => {
            let checked = pb::CheckedSignIn::Succeeded;
            let request = ask!(acme, ReportSignInRequest { user_id, checked });
            let _maybe = acme.service.credentials().report_sign_in(request).await;
        }
        14 => {
            let request = ask!(acme, DeleteUserRequest { user_id });
            let _maybe = users.delete_user(request).await;
        }
        _ => {
            let user_id = home.administrator.user_id.as_str();
            let user_type = [pb::UserType::Standard, pb::UserType::Administrator][dice.roll(2)];
            let mut accesses = acme.operator.external_access();
            if dice.roll(2) == 0 {
                let request = ask!(acme, GrantAccessRequest { user_id, user_type });
                let _maybe = accesses.grant_access(request).await;
            } else {
                let request = ask!(acme, RevokeAccessRequest { user_id });
                let _maybe = accesses.revoke_access(request).await;
            }
        }
    }
}

async fn user_as_of(
    caller: &Caller,
    acme: &Tenant,
    user_id: &str,
    as_of: pb::Moment,
) -> Result<pb::PastUser, rollbook_tests::Refusal> {
    let request = ask!(acme, GetUserAsOfRequest { user_id, as_of });
    let answer = caller.history().get_user_as_of(request).await.outcome();
    answer.map(|answer| answer.user.unwrap()).map_err(|it| *it)
}

/// The user without what is personal.
fn erased(user: &pb::User) -> pb::User {
    pb::User {
        signature: String::new(),
        user_name: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        email: String::new(),
        phone: String::new(),
        mobile_phone: String::new(),
        ..user.clone()
    }
}

async fn r60_as_of_equals_then_after_every_command(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let home = Tenant::create(directory, "home").await;
    let mut dice = Dice(60);
    let mut people = vec![
        acme.administrator.user_id.clone(),
        home.administrator.user_id.clone(),
    ];
    let mut story = Vec::new();
    for _ in 0..70 {
        directory.clock.advance(Duration::from_secs(1));
        step(&acme, &home, &mut dice, &mut people).await;
        story.push(look(directory, &acme, &people).await);
    }
    let last = story.last().unwrap();
    let deleted = |id: &str| last.users.get(id).is_some_and(is_deleted);
    assert!(last.users.values().any(is_deleted), "somebody is deleted");
    let everything = directory.auditor();
    for then in &story {
        for moment in [at(then.position), at_time(then.time)] {
            for id in &people {
                // Nothing happened since the command, so the position tells what the time does; but for the clock.
                let found = user_as_of(&everything, &acme, id, moment).await.ok();
                let expected = then.users.get(id).map(|user| {
                    if deleted(id) {
                        erased(user)
                    } else {
                        user.clone()
                    }
                });
                let shown = found.as_ref().and_then(|past| past.user.clone());
                assert_eq!(shown, expected, "{id} as of {moment:?}");
                if let Some(past) = found {
                    let disclosure = if deleted(id) {
                        pb::Disclosure::Erased
                    } else {
                        pb::Disclosure::Shown
                    };
                    assert_eq!(past.personal_data(), disclosure);
                }
            }
        }
        let request = ask!(
            acme,
            ListUsersAsOfRequest {
                as_of: at(then.position),
                page_size: 1000_u32
            }
        );
        let listed = everything
            .history()
            .list_users_as_of(request)
            .await
            .answer();
        let ids: Vec<String> = listed
            .users
            .into_iter()
            .map(|past| past.user.unwrap().user_id)
            .collect();
        assert_eq!(ids, then.listed, "as of {}", then.position);
        for (user_id, expected) in &then.reports {
            let as_of = at(then.position);
            let request = ask!(
                acme,
                ListReportsAsOfRequest {
                    user_id,
                    as_of,
                    page_size: 1000_u32
                }
            );
            let found = everything.history().list_reports_as_of(request).await;
            let Ok(found) = found.outcome() else {
                assert!(expected.is_empty(), "{user_id} as of {}", then.position);
                continue;
            };
            let found: Vec<pb::Report> = found
                .reports
                .into_iter()
                .map(|report| pb::Report {
                    user_id: report.user_id,
                    company_id: report.company_id,
                })
                .collect();
            assert_eq!(&found, expected, "{user_id} as of {}", then.position);
        }
    }
}

fn is_deleted(user: &pb::User) -> bool {
    user.status() == pb::UserStatus::Deleted
}

async fn diff(acme: &Tenant, user_id: &str, from: u64, to: u64) -> pb::DiffUserResponse {
    let request = ask!(
        acme,
        DiffUserRequest {
            user_id,
            from: at(from),
            to: at(to)
        }
    );
    acme.auditor.history().diff_user(request).await.answer()
}

/// A change in short: its field, and the values.
fn told(answer: &pb::DiffUserResponse) -> Vec<(String, String, String)> {
    let text = |value: &Option<pb::FieldValue>| match value {
        None => "-".to_owned(),
        Some(value) if value.disclosure() == pb::Disclosure::Shown => value.text.clone(),
        Some(value) => format!("{:?}", value.disclosure()),
    };
    answer
        .changes
        .iter()
        .map(|change| {
            (
                change.field.clone(),
                text(&change.before),
                text(&change.after),
            )
        })
        .collect()
}

async fn rename(acme: &Tenant, user_id: &str, last_name: &str) -> u64 {
    let profile = pb::UserProfile {
        last_name: last_name.to_owned(),
        ..pb::UserProfile::default()
    };
    let update_mask = mask(&["last_name"]);
    let request = ask!(
        acme,
        UpdateUserRequest {
            user_id,
            profile,
            update_mask
        }
    );
    acme.admin
        .users()
        .update_user(request)
        .await
        .answer()
        .position
}

fn strings(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter()
        .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
        .collect()
}

async fn r60_a_difference_tells_values_before_and_after(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await.user_id;
    let created = directory.head().await;
    let renamed = rename(&acme, &anna, "Berg").await;
    let companies = vec![link(&acme.companies[0])];
    let request = ask!(
        acme,
        AddUserCompaniesRequest {
            user_id: &anna,
            companies
        }
    );
    let linked = acme
        .admin
        .users()
        .add_user_companies(request)
        .await
        .answer();
    assert_eq!(
        told(&diff(&acme, &anna, created, renamed).await),
        strings(&[("last_name", "Last ANNA", "Berg")])
    );
    let field = format!("companies.{}.supervisor_id", acme.companies[0]);
    let answer = diff(&acme, &anna, renamed, linked.position).await;
    assert_eq!(told(&answer), strings(&[(&field, "-", &anna)]));
    assert_eq!((answer.from_revision, answer.to_revision), (2, 3));
    // Backwards in time it is the other way round.
    let answer = diff(&acme, &anna, linked.position, created).await;
    assert_eq!(
        told(&answer),
        strings(&[("last_name", "Berg", "Last ANNA"), (&field, &anna, "-")])
    );
    // Before it was there it had no values.
    let answer = diff(&acme, &anna, created - 1, created).await;
    assert_eq!(answer.from_revision, 0);
    let signature = strings(&[("signature", "-", "ANNA")]);
    assert_eq!(told(&answer)[..1], signature[..]);
    assert_eq!(told(&diff(&acme, &anna, created, created).await), []);
    // Without the scope one learns that a name changed, not from what to what.
    let blind = directory.caller(Identity::new(Role::Auditor, "blind", Some("acme")));
    let request = ask!(
        acme,
        DiffUserRequest {
            user_id: &anna,
            from: at(created),
            to: at(renamed)
        }
    );
    let answer = blind.history().diff_user(request).await.answer();
    assert_eq!(
        told(&answer),
        strings(&[("last_name", "Withheld", "Withheld")])
    );
}

async fn r60_lists_of_the_past_are_filtered_and_read_in_pages_of_one_moment(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let admin = acme.administrator.user_id.clone();
    let mut people = vec![admin.clone()];
    for number in 0..5_usize {
        let user = pb::NewUser {
            active: Some(number != 3),
            companies: match number {
                4 => Vec::new(),
                _ => vec![report_to(&acme.companies[0], &admin)],
            },
            ..person(&format!("U{number}"))
        };
        // A supervisor has the company itself.
        if number == 0 {
            let companies = vec![link(&acme.companies[0])];
            let user_id = &admin;
            let request = ask!(acme, AddUserCompaniesRequest { user_id, companies });
            acme.admin
                .users()
                .add_user_companies(request)
                .await
                .answer();
        }
        people.push(acme.create_user(user).await.user_id);
    }
    let then = directory.head().await;
    let listed = async |request: pb::ListUsersAsOfRequest| {
        let mut found = Vec::new();
        let mut request = request;
        loop {
            let page = acme
                .auditor
                .history()
                .list_users_as_of(request.clone())
                .await
                .answer();
            assert_eq!(page.position, then);
            found.extend(
                page.users
                    .into_iter()
                    .map(|past| past.user.unwrap().user_id),
            );
            if page.next_page_token.is_empty() {
                return found;
            }
            request.page_token = page.next_page_token;
            // What happens meanwhile is not as of then.
            acme.user(&format!("X{}", directory.head().await)).await;
        }
    };
    let all = || {
        ask!(
            acme,
            ListUsersAsOfRequest {
                as_of: at(then),
                page_size: 2_u32
            }
        )
    };
    assert_eq!(listed(all()).await, people);
    let now = ask!(
        acme,
        ListUsersAsOfRequest {
            page_size: 1000_u32
        }
    );
    let now = acme.auditor.history().list_users_as_of(now).await.answer();
    assert!(now.users.len() > people.len());
    let in_company = Company::CompanyId(acme.companies[0].clone());
    let filtered = |company: Option<Company>, activity: pb::Activity, user_type: pb::UserType| {
        pb::ListUsersAsOfRequest {
            company,
            activity: activity.into(),
            user_type: user_type.into(),
            ..all()
        }
    };
    let (any, of_any) = (pb::Activity::Unspecified, pb::UserType::Unspecified);
    assert_eq!(
        listed(filtered(Some(in_company), any, of_any)).await,
        people[..5]
    );
    assert_eq!(
        listed(filtered(Some(Company::NoCompany(true)), any, of_any)).await,
        people[5..]
    );
    let inactive = filtered(None, pb::Activity::Inactive, of_any);
    assert_eq!(listed(inactive).await, people[4..5]);
    let administrators = filtered(None, any, pb::UserType::Administrator);
    assert_eq!(listed(administrators).await, people[..1]);
    let mut token = String::new();
    let mut reports = Vec::new();
    loop {
        let request = ask!(
            acme,
            ListReportsAsOfRequest {
                user_id: &admin,
                as_of: at(then),
                company_id: &acme.companies[0],
                page_size: 3_u32,
                page_token: token
            }
        );
        let page = acme
            .auditor
            .history()
            .list_reports_as_of(request)
            .await
            .answer();
        reports.extend(page.reports);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let ids: Vec<&str> = reports
        .iter()
        .map(|report| report.user_id.as_str())
        .collect();
    assert_eq!(ids, people[1..5]);
    assert!(reports.iter().all(|report| report.until_position == 0));
}

async fn r60_what_was_erased_since_shows_as_erased(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let anna = acme.user("ANNA").await;
    let created = directory.head().await;
    let renamed = rename(&acme, &anna.user_id, "Berg").await;
    let before = user_as_of(&acme.auditor, &acme, &anna.user_id, at(created))
        .await
        .unwrap();
    assert_eq!(before.user.as_ref().unwrap().signature, "ANNA");
    let blind = directory.caller(Identity::new(Role::Auditor, "blind", Some("acme")));
    let hidden = user_as_of(&blind, &acme, &anna.user_id, at(created))
        .await
        .unwrap();
    assert_eq!(hidden.personal_data(), pb::Disclosure::Withheld);
    assert_eq!(hidden.user, before.user.as_ref().map(erased));
    let user_id = &anna.user_id;
    let gone = acme
        .admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id }))
        .await
        .answer();
    for caller in [&acme.auditor, &blind] {
        let past = user_as_of(caller, &acme, user_id, at(created))
            .await
            .unwrap();
        assert_eq!(past.personal_data(), pb::Disclosure::Erased);
        assert_eq!(past.user, before.user.as_ref().map(erased));
        let now = user_as_of(caller, &acme, user_id, at(gone.position))
            .await
            .unwrap();
        assert_eq!(now.personal_data(), pb::Disclosure::Erased);
        assert_eq!(now.user.unwrap().status(), pb::UserStatus::Deleted);
    }
    let answer = diff(&acme, user_id, created, renamed).await;
    assert_eq!(
        told(&answer),
        strings(&[
            ("first_name", "Erased", "Erased"),
            ("last_name", "Erased", "Erased")
        ])
    );
    let request = ask!(acme, ListUsersAsOfRequest { as_of: at(created) });
    let listed = acme
        .auditor
        .history()
        .list_users_as_of(request)
        .await
        .answer();
    assert_eq!(listed.users.len(), 2);
    assert_eq!(listed.users[1].personal_data(), pb::Disclosure::Erased);
}

async fn r60_no_moment_shows_part_of_a_commit(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let before = directory.head().await;
    let user = pb::NewUser {
        roles: vec!["clerk".to_owned()],
        companies: vec![link(&acme.companies[0])],
        ..person("ANNA")
    };
    let anna = acme.create_user(user).await;
    let head = directory.head().await;
    assert!(head > before + 1, "the commit has several events");
    for position in before..head {
        let refusal = user_as_of(&acme.auditor, &acme, &anna.user_id, at(position)).await;
        assert_eq!(refusal.unwrap_err().reason, "USER_NOT_FOUND");
        let request = ask!(
            acme,
            ListUsersAsOfRequest {
                as_of: at(position)
            }
        );
        let listed = acme
            .auditor
            .history()
            .list_users_as_of(request)
            .await
            .answer();
        assert_eq!(listed.users.len(), 1, "as of {position}");
    }
    let past = user_as_of(&acme.auditor, &acme, &anna.user_id, at(head))
        .await
        .unwrap();
    assert_eq!(past.user, Some(anna));
}

async fn r60_an_external_user_is_shown_as_the_account_knew_it(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let home = Tenant::create(directory, "home").await;
    let user_id = home.user("ANNA").await.user_id;
    let user_type = pb::UserType::Standard;
    let request = ask!(
        acme,
        GrantAccessRequest {
            user_id: &user_id,
            user_type
        }
    );
    acme.operator
        .external_access()
        .grant_access(request)
        .await
        .answer();
    let granted = directory.head().await;
    let seen = acme.get(&user_id).await;
    let request = ask!(acme, RevokeAccessRequest { user_id: &user_id });
    acme.operator
        .external_access()
        .revoke_access(request)
        .await
        .answer();
    let own = user_as_of(&acme.auditor, &acme, &user_id, at(granted))
        .await
        .unwrap();
    assert_eq!(own.personal_data(), pb::Disclosure::Withheld);
    let user = own.user.unwrap();
    assert_eq!(
        (user.external, user.status()),
        (true, pb::UserStatus::Unspecified)
    );
    assert_eq!(user.user_type(), pb::UserType::Standard);
    assert_eq!(erased(&user), user);
    let all = user_as_of(&directory.auditor(), &acme, &user_id, at(granted))
        .await
        .unwrap();
    assert_eq!(all.user, Some(seen));
    let later = user_as_of(&acme.auditor, &acme, &user_id, at(granted + 1)).await;
    assert_eq!(later.unwrap_err().reason, "USER_NOT_FOUND");
    // What the home account knows of the person is not for the auditor of this one.
    let request = ask!(
        home,
        GetUserAsOfRequest {
            user_id,
            as_of: at(granted)
        }
    );
    let refusal = acme
        .auditor
        .history()
        .get_user_as_of(request)
        .await
        .refusal();
    refusal.is(Code::NotFound, "ACCOUNT_NOT_FOUND");
}

async fn r60_moments_that_are_not_there_are_refused(directory: &Directory) {
    let acme = Tenant::create(directory, "acme").await;
    let user_id = acme.administrator.user_id.as_str();
    let head = directory.head().await;
    let refusal = user_as_of(&acme.auditor, &acme, user_id, at(head + 1)).await;
    refusal
        .unwrap_err()
        .is(Code::OutOfRange, "POSITION_BEYOND_HEAD");
    let refusal = user_as_of(&acme.auditor, &acme, user_id, at(0)).await;
    refusal.unwrap_err().is(Code::NotFound, "USER_NOT_FOUND");
    let bad = Timestamp {
        seconds: 0,
        nanos: -1,
    };
    let refusal = user_as_of(&acme.auditor, &acme, user_id, at_time(bad))
        .await
        .unwrap_err();
    assert_eq!(refusal.fields, ["as_of.time"]);
    // A time to come is now; one before all is before all.
    let request = ask!(
        acme,
        GetUserAsOfRequest {
            user_id,
            as_of: at_time(Timestamp {
                seconds: 4_102_444_800,
                nanos: 0
            })
        }
    );
    let answer = acme
        .auditor
        .history()
        .get_user_as_of(request)
        .await
        .answer();
    assert_eq!(answer.position, head);
    assert!(answer.time.unwrap().seconds <= wire(directory).seconds);
    let request = ask!(acme, ListUsersAsOfRequest { as_of: at(0) });
    let refusal = acme
        .auditor
        .history()
        .list_users_as_of(request)
        .await
        .refusal();
    refusal.is(Code::NotFound, "ACCOUNT_NOT_FOUND");
}
