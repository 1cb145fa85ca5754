//! CreateTags and DeleteTags, for the front's resources and the emulator's alike.

use std::sync::Arc;

use crate::front::context::Context;
use crate::front::decisions::Tags;
use crate::front::decisions::world::World;
use crate::front::wire::{Answer, AwsError, Call, Params};

/// Changes tags of every named resource.
pub(super) async fn change(context: &Arc<Context>, call: &Call, params: &Params) -> Result<Answer, AwsError> {
    let (own, emulated): (Vec<_>, Vec<_>) =
        params.list("ResourceId").into_iter().partition(|id| id.starts_with("i-") || id.starts_with("sg-"));
    context.read(|world| {
        for id in &own {
            if id.starts_with("i-") {
                world.instances.get(id)?;
            } else {
                world.groups.get(id)?;
            }
        }
        Ok::<_, AwsError>(())
    })?;
    if !emulated.is_empty() {
        let mut theirs = Params::default();
        for (name, value) in params.iter().filter(|(name, _)| !name.starts_with("ResourceId.")) {
            theirs.set(name, value);
        }
        for (index, id) in emulated.iter().enumerate() {
            theirs.set(&format!("ResourceId.{}", index + 1), id);
        }
        context.moto_query("ec2", &call.operation, theirs).await?;
    }
    let given: Vec<Params> = params.members("Tag");
    context.world(|world| {
        for id in &own {
            let tags = tags_of(world, id)?;
            for tag in &given {
                let Some(key) = tag.get("Key") else { continue };
                match (call.operation.as_str(), tag.get("Value")) {
                    ("CreateTags", value) => drop(tags.insert(key.to_owned(), value.unwrap_or_default().to_owned())),
                    // With a value, only a tag that has it is deleted.
                    (_, Some(value)) if tags.get(key).is_some_and(|current| current != value) => {}
                    _ => drop(tags.remove(key)),
                }
            }
        }
        Ok::<_, AwsError>(())
    })?;
    Ok(Answer::ec2_done(&call.operation))
}

fn tags_of<'a>(world: &'a mut World, id: &str) -> Result<&'a mut Tags, AwsError> {
    if id.starts_with("i-") {
        Ok(&mut world.instances.get_mut(id)?.tags)
    } else {
        Ok(&mut world.groups.get_mut(id)?.tags)
    }
}
