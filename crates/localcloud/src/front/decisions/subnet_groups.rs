//! DB subnet groups: where a DB instance may live.

use std::collections::BTreeMap;

use super::instances::Subnet;
use crate::front::wire::AwsError;

/// A DB subnet group. AWS wants subnets in at least two Zones of one VPC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SubnetGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc_id: String,
    pub(crate) subnets: Vec<Subnet>,
}

/// Every DB subnet group of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubnetGroups(BTreeMap<String, SubnetGroup>);

impl SubnetGroups {
    /// Creates a group over subnets that exist.
    pub(crate) fn create(
        &mut self,
        name: &str,
        description: &str,
        subnets: Vec<Subnet>,
    ) -> Result<SubnetGroup, AwsError> {
        let name = name.to_ascii_lowercase();
        if self.0.contains_key(&name) {
            let text = format!("The DB subnet group '{name}' already exists.");
            return Err(AwsError::new("DBSubnetGroupAlreadyExists", text));
        }
        let vpc_id = subnets.first().map(|subnet| subnet.vpc_id.clone()).unwrap_or_default();
        if subnets.iter().any(|subnet| subnet.vpc_id != vpc_id) {
            return Err(AwsError::new("InvalidParameterValue", "The subnets of a DB subnet group are in one VPC."));
        }
        if !subnets.iter().any(|subnet| subnet.zone != subnets[0].zone) {
            let text = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at least 2 AZs.";
            return Err(AwsError::new("DBSubnetGroupDoesNotCoverEnoughAZs", text));
        }
        let group = SubnetGroup { name: name.clone(), description: description.to_owned(), vpc_id, subnets };
        self.0.insert(name, group.clone());
        Ok(group)
    }

    /// A group by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&SubnetGroup, AwsError> {
        self.0.get(&name.to_ascii_lowercase()).ok_or_else(|| not_found(name))
    }

    /// Every group, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SubnetGroup> {
        self.0.values()
    }

    /// Deletes a group; `used` says whether a DB instance lives in it.
    pub(crate) fn delete(&mut self, name: &str, used: bool) -> Result<(), AwsError> {
        self.get(name)?;
        if used {
            let text = format!(
                "Cannot delete the subnet group '{name}' because at least one database instance is still using it."
            );
            return Err(AwsError::new("InvalidDBSubnetGroupStateFault", text));
        }
        self.0.remove(&name.to_ascii_lowercase());
        Ok(())
    }
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist.")).with_status(404)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(vpc: &str, zone: &str) -> Subnet {
        Subnet { id: format!("subnet-{zone}"), vpc_id: vpc.into(), zone: zone.into() }
    }

    #[test]
    fn a_group_covers_two_zones_of_one_vpc() {
        let mut groups = SubnetGroups::default();
        for (subnets, code) in [
            (vec![], "DBSubnetGroupDoesNotCoverEnoughAZs"),
            (vec![subnet("v", "a")], "DBSubnetGroupDoesNotCoverEnoughAZs"),
            (vec![subnet("v", "a"), subnet("w", "b")], "InvalidParameterValue"),
        ] {
            assert_eq!(groups.create("g", "", subnets).unwrap_err().code, code);
        }
        groups.create("G", "", vec![subnet("v", "a"), subnet("v", "b")]).unwrap();
        let again = groups.create("g", "", vec![subnet("v", "a"), subnet("v", "b")]);
        assert_eq!(again.unwrap_err().code, "DBSubnetGroupAlreadyExists");
        assert_eq!(groups.delete("g", true).unwrap_err().code, "InvalidDBSubnetGroupStateFault");
        groups.delete("g", false).unwrap();
        assert_eq!(groups.get("g").unwrap_err().code, "DBSubnetGroupNotFoundFault");
    }
}
