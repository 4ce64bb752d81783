//! A decision under the names that its JSON has, without what is not known.

use serde_json::{Value, json};
use wire::{Decision, Key, Side};

pub(super) fn decision(decision: &Decision) -> Value {
    let Decision { span, parent, trace, link, request, side: at_side, at, took, .. } = decision;
    let Decision { backend_took, table, vector, source, peer, caller, passport, .. } = decision;
    let Decision { method, host, path, port, route, rule, backend, endpoint, .. } = decision;
    let Decision { attempts, status, reason, detail, policy, policy_rule, story, .. } = decision;
    let mut said = json!({
        "span": span, "parent": parent, "trace": trace, "link": link, "request": request,
        "side": side(*at_side), "at": at, "took": took, "backendTook": backend_took,
        "table": table, "vector": vector, "source": source, "peer": peer, "caller": caller,
        "passport": passport, "method": method, "host": host, "path": path, "port": port,
        "route": route.as_ref().map(key), "rule": rule, "backend": backend,
        "endpoint": endpoint, "attempts": attempts, "status": status, "reason": reason,
        "detail": detail, "policy": policy.as_ref().map(key), "policyRule": policy_rule,
        "story": story,
    });
    if let Value::Object(said) = &mut said {
        said.retain(|_, value| !value.is_null());
    }
    said
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Edge => "edge",
        Side::Outbound => "outbound",
        Side::Inbound => "inbound",
    }
}

fn key(Key { kind, namespace, name }: &Key) -> Value {
    json!({ "kind": kind, "namespace": namespace, "name": name })
}
