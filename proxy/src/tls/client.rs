//! Certificates of callers at the border: who signed them, and what backends are told of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use model::gateway::FrontendValidationMode;
use model::secret::{CA_ENTRY, ConfigMap};
use model::{Invalid, Key, Kind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConnection, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use table::ClientValidation;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::{X509Name, X509Version};

/// The most that backends are told of one certificate, in bytes.
const MOST: usize = 4 << 10;

/// Why nobody could prove anything by what a ConfigMap holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It holds no certificate.
    #[error("holds no PEM certificate")]
    Nothing,
    /// What stands between the PEM lines is none, or one that may sign no other.
    #[error("certificate {0} is none that an authority can have")]
    Odd(usize),
    /// rustls takes none of them.
    #[error("no certificate of it can be used")]
    Refused(#[from] VerifierBuilderError),
}

/// What is wrong with the certificates of authorities in a ConfigMap; nothing with one that has no `ca.crt`.
///
/// Said before a table is assembled, so that its last good form stays in force.
pub fn check(map: &ConfigMap) -> Vec<Invalid> {
    let Some(Err(error)) = map.data.get(CA_ENTRY).map(|pem| read(pem)) else { return Vec::new() };
    let meta = &map.metadata;
    vec![Invalid {
        key: Some(Key::new(Kind::ConfigMap, meta.namespace.clone(), meta.name.clone())),
        path: format!("data['{CA_ENTRY}']"),
        line: None,
        reason: error.to_string(),
        nearest: None,
    }]
}

/// The authorities of a text in PEM.
pub(super) fn read(pem: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (index, one) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let odd = || Error::Odd(index + 1);
        let one = one.map_err(|_| odd())?;
        let (_, read) = X509Certificate::from_der(&one).map_err(|_| odd())?;
        // Those of version 1 cannot say so.
        if read.version() == X509Version::V3 && !read.is_ca() {
            return Err(odd());
        }
        roots.add(one).map_err(|_| odd())?;
    }
    if roots.is_empty() { Err(Error::Nothing) } else { Ok(roots) }
}

/// What callers are asked to prove.
#[derive(Debug)]
pub(crate) struct Asks {
    pub(crate) of: Arc<ClientValidation>,
    by: Arc<dyn ClientCertVerifier>,
}

/// What is known of a caller once the handshake is over.
#[derive(Debug)]
pub(crate) enum Known {
    /// Who proved it.
    Proved(Arc<Client>),
    /// Nobody, which is enough.
    Nobody,
    /// Nobody, and that is not enough.
    Unproved,
}

/// A caller's certificate that an authority signed.
#[derive(Debug)]
pub(crate) struct Client {
    /// SHA-256 of it, in lower-case hexadecimal.
    pub(crate) fingerprint: Box<str>,
    /// What policies know of it.
    pub(crate) facts: policy::Certificate,
    /// What backends are told of it: `X-Forwarded-Client-Cert`.
    pub(crate) told: HeaderValue,
    /// When it ends.
    pub(crate) until: SystemTime,
}

impl Asks {
    pub(super) fn new(of: &Arc<ClientValidation>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for authority in &of.authorities {
            roots.roots.extend(read(&authority.pem)?.roots);
        }
        let by = WebPkiClientVerifier::builder(Arc::new(roots));
        let by = if of.is_optional { by.allow_unauthenticated() } else { by };
        let by = by.build()?;
        Ok(Asks { of: Arc::clone(of), by })
    }

    /// What asks for them during the handshake.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match self.of.mode {
            FrontendValidationMode::AllowValidOnly => Arc::clone(&self.by),
            FrontendValidationMode::AllowInsecureFallback => {
                Arc::new(Lenient(Arc::clone(&self.by)))
            }
        }
    }

    /// What a handshake proved.
    pub(crate) fn known(&self, session: &ServerConnection) -> Known {
        let is_lenient = self.of.mode == FrontendValidationMode::AllowInsecureFallback;
        let Some([leaf, above @ ..]) = session.peer_certificates() else {
            let is_enough = is_lenient || self.of.is_optional;
            return if is_enough { Known::Nobody } else { Known::Unproved };
        };
        // Else that was looked at during the handshake.
        if is_lenient && let Err(error) = self.by.verify_client_cert(leaf, above, UnixTime::now()) {
            tracing::debug!(%error, "a caller's certificate proves nothing");
            return Known::Nobody;
        }
        match Client::of(leaf) {
            Some(client) => Known::Proved(Arc::new(client)),
            None if is_lenient => Known::Nobody,
            None => Known::Unproved,
        }
    }
}

/// Asks for a certificate, and goes on whatever comes. That who shows one has its key is proved all the same.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _above: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl Client {
    /// Of a certificate that was verified; none where it cannot be read.
    fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let sum = digest(&SHA256, leaf);
        let fingerprint = wire::digest::hex(sum.as_ref());
        let sha256 = sum.as_ref().try_into().ok()?;
        let mut facts = policy::Certificate { sha256, ..policy::Certificate::default() };
        let (_, read) = X509Certificate::from_der(leaf).ok()?;
        let mut told = format!("Hash={fingerprint}");
        let subject = format!(";Subject=\"{}\"", subject(read.subject()));
        let names = read.extensions().iter().filter_map(|one| match one.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        let names = names.flatten().filter_map(|name| match name {
            GeneralName::URI(uri) => {
                facts.uris.push((*uri).into());
                Some((0, format!(";URI={}", value(uri)?)))
            }
            GeneralName::DNSName(name) => {
                facts.dns.push(name.to_ascii_lowercase().into());
                Some((1, format!(";DNS={}", value(name)?)))
            }
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        names.sort_by_key(|(order, _)| *order);
        // What is too long to be told whole is left out.
        for element in [subject].into_iter().chain(names.into_iter().map(|(_, name)| name)) {
            if told.len() + element.len() <= MOST {
                told.push_str(&element);
            }
        }
        let ends = u64::try_from(read.validity().not_after.timestamp()).unwrap_or_default();
        Some(Client {
            fingerprint: fingerprint.into(),
            facts,
            told: HeaderValue::try_from(told).ok()?,
            until: UNIX_EPOCH + Duration::from_secs(ends),
        })
    }
}

/// A name as text (RFC 4514): the last of its parts first. Whatever could be taken for something else, or is
/// no visible ASCII, stands as the hexadecimal of its bytes.
fn subject(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        for (at, attribute) in part.iter().enumerate() {
            if index + at > 0 {
                text.push(if at > 0 { '+' } else { ',' });
            }
            let of = attribute.attr_type();
            match SHORT.iter().find(|(oid, _)| of.to_id_string() == *oid) {
                Some((_, short)) => text.push_str(short),
                None => text.push_str(&of.to_id_string()),
            }
            text.push('=');
            let bytes = attribute.as_slice();
            for (place, &byte) in bytes.iter().enumerate() {
                let is_edge = place == 0 || place + 1 == bytes.len();
                let is_plain = byte.is_ascii_graphic() && !b"\"+,;<>=\\#".contains(&byte);
                if is_plain || (byte == b' ' && !is_edge) {
                    text.push(char::from(byte));
                } else {
                    let _infallible = write!(text, "\\{byte:02X}");
                }
            }
        }
    }
    text
}

/// What RFC 4514, section 3, calls attributes.
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// A name of a certificate as the value of an element, quoted where it has a character that parts elements;
/// none where it has one that no such name has.
fn value(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    match text.contains([',', ';', '=', '"', '\\']) {
        true => Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        false => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
