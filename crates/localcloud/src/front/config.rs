//! What the front is started with.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// How long AWS takes for things, in the local cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// `pending` before `running`, after the machine has booted.
    pub instance_pending: Duration,
    /// `shutting-down` (or `stopping`) at least this long.
    pub instance_shutting_down: Duration,
    /// `creating` at least this long, for new and restored DB instances.
    pub database_creating: Duration,
    /// `modifying`.
    pub database_modifying: Duration,
    /// `backing-up`, and the snapshot `creating`, at least this long.
    pub database_backing_up: Duration,
    /// `deleting` at least this long, for DB instances and snapshots.
    pub database_deleting: Duration,
}

impl Delays {
    /// The same delay for everything.
    #[must_use]
    pub fn all(delay: Duration) -> Self {
        Self {
            instance_pending: delay,
            instance_shutting_down: delay,
            database_creating: delay,
            database_modifying: delay,
            database_backing_up: delay,
            database_deleting: delay,
        }
    }
}

impl Default for Delays {
    /// Long enough to be seen by a poller that does not wait, short enough not to be waited for.
    fn default() -> Self {
        Self::all(Duration::from_millis(200))
    }
}

/// What the front is started with.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// The Region it is.
    pub region: String,
    /// Address of the host on the machines' network; the front listens there and on the loopback.
    pub gateway: Ipv4Addr,
    /// Address block of the VPC that is made at the start: that of the machines' network.
    pub vpc_cidr: String,
    /// The two private subnets within it.
    pub subnet_cidrs: [String; 2],
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// The emulator's virtual environment, installed already ([`crate::moto::ensure_installed`]).
    pub moto_dir: PathBuf,
    /// Where the emulator logs.
    pub moto_log: PathBuf,
    /// How long things take.
    pub delays: Delays,
    /// Life of the credentials that instances get from their metadata service; they are renewed before.
    pub instance_credential_lifetime: Duration,
    /// Upper limit on the life of AssumeRole's credentials, below what AWS allows: for tests of expiry.
    pub session_lifetime_limit: Option<Duration>,
    /// Version in the name of the worker image that is registered at the start.
    pub image_version: String,
}

impl FrontConfig {
    /// Usual values for a gateway of a /24 network, `10.A.B.1`.
    #[must_use]
    pub fn new(gateway: Ipv4Addr, moto_dir: PathBuf, moto_log: PathBuf) -> Self {
        let [a, b, c, _] = gateway.octets();
        Self {
            region: "eu-central-1".to_owned(),
            gateway,
            vpc_cidr: format!("{a}.{b}.{c}.0/24"),
            subnet_cidrs: [format!("{a}.{b}.{c}.0/25"), format!("{a}.{b}.{c}.128/25")],
            port: 0,
            moto_dir,
            moto_log,
            delays: Delays::default(),
            instance_credential_lifetime: Duration::from_secs(6 * 3600),
            session_lifetime_limit: None,
            image_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What was made at the start, for `cloud.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// The worker image.
    pub ami_id: String,
    /// The VPC that DB instances and workers share.
    pub vpc_id: String,
    /// Its private subnets, in two Zones.
    pub subnet_ids: Vec<String>,
    /// DB subnet group over them.
    pub db_subnet_group: String,
    /// The group of DB instances made through `/_cloud/instances`.
    pub database_security_group_id: String,
    /// Key behind the alias `alias/haulier`.
    pub kms_key_arn: String,
    /// Role whose credentials a coordinator narrows to a session and gives to its worker.
    pub worker_role_arn: String,
    /// Instance profile of workers; its role may do nothing.
    pub worker_instance_profile: String,
    /// Role that option groups give RDS for native backups of SQL Server.
    pub native_backup_role_arn: String,
    /// Role for the coordinator to assume.
    pub coordinator_role_arn: String,
}
