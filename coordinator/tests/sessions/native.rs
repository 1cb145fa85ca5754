//! Sessions with instances of SQL Server, from start to end: what RDS must be ready for, full and differential backups, and
//! the temporary bucket that sessions share.

use std::sync::Arc;
use std::time::Duration;

use haulier_cloud::databases::{Databases as _, DbSnapshot};
use haulier_cloud::doubles::{Fault, MemoryBucket, MemoryDatabases, Rule};
use haulier_cloud::error::ErrorKind;
use haulier_cloud::object_store::Tags;
use haulier_coordinator::ledger::{Naming, RowState};
use haulier_coordinator::reaper;
use haulier_coordinator::sessions::{DatabaseSelection, Login, OnClash, PreparedBucket};
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::native_backup::temporary::EXPIRE_DAYS;
use haulier_domain::session::SessionState;
use haulier_proto::worker::v1::NativeBackupType;
use haulier_repository::PointRoot;
use jiff::Timestamp;

use crate::support::native::{GROUP, NATIVE, ROLE, native_backup_of, option_group, trust};
use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{REGION, Running, Scene, groups_of};

const BUCKET: &str = "prepared-by-hand";

fn bucket_line(running: &Running) -> String {
    format!("bucket {}", running.temporary_bucket())
}

/// Content of the cloud's buckets.
fn in_buckets(scene: &Scene) -> Vec<String> {
    let listing = scene.access.memory.listing().into_iter();
    listing.filter(|line| line.starts_with("object ") || line.starts_with("upload ")).collect()
}

/// Groups of an instance as they are.
fn groups_now(scene: &Scene, id: &str) -> Vec<(String, String)> {
    let databases = scene.access.memory.databases();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { databases.instance(id).await.unwrap().unwrap().security_groups })
}

fn cancel(running: &Running, id: &SessionId) {
    let (sessions, id) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&id, "enough").await.unwrap() });
}

/// Waits until so many workers have their assignments.
fn at_work(scene: &Scene, running: &Running, id: &SessionId, workers: usize) {
    let log = scene.fleet.log();
    running.until(id, "its worker's assignment", move |_| log.temporary.lock().unwrap().len() >= workers);
}

