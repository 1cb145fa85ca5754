//! Instances and security groups.

use haulier_localcloud::machines::{Peer, Rule};
use serde_json::{Value, json};

use super::cloud::Cloud;

#[tokio::test]
async fn a_token_launches_once() {
    let cloud = Cloud::start().await;
    let form = cloud.launch_form("&ClientToken=t-1&UserData=aGFsbG8%3D");
    let (first, at_once) = tokio::join!(cloud.call("ec2", &form), cloud.call("ec2", &form));
    let first = first.ok();
    assert_eq!(first, at_once.ok(), "the same answer, even to a request that comes while the first is at work");
    let id = first.text("instanceId");
    cloud.wait("ec2", "Action=DescribeInstances", |reply| reply.body.contains("<name>running</name>")).await;
    assert_eq!(cloud.call("ec2", &form).await, first, "the same answer later");
    let other = cloud.launch_form("&ClientToken=t-1&UserData=YW5kZXJz");
    assert_eq!(cloud.call("ec2", &other).await.code(), "IdempotentParameterMismatch");
    let booted = cloud.room.booted.lock().unwrap().clone();
    assert_eq!(booted.keys().collect::<Vec<_>>(), [&id]);
    assert_eq!(booted[&id].user_data, b"hallo");
}

#[tokio::test]
async fn an_instance_lives_through_its_states() {
    let cloud = Cloud::start().await;
    let tags = "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=session&TagSpecification.1.Tag.1.Value=ses-1";
    let launched = cloud.call("ec2", &cloud.launch_form(tags)).await.ok();
    assert!(launched.body.contains("<name>pending</name>"));
    assert_eq!(launched.text("privateIpAddress"), "10.99.0.11");
    let id = launched.text("instanceId");
    let by_tag = "Action=DescribeInstances&Filter.1.Name=tag:session&Filter.1.Value.1=ses-1";
    let running = cloud.wait("ec2", by_tag, |reply| reply.body.contains("<name>running</name>")).await;
    assert_eq!(running.text("instanceId"), id);
    let none = "Action=DescribeInstances&Filter.1.Name=tag:session&Filter.1.Value.1=ses-2";
    assert!(cloud.call("ec2", none).await.ok().all("instanceId").is_empty());

    let ending = cloud.call("ec2", &format!("Action=TerminateInstances&InstanceId.1={id}")).await.ok();
    assert_eq!(ending.all("name"), ["shutting-down", "running"]);
    cloud.wait("ec2", by_tag, |reply| reply.body.contains("<name>terminated</name>")).await;
    assert!(cloud.room.terminated.lock().unwrap().contains(&id));
    let missing = cloud.call("ec2", "Action=TerminateInstances&InstanceId.1=i-00000000000000000").await;
    assert_eq!(missing.code(), "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn power_off_and_failed_boots_end_an_instance() {
    let cloud = Cloud::start().await;
    let id = cloud.call("ec2", &cloud.launch_form("")).await.ok().text("instanceId");
    cloud.room.power_off(&id);
    let form = format!("Action=DescribeInstances&InstanceId.1={id}");
    let ended = cloud.wait("ec2", &form, |reply| reply.body.contains("<name>terminated</name>")).await;
    assert_eq!(ended.text("code"), "48");
    assert!(ended.body.contains("Client.InstanceInitiatedShutdown"));
    let broken = cloud.launch_form("&UserData=ZG9lcyBub3QgYm9vdA%3D%3D");
    let broken = cloud.call("ec2", &broken).await.ok();
    assert!(broken.body.contains("Server.InternalError"), "{}", broken.body);
}

#[tokio::test]
async fn what_does_not_exist_is_not_launched() {
    let cloud = Cloud::start().await;
    let good = cloud.launch_form("");
    let bootstrap = cloud.front.bootstrap();
    for (form, code) in [
        (good.replace(&bootstrap.ami_id, "ami-00000000000000000"), "InvalidAMIID.NotFound"),
        (good.replace(&bootstrap.subnet_ids[0], "subnet-00000000000000000"), "InvalidSubnetID.NotFound"),
        (good.replace("haulier-worker", "nobody"), "InvalidParameterValue"),
        (format!("{good}&SecurityGroupId.1=sg-00000000000000000"), "InvalidGroup.NotFound"),
    ] {
        assert_eq!(cloud.call("ec2", &form).await.code(), code, "{form}");
    }
    assert!(cloud.room.booted.lock().unwrap().is_empty());
    let images = "Action=DescribeImages&Owner.1=self&Filter.1.Name=tag:haulier:component&Filter.1.Value.1=worker";
    assert_eq!(cloud.call("ec2", images).await.ok().text("imageId"), bootstrap.ami_id);
    let subnets = format!("Action=DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1={}", bootstrap.vpc_id);
    assert_eq!(cloud.call("ec2", &subnets).await.ok().all("availabilityZone"), ["eu-central-1a", "eu-central-1b"]);
    assert_eq!(cloud.call("ec2", "Action=StartInstances&InstanceId.1=i-1").await.code(), "InvalidAction");
}

#[tokio::test]
async fn groups_hold_each_other_and_open_the_firewall() {
    let cloud = Cloud::start().await;
    let (database, worker) = (cloud.group("database").await, cloud.group("worker").await);
    let again = format!(
        "Action=CreateSecurityGroup&GroupName=worker&GroupDescription=d&VpcId={}",
        cloud.front.bootstrap().vpc_id
    );
    assert_eq!(cloud.call("ec2", &again).await.code(), "InvalidGroup.Duplicate");
    cloud.database("orders", &[&database]).await;
    let launched = cloud.call("ec2", &cloud.launch_form(&format!("&SecurityGroupId.1={worker}"))).await.ok();
    let instance = launched.text("instanceId");

    let rule = format!(
        "&GroupId={database}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5432&IpPermissions.1.ToPort=5432\
         &IpPermissions.1.Groups.1.GroupId={worker}"
    );
    let authorize = format!("Action=AuthorizeSecurityGroupIngress{rule}");
    let added = cloud.call("ec2", &authorize).await.ok();
    assert!(added.text("securityGroupRuleId").starts_with("sgr-"));
    let opened = Rule { peer: Peer::Machine(instance.clone()), ports: Some((5432, 5432)) };
    let ingress = || cloud.room.firewall.lock().unwrap().ingress["orders"].clone();
    assert_eq!(ingress(), [opened].into());
    assert_eq!(cloud.call("ec2", &authorize).await.code(), "InvalidPermission.Duplicate");

    // Held by the rule and the instance, then by the instance alone, then by nothing.
    let delete = |id: &str| format!("Action=DeleteSecurityGroup&GroupId={id}");
    assert_eq!(cloud.call("ec2", &delete(&worker)).await.code(), "DependencyViolation");
    assert_eq!(cloud.call("ec2", &delete(&database)).await.code(), "DependencyViolation");
    let revoke = format!("Action=RevokeSecurityGroupIngress{rule}");
    cloud.call("ec2", &revoke).await.ok();
    assert_eq!(ingress(), [].into());
    assert_eq!(cloud.call("ec2", &revoke).await.code(), "InvalidPermission.NotFound");
    assert_eq!(cloud.call("ec2", &delete(&worker)).await.code(), "DependencyViolation");
    cloud.call("ec2", &format!("Action=TerminateInstances&InstanceId.1={instance}")).await.ok();
    assert_eq!(cloud.call("ec2", &delete(&worker)).await.code(), "DependencyViolation", "shutting down");
    cloud.wait("ec2", &delete(&worker), |reply| reply.status.is_success()).await;
    assert_eq!(cloud.call("ec2", &delete(&worker)).await.code(), "InvalidGroup.NotFound");
    assert_eq!(cloud.call("ec2", &delete(&database)).await.code(), "DependencyViolation");

    let described = cloud.call("ec2", &format!("Action=DescribeSecurityGroups&GroupId.1={database}")).await.ok();
    assert_eq!(described.all("cidrIp"), ["0.0.0.0/0"], "the egress rule of every new group");
}

#[tokio::test]
async fn the_listing_names_what_is_left() {
    let cloud = Cloud::start().await;
    let before = cloud.control(http::Method::GET, "/listing", &Value::Null).await;
    let group = cloud.group("left").await;
    let tag = format!("Action=CreateTags&ResourceId.1={group}&Tag.1.Key=session&Tag.1.Value=ses-1");
    cloud.call("ec2", &tag).await.ok();
    let id = cloud.call("ec2", &cloud.launch_form("")).await.ok().text("instanceId");
    let listing = cloud.control(http::Method::GET, "/listing", &Value::Null).await;
    assert_eq!(listing["instances"][0]["id"], json!(id));
    let groups = listing["security_groups"].as_array().unwrap();
    let left = groups.iter().find(|item| item["id"] == json!(group)).unwrap();
    assert_eq!(left["tags"], json!({"session": "ses-1"}));
    assert_eq!(listing["buckets"], json!(["echo"]));
    cloud.call("ec2", &format!("Action=TerminateInstances&InstanceId.1={id}")).await.ok();
    cloud.call("ec2", &format!("Action=DeleteSecurityGroup&GroupId={group}")).await.ok();
    let gone = |reply: &super::cloud::Reply| reply.body.contains("<name>terminated</name>");
    cloud.wait("ec2", "Action=DescribeInstances", gone).await;
    assert_eq!(cloud.control(http::Method::GET, "/listing", &Value::Null).await, before);
}
