//! An instance of SQL Server as a DB instance of the cloud: made through RDS's API, felt through the network, copied by
//! snapshots.

use std::process::Command;

use http::StatusCode;
use serde_json::json;

use super::clients::Sql;
use super::cloud::{BUCKET, Cloud, PASSWORD, text};

fn create(cloud: &Cloud, id: &str, more: &str) -> String {
    let bootstrap = &cloud.facts.bootstrap;
    format!(
        "Action=CreateDBInstance&DBInstanceIdentifier={id}&DBInstanceClass=db.t3.large&Engine=sqlserver-se\
         &LicenseModel=license-included&AllocatedStorage=20&MasterUsername=master&DBSubnetGroupName={}\
         &VpcSecurityGroupIds.VpcSecurityGroupId.1={}{more}",
        bootstrap.db_subnet_group, bootstrap.database_security_group_id
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_made_by_rds_and_native_backup_is_an_option() {
    let cloud = Cloud::start().await;
    for (more, code) in [
        ("&MasterUserPassword=local-cloud-password&DBName=x", "InvalidParameterValue"),
        ("&MasterUserPassword=local-cloud-password&EngineVersion=11.00", "InvalidParameterCombination"),
        ("&MasterUserPassword=local-cloud-password&OptionGroupName=nope", "OptionGroupNotFoundFault"),
        (
            "&MasterUserPassword=local-cloud-password&EnableIAMDatabaseAuthentication=true",
            "InvalidParameterCombination",
        ),
        ("&MasterUserPassword=local-cloud-password&KmsKeyId=alias/aws/rds", "InvalidParameterCombination"),
    ] {
        let (status, answer) = cloud.try_query("rds", &create(&cloud, "orders", more)).await;
        assert!(!status.is_success() && text(&answer, "Code") == code, "{more}: {answer}");
    }
    cloud.query("rds", &create(&cloud, "orders", "&ManageMasterUserPassword=true")).await;
    let shown = cloud.wait_for("orders", "available").await;
    assert_eq!(text(&shown, "Engine"), "sqlserver-se");
    assert_eq!(text(&shown, "EngineVersion"), "16.00.4195.2.v1");
    assert_eq!(text(&shown, "OptionGroupName"), "default:sqlserver-se-16-00");
    assert_eq!(text(&shown, "Port"), "1433");
    assert_eq!(text(&shown, "LicenseModel"), "license-included");
    assert!(text(&shown, "SecretArn").contains("rds!db-"));
    cloud.query("rds", "Action=ModifyDBInstance&DBInstanceIdentifier=orders&ManageMasterUserPassword=false&MasterUserPassword=another-password").await;
    cloud.wait_for("orders", "available").await;
    let instance = cloud.look("orders").await;
    let mut sql = Sql::connect(&instance, &cloud.facts.ca_file, "master", "another-password").await.unwrap();
    assert!(Sql::connect(&instance, &cloud.facts.ca_file, "master", PASSWORD).await.is_err());
    sql.0.simple_query("CREATE DATABASE shop").await.unwrap().into_results().await.unwrap();

    let batch = format!("EXEC msdb.dbo.rds_backup_database 'shop', 'arn:aws:s3:::{BUCKET}/shop.bak'");
    let not_enabled = "Database backup/restore option is not enabled yet or is in the process of being enabled. Please try again later.";
    assert_eq!(sql.error(&batch).await.1, not_enabled);
    cloud.query("rds", "Action=CreateOptionGroup&OptionGroupName=native&EngineName=sqlserver-se&MajorEngineVersion=16.00&OptionGroupDescription=d").await;
    let option = |role: &str| {
        format!(
            "Action=ModifyOptionGroup&OptionGroupName=native&ApplyImmediately=true\
             &OptionsToInclude.OptionConfiguration.1.OptionName=SQLSERVER_BACKUP_RESTORE\
             &OptionsToInclude.OptionConfiguration.1.OptionSettings.OptionSetting.1.Name=IAM_ROLE_ARN\
             &OptionsToInclude.OptionConfiguration.1.OptionSettings.OptionSetting.1.Value={role}"
        )
    };
    // A role that does not trust RDS.
    let (status, answer) = cloud.try_query("rds", &option(&cloud.facts.bootstrap.worker_role_arn)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        answer.contains("IAM role ARN value is invalid or does not include the required permissions for"),
        "{answer}"
    );
    cloud.query("rds", &option(&cloud.facts.bootstrap.native_backup_role_arn)).await;
    cloud
        .query(
            "rds",
            "Action=ModifyDBInstance&DBInstanceIdentifier=orders&OptionGroupName=native&ApplyImmediately=true",
        )
        .await;
    let shown = cloud.wait_for("orders", "available").await;
    assert_eq!(
        (text(&shown, "OptionGroupName"), text(text(&shown, "OptionGroupMembership"), "Status")),
        ("native", "in-sync")
    );
    let shown = cloud.query("rds", "Action=DescribeOptionGroups&OptionGroupName=native").await;
    assert_eq!(text(text(&shown, "OptionSetting"), "Value"), cloud.facts.bootstrap.native_backup_role_arn);
    sql.done("rds_backup_database", &format!("'shop', 'arn:aws:s3:::{BUCKET}/shop.bak'")).await;
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_groups_are_felt() {
    let (cloud, instance) = Cloud::with_instance().await;
    let other = cloud.instance("other", &json!({"engine": "sqlserver-se"})).await;
    let octet = |address: &str| address.rsplit('.').next().unwrap().to_owned();
    let slot: u8 = cloud.facts.gateway.split('.').nth(2).unwrap().parse().unwrap();
    let namespace = format!("hcl{slot:02}m{}", octet(&other.address));
    let reaches = || {
        let dial = format!("exec 3<>/dev/tcp/{}/1433", instance.address);
        let inside = ["netns", "exec", &namespace, "timeout", "2", "bash", "-c", &dial];
        Command::new("ip").args(inside).output().unwrap().status.success()
    };
    assert!(!reaches(), "nobody has let it in");
    let group = &cloud.facts.bootstrap.database_security_group_id;
    let form = format!(
        "Action=AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1433&IpPermissions.1.ToPort=1433&IpPermissions.1.Groups.1.GroupId={group}"
    );
    let (status, answer) = cloud.try_query("ec2", &form).await;
    assert!(status.is_success(), "{answer}");
    assert!(reaches(), "the group lets its own members in");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_has_the_databases_and_drops_what_is_half_restored() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 640).await;
    let mut sql = cloud.sql(&instance).await;
    let arn = format!("arn:aws:s3:::{BUCKET}/orders.bak");
    sql.done("rds_backup_database", &format!("'orders', '{arn}'")).await;
    sql.done("rds_restore_database", &format!("'half', '{arn}', @with_norecovery = 1")).await;
    sql.done("rds_restore_database", &format!("'copy', '{arn}'")).await;
    cloud.query("rds", "Action=CreateDBSnapshot&DBInstanceIdentifier=shop&DBSnapshotIdentifier=kept").await;
    cloud.wait_for("shop", "available").await;
    cloud.change(&instance, "copy", 1).await;
    let form = "Action=RestoreDBInstanceFromDBSnapshot&DBInstanceIdentifier=again&DBSnapshotIdentifier=kept&DBSubnetGroupName=haulier";
    cloud.query("rds", form).await;
    let shown = cloud.wait_for("again", "available").await;
    assert_eq!(text(&shown, "OptionGroupName"), "default:sqlserver-se-16-00", "AWS falls back to the default group");
    let again = cloud.look("again").await;
    let mut restored = cloud.sql(&again).await;
    let names = "SELECT name FROM sys.databases WHERE database_id > 5 ORDER BY name";
    let rows = restored.0.simple_query(names).await.unwrap().into_first_result().await.unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    assert_eq!(names, ["copy", "orders"]);
    let print = cloud.fingerprint(&again, "orders").await;
    assert_eq!(cloud.fingerprint(&again, "copy").await, print, "as it was at the snapshot");
    assert_ne!(cloud.fingerprint(&instance, "copy").await, print);
    cloud.query("rds", "Action=DeleteDBInstance&DBInstanceIdentifier=shop&SkipFinalSnapshot=true").await;
    assert_eq!(cloud.fingerprint(&again, "copy").await, print, "the copy is its own");
    cloud.close().await;
}
