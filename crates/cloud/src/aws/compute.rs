//! EC2.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, IamInstanceProfileSpecification, ImageState,
    InstanceMetadataOptionsRequest, InstanceType, IpPermission, IpRange, ResourceType, ShutdownBehavior, Tag,
    TagSpecification, UserIdGroupPair, VolumeType,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::error::{failed, incomplete};
use crate::compute::{
    Compute, Direction, Image, Instance, InstanceState, LaunchSpec, Peer, Permission, SecurityGroup, Subnet, TagFilter,
};
use crate::error::Result;
use crate::object_store::Tags;

/// EC2 through the SDK.
#[derive(Debug)]
pub(super) struct Ec2 {
    client: Client,
}

impl Ec2 {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    async fn groups(&self, operation_target: &str, filters: Vec<Filter>) -> Result<Vec<SecurityGroup>> {
        let mut pages =
            self.client.describe_security_groups().set_filters(Some(filters)).into_paginator().items().send();
        let mut groups = Vec::new();
        while let Some(group) = pages.next().await {
            groups.push(security_group(
                &group.map_err(|error| failed("DescribeSecurityGroups", operation_target, error))?,
            ));
        }
        Ok(groups)
    }
}

#[async_trait]
impl Compute for Ec2 {
    async fn launch(&self, spec: &LaunchSpec) -> Result<Instance> {
        let tags: Vec<Tag> = sdk_tags(&spec.tags);
        let tagged =
            |kind: ResourceType| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.clone())).build();
        let mut call = self
            .client
            .run_instances()
            .client_token(&spec.client_token)
            .image_id(&spec.image_id)
            .instance_type(InstanceType::from(spec.instance_type.as_str()))
            .subnet_id(&spec.subnet_id)
            .set_security_group_ids(Some(spec.security_group_ids.clone()))
            .user_data(BASE64_STANDARD.encode(&spec.user_data))
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .metadata_options(
                InstanceMetadataOptionsRequest::builder()
                    .http_tokens(HttpTokensState::Required)
                    .http_put_response_hop_limit(1)
                    .build(),
            )
            .tag_specifications(tagged(ResourceType::Instance))
            .tag_specifications(tagged(ResourceType::Volume))
            .tag_specifications(tagged(ResourceType::NetworkInterface))
            .min_count(1)
            .max_count(1);
        if let Some(profile) = &spec.instance_profile {
            call = call.iam_instance_profile(IamInstanceProfileSpecification::builder().name(profile).build());
        }
        if let Some(gib) = spec.root_volume_gib {
            let volume = EbsBlockDevice::builder()
                .volume_size(i32::try_from(gib).unwrap_or(i32::MAX))
                .volume_type(VolumeType::Gp3)
                .encrypted(true)
                .delete_on_termination(true)
                .build();
            call =
                call.block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(volume).build());
        }
        let answer = call.send().await.map_err(|error| failed("RunInstances", &spec.client_token, error))?;
        let launched = answer.instances().first().and_then(instance);
        launched.ok_or_else(|| incomplete("RunInstances", &spec.client_token, "instance"))
    }

    async fn instance(&self, id: &str) -> Result<Option<Instance>> {
        let answer = self.client.describe_instances().instance_ids(id).send().await;
        match answer.map_err(|error| failed("DescribeInstances", id, error)) {
            Ok(answer) => Ok(answer.reservations().iter().flat_map(|set| set.instances()).find_map(instance)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn instances(&self, tags: &TagFilter) -> Result<Vec<Instance>> {
        let mut pages =
            self.client.describe_instances().set_filters(Some(tag_filters(tags))).into_paginator().items().send();
        let mut instances = Vec::new();
        while let Some(reservation) = pages.next().await {
            let reservation = reservation.map_err(|error| failed("DescribeInstances", "instances by tag", error))?;
            instances.extend(reservation.instances().iter().filter_map(instance));
        }
        Ok(instances)
    }

    async fn terminate(&self, id: &str) -> Result<()> {
        let answer = self.client.terminate_instances().instance_ids(id).send().await;
        unless_gone(answer.map(drop).map_err(|error| failed("TerminateInstances", id, error)))
    }

    async fn create_security_group(&self, vpc_id: &str, name: &str, description: &str, tags: &Tags) -> Result<String> {
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::SecurityGroup)
            .set_tags(Some(sdk_tags(tags)))
            .build();
        let answer = self
            .client
            .create_security_group()
            .vpc_id(vpc_id)
            .group_name(name)
            .description(description)
            .tag_specifications(tags)
            .send()
            .await
            .map_err(|error| failed("CreateSecurityGroup", name, error))?;
        answer.group_id().map(str::to_owned).ok_or_else(|| incomplete("CreateSecurityGroup", name, "group id"))
    }

    async fn authorize(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let rule = ip_permission(permission);
        let answer = match permission.direction {
            Direction::Ingress => {
                let call = self.client.authorize_security_group_ingress().group_id(group_id).ip_permissions(rule);
                call.send().await.map(drop).map_err(|error| failed("AuthorizeSecurityGroupIngress", group_id, error))
            }
            Direction::Egress => {
                let call = self.client.authorize_security_group_egress().group_id(group_id).ip_permissions(rule);
                call.send().await.map(drop).map_err(|error| failed("AuthorizeSecurityGroupEgress", group_id, error))
            }
        };
        match answer {
            Err(error) if error.is_already_exists() => Ok(()),
            answer => answer,
        }
    }

    async fn revoke(&self, group_id: &str, permission: &Permission) -> Result<()> {
        let rule = ip_permission(permission);
        let answer = match permission.direction {
            Direction::Ingress => {
                let call = self.client.revoke_security_group_ingress().group_id(group_id).ip_permissions(rule);
                call.send().await.map(drop).map_err(|error| failed("RevokeSecurityGroupIngress", group_id, error))
            }
            Direction::Egress => {
                let call = self.client.revoke_security_group_egress().group_id(group_id).ip_permissions(rule);
                call.send().await.map(drop).map_err(|error| failed("RevokeSecurityGroupEgress", group_id, error))
            }
        };
        match answer {
            Err(error) if error.code.as_deref() == Some("InvalidPermission.NotFound") => Ok(()),
            answer => answer,
        }
    }

    async fn delete_security_group(&self, id: &str) -> Result<()> {
        let answer = self.client.delete_security_group().group_id(id).send().await;
        unless_gone(answer.map(drop).map_err(|error| failed("DeleteSecurityGroup", id, error)))
    }

    async fn security_group_by_name(&self, vpc_id: &str, name: &str) -> Result<Option<SecurityGroup>> {
        let filters = vec![filter("vpc-id", [vpc_id]), filter("group-name", [name])];
        Ok(self.groups(name, filters).await?.into_iter().next())
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.groups("security groups by id", vec![filter("group-id", ids)]).await
    }

    async fn tagged_security_groups(&self, tags: &TagFilter) -> Result<Vec<SecurityGroup>> {
        self.groups("security groups by tag", tag_filters(tags)).await
    }

    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let target = ids.join(", ");
        let mut pages =
            self.client.describe_subnets().set_subnet_ids(Some(ids.to_vec())).into_paginator().items().send();
        let mut subnets = Vec::new();
        while let Some(subnet) = pages.next().await {
            let subnet = subnet.map_err(|error| failed("DescribeSubnets", &target, error))?;
            subnets.push(Subnet {
                id: subnet.subnet_id().unwrap_or_default().to_owned(),
                vpc_id: subnet.vpc_id().unwrap_or_default().to_owned(),
                availability_zone: subnet.availability_zone().unwrap_or_default().to_owned(),
                free_addresses: u32::try_from(subnet.available_ip_address_count().unwrap_or_default()).unwrap_or(0),
                tags: tags(subnet.tags()),
            });
        }
        Ok(subnets)
    }

    async fn images(&self, wanted: &TagFilter) -> Result<Vec<Image>> {
        let call = self.client.describe_images().set_filters(Some(tag_filters(wanted)));
        let mut pages = call.into_paginator().items().send();
        let mut images = Vec::new();
        while let Some(image) = pages.next().await {
            let image = image.map_err(|error| failed("DescribeImages", "images by tag", error))?;
            images.extend(usable(&image));
        }
        Ok(images)
    }
}

