//! A log with a history, the views folded from it, and what is needed to look into both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rollbook_aggregates::access::{AccessEvent, AccessKey};
use rollbook_aggregates::account::{
    AccountCreated, AccountEvent, CompanyAdded, RoleDefined, Settings,
};
use rollbook_aggregates::domain::{EventSet, Personal, Recorded};
use rollbook_aggregates::invitation::{InvitationEvent, UserInvited};
use rollbook_aggregates::invoice::{Invoice, InvoiceEvent};
use rollbook_aggregates::mail::MailEvent;
use rollbook_aggregates::signin::{SignInEvent, SignedIn};
use rollbook_aggregates::user::{
    Allegiances, LinkedCompany, PasswordState, UserCompaniesAdded, UserCreated, UserEvent,
    UserRolesSet,
};
use rollbook_aggregates::values::{
    AccountId, AccountTitle, Allegiance, CompanyId, CompanyTitle, DimensionName, DimensionValue,
    EmailAddress, InvitationId, InvoiceId, Login, MailId, PersonName, RoleName, RoleTitle,
    Signature, TokenDigest, UserId, UserType, ValidityDays,
};
use rollbook_eventstore::{
    Append, Clock, Log, MasterKey, Metadata, NewEvent, ReadQuery, StreamAppend, StreamId, postgres,
    sqlite,
};
use rollbook_projections::{FoundUser, Freshness, UserRow, Views};
use rusqlite::{Connection, types::Value};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// A data directory with its log, and what was appended to it.
pub struct Directory {
    pub dir: TempDir,
    pub log: Log,
    pub clock: Clock,
    key: String,
    revisions: BTreeMap<StreamId, u64>,
    /// The database of the log, where it is in one.
    database: Option<String>,
}

/// What happens to one stream in a commit.
pub struct Happening {
    stream: StreamId,
    events: Vec<NewEvent>,
    forget: bool,
    /// Another account than the commit's.
    account: Option<AccountId>,
}

impl Happening {
    fn of<E: EventSet>(kind: &str, id: &impl ToString, events: Vec<E>) -> Self {
        let events = events
            .into_iter()
            .map(|event| NewEvent::of(&Recorded::from(event)).unwrap())
            .collect();
        Self {
            stream: StreamId::new(kind, id.to_string()),
            events,
            forget: false,
            account: None,
        }
    }

    /// It counts for this account, whatever the commit's is.
    pub fn of_account(mut self, account: &AccountId) -> Self {
        self.account = Some(account.clone());
        self
    }

    /// A raw event of the user, in whatever form.
    pub fn raw(user: UserId, event_type: &str, payload: serde_json::Value) -> Self {
        let event = NewEvent {
            event_type: event_type.to_owned(),
            event_version: "1".to_owned(),
            payload,
        };
        Self {
            stream: StreamId::new("user", user.to_string()),
            events: vec![event],
            forget: false,
            account: None,
        }
    }

    /// The commit destroys the key of the stream.
    pub fn forgetting(mut self) -> Self {
        self.forget = true;
        self
    }
}

pub fn to_account(account: &AccountId, events: Vec<AccountEvent>) -> Happening {
    Happening::of("account", account, events)
}

pub fn to_user(user: UserId, events: Vec<UserEvent>) -> Happening {
    Happening::of("user", &user, events)
}

pub fn signed_in(user: UserId) -> Happening {
    Happening::of("signin", &user, vec![SignInEvent::from(SignedIn {})])
}

pub fn to_access(key: &AccessKey, events: Vec<AccessEvent>) -> Happening {
    Happening::of("access", key, events).of_account(&key.account_id)
}

pub fn to_invitation(invitation: InvitationId, events: Vec<InvitationEvent>) -> Happening {
    Happening::of("invitation", &invitation, events)
}

pub fn to_mail(mail: MailId, events: Vec<MailEvent>) -> Happening {
    Happening::of("mail", &mail, events)
}

pub fn to_invoice(
    account: &AccountId,
    company: CompanyId,
    invoice: &InvoiceId,
    event: InvoiceEvent,
) -> Happening {
    Happening::of(
        "invoice",
        &Invoice::stream_id(account, company, invoice),
        vec![event],
    )
}

