//! The policies of docs/permissions.md are enough, word for word.

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::dataset;
use e2e::stage::Stage;

/// A policy of the document, with this cloud's names in place of the examples.
fn documented(stage: &Stage, name: &str) -> Result<String> {
    let document = std::fs::read_to_string(bin::source().join("docs/permissions.md"))?;
    let start = document.split(&format!("```json {name}\n")).nth(1).context("the document has no such policy")?;
    let policy = start.split("```").next().context("an end of the policy")?;
    let facts = stage.cloud.facts();
    let mut policy = policy.to_owned();
    for (example, real) in [
        ("my-backups", "backups"),
        ("111122223333", facts.account.as_str()),
        ("eu-central-1", facts.region.as_str()),
        ("key/my-key", facts.kms_key_arn.rsplit(':').next().unwrap_or_default()),
    ] {
        ensure!(policy.contains(example) || name == "session", "the {name} policy does not speak of {example}");
        policy = policy.replace(example, real);
    }
    Ok(policy)
}

#[test]
fn the_documented_policies_are_enough_for_a_backup_and_a_restore() -> Result<()> {
    let mut stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 6)?;
    let (coordinator, session) = (documented(&stage, "coordinator")?, documented(&stage, "session")?);
    stage.cloud.put_role_policy("haulier-coordinator", "work", &coordinator)?;
    stage.cloud.put_role_policy("haulier-session", "work", &session)?;
    stage.restart_coordinator_as("haulier-coordinator")?;

    let region = stage.cloud.facts().region.clone();
    let key = stage.cloud.facts().kms_key_arn.clone();
    stage.haulier().json(&[
        "repository",
        "create",
        "by-kms",
        "--bucket",
        "backups",
        "--region",
        &region,
        "--prefix",
        "kms",
        "--kms-key-arn",
        &key,
    ])?;
    stage.apply_policy("repository: by-kms\nsnapshot: true")?;
    let point = stage.back_up()?;
    stage.haulier().json(&["point", "check", &point, "--full", "--wait"])?;
    stage.restore(&point, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    stage.apply_policy("")?;
    stage.back_up()?;
    stage.assert_nothing_left()?;

    // Without one of the statements it does not work: the policies are felt.
    let without = coordinator.replace("ec2:RunInstances", "ec2:RunNothing");
    stage.cloud.put_role_policy("haulier-coordinator", "work", &without)?;
    let failed = stage.ended(&stage.run_policy()?)?;
    ensure!(failed["state"] == "failed", "a coordinator that may not launch instances launched one: {failed:#}");
    ensure!(failed["failure"]["cause"].to_string().contains("RunInstances"), "{failed:#}");
    stage.assert_nothing_left()
}
