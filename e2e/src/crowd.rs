//! An installation that is as full as a large company makes it, of generated objects.
//!
//! ```text
//! workspace w7 of zone z2 ── Api a7 of team t7 ──> routes r7, r1007, .. ──> services s7, s207
//! cluster c2 of zone z2 ──── nodes ──> count and tell requests of these routes
//! ```
//!
//! Numbers decide what belongs together, so that nothing has to be remembered: an Api is in the
//! workspace of its number, modulo; so is a route, by way of its Api, and a Service.
//! Each workspace is in the clusters of one zone.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use wire::{Caller, Decision, Key, Series, Side, Sketch};

use crate::nodes::Requests;

/// Decisions that a node tells.
const DECISIONS: u32 = 5;
/// Series that a node counts.
const SERIES: u32 = 4;
/// Teams that may read a workspace besides those that own something there.
const READERS: u32 = 3;

/// How many there are of what.
#[derive(Debug, Clone, clap::Args)]
pub struct Size {
    /// Routes in all, each of an Api.
    #[arg(long, default_value_t = 5_000)]
    pub routes: u32,
    /// Services, each with one EndpointSlice of two endpoints.
    #[arg(long, default_value_t = 1_000)]
    pub services: u32,
    /// Apis, each with one AccessPolicy.
    #[arg(long, default_value_t = 1_000)]
    pub apis: u32,
    /// Workspaces, each with a Claim and two Grants.
    #[arg(long, default_value_t = 200)]
    pub workspaces: u32,
    /// Teams.
    #[arg(long, default_value_t = 100)]
    pub teams: u32,
    /// Users who sign in, spread over the teams.
    #[arg(long, default_value_t = 300)]
    pub users: u32,
    /// Clusters.
    #[arg(long, default_value_t = 50)]
    pub clusters: u32,
    /// Zones, of each of which a cluster and a workspace is one's.
    #[arg(long, default_value_t = 5)]
    pub zones: u32,
    /// Simulated nodes, spread over the clusters.
    #[arg(long, default_value_t = 2_000)]
    pub nodes: u32,
    /// Changes of one route each that are made once all objects are there.
    #[arg(long, default_value_t = 500)]
    pub changes: u32,
    /// Requests for access that are open.
    #[arg(long, default_value_t = 120)]
    pub asks: u32,
}

impl Size {
    /// Looks that numbers fit together.
    ///
    /// # Errors
    /// Where one is no multiple of what it is spread over.
    pub fn check(&self) -> Result<()> {
        let pairs = [
            ("apis", self.apis, "workspaces", self.workspaces),
            ("services", self.services, "workspaces", self.workspaces),
            ("workspaces", self.workspaces, "teams", self.teams),
            ("workspaces", self.workspaces, "zones", self.zones),
            ("routes", self.routes, "apis", self.apis),
            ("nodes", self.nodes, "clusters", self.clusters),
        ];
        for (many, count, over, of) in pairs {
            if of == 0 || count % of != 0 || count == 0 && many != "nodes" {
                bail!("--{many} {count} is no multiple of --{over} {of}");
            }
        }
        if self.services < 2 * self.workspaces {
            bail!("each workspace wants two services: --services {}", 2 * self.workspaces);
        }
        Ok(())
    }

    /// All objects, in an order in which each names only what came before.
    pub fn documents(&self) -> Vec<String> {
        let mut all = vec![gateway("new")];
        all.extend((0..self.clusters).map(|number| self.cluster(number)));
        all.extend((0..self.teams).map(|number| self.team(number)));
        all.extend((0..self.workspaces).flat_map(|number| self.workspace(number)));
        all.extend((0..self.apis).map(|number| self.api(number)));
        all.extend((0..self.services).flat_map(|number| self.service(number)));
        all.extend((0..self.routes).map(|number| self.route(number, 10)));
        all.extend((0..self.apis).map(|number| self.policy(number)));
        all
    }

    fn cluster(&self, number: u32) -> String {
        let zone = number % self.zones;
        object(
            "heddle.dev/v1alpha1",
            "Cluster",
            &format!("name: {}, labels: {{ zone: z{zone} }}", cluster(number)),
            &format!("title: Cluster {number} of zone {zone}"),
        )
    }

