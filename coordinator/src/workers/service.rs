//! The worker service and its listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use haulier_domain::id::WorkerId;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::{attach, enrol};
use crate::certificates::subject_of;
use crate::services::Services;

/// HTTP/2 keepalive towards workers, besides their heartbeats.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Enrolments and open streams a connection may have.
const STREAMS: u32 = 16;

/// The listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("listening for workers on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate for the coordinator.
    #[error("certificate for workers to see")]
    Certificate(#[source] crate::certificates::CertificateError),
    /// TLS cannot be set up.
    #[error("TLS towards workers")]
    Tls(#[source] tonic::transport::Error),
}

/// A bound listener.
#[derive(Debug)]
pub struct WorkerListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl WorkerListener {
    /// Binds the address.
    ///
    /// # Errors
    /// Where it is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map_err(|source| ListenError::Bind { address, source })
    }

    /// The address it has, port included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves workers until told to stop. A client certificate is optional in TLS, since a worker that enrols has none yet; the
/// stream demands one.
///
/// # Errors
/// Where TLS cannot be set up.
pub async fn server(
    services: Arc<Services>,
    listener: WorkerListener,
    stop: CancellationToken,
) -> Result<(), ListenError> {
    let (chain, key) =
        services.authority.server(&[services.settings.advertised_host()]).map_err(ListenError::Certificate)?;
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(chain, key.as_bytes()))
        .client_ca_root(Certificate::from_pem(services.authority.pem()))
        .client_auth_optional(true);
    Server::builder()
        .tls_config(tls)
        .map_err(ListenError::Tls)?
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_connection_window_size(Some(1 << 20))
        .max_concurrent_streams(Some(STREAMS))
        .add_service(WorkerServiceServer::new(Workers { services, stop: stop.clone() }))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener.listener), stop.cancelled_owned())
        .await
        .map_err(ListenError::Tls)
}

struct Workers {
    services: Arc<Services>,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn enrol(&self, request: Request<wire::EnrolRequest>) -> Result<Response<wire::EnrolResponse>, Status> {
        enrol::enrol(&self.services, request.into_inner()).await.map(Response::new)
    }

    type AttachStream = ReceiverStream<Result<wire::AttachResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let certified = certified(&request)?;
        let inbox = request.into_inner();
        let (outbox, down) = mpsc::channel(attach::OUTBOX);
        let (services, stop) = (self.services.clone(), self.stop.clone());
        let span = tracing::info_span!("worker", worker_id = %certified);
        let stream = async move {
            let ended = tokio::select! {
                ended = attach::attach(services, certified, inbox, outbox.clone()) => ended,
                () = stop.cancelled() => Err(Status::unavailable("the coordinator is shutting down")),
            };
            if let Err(status) = ended {
                tracing::info!(%status, "stream ended");
                // A worker that is gone already does not hear it.
                let _ = outbox.try_send(Err(status));
            }
        };
        tokio::spawn(stream.instrument(span));
        Ok(Response::new(ReceiverStream::new(down)))
    }
}

/// The worker that the client certificate names.
fn certified(request: &Request<Streaming<wire::AttachRequest>>) -> Result<WorkerId, Status> {
    let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("no client certificate"))?;
    let leaf = certificates.first().ok_or_else(|| Status::unauthenticated("no client certificate"))?;
    let name = subject_of(leaf).ok_or_else(|| Status::unauthenticated("the client certificate names nobody"))?;
    name.parse().map_err(|_| Status::unauthenticated("the client certificate names no worker"))
}
