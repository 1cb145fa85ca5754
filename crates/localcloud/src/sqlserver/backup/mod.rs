//! Backup images: what lies in a `.bak` file.
//!
//! SQL Server writes the Microsoft Tape Format: blocks (`TAPE`, `SSET`, `VOLB`, …) with streams, and blocks of its own
//! between them: `MSCI` with the configuration of the database (stream `MQCI`), `MSDA` with its pages (`MQDA`), `MSTL` with
//! the log (`MQTL`). The places of the fields in `MQCI` are documented nowhere; they were found by comparing real files: a
//! chain of two full and two differential backups of one database, and others of two versions of SQL Server. What nobody
//! here reads is zero in the images that are written.
//!
//! A compressed backup (`MSSQLBAK`) tells no more than that it is one: all of this is within its compressed blocks.

mod blocks;
mod header;
mod image;
mod log;
mod lsn;
mod read;

pub(crate) use header::{Base, Header, Kind, Member, Part};
pub(crate) use image::{EXTENT, Image, Pages};
pub(crate) use log::{Change, Records};
pub(crate) use lsn::Lsn;
pub(crate) use read::{Inspected, inspect, places};

#[cfg(test)]
mod tests;