    fn team(&self, number: u32) -> String {
        let users = (number..self.users).step_by(self.teams as usize);
        let users: Vec<_> = users.map(user).collect();
        let spec = format!("title: Team number {number}, members: [{}]", users.join(", "));
        object("heddle.dev/v1alpha1", "Team", &format!("name: t{number}"), &spec)
    }

    fn workspace(&self, number: u32) -> [String; 4] {
        let (name, team) = (format!("w{number}"), number % self.teams);
        let readers =
            (1..=READERS).map(|next| format!("{{ team: t{} }}", (team + next) % self.teams));
        let readers = readers.collect::<Vec<_>>().join(", ");
        let named = |name: &str| format!("name: {name}, namespace: w{number}");
        let ours = "heddle.dev/v1alpha1";
        let zone = number % self.zones;
        let workspace = format!("title: Workspace {number}, clusters: {{ zone: z{zone} }}");
        let owner = format!("subjects: [{{ team: t{team} }}], role: owner");
        let reader = format!("subjects: [{readers}], role: viewer");
        let hosts = format!("hosts: [{{ host: {} }}]", host(number));
        [
            object(ours, "Workspace", &format!("name: {name}"), &workspace),
            object(ours, "Grant", &named("owners"), &owner),
            object(ours, "Grant", &named("readers"), &reader),
            object(ours, "Claim", &named("hosts"), &hosts),
        ]
    }

    fn api(&self, number: u32) -> String {
        let life = match number % 10 {
            8 => "Draft",
            9 => "Deprecated, sunset: 2030-01-01T00:00:00Z",
            _ => "Published",
        };
        let meta = format!("name: a{number}, namespace: w{}", number % self.workspaces);
        let owner = number % self.teams;
        let spec = format!("owner: t{owner}, title: Api number {number}, lifecycle: {life}");
        object("heddle.dev/v1alpha1", "Api", &meta, &spec)
    }

