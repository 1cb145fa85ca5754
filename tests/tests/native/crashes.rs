//! `kill -9` of the coordinator and of workers at every step of native backups and restores: the session succeeds, RDS carried
//! every task out once, and nothing is left.

use anyhow::{Result, ensure};

use crate::scene::{SOURCE, Scene, TARGET};
use crate::strike::{Strike, coordinator_dies, workers_die};

const DATABASE: &str = "orders";
/// Pages of the database, 39 MiB: its file is read in several ranges, and restored in several parts.
const PAGES: u64 = 5000;
const CHAIN: &str = "sqlserver: { full_every_days: 7 }";

const OPTION_IS_LOOKED_UP: Strike = Strike::aws("the option group is being looked up", "rds", "DescribeOptionGroups");
const WORKER_IS_LAUNCHED: Strike = Strike::aws("the worker is being launched", "ec2", "RunInstances");
const INSTANCE_IS_JOINED: Strike = Strike::aws("the worker is let in", "rds", "ModifyDBInstance");
const WORK_IS_ASSIGNED: Strike = Strike::aws("the worker is given its work", "sts", "AssumeRole");
const BUCKET_IS_MADE: Strike = Strike::temporary("the temporary bucket is being made", "PutBucketPolicy");
const BUCKET_GOES: Strike = Strike::temporary("the temporary bucket is being removed", "DeleteBucket");
const PLACE_IS_EMPTIED: Strike = Strike::temporary("the session's files are being removed", "DeleteObjects");
const IS_FETCHED: Strike = Strike::temporary("the file is being fetched", "GetObject");
const IS_DELIVERED: Strike = Strike::temporary("the file is being delivered", "UploadPart");
const IS_RELEASED: Strike = Strike::temporary("the worker removes what is restored", "DeleteObject");
const IS_STORED: Strike = Strike::s3("the file is being stored", "PutObject", "/packs/", 4000);
const IS_PUBLISHED: Strike = Strike::s3("the point is being published", "PutObject", "/points/", 4000);
const BACKUP_RUNS: Strike = Strike::task("the backup is being written", "BACKUP_DB");
const RESTORE_RUNS: Strike = Strike::task("the full backup is being restored", "RESTORE_DB_NORECOVERY");
const SECOND_STEP_RUNS: Strike =
    Strike::task("the differential backup is being restored", "RESTORE_DB_DIFFERENTIAL_NORECOVERY");
const FINISH_RUNS: Strike = Strike::task("the restore is being finished", "FINISH_RESTORE");
const BACKUP_IS_ASKED_FOR: Strike = Strike::answer("the backup was asked for", "rds_backup_database");
const RESTORE_IS_ASKED_FOR: Strike = Strike::answer("the restore was asked for", "rds_restore_database");
const IS_RENAMED: Strike = Strike::call("the restored database takes its place", "rds_modify_db_name");

const REPLACED_IS_DROPPED: Strike = Strike::call("what was replaced is dropped", "rds_drop_database");

fn scene() -> Result<Scene> {
    let scene = Scene::set()?;
    scene.stage.cloud.make_pages(SOURCE, DATABASE, 11, PAGES)?;
    Ok(scene)
}

fn full() -> Vec<String> {
    vec![format!("BACKUP_DB {DATABASE}: SUCCESS")]
}

fn differential() -> Vec<String> {
    vec![format!("BACKUP_DB_DIFFERENTIAL {DATABASE}: SUCCESS")]
}

/// The tasks of a restore of a differential point.
fn chain(restored_as: &str) -> Vec<String> {
    ["RESTORE_DB_NORECOVERY", "RESTORE_DB_DIFFERENTIAL_NORECOVERY", "FINISH_RESTORE"]
        .map(|kind| format!("{kind} {restored_as}: SUCCESS"))
        .to_vec()
}

