//! Every way to log in to a database that a policy can name.

use anyhow::{Context, Result};
use e2e::dataset;
use e2e::oracle::quote;
use e2e::psql::Database;
use e2e::secrets::{self, Secret, Watch};
use e2e::stage::{MASTER_PASSWORD, POLICY, Stage};
use serde_json::json;

/// Backs up an instance that was made for the test, and gives the state its session ended in.
fn backs_up(stage: &Stage, instance: &str, credentials: &str) -> Result<()> {
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{instance}] }}] }}\ncredentials: {credentials}"))?;
    let started = stage.haulier().json(&["policy", "run", POLICY])?;
    let session = started["session_ids"][0].as_str().with_context(|| format!("nothing was started: {started:#}"))?;
    let session = stage.succeeded(session)?;
    let point = session["point_id"].as_str().context("no point")?;
    let shown = stage.haulier().json(&["point", "show", point])?;
    anyhow::ensure!(shown["databases"].to_string().contains("shop"), "the database is not in the point: {shown:#}");
    Ok(())
}

fn with_shop(stage: &Stage, request: &serde_json::Value) -> Result<Database> {
    let postgres = stage.cloud.create_instance_with(request)?.authored_by("master");
    postgres.execute(&format!("CREATE DATABASE {}", quote("shop")))?;
    dataset::fill(&postgres.sibling("shop"), 6)?;
    Ok(Database { author: None, ..postgres })
}

#[test]
fn a_secret_that_rds_manages_and_an_iam_token_both_open_the_door() -> Result<()> {
    let stage = Stage::set()?;
    let watch = Watch::start();
    with_shop(&stage, &json!({ "id": "managed", "master_user": "master", "manage_master_user_password": true }))?;
    backs_up(&stage, "managed", "rds_managed")?;

    let request = json!({
        "id": "by-token", "master_user": "master", "master_password": MASTER_PASSWORD, "iam_authentication": true,
    });
    let administrator = with_shop(&stage, &request)?;
    administrator.execute("CREATE ROLE haulier LOGIN; GRANT rds_iam, pg_read_all_data TO haulier")?;
    administrator.sibling("shop").execute("GRANT shop_owner, master TO haulier")?;
    backs_up(&stage, "by-token", "{ iam: { user: haulier } }")?;

    // A user that may not use tokens is told so.
    administrator.execute("REVOKE rds_iam FROM haulier")?;
    let refused = backs_up(&stage, "by-token", "{ iam: { user: haulier } }").unwrap_err().to_string();
    assert!(refused.contains("db-auth-failed"), "{refused}");

    // Tokens are shown to the database, and to nobody else.
    let tokens = stage.cloud.control("GET", "/database-tokens", None)?;
    let tokens = tokens.as_array().cloned().unwrap_or_default();
    let signature = |token: &serde_json::Value| {
        let signature = token.as_str()?.split("X-Amz-Signature=").nth(1)?.split('&').next()?;
        Some(Secret::text("the signature of an IAM token", signature))
    };
    let mut planted =
        tokens.iter().map(|token| signature(token).context("a token is signed")).collect::<Result<Vec<_>>>()?;
    anyhow::ensure!(planted.len() >= 2, "no token was shown, so this proves nothing: {tokens:?}");
    planted.extend(secrets::issued(&stage)?);
    secrets::nowhere(&stage, &planted, &watch.seen()?)
}
