//! Native backups and restores of SQL Server: what RDS must be ready for, when it may begin, and what a backup is to hold.

use haulier_cloud::ErrorKind;
use haulier_cloud::databases::{DbInstance, DbSnapshot};
use haulier_domain::failure::Failure;
use haulier_domain::id::PointId;
use haulier_domain::native_backup::Engine;
use haulier_domain::native_backup::choice::{self, Asked, Choice, Earlier, Taken};
use haulier_domain::native_backup::key::{self, Purpose};
use haulier_domain::native_backup::logs;
use haulier_domain::native_backup::option_group::{self, Membership, Readiness, readiness};
use haulier_domain::native_backup::trust::{Trust, trust};
use haulier_domain::native_backup::window::{self, Verdict, Windows};
use haulier_domain::session::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::preflight::{self, Source};
use super::publish::{self, DomainPlace};
use crate::sessions::{BackupRequest, NativeOptions};
use crate::state::{PointFilter, StateError};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _};

/// Checks that RDS may back up and restore natively for the instance, and can use the KMS key that it is to encrypt with, and
/// waits while its option group is being applied. Returns what an operator should know all the same.
pub(in crate::workflows) async fn ready(work: &Work, source: &Source, key: Option<&str>) -> Attempt<Vec<String>> {
    let what = format!("waiting for the option group of {}", source.id);
    let limit = work.services.settings.pace.available;
    let mut remarks =
        work.wait(limit, || late(what, "it did not come into force in time"), in_force(work, source)).await?;
    if let Some(arn) = key {
        remarks.extend(key_usable(work, source, Purpose::Backups, arn).await?);
    }
    Ok(remarks)
}

/// Checks the key. One that may not be looked at is a remark.
async fn key_usable(work: &Work, source: &Source, purpose: Purpose, arn: &str) -> Attempt<Option<String>> {
    let what = || format!("looking up KMS key {arn}");
    let keys = work.services.cloud.account_keys(work.place()).await.during(what)?;
    let found = match keys.key(arn).await {
        Err(error) if error.kind == ErrorKind::Denied && !error.is_indeterminate() => {
            return Ok(Some(format!("KMS key {arn} was not checked: kms:DescribeKey is not allowed")));
        }
        found => found.during(what)?,
    };
    key::usable(&source.id, purpose, arn, found.as_ref())?;
    Ok(None)
}

async fn in_force(work: &Work, source: &Source) -> Attempt<Vec<String>> {
    loop {
        let instance = preflight::described(work, work.request().instance()).await?;
        match readiness(&source.id, &memberships(work, &instance).await?)? {
            Readiness::Ready { group_arn, role_arn, .. } => {
                return Ok(trusted(work, &instance, &group_arn, &role_arn).await?.into_iter().collect());
            }
            Readiness::Soon { group } => {
                work.log(Severity::Info, &format!("waiting until option group {group} is applied")).await;
                let changed = |found: Option<&DbInstance>| (found != Some(&instance)).then_some(());
                work.services.poller.database(work.place(), &source.id, changed).await;
            }
        }
    }
}

async fn memberships(work: &Work, instance: &DbInstance) -> Attempt<Vec<Membership>> {
    let databases = work.services.cloud.databases(work.place()).await.during(|| "reaching RDS".to_owned())?;
    let mut memberships = Vec::new();
    for (group, status) in &instance.option_groups {
        let found = databases.option_group(group).await.during(|| format!("looking up option group {group}"))?;
        let (arn, options) = found.map(|found| (found.arn, found.options)).unwrap_or_default();
        memberships.push(Membership {
            group: group.clone(),
            arn,
            status: status.clone(),
            settings: options.get(option_group::OPTION).cloned(),
        });
    }
    Ok(memberships)
}

