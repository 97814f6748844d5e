//! TLS to Redis, as small as it can be: what a client without a certificate of its own needs, and nothing for servers.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fmt, slice};

use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, Error, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems have the certificates of the authorities that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/ssl/cert.pem",
];

pub struct Tls {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl Tls {
    /// `authorities`: a file with the certificates that are trusted, in PEM; the system's, if there is none.
    ///
    /// # Errors
    /// No certificates, or a host that none can be for.
    pub fn new(host: &str, authorities: Option<&Path>) -> io::Result<Tls> {
        let host = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()));
        let versions = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let config = versions.with_root_certificates(roots(authorities)?).with_no_client_auth();
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), host })
    }

    /// # Errors
    /// Among others, a server whose certificate is not for this host, or not by a trusted authority.
    pub async fn wrap(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.host.clone(), stream).await
    }
}

fn roots(authorities: Option<&Path>) -> io::Result<RootCertStore> {
    let chosen = env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let named = authorities.map(Path::to_owned).or(chosen);
    let files = BUNDLES.map(PathBuf::from);
    let files = named.as_ref().map_or(&files[..], slice::from_ref);
    let Some(file) = files.iter().find(|file| named.is_some() || file.exists()) else {
        return Err(io::Error::new(ErrorKind::NotFound, NO_BUNDLE));
    };
    let unusable = |why: &dyn fmt::Display| {
        let from = if authorities.is_some() { "--redis-ca" } else { "SSL_CERT_FILE or the system" };
        io::Error::other(format!("the certificates in {} ({from}) cannot be used: {why}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        // Bundles may hold some that are too old to be read; those are nobody's any more.
        let _ = roots.add(certificate.map_err(|error| unusable(&error))?);
    }
    if roots.is_empty() { Err(unusable(&"there are none")) } else { Ok(roots) }
}

const NO_BUNDLE: &str = "rediss:// needs the certificates of authorities, and this system has none: name a file with \
                         --redis-ca, in a container one that is mounted, such as the host's \
                         /etc/ssl/certs/ca-certificates.crt";

/// rustls' own, but for ChaCha20, which is for CPUs without AES and costs 50 KB.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        key_provider: &NoKeys,
        ..default_provider()
    }
}

/// Clients show no certificate here, so what reads keys and signs need not be in the binary.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("there are no private keys here".into()))
    }
}
