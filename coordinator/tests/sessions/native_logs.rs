//! Sessions of log backups: what is chosen, what RDS may write into the temporary bucket, and what is refused.

use haulier_cloud::ErrorKind;
use haulier_cloud::databases::{Databases as _, DbInstance};
use haulier_cloud::doubles::{Fault, MemoryBucket, Rule};
use haulier_coordinator::sessions::{BackupRequest, PreparedBucket};
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::session::SessionState;
use haulier_domain::sqlserver::log_target::is_of_session;
use haulier_proto::worker::v1::NativeBackupType;

use crate::support::native::{NATIVE, native_backup_of};
use crate::support::worker::Script;
use crate::support::{ACCOUNT, REGION, Running, Scene};

/// The service that copies log backups.
const SERVICE: &str = "backups.rds.amazonaws.com";

/// A scene whose instances have automated backups.
pub(crate) fn scene(script: Script) -> Scene {
    let scene = Scene::new(script);
    NATIVE.iter().for_each(|id| change(&scene, id, |instance| instance.backup_retention_days = 7));
    scene
}

fn change(scene: &Scene, id: &str, change: impl FnOnce(&mut DbInstance)) {
    let databases = scene.access.memory.databases();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut instance = runtime.block_on(databases.instance(id)).unwrap().unwrap();
    change(&mut instance);
    databases.add(instance);
}

pub(crate) fn log_backup_of(id: &str) -> BackupRequest {
    let mut request = native_backup_of(id, 7);
    request.native.log_backups = true;
    request
}

pub(crate) fn back_up(running: &Running, id: &str) -> (SessionId, PointId) {
    let session = running.start_backup(log_backup_of(id));
    (session.clone(), running.assert_state(&session, SessionState::Succeeded).point.unwrap())
}

/// The bucket as each worker found it.
fn buckets(scene: &Scene) -> Vec<MemoryBucket> {
    scene.fleet.log().temporary.lock().unwrap().clone()
}

