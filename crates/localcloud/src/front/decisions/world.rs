//! The whole state of the front, and the rules that look at several kinds of resources at once.

use super::databases::{Databases, Status};
use super::firewall::{self, Member};
use super::groups::{Group, Groups};
use super::instances::Instances;
use super::launch::Tokens;
use super::option_groups::OptionGroups;
use super::snapshots::Snapshots;
use super::subnet_groups::SubnetGroups;
use crate::front::wire::AwsError;
use crate::machines::Firewall;

/// Everything that the front decides about. VPCs, subnets, images, keys, secrets and IAM are the emulator's.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) groups: Groups,
    pub(crate) instances: Instances,
    pub(crate) tokens: Tokens,
    pub(crate) databases: Databases,
    pub(crate) snapshots: Snapshots,
    pub(crate) subnet_groups: SubnetGroups,
    pub(crate) option_groups: OptionGroups,
}

impl World {
    /// What must be let through now.
    pub(crate) fn firewall(&self) -> Firewall {
        let instances = self
            .instances
            .iter()
            .filter(|instance| instance.exists())
            .map(|instance| Member { machine: instance.id.clone(), group_ids: instance.group_ids.clone() });
        let databases = self
            .databases
            .iter()
            .filter(|database| database.status != Status::Failed)
            .map(|database| Member { machine: database.id.clone(), group_ids: database.group_ids.clone() });
        firewall::compute(&self.groups, &instances.chain(databases).collect::<Vec<_>>())
    }

    /// Deletes a group that nothing uses: no instance before `terminated`, no DB instance, no other group's rule.
    pub(crate) fn delete_group(&mut self, id: &str) -> Result<Group, AwsError> {
        let by_instance = self
            .instances
            .iter()
            .any(|instance| instance.exists() && instance.group_ids.iter().any(|group| group == id));
        let by_database = self.databases.iter().any(|database| database.holds_group(id));
        self.groups.delete(id, by_instance || by_database)
    }

    /// Refuses to delete a VPC or a subnet in which something of the front's still is: the emulator does not know of it.
    pub(crate) fn check_unused(&self, network_id: &str) -> Result<(), AwsError> {
        let instances = self.instances.iter().filter(|instance| instance.exists());
        let by_instance =
            instances.map(|instance| &instance.subnet).any(|at| at.id == network_id || at.vpc_id == network_id);
        let by_subnet_group = self
            .subnet_groups
            .iter()
            .any(|group| group.vpc_id == network_id || group.subnets.iter().any(|subnet| subnet.id == network_id));
        let by_group = self.groups.iter().any(|group| group.vpc_id == network_id && group.name != "default");
        if by_instance || by_subnet_group || by_group {
            let text = format!("The {network_id} has dependencies and cannot be deleted.");
            return Err(AwsError::new("DependencyViolation", text));
        }
        Ok(())
    }

    /// The groups for something new in a VPC: those asked for, which must be there, or else the default group.
    pub(crate) fn groups_for(&mut self, vpc_id: &str, asked: Vec<String>) -> Result<Vec<String>, AwsError> {
        if asked.is_empty() {
            return Ok(vec![self.groups.ensure_default(vpc_id).id]);
        }
        for id in &asked {
            if self.groups.get(id)?.vpc_id != vpc_id {
                let text = format!("Security group {id} and the subnet belong to different networks.");
                return Err(AwsError::new("InvalidParameter", text));
            }
        }
        Ok(asked)
    }

