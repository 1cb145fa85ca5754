//! A database of PostgreSQL, with what real ones have.

use anyhow::Result;
use e2e::cloud::Cloud;
use e2e::psql::Database;
use e2e::{dataset, oracle};
use serde_json::Value;

use super::databases::{COPY, Databases, PASSWORD, PROD, SOURCE, SPARE};
use super::report::Limit;
use crate::say;

/// The database, and the instance that it is restored into.
pub(super) struct Postgres {
    shop: Database,
    target: Database,
}

impl Postgres {
    /// Makes the instances, and a database of about so many megabytes of dump.
    pub(super) fn set(cloud: &Cloud, megabytes: u32) -> Result<Self> {
        let source = cloud.create_instance(PROD, PASSWORD)?.authored_by("master");
        let target = cloud.create_instance(SPARE, PASSWORD)?.authored_by("master");
        say(&format!(
            "\n# A database of about {megabytes} MB, with roles, partitions, triggers, large objects and odd names"
        ));
        source.execute(&format!("CREATE DATABASE {}", oracle::quote(SOURCE)))?;
        let shop = source.sibling(SOURCE);
        dataset::fill(&shop, megabytes)?;
        Ok(Self { shop, target })
    }
}

impl Databases for Postgres {
    fn change(&self, _cloud: &Cloud) -> Result<&'static str> {
        dataset::change(&self.shop)?;
        Ok("one row in a hundred")
    }

    fn differences(&self, _cloud: &Cloud) -> Result<Vec<String>> {
        let administrator = Database { author: None, ..self.shop.clone() };
        oracle::prove(&administrator, &dataset::CONTROLS)?;
        let copy = Database { author: None, ..self.target.sibling(COPY) };
        let mut differences = oracle::differences(&oracle::picture(&administrator)?, &oracle::picture(&copy)?);
        differences.extend(oracle::differences(&oracle::roles(&administrator)?, &oracle::roles(&copy)?));
        Ok(differences)
    }

    fn facts(&self) -> Value {
        Value::Null
    }

    fn limits(&self, _stored_again: u64) -> Vec<Limit> {
        Vec::new()
    }
}
