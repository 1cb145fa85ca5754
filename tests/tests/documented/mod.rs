//! What the documents say, word for word.

#![allow(dead_code, reason = "each test uses its part")]

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::stage::Stage;

/// A policy of the document, with this cloud's names in place of the examples.
pub(crate) fn documented(stage: &Stage, name: &str) -> Result<String> {
    documented_for(stage, name, "backups")
}

/// The same for another bucket.
pub(crate) fn documented_for(stage: &Stage, name: &str, bucket: &str) -> Result<String> {
    let document = std::fs::read_to_string(bin::source().join("docs/permissions.md"))?;
    let start = document.split(&format!("```json {name}\n")).nth(1).context("the document has no such policy")?;
    let policy = start.split("```").next().context("an end of the policy")?;
    let facts = stage.cloud.facts();
    let mut policy = policy.to_owned();
    for (example, real) in [
        ("my-backups", bucket),
        ("111122223333", facts.account.as_str()),
        ("eu-central-1", facts.region.as_str()),
        ("key/my-key", facts.kms_key_arn.rsplit(':').next().unwrap_or_default()),
    ] {
        ensure!(policy.contains(example) || name == "session", "the {name} policy does not speak of {example}");
        policy = policy.replace(example, real);
    }
    Ok(policy)
}

/// Lets coordinator and workers do from now on what the document says that they need, with a repository in that bucket, and
/// nothing else.
pub(crate) fn permit_alone(stage: &mut Stage, bucket: &str) -> Result<()> {
    for role in ["coordinator", "session"] {
        let policy = documented_for(stage, role, bucket)?;
        stage.cloud.put_role_policy(&format!("haulier-{role}"), "work", &policy)?;
    }
    stage.restart_coordinator_as("haulier-coordinator")
}

/// The commands of a document's blocks of shell, in their order, a list of words each; lines that end in a backslash go on.
pub(crate) fn commands(document: &str) -> Result<Vec<Vec<String>>> {
    let document = std::fs::read_to_string(bin::source().join(document))?;
    let mut commands = Vec::new();
    for block in document.split("```sh\n").skip(1) {
        let block = block.split("```").next().context("an end of the block")?.replace("\\\n", " ");
        let lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        commands.extend(lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()));
    }
    ensure!(!commands.is_empty(), "the document has no commands");
    Ok(commands)
}