#[test]
fn the_log_follows_on_a_full_point_and_rds_may_put_it_under_the_sessions_prefix() {
    let scene = scene(Script::Obedient);
    let running = scene.start();
    let (first, full) = back_up(&running, "crm");
    let (second, log) = back_up(&running, "crm");
    assert_eq!((running.full_point_of(&full), running.full_point_of(&log)), (None, Some(full.clone())));
    assert!(running.log(&second).contains(&format!("log backups since restore point {full}")));
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let types: Vec<_> = told.iter().map(|backup| backup.r#type()).collect();
    assert_eq!(types, [NativeBackupType::Full, NativeBackupType::Log]);
    let [of_full, of_log] = &buckets(&scene)[..] else { panic!("two sessions") };
    assert!(!of_full.prefers_owner && !of_full.policy.as_ref().unwrap().contains(SERVICE), "{of_full:?}");
    let policy = of_log.policy.as_ref().unwrap();
    let place = told[1].temporary.clone().unwrap();
    assert!(of_log.prefers_owner && of_log.is_closed && policy.contains(SERVICE), "{of_log:?}");
    assert!(policy.contains(&format!("{}/{}/*", place.bucket, place.prefix)), "{policy}");
    assert!(policy.contains(&format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:crm")), "{policy}");
    // The full one has a snapshot, the log has none.
    assert_eq!(scene.leftovers(&[&first]), [""; 0]);
}

#[test]
fn a_session_beside_it_does_not_shut_rds_out() {
    let scene = scene(Script::Obedient);
    let running = scene.start();
    let (first, _) = back_up(&running, "crm");
    scene.fleet.follow(Script::Endless);
    let log = running.start_backup(log_backup_of("crm"));
    let fleet = scene.fleet.log();
    running.until(&log, "its worker's assignment", move |_| fleet.temporary.lock().unwrap().len() >= 2);
    scene.fleet.follow(Script::Obedient);
    let other = running.start_backup(native_backup_of("erp", 0));
    running.assert_state(&other, SessionState::Succeeded);
    let found = buckets(&scene);
    assert_eq!(found[2].policy, found[1].policy);
    let (sessions, id) = (running.sessions.clone(), log.clone());
    running.run(async move { sessions.cancel(&id, "enough").await.unwrap() });
    running.assert_state(&log, SessionState::Cancelled);
    assert_eq!(scene.leftovers(&[&first, &other]), [""; 0]);
}

#[test]
fn a_prepared_bucket_is_left_as_it_is() {
    let scene = scene(Script::Obedient);
    let buckets = scene.access.memory.buckets(REGION);
    buckets.add("prepared", MemoryBucket { region: REGION.into(), ..MemoryBucket::default() });
    let running = scene.start();
    back_up(&running, "crm");
    let mut request = log_backup_of("crm");
    request.native.bucket = Some(PreparedBucket { bucket: "prepared".into(), prefix: String::new() });
    let id = running.start_backup(request);
    running.assert_state(&id, SessionState::Succeeded);
    let told = scene.fleet.log().native_backups.lock().unwrap()[1].temporary.clone().unwrap();
    // The next session does not take it for somebody's, should this one leave it.
    assert!(is_of_session(&format!("arn:aws:s3:::{}/{}/log", told.bucket, told.prefix)), "{told:?}");
    let found = buckets.described("prepared").unwrap();
    assert_eq!((found.policy, found.prefers_owner), (None, false));
}

#[test]
fn the_next_worker_is_told_where_the_log_was_copied_to_last() {
    let scene = scene(Script::Obedient);
    let running = scene.start();
    back_up(&running, "crm");
    scene.fleet.follow(Script::SubmitsUpTo(2));
    back_up(&running, "crm");
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let targets: Vec<&str> = told[1..].iter().map(|backup| backup.log_target_arn.as_str()).collect();
    assert_eq!(targets, ["", "arn:aws:s3:::found-by-1", "arn:aws:s3:::found-by-2"]);
}

#[test]
fn what_aws_does_not_allow_is_refused_before_anything_is_made() {
    type Change = fn(&mut DbInstance);
    let cases: [(&str, Change); 3] = [
        ("automated backups are off", |_| {}),
        ("customer managed key", |instance| (instance.backup_retention_days, instance.encrypted) = (1, true)),
        ("read replica of orders", |instance| {
            (instance.backup_retention_days, instance.replica_of) = (1, Some("orders".into()));
        }),
    ];
    for (said, how) in cases {
        let scene = Scene::new(Script::Obedient);
        change(&scene, "crm", how);
        let running = scene.start();
        let id = running.start_backup(log_backup_of("crm"));
        let session = running.assert_state(&id, SessionState::Failed);
        let failure = session.failure().unwrap();
        assert!(failure.code == "log-backups-unavailable" && failure.cause.contains(said), "{failure}");
        assert_eq!(scene.leftovers(&[]), [""; 0]);
    }
}

fn key(id: &str) -> Option<String> {
    Some(format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}"))
}

/// A session with these keys for native backups and for log backups.
fn start_with(running: &Running, kms_key_arn: Option<String>, log_kms_key_arn: Option<String>) -> SessionId {
    let mut request = log_backup_of("crm");
    (request.native.kms_key_arn, request.native.log_kms_key_arn) = (kms_key_arn, log_kms_key_arn);
    running.start_backup(request)
}

#[test]
fn the_log_of_encrypted_storage_is_copied_with_its_key_and_the_worker_is_told() {
    for (encrypted, kms_key, log_kms_key, told) in [
        (true, None, key("logs"), key("logs")),
        (true, key("all"), key("logs"), key("logs")),
        (true, key("all"), None, key("all")),
        // RDS takes no key for its log.
        (false, None, key("logs"), None),
    ] {
        let scene = scene(Script::Obedient);
        change(&scene, "crm", |instance| instance.encrypted = encrypted);
        let running = scene.start();
        // The full one first: it has no log to copy.
        for _ in 0..2 {
            let id = start_with(&running, kms_key.clone(), log_kms_key.clone());
            running.assert_state(&id, SessionState::Succeeded);
        }
        let backups = scene.fleet.log().native_backups.lock().unwrap().clone();
        let keys: Vec<_> = backups.iter().map(|it| (it.kms_key_arn.as_str(), it.log_kms_key_arn.as_str())).collect();
        let (kms_key, told) = (kms_key.unwrap_or_default(), told.unwrap_or_default());
        assert_eq!(keys, [(kms_key.as_str(), ""), (&kms_key, &told)]);
    }
}

#[test]
fn a_key_for_the_log_that_rds_cannot_use_is_refused_before_anything_is_made() {
    let cases = [
        (true, None, key("00000000-0000-0000-0000-000000000000"), "sqlserver-key-missing", "sqlserver.log_kms_key"),
        (true, None, key("old"), "sqlserver-key-unfit", "enable the key"),
        // RDS would copy the log without it.
        (false, key("all"), key("logs"), "log-backups-unavailable", "remove sqlserver.kms_key"),
    ];
    for (encrypted, kms_key, log_kms_key, code, remedy) in cases {
        let scene = scene(Script::Obedient);
        scene.access.keys.lose(&key("old").unwrap());
        change(&scene, "crm", |instance| instance.encrypted = encrypted);
        let running = scene.start();
        let id = start_with(&running, kms_key, log_kms_key);
        let session = running.assert_state(&id, SessionState::Failed);
        let failure = session.failure().unwrap();
        assert!(failure.code == code && failure.remedy.contains(remedy), "{failure}");
        assert_eq!(scene.leftovers(&[]), [""; 0]);
    }
}

#[test]
fn a_key_for_the_log_that_may_not_be_looked_at_is_a_remark() {
    let scene = scene(Script::Obedient);
    change(&scene, "crm", |instance| instance.encrypted = true);
    scene.access.faults.add(Rule::once("DescribeKey", Fault::Before(ErrorKind::Denied)));
    let running = scene.start();
    let id = start_with(&running, None, key("logs"));
    let session = running.assert_state(&id, SessionState::Warning);
    let [warning] = &session.completed().unwrap().warnings[..] else { panic!("one warning") };
    assert!(warning.contains("key/logs") && warning.contains("kms:DescribeKey"), "{warning}");
}
