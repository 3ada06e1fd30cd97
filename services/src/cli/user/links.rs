//! What a user is in a company, as it is typed at the command line.

use clap::Args;
use rollbook_proto::v1::{Allegiance, UserCompany};

use crate::cli::{client::Client, problem::Problem};

/// What a user is in the companies that it is linked to.
#[derive(Args, Clone, Debug)]
pub struct LinkFlags {
    /// Supervisor in these companies: id, signature or e-mail address; the user itself where none is given
    #[arg(long, value_name = "USER", requires = "companies")]
    supervisor: Option<String>,
    /// Propose the user as an addressee in these companies
    #[arg(long, requires = "companies")]
    show_as_addressee: bool,
    /// What the user's rows are coded with in these companies; several are named one after the other
    #[arg(long = "coding", value_name = "DIMENSION=VALUE", value_parser = allegiance, requires = "companies")]
    coding: Vec<Allegiance>,
    /// What invoices are addressed to the user by in these companies
    #[arg(long = "routing", value_name = "DIMENSION=VALUE", value_parser = allegiance, requires = "companies")]
    routing: Vec<Allegiance>,
}

impl LinkFlags {
    /// Links to companies, the same in each.
    pub async fn links(
        self,
        client: &Client,
        companies: &[String],
    ) -> Result<Vec<UserCompany>, Problem> {
        let supervisor_id = match &self.supervisor {
            Some(name) => client.user_id(name).await?,
            None => String::new(),
        };
        let ids = client.company_ids(companies).await?;
        let link = |company_id| UserCompany {
            company_id,
            supervisor_id: supervisor_id.clone(),
            show_as_addressee: self.show_as_addressee,
            coding_allegiances: self.coding.clone(),
            routing_allegiances: self.routing.clone(),
        };
        Ok(ids.into_iter().map(link).collect())
    }
}

/// Reads an allegiance: a dimension and its value.
pub fn allegiance(text: &str) -> Result<Allegiance, String> {
    let (dimension, value) = text
        .split_once('=')
        .ok_or("give a dimension and its value, such as Department=14")?;
    Ok(Allegiance {
        dimension: dimension.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allegiance_is_a_dimension_and_its_value() {
        let read = allegiance("Department=14=b").unwrap();
        assert_eq!(
            (read.dimension.as_str(), read.value.as_str()),
            ("Department", "14=b")
        );
        assert!(allegiance("Department").is_err());
    }
}