/// Checks that the role trusts RDS for the instance and its option group. A role that may not be looked at is a remark.
async fn trusted(work: &Work, instance: &DbInstance, group_arn: &str, role_arn: &str) -> Attempt<Option<String>> {
    let what = || format!("looking up role {role_arn} of the option group");
    let name = role_arn.rsplit('/').next().unwrap_or(role_arn);
    let roles = work.services.cloud.roles(&work.place().account).await.during(what)?;
    let role = match roles.role(name).await {
        Err(error) if error.kind == ErrorKind::Denied && !error.is_indeterminate() => {
            return Ok(Some(format!(
                "whether role {role_arn} trusts RDS for {} was not checked: iam:GetRole is not allowed",
                instance.id
            )));
        }
        found => found.during(what)?,
    };
    let Some(role) = role else {
        let cause = format!("account {} has no role {name}", work.place().account.id);
        let remedy = "name a role that exists in the option's setting IAM_ROLE_ARN";
        return Err(Failure::new("native-backup-role", what(), cause, remedy).into());
    };
    match trust(&role.trust, &work.place().account.id, &[&instance.arn, group_arn]) {
        Trust::Given => Ok(None),
        Trust::Unclear => Ok(Some(format!(
            "whether role {role_arn} trusts RDS for {} was not checked: its trust policy has conditions of other kinds",
            instance.id
        ))),
        Trust::Lacks(lacks) => {
            let cause = format!("role {role_arn} does not trust RDS for {}", lacks.join(" and "));
            let remedy = format!(
                "add to its trust policy, for rds.amazonaws.com, aws:SourceArn {} and {group_arn}: RDS asks for both",
                instance.arn
            );
            Err(Failure::new("native-backup-role", what(), cause, remedy).into())
        }
    }
}

/// Waits until the instance is in none of its windows, available, and no snapshot of it is being taken.
pub(in crate::workflows) async fn quiet(work: &Work, source: &Source) -> Attempt<()> {
    let what = format!("waiting for a time for a native backup of {}", source.id);
    let limit = work.services.settings.pace.session;
    work.wait(limit, || late(what, "its windows or its snapshots left none"), calm(work, source)).await
}

async fn calm(work: &Work, source: &Source) -> Attempt<()> {
    let mut said = String::new();
    loop {
        let instance = preflight::described(work, work.request().instance()).await?;
        let now = Timestamp::now();
        let (reason, pause) = match window::verdict(&source.id, now, windows(&instance))? {
            Verdict::Wait { until, window } => {
                (format!("waiting until {until}, the end of {window}"), until.duration_since(now).unsigned_abs())
            }
            Verdict::Begin => match being_taken(work, source).await?.first() {
                Some(snapshot) => (format!("waiting for snapshot {}", snapshot.id), work.services.settings.pace.poll),
                None if instance.status == "available" => return Ok(()),
                None => {
                    preflight::comes_back(&instance)?;
                    let reason = format!("waiting for {}, which is {:?}", source.id, instance.status);
                    (reason, work.services.settings.pace.poll)
                }
            },
        };
        if reason != said {
            work.log(Severity::Info, &reason).await;
            said = reason;
        }
        tokio::time::sleep(pause).await;
    }
}

/// RDS keeps a backup window even of an instance that it takes no automated backups of.
fn windows(instance: &DbInstance) -> Windows<'_> {
    Windows {
        backup: instance.backup_window.as_deref().filter(|_| instance.backup_retention_days > 0),
        maintenance: instance.maintenance_window.as_deref(),
    }
}

async fn being_taken(work: &Work, source: &Source) -> Attempt<Vec<DbSnapshot>> {
    let mut snapshots = snapshots(work, source).await?;
    snapshots.retain(|snapshot| snapshot.status == "creating");
    Ok(snapshots)
}

async fn snapshots(work: &Work, source: &Source) -> Attempt<Vec<DbSnapshot>> {
    let what = || format!("listing the snapshots of {}", source.id);
    let databases = work.services.cloud.databases(work.place()).await.during(what)?;
    databases.snapshots_of(&source.id).await.during(what)
}

/// What a backup is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflows) struct Chosen {
    /// Full, differential, or the log.
    pub(in crate::workflows) choice: Choice,
    /// The published point that it is likely to resemble.
    pub(super) base_point: Option<PointId>,
}

impl Chosen {
    /// The point that the new one stands on.
    pub(in crate::workflows) fn full_point(&self) -> Option<&PointId> {
        self.choice.full_point()
    }

    /// Whether it is of log backups.
    pub(in crate::workflows) fn takes_logs(&self) -> bool {
        matches!(self.choice, Choice::Log { .. })
    }
}

