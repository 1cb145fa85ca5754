//! What simulated workers do, and what they report of it.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use haulier_domain::id::Epoch;
use haulier_domain::secret::SecretBytes;
use haulier_proto::common::v1 as common;
use haulier_proto::worker::v1 as wire;
use haulier_repository::prune::PruneOptions;
use haulier_repository::{Domain, DomainConfig, DomainKey, PointRoot, StreamKind};
use jiff::{SignedDuration, Timestamp};

use super::native::{log_target, not_put_back, task, task_events};
use super::{Script, Worker};

impl Worker {
    /// Carries out what it was assigned, as its script says; what it reports is kept for the coordinator to take.
    pub(super) async fn work(&mut self) {
        if let Some(wire::assignment::Work::RestorePostgres(restore)) =
            self.assignment.as_ref().and_then(|assignment| assignment.work.clone())
        {
            self.log.restores.lock().unwrap().push(restore);
        }
        self.have_rds_begin();
        let line = common::LogLine { at: None, severity: common::Severity::Info.into(), text: "at work".into() };
        let log = wire::Event { sequence: 1, event: Some(wire::event::Event::Log(line)) };
        let totals = common::Progress { phase: "done".into(), bytes_read: TOTAL, ..Default::default() };
        let done = wire::Done { warnings: Vec::new(), report: b"{}".to_vec(), totals: Some(totals) };
        let done = wire::finished::Result::Done(done);
        self.events = match (self.script, self.assignment.clone().and_then(|assignment| assignment.work)) {
            (Script::Endless | Script::Deaf | Script::Tidies(_) | Script::LeavesBehind | Script::BeginsLate, _) => {
                Vec::new()
            }
            (Script::RestoresOneUpTo(_), Some(wire::assignment::Work::RestorePostgres(restore)))
                if self.dies_half_way() =>
            {
                let part = wire::event::Event::PartRestored(next_part(&restore));
                vec![log, wire::Event { sequence: 2, event: Some(part) }]
            }
            (Script::SubmitsUpTo(_), Some(work)) if self.dies_half_way() => {
                let told = log_target(&work, self.user_data.epoch);
                let told = told.unwrap_or_else(|| wire::event::Event::TaskSubmitted(task(&work)));
                vec![log, wire::Event { sequence: 2, event: Some(told) }]
            }
            (Script::Idle, _) => vec![log, finished(2, done)],
            (Script::IdleLeaving, Some(work)) => {
                let found = log_target(&work, self.user_data.epoch);
                vec![log, wire::Event { sequence: 2, event: found }, finished(3, not_put_back(self.user_data.epoch))]
            }
            (Script::Fails, _) => {
                let failure =
                    haulier_domain::failure::Failure::new("db-auth-failed", "logging in", "wrong password", "x");
                vec![log, finished(2, wire::finished::Result::Failure(failure.into()))]
            }
            (_, Some(wire::assignment::Work::BackupPostgres(backup))) => {
                let domain = backup.domain.clone().unwrap();
                let root = self.store(&backup.point_id, &domain, "postgres").await;
                self.log.backups.lock().unwrap().push(backup);
                let proposed = wire::event::Event::PointProposed(wire::PointProposed { root });
                vec![log, wire::Event { sequence: 2, event: Some(proposed) }, finished(3, done)]
            }
            (_, Some(work @ wire::assignment::Work::BackupSqlServer(_))) => {
                let wire::assignment::Work::BackupSqlServer(backup) = &work else { unreachable!() };
                let domain = backup.domain.clone().unwrap();
                let root = self.store(&backup.point_id, &domain, "sqlserver-se").await;
                let proposed = wire::event::Event::PointProposed(wire::PointProposed { root });
                let mut events = vec![log];
                events.extend(task_events(&work));
                events.push(wire::Event { sequence: 4, event: Some(proposed) });
                events.push(finished(5, done));
                events
            }
            (_, Some(work @ wire::assignment::Work::RestoreSqlServer(_))) => {
                let mut events = vec![log];
                events.extend(task_events(&work));
                events.push(finished(4, done));
                events
            }
            (_, Some(wire::assignment::Work::VerifyRestore(verify))) => {
                let proof = wire::Done { report: self.proof(&verify), ..proven() };
                vec![log, finished(2, wire::finished::Result::Done(proof))]
            }
            (_, Some(wire::assignment::Work::CopyPoint(copy))) => {
                let root = self.copy(&copy).await;
                self.log.copies.lock().unwrap().push(copy);
                let proposed = wire::event::Event::PointProposed(wire::PointProposed { root });
                vec![log, wire::Event { sequence: 2, event: Some(proposed) }, finished(3, done)]
            }
            (_, Some(wire::assignment::Work::PruneDomain(prune))) => {
                let report = self.prune(&prune).await;
                self.log.prunes.lock().unwrap().push(prune);
                let totals = common::Progress { phase: "done".into(), ..Default::default() };
                let done = wire::Done { warnings: Vec::new(), report, totals: Some(totals) };
                vec![log, finished(2, wire::finished::Result::Done(done))]
            }
            _ => vec![log, finished(2, done)],
        };
    }

