//! A coordinator of the test's own: real TLS, real gRPC, certificates signed on the spot.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use haulier_worker_agent::enrol::{SignedInstance, Signer, SignerError};
use haulier_worker_agent::user_data::{Digest, UserData};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::CertificateSigningRequestDer;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

pub const TOKEN: &str = "single-use-enrolment-token";

/// A certificate authority.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.0.der())
    }

    /// A server certificate for these names, as PEM with its key.
    pub fn server(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// What the coordinator does with a request for enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    Sign,
    /// The certificate is signed, and the answer is lost.
    LoseAnswer,
    Refuse,
}

/// One stream, as the coordinator sees it.
pub struct Stream {
    pub requests: Streaming<wire::AttachRequest>,
    pub responses: mpsc::Sender<Result<wire::AttachResponse, Status>>,
    pub has_client_certificate: bool,
}

impl Stream {
    pub async fn next(&mut self) -> Outgoing {
        self.requests.message().await.unwrap().expect("the stream ended").message.expect("an empty message")
    }

    pub async fn event(&mut self) -> wire::Event {
        loop {
            if let Outgoing::Event(event) = self.next().await {
                return event;
            }
        }
    }

    pub async fn say(&self, message: Message) {
        let response = wire::AttachResponse { session_id: "ses-1".into(), epoch: 1, message: Some(message) };
        self.responses.send(Ok(response)).await.unwrap();
    }

    pub async fn welcome(&mut self, acknowledged: u64, patience_seconds: u32) -> wire::Hello {
        let Outgoing::Hello(hello) = self.next().await else { panic!("no hello") };
        self.say(Message::Welcome(wire::Welcome { acknowledged, heartbeat_millis: 200, patience_seconds })).await;
        hello
    }
}

struct Service {
    authority: Arc<Authority>,
    plan: Mutex<Vec<Enrolment>>,
    seen: Arc<Mutex<Vec<wire::EnrolRequest>>>,
    streams: mpsc::Sender<Stream>,
}

#[async_trait]
impl WorkerService for Service {
    type AttachStream = BoxStream<'static, Result<wire::AttachResponse, Status>>;

    async fn enrol(&self, request: Request<wire::EnrolRequest>) -> Result<Response<wire::EnrolResponse>, Status> {
        let request = request.into_inner();
        let csr = CertificateSigningRequestDer::from(request.certificate_request.clone());
        let csr = CertificateSigningRequestParams::from_der(&csr).unwrap();
        self.seen.lock().unwrap().push(request);
        let mut plan = self.plan.lock().unwrap();
        let step = if plan.is_empty() { Enrolment::Sign } else { plan.remove(0) };
        match step {
            Enrolment::Refuse => Err(Status::permission_denied("the token is used")),
            Enrolment::LoseAnswer => Err(Status::unavailable("the connection broke")),
            Enrolment::Sign => Ok(Response::new(wire::EnrolResponse {
                certificate_chain: csr.signed_by(&self.authority.0).unwrap().pem(),
                authority: self.authority.0.pem(),
            })),
        }
    }

    async fn attach(
        &self,
        request: Request<Streaming<wire::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let has_client_certificate = request.peer_certs().is_some_and(|certificates| !certificates.is_empty());
        let (responses, outgoing) = mpsc::channel(16);
        let stream = Stream { requests: request.into_inner(), responses, has_client_certificate };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing).boxed()))
    }
}

/// A coordinator that listens.
pub struct Coordinator {
    pub address: SocketAddr,
    pub authority: Arc<Authority>,
    pub seen: Arc<Mutex<Vec<wire::EnrolRequest>>>,
    streams: mpsc::Receiver<Stream>,
    _server: AbortOnDropHandle<()>,
}

impl Coordinator {
    /// One whose certificate is its authority's and for the loopback address.
    pub async fn start(plan: &[Enrolment]) -> Self {
        let authority = Arc::new(Authority::new());
        let (certificate, key) = authority.server(&["127.0.0.1"]);
        let chain = format!("{certificate}{}", authority.0.pem());
        Self::start_with(authority, &chain, &key, plan).await
    }

    /// One that shows this chain.
    pub async fn start_with(authority: Arc<Authority>, chain: &str, key: &str, plan: &[Enrolment]) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, streams) = mpsc::channel(4);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = Service {
            authority: authority.clone(),
            plan: Mutex::new(plan.to_vec()),
            seen: seen.clone(),
            streams: calls,
        };
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(chain, key))
            .client_ca_root(Certificate::from_pem(authority.0.pem()))
            .client_auth_optional(true);
        let serving = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(WorkerServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, authority, seen, streams, _server: AbortOnDropHandle::new(server) }
    }

    /// What a worker of this coordinator is told.
    pub fn user_data(&self) -> UserData {
        UserData {
            coordinator: format!("https://{}", self.address).parse().unwrap(),
            ca_sha256: self.authority.digest(),
            worker_id: "wrk-1".parse().unwrap(),
            session_id: "ses-1".parse().unwrap(),
            epoch: haulier_domain::id::Epoch(1),
            token: haulier_domain::secret::SecretString::new(TOKEN),
            region: "eu-central-1".into(),
            deadline: jiff::Timestamp::MAX,
        }
    }

    /// The next stream a worker opens.
    pub async fn accept(&mut self) -> Stream {
        let stream = tokio::time::timeout(std::time::Duration::from_secs(30), self.streams.recv()).await;
        stream.expect("no worker came").unwrap()
    }

    pub fn requests(&self) -> Vec<wire::EnrolRequest> {
        self.seen.lock().unwrap().clone()
    }
}

/// Signs like an instance, without AWS.
pub struct TestSigner;

#[async_trait]
impl Signer for TestSigner {
    async fn sign(&self, csr_sha256: &str) -> Result<SignedInstance, SignerError> {
        let call = haulier_cloud::doubles::MemoryIdentity::sign(
            "eu-central-1",
            "111122223333",
            "haulier-worker",
            "i-1",
            csr_sha256,
        );
        Ok(SignedInstance { call, instance_id: "i-1".into() })
    }
}

pub fn credentials() -> wire::Credentials {
    wire::Credentials {
        access_key_id: "ASIATEST".into(),
        secret_access_key: "planted-secret-key".into(),
        session_token: "planted-session-token".into(),
        expires_at: Some(haulier_proto::to_timestamp(jiff::Timestamp::MAX)),
        domain_key: vec![7; 32],
        target_domain_key: Vec::new(),
    }
}

/// An assignment that is read, begun, and fails at once: nothing listens on the bucket's address.
pub fn empty_assignment() -> wire::Assignment {
    wire::Assignment { work: None }
}
