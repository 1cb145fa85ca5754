//! `repository key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// What opens the repository, oldest first
    List {
        /// Name of the repository
        name: String,
    },
    /// Add another way to open the repository
    Add(AddArguments),
    /// Remove a way to open the repository; never the one that the coordinator uses
    Remove {
        /// Name of the repository
        name: String,
        /// Id of the key, as `key list` shows it
        id: String,
        /// Really: whoever holds this key cannot open the repository any more
        #[arg(long)]
        yes: bool,
    },
    /// Replace what the coordinator opens the repository with, or wrap its master key anew under the same
    Rotate {
        /// Name of the repository
        name: String,
        /// KMS key that wraps the master key from now on
        #[arg(long, value_name = "ARN", conflicts_with = "passphrase_secret_arn")]
        kms_key_arn: Option<String>,
        /// Secrets Manager secret with the passphrase that wraps the master key from now on
        #[arg(long, value_name = "ARN")]
        passphrase_secret_arn: Option<String>,
        /// File whose first line is a passphrase that opens the repository, where what the coordinator opens it with is
        /// lost; - reads stdin
        #[arg(long, value_name = "FILE")]
        open_with_passphrase_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// Name of the repository
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) key: AddedKey,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AddedKey {
    /// KMS key
    #[arg(long, value_name = "ARN")]
    pub(crate) kms_key_arn: Option<String>,
    /// Secrets Manager secret with a passphrase
    #[arg(long, value_name = "ARN")]
    pub(crate) passphrase_secret_arn: Option<String>,
    /// File whose first line is a passphrase that is kept nowhere else; - reads stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}
