//! DB subnet groups.

use std::sync::Arc;

use super::render;
use crate::front::context::Context;
use crate::front::decisions::subnet_groups::SubnetGroup;
use crate::front::services::ec2;
use crate::front::wire::{Answer, AwsError, Params};

/// CreateDBSubnetGroup.
pub(super) async fn create(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let name = params.required("DBSubnetGroupName")?;
    let description = params.required("DBSubnetGroupDescription")?;
    let group = create_from(context, name, description, &params.list("SubnetIds")).await?;
    Ok(Answer::query("rds", "CreateDBSubnetGroup", |xml| {
        xml.node("DBSubnetGroup", |xml| render::subnet_group(xml, context, &group));
    }))
}

/// Makes a group over subnets that the emulator knows.
pub(crate) async fn create_from(
    context: &Context,
    name: &str,
    description: &str,
    subnet_ids: &[String],
) -> Result<SubnetGroup, AwsError> {
    let mut subnets = Vec::new();
    for id in subnet_ids {
        subnets.push(ec2::subnet(context, id).await.map_err(|error| AwsError::new("InvalidSubnet", error.message))?);
    }
    context.world(|world| world.subnet_groups.create(name, description, subnets))
}

/// DeleteDBSubnetGroup.
pub(super) fn delete(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let name = params.required("DBSubnetGroupName")?;
    context.world(|world| {
        let used = world.databases.iter().any(|database| database.subnet_group.name.eq_ignore_ascii_case(name));
        world.subnet_groups.delete(name, used)
    })?;
    Ok(Answer::query("rds", "DeleteDBSubnetGroup", |_| {}))
}

/// DescribeDBSubnetGroups.
pub(super) fn describe(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    context.read(|world| {
        let found: Vec<&SubnetGroup> = match params.get("DBSubnetGroupName") {
            Some(name) => vec![world.subnet_groups.get(name)?],
            None => world.subnet_groups.iter().collect(),
        };
        Ok(Answer::query("rds", "DescribeDBSubnetGroups", |xml| {
            xml.list("DBSubnetGroups", "DBSubnetGroup", found, |xml, group| render::subnet_group(xml, context, group));
        }))
    })
}
