//! Tasks of RDS's that fail, at once or half-way, for reasons that are known and for one that is not: each is told whole with its
//! remedy, what may pass is waited for, and nothing is left. What each known text means is shown where it is read.

use anyhow::{Result, ensure};
use e2e::stage::LIMIT;
use e2e::wait;
use serde_json::{Value, json};

use crate::scene::{SOURCE, Scene, TARGET, text};
use crate::strike::calm;

const DATABASE: &str = "orders";
const PAGES: u64 = 3000;

const GENERAL: &str = "Aborted the task because of a task failure or an overlap with your preferred backup window for RDS automated backup.";
const UNHEARD_OF: &str = "Fehler 42 an der Größe <der> Datei \"x\"; nobody has seen this text before: 100 %";

/// Has the next call of a procedure, or the next task of a type, end so.
fn order(scene: &Scene, operation: &str, effect: &Value) -> Result<()> {
    let rule = json!([{ "service": "sqlserver", "operation": operation, "times": 1, "effect": effect }]);
    scene.stage.cloud.control("PUT", "/faults", Some(&rule)).map(drop)
}

/// Wants a session to have failed with a code, telling the text whole, and nothing to be left.
fn fails(scene: &Scene, session: &str, code: &str, told: &str, remedy: &str) -> Result<Value> {
    let ended = scene.stage.ended(session)?;
    let story = || format!("{code}: {ended:#}\n{}", scene.stage.story(session));
    calm(&scene.stage)?;
    let failure = &ended["failure"];
    ensure!(ended["state"] == "failed" && failure["code"] == code, "{}", story());
    ensure!(text(failure, "cause")?.contains(told), "the text is not told whole: {}", story());
    ensure!(text(failure, "remedy")?.contains(remedy), "another remedy than {remedy:?}: {}", story());
    // What RDS has said is kept as it is.
    let kept = ended["tasks"][0]["task_info"].as_str().unwrap_or_default();
    ensure!(kept.contains(told) && ended["tasks"][0]["lifecycle"] == "ERROR", "task_info is not kept: {}", story());
    scene.assert_nothing_left()?;
    Ok(ended)
}

#[test]
fn a_task_that_fails_is_told_whole_with_its_remedy() -> Result<()> {
    let scene = Scene::set()?;
    scene.stage.cloud.make_pages(SOURCE, DATABASE, 5, PAGES)?;

    // A refusal that may pass is waited for within the session.
    let busy = "A task has already been issued for database: orders with task Id: 7";
    order(&scene, "rds_backup_database", &json!({ "sql_error": { "text": busy } }))?;
    let waiting = scene.start_backup("")?;
    wait::until(LIMIT, "the submission to be refused", || Ok(scene.stage.story(&waiting).contains(busy)))?;
    calm(&scene.stage)?;
    let point = scene.point_of(&scene.stage.succeeded(&waiting)?)?;
    assert_eq!(scene.points()?, 1);

    for (percent, said, code, retryable, remedy) in [
        (0, "Access Denied", "sqlserver-s3-denied", false, "option group's role"),
        (
            60,
            "Aborting native backup because there is an RDS automated backup in progress.",
            "sqlserver-backup-window",
            true,
            "outside of the instance's backup window",
        ),
        (60, UNHEARD_OF, "sqlserver-task-failed", false, "read the cause"),
    ] {
        order(&scene, "BACKUP_DB", &json!({ "task_error": { "text": said, "percent": percent } }))?;
        let session = scene.start_backup("")?;
        let ended = fails(&scene, &session, code, said, remedy)?;
        ensure!(text(&ended["failure"], "cause")?.contains(GENERAL), "task_info is not told whole: {ended:#}");
        assert_eq!(ended["failure"]["retryable"], retryable, "{ended:#}");
        assert_eq!(scene.points()?, 1, "a failed session makes no point");
    }
    // Later it succeeds.
    scene.back_up("")?;

    // A restore that fails half-way leaves no database behind.
    for (said, code, remedy) in [
        (
            "Cannot find server certificate. RESTORE FILELIST is terminating abnormally.",
            "sqlserver-certificate-missing",
            "rds_restore_tde_certificate",
        ),
        (UNHEARD_OF, "sqlserver-task-failed", "read the cause"),
    ] {
        order(&scene, "RESTORE_DB", &json!({ "task_error": { "text": said, "percent": 50 } }))?;
        let session = scene.start_restore(&point, &[(DATABASE, "copy")], &[])?;
        fails(&scene, &session, code, said, remedy)?;
        assert_eq!(scene.stage.cloud.native_databases(TARGET)?, [""; 0], "what was half-restored is gone");
    }
    scene.restore(&point, &[(DATABASE, "copy")])?;
    scene.assert_pages("copy", &scene.stage.cloud.pages_of(SOURCE, DATABASE)?)?;
    scene.assert_nothing_left()
}
