//! What stands behind the APIs: real servers and real processes.
//!
//! The front decides and these carry out. The traits keep the two apart, so that the front's rules are tested without
//! starting a server.

mod authority;
mod command;
mod computers;
mod directory;
mod engine;
mod fleet;
mod folder;
mod hosts;
mod metadata;
mod network;
mod nursery;
mod postgres;
mod process;
mod room;
mod ruleset;
mod slot;
mod sqlserver;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::ensure;
use async_trait::async_trait;

pub use self::computers::Namespaces;
pub use self::engine::Engine;
pub use self::fleet::Fleet;
pub use self::network::Fabric;
pub use self::room::{MachineRoom, RoomConfig};

/// A DB instance to make real.
#[derive(Debug, Clone)]
pub struct DbSpec {
    /// `DBInstanceIdentifier`.
    pub id: String,
    /// `DbiResourceId`, by which policies name the instance in `rds-db:connect`.
    pub resource_id: String,
    /// What it runs.
    pub engine: Engine,
    /// Major version of the engine, `15`.
    pub major: u32,
    /// Master user name.
    pub master_user: String,
    /// Master password. The local cloud is no place for real ones.
    pub master_password: String,
    /// Database to create at the start (`DBName`), if any.
    pub database: Option<String>,
    /// Host name that clients use (`Endpoint.Address`); the server's certificate carries it.
    pub host_name: String,
    /// TCP port.
    pub port: u16,
    /// Whether the master may connect with an IAM token in place of the password.
    pub iam_authentication: bool,
}

/// An EC2 instance to boot.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// `i-...`.
    pub id: String,
    /// Raw user-data, decoded.
    pub user_data: Vec<u8>,
    /// What its metadata service answers besides user-data: path below `/latest/` to body
    /// (`meta-data/instance-id`, `dynamic/instance-identity/document`, `meta-data/iam/security-credentials/<role>`).
    pub metadata: BTreeMap<String, String>,
}

/// Who may open connections to whom, complete: what is not listed is dropped. Replies always pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firewall {
    /// For each machine (DB instance identifier or EC2 instance id): what it lets in.
    pub ingress: BTreeMap<String, BTreeSet<Rule>>,
    /// For each machine: what it lets out.
    pub egress: BTreeMap<String, BTreeSet<Rule>>,
}

/// One direction's permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// The other side.
    pub peer: Peer,
    /// TCP ports, both ends inclusive; `None` lets every protocol and port pass.
    pub ports: Option<(u16, u16)>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Another machine by its id; the machine room knows its address.
    Machine(String),
    /// A CIDR block, `0.0.0.0/0`.
    Cidr(String),
}

/// DB instances as real servers.
#[async_trait]
pub trait Databases: Send + Sync {
    /// Makes an empty server and starts it; returns its address.
    async fn create(&self, spec: &DbSpec) -> anyhow::Result<Ipv4Addr>;
    /// Takes a crash-consistent copy of the server's data under `snapshot_id`.
    async fn snapshot(&self, instance_id: &str, snapshot_id: &str) -> anyhow::Result<()>;
    /// Removes a snapshot's data.
    async fn delete_snapshot(&self, snapshot_id: &str) -> anyhow::Result<()>;
    /// Starts a new server from a copy of a snapshot; returns its address.
    async fn restore(&self, snapshot_id: &str, spec: &DbSpec) -> anyhow::Result<Ipv4Addr>;
    /// Sets the master user's password.
    async fn set_master_password(&self, instance_id: &str, password: &str) -> anyhow::Result<()>;
    /// Stops the server and removes its data.
    async fn delete(&self, instance_id: &str) -> anyhow::Result<()>;
    /// The folder of a major version's programs, for engines that have such; fails where there is no server of it here.
    fn programs(&self, engine: Engine, major: u32) -> anyhow::Result<Option<PathBuf>>;
    /// libpq connection string of the `rdsadmin` superuser, reachable from the host, for engines that have one.
    async fn administrator_dsn(&self, instance_id: &str) -> anyhow::Result<Option<String>>;
}

/// EC2 instances as processes in namespaces of their own.
#[async_trait]
pub trait Computers: Send + Sync {
    /// Boots the instance through the AMI's boot script; returns its private address. `powered_off` of the spec's id
    /// follows when it ends by itself.
    async fn boot(&self, spec: &InstanceSpec) -> anyhow::Result<Ipv4Addr>;
    /// Kills everything in it and removes its namespaces and root. Succeeds where it is gone already.
    async fn terminate(&self, instance_id: &str) -> anyhow::Result<()>;
    /// The instance ids that powered themselves off since the last call; waits for at least one.
    async fn powered_off(&self) -> Vec<String>;
    /// Replaces one entry of the metadata served to an instance (fresh role credentials).
    async fn set_metadata(&self, instance_id: &str, path: &str, body: String) -> anyhow::Result<()>;
    /// What the instance printed on its console so far.
    async fn console(&self, instance_id: &str) -> anyhow::Result<String>;
}

/// The network between them.
#[async_trait]
pub trait Network: Send + Sync {
    /// Puts the rules into force for every machine, replacing what held before.
    async fn apply(&self, firewall: &Firewall) -> anyhow::Result<()>;
    /// Cuts (`true`) or mends (`false`) all traffic of one machine, whatever the rules say: the fault tests need.
    async fn cut(&self, machine: &str, cut: bool) -> anyhow::Result<()>;
}

/// Somebody who wants in with an IAM token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLogin<'a> {
    /// `DbiResourceId` of the instance.
    pub resource_id: &'a str,
    /// `host:port` of the instance.
    pub endpoint: &'a str,
    /// Database user.
    pub user: &'a str,
}

/// Who judges the IAM tokens that database users log in with.
pub trait TokenJudge: Send + Sync {
    /// Whether `token` opens the instance to the user at this moment.
    fn admits(&self, login: TokenLogin<'_>, token: &str) -> bool;
}

/// Identifiers become names of folders and of arguments: what could be more than a name is refused.
fn checked_name(name: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
    let fits = !name.is_empty() && name.len() <= 255 && !name.starts_with('-') && name.bytes().all(plain);
    ensure!(fits, "{name:?} cannot name a machine or a snapshot");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::checked_name;

    #[test]
    fn names_stay_within_their_folder() {
        for good in ["i-0123abcd", "orders", "rds:orders-2026-11-20"] {
            assert!(checked_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", "a.draft", "a\nb"] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }
}
