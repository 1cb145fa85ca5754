//! The file of `--ca-file`. What is wrong with it is said here: to TLS, a file without a certificate is an authority that
//! nobody knows.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::transport::Certificate;

/// The certificates of a file in PEM.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Certificate, String> {
    let name = path.display();
    let found: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{name}: its PEM cannot be read: {error}"))?;
    if found.is_empty() {
        let what = match bytes {
            [] => "it is empty",
            // The first byte of a certificate in DER.
            [0x30, ..] => "it is binary, perhaps a certificate in DER",
            _ if bytes.starts_with(b"-----BEGIN ") => "its PEM holds something else",
            _ => "it is no PEM",
        };
        return Err(format!("{name} holds no certificate: {what}"));
    }
    let mut store = RootCertStore::empty();
    for certificate in found {
        store.add(certificate).map_err(|error| format!("{name}: its certificate cannot be used: {error}"))?;
    }
    Ok(Certificate::from_pem(bytes))
}
