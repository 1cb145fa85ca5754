//! What a call demands of its caller's policies.
//!
//! Every action is put to the evaluator, with the ARNs that the request names. The account's root is not asked, as on
//! AWS. STS decides for itself: GetCallerIdentity needs no permission, AssumeRole looks at two policies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::context::Context;
use super::wire::{AwsError, Call, Params};
use crate::credentials::Credential;
use crate::iam::{self, Context as Conditions, Permissions};

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// The first demand that the caller's policies do not allow, if any.
pub(crate) async fn refused(context: &Context, call: &Call, caller: &Credential) -> Result<Option<Demand>, AwsError> {
    if matches!(caller.permissions, Permissions::Root) || call.service == "sts" {
        return Ok(None);
    }
    let resources = match call.service.as_str() {
        "kms" => vec![kms_key(context, call).await?],
        "secretsmanager" => vec![secret(context, call).await?],
        "rds" => rds_resources(&call.operation, &call.params(), |resource| context.arn("rds", resource)),
        "ec2" => ec2_resources(&call.operation, &call.params(), |resource| context.arn("ec2", resource)),
        "iam" => iam_resources(&call.params(), |resource| context.iam_arn(resource)),
        _ => vec!["*".to_owned()],
    };
    let mut conditions = conditions(call);
    conditions.add("aws:PrincipalArn", &caller.principal);
    conditions.add("aws:RequestedRegion", &context.config.region);
    let action = format!("{}:{}", call.service, call.operation);
    let denied = |resource: &String| {
        let request = iam::Request { action: &action, resource, context: &conditions };
        !iam::authorise(&caller.permissions, &caller.principal, None, request).allowed()
    };
    Ok(resources.into_iter().find(denied).map(|resource| Demand { action: action.clone(), resource }))
}

fn conditions(call: &Call) -> Conditions {
    let params = call.params();
    let mut tags = params.tags("Tags");
    for specification in params.members("TagSpecification") {
        tags.extend(specification.tags("Tag"));
    }
    let mut conditions = Conditions::new();
    for (key, value) in tags {
        conditions.add(&format!("aws:RequestTag/{key}"), value);
        conditions.add("aws:TagKeys", key);
    }
    conditions
}

fn rds_resources(operation: &str, params: &Params, arn: impl Fn(&str) -> String) -> Vec<String> {
    let mut resources = Vec::new();
    for (parameter, kind) in [
        ("DBInstanceIdentifier", "db"),
        ("DBSnapshotIdentifier", "snapshot"),
        ("DBSubnetGroupName", "subgrp"),
        ("OptionGroupName", "og"),
    ] {
        if let Some(id) = params.get(parameter) {
            resources.push(if id.starts_with("arn:") {
                id.to_owned()
            } else {
                arn(&format!("{kind}:{}", id.to_ascii_lowercase()))
            });
        }
    }
    resources.extend(params.get("ResourceName").map(str::to_owned));
    match (resources.is_empty(), operation) {
        (true, "DescribeDBInstances") => vec![arn("db:*")],
        (true, "DescribeDBSnapshots") => vec![arn("snapshot:*")],
        (true, "DescribeOptionGroups") => vec![arn("og:*")],
        (true, _) => vec!["*".to_owned()],
        (false, _) => resources,
    }
}

/// EC2's Describe actions know no resources; the others are asked about everything that the request names or makes.
fn ec2_resources(operation: &str, params: &Params, arn: impl Fn(&str) -> String) -> Vec<String> {
    if operation.starts_with("Describe") {
        return vec!["*".to_owned()];
    }
    let mut ids: Vec<String> =
        ["InstanceId", "SecurityGroupId", "ResourceId", "GroupId"].iter().flat_map(|name| params.list(name)).collect();
    ids.extend(
        ["InstanceId", "GroupId", "SubnetId", "ImageId", "VpcId"]
            .iter()
            .filter_map(|name| params.get(name).map(str::to_owned)),
    );
    let mut resources: Vec<String> = ids
        .iter()
        .filter_map(|id| {
            let kind = match id.split('-').next()? {
                "i" => "instance",
                "sg" => "security-group",
                "subnet" => "subnet",
                "ami" => "image",
                "vpc" => "vpc",
                _ => return None,
            };
            Some(arn(&format!("{kind}/{id}")))
        })
        .collect();
    match operation {
        "RunInstances" => resources.extend([arn("instance/*"), arn("network-interface/*"), arn("volume/*")]),
        "CreateSecurityGroup" => resources.push(arn("security-group/*")),
        _ => {}
    }
    if resources.is_empty() { vec!["*".to_owned()] } else { resources }
}

