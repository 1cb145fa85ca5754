//! Engine versions: the newest minor version of each major that the local cloud may have a server for.

use crate::front::wire::{Answer, AwsError, Params};

use anyhow::Context as _;

const VERSIONS: &[(u32, &str)] =
    &[(13, "13.22"), (14, "14.19"), (15, "15.14"), (16, "16.14"), (17, "17.6"), (18, "18.4")];

/// The whole version behind what a request asks for: `15` is the newest 15, `15.4` is itself.
pub(super) fn whole(asked: &str) -> Result<String, AwsError> {
    let major = asked.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let newest = VERSIONS.iter().find(|(known, _)| Some(*known) == major).map(|(_, version)| *version);
    match newest {
        Some(version) if !asked.contains('.') => Ok(version.to_owned()),
        Some(_) => Ok(asked.to_owned()),
        None => Err(AwsError::new("InvalidParameterCombination", format!("Cannot find version {asked} for postgres"))),
    }
}

/// The major version of a whole one.
pub(crate) fn major(version: &str) -> anyhow::Result<u32> {
    let major = version.split('.').next().unwrap_or_default();
    major.parse().with_context(|| format!("{version:?} is no version"))
}

/// DescribeDBEngineVersions.
pub(super) fn describe(params: &Params) -> Answer {
    let engine = params.get("Engine").is_none_or(|engine| engine == "postgres");
    let asked = params.get("EngineVersion");
    let matches =
        |major: u32, version: &str| engine && asked.is_none_or(|asked| asked == version || asked == major.to_string());
    let found = VERSIONS.iter().filter(|(major, version)| matches(*major, version));
    Answer::query("rds", "DescribeDBEngineVersions", |xml| {
        xml.list("DBEngineVersions", "DBEngineVersion", found, |xml, (major, version)| {
            xml.text("Engine", "postgres")
                .text("MajorEngineVersion", major)
                .text("EngineVersion", version)
                .text("DBParameterGroupFamily", format!("postgres{major}"))
                .text("DBEngineDescription", "PostgreSQL")
                .text("DBEngineVersionDescription", format!("PostgreSQL {version}"))
                .text("Status", "available");
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_whole_or_made_whole() {
        for (asked, expected) in [("15", Some("15.14")), ("16.4", Some("16.4")), ("9.6", None), ("x", None)] {
            assert_eq!(whole(asked).ok().as_deref(), expected, "{asked}");
        }
    }
}
