//! Two sessions in one temporary bucket, which Haulier made or somebody prepared: each is right by itself, whatever becomes of the
//! other, and the bucket that Haulier made goes with the last of them.

#[path = "../bucket/mod.rs"]
mod bucket;

use anyhow::{Context, Result, ensure};
use e2e::sqlserver::option_group_of;
use serde_json::{Value, json};

use crate::documented::documented;
use crate::scene::{SOURCE, Scene, TARGET, text};
use crate::strike::{Strike, calm, workers_die};
use bucket::Bucket;

const DATABASE: &str = "orders";
/// Pages of what is restored: its file goes up in parts.
const PAGES: u64 = 3000;
const PREPARED: &str = "prepared-by-hand";
const KEEPSAKE: &str = "native/somebody-elses.bak";

/// Starts the sessions of both instances, and gives them by instance.
fn start_both(scene: &Scene, more: &str) -> Result<[String; 2]> {
    scene.apply(&format!("resources: {{ include: [{{ ids: [{SOURCE}, {TARGET}] }}] }}\n{more}"))?;
    let started = scene.stage.haulier().json(&["policy", "run", "nightly"])?;
    let of = |instance: &str| -> Result<String> {
        for id in started["session_ids"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if scene.stage.session(id)?["resource"].as_str().is_some_and(|resource| resource.ends_with(instance)) {
                return Ok(id.to_owned());
            }
        }
        anyhow::bail!("no session of {instance}: {started:#}")
    };
    Ok([of(SOURCE)?, of(TARGET)?])
}

/// Has the backup of the source stay in progress until somebody ends it.
fn hang_source(scene: &Scene) -> Result<()> {
    let rule = json!([{
        "service": "sqlserver", "operation": "BACKUP_DB", "match": "only here ", "times": 1, "effect": "task_hang"
    }]);
    scene.stage.cloud.control("PUT", "/faults", Some(&rule)).map(drop)
}

fn bucket_of(session: &Value) -> Result<&str> {
    text(session, "temporary_place")?.split('/').next().context("no bucket")
}

#[test]
fn a_bucket_that_two_sessions_share_goes_with_the_last() -> Result<()> {
    let mut scene = Scene::set()?;
    scene.stage.cloud.make_pages(SOURCE, "only here", 1, 1000)?;
    scene.stage.cloud.make_pages(TARGET, DATABASE, 2, PAGES)?;

    hang_source(&scene)?;
    let [held, other] = start_both(&scene, "")?;
    let at_task = |session: &Value| session["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty());
    let held_there = scene.stage.reached(&held, "a task that hangs", at_task)?;
    let done = scene.stage.succeeded(&other)?;
    ensure!(bucket_of(&held_there)? == bucket_of(&done)?, "they share none: {held_there:#} {done:#}");
    ensure!(held_there["temporary_place"] != done["temporary_place"], "they share a place: {done:#}");
    ensure!(scene.has_temporary_bucket()?, "the bucket went while a session used it");

    // A restore that comes in between uses it too.
    let point = scene.point_of(&done)?;
    let pages = scene.stage.cloud.pages_of(TARGET, DATABASE)?;
    scene.restore(&point, &[(DATABASE, "copy")])?;
    scene.assert_pages("copy", &pages)?;
    ensure!(scene.has_temporary_bucket()?, "the bucket went while a session used it");

    scene.stage.haulier().json(&["session", "cancel", &held])?;
    let ended = scene.stage.ended(&held)?;
    assert_eq!(ended["state"], "cancelled", "{ended:#}");
    calm(&scene.stage)?;
    ensure!(!scene.has_temporary_bucket()?, "the bucket stayed");
    scene.assert_nothing_left()?;

    prepared(&mut scene)
}

/// The same in a bucket that somebody has prepared.
fn prepared(scene: &mut Scene) -> Result<()> {
    let cloud = &scene.stage.cloud;
    cloud.create_bucket(PREPARED)?;
    let bucket = Bucket::open(cloud.facts(), PREPARED)?;
    bucket.put(KEEPSAKE, b"mine".to_vec())?;
    // What the document asks for beside what Haulier's own bucket needs.
    let (itself, objects) = (format!("arn:aws:s3:::{PREPARED}"), format!("arn:aws:s3:::{PREPARED}/*"));
    let coordinator = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketTagging", "s3:ListBucketMultipartUploads"], "Resource": itself },
        { "Effect": "Allow", "Action": ["s3:DeleteObject", "s3:AbortMultipartUpload"], "Resource": objects },
    ]});
    cloud.put_role_policy("haulier-coordinator", "prepared", &coordinator.to_string())?;
    // The bucket stands in the place of Haulier's own.
    let session = documented(&scene.stage, "session")?.replace("haulier-temporary-*", PREPARED);
    cloud.put_role_policy("haulier-session", "prepared", &session)?;
    for instance in [SOURCE, TARGET] {
        let permissions = crate::documented::native_role(&scene.stage, instance)?.permissions;
        let permissions = permissions.replace("haulier-temporary-*", PREPARED);
        cloud.put_role_policy(&option_group_of(instance), "prepared", &permissions)?;
    }
    scene.expect_what_is_there()?;

    let region = &scene.stage.cloud.facts().region;
    let place =
        format!("sqlserver: {{ temporary_buckets: [{{ region: {region}, bucket: {PREPARED}, prefix: native }}] }}");
    hang_source(scene)?;
    let [held, other] = start_both(scene, &place)?;
    let at_task = |session: &Value| session["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty());
    scene.stage.reached(&held, "a task that hangs", at_task)?;
    let done = scene.stage.succeeded(&other)?;
    ensure!(text(&done, "temporary_place")?.starts_with(&format!("{PREPARED}/native/")), "{done:#}");
    scene.stage.haulier().json(&["session", "cancel", &held])?;
    scene.stage.ended(&held)?;
    calm(&scene.stage)?;
    ensure!(!scene.has_temporary_bucket()?, "a bucket was made beside the prepared one");

    let point = scene.point_of(&done)?;
    let pages = scene.stage.cloud.pages_of(TARGET, DATABASE)?;
    // A worker that is killed leaves an upload that nobody completes, and this bucket stays.
    let delivered = Strike::s3("the file is being delivered", "UploadPart", PREPARED, 4000);
    workers_die(scene, &[delivered], |scene| scene.start_restore(&point, &[(DATABASE, "copy of the second")], &[]))?;
    scene.assert_pages("copy of the second", &pages)?;
    assert_eq!(bucket.keys("")?, [KEEPSAKE], "nothing else is left in the prepared bucket");
    assert_eq!(bucket.uploads()?, [""; 0], "an upload is left in the prepared bucket");
    scene.assert_nothing_left()
}
