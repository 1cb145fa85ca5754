//! An immutable repository through the whole product, with the documented permissions: what a restore point needs cannot
//! be destroyed before its time, is found when it is hidden, and goes afterwards.

mod bucket;
mod documented;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::Credentials;
use bucket::Bucket;
use documented::permit_alone;
use e2e::stage::Stage;
use serde_json::Value;

const DAY: i64 = 86_400;
const BUCKET: &str = "vault";

fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

/// `repository create` of an immutable repository in a bucket.
fn create(stage: &Stage, bucket: &str) -> Result<(i32, Value)> {
    let facts = stage.cloud.facts();
    let name = format!("in-{bucket}");
    let lock = ["--object-lock", "governance", "--retention-days", "6"];
    let place = ["--bucket", bucket, "--region", &facts.region, "--prefix", "rds", "--kms-key-arn", &facts.kms_key_arn];
    let arguments = [&["repository", "create", &name, "--output", "json"], &place[..], &lock].concat();
    let answer = stage.haulier().call(&arguments)?;
    let told = if answer.code == 0 { &answer.stdout } else { &answer.stderr };
    Ok((answer.code, serde_json::from_str(told).with_context(|| told.clone())?))
}

/// The bucket as the one worker saw it that there has been.
fn as_worker(stage: &Stage) -> Result<Bucket> {
    let issued = stage.cloud.control("GET", "/credentials", None)?;
    let issued = issued.as_array().cloned().unwrap_or_default();
    let of_session =
        |credentials: &&Value| credentials["principal"].as_str().unwrap_or_default().contains("role/haulier-session/");
    let worker = issued.iter().find(of_session).context("no session's credentials")?;
    let text = |name: &str| worker[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let (id, secret, token) = (text("access_key_id")?, text("secret_access_key")?, text("session_token")?);
    Bucket::open_with(stage.cloud.facts(), BUCKET, Credentials::new(id, secret, Some(token), None, "test"))
}

fn prune(stage: &Stage) -> Result<Value> {
    let answer = stage.haulier().json(&["repository", "prune", "in-vault", "--wait"])?;
    ensure!(answer["sessions"][0]["state"] == "succeeded", "{answer:#}");
    Ok(answer["sessions"][0]["report"]["figures"].clone())
}

fn seconds(at: &Value) -> Result<i64> {
    let text = at.as_str().context("a time")?;
    Ok(text.parse::<jiff::Timestamp>().with_context(|| text.to_owned())?.as_second())
}

#[test]
fn what_a_point_needs_is_kept_until_its_time_and_goes_afterwards() -> Result<()> {
    let mut stage = Stage::set()?;
    let (code, refused) = create(&stage, "backups")?;
    ensure!(code == 4 && refused["error"]["code"] == "bucket-without-object-lock", "{code} {refused:#}");

    stage.cloud.create_locked_bucket(BUCKET)?;
    permit_alone(&mut stage, BUCKET)?;
    let (code, made) = create(&stage, BUCKET)?;
    ensure!(code == 0 && made["object_lock"]["mode"] == "governance", "{made:#}");
    let before = stage.cloud.listing()?;
    stage.apply_policy("repository: in-vault")?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    let fill = "INSERT INTO noise SELECT i, md5(i::text || random()::text) || md5(random()::text) FROM generate_series(1, 100000) i";
    shop.execute("CREATE TABLE noise (id bigint, text text)")?;
    shop.execute("CREATE TABLE kept AS SELECT i AS id, md5(random()::text) AS text FROM generate_series(1, 20000) i")?;
    shop.execute(fill)?;
    let started = now()?;
    let first = stage.back_up()?;

    // Everything is locked, and it is said until when.
    let shown = stage.haulier().json(&["point", "show", &first])?;
    let until = seconds(&shown["locked_until"])?;
    ensure!(shown["lock_mode"] == "governance" && until >= started + 6 * DAY, "{shown:#}");
    let vault = Bucket::open(stage.cloud.facts(), BUCKET)?;
    let keys = vault.keys("rds/")?;
    for key in &keys {
        let (mode, locked) = vault.lock(key)?.with_context(|| format!("{key} is not locked"))?;
        ensure!(mode == "GOVERNANCE" && locked >= until && locked <= now()? + 9 * DAY + 60, "{key}: {mode} {locked}");
    }
    a_worker_can_extend_and_nothing_else(&stage, &vault, &keys)?;
    stage.haulier().json(&["point", "check", &first, "--full", "--wait"])?;

    // A second backup extends the locks of what it takes over, where they fall short.
    let packs: Vec<&String> = keys.iter().filter(|key| key.contains("/packs/")).collect();
    for pack in &packs {
        vault.set_lock(pack, "GOVERNANCE", now()? + DAY, true)?;
    }
    shop.execute("TRUNCATE noise")?;
    shop.execute(fill)?;
    let second = stage.back_up()?;
    let needed = seconds(&stage.haulier().json(&["point", "show", &second])?["locked_until"])?;
    let mut extended = 0;
    for pack in &packs {
        let (_, locked) = vault.lock(pack)?.context("a lock")?;
        ensure!(locked >= needed || locked < now()? + DAY, "{pack} is locked until {locked}");
        extended += usize::from(locked >= needed);
    }
    ensure!(extended > 0, "no lock of {} packs was extended", packs.len());
    stage.haulier().json(&["point", "check", &second, "--full", "--wait"])?;

    keys_are_replaced_and_stay_locked(&stage)?;
    what_is_hidden_is_found_and_comes_back(&stage, &vault, &second)?;
    what_nothing_needs_waits_for_its_lock(&stage, &vault, &first, &second)?;
    stage.restore(&second, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    stage.assert_nothing_left_since(&before)
}

fn a_worker_can_extend_and_nothing_else(stage: &Stage, vault: &Bucket, keys: &[String]) -> Result<()> {
    let worker = as_worker(stage)?;
    let pack = keys.iter().find(|key| key.contains("/packs/")).context("a pack")?;
    let point = keys.iter().find(|key| key.contains("/points/")).context("a point")?;
    let (_, locked) = vault.lock(pack)?.context("a lock")?;
    let version = vault.versions(pack)?.into_iter().next().context("a version")?;
    let domain = pack.split("/packs/").next().context("a domain")?;
    worker.set_lock(pack, "GOVERNANCE", locked.max(now()? + 9 * DAY), false).context("a worker extends locks")?;
    for (what, outcome) in [
        ("shorten a lock", worker.set_lock(pack, "GOVERNANCE", now()? + DAY, false)),
        ("shorten a lock by a bypass", worker.set_lock(pack, "GOVERNANCE", now()? + DAY, true)),
        ("take a lock away", worker.lift_lock(pack)),
        ("lock for ever", worker.set_lock(pack, "GOVERNANCE", now()? + 3_650 * DAY, false)),
        ("lock more strictly", worker.set_lock(pack, "COMPLIANCE", now()? + 9 * DAY, false)),
        ("hide a pack", worker.delete(pack)),
        ("hide a point", worker.delete(point)),
        ("destroy a pack", worker.delete_version(pack, &version)),
        ("store without a lock", worker.put_new(&format!("{domain}/packs/00/fresh"), b"intruder".to_vec())),
        ("overwrite a pack", worker.put(pack, b"intruder".to_vec())),
    ] {
        let error = outcome.err().with_context(|| format!("a worker's credentials allowed: {what}"))?;
        ensure!(format!("{error:#}").contains("AccessDenied"), "{what}: {error:#}");
    }
    let error = vault.delete_version(pack, &version).err().context("the administrator destroyed what is locked")?;
    ensure!(format!("{error:#}").contains("AccessDenied"), "{error:#}");
    vault.get(pack).map(drop)
}

fn keys_are_replaced_and_stay_locked(stage: &Stage) -> Result<()> {
    let file = stage.folder().join("passphrase");
    std::fs::write(&file, "correct horse battery staple\n")?;
    let file = file.display().to_string();
    stage.haulier().json(&["repository", "key", "add", "in-vault", "--passphrase-file", &file])?;
    let rotate = ["repository", "key", "rotate", "in-vault", "--open-with-passphrase-file", &file];
    let rotated = stage.haulier().json(&rotate)?;
    ensure!(rotated["removed"].as_array().is_some_and(|removed| removed.len() == 1), "{rotated:#}");
    ensure!(seconds(&rotated["locked_until"])? > now()? + 6 * DAY, "{rotated:#}");
    let keys = stage.haulier().json(&["repository", "key", "list", "in-vault"])?;
    ensure!(keys.as_array().is_some_and(|keys| keys.len() == 2), "{keys:#}");
    Ok(())
}

fn what_is_hidden_is_found_and_comes_back(stage: &Stage, vault: &Bucket, point: &str) -> Result<()> {
    let keys = vault.keys("rds/")?;
    for key in keys.iter().filter(|key| key.contains("/packs/") || key.ends_with("/format") || key.ends_with(point)) {
        vault.delete(key)?;
    }
    let check = stage.haulier().call(&["point", "check", point, "--wait"])?;
    ensure!(check.code == 5 && check.stderr.contains("hidden by a delete marker"), "{check:?}");
    let told = stage.haulier().json(&["repository", "undelete", "in-vault", "--dry-run"])?;
    ensure!(told.as_array().is_some_and(|told| told.len() > 2), "{told:#}");
    // The documented policy lets the coordinator destroy no versions but those of points, proofs and keys.
    let refused = stage.haulier().call(&["repository", "undelete", "in-vault"])?;
    ensure!(refused.code != 0 && refused.stderr.contains("s3:DeleteObjectVersion"), "{refused:?}");
    let recovery = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:DeleteObjectVersion","Resource":"arn:aws:s3:::{BUCKET}/*"}}]}}"#
    );
    stage.cloud.put_role_policy("haulier-coordinator", "recovery", &recovery)?;
    stage.haulier().json(&["repository", "undelete", "in-vault"])?;
    ensure!(vault.keys("rds/")? == keys, "not everything is back");
    stage.haulier().json(&["point", "check", point, "--full", "--wait"]).map(drop)
}

fn what_nothing_needs_waits_for_its_lock(stage: &Stage, vault: &Bucket, first: &str, second: &str) -> Result<()> {
    // The first point's time is over, as far as governance is concerned.
    let keys = vault.keys("rds/")?;
    let point = keys.iter().find(|key| key.ends_with(&format!("/points/{first}"))).context("the first point")?;
    vault.lift_lock(point)?;
    for version in vault.versions(point)? {
        vault.delete_version(point, &version)?;
    }
    let keys = vault.keys("rds/")?;
    let freed = |figures: &Value| figures["freed_now"]["bytes"].as_u64().unwrap_or_default();
    ensure!(freed(&prune(stage)?) == 0, "something was deleted that is locked");
    let figures = prune(stage)?;
    ensure!(figures["locked"]["bytes"].as_u64() > Some(3_000_000), "{figures:#}");
    ensure!(freed(&figures) == 0 && figures["freed_later"]["bytes"].as_u64() > Some(3_000_000), "{figures:#}");
    ensure!(seconds(&figures["locked_until"])? > now()?, "{figures:#}");
    let packs = |keys: &[String]| keys.iter().filter(|key| key.contains("/packs/")).cloned().collect::<Vec<_>>();
    let after = packs(&vault.keys("rds/")?);
    ensure!(packs(&keys).iter().all(|pack| after.contains(pack)), "a prune has removed what is locked");
    stage.haulier().json(&["point", "check", second, "--full", "--wait"])?;

    for key in vault.keys("rds/domains/")?.iter().filter(|key| key.contains("/packs/") || key.contains("/lists/")) {
        vault.lift_lock(key)?;
    }
    let swept = [prune(stage)?, prune(stage)?];
    ensure!(swept.iter().map(freed).sum::<u64>() > 3_000_000, "{swept:#?}");
    let left = packs(&vault.keys("rds/")?);
    ensure!(packs(&keys).iter().any(|pack| !left.contains(pack)), "no pack has gone");
    for pack in packs(&keys).iter().filter(|pack| !left.contains(pack)) {
        ensure!(vault.versions(pack)?.is_empty(), "{pack} is hidden, and not gone");
    }
    Ok(())
}
