//! Stopped at any time: nothing lost, nothing left, production's security groups as before.

use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use e2e::oracle::{self, Picture, quote};
use e2e::psql::Database;
use e2e::stage::{LIMIT, SOURCE, Stage, TARGET};
use e2e::{dataset, wait};
use serde_json::Value;

/// Where a session is cancelled: a step, and the calls to AWS that it makes. Slowed down, they keep the session there until
/// it is struck.
#[derive(Debug, Clone, Copy)]
struct Strike {
    step: &'static str,
    service: &'static str,
    operation: &'static str,
    text: &'static str,
    millis: u32,
}

const fn strike(step: &'static str, service: &'static str, operation: &'static str, text: &'static str) -> Strike {
    Strike { step, service, operation, text, millis: 4000 }
}

/// The first step of every session that is about an instance.
const PREFLIGHT: Strike = strike("preflight", "rds", "DescribeDBInstances", "");

/// Steps by which a worker comes to its work.
const WORKER: [Strike; 5] = [
    strike("plan-worker", "ec2", "DescribeSubnets", ""),
    strike("open-groups", "ec2", "CreateSecurityGroup", ""),
    strike("launch-worker", "ec2", "RunInstances", ""),
    strike("join-instance", "rds", "ModifyDBInstance", ""),
    strike("assign", "sts", "AssumeRole", ""),
];

/// Steps of a backup before its teardown. `check-login` makes no call that could be slowed down; that one is struck by the
/// tests of the coordinator.
fn backup() -> Vec<Strike> {
    let before =
        [PREFLIGHT, strike("open-domain", "s3", "*", "/domains/"), strike("snapshot", "rds", "CreateDBSnapshot", "")];
    let after = [strike("transfer", "s3", "PutObject", ""), strike("publish", "s3", "PutObject", "/points/")];
    [&before[..], &WORKER, &after].concat()
}

/// The same of a restore, before its transfer; `find-point`, too, is struck by the tests of the coordinator.
fn restore() -> Vec<Strike> {
    let before = [PREFLIGHT, strike("read-point", "s3", "GetObject", "/points/")];
    [&before[..], &WORKER].concat()
}

/// The phases of a restore's transfer that are struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Data,
    Indexes,
    Finish,
}

fn groups_of(stage: &Stage, instance: &str) -> Result<Value> {
    Ok(stage.cloud.control("GET", &format!("/instances/{instance}"), None)?["security_group_ids"].clone())
}

fn slow_down(stage: &Stage, strike: &Strike) -> Result<()> {
    stage.slow_down(strike.service, strike.operation, strike.text, strike.millis)
}

/// Cancels a session that is at a step: it is there when it is asked, and still there when the cancel is written down, or on
/// its way out because of it.
fn cancel_now(stage: &Stage, session: &str, step: &str) -> Result<()> {
    let struck = stage.haulier().json(&["session", "cancel", session])?;
    let is_struck = struck["step"] == step || struck["state"] == "tearing-down";
    ensure!(is_struck, "the cancel struck {} in place of {step}", struck["step"]);
    Ok(())
}

/// Cancels a session at a step, while the call that was slowed down is on its way.
fn cancel_at(stage: &Stage, session: &str, step: &str) -> Result<Value> {
    stage.reached(session, step, |session| session["step"] == step)?;
    stage.faults_struck()?;
    cancel_now(stage, session, step)?;
    stage.full_speed()?;
    stage.ended(session)
}

fn points(stage: &Stage) -> Result<usize> {
    Ok(stage.haulier().json(&["point", "list"])?.as_array().map_or(0, Vec::len))
}

#[test]
fn a_cancelled_backup_leaves_nothing_and_changes_no_group() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 60)?;
    stage.apply_policy("snapshot: true")?;
    let groups = groups_of(&stage, SOURCE)?;

    // One session goes undisturbed; then each step is cancelled in a session of its own.
    stage.back_up()?;
    let points_before = points(&stage)?;
    for strike in &backup() {
        let step = strike.step;
        slow_down(&stage, strike)?;
        let session = stage.run_policy()?;
        let ended = cancel_at(&stage, &session, step).with_context(|| stage.story(&session))?;
        // A point that is on its way into the repository cannot be called back any more.
        let wanted = if step == "publish" { "succeeded" } else { "cancelled" };
        assert_eq!(ended["state"], wanted, "cancelled at {step}: {ended:#}\n{}", stage.story(&session));
        stage.assert_nothing_left().with_context(|| format!("after a cancel at {step}"))?;
        assert_eq!(groups_of(&stage, SOURCE)?, groups, "after a cancel at {step}");
    }
    assert_eq!(points(&stage)?, points_before + 1, "a cancelled session makes no point");

    // The turn is waited for while another session holds the instance.
    stage.slow_down("rds", "CreateDBSnapshot", "", 10_000)?;
    let (first, second) = (stage.run_policy()?, stage.run_policy()?);
    stage.reached(&first, "snapshot", |session| session["step"] == "snapshot")?;
    assert_eq!(cancel_at(&stage, &second, "wait-for-turn")?["state"], "cancelled");
    stage.succeeded(&first)?;
    stage.assert_nothing_left()
}

/// What restores must leave as it was.
#[derive(Debug, PartialEq)]
struct Untouched {
    groups: Value,
    databases: Vec<Vec<String>>,
    /// With their memberships: what a restore lends itself shows here.
    roles: Picture,
}

