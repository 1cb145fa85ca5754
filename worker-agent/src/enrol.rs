//! From a single-use token to a client certificate.
//!
//! The key is made here and never leaves this process's memory. The coordinator binds the token to the key of the first
//! request it sees, so an answer that was lost is asked for again *with the same key*; another key would be refused. The
//! signed STS call is made anew for each attempt, because AWS takes a signature for minutes only.

use std::time::Duration;

use async_trait::async_trait;
use haulier_cloud::identity::SignedCall;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use crate::backoff::Backoff;
use crate::cause::chain;
use crate::tls::{self, PinnedAuthority};
use crate::user_data::{Digest, UserData};

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(30);

/// Proves which instance this is.
#[async_trait]
pub trait Signer: Send + Sync {
    /// A signed `GetCallerIdentity` whose signature covers the digest of the certificate request.
    async fn sign(&self, csr_sha256: &str) -> Result<SignedInstance, SignerError>;
}

/// A signed call with the instance that made it.
#[derive(Debug, Clone)]
pub struct SignedInstance {
    /// The call.
    pub call: SignedCall,
    /// `i-...`, from the instance's metadata.
    pub instance_id: String,
}

/// The instance could not prove itself (yet: credentials of a profile come a little after the start).
#[derive(Debug, thiserror::Error)]
#[error("cannot prove which instance this is")]
pub struct SignerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Enrolment is over without a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Somebody else answers at the coordinator's address.
    #[error("the server at {0} does not show the expected authority")]
    WrongAuthority(http::Uri),
    /// The coordinator has decided.
    #[error("the coordinator refuses this worker: {0}")]
    Refused(String),
    /// The answer does not hold together.
    #[error("the coordinator's answer is unusable: {0}")]
    BadAnswer(String),
    /// No key or no request could be made.
    #[error("the certificate request cannot be made")]
    Request(#[source] rcgen::Error),
    /// TLS cannot be set up.
    #[error("tls cannot be set up")]
    Tls(#[source] tonic::transport::Error),
}

/// A worker that the coordinator knows.
#[derive(Debug, Clone)]
pub struct Enrolled {
    endpoint: Endpoint,
}

impl Enrolled {
    /// A new connection with the worker's certificate.
    ///
    /// # Errors
    /// Where the coordinator cannot be reached.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.endpoint.connect().await
    }
}

/// One attempt's failure: worth another one, or not.
enum Attempt {
    Again(String),
    Final(EnrolError),
}

/// Enrols. Goes on until there is an answer; the caller sets the time limit.
///
/// # Errors
/// Where the answer is no, or another server answers.
pub async fn enrol(data: &UserData, signer: &dyn Signer) -> Result<Enrolled, EnrolError> {
    let key = KeyPair::generate().map_err(EnrolError::Request)?;
    let request = certificate_request(data, &key).map_err(EnrolError::Request)?;
    let authority = PinnedAuthority::new(data.ca_sha256);
    let endpoint = tls::pinned_endpoint(&data.coordinator, authority.clone()).map_err(EnrolError::Tls)?;
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        match attempt(data, &endpoint, &authority, signer, &request).await {
            Ok(answer) => return accept(data, &answer, &key),
            Err(Attempt::Final(error)) => return Err(error),
            Err(Attempt::Again(reason)) => {
                let delay = backoff.delay();
                tracing::info!(reason, delay_ms = delay.as_millis() as u64, "enrolment is tried again");
                tokio::time::sleep(delay).await;
            }
        }
    }
}

fn certificate_request(data: &UserData, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, data.worker_id.as_str());
    Ok(params.serialize_request(key)?.der().to_vec())
}

async fn attempt(
    data: &UserData,
    endpoint: &Endpoint,
    authority: &PinnedAuthority,
    signer: &dyn Signer,
    request: &[u8],
) -> Result<wire::EnrolResponse, Attempt> {
    let channel = endpoint.connect().await.map_err(|error| {
        if authority.was_mismatched() {
            return Attempt::Final(EnrolError::WrongAuthority(data.coordinator.clone()));
        }
        Attempt::Again(chain(&error))
    })?;
    let signed = signer.sign(&Digest::of(request).to_string()).await.map_err(|error| Attempt::Again(chain(&error)))?;
    let request = wire::EnrolRequest {
        worker_id: data.worker_id.to_string(),
        session_id: data.session_id.to_string(),
        epoch: data.epoch.0,
        token: data.token.expose().to_owned(),
        certificate_request: request.to_vec(),
        identity: Some(wire::SignedIdentity {
            region: signed.call.region,
            headers: signed.call.headers.into_iter().collect(),
            body: signed.call.body,
            instance_id: signed.instance_id,
        }),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut client = WorkerServiceClient::new(channel);
    match tokio::time::timeout(ANSWER, client.enrol(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) if is_final(&status) => Err(Attempt::Final(EnrolError::Refused(status.message().to_owned()))),
        Ok(Err(status)) => Err(Attempt::Again(status.to_string())),
        Err(_) => Err(Attempt::Again("no answer in time".to_owned())),
    }
}

/// Whether the coordinator has decided, as opposed to being unable to for the moment.
pub(crate) fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::FailedPrecondition
    )
}

fn accept(data: &UserData, answer: &wire::EnrolResponse, key: &KeyPair) -> Result<Enrolled, EnrolError> {
    let authority = CertificateDer::from_pem_slice(answer.authority.as_bytes())
        .map_err(|error| EnrolError::BadAnswer(format!("its authority is not a certificate: {error}")))?;
    if Digest::of(&authority) != data.ca_sha256 {
        return Err(EnrolError::BadAnswer("it names another authority than user-data".to_owned()));
    }
    let identity = Identity::from_pem(&answer.certificate_chain, key.serialize_pem());
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&answer.authority)).identity(identity);
    let endpoint = tls::trusted_endpoint(&data.coordinator, tls)
        .map_err(|error| EnrolError::BadAnswer(format!("its certificate cannot be used: {}", chain(&error))))?;
    Ok(Enrolled { endpoint })
}
