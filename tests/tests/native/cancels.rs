//! Native backups and restores that are cancelled, in the middle of a task of RDS's and in the middle of a file: the task ends, no
//! point is made, what was half-restored is gone, and nothing is left.

use anyhow::{Context, Result};
use e2e::stage::LIMIT;
use e2e::wait;
use serde_json::{Value, json};

use crate::scene::{SOURCE, Scene, TARGET};
use crate::strike::{Strike, calm};

const DATABASE: &str = "orders";
const PAGES: u64 = 5000;

/// Cancels a session that is held up, and gives it once it has ended.
fn cancel(scene: &Scene, session: &str) -> Result<Value> {
    let stage = &scene.stage;
    stage.haulier().json(&["session", "cancel", session])?;
    let ended = stage.ended(session)?;
    calm(stage)?;
    assert_eq!(ended["state"], "cancelled", "{ended:#}\n{}", stage.story(session));
    scene.assert_nothing_left()?;
    Ok(ended)
}

/// Has the next task of a type stay in progress until somebody ends it.
fn hang(scene: &Scene, kind: &str) -> Result<()> {
    let rule = json!([{ "service": "sqlserver", "operation": kind, "times": 1, "effect": "task_hang" }]);
    scene.stage.cloud.control("PUT", "/faults", Some(&rule)).map(drop)
}

/// Waits until the session is at a task that stays in progress: the worker has told of it.
fn hangs(scene: &Scene, session: &str) -> Result<()> {
    let is_told = |session: &Value| session["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty());
    scene.stage.reached(session, "a task that hangs", is_told).map(drop)
}

#[test]
fn what_is_cancelled_ends_its_task_and_leaves_nothing() -> Result<()> {
    let scene = Scene::set()?;
    let stage = &scene.stage;
    stage.cloud.make_pages(SOURCE, DATABASE, 5, PAGES)?;
    let tasks = scene.tasks()?;

    hang(&scene, "BACKUP_DB")?;
    let session = scene.start_backup("")?;
    hangs(&scene, &session)?;
    let ended = cancel(&scene, &session)?;
    assert_eq!(ended["tasks"][0]["lifecycle"], "CANCELLED", "{ended:#}");
    let cancelled = format!("BACKUP_DB {DATABASE}: CANCELLED");
    assert_eq!(scene.since(&tasks)?, [cancelled.as_str()]);

    let fetched = Strike::temporary("the file is being fetched", "GetObject");
    fetched.order(stage)?;
    let session = scene.start_backup("")?;
    fetched.reached(stage, &session)?;
    cancel(&scene, &session)?;
    let written = format!("BACKUP_DB {DATABASE}: SUCCESS");
    assert_eq!(scene.since(&tasks)?, [cancelled.as_str(), written.as_str()]);
    assert_eq!(scene.points()?, 0, "a cancelled session makes no point");

    let point = scene.back_up("")?;
    let pages = stage.cloud.pages_of(SOURCE, DATABASE)?;
    let tasks = scene.tasks()?;
    let delivered = Strike::temporary("the file is being delivered", "UploadPart");
    delivered.order(stage)?;
    let session = scene.start_restore(&point, &[(DATABASE, "copy")], &[])?;
    delivered.reached(stage, &session)?;
    cancel(&scene, &session)?;
    assert_eq!((scene.since(&tasks)?.len(), stage.cloud.native_databases(TARGET)?.len()), (0, 0));

    hang(&scene, "RESTORE_DB")?;
    let session = scene.start_restore(&point, &[(DATABASE, "copy")], &[])?;
    hangs(&scene, &session)?;
    cancel(&scene, &session)?;
    assert_eq!(scene.since(&tasks)?, ["RESTORE_DB copy: CANCELLED"]);

    // RDS has begun to write the database by then.
    Strike::temporary("the file is being restored", "GetObject").order(stage)?;
    let session = scene.start_restore(&point, &[(DATABASE, "copy")], &[])?;
    wait::until(LIMIT, "the database to be restoring", || {
        Ok(stage.cloud.native_databases(TARGET)? == ["copy (restoring)"])
    })
    .with_context(|| stage.story(&session))?;
    cancel(&scene, &session)?;
    assert_eq!(stage.cloud.native_databases(TARGET)?, [""; 0], "what was half-restored is gone");

    // What was to be replaced stays as it was.
    scene.restore(&point, &[(DATABASE, "copy")])?;
    hang(&scene, "RESTORE_DB")?;
    let session = scene.start_restore(&point, &[(DATABASE, "copy")], &["--on-clash", "replace", "--yes"])?;
    hangs(&scene, &session)?;
    cancel(&scene, &session)?;
    assert_eq!(stage.cloud.native_databases(TARGET)?, ["copy"]);
    scene.assert_pages("copy", &pages)
}
