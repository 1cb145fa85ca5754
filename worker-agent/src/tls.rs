//! Who the coordinator is. A worker is told one digest, that of the coordinator's CA certificate; before it has anything
//! else it must be sure whom it hands its token to. So the server's chain must hold the certificate with that digest, and
//! its own certificate must be signed by that authority and be for the name that was dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tonic::transport::{ClientTlsConfig, Endpoint, Error};

use crate::user_data::Digest;

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Verifies a server by the digest of its authority.
#[derive(Debug)]
pub struct PinnedAuthority {
    digest: Digest,
    provider: Arc<CryptoProvider>,
    mismatched: AtomicBool,
}

impl PinnedAuthority {
    /// Trusts the authority with this digest and no other.
    pub fn new(digest: Digest) -> Arc<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Arc::new(Self { digest, provider, mismatched: AtomicBool::new(false) })
    }

    /// Whether a server has shown a chain that is not of that authority: somebody else answers at the coordinator's
    /// address.
    pub fn was_mismatched(&self) -> bool {
        self.mismatched.load(Ordering::Relaxed)
    }

    fn verifier_of(&self, authority: &CertificateDer<'_>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| TlsError::General(format!("the coordinator's authority cannot be used: {error}")))
    }
}

/// Whether time may heal it: the clock of a machine that has just started may be wrong.
fn passes(error: &TlsError) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        TlsError::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(authority) = intermediates.iter().find(|one| Digest::of(one) == self.digest) else {
            self.mismatched.store(true, Ordering::Relaxed);
            return Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let verifier = self.verifier_of(authority)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(|error| {
            self.mismatched.fetch_or(!passes(error), Ordering::Relaxed);
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The coordinator's address, trusted by the digest of its authority. For enrolment, when nothing else is known of it.
///
/// # Errors
/// Where TLS cannot be set up.
pub(crate) fn pinned_endpoint(coordinator: &Uri, authority: Arc<PinnedAuthority>) -> Result<Endpoint, Error> {
    endpoint(coordinator).tls_config_with_verifier(ClientTlsConfig::new().timeout(HANDSHAKE), authority)
}

/// The coordinator's address with the worker's own certificate.
///
/// # Errors
/// Where TLS cannot be set up: a certificate that does not fit its key.
pub(crate) fn trusted_endpoint(coordinator: &Uri, tls: ClientTlsConfig) -> Result<Endpoint, Error> {
    endpoint(coordinator).tls_config(tls.timeout(HANDSHAKE))
}

/// What both calls share. HTTP/2 pings go out while nothing else does, so that neither a NAT gateway forgets the
/// connection nor a dead peer goes unnoticed.
fn endpoint(coordinator: &Uri) -> Endpoint {
    Endpoint::from(coordinator.clone())
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(30)))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true)
        .initial_connection_window_size(4 << 20)
}
