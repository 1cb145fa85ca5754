//! The pure part of Haulier: plain data and decisions over it. Nothing here reads a clock, a network, a file or a
//! database; whoever needs one of those passes its answer in. Terms are those of the glossary in `docs/glossary.md`.

pub mod clash;
pub mod failure;
pub mod file_name;
pub mod id;
pub mod immutability;
pub mod left_behind;
pub mod manifest;
pub mod native_backup;
pub mod placement;
pub mod point;
pub mod policy;
pub mod postgres;
pub mod proof;
pub mod schedule;
pub mod secret;
pub mod security_groups;
pub mod session;
pub mod session_policy;
pub mod sqlserver;