    /// The proof of a restore test in which everything was equal.
    fn proof(&self, verify: &wire::VerifyRestore) -> Vec<u8> {
        let root: PointRoot = serde_json::from_slice(&verify.root).unwrap();
        let proof = haulier_domain::proof::Proof {
            version: haulier_domain::proof::VERSION,
            point: root.point,
            session: self.user_data.session_id.parse().unwrap(),
            verified_at: Timestamp::now(),
            server_version: "15.18".into(),
            databases: Vec::new(),
            exceptions: Vec::new(),
        };
        serde_json::to_vec(&proof).unwrap()
    }

    /// Prunes the domain as it was told to. Gives the report.
    async fn prune(&self, prune: &wire::PruneDomain) -> Vec<u8> {
        let cache = tempfile::tempdir().unwrap();
        let domain = self.domain(&self.domain_key, prune.domain.as_ref().unwrap(), cache.path());
        let options = PruneOptions {
            now: Timestamp::now(),
            grace: SignedDuration::from_secs(prune.grace_seconds as i64),
            oldest_session: prune.oldest_session.as_ref().and_then(haulier_proto::from_timestamp),
            dry_run: prune.dry_run,
        };
        serde_json::to_vec(&domain.prune(&options, |_, _, _| {}).await.unwrap()).unwrap()
    }

    /// Copies a point with the keys it was given, as a worker does.
    async fn copy(&self, copy: &wire::CopyPoint) -> Vec<u8> {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = self.domain(&self.domain_key, copy.domain.as_ref().unwrap(), here.path());
        let target = self.domain(&self.target_domain_key, copy.target.as_ref().unwrap(), there.path());
        let foundation = (!copy.stands_on_id.is_empty()).then(|| copy.stands_on_id.parse().unwrap());
        let point = copy.point_id.parse().unwrap();
        let copied = source.copy_point(&point, &target, None, foundation.as_ref(), |_| {}).await.unwrap();
        let root = PointRoot {
            point: copy.copy_id.parse().unwrap(),
            session: self.user_data.session_id.parse().unwrap(),
            epoch: Epoch(self.user_data.epoch),
            labels: BTreeMap::new(),
            ..copied
        };
        serde_json::to_vec(&root).unwrap()
    }

    fn domain(&self, key: &[u8], location: &wire::DomainLocation, cache: &Path) -> Domain {
        let key = DomainKey::from_bytes(SecretBytes::new(key.to_vec())).unwrap();
        let (repository, domain) = (location.repository_id.parse().unwrap(), location.domain_id.parse().unwrap());
        let bucket = self.access.bucket.clone();
        Domain::open(bucket, &location.prefix, repository, domain, &key, DomainConfig::new(cache)).unwrap()
    }

    /// Writes a point's data into the repository with the key it was given, as a worker does.
    async fn store(&self, point: &str, location: &wire::DomainLocation, engine: &str) -> Vec<u8> {
        let cache = tempfile::tempdir().unwrap();
        let domain = self.domain(&self.domain_key, location, cache.path());
        let writer = domain.writer().await.unwrap();
        let mut stream = writer.stream("manifest", StreamKind::Document).unwrap();
        stream.write(Bytes::from_static(b"{\"databases\":[]}")).await.unwrap();
        let manifest = stream.finish().await.unwrap();
        let summary = writer.finish().await.unwrap();
        let root = serde_json::json!({
            "version": PointRoot::VERSION,
            "point": point,
            "session": self.user_data.session_id,
            "epoch": Epoch(self.user_data.epoch),
            "created": Timestamp::now(),
            "engine": engine,
            "manifest": manifest,
            "catalogue": summary.catalogue,
            "totals": summary.totals,
            "summary": haulier_domain::point::PointSummary::default(),
        });
        serde_json::to_vec(&root).unwrap()
    }
}

/// The first database of an assignment that nobody has restored, as its worker reports it.
fn next_part(restore: &wire::RestorePostgres) -> wire::PartRestored {
    let done = |wanted: &&wire::DatabaseRestore| restore.restored.iter().any(|part| part.database == wanted.database);
    let next = restore.databases.iter().find(|wanted| !done(wanted)).unwrap();
    let name = if next.target_name.is_empty() { &next.database } else { &next.target_name };
    wire::PartRestored {
        database: next.database.clone(),
        target_name: name.clone(),
        restored_as: format!("{name}_restored_1"),
        report: b"a report that only workers read".to_vec(),
    }
}

/// What a worker says that could not drop a database.
pub(super) fn left_behind() -> common::Failure {
    let remedy = "drop it by hand";
    haulier_domain::failure::Failure::new("restore-left-behind", "dropping", "a template cannot be dropped", remedy)
        .into()
}

fn proven() -> wire::Done {
    let totals = common::Progress { phase: "done".into(), bytes_read: TOTAL, ..Default::default() };
    wire::Done { totals: Some(totals), ..Default::default() }
}

/// Bytes that a worker says it has read in all.
pub(crate) const TOTAL: u64 = 7_777;

pub(super) fn finished(sequence: u64, result: wire::finished::Result) -> wire::Event {
    wire::Event { sequence, event: Some(wire::event::Event::Finished(wire::Finished { result: Some(result) })) }
}
