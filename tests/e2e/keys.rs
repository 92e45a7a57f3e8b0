//! The keys of the control plane: one authority, the API server's certificate, and the pair that signs tokens of service accounts.
//!
//! They live as long as the test bed and protect nothing: everything listens on the loopback interface.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::Trouble;

/// Paths of PEM files.
pub(crate) struct Keys {
    /// Certificate of the authority that signed everything.
    pub(crate) authority: PathBuf,
    /// The API server's certificate.
    pub(crate) server: PathBuf,
    /// The API server's private key.
    pub(crate) server_key: PathBuf,
    /// Private key that signs service accounts' tokens.
    pub(crate) accounts_key: PathBuf,
    /// Public key that they are checked with.
    pub(crate) accounts_public_key: PathBuf,
}

impl Keys {
    /// Makes new ones in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self, Trouble> {
        let write = |name: &str, text: &str| -> Result<PathBuf, Trouble> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "supercargo-test-bed");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;

        let names = ["127.0.0.1", "10.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server_certificate = server.signed_by(&server_key, &Issuer::new(authority, &authority_key))?;

        let accounts = KeyPair::generate()?;
        Ok(Self {
            authority: write("authority.crt", &authority_certificate.pem())?,
            server: write("apiserver.crt", &server_certificate.pem())?,
            server_key: write("apiserver.key", &server_key.serialize_pem())?,
            accounts_key: write("accounts.key", &accounts.serialize_pem())?,
            accounts_public_key: write("accounts.pub", &accounts.public_key_pem())?,
        })
    }
}
