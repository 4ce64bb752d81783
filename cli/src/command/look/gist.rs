//! What is worth a column for each kind.

use model::Kind;
use serde_json::Value;

use crate::show::{items, word};

/// The heads of the columns.
pub(super) fn heads(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gateway => &["LISTENERS"],
        Kind::ListenerSet => &["GATEWAY", "LISTENERS"],
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute => &["HOSTS", "BACKENDS"],
        Kind::TcpRoute => &["BACKENDS"],
        Kind::UdpRoute => &["BACKENDS"],
        Kind::ReferenceGrant => &["FROM", "TO"],
        Kind::Namespace => &["LABELS"],
        Kind::Service => &["PORTS"],
        Kind::EndpointSlice => &["ENDPOINTS"],
        Kind::Workload => &["CLUSTER", "ADDRESS", "ACCOUNT"],
        Kind::Secret => &["TYPE", "KEYS"],
        Kind::ConfigMap => &["KEYS"],
        Kind::Consumer => &["KEYS", "LABELS"],
        Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy => &["TARGETS"],
        Kind::Api => &["OWNER"],
        Kind::Claim => &["HOSTS"],
        Kind::Workspace => &["NAMESPACES", "CLUSTERS"],
        Kind::Cluster => &["TITLE", "LABELS"],
        Kind::Team => &["MEMBERS"],
        Kind::Role => &["RULES"],
        Kind::Grant => &["ROLE", "TO"],
        Kind::LoginProvider => &["ISSUER"],
    }
}

/// The same for one object.
pub(super) fn cells(kind: Kind, object: &Value) -> Vec<String> {
    match kind {
        Kind::Gateway => vec![listeners(object)],
        Kind::ListenerSet => vec![word(object, "/spec/parentRef/name"), listeners(object)],
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute => {
            vec![hosts(object, "/spec/hostnames"), backends(object)]
        }
        Kind::TcpRoute => vec![backends(object)],
        Kind::UdpRoute => vec![backends(object)],
        Kind::ReferenceGrant => vec![
            join(items(object, "/spec/from"), |from| {
                format!("{}/{}", word(from, "/namespace"), word(from, "/kind"))
            }),
            join(items(object, "/spec/to"), |to| match to.get("name") {
                Some(name) => format!("{}/{}", word(to, "/kind"), word(name, "")),
                None => word(to, "/kind"),
            }),
        ],
        Kind::Namespace => vec![labels(object, "/metadata/labels", "")],
        Kind::Service => vec![join(items(object, "/spec/ports"), |port| word(port, "/port"))],
        Kind::EndpointSlice => {
            vec![join(items(object, "/endpoints"), |one| word(one, "/addresses"))]
        }
        Kind::Workload => vec![
            word(object, "/spec/cluster"),
            word(object, "/spec/address"),
            word(object, "/spec/serviceAccount"),
        ],
        Kind::Secret => vec![word(object, "/type"), keys(object, "/data")],
        Kind::ConfigMap => vec![keys(object, "/data")],
        Kind::Consumer => vec![
            join(items(object, "/spec/keys"), |key| match key.get("until") {
                Some(until) => format!("{} until {}", word(key, "/name"), word(until, "")),
                None => word(key, "/name"),
            }),
            labels(object, "/metadata/labels", ""),
        ],
        Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy => {
            vec![join(items(object, "/spec/targetRefs"), |target| {
                format!("{}/{}", word(target, "/kind"), word(target, "/name"))
            })]
        }
        Kind::Api => vec![word(object, "/spec/owner")],
        Kind::Claim => vec![hosts(object, "/spec/hosts")],
        Kind::Workspace => {
            vec![word(object, "/spec/namespaces"), labels(object, "/spec/clusters", "all")]
        }
        Kind::Cluster => {
            vec![word(object, "/spec/title"), labels(object, "/metadata/labels", "")]
        }
        Kind::Team => vec![word(object, "/spec/members")],
        Kind::Role => vec![items(object, "/spec/rules").len().to_string()],
        Kind::Grant => vec![given(object), subjects(object)],
        Kind::LoginProvider => vec![word(object, "/spec/issuer")],
    }
}

fn listeners(object: &Value) -> String {
    join(items(object, "/spec/listeners"), |listener| {
        let [name, protocol, port] = ["/name", "/protocol", "/port"].map(|at| word(listener, at));
        format!("{name}:{protocol}/{port}")
    })
}

/// The role that a Grant gives, or how many rules of its own.
fn given(grant: &Value) -> String {
    match items(grant, "/spec/rules").len() {
        0 => word(grant, "/spec/role"),
        1 => "1 rule".to_owned(),
        rules => format!("{rules} rules"),
    }
}

/// Labels as people write them; `none` where there are none.
fn labels(object: &Value, at: &str, none: &str) -> String {
    let labels = object.pointer(at).and_then(Value::as_object);
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()));
    let all: Vec<_> = labels.collect();
    if all.is_empty() { none.to_owned() } else { all.join(",") }
}

fn hosts(object: &Value, at: &str) -> String {
    let told = |claim: &Value| match items(claim, "/paths") {
        [] => vec![word(claim, if claim.is_object() { "/host" } else { "" })],
        paths => {
            let host = word(claim, "/host");
            paths.iter().map(|path| format!("{host}{}", word(path, ""))).collect()
        }
    };
    distinct(items(object, at).iter().flat_map(told))
}

fn subjects(object: &Value) -> String {
    join(items(object, "/spec/subjects"), |subject| match subject.get("team") {
        Some(team) => format!("team/{}", word(team, "")),
        None => format!("user/{}", word(subject, "/user")),
    })
}

fn keys(object: &Value, at: &str) -> String {
    let keys = object.pointer(at).and_then(Value::as_object).into_iter().flatten();
    distinct(keys.map(|(key, _)| key.clone()))
}

fn join(items: &[Value], told: impl Fn(&Value) -> String) -> String {
    distinct(items.iter().map(told))
}

/// Each word once, in the order in which they came; `-` for none.
fn distinct(words: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    if seen.is_empty() { "-".to_owned() } else { seen.join(",") }
}

/// The backends of a route, each once.
fn backends(object: &Value) -> String {
    let rules = items(object, "/spec/rules").iter();
    let backends = rules.flat_map(|rule| items(rule, "/backendRefs"));
    distinct(backends.map(|backend| word(backend, "/name")))
}
