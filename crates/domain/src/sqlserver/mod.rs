//! Decisions of the SQL Server mover: what a text of the server means, where a task stands, how files are named and how
//! many there are, which databases are backed up and which must not be, whether a differential backup has its base and
//! log backups have no gap, and in which order a restore goes. Plain functions over plain data; the mover in the worker agent
//! performs what they return.
//!
//! Rules and texts come from AWS's documentation of native backup and restore on RDS for SQL Server, where nothing else is
//! said.

pub mod chain;
pub mod diagnosis;
pub mod export;
pub mod keys;
pub mod left_behind;
pub mod log_chain;
pub mod log_target;
pub mod manifest;
pub mod names;
pub mod options;
pub mod preflight;
pub mod restore;
pub mod row;
pub mod selection;
pub mod server;
pub mod task;
pub mod task_info;
