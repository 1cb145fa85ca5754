//! The instance that a restore goes to: what AWS says of it now may forbid the restore before anything is started.
//!
//! Where AWS does not answer, nothing is forbidden: the session asks again, with patience.

use haulier_cloud::databases::DbInstance;
use haulier_domain::failure::Failure;
use haulier_domain::native_backup::Engine;
use haulier_domain::postgres::clients;
use haulier_domain::sqlserver::options::RestoreOptions;

use crate::policies::Policies;
use crate::sessions::InstanceRef;
use crate::state::Point;

/// Refuses an instance that is not there, one of an older major version than the point's, and one without a volume that is asked
/// for.
pub(super) async fn check(
    policies: &Policies,
    target: &InstanceRef,
    (point, native): (&Point, RestoreOptions),
    what: &str,
) -> Result<(), Failure> {
    let described =
        async { policies.sessions().services().cloud.databases(&target.place).await?.instance(&target.id).await };
    match described.await {
        Ok(Some(instance)) => {
            is_new_enough(&instance, point, what)?;
            has_volumes(&instance, native, what)
        }
        Ok(None) => Err(Failure::new(
            "db-not-found",
            what,
            format!("account {} has no DB instance {} in {}", target.place.account.id, target.id, target.place.region),
            "name an instance of the point's account and Region: see `haulier resource list`",
        )),
        Err(error) => {
            tracing::debug!(instance = target.id, %error, "the target of a restore could not be looked up");
            Ok(())
        }
    }
}

fn is_new_enough(instance: &DbInstance, point: &Point, what: &str) -> Result<(), Failure> {
    let (of_point, of_target) = (Engine::of_point(&point.engine), Engine::of(&instance.engine));
    if let (Some(source), Some(target)) = (of_point, of_target)
        && source != target
    {
        return Err(Failure::new(
            "restore-into-other-engine",
            what,
            format!("the point is of {}, and {} runs {}", source.title(), instance.id, target.title()),
            "name an instance of the point's own engine",
        ));
    }
    let Some(source) = point.engine.strip_prefix("postgres ").and_then(major) else { return Ok(()) };
    let Some(target) = major(&instance.engine_version).filter(|_| instance.engine == "postgres") else { return Ok(()) };
    if clients::may_restore(source, target) {
        return Ok(());
    }
    Err(Failure::new(
        "restore-into-older-major",
        what,
        format!(
            "the point is of PostgreSQL {source}, {} runs {target}, and a dump is meant for its own version or a newer one",
            instance.id
        ),
        format!("restore into an instance of PostgreSQL {source} or newer"),
    ))
}

fn has_volumes(instance: &DbInstance, native: RestoreOptions, what: &str) -> Result<(), Failure> {
    let Some(volume) = native.missing_volume(&instance.additional_volumes) else { return Ok(()) };
    let cause = format!("{} has no volume {volume}", instance.id);
    let remedy = format!(
        "add the storage volume {} to the instance, or leave the option out: files go to D: then",
        volume.name().unwrap_or_default()
    );
    Err(Failure::new("restore-volume-missing", what, cause, remedy))
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
