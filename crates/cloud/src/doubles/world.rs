//! What EC2, RDS and S3's buckets in memory share: a group of the one is used by an instance of the other, and one listing
//! has everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::buckets::{MemoryBucket, MemoryBuckets};
use super::compute::MemoryCompute;
use super::databases::MemoryDatabases;
use crate::compute::{Image, Instance, InstanceState, LaunchSpec, Peer, SecurityGroup, Subnet};
use crate::databases::{DbInstance, DbSnapshot, OptionGroup};
use crate::object_store::Tags;

/// The VPC that every [`MemoryCloud`] starts with.
pub const VPC_ID: &str = "vpc-1";
/// Its subnets, one in each of [`ZONES`].
pub const SUBNET_IDS: [&str; 2] = ["subnet-1", "subnet-2"];
/// The zones of its subnets.
pub const ZONES: [&str; 2] = ["eu-central-1a", "eu-central-1b"];
/// The image that every [`MemoryCloud`] starts with, tagged `haulier:component=worker`.
pub const IMAGE_ID: &str = "ami-1";

/// EC2, RDS and S3's buckets of one account and Region, in memory. Clones share one state.
#[derive(Clone)]
pub struct MemoryCloud {
    world: Arc<Mutex<World>>,
    changes: watch::Sender<u64>,
}

pub(super) struct World {
    /// Descriptions after which what was asked for has arrived.
    pub(super) lag: u32,
    pub(super) next_id: u64,
    pub(super) instances: BTreeMap<String, Computer>,
    pub(super) groups: BTreeMap<String, SecurityGroup>,
    pub(super) subnets: Vec<Subnet>,
    pub(super) images: Vec<Image>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    pub(super) snapshot_quota: usize,
    pub(super) option_groups: BTreeMap<String, OptionGroup>,
    pub(super) buckets: BTreeMap<String, MemoryBucket>,
    pub(super) buckets_elsewhere: BTreeSet<String>,
    pub(super) launch_refusals: Vec<LaunchRefusal>,
}

/// Launches that EC2 refuses for want of room.
pub(super) struct LaunchRefusal {
    pub(super) instance_type: String,
    pub(super) subnet_id: String,
    pub(super) code: String,
    pub(super) times: u32,
}

/// An EC2 instance with what it was launched from.
pub(super) struct Computer {
    pub(super) described: Instance,
    pub(super) spec: LaunchSpec,
    pub(super) reads_left: u32,
}

/// A DB instance with the reads it needs to settle.
pub(super) struct Database {
    pub(super) described: DbInstance,
    pub(super) reads_left: u32,
}

/// A DB snapshot with the reads it needs to settle.
pub(super) struct Snapshot {
    pub(super) described: DbSnapshot,
    pub(super) reads_left: u32,
}

impl World {
    pub(super) fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}-{:017x}", self.next_id)
    }

    /// What keeps a group from being deleted.
    pub(super) fn user_of_group(&self, id: &str) -> Option<String> {
        let computers = self.instances.values().map(|computer| &computer.described);
        let by_computer = computers
            .filter(|computer| computer.state != InstanceState::Terminated && computer.security_group_ids.contains(id))
            .map(|computer| computer.id.clone());
        let by_database = self
            .databases
            .values()
            .filter(|database| database.described.security_groups.iter().any(|(group, _)| group == id))
            .map(|database| database.described.id.clone());
        let by_rule = self
            .groups
            .values()
            .filter(|group| group.id != id)
            .filter(|group| group.permissions.iter().any(|rule| rule.peer == Peer::Group(id.to_owned())))
            .map(|group| group.id.clone());
        by_computer.chain(by_database).chain(by_rule).next()
    }
}

