//! How a worker enrols, and reaches the coordinator.

use std::path::Path;

use haulier_cloud::compute::{Compute as _, InstanceState};
use haulier_cloud::doubles::MemoryIdentity;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use rcgen::{CertificateParams, KeyPair};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::UserData;
use crate::support::cloud::DoubleAccess;
use crate::support::{ACCOUNT, REGION};

/// Enrols as an instance with this user-data would. Returns the certificate chain.
pub(crate) async fn enrol(
    access: &DoubleAccess,
    authority: &Path,
    user_data: &UserData,
    instance: &str,
    key: &KeyPair,
) -> Result<String, tonic::Status> {
    let csr = CertificateParams::default().serialize_request(key).unwrap().der().to_vec();
    let request = enrolment(user_data, instance, csr);
    let running = access.memory.compute().instance(instance).await.ok().flatten();
    if running.is_some_and(|running| running.state == InstanceState::Terminated) {
        return Err(tonic::Status::aborted("terminated"));
    }
    let channel = channel(authority, user_data, None).await?;
    Ok(WorkerServiceClient::new(channel).enrol(request).await?.into_inner().certificate_chain)
}

/// The request of such an enrolment.
pub(crate) fn enrolment(user_data: &UserData, instance: &str, csr: Vec<u8>) -> wire::EnrolRequest {
    let digest = sha256(&csr);
    let call = MemoryIdentity::sign(REGION, ACCOUNT, "haulier-worker", instance, &digest);
    wire::EnrolRequest {
        worker_id: user_data.worker_id.clone(),
        session_id: user_data.session_id.clone(),
        epoch: user_data.epoch,
        token: user_data.token.clone(),
        certificate_request: csr,
        identity: Some(wire::SignedIdentity {
            region: call.region,
            headers: call.headers.into_iter().collect(),
            body: call.body,
            instance_id: instance.to_owned(),
        }),
        agent_version: "test".into(),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

/// A connection to the coordinator, by the authority it pinned.
pub(crate) async fn channel(
    authority: &Path,
    user_data: &UserData,
    identity: Option<Identity>,
) -> Result<Channel, tonic::Status> {
    let pem = std::fs::read_to_string(authority).map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let endpoint = Endpoint::from_shared(user_data.coordinator.clone()).unwrap().tls_config(tls).unwrap();
    endpoint.connect().await.map_err(|error| tonic::Status::unavailable(error.to_string()))
}
