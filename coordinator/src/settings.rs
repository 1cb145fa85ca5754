//! What the coordinator was told at its start, in the form its parts use. The config file is turned into this.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use haulier_domain::session::SessionKind;

use crate::config::Config;

/// A KMS key that wraps the installation key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappingKey {
    /// ARN.
    pub arn: String,
    /// Region of the key.
    pub region: String,
}

/// Settings of one coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where `state.db`, `workflows.db`, `ca/` and `installation.key` lie.
    pub state_dir: PathBuf,
    /// Where workers are listened for.
    pub worker_listen: SocketAddr,
    /// Where operators are listened for.
    pub control_listen: SocketAddr,
    /// URL at which workers reach the coordinator: `https://host:port`. Port 0 stands for the one it listens on.
    pub worker_advertise: String,
    /// Region of the coordinator's own AWS clients.
    pub region: String,
    /// AWS partition.
    pub partition: String,
    /// Wraps the installation key; without one it lies in a file of mode 0600.
    pub wrapping_key: Option<WrappingKey>,
    /// Sessions that run at once in the whole installation; 0 means any number.
    pub max_sessions: u32,
    /// How long something in a repository is marked before a prune deletes it.
    pub prune_grace: Duration,
    /// Workers' defaults.
    pub worker: WorkerSettings,
    /// How often things are looked at, and how long they are waited for.
    pub pace: Pace,
}

/// What a worker is made of where its policy does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Instance types in order of preference.
    pub instance_types: Vec<String>,
    /// Instance profile; it needs no permissions.
    pub instance_profile: Option<String>,
    /// Role whose sessions the worker's credentials are; `None` means the role `haulier-session` of the instance's
    /// account. It is another than that of the instance profile, which may do nothing.
    pub role_arn: Option<String>,
    /// Tag of the images that workers boot from; the newest with it is taken.
    pub image_tag: (String, String),
    /// TCP ports that the base group of a VPC lets out besides the coordinator's: 443 for AWS.
    pub egress_ports: Vec<u16>,
    /// Workers one session may use up before it fails.
    pub attempts: u64,
    /// Rounds through all instance types and subnets, where EC2 has no room for a worker, before the session fails.
    pub launch_rounds: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            instance_types: vec!["m7i.large".into(), "m6i.large".into()],
            instance_profile: Some("haulier-worker".into()),
            role_arn: None,
            image_tag: ("haulier:component".into(), "worker".into()),
            egress_ports: vec![443],
            attempts: 3,
            launch_rounds: 5,
        }
    }
}

