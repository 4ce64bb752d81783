//! The table in force as `/config` shows it. Secrets are not in it: certificates appear by the name
//! of their Secret.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use table::{Backend, Encryption, Listener, Presented, Rule, State, Table, Target};

use crate::balance::Nearer;
use crate::counts::{Keeping, Standing};
use crate::live::{Endpoint, Live, Service};
use crate::pool::Pool;
use crate::ports::States;
use crate::room::Counts;

/// Everything that is in force, what became of its ports, and how every endpoint is doing.
pub(crate) fn live(live: &Live, ports: &States, now: u64) -> Value {
    let table = &live.table;
    json!({
        "table": table.digest,
        "listeners": table.listeners.iter().map(|one| listener(one, ports)).collect::<Vec<_>>(),
        "rules": table.rules.iter().map(|one| rule(table, one)).collect::<Vec<_>>(),
        "services": services(live, now),
        "backendTls": live.services.iter().filter_map(|one| encryption(table, one)).collect::<serde_json::Map<_, _>>(),
        "traffic": live.services.iter().filter_map(traffic).collect::<serde_json::Map<_, _>>(),
        "connections": live.services.iter().map(connections).collect::<serde_json::Map<_, _>>(),
    })
}

/// How it stands with what limits share; null where they share nothing.
pub(crate) fn redis(standing: Option<Standing>) -> Value {
    let Some(standing) = standing else { return Value::Null };
    let Standing { address, connections, workers, why, .. } = standing;
    json!({ "address": address, "connections": connections, "workers": workers, "why": why })
}

/// Where counts of quotas are kept, and why not; null where nowhere.
pub(crate) fn quotas(keeping: Option<Keeping>) -> Value {
    keeping.map_or(Value::Null, |Keeping { file, why }| json!({ "file": file, "why": why }))
}

fn listener(listener: &Listener, ports: &States) -> Value {
    let (refused, not_open) = match (&listener.state, ports.get(&listener.place())) {
        (State::Refused(why), _) => (Some(why), Some(why.as_str())),
        (State::Serving, Some(Ok(()))) => (None, None),
        (State::Serving, Some(Err(why))) => (None, Some(why.as_str())),
        (State::Serving, None) => (None, Some("it is about to be opened or closed")),
    };
    let certificates: Vec<_> =
        listener.certificates.iter().map(|certificate| certificate.secret.to_string()).collect();
    let asked = listener.client_validation.as_deref().map(|asked| {
        let named = asked.authorities.iter().map(|one| one.config_map.to_string());
        json!({
            "authorities": named.collect::<Vec<_>>(),
            "mode": asked.mode,
            "optional": asked.is_optional,
        })
    });
    let presented = match &listener.presented {
        Presented::Nothing => Value::Null,
        Presented::Certificate(shown) => json!({ "certificate": shown.secret.to_string() }),
        Presented::Unusable(why) => json!({ "unusable": why }),
    };
    json!({
        "gateway": listener.gateway.to_string(),
        "set": listener.set.as_ref().map(ToString::to_string),
        "name": listener.name,
        "port": listener.port,
        "protocol": listener.protocol,
        "scheme": listener.scheme(),
        "passthrough": listener.is_passthrough,
        "hostname": listener.hostname,
        "certificates": certificates,
        "minVersion": listener.ends_tls().then_some(listener.min_version),
        "clientValidation": asked,
        "shownToBackends": presented,
        "refused": refused,
        "open": not_open.is_none(),
        "notOpen": not_open,
    })
}

fn rule(table: &Table, rule: &Rule) -> Value {
    let backend = |backend: &Backend| {
        let to = match backend.target {
            Target::Service(id) => table.services.get(id).map(|service| service.label.to_string()),
            Target::Broken(reason) => Some(reason.to_string()),
        };
        json!({ "weight": backend.weight, "to": to, "filters": backend.filters.is_some() })
    };
    json!({
        "rule": rule.label,
        "route": rule.route.to_string(),
        "backends": rule.backends.iter().map(backend).collect::<Vec<_>>(),
        "requestTimeoutMillis": rule.request_timeout.map(|bound| bound.as_millis() as u64),
        "backendTimeoutMillis": rule.backend_timeout.map(|bound| bound.as_millis() as u64),
        "retry": rule.retry.as_ref().map(|retry| json!({
            "codes": retry.codes,
            "attempts": retry.attempts,
            "backoffMillis": retry.backoff.as_millis() as u64,
        })),
    })
}