    fn service(&self, number: u32) -> [String; 2] {
        let namespace = number % self.workspaces;
        let service = object(
            "v1",
            "Service",
            &format!("name: s{number}, namespace: w{namespace}"),
            "ports: [{ name: http, port: 80 }]",
        );
        let (high, low) = (number / 250, number % 250 + 1);
        let slice = format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{ name: s{number}, namespace: w{namespace}, \
             labels: {{ kubernetes.io/service-name: s{number} }} }}\naddressType: IPv4\n\
             ports: [{{ name: http, port: 8080 }}]\nendpoints: \
             [{{ addresses: [10.1.{high}.{low}] }}, {{ addresses: [10.2.{high}.{low}] }}]\n"
        );
        [service, slice]
    }

    /// A route that sends so many of a hundred requests to the second of its Services.
    pub fn route(&self, number: u32, second: u32) -> String {
        let (api, workspace) = (number % self.apis, number % self.workspaces);
        let [one, other] = self.backends(workspace);
        let meta = format!(
            "name: r{number}, namespace: w{workspace}, labels: {{ heddle.dev/api: a{api} }}"
        );
        let spec = format!(
            "parentRefs: [{{ name: edge, namespace: platform }}], hostnames: [{}], rules: [{{ \
             matches: [{{ path: {{ type: PathPrefix, value: /a{api}/r{number} }} }}], \
             backendRefs: [{{ name: {one}, port: 80, weight: {} }}, \
             {{ name: {other}, port: 80, weight: {second} }}] }}]",
            host(workspace),
            100 - second
        );
        object("gateway.networking.k8s.io/v1", "HTTPRoute", &meta, &spec)
    }

    /// The two Services of a workspace to which its routes lead.
    fn backends(&self, workspace: u32) -> [String; 2] {
        [workspace, workspace + self.workspaces].map(|number| format!("s{number}"))
    }

    fn policy(&self, api: u32) -> String {
        let meta = format!(
            "name: a{api}, namespace: w{}, labels: {{ heddle.dev/api: a{api} }}",
            api % self.workspaces
        );
        let spec = format!(
            "targetRefs: [{{ kind: HTTPRoute, name: r{api} }}], \
             rules: [{{ name: anyone-reads, when: {{ methods: [GET, HEAD] }} }}]"
        );
        object("heddle.dev/v1alpha1", "AccessPolicy", &meta, &spec)
    }

    /// What somebody of a team asks for who may read it: `Update` of this route, by namespace and
    /// name.
    pub fn wish(&self, user: u32, number: u32) -> (String, String) {
        // The workspace of the team before lets them read.
        let workspace = (user + self.teams - 1) % self.teams;
        let route = workspace + number * self.workspaces;
        (format!("w{workspace}"), format!("r{route}"))
    }

    /// What a node of a cluster makes up of requests to routes that are there.
    pub fn requests(&self, cluster: u32, node: u32) -> Requests {
        // Routes of the zone, each node others.
        let first = cluster % self.zones + self.zones * (cluster / self.zones * 97 + node * SERIES);
        let route = |at: u32| (first + at * self.zones) % self.routes;
        Requests {
            decisions: (0..DECISIONS)
                .map(|at| self.decision(cluster, node, at, route(at)))
                .collect(),
            series: (0..SERIES).map(|at| self.series(route(at), at)).collect(),
        }
    }

    fn decision(&self, cluster: u32, node: u32, at: u32, route: u32) -> Decision {
        let number = u64::from(cluster) << 32 | u64::from(node) << 8 | u64::from(at) | 1 << 63;
        let workspace = route % self.workspaces;
        let is_denied = at.is_multiple_of(2);
        Decision {
            span: format!("{number:016x}"),
            trace: format!("{number:032x}"),
            request: format!("c{cluster}-{node}-{at}"),
            at: now() - i64::from(at) * 1_000,
            took: 1_500,
            source: "192.0.2.7".to_owned(),
            method: if is_denied { "POST" } else { "GET" }.to_owned(),
            host: host(workspace),
            path: format!("/a{}/r{route}", route % self.apis),
            port: 8080,
            route: Some(key(workspace, route)),
            rule: Some(format!("w{workspace}/r{route}/0")),
            status: Some(if is_denied { 403 } else { 200 }),
            reason: if is_denied { "access_denied" } else { "ok" }.to_owned(),
            ..Decision::default()
        }
    }

    fn series(&self, route: u32, at: u32) -> Series {
        let workspace = route % self.workspaces;
        let [backend, _] = self.backends(workspace);
        let mut latency = Sketch::default();
        for spread in 1..8 {
            latency.add(Sketch::place(u64::from(700 * spread * (1 + route % 11))), 4);
        }
        let (good, failed) = (28 - u64::from(route % 5), u64::from(route % 5));
        Series {
            side: Side::Edge,
            route: Some(key(workspace, route)),
            rule: Some(format!("w{workspace}/r{route}/0")),
            backend: Some(format!("w{workspace}/{backend}:80")),
            caller: (at.is_multiple_of(2)).then(|| Caller::ApiKey(format!("k{}", route % 7))),
            outcomes: [good, 1, 1, failed, 0, 0],
            latency,
        }
    }
}

/// A cluster's name.
pub fn cluster(number: u32) -> String {
    format!("c{number}")
}

/// A user's name.
pub fn user(number: u32) -> String {
    format!("u{number}")
}

/// The Gateway of all routes, which no node binds, with a word by which one is told from another.
pub fn gateway(word: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform, labels: {{ word: {word} }} }}\nspec:\n  \
         gatewayClassName: heddle\n  listeners:\n    - name: http\n      protocol: HTTP\n      \
         port: 8080\n      allowedRoutes: {{ namespaces: {{ from: All }} }}\n"
    )
}

fn object(version: &str, kind: &str, meta: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ {meta} }}\nspec: {{ {spec} }}\n")
}

fn host(workspace: u32) -> String {
    format!("w{workspace}.example.com")
}

fn key(workspace: u32, route: u32) -> Key {
    Key {
        kind: "HTTPRoute".to_owned(),
        namespace: format!("w{workspace}"),
        name: format!("r{route}"),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
