//! Tables after "Creating a DB snapshot for a Single-AZ DB instance" and the operations' pages.

use super::super::databases::Status;
use super::super::databases::tests::instance;
use super::*;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

#[test]
fn a_snapshot_backs_up_its_instance_until_it_is_done() {
    let mut snapshots = Snapshots::default();
    let mut instance = instance("orders", &[]);
    snapshots.begin("Snap-1", &mut instance, Tags::new(), now()).unwrap();
    assert_eq!(instance.status, Status::BackingUp);
    let snapshot = snapshots.get("snap-1").unwrap();
    let minute = Duration::from_secs(60);
    for (seconds, percent) in [(0, 0), (30, 50), (59, 98), (600, 99)] {
        assert_eq!(snapshot.percent(now() + jiff::SignedDuration::from_secs(seconds), minute), percent);
    }
    let error = snapshots.begin("snap-2", &mut instance, Tags::new(), now()).unwrap_err();
    assert_eq!(error.code, "InvalidDBInstanceState");
    snapshots.finish("snap-1", true);
    assert_eq!(snapshots.get("snap-1").unwrap().percent(now(), minute), 100);
}

#[test]
fn an_identifier_is_taken_at_once_whatever_the_instance_does() {
    let mut snapshots = Snapshots::default();
    let mut instance = instance("orders", &[]);
    snapshots.begin("snap", &mut instance, Tags::new(), now()).unwrap();
    let error = snapshots.begin("SNAP", &mut instance, Tags::new(), now()).unwrap_err();
    assert_eq!(error.code, "DBSnapshotAlreadyExists");
    for bad in ["1snap", "snap-", "sn--ap", "sn_ap", ""] {
        instance.status = Status::Available;
        let error = snapshots.begin(bad, &mut instance, Tags::new(), now()).unwrap_err();
        assert_eq!(error.code, "InvalidParameterValue", "{bad}");
        assert_eq!(instance.status, Status::Available);
    }
}

#[test]
fn only_what_is_available_can_be_restored_or_deleted() {
    use SnapshotStatus::{Available, Creating, Deleting, Failed};
    for (status, restore, delete) in
        [(Creating, false, false), (Available, true, true), (Deleting, false, false), (Failed, false, true)]
    {
        let make = || {
            let mut snapshots = Snapshots::default();
            snapshots.begin("snap", &mut instance("orders", &[]), Tags::new(), now()).unwrap();
            snapshots.get_mut("snap").unwrap().status = status;
            snapshots
        };
        let allowed = |answer: Result<Snapshot, AwsError>| match answer {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.code, "InvalidDBSnapshotState");
                false
            }
        };
        assert_eq!(allowed(make().begin_restore("snap")), restore, "restore from {status:?}");
        assert_eq!(allowed(make().begin_deletion("snap")), delete, "deletion of {status:?}");
    }
    assert_eq!(Snapshots::default().begin_restore("snap").unwrap_err().code, "DBSnapshotNotFound");
}

#[test]
fn a_restore_holds_its_snapshot() {
    let mut snapshots = Snapshots::default();
    snapshots.begin("snap", &mut instance("orders", &[]), Tags::new(), now()).unwrap();
    snapshots.finish("snap", true);
    snapshots.begin_restore("snap").unwrap();
    assert_eq!(snapshots.begin_deletion("snap").unwrap_err().code, "InvalidDBSnapshotState");
    snapshots.release("snap");
    snapshots.begin_deletion("snap").unwrap();
}

#[test]
fn tags_of_the_request_replace_copied_ones() {
    let own = Tags::from([("own".to_owned(), "1".to_owned())]);
    let given = Tags::from([("given".to_owned(), "1".to_owned())]);
    for (copy, request, expected) in [
        (false, Tags::new(), Tags::new()),
        (true, Tags::new(), own.clone()),
        (true, given.clone(), given.clone()),
        (false, given.clone(), given.clone()),
    ] {
        let mut instance = DbInstance { copy_tags_to_snapshot: copy, tags: own.clone(), ..instance("orders", &[]) };
        let snapshot = Snapshots::default().begin("snap", &mut instance, request, now()).unwrap();
        assert_eq!(snapshot.tags, expected);
    }
}
