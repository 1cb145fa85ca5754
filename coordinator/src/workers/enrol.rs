//! Enrolment: a single-use token and a signed identity are turned into a certificate.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use haulier_cloud::identity::SignedCall;
use haulier_domain::id::{Epoch, WorkerId};
use haulier_proto::worker::v1 as wire;
use jiff::Timestamp;
use tonic::Status;

use super::admission;
use crate::certificates::{Csr, sha256_hex};
use crate::failures;
use crate::ledger::{Entry, Resource, TAG_NAME};
use crate::services::Services;
use crate::sessions::Place;
use crate::state::{Binding, StateError, Worker};

/// What a refused worker is told, whatever the reason: the reason is for the log.
const REFUSED: &str = "enrolment refused";

/// Checks everything and signs.
pub(super) async fn enrol(services: &Services, request: wire::EnrolRequest) -> Result<wire::EnrolResponse, Status> {
    let worker = known(services, &request).await?;
    let csr = Csr::from_der(&request.certificate_request).map_err(|error| refuse(&worker.id, &error))?;
    match services.state.bind_token(&worker.id, &csr.key_sha256()).await.map_err(internal)? {
        Binding::Bound => {}
        Binding::UsedOtherwise => return Err(refuse(&worker.id, &"its token was used with another key")),
    }
    let session = services.state.session(&worker.session).await.map_err(internal)?;
    let place = session.request.instance().place.clone();
    let csr_sha256 = sha256_hex(&request.certificate_request);
    let identity = request.identity.ok_or_else(|| refuse(&worker.id, &"it sent no signed identity"))?;
    let instance_id = admit(services, &worker, &place, identity, &csr_sha256).await?;
    // It was told its deadline before it was launched: from now on this is longer than it may live.
    let life = services.settings.pace.session;
    let chain =
        services.authority.worker(&csr, worker.id.as_str(), life).map_err(|error| refuse(&worker.id, &error))?;
    let noted = async {
        services.state.note_worker_instance(&worker.id, &instance_id).await?;
        services.state.note_enrolled(&worker.id, &chain, &request.agent_version).await
    };
    noted.await.map_err(internal)?;
    services.feeds.changed(&worker.session);
    tracing::info!(worker_id = %worker.id, session_id = %worker.session, epoch = %worker.epoch, instance_id, "worker enrolled");
    Ok(wire::EnrolResponse { certificate_chain: chain, authority: services.authority.pem().to_owned() })
}

/// The worker of this id, session and epoch, if the token is its own and it is still wanted.
async fn known(services: &Services, request: &wire::EnrolRequest) -> Result<Worker, Status> {
    let id: WorkerId = request.worker_id.parse().map_err(|_| Status::permission_denied(REFUSED))?;
    let worker = match services.state.worker(&id).await {
        Ok(worker) => worker,
        Err(StateError::Missing { .. }) => return Err(refuse(&id, &"nobody launched it")),
        Err(error) => return Err(internal(error)),
    };
    let sent = sha256_hex(request.token.as_bytes());
    if verify_slices_are_equal(sent.as_bytes(), worker.token_sha256.as_bytes()).is_err() {
        return Err(refuse(&id, &"its token is wrong"));
    }
    let is_its_own = worker.session.as_str() == request.session_id && worker.epoch == Epoch(request.epoch);
    if !is_its_own || !worker.state.is_live() {
        return Err(refuse(&id, &"its session or epoch is over"));
    }
    Ok(worker)
}

/// Whether the EC2 instance that signed is the one that was launched. Returns its id.
async fn admit(
    services: &Services,
    worker: &Worker,
    place: &Place,
    identity: wire::SignedIdentity,
    csr_sha256: &str,
) -> Result<String, Status> {
    let headers = identity.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let call = SignedCall { region: identity.region, headers, body: identity.body };
    admission::signed_call(&call, &worker.region, csr_sha256).map_err(|refusal| refuse(&worker.id, &refusal))?;
    let looked_up = async {
        let caller = services.cloud.identity(&place.account).await?.verify(&call).await?;
        let instance = services.cloud.compute(place).await?.instance(&identity.instance_id).await?;
        Ok((caller, instance))
    };
    let (caller, instance) = looked_up.await.map_err(|error: haulier_cloud::CloudError| {
        if error.is_transient() || error.is_indeterminate() {
            later(&worker.id, &error)
        } else {
            refuse(&worker.id, &error)
        }
    })?;
    admission::caller(&caller, &place.account.id, &identity.instance_id)
        .map_err(|refusal| refuse(&worker.id, &refusal))?;
    // Listings lag behind launches: the worker asks again.
    let instance = instance.ok_or_else(|| later(&worker.id, &"its instance is not listed yet"))?;
    let entries = services.state.open_entries(&worker.session, Some(worker.epoch)).await.map_err(internal)?;
    // A worker that was refused in one place is launched in another: the row is the one under the instance's name.
    let named = |entry: &&Entry| instance.tags.get(TAG_NAME).is_some_and(|name| *name == entry.name);
    let entry = entries.iter().filter(|entry| entry.resource == Resource::Ec2Instance).find(named);
    admission::instance(&instance, worker, &services.installation, entry, Timestamp::now())
        .map_err(|refusal| refuse(&worker.id, &refusal))?;
    Ok(instance.id)
}

fn refuse(worker: &WorkerId, reason: &dyn std::fmt::Display) -> Status {
    tracing::warn!(worker_id = %worker, %reason, "enrolment refused");
    Status::permission_denied(REFUSED)
}

fn later(worker: &WorkerId, reason: &dyn std::fmt::Display) -> Status {
    tracing::info!(worker_id = %worker, %reason, "enrolment put off");
    Status::unavailable("try again")
}

pub(super) fn internal(error: StateError) -> Status {
    tracing::error!(error = %failures::chain(&error), "state not available");
    Status::unavailable("the coordinator's state is not available")
}