impl Directory {
    pub async fn new() -> Self {
        let clock = Clock::manual("2026-03-01T08:00:00Z".parse().unwrap());
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned();
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &key, &clock).await;
        Self {
            dir,
            log,
            clock,
            key,
            revisions: BTreeMap::new(),
            database: None,
        }
    }

    /// The same as [`Self::with_account`], with the log in a database of the throw-away server.
    pub async fn with_account_on_postgres() -> Self {
        let mut directory = Self::new().await;
        let name = format!("rollbook_views_{}", Uuid::now_v7().simple());
        on_server(&format!("CREATE DATABASE {name}")).await;
        let server = server();
        let (address, _) = server.rsplit_once('/').unwrap();
        let options = postgres::Options {
            allow_owner: true,
            migrate: true,
            ..postgres::Options::default()
        };
        let key = MasterKey::from_base64(&directory.key).unwrap();
        let url = format!("{address}/{name}");
        let opened = postgres::open(&url, options, key, directory.clock.clone()).await;
        std::mem::replace(&mut directory.log, opened.unwrap())
            .close()
            .await;
        directory.database = Some(name);
        directory
            .commit(
                &acme(),
                vec![to_account(&acme(), account_events(Login::Email))],
            )
            .await;
        directory
    }

    /// Ends it; its database goes with it.
    pub async fn remove(self) {
        self.log.close().await;
        if let Some(name) = self.database {
            on_server(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    /// A directory with the account `acme`, two companies and two roles.
    pub async fn with_account() -> Self {
        let mut directory = Self::new().await;
        directory
            .commit(
                &acme(),
                vec![to_account(&acme(), account_events(Login::Email))],
            )
            .await;
        directory
    }

    /// Commits what happened; answers the last position.
    pub async fn commit(&mut self, account: &AccountId, happenings: Vec<Happening>) -> u64 {
        let mut append = Append {
            streams: Vec::new(),
            require: Vec::new(),
            release: Vec::new(),
            take: Vec::new(),
            request: None,
            side: Vec::new(),
            slots: Vec::new(),
            told: Vec::new(),
            metadata: Metadata {
                actor: "anna".to_owned(),
                service: "portal".to_owned(),
                request_id: Some("request-1".to_owned()),
                trace_id: None,
                reason: None,
            },
        };
        for Happening {
            stream,
            events,
            forget,
            account: own,
        } in happenings
        {
            let revision = self.revisions.entry(stream.clone()).or_default();
            let expected_revision = *revision;
            *revision += events.len() as u64;
            append.streams.push(StreamAppend {
                stream,
                account_id: own.as_ref().unwrap_or(account).to_string(),
                expected_revision,
                events,
                forget,
            });
        }
        self.log.append(append).await.unwrap().last_position
    }

    pub async fn views(&self) -> Views {
        self.views_in(self.dir.path()).await
    }

    /// The views of the log, in the data directory of another process.
    pub async fn views_in(&self, data_dir: &Path) -> Views {
        let views = Views::start(self.log.clone(), data_dir).await.unwrap();
        views.caught_up(|_| {}).await.unwrap();
        views
    }

    /// Closes the log, lets the closure change its files, and opens it again.
    pub async fn reopen(self, change: impl FnOnce(&Path)) -> Self {
        let Self {
            dir,
            log,
            clock,
            key,
            ..
        } = self;
        log.close().await;
        change(dir.path());
        let log = open(dir.path(), &key, &clock).await;
        let all = ReadQuery {
            limit: 1_000_000,
            ..ReadQuery::default()
        };
        let events = log.read(&all).await.unwrap();
        let revisions = events
            .into_iter()
            .map(|event| (event.stream, event.revision))
            .collect();
        Self {
            dir,
            log,
            clock,
            key,
            revisions,
            database: None,
        }
    }
}

/// The throw-away server.
fn server() -> String {
    const SERVER: &str = "ROLLBOOK_TEST_POSTGRES";
    std::env::var(SERVER)
        .unwrap_or_else(|_| panic!("{SERVER} names no PostgreSQL server: run `./test`"))
}

async fn on_server(statement: &str) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn open(dir: &Path, key: &str, clock: &Clock) -> Log {
    sqlite::open(dir, MasterKey::from_base64(key).unwrap(), clock.clone())
        .await
        .unwrap()
}

pub fn acme() -> AccountId {
    AccountId::parse("acme").unwrap()
}

/// The n-th id: a version 7 UUID, in ascending order.
pub fn uuid(n: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_0000_0000_7000 + (n << 16), 0x8000_0000_0000_0000 + n)
}

pub fn user_id(n: u64) -> UserId {
    UserId::new(uuid(n))
}

pub fn company_id(n: u64) -> CompanyId {
    CompanyId::new(uuid(1_000_000 + n))
}

pub fn invitation_id(n: u64) -> InvitationId {
    InvitationId::new(uuid(2_000_000 + n))
}

pub fn invoice_id(n: u64) -> InvoiceId {
    InvoiceId::parse(&format!("INV-{n}")).unwrap()
}

pub fn account_events(login: Login) -> Vec<AccountEvent> {
    let settings = Settings {
        login,
        ..Settings::default()
    };
    let title = AccountTitle::parse("Acme").unwrap();
    let mut events: Vec<AccountEvent> = vec![
        AccountCreated {
            account_id: acme(),
            title,
            settings,
        }
        .into(),
    ];
    for n in 1..=2 {
        let title = CompanyTitle::parse(&format!("Company {n}")).unwrap();
        events.push(
            CompanyAdded {
                company_id: company_id(n),
                title,
            }
            .into(),
        );
    }
    for name in ["approver", "clerk"] {
        let title = RoleTitle::parse(name).unwrap();
        events.push(
            RoleDefined {
                role: role(name),
                title,
            }
            .into(),
        );
    }
    events
}

pub fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

pub fn roles(names: &[&str]) -> UserEvent {
    UserRolesSet {
        roles: names.iter().map(|name| role(name)).collect(),
    }
    .into()
}

pub fn person_name(text: &str) -> Personal<PersonName> {
    Personal::Known(PersonName::parse(text).unwrap())
}

pub fn signature(text: &str) -> Personal<Signature> {
    Personal::Known(Signature::parse(text).unwrap())
}

pub fn email(text: &str) -> Personal<EmailAddress> {
    Personal::Known(EmailAddress::parse(text).unwrap())
}

/// A user with these names, who signs with the first letters of them.
pub fn named(n: u64, code: &str, first: &str, last: &str) -> UserCreated {
    UserCreated {
        user_id: user_id(n),
        account_id: acme(),
        signature: signature(code),
        first_name: person_name(first),
        last_name: person_name(last),
        email: email(&format!("{}@Example.com", code.to_lowercase())),
        phone: None,
        mobile_phone: None,
        language: None,
        user_type: UserType::Standard,
        active: true,
        password: PasswordState::Set,
        onboarded: true,
        invitation_id: None,
        copied_from: None,
    }
}

/// The n-th user.
pub fn person(n: u64) -> UserCreated {
    named(
        n,
        &format!("P{n}"),
        &format!("First{n}"),
        &format!("Last{n}"),
    )
}

pub fn linked(company: u64, supervisor: u64) -> LinkedCompany {
    LinkedCompany {
        company_id: company_id(company),
        show_as_addressee: false,
        supervisor: user_id(supervisor),
        allegiances: Allegiances::default(),
    }
}

/// Coded with a department, and addressed by a project.
pub fn allegiances(department: &str, project: &str) -> Allegiances {
    let one = |dimension, value| Allegiance {
        dimension: DimensionName::parse(dimension).unwrap(),
        value: DimensionValue::parse(value).unwrap(),
    };
    Allegiances {
        coding: [one("Department", department)].into(),
        routing: [one("Project", project)].into(),
    }
}

pub fn joins(companies: Vec<LinkedCompany>) -> UserEvent {
    UserCompaniesAdded { companies }.into()
}

pub fn invited(n: u64, address: &str) -> UserInvited {
    UserInvited {
        invitation_id: invitation_id(n),
        account_id: acme(),
        email: email(address),
        user_type: UserType::Standard,
        roles: [role("clerk")].into(),
        permissions: [].into(),
        companies: [company_id(1)].into(),
        issue: 1,
        by_mail: false,
        token_digest: digest(n, 1),
        validity_days: ValidityDays::parse(7).unwrap(),
    }
}

/// The digest of the token of an issue of the n-th invitation.
pub fn digest(n: u64, issue: u8) -> TokenDigest {
    let mut bytes = [issue; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TokenDigest::new(bytes)
}

/// The user as the view has it now, with everything that was acknowledged before.
/// A user's row. What is told of it, and may be kept from before, is what it is.
pub async fn user(views: &Views, n: u64) -> Option<UserRow> {
    views.users().fresh(Freshness::Latest, None).await.unwrap();
    let found = views.users().get(&acme(), user_id(n)).unwrap();
    for _ in 0..2 {
        let told = views.users().told(tell).get(&acme(), user_id(n)).unwrap();
        assert_eq!(told, found.clone().map(tell));
    }
    match found {
        Some(FoundUser::Present(row)) => Some(*row),
        Some(FoundUser::Deleted(_)) | None => None,
    }
}

/// A user in some form.
#[expect(clippy::needless_pass_by_value, reason = "as the view hands it over")]
pub fn tell(user: FoundUser) -> Bytes {
    format!("{user:?}").into()
}

/// The file of a view in a data directory, whatever its version.
pub fn file_of(data_dir: &Path, view: &str) -> PathBuf {
    let begins = format!("{view}-v");
    let is_it = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with(&begins) && name.ends_with(".sqlite")
    };
    files(data_dir).into_iter().find(is_it).unwrap()
}

/// Every row of every table of every view in a data directory, but for the checkpoint.
pub fn dump(data_dir: &Path) -> BTreeMap<String, Vec<Vec<Value>>> {
    let mut tables = BTreeMap::new();
    for file in files(data_dir)
        .into_iter()
        .filter(|file| file.extension() == Some("sqlite".as_ref()))
    {
        let connection = Connection::open(&file).unwrap();
        let check: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "{}", file.display());
        let mut names: Vec<String> = connection
            .prepare(
                "SELECT name FROM sqlite_schema
                WHERE type = 'table' AND name <> 'checkpoint' AND name NOT LIKE 'user_grams%'",
            )
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        if show_grams(&connection) {
            names.push("grams".to_owned());
        }
        for name in names {
            let mut statement = connection
                .prepare(&format!("SELECT * FROM {name}"))
                .unwrap();
            let columns = statement.column_count();
            let rows = statement
                .query_map([], |row| {
                    (0..columns).map(|column| row.get(column)).collect()
                })
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            // Whichever file of the view it is.
            let view = file.file_name().unwrap().to_str().unwrap();
            let view = view.split('.').next().unwrap();
            tables.insert(format!("{view}.{name}"), rows);
        }
    }
    tables
}

