//! The manifest of a PostgreSQL restore point: which streams hold what, and what a restore must know beside them. It is
//! a JSON document, stored as a stream itself. Readers refuse a version they do not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::content::{self, Content, LargeObjects, RowsHash};
use super::roles::Role;
use crate::manifest;

pub use crate::manifest::{StreamReference, Unreadable};

/// The version this code writes.
pub const VERSION: u32 = 1;

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

impl Manifest {
    /// Most bytes of one: far beyond any instance, so that a damaged one cannot take all memory.
    pub const MOST_BYTES: usize = manifest::MOST_BYTES;

    /// Reads one, if it is of the version that this program knows.
    ///
    /// # Errors
    /// It is not.
    pub fn read(json: &[u8]) -> Result<Self, Unreadable> {
        manifest::read(json, VERSION)
    }
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
    /// What the archive's tables hold. Points that were made before this was recorded have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archive_contents: Vec<TableContent>,
    /// Its large objects, all of them in the archive; absent where this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_objects: Option<LargeObjects>,
    /// Bytes it takes on its server, indexes included; absent where this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_bytes: Option<u64>,
}

/// What a table of the archive holds, by which a restore can be verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableContent {
    /// Schema.
    pub schema: String,
    /// Table.
    pub name: String,
    /// Columns in the order of the rows' values; generated ones are not among them.
    pub columns: Vec<String>,
    /// Schema and name of the table the rows go into, where it is not this one: see [`Table::load_into`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_into: Option<(String, String)>,
    /// Its rows and their hash.
    #[serde(flatten)]
    pub content: Content,
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
    /// Hash of its rows; absent where this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "content::if_known")]
    pub hash: Option<RowsHash>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as it was described before contents were recorded.
    const OLDER: &str = r#"{"name":"shop","consistent-at":"2026-11-20T10:00:00Z","properties":{"owner":"app","encoding":"UTF8",
        "collate":"C","ctype":"C","locale-provider":"c","locale":null,"icu-rules":null,"connection-limit":-1,
        "is-template":false,"without-public":false,"comment":null,"privileges":null,"settings":[]},
        "archive":1,"archive-bytes":10,"archive-tables":2,"tables":[{"schema":"public","name":"big","columns":["a"],
        "load-into":null,"encoding":"UTF8","streams":[{"stream":2,"pages":null,"rows":3,"bytes":6}]}]}"#;

    #[test]
    fn a_manifest_without_contents_is_read_and_written_as_it_was() {
        let older: Database = serde_json::from_str(OLDER).unwrap();
        assert_eq!((older.archive_contents.len(), older.large_objects, older.server_bytes), (0, None, None));
        assert_eq!(older.tables[0].streams[0].hash, None);
        let again: serde_json::Value = serde_json::to_value(&older).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(OLDER).unwrap());
    }

    #[test]
    fn a_manifest_of_another_version_is_refused_whatever_else_it_is() {
        assert_eq!(Manifest::read(br#"{"version":2}"#), Err(Unreadable::Version { found: 2, known: VERSION }));
        assert!(matches!(Manifest::read(br#"{"version":1}"#), Err(Unreadable::Malformed(_))));
        let whole = format!(
            r#"{{"version":1,"server-version-num":150018,"server-version":"15.18","client-version":"15.18","read-as":"x",
            "roles":[],"databases":[{OLDER}]}}"#
        );
        assert_eq!(Manifest::read(whole.as_bytes()).unwrap().databases.len(), 1);
    }

    #[test]
    fn contents_survive_being_written() {
        let mut database: Database = serde_json::from_str(OLDER).unwrap();
        let mut tally = content::Tally::default();
        tally.push(b"1\n2\n");
        let content = tally.finish().unwrap();
        database.tables[0].streams[0].hash = content.hash;
        database.archive_contents = vec![TableContent {
            schema: "public".into(),
            name: "small".into(),
            columns: vec!["a".into()],
            load_into: None,
            content,
        }];
        let text = serde_json::to_string(&database).unwrap();
        assert_eq!(serde_json::from_str::<Database>(&text).unwrap(), database);
    }
}
