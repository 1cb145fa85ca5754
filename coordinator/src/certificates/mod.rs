//! The coordinator's certificate authority.
//!
//! It lies in `ca/` of the state directory (key 0600) and signs two kinds of certificates: the coordinator's own, whose
//! chain ends in the authority so that workers can pin its digest from their user-data, and workers' client certificates,
//! which name the worker and live as long as it may. They are not renewed: a worker powers off at its deadline, and its
//! certificate is heard for no longer than its session and epoch are current.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::installation_key::write_private;

/// Life of the coordinator's own certificate; a new one is made at each start.
const SERVER_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Life of the authority.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clocks differ.
const SKEW: Duration = Duration::from_secs(300);

/// Why a certificate cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file of the authority cannot be read or written.
    #[error("certificate authority file {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate cannot be made or read.
    #[error("certificate of {whom}")]
    Certificate {
        /// Whose.
        whom: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A stored certificate is not one.
    #[error("the authority's certificate cannot be read")]
    Malformed,
    /// A time is out of range.
    #[error("a certificate's life is out of range")]
    Time,
}

type Result<T, E = CertificateError> = std::result::Result<T, E>;

/// A certificate request whose signature was verified.
#[derive(Debug)]
pub struct Csr {
    params: CertificateSigningRequestParams,
}

impl Csr {
    /// Reads a PKCS#10 request. Nothing of what it asks for is heeded but its key.
    ///
    /// # Errors
    /// Where it is malformed or not signed by its own key.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let params = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map_err(of("a worker's request"))?;
        Ok(Self { params })
    }

    /// SHA-256 of the key's public part, hex.
    pub fn key_sha256(&self) -> String {
        sha256_hex(&self.params.public_key.subject_public_key_info())
    }
}

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Reads the authority from the state directory, or makes it.
    ///
    /// # Errors
    /// Where its files cannot be read or written.
    pub fn open(directory: &Path) -> Result<Self> {
        let folder = directory.join("ca");
        let (certificate_file, key_file) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate_file.exists() {
            make(&folder, &certificate_file, &key_file)?;
        }
        let pem = read(&certificate_file)?;
        let key = KeyPair::from_pem(&zeroize::Zeroizing::new(read(&key_file)?)).map_err(of("the authority"))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::Malformed)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(of("the authority"))?;
        Ok(Self { issuer, certificate, pem })
    }

    /// The authority's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's certificate, hex: what workers pin.
    pub fn sha256(&self) -> String {
        sha256_hex(&self.certificate)
    }

    /// The coordinator's own certificate for these names and addresses: chain with the authority last, and key, PEM.
    ///
    /// # Errors
    /// Where a name is not one.
    pub fn server(&self, hosts: &[String]) -> Result<(String, zeroize::Zeroizing<String>)> {
        let key = KeyPair::generate().map_err(of("the coordinator"))?;
        let mut params = CertificateParams::new(hosts.to_vec()).map_err(of("the coordinator"))?;
        params.distinguished_name = named("Haulier coordinator");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        live(&mut params, SERVER_LIFE)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(of("the coordinator"))?;
        Ok((format!("{}{}", certificate.pem(), self.pem), key.serialize_pem().into()))
    }

    /// A worker's client certificate for the key of its request, good for so long from now: chain with the authority
    /// last, PEM.
    ///
    /// # Errors
    /// Where the request's key cannot be certified.
    pub fn worker(&self, csr: &Csr, worker: &str, life: Duration) -> Result<String> {
        let mut request = CertificateSigningRequestParams {
            params: CertificateParams::default(),
            public_key: csr.params.public_key.clone(),
        };
        let params = &mut request.params;
        params.distinguished_name = named(worker);
        params.subject_alt_names = vec![SanType::DnsName(worker.to_owned().try_into().map_err(of("a worker"))?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        live(params, life + SKEW)?;
        let certificate = request.signed_by(&self.issuer).map_err(of("a worker"))?;
        Ok(format!("{}{}", certificate.pem(), self.pem))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("sha256", &self.sha256()).finish_non_exhaustive()
    }
}

/// The worker that a client certificate names. The certificate was verified by TLS.
pub fn subject_of(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// SHA-256, hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn make(folder: &Path, certificate_file: &Path, key_file: &Path) -> Result<()> {
    let key = KeyPair::generate().map_err(of("the authority"))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Haulier coordinator authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live(&mut params, AUTHORITY_LIFE)?;
    let certificate = params.self_signed(&key).map_err(of("the authority"))?;
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    // The certificate comes last: where it is, the key is.
    let _ = std::fs::remove_file(key_file);
    write_private(key_file, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes()).map_err(at(key_file))?;
    std::fs::write(certificate_file, certificate.pem()).map_err(at(certificate_file))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(at(file))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Gives a certificate its life, from a little before now. The time type is that of the parsing library, which shares it
/// with the signing one.
fn live(params: &mut CertificateParams, life: Duration) -> Result<()> {
    let now = Timestamp::now().as_second();
    let moment = |seconds: i64| ASN1Time::from_timestamp(seconds).map_err(|_| CertificateError::Time);
    params.not_before = moment(now - SKEW.as_secs().cast_signed())?.to_datetime();
    params.not_after = moment(now + life.as_secs().cast_signed())?.to_datetime();
    Ok(())
}

fn of(whom: &str) -> impl Fn(rcgen::Error) -> CertificateError {
    let whom = whom.to_owned();
    move |source| CertificateError::Certificate { whom: whom.clone(), source }
}

fn at(file: &Path) -> impl Fn(std::io::Error) -> CertificateError {
    let file = file.to_owned();
    move |source| CertificateError::File { file: file.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["somebody-else".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_worker_gets_its_own_name_and_no_authority_whatever_it_asks_for() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open(directory.path()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut plain = CertificateParams::new(vec!["somebody-else".to_owned()]).unwrap();
        plain.distinguished_name = named("somebody-else");
        let csr = Csr::from_der(plain.serialize_request(&key).unwrap().der()).unwrap();
        let life = Duration::from_secs(72 * 3600);
        let chain = authority.worker(&csr, "wrk-1", life).unwrap();
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        assert_eq!(subject_of(&leaf).as_deref(), Some("wrk-1"));
        let (_, parsed) = X509Certificate::from_der(&leaf).unwrap();
        assert!(!parsed.is_ca());
        let left = parsed.validity().time_to_expiration().unwrap().unsigned_abs();
        assert!(left >= life && left <= life + SKEW, "{left:?}");
        assert!(!chain.contains("somebody-else"));
    }

    #[test]
    fn a_request_that_was_tampered_with_is_refused() {
        let key = KeyPair::generate().unwrap();
        let mut der = request(&key);
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(Csr::from_der(&der).is_err());
        assert!(Csr::from_der(b"nonsense").is_err());
    }

    #[test]
    fn the_same_key_has_the_same_digest_in_every_request() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let digest = |key: &KeyPair| Csr::from_der(&request(key)).unwrap().key_sha256();
        assert_eq!(digest(&key), digest(&key));
        assert_ne!(digest(&key), digest(&other));
    }

    #[test]
    fn the_authority_stays_the_same_and_closes_the_servers_chain() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authority::open(directory.path()).unwrap();
        let again = Authority::open(directory.path()).unwrap();
        assert_eq!(first.sha256(), again.sha256());
        let (chain, _) = again.server(&["127.0.0.1".to_owned(), "coordinator.example".to_owned()]).unwrap();
        let last = CertificateDer::pem_slice_iter(chain.as_bytes()).last().unwrap().unwrap();
        assert_eq!(sha256_hex(&last), first.sha256());
    }
}