/// Makes what the index of grams finds, and not how its pages lie, readable as the table `grams`, where there is one.
fn show_grams(connection: &Connection) -> bool {
    connection
        .execute_batch(
            "INSERT INTO user_grams (user_grams) VALUES ('integrity-check');
            CREATE VIRTUAL TABLE temp.grams USING fts5vocab (main, user_grams, instance);",
        )
        .is_ok()
}

/// The grams by which users are found in a data directory.
pub fn grams(data_dir: &Path) -> Vec<String> {
    let connection = Connection::open(file_of(data_dir, "users")).unwrap();
    assert!(show_grams(&connection));
    let mut statement = connection
        .prepare("SELECT DISTINCT term FROM grams")
        .unwrap();
    let terms = statement.query_map([], |row| row.get(0)).unwrap();
    terms.collect::<Result<_, _>>().unwrap()
}

/// All files of the views in a data directory.
pub fn files(data_dir: &Path) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(data_dir.join("views")).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

/// The files of the views in which a text stands.
pub fn files_with(data_dir: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    files(data_dir).into_iter().filter(holds).collect()
}

/// How many pages of the views have more in them than what they say is there: something in their unused part.
pub fn pages_with_more(data_dir: &Path) -> usize {
    let is_file = |file: &PathBuf| file.extension() == Some("sqlite".as_ref());
    let pages_of = |file: PathBuf| {
        let connection = Connection::open(file).unwrap();
        let mut pages = connection
            .prepare("SELECT pgno, data FROM sqlite_dbpage")
            .unwrap();
        let read = pages.query_map([], |row| {
            Ok(has_more(row.get(0)?, &row.get::<_, Vec<u8>>(1)?))
        });
        read.unwrap().filter(|more| *more.as_ref().unwrap()).count()
    };
    files(data_dir)
        .into_iter()
        .filter(is_file)
        .map(pages_of)
        .sum()
}

/// Whether there is something between the cells of a page of a tree and what points to them
/// (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
fn has_more(number: u32, page: &[u8]) -> bool {
    let header = if number == 1 { 100 } else { 0 };
    let cells = match page[header] {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return false,
    };
    let two = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let unused = header + cells + 2 * two(header + 3)..two(header + 5);
    page[unused].iter().any(|byte| *byte != 0)
}

/// Waits until something is so that happens in the background.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), so)
            .await
            .is_ok(),
        "still not so: {what}"
    );
}
