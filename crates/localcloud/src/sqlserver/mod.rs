//! A stand-in for RDS for SQL Server: what somebody needs who backs its databases up natively and restores them.
//!
//! It speaks real TDS with real TLS, knows as much SQL as that takes, and keeps databases as real backup images or as
//! pages that are made when they are read. Its native tasks run beside its connections and go to the local S3 with the
//! credentials of the option group's role; log backups are written there by the service itself, as the bucket's policy lets
//! it. What it says follows AWS's documents and SQL Server's own message texts.
//!
//! It shares no list with the product, of editions, lifecycles or texts: a stand-in that said what its caller is known to
//! understand would show nothing.
//!
//! What is not as in reality: log backups are taken when the cloud's control is asked for one, and a log holds which pages
//! were changed and not how; there is one login, the master's; databases have no tables; a differential that follows a
//! snapshot builds on the snapshot, as SQL Server does it, and what RDS does beyond that is not documented; RDS's snapshot
//! after a restore is not taken; files of another server's backups are taken as a set, whether or not they belong together.

mod agent;
mod backup;
mod bucket;
mod catalogue;
mod connection;
mod contents;
mod database;
mod edition;
mod error;
mod foreign;
mod frames;
mod instance;
mod location;
mod log;
mod log_target;
mod procedures;
mod restore;
mod roll_forward;
mod server;
mod session;
mod sql;
mod state;
mod surroundings;
mod tasks;
mod tds;
mod value;

pub use edition::Edition;
pub use server::{NewDatabase, NewImages};
pub(crate) use server::{Server, Start};
pub use surroundings::{DataKey, KeyFault, Surroundings};

/// `@@SERVERNAME`, and the server that backups name.
const SERVER_NAME: &str = "EC2AMAZ-LOCALCLOUD";
/// Internal version of databases: SQL Server 2022.
const VERSION: u16 = 957;
const COMPATIBILITY: u8 = 160;
const PRODUCT_VERSION: &str = "16.0.4195.2";
const PRODUCT_LEVEL: &str = "RTM";
const COLLATION: &str = "SQL_Latin1_General_CP1_CI_AS";
