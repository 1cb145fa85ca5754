//! The certificate authority that stands for Amazon's: it signs the certificates of the cloud's DB instances.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// Signs server certificates; its own certificate lies in a file for clients to trust.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_file: PathBuf,
}

/// A server's certificate and key, in PEM.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Certificate, to be sent by the server.
    pub(crate) certificate: String,
    /// Private key.
    pub(crate) key: String,
}

impl Authority {
    /// Makes a new authority and writes its certificate to `certificate_file`. The key never leaves memory.
    pub(crate) fn establish(certificate_file: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Local cloud RDS Root CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("making the cloud's CA key")?;
        let certificate = params.self_signed(&key).context("signing the cloud's CA certificate")?;
        std::fs::write(certificate_file, certificate.pem())
            .with_context(|| format!("writing {}", certificate_file.display()))?;
        Ok(Self { issuer: Issuer::new(params, key), certificate_file: certificate_file.to_owned() })
    }

    /// Where the CA certificate lies.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    /// A fresh certificate for a host name and an address.
    pub(crate) fn issue(&self, host_name: &str, address: Ipv4Addr) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::new(vec![host_name.to_owned()])?;
        // A common name is limited to 64 characters and nobody checks it any more; the names stand in the SAN.
        params.distinguished_name.push(DnType::CommonName, host_name.chars().take(64).collect::<String>());
        params.subject_alt_names.push(SanType::IpAddress(address.into()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("making a server key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a server certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
