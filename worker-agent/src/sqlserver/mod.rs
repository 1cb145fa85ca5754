//! The SQL Server mover: has RDS write native backups into a temporary bucket and moves the files into the repository, and
//! the same the other way round.
//!
//! [`backup::run`] and [`restore::run`] are the ways in. They reach the world through a [`Context`]: the instance behind the
//! port [`Server`] (its adapter is [`tds`]), the temporary bucket, streams in the repository, whom to tell. What is decided,
//! `haulier_domain::sqlserver` decides; here it is done.
//!
//! RDS carries out a task by itself, and keeps it for weeks. So the number of a task is told to the coordinator before
//! anything else, and where the answer to a submission was lost, the task is found by the ARN that only this session uses
//! for this database. A worker that takes over finds everything that the one before has asked for, and asks for nothing
//! twice.

pub mod backup;
mod calls;
pub mod context;
pub mod deliver;
mod failures;
pub mod fetch;
mod hashing;
pub mod job;
mod log_target;
mod manifests;
mod objects;
pub mod port;
pub mod restore;
mod tasks;
pub mod tds;

pub use context::{Context, Pace, PartSink, TaskSink};
pub use job::{BackupJob, BackupOutcome, DatabaseRestore, FullPoint, RestoreJob, RestoreOutcome, RestoredDatabase};
pub use port::{CallError, Server, TaskRequest};