impl Untouched {
    fn of(stage: &Stage) -> Result<Self> {
        let target = administrator(stage);
        Ok(Self {
            groups: groups_of(stage, TARGET)?,
            databases: target.rows("SELECT datname FROM pg_database ORDER BY 1")?,
            roles: oracle::roles(&target)?,
        })
    }
}

fn administrator(stage: &Stage) -> Database {
    Database { author: None, ..stage.target.clone() }
}

#[test]
fn a_cancelled_restore_leaves_no_database_no_lent_role_and_no_group() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    dataset::fill(&shop, 30)?;
    // An index whose making lasts, where the target's master is told so.
    shop.execute(
        "CREATE FUNCTION public.patient(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
           $$ BEGIN IF current_setting('test.hold', true) = 'on' THEN PERFORM pg_sleep(600); END IF; RETURN n; END $$;
         CREATE TABLE patience AS SELECT 1 AS n; CREATE INDEX ON patience (public.patient(n));",
    )?;
    let point = stage.back_up()?;
    // One restore goes undisturbed, and makes the roles; then each step is cancelled in a session of its own.
    stage.restore(&point, "shop", "whole")?;
    stage.assert_equal("shop", "whole")?;
    let before = Untouched::of(&stage)?;
    let start = || stage.start_restore(&point, "shop", "copy", &[]);
    let is_untouched = |session: &str, ended: &Value, what: &str| -> Result<()> {
        assert_eq!(ended["state"], "cancelled", "cancelled at {what}: {ended:#}\n{}", stage.story(session));
        stage.assert_nothing_left().with_context(|| format!("after a cancel at {what}"))?;
        assert_eq!(Untouched::of(&stage)?, before, "after a cancel at {what}");
        Ok(())
    };
    for strike in &restore() {
        slow_down(&stage, strike)?;
        let session = start()?;
        let ended = cancel_at(&stage, &session, strike.step).with_context(|| stage.story(&session))?;
        is_untouched(&session, &ended, strike.step)?;
    }
    for phase in [Phase::Data, Phase::Indexes, Phase::Finish] {
        let session = cancel_within_transfer(&stage, phase, &start)?;
        is_untouched(&session, &stage.ended(&session)?, &format!("{phase:?}"))?;
    }
    stage.restore(&point, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    stage.assert_nothing_left()
}

/// Starts a restore, holds it up in a phase of its transfer, cancels it there, and gives its session.
fn cancel_within_transfer(stage: &Stage, phase: Phase, start: &dyn Fn() -> Result<String>) -> Result<String> {
    let target = administrator(stage);
    let in_phase = |session: &str, phase: &str| {
        let is_there = |session: &Value| session["step"] == "transfer" && session["progress"]["phase"] == phase;
        stage.reached(session, &format!("phase {phase}"), is_there).with_context(|| stage.story(session))
    };
    if phase == Phase::Indexes {
        target.execute("ALTER ROLE master SET test.hold = 'on'")?;
        let session = start()?;
        in_phase(&session, "indexes")?;
        wait::until(LIMIT, "the patient index", || {
            let sleeping =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'CREATE INDEX%'";
            Ok(target.value(sleeping)? == "1")
        })?;
        cancel_now(stage, &session, "transfer")?;
        stage.ended(&session)?;
        target.execute("ALTER ROLE master RESET test.hold")?;
        return Ok(session);
    }
    stage.slow_down("s3", "GetObject", "/packs/", 1000)?;
    let session = start()?;
    in_phase(&session, "data")?;
    if phase == Phase::Data {
        stage.faults_struck()?;
        cancel_now(stage, &session, "transfer")?;
        stage.full_speed()?;
        return Ok(session);
    }
    let holder = hold_comment(&target)?;
    stage.full_speed()?;
    in_phase(&session, "finish")?;
    wait::until(LIMIT, "the restore to wait for the comment", || {
        Ok(target.value(&format!("SELECT count(*) {WAITING} AND mode = 'ShareUpdateExclusiveLock'"))? == "1")
    })?;
    cancel_now(stage, &session, "transfer")?;
    holder.join().map_err(|_| anyhow::anyhow!("the holder of the lock panicked"))??;
    Ok(session)
}

/// Somebody waits for a lock on a database.
const WAITING: &str = "FROM pg_locks WHERE classid = 'pg_database'::regclass AND NOT granted";

/// Locks the comment of the database that is being restored, which is written in phase `finish`, until somebody comes to
/// drop the database.
fn hold_comment(target: &Database) -> Result<JoinHandle<Result<()>>> {
    let working = target.value("SELECT datname FROM pg_database WHERE datname LIKE 'haulier_restoring%'")?;
    let held = target.clone();
    let holder = std::thread::spawn(move || {
        held.execute(&format!(
            "BEGIN; COMMENT ON DATABASE {} IS 'held';
             DO $$ BEGIN
               FOR waited IN 1..6000 LOOP
                 EXIT WHEN EXISTS (SELECT {WAITING} AND mode = 'AccessExclusiveLock');
                 PERFORM pg_sleep(0.05);
                 IF waited = 6000 THEN RAISE 'nobody came to drop the database'; END IF;
               END LOOP;
             END $$;
             COMMIT;",
            quote(&working)
        ))
    });
    wait::until(LIMIT, "the lock on the comment", || {
        let held = "SELECT count(*) FROM pg_locks WHERE classid = 'pg_database'::regclass AND granted AND mode = 'ShareUpdateExclusiveLock'";
        Ok(target.value(held)? != "0")
    })?;
    Ok(holder)
}
