//! The port to EC2 in one account and Region: workers and their security groups.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Result;
use crate::object_store::Tags;

/// An EC2 instance to launch, on demand, with `InstanceInitiatedShutdownBehavior=terminate`, IMDSv2 required and a hop
/// limit of 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// `ClientToken`, at most 64 ASCII characters: the same token launches nothing twice.
    pub client_token: String,
    /// `ami-...`.
    pub image_id: String,
    /// `t3.large`.
    pub instance_type: String,
    /// Subnet of its network interface.
    pub subnet_id: String,
    /// Security groups of its network interface.
    pub security_group_ids: Vec<String>,
    /// Name of the instance profile.
    pub instance_profile: Option<String>,
    /// Raw user-data, at most 16 KiB, no secret of value.
    pub user_data: String,
    /// Tags of the instance, its volumes and its network interface, from the moment of creation.
    pub tags: Tags,
    /// Size of the root volume in GiB, encrypted gp3; `None` keeps the image's.
    pub root_volume_gib: Option<u32>,
}

/// `State.Name` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Up.
    Running,
    /// Going down for good.
    ShuttingDown,
    /// Gone; listed for about an hour.
    Terminated,
    /// Going down, may come up again.
    Stopping,
    /// Down, may come up again.
    Stopped,
}

/// An EC2 instance as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// Where it stands.
    pub state: InstanceState,
    /// Why it went there, in AWS's words: `Client.InstanceInitiatedShutdown`.
    pub state_reason: Option<String>,
    /// When it was launched.
    pub launched_at: Option<Timestamp>,
    /// Private IPv4 address.
    pub private_ip: Option<String>,
    /// Availability Zone.
    pub availability_zone: Option<String>,
    /// Groups of its interfaces.
    pub security_group_ids: BTreeSet<String>,
    /// Tags.
    pub tags: Tags,
}

/// Which way a rule lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the group's members.
    Ingress,
    /// Out of the group's members.
    Egress,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Members of another group.
    Group(String),
    /// A CIDR block.
    Cidr(String),
}

/// What a rule lets through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// Which way.
    pub direction: Direction,
    /// TCP ports, both ends inclusive; `None` is every protocol and port (`IpProtocol=-1`).
    pub tcp_ports: Option<(u16, u16)>,
    /// The other side.
    pub peer: Peer,
}

/// A security group as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// Name, unique in its VPC.
    pub name: String,
    /// VPC.
    pub vpc_id: String,
    /// Rules of both directions.
    pub permissions: BTreeSet<Permission>,
    /// Tags.
    pub tags: Tags,
}

/// A subnet as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-...`.
    pub id: String,
    /// VPC.
    pub vpc_id: String,
    /// Availability Zone.
    pub availability_zone: String,
    /// Free addresses.
    pub free_addresses: u32,
    /// Tags.
    pub tags: Tags,
}

/// A machine image as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-...`.
    pub id: String,
    /// Name.
    pub name: String,
    /// `CreationDate`, RFC 3339 text: sorts by age.
    pub created_at: String,
    /// Tags.
    pub tags: Tags,
}

/// A filter over tags: every key must have one of its values (`tag:<key>` filters of the Describe calls).
pub type TagFilter = BTreeMap<String, Vec<String>>;

/// EC2 in one account and Region. Listings are complete: every page is read.
#[async_trait]
pub trait Compute: Send + Sync + std::fmt::Debug {
    /// `RunInstances` of exactly one. After an indeterminate failure repeat it with the same spec: the token makes sure
    /// that one instance exists at most.
    async fn launch(&self, spec: &LaunchSpec) -> Result<Instance>;
    /// `DescribeInstances` by id; absent where AWS does not know it (yet: reads are eventually consistent).
    async fn instance(&self, id: &str) -> Result<Option<Instance>>;
    /// `DescribeInstances` by tags, in every state.
    async fn instances(&self, tags: &TagFilter) -> Result<Vec<Instance>>;
    /// `TerminateInstances`. Succeeds where the instance is unknown or gone already.
    async fn terminate(&self, id: &str) -> Result<()>;

    /// `CreateSecurityGroup`, with tags. Returns the group id. There is no client token: the name is the token.
    ///
    /// # Errors
    /// `AlreadyExists` where the VPC has a group of that name.
    async fn create_security_group(&self, vpc_id: &str, name: &str, description: &str, tags: &Tags) -> Result<String>;
    /// `AuthorizeSecurityGroupIngress`/`Egress`. Succeeds where the rule exists already.
    async fn authorize(&self, group_id: &str, permission: &Permission) -> Result<()>;
    /// `RevokeSecurityGroupIngress`/`Egress`. Succeeds where the rule is gone.
    ///
    /// # Errors
    /// `NotFound` where EC2 does not know the group (yet: a new one may take a moment to be known everywhere).
    async fn revoke(&self, group_id: &str, permission: &Permission) -> Result<()>;
    /// `DeleteSecurityGroup`. Succeeds where it is gone.
    ///
    /// # Errors
    /// `Conflict` (`DependencyViolation`) while an interface uses it or a rule of another group names it.
    async fn delete_security_group(&self, id: &str) -> Result<()>;
    /// `DescribeSecurityGroups` by name within a VPC.
    async fn security_group_by_name(&self, vpc_id: &str, name: &str) -> Result<Option<SecurityGroup>>;
    /// `DescribeSecurityGroups` by ids; those that do not exist are left out.
    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>>;
    /// `DescribeSecurityGroups` by tags.
    async fn tagged_security_groups(&self, tags: &TagFilter) -> Result<Vec<SecurityGroup>>;

    /// `DescribeSubnets` by ids.
    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>>;
    /// `DescribeImages` that are `available`, owned by the account or shared with it, by tags.
    async fn images(&self, tags: &TagFilter) -> Result<Vec<Image>>;
}
