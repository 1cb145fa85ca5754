//! What a backup says of itself, as RESTORE HEADERONLY and FILELISTONLY would show it.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lsn::Lsn;

/// What was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Full,
    Differential,
    Log,
}

impl Kind {
    /// `backupset.type`.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Full => 'D',
            Self::Differential => 'I',
            Self::Log => 'L',
        }
    }

    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        [Self::Full, Self::Differential, Self::Log].into_iter().find(|kind| kind.letter() == char::from(letter))
    }
}

/// The full backup that a differential builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Base {
    /// Its checkpoint.
    pub(crate) lsn: Lsn,
    /// Its backup set.
    pub(crate) set: Uuid,
}

/// A file of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) logical_name: String,
    pub(crate) file_guid: Uuid,
    /// The log, not data.
    pub(crate) log: bool,
    pub(crate) bytes: u64,
}

/// Which file of a media set this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// From 1.
    pub(crate) number: u16,
    pub(crate) of: u16,
}

/// The header of one file of an uncompressed backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) database: String,
    pub(crate) server: String,
    /// Internal version of the database, 957 for SQL Server 2022.
    pub(crate) version: u16,
    pub(crate) compatibility: u8,
    /// Name of this backup among all others.
    pub(crate) set: Uuid,
    pub(crate) member: Member,
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    pub(crate) checkpoint: Lsn,
    /// Checkpoint of the last full backup before this one; of a differential, that of its base.
    pub(crate) database_backup: Lsn,
    pub(crate) base: Option<Base>,
    /// The database from its creation on, restored copies included.
    pub(crate) family: Uuid,
    /// The way on which its log has come so far: a new one begins where a restore ends.
    pub(crate) fork: Uuid,
    pub(crate) started: DateTime,
    pub(crate) finished: DateTime,
    /// Bytes of pages in the whole backup.
    pub(crate) bytes: u64,
    pub(crate) parts: Vec<Part>,
}
