//! Native backups of SQL Server from end to end, with the permissions of the documents alone: real files, processes that die,
//! tasks that fail or hang, cancels, sessions that share a temporary bucket.

mod cancels;
mod crashes;
#[path = "../documented/mod.rs"]
mod documented;
mod errors;
mod files;
mod log_crashes;
mod scene;
mod sharing;
mod strike;
