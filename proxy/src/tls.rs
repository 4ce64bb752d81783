//! TLS at the border: which certificate a caller is shown, by the name it asks for.

use std::collections::HashMap;
use std::sync::Arc;

use model::secret::{Secret, SecretBytes, TLS_SECRET};
use model::{Invalid, Key, Kind};
use policy::{Layer, Scheme};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use table::Table;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Error};

/// Why certificate and key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `tls.crt` holds no certificate.
    #[error("tls.crt holds no PEM certificate")]
    NoCertificate,
    /// What stands between the PEM lines is none.
    #[error("the first certificate of tls.crt is no X.509 certificate")]
    OddCertificate(#[source] x509_parser::nom::Err<X509Error>),
    /// `tls.key` holds no key.
    #[error("tls.key holds no PEM private key")]
    NoKey,
    /// The key is of a sort that is not known.
    #[error("tls.key is of no supported sort (RSA, ECDSA P-256 or P-384, Ed25519)")]
    OddKey(#[source] rustls::Error),
    /// Certificate and key do not belong together.
    #[error("tls.key does not belong to the first certificate of tls.crt")]
    Mismatch,
}

/// What is wrong with a Secret of type `kubernetes.io/tls`; nothing with any other Secret.
///
/// Said before a table is assembled, so that a bad certificate is refused like any bad object and
/// its last good form stays in force.
pub fn check(secret: &Secret) -> Vec<Invalid> {
    if secret.kind != TLS_SECRET {
        return Vec::new();
    }
    let (Some(chain), Some(key)) = (secret.value("tls.crt"), secret.value("tls.key")) else {
        return Vec::new();
    };
    let (chain, key) = (Chain::read(chain), read_key(key));
    let (in_chain, in_key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (None, chain.fits(&key).err()),
        (chain, key) => (chain.err(), key.err()),
    };
    let faults = [("tls.crt", in_chain), ("tls.key", in_key)].into_iter();
    faults.filter_map(|(entry, error)| Some(fault(secret, entry, &error?))).collect()
}

fn fault(secret: &Secret, entry: &str, error: &Error) -> Invalid {
    let meta = &secret.metadata;
    let field = if secret.string_data.contains_key(entry) { "stringData" } else { "data" };
    Invalid {
        key: Some(Key::new(Kind::Secret, meta.namespace.clone(), meta.name.clone())),
        path: format!("{field}['{entry}']"),
        line: None,
        reason: error.to_string(),
        nearest: None,
    }
}

/// A certificate with those that vouch for it, and its public key.
struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    public_key: Vec<u8>,
}

impl Chain {
    fn read(pem: &SecretBytes) -> Result<Self, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.expose())
            .collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate)?;
        let first = certificates.first().ok_or(Error::NoCertificate)?;
        let (_, first) = X509Certificate::from_der(first).map_err(Error::OddCertificate)?;
        let public_key = first.public_key().raw.to_vec();
        Ok(Chain { certificates, public_key })
    }

    /// rustls' own comparison refuses the version 1 certificates that openssl makes without
    /// extensions and that other servers serve; what a certificate is good for, clients judge.
    fn fits(&self, key: &Arc<dyn SigningKey>) -> Result<(), Error> {
        match key.public_key() {
            Some(public) if *public != *self.public_key => Err(Error::Mismatch),
            Some(_) | None => Ok(()),
        }
    }
}

fn read_key(pem: &SecretBytes) -> Result<Arc<dyn SigningKey>, Error> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| Error::NoKey)?;
    any_supported_type(&key).map_err(Error::OddKey)
}

/// A chain and its key, which belong together.
fn certified(chain: &SecretBytes, key: &SecretBytes) -> Result<CertifiedKey, Error> {
    let (chain, key) = (Chain::read(chain)?, read_key(key)?);
    chain.fits(&key)?;
    Ok(CertifiedKey::new(chain.certificates, key))
}

/// What becomes of connections on one port with TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    /// For those that end here and carry HTTP.
    pub(crate) http: Arc<ServerConfig>,
    /// For those that end here and carry anything else, of which nothing is agreed on (RFC 7301).
    pub(crate) bytes: Arc<ServerConfig>,
    /// Whether all are of the first sort, so that nobody need look at a server name first.
    pub(crate) is_http: bool,
}

/// What becomes of connections on each port of `table` with TLS. A certificate that cannot be read is
/// left out: its names get no handshake, everybody else's do.
pub(crate) fn by_port(
    table: &Arc<Table>,
    tickets: &Arc<dyn ProducesTickets>,
) -> HashMap<u16, Arc<Tls>> {
    let mut ports: HashMap<u16, Shown> = HashMap::new();
    for (index, listener) in table.listeners.iter().enumerate() {
        // A refused listener may share its port with somebody's plain HTTP.
        if listener.scheme() != Scheme::Https || !listener.is_serving() {
            continue;
        }
        let port = listener.port;
        let shown = ports.entry(port).or_insert_with(|| Shown::new(Arc::clone(table), port));
        shown.is_http &= listener.layer() == Layer::Request;
        let keys = shown.keys.entry(index).or_default();
        for certificate in &listener.certificates {
            match certified(&certificate.chain_pem, &certificate.key_pem) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(error) => {
                    tracing::error!(secret = %certificate.secret, %error, "certificate left out")
                }
            }
        }
    }
    ports.into_iter().map(|(port, shown)| (port, Arc::new(Tls::new(shown, tickets)))).collect()
}

