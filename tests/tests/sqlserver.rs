//! Databases of SQL Server, backed up and restored by RDS itself through the temporary bucket, with the permissions of the
//! documents alone. Their pages come back byte for byte.

mod documented;

use anyhow::{Context, Result, ensure};
use e2e::documented::native_key;
use e2e::sqlserver::{PAGE, option_group_of};
use e2e::stage::{MASTER_PASSWORD, Stage};
use serde_json::Value;

use documented::{native_role, permit_alone};

/// The instance that is backed up.
const SOURCE: &str = "crm";
/// The instance that is restored into.
const TARGET: &str = "crm-spare";
/// Its database, and how many pages it has: 62 MiB of them.
const DATABASE: &str = "orders";
const PAGES: u64 = 8000;
const SEED: u64 = 7;

/// A stage with two instances of SQL Server, and what the cloud lists before the first session.
fn set() -> Result<(Stage, Vec<String>)> {
    let mut stage = Stage::set()?;
    for instance in [SOURCE, TARGET] {
        let role = native_role(&stage, instance)?;
        stage.cloud.create_sqlserver(instance, MASTER_PASSWORD, &role)?;
    }
    stage.cloud.make_pages(SOURCE, DATABASE, SEED, PAGES)?;
    permit_alone(&mut stage, "backups")?;
    let before = stage.cloud.listing()?;
    Ok((stage, before))
}

/// Applies the policy with more lines, runs it, and gives the point.
fn back_up(stage: &Stage, more: &str) -> Result<Value> {
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}] }}] }}\n{more}"))?;
    let session = stage.succeeded(&stage.run_policy()?)?;
    ensure!(
        session["temporary_place"].as_str().is_some_and(|place| place.starts_with("haulier-temporary-")),
        "{session:#}"
    );
    ensure!(session["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()), "no task was told: {session:#}");
    stage.haulier().json(&["point", "show", id(&session, "point_id")?])
}

fn restore(stage: &Stage, point: &Value, name: &str) -> Result<Value> {
    stage.succeeded(&stage.start_restore_into(TARGET, id(point, "id")?, (DATABASE, name), &[])?)
}

fn id<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name} in {value:#}"))
}

/// The comparison of pages sees a single changed one.
fn comparison_can_fail(stage: &Stage) -> Result<()> {
    let cloud = &stage.cloud;
    cloud.make_pages(TARGET, "twin", SEED, PAGES)?;
    ensure!(cloud.pages_of(TARGET, "twin")? == cloud.pages_of(SOURCE, DATABASE)?, "twins differ");
    cloud.change_pages(TARGET, "twin", 1, 1)?;
    ensure!(cloud.pages_of(TARGET, "twin")? != cloud.pages_of(SOURCE, DATABASE)?, "a changed page was not seen");
    Ok(())
}

fn assert_pages(stage: &Stage, name: &str, expected: &str) -> Result<()> {
    let found = stage.cloud.pages_of(TARGET, name)?;
    ensure!(found == expected, "the pages of {name} are others: {found} in the place of {expected}");
    Ok(())
}

#[test]
fn full_backups_come_back_page_by_page_and_the_second_stores_what_changed() -> Result<()> {
    let (stage, before) = set()?;
    comparison_can_fail(&stage)?;
    let first = back_up(&stage, "snapshot: true")?;
    ensure!(first["full_point_id"].is_null(), "{first:#}");
    let pages_of_first = stage.cloud.pages_of(SOURCE, DATABASE)?;

    stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 3)?;
    let second = back_up(&stage, "")?;
    let pages_of_second = stage.cloud.pages_of(SOURCE, DATABASE)?;
    let stored = second["bytes_stored"].as_u64().context("no bytes_stored")?;
    ensure!(stored * 100 < PAGES * PAGE * 3, "{stored} bytes stored of {}: {first:#} {second:#}", PAGES * PAGE);

    restore(&stage, &second, "orders of today")?;
    assert_pages(&stage, "orders of today", &pages_of_second)?;
    restore(&stage, &first, "orders of yesterday")?;
    assert_pages(&stage, "orders of yesterday", &pages_of_first)?;
    ensure!(pages_of_first != pages_of_second, "no page was changed between the two");

    // A name that is taken is refused, and nothing is touched.
    let clash = stage.start_restore_into(TARGET, id(&first, "id")?, (DATABASE, "orders of today"), &[])?;
    let clash = stage.ended(&clash)?;
    ensure!(clash["state"] == "failed", "{clash:#}");
    assert_pages(&stage, "orders of today", &pages_of_second)?;
    stage.assert_nothing_left_since(&before)
}

