//! Certificates of a test: one authority, what it signs, and who believes it or anybody.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

/// An authority that exists for one test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pem: String,
}

/// A certificate with its key, as a Secret holds them.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate in PEM.
    pub chain: String,
    /// The key in PEM.
    pub key: String,
    /// The certificate as a client sees it.
    pub der: CertificateDer<'static>,
}

/// A certificate with its key, as one shows them.
pub type Papers = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).expect("an authority's certificate");
        let (pem, root) = (root.pem(), root.der().clone());
        Authority { issuer: Issuer::new(params, key), root, pem }
    }

    /// Its own certificate in PEM, for clients that are told of it by a file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a new certificate for `host`, with a new key.
    pub fn sign(&self, host: &str) -> Certificate {
        self.sign_as(&[host], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The same, with a key for RSA.
    pub fn sign_rsa(&self, host: &str) -> Certificate {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        self.sign_key(&key, &[host], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Signs a new certificate by which a client is known.
    pub fn sign_client(&self, host: &str) -> Certificate {
        self.sign_as(&[host], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server whose certificate has these names, hosts and URIs; it asks for a certificate that `callers`
    /// signed.
    ///
    /// # Panics
    /// Where one of them is no name.
    pub fn server(&self, names: &[&str], callers: Option<&Authority>) -> Arc<ServerConfig> {
        let certificate = self.sign_as(names, ExtendedKeyUsagePurpose::ServerAuth);
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions");
        let config = match callers {
            None => config.with_no_client_auth(),
            Some(callers) => {
                let mut roots = RootCertStore::empty();
                roots.add(callers.root.clone()).expect("the authority is a certificate");
                let check = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(check.build().expect("it has a root"))
            }
        };
        let config = config.with_single_cert(vec![certificate.der], key);
        let mut config = config.expect("a certificate and its key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn sign_as(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Certificate {
        self.sign_key(&KeyPair::generate().expect("a key"), names, usage)
    }

    fn sign_key(
        &self,
        key: &KeyPair,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Certificate {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        let named = names.iter().map(|name| match name.contains("://") {
            true => SanType::URI((*name).try_into().expect("a URI is ASCII")),
            false => SanType::DnsName((*name).try_into().expect("a host is ASCII")),
        });
        params.subject_alt_names = named.collect();
        params.distinguished_name.push(DnType::CommonName, names.join(" "));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
        params.not_before = (now - day).into();
        params.not_after = (now + 30 * day).into();
        let signed = params.signed_by(key, &self.issuer).expect("a certificate");
        Certificate { chain: signed.pem(), key: key.serialize_pem(), der: signed.der().clone() }
    }

    /// Signs papers for whoever is called `uri`, good for both sides of TLS.
    ///
    /// # Panics
    /// Where it is no URI.
    pub fn sign_uri(&self, uri: &str) -> Papers {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI is ASCII"))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![signed.der().clone()], PrivateKeyDer::Pkcs8(key))
    }

    /// A client that believes this authority and offers `alpn`.
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.client_showing(None);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        // Each handshake is a whole one, so that it shows the certificate of now.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }

    /// A client that believes this authority, shows `papers` if it has any, and resumes sessions.
    ///
    /// # Panics
    /// Where they are no certificate with its key.
    pub fn client_showing(&self, papers: Option<Papers>) -> ClientConfig {
        self.client_speaking(rustls::DEFAULT_VERSIONS, papers)
    }

    /// The same, of these versions of TLS.
    ///
    /// # Panics
    /// Where the papers are no certificate with its key.
    pub fn client_speaking(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        papers: Option<Papers>,
    ) -> ClientConfig {
        self.client_able(rustls::crypto::aws_lc_rs::default_provider(), versions, papers)
    }

    /// The same, that can do what `provider` can.
    ///
    /// # Panics
    /// Where the papers are no certificate with its key, or the provider has no suite of a version.
    pub fn client_able(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        papers: Option<Papers>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("the authority is a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the provider has these versions");
        let config = config.with_root_certificates(roots);
        match papers {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a certificate"),
            None => config.with_no_client_auth(),
        }
    }
}

/// A client that believes any server and speaks HTTP/2 as the mesh does; it shows `papers`, if it has
/// any.
///
/// # Panics
/// Where they are no certificate with its key.
pub fn credulous(papers: Option<Papers>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous::new(provider)));
    let mut tls = match papers {
        Some((chain, key)) => tls.with_client_auth_cert(chain, key).expect("a certificate"),
        None => tls.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(tls)
}

/// A client's check that believes any server: for measuring one, and for looking at whom it lets in.
#[derive(Debug)]
pub struct Credulous(Arc<CryptoProvider>);

impl Credulous {
    /// With what signatures are checked by elsewhere.
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Credulous(provider)
    }
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
