//! Every command of the client, run as it is typed, against a service in this process.

use std::{fs, path::Path};

use clap::Parser as _;
use rollbook_eventstore::{Clock, MasterKey};
use rollbook_proto::v1::{
    AccountSettings, CreateAccountRequest, InviteUsersRequest, NewUser, PasswordAuthority,
    RequestPasswordResetRequest, invite_result::Outcome, request_password_reset_request::Key,
};
use tempfile::TempDir;

use super::{
    Cli, Problem,
    client::{Client, because},
    serve,
    token::Caller,
};
use crate::{
    caller::Role,
    server::{Options, Running, Store},
};

/// A service with the account `acme`, and a token file for each role.
struct Office {
    directory: TempDir,
    running: Running,
}

impl Office {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: directory.path().to_owned(),
            store: Store::Embedded,
            master_key: None,
            next_master_key: Some(MasterKey::generate()),
            token_keys: Vec::new(),
            tls: None,
            allow_plaintext: false,
            mail: None,
            hash_cost: crate::passwords::Cost::default(),
            views_from: None,
            clock: Clock::system(),
        };
        let office = Self {
            running: serve::start(options).await.unwrap(),
            directory,
        };
        for role in [Role::Operator, Role::Portal, Role::Service, Role::Auditor] {
            office.admit(role, role.as_str());
        }
        office.write("password", "nine lanterns over the harbour\n");
        office
            .types("operator", "account create acme --title Acme --company North --company South --role clerk=Clerks --module archive --signature ADA --first-name Ada --last-name Byron --email ada@acme.example --password-file {password}")
            .await
            .unwrap();
        let client = office.client("service").await;
        office.admit(Role::Administrator, &client.user_id("ADA").await.unwrap());
        office
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(Path::new(&self.path(name)), text).unwrap();
    }

    fn admit(&self, role: Role, subject: &str) {
        let pem = fs::read_to_string(self.path("token-key.pem")).unwrap();
        let caller = Caller {
            role,
            account: (role != Role::Operator && role != Role::Portal).then(|| "acme".to_owned()),
            subject: subject.to_owned(),
            service: "test".to_owned(),
            scope: String::new(),
        };
        self.write(
            role.as_str(),
            &caller
                .mint(&pem, std::time::Duration::from_hours(1))
                .unwrap(),
        );
    }

    fn connection(&self, role: &str) -> Vec<String> {
        let server = format!("http://{}", self.running.address());
        [
            "--server",
            &server,
            "--token-file",
            &self.path(role),
            "--account",
            "acme",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn client(&self, role: &str) -> Client {
        Client::connect(super::client::ClientFlags::for_test(&self.connection(role)))
            .await
            .unwrap()
    }

    /// Runs a line as a role types it; `{name}` is a file of the office.
    async fn types(&self, role: &str, line: &str) -> Result<(), Problem> {
        let words = line
            .split_whitespace()
            .map(|word| match word.strip_prefix('{') {
                Some(name) => self.path(name.trim_end_matches('}')),
                None => word.to_owned(),
            });
        let words = ["rollbook".to_owned()]
            .into_iter()
            .chain(words)
            .chain(self.connection(role));
        Cli::try_parse_from(words)
            .unwrap_or_else(|wrong| panic!("{line}: {wrong}"))
            .run()
            .await
    }

    /// Asks what was at moments, and for the trails.
    async fn asks_what_was(&self) {
        let client = self.client("service").await;
        let ada = client.user_id("ADA").await.unwrap();
        let north = client.company_id("North").await.unwrap();
        let past = format!(
            "history user {ada} --at 2100-01-01T00:00:00Z
             history user {ada} --json
             history diff {ada} --from 0 --to 2100-01-01T00:00:00Z
             history users --at 2100-01-01T00:00:00Z --activity active --limit 1
             history users --no-company --activity inactive --type administrator --json
             history reports {ada} --limit 0
             history reports {ada} --at 2100-01-01T00:00:00Z --json
             history trail {ada} --backwards --limit 3
             history trail {ada} --json
             history invoice {north} INV-2
             history invoice {north} INV-2 --backwards --json"
        );
        self.all("auditor", &past).await;
    }

    async fn all(&self, role: &str, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.types(role, line)
                .await
                .unwrap_or_else(|problem| panic!("{line}: {problem}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_users_are_managed_from_the_command_line() {
    let office = Office::open().await;
    office
        .all(
            "operator",
            "account list\naccount list --json\naccount get\naccount get acme --json",
        )
        .await;
    office
        .all(
            "administrator",
            "account settings --title Acme2 --invitation-days 5
             account settings --max-failed-sign-ins 3 --lock-duration 15m --password-max-age-days 90 --password-change by-link-only --arrival-registration true
             account settings --lock-duration none --password-max-age-days 0 --password-change any --arrival-registration false
             account add-company West
             account rename-company West East
             account remove-company East --reason unused
             account define-role boss Bosses
             account remove-role boss
             account define-module search Searching
             account define-module search Searching --administrator-only --drop-grants
             account remove-module search
             user create --signature BO --first-name Bo --last-name Ek --email bo@acme.example --welcome --company North --supervisor ADA --show-as-addressee --coding Department=14 --routing Project=P-7 --role clerk --permission archive@North
             user create --signature CY --first-name Cy --last-name Ek --email cy@acme.example --password-file {password} --one-time-password --inactive
             user get BO
             user get bo@acme.example --json
             user list --company North --activity active --status provisioned --role clerk --type standard --sort email --descending --limit 0 --total
             user list --no-company --json
             user update BO --phone 12345 --mobile-phone 67890 --language sv --first-name Bosse --expected-revision 0
             user update BO --type administrator --validate-only
             user activate CY
             user deactivate CY --request-id 01890000-0000-7000-8000-000000000001
             user deactivate CY --request-id 01890000-0000-7000-8000-000000000001
             user lock BO
             user unlock BO
             user roles BO replace clerk
             user permissions BO add archive
             user add-companies BO South
             user company BO South --supervisor ADA --show-as-addressee true --coding Department=14 --coding Department=15 --routing Project=P-7
             user company BO South --no-coding --no-routing
             user copy-company BO North South
             user copy-company BO North South --what supervisor --json
             user replace-supervisor ADA BO --company North --validate-only
             user replace-supervisor ADA BO --missing-company leave --json
             user replace-supervisor BO ADA
             user copy BO --signature EVE --first-name Eve --last-name Ek --email eve@acme.example --welcome --inactive
             user copy BO --signature FAY --first-name Fay --last-name Ek --email fay@acme.example --password-file {password} --type standard --validate-only --json
             user list --signature b* --first-name bo% --last-name *k --email *@acme.* --sort last-name
             user list --supervisor *byron --report-to ADA --company North --json
             user find b
             user find bo ek --activity active --limit 5 --json
             routing coding-defaults BO South
             routing reviewers South Department=14 Project=P-7
             routing reviewers North Department=14 --limit 0 --json
             routing approver BO South
             routing approver BO North --json
             routing addressees South Project=P-7
             user reports ADA
             user reports ADA --company North --limit 0 --total --json
             user chain BO South
             user chain BO North --json
             user remove-companies BO South
             user check-access BO archive --company North --session-started-at 2020-01-01T00:00:00Z
             user check-deletion BO
             user delete CY --reason gone",
        )
        .await;
    let taken =
        "user create --signature bo --first-name B --last-name E --email b@acme.example --welcome";
    let refused = office
        .types("administrator", taken)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("SIGNATURE_TAKEN"), "{refused}");
    let unknown = office
        .types("administrator", "user add-companies BO Nowhere")
        .await
        .unwrap_err();
    assert!(
        unknown.to_string().contains("it has: North, South"),
        "{unknown}"
    );
    office.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_managed_from_the_command_line() {
    let office = Office::open().await;
    office.write("other", "eleven swallows above the barn\n");
    office.write("wrong", "nobody knows this one\n");
    office
        .all(
            "administrator",
            "user create --signature BO --first-name Bo --last-name Ek --email bo@acme.example --welcome
             user resend-welcome BO
             credential set BO --one-time --own-password-file {password} --password-file {other}
             credential request-reset bo@acme.example
             credential request-reset bo@acme.example --json
             credential reset-mfa BO
             credential revoke-sessions BO --reason lost",
        )
        .await;
    let client = office.client("administrator").await;
    let bo = client.user_id("BO").await.unwrap();
    office
        .all(
            "portal",
            &format!(
                "credential verify bo@acme.example --password-file {{other}}
                 credential verify nobody@acme.example --password-file {{other}} --json
                 password change {bo} --own-password-file {{other}} --password-file {{password}}
                 credential verify bo@acme.example --password-file {{password}}"
            ),
        )
        .await;
    let request = RequestPasswordResetRequest {
        account_id: "acme".to_owned(),
        key: Some(Key::UserId(bo)),
        command: Some(because("")),
    };
    let mut credentials = client.credentials();
    let reset = credentials.request_password_reset(request).await.unwrap();
    office.write("link", &reset.into_inner().token);
    let complete = "credential complete-reset --link-token-file {link} --password-file {other}";
    office.all("portal", complete).await;
    for (role, line, told) in [
        ("portal", complete, "ask for another link"),
        (
            "portal",
            "credential complete-welcome --link-token-file {link} --password-file {other}",
            "LINK_NOT_FOUND",
        ),
        (
            "administrator",
            "credential set BO --own-password-file {wrong} --password-file {other}",
            "give your own present password",
        ),
        ("administrator", "user resend-welcome BO", "ONBOARDED"),
        (
            "service",
            "credential report-sign-in BO succeeded",
            "`rollbook credential verify`",
        ),
    ] {
        let refused = office.types(role, line).await.unwrap_err().to_string();
        assert!(refused.contains(told), "{line}: {refused}");
    }
    office.all("service", "credential report-mfa BO").await;
    office.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_imported_and_watched_from_the_command_line() {
    let office = Office::open().await;
    office.write(
        "people.csv",
        "signature,first_name,last_name,email,company,role,supervisor,welcome\n\
         EVA,Eva,Ek,eva@acme.example,North,clerk,ADA,yes\n\
         FIA,Fia,Ek,fia@acme.example,North;South,clerk,,yes\n\
         GUN,Gun,Ek,gun@acme.example,South,,fia,yes\n",
    );
    office.write(
        "more.ndjson",
        r#"{"user": {"signature": "HUGO", "first_name": "Hugo", "last_name": "Ek", "email": "hugo@acme.example"}}"#,
    );
    office
        .all(
            "administrator",
            "user import {people.csv} --validate-only
             user import {people.csv} --request-id 01890000-0000-7000-8000-000000000002
             user import {people.csv} --request-id 01890000-0000-7000-8000-000000000002 --json
             user import {more.ndjson} --welcome --json
             user watch --from-position 0 --once
             user watch --from-position 0 --once --sessions-ended-only --json",
        )
        .await;
    office.write(
        "bad.csv",
        "signature,first_name,last_name,email,company,active,welcome\n\
         INA,Ina,Ek,ina@acme.example,Nowhere,,yes\n\
         IVA,Iva,Ek,not an address,,,yes\n\
         IDA,Ida,Ek,ida@acme.example,North,no,yes\n\
         EVA,Eva,Ek,eva2@acme.example,,,yes\n",
    );
    let refused = office
        .types(
            "administrator",
            "user import {bad.csv} --report {report.csv}",
        )
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("3 rows refused"), "{refused}");
    let report = fs::read_to_string(office.path("report.csv")).unwrap();
    for told in [
        "company,active,welcome,reason,problem",
        "INA,Ina,Ek,ina@acme.example,Nowhere,,yes,MALFORMED,user.companies: the account has no company `Nowhere`",
        "IVA,Iva,Ek,not an address,,,yes,MALFORMED,user.email",
        "EVA,Eva,Ek,eva2@acme.example,,,yes,SIGNATURE_TAKEN",
    ] {
        assert!(report.contains(told), "{told} is not in {report}");
    }
    assert_eq!(report.lines().count(), 4, "{report}");
    office.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn external_users_are_managed_from_the_command_line() {
    let office = Office::open().await;
    let operator = office.client("operator").await;
    let request = CreateAccountRequest {
        account_id: "beta".to_owned(),
        title: "Beta".to_owned(),
        settings: Some(AccountSettings {
            password_authority: PasswordAuthority::External.into(),
            ..AccountSettings::default()
        }),
        administrator: Some(NewUser {
            signature: "BEA".to_owned(),
            first_name: "Bea".to_owned(),
            last_name: "Ek".to_owned(),
            email: "bea@beta.example".to_owned(),
            ..NewUser::default()
        }),
        ..CreateAccountRequest::default()
    };
    let answer = operator.accounts().create_account(request).await.unwrap();
    let bea = answer.into_inner().administrator.unwrap().user_id;
    office
        .all(
            "operator",
            &format!(
                "access grant {bea} --permission archive@North --permission archive --reason helps
                 access list --user {bea} --json"
            ),
        )
        .await;
    office
        .all(
            "administrator",
            &format!(
                "user list --external true
                 user list --external false --json
                 user get {bea}
                 user check-access {bea} archive --company North
                 access update {bea} --type administrator --no-permissions
                 access update {bea} --permission archive --validate-only
                 access list --total
                 access revoke {bea}
                 access list --all --limit 0"
            ),
        )
        .await;
    let refused = office
        .types(
            "administrator",
            &format!("access update {bea} --type standard"),
        )
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("ACCESS_REVOKED") && refused.contains("rollbook access grant"),
        "{refused}"
    );
    office.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_involvements_and_the_log_are_worked_with_from_the_command_line() {
    let office = Office::open().await;
    let client = office.client("administrator").await;
    let request = InviteUsersRequest {
        account_id: "acme".to_owned(),
        emails: vec!["di@acme.example".to_owned()],
        command: Some(because("")),
        ..InviteUsersRequest::default()
    };
    let answer = client
        .invitations()
        .invite_users(request)
        .await
        .unwrap()
        .into_inner();
    let Some(Outcome::Invited(invited)) = &answer.results[0].outcome else {
        panic!("{answer:?}")
    };
    let id = &invited.invitation.as_ref().unwrap().invitation_id;
    office.write("link", &invited.token);
    office
        .all(
            "portal",
            "invite look-up --link-token-file {link}
             invite accept --link-token-file {link} --password-file {password} --signature DI --first-name Di --last-name Ek",
        )
        .await;
    office
        .all(
            "administrator",
            &format!("invite get {id}\ninvite list --status accepted"),
        )
        .await;
    office
        .all(
            "administrator",
            "invite send eve@acme.example ada@acme.example --type standard --company North",
        )
        .await;
    office
        .all(
            "administrator",
            "invite list --json\nuser add-companies DI North",
        )
        .await;
    let resent = office
        .types("administrator", &format!("invite resend {id}"))
        .await
        .unwrap_err();
    assert!(
        resent.to_string().contains("INVITATION_ACCEPTED"),
        "{resent}"
    );
    office
        .all(
            "service",
            "involvement queued DI North INV-1
             involvement dequeued DI North INV-1
             involvement reviewed DI North INV-2
             involvement reviewed DI North INV-3 --kind attested
             involvement retract DI North INV-3 --kind attested
             involvement link-template DI North T-1
             involvement unlink-template DI North T-1
             involvement link-reference DI North R-1
             involvement unlink-reference DI North R-1
             involvement list DI
             involvement list DI --all --json
             involvement reviewers North INV-2
             involvement posted North INV-2
             involvement withdrawn North INV-4 --validate-only",
        )
        .await;
    office
        .all(
            "auditor",
            "history list --backwards --limit 3
             history list --type UserCreated --json
             history list --limit 3 --open --json
             history replay --from-position 2 --limit 5 --open
             history replay --stream account-acme --from 2020-01-01T00:00:00Z --json",
        )
        .await;
    office.asks_what_was().await;
    office
        .all("operator", "operations projections\noperations projections --json\noperations rebuild users --compare\noperations rebuild audit --json\noperations rebuild mails --validate-only\noperations log --json\nkeys rotate\nkeys rotate --json\noperations log\noperations dead-letters\noperations dead-letters --json")
        .await;
    let retry = "operations retry-dead-letter 0190a1b2-0000-7000-8000-000000000001";
    let retried = office.types("operator", retry).await.unwrap_err();
    assert!(
        retried.to_string().contains("DEAD_LETTER_NOT_FOUND"),
        "{retried}"
    );
    let followed = office.types("service", "operations log").await.unwrap_err();
    assert!(followed.to_string().contains("NOT_ALLOWED"), "{followed}");
    office.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_and_verified_from_the_command_line() {
    let office = Office::open().await;
    office
        .all(
            "auditor",
            "verify --save {checkpoint}
             history export --out {log} --compress zstd
             verify {log} --checkpoint {checkpoint}
             history export --out {part} --type UserCreated
             verify {part}",
        )
        .await;
    let again = office.types("auditor", "history export --out {log}").await;
    let again = again.unwrap_err().to_string();
    assert!(again.contains("is an export already"), "{again}");
    office
        .all("operator", "backup {backup}\nbackup {erased} --erased-only")
        .await;
    let again = office.types("operator", "backup {backup}").await;
    let again = again.unwrap_err().to_string();
    assert!(again.contains("is not empty"), "{again}");
    office.running.shutdown().await.unwrap();
}