#[test]
fn a_coordinator_that_is_killed_at_each_step_goes_on() -> Result<()> {
    let mut scene = scene()?;
    let tasks = scene.tasks()?;
    let strikes = [
        OPTION_IS_LOOKED_UP,
        BUCKET_IS_MADE,
        WORKER_IS_LAUNCHED,
        INSTANCE_IS_JOINED,
        WORK_IS_ASSIGNED,
        BACKUP_RUNS,
        IS_FETCHED,
        IS_STORED,
        IS_PUBLISHED,
        PLACE_IS_EMPTIED,
        BUCKET_GOES,
    ];
    let session = coordinator_dies(&mut scene, &strikes, |scene| scene.start_backup(CHAIN))?;
    assert_eq!(scene.since(&tasks)?, full());
    ensure!(scene.points()? == 1, "one point, not several");
    scene.assert_nothing_left()?;
    let first = scene.point_of(&session)?;

    scene.stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 1)?;
    let second = scene.back_up(CHAIN)?;
    ensure!(second["full_point_id"] == first["id"], "{second:#}");
    let pages = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;

    let tasks = scene.tasks()?;
    let strikes = [BUCKET_IS_MADE, IS_DELIVERED, RESTORE_RUNS, SECOND_STEP_RUNS, FINISH_RUNS, IS_RELEASED, BUCKET_GOES];
    coordinator_dies(&mut scene, &strikes, |scene| scene.start_restore(&second, &[(DATABASE, "copy")], &[]))?;
    assert_eq!(scene.since(&tasks)?, chain("copy"));
    scene.assert_pages("copy", &pages)?;
    scene.assert_nothing_left()
}

#[test]
fn a_backup_whose_workers_are_killed_at_each_step_is_taken_over() -> Result<()> {
    let scene = scene()?;
    let tasks = scene.tasks()?;
    let session = workers_die(&scene, &[BACKUP_RUNS, IS_FETCHED], |scene| scene.start_backup(CHAIN))?;
    assert_eq!(scene.since(&tasks)?, full());
    scene.assert_nothing_left()?;
    let first = scene.point_of(&session)?;
    let pages_of_first = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;

    scene.stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 1)?;
    let tasks = scene.tasks()?;
    let session = workers_die(&scene, &[BACKUP_IS_ASKED_FOR, IS_STORED], |scene| scene.start_backup(CHAIN))?;
    assert_eq!(scene.since(&tasks)?, differential());
    scene.assert_nothing_left()?;
    let second = scene.point_of(&session)?;
    ensure!(second["full_point_id"] == first["id"], "{second:#}");
    ensure!(scene.points()? == 2, "two points, not more");

    scene.restore(&second, &[(DATABASE, "of today")])?;
    scene.assert_pages("of today", &scene.stage.cloud.pages_of(SOURCE, DATABASE)?)?;
    scene.restore(&first, &[(DATABASE, "of yesterday")])?;
    scene.assert_pages("of yesterday", &pages_of_first)?;
    scene.assert_nothing_left()
}

#[test]
fn a_restore_whose_workers_are_killed_at_each_step_is_taken_over() -> Result<()> {
    let scene = scene()?;
    let full = scene.back_up(CHAIN)?;
    let pages_of_full = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;
    scene.stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 1)?;
    let second = scene.back_up(CHAIN)?;
    ensure!(second["full_point_id"] == full["id"], "{second:#}");
    let pages = scene.stage.cloud.pages_of(SOURCE, DATABASE)?;

    for (strikes, name) in [
        ([IS_DELIVERED, RESTORE_RUNS], "one"),
        ([RESTORE_IS_ASKED_FOR, SECOND_STEP_RUNS], "two"),
        ([FINISH_RUNS, IS_RELEASED], "three"),
    ] {
        let tasks = scene.tasks()?;
        workers_die(&scene, &strikes, |scene| scene.start_restore(&second, &[(DATABASE, name)], &[]))?;
        assert_eq!(scene.since(&tasks)?, chain(name));
        scene.assert_pages(name, &pages)?;
        scene.assert_nothing_left()?;
    }

    // The one that is replaced is given up when the other has its place, and not before.
    let tasks = scene.tasks()?;
    let replace = ["--on-clash", "replace", "--yes"];
    workers_die(&scene, &[IS_RENAMED, REPLACED_IS_DROPPED], |scene| {
        scene.start_restore(&full, &[(DATABASE, "one")], &replace)
    })?;
    let asked = scene.since(&tasks)?;
    let is_restore = |task: &String| task.starts_with("RESTORE_DB haulier_restoring_") && task.ends_with(": SUCCESS");
    ensure!(asked.len() == 1 && asked.iter().all(is_restore), "{asked:?}");
    scene.assert_pages("one", &pages_of_full)?;
    assert_eq!(scene.stage.cloud.native_databases(TARGET)?, ["one", "three", "two"]);
    scene.assert_nothing_left()
}
