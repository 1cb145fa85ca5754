//! Security groups and their rules.
//!
//! After the EC2 API reference (CreateSecurityGroup, AuthorizeSecurityGroupIngress, RevokeSecurityGroupIngress,
//! DeleteSecurityGroup) and its list of error codes. A name is unique within its VPC; a rule is unique within its
//! group; a call that names several permissions adds or removes all of them or none; a group that something still
//! uses cannot be deleted. Our product's clean-up stands on exactly these refusals.

use std::collections::{BTreeMap, BTreeSet};

use super::permissions::{NewRule, Permission, RulePeer};
use super::{Tags, ids};
use crate::front::wire::AwsError;

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// `sg-…`.
    pub(crate) id: String,
    /// Unique within the VPC.
    pub(crate) name: String,
    /// Free text.
    pub(crate) description: String,
    /// Where it lives.
    pub(crate) vpc_id: String,
    /// Both directions.
    pub(crate) rules: Vec<GroupRule>,
    /// Tags.
    pub(crate) tags: Tags,
}

/// A rule of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRule {
    /// `sgr-…`.
    pub(crate) id: String,
    /// What it lets pass.
    pub(crate) permission: Permission,
    /// Free text.
    pub(crate) description: Option<String>,
    /// Tags.
    pub(crate) tags: Tags,
}

/// Every group of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

impl Groups {
    /// Creates a group; it may send anywhere and receives nothing, as every new group.
    pub(crate) fn create(
        &mut self,
        vpc_id: &str,
        name: &str,
        description: &str,
        tags: Tags,
    ) -> Result<Group, AwsError> {
        if name == "default" {
            return Err(AwsError::new("InvalidParameterValue", "Cannot use reserved security group name: default"));
        }
        if name.starts_with("sg-") || name.len() > 255 {
            let text = format!("Invalid value '{name}' for groupName. Group names may not be in the format sg-*");
            return Err(AwsError::new("InvalidParameterValue", text));
        }
        if self.by_name(vpc_id, name).is_some() {
            let text = format!("The security group '{name}' already exists for VPC '{vpc_id}'");
            return Err(AwsError::new("InvalidGroup.Duplicate", text));
        }
        Ok(self.insert(vpc_id, name, description, tags, Vec::new()))
    }

    /// The default group of a VPC, made if it is not there: its members may reach each other.
    pub(crate) fn ensure_default(&mut self, vpc_id: &str) -> Group {
        if let Some(group) = self.by_name(vpc_id, "default") {
            return group.clone();
        }
        let group = self.insert(vpc_id, "default", "default VPC security group", Tags::new(), Vec::new());
        let within = Permission {
            egress: false,
            protocol: "-1".to_owned(),
            ports: None,
            peer: RulePeer::Group(group.id.clone()),
        };
        let rule = GroupRule { id: ids::new("sgr"), permission: within, description: None, tags: Tags::new() };
        let stored = self.0.entry(group.id.clone()).or_insert(group);
        stored.rules.push(rule);
        stored.clone()
    }

    /// Forgets the groups of a VPC that is gone.
    pub(crate) fn forget_vpc(&mut self, vpc_id: &str) {
        self.0.retain(|_, group| group.vpc_id != vpc_id);
    }

    /// Adds rules, all or none.
    pub(crate) fn authorize(&mut self, id: &str, rules: Vec<NewRule>) -> Result<Vec<GroupRule>, AwsError> {
        let vpc_id = self.get(id)?.vpc_id.clone();
        let mut known: BTreeSet<Permission> = self.get(id)?.rules.iter().map(|rule| rule.permission.clone()).collect();
        for rule in &rules {
            if let RulePeer::Group(peer) = &rule.permission.peer
                && self.0.get(peer).is_none_or(|group| group.vpc_id != vpc_id)
            {
                return Err(not_found(peer));
            }
            if !known.insert(rule.permission.clone()) {
                let text = format!("the specified rule \"{}\" already exists", rule.permission);
                return Err(AwsError::new("InvalidPermission.Duplicate", text));
            }
        }
        let added: Vec<GroupRule> = rules
            .into_iter()
            .map(|rule| GroupRule {
                id: ids::new("sgr"),
                permission: rule.permission,
                description: rule.description,
                tags: rule.tags,
            })
            .collect();
        self.get_mut(id)?.rules.extend(added.iter().cloned());
        Ok(added)
    }

