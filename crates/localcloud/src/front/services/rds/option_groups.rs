//! CreateOptionGroup, ModifyOptionGroup, DeleteOptionGroup and DescribeOptionGroups.

use std::sync::Arc;

use super::only;
use crate::front::context::Context;
use crate::front::decisions::option_groups::{NATIVE_BACKUP, OptionGroup, ROLE};
use crate::front::surroundings;
use crate::front::wire::{Answer, AwsError, Params, Xml};

/// CreateOptionGroup.
pub(super) fn create(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, &["OptionGroupName", "EngineName", "MajorEngineVersion", "OptionGroupDescription", "Tags"])?;
    let group = context.world(|world| {
        world.option_groups.create(
            params.required("OptionGroupName")?,
            params.required("EngineName")?,
            params.required("MajorEngineVersion")?,
            params.required("OptionGroupDescription")?,
            params.tags("Tags"),
        )
    })?;
    Ok(answer("CreateOptionGroup", context, &group))
}

/// ModifyOptionGroup. The change is on its way to the group's instances for as long as any modification takes.
pub(super) fn modify(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, &["OptionGroupName", "OptionsToInclude", "OptionsToRemove", "ApplyImmediately"])?;
    let name = params.required("OptionGroupName")?;
    context.read(|world| world.option_groups.get(name).map(drop))?;
    let mut change = None;
    for option in params.members("OptionsToInclude") {
        check_option(option.required("OptionName")?)?;
        let mut role = None;
        for setting in option.members("OptionSettings") {
            if setting.required("Name")? != ROLE {
                let text = format!("{NATIVE_BACKUP} has the setting {ROLE} alone");
                return Err(AwsError::new("InvalidParameterValue", text));
            }
            role = setting.get("Value").map(str::to_owned);
        }
        let role = role.ok_or_else(|| {
            AwsError::new("InvalidParameterValue", format!("The option {NATIVE_BACKUP} needs the setting {ROLE}"))
        })?;
        if !surroundings::trusts(context, &role, &context.arn("rds", &format!("og:{name}"))) {
            let text = format!(
                "IAM role ARN value is invalid or does not include the required permissions for: {NATIVE_BACKUP}"
            );
            return Err(AwsError::new("InvalidParameterValue", text));
        }
        change = Some(Some(role));
    }
    for option in params.list("OptionsToRemove") {
        check_option(&option)?;
        change = Some(None);
    }
    let group = context.world(|world| match change {
        Some(role) => world.option_groups.set_backup_role(name, role),
        None => world.option_groups.get(name).cloned(),
    })?;
    if group.applying {
        let (task, name) = (Arc::clone(context), group.name.clone());
        context.tasks.spawn(async move {
            tokio::time::sleep(task.config.delays.database_modifying).await;
            task.world(|world| world.option_groups.settle(&name));
        });
    }
    Ok(answer("ModifyOptionGroup", context, &group))
}

fn check_option(name: &str) -> Result<(), AwsError> {
    if name == NATIVE_BACKUP {
        return Ok(());
    }
    let text = format!("The local cloud has the option {NATIVE_BACKUP} alone, not {name}");
    Err(AwsError::new("InvalidParameterValue", text))
}

/// DeleteOptionGroup.
pub(super) fn delete(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, &["OptionGroupName"])?;
    let name = params.required("OptionGroupName")?;
    context.world(|world| {
        let is = |group: &str| group.eq_ignore_ascii_case(name);
        let by_instance = world
            .databases
            .iter()
            .any(|database| is(&database.option_group) || database.next_option_group.as_deref().is_some_and(is));
        let by_snapshot = world.snapshots.iter().any(|snapshot| is(&snapshot.option_group));
        world.option_groups.delete(name, by_instance || by_snapshot)
    })?;
    Ok(Answer::query("rds", "DeleteOptionGroup", |_| {}))
}

/// DescribeOptionGroups. The default groups are not listed: they have no option.
pub(super) fn describe(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    context.read(|world| {
        let found: Vec<&OptionGroup> = match params.get("OptionGroupName") {
            Some(name) => vec![world.option_groups.get(name)?],
            None => {
                let engine = params.get("EngineName");
                let fits = |group: &&OptionGroup| engine.is_none_or(|engine| engine == group.engine.name());
                world.option_groups.iter().filter(fits).collect()
            }
        };
        Ok(Answer::query("rds", "DescribeOptionGroups", |xml| {
            xml.list("OptionGroupsList", "OptionGroup", found, |xml, group| render(xml, context, group));
        }))
    })
}

fn answer(operation: &str, context: &Context, group: &OptionGroup) -> Answer {
    Answer::query("rds", operation, |xml| {
        xml.node("OptionGroup", |xml| render(xml, context, group));
    })
}

fn render(xml: &mut Xml, context: &Context, group: &OptionGroup) {
    xml.text("OptionGroupName", &group.name)
        .text("OptionGroupDescription", &group.description)
        .text("EngineName", group.engine.name())
        .text("MajorEngineVersion", &group.major)
        .list("Options", "Option", &group.backup_role, |xml, role| {
            xml.text("OptionName", NATIVE_BACKUP)
                .text("OptionDescription", "Native backup and restore in SQL Server")
                .text("Persistent", false)
                .text("Permanent", false)
                .list("OptionSettings", "OptionSetting", [role], |xml, role| {
                    xml.text("Name", ROLE)
                        .text("Value", role)
                        .text("ApplyType", "DYNAMIC")
                        .text("DataType", "STRING")
                        .text("IsModifiable", true);
                });
        })
        .text("AllowsVpcAndNonVpcInstanceMemberships", true)
        .text("OptionGroupArn", context.arn("rds", &format!("og:{}", group.name)));
}
