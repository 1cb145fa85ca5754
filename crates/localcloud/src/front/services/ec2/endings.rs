//! How instances end: by TerminateInstances, or by powering themselves off.

use std::sync::Arc;
use std::time::Duration;

use crate::front::context::{Context, now};
use crate::front::decisions::instances::{State, StateChange};
use crate::front::wire::{Answer, AwsError, Params, Xml};

/// Wait between attempts to kill a machine that does not die.
const RETRY: Duration = Duration::from_secs(1);

/// TerminateInstances.
pub(super) fn terminate(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(AwsError::new("MissingParameter", "The request must contain the parameter InstanceId"));
    }
    let changes = context.world(|world| world.instances.terminate(&ids))?;
    for change in changes.iter().filter(|change| !matches!(change.previous, State::ShuttingDown | State::Terminated)) {
        end(context, change.id.clone());
    }
    Ok(Answer::ec2("TerminateInstances", |xml| {
        xml.list("instancesSet", "item", &changes, |xml: &mut Xml, change: &StateChange| {
            xml.text("instanceId", &change.id);
            for (name, state) in [("currentState", change.current), ("previousState", change.previous)] {
                let (code, text) = state.code_and_name();
                xml.node(name, |xml| {
                    xml.text("code", code).text("name", text);
                });
            }
        });
    }))
}

/// Takes an instance from `shutting-down` (or `stopping`) to its end, in the background.
fn end(context: &Arc<Context>, id: String) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        let least = tokio::time::sleep(context.config.delays.instance_shutting_down);
        // A machine that still boots cannot be killed yet.
        let booted = |world: &crate::front::decisions::world::World| {
            world.instances.get(&id).map_or(Some(()), |instance| (!instance.booting).then_some(()))
        };
        context.wait_for(booted).await;
        while let Err(error) = context.computers.terminate(&id).await {
            tracing::error!(instance = id, error = format!("{error:#}"), "an instance does not end");
            if context.stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        least.await;
        context.world(|world| world.instances.ended(&id, now()));
        // Logged where it fails; the machine is gone in any case.
        let _ = context.apply_firewall().await;
    });
}

/// Follows the machines that power themselves off, until the front stops.
pub(crate) fn follow_power_offs(context: &Arc<Context>) {
    let context = Arc::clone(context);
    context.clone().tasks.spawn(async move {
        loop {
            let gone = tokio::select! {
                gone = context.computers.powered_off() => gone,
                () = context.stop.cancelled() => return,
            };
            for id in gone {
                if context.world(|world| world.instances.powered_off(&id)).is_some() {
                    tracing::info!(instance = id, "an instance powered itself off");
                    end(&context, id);
                }
            }
        }
    });
}
