//! EC2 in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::errors::{not_found, refused};
use super::world::{Computer, LaunchRefusal, MemoryCloud, World};
use crate::compute::{
    Compute, Direction, Image, Instance, InstanceState, LaunchSpec, Peer, Permission, SecurityGroup, Subnet, TagFilter,
};
use crate::error::{ErrorKind, Result};
use crate::object_store::Tags;

const MAX_USER_DATA: usize = 16 * 1024;
const MAX_TOKEN: usize = 64;

/// EC2 in memory. Instances come up, and go down, after a number of descriptions.
#[derive(Debug, Clone)]
pub struct MemoryCompute {
    cloud: MemoryCloud,
}

impl MemoryCompute {
    pub(super) fn new(cloud: MemoryCloud) -> Self {
        Self { cloud }
    }

    /// Every launch that took effect, oldest first, with the instance it made.
    pub fn launches(&self) -> Vec<(String, LaunchSpec)> {
        let world = self.cloud.lock();
        world.instances.iter().map(|(id, computer)| (id.clone(), computer.spec.clone())).collect()
    }

    /// Refuses so many launches of this type in this subnet with this code, as EC2 does where it has no room:
    /// `InsufficientInstanceCapacity`, `Unsupported`, `InsufficientFreeAddressesInSubnet`.
    pub fn refuse_launches(&self, instance_type: &str, subnet_id: &str, code: &str, times: u32) {
        let (instance_type, subnet_id) = (instance_type.to_owned(), subnet_id.to_owned());
        let refusal = LaunchRefusal { instance_type, subnet_id, code: code.to_owned(), times };
        self.cloud.lock().launch_refusals.push(refusal);
    }

    /// The instance powers itself off, or is taken away: it goes down with the reason that AWS would give.
    pub fn power_off(&self, id: &str, reason: &str) {
        self.cloud.change(|world| {
            let lag = world.lag;
            let is_up = |computer: &&mut Computer| computer.described.state != InstanceState::Terminated;
            if let Some(computer) = world.instances.get_mut(id).filter(is_up) {
                computer.described.state = InstanceState::ShuttingDown;
                computer.described.state_reason = Some(reason.to_owned());
                computer.reads_left = lag;
            }
        });
    }
}

impl Computer {
    /// One description: time goes on for this instance.
    fn describe(&mut self) -> Instance {
        self.reads_left = self.reads_left.saturating_sub(1);
        if self.reads_left == 0 {
            self.described.state = match self.described.state {
                InstanceState::Pending => InstanceState::Running,
                InstanceState::ShuttingDown => InstanceState::Terminated,
                InstanceState::Stopping => InstanceState::Stopped,
                settled => settled,
            };
        }
        self.described.clone()
    }
}

fn fits(tags: &Tags, filter: &TagFilter) -> bool {
    filter.iter().all(|(key, values)| tags.get(key).is_some_and(|value| values.contains(value)))
}

fn check_launch(world: &World, spec: &LaunchSpec) -> Result<String> {
    let invalid = |code, message| Err(refused("RunInstances", &spec.client_token, ErrorKind::Invalid, code, message));
    if spec.client_token.len() > MAX_TOKEN || !spec.client_token.is_ascii() {
        return invalid("InvalidParameterValue", "a client token has at most 64 ASCII characters");
    }
    if spec.user_data.len() > MAX_USER_DATA {
        return invalid("InvalidUserData.Malformed", "user data is limited to 16384 bytes");
    }
    if !world.images.iter().any(|image| image.id == spec.image_id) {
        return Err(not_found("RunInstances", &spec.image_id, "InvalidAMIID.NotFound"));
    }
    let subnet = world.subnets.iter().find(|subnet| subnet.id == spec.subnet_id);
    let subnet = subnet.ok_or_else(|| not_found("RunInstances", &spec.subnet_id, "InvalidSubnetID.NotFound"))?;
    for id in &spec.security_group_ids {
        let group = world.groups.get(id).ok_or_else(|| not_found("RunInstances", id, "InvalidGroup.NotFound"))?;
        if group.vpc_id != subnet.vpc_id {
            return invalid("InvalidParameter", "a security group and the subnet belong to different networks");
        }
    }
    Ok(subnet.availability_zone.clone())
}

