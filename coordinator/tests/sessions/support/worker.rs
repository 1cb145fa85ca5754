//! Simulated workers: they boot when the cloud launches them, read their user-data, enrol, attach and do as their script
//! says. They speak to the coordinator's real listener, over real TLS.

mod enrolment;
mod native;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haulier_cloud::doubles::MemoryBucket;
use haulier_proto::common::v1 as common;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Up;
use haulier_proto::worker::v1::attach_response::Message as Down;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Identity;

use self::enrolment::sha256;
pub(crate) use self::enrolment::{channel, enrol, enrolment};
pub(crate) use self::work::TOTAL;
use self::work::{finished, left_behind};
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
    /// Works until it is told to cancel, and takes no notice.
    Deaf,
    /// Works until it is told to cancel, and takes so long to tidy up.
    Tidies(Duration),
    /// Works until it is told to cancel, and has something that it cannot remove.
    LeavesBehind,
    /// Is told to cancel before it has begun.
    BeginsLate,
    /// Restores one database and says so. Its machine goes down then, as long as its epoch is at most this.
    RestoresOneUpTo(u64),
    /// Has RDS begin a task and says so. Its machine goes down then, as long as its epoch is at most this.
    SubmitsUpTo(u64),
    /// Reports a failure.
    Fails,
    /// Reports done without having proposed a point.
    Idle,
    /// The same of a session of log backups, with a warning that it could not put back the place that it has found.
    IdleLeaving,
    /// Boots, and never says a word.
    Mute,
    /// Boots once workers that come after it follow another script, and follows that.
    Late,
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
    current: Arc<Mutex<Script>>,
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
                            current: current.clone(),
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
        while self.script == Script::Late && !self.is_gone() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.script = *self.current.lock().unwrap();
        }
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
                        let not_begun = self.script == Script::BeginsLate || self.assignment.is_none();
                        self.events
                            .push(finished(1, wire::finished::Result::Cancelled(wire::Cancelled { left, not_begun })));
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
