//! DB instances and snapshots.

use std::time::Duration;

use haulier_localcloud::front::FrontConfig;
use serde_json::json;

use super::cloud::Cloud;

const ORDERS: &str = "Action=DescribeDBInstances&DBInstanceIdentifier=orders";

/// Slow enough to look at several things while it lasts, on a busy machine too.
fn slow(config: &mut FrontConfig) {
    config.delays.database_backing_up = Duration::from_secs(4);
    config.delays.database_modifying = Duration::from_secs(4);
}

#[tokio::test]
async fn an_instance_is_made_described_and_deleted() {
    let cloud = Cloud::start().await;
    let group = cloud.group("database").await;
    let create = format!(
        "Action=CreateDBInstance&DBInstanceIdentifier=Orders&Engine=postgres&EngineVersion=15&DBInstanceClass=db.t3.micro\
         &MasterUsername=master&MasterUserPassword=correct-horse&AllocatedStorage=20&DBSubnetGroupName=haulier\
         &VpcSecurityGroupIds.VpcSecurityGroupId.1={group}&Tags.Tag.1.Key=team&Tags.Tag.1.Value=a"
    );
    let made = cloud.call("rds", &create).await.ok();
    assert_eq!(made.text("DBInstanceStatus"), "creating");
    assert!(made.all("Endpoint").is_empty());
    assert_eq!(cloud.call("rds", &create).await.code(), "DBInstanceAlreadyExists");
    let snapshot = "Action=CreateDBSnapshot&DBInstanceIdentifier=orders&DBSnapshotIdentifier=s";
    assert_eq!(cloud.call("rds", snapshot).await.code(), "InvalidDBInstanceState");
    let available = cloud.wait("rds", ORDERS, |reply| reply.text("DBInstanceStatus") == "available").await;
    assert!(available.text("Address").starts_with("orders."));
    assert!(available.text("Address").ends_with(".eu-central-1.rds.amazonaws.com"));
    assert_eq!(available.text("VpcSecurityGroupId"), group);
    assert_eq!(available.text("VpcId"), cloud.front.bootstrap().vpc_id);
    assert_eq!(available.all("SubnetIdentifier"), cloud.front.bootstrap().subnet_ids);
    let spec = cloud.room.databases.lock().unwrap()["orders"].clone();
    assert_eq!((spec.major, spec.host_name, spec.port), (15, available.text("Address"), 5432));
    let tags = "Action=ListTagsForResource&ResourceName=arn:aws:rds:eu-central-1:111122223333:db:orders";
    assert_eq!(cloud.call("rds", tags).await.ok().text("Key"), "team");

    let delete = "Action=DeleteDBInstance&DBInstanceIdentifier=orders&SkipFinalSnapshot=true";
    assert_eq!(cloud.call("rds", delete).await.ok().text("DBInstanceStatus"), "deleting");
    assert_eq!(cloud.call("rds", delete).await.code(), "InvalidDBInstanceState");
    cloud.wait("rds", ORDERS, |reply| reply.status == 404).await;
    assert_eq!(cloud.call("rds", ORDERS).await.code(), "DBInstanceNotFound");
    assert!(cloud.room.databases.lock().unwrap().is_empty());
    cloud.call("ec2", &format!("Action=DeleteSecurityGroup&GroupId={group}")).await.ok();
}

#[tokio::test]
async fn a_version_without_a_server_here_is_refused_with_the_reason() {
    let cloud = Cloud::start().await;
    let create = "Action=CreateDBInstance&DBInstanceIdentifier=orders&Engine=postgres&EngineVersion=17\
                  &DBInstanceClass=db.t3.micro&MasterUsername=master&MasterUserPassword=correct-horse";
    let refused = cloud.call("rds", create).await;
    assert_eq!(refused.code(), "InvalidParameterCombination");
    assert!(refused.text("Message").contains("no PostgreSQL 17 server on this host"), "{}", refused.text("Message"));
    assert_eq!(cloud.call("rds", ORDERS).await.code(), "DBInstanceNotFound");
}