fn check_room(world: &mut World, spec: &LaunchSpec) -> Result<()> {
    let strikes = |refusal: &&mut LaunchRefusal| {
        refusal.times > 0 && refusal.instance_type == spec.instance_type && refusal.subnet_id == spec.subnet_id
    };
    let Some(refusal) = world.launch_refusals.iter_mut().find(strikes) else { return Ok(()) };
    refusal.times -= 1;
    let message = format!("no room for {} in {}", spec.instance_type, spec.subnet_id);
    Err(refused("RunInstances", &spec.client_token, ErrorKind::Exhausted, &refusal.code, &message))
}

#[async_trait]
impl Compute for MemoryCompute {
    async fn launch(&self, spec: &LaunchSpec) -> Result<Instance> {
        self.cloud.change(|world| {
            if let Some(earlier) = world.instances.values().find(|one| one.spec.client_token == spec.client_token) {
                if earlier.spec == *spec {
                    return Ok(earlier.described.clone());
                }
                let (kind, code) = (ErrorKind::IdempotencyMismatch, "IdempotentParameterMismatch");
                let message = "the client token was used with other parameters";
                return Err(refused("RunInstances", &spec.client_token, kind, code, message));
            }
            let zone = check_launch(world, spec)?;
            check_room(world, spec)?;
            let id = world.fresh_id("i");
            let described = Instance {
                id: id.clone(),
                state: InstanceState::Pending,
                state_reason: None,
                launched_at: Some(Timestamp::now()),
                private_ip: Some(format!("10.0.0.{}", world.instances.len() % 250 + 4)),
                availability_zone: Some(zone),
                security_group_ids: spec.security_group_ids.iter().cloned().collect(),
                tags: spec.tags.clone(),
            };
            let computer = Computer { described: described.clone(), spec: spec.clone(), reads_left: world.lag };
            world.instances.insert(id, computer);
            Ok(described)
        })
    }

    async fn instance(&self, id: &str) -> Result<Option<Instance>> {
        Ok(self.cloud.lock().instances.get_mut(id).map(Computer::describe))
    }

    async fn instances(&self, tags: &TagFilter) -> Result<Vec<Instance>> {
        let mut world = self.cloud.lock();
        let fitting = world.instances.values_mut().filter(|one| fits(&one.described.tags, tags));
        Ok(fitting.map(Computer::describe).collect())
    }

