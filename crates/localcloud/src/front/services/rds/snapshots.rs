//! CreateDBSnapshot and DeleteDBSnapshot.

use std::sync::Arc;
use std::time::Duration;

use super::{only, render};
use crate::front::context::{Context, now};
use crate::front::decisions::snapshots::SnapshotStatus;
use crate::front::wire::{Answer, AwsError, Params};

/// Wait between attempts to remove a copy that does not go.
const RETRY: Duration = Duration::from_secs(1);

/// CreateDBSnapshot.
pub(super) fn create(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, &["DBInstanceIdentifier", "DBSnapshotIdentifier", "Tags"])?;
    let instance_id = params.required("DBInstanceIdentifier")?;
    let id = params.required("DBSnapshotIdentifier")?;
    let snapshot = context.world(|world| {
        let instance = world.databases.get_mut(instance_id)?;
        world.snapshots.begin(id, instance, params.tags("Tags"), now())
    })?;
    let task = Arc::clone(context);
    let (instance_id, id) = (snapshot.instance_id.clone(), snapshot.id.clone());
    context.tasks.spawn(async move {
        let least = tokio::time::sleep(task.config.delays.database_backing_up);
        let succeeded = take(&task, &instance_id, &id).await;
        least.await;
        task.world(|world| {
            world.snapshots.finish(&id, succeeded);
            if let Ok(instance) = world.databases.get_mut(&instance_id) {
                instance.settle();
            }
        });
    });
    Ok(Answer::query("rds", "CreateDBSnapshot", |xml| {
        xml.node("DBSnapshot", |xml| render::snapshot(xml, context, &snapshot));
    }))
}

/// Takes the copy of a snapshot that was begun, and says whether it is good.
pub(super) async fn copy(context: &Context, instance_id: &str, snapshot_id: &str) {
    let succeeded = take(context, instance_id, snapshot_id).await;
    context.world(|world| world.snapshots.finish(snapshot_id, succeeded));
}

async fn take(context: &Context, instance_id: &str, snapshot_id: &str) -> bool {
    let outcome = context.databases.snapshot(instance_id, snapshot_id).await;
    if let Err(error) = &outcome {
        tracing::error!(database = instance_id, snapshot_id, error = format!("{error:#}"), "a DB snapshot fails");
    }
    outcome.is_ok()
}

/// DeleteDBSnapshot. The answer says `deleted`, as AWS's does, though the copy may take a moment to go.
pub(super) fn delete(context: &Arc<Context>, params: &Params) -> Result<Answer, AwsError> {
    only(params, &["DBSnapshotIdentifier"])?;
    let id = params.required("DBSnapshotIdentifier")?;
    let before = context.read(|world| world.snapshots.get(id).map(|snapshot| snapshot.status))?;
    let snapshot = context.world(|world| world.snapshots.begin_deletion(id))?;
    let (task, id) = (Arc::clone(context), snapshot.id.clone());
    context.tasks.spawn(async move {
        let least = tokio::time::sleep(task.config.delays.database_deleting);
        // A failed copy has left nothing that could be deleted.
        while before != SnapshotStatus::Failed
            && let Err(error) = task.databases.delete_snapshot(&id).await
        {
            tracing::error!(snapshot = id, error = format!("{error:#}"), "a DB snapshot does not go");
            if task.stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        least.await;
        task.world(|world| world.snapshots.remove(&id));
    });
    Ok(Answer::query("rds", "DeleteDBSnapshot", |xml| {
        xml.node("DBSnapshot", |xml| render::snapshot_as(xml, context, &snapshot, "deleted"));
    }))
}