#[tokio::test]
async fn a_snapshot_is_taken_restored_and_deleted() {
    let cloud = Cloud::start_with(slow).await;
    cloud.database("orders", &[]).await;
    let create = "Action=CreateDBSnapshot&DBInstanceIdentifier=orders&DBSnapshotIdentifier=s-1&Tags.Tag.1.Key=a&Tags.Tag.1.Value=b";
    let made = cloud.call("rds", create).await.ok();
    assert_eq!((made.text("Status"), made.text("PercentProgress")), ("creating".to_owned(), "0".to_owned()));
    assert_eq!(cloud.call("rds", ORDERS).await.text("DBInstanceStatus"), "backing-up");
    assert_eq!(cloud.call("rds", create).await.code(), "DBSnapshotAlreadyExists");
    let other = create.replace("s-1", "s-2");
    assert_eq!(cloud.call("rds", &other).await.code(), "InvalidDBInstanceState");
    let modify = "Action=ModifyDBInstance&DBInstanceIdentifier=orders&BackupRetentionPeriod=2&ApplyImmediately=true";
    assert_eq!(cloud.call("rds", modify).await.code(), "InvalidDBInstanceState");
    let delete = "Action=DeleteDBSnapshot&DBSnapshotIdentifier=s-1";
    assert_eq!(cloud.call("rds", delete).await.code(), "InvalidDBSnapshotState");
    let describe = "Action=DescribeDBSnapshots&DBSnapshotIdentifier=s-1";
    let done = cloud.wait("rds", describe, |reply| reply.text("Status") == "available").await;
    assert_eq!(done.text("PercentProgress"), "100");
    assert_eq!(cloud.call("rds", ORDERS).await.text("DBInstanceStatus"), "available");

    let restore = "Action=RestoreDBInstanceFromDBSnapshot&DBInstanceIdentifier=copy&DBSnapshotIdentifier=s-1";
    let missing = restore.replace("s-1", "s-9");
    assert_eq!(cloud.call("rds", &missing).await.code(), "DBSnapshotNotFound");
    let copy = cloud.call("rds", restore).await.ok();
    assert_eq!(copy.text("DBSubnetGroupName"), "default", "AWS's default, not the source's");
    assert_ne!(copy.text("VpcId"), cloud.front.bootstrap().vpc_id);
    assert_eq!(copy.text("Key"), "a", "tags are inherited");
    cloud
        .wait("rds", "Action=DescribeDBInstances&DBInstanceIdentifier=copy", |reply| {
            reply.text("DBInstanceStatus") == "available"
        })
        .await;
    assert_eq!(cloud.room.restored.lock().unwrap()["copy"], "s-1");
    assert_eq!(cloud.call("rds", delete).await.ok().text("Status"), "deleted");
    cloud.wait("rds", describe, |reply| reply.status == 404).await;
    assert_eq!(cloud.call("rds", describe).await.code(), "DBSnapshotNotFound");
    assert!(cloud.room.snapshots.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_modification_replaces_all_groups() {
    let cloud = Cloud::start_with(slow).await;
    let (old, new) = (cloud.group("old").await, cloud.group("new").await);
    cloud.database("orders", &[&old]).await;
    let rule = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=2&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8";
    cloud.call("ec2", &format!("Action=AuthorizeSecurityGroupIngress&GroupId={new}&{rule}")).await.ok();
    let lets_in = || cloud.room.firewall.lock().unwrap().ingress["orders"].len();
    let modify =
        format!("Action=ModifyDBInstance&DBInstanceIdentifier=orders&VpcSecurityGroupIds.VpcSecurityGroupId.1={new}");
    cloud.call("rds", &modify).await.ok();
    let during = cloud.call("rds", ORDERS).await;
    assert_eq!(during.text("DBInstanceStatus"), "modifying");
    assert_eq!(lets_in(), 0, "the new group is not in force yet");
    assert!(during.body.contains("<Status>adding</Status>") && during.body.contains("<Status>removing</Status>"));
    assert_eq!(cloud.call("rds", &modify).await.code(), "InvalidDBInstanceState");
    let delete = format!("Action=DeleteSecurityGroup&GroupId={old}");
    assert_eq!(cloud.call("ec2", &delete).await.code(), "DependencyViolation");
    let after = cloud.wait("rds", ORDERS, |reply| reply.text("DBInstanceStatus") == "available").await;
    assert_eq!(after.all("VpcSecurityGroupId"), [new]);
    assert_eq!(lets_in(), 1, "the new group is in force");
    cloud.call("ec2", &delete).await.ok();
    let unknown = "Action=ModifyDBInstance&DBInstanceIdentifier=orders&VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-0";
    assert_eq!(cloud.call("rds", unknown).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_managed_password_is_a_secret_of_its_own() {
    let cloud = Cloud::start().await;
    let view = cloud
        .control(http::Method::POST, "/instances", &json!({"id": "orders", "manage_master_user_password": true}))
        .await;
    let arn = view["master_secret_arn"].as_str().unwrap().to_owned();
    assert_eq!(cloud.call("rds", ORDERS).await.text("SecretArn"), arn);
    let value = async || {
        let reply = cloud
            .json_as(&cloud.root, "secretsmanager", "secretsmanager.GetSecretValue", &json!({"SecretId": arn}))
            .await;
        reply.status.is_success().then(|| {
            let reply: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            serde_json::from_str::<serde_json::Value>(reply["SecretString"].as_str().unwrap()).unwrap()
        })
    };
    let secret = value().await.unwrap();
    assert_eq!(secret["username"], json!("master"));
    assert_eq!(secret["password"], json!(cloud.room.databases.lock().unwrap()["orders"].master_password));

    let modify = "Action=ModifyDBInstance&DBInstanceIdentifier=orders&ManageMasterUserPassword=false&MasterUserPassword=another-password";
    cloud.call("rds", modify).await.ok();
    let after = cloud.wait("rds", ORDERS, |reply| reply.text("DBInstanceStatus") == "available").await;
    assert!(after.all("SecretArn").is_empty());
    assert_eq!(cloud.room.passwords.lock().unwrap()["orders"], "another-password");
    assert_eq!(value().await, None, "the secret goes with it");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cloud = Cloud::start().await;
    for number in 0..22 {
        let create = format!(
            "Action=CreateDBInstance&DBInstanceIdentifier=db-{number:02}&Engine=postgres&DBInstanceClass=db.t3.micro\
             &MasterUsername=master&MasterUserPassword=correct-horse&DBSubnetGroupName=haulier"
        );
        cloud.call("rds", &create).await.ok();
    }
    let first = cloud.call("rds", "Action=DescribeDBInstances&MaxRecords=20").await.ok();
    assert_eq!(first.all("DBInstanceIdentifier").len(), 20);
    let next = format!("Action=DescribeDBInstances&MaxRecords=20&Marker={}", first.text("Marker"));
    let second = cloud.call("rds", &next).await.ok();
    assert_eq!(second.all("DBInstanceIdentifier"), ["db-20", "db-21"]);
    assert!(second.all("Marker").is_empty());
}

#[tokio::test]
async fn versions_are_described_and_what_is_not_there_is_refused() {
    let cloud = Cloud::start().await;
    let versions = cloud.call("rds", "Action=DescribeDBEngineVersions&Engine=postgres&EngineVersion=15").await.ok();
    assert_eq!(versions.all("EngineVersion"), ["15.14"]);
    for operation in ["CreateDBCluster", "RebootDBInstance"] {
        assert_eq!(cloud.call("rds", &format!("Action={operation}")).await.code(), "InvalidAction");
    }
    assert!(cloud.call("rds", "Action=DescribeDBClusters").await.ok().all("DBClusterIdentifier").is_empty());
    let iops = "Action=ModifyDBInstance&DBInstanceIdentifier=orders&Iops=3000";
    assert_eq!(cloud.call("rds", iops).await.code(), "InvalidParameterValue");
}
