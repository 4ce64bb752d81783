//! The endpoints of Services.

use std::collections::BTreeMap;

use axum::response::Response;
use model::{Key, Kind, Name};
use schemars::JsonSchema;
use serde::Serialize;
use wire::Cause;

use super::answer;
use super::ask::Ask;
use super::problem::Problem;
use crate::Refusal;
use crate::app::{EndpointNow, Endpoints, PortEndpoints, RestingAt};

/// A Service as its endpoints do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Endpoints")]
pub(super) struct EndpointsShape {
    /// Each port, in order.
    ports: Vec<PortShape>,
}

/// The endpoints behind one port of a Service.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PortEndpoints")]
struct PortShape {
    /// The port that routes name.
    port: u16,
    /// Whether a route leads to it; where none does, nobody sends anything there.
    led_to: bool,
    /// By address.
    endpoints: Vec<EndpointShape>,
}

/// An endpoint, and who sends it nothing.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointNow")]
struct EndpointShape {
    /// `IP:PORT`.
    address: String,
    /// Whether its EndpointSlice, or Workload, says that it is ready; nobody sends anything where not.
    ready: bool,
    /// The nodes that send it nothing, or one request at a time, as they said a few seconds ago at most
    /// to the server that answers.
    resting: Vec<RestingShape>,
    /// How many nodes more do so that you may not see.
    hidden: usize,
    /// The same in words: whether it gets requests, and if not, why.
    gets_requests: String,
}

/// A node that sends an endpoint nothing.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RestingEndpoint")]
struct RestingShape {
    cluster: String,
    node: String,
    cause: CauseShape,
    /// What was wrong last, in words; absent where that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    trouble: String,
}

/// Why a node sends an endpoint nothing.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RestingCause")]
enum CauseShape {
    /// It does not answer health checks as it should.
    Unhealthy,
    /// Requests to it failed, or it could not be reached.
    Failing,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let (namespace, name) = (ask.part("namespace"), ask.part("name"));
    let (Ok(namespace), Ok(name)) = (Name::parse(namespace), Name::parse(name)) else {
        return Err(Refusal::None(format!("Service {namespace}/{name}")).into());
    };
    let key = Key::new(Kind::Service, namespace, name);
    let Endpoints { ports } = ask.app().endpoint_list(&ask.op()?, &key).await?;
    Ok(answer::ok(&EndpointsShape { ports: ports.into_iter().map(port).collect() }))
}

fn port(port: PortEndpoints) -> PortShape {
    let PortEndpoints { port, is_led_to, endpoints } = port;
    let endpoints = endpoints.into_iter().map(|one| endpoint(one, is_led_to)).collect();
    PortShape { port, led_to: is_led_to, endpoints }
}

fn endpoint(one: EndpointNow, is_led_to: bool) -> EndpointShape {
    EndpointShape {
        address: one.address.to_string(),
        ready: one.is_ready,
        gets_requests: words(&one, is_led_to),
        hidden: one.hidden,
        resting: one.resting.into_iter().map(resting).collect(),
    }
}

fn resting(one: RestingAt) -> RestingShape {
    let cause = match one.cause {
        Cause::Unhealthy => CauseShape::Unhealthy,
        Cause::Failing => CauseShape::Failing,
    };
    RestingShape { cluster: one.cluster, node: one.node, cause, trouble: one.trouble }
}

fn words(one: &EndpointNow, is_led_to: bool) -> String {
    if !one.is_ready {
        return "no: its EndpointSlice says that it is not ready".to_owned();
    }
    if !is_led_to {
        return "no: no route leads to this port".to_owned();
    }
    let mut nodes = BTreeMap::<_, Vec<_>>::new();
    for at in &one.resting {
        let of_this = nodes.entry((at.cause, at.trouble.as_str())).or_default();
        of_this.push(format!("{}/{}", at.cluster, at.node));
    }
    let told = nodes.into_iter().map(|((cause, trouble), nodes)| {
        let why = match (cause, trouble) {
            (Cause::Unhealthy, "") => "it does not answer health checks as it should".to_owned(),
            (Cause::Failing, "") => {
                "requests to it failed, or it could not be reached; single ones try it again"
                    .to_owned()
            }
            (Cause::Unhealthy, trouble) => trouble.to_owned(),
            (Cause::Failing, trouble) => format!("{trouble}; single requests try it again"),
        };
        format!("not from {}: {why}", nodes.join(", "))
    });
    let mut parts: Vec<_> = told.collect();
    if one.hidden > 0 {
        parts.push(format!("not from {} more that you may not see", one.hidden));
    }
    if parts.is_empty() { "yes".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_says_whether_it_gets_requests_and_why_not() {
        let of = |node: &str, cause, trouble: &str| RestingAt {
            cluster: "east".into(),
            node: node.into(),
            cause,
            trouble: trouble.into(),
        };
        let at = |node: &str, cause| of(node, cause, "");
        let one = |is_ready, resting, hidden| EndpointNow {
            address: "10.0.0.1:80".parse().unwrap(),
            is_ready,
            resting,
            hidden,
        };
        assert_eq!(words(&one(true, vec![], 0), true), "yes");
        assert_eq!(words(&one(true, vec![], 0), false), "no: no route leads to this port");
        let told = words(&one(false, vec![at("a", Cause::Failing)], 0), true);
        assert_eq!(told, "no: its EndpointSlice says that it is not ready");
        let resting = vec![at("a", Cause::Failing), at("b", Cause::Unhealthy)];
        let told = words(&one(true, resting, 2), true);
        let wanted = "not from east/b: it does not answer health checks as it should; \
            not from east/a: requests to it failed, or it could not be reached; single ones try it \
            again; not from 2 more that you may not see";
        assert_eq!(told, wanted);
        let refused = "it could not be reached: refused";
        let resting = ["a", "b"].map(|node| of(node, Cause::Failing, refused));
        let told = words(&one(true, resting.to_vec(), 0), true);
        let wanted = "not from east/a, east/b: it could not be reached: refused; single requests \
            try it again";
        assert_eq!(told, wanted);
    }
}
