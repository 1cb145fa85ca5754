//! Engine versions: the newest minor version of each major that the local cloud may have a server for.

use crate::front::decisions::option_groups::major_of;
use crate::front::wire::{Answer, AwsError, Params};
use crate::machines::Engine;
use crate::sqlserver::Edition;

use anyhow::Context as _;

const POSTGRESQL: &[(&str, &str)] =
    &[("13", "13.22"), ("14", "14.19"), ("15", "15.14"), ("16", "16.14"), ("17", "17.6"), ("18", "18.4")];
/// What the stand-in says it is.
const SQLSERVER: &[(&str, &str)] = &[("16.00", "16.00.4195.2.v1")];

fn of(engine: Engine) -> &'static [(&'static str, &'static str)] {
    match engine {
        Engine::Postgres => POSTGRESQL,
        Engine::SqlServer(_) => SQLSERVER,
    }
}

/// The version of instances that name none.
pub(crate) fn default(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "15",
        Engine::SqlServer(_) => "16.00",
    }
}

/// The whole version behind what a request asks for: `15` is the newest 15, `15.4` is itself.
pub(super) fn whole(engine: Engine, asked: &str) -> Result<String, AwsError> {
    let major = major_of(engine, asked);
    match of(engine).iter().find(|(known, _)| *known == major) {
        Some((_, newest)) if asked == major => Ok((*newest).to_owned()),
        Some(_) => Ok(asked.to_owned()),
        None => {
            let text = format!("Cannot find version {asked} for {}", engine.name());
            Err(AwsError::new("InvalidParameterCombination", text))
        }
    }
}

/// The first number of a version.
pub(crate) fn major(version: &str) -> anyhow::Result<u32> {
    let major = version.split('.').next().unwrap_or_default();
    major.parse().with_context(|| format!("{version:?} is no version"))
}

/// Family of parameter groups: `postgres15`, `sqlserver-se-16.0`.
pub(super) fn family(engine: Engine, version: &str) -> String {
    match engine {
        Engine::Postgres => format!("postgres{}", major_of(engine, version)),
        Engine::SqlServer(_) => format!("{}-{}", engine.name(), major_of(engine, version).replace(".00", ".0")),
    }
}

/// DescribeDBEngineVersions.
pub(super) fn describe(params: &Params) -> Answer {
    let asked = params.get("EngineVersion");
    let engines = [Engine::Postgres].into_iter().chain(Edition::ALL.map(Engine::SqlServer));
    let found = engines
        .filter(|engine| params.get("Engine").is_none_or(|name| name == engine.name()))
        .flat_map(|engine| of(engine).iter().map(move |(major, version)| (engine, *major, *version)))
        .filter(|(_, major, version)| asked.is_none_or(|asked| asked == *version || asked == *major));
    Answer::query("rds", "DescribeDBEngineVersions", |xml| {
        xml.list("DBEngineVersions", "DBEngineVersion", found, |xml, (engine, major, version)| {
            let description = match engine {
                Engine::Postgres => "PostgreSQL".to_owned(),
                Engine::SqlServer(edition) => format!("Microsoft SQL Server {edition} Edition"),
            };
            xml.text("Engine", engine.name())
                .text("MajorEngineVersion", major)
                .text("EngineVersion", version)
                .text("DBParameterGroupFamily", family(engine, version))
                .text("DBEngineDescription", &description)
                .text("DBEngineVersionDescription", format!("{description} {version}"))
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
            assert_eq!(whole(Engine::Postgres, asked).ok().as_deref(), expected, "{asked}");
        }
        let standard = Engine::SqlServer(Edition::Standard);
        for (asked, expected) in
            [("16.00", Some("16.00.4195.2.v1")), ("16.00.1.v1", Some("16.00.1.v1")), ("11.00", None)]
        {
            assert_eq!(whole(standard, asked).ok().as_deref(), expected, "{asked}");
        }
        assert_eq!(family(standard, "16.00.4195.2.v1"), "sqlserver-se-16.0");
    }
}
