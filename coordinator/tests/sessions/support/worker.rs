//! Simulated workers: they boot when the cloud launches them, read their user-data, enrol, attach and do as their script
//! says. They speak to the coordinator's real listener, over real TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use haulier_cloud::doubles::MemoryBucket;
use haulier_domain::id::Epoch;
use haulier_domain::secret::SecretBytes;
use haulier_proto::common::v1 as common;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Up;
use haulier_proto::worker::v1::attach_response::Message as Down;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use haulier_repository::prune::PruneOptions;
use haulier_repository::{Domain, DomainConfig, DomainKey, PointRoot, StreamKind};
use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Identity;

mod enrol;
mod native;

use self::enrol::sha256;
pub(crate) use self::enrol::{channel, enrol, enrolment};
use self::native::{task, task_events};
use super::REGION;
use super::cloud::DoubleAccess;

/// What a worker does, by its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// Carries out what it is assigned.
    Obedient,
    /// Its machine goes down once it has its assignment, as long as its epoch is at most this.
    DiesUpTo(u64),
    /// Works until it is told to cancel, and then stops.
    Endless,
    /// Carries out backups, and works on anything else until it is told to cancel.
    EndlessAfterBackups,
    /// Works until it is told to cancel, and takes no notice.
    Deaf,
    /// Works until it is told to cancel, and takes so long to tidy up.
    Tidies(Duration),
    /// Works until it is told to cancel, and has something that it cannot remove.
    LeavesBehind,
    /// Restores one database and says so. Its machine goes down then, as long as its epoch is at most this.
    RestoresOneUpTo(u64),
    /// Has RDS begin a task and says so. Its machine goes down then, as long as its epoch is at most this.
    SubmitsUpTo(u64),
    /// Reports a failure.
    Fails,
    /// Reports done without having proposed a point.
    Idle,
    /// Boots, and never says a word.
    Mute,
}

/// The workers of one cloud.
pub(crate) struct Fleet {
    _runtime: Runtime,
    log: Arc<Log>,
    script: Arc<Mutex<Script>>,
}

/// What workers have seen.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) enrolled: Mutex<BTreeMap<String, (String, String)>>,
    pub(crate) assignments: AtomicU32,
    pub(crate) backups: Mutex<Vec<wire::BackupPostgres>>,
    pub(crate) prunes: Mutex<Vec<wire::PruneDomain>>,
    pub(crate) restores: Mutex<Vec<wire::RestorePostgres>>,
    pub(crate) copies: Mutex<Vec<wire::CopyPoint>>,
    pub(crate) native_backups: Mutex<Vec<wire::BackupSqlServer>>,
    pub(crate) native_restores: Mutex<Vec<wire::RestoreSqlServer>>,
    pub(crate) temporary: Mutex<Vec<MemoryBucket>>,
    pub(crate) attachments: AtomicU32,
    pub(crate) secrets: Mutex<Vec<String>>,
}

impl Log {
    /// Certificate and key of a worker that has enrolled.
    pub(crate) fn certificate_of(&self, worker: &str) -> (String, String) {
        self.enrolled.lock().unwrap()[worker].clone()
    }
}

#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct UserData {
    pub(crate) coordinator: String,
    pub(crate) worker_id: String,
    pub(crate) session_id: String,
    pub(crate) epoch: u64,
    pub(crate) token: String,
    pub(crate) ca_sha256: String,
}

struct Worker {
    access: Arc<DoubleAccess>,
    authority: PathBuf,
    instance: String,
    user_data: UserData,
    script: Script,
    log: Arc<Log>,
    key: KeyPair,
    assignment: Option<wire::Assignment>,
    domain_key: Vec<u8>,
    target_domain_key: Vec<u8>,
    events: Vec<wire::Event>,
    acknowledged: u64,
    cancelled: bool,
}

impl Fleet {
    pub(crate) fn start(access: Arc<DoubleAccess>, authority: PathBuf, script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let log = Arc::new(Log::default());
        let workers = log.clone();
        let script = Arc::new(Mutex::new(script));
        let current = script.clone();
        runtime.spawn(async move {
            let mut booted = BTreeSet::new();
            let mut changes = access.memory.changes();
            loop {
                changes.borrow_and_update();
                for (instance, spec) in access.memory.compute().launches() {
                    if booted.insert(instance.clone()) {
                        let user_data: UserData = toml::from_str(&spec.user_data).unwrap();
                        let worker = Worker {
                            access: access.clone(),
                            authority: authority.clone(),
                            instance,
                            user_data,
                            script: *current.lock().unwrap(),
                            log: workers.clone(),
                            key: KeyPair::generate().unwrap(),
                            assignment: None,
                            domain_key: Vec::new(),
                            target_domain_key: Vec::new(),
                            events: Vec::new(),
                            acknowledged: 0,
                            cancelled: false,
                        };
                        tokio::spawn(worker.live());
                    }
                }
                changes.changed().await.unwrap();
            }
        });
        Self { _runtime: runtime, log, script }
    }

