//! Security groups.

use std::sync::Arc;

use super::describe::page;
use super::{facts, render};
use crate::front::context::Context;
use crate::front::decisions::filters::Filters;
use crate::front::decisions::groups::{Group, GroupRule};
use crate::front::decisions::permissions::{self, Permission, RulePeer};
use crate::front::wire::{Answer, AwsError, Element, Params, Xml};

/// CreateSecurityGroup.
pub(super) async fn create(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let name = params.required("GroupName")?;
    let description = params.required("GroupDescription")?;
    let vpc_id = facts::vpc(context, params.get("VpcId")).await?;
    let tags = params.tag_specification("security-group");
    let group = context.world(|world| world.groups.create(&vpc_id, name, description, tags))?;
    Ok(Answer::ec2("CreateSecurityGroup", |xml| {
        xml.text("return", true).text("groupId", &group.id).text("securityGroupArn", arn(context, &group));
        render::tags(xml, &group.tags);
    }))
}

/// DeleteSecurityGroup.
pub(super) async fn delete(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let id = params.required("GroupId")?;
    let group = context.world(|world| world.delete_group(id))?;
    context.apply_firewall().await?;
    Ok(Answer::ec2("DeleteSecurityGroup", |xml| {
        xml.text("return", true).text("groupId", &group.id);
    }))
}

/// AuthorizeSecurityGroupIngress and -Egress.
pub(super) async fn authorize(context: &Arc<Context>, params: &Params, egress: bool) -> Result<Answer, AwsError> {
    let rules = permissions::read(params, egress)?;
    let id = group_id(context, params)?;
    let added = context.world(|world| world.groups.authorize(&id, rules))?;
    context.apply_firewall().await?;
    let operation = if egress { "AuthorizeSecurityGroupEgress" } else { "AuthorizeSecurityGroupIngress" };
    Ok(Answer::ec2(operation, |xml| {
        xml.text("return", true);
        xml.list("securityGroupRuleSet", "item", &added, |xml, added| rule(xml, context, &id, added));
    }))
}

/// RevokeSecurityGroupIngress and -Egress.
pub(super) async fn revoke(context: &Arc<Context>, params: &Params, egress: bool) -> Result<Answer, AwsError> {
    let id = group_id(context, params)?;
    let rule_ids = params.list("SecurityGroupRuleId");
    if rule_ids.is_empty() {
        let permissions: Vec<Permission> =
            permissions::read(params, egress)?.into_iter().map(|rule| rule.permission).collect();
        context.world(|world| world.groups.revoke(&id, &permissions))?;
    } else {
        context.world(|world| world.groups.revoke_ids(&id, egress, &rule_ids))?;
    }
    context.apply_firewall().await?;
    Ok(Answer::ec2_done(if egress { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroupIngress" }))
}

/// ModifyInstanceAttribute: the list of groups, and the shutdown behaviour.
pub(super) async fn modify_instance(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let id = params.required("InstanceId")?;
    let groups = params.list("GroupId");
    let behaviour = params.get("InstanceInitiatedShutdownBehavior.Value");
    if groups.is_empty() && behaviour.is_none() {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "No attributes specified that the local cloud can modify.",
        ));
    }
    context.world(|world| {
        let vpc_id = world.instances.get(id)?.subnet.vpc_id.clone();
        if !groups.is_empty() {
            let groups = world.groups_for(&vpc_id, groups)?;
            world.instances.get_mut(id)?.group_ids = groups;
        }
        if let Some(behaviour) = behaviour {
            world.instances.get_mut(id)?.terminate_on_shutdown = behaviour == "terminate";
        }
        Ok::<_, AwsError>(())
    })?;
    context.apply_firewall().await?;
    Ok(Answer::ec2_done("ModifyInstanceAttribute"))
}

/// Keeps a default group for every VPC of the emulator.
pub(super) fn follow_vpc(context: &Arc<Context>, params: &Params, answer: &Answer) {
    if let Some(gone) = params.get("VpcId") {
        context.world(|world| world.groups.forget_vpc(gone));
        return;
    }
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(id) = Element::parse(&text).as_ref().and_then(|root| root.text_at(&["vpc", "vpcId"])) {
        context.world(|world| world.groups.ensure_default(id));
    }
}

/// DescribeSecurityGroups.
pub(super) fn describe(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let (ids, names) = (params.list("GroupId"), params.list("GroupName"));
    let filters = Filters::new(params.filters());
    context.read(|world| {
        for id in &ids {
            world.groups.get(id)?;
        }
        let mut found = Vec::new();
        for group in world.groups.iter() {
            let asked =
                (ids.is_empty() || ids.contains(&group.id)) && (names.is_empty() || names.contains(&group.name));
            if asked && filters.pass(&group.tags, |name| values(group, name))? {
                found.push(group);
            }
        }
        let (found, next) = page(found, params, |group| group.id.clone())?;
        Ok(Answer::ec2("DescribeSecurityGroups", |xml| {
            xml.list("securityGroupInfo", "item", &found, |xml, group| render_group(xml, context, group));
            xml.optional("nextToken", next);
        }))
    })
}

/// DescribeSecurityGroupRules.
pub(super) fn describe_rules(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let ids = params.list("SecurityGroupRuleId");
    let filters = Filters::new(params.filters());
    context.read(|world| {
        let mut found = Vec::new();
        for (group, rule) in world.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))) {
            let values = |name: &str| match name {
                "group-id" => Some(vec![group.id.clone()]),
                "security-group-rule-id" => Some(vec![rule.id.clone()]),
                _ => None,
            };
            if (ids.is_empty() || ids.contains(&rule.id)) && filters.pass(&rule.tags, values)? {
                found.push((group, rule));
            }
        }
        let (found, next) = page(found, params, |(_, rule)| rule.id.clone())?;
        Ok(Answer::ec2("DescribeSecurityGroupRules", |xml| {
            xml.list("securityGroupRuleSet", "item", &found, |xml, (group, found)| {
                rule(xml, context, &group.id, found);
            });
            xml.optional("nextToken", next);
        }))
    })
}

