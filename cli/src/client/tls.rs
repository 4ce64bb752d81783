//! Whom a server's certificate must come from.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::failure::Failure;

/// Where systems keep the certificates that they trust.
const PLATFORM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Certificates that are trusted, ready for use.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// Trusts the certificates in the PEM file `ca` and no others; or, without one, the platform's.
    ///
    /// # Errors
    /// If the file holds none that can be used, or the platform has none.
    pub(crate) fn load(ca: Option<&Path>) -> Result<Self, Failure> {
        let platform = || PLATFORM.iter().map(Path::new).find(|path| path.is_file());
        let path = ca.or_else(platform).ok_or_else(|| {
            let why = "this system has no file of trusted certificates; name one by --ca FILE";
            Failure::Failed(why.to_owned())
        })?;
        let reading = format!("reading certificates from {}", path.display());
        let failed = |error: &dyn std::fmt::Display| Failure::of(&reading, error);
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
        for certificate in certificates {
            let added = roots.add(certificate.map_err(|error| failed(&error))?);
            if let (Err(error), Some(_)) = (added, ca) {
                return Err(failed(&error));
            }
        }
        if roots.is_empty() {
            return Err(failed(&"there is none in it"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::of("setting up TLS", error))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Trust(Arc::new(config)))
    }

    /// Shakes hands with the server `host` over `stream`.
    pub(super) async fn shake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.0.clone()).connect(name, stream).await
    }
}