    async fn terminate(&self, id: &str) -> Result<()> {
        self.cloud.change(|world| {
            let lag = world.lag;
            if let Some(computer) = world.instances.get_mut(id) {
                let state = &mut computer.described.state;
                if !matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated) {
                    *state = InstanceState::ShuttingDown;
                    computer.described.state_reason = Some("Client.UserInitiatedShutdown".to_owned());
                    computer.reads_left = lag;
                }
            }
        });
        Ok(())
    }

    async fn create_security_group(&self, vpc_id: &str, name: &str, _: &str, tags: &Tags) -> Result<String> {
        self.cloud.change(|world| {
            if !world.subnets.iter().any(|subnet| subnet.vpc_id == vpc_id) {
                return Err(not_found("CreateSecurityGroup", vpc_id, "InvalidVpcID.NotFound"));
            }
            if world.groups.values().any(|group| group.vpc_id == vpc_id && group.name == name) {
                let (kind, code) = (ErrorKind::AlreadyExists, "InvalidGroup.Duplicate");
                return Err(refused("CreateSecurityGroup", name, kind, code, "the name is taken in this network"));
            }
            let id = world.fresh_id("sg");
            let all_out =
                Permission { direction: Direction::Egress, tcp_ports: None, peer: Peer::Cidr("0.0.0.0/0".to_owned()) };
            let group = SecurityGroup {
                id: id.clone(),
                name: name.to_owned(),
                vpc_id: vpc_id.to_owned(),
                permissions: [all_out].into(),
                tags: tags.clone(),
            };
            world.groups.insert(id.clone(), group);
            Ok(id)
        })
    }

    async fn authorize(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let operation = authorize_operation(permission.direction);
        self.cloud.change(|world| {
            if let Peer::Group(peer) = &permission.peer
                && !world.groups.contains_key(peer)
            {
                return Err(not_found(operation, peer, "InvalidGroup.NotFound"));
            }
            let group = world.groups.get_mut(group_id);
            let group = group.ok_or_else(|| not_found(operation, group_id, "InvalidGroup.NotFound"))?;
            group.permissions.insert(permission.clone());
            Ok(())
        })
    }

    async fn revoke(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let operation = revoke_operation(permission.direction);
        self.cloud.change(|world| {
            let group = world.groups.get_mut(group_id);
            let group = group.ok_or_else(|| not_found(operation, group_id, "InvalidGroup.NotFound"))?;
            group.permissions.remove(permission);
            Ok(())
        })
    }

    async fn delete_security_group(&self, id: &str) -> Result<()> {
        self.cloud.change(|world| {
            if let Some(user) = world.user_of_group(id).filter(|_| world.groups.contains_key(id)) {
                let message = format!("resource {id} has a dependent object: {user}");
                let kind = ErrorKind::Conflict;
                return Err(refused("DeleteSecurityGroup", id, kind, "DependencyViolation", &message));
            }
            world.groups.remove(id);
            Ok(())
        })
    }

    async fn security_group_by_name(&self, vpc_id: &str, name: &str) -> Result<Option<SecurityGroup>> {
        let world = self.cloud.lock();
        Ok(world.groups.values().find(|group| group.vpc_id == vpc_id && group.name == name).cloned())
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        let world = self.cloud.lock();
        Ok(ids.iter().filter_map(|id| world.groups.get(id).cloned()).collect())
    }

    async fn tagged_security_groups(&self, tags: &TagFilter) -> Result<Vec<SecurityGroup>> {
        let world = self.cloud.lock();
        Ok(world.groups.values().filter(|group| fits(&group.tags, tags)).cloned().collect())
    }

    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>> {
        let world = self.cloud.lock();
        ids.iter()
            .map(|id| {
                let found = world.subnets.iter().find(|subnet| subnet.id == *id).cloned();
                found.ok_or_else(|| not_found("DescribeSubnets", id, "InvalidSubnetID.NotFound"))
            })
            .collect()
    }

    async fn images(&self, tags: &TagFilter) -> Result<Vec<Image>> {
        let world = self.cloud.lock();
        Ok(world.images.iter().filter(|image| fits(&image.tags, tags)).cloned().collect())
    }
}

/// The call that adds a rule in this direction.
pub(super) fn authorize_operation(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "AuthorizeSecurityGroupIngress",
        Direction::Egress => "AuthorizeSecurityGroupEgress",
    }
}

/// The call that takes a rule of this direction away.
pub(super) fn revoke_operation(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "RevokeSecurityGroupIngress",
        Direction::Egress => "RevokeSecurityGroupEgress",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance::{self, ComputeFixture};
    use crate::doubles::{IMAGE_ID, SUBNET_IDS, VPC_ID};

    #[tokio::test(start_paused = true)]
    async fn conforms_and_leaves_nothing() {
        let cloud = MemoryCloud::new();
        let before = cloud.listing();
        let fixture = ComputeFixture {
            vpc_id: VPC_ID.into(),
            subnet_id: SUBNET_IDS[0].into(),
            image_id: IMAGE_ID.into(),
            instance_type: "t3.large".into(),
            instance_profile: None,
            user_data: String::new(),
            prefix: "conformance".into(),
        };
        conformance::compute(&*cloud.compute(), &fixture).await;
        assert_eq!(cloud.leftovers(&before), Vec::<String>::new());
    }
}