#[test]
fn a_backup_passes_through_a_closed_bucket_and_leaves_nothing_but_its_snapshot() {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "crm");
    let running = scene.start();
    let mut request = native_backup_of("crm", 0);
    (request.native.files, request.compression_level) = (4, 7);
    let id = running.start_backup(request);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "crm"), before);

    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let [told] = &told[..] else { panic!("one backup") };
    let place = told.temporary.clone().unwrap();
    assert_eq!((place.bucket.as_str(), place.region.as_str()), (running.temporary_bucket().as_str(), REGION));
    assert!(place.prefix.ends_with("-native") && !place.prefix.contains('/'), "{}", place.prefix);
    assert_eq!((told.files, told.compression_level, told.r#type()), (4, 7, NativeBackupType::Full));
    assert_eq!((told.full_root.len(), told.base_point_id.as_str(), told.submitted.len()), (0, "", 0));
    assert_eq!(told.instance.as_ref().unwrap().port, 1433);

    // As the worker found it: closed, tagged, and with S3 as the last resort.
    let found = scene.fleet.log().temporary.lock().unwrap().clone();
    let [bucket] = &found[..] else { panic!("one bucket") };
    assert!(bucket.is_closed && bucket.policy.as_ref().unwrap().contains("aws:SecureTransport"));
    assert_eq!(bucket.expires_after, Some(EXPIRE_DAYS));
    assert_eq!(bucket.tags["haulier:session"], id.to_string());
    let assumed = scene.access.identity.assumed();
    let policy = assumed.last().unwrap().policy.clone().unwrap();
    assert!(policy.contains(&format!("{}/{}/*", place.bucket, place.prefix)) && !policy.contains("Abort"), "{policy}");

    let point = session.point.unwrap();
    assert_eq!(running.full_point_of(&point), None);
    let sessions = running.sessions.clone();
    let ledger = running.run(async move { sessions.ledger(Some(&id), false).await.unwrap() });
    let row = ledger.iter().find(|row| row.resource.kind() == "temporary-bucket").unwrap();
    assert_eq!(
        (row.state, row.name.as_str()),
        (RowState::Removed, format!("{}/{}", place.bucket, place.prefix).as_str())
    );
}

#[test]
fn differentials_stand_on_the_full_point_until_a_snapshot_comes_between() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = || {
        let id = running.start_backup(native_backup_of("crm", 7));
        (id.clone(), running.assert_state(&id, SessionState::Succeeded).point.unwrap())
    };
    let (first, full) = backup();
    let (second, one) = backup();
    let (_, other) = backup();
    assert_eq!(running.full_point_of(&full), None);
    assert_eq!((running.full_point_of(&one), running.full_point_of(&other)), (Some(full.clone()), Some(full.clone())));
    // No snapshot of theirs: it would have broken the chain.
    assert_eq!(scene.leftovers(&[&first]), [""; 0]);
    assert!(running.log(&second).contains(&format!("differential backup on restore point {full}")));
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let types: Vec<_> = told.iter().map(|backup| backup.r#type()).collect();
    assert_eq!(types, [NativeBackupType::Full, NativeBackupType::Differential, NativeBackupType::Differential]);
    for backup in &told[1..] {
        let root: PointRoot = serde_json::from_slice(&backup.full_root).unwrap();
        assert_eq!(root.point, full);
    }
    assert_eq!((told[1].base_point_id.as_str(), told[2].base_point_id.as_str()), (full.as_str(), one.as_str()));

    scene.access.memory.databases().add_snapshot(DbSnapshot {
        id: "rds:crm-2026".into(),
        arn: String::new(),
        instance_id: "crm".into(),
        status: "available".into(),
        percent: 100,
        created_at: Some(Timestamp::now()),
        tags: Tags::new(),
    });
    let (id, point) = backup();
    assert_eq!(running.full_point_of(&point), None);
    assert!(running.log(&id).iter().any(|line| line.contains("rds:crm-2026")), "{:?}", running.log(&id));
    // The root says it, too, for the day on which the catalogue is gone.
    let (sessions, of) = (running.sessions.clone(), one.clone());
    let root = running.run(async move {
        let services = sessions.services();
        let point = services.state.point(&of).await.unwrap();
        let repository = services.state.repository(&point.repository).await.unwrap();
        services.vaults.root(&repository, &point.domain, &of).await.unwrap()
    });
    let root: PointRoot = serde_json::from_slice(&root).unwrap();
    assert_eq!(root.stands_on, Some(full));
}

#[test]
fn a_restore_of_a_differential_point_gets_both_roots_in_order() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let points: Vec<_> = [0, 1]
        .map(|_| {
            let id = running.start_backup(native_backup_of("crm", 7));
            running.assert_state(&id, SessionState::Succeeded).point.unwrap()
        })
        .into();
    let before = groups_of(&scene.access.memory, "erp");
    let wanted = DatabaseSelection {
        database: "crm".into(),
        target_name: "copy".into(),
        on_clash: OnClash::Suffix,
        schemas: Vec::new(),
        tables: Vec::new(),
    };
    let id = running.restore_databases(points[1].clone(), "erp", vec![wanted]);
    running.assert_state(&id, SessionState::Succeeded);
    let told = scene.fleet.log().native_restores.lock().unwrap().clone();
    let [told] = &told[..] else { panic!("one restore") };
    let roots: Vec<PointRoot> = told.roots.iter().map(|root| serde_json::from_slice(root).unwrap()).collect();
    let roots: Vec<_> = roots.into_iter().map(|root| root.point).collect();
    assert_eq!(roots, points);
    assert_eq!((told.databases.len(), told.databases[0].target_name.as_str()), (1, "copy"));
    let policy = scene.access.identity.assumed().last().unwrap().policy.clone().unwrap();
    assert!(policy.contains("s3:AbortMultipartUpload"), "{policy}");
    assert_eq!(groups_of(&scene.access.memory, "erp"), before);
    assert!(!scene.access.memory.listing().contains(&bucket_line(&running)));

    let full = running.restore(points[0].clone(), "erp");
    running.assert_state(&full, SessionState::Succeeded);
    assert_eq!(scene.fleet.log().native_restores.lock().unwrap()[1].roots.len(), 1);
    let other = running.restore(points[0].clone(), "orders");
    let session = running.assert_state(&other, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "restore-into-other-engine");
}

