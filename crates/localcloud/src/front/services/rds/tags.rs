//! Tags of DB instances, snapshots and option groups, by ARN.

use std::sync::Arc;

use super::render;
use crate::front::context::Context;
use crate::front::decisions::Tags;
use crate::front::decisions::world::World;
use crate::front::wire::{Answer, AwsError, Params};

/// ListTagsForResource.
pub(super) fn list(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let tags = with_tags(context, params, |tags| tags.clone())?;
    Ok(Answer::query("rds", "ListTagsForResource", |xml| render::tag_list(xml, &tags)))
}

/// AddTagsToResource.
pub(super) fn add(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    with_tags(context, params, |tags| tags.extend(params.tags("Tags")))?;
    Ok(Answer::query("rds", "AddTagsToResource", |_| {}))
}

/// RemoveTagsFromResource.
pub(super) fn remove(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let keys = params.list("TagKeys");
    with_tags(context, params, |tags| tags.retain(|key, _| !keys.contains(key)))?;
    Ok(Answer::query("rds", "RemoveTagsFromResource", |_| {}))
}

fn with_tags<T>(context: &Context, params: &Params, act: impl FnOnce(&mut Tags) -> T) -> Result<T, AwsError> {
    let arn = params.required("ResourceName")?;
    context.world(|world| tags_of(world, arn).map(act))
}

fn tags_of<'a>(world: &'a mut World, arn: &str) -> Result<&'a mut Tags, AwsError> {
    let fields: Vec<&str> = arn.splitn(7, ':').collect();
    match fields.as_slice() {
        ["arn", _, "rds", _, _, "db", id] => Ok(&mut world.databases.get_mut(id)?.tags),
        ["arn", _, "rds", _, _, "snapshot", id] => Ok(&mut world.snapshots.get_mut(id)?.tags),
        ["arn", _, "rds", _, _, "og", name] => Ok(&mut world.option_groups.get_mut(name)?.tags),
        _ => Err(AwsError::new("InvalidParameterValue", format!("Invalid resource name: {arn}"))),
    }
}
