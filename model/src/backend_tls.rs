//! BackendTLSPolicy (`gateway.networking.k8s.io/v1`): how TLS is spoken to the endpoints of a Service, and
//! who must answer there, field for field.
//!
//! Where one holds, nothing goes to them in the clear; where it cannot be used, nothing goes to them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Hostname, Key, Kind, Meta, Name};

/// By what backends prove who they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackendTLSPolicy")]
pub struct BackendTlsPolicy {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: BackendTlsPolicySpec,
}

/// `spec` of a BackendTLSPolicy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTlsPolicySpec {
    /// The Services that it holds for, in its own namespace.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<ServicePortRef>,
    /// Who must answer there.
    pub validation: BackendTlsValidation,
    /// Options of others. Heddle has none of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A Service, or one port of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePortRef {
    /// API group; empty, since a Service is of the core group.
    pub group: String,
    /// `Service`.
    pub kind: String,
    /// Its name, in the policy's own namespace.
    pub name: Name,
    /// The name of one of its ports; what names one counts before what names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<Name>,
}

/// Who must answer: whose certificate one of the authorities signed, and who it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTlsValidation {
    /// ConfigMaps that hold certificates of authorities, in PEM under `ca.crt`; any of them may have signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ca_certificate_refs: Vec<LocalRef>,
    /// Authorities that everybody knows, in the place of `caCertificateRefs`.
    #[serde(default, rename = "wellKnownCACertificates", skip_serializing_if = "Option::is_none")]
    pub well_known_ca_certificates: Option<WellKnownAuthorities>,
    /// The server name that is asked for, and for which the certificate must be where `subjectAltNames` says
    /// nothing else.
    pub hostname: Hostname,
    /// For one of these the certificate must be, in the place of `hostname`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A reference to an object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalRef {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: Name,
}

/// The word of `wellKnownCACertificates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WellKnownAuthorities {
    /// Those that Mozilla believes, as this version knows them.
    System,
}

/// A name in a certificate; exactly the field of its type is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectAltName {
    /// What sort of name.
    #[serde(rename = "type")]
    pub kind: SubjectAltNameType,
    /// A host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// A URI, such as a SPIFFE ID, character for character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub uri: Option<String>,
}

/// The word of `subjectAltNames[].type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectAltNameType {
    /// A name of the DNS.
    Hostname,
    /// A URI.
    #[serde(rename = "URI")]
    Uri,
}

impl BackendTlsPolicy {
    /// The Services that it holds for.
    pub fn targets(&self) -> impl Iterator<Item = Key> {
        let own = &self.metadata.namespace;
        let targets = self.spec.target_refs.iter();
        targets.map(|target| Key::new(Kind::Service, own.clone(), target.name.clone()))
    }

    /// The ConfigMaps of authorities that it names.
    pub fn authorities(&self) -> impl Iterator<Item = Key> {
        let own = &self.metadata.namespace;
        let refs = self.spec.validation.ca_certificate_refs.iter();
        refs.map(|to| Key::new(Kind::ConfigMap, own.clone(), to.name.clone()))
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            at.each("targetRefs", &spec.target_refs, |at, target| {
                if !target.group.is_empty() || target.kind != Kind::Service.as_str() {
                    at.fault_in("kind", "a BackendTLSPolicy holds for Services of the core group");
                }
            });
            at.within("validation", |at| spec.validation.check(at));
            for option in spec.options.keys() {
                let at_option = format!("options['{option}']");
                at.fault_in(
                    &at_option,
                    "this version has no options of a BackendTLSPolicy; remove it",
                );
            }
        });
    }
}

impl BackendTlsValidation {
    fn check(&self, at: &mut Checker) {
        match (self.ca_certificate_refs.is_empty(), self.well_known_ca_certificates) {
            (true, None) => {
                at.fault("needs 'caCertificateRefs' or 'wellKnownCACertificates': who may sign?");
            }
            (false, Some(_)) => at.fault_in(
                "wellKnownCACertificates",
                "stands in the place of 'caCertificateRefs'; remove one of them",
            ),
            (true, Some(_)) | (false, None) => {}
        }
        at.each("caCertificateRefs", &self.ca_certificate_refs, |at, reference| {
            if !reference.group.is_empty() || reference.kind != Kind::ConfigMap.as_str() {
                at.fault_in("kind", "authorities come from a ConfigMap of the core group");
            }
        });
        check_one_host(at, &self.hostname);
        at.each("subjectAltNames", &self.subject_alt_names, |at, name| name.check(at));
    }
}

impl SubjectAltName {
    fn check(&self, at: &mut Checker) {
        match (self.kind, &self.hostname, &self.uri) {
            (SubjectAltNameType::Hostname, Some(host), None) => check_one_host(at, host),
            (SubjectAltNameType::Uri, None, Some(uri)) => {
                if !is_absolute(uri) {
                    at.fault_in("uri", format!("'{uri}' is no URI with a scheme (RFC 3986)"));
                }
            }
            (SubjectAltNameType::Hostname, _, _) => {
                at.fault("type Hostname needs 'hostname', and 'hostname' alone");
            }
            (SubjectAltNameType::Uri, _, _) => {
                at.fault("type URI needs 'uri', and 'uri' alone");
            }
        }
    }
}

fn check_one_host(at: &mut Checker, host: &Hostname) {
    if host.suffix().is_some() {
        at.fault_in("hostname", "is one host, not a wildcard");
    }
}

/// Whether a text begins like a URI, with a scheme and what it has behind it.
fn is_absolute(uri: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let is_visible = uri.bytes().all(|byte| byte.is_ascii_graphic());
    is_visible
        && uri.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}
