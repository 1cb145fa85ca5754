//! Tables after "Viewing Amazon RDS DB instance status" and the pages of Create-, Modify- and DeleteDBInstance.

use super::*;

/// An instance that is available.
pub(crate) fn instance(id: &str, groups: &[&str]) -> DbInstance {
    DbInstance {
        id: id.to_owned(),
        resource_id: "db-ABC".to_owned(),
        status: Status::Available,
        settings: Settings {
            engine: Engine::Postgres,
            class: "db.t3.micro".to_owned(),
            engine_version: "15.14".to_owned(),
            master_user: "master".to_owned(),
            master_password: Password::new("correct horse"),
            database: None,
            port: 5432,
            allocated_gib: 20,
            additional_volumes: BTreeMap::new(),
            storage_type: "gp3".to_owned(),
            kms_key_id: None,
            backup_retention_days: 1,
            backup_window: "03:00-03:30".to_owned(),
            maintenance_window: "sun:04:00-sun:04:30".to_owned(),
        },
        host: format!("{id}.example"),
        address: Some(Ipv4Addr::LOCALHOST),
        created_at: Timestamp::UNIX_EPOCH,
        subnet_group: SubnetGroup::default(),
        zone: "eu-central-1a".to_owned(),
        group_ids: groups.iter().map(|group| (*group).to_owned()).collect(),
        next_group_ids: None,
        option_group: "default:postgres-15".to_owned(),
        next_option_group: None,
        iam_authentication: false,
        deletion_protection: false,
        copy_tags_to_snapshot: false,
        master_secret: None,
        tags: Tags::new(),
    }
}

fn groups(ids: &[&str]) -> Modification {
    Modification { group_ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()), ..Modification::default() }
}

#[test]
fn each_state_lets_through_what_aws_does() {
    use Status::{Available, BackingUp, Creating, Deleting, Failed, Modifying};
    // State, whether a snapshot, a modification and a deletion may begin.
    for (status, snapshot, modification, deletion) in [
        (Available, true, true, true),
        (Creating, false, false, false),
        (Modifying, false, false, false),
        (BackingUp, false, false, false),
        (Deleting, false, false, false),
        (Failed, false, false, true),
    ] {
        let make = || DbInstance { status, ..instance("a", &["sg-1"]) };
        let allowed = |answer: Result<(), AwsError>| match answer {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code, "InvalidDBInstanceState");
                false
            }
        };
        assert_eq!(allowed(make().begin_backup()), snapshot, "snapshot while {status:?}");
        assert_eq!(allowed(make().begin_modification(&groups(&[]))), modification, "modification while {status:?}");
        assert_eq!(allowed(make().begin_deletion()), deletion, "deletion while {status:?}");
    }
}

#[test]
fn texts_are_those_of_aws() {
    let mut busy = DbInstance { status: Status::BackingUp, ..instance("orders", &[]) };
    assert_eq!(
        busy.begin_backup().unwrap_err().message,
        "Cannot create a snapshot because the database instance orders is not currently in the available state."
    );
    let error = busy.begin_modification(&Modification::default()).unwrap_err();
    assert_eq!(error.message, "Database instance is not in available state.");
}

#[test]
fn a_modification_replaces_the_whole_list_of_groups_when_it_ends() {
    let mut instance = instance("a", &["sg-1", "sg-2"]);
    instance.begin_modification(&groups(&["sg-2", "sg-3"])).unwrap();
    assert_eq!(instance.status, Status::Modifying);
    assert_eq!(instance.memberships(), [("sg-2", "active"), ("sg-3", "adding"), ("sg-1", "removing")]);
    assert!(instance.holds_group("sg-1") && instance.holds_group("sg-3"));
    assert_eq!(instance.group_ids, ["sg-1", "sg-2"], "in force until the end");
    instance.settle();
    assert_eq!(instance.status, Status::Available);
    assert_eq!(instance.memberships(), [("sg-2", "active"), ("sg-3", "active")]);
    assert!(!instance.holds_group("sg-1"));
}

#[test]
fn protection_and_managed_passwords_refuse() {
    let mut protected = DbInstance { deletion_protection: true, ..instance("a", &[]) };
    assert_eq!(protected.begin_deletion().unwrap_err().code, "InvalidParameterCombination");
    let secret = MasterSecret { arn: "arn".into(), kms_key_id: "key".into() };
    let mut managed = DbInstance { master_secret: Some(secret), ..instance("a", &[]) };
    let change = Modification { password: Some(Password::new("x")), ..Modification::default() };
    assert_eq!(managed.begin_modification(&change).unwrap_err().code, "InvalidParameterCombination");
    let change = Modification { manage_password: Some(false), ..change };
    managed.begin_modification(&change).unwrap();
    assert_eq!(managed.settings.master_password.reveal(), "x");
}

#[test]
fn names_are_taken_and_found_without_regard_to_case() {
    let mut databases = Databases::default();
    databases.insert(instance("orders", &[])).unwrap();
    assert_eq!(databases.insert(instance("orders", &[])).unwrap_err().code, "DBInstanceAlreadyExists");
    assert!(databases.get("Orders").is_ok());
    let error = databases.get("other").unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("DBInstanceNotFound", 404));
}

#[test]
fn passwords_are_not_printed() {
    assert!(!format!("{:?}", instance("a", &[])).contains("horse"));
}
