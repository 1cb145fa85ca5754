//! Option groups: what an instance can do besides its engine. After the pages of Create-, Modify-, Delete- and
//! DescribeOptionGroups, and "Support for native backup and restore in SQL Server".
//!
//! One option is known, SQLSERVER_BACKUP_RESTORE, with the one setting that it must have. A change takes a moment on the
//! instances of the group, whose memberships say `applying` until it is in force.

use std::collections::BTreeMap;

use super::Tags;
use crate::front::wire::AwsError;
use crate::machines::Engine;

/// The option for native backup and restore.
pub(crate) const NATIVE_BACKUP: &str = "SQLSERVER_BACKUP_RESTORE";
/// Its setting.
pub(crate) const ROLE: &str = "IAM_ROLE_ARN";

/// An option group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) engine: Engine,
    /// `16.00`.
    pub(crate) major: String,
    /// Role of native backup, if the group has the option.
    pub(crate) backup_role: Option<String>,
    /// A change is on its way to the group's instances.
    pub(crate) applying: bool,
    pub(crate) tags: Tags,
}

/// Every option group that somebody made. The default ones, which have no option, are there without being kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct OptionGroups(BTreeMap<String, OptionGroup>);

/// The major version in names of groups and families: `15`, `16.00`.
pub(crate) fn major_of(engine: Engine, version: &str) -> String {
    let parts = if engine == Engine::Postgres { 1 } else { 2 };
    version.split('.').take(parts).collect::<Vec<_>>().join(".")
}

/// The group of instances that name none: `default:sqlserver-se-16-00`.
pub(crate) fn default_name(engine: Engine, version: &str) -> String {
    format!("default:{}-{}", engine.name(), major_of(engine, version).replace('.', "-"))
}

impl OptionGroups {
    /// Creates an empty group.
    pub(crate) fn create(
        &mut self,
        name: &str,
        engine: &str,
        major: &str,
        description: &str,
        tags: Tags,
    ) -> Result<OptionGroup, AwsError> {
        let name = name.to_ascii_lowercase();
        super::snapshots::check_identifier(&name)?;
        if self.0.contains_key(&name) {
            let text = format!("An option group named {name} already exists.");
            return Err(AwsError::new("OptionGroupAlreadyExistsFault", text));
        }
        let known = Engine::named(engine)
            .ok_or_else(|| AwsError::new("InvalidParameterValue", format!("Invalid DB engine: {engine}")))?;
        let description = description.to_owned();
        let major = major.to_owned();
        let group = OptionGroup {
            name: name.clone(),
            description,
            engine: known,
            major,
            backup_role: None,
            applying: false,
            tags,
        };
        self.0.insert(name, group.clone());
        Ok(group)
    }

    /// Gives a group the option, changes its role, or takes it away.
    pub(crate) fn set_backup_role(&mut self, name: &str, role: Option<String>) -> Result<OptionGroup, AwsError> {
        let group = self.get_mut(name)?;
        if !matches!(group.engine, Engine::SqlServer(_)) {
            let text = format!("{NATIVE_BACKUP} is no option of {}", group.engine.name());
            return Err(AwsError::new("InvalidParameterCombination", text));
        }
        group.backup_role = role;
        group.applying = true;
        Ok(group.clone())
    }

    /// The change is in force.
    pub(crate) fn settle(&mut self, name: &str) {
        if let Ok(group) = self.get_mut(name) {
            group.applying = false;
        }
    }

