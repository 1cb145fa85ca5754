//! What the documents say, word for word.

#![allow(dead_code, reason = "each test uses its part")]

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::sqlserver::{self, NativeRole};
use e2e::stage::Stage;

/// A policy of the document, with this cloud's names in place of the examples.
pub(crate) fn documented(stage: &Stage, name: &str) -> Result<String> {
    documented_for(stage, name, "backups")
}

/// The same for another bucket.
pub(crate) fn documented_for(stage: &Stage, name: &str, bucket: &str) -> Result<String> {
    let facts = stage.cloud.facts();
    let names = [
        ("my-backups", bucket),
        ("111122223333", facts.account.as_str()),
        ("eu-central-1", facts.region.as_str()),
        ("key/my-key", facts.kms_key_arn.rsplit(':').next().unwrap_or_default()),
    ];
    let policy = template(name)?;
    let spoken_of = |example: &str| policy.contains(example) || name != "session";
    let names: Vec<_> = names.into_iter().filter(|(example, _)| spoken_of(example)).collect();
    filled_in(name, policy.clone(), &names)
}

/// The role of native backups of an instance of SQL Server, as the document says it.
pub(crate) fn native_role(stage: &Stage, instance: &str) -> Result<NativeRole> {
    let facts = stage.cloud.facts();
    let group = sqlserver::option_group_of(instance);
    let names = [
        ("111122223333", facts.account.as_str()),
        ("eu-central-1", facts.region.as_str()),
        ("my-instance", instance),
        ("my-option-group", group.as_str()),
    ];
    let trust = filled_in("native-trust", template("native-trust")?, &names)?;
    Ok(NativeRole { trust, permissions: template("native-role")? })
}

/// A policy as it stands in the document.
fn template(name: &str) -> Result<String> {
    let document = std::fs::read_to_string(bin::source().join("docs/permissions.md"))?;
    let start = document.split(&format!("```json {name}\n")).nth(1).context("the document has no such policy")?;
    start.split("```").next().map(str::to_owned).context("an end of the policy")
}

/// Puts names in the place of the examples, each of which must be there.
fn filled_in(name: &str, mut policy: String, names: &[(&str, &str)]) -> Result<String> {
    for (example, real) in names {
        ensure!(policy.contains(example), "the {name} policy does not speak of {example}");
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
