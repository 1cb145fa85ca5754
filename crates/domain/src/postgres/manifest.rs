//! The manifest of a PostgreSQL restore point: which streams hold what, and what a restore must know beside them. It is
//! a JSON document, stored as a stream itself. Readers refuse a version they do not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::roles::Role;

/// The version this code writes.
pub const VERSION: u32 = 1;

/// A stream in the repository, as the repository describes it: opaque here, so that the manifest's meaning does not
/// depend on the repository's types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamReference(pub serde_json::Value);

/// The manifest of one restore point: one instance, some of its databases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of this document.
    pub version: u32,
    /// `server_version_num`: 150018.
    pub server_version_num: u32,
    /// Version as the server prints it.
    pub server_version: String,
    /// Version of the `pg_dump` that wrote the archives.
    pub client_version: String,
    /// Role that read the instance.
    pub read_as: String,
    /// Roles and their memberships, read outside of the databases' snapshots.
    pub roles: Vec<Role>,
    /// The databases.
    pub databases: Vec<Database>,
}

/// One database of a restore point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The moment, on the server's clock, whose state it holds.
    pub consistent_at: Timestamp,
    /// What belongs to the database itself, not to what is in it.
    pub properties: Properties,
    /// `pg_dump`'s archive: everything but the data of the tables below.
    pub archive: StreamReference,
    /// Bytes of that archive.
    pub archive_bytes: u64,
    /// Tables whose data the archive holds.
    pub archive_tables: u64,
    /// Large tables, each in streams of its own.
    pub tables: Vec<Table>,
}

/// What belongs to a database itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Properties {
    /// Its owner.
    pub owner: String,
    /// Encoding by name: `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// Locale provider as the catalogue writes it: `c`, `i`, `b`. Empty before PostgreSQL 15.
    pub locale_provider: String,
    /// Locale of that provider, where it has one.
    pub locale: Option<String>,
    /// ICU rules, where it has some.
    pub icu_rules: Option<String>,
    /// Connection limit; -1 means none.
    pub connection_limit: i32,
    /// Whether it is a template.
    pub is_template: bool,
    /// Whether it lacks the schema `public`, with which every new database begins.
    pub without_public: bool,
    /// Comment on it.
    pub comment: Option<String>,
    /// Its privileges; absent means the default ones.
    pub privileges: Option<Vec<Privilege>>,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<Setting>,
}

/// One privilege on a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Privilege {
    /// Who has it; absent means `PUBLIC`.
    pub grantee: Option<String>,
    /// Who gave it.
    pub grantor: String,
    /// `CONNECT`, `CREATE`, `TEMPORARY`.
    pub privilege: String,
    /// Whether it may be passed on.
    pub grantable: bool,
}

/// One parameter kept for a database, or for a role in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    /// The role it is for; absent means everyone.
    pub role: Option<String>,
    /// Parameter name.
    pub name: String,
    /// Its value as the catalogue keeps it.
    pub value: String,
}

/// A large table with data streams of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Table {
    /// Schema.
    pub schema: String,
    /// Table.
    pub name: String,
    /// Columns in the streams' order; generated ones are not among them.
    pub columns: Vec<String>,
    /// Schema and name of the table the rows go into, where it is not this one: rows of a partition by hash of an enum
    /// must find their partition anew.
    pub load_into: Option<(String, String)>,
    /// Encoding of the text in the streams.
    pub encoding: String,
    /// Its streams. Their order does not matter.
    pub streams: Vec<DataStream>,
}

/// One data stream of a table: rows in `COPY`'s text format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DataStream {
    /// Where it is.
    pub stream: StreamReference,
    /// Pages of the table it was read from; absent means all of it.
    pub pages: Option<PageRange>,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// A range of a table's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PageRange {
    /// First page.
    pub from: u64,
    /// First page that is not in it; absent means to the table's end.
    pub to: Option<u64>,
}