#[test]
fn a_differential_backup_stands_on_its_full_one_until_a_snapshot_comes_between() -> Result<()> {
    let (stage, mut before) = set()?;
    let differential = "sqlserver: { full_every_days: 7 }";
    let full = back_up(&stage, differential)?;
    ensure!(full["full_point_id"].is_null(), "{full:#}");

    stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 3)?;
    let second = back_up(&stage, differential)?;
    ensure!(second["full_point_id"] == full["id"], "{second:#}");
    let pages = stage.cloud.pages_of(SOURCE, DATABASE)?;
    // Of every extent with a changed page there is a copy in it, of the others none.
    let read = second["bytes_read"].as_u64().context("no bytes_read")?;
    ensure!(read < PAGES * PAGE / 5, "a differential backup of {read} bytes");
    stage.cloud.change_pages(SOURCE, DATABASE, 1, 4)?;
    restore(&stage, &second, "orders in two steps")?;
    assert_pages(&stage, "orders in two steps", &pages)?;

    stage.cloud.create_snapshot(SOURCE, "by-hand")?;
    before.push("snapshots by-hand".to_owned());
    let third = back_up(&stage, differential)?;
    ensure!(third["full_point_id"].is_null(), "it stands on what a snapshot has replaced: {third:#}");
    restore(&stage, &third, "orders alone")?;
    assert_pages(&stage, "orders alone", &stage.cloud.pages_of(SOURCE, DATABASE)?)?;
    stage.assert_nothing_left_since(&before)
}

#[test]
fn a_chain_is_restored_onto_the_volumes_that_were_named_and_keeps_change_data_capture() -> Result<()> {
    let (stage, before) = set()?;
    let differential = "sqlserver: { full_every_days: 7 }";
    let full = back_up(&stage, differential)?;
    stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 3)?;
    let second = back_up(&stage, differential)?;
    ensure!(second["full_point_id"] == full["id"], "{second:#}");

    stage.cloud.add_volumes(TARGET)?;
    let asked = ["--keep-cdc", "--data-file-volume", "H:", "--log-file-volume", "I:"];
    stage.succeeded(&stage.start_restore_into(TARGET, id(&second, "id")?, (DATABASE, "placed"), &asked)?)?;
    assert_pages(&stage, "placed", &stage.cloud.pages_of(SOURCE, DATABASE)?)?;
    let look = stage.cloud.look_at(TARGET, "placed")?;
    let placed = (&look["data_volume"], &look["log_volume"], &look["captures_changes"]);
    ensure!(placed == (&"H".into(), &"I".into(), &true.into()), "{look:#}");
    stage.assert_nothing_left_since(&before)
}

#[test]
fn what_rds_encrypts_comes_back_by_its_key_and_each_backup_is_stored_whole() -> Result<()> {
    let (stage, before) = set()?;
    let key = stage.cloud.create_key()?;
    let encrypted = format!("sqlserver: {{ kms_key: \"{key}\" }}");
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}] }}] }}\n{encrypted}"))?;
    let denied = stage.ended(&stage.run_policy()?)?;
    ensure!(denied["failure"]["code"] == "sqlserver-key-denied", "{denied:#}");
    stage.cloud.put_role_policy(&option_group_of(SOURCE), "native-key", &native_key(&key)?)?;
    let first = back_up(&stage, &encrypted)?;
    ensure!(first.to_string().contains(&key), "the point does not say that it is encrypted: {first:#}");
    let pages_of_first = stage.cloud.pages_of(SOURCE, DATABASE)?;

    // A new data key leaves nothing to be found again, little as was changed.
    stage.cloud.change_pages(SOURCE, DATABASE, PAGES / 100, 3)?;
    let second = back_up(&stage, &encrypted)?;
    let stored = second["bytes_stored"].as_u64().context("no bytes_stored")?;
    let read = second["bytes_read"].as_u64().context("no bytes_read")?;
    println!("the second of two encrypted backups: {stored} bytes stored of {read}");
    ensure!(stored >= read, "{stored} bytes stored of {read}: the stand-in encrypts otherwise than RDS");

    let denied = stage.start_restore_into(TARGET, id(&first, "id")?, (DATABASE, "denied"), &[])?;
    let denied = stage.ended(&denied)?;
    ensure!(denied["failure"]["code"] == "sqlserver-key-denied", "{denied:#}");
    stage.cloud.put_role_policy(&option_group_of(TARGET), "native-key", &native_key(&key)?)?;
    // The policy names no key any more: the point remembers its own.
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}] }}] }}"))?;
    restore(&stage, &first, "opened")?;
    assert_pages(&stage, "opened", &pages_of_first)?;
    restore(&stage, &second, "opened again")?;
    assert_pages(&stage, "opened again", &stage.cloud.pages_of(SOURCE, DATABASE)?)?;
    stage.assert_nothing_left_since(&before)
}
