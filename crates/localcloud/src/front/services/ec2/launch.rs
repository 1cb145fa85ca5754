//! RunInstances.

use std::sync::Arc;

use futures::future::join_all;

use super::{facts, metadata, render};
use crate::front::context::{Context, locked, now};
use crate::front::decisions::ids;
use crate::front::decisions::instances::{Instance, Profile, State, Subnet};
use crate::front::decisions::launch::{Known, LaunchRequest, TokenKey};
use crate::front::decisions::world::World;
use crate::front::wire::{Answer, AwsError, Params};
use crate::machines::InstanceSpec;

/// What to do about a request.
enum Plan {
    Repeat(Answer),
    Wait(TokenKey),
    Launch(Vec<Instance>),
}

/// Launches instances, or answers again what the same request was answered before.
pub(super) async fn run(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let request = LaunchRequest::read(params)?;
    let subnet = match &request.subnet_id {
        Some(id) => facts::subnet(context, id).await?,
        None => facts::default_subnet(context, request.zone.as_deref()).await?,
    };
    facts::check_image(context, &request.image_id).await?;
    let profile = request.profile_name.as_deref().map(|name| profile(context, name)).transpose()?;
    let instances = match context.world(|world| plan(world, &request, &subnet, profile))? {
        Plan::Repeat(answer) => return Ok(answer),
        Plan::Wait(key) => return context.wait_for(|world| answered(world, &key, &request)).await,
        Plan::Launch(instances) => instances,
    };
    // The rules first: no machine is ever up without them.
    if let Err(error) = context.apply_firewall().await {
        context.world(|world| abandon(world, &request, &subnet, &instances));
        return Err(error);
    }
    join_all(instances.iter().map(|instance| boot(context, instance))).await;
    // Logged where it fails; what was launched is answered in any case.
    let _ = context.apply_firewall().await;
    let answer = context.read(|world| render::reservation(world, context, &instances));
    start_later(context, instances);
    if let Some(key) = request.token_key(&subnet.zone) {
        context.world(|world| world.tokens.settle(&key, answer.clone()));
    }
    Ok(answer)
}

/// Nothing was launched: the instances end, and the token is free again.
fn abandon(world: &mut World, request: &LaunchRequest, subnet: &Subnet, instances: &[Instance]) {
    for instance in instances {
        world.instances.boot_failed(&instance.id, now());
    }
    if let Some(key) = request.token_key(&subnet.zone) {
        world.tokens.release(&key);
    }
}

fn answered(world: &World, key: &TokenKey, request: &LaunchRequest) -> Option<Result<Answer, AwsError>> {
    match world.tokens.known(key, &request.fingerprint) {
        Ok(Known::Answered(answer)) => Some(Ok(answer)),
        Ok(Known::InFlight) => None,
        // The launch that it waited for came to nothing.
        Ok(Known::New) => Some(Err(AwsError::new("InternalError", "An internal error has occurred").with_status(500))),
        Err(error) => Some(Err(error)),
    }
}

fn plan(
    world: &mut World,
    request: &LaunchRequest,
    subnet: &Subnet,
    profile: Option<Profile>,
) -> Result<Plan, AwsError> {
    let key = request.token_key(&subnet.zone);
    if let Some(key) = &key {
        match world.tokens.known(key, &request.fingerprint)? {
            Known::New => {}
            Known::InFlight => return Ok(Plan::Wait(key.clone())),
            Known::Answered(answer) => return Ok(Plan::Repeat(answer)),
        }
    }
    let group_ids = world.groups_for(&subnet.vpc_id, request.group_ids.clone())?;
    let reservation_id = ids::new("r");
    let launched_at = now();
    world.instances.forget_old(launched_at);
    let instances: Vec<Instance> = (0..request.count)
        .map(|launch_index| Instance {
            id: ids::new("i"),
            reservation_id: reservation_id.clone(),
            launch_index,
            image_id: request.image_id.clone(),
            instance_type: request.instance_type.clone(),
            subnet: subnet.clone(),
            private_address: None,
            group_ids: group_ids.clone(),
            profile: profile.clone(),
            user_data: request.user_data.clone(),
            terminate_on_shutdown: request.terminate_on_shutdown,
            metadata_tokens: request.metadata_tokens.clone(),
            client_token: request.client_token.clone(),
            launched_at,
            state: State::Pending,
            state_reason: None,
            ended_at: None,
            booting: true,
            tags: request.tags.clone(),
        })
        .collect();
    for instance in &instances {
        world.instances.insert(instance.clone());
    }
    if let Some(key) = key {
        world.tokens.claim(key, request.fingerprint.clone());
    }
    Ok(Plan::Launch(instances))
}

fn profile(context: &Context, name: &str) -> Result<Profile, AwsError> {
    locked(&context.iam).profile(name).ok_or_else(|| {
        let text = format!(
            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        );
        AwsError::new("InvalidParameterValue", text)
    })
}

/// The time of `pending` begins when the answer, which says `pending`, is there.
fn start_later(context: &Arc<Context>, instances: Vec<Instance>) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        tokio::time::sleep(context.config.delays.instance_pending).await;
        context.world(|world| {
            for instance in &instances {
                world.instances.started(&instance.id);
            }
        });
    });
}

async fn boot(context: &Arc<Context>, instance: &Instance) {
    let spec = InstanceSpec {
        id: instance.id.clone(),
        user_data: instance.user_data.clone(),
        metadata: metadata::entries(context, instance),
    };
    match context.computers.boot(&spec).await {
        Ok(address) => {
            context.world(|world| world.instances.booted(&instance.id, address));
            metadata::name_address(context, instance, address).await;
            metadata::keep_credentials_fresh(context, instance);
        }
        Err(error) => {
            tracing::error!(instance = instance.id, error = format!("{error:#}"), "an instance does not boot");
            context.world(|world| world.instances.boot_failed(&instance.id, now()));
        }
    }
}
