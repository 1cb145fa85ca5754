//! The control service's listener: TLS, the token, health and reflection.

use std::net::SocketAddr;
use std::time::Duration;

use haulier_proto::FILE_DESCRIPTOR_SET;
use haulier_proto::control::v1::control_service_server::ControlServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::{Control, OperatorToken};
use crate::certificates::CertificateError;

const KEEPALIVE: Duration = Duration::from_secs(60);
/// Calls and open streams that a connection may have: a command that follows many sessions has a stream for each.
const STREAMS: u32 = 1024;

/// The listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The address cannot be bound.
    #[error("listening for operators on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate for operators to see.
    #[error("certificate for operators to see")]
    Certificate(#[source] CertificateError),
    /// TLS cannot be set up, or the listener failed.
    #[error("serving operators")]
    Serve(#[source] tonic::transport::Error),
    /// The description of the protocol cannot be served.
    #[error("reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// A bound listener.
#[derive(Debug)]
pub struct ControlListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl ControlListener {
    /// Binds the address.
    ///
    /// # Errors
    /// Where it is taken or not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, ControlError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map_err(|source| ControlError::Bind { address, source })
    }

    /// The address it has, port included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves operators until told to stop. `names` are further names and addresses at which they reach the coordinator.
///
/// Health can be asked for without a token; it tells nothing but that the service is there.
///
/// # Errors
/// Where TLS cannot be set up.
pub async fn serve(
    control: Control,
    listener: ControlListener,
    token: OperatorToken,
    names: &[String],
    stop: CancellationToken,
) -> Result<(), ControlError> {
    let services = control.services();
    let hosts = hosts(listener.address, &services.settings.advertised_host(), names);
    let (chain, key) = services.authority.server(&hosts).map_err(ControlError::Certificate)?;
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(chain, key.as_bytes()));
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<ControlServiceServer<Control>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(ControlError::Reflection)?;
    Server::builder()
        .tls_config(tls)
        .map_err(ControlError::Serve)?
        .http2_keepalive_interval(Some(KEEPALIVE))
        .max_concurrent_streams(Some(STREAMS))
        .add_service(InterceptedService::new(ControlServiceServer::new(control), token.clone()))
        .add_service(InterceptedService::new(reflection, token))
        .add_service(health)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener.listener), stop.cancelled_owned())
        .await
        .map_err(ControlError::Serve)
}

/// Names and addresses in the certificate, each once.
fn hosts(address: SocketAddr, advertised: &str, names: &[String]) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), advertised.to_owned()];
    if !address.ip().is_unspecified() {
        hosts.push(address.ip().to_string());
    }
    hosts.extend(names.iter().cloned());
    hosts.sort();
    hosts.dedup();
    hosts.retain(|host| !host.is_empty());
    hosts
}
