//! EC2's XML of instances.

use crate::front::context::{Context, iso};
use crate::front::decisions::Tags;
use crate::front::decisions::instances::{Instance, State};
use crate::front::decisions::world::World;
use crate::front::wire::{Answer, Xml};

/// The answer to RunInstances.
pub(super) fn reservation(world: &World, context: &Context, launched: &[Instance]) -> Answer {
    Answer::ec2("RunInstances", |xml| {
        let current = launched.iter().filter_map(|instance| world.instances.get(&instance.id).ok());
        reservation_body(xml, world, context, &current.collect::<Vec<_>>());
    })
}

/// One reservation and its instances.
pub(super) fn reservation_body(xml: &mut Xml, world: &World, context: &Context, members: &[&Instance]) {
    xml.optional("reservationId", members.first().map(|instance| &instance.reservation_id));
    xml.text("ownerId", context.credentials.account());
    xml.node("groupSet", |_| {});
    xml.list("instancesSet", "item", members, |xml, member| instance(xml, world, context, member));
}

fn instance(xml: &mut Xml, world: &World, context: &Context, instance: &Instance) {
    let address = instance.private_address.filter(|_| instance.exists());
    let dns = address.map(|address| {
        format!("ip-{}.{}.compute.internal", address.to_string().replace('.', "-"), context.config.region)
    });
    xml.text("instanceId", &instance.id).text("imageId", &instance.image_id);
    state(xml, "instanceState", instance.state);
    xml.text("privateDnsName", dns.unwrap_or_default())
        .text("dnsName", "")
        .text("reason", instance.state_reason.as_ref().map_or("", |(_, message)| message.as_str()))
        .text("amiLaunchIndex", instance.launch_index)
        .text("instanceType", &instance.instance_type)
        .text("launchTime", iso(instance.launched_at))
        .node("placement", |xml| {
            xml.text("availabilityZone", &instance.subnet.zone).text("groupName", "").text("tenancy", "default");
        })
        .node("monitoring", |xml| {
            xml.text("state", "disabled");
        });
    if instance.exists() {
        xml.text("subnetId", &instance.subnet.id)
            .text("vpcId", &instance.subnet.vpc_id)
            .optional("privateIpAddress", address);
        xml.text("sourceDestCheck", true);
        groups(xml, world, &instance.group_ids);
    }
    if let Some((code, message)) = &instance.state_reason {
        xml.node("stateReason", |xml| {
            xml.text("code", code).text("message", message);
        });
    }
    xml.text("architecture", "x86_64")
        .text("rootDeviceType", "ebs")
        .text("rootDeviceName", "/dev/xvda")
        .text("virtualizationType", "hvm")
        .text("hypervisor", "xen")
        .optional("clientToken", instance.client_token.as_ref());
    tags(xml, &instance.tags);
    if let Some(profile) = &instance.profile {
        xml.node("iamInstanceProfile", |xml| {
            let arn = context.iam_arn(&format!("instance-profile/{}", profile.name));
            xml.text("arn", arn).text("id", &profile.id);
        });
    }
    xml.node("metadataOptions", |xml| {
        xml.text("state", "applied")
            .text("httpTokens", &instance.metadata_tokens)
            .text("httpPutResponseHopLimit", 1)
            .text("httpEndpoint", "enabled");
    });
    if instance.exists() {
        xml.list("networkInterfaceSet", "item", [instance], |xml, instance| {
            xml.text("networkInterfaceId", interface_id(&instance.id))
                .text("subnetId", &instance.subnet.id)
                .text("vpcId", &instance.subnet.vpc_id)
                .text("status", "in-use")
                .optional("privateIpAddress", address);
            groups(xml, world, &instance.group_ids);
        });
    }
}

/// `groupSet` with ids and names.
pub(super) fn groups(xml: &mut Xml, world: &World, ids: &[String]) {
    xml.list("groupSet", "item", ids, |xml, id| {
        let name = world.groups.get(id).map(|group| group.name.clone()).unwrap_or_default();
        xml.text("groupId", id).text("groupName", name);
    });
}

/// `tagSet`.
pub(super) fn tags(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", "item", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

/// A state with its code.
pub(super) fn state(xml: &mut Xml, name: &str, state: State) {
    let (code, text) = state.code_and_name();
    xml.node(name, |xml| {
        xml.text("code", code).text("name", text);
    });
}

/// The one network interface of a machine: its id follows from the machine's.
pub(super) fn interface_id(machine: &str) -> String {
    let digits: String = machine.bytes().map(|byte| format!("{byte:02x}")).rev().collect();
    let digits = machine.strip_prefix("i-").unwrap_or(&digits);
    format!("eni-{digits:0>17.17}")
}
