//! Where a repository lies.

use std::path::PathBuf;

use clap::Args;

/// A repository in its bucket.
#[derive(Debug, Clone, Args)]
pub(crate) struct Location {
    /// Bucket of the repository
    #[arg(long)]
    pub(crate) bucket: String,
    /// Region of the bucket
    #[arg(long)]
    pub(crate) region: String,
    /// Prefix within the bucket
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

/// The same with what opens it, for commands that ask no coordinator.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) location: Location,
    /// File whose first line is a passphrase of the repository; - reads stdin [default: the repository's KMS keys]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// The same where a coordinator is asked unless a bucket is named.
#[derive(Debug, Args)]
pub(crate) struct MaybePlace {
    /// Ask no coordinator: read the repository in this bucket
    #[arg(long, requires = "region", help_heading = "Without a coordinator")]
    bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, requires = "bucket", help_heading = "Without a coordinator")]
    region: Option<String>,
    /// Prefix within the bucket
    #[arg(long, requires = "bucket", help_heading = "Without a coordinator")]
    prefix: Option<String>,
    /// File whose first line is a passphrase of the repository; - reads stdin [default: the repository's KMS keys]
    #[arg(long, value_name = "FILE", requires = "bucket", help_heading = "Without a coordinator")]
    passphrase_file: Option<PathBuf>,
}

impl MaybePlace {
    /// The place, where one is named.
    pub(crate) fn place(&self) -> Option<Place> {
        let location = Location {
            bucket: self.bucket.clone()?,
            region: self.region.clone()?,
            prefix: self.prefix.clone().unwrap_or_default(),
        };
        Some(Place { location, passphrase_file: self.passphrase_file.clone() })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Id: pnt-…
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only this database; may be repeated [default: every database of the point]
    #[arg(long = "database", value_name = "NAME")]
    pub(crate) databases: Vec<String>,
    /// Folder for the files; it is made where there is none, and nothing in it is overwritten
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
}
