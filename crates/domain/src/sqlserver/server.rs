//! What an instance says of itself and of its databases.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::row::{Malformed, Row};

/// A page of a database file, in bytes.
const PAGE: u64 = 8192;
/// `sys.master_files.type` of FILESTREAM containers.
const FILESTREAM: u32 = 2;

/// Edition of a server, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// Enterprise.
    Enterprise,
    /// Standard.
    Standard,
    /// Web.
    Web,
    /// Express: databases of 10 GB at most.
    Express,
    /// Developer: Enterprise, but for production.
    Developer,
    /// Another.
    Other,
}

impl Edition {
    /// Reads `SERVERPROPERTY('Edition')`: `Standard Edition (64-bit)`.
    pub fn of(text: &str) -> Self {
        let named = [
            ("Enterprise", Self::Enterprise),
            ("Standard", Self::Standard),
            ("Web", Self::Web),
            ("Express", Self::Express),
            ("Developer", Self::Developer),
        ];
        named.into_iter().find(|(name, _)| text.trim_start().starts_with(name)).map_or(Self::Other, |(_, it)| it)
    }

    /// The engine as RDS names it.
    pub fn engine(self) -> &'static str {
        match self {
            Self::Enterprise => "sqlserver-ee",
            Self::Standard => "sqlserver-se",
            Self::Web => "sqlserver-web",
            Self::Express => "sqlserver-ex",
            Self::Developer => "sqlserver-dev-ee",
            Self::Other => "sqlserver",
        }
    }

    /// Whether it has change data capture.
    pub fn captures_changes(self) -> bool {
        !matches!(self, Self::Web | Self::Express)
    }

    /// Whether its native backups can be compressed.
    pub fn compresses(self) -> bool {
        !matches!(self, Self::Web | Self::Express)
    }
}

/// What an instance says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// `SERVERPROPERTY('ProductVersion')`: `15.0.4430.1`.
    pub version: String,
    /// `SERVERPROPERTY('Edition')`.
    pub edition: String,
    /// The server's collation.
    pub collation: String,
    /// Minutes its clock is ahead of UTC at the moment.
    pub utc_offset_minutes: i32,
    /// The time on its clock.
    pub now: DateTime,
    /// The login.
    pub login: String,
    /// Whether native backups are compressed; absent where the instance does not tell.
    pub compression: Option<bool>,
}

impl ServerFacts {
    /// Reads the row of the server's properties.
    ///
    /// # Errors
    /// It is not one.
    pub fn of_row(row: &Row) -> Result<Self, Malformed> {
        let (now, utc_now): (DateTime, DateTime) = (row.parsed("now")?, row.parsed("utc_now")?);
        // Clocks are ahead by quarters of an hour, and the two may have been read a moment apart.
        let quarters = (now.duration_since(utc_now).as_secs_f64() / 900.0).round();
        Ok(Self {
            version: row.text("product_version")?.to_owned(),
            edition: row.text("edition")?.to_owned(),
            collation: row.get("collation").unwrap_or_default().to_owned(),
            utc_offset_minutes: quarters as i32 * 15,
            now,
            login: row.get("login").unwrap_or_default().to_owned(),
            compression: None,
        })
    }

    /// Its edition.
    pub fn edition(&self) -> Edition {
        Edition::of(&self.edition)
    }

    /// Its major version: 15 for SQL Server 2019.
    pub fn major(&self) -> Option<u32> {
        major(&self.version)
    }

    /// A moment on the server's clock. Off by an hour where the clock was changed for summer or winter in between.
    pub fn to_utc(&self, at: DateTime) -> Timestamp {
        offset(self.utc_offset_minutes).to_timestamp(at).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The offset of a clock that is so many minutes ahead of UTC.
pub(super) fn offset(minutes: i32) -> Offset {
    Offset::from_seconds(minutes.saturating_mul(60)).unwrap_or(Offset::UTC)
}

/// The major of a version as the server prints it.
pub fn major(version: &str) -> Option<u32> {
    version.trim().split('.').next()?.parse().ok()
}

/// What an instance says of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Name.
    pub name: String,
    /// Its number.
    pub id: i64,
    /// `state_desc`.
    pub state: State,
    /// `recovery_model_desc`: `FULL`, `SIMPLE`, `BULK_LOGGED`.
    pub recovery_model: String,
    /// Whether it is encrypted (TDE).
    pub encrypted: bool,
    /// Whether it is a snapshot of another.
    pub is_snapshot: bool,
    /// Its collation, where it tells.
    pub collation: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it has FILESTREAM data.
    pub has_filestream: bool,
    /// Whether a file lacks its `file_guid`: such a database has no differential restore.
    pub lacks_file_guid: bool,
}

/// State of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In use.
    Online,
    /// A restore has begun it, and not ended.
    Restoring,
    /// On its way to be online.
    Recovering,
    /// Anything else.
    Other(String),
}

