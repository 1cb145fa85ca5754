//! A coordinator over doubles of several accounts, and a client of its control service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haulier_cloud::buckets::Buckets;
use haulier_cloud::compute::Compute;
use haulier_cloud::databases::Databases;
use haulier_cloud::doubles::{
    Fault, Faults, Faulty, MemoryCloud, MemoryDatabases, MemoryIdentity, MemoryKeys, MemoryObjectStore, MemoryRoles,
    MemorySecrets, Rule,
};
use haulier_cloud::identity::Identity;
use haulier_cloud::keys::Keys;
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::roles::Roles;
use haulier_cloud::secrets::Secrets;
use haulier_cloud::{CloudError, ErrorKind, Outcome, Result};
use haulier_coordinator::accounts::CloudAccess;
use haulier_coordinator::control::{Control, ControlListener, OperatorToken, serve};
use haulier_coordinator::policies::Policies;
use haulier_coordinator::sessions::{Account, Place, Sessions};
use haulier_coordinator::settings::{Pace, Settings, WorkerSettings};
use haulier_coordinator::start::{Coordinator, Parts};
use haulier_domain::failure::Failure;
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::control_service_client::ControlServiceClient;
use haulier_proto::control::v1::create_repository_request::Key;
use haulier_proto::status::failure_of;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

pub(crate) const OWN: &str = "111122223333";
pub(crate) const OTHER: &str = "444455556666";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";

/// The doubles of several accounts and Regions; those that were never added refuse everybody.
#[derive(Debug)]
pub(crate) struct World {
    places: Mutex<BTreeMap<(String, String), MemoryCloud>>,
    pub(crate) bucket: Arc<MemoryObjectStore>,
    /// The bucket `vault`, which has Object Lock.
    pub(crate) vault: Arc<MemoryObjectStore>,
    pub(crate) keys: Arc<MemoryKeys>,
    secrets: Arc<MemorySecrets>,
}

impl Default for World {
    fn default() -> Self {
        let vault = Arc::new(MemoryObjectStore::with_object_lock());
        Self { places: Mutex::default(), bucket: Arc::default(), vault, keys: Arc::default(), secrets: Arc::default() }
    }
}

impl World {
    /// Adds instances to an account and Region.
    pub(crate) fn add(&self, account: &str, region: &str, instances: &[&str]) {
        let mut places = self.places.lock().unwrap();
        let cloud = places.entry((account.to_owned(), region.to_owned())).or_default();
        for id in instances {
            let mut instance = MemoryDatabases::postgres(id);
            instance.master_secret_arn = Some(format!("arn:aws:secretsmanager:{region}:{account}:secret:rds!{id}"));
            cloud.databases().add(instance);
        }
    }

    /// Adds an instance of SQL Server to the own account.
    pub(crate) fn add_sql_server(&self, id: &str) {
        let places = self.places.lock().unwrap();
        places[&(OWN.to_owned(), REGION.to_owned())].databases().add(MemoryDatabases::sql_server(id, "backups"));
    }

    /// Gives an instance of the own account another engine version.
    pub(crate) fn set_version(&self, id: &str, version: &str) {
        let places = self.places.lock().unwrap();
        let mut instance = MemoryDatabases::postgres(id);
        instance.engine_version = version.to_owned();
        places[&(OWN.to_owned(), REGION.to_owned())].databases().add(instance);
    }

    fn cloud(&self, place: &Place) -> Result<MemoryCloud> {
        let places = self.places.lock().unwrap();
        places.get(&(place.account.id.clone(), place.region.clone())).cloned().ok_or_else(|| CloudError {
            operation: "AssumeRole",
            target: place.account.role_arn.clone().unwrap_or_default(),
            kind: ErrorKind::Denied,
            outcome: Outcome::Determinate,
            code: Some("AccessDenied".to_owned()),
            message: "not authorized to assume it".to_owned(),
            source: None,
        })
    }
}

#[async_trait]
impl CloudAccess for World {
    async fn compute(&self, place: &Place) -> Result<Arc<dyn Compute>> {
        Ok(self.cloud(place)?.compute())
    }

    async fn databases(&self, place: &Place) -> Result<Arc<dyn Databases>> {
        Ok(self.cloud(place)?.databases())
    }

    async fn buckets(&self, place: &Place) -> Result<Arc<dyn Buckets>> {
        Ok(self.cloud(place)?.buckets(&place.region))
    }

    async fn roles(&self, _account: &Account) -> Result<Arc<dyn Roles>> {
        Ok(Arc::new(MemoryRoles::new()))
    }

    async fn account_keys(&self, _place: &Place) -> Result<Arc<dyn Keys>> {
        Ok(self.keys.clone())
    }

    async fn identity(&self, _account: &Account) -> Result<Arc<dyn Identity>> {
        Ok(Arc::new(MemoryIdentity::new(OWN)))
    }

    async fn keys(&self, _region: &str) -> Result<Arc<dyn Keys>> {
        Ok(self.keys.clone())
    }

    async fn secrets(&self, _region: &str) -> Result<Arc<dyn Secrets>> {
        Ok(self.secrets.clone())
    }

