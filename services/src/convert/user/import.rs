//! Imports of users on the wire.

use std::collections::BTreeMap;

use rollbook_aggregates::values::{AccountId, CompanyId, Folded, Signature};
use rollbook_proto::v1 as pb;

use super::super::{Fields, creating};
use super::profile::NewUser;
use crate::executor::Options;
use crate::failure::{Failure, Outcome};

/// What an import is of.
#[derive(Clone, Debug)]
pub struct ImportOf {
    /// Which account.
    pub account: AccountId,
    /// What each row's command carries; the request id is the import's.
    pub options: Options,
}

impl TryFrom<Option<pb::ImportHeader>> for ImportOf {
    type Error = Failure;

    fn try_from(header: Option<pb::ImportHeader>) -> Outcome<Self> {
        let Some(pb::ImportHeader {
            account_id,
            command,
        }) = header
        else {
            return Err(Failure::malformed_field(
                "header",
                "must be given in the first message",
            ));
        };
        let mut fields = Fields::default();
        let (account, options) = fields.within("header", |fields| {
            let account = fields.read("account_id", &account_id, AccountId::parse);
            (account, creating(fields, command))
        });
        let (account,) = fields.finish((account,))?;
        Ok(Self { account, options })
    }
}

/// A row of an import.
#[derive(Clone, Debug)]
pub struct ImportRow {
    /// What the user is made of.
    pub new: NewUser,
    /// The supervisors that are named by signature, by company.
    pub supervisors: Vec<(CompanyId, Folded)>,
}

impl TryFrom<pb::ImportRow> for ImportRow {
    type Error = Failure;

    fn try_from(row: pb::ImportRow) -> Outcome<Self> {
        let pb::ImportRow {
            key,
            user,
            supervisors,
        } = row;
        let mut fields = Fields::default();
        let fits = key.len() <= 64 && key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = fits
            .then_some(())
            .ok_or("must have at most 64 printable ASCII characters");
        fields.checked("key", key);
        let new = NewUser::read(&mut fields, "user", user);
        let named = read_supervisors(&mut fields, supervisors);
        let supervisors = new
            .as_ref()
            .map(|new| by_company(&mut fields, new, named))
            .unwrap_or_default();
        let (new,) = fields.finish((new,))?;
        Ok(Self { new, supervisors })
    }
}

/// Supervisors by signature as they are named: in a company, or in all of them.
type Named = BTreeMap<Option<CompanyId>, (usize, Signature)>;

fn read_supervisors(fields: &mut Fields, wire: Vec<pb::ImportSupervisor>) -> Named {
    let mut named = Named::new();
    let mut index = 0..;
    fields.list("supervisors", 1000, wire, |fields, supervisor| {
        let pb::ImportSupervisor {
            company_id,
            signature,
        } = supervisor;
        let index = index.next()?;
        let signature = fields.read("signature", &signature, Signature::parse);
        let company = fields.optional("company_id", &company_id, CompanyId::parse);
        if company.is_none() && !company_id.is_empty() {
            return None;
        }
        if named.insert(company, (index, signature?)).is_some() {
            fields.bad("company_id", "must not be named twice");
        }
        Some(())
    });
    named
}

/// Who is the supervisor in each company of the user for which one is named by signature.
fn by_company(fields: &mut Fields, new: &NewUser, mut named: Named) -> Vec<(CompanyId, Folded)> {
    let everywhere = named.remove(&None).map(|(_, signature)| signature.folded());
    let mut found = Vec::new();
    for company in &new.companies {
        let own = named.remove(&Some(company.company_id));
        if let (Some((index, _)), Some(_)) = (&own, company.supervisor) {
            let path = format!("supervisors[{index}].company_id");
            fields.bad(&path, "must not have a supervisor_id as well");
        }
        let other = everywhere.clone().filter(|_| company.supervisor.is_none());
        let signature = own.map(|(_, signature)| signature.folded()).or(other);
        found.extend(signature.map(|signature| (company.company_id, signature)));
    }
    for (index, _) in named.into_values() {
        let path = format!("supervisors[{index}].company_id");
        fields.bad(&path, "must be one of the user's companies");
    }
    found
}

