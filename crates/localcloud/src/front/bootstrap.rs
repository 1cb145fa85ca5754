//! What an account has before our product comes: a network, an image, a key and roles.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::config::Bootstrap;
use super::context::Context;
use super::services::passthrough::Original;
use super::services::{ec2, iam, rds};
use super::wire::{AwsError, Call, Element, Params, Payload};

/// Roles: of instance profiles, of the sessions of workers, of coordinators.
const WORKER: &str = "haulier-worker";
const SESSION: &str = "haulier-session";
const COORDINATOR: &str = "haulier-coordinator";
/// Of option groups for SQL Server.
const NATIVE_BACKUP: &str = "haulier-native-backup";
const SUBNET_GROUP: &str = "haulier";

/// Makes everything and says what it made.
pub(crate) async fn run(context: &Arc<Context>) -> anyhow::Result<Bootstrap> {
    let (vpc_id, subnet_ids) = network(context).await?;
    let group = context.world(|world| {
        world.groups.create(
            &vpc_id,
            "haulier-databases",
            "DB instances of the local cloud",
            Params::default().tags("Tags"),
        )
    })?;
    let (worker_role_arn, coordinator_role_arn) = roles(context).await?;
    let native_backup_role_arn = native_backup_role(context).await?;
    Ok(Bootstrap {
        ami_id: image(context).await?,
        vpc_id,
        subnet_ids,
        db_subnet_group: SUBNET_GROUP.to_owned(),
        database_security_group_id: group.id,
        kms_key_arn: key(context).await?,
        worker_role_arn,
        worker_instance_profile: WORKER.to_owned(),
        native_backup_role_arn,
        coordinator_role_arn,
    })
}

async fn network(context: &Arc<Context>) -> anyhow::Result<(String, Vec<String>)> {
    let vpc = ask(context, "CreateVpc", &[("CidrBlock", &context.config.vpc_cidr)]).await?;
    let vpc_id = text(&vpc, &["vpc", "vpcId"])?;
    let mut subnet_ids = Vec::new();
    for (cidr, letter) in context.config.subnet_cidrs.iter().zip(["a", "b"]) {
        let zone = format!("{}{letter}", context.config.region);
        let parameters = [("VpcId", vpc_id.as_str()), ("CidrBlock", cidr), ("AvailabilityZone", &zone)];
        let subnet = ask(context, "CreateSubnet", &parameters).await?;
        subnet_ids.push(text(&subnet, &["subnet", "subnetId"])?);
    }
    for id in ec2::vpcs(context, Params::default()).await? {
        context.world(|world| world.groups.ensure_default(&id));
    }
    rds::create_from(context, SUBNET_GROUP, "Private subnets of the local cloud", &subnet_ids).await?;
    // Where a restore lands that names no group: the default VPC.
    let default: Vec<String> =
        ec2::subnets_of_default_vpc(context).await?.into_iter().map(|subnet| subnet.id).collect();
    rds::create_from(context, "default", "default", &default).await?;
    Ok((vpc_id, subnet_ids))
}

async fn image(context: &Arc<Context>) -> anyhow::Result<String> {
    let name = format!("{WORKER}-{}", context.config.image_version);
    let parameters = [("Name", name.as_str()), ("Architecture", "x86_64"), ("RootDeviceName", "/dev/xvda")];
    let registered = ask(context, "RegisterImage", &parameters).await?;
    let id = text(&registered, &["imageId"])?;
    // The emulator forgets the tags of RegisterImage itself.
    let tags = [
        ("ResourceId.1", id.as_str()),
        ("Tag.1.Key", "haulier:component"),
        ("Tag.1.Value", "worker"),
        ("Tag.2.Key", "haulier:version"),
        ("Tag.2.Value", &context.config.image_version),
    ];
    ask(context, "CreateTags", &tags).await?;
    Ok(id)
}

async fn key(context: &Arc<Context>) -> anyhow::Result<String> {
    let made = context.moto_json("kms", "TrentService.CreateKey", &json!({"Description": "repositories"})).await?;
    let arn = made["KeyMetadata"]["Arn"].as_str().context("the emulator made a key without an ARN")?.to_owned();
    let alias = json!({"AliasName": "alias/haulier", "TargetKeyId": made["KeyMetadata"]["KeyId"]});
    context.moto_json("kms", "TrentService.CreateAlias", &alias).await?;
    Ok(arn)
}