impl Default for MemoryCloud {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryCloud {
    /// A cloud with one VPC, two subnets and one worker image. What is asked for arrives at the second description.
    pub fn new() -> Self {
        let subnets = SUBNET_IDS.iter().zip(ZONES).map(|(id, zone)| Subnet {
            id: (*id).to_owned(),
            vpc_id: VPC_ID.to_owned(),
            availability_zone: zone.to_owned(),
            free_addresses: 250,
            tags: Tags::new(),
        });
        let image = Image {
            id: IMAGE_ID.to_owned(),
            name: "haulier-worker".to_owned(),
            created_at: "2026-11-01T00:00:00.000Z".to_owned(),
            tags: Tags::from([("haulier:component".to_owned(), "worker".to_owned())]),
        };
        let world = World {
            lag: 2,
            next_id: 0,
            instances: BTreeMap::new(),
            groups: BTreeMap::new(),
            subnets: subnets.collect(),
            images: vec![image],
            databases: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            snapshot_quota: 100,
            option_groups: BTreeMap::new(),
            buckets: BTreeMap::new(),
            buckets_elsewhere: BTreeSet::new(),
            launch_refusals: Vec::new(),
        };
        Self { world: Arc::new(Mutex::new(world)), changes: watch::Sender::new(0) }
    }

    /// The port to EC2.
    pub fn compute(&self) -> Arc<MemoryCompute> {
        Arc::new(MemoryCompute::new(self.clone()))
    }

    /// The port to RDS.
    pub fn databases(&self) -> Arc<MemoryDatabases> {
        Arc::new(MemoryDatabases::new(self.clone()))
    }

    /// The port to the buckets of a Region.
    pub fn buckets(&self, region: &str) -> Arc<MemoryBuckets> {
        Arc::new(MemoryBuckets::new(self.clone(), region))
    }

    /// Sets how many descriptions it takes until what was asked for has arrived.
    pub fn set_lag(&self, reads: u32) {
        self.lock().lag = reads;
    }

    /// Sets how many manual snapshots there may be.
    pub fn set_snapshot_quota(&self, quota: usize) {
        self.lock().snapshot_quota = quota;
    }

    /// Adds a subnet.
    pub fn add_subnet(&self, subnet: Subnet) {
        self.change(|world| world.subnets.push(subnet));
    }

    /// Adds a machine image.
    pub fn add_image(&self, image: Image) {
        self.change(|world| world.images.push(image));
    }

    /// A number that grows with each change, to wait for one: `cloud.changes().wait_for(...)`.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Everything that costs or matters, one line each: EC2 instances that are not terminated, security groups with their
    /// rules, DB instances with their groups, snapshots, buckets with their content. A session that leaves nothing behind leaves the listing as it
    /// found it. Reading it moves no time.
    pub fn listing(&self) -> BTreeSet<String> {
        let world = self.lock();
        let computers = world.instances.values().map(|computer| &computer.described);
        let computers = computers
            .filter(|computer| computer.state != InstanceState::Terminated)
            .map(|computer| format!("ec2-instance {} {:?}", computer.id, computer.state));
        let groups = world
            .groups
            .values()
            .map(|group| format!("security-group {} {} {:?}", group.id, group.name, group.permissions));
        let databases = world.databases.values().map(|database| {
            let groups: BTreeSet<&str> =
                database.described.security_groups.iter().map(|(group, _)| group.as_str()).collect();
            format!("db-instance {} {groups:?}", database.described.id)
        });
        let snapshots = world.snapshots.keys().map(|id| format!("db-snapshot {id}"));
        let buckets = world.buckets.iter().flat_map(|(name, bucket)| {
            let within = |kind: &str, keys: &BTreeSet<String>| -> Vec<String> {
                keys.iter().map(|key| format!("{kind} {name}/{key}")).collect()
            };
            let content = [within("object", &bucket.objects), within("upload", &bucket.uploads)].concat();
            [format!("bucket {name}")].into_iter().chain(content)
        });
        computers.chain(groups).chain(databases).chain(snapshots).chain(buckets).collect()
    }

    /// Lines of [`MemoryCloud::listing`] that an earlier listing does not have: what a session left behind.
    pub fn leftovers(&self, before: &BTreeSet<String>) -> Vec<String> {
        self.listing().difference(before).cloned().collect()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world and tells those who wait for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.lock());
        self.changes.send_modify(|number| *number += 1);
        result
    }
}

impl std::fmt::Debug for MemoryCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCloud").field("listing", &self.listing()).finish()
    }
}