#[test]
fn the_next_worker_is_told_which_tasks_were_submitted() {
    let scene = Scene::new(Script::SubmitsUpTo(2));
    let running = scene.start();
    let id = running.start_backup(native_backup_of("crm", 0));
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch.0, 3);
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let submitted: Vec<Vec<&str>> =
        told.iter().map(|backup| backup.submitted.iter().map(|task| task.task_id.as_str()).collect()).collect();
    assert_eq!(submitted, [vec![], vec!["5"], vec!["5"]], "one task, however many workers tell of it");
    assert!(told.iter().all(|backup| backup.temporary == told[0].temporary), "one place for all its workers");
    assert_eq!(told[1].submitted[0].database, "crm");
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
}

#[test]
fn a_task_that_may_still_run_is_named_when_its_worker_is_lost() {
    let scene = Scene::new(Script::SubmitsUpTo(9));
    let mut settings = scene.settings();
    settings.worker.attempts = 1;
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let id = running.start_backup(native_backup_of("crm", 0));
    running.assert_state(&id, SessionState::Failed);
    let log = running.log(&id);
    assert!(
        log.iter().any(|line| line.contains("task 5 (BACKUP_DB of crm)") && line.contains("rds_cancel_task")),
        "{log:?}"
    );
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn a_restore_whose_worker_is_lost_names_what_rds_may_have_left() {
    let scene = Scene::new(Script::Obedient);
    let mut settings = scene.settings();
    settings.worker.attempts = 1;
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let backup = running.start_backup(native_backup_of("crm", 0));
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    scene.fleet.follow(Script::SubmitsUpTo(9));
    let id = running.restore(point.clone(), "erp");
    let session = running.assert_state(&id, SessionState::Failed);
    let failure = session.failure().unwrap();
    assert!(failure.cause.contains("\"crm\"") && failure.remedy.contains("rds_drop_database"), "{failure}");
    // Without a task there is nothing on the instance.
    scene.fleet.follow(Script::DiesUpTo(9));
    let id = running.restore(point, "erp");
    let session = running.assert_state(&id, SessionState::Failed);
    assert!(!session.failure().unwrap().remedy.contains("rds_drop_database"), "{:?}", session.failure());
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}

#[test]
fn two_sessions_share_the_bucket_and_it_goes_with_the_last() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let first = running.start_backup(native_backup_of("crm", 0));
    at_work(&scene, &running, &first, 1);
    scene.fleet.follow(Script::Obedient);
    let second = running.start_backup(native_backup_of("erp", 0));
    running.assert_state(&second, SessionState::Succeeded);
    assert!(scene.access.memory.listing().contains(&bucket_line(&running)), "the first still uses it");
    let prefix = scene.fleet.log().native_backups.lock().unwrap()[0].temporary.clone().unwrap().prefix;
    let left = in_buckets(&scene);
    assert!(left.len() == 2 && left.iter().all(|line| line.contains(&prefix)), "{left:?}");
    let services = running.sessions.services().clone();
    assert_eq!(running.run(async move { reaper::round(&services).await.unwrap() }), 0);
    assert_eq!(in_buckets(&scene), left);
    cancel(&running, &first);
    running.assert_state(&first, SessionState::Cancelled);
    assert_eq!(scene.leftovers(&[&second]), [""; 0]);
}

#[test]
fn of_sessions_that_leave_together_one_is_the_last() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let mut ended = Vec::new();
    for _ in 0..4 {
        let both = NATIVE.map(|instance| running.start_backup(native_backup_of(instance, 0)));
        both.iter().for_each(|id| drop(running.assert_state(id, SessionState::Succeeded)));
        ended.extend(both);
        assert_eq!(scene.leftovers(&ended.iter().collect::<Vec<_>>()), [""; 0]);
    }
}