impl Tls {
    fn new(shown: Shown, tickets: &Arc<dyn ProducesTickets>) -> Self {
        let is_http = shown.is_http;
        let http = config(shown, tickets);
        let mut bytes = http.clone();
        bytes.alpn_protocols.clear();
        Tls { http: Arc::new(http), bytes: Arc::new(bytes), is_http }
    }
}

fn config(shown: Shown, tickets: &Arc<dyn ProducesTickets>) -> ServerConfig {
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Arc::clone(tickets);
    config.send_tls13_tickets = 1;
    config
}

/// The server name of a handshake as hosts are compared: in lower case, without the dot of the root, which
/// names the same host (RFC 6066, section 3, wants none there); empty where it had none.
pub(crate) fn server_name(sent: Option<&str>) -> Box<str> {
    let sent = sent.unwrap_or_default();
    sent.strip_suffix('.').unwrap_or(sent).to_ascii_lowercase().into()
}

/// The certificates that one port shows. Which listener a name selects, the table says, here as for
/// requests.
#[derive(Debug)]
struct Shown {
    table: Arc<Table>,
    port: u16,
    /// Whether every listener there carries HTTP.
    is_http: bool,
    /// By the listener's place in the table.
    keys: HashMap<usize, Vec<Arc<CertifiedKey>>>,
}

impl Shown {
    fn new(table: Arc<Table>, port: u16) -> Self {
        Shown { table, port, is_http: true, keys: HashMap::new() }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = server_name(hello.server_name());
        let keys = self.keys.get(&self.table.listener_index(self.port, &name)?)?;
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        keys.iter().find(fits).cloned()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn pair() -> (SecretBytes, SecretBytes) {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (SecretBytes::new(made.cert.pem()), SecretBytes::new(made.signing_key.serialize_pem()))
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((chain, key), (other, _)) = (pair(), pair());
        assert!(certified(&chain, &key).is_ok());
        assert!(matches!(certified(&other, &key), Err(Error::Mismatch)));
        assert!(matches!(certified(&SecretBytes::new("no"), &key), Err(Error::NoCertificate)));
        assert!(matches!(certified(&chain, &SecretBytes::new("no")), Err(Error::NoKey)));
    }

    #[test]
    fn each_entry_that_is_wrong_is_told_at_its_own_place() {
        let pem = |bytes: &SecretBytes| String::from_utf8(bytes.expose().to_vec()).unwrap();
        let ((chain, key), (_, other)) = (pair(), pair());
        let (chain, key, other) = (pem(&chain), pem(&key), pem(&other));
        let cases: [(&str, &str, &[&str]); 4] = [
            (&chain, &key, &[]),
            ("no", "no", &["stringData['tls.crt']", "stringData['tls.key']"]),
            ("no", &key, &["stringData['tls.crt']"]),
            (&chain, &other, &["stringData['tls.key']"]),
        ];
        for (chain, key, wanted) in cases {
            let secret = serde_json::json!({
                "metadata": { "name": "a" },
                "type": TLS_SECRET,
                "stringData": { "tls.crt": chain, "tls.key": key },
            });
            let faults = check(&serde_json::from_value(secret).unwrap());
            let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
            assert_eq!(paths, wanted);
        }
    }

    /// A DER sequence of 256 bytes or more.
    fn sequence(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], content].concat()
    }

    /// The same certificate as X.509 had it first: no version, no extensions.
    fn version_1(der: &[u8]) -> Vec<u8> {
        const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];
        let (_, modern) = X509Certificate::from_der(der).unwrap();
        let signed = modern.tbs_certificate.as_ref();
        let key = modern.public_key().raw;
        let begin = signed.windows(5).position(|at| at == VERSION_3).unwrap() + VERSION_3.len();
        let end = signed.windows(key.len()).position(|at| at == key).unwrap() + key.len();
        let tail = der.windows(signed.len()).position(|at| at == signed).unwrap() + signed.len();
        sequence(&[&sequence(&signed[begin..end])[..], &der[tail..]].concat())
    }

    #[test]
    fn a_certificate_of_version_1_is_served() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let old = version_1(made.cert.der());
        let (_, read) = X509Certificate::from_der(&old).unwrap();
        assert_eq!(read.version(), x509_parser::x509::X509Version::V1);
        let pem = |der: &[u8]| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            SecretBytes::new(format!(
                "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
            ))
        };
        let key = SecretBytes::new(made.signing_key.serialize_pem());
        assert!(certified(&pem(&old), &key).is_ok());
        assert!(matches!(certified(&pem(&old), &pair().1), Err(Error::Mismatch)));
        assert!(matches!(certified(&pem(b"no"), &key), Err(Error::OddCertificate(_))));
    }
}