/// How log backups of an instance are to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflows) struct LogBackups {
    /// ARN of the instance.
    pub(in crate::workflows) instance_arn: String,
    /// ARN of the KMS key that RDS is to copy them with; `None` where it takes none.
    pub(in crate::workflows) kms_key_arn: Option<String>,
    /// What an operator should know all the same.
    pub(in crate::workflows) remarks: Vec<String>,
}

/// Checks that RDS gives log backups of the instance at all, and can use the KMS key that it is to copy them with.
pub(in crate::workflows) async fn log_backups(
    work: &Work,
    source: &Source,
    options: &NativeOptions,
) -> Attempt<LogBackups> {
    let instance = preflight::described(work, work.request().instance()).await?;
    let key = logs::allowed(logs::Facts {
        instance: &source.id,
        retention_days: instance.backup_retention_days,
        encrypted: instance.encrypted,
        replica_of: instance.replica_of.as_deref(),
        kms_key: options.kms_key_arn.as_deref(),
        log_kms_key: options.log_kms_key_arn.as_deref(),
    })?;
    // That of all native backups has been looked at with the option group.
    let remark = match key.filter(|arn| options.kms_key_arn.as_deref() != Some(*arn)) {
        Some(arn) => key_usable(work, source, Purpose::Logs, arn).await?,
        None => None,
    };
    let kms_key_arn = key.map(str::to_owned);
    Ok(LogBackups { kms_key_arn, remarks: remark.into_iter().collect(), instance_arn: instance.arn })
}

/// Chooses between full and what has come since the last full one.
pub(in crate::workflows) async fn choose(
    work: &Work,
    request: &BackupRequest,
    source: &Source,
    domain: &DomainPlace,
) -> Attempt<Chosen> {
    let filter = PointFilter { resource: Some(source.id.clone()), repository: Some(domain.repository.clone()) };
    let points = work.services.state.points(&filter).await?;
    let is_native = |engine: &str| Engine::of_point(engine) == Some(Engine::SqlServer);
    let earlier: Vec<Earlier> = points
        .into_iter()
        .filter(|point| point.domain == domain.domain && point.copy_of.is_none() && is_native(&point.engine))
        .map(|point| Earlier {
            at: point.consistent_at.unwrap_or(point.published_at),
            id: point.id,
            full_point: point.full_point,
        })
        .collect();
    let snapshots = snapshots(work, source).await?.into_iter().filter(|snapshot| snapshot.status != "failed");
    let taken: Vec<Taken> = snapshots.map(|snapshot| Taken { at: snapshot.created_at, id: snapshot.id }).collect();
    let asked = Asked { full_every_days: request.native.full_every_days, log_backups: request.native.log_backups };
    let choice = choice::next(&earlier, &taken, asked, Timestamp::now());
    let text = match &choice {
        Choice::Full { because } => format!("full backup: {because}"),
        Choice::Differential { on } => format!("differential backup on restore point {on}"),
        Choice::Log { on } => format!("log backups since restore point {on}"),
    };
    work.log(Severity::Info, &text).await;
    let base_point = choice::base(&choice, &earlier).cloned();
    Ok(Chosen { choice, base_point })
}

/// The root of the full point that a point stands on, JSON; `None` where it stands alone.
pub(in crate::workflows) async fn full_root(
    work: &Work,
    domain: &DomainPlace,
    point: &PointId,
) -> Attempt<Option<String>> {
    let state = &work.services.state;
    let Some(full) = state.point(point).await?.full_point else { return Ok(None) };
    match state.point(&full).await {
        Ok(known) if known.domain == domain.domain => {}
        Ok(_) | Err(StateError::Missing { .. }) => return Err(without_full(point, &full).into()),
        Err(error) => return Err(error.into()),
    }
    publish::read_root(work, domain, &full).await.map(Some)
}

fn without_full(point: &PointId, full: &PointId) -> Failure {
    Failure::new(
        "point-full-missing",
        format!("reading restore point {point}"),
        format!("it stands on {full}, which is not in its domain of the repository"),
        "restore from another point: see `haulier point list`",
    )
}

fn late(what: String, cause: &str) -> Failure {
    Failure::new("native-backup-not-now", what, cause, "see the instance's events, then run the session again")
        .retryable()
}
