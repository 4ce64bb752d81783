//! The resources that tests write, as anyone would write them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::trust::{Authority, Certificate};

/// The namespace of everything that says nothing else.
pub const NAMESPACE: &str = "shop";
/// The Gateway that routes attach to.
pub const GATEWAY: &str = "edge";

/// One document: `kind` `name` with `rest` below `metadata`.
pub fn document(api: &str, kind: &str, name: &str, rest: &str) -> String {
    format!(
        "apiVersion: {api}\nkind: {kind}\nmetadata: {{ name: {name}, namespace: {NAMESPACE} }}\n\
         {}\n",
        rest.trim_end()
    )
}

/// The Gateway with these listeners.
pub fn gateway(listeners: &[String]) -> String {
    let listeners: String = listeners.iter().map(|one| format!("    - {one}\n")).collect();
    let rest = format!("spec:\n  gatewayClassName: heddle\n  listeners:\n{listeners}");
    document("gateway.networking.k8s.io/v1", "Gateway", GATEWAY, &rest)
}

/// The Gateway with these listeners, which asks callers for certificates as `asked` says, and shows backends
/// the one in the Secret `shown`.
pub fn proving_gateway(listeners: &[String], asked: Option<&str>, shown: Option<&str>) -> String {
    let mut text = gateway(listeners);
    if asked.is_some() || shown.is_some() {
        text.push_str("  tls:\n");
    }
    if let Some(validation) = asked {
        text.push_str(&format!("    frontend: {{ default: {{ validation: {validation} }} }}\n"));
    }
    if let Some(secret) = shown {
        text.push_str(&format!("    backend: {{ clientCertificateRef: {{ name: {secret} }} }}\n"));
    }
    text
}

/// A ConfigMap with the certificate of an authority.
pub fn bundle(name: &str, authority: &Authority) -> String {
    let pem = indent(authority.pem()).replace("  ", "    ");
    document("v1", "ConfigMap", name, &format!("data:\n  ca.crt: |\n{pem}"))
}

/// A listener of plain HTTP for every host.
pub fn http(name: &str, port: u16) -> String {
    format!("{{ name: {name}, port: {port}, protocol: HTTP }}")
}

/// A listener of plain HTTP for `host`.
pub fn http_for(name: &str, port: u16, host: &str) -> String {
    format!("{{ name: {name}, port: {port}, protocol: HTTP, hostname: '{host}' }}")
}

/// A listener of HTTPS for `host`, with the certificate in the Secret `secret`.
pub fn https(name: &str, port: u16, host: &str, secret: &str) -> String {
    format!(
        "{{ name: {name}, port: {port}, protocol: HTTPS, hostname: '{host}', \
         tls: {{ certificateRefs: [{{ name: {secret} }}] }} }}"
    )
}

/// An HTTPRoute attached to the Gateway; `spec` is what follows `parentRefs`.
pub fn route(name: &str, spec: &str) -> String {
    let rest = format!("spec:\n  parentRefs: [{{ name: {GATEWAY} }}]\n{}", indent(spec));
    document("gateway.networking.k8s.io/v1", "HTTPRoute", name, &rest)
}

/// An HTTPRoute of everything below `path` to the Service `service`.
pub fn path_route(name: &str, path: &str, service: &str) -> String {
    route(
        name,
        &format!(
            "rules:\n  - matches: [{{ path: {{ value: {path} }} }}]\n    \
             backendRefs: [{{ name: {service}, port: 80 }}]"
        ),
    )
}

/// A Service with port 80 at these addresses.
pub fn service(name: &str, addresses: &[SocketAddr]) -> String {
    service_speaking(name, "http", addresses)
}

/// The same, of another `appProtocol`.
pub fn service_speaking(name: &str, protocol: &str, addresses: &[SocketAddr]) -> String {
    let ports = format!("spec:\n  ports: [{{ port: 80, appProtocol: {protocol} }}]");
    let mut documents = vec![document("v1", "Service", name, &ports)];
    for (index, address) in addresses.iter().enumerate() {
        documents.push(slice(&format!("{name}-{index}"), name, *address));
    }
    join(&documents)
}

