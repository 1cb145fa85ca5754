//! The policies of docs/permissions.md are enough, word for word.

mod documented;

use anyhow::{Result, ensure};
use e2e::dataset;
use e2e::stage::Stage;

use documented::{documented, permit_alone};

#[test]
fn the_documented_policies_are_enough_for_a_backup_and_a_restore() -> Result<()> {
    let mut stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 6)?;
    permit_alone(&mut stage, "backups")?;

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
    let without = documented(&stage, "coordinator")?.replace("ec2:RunInstances", "ec2:RunNothing");
    stage.cloud.put_role_policy("haulier-coordinator", "work", &without)?;
    let failed = stage.ended(&stage.run_policy()?)?;
    ensure!(failed["state"] == "failed", "a coordinator that may not launch instances launched one: {failed:#}");
    ensure!(failed["failure"]["cause"].to_string().contains("RunInstances"), "{failed:#}");
    stage.assert_nothing_left()
}
