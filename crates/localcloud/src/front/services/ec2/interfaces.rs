//! Network interfaces: one for each machine, so that the holders of a group can be found.

use std::sync::Arc;

use super::describe::page;
use super::render;
use crate::front::context::Context;
use crate::front::decisions::Tags;
use crate::front::decisions::filters::Filters;
use crate::front::wire::{Answer, AwsError, Params};

struct Interface {
    id: String,
    subnet_id: String,
    vpc_id: String,
    zone: String,
    address: Option<String>,
    group_ids: Vec<String>,
    description: String,
    instance_id: Option<String>,
}

/// DescribeNetworkInterfaces.
pub(super) fn describe(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let ids = params.list("NetworkInterfaceId");
    let filters = Filters::new(params.filters());
    context.read(|world| {
        let of_instances = world.instances.iter().filter(|instance| instance.exists()).map(|instance| Interface {
            id: render::interface_id(&instance.id),
            subnet_id: instance.subnet.id.clone(),
            vpc_id: instance.subnet.vpc_id.clone(),
            zone: instance.subnet.zone.clone(),
            address: instance.private_address.map(|address| address.to_string()),
            group_ids: instance.group_ids.clone(),
            description: String::new(),
            instance_id: Some(instance.id.clone()),
        });
        let of_databases = world.databases.iter().map(|database| Interface {
            id: render::interface_id(&database.id),
            subnet_id: database
                .subnet_group
                .subnets
                .iter()
                .find(|subnet| subnet.zone == database.zone)
                .map(|subnet| subnet.id.clone())
                .unwrap_or_default(),
            vpc_id: database.subnet_group.vpc_id.clone(),
            zone: database.zone.clone(),
            address: database.address.map(|address| address.to_string()),
            group_ids: database.group_ids.clone(),
            description: "RDSNetworkInterface".to_owned(),
            instance_id: None,
        });
        let mut found = Vec::new();
        for interface in of_instances.chain(of_databases) {
            let asked = ids.is_empty() || ids.contains(&interface.id);
            if asked && filters.pass(&Tags::new(), |name| values(&interface, name))? {
                found.push(interface);
            }
        }
        let (found, next) = page(found, params, |interface| interface.id.clone())?;
        Ok(Answer::ec2("DescribeNetworkInterfaces", |xml| {
            xml.list("networkInterfaceSet", "item", &found, |xml, interface| {
                xml.text("networkInterfaceId", &interface.id)
                    .text("subnetId", &interface.subnet_id)
                    .text("vpcId", &interface.vpc_id)
                    .text("availabilityZone", &interface.zone)
                    .text("description", &interface.description)
                    .text("ownerId", context.credentials.account())
                    .text("requesterManaged", interface.instance_id.is_none())
                    .text("status", "in-use")
                    .optional("privateIpAddress", interface.address.as_ref());
                render::groups(xml, world, &interface.group_ids);
                if let Some(instance_id) = &interface.instance_id {
                    xml.node("attachment", |xml| {
                        xml.text("instanceId", instance_id).text("deviceIndex", 0).text("status", "attached");
                    });
                }
            });
            xml.optional("nextToken", next);
        }))
    })
}

fn values(interface: &Interface, filter: &str) -> Option<Vec<String>> {
    let one = |value: &str| Some(vec![value.to_owned()]);
    match filter {
        "network-interface-id" => one(&interface.id),
        "group-id" => Some(interface.group_ids.clone()),
        "vpc-id" => one(&interface.vpc_id),
        "subnet-id" => one(&interface.subnet_id),
        "availability-zone" => one(&interface.zone),
        "status" => one("in-use"),
        "description" => one(&interface.description),
        "attachment.instance-id" => Some(interface.instance_id.iter().cloned().collect()),
        "private-ip-address" | "addresses.private-ip-address" => Some(interface.address.iter().cloned().collect()),
        _ => None,
    }
}