#[test]
fn a_cancelled_backup_gives_its_worker_the_time_to_cancel_the_task() {
    let scene = Scene::new(Script::Tidies(Duration::from_millis(1200)));
    let mut settings = scene.settings();
    (settings.pace.cancel, settings.pace.tidying) = (Duration::from_millis(200), Duration::from_secs(20));
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let id = running.start_backup(native_backup_of("crm", 0));
    at_work(&scene, &running, &id, 1);
    cancel(&running, &id);
    running.assert_state(&id, SessionState::Cancelled);
    let log = running.log(&id);
    assert!(!log.iter().any(|line| line.contains("may still be at")), "its worker has had the last word: {log:?}");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn a_prepared_bucket_stays_with_whatever_else_is_in_it() {
    let scene = Scene::new(Script::Obedient);
    let buckets = scene.access.memory.buckets(REGION);
    let theirs = MemoryBucket { region: REGION.into(), ..MemoryBucket::default() };
    buckets.add(BUCKET, theirs.clone());
    buckets.put(BUCKET, "native/somebody-elses.bak");
    let before = buckets.described(BUCKET);
    let running = scene.start();
    let prepared = |bucket: &str, prefix: &str| {
        let mut request = native_backup_of("crm", 0);
        request.native.bucket = Some(PreparedBucket { bucket: bucket.into(), prefix: prefix.into() });
        request
    };
    let id = running.start_backup(prepared(BUCKET, "native"));
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(buckets.described(BUCKET), before, "neither changed nor emptied");
    let place = scene.fleet.log().native_backups.lock().unwrap()[0].temporary.clone().unwrap();
    assert!(place.bucket == BUCKET && place.prefix.starts_with("native/haulier-"), "{place:?}");
    assert!(!scene.access.memory.listing().contains(&bucket_line(&running)));

    buckets.add("far-away", MemoryBucket { region: "eu-west-1".into(), ..theirs });
    for (bucket, code) in [("far-away", "temporary-bucket-elsewhere"), ("not-there", "temporary-bucket-unknown")] {
        let id = running.start_backup(prepared(bucket, ""));
        let session = running.assert_state(&id, SessionState::Failed);
        assert_eq!(session.failure().unwrap().code, code);
    }
}

#[test]
fn a_bucket_name_that_another_account_has_is_told() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    scene.access.memory.buckets(REGION).take_elsewhere(&running.temporary_bucket());
    let id = running.start_backup(native_backup_of("crm", 0));
    let session = running.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "temporary-bucket-taken");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn what_rds_is_not_ready_for_is_refused_before_anything_is_made() {
    let refused = |code: &str, prepare: &dyn Fn(&Scene), login: Option<Login>| {
        let scene = Scene::new(Script::Obedient);
        prepare(&scene);
        let running = scene.start();
        let mut request = native_backup_of("crm", 0);
        request.login = login.unwrap_or(request.login);
        let id = running.start_backup(request);
        let session = running.assert_state(&id, SessionState::Failed);
        let failure = session.failure().unwrap();
        assert!(failure.code == code && !failure.remedy.is_empty(), "{code}: {failure}");
        assert!(scene.access.memory.compute().launches().is_empty(), "{code}");
        assert_eq!(scene.leftovers(&[]), [""; 0], "{code}");
    };
    // An instance that stands otherwise to its option group.
    let status = |scene: &Scene, status: &str| {
        let mut instance = MemoryDatabases::sql_server("crm", GROUP);
        instance.security_groups = groups_now(scene, "crm");
        instance.option_groups[0].1 = status.into();
        scene.access.memory.databases().add(instance);
    };
    let group =
        |scene: &Scene, role: Option<&str>| scene.access.memory.databases().add_option_group(option_group(role));
    refused("native-backup-off", &|scene| group(scene, None), None);
    refused("native-backup-role", &|scene| group(scene, Some("arn:aws:iam::111122223333:role/gone")), None);
    refused("native-backup-role", &|scene| trust(&scene.access, &["erp"]), None);
    refused("db-iam-unsupported", &|_| {}, Some(Login::Iam("haulier".into())));
    refused("native-backup-not-in-sync", &|scene| status(scene, "failed"), None);
}