    /// Workers that boot from now on follow another script.
    pub(crate) fn follow(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub(crate) fn log(&self) -> Arc<Log> {
        self.log.clone()
    }
}

enum Over {
    Cut,
    PoweredOff,
}

impl Worker {
    async fn live(mut self) {
        let certificate = loop {
            if self.is_gone() || self.script == Script::Mute {
                return;
            }
            match enrol(&self.access, &self.authority, &self.user_data, &self.instance, &self.key).await {
                Ok(certificate) => break certificate,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let pinned = CertificateDer::from_pem_file(&self.authority).unwrap();
        assert_eq!(self.user_data.ca_sha256, sha256(&pinned));
        let own = (certificate.clone(), self.key.serialize_pem());
        self.log.enrolled.lock().unwrap().insert(self.user_data.worker_id.clone(), own);
        while !self.is_gone() {
            if let Ok(Over::PoweredOff) = self.attach(&certificate).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.access.memory.compute().power_off(&self.instance, "Client.InstanceInitiatedShutdown");
    }

    /// The machine was terminated from outside.
    fn is_gone(&self) -> bool {
        let line = format!("ec2-instance {} ", self.instance);
        !self.access.memory.listing().iter().any(|listed| listed.starts_with(&line) && !listed.contains("ShuttingDown"))
    }

    async fn attach(&mut self, certificate: &str) -> Result<Over, tonic::Status> {
        let identity = Identity::from_pem(certificate, self.key.serialize_pem());
        let channel = channel(&self.authority, &self.user_data, Some(identity)).await?;
        let (sender, receiver) = mpsc::channel(64);
        let hello = wire::Hello {
            worker_id: self.user_data.worker_id.clone(),
            agent_version: "test".into(),
            has_assignment: self.assignment.is_some(),
            postgresql_majors: vec![15],
        };
        self.say(&sender, Up::Hello(hello)).await;
        let response = WorkerServiceClient::new(channel).attach(ReceiverStream::new(receiver)).await?;
        let mut down = response.into_inner();
        self.log.attachments.fetch_add(1, Ordering::SeqCst);
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        loop {
            let message = tokio::select! {
                message = down.message() => message?,
                _ = beat.tick() => {
                    self.say(&sender, Up::Heartbeat(wire::Heartbeat {})).await;
                    if self.is_gone() {
                        return Ok(Over::PoweredOff);
                    }
                    continue;
                }
            };
            match message.and_then(|message| message.message) {
                Some(Down::Welcome(welcome)) => {
                    self.acknowledged = welcome.acknowledged;
                    self.repeat(&sender).await;
                }
                Some(Down::Credentials(credentials)) => {
                    let mut secrets = self.log.secrets.lock().unwrap();
                    secrets.extend([credentials.secret_access_key, credentials.session_token]);
                    self.domain_key = credentials.domain_key;
                    self.target_domain_key = credentials.target_domain_key;
                }
                Some(Down::Assignment(assignment)) => {
                    self.log.assignments.fetch_add(1, Ordering::SeqCst);
                    self.assignment = Some(assignment);
                    if self.dies() {
                        return Ok(Over::PoweredOff);
                    }
                    self.work().await;
                    self.repeat(&sender).await;
                }
                Some(Down::Cancel(_)) => {
                    if self.script != Script::Deaf && !self.cancelled && self.events.is_empty() {
                        self.cancelled = true;
                        if let Script::Tidies(time) = self.script {
                            tokio::time::sleep(time).await;
                        }
                        let left = (self.script == Script::LeavesBehind).then(left_behind);
                        self.events.push(finished(1, wire::finished::Result::Cancelled(wire::Cancelled { left })));
                        self.repeat(&sender).await;
                    }
                }
                Some(Down::Acknowledge(acknowledge)) => {
                    self.acknowledged = acknowledge.sequence;
                    if self.dies_half_way() && self.acknowledged >= 2 {
                        return Ok(Over::PoweredOff);
                    }
                }
                Some(Down::Shutdown(_)) => return Ok(Over::PoweredOff),
                None => return Ok(Over::Cut),
            }
        }
    }

    fn dies(&self) -> bool {
        matches!(self.script, Script::DiesUpTo(epoch) if self.user_data.epoch <= epoch)
    }

    fn dies_half_way(&self) -> bool {
        matches!(self.script, Script::RestoresOneUpTo(epoch) | Script::SubmitsUpTo(epoch) if self.user_data.epoch <= epoch)
    }

    async fn work(&mut self) {
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
            (Script::Endless | Script::Deaf | Script::Tidies(_) | Script::LeavesBehind, _) => Vec::new(),
            (Script::RestoresOneUpTo(_), Some(wire::assignment::Work::RestorePostgres(restore)))
                if self.dies_half_way() =>
            {
                let part = wire::event::Event::PartRestored(next_part(&restore));
                vec![log, wire::Event { sequence: 2, event: Some(part) }]
            }
            (Script::SubmitsUpTo(_), Some(work)) if self.dies_half_way() => {
                let submitted = wire::event::Event::TaskSubmitted(task(&work));
                vec![log, wire::Event { sequence: 2, event: Some(submitted) }]
            }
            (Script::Idle, _) => vec![log, finished(2, done)],
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
            (Script::EndlessAfterBackups, _) => Vec::new(),
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
        let copied = source.copy_point(&copy.point_id.parse().unwrap(), &target, None, |_| {}).await.unwrap();
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

    async fn repeat(&self, sender: &mpsc::Sender<wire::AttachRequest>) {
        for event in self.events.iter().filter(|event| event.sequence > self.acknowledged) {
            self.say(sender, Up::Event(event.clone())).await;
        }
        if !self.events.is_empty() {
            // A last look at the meter, of a phase in which nothing was read, comes behind the end.
            let late = common::Progress { phase: "store".into(), ..Default::default() };
            self.say(sender, Up::Progress(late)).await;
        }
    }

    async fn say(&self, sender: &mpsc::Sender<wire::AttachRequest>, message: Up) {
        let request = wire::AttachRequest {
            session_id: self.user_data.session_id.clone(),
            epoch: self.user_data.epoch,
            message: Some(message),
        };
        let _ = sender.send(request).await;
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
fn left_behind() -> common::Failure {
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

fn finished(sequence: u64, result: wire::finished::Result) -> wire::Event {
    wire::Event { sequence, event: Some(wire::event::Event::Finished(wire::Finished { result: Some(result) })) }
}