/// An image that instances can be launched from: neither one that is still being made, nor one that failed or is disabled.
fn usable(image: &aws_sdk_ec2::types::Image) -> Option<Image> {
    (image.state() == Some(&ImageState::Available)).then(|| Image {
        id: image.image_id().unwrap_or_default().to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        created_at: image.creation_date().unwrap_or_default().to_owned(),
        tags: tags(image.tags()),
    })
}

/// What is gone need not be removed.
fn unless_gone(answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer,
    }
}

fn filter<T: AsRef<str>>(name: &str, values: impl IntoIterator<Item = T>) -> Filter {
    let values = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn tag_filters(tags: &TagFilter) -> Vec<Filter> {
    tags.iter().map(|(key, values)| filter(&format!("tag:{key}"), values)).collect()
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn tags(tags: &[Tag]) -> Tags {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

fn instance(instance: &aws_sdk_ec2::types::Instance) -> Option<Instance> {
    Some(Instance {
        id: instance.instance_id()?.to_owned(),
        state: match instance.state()?.name()?.as_str() {
            "pending" => InstanceState::Pending,
            "running" => InstanceState::Running,
            "shutting-down" => InstanceState::ShuttingDown,
            "terminated" => InstanceState::Terminated,
            "stopping" => InstanceState::Stopping,
            _ => InstanceState::Stopped,
        },
        state_reason: instance.state_reason().and_then(|reason| reason.code()).map(str::to_owned),
        launched_at: instance.launch_time().and_then(|at| jiff::Timestamp::from_second(at.secs()).ok()),
        private_ip: instance.private_ip_address().map(str::to_owned),
        availability_zone: instance.placement().and_then(|placement| placement.availability_zone()).map(str::to_owned),
        security_group_ids: instance
            .security_groups()
            .iter()
            .filter_map(|group| group.group_id())
            .map(str::to_owned)
            .collect(),
        tags: tags(instance.tags()),
    })
}

fn security_group(group: &aws_sdk_ec2::types::SecurityGroup) -> SecurityGroup {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let ingress = group.ip_permissions().iter().flat_map(|rule| permissions(Direction::Ingress, rule));
    let egress = group.ip_permissions_egress().iter().flat_map(|rule| permissions(Direction::Egress, rule));
    SecurityGroup {
        id: text(group.group_id()),
        name: text(group.group_name()),
        vpc_id: text(group.vpc_id()),
        permissions: ingress.chain(egress).collect(),
        tags: tags(group.tags()),
    }
}

/// One rule of EC2 may name several peers; each is a permission of its own.
fn permissions(direction: Direction, rule: &IpPermission) -> BTreeSet<Permission> {
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
    let tcp_ports = match rule.ip_protocol() {
        Some("tcp" | "6") => port(rule.from_port()).zip(port(rule.to_port())),
        _ => None,
    };
    let groups =
        rule.user_id_group_pairs().iter().filter_map(|pair| pair.group_id()).map(|id| Peer::Group(id.to_owned()));
    let blocks = rule.ip_ranges().iter().filter_map(|range| range.cidr_ip()).map(|cidr| Peer::Cidr(cidr.to_owned()));
    let blocks6 =
        rule.ipv6_ranges().iter().filter_map(|range| range.cidr_ipv6()).map(|cidr| Peer::Cidr(cidr.to_owned()));
    groups.chain(blocks).chain(blocks6).map(|peer| Permission { direction, tcp_ports, peer }).collect()
}

fn ip_permission(permission: &Permission) -> IpPermission {
    let rule = match permission.tcp_ports {
        Some((from, to)) => IpPermission::builder().ip_protocol("tcp").from_port(from.into()).to_port(to.into()),
        None => IpPermission::builder().ip_protocol("-1"),
    };
    match &permission.peer {
        Peer::Group(id) => rule.user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build()).build(),
        Peer::Cidr(cidr) if cidr.contains(':') => {
            rule.ipv6_ranges(aws_sdk_ec2::types::Ipv6Range::builder().cidr_ipv6(cidr).build()).build()
        }
        Peer::Cidr(cidr) => rule.ip_ranges(IpRange::builder().cidr_ip(cidr).build()).build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_cannot_be_launched_is_none() {
        let image = |state: ImageState| {
            let created = "2026-11-01T00:00:00.000Z";
            aws_sdk_ec2::types::Image::builder().image_id("ami-1").creation_date(created).state(state).build()
        };
        let states = [
            ImageState::Pending,
            ImageState::Failed,
            ImageState::Disabled,
            ImageState::Deregistered,
            ImageState::Error,
        ];
        for state in states {
            assert_eq!(usable(&image(state.clone())), None, "{state:?}");
        }
        assert_eq!(usable(&aws_sdk_ec2::types::Image::builder().image_id("ami-1").build()), None, "no state");
        assert_eq!(usable(&image(ImageState::Available)).map(|image| image.id).as_deref(), Some("ami-1"));
    }

    #[test]
    fn a_permission_survives_the_sdk() {
        for peer in [Peer::Group("sg-1".into()), Peer::Cidr("10.0.0.0/8".into()), Peer::Cidr("::/0".into())] {
            for tcp_ports in [None, Some((5432, 5432))] {
                let permission = Permission { direction: Direction::Egress, tcp_ports, peer: peer.clone() };
                let back = permissions(Direction::Egress, &ip_permission(&permission));
                assert_eq!(back, BTreeSet::from([permission]));
            }
        }
    }
}
