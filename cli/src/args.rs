//! The command line's grammar.

pub(crate) mod key;
pub(crate) mod place;
pub(crate) mod restore;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::output::Format;

/// Backups of Amazon RDS databases: asks the coordinator.
#[derive(Debug, Parser)]
#[command(name = "haulier", version, max_term_width = 100, after_help = "Exit codes are listed in docs/cli.md.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How answers are written
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the coordinator. Flags win over variables, those over the configuration file.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The coordinator's control service: https://host:port [env: HAULIER_COORDINATOR]
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) coordinator: Option<String>,
    /// PEM file of the authority that signed the coordinator's certificate [env: HAULIER_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File that holds the operator's token [env: HAULIER_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) token_file: Option<PathBuf>,
    /// Configuration file [env: HAULIER_CLI_CONFIG] [default: ~/.config/haulier/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What to protect, where to and when
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Runs of operations
    #[command(subcommand)]
    Session(SessionCommand),
    /// Restore points
    #[command(subcommand)]
    Point(PointCommand),
    /// Restore from a point
    #[command(subcommand)]
    Restore(RestoreCommand),
    /// Where backups are kept
    #[command(subcommand)]
    Repository(RepositoryCommand),
    /// Database instances
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// Workers
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Every cloud resource that sessions have asked for
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Name every fault of a policy file, without storing it
    Validate {
        /// YAML file; - reads stdin
        file: PathBuf,
    },
    /// Create or replace the policy that a file describes
    Apply {
        /// YAML file; - reads stdin
        file: PathBuf,
    },
    /// All policies
    List,
    /// Print a policy's document
    Show {
        /// Name of the policy
        name: String,
    },
    /// Start a session for each resource of a policy, now
    Run {
        /// Name of the policy
        name: String,
        #[command(flatten)]
        start: Start,
    },
    /// Remove a policy; its restore points stay
    Delete {
        /// Name of the policy
        name: String,
    },
}

/// What commands have in common that start sessions.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Wait for the end; the exit code tells the result
    #[arg(long)]
    pub(crate) wait: bool,
    /// A repeated call with the same key starts nothing new; with another request, the key is refused
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

impl Start {
    /// The given key, or a fresh one.
    pub(crate) fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Sessions, newest first
    List {
        /// Only of this policy
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        /// Only of this DB instance
        #[arg(long, value_name = "ID")]
        resource: Option<String>,
        /// Only in this state; may be repeated
        #[arg(long = "state", value_enum, value_name = "STATE")]
        states: Vec<State>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
    },
    /// One session
    Show {
        /// Id: ses-…
        id: String,
    },
    /// A session's log and progress, from its beginning to its end; the exit code tells the result
    Tail {
        /// Id: ses-…
        id: String,
        /// Only what comes after this event number
        #[arg(long, default_value_t = 0, value_name = "N")]
        after: u64,
    },
    /// Ask a session to stop; it still removes what it made
    Cancel {
        /// Id: ses-…
        id: String,
        /// Why, for the log
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Wait for the end; exit code 0 if it was cancelled
        #[arg(long)]
        wait: bool,
    },
}

