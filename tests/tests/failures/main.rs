//! Bad input and broken things: a clear error with cause and remedy, no restore point, nothing half done, nothing left.

#[path = "../bucket/mod.rs"]
mod bucket;
mod damage;

use anyhow::{Context, Result, ensure};
use e2e::dataset;
use e2e::secrets::{self, Secret, Watch};
use e2e::stage::{SOURCE, Stage};
use serde_json::{Value, json};

/// Runs the policy, wants it to fail, and wants the failure to say all it should.
fn fails(stage: &Stage, code: &str) -> Result<Value> {
    let session = stage.run_policy()?;
    let ended = stage.ended(&session)?;
    explained(stage, &ended, code)?;
    ensure!(ended["point_id"].is_null() || points(stage)? == 0, "a failed session made a point: {ended:#}");
    stage.assert_nothing_left()?;
    Ok(ended)
}

fn explained(stage: &Stage, ended: &Value, code: &str) -> Result<()> {
    let story = || format!("{ended:#}\n{}", stage.story(ended["id"].as_str().unwrap_or_default()));
    ensure!(ended["state"] == "failed", "{}", story());
    let failure = &ended["failure"];
    ensure!(failure["code"] == code, "expected {code}: {}", story());
    for part in ["what", "cause", "remedy"] {
        ensure!(failure[part].as_str().is_some_and(|text| text.len() > 8), "the failure has no {part}: {}", story());
    }
    Ok(())
}

fn points(stage: &Stage) -> Result<usize> {
    Ok(stage.haulier().json(&["point", "list"])?.as_array().map_or(0, Vec::len))
}

#[test]
fn logins_that_fail_are_explained() -> Result<()> {
    let stage = Stage::set()?;
    let watch = Watch::start();
    let wrong = json!({ "username": "master", "password": WRONG_PASSWORD }).to_string();
    let wrong = stage.cloud.create_secret("wrong", &wrong)?;
    stage.apply_policy(&format!("credentials: {{ secret_arn: \"{wrong}\" }}"))?;
    fails(&stage, "db-auth-failed")?;

    let missing = wrong.replace(":secret:wrong", ":secret:gone");
    stage.apply_policy(&format!("credentials: {{ secret_arn: \"{missing}\" }}"))?;
    let ended = fails(&stage, "db-secret-unreadable")?;
    assert!(ended["failure"].to_string().contains(&missing), "the failure names the secret: {ended:#}");

    let shapeless = stage.cloud.create_secret("shapeless", SHAPELESS)?;
    stage.apply_policy(&format!("credentials: {{ secret_arn: \"{shapeless}\" }}"))?;
    fails(&stage, "db-secret-malformed")?;
    assert_eq!(points(&stage)?, 0);

    // Errors tempt to quote what did not work.
    let planted = [Secret::text("the wrong password", WRONG_PASSWORD), Secret::text("the shapeless secret", SHAPELESS)];
    secrets::nowhere(&stage, &[&planted[..], &secrets::issued(&stage)?].concat(), &watch.seen()?)
}

/// Passwords that open nothing, of characters that are written differently here and there.
const WRONG_PASSWORD: &str = "not \"the\" password%\\ü";
const SHAPELESS: &str = "{just \"text\": of no & shape}";

#[test]
fn databases_that_cannot_be_read_whole_make_no_point() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE guarded")?;
    let guarded = stage.source.sibling("guarded");
    guarded.execute(
        "CREATE ROLE other; GRANT other TO master; CREATE SCHEMA vault AUTHORIZATION other;
         SET ROLE other; CREATE TABLE vault.secrets (id int); INSERT INTO vault.secrets VALUES (1);
         CREATE POLICY own ON vault.secrets USING (id > 5); ALTER TABLE vault.secrets ENABLE ROW LEVEL SECURITY;
         GRANT USAGE ON SCHEMA vault TO master; GRANT SELECT ON vault.secrets TO master; RESET ROLE; REVOKE other FROM master;",
    )?;
    let ended = fails(&stage, "db-row-security")?;
    assert!(ended["failure"].to_string().contains("secrets"), "the failure names the table: {ended:#}");
    assert_eq!(points(&stage)?, 0);
    Ok(())
}