impl State {
    fn of(text: &str) -> Self {
        match text.trim().to_ascii_uppercase().as_str() {
            "ONLINE" => Self::Online,
            "RESTORING" => Self::Restoring,
            "RECOVERING" => Self::Recovering,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Puts the rows of `sys.databases` and `sys.master_files` together.
///
/// # Errors
/// A row lacks what every row has.
pub fn databases(databases: &[Row], files: &[Row]) -> Result<Vec<DatabaseFacts>, Malformed> {
    #[derive(Default)]
    struct Files {
        bytes: u64,
        has_filestream: bool,
        lacks_file_guid: bool,
    }
    let mut of: BTreeMap<i64, Files> = BTreeMap::new();
    for row in files {
        let files = of.entry(row.parsed("database_id")?).or_default();
        // Pages; a FILESTREAM container has none.
        files.bytes += row.maybe::<u64>("size")?.unwrap_or_default() * PAGE;
        files.has_filestream |= row.maybe::<u32>("type")? == Some(FILESTREAM);
        files.lacks_file_guid |= row.get("file_guid").is_none();
    }
    let facts = |row: &Row| -> Result<DatabaseFacts, Malformed> {
        let id = row.parsed("database_id")?;
        let files = of.remove(&id).unwrap_or_default();
        Ok(DatabaseFacts {
            name: row.text("name")?.to_owned(),
            id,
            state: State::of(row.text("state_desc")?),
            recovery_model: row.get("recovery_model_desc").unwrap_or_default().to_owned(),
            encrypted: row.is_set("is_encrypted")?,
            is_snapshot: row.get("source_database_id").is_some(),
            collation: row.get("collation_name").unwrap_or_default().to_owned(),
            bytes: files.bytes,
            has_filestream: files.has_filestream,
            lacks_file_guid: files.lacks_file_guid,
        })
    };
    databases.iter().map(facts).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::row::row;
    use super::*;

    /// A healthy database of a test.
    pub(crate) fn database(name: &str) -> DatabaseFacts {
        DatabaseFacts {
            name: name.to_owned(),
            id: 5,
            state: State::Online,
            recovery_model: "FULL".to_owned(),
            encrypted: false,
            is_snapshot: false,
            collation: "SQL_Latin1_General_CP1_CI_AS".to_owned(),
            bytes: 1 << 30,
            has_filestream: false,
            lacks_file_guid: false,
        }
    }

    /// An instance of a test.
    pub(crate) fn server(version: &str, edition: &str) -> ServerFacts {
        ServerFacts {
            version: version.to_owned(),
            edition: edition.to_owned(),
            collation: String::new(),
            utc_offset_minutes: 60,
            now: "2026-11-20T04:00:00".parse().unwrap(),
            login: "admin".to_owned(),
            compression: Some(false),
        }
    }

    #[test]
    fn a_servers_row_is_read() {
        let read = ServerFacts::of_row(&row(&[
            ("product_version", Some("15.0.4430.1")),
            ("edition", Some("Standard Edition (64-bit)")),
            ("collation", None),
            ("now", Some("2026-11-20T03:00:01.123")),
            ("utc_now", Some("2026-11-20T08:00:01.124")),
            ("login", Some("admin")),
        ]))
        .unwrap();
        assert_eq!(
            (read.major(), read.edition(), read.edition().engine()),
            (Some(15), Edition::Standard, "sqlserver-se")
        );
        assert_eq!(read.to_utc(read.now).to_string(), "2026-11-20T08:00:01.123Z");
        assert_eq!(Edition::of("Express Edition (64-bit)").engine(), "sqlserver-ex");
        assert_eq!(Edition::of("Something").engine(), "sqlserver");
    }

    #[test]
    fn files_are_counted_with_their_databases() {
        let rows = |id: &'static str, name: &'static str, state: &'static str| {
            row(&[
                ("name", Some(name)),
                ("database_id", Some(id)),
                ("state_desc", Some(state)),
                ("recovery_model_desc", Some("SIMPLE")),
                ("is_encrypted", Some("0")),
                ("source_database_id", None),
                ("collation_name", None),
            ])
        };
        let file = |id: &'static str, kind: &'static str, size: &'static str, guid: Option<&'static str>| {
            row(&[("database_id", Some(id)), ("type", Some(kind)), ("size", Some(size)), ("file_guid", guid)])
        };
        let read = databases(
            &[rows("5", "shop", "ONLINE"), rows("6", "crm", "RESTORING"), rows("7", "empty", "SUSPECT")],
            &[file("5", "0", "100", Some("a")), file("5", "1", "28", Some("b")), file("6", "2", "0", None)],
        )
        .unwrap();
        let told: Vec<_> =
            read.iter().map(|it| (it.bytes, it.has_filestream, it.lacks_file_guid, it.state.clone())).collect();
        assert_eq!(
            told,
            [
                (128 * 8192, false, false, State::Online),
                (0, true, true, State::Restoring),
                (0, false, false, State::Other("SUSPECT".into()))
            ]
        );
    }
}