#[test]
fn the_key_that_rds_encrypts_with_is_looked_at_and_told_to_the_worker() {
    let key = |id: &str| format!("arn:aws:kms:{REGION}:111122223333:key/{id}");
    let backup = |scene: &Scene, id: &str, state| {
        let running = scene.start();
        let mut request = native_backup_of("crm", 0);
        request.native.kms_key_arn = Some(key(id));
        let session = running.start_backup(request);
        running.assert_state(&session, state)
    };
    for (id, code) in
        [("00000000-0000-0000-0000-000000000000", "sqlserver-key-missing"), ("old", "sqlserver-key-unfit")]
    {
        let scene = Scene::new(Script::Obedient);
        scene.access.keys.lose(&key("old"));
        let failed = backup(&scene, id, SessionState::Failed);
        let failure = failed.failure().unwrap();
        assert!(failure.code == code && failure.cause.contains(&key(id)), "{failure}");
        assert!(scene.access.memory.compute().launches().is_empty(), "{code}");
    }
    let scene = Scene::new(Script::Obedient);
    backup(&scene, "1", SessionState::Succeeded);
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    assert_eq!(told[0].kms_key_arn, key("1"));
    let scene = Scene::new(Script::Obedient);
    scene.access.faults.add(Rule::once("DescribeKey", Fault::Before(ErrorKind::Denied)));
    let session = backup(&scene, "1", SessionState::Warning);
    let [warning] = &session.completed().unwrap().warnings[..] else { panic!("one warning") };
    assert!(warning.contains(&key("1")) && warning.contains("kms:DescribeKey"), "{warning}");
}

#[test]
fn a_window_that_is_not_over_for_long_is_refused_and_one_without_automated_backups_is_none() {
    let around_now = || {
        let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        let at = |hours: i64| (&now + jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
        format!("{}-{}", at(-1), at(12))
    };
    for (retention, state) in [(7, SessionState::Failed), (0, SessionState::Succeeded)] {
        let scene = Scene::new(Script::Obedient);
        let mut instance = MemoryDatabases::sql_server("crm", GROUP);
        (instance.backup_window, instance.backup_retention_days) = (Some(around_now()), retention);
        scene.access.memory.databases().add(instance);
        let running = scene.start();
        let id = running.start_backup(native_backup_of("crm", 0));
        let session = running.assert_state(&id, state);
        if let Some(failure) = session.failure() {
            assert!(failure.code == "native-backup-window" && failure.retryable, "{failure}");
        }
    }
}

#[test]
fn a_running_snapshot_is_waited_for_and_a_role_that_may_not_be_read_is_a_remark() {
    let scene = Scene::new(Script::Obedient);
    scene.access.memory.databases().add_snapshot(DbSnapshot {
        id: "rds:crm-now".into(),
        arn: String::new(),
        instance_id: "crm".into(),
        status: "creating".into(),
        percent: 0,
        created_at: None,
        tags: Tags::new(),
    });
    scene.access.faults.add(Rule::once("GetRole", Fault::Before(ErrorKind::Denied)));
    let running = scene.start();
    let id = running.start_backup(native_backup_of("crm", 0));
    let session = running.assert_state(&id, SessionState::Warning);
    let [warning] = &session.completed().unwrap().warnings[..] else { panic!("one warning") };
    assert!(warning.contains(ROLE) && warning.contains("iam:GetRole"), "{warning}");
    let log = running.log(&id);
    assert!(log.iter().any(|line| line.contains("waiting for snapshot rds:crm-now")), "{log:?}");
}

#[test]
fn the_reaper_removes_a_bucket_that_no_session_uses_with_everything_in_it() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let id = running.start_backup(native_backup_of("crm", 0));
    running.assert_state(&id, SessionState::Succeeded);
    let (services, name) = (running.sessions.services().clone(), running.temporary_bucket());
    let buckets = scene.access.memory.buckets(REGION);
    let tags = Naming::new(&services.installation, &id).tags(Epoch(0), &name);
    buckets.add(&name, MemoryBucket { region: REGION.into(), tags, ..MemoryBucket::default() });
    buckets.put(&name, "haulier-late/file.bak");
    // One of that name without our tag is left alone.
    let other = name.replace(REGION, "other");
    buckets.add(&other, MemoryBucket { region: REGION.into(), ..MemoryBucket::default() });
    let removed = running.run(async move { reaper::round(&services).await.unwrap() });
    assert_eq!(removed, 1);
    assert_eq!((buckets.described(&name), buckets.described(&other).is_some()), (None, true));
}
