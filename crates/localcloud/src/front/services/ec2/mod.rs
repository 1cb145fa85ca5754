//! EC2: instances and security groups are the front's, VPCs, subnets and images the emulator's.

mod describe;
mod endings;
mod facts;
mod groups;
mod interfaces;
mod launch;
mod metadata;
mod render;
mod tags;

use std::sync::Arc;

pub(crate) use endings::follow_power_offs;
pub(crate) use facts::{subnet, subnets_of_default_vpc, vpcs};

use super::passthrough::{self, Original};
use crate::front::context::Context;
use crate::front::wire::{Answer, AwsError, Call};

/// Answers an EC2 call.
pub(crate) async fn answer(context: &Arc<Context>, call: &Call, original: Original) -> Result<Answer, AwsError> {
    let params = call.params();
    if params.get("DryRun") == Some("true") {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new("DryRunOperation", text).with_status(412));
    }
    match call.operation.as_str() {
        "RunInstances" => launch::run(context, &params).await,
        "TerminateInstances" => endings::terminate(context, &params),
        "DescribeInstances" => describe::instances(context, &params),
        "DescribeInstanceStatus" => describe::statuses(context, &params),
        "DescribeInstanceAttribute" => describe::attribute(context, &params),
        "ModifyInstanceAttribute" => groups::modify_instance(context, &params).await,
        "GetConsoleOutput" => describe::console(context, &params).await,
        "DescribeNetworkInterfaces" => interfaces::describe(context, &params),
        "CreateSecurityGroup" => groups::create(context, &params).await,
        "DeleteSecurityGroup" => groups::delete(context, &params).await,
        "DescribeSecurityGroups" => groups::describe(context, &params),
        "DescribeSecurityGroupRules" => groups::describe_rules(context, &params),
        "AuthorizeSecurityGroupIngress" => groups::authorize(context, &params, false).await,
        "AuthorizeSecurityGroupEgress" => groups::authorize(context, &params, true).await,
        "RevokeSecurityGroupIngress" => groups::revoke(context, &params, false).await,
        "RevokeSecurityGroupEgress" => groups::revoke(context, &params, true).await,
        "CreateTags" | "DeleteTags" => tags::change(context, call, &params).await,
        "DeleteSubnet" => {
            context.read(|world| world.check_unused(params.required("SubnetId")?))?;
            passthrough::answer(context, call, original).await
        }
        "CreateVpc" | "DeleteVpc" => {
            if let Some(id) = params.get("VpcId") {
                context.read(|world| world.check_unused(id))?;
            }
            let answer = passthrough::answer(context, call, original).await?;
            if answer.is_success() {
                groups::follow_vpc(context, &params, &answer);
            }
            Ok(answer)
        }
        operation if is_the_emulators(operation) => passthrough::answer(context, call, original).await,
        operation => Err(AwsError::unsupported(operation)),
    }
}

/// Operations on what the emulator keeps. Everything else is refused: the emulator knows nothing of the front's
/// instances and groups, and would answer as if there were none.
fn is_the_emulators(operation: &str) -> bool {
    const KINDS: &[&str] = &[
        "Vpc",
        "Vpcs",
        "Subnet",
        "Subnets",
        "Image",
        "Images",
        "AvailabilityZones",
        "Regions",
        "InstanceTypes",
        "InstanceTypeOfferings",
        "RouteTable",
        "RouteTables",
        "Route",
        "InternetGateway",
        "InternetGateways",
        "VpcEndpoint",
        "VpcEndpoints",
        "AccountAttributes",
        "KeyPair",
        "KeyPairs",
        "VpcAttribute",
        "SubnetAttribute",
        "ImageAttribute",
    ];
    const VERBS: &[&str] = &[
        "Describe",
        "Create",
        "Delete",
        "Register",
        "Deregister",
        "Modify",
        "Associate",
        "Disassociate",
        "Attach",
        "Detach",
    ];
    VERBS.iter().any(|verb| operation.strip_prefix(verb).is_some_and(|kind| KINDS.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::is_the_emulators;

    #[test]
    fn only_what_the_emulator_keeps_is_passed_on() {
        for (operation, expected) in [
            ("DescribeSubnets", true),
            ("CreateVpc", true),
            ("DescribeImages", true),
            ("StartInstances", false),
            ("DescribeTags", false),
            ("ModifySecurityGroupRules", false),
            ("DescribeVolumes", false),
        ] {
            assert_eq!(is_the_emulators(operation), expected, "{operation}");
        }
    }
}