/// The endpoints of each service, by its label: those of several protocols where routes lead to its port by
/// several.
fn services(live: &Live, now: u64) -> BTreeMap<&str, Vec<Value>> {
    let (mut told, mut seen) = (BTreeMap::<_, Vec<_>>::new(), HashSet::new());
    let led_to = live.led_to();
    for service in &live.services {
        let states = told.entry(&*service.label).or_default();
        for (index, endpoint) in service.endpoints.iter().enumerate() {
            if seen.insert(Arc::as_ptr(endpoint)) {
                let mut state = endpoint_state(endpoint, now);
                state["ownZone"] = (index < service.own).into();
                state["getsRequests"] =
                    gets_requests((live, &led_to), (service, index), now).into();
                states.push(state);
            }
        }
    }
    told
}

/// The policy that says how a service's requests are spread, where there is one.
fn traffic(service: &Arc<Service>) -> Option<(String, Value)> {
    let name = &service.traffic.as_ref()?.metadata;
    Some((service.label.to_string(), format!("{}/{}", name.namespace, name.name).into()))
}

/// How many connections to a service are open and may be, how many requests wait for one, and how many were
/// refused since there was none.
fn connections(service: &Arc<Service>) -> (String, Value) {
    let Counts { open, most, waiting, refused } = service.room.counts();
    let told = json!({ "open": open, "most": most, "waiting": waiting, "refused": refused });
    (service.label.to_string(), told)
}

/// How what goes to a service is encrypted, or why nothing goes there; none where it goes in the clear.
fn encryption(table: &Table, service: &Arc<Service>) -> Option<(String, Value)> {
    let told = match &table.services.get(service.id)?.encryption {
        Encryption::None => return None,
        Encryption::Tls(tls) => json!({ "wanted": tls.to_string() }),
        Encryption::Closed(why) => json!({ "closed": why }),
    };
    Some((service.label.to_string(), told))
}

/// Whether an endpoint of a service gets requests, and if not why, and until when.
fn gets_requests(
    (live, led_to): (&Live, &HashSet<usize>),
    (service, index): (&Service, usize),
    now: u64,
) -> String {
    if !led_to.contains(&service.id) {
        return "no: no rule leads there, or none with a weight".to_owned();
    }
    let endpoint = &service.endpoints[index];
    let of_table = live.table.services.get(service.id);
    if let Some(Encryption::Closed(why)) = of_table.map(|one| &one.encryption)
        && endpoint.way.is_none()
    {
        return format!("no: nothing is sent there: {why}");
    }
    let (rests, trouble) = (endpoint.load.rests(now), endpoint.load.trouble());
    if !endpoint.load.is_well() {
        if service.is_anybody_as_good(endpoint) {
            return format!("yes, since too few are well for that to count: {trouble}");
        } else if endpoint.load.is_ailing() {
            return format!("no: {trouble}");
        } else if rests.is_zero() {
            return format!("one, by which it is tried: {trouble}");
        }
        return format!("no: {trouble}; tried again in {} ms", rests.as_millis());
    }
    let yes = if of_table.is_some_and(|one| one.is_fallback()) {
        "yes, in the place of others that take none"
    } else {
        "yes"
    };
    match service.nearer_ones(index) {
        Some(Nearer::Cluster) => "no: endpoints in this cluster get them".to_owned(),
        Some(Nearer::Zone) => "no: endpoints in the own zone get them".to_owned(),
        None => match service.bears_with(endpoint) {
            Some(failed) => format!(
                "{yes}, though {failed} requests in a row failed there: it may not rest beside those that do"
            ),
            None => yes.to_owned(),
        },
    }
}

fn endpoint_state(endpoint: &Endpoint, now: u64) -> Value {
    json!({
        "address": endpoint.address,
        "protocol": endpoint.protocol,
        "far": endpoint.is_far,
        "underWay": endpoint.load.under_way(),
        "estimateMicros": endpoint.load.estimate().as_micros() as u64,
        "restsMillis": endpoint.load.rests(now).as_millis() as u64,
        "getsFewerMillis": endpoint.load.eases(now).as_millis() as u64,
        "idleConnections": endpoint.pools.iter().map(Pool::idle).sum::<usize>(),
    })
}
