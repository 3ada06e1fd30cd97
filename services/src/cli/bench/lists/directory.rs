//! OpenLDAP with the same people: `slapd` as Debian has it, in a scratch folder, with an index for whatever it is asked.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufWriter, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ldap3::{Ldap, LdapConnAsync, Scope, SearchOptions};
use rollbook_proto::v1::{User, UserSort};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
};

use super::{
    questions::{FOUND, PAGE, Question, Sample},
    sides::Answers,
};
use crate::cli::{bench::scratch::Scratch, problem::Problem};

const PEOPLE: &str = "ou=people,dc=bench";
/// What a search answers that has more than it may.
const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// Files of people, to be loaded.
pub struct Loading {
    programs: Programs,
    directory: Scratch,
    file: BufWriter<fs::File>,
}

/// A server with the people, and connections to it.
pub struct Directory {
    connections: Vec<Mutex<Ldap>>,
    /// What it is asked for.
    pub sample: Sample,
    process: Child,
    _folder: Scratch,
}

struct Programs {
    slapd: PathBuf,
    slapadd: PathBuf,
    schema: PathBuf,
}

impl Programs {
    /// Where they are, if they are installed.
    fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
        places.push("/usr/sbin".into());
        let find = |name| {
            let mut paths = places.iter().map(|place| place.join(name));
            paths.find(|path| path.is_file())
        };
        let schema = PathBuf::from("/etc/ldap/schema");
        let programs = Self {
            slapd: find("slapd")?,
            slapadd: find("slapadd")?,
            schema,
        };
        programs.schema.is_dir().then_some(programs)
    }
}

impl Loading {
    /// Begins, where its programs are installed.
    pub fn begin() -> Result<Option<Self>, Problem> {
        let Some(programs) = Programs::find() else {
            return Ok(None);
        };
        let directory = Scratch::make("slapd")?;
        fs::create_dir(directory.path().join("db"))?;
        fs::write(
            directory.path().join("slapd.conf"),
            configuration(directory.path(), &programs.schema),
        )?;
        let mut file = BufWriter::new(fs::File::create(directory.path().join("people.ldif"))?);
        file.write_all(b"dn: dc=bench\nobjectClass: dcObject\nobjectClass: organization\no: bench\ndc: bench\n\n")?;
        writeln!(
            file,
            "dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n"
        )?;
        Ok(Some(Self {
            programs,
            directory,
            file,
        }))
    }

    /// Adds users.
    pub fn add(&mut self, users: &[User]) -> Result<(), Problem> {
        for user in users {
            self.file.write_all(entry(user).as_bytes())?;
        }
        Ok(())
    }