    async fn bucket(&self, bucket: &str, _region: &str) -> Result<Arc<dyn ObjectStore>> {
        match bucket {
            "vault" => Ok(self.vault.clone()),
            "far-away" => Ok(Arc::new(MemoryObjectStore::in_region("us-west-2"))),
            "nowhere" => {
                let faults = Faults::new();
                faults.add(Rule::once("*", Fault::Before(ErrorKind::NotFound)).always());
                Ok(Arc::new(Faulty::new(self.bucket.clone(), faults)))
            }
            _ => Ok(self.bucket.clone()),
        }
    }
}

/// Shows a token, or none.
#[derive(Clone)]
pub(crate) struct Shown(Option<MetadataValue<Ascii>>);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

pub(crate) type Client = ControlServiceClient<InterceptedService<Channel, Shown>>;

/// A running coordinator.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) policies: Policies,
    pub(crate) channel: Channel,
    token: String,
    _coordinator: Coordinator,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// Starts a coordinator whose own account holds these instances.
    pub(crate) async fn start(instances: &[&str]) -> Self {
        let world = Arc::new(World::default());
        world.add(OWN, REGION, instances);
        Self::start_in(world).await
    }

    /// Starts a coordinator without a past in a world that has one.
    pub(crate) async fn start_in(world: Arc<World>) -> Self {
        // Every scene of a process sets it; the first one wins.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let coordinator = Coordinator::start(settings, world.clone(), Parts::default()).await.unwrap();
        let policies = Policies::new(coordinator.sessions().clone());
        let token = OperatorToken::open(directory.path()).unwrap();
        let listener = ControlListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address();
        let stop = coordinator.stop_token().clone();
        let control = Control::new(policies.clone(), stop.clone());
        tokio::spawn(async move { serve(control, listener, token, &["haulier.test".to_owned()], stop).await.unwrap() });
        let authority = std::fs::read_to_string(directory.path().join("ca/ca.pem")).unwrap();
        // A name that stands in the certificate because it was configured.
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name("haulier.test");
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        let token = std::fs::read_to_string(directory.path().join("operator.token")).unwrap().trim().to_owned();
        Self {
            world,
            policies,
            channel: endpoint.connect().await.unwrap(),
            token,
            _coordinator: coordinator,
            _directory: directory,
        }
    }

    /// A coordinator that has a repository too.
    pub(crate) async fn with_repository(instances: &[&str]) -> Self {
        let scene = Self::start(instances).await;
        scene.client().create_repository(repository("main")).await.unwrap();
        scene
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        self.policies.sessions()
    }

    /// A client with the operator's token.
    pub(crate) fn client(&self) -> Client {
        self.client_with(Some(&self.token))
    }

    /// A client with any token, or none.
    pub(crate) fn client_with(&self, token: Option<&str>) -> Client {
        let shown = Shown(token.map(|token| format!("Bearer {token}").parse().unwrap()));
        ControlServiceClient::with_interceptor(self.channel.clone(), shown)
    }

    /// Applies a document that must be sound.
    pub(crate) async fn apply(&self, document: &str) -> wire::ApplyPolicyResponse {
        let request = wire::ApplyPolicyRequest { document: document.to_owned() };
        let answer = self.client().apply_policy(request).await.unwrap().into_inner();
        assert_eq!(answer.faults, []);
        answer
    }

    /// Runs a policy.
    pub(crate) async fn run(&self, name: &str, key: &str) -> wire::RunPolicyResponse {
        let request = wire::RunPolicyRequest { name: name.to_owned(), idempotency_key: key.to_owned() };
        self.client().run_policy(request).await.unwrap().into_inner()
    }
}

/// A request for a repository of this name.
pub(crate) fn repository(name: &str) -> wire::CreateRepositoryRequest {
    wire::CreateRepositoryRequest {
        name: name.to_owned(),
        bucket: "backups".to_owned(),
        region: REGION.to_owned(),
        prefix: "/prod/".to_owned(),
        key: Some(Key::KmsKeyArn(KEY.to_owned())),
        immutability: None,
    }
}

/// A policy with these lines besides the needed ones.
pub(crate) fn policy(name: &str, resources: &str, more: &str) -> String {
    let schedule = if more.contains("schedule:") { "" } else { "schedule: manual\n" };
    format!(
        "version: 1\nname: {name}\nregions: [{REGION}]\nresources: {resources}\nrepository: main\n\
         credentials: rds_managed\n{schedule}{more}"
    )
}

/// The refusal's code, and the failure it carries.
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> (Code, Failure) {
    let status = answer.unwrap_err();
    (status.code(), failure_of(&status).unwrap_or_else(|| panic!("no failure in {status:?}")))
}

fn settings(directory: &std::path::Path) -> Settings {
    Settings {
        state_dir: directory.to_owned(),
        worker_listen: ([127, 0, 0, 1], 0).into(),
        control_listen: ([127, 0, 0, 1], 0).into(),
        worker_advertise: "https://127.0.0.1:0".to_owned(),
        region: REGION.to_owned(),
        partition: "aws".to_owned(),
        wrapping_key: None,
        max_sessions: 0,
        prune_grace: Duration::ZERO,
        worker: WorkerSettings::default(),
        pace: Pace {
            poll: Duration::from_millis(10),
            back_off: (Duration::from_millis(5), Duration::from_millis(50)),
            settle: Duration::from_millis(50),
            cancel: Duration::from_secs(1),
            tidying: Duration::from_secs(1),
            ..Pace::default()
        },
    }
}
