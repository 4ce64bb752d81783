//! What each version of the configuration says, from the seed alone.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use e2e::soak::mix;
use e2e::trust::Certificate;
use e2e::yaml;

/// The file that is rewritten.
pub(crate) const FILE: &str = "churn.yaml";
/// The host of the certificate.
pub(crate) const SECURE_HOST: &str = "shop.test";
/// The Services, by the names of their origins.
pub(crate) const ORIGINS: [&str; 5] = ["o0", "o1", "o2", "o3", "lasting"];
/// The one whose origins do not go when they are not ready, for what outlives a table.
pub(crate) const STAYS: usize = 4;
/// What the names of the two origins of each Service end in.
pub(crate) const COPIES: [&str; 2] = ["", "b"];
/// Paths are `/r0` to `/r11`, each a route of its own, and the same below what origins do.
pub(crate) const ROUTES: u64 = 12;
/// One route more, which leads to the Service that stays.
pub(crate) const LASTING: u64 = ROUTES;

/// What origins do by the path, and before that nothing.
const PLACES: [&str; 4] = ["", "/echo", "/pieces", "/ws"];

/// The versions of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Decides everything.
    pub(crate) seed: u64,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    /// Of each Service both origins, which may move.
    origins: Mutex<Vec<[SocketAddr; 2]>>,
    /// The ports of the listener that moves.
    moving: [u16; 2],
}

impl Places {
    /// The origins Service by Service, and two ports that are free.
    pub(crate) fn new(origins: impl Iterator<Item = SocketAddr>, moving: [u16; 2]) -> Self {
        let all: Vec<_> = origins.collect();
        let pairs = all.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        Places { origins: Mutex::new(pairs.collect()), moving }
    }

    /// The origin of a Service is found here from the next version on.
    pub(crate) fn put(&self, [origin, copy]: [usize; 2], address: SocketAddr) {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)[origin][copy] = address;
    }

    /// Where the listener that moves is in `version`, and where it was before.
    pub(crate) fn moving(&self, version: u64) -> [SocketAddr; 2] {
        let at = (version % 2) as usize;
        [self.moving[at], self.moving[1 - at]].map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }
}

impl Plan {
    /// Which origins of Service `origin` are ready in `version`; at least one is.
    pub(crate) fn ready(self, version: u64, origin: u64) -> [bool; 2] {
        match mix(self.seed ^ mix(!(version * 4 + origin))) % 3 {
            0 => [true, false],
            1 => [false, true],
            _ => [true, true],
        }
    }

    /// The weights of the origins for route `route` in `version`; at least one is not 0.
    pub(crate) fn weights(self, version: u64, route: u64) -> [u64; ORIGINS.len()] {
        if route == LASTING {
            return std::array::from_fn(|origin| u64::from(origin == STAYS));
        }
        let chance = mix(self.seed ^ mix(version * ROUTES + route));
        let first = chance % STAYS as u64;
        std::array::from_fn(|origin| {
            let origin = origin as u64;
            // One origin for half of the routes, a second with some share for the others.
            let second = (chance >> 8) % 8;
            if origin == STAYS as u64 {
                0
            } else if origin == first {
                1 + (chance >> 16) % 99
            } else if origin == second {
                50
            } else {
                0
            }
        })
    }

    /// The file of `version`.
    pub(crate) fn text(self, version: u64, certificate: &Certificate, places: &Places) -> String {
        let mut documents = vec![yaml::tls_secret("cert", certificate)];
        documents.push(moving_gateway(places.moving(version)[0].port()));
        let origins = places.origins.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (origin, addresses) in origins.iter().enumerate() {
            for (copy, address) in addresses.iter().enumerate() {
                let name = ORIGINS[origin];
                let slice = yaml::slice(&format!("{name}-{copy}"), name, *address);
                let is_ready = self.ready(version, origin as u64)[copy];
                let ready = format!("'], conditions: {{ ready: {is_ready} }} }}]");
                documents.push(slice.replace("'] }]", &ready));
            }
        }
        documents.extend((0..=LASTING).map(|route| self.route(version, route)));
        yaml::join(&documents)
    }

    fn route(self, version: u64, route: u64) -> String {
        let mut backends = String::new();
        for (name, weight) in ORIGINS.iter().zip(self.weights(version, route)) {
            write!(backends, "{{ name: {name}, port: 80, weight: {weight} }}, ")
                .expect("a String takes everything");
        }
        let matches = PLACES.map(|place| format!("{{ path: {{ value: {place}/r{route} }} }}"));
        let matches = matches.join(", ");
        let modifier = format!("set: [{{ name: x-version, value: '{version}' }}]");
        let route = yaml::route(
            &format!("r{route}"),
            &format!(
                "rules:\n  - matches: [{matches}]\n    filters: \
                 [{{ type: ResponseHeaderModifier, responseHeaderModifier: {{ {modifier} }} }}]\n    \
                 backendRefs: [{backends}]"
            ),
        );
        route.replace("{ name: edge }", "{ name: edge }, { name: moving }")
    }
}

/// A Gateway of its own, so that one listener of it is all that moves.
fn moving_gateway(port: u16) -> String {
    let listener = yaml::http("moving", port);
    let spec = format!("spec:\n  gatewayClassName: heddle\n  listeners: [{listener}]\n");
    yaml::document("gateway.networking.k8s.io/v1", "Gateway", "moving", &spec)
}

#[test]
fn every_route_has_a_backend_and_some_have_two() {
    let plan = Plan { seed: 7 };
    let shared = (0..1000)
        .map(|version| plan.weights(version, version % ROUTES))
        .map(|weights| weights.iter().filter(|weight| **weight > 0).count());
    let counts: Vec<usize> = shared.collect();
    assert!(counts.iter().all(|count| (1..=2).contains(count)));
    assert!(counts.iter().filter(|count| **count == 2).count() > 100);
}
