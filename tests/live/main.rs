//! The demo's path against a real AWS account: off by default, see README.md.

mod account;
mod stage;

use anyhow::{Context, Result, ensure};
use e2e::haulier::Haulier;
use e2e::oracle::{self, Picture};
use e2e::{dataset, ledger};

use account::Account;
use stage::{Stage, variable};

/// Megabytes of the database.
const MEGABYTES: u32 = 60;

#[test]
#[ignore = "works in a real AWS account and costs money: see tests/live/README.md"]
fn the_main_job_works_on_aws() -> Result<()> {
    let account = Account::guarded(&variable("REGION")?, &variable("ACCOUNT")?)?;
    let stage = Stage::set(account)?;
    let outcome = show(&stage);
    // Whatever came of it: what sessions made is removed, and what is not is told beside the outcome.
    let cleared = stage.clear();
    outcome?;
    cleared
}

fn show(stage: &Stage) -> Result<()> {
    let haulier = stage.coordinator.haulier();
    let before = stage.account.listing(&stage.instances)?;

    let first = back_up(haulier)?;
    dataset::change(&stage.source)?;
    let second = back_up(haulier)?;
    let new = |point: &str| -> Result<u64> {
        haulier.json(&["point", "show", point])?["bytes_new"].as_u64().context("the point has no bytes_new")
    };
    let (all, changed) = (new(&first)?, new(&second)?);
    ensure!(changed < all, "{changed} bytes were new in the second backup, after {all}");

    let wanted = format!("{}={}", stage.source.name, stage.target.name);
    let (target, secret) = (variable("TARGET")?, variable("SECRET_ARN")?);
    haulier.show(&[
        "restore",
        "database",
        "--point",
        &second,
        "--database",
        &wanted,
        "--target-instance",
        &target,
        "--secret-arn",
        &secret,
        "--wait",
    ])?;

    // First the oracle shows that it can tell, then it tells.
    oracle::prove(&stage.source, &dataset::CONTROLS)?;
    let mut differences = oracle::differences(&oracle::picture(&stage.source)?, &oracle::picture(&stage.target)?);
    let roles = |database| -> Result<Picture> {
        // Others on these servers are none of ours.
        let mut roles = oracle::roles(database)?;
        roles.retain(|role, _| dataset::ROLE_NAMES.iter().any(|name| *role == format!("role {name}")));
        ensure!(roles.len() == dataset::ROLE_NAMES.len(), "not all roles are there: {roles:#?}");
        Ok(roles)
    };
    differences.extend(oracle::differences(&roles(&stage.source)?, &roles(&stage.target)?));
    ensure!(differences.is_empty(), "the copy differs:\n{}", differences.join("\n"));

    let after = stage.account.listing(&stage.instances)?;
    let left = ledger::leftovers(&before, &after, &ledger::snapshots_of_points(haulier)?);
    ensure!(left.is_empty(), "left over: {left:#?}\nledger: {:#?}", ledger::of(haulier)?);
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    ensure!(gone.is_empty(), "gone that was there before: {gone:#?}");
    Ok(())
}

/// Runs the policy and gives the point that it made.
fn back_up(haulier: &Haulier) -> Result<String> {
    let started = haulier.json(&["policy", "run", "live"])?;
    let session = started["session_ids"][0].as_str().context("the policy started no session")?.to_owned();
    haulier.show(&["session", "tail", &session])?;
    let ended = haulier.json(&["session", "show", &session])?;
    ended["point_id"].as_str().map(str::to_owned).with_context(|| format!("the session made no point: {ended:#}"))
}
