//! What the emulator knows and the front's decisions need.

use crate::front::context::Context;
use crate::front::decisions::instances::Subnet;
use crate::front::wire::{AwsError, Element, Params};

/// A subnet by its id.
pub(crate) async fn subnet(context: &Context, id: &str) -> Result<Subnet, AwsError> {
    let mut params = Params::default();
    params.set("SubnetId.1", id);
    let found = subnets(context, params).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| AwsError::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")))
}

/// The subnets of the default VPC, one in each Zone.
pub(crate) async fn subnets_of_default_vpc(context: &Context) -> Result<Vec<Subnet>, AwsError> {
    let mut params = Params::default();
    params.set("Filter.1.Name", "default-for-az");
    params.set("Filter.1.Value.1", "true");
    subnets(context, params).await
}

/// The default subnet of a Zone, or of any.
pub(super) async fn default_subnet(context: &Context, zone: Option<&str>) -> Result<Subnet, AwsError> {
    let found = subnets_of_default_vpc(context).await?;
    found
        .into_iter()
        .find(|subnet| zone.is_none_or(|zone| subnet.zone == zone))
        .ok_or_else(|| AwsError::new("MissingInput", "No subnets found for the default VPC. Please specify a subnet."))
}

async fn subnets(context: &Context, params: Params) -> Result<Vec<Subnet>, AwsError> {
    let answer = context.moto_query("ec2", "DescribeSubnets", params).await?;
    let read = |item: &Element| {
        Some(Subnet {
            id: item.text_at(&["subnetId"])?.to_owned(),
            vpc_id: item.text_at(&["vpcId"])?.to_owned(),
            zone: item.text_at(&["availabilityZone"])?.to_owned(),
        })
    };
    Ok(answer.items(&["subnetSet"]).iter().filter_map(read).collect())
}

/// Ids of all VPCs, the default one first.
pub(crate) async fn vpcs(context: &Context, params: Params) -> Result<Vec<String>, AwsError> {
    let answer = context.moto_query("ec2", "DescribeVpcs", params).await?;
    let mut found: Vec<(bool, String)> = answer
        .items(&["vpcSet"])
        .iter()
        .filter_map(|item| Some((item.text_at(&["isDefault"]) != Some("true"), item.text_at(&["vpcId"])?.to_owned())))
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

/// Checks that a VPC exists; without an id answers the default one.
pub(super) async fn vpc(context: &Context, id: Option<&str>) -> Result<String, AwsError> {
    let mut params = Params::default();
    if let Some(id) = id {
        params.set("VpcId.1", id);
    }
    let missing = || AwsError::new("VPCIdNotSpecified", "No default VPC for this user");
    vpcs(context, params).await?.into_iter().next().ok_or_else(missing)
}

/// Checks that an image exists.
pub(super) async fn check_image(context: &Context, id: &str) -> Result<(), AwsError> {
    let mut params = Params::default();
    params.set("ImageId.1", id);
    let answer = context.moto_query("ec2", "DescribeImages", params).await?;
    if answer.items(&["imagesSet"]).is_empty() {
        let text = format!("The image id '[{id}]' does not exist");
        return Err(AwsError::new("InvalidAMIID.NotFound", text));
    }
    Ok(())
}