fn group_id(context: &Context, params: &Params) -> Result<String, AwsError> {
    let id = params.required("GroupId")?;
    context.read(|world| world.groups.get(id).map(|group| group.id.clone()))
}

fn values(group: &Group, filter: &str) -> Option<Vec<String>> {
    let one = |value: &str| Some(vec![value.to_owned()]);
    let peers = |egress: bool| {
        let peer = |rule: &GroupRule| match &rule.permission.peer {
            RulePeer::Group(id) if rule.permission.egress == egress => Some(id.clone()),
            _ => None,
        };
        Some(group.rules.iter().filter_map(peer).collect())
    };
    match filter {
        "group-id" => one(&group.id),
        "group-name" => one(&group.name),
        "description" => one(&group.description),
        "vpc-id" => one(&group.vpc_id),
        "ip-permission.group-id" => peers(false),
        "egress.ip-permission.group-id" => peers(true),
        _ => None,
    }
}

fn arn(context: &Context, group: &Group) -> String {
    context.arn("ec2", &format!("security-group/{}", group.id))
}

fn render_group(xml: &mut Xml, context: &Context, group: &Group) {
    xml.text("ownerId", context.credentials.account())
        .text("groupId", &group.id)
        .text("groupName", &group.name)
        .text("groupDescription", &group.description)
        .text("vpcId", &group.vpc_id)
        .text("securityGroupArn", arn(context, group));
    for (name, egress) in [("ipPermissions", false), ("ipPermissionsEgress", true)] {
        let rules = group.rules.iter().filter(|rule| rule.permission.egress == egress);
        xml.list(name, "item", rules, |xml, rule| permission(xml, context, rule));
    }
    render::tags(xml, &group.tags);
}

/// One `ipPermissions` item. EC2 folds rules of the same ports into one item; one item per rule reads the same.
fn permission(xml: &mut Xml, context: &Context, rule: &GroupRule) {
    xml.text("ipProtocol", &rule.permission.protocol);
    if let Some((from, to)) = rule.permission.ports {
        xml.text("fromPort", from).text("toPort", to);
    }
    let (list, member, value) = match &rule.permission.peer {
        RulePeer::Group(id) => ("groups", "groupId", id),
        RulePeer::Cidr(cidr) => ("ipRanges", "cidrIp", cidr),
        RulePeer::Cidr6(cidr) => ("ipv6Ranges", "cidrIpv6", cidr),
        RulePeer::PrefixList(id) => ("prefixListIds", "prefixListId", id),
    };
    xml.list(list, "item", [value], |xml, value| {
        if list == "groups" {
            xml.text("userId", context.credentials.account());
        }
        xml.text(member, value).optional("description", rule.description.as_ref());
    });
}

fn rule(xml: &mut Xml, context: &Context, group_id: &str, rule: &GroupRule) {
    let (from, to) = rule.permission.ports.unwrap_or((-1, -1));
    xml.text("securityGroupRuleId", &rule.id)
        .text("groupId", group_id)
        .text("groupOwnerId", context.credentials.account())
        .text("isEgress", rule.permission.egress)
        .text("ipProtocol", &rule.permission.protocol)
        .text("fromPort", from)
        .text("toPort", to);
    match &rule.permission.peer {
        RulePeer::Group(id) => {
            xml.node("referencedGroupInfo", |xml| {
                xml.text("groupId", id).text("userId", context.credentials.account());
            });
        }
        RulePeer::Cidr(cidr) => {
            xml.text("cidrIpv4", cidr);
        }
        RulePeer::Cidr6(cidr) => {
            xml.text("cidrIpv6", cidr);
        }
        RulePeer::PrefixList(id) => {
            xml.text("prefixListId", id);
        }
    }
    xml.optional("description", rule.description.as_ref());
    render::tags(xml, &rule.tags);
}
