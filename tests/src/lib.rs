//! What the demo and the end-to-end tests share: the local cloud, a coordinator, the operator's command line, databases
//! to protect, and an oracle that tells whether two databases are the same.
//!
//! Nothing here is linked with the product: it starts its binaries and reads what they print, as a user would.

mod aws;
pub mod bin;
pub mod cloud;
pub mod coordinator;
pub mod dataset;
pub mod documented;
pub mod haulier;
pub mod ledger;
pub mod logs;
pub mod oracle;
pub mod process;
pub mod psql;
pub mod reader;
pub mod secrets;
pub mod sqlserver;
pub mod stage;
pub mod wait;

/// Says on standard error that a test, or a part of one, had nothing to work with. Silence would look like success.
#[expect(clippy::print_stderr, reason = "for whoever reads the output of the tests")]
pub fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}
