//! What differs between the engines: the instances, the database to protect, and how two databases are compared.

use anyhow::Result;
use e2e::cloud::Cloud;
use serde_json::Value;

use super::postgres::Postgres;
use super::report::Limit;
use super::sqlserver::SqlServer;

/// The instance that is backed up, and the one that is restored into.
pub(super) const PROD: &str = "shop-prod";
pub(super) const SPARE: &str = "shop-spare";

/// Name of the database to protect, and of its copy.
pub(super) const SOURCE: &str = "shop";
pub(super) const COPY: &str = "shop, restored";

/// Password of the masters: of servers that live as long as the demo.
pub(super) const PASSWORD: &str = "demo-master-password";

/// What databases are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// RDS for PostgreSQL.
    Postgres,
    /// RDS for SQL Server.
    Sqlserver,
}

impl Engine {
    /// As RDS's engines begin.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlserver => "sqlserver",
        }
    }

    /// For people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Postgres => "RDS PostgreSQL",
            Self::Sqlserver => "RDS for SQL Server",
        }
    }

    /// Makes the two instances and the database to protect, of so many megabytes or of as many as show something.
    pub(super) fn set(self, cloud: &Cloud, megabytes: Option<u32>) -> Result<Box<dyn Databases>> {
        Ok(match self {
            Self::Postgres => Box::new(Postgres::set(cloud, megabytes.unwrap_or(330))?),
            Self::Sqlserver => Box::new(SqlServer::set(cloud, megabytes.unwrap_or(1000))?),
        })
    }
}

/// The databases on stage.
pub(super) trait Databases {
    /// Changes one part of a hundred of the database, and says what that is.
    fn change(&self, cloud: &Cloud) -> Result<&'static str>;

    /// Everything in which the copy differs from the database, once it has shown that it would see a difference.
    fn differences(&self, cloud: &Cloud) -> Result<Vec<String>>;

    /// What was measured of the database itself; `null` where nothing was.
    fn facts(&self) -> Value;

    /// What the demo is to stay within with this database, whose second backup has stored so many bytes.
    fn limits(&self, stored_again: u64) -> Vec<Limit>;
}