/// Why a row was refused, as the contract has it.
#[must_use]
pub fn import_refusal(failure: &Failure) -> pb::ImportRefusal {
    let fields = failure.fields().iter().map(|bad| pb::ImportFieldProblem {
        field: bad.field.clone(),
        description: bad.description.clone(),
    });
    let violations = failure
        .violations()
        .iter()
        .map(|found| pb::ImportViolation {
            r#type: found.r#type.clone(),
            subject: found.subject.clone(),
            description: found.description.clone(),
        });
    pb::ImportRefusal {
        reason: failure.reason().to_owned(),
        message: failure.to_string(),
        fields: fields.collect(),
        violations: violations.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORTH: &str = "01900000-0000-7000-8000-0000000000e1";
    const SOUTH: &str = "01900000-0000-7000-8000-0000000000e2";
    const ANNA: &str = "01900000-0000-7000-8000-0000000000a1";

    fn row(companies: &[(&str, &str)], supervisors: &[(&str, &str)]) -> pb::ImportRow {
        let companies = companies
            .iter()
            .map(|(company, supervisor)| pb::UserCompany {
                company_id: (*company).to_owned(),
                supervisor_id: (*supervisor).to_owned(),
                ..pb::UserCompany::default()
            });
        let supervisors = supervisors
            .iter()
            .map(|(company, signature)| pb::ImportSupervisor {
                company_id: (*company).to_owned(),
                signature: (*signature).to_owned(),
            });
        pb::ImportRow {
            key: String::new(),
            user: Some(pb::NewUser {
                signature: "BO".to_owned(),
                first_name: "Bo".to_owned(),
                last_name: "Ek".to_owned(),
                email: "bo@example.com".to_owned(),
                companies: companies.collect(),
                ..pb::NewUser::default()
            }),
            supervisors: supervisors.collect(),
        }
    }

    fn read(companies: &[(&str, &str)], supervisors: &[(&str, &str)]) -> Vec<(String, String)> {
        let read = ImportRow::try_from(row(companies, supervisors)).unwrap();
        let found = read.supervisors.into_iter();
        found
            .map(|(company, signature)| (company.to_string(), signature.as_str().to_owned()))
            .collect()
    }

    fn bad(row: pb::ImportRow) -> Vec<String> {
        let failure = ImportRow::try_from(row).unwrap_err();
        let fields = failure.fields().iter();
        fields.map(|bad| bad.field.clone()).collect()
    }

    #[test]
    fn r57_a_supervisor_is_named_for_one_company_or_for_all_that_have_none() {
        let pair = |company: &str, name: &str| (company.to_owned(), name.to_owned());
        assert_eq!(
            read(&[(NORTH, ""), (SOUTH, "")], &[("", "ANNA"), (SOUTH, "Cy")]),
            [pair(NORTH, "anna"), pair(SOUTH, "cy")]
        );
        assert_eq!(
            read(&[(NORTH, ANNA), (SOUTH, "")], &[("", "CY")]),
            [pair(SOUTH, "cy")]
        );
        assert!(read(&[], &[("", "CY")]).is_empty());
    }

    #[test]
    fn r57_every_bad_field_of_a_row_is_named() {
        let mut wrong = row(
            &[(NORTH, ANNA)],
            &[(NORTH, "CY"), (SOUTH, "CY"), ("x", "CY"), ("", "\u{7}")],
        );
        wrong.key = "a b".to_owned();
        wrong.user.as_mut().unwrap().email = "nobody".to_owned();
        assert_eq!(
            bad(wrong),
            [
                "key",
                "user.email",
                "supervisors[2].company_id",
                "supervisors[3].signature",
            ]
        );
        assert_eq!(
            bad(row(&[(NORTH, ANNA)], &[(NORTH, "CY"), (SOUTH, "CY")])),
            ["supervisors[0].company_id", "supervisors[1].company_id"]
        );
        assert_eq!(
            bad(row(&[(NORTH, "")], &[("", "CY"), ("", "DI")])),
            ["supervisors[1].company_id"]
        );
        assert_eq!(bad(pb::ImportRow::default()), ["user"]);
    }
}