#[test]
fn a_connection_that_drops_in_mid_dump_makes_no_point() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 120)?;
    stage.slow_down("s3", "PutObject", "", 500)?;
    let session = stage.run_policy()?;
    stage.reached(&session, "the transfer of data", |session| session["progress"]["bytes_read"].as_u64() > Some(0))?;
    let administrator = e2e::psql::Database { author: None, ..stage.source.clone() };
    let ended_backends = administrator
        .value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'master' AND pid <> pg_backend_pid()")?;
    ensure!(ended_backends != "0", "nobody was connected");
    stage.full_speed()?;
    let ended = stage.ended(&session)?;
    explained(&stage, &ended, "db-connection-lost")?;
    assert_eq!(points(&stage)?, 0);
    stage.assert_nothing_left()
}

/// All rows pass through `pg_dump`: no table is large enough for a stream of its own.
const BY_PG_DUMP: &str = "transfer: { large_table_bytes: 35184372088832, split_table_bytes: 35184372088832 }";

#[test]
fn a_pg_dump_that_dies_makes_no_point() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 180)?;
    stage.apply_policy(BY_PG_DUMP)?;
    stage.slow_down("s3", "PutObject", "", 1500)?;
    let session = stage.run_policy()?;
    stage.reached(&session, "the transfer of data", |session| session["progress"]["bytes_read"].as_u64() > Some(0))?;
    let workers = stage.haulier().json(&["worker", "list"])?;
    let machine = workers[0]["instance_id"].as_str().context("no worker")?.to_owned();
    let killed =
        stage.cloud.control("POST", &format!("/computers/{machine}/kill"), Some(&json!({ "program": "pg_dump" })))?;
    ensure!(killed["killed"].as_u64() > Some(0), "pg_dump did not run: {killed}");
    stage.full_speed()?;
    let ended = stage.ended(&session)?;
    explained(&stage, &ended, "pg-dump-failed")?;
    ensure!(ended["failure"].to_string().contains("shop"), "the failure names the database: {ended:#}");
    assert_eq!(points(&stage)?, 0);
    stage.assert_nothing_left()
}

#[test]
fn a_table_dropped_during_the_dump_makes_no_point() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    // pg_dump lists the tables of its snapshot, then locks them in the order in which they were made. The first one holds
    // it up; nothing else of a backup needs a lock on a partitioned table.
    shop.execute("CREATE TABLE gate (id int) PARTITION BY LIST (id); CREATE TABLE doomed AS SELECT 1 AS id")?;
    let migration = {
        let shop = shop.clone();
        std::thread::spawn(move || {
            shop.execute(
                "BEGIN; LOCK TABLE ONLY gate IN ACCESS EXCLUSIVE MODE;
                 DO $$ BEGIN
                   FOR waited IN 1..6000 LOOP
                     EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted);
                     PERFORM pg_sleep(0.05);
                     IF waited = 6000 THEN RAISE 'nobody came to lock the table'; END IF;
                   END LOOP;
                 END $$;
                 DROP TABLE doomed; COMMIT;",
            )
        })
    };
    e2e::wait::until(e2e::stage::LIMIT, "the lock on the gate", || {
        Ok(shop.value("SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND granted")? != "0")
    })?;
    let session = stage.run_policy()?;
    let ended = stage.ended(&session)?;
    migration.join().map_err(|_| anyhow::anyhow!("the migration panicked"))??;
    explained(&stage, &ended, "db-object-dropped")?;
    ensure!(ended["failure"]["cause"].to_string().contains("doomed"), "the failure names the table: {ended:#}");
    assert_eq!(points(&stage)?, 0);
    stage.assert_nothing_left()
}

