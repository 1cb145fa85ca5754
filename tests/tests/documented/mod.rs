//! What the documents say, word for word.

#![allow(dead_code, reason = "each test uses its part")]

use anyhow::{Context, Result, ensure};
use e2e::sqlserver::NativeRole;
use e2e::stage::Stage;
use e2e::{bin, documented};

/// A policy of the document, with this cloud's names in place of the examples.
pub(crate) fn documented(stage: &Stage, name: &str) -> Result<String> {
    documented_for(stage, name, "backups")
}

/// The same for another bucket.
pub(crate) fn documented_for(stage: &Stage, name: &str, bucket: &str) -> Result<String> {
    documented::policy(&stage.cloud, name, bucket)
}

/// The role of native backups of an instance of SQL Server, as the document says it.
pub(crate) fn native_role(stage: &Stage, instance: &str) -> Result<NativeRole> {
    documented::native_role(&stage.cloud, instance)
}

/// Lets coordinator and workers do from now on what the document says that they need, with a repository in that bucket, and
/// nothing else.
pub(crate) fn permit_alone(stage: &mut Stage, bucket: &str) -> Result<()> {
    documented::permit(&stage.cloud, bucket)?;
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
