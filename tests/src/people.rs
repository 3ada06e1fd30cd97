//! People for stories.

use rollbook_proto::v1 as pb;

/// A password nobody has.
pub const PASSWORD: &str = "mauve lantern, tideway 52";

/// Somebody new, named after the signature; without a password, as accounts of stories keep passwords elsewhere.
#[must_use]
pub fn person(signature: &str) -> pb::NewUser {
    pb::NewUser {
        signature: signature.to_owned(),
        first_name: format!("First {signature}"),
        last_name: format!("Last {signature}"),
        email: format!("{signature}@example.com"),
        ..pb::NewUser::default()
    }
}

/// Somebody new who manages the account.
#[must_use]
pub fn administrator(signature: &str) -> pb::NewUser {
    pb::NewUser {
        user_type: pb::UserType::Administrator.into(),
        ..person(signature)
    }
}

/// A link to a company, with the user as its own supervisor.
#[must_use]
pub fn link(company_id: &str) -> pb::UserCompany {
    pb::UserCompany {
        company_id: company_id.to_owned(),
        ..pb::UserCompany::default()
    }
}

/// A link to a company, with somebody else as supervisor.
#[must_use]
pub fn report_to(company_id: &str, supervisor_id: &str) -> pb::UserCompany {
    pb::UserCompany {
        supervisor_id: supervisor_id.to_owned(),
        ..link(company_id)
    }
}

/// What a user stands for in a company.
#[must_use]
pub fn allegiance(dimension: &str, value: &str) -> pb::Allegiance {
    pb::Allegiance {
        dimension: dimension.to_owned(),
        value: value.to_owned(),
    }
}

/// A grant on a module for the whole account.
#[must_use]
pub fn grant(module: &str) -> pb::Permission {
    pb::Permission {
        module: module.to_owned(),
        company_id: String::new(),
    }
}

/// Options of a command that is safe to repeat.
#[must_use]
pub fn repeatable() -> pb::CommandOptions {
    pb::CommandOptions {
        request_id: uuid::Uuid::now_v7().to_string(),
        ..pb::CommandOptions::default()
    }
}