/// How often things are looked at, and how long they are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Between two `Describe*` rounds of one account and Region, while somebody waits.
    pub poll: Duration,
    /// First and longest pause between attempts at a call that did not succeed.
    pub back_off: (Duration, Duration),
    /// How long a step goes on through an outage of the cloud before its session fails.
    pub outage: Duration,
    /// How long an instance may take to become `available`.
    pub available: Duration,
    /// Between heartbeats of a worker.
    pub heartbeat: Duration,
    /// How long a worker goes on without a coordinator.
    pub patience: Duration,
    /// How long a launched worker may take to attach.
    pub boot: Duration,
    /// How long a worker may take to stop after a cancel.
    pub cancel: Duration,
    /// How much longer that of a restore may take: it drops what it has begun on the target.
    pub tidying: Duration,
    /// Longest life of a worker; it powers off then, whatever happens.
    pub session: Duration,
    /// How long AWS may lag behind: nothing is taken for absent sooner than this after it was asked for, neither because it is
    /// not listed nor because a call that names it is refused.
    pub settle: Duration,
    /// Between two rounds of the reaper.
    pub reaper: Duration,
    /// Between the first two rounds of launches where EC2 has no room; each later pause is twice as long.
    pub capacity: Duration,
    /// Between two looks at the schedules.
    pub schedule: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(5),
            back_off: (Duration::from_millis(500), Duration::from_secs(60)),
            outage: Duration::from_secs(3600),
            available: Duration::from_secs(3600),
            heartbeat: Duration::from_secs(5),
            patience: Duration::from_secs(300),
            boot: Duration::from_secs(600),
            cancel: Duration::from_secs(20),
            tidying: SessionKind::DatabaseRestore.tidying(),
            session: Duration::from_secs(24 * 3600),
            settle: Duration::from_secs(60),
            reaper: Duration::from_secs(300),
            capacity: Duration::from_secs(60),
            schedule: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// From the config file.
    pub fn from_config(config: &Config) -> Self {
        Self {
            state_dir: config.state_dir.clone(),
            worker_listen: config.worker_listen,
            control_listen: config.control_listen,
            worker_advertise: config.worker_advertise.clone(),
            region: config.region.clone(),
            partition: partition(&config.region).to_owned(),
            wrapping_key: config.installation_kms_key.as_deref().map(wrapping_key),
            max_sessions: config.max_sessions,
            prune_grace: config.prune_grace,
            worker: WorkerSettings {
                instance_types: config.worker.instance_types.clone(),
                instance_profile: config.worker.instance_profile.clone(),
                role_arn: config.worker.role_arn.clone(),
                image_tag: config.worker.image_tag.clone(),
                attempts: config.worker.attempts,
                launch_rounds: config.worker.launch_rounds,
                ..WorkerSettings::default()
            },
            pace: Pace {
                patience: config.worker.patience,
                session: config.worker.deadline,
                reaper: config.reaper_interval,
                poll: config.pace.poll,
                heartbeat: config.pace.heartbeat,
                settle: config.pace.settle,
                boot: config.pace.boot,
                cancel: config.pace.cancel,
                outage: config.pace.outage,
                available: config.pace.available,
                capacity: config.pace.capacity,
                schedule: config.pace.schedule,
                ..Pace::default()
            },
        }
    }

    /// `https://host:port` as workers dial it.
    pub fn worker_endpoint(&self, bound: SocketAddr) -> String {
        match self.worker_advertise.strip_suffix(":0") {
            Some(without_port) => format!("{without_port}:{}", bound.port()),
            None => self.worker_advertise.clone(),
        }
    }

    /// Name or address at which workers reach the coordinator, as it stands in its certificate.
    pub fn advertised_host(&self) -> String {
        let authority = self.worker_advertise.trim_start_matches("https://");
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    }
}

/// A KMS key and its Region, which stands in its ARN.
fn wrapping_key(arn: &str) -> WrappingKey {
    WrappingKey { arn: arn.to_owned(), region: arn.split(':').nth(3).unwrap_or_default().to_owned() }
}

/// The AWS partition of a Region.
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_names_the_host_that_workers_dial() {
        for (url, host) in
            [("https://10.0.0.1:7443", "10.0.0.1"), ("https://h.example:0", "h.example"), ("https://[::1]:1", "::1")]
        {
            let settings = Settings { worker_advertise: url.into(), ..Settings::for_tests() };
            assert_eq!(settings.advertised_host(), host);
        }
    }

    impl Settings {
        fn for_tests() -> Self {
            Self {
                state_dir: PathBuf::new(),
                worker_listen: ([127, 0, 0, 1], 0).into(),
                control_listen: ([127, 0, 0, 1], 0).into(),
                worker_advertise: String::new(),
                region: "eu-central-1".into(),
                partition: "aws".into(),
                wrapping_key: None,
                max_sessions: 0,
                prune_grace: Duration::ZERO,
                worker: WorkerSettings::default(),
                pace: Pace::default(),
            }
        }
    }

    #[test]
    fn an_open_port_is_the_one_that_was_bound() {
        let settings = Settings { worker_advertise: "https://10.0.0.1:0".into(), ..Settings::for_tests() };
        assert_eq!(settings.worker_endpoint(([0, 0, 0, 0], 71).into()), "https://10.0.0.1:71");
        let fixed = Settings { worker_advertise: "https://10.0.0.1:5".into(), ..Settings::for_tests() };
        assert_eq!(fixed.worker_endpoint(([0, 0, 0, 0], 71).into()), "https://10.0.0.1:5");
    }
}