    /// Removes the rules with these permissions, all or none; descriptions play no part.
    pub(crate) fn revoke(&mut self, id: &str, permissions: &[Permission]) -> Result<Vec<GroupRule>, AwsError> {
        let group = self.get_mut(id)?;
        if !permissions.iter().all(|wanted| group.rules.iter().any(|rule| rule.permission == *wanted)) {
            let text = "The specified rule does not exist in this security group.";
            return Err(AwsError::new("InvalidPermission.NotFound", text));
        }
        let (gone, kept) = group.rules.drain(..).partition(|rule| permissions.contains(&rule.permission));
        group.rules = kept;
        Ok(gone)
    }

    /// Removes rules by their ids, all or none.
    pub(crate) fn revoke_ids(
        &mut self,
        id: &str,
        egress: bool,
        rule_ids: &[String],
    ) -> Result<Vec<GroupRule>, AwsError> {
        let group = self.get_mut(id)?;
        for wanted in rule_ids {
            if !group.rules.iter().any(|rule| rule.id == *wanted && rule.permission.egress == egress) {
                let text = format!("The security group rule ID '{wanted}' does not exist");
                return Err(AwsError::new("InvalidSecurityGroupRuleId.NotFound", text));
            }
        }
        let (gone, kept) = group.rules.drain(..).partition(|rule| rule_ids.contains(&rule.id));
        group.rules = kept;
        Ok(gone)
    }

    /// Deletes a group. `used` says whether an instance that is not terminated or a DB instance has it; a rule of
    /// another group that names it holds it too, a rule of its own does not.
    pub(crate) fn delete(&mut self, id: &str, used: bool) -> Result<Group, AwsError> {
        let group = self.get(id)?;
        if group.name == "default" {
            let text = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
            return Err(AwsError::new("CannotDelete", text));
        }
        let peer = RulePeer::Group(id.to_owned());
        let referenced =
            self.0.values().any(|other| other.id != id && other.rules.iter().any(|rule| rule.permission.peer == peer));
        if used || referenced {
            return Err(AwsError::new("DependencyViolation", format!("resource {id} has a dependent object")));
        }
        self.0.remove(id).ok_or_else(|| not_found(id))
    }

    /// A group by its id.
    pub(crate) fn get(&self, id: &str) -> Result<&Group, AwsError> {
        self.0.get(id).ok_or_else(|| not_found(id))
    }

    /// A group by its id, to change its tags.
    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut Group, AwsError> {
        self.0.get_mut(id).ok_or_else(|| not_found(id))
    }

    /// A group by its name.
    pub(crate) fn by_name(&self, vpc_id: &str, name: &str) -> Option<&Group> {
        self.0.values().find(|group| group.vpc_id == vpc_id && group.name == name)
    }

    /// Every group, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.values()
    }

    fn insert(&mut self, vpc_id: &str, name: &str, description: &str, tags: Tags, mut rules: Vec<GroupRule>) -> Group {
        let anywhere = Permission {
            egress: true,
            protocol: "-1".to_owned(),
            ports: None,
            peer: RulePeer::Cidr("0.0.0.0/0".to_owned()),
        };
        rules.push(GroupRule { id: ids::new("sgr"), permission: anywhere, description: None, tags: Tags::new() });
        let group = Group {
            id: ids::new("sg"),
            name: name.to_owned(),
            description: description.to_owned(),
            vpc_id: vpc_id.to_owned(),
            rules,
            tags,
        };
        self.0.insert(group.id.clone(), group.clone());
        group
    }
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

#[cfg(test)]
mod tests;