#[test]
fn a_type_that_has_no_capacity_is_replaced_by_the_next() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    stage.apply_policy("worker: { instance_type: [m7i.large, m6i.large] }")?;
    let none = json!([{
        "service": "ec2", "operation": "RunInstances", "match": "InstanceType=m7i.large", "times": 100_000,
        "effect": { "error_before": { "code": "InsufficientInstanceCapacity", "status": 500 } }
    }]);
    stage.cloud.control("PUT", "/faults", Some(&none))?;
    let session = stage.run_policy()?;
    stage.succeeded(&session)?;
    let faults = stage.cloud.control("GET", "/faults", None)?;
    ensure!(faults[0]["fired"].as_u64() > Some(0), "the fault never fired: {faults}");
    let story = stage.story(&session);
    ensure!(story.contains("no room for m7i.large") && story.contains(", m6i.large in subnet-"), "{story}");
    let ledger = stage.haulier().json(&["ledger", "list"])?;
    let launches: Vec<_> = ledger
        .as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .filter(|row| row["kind"] == "ec2-instance" && row["session_id"] == session.as_str())
        .collect();
    ensure!(launches.len() > 1 && launches.iter().all(|row| row["state"] == "removed"), "{launches:#?}");
    stage.assert_nothing_left()
}

#[test]
fn a_role_that_cannot_be_assumed_is_named() -> Result<()> {
    let stage = Stage::set()?;
    let role = format!("arn:aws:iam::{}:role/nobody", stage.cloud.facts().account);
    stage.apply_policy(&format!("accounts: [{{ role_arn: \"{role}\" }}]"))?;
    for command in [["policy", "run", "nightly", "--output", "json"].as_slice(), &["resource", "list"]] {
        let answer = stage.haulier().call(command)?;
        let said = answer.stdout + &answer.stderr;
        ensure!(said.contains(&role) && said.contains("trust policy"), "{command:?} said {said}");
    }
    stage.assert_nothing_left()
}

#[test]
fn an_instance_that_haulier_cannot_back_up_is_refused_with_the_reason() -> Result<()> {
    let stage = Stage::set()?;
    stage.apply_policy("resources: { include: [{ ids: [nobody] }] }")?;
    let answer = stage.haulier().call(&["policy", "run", "nightly", "--output", "json"])?;
    let said = answer.stdout + &answer.stderr;
    ensure!(said.contains("nobody"), "the instance that is not there is named: {said}");

    stage.apply_policy("databases: [nowhere]")?;
    let ended = fails(&stage, "db-missing")?;
    assert!(ended["failure"].to_string().contains("nowhere"), "{ended:#}");
    ensure!(points(&stage)? == 0, "no point of {SOURCE}");
    stage.haulier().call(&["point", "show", "pnt-none"]).map(|answer| assert_ne!(answer.code, 0))?;
    Ok(())
}

#[test]
fn a_target_whose_disk_is_full_keeps_no_half_database() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 30)?;
    let point = stage.back_up()?;
    // New databases are copied from template0, so they lie where it lies: on a file system of 48 MB.
    let administrator = e2e::psql::Database { author: None, ..stage.target.clone() };
    administrator.execute("CREATE TABLESPACE small LOCATION '/mnt/small'")?;
    administrator.execute("ALTER DATABASE template0 SET TABLESPACE small")?;
    let session = stage.start_restore(&point, "shop", "copy", &[])?;
    let ended = stage.ended(&session)?;
    explained(&stage, &ended, "db-disk-full")?;
    // A disk that is full does not keep the half-restored database from being dropped.
    let known = "('postgres', 'rdsadmin', 'template0', 'template1')";
    let left = administrator.rows(&format!("SELECT datname FROM pg_database WHERE datname NOT IN {known}"))?;
    ensure!(left.is_empty(), "{left:?} is left: {ended:#}");
    stage.assert_nothing_left()
}
