//! The coordinator's settings: defaults, then the file, then the environment, then flags; what comes later wins.
//!
//! Every setting is one row of [`settings::SETTINGS`]: its key in the file, its variable, its flag and its default come
//! from there, so that none of the four can be forgotten. Values stay text until all layers are laid over each other,
//! and a value that does not parse is told with the layer it came from. All faults are told at once.

mod file;
mod layers;
mod settings;
mod values;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::yaml::DocumentFault;

pub use settings::{SETTINGS, Setting};

/// The coordinator's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the state database, the certificate authority and the operators' token.
    pub state_dir: PathBuf,
    /// Region of the coordinator's own calls: STS, and secrets that name no Region.
    pub region: String,
    /// Where the worker service listens.
    pub worker_listen: SocketAddr,
    /// URL that workers dial: `https://host:port`.
    pub worker_advertise: String,
    /// Where the control service listens.
    pub control_listen: SocketAddr,
    /// Further names and addresses at which operators reach it, for its certificate.
    pub control_names: Vec<String>,
    /// ARN of the KMS key that wraps the installation key; without one that key lies in a file of mode 0600.
    pub installation_kms_key: Option<String>,
    /// Log lines.
    pub log: Log,
    /// Workers, where the policy says nothing else.
    pub worker: WorkerSettings,
    /// How often the reaper looks for cloud resources that no live session owns.
    pub reaper_interval: Duration,
    /// Sessions that run at once in the whole installation; the others wait in order.
    pub max_sessions: u32,
    /// How long something in a repository is marked before a prune deletes it.
    pub prune_grace: Duration,
    /// How often things are looked at, and how long they are waited for.
    pub pace: Pace,
}

/// How often things are looked at, and how long they are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Between two `Describe*` rounds of one account and Region, while somebody waits.
    pub poll: Duration,
    /// Between heartbeats of a worker.
    pub heartbeat: Duration,
    /// How long AWS's listings may lag behind.
    pub settle: Duration,
    /// How long a launched worker may take to attach.
    pub boot: Duration,
    /// How long a worker may take to stop after a cancel.
    pub cancel: Duration,
    /// How long a step goes on through an outage of the cloud before its session fails.
    pub outage: Duration,
    /// How long an instance may take to become `available`.
    pub available: Duration,
    /// Between the first two rounds through instance types and subnets, where EC2 has no room for a worker.
    pub capacity: Duration,
    /// Between two looks at the schedules.
    pub schedule: Duration,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Workers, where the policy says nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Role whose session-scoped credentials a worker gets.
    pub role_arn: Option<String>,
    /// Instance profile by name; it needs no permissions.
    pub instance_profile: Option<String>,
    /// EC2 instance types in order of preference.
    pub instance_types: Vec<String>,
    /// Tag that the worker's image carries; the newest image with it is taken.
    pub image_tag: (String, String),
    /// How long a worker goes on without its coordinator before it powers off.
    pub patience: Duration,
    /// How long a worker lives at most, whatever happens.
    pub deadline: Duration,
    /// Workers that one session may use up before it fails.
    pub attempts: u64,
    /// Rounds through all instance types and subnets, where EC2 has no room for a worker, before the session fails.
    pub launch_rounds: u64,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line does not parse, or asked for help or version.
    #[error("{0}")]
    Arguments(#[source] clap::Error),
    /// The file could not be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Some settings are wrong.
    #[error("{0}")]
    Faulty(Faulty),
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct Faulty {
    /// The file, where one was read.
    pub file: Option<PathBuf>,
    /// Every fault.
    pub faults: Vec<DocumentFault>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings have faults:")?;
        for fault in &self.faults {
            f.write_str("\n  ")?;
            match &self.file {
                Some(file) if fault.place.line > 0 => write!(f, "{}: {fault}", file.display())?,
                _ => write!(f, "{}", fault.fault)?,
            }
        }
        Ok(())
    }
}

/// Reads the settings from the arguments (the program's name first), the environment and the file they name.
///
/// # Errors
/// Where the arguments do not parse, the file cannot be read, or any setting is wrong.
pub fn load<I, T>(arguments: I, environment: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    layers::load(arguments, environment)
}

#[cfg(test)]
mod tests;