/// The role of a worker's instance profile may do nothing: it only says who the worker is. The role of its sessions may do
/// what any session needs, and is narrowed by a session policy to what this one needs. The coordinator's may do everything
/// that its work needs.
async fn roles(context: &Arc<Context>) -> anyhow::Result<(String, String)> {
    let account = context.credentials.account();
    let trust = |principal: serde_json::Value| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}})
            .to_string()
    };
    let by_ec2 = trust(json!({"Service": "ec2.amazonaws.com"}));
    let by_account = trust(json!({"AWS": format!("arn:aws:iam::{account}:root")}));
    let may = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["ec2:*", "rds:*", "s3:*", "kms:*", "secretsmanager:*", "sts:AssumeRole", "iam:PassRole", "iam:GetRole"],
            "Resource": "*",
        },
    })
    .to_string();
    let session_may = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket",
                "secretsmanager:GetSecretValue", "kms:Decrypt", "rds-db:connect",
            ],
            "Resource": "*",
        },
    })
    .to_string();
    as_account(context, "CreateRole", &[("RoleName", WORKER), ("AssumeRolePolicyDocument", &by_ec2)]).await?;
    as_account(context, "CreateInstanceProfile", &[("InstanceProfileName", WORKER)]).await?;
    as_account(context, "AddRoleToInstanceProfile", &[("InstanceProfileName", WORKER), ("RoleName", WORKER)]).await?;
    let parameters =
        [("RoleName", SESSION), ("AssumeRolePolicyDocument", by_account.as_str()), ("MaxSessionDuration", "43200")];
    let session = as_account(context, "CreateRole", &parameters).await?;
    let parameters = [("RoleName", SESSION), ("PolicyName", "work"), ("PolicyDocument", session_may.as_str())];
    as_account(context, "PutRolePolicy", &parameters).await?;
    let parameters =
        [("RoleName", COORDINATOR), ("AssumeRolePolicyDocument", by_account.as_str()), ("MaxSessionDuration", "43200")];
    let coordinator = as_account(context, "CreateRole", &parameters).await?;
    let parameters = [("RoleName", COORDINATOR), ("PolicyName", "work"), ("PolicyDocument", may.as_str())];
    as_account(context, "PutRolePolicy", &parameters).await?;
    let arn = ["CreateRoleResult", "Role", "Arn"];
    Ok((text(&session, &arn)?, text(&coordinator, &arn)?))
}

/// What RDS assumes to read and write native backups: as AWS's guide has it, for instances and option groups both.
async fn native_backup_role(context: &Arc<Context>) -> anyhow::Result<String> {
    let account = context.credentials.account();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "rds.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": [context.arn("rds", "db:*"), context.arn("rds", "og:*")]},
            },
        },
    })
    .to_string();
    let may = json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "arn:aws:s3:::*"},
            {
                "Effect": "Allow",
                "Action": [
                    "s3:GetObjectAttributes",
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:ListMultipartUploadParts",
                    "s3:AbortMultipartUpload",
                ],
                "Resource": "arn:aws:s3:::*/*",
            },
            {
                "Effect": "Allow",
                "Action": ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Encrypt", "kms:Decrypt"],
                "Resource": "*",
            },
        ],
    })
    .to_string();
    let parameters = [("RoleName", NATIVE_BACKUP), ("AssumeRolePolicyDocument", trust.as_str())];
    let role = as_account(context, "CreateRole", &parameters).await?;
    let parameters = [("RoleName", NATIVE_BACKUP), ("PolicyName", "work"), ("PolicyDocument", may.as_str())];
    as_account(context, "PutRolePolicy", &parameters).await?;
    text(&role, &["CreateRoleResult", "Role", "Arn"])
}

/// Makes an IAM call as the account would, so that the front sees it too.
async fn as_account(context: &Arc<Context>, operation: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Element> {
    let mut params = Params::from([("Action", operation), ("Version", "2010-05-08")]);
    for (name, value) in parameters {
        params.set(name, *value);
    }
    let body = Bytes::from(params.encode());
    let (parts, ()) =
        Request::post("/").header("content-type", "application/x-www-form-urlencoded").body(())?.into_parts();
    let call = Call { service: "iam".to_owned(), operation: operation.to_owned(), payload: Payload::Form(params) };
    let answer = iam::answer(context, &call, Original { parts, body }).await?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if !answer.is_success() {
        return Err(anyhow!("the emulator refuses {operation}: {body}"));
    }
    Element::parse(&body).with_context(|| format!("the emulator's answer to {operation} is no XML"))
}

async fn ask(context: &Context, operation: &str, parameters: &[(&str, &str)]) -> Result<Element, AwsError> {
    let mut params = Params::default();
    for (name, value) in parameters {
        params.set(name, *value);
    }
    context.moto_query("ec2", operation, params).await
}

fn text(element: &Element, path: &[&str]) -> anyhow::Result<String> {
    let found = element.text_at(path).filter(|text| !text.is_empty());
    found.map(str::to_owned).with_context(|| format!("the emulator's answer has no {}", path.join("/")))
}
