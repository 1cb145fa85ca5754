//! The port to an instance: a handful of calls in T-SQL.

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_domain::sqlserver::restore;
use haulier_domain::sqlserver::server::{DatabaseFacts, ServerFacts};
use haulier_domain::sqlserver::task::{Task, TaskId, TaskType};
use jiff::civil::DateTime;

/// A call that came to nothing, or nobody knows to what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server refuses it. Nothing has happened.
    #[error("{text} [{number}]")]
    Refused {
        /// Number of the server's message.
        number: u32,
        /// Its text.
        text: String,
    },
    /// There was no answer. The call may have taken effect.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// There was an answer that makes no sense. The call has probably taken effect.
    #[error("the answer cannot be understood: {0}")]
    Strange(String),
    /// The call could not be made. Nothing has happened.
    #[error(transparent)]
    Unmade(#[from] Failure),
}

/// A task that RDS is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRequest {
    /// `rds_backup_database`. Nothing is ever overwritten.
    Backup {
        /// The database.
        database: String,
        /// Where it goes: the ARN of a key, with one `*` in its name where there are several files.
        object_arn: String,
        /// What it is to hold.
        backup_type: BackupType,
        /// How many files.
        files: u32,
        /// ARN of the KMS key that they are encrypted with.
        kms_key_arn: Option<String>,
    },
    /// `rds_tlog_backup_copy_to_S3`, to where the instance copies log backups.
    CopyLogs {
        /// The database.
        database: String,
        /// The ARN of where the instance copies them to: the session's own place.
        target_arn: String,
        /// RDS's number of the first one.
        first: u64,
        /// That of the last one.
        last: u64,
        /// ARN of the KMS key that an instance with encrypted storage asks for; it takes none otherwise.
        kms_key_arn: Option<String>,
    },
    /// `rds_restore_database`, or `rds_restore_log`.
    Restore {
        /// The name that the database gets.
        database: String,
        /// Where it comes from: the ARN of a key, or of what several begin with and a `*`.
        object_arn: String,
        /// What the backup holds.
        backup_type: BackupType,
        /// ARN of the KMS key that its files were encrypted with.
        kms_key_arn: Option<String>,
        /// Whether the database waits for more then.
        more_follows: bool,
        /// Of a log backup: the moment after which nothing of it is restored, on the server's clock.
        stop_at: Option<DateTime>,
        /// What this step is asked for besides.
        options: RestoreOptions,
    },
    /// `rds_finish_restore`.
    Finish {
        /// The database.
        database: String,
    },
}

impl TaskRequest {
    /// The database it is for, as the instance knows it.
    pub fn database(&self) -> &str {
        match self {
            Self::Backup { database, .. }
            | Self::CopyLogs { database, .. }
            | Self::Restore { database, .. }
            | Self::Finish { database } => database,
        }
    }

    /// What its task is found by; empty where it has none.
    pub fn object_arn(&self) -> &str {
        match self {
            Self::Backup { object_arn, .. } | Self::Restore { object_arn, .. } => object_arn,
            Self::CopyLogs { target_arn, .. } => target_arn,
            Self::Finish { .. } => "",
        }
    }

    /// Whether a task was submitted for it, or for the same in an earlier attempt. Copies of log backups of all databases of a
    /// session have one ARN.
    pub fn is_asked_by(&self, task: &Task) -> bool {
        match self {
            Self::Finish { database } => task.kind == self.kind() && task.database == *database,
            Self::CopyLogs { database, target_arn, .. } => is_copy(task, database, target_arn),
            Self::Backup { object_arn, .. } | Self::Restore { object_arn, .. } => task.object_arn.trim() == object_arn,
        }
    }

    /// What its task is called.
    pub fn kind(&self) -> TaskType {
        match self {
            Self::Backup { backup_type: BackupType::Full, .. } => TaskType::BackupDb,
            Self::Backup { backup_type: BackupType::Differential, .. } => TaskType::BackupDbDifferential,
            // RDS backs up logs by itself.
            Self::Backup { backup_type: BackupType::Log, .. } | Self::CopyLogs { .. } => TaskType::CopyLogs,
            Self::Restore { backup_type, more_follows, .. } => restore::kind(*backup_type, *more_follows),
            Self::Finish { .. } => TaskType::FinishRestore,
        }
    }
}

/// Whether a task copies log backups of this database there. Its name is not documented; nothing else has that ARN.
pub(super) fn is_copy(task: &Task, database: &str, target_arn: &str) -> bool {
    task.database == database && is_same_target(&task.object_arn, target_arn)
}

/// Whether two ARNs name the same place for log backups.
pub(super) fn is_same_target(one: &str, other: &str) -> bool {
    one.trim().trim_end_matches('/') == other.trim().trim_end_matches('/')
}

/// An instance of RDS for SQL Server. An implementation connects by itself, again where a connection broke, and never
/// repeats a call; a call whose future is dropped is given up, and its outcome unknown.
#[async_trait]
pub trait Server: Send + Sync {
    /// What it is.
    async fn facts(&self) -> Result<ServerFacts, CallError>;

    /// Its databases, the server's own included.
    async fn databases(&self) -> Result<Vec<DatabaseFacts>, CallError>;

    /// Full and differential backups of a database that it remembers.
    async fn history(&self, database: &str) -> Result<Vec<BackupSet>, CallError>;

    /// Log backups of a database that RDS has within reach, in no order.
    async fn log_backups(&self, database: &str) -> Result<Vec<LogBackup>, CallError>;

    /// ARN of where the instance copies log backups to; `None` where nobody has ever said so.
    async fn log_target(&self) -> Result<Option<String>, CallError>;

    /// Says where the instance copies log backups to. RDS refuses that while any task is pending.
    async fn set_log_target(&self, arn: &str) -> Result<(), CallError>;

    /// Asks for a task. It is carried out later.
    async fn submit(&self, request: &TaskRequest) -> Result<TaskId, CallError>;

    /// A task by its number; `None` where there is none.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError>;

    /// All tasks that it remembers.
    async fn tasks(&self) -> Result<Vec<Task>, CallError>;

    /// Asks a task to stop. The end of a restore cannot be stopped.
    async fn cancel(&self, id: TaskId) -> Result<(), CallError>;

    /// Drops a database, whatever its state, with its connections and its history.
    async fn drop_database(&self, name: &str) -> Result<(), CallError>;

    /// Gives a database another name. Connections to it are ended where they are in the way.
    async fn rename_database(&self, from: &str, to: &str) -> Result<(), CallError>;
}
