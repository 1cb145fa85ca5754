//! `kill -9` of workers and of the coordinator while log backups are copied and restored: the session succeeds, RDS carried every
//! task out once, and nothing is left.

use anyhow::{Result, ensure};

use crate::scene::{SOURCE, Scene};
use crate::strike::{Strike, coordinator_dies, workers_die};

const DATABASE: &str = "orders";
const PAGES: u64 = 2000;
const LOGS: &str = "sqlserver: { full_every_days: 7, log_backups: true }";

const PLACE_IS_MOVED: Strike = Strike::call("the place of log backups is being moved", "rds_tlog_copy_setup");
const COPY_IS_ASKED_FOR: Strike = Strike::call("the copy is being asked for", "rds_tlog_backup_copy_to_s3");
const COPY_RUNS: Strike = Strike::task("log backups are being copied", "TLOG_BACKUP_COPY_TO_S3");
const IS_FETCHED: Strike = Strike::temporary("a log backup is being fetched", "GetObject");
const FULL_RUNS: Strike = Strike::task("the full backup is being restored", "RESTORE_DB_NORECOVERY");
const LOG_IS_ASKED_FOR: Strike = Strike::call("the restore of a log backup is being asked for", "rds_restore_log");
const LOG_RUNS: Strike = Strike::task("a log backup is being restored", "RESTORE_DB_LOG_NORECOVERY");
const FINISH_RUNS: Strike = Strike::task("the restore is being finished", "FINISH_RESTORE");

/// A scene with a full point, and two log backups since.
fn scene() -> Result<Scene> {
    let mut scene = Scene::set()?;
    scene.stage.cloud.set_backup_retention(SOURCE, 1)?;
    scene.expect_what_is_there()?;
    scene.stage.cloud.make_pages(SOURCE, DATABASE, 11, PAGES)?;
    let full = scene.back_up(LOGS)?;
    ensure!(full["full_point_id"].is_null(), "{full:#}");
    for seed in [1, 2] {
        log_more(&scene, seed)?;
    }
    Ok(scene)
}

/// Changes pages, and has RDS back up the log of that.
fn log_more(scene: &Scene, seed: u64) -> Result<()> {
    scene.stage.cloud.commit_pages(SOURCE, DATABASE, PAGES / 100, seed)?;
    scene.stage.cloud.take_log_backup(SOURCE, DATABASE).map(drop)
}

fn copy() -> Vec<String> {
    vec![format!("TLOG_BACKUP_COPY_TO_S3 {DATABASE}: SUCCESS")]
}

/// The tasks of a restore of so many log backups.
fn restored(name: &str, logs: usize) -> Vec<String> {
    let logs = std::iter::repeat_n("RESTORE_DB_LOG_NORECOVERY", logs);
    let kinds = std::iter::once("RESTORE_DB_NORECOVERY").chain(logs).chain(["FINISH_RESTORE"]);
    kinds.map(|kind| format!("{kind} {name}: SUCCESS")).collect()
}

#[test]
fn log_backups_are_copied_and_restored_though_workers_are_killed() -> Result<()> {
    let scene = scene()?;
    let mut points = Vec::new();
    for (seed, strikes) in [(3, [PLACE_IS_MOVED, COPY_IS_ASKED_FOR]), (4, [COPY_RUNS, IS_FETCHED])] {
        // The second point takes over what the first one has.
        log_more(&scene, seed)?;
        let tasks = scene.tasks()?;
        let session = workers_die(&scene, &strikes, |scene| scene.start_backup(LOGS))?;
        assert_eq!(scene.since(&tasks)?, copy());
        scene.assert_nothing_left()?;
        let point = scene.point_of(&session)?;
        ensure!(point["full_point_id"].is_string(), "{point:#}");
        points.push(point);
    }
    ensure!(scene.points()? == 3, "three points, not more");
    let pages = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;
    for (strikes, name) in [([LOG_IS_ASKED_FOR, LOG_RUNS], "one"), ([FULL_RUNS, FINISH_RUNS], "two")] {
        let tasks = scene.tasks()?;
        workers_die(&scene, &strikes, |scene| scene.start_restore(&points[1], &[(DATABASE, name)], &[]))?;
        assert_eq!(scene.since(&tasks)?, restored(name, 4));
        scene.assert_pages(name, &pages)?;
        scene.assert_nothing_left()?;
    }
    Ok(())
}

#[test]
fn log_backups_are_copied_and_restored_though_the_coordinator_is_killed() -> Result<()> {
    let mut scene = scene()?;
    let pages = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;
    let tasks = scene.tasks()?;
    let opened = Strike::temporary("RDS is being let into the temporary bucket", "PutBucketPolicy");
    let session = coordinator_dies(&mut scene, &[opened, COPY_RUNS, IS_FETCHED], |scene| scene.start_backup(LOGS))?;
    assert_eq!(scene.since(&tasks)?, copy());
    let point = scene.point_of(&session)?;
    let tasks = scene.tasks()?;
    let start = |scene: &Scene| scene.start_restore(&point, &[(DATABASE, "copy")], &[]);
    coordinator_dies(&mut scene, &[FULL_RUNS, LOG_RUNS, FINISH_RUNS], start)?;
    assert_eq!(scene.since(&tasks)?, restored("copy", 2));
    scene.assert_pages("copy", &pages)?;
    scene.assert_nothing_left()
}
