//! The PostgreSQL mover: streams databases into the repository and back.
//!
//! [`backup::run`], [`restore::run`] and [`verify::run`] are the ways in. They reach the world through a [`Context`]: who logs in,
//! where streams go, whom to tell. Nothing of size touches the disk: archives and rows go from a pipe or a connection to
//! the repository and back. What is decided, `haulier_domain::postgres` decides; here it is done.

pub mod backup;
mod child;
mod connect;
pub mod context;
mod encoding;
mod failures;
pub mod job;
mod private_files;
pub mod restore;
mod text;
mod tools;
pub mod verify;

use crate::mover::side_by_side;
pub use crate::mover::{login, streams};

pub use context::{Context, LogSink, PartSink, ProgressEvent, ProgressSink, Settings, Severity, Stopped, Unremembered};
pub use job::{
    BackupJob, BackupOutcome, DatabaseRestore, DatabaseShare, Instance, OnClash, RestoreJob, RestoreOutcome,
    RestoredPart, RolesShare, VerifyJob, VerifyOutcome,
};
pub use login::{IamLogin, Login, LoginProvider, SecretLogin, TokenSource};
pub use streams::{StoreError, StreamKind, StreamReader, StreamStore, StreamWriter};
pub use tools::majors_on_board;