    /// The same as RDS says it.
    pub(crate) fn database_groups_for(&mut self, vpc_id: &str, asked: Vec<String>) -> Result<Vec<String>, AwsError> {
        self.groups_for(vpc_id, asked.clone()).map_err(|error| match error.code.as_str() {
            "InvalidGroup.NotFound" => {
                let text = format!("Invalid security group , groupId= {}, groupName=.", asked.join(", "));
                AwsError::new("InvalidParameterValue", text)
            }
            _ => AwsError::new(
                "InvalidVPCNetworkStateFault",
                "The DB instance and EC2 security group are in different VPCs.",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Tags;
    use super::super::databases::Modification;
    use super::super::databases::tests::instance as database;
    use super::super::instances::State;
    use super::super::instances::tests::instance;
    use super::*;

    fn world() -> (World, String) {
        let mut world = World::default();
        let group = world.groups.create("vpc-1", "worker", "", Tags::new()).unwrap().id;
        (world, group)
    }

    #[test]
    fn an_instance_holds_its_groups_until_it_is_terminated() {
        use State::{Pending, Running, ShuttingDown, Stopped, Terminated};
        for (state, held) in
            [(Pending, true), (Running, true), (Stopped, true), (ShuttingDown, true), (Terminated, false)]
        {
            let (mut world, group) = world();
            let mut instance = instance("i-1", &[&group]);
            instance.state = state;
            world.instances.insert(instance);
            let refused = world.delete_group(&group).err().map(|error| error.code);
            assert_eq!(refused.is_some(), held, "{state:?}");
            assert!(refused.is_none_or(|code| code == "DependencyViolation"));
        }
    }

    #[test]
    fn a_database_holds_the_groups_it_has_and_gets() {
        let (mut world, old) = world();
        let new = world.groups.create("vpc-1", "new", "", Tags::new()).unwrap().id;
        world.databases.insert(database("orders", &[&old])).unwrap();
        let change = Modification { group_ids: Some(vec![new.clone()]), ..Modification::default() };
        world.databases.get_mut("orders").unwrap().begin_modification(&change).unwrap();
        for group in [&old, &new] {
            assert_eq!(world.delete_group(group).unwrap_err().code, "DependencyViolation");
        }
        world.databases.get_mut("orders").unwrap().settle();
        world.delete_group(&old).unwrap();
        assert_eq!(world.delete_group(&new).unwrap_err().code, "DependencyViolation");
        world.databases.remove("orders");
        world.delete_group(&new).unwrap();
    }

    #[test]
    fn a_network_with_something_in_it_stays() {
        let (mut world, group) = world();
        world.groups.ensure_default("vpc-2");
        for (network, free) in [("vpc-1", false), ("subnet-1", true), ("vpc-2", true)] {
            assert_eq!(world.check_unused(network).is_ok(), free, "{network} with a group in vpc-1");
        }
        world.delete_group(&group).unwrap();
        world.check_unused("vpc-1").unwrap();
        world.instances.insert(instance("i-1", &[]));
        assert_eq!(world.check_unused("vpc-1").unwrap_err().code, "DependencyViolation");
        assert_eq!(world.check_unused("subnet-1").unwrap_err().code, "DependencyViolation");
    }

    #[test]
    fn the_firewall_knows_what_exists() {
        let (mut world, group) = world();
        world.databases.insert(database("orders", &[&group])).unwrap();
        world.instances.insert(instance("i-1", &[&group]));
        world.instances.insert(instance("i-2", &[&group]));
        world.instances.boot_failed("i-2", Timestamp::UNIX_EPOCH);
        let machines: Vec<String> = world.firewall().ingress.into_keys().collect();
        assert_eq!(machines, ["i-1", "orders"]);
    }

    #[test]
    fn groups_of_new_things_exist_in_their_vpc() {
        let (mut world, group) = world();
        let default = world.groups.ensure_default("vpc-1").id;
        assert_eq!(world.groups_for("vpc-1", vec![]).unwrap(), [default]);
        assert_eq!(world.groups_for("vpc-1", vec![group.clone()]).unwrap(), std::slice::from_ref(&group));
        assert_eq!(world.groups_for("vpc-2", vec![group.clone()]).unwrap_err().code, "InvalidParameter");
        assert_eq!(world.groups_for("vpc-1", vec!["sg-0".into()]).unwrap_err().code, "InvalidGroup.NotFound");
        let rds =
            |world: &mut World, vpc: &str, id: &str| world.database_groups_for(vpc, vec![id.into()]).unwrap_err().code;
        assert_eq!(rds(&mut world, "vpc-1", "sg-0"), "InvalidParameterValue");
        assert_eq!(rds(&mut world, "vpc-2", &group), "InvalidVPCNetworkStateFault");
    }
}
