//! The rows of a file of users, one after the other.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use csv::StringRecord;
use rollbook_proto::v1::{
    Account, ImportFieldProblem, ImportRefusal, ImportRow, ImportSupervisor, NewUser, Permission,
    UserCompany, UserType,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    cli::{output::from_json, problem::Problem},
    convert,
};

/// What a file of users is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a line of headings
    Csv,
    /// A JSON object a line
    Ndjson,
}

impl Format {
    /// As named, or as the file's ending tells.
    pub fn of(path: &Path, named: Option<Self>) -> Result<Self, Problem> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match (named, ending.map(str::to_lowercase).as_deref()) {
            (Some(format), _) => Ok(format),
            (None, Some("csv")) => Ok(Self::Csv),
            (None, Some("ndjson" | "jsonl" | "json")) => Ok(Self::Ndjson),
            (None, _) => Err(Problem::Usage(format!(
                "say with --format what {} is: csv or ndjson",
                path.display()
            ))),
        }
    }
}

/// A row as it stands in the file.
#[derive(Clone, Debug)]
pub enum Raw {
    /// A line of a CSV file.
    Record(StringRecord),
    /// A line of an NDJSON file.
    Line(String),
}

/// A row of the file.
#[derive(Debug)]
pub struct Row {
    /// Its number: 1, 2, 3 …
    pub number: u64,
    /// Where it ends in the file.
    pub end: u64,
    /// As it stands there.
    pub raw: Raw,
    /// As it is sent; or why it cannot be.
    pub read: Result<Box<ImportRow>, ImportRefusal>,
}

/// The companies of the account, by their titles.
pub struct Companies(HashMap<String, String>);

impl Companies {
    /// Those of this account.
    #[must_use]
    pub fn of(account: Account) -> Self {
        let companies = account.companies.into_iter();
        Self(
            companies
                .map(|company| (company.title.to_lowercase(), company.company_id))
                .collect(),
        )
    }

    /// Puts the id where a title stands; answers whether there is such a company.
    fn resolve(&self, name: &mut String, field: &str, bad: &mut Bad) -> bool {
        if name.is_empty() || Uuid::try_parse(name).is_ok() {
            return true;
        }
        let found = self.0.get(&name.to_lowercase());
        match found {
            Some(id) => id.clone_into(name),
            None => bad.add(field, format!("the account has no company `{name}`")),
        }
        found.is_some()
    }
}

/// What is wrong with a row.
#[derive(Default)]
struct Bad(Vec<ImportFieldProblem>);

impl Bad {
    fn add(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(ImportFieldProblem {
            field: field.to_owned(),
            description: description.into(),
        });
    }

    fn finish(mut self, row: ImportRow) -> Result<Box<ImportRow>, ImportRefusal> {
        if self.0.is_empty() {
            return Ok(Box::new(row));
        }
        // The row is not sent, so what the service would find in the rest of it is found here.
        if row.user.is_some()
            && let Err(failure) = convert::ImportRow::try_from(row)
        {
            for bad in failure.fields() {
                self.add(&bad.field, bad.description.as_str());
            }
        }
        let names: Vec<&str> = self.0.iter().map(|bad| bad.field.as_str()).collect();
        Err(ImportRefusal {
            reason: "MALFORMED".to_owned(),
            message: format!("malformed: {}", names.join(", ")),
            fields: self.0,
            violations: Vec::new(),
        })
    }
}

enum Source {
    Csv {
        records: Box<csv::Reader<File>>,
        headings: StringRecord,
    },
    Ndjson(BufReader<File>),
}

/// The rows of a file.
pub struct Rows {
    path: PathBuf,
    length: u64,
    source: Source,
    companies: Companies,
    welcome: bool,
    number: u64,
    end: u64,
}

impl Rows {
    /// Opens a file; headings that are not known, or not there, are told at once.
    pub fn open(
        path: &Path,
        format: Format,
        companies: Companies,
        welcome: bool,
    ) -> Result<Self, Problem> {
        let failed = |source| unreadable(path, source);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let source = match format {
            Format::Ndjson => Source::Ndjson(BufReader::new(file)),
            Format::Csv => {
                let mut records = csv::ReaderBuilder::new()
                    .flexible(true)
                    .trim(csv::Trim::All)
                    .from_reader(file);
                let headings = records.headers().map_err(|source| broken(path, source))?;
                let headings = headings.clone();
                check(&headings)?;
                let records = Box::new(records);
                Source::Csv { records, headings }
            }
        };
        Ok(Self {
            path: path.to_owned(),
            length,
            source,
            companies,
            welcome,
            number: 0,
            end: 0,
        })
    }