/// A session's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Queued,
    Running,
    TearingDown,
    Succeeded,
    Warning,
    Failed,
    Cancelled,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PointCommand {
    /// Restore points, newest first
    List {
        /// Only of this DB instance
        #[arg(long, value_name = "ID")]
        resource: Option<String>,
        /// Only in this repository
        #[arg(long, value_name = "NAME", conflicts_with = "bucket")]
        repository: Option<String>,
        #[command(flatten)]
        place: place::MaybePlace,
    },
    /// One restore point and its databases
    Show {
        /// Id: pnt-…
        id: String,
        #[command(flatten)]
        place: place::MaybePlace,
    },
    /// Write a restore point as archives that stock pg_restore reads, straight from the bucket, without a coordinator
    Export(Box<place::ExportArguments>),
    /// Start a session that verifies a restore point: it reads its structure, every byte, or restores it
    #[command(visible_alias = "check")]
    Verify {
        /// Id: pnt-…
        id: String,
        /// Read every byte, not the structure alone
        #[arg(long, conflicts_with = "restore")]
        full: bool,
        /// Read every byte of a part of it that is chosen at random each time, in percent
        #[arg(long, value_name = "PERCENT", conflicts_with_all = ["restore", "full"],
              value_parser = clap::value_parser!(u32).range(1..=100))]
        sample: Option<u32>,
        /// Restore every database into a scratch server on the worker and compare every table
        #[arg(long)]
        restore: bool,
        #[command(flatten)]
        start: Start,
    },
    /// Start a session that copies a restore point into another repository, unless its copy is there
    Copy {
        /// Id: pnt-…
        id: String,
        /// Name of the repository to copy it to
        #[arg(long, value_name = "NAME")]
        to_repository: String,
        #[command(flatten)]
        start: Start,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    /// Restore databases of a point into an instance
    Database(Box<restore::RestoreArguments>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryCommand {
    /// Make a repository in a bucket that exists
    Create(RepositoryArguments),
    /// Add to the catalogue every restore point that a repository holds: after the coordinator's state was lost
    Import(ImportArguments),
    /// All repositories
    List,
    /// What opens a repository
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Delete what no restore point needs: marked by one prune, deleted by a later one
    Prune {
        /// Name of the repository
        name: String,
        /// Change nothing; tell what would be freed
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        start: Start,
    },
    /// Bring back what somebody has hidden under delete markers in an immutable repository
    Undelete {
        /// Name of the repository
        name: String,
        /// Index objects and removed keys, too, which Haulier hides itself
        #[arg(long)]
        all: bool,
        /// Change nothing; tell what is hidden
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RepositoryArguments {
    /// Name, as policies say it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) location: place::Location,
    /// KMS key that wraps the master key; either this or --passphrase-secret-arn
    #[arg(
        long,
        value_name = "ARN",
        conflicts_with = "passphrase_secret_arn",
        required_unless_present = "passphrase_secret_arn"
    )]
    pub(crate) kms_key_arn: Option<String>,
    /// Secrets Manager secret with the passphrase that wraps the master key; either this or --kms-key-arn
    #[arg(long, value_name = "ARN")]
    pub(crate) passphrase_secret_arn: Option<String>,
    /// Keep S3 from deleting what restore points need; cannot be changed later. The bucket must have Object Lock
    #[arg(long, value_enum, value_name = "MODE", requires = "retention_days")]
    pub(crate) object_lock: Option<ObjectLock>,
    /// For so many days from the beginning of each backup
    #[arg(long, value_name = "N", requires = "object_lock", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) retention_days: Option<u32>,
}

/// How strictly Object Lock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectLock {
    /// Whoever may bypass governance can delete all the same
    Governance,
    /// Nobody can, the account's owner neither
    Compliance,
}

/// Where the repository lies; all of it may be left out for one that the coordinator has already.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Name, as policies say it
    pub(crate) name: String,
    /// Bucket
    #[arg(long, requires = "region")]
    pub(crate) bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, requires = "bucket")]
    pub(crate) region: Option<String>,
    /// Prefix within the bucket
    #[arg(long, requires = "bucket")]
    pub(crate) prefix: Option<String>,
    /// KMS key that opens it; either this or --passphrase-secret-arn
    #[arg(long, value_name = "ARN", requires = "bucket", conflicts_with = "passphrase_secret_arn")]
    pub(crate) kms_key_arn: Option<String>,
    /// Secrets Manager secret with the passphrase that opens it; either this or --kms-key-arn
    #[arg(long, value_name = "ARN", requires = "bucket")]
    pub(crate) passphrase_secret_arn: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Database instances in the policies' accounts and Regions
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Workers, live ones first
    List {
        /// Ended ones too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Cloud resources, oldest first
    List {
        /// Only of this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Only what has not been removed
        #[arg(long)]
        open: bool,
    },
}