fn iam_resources(params: &Params, arn: impl Fn(&str) -> String) -> Vec<String> {
    let named = |parameter: &str, kind: &str| params.get(parameter).map(|name| arn(&format!("{kind}/{name}")));
    let first = named("RoleName", "role").or_else(|| named("InstanceProfileName", "instance-profile"));
    vec![first.or_else(|| params.get("PolicyArn").map(str::to_owned)).unwrap_or_else(|| "*".to_owned())]
}

/// The ARN of a call's KMS key, whatever way it is named; for Decrypt it stands at the head of the ciphertext.
async fn kms_key(context: &Context, call: &Call) -> Result<String, AwsError> {
    let in_ciphertext = || {
        let blob = STANDARD.decode(call.json_text("CiphertextBlob")?).ok()?;
        String::from_utf8(blob.get(..36)?.to_vec()).ok()
    };
    let Some(key) = call.json_text("KeyId").map(str::to_owned).or_else(in_ciphertext) else {
        return Ok("*".to_owned());
    };
    let found = context.moto_json("kms", "TrentService.DescribeKey", &json!({"KeyId": key})).await?;
    Ok(found["KeyMetadata"]["Arn"].as_str().unwrap_or("*").to_owned())
}

/// The ARN of a call's secret. One that is named but not there is asked about by its name: a caller who may not read it
/// does not learn whether it exists.
async fn secret(context: &Context, call: &Call) -> Result<String, AwsError> {
    let Some(id) = call.json_text("SecretId").or_else(|| call.json_text("Name")) else { return Ok("*".to_owned()) };
    if id.starts_with("arn:") {
        return Ok(id.to_owned());
    }
    let found = context.moto_json("secretsmanager", "secretsmanager.DescribeSecret", &json!({"SecretId": id})).await;
    let arn = found.ok().and_then(|found| found.get("ARN")?.as_str().map(str::to_owned));
    Ok(arn.unwrap_or_else(|| context.arn("secretsmanager", &format!("secret:{id}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rds_asks_about_what_the_request_names() {
        let arn = |resource: &str| format!("arn:{resource}");
        for (operation, form, expected) in [
            ("DescribeDBInstances", "", vec!["arn:db:*"]),
            ("DescribeDBInstances", "DBInstanceIdentifier=Orders", vec!["arn:db:orders"]),
            (
                "CreateDBSnapshot",
                "DBInstanceIdentifier=orders&DBSnapshotIdentifier=s",
                vec!["arn:db:orders", "arn:snapshot:s"],
            ),
            ("ListTagsForResource", "ResourceName=arn%3Ax", vec!["arn:x"]),
            ("DescribeDBSubnetGroups", "", vec!["*"]),
        ] {
            assert_eq!(rds_resources(operation, &Params::parse(form), arn), expected, "{operation} {form}");
        }
    }

    #[test]
    fn ec2_asks_about_what_the_request_names_and_makes() {
        let arn = |resource: &str| format!("arn:{resource}");
        for (operation, form, expected) in [
            ("DescribeInstances", "InstanceId.1=i-1", vec!["*"]),
            ("TerminateInstances", "InstanceId.1=i-1&InstanceId.2=i-2", vec!["arn:instance/i-1", "arn:instance/i-2"]),
            ("CreateTags", "ResourceId.1=sg-1", vec!["arn:security-group/sg-1"]),
            ("DeleteSecurityGroup", "GroupId=sg-1", vec!["arn:security-group/sg-1"]),
            (
                "RunInstances",
                "ImageId=ami-1&SubnetId=subnet-1",
                vec![
                    "arn:subnet/subnet-1",
                    "arn:image/ami-1",
                    "arn:instance/*",
                    "arn:network-interface/*",
                    "arn:volume/*",
                ],
            ),
        ] {
            assert_eq!(ec2_resources(operation, &Params::parse(form), arn), expected, "{operation} {form}");
        }
    }
}
