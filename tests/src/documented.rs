//! Permissions as `docs/permissions.md` says them, word for word, with a cloud's own names in the place of the examples.

use anyhow::{Context, Result, ensure};

use crate::bin;
use crate::cloud::Cloud;
use crate::sqlserver::{self, NativeRole};

/// A policy of the document, for a repository in that bucket.
///
/// # Errors
/// Where the document has no such policy, or one that does not speak of an example.
pub fn policy(cloud: &Cloud, name: &str, bucket: &str) -> Result<String> {
    let facts = cloud.facts();
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

/// The role of native backups of an instance of SQL Server.
///
/// # Errors
/// As [`policy`].
pub fn native_role(cloud: &Cloud, instance: &str) -> Result<NativeRole> {
    let facts = cloud.facts();
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

/// What the role of native backups needs besides where RDS encrypts them with this key.
///
/// # Errors
/// As [`policy`].
pub fn native_key(key_arn: &str) -> Result<String> {
    const EXAMPLE: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    filled_in("native-key", template("native-key")?, &[(EXAMPLE, key_arn)])
}

/// Lets the roles of coordinator and workers do from now on what the document says that they need, with a repository in that
/// bucket, and nothing else.
///
/// # Errors
/// As [`policy`], and where IAM refuses one.
pub fn permit(cloud: &Cloud, bucket: &str) -> Result<()> {
    ["coordinator", "session"]
        .iter()
        .try_for_each(|role| cloud.put_role_policy(&format!("haulier-{role}"), "work", &policy(cloud, role, bucket)?))
}

/// A policy as it stands in the document.
fn template(name: &str) -> Result<String> {
    let document =
        std::fs::read_to_string(bin::source().join("docs/permissions.md")).context("reading the document")?;
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
