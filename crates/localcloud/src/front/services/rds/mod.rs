//! RDS: DB instances, snapshots, subnet groups and option groups are the front's own; clusters and parameter groups the
//! emulator's.

mod change;
mod create;
mod describe;
mod option_groups;
mod render;
mod secrets;
mod snapshots;
mod subnet_groups;
mod tags;
mod versions;

use std::sync::Arc;

pub(crate) use create::create as create_database;
pub(crate) use subnet_groups::create_from;
pub(crate) use versions::{default as default_version, major};

use super::passthrough::{self, Original};
use crate::front::context::Context;
use crate::front::wire::{Answer, AwsError, Call, Params};

/// Answers an RDS call.
pub(crate) async fn answer(context: &Arc<Context>, call: &Call, original: Original) -> Result<Answer, AwsError> {
    let params = call.params();
    match call.operation.as_str() {
        "CreateDBInstance" => create::create(context, &params).await,
        "RestoreDBInstanceFromDBSnapshot" => create::restore(context, &params).await,
        "ModifyDBInstance" => change::modify(context, &params).await,
        "DeleteDBInstance" => change::delete(context, &params),
        "DescribeDBInstances" => describe::instances(context, &params),
        "CreateDBSnapshot" => snapshots::create(context, &params),
        "DeleteDBSnapshot" => snapshots::delete(context, &params),
        "DescribeDBSnapshots" => describe::snapshots(context, &params),
        "CreateDBSubnetGroup" => subnet_groups::create(context, &params).await,
        "DeleteDBSubnetGroup" => subnet_groups::delete(context, &params),
        "DescribeDBSubnetGroups" => subnet_groups::describe(context, &params),
        "ListTagsForResource" => tags::list(context, &params),
        "AddTagsToResource" => tags::add(context, &params),
        "RemoveTagsFromResource" => tags::remove(context, &params),
        "CreateOptionGroup" => option_groups::create(context, &params),
        "ModifyOptionGroup" => option_groups::modify(context, &params),
        "DeleteOptionGroup" => option_groups::delete(context, &params),
        "DescribeOptionGroups" => option_groups::describe(context, &params),
        "DescribeDBEngineVersions" => Ok(versions::describe(&params)),
        "DescribeDBClusters" | "DescribeDBClusterSnapshots" | "DescribeDBParameterGroups" => {
            passthrough::answer(context, call, original).await
        }
        operation => Err(AwsError::unsupported(operation)),
    }
}

/// Refuses parameters that nothing here reads: to skip them in silence would hide what a real call does.
fn only(params: &Params, known: &[&str]) -> Result<(), AwsError> {
    let known = |name: &str| {
        let first = name.split('.').next().unwrap_or_default();
        matches!(first, "Action" | "Version") || known.contains(&first)
    };
    match params.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => Err(AwsError::new(
            "InvalidParameterValue",
            format!("The parameter {name} is not available in the local cloud"),
        )),
    }
}