    /// Loads what was added, and serves it.
    pub async fn serve(mut self, sample: Sample, callers: usize) -> Result<Directory, Problem> {
        self.file.flush()?;
        let folder = self.directory.path();
        let failed = |source| Problem::failed("load the people into slapd", source);
        let conf = folder.join("slapd.conf");
        let loaded = Command::new(&self.programs.slapadd)
            .arg("-q")
            .arg("-f")
            .arg(&conf)
            .arg("-l")
            .arg(folder.join("people.ldif"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        let loaded = loaded.map_err(failed)?;
        if !loaded.success() {
            return Err(Problem::failed(
                "load the people into slapd",
                loaded.to_string(),
            ));
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let url = format!("ldap://127.0.0.1:{port}");
        // With a debug level, even of nothing, it stays in the foreground.
        let process = Command::new(&self.programs.slapd)
            .args(["-d", "0", "-h", &url, "-f"])
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Problem::failed("start slapd", source))?;
        until_it_listens(port).await?;
        let mut connections = Vec::new();
        for _ in 0..callers {
            let (connection, ldap) = LdapConnAsync::new(&url).await.map_err(unanswered)?;
            tokio::spawn(connection.drive());
            connections.push(Mutex::new(ldap));
        }
        Ok(Directory {
            connections,
            sample,
            process,
            _folder: self.directory,
        })
    }
}

async fn until_it_listens(port: u16) -> Result<(), Problem> {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Problem::failed("start slapd", "it does not listen"))
}

fn configuration(folder: &Path, schema: &Path) -> String {
    let (folder, schema) = (folder.display(), schema.display());
    format!(
        "include {schema}/core.schema\n\
         include {schema}/cosine.schema\n\
         include {schema}/inetorgperson.schema\n\
         pidfile {folder}/slapd.pid\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         sizelimit unlimited\n\
         tool-threads 2\n\
         database mdb\n\
         maxsize 34359738368\n\
         suffix \"dc=bench\"\n\
         rootdn \"cn=admin,dc=bench\"\n\
         directory {folder}/db\n\
         index objectClass eq\n\
         index uid,sn,givenName,mail eq,sub\n\
         index manager,departmentNumber,employeeType eq\n\
         access to * by * read\n"
    )
}

fn name(id: &str) -> String {
    format!("employeeNumber={id},{PEOPLE}")
}

fn entry(user: &User) -> String {
    let mut entry = format!("dn: {}\nobjectClass: inetOrgPerson\n", name(&user.user_id));
    let mut add = |attribute: &str, value: &str| {
        // Anything may stand in base64.
        let value = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, value);
        // Writing to a text cannot fail.
        let _ = writeln!(entry, "{attribute}:: {value}");
    };
    add("employeeNumber", &user.user_id);
    add("uid", &user.signature);
    add("cn", &format!("{} {}", user.first_name, user.last_name));
    add("givenName", &user.first_name);
    add("sn", &user.last_name);
    add("mail", &user.email);
    add(
        "employeeType",
        if user.active { "active" } else { "inactive" },
    );
    for phone in [&user.phone, &user.mobile_phone] {
        if !phone.is_empty() {
            add("telephoneNumber", phone);
        }
    }
    for role in &user.roles {
        add("title", role);
    }
    let mut managers: Vec<&str> = Vec::new();
    for company in &user.companies {
        add("departmentNumber", &company.company_id);
        if company.supervisor_id != user.user_id && !managers.contains(&&*company.supervisor_id) {
            managers.push(&company.supervisor_id);
        }
    }
    for manager in managers {
        add("manager", &name(manager));
    }
    entry.push('\n');
    entry
}

fn unanswered(source: ldap3::LdapError) -> Problem {
    Problem::failed("ask slapd", source)
}

impl Answers for Directory {
    fn knows(&self, question: Question) -> bool {
        match question {
            // It has no order: the first that it finds are compared with a first page.
            Question::Sorted(sort) => sort == UserSort::Signature,
            Question::Batch | Question::Deep | Question::Typed(_) => false,
            _ => true,
        }
    }

    async fn ask(&self, caller: usize, question: Question, pick: u64) -> Result<usize, Problem> {
        let sample = &self.sample;
        let user = sample.user(pick);
        let mut limit = FOUND;
        let (mut base, mut scope) = (PEOPLE.to_owned(), Scope::OneLevel);
        let pattern = Sample::pattern(question, pick);
        let filter = match question {
            Question::ById => {
                (base, scope) = (name(&user.user_id), Scope::Base);
                "(objectClass=*)".to_owned()
            }
            Question::BySignature => format!("(uid={})", user.signature),
            Question::ByEmail => format!("(mail={})", user.email),
            Question::Inactive => {
                limit = PAGE;
                "(employeeType=inactive)".to_owned()
            }
            Question::Company => {
                limit = PAGE;
                let company = user.companies.first();
                let company = company.map_or("", |company| &company.company_id);
                format!("(departmentNumber={company})")
            }
            Question::Prefix => format!("(givenName={pattern})"),
            Question::Infix | Question::Suffix => format!("(sn={pattern})"),
            Question::Supervisor => format!("(manager={})", name(sample.supervisor(pick))),
            Question::Sorted(_) | Question::Deep | Question::Batch | Question::Typed(_) => {
                limit = PAGE;
                "(objectClass=inetOrgPerson)".to_owned()
            }
        };
        let mut ldap = self.connections[caller % self.connections.len()]
            .lock()
            .await;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let found = ldap
            .with_search_options(SearchOptions::new().sizelimit(limit))
            .search(&base, scope, &filter, vec!["*"])
            .await
            .map_err(unanswered)?;
        match found.1.rc {
            0 | SIZE_LIMIT_EXCEEDED => Ok(found.0.len()),
            _ => Err(Problem::failed("ask slapd", found.1.to_string())),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.start_kill();
    }
}