/// One endpoint of `service`.
pub fn slice(name: &str, service: &str, address: SocketAddr) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}\n  \
         namespace: {NAMESPACE}\n  labels: {{ kubernetes.io/service-name: {service} }}\n\
         addressType: IPv4\nports: [{{ port: {} }}]\nendpoints: [{{ addresses: ['{}'] }}]\n",
        address.port(),
        address.ip()
    )
}

/// A Secret of text values.
pub fn secret(name: &str, values: &[(&str, &str)]) -> String {
    let mut rest = "type: Opaque\nstringData:\n".to_owned();
    for (key, value) in values {
        writeln!(rest, "  {key}: '{value}'").expect("a String takes everything");
    }
    document("v1", "Secret", name, &rest)
}

/// A Secret of type `kubernetes.io/tls`.
pub fn tls_secret(name: &str, certificate: &Certificate) -> String {
    let block = |text: &str| indent(text).replace("  ", "    ");
    let rest = format!(
        "type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        block(&certificate.chain),
        block(&certificate.key)
    );
    document("v1", "Secret", name, &rest)
}

/// An AccessPolicy.
pub fn policy(name: &str, spec: &str) -> String {
    let rest = format!("spec:\n{}", indent(spec));
    document("heddle.dev/v1alpha1", "AccessPolicy", name, &rest)
}

/// An AuthnPolicy of one object, as a target is written: callers have the keys of a Secret of this name.
pub fn keys(name: &str, target: &str, secret: &str) -> String {
    let spec = format!(
        "targetRefs: [{{ kind: {target} }}]\n\
         methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: {secret} }} }} }}]"
    );
    authn(name, &spec)
}

/// An AuthnPolicy.
pub fn authn(name: &str, spec: &str) -> String {
    let rest = format!("spec:\n{}", indent(spec));
    document("heddle.dev/v1alpha1", "AuthnPolicy", name, &rest)
}

/// A RateLimitPolicy.
pub fn limits(name: &str, spec: &str) -> String {
    let rest = format!("spec:\n{}", indent(spec));
    document("heddle.dev/v1alpha1", "RateLimitPolicy", name, &rest)
}

/// A Consumer with keys by name: each the key itself, and what else is said of it (`until: ...`).
pub fn consumer(name: &str, keys: &[(&str, &str, &str)]) -> String {
    let keys: String = keys
        .iter()
        .map(|(name, key, more)| {
            let digest = wire::digest::hex(&wire::digest::bytes(key.as_bytes()));
            format!("    - {{ name: {name}, sha256: {digest}, {more} }}\n")
        })
        .collect();
    document("heddle.dev/v1alpha1", "Consumer", name, &format!("spec:\n  keys:\n{keys}"))
}

/// A TrafficPolicy for the Service of its name.
pub fn traffic(name: &str, spec: &str) -> String {
    let targets = format!("targetRefs: [{{ group: \"\", kind: Service, name: {name} }}]\n");
    let rest = format!("spec:\n{}", indent(&(targets + spec)));
    document("heddle.dev/v1alpha1", "TrafficPolicy", name, &rest)
}

/// A BackendTLSPolicy for the Service of its name; `validation` is what stands in that field.
pub fn backend_tls(name: &str, validation: &str) -> String {
    let targets = format!("targetRefs: [{{ group: \"\", kind: Service, name: {name} }}]");
    let rest = format!("spec:\n  {targets}\n  validation: {validation}");
    document("gateway.networking.k8s.io/v1", "BackendTLSPolicy", name, &rest)
}

/// Several documents as one text.
pub fn join(documents: &[String]) -> String {
    documents.join("---\n")
}

/// Two columns right of the left edge, wherever the text stood in a test's source.
fn indent(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let margin = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines().map(|line| format!("  {}\n", &line[margin..])).collect()
}
