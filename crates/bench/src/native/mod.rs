//! What `cargo xtask bench native` runs as children: files of native backups of SQL Server between a temporary bucket and a
//! repository, moved by the code that a worker moves them with, and a plain copy beside it. One child, one way, so that what
//! each takes can be told apart.
//!
//! The buckets are those that the environment leads to: the local cloud's.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use haulier_cloud::aws::AwsCloud;
use haulier_cloud::object_store::ObjectStore;
use serde_json::Value;

use crate::repository::{self, runtime};

mod moved;
mod plain;

/// A part of the benchmark of native backups.
#[derive(Debug, Subcommand)]
pub(crate) enum Native {
    /// Makes an object of database pages.
    Make(plain::Make),
    /// Copies an object into another bucket and does nothing else with it: ranges are read side by side and uploaded as parts.
    Copy(plain::Copy),
    /// Prints the SHA-256 of an object.
    Digest(Object),
    /// Removes every object of a bucket.
    Empty {
        /// The bucket.
        bucket: String,
    },
    /// Creates a repository in a bucket.
    Create {
        /// The bucket.
        bucket: String,
    },
    /// Moves an object into the repository as a restore point, and prints what came of it.
    Fetch(moved::Fetch),
    /// Moves the object of a restore point into a bucket.
    Deliver(moved::Deliver),
}

/// An object.
#[derive(Debug, Args)]
pub(crate) struct Object {
    /// Its bucket.
    #[arg(long)]
    bucket: String,
    /// Its key.
    #[arg(long)]
    key: String,
}

/// Carries it out.
pub(crate) fn run(native: &Native) -> Result<()> {
    // Two providers are linked; without this, rustls would not choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    runtime()?.block_on(async {
        match native {
            Native::Make(make) => plain::make(make).await,
            Native::Copy(copy) => plain::copy(copy).await,
            Native::Digest(object) => plain::digest(object).await.map(|digest| print(&digest.into())),
            Native::Empty { bucket } => plain::empty(bucket).await,
            Native::Create { bucket } => repository::create_in(store(bucket).await?).await,
            Native::Fetch(fetch) => moved::fetch(fetch).await.map(|stats| print(&stats)),
            Native::Deliver(deliver) => moved::deliver(deliver).await,
        }
    })
}

/// A bucket of the Region that the environment names.
async fn store(bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let region = std::env::var("AWS_REGION").context("AWS_REGION names the Region")?;
    Ok(AwsCloud::from_environment(&region).await.object_store(bucket, &region))
}

/// Bytes of an object that must be there.
async fn size_of(store: &dyn ObjectStore, key: &str) -> Result<u64> {
    let found = store.head(key).await.with_context(|| format!("looking for {key}"))?;
    Ok(found.with_context(|| format!("there is no {key}"))?.size)
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(value: &Value) {
    println!("{value}");
}
