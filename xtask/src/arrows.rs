//! The arrows between crates: binaries -> adapters -> ports -> domain, never back.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use e2e::process;
use serde::Deserialize;

use crate::build;

/// What each of our crates may use of ours outside its tests. A crate that is not listed fails the check.
const ARROWS: [(&str, &[&str]); 12] = [
    ("haulier-domain", &[]),
    ("haulier-cloud", &["haulier-domain"]),
    ("haulier-repository", &["haulier-cloud", "haulier-domain"]),
    ("haulier-proto", &["haulier-domain"]),
    ("haulier-coordinator", &["haulier-cloud", "haulier-domain", "haulier-proto", "haulier-repository"]),
    ("haulier-worker-agent", &["haulier-cloud", "haulier-domain", "haulier-proto", "haulier-repository"]),
    ("haulier-cli", &["haulier-cloud", "haulier-domain", "haulier-proto", "haulier-repository"]),
    (
        "haulier-bench",
        &["haulier-cloud", "haulier-domain", "haulier-pages", "haulier-repository", "haulier-worker-agent"],
    ),
    ("haulier-localcloud", &["haulier-pages"]),
    ("haulier-pages", &[]),
    ("e2e", &[]),
    ("xtask", &["e2e"]),
];

/// The one crate that may name an AWS SDK.
const SDK_OWNER: &str = "haulier-cloud";
/// And what our own use of it is measured against: the SDK as it comes.
const SDK_CONTESTANT: &str = "haulier-bench";

/// Features of the cloud crate that a crate must never link: control of machines is the coordinator's alone, and a command
/// line reads repositories and no more.
const NOT_TO_LINK: [(&str, &[&str]); 2] =
    [("haulier-worker-agent", &["ec2", "rds"]), ("haulier-cli", &["ec2", "rds", "sts", "secrets"])];

/// What the domain must not use: it does nothing and decides everything.
const NOT_FOR_DOMAIN: [&str; 6] = ["tokio", "sqlx", "reqwest", "hyper", "tonic", "tracing"];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    features: Vec<String>,
}

/// Reads the workspace's manifests and names every arrow that points the wrong way.
pub(crate) fn run() -> Result<()> {
    let json = process::output(build::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&json).context("reading cargo metadata")?;
    let faults = faults(&metadata);
    if !faults.is_empty() {
        bail!("dependency arrows point the wrong way:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

fn faults(metadata: &Metadata) -> Vec<String> {
    let arrows = BTreeMap::from(ARROWS);
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let Some(allowed) = arrows.get(package.name.as_str()) else {
            faults.push(format!("{} is not in the list of arrows", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
            let name = dependency.name.as_str();
            let ours = arrows.contains_key(name);
            if ours && !allowed.contains(&name) {
                faults.push(format!("{} must not use {name}", package.name));
            }
            if name.starts_with("aws-sdk-") && ![SDK_OWNER, SDK_CONTESTANT].contains(&package.name.as_str()) {
                faults.push(format!("{} must not name {name}: the AWS SDKs belong to {SDK_OWNER}", package.name));
            }
            if package.name == "haulier-domain" && NOT_FOR_DOMAIN.contains(&name) {
                faults.push(format!("{} must not use {name}: it decides and does nothing", package.name));
            }
            let not_to_link = NOT_TO_LINK.iter().filter(|(user, _)| *user == package.name && name == SDK_OWNER);
            let forbidden = not_to_link.flat_map(|(_, features)| *features);
            let linked = forbidden.filter(|feature| dependency.features.iter().any(|linked| linked == *feature));
            faults.extend(linked.map(|feature| format!("{} must not link {feature}", package.name)));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, &[&str])]) -> Metadata {
        let dependency = |(name, features): &(&str, &[&str])| Dependency {
            name: (*name).to_owned(),
            kind: None,
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        };
        Metadata {
            packages: vec![Package { name: name.to_owned(), dependencies: uses.iter().map(dependency).collect() }],
        }
    }

    #[test]
    fn arrows_that_point_back_are_named() {
        for (name, uses, fault) in [
            ("haulier-domain", ("haulier-cloud", &[][..]), "must not use haulier-cloud"),
            ("haulier-coordinator", ("haulier-localcloud", &[]), "must not use haulier-localcloud"),
            ("haulier-coordinator", ("aws-sdk-ec2", &[]), "AWS SDKs belong to"),
            ("haulier-worker-agent", ("haulier-cloud", &["s3", "ec2"]), "haulier-worker-agent must not link ec2"),
            ("haulier-cli", ("haulier-cloud", &["s3", "rds"]), "haulier-cli must not link rds"),
            ("haulier-domain", ("tokio", &[]), "decides and does nothing"),
            ("stranger", ("serde", &[]), "not in the list"),
        ] {
            let found = faults(&package(name, &[uses]));
            assert!(found.len() == 1 && found[0].contains(fault), "{name}: {found:?}");
        }
    }

    #[test]
    fn arrows_that_point_inwards_pass() {
        let metadata = package(
            "haulier-worker-agent",
            &[("haulier-cloud", &["s3", "kms"]), ("haulier-domain", &[]), ("tokio", &[])],
        );
        assert_eq!(faults(&metadata), Vec::<String>::new());
    }
}