    /// How many bytes the file has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The headings, where it has any.
    #[must_use]
    pub const fn headings(&self) -> Option<&StringRecord> {
        match &self.source {
            Source::Csv { headings, .. } => Some(headings),
            Source::Ndjson(_) => None,
        }
    }

    fn next_raw(&mut self) -> Result<Option<Raw>, Problem> {
        match &mut self.source {
            Source::Csv { records, .. } => {
                let mut record = StringRecord::new();
                let more = records.read_record(&mut record);
                self.end = records.position().byte();
                let more = more.map_err(|source| broken(&self.path, source))?;
                Ok(more.then_some(Raw::Record(record)))
            }
            Source::Ndjson(lines) => loop {
                let mut line = String::new();
                let read = lines
                    .read_line(&mut line)
                    .map_err(|source| unreadable(&self.path, source))?;
                self.end += read as u64;
                if read == 0 {
                    return Ok(None);
                }
                let line = line.trim();
                if !line.is_empty() {
                    return Ok(Some(Raw::Line(line.to_owned())));
                }
            },
        }
    }

    fn read(&self, raw: &Raw) -> Result<Box<ImportRow>, ImportRefusal> {
        let mut bad = Bad::default();
        let mut row = match (raw, self.headings()) {
            (Raw::Record(record), Some(headings)) => of_record(headings, record, &mut bad),
            (Raw::Record(_), None) => ImportRow::default(),
            (Raw::Line(line), _) => of_line(line, &mut bad),
        };
        if row.key.is_empty() {
            row.key = self.number.to_string();
        }
        if let Some(user) = &mut row.user {
            user.welcome |= self.welcome && user.password.is_empty();
            user.companies.retain_mut(|link| {
                let name = &mut link.company_id;
                self.companies.resolve(name, "user.companies", &mut bad)
            });
            user.permissions.retain_mut(|grant| {
                let name = &mut grant.company_id;
                self.companies.resolve(name, "user.permissions", &mut bad)
            });
        }
        row.supervisors.retain_mut(|supervisor| {
            let name = &mut supervisor.company_id;
            self.companies.resolve(name, "supervisors", &mut bad)
        });
        bad.finish(row)
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.next_raw().transpose()?;
        Some(raw.map(|raw| {
            self.number += 1;
            Row {
                number: self.number,
                end: self.end,
                read: self.read(&raw),
                raw,
            }
        }))
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Problem {
    Problem::File {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

fn broken(path: &Path, source: csv::Error) -> Problem {
    Problem::failed(format!("read {}", path.display()), source)
}

/// What a heading can be called, and what it is.
const HEADINGS: [&str; 20] = [
    "signature",
    "first_name",
    "last_name",
    "email",
    "phone",
    "mobile_phone",
    "language",
    "active",
    "type",
    "role",
    "permission",
    "company",
    "supervisor",
    "show_as_addressee",
    "password",
    "one_time_password",
    "welcome",
    "key",
    REASON,
    PROBLEM,
];
/// The heading that a report adds for the reason.
pub const REASON: &str = "reason";
/// The heading that a report adds for the problem in words.
pub const PROBLEM: &str = "problem";
const NEEDED: usize = 4;

/// Headings may be written in capitals, with blanks or hyphens, and lists in the plural.
fn plain(heading: &str) -> String {
    let name = heading.trim().to_lowercase().replace([' ', '-'], "_");
    match name.as_str() {
        "roles" => "role".to_owned(),
        "permissions" => "permission".to_owned(),
        "companies" => "company".to_owned(),
        "user_type" => "type".to_owned(),
        "e_mail" => "email".to_owned(),
        _ => name,
    }
}

fn check(headings: &StringRecord) -> Result<(), Problem> {
    let names: Vec<String> = headings.iter().map(plain).collect();
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !HEADINGS.contains(name))
        .collect();
    let missing: Vec<&str> = HEADINGS[..NEEDED]
        .iter()
        .copied()
        .filter(|needed| !names.iter().any(|name| name == needed))
        .collect();
    let twice = names
        .iter()
        .enumerate()
        .find(|(index, name)| names[..*index].contains(name));
    let problem = if !unknown.is_empty() {
        format!("the headings {} are not known", unknown.join(", "))
    } else if !missing.is_empty() {
        format!("the headings {} are missing", missing.join(", "))
    } else if let Some((_, name)) = twice {
        format!("the heading {name} stands there twice")
    } else {
        return Ok(());
    };
    Err(Problem::Usage(format!(
        "{problem}; `rollbook user import --help` shows which there are"
    )))
}

/// The row of a line of CSV. Companies stand as they are called there.
fn of_record(headings: &StringRecord, record: &StringRecord, bad: &mut Bad) -> ImportRow {
    if record.len() > headings.len() {
        let (fields, names) = (record.len(), headings.len());
        bad.add("", format!("has {fields} fields under {names} headings"));
    }
    let values: HashMap<String, &str> = headings.iter().map(plain).zip(record).collect();
    let text = |name: &str| values.get(name).map_or("", |value| value.trim()).to_owned();
    let list = |name: &str| -> Vec<String> {
        let texts = values
            .get(name)
            .into_iter()
            .flat_map(|value| value.split(';'));
        let texts = texts.map(str::trim).filter(|text| !text.is_empty());
        texts.map(str::to_owned).collect()
    };
    let shown = truth(&text("show_as_addressee"), "show_as_addressee", bad).unwrap_or(false);
    let supervisor = text("supervisor");
    let by_id = Uuid::try_parse(&supervisor).is_ok();
    let companies: Vec<UserCompany> = list("company")
        .into_iter()
        .map(|company_id| UserCompany {
            company_id,
            supervisor_id: if by_id {
                supervisor.clone()
            } else {
                String::new()
            },
            show_as_addressee: shown,
            ..UserCompany::default()
        })
        .collect();
    let permissions = list("permission").into_iter().map(|text| {
        let (module, company) = text.split_once('@').unwrap_or((&text, ""));
        Permission {
            module: module.to_owned(),
            company_id: company.to_owned(),
        }
    });
    let user_type = user_type(&text("type"), bad);
    let user = NewUser {
        signature: text("signature"),
        first_name: text("first_name"),
        last_name: text("last_name"),
        email: text("email"),
        phone: text("phone"),
        mobile_phone: text("mobile_phone"),
        language: text("language"),
        active: truth(&text("active"), "active", bad),
        user_type: user_type.into(),
        roles: list("role"),
        permissions: permissions.collect(),
        companies,
        // Blanks at the ends may belong to it.
        password: values.get("password").map_or("", |value| value).to_owned(),
        one_time_password: truth(&text("one_time_password"), "one_time_password", bad)
            .unwrap_or(false),
        welcome: truth(&text("welcome"), "welcome", bad).unwrap_or(false),
    };
    let signature = (!supervisor.is_empty() && !by_id).then_some(supervisor);
    ImportRow {
        key: text("key"),
        user: Some(user),
        supervisors: signature
            .map(|signature| ImportSupervisor {
                company_id: String::new(),
                signature,
            })
            .into_iter()
            .collect(),
    }
}

fn user_type(text: &str, bad: &mut Bad) -> UserType {
    match text.to_lowercase().as_str() {
        "" => UserType::Unspecified,
        "administrator" => UserType::Administrator,
        "standard" => UserType::Standard,
        _ => {
            bad.add("type", "must be administrator or standard");
            UserType::Unspecified
        }
    }
}

fn truth(text: &str, field: &str, bad: &mut Bad) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "" => None,
        "yes" | "true" | "1" => Some(true),
        "no" | "false" | "0" => Some(false),
        _ => {
            bad.add(field, "must be yes or no");
            None
        }
    }
}

/// The row of a line of JSON; what a report added is left out.
fn of_line(line: &str, bad: &mut Bad) -> ImportRow {
    let read = serde_json::from_str(line)
        .map_err(|error| error.to_string())
        .and_then(|mut value: Value| {
            if let Some(object) = value.as_object_mut() {
                object.remove(super::report::REFUSED);
            }
            from_json(value)
        });
    read.unwrap_or_else(|problem| {
        bad.add("", problem);
        ImportRow::default()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rollbook_proto::v1::Company;

    use super::*;

    const NORTH: &str = "01900000-0000-7000-8000-0000000000e1";

    fn companies() -> Companies {
        Companies::of(Account {
            companies: vec![Company {
                company_id: NORTH.to_owned(),
                title: "Lumière & Fils".to_owned(),
            }],
            ..Account::default()
        })
    }

    fn rows(name: &str, text: &str) -> Result<Vec<Row>, Problem> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let format = Format::of(&path, None)?;
        Rows::open(&path, format, companies(), false)?.collect()
    }

    fn bad(row: &Row) -> Vec<&str> {
        let refusal = row.read.as_ref().unwrap_err();
        refusal
            .fields
            .iter()
            .map(|bad| bad.field.as_str())
            .collect()
    }

    #[test]
    fn a_line_of_csv_becomes_a_row_of_the_contract() {
        let text = "Signature,First name,last-name,E-mail,roles,Company,supervisor,active,type,permission,show_as_addressee\n\
                    BO, Bo ,Ek,bo@example.com,clerk; boss ,lumière & fils,ANNA,no,standard,archive;pay@Lumière & Fils,yes\n\
                    CY,Cy,Ek,cy@example.com\n";
        let rows = rows("people.csv", text).unwrap();
        let row = rows[0].read.as_ref().unwrap();
        let user = row.user.as_ref().unwrap();
        assert_eq!(
            (user.signature.as_str(), user.first_name.as_str()),
            ("BO", "Bo")
        );
        assert_eq!(user.roles, ["clerk", "boss"]);
        assert_eq!(user.companies[0].company_id, NORTH);
        assert!(user.companies[0].show_as_addressee);
        assert_eq!(
            (user.active, user.user_type()),
            (Some(false), UserType::Standard)
        );
        assert_eq!(user.permissions[1].company_id, NORTH);
        assert_eq!(row.supervisors[0].signature, "ANNA");
        assert_eq!((row.key.as_str(), rows[1].number), ("1", 2));
        assert_eq!(rows[1].end, text.len() as u64);
        let user = rows[1].read.as_ref().unwrap().user.clone().unwrap();
        assert_eq!((user.active, user.companies.len()), (None, 0));
    }

    #[test]
    fn what_cannot_be_read_is_told_row_by_row() {
        let text = "signature,first_name,last_name,email,active,type,company\n\
                    BO,Bo,Ek,no address,maybe,chief,Nowhere\n\
                    CY,Cy,Ek,cy@example.com,,,,too,many\n";
        let rows = rows("people.csv", text).unwrap();
        assert_eq!(
            bad(&rows[0]),
            ["type", "active", "user.companies", "user.email"]
        );
        assert_eq!(bad(&rows[1]), [""]);
    }

    #[test]
    fn headings_must_be_known_and_the_needed_ones_there() {
        for (headings, told) in [
            (
                "signature,first_name,last_name,email,shoe_size",
                "shoe_size",
            ),
            ("signature,first_name,last_name", "email"),
            ("signature,first_name,last_name,email,Email", "twice"),
        ] {
            let problem = rows("people.csv", headings).unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        }
        let problem = rows("people.txt", "").unwrap_err().to_string();
        assert!(problem.contains("--format"), "{problem}");
    }

    #[test]
    fn a_line_of_json_is_a_row_of_the_contract() {
        let text = "{\"key\": \"k\", \"user\": {\"signature\": \"BO\", \"companies\": [{\"company_id\": \"Lumière & Fils\"}]}, \"refused\": {}}\n\n\
                    {\"usr\": {}}\nnot json\n";
        let rows = rows("people.ndjson", text).unwrap();
        let row = rows[0].read.as_ref().unwrap();
        assert_eq!(row.key, "k");
        assert_eq!(row.user.as_ref().unwrap().companies[0].company_id, NORTH);
        assert_eq!((bad(&rows[1]), bad(&rows[2])), (vec![""], vec![""]));
        assert_eq!(rows[2].number, 3);
    }
}
