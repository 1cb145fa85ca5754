//! Native backups of RDS for SQL Server, as far as the coordinator decides about them: RDS itself writes and reads the files,
//! through a temporary bucket.
//!
//! - [`Engine`]: which instances are dumped, and which are backed up natively;
//! - [`option_group::readiness`]: whether RDS may do it for an instance at all, and [`trust::trust`]: whether the role that
//!   it assumes for this trusts it for this instance;
//! - [`key::usable`]: whether RDS can encrypt with a key of KMS;
//! - [`window::verdict`]: whether now is a time for it;
//! - [`choice::next`]: full, differential or the log, and on which full backup the latter two stand;
//! - [`logs::allowed`]: whether RDS gives log backups of the instance, and with which key of KMS;
//! - [`temporary`]: names and protection of temporary buckets.
//!
//! Rules are AWS's: RDS User Guide, "Importing and exporting SQL Server databases using native backup and restore".

pub mod choice;
mod engine;
pub mod key;
pub mod logs;
pub mod option_group;
pub mod temporary;
pub mod trust;
pub mod window;

pub use engine::Engine;