    /// A group by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&OptionGroup, AwsError> {
        self.0.get(&name.to_ascii_lowercase()).ok_or_else(|| not_found(name))
    }

    /// A group by its name, to change it.
    pub(crate) fn get_mut(&mut self, name: &str) -> Result<&mut OptionGroup, AwsError> {
        self.0.get_mut(&name.to_ascii_lowercase()).ok_or_else(|| not_found(name))
    }

    /// Every group, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OptionGroup> {
        self.0.values()
    }

    /// Deletes a group; `used` says whether an instance or a snapshot has it.
    pub(crate) fn delete(&mut self, name: &str, used: bool) -> Result<(), AwsError> {
        let group = self.get(name)?;
        if used {
            let text = format!("The option group '{}' cannot be deleted because it is in use.", group.name);
            return Err(AwsError::new("InvalidOptionGroupStateFault", text));
        }
        self.0.remove(&name.to_ascii_lowercase());
        Ok(())
    }

    /// The group for an instance: the one that is asked for, which must fit, or the default one.
    pub(crate) fn group_for(&self, asked: Option<&str>, engine: Engine, version: &str) -> Result<String, AwsError> {
        let default = default_name(engine, version);
        let Some(asked) = asked.filter(|asked| !asked.eq_ignore_ascii_case(&default)) else { return Ok(default) };
        let group = self.get(asked)?;
        if group.engine == engine && group.major == major_of(engine, version) {
            return Ok(group.name.clone());
        }
        let text = format!(
            "The option group '{}' of {} {} cannot be used with {} {version}.",
            group.name,
            group.engine.name(),
            group.major,
            engine.name()
        );
        Err(AwsError::new("InvalidParameterCombination", text))
    }

    /// The role of native backup for instances of a group, if it is in force.
    pub(crate) fn backup_role(&self, group: &str) -> Option<&str> {
        let group = self.0.get(group).filter(|group| !group.applying)?;
        group.backup_role.as_deref()
    }

    /// `OptionGroupMemberships` of an instance: the groups and their status.
    pub(crate) fn memberships<'a>(&self, current: &'a str, next: Option<&'a str>) -> Vec<(&'a str, &'static str)> {
        let applying = self.0.get(current).is_some_and(|group| group.applying);
        match next.filter(|next| *next != current) {
            Some(next) => vec![(next, "pending-apply"), (current, "pending-removal")],
            None => vec![(current, if applying { "applying" } else { "in-sync" })],
        }
    }
}

fn not_found(name: &str) -> AwsError {
    AwsError::new("OptionGroupNotFoundFault", format!("Specified OptionGroupName: {name} not found.")).with_status(404)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlserver::Edition;

    const STANDARD: Engine = Engine::SqlServer(Edition::Standard);

    fn groups() -> OptionGroups {
        let mut groups = OptionGroups::default();
        groups.create("Native", "sqlserver-se", "16.00", "d", Tags::new()).unwrap();
        groups
    }

    #[test]
    fn an_option_is_in_force_when_it_has_settled() {
        let mut groups = groups();
        assert_eq!(groups.backup_role("native"), None);
        groups.set_backup_role("native", Some("arn:role".into())).unwrap();
        assert_eq!(groups.backup_role("native"), None);
        assert_eq!(groups.memberships("native", None), [("native", "applying")]);
        groups.settle("native");
        assert_eq!(groups.backup_role("native"), Some("arn:role"));
        assert_eq!(groups.memberships("native", None), [("native", "in-sync")]);
        let moving = groups.memberships("default:x", Some("native"));
        assert_eq!(moving, [("native", "pending-apply"), ("default:x", "pending-removal")]);
    }

    #[test]
    fn a_group_fits_its_engine_and_version() {
        let groups = groups();
        for (asked, engine, version, expected) in [
            (Some("NATIVE"), STANDARD, "16.00.4195.2.v1", Ok("native")),
            (None, STANDARD, "16.00.4195.2.v1", Ok("default:sqlserver-se-16-00")),
            (Some("default:postgres-15"), Engine::Postgres, "15.14", Ok("default:postgres-15")),
            (Some("native"), Engine::SqlServer(Edition::Web), "16.00.1", Err("InvalidParameterCombination")),
            (Some("native"), STANDARD, "15.00.1", Err("InvalidParameterCombination")),
            (Some("none"), STANDARD, "16.00.1", Err("OptionGroupNotFoundFault")),
        ] {
            let found = groups.group_for(asked, engine, version);
            match expected {
                Ok(name) => assert_eq!(found.unwrap(), name),
                Err(code) => assert_eq!(found.unwrap_err().code, code, "{asked:?}"),
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let mut groups = groups();
        let again = groups.create("native", "sqlserver-se", "16.00", "", Tags::new());
        assert_eq!(again.unwrap_err().code, "OptionGroupAlreadyExistsFault");
        assert_eq!(groups.create("x", "oracle", "1", "", Tags::new()).unwrap_err().code, "InvalidParameterValue");
        groups.create("pg", "postgres", "15", "", Tags::new()).unwrap();
        assert_eq!(groups.set_backup_role("pg", None).unwrap_err().code, "InvalidParameterCombination");
        assert_eq!(groups.delete("native", true).unwrap_err().code, "InvalidOptionGroupStateFault");
        groups.delete("native", false).unwrap();
        assert_eq!(groups.get("native").unwrap_err().code, "OptionGroupNotFoundFault");
    }
}
