//! `propagation`: how long a change takes from its commit's reply to the first request that obeys
//! it, and what the server costs meanwhile; prints one JSON object.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use e2e::client::{Connection, nothing, request};
use e2e::fleet::{Fleet, Joined, Plan};
use e2e::load::Histogram;
use e2e::nodes::Nodes;
use e2e::program::free_port;
use serde_json::{Value, json};

/// How long a change may take to be obeyed before the run fails.
const BOUND: Duration = Duration::from_secs(10);
/// Objects that one change may hold while the scene is laid.
const LAID_AT_ONCE: usize = 500;

#[derive(Debug, Parser)]
#[command(about = "Measure from a commit's reply to the first request that obeys it")]
struct Args {
    /// Routes in all.
    #[arg(long, default_value_t = 5_000)]
    routes: usize,
    /// Workspaces that share them evenly.
    #[arg(long, default_value_t = 200)]
    workspaces: usize,
    /// Changes that are measured.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Simulated nodes that are attached besides the gateway.
    #[arg(long, default_value_t = 0)]
    nodes: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.workspaces == 0 || args.routes < args.workspaces {
        bail!("there must be a workspace, and a route for each");
    }
    let mut scene = Scene::lay(&args).await?;
    let told = scene.measure(&args).await?;
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

struct Scene {
    fleet: Fleet,
    gateway: Joined,
    nodes: Nodes,
    web: SocketAddr,
}

impl Scene {
    async fn lay(args: &Args) -> Result<Self> {
        let fleet = Fleet::start(Plan::default()).await;
        let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut documents = vec![gateway(web.port())];
        for workspace in 0..args.workspaces {
            documents.extend(workspace_of(workspace));
        }
        documents.extend((0..args.routes).map(|route| route_of(route, args.workspaces, 0)));
        let mut last = 0;
        for some in documents.chunks(LAID_AT_ONCE) {
            last = fleet.change(&some.join("---\n")).await;
        }
        let gateway = fleet.join("edge").await;
        let nodes = Nodes::join(&fleet, args.nodes).await.context("joining simulated nodes")?;
        fleet.until_everywhere(last).await;
        Ok(Scene { fleet, gateway, nodes, web })
    }

    async fn measure(&mut self, args: &Args) -> Result<Value> {
        let (mut commits, mut obeyed) = (Histogram::default(), Histogram::default());
        let mut connection = connect(self.web).await?;
        let (server, began) = (self.fleet.pid(), Instant::now());
        let cpu = cpu_seconds(server)?;
        let mut last = 0;
        for change in 1..=args.changes {
            // Another route of another workspace each time.
            let route = change * 37 % args.routes;
            let text = route_of(route, args.workspaces, change);
            let asked = Instant::now();
            last = self.fleet.change(&text).await;
            let replied = Instant::now();
            commits.record(replied - asked);
            let wanted = format!("v{change}");
            while version(&mut connection, route, args.workspaces).await? != wanted {
                if replied.elapsed() > BOUND {
                    bail!("change {change} was not obeyed within {BOUND:?}");
                }
            }
            obeyed.record(replied.elapsed());
        }
        let seconds = began.elapsed().as_secs_f64();
        let cpu = cpu_seconds(server)? - cpu;
        let idle = idle(server).await?;
        let micros = |histogram: &Histogram, q| histogram.quantile(q).as_nanos() as f64 / 1e3;
        Ok(json!({
            "routes": args.routes,
            "workspaces": args.workspaces,
            "nodes": args.nodes,
            "nodes_current": self.nodes.current(last).await,
            "changes": args.changes,
            "commit_p50_us": micros(&commits, 0.5),
            "commit_p99_us": micros(&commits, 0.99),
            "p50_us": micros(&obeyed, 0.5),
            "p99_us": micros(&obeyed, 0.99),
            "max_us": obeyed.max().as_nanos() as f64 / 1e3,
            "server_cpu_per_change_ms": cpu * 1e3 / args.changes as f64,
            "server_cores_under_change": cpu / seconds,
            "server_cores_idle": idle,
            "server_rss_anon_kib": rss_anon_kib(server)?,
            "gateway_rss_anon_kib": rss_anon_kib(self.gateway.pid())?,
        }))
    }
}

async fn connect(web: SocketAddr) -> Result<Connection> {
    Connection::h1(web).await.map_err(|error| anyhow::anyhow!("dialling the gateway: {error}"))
}

/// What a route says its version is.
async fn version(connection: &mut Connection, route: usize, workspaces: usize) -> Result<String> {
    let host = host(route % workspaces);
    let asked = request("GET", &host, &format!("/r{route}")).body(nothing())?;
    let reply = connection.send(asked).await;
    let reply = reply.map_err(|error| anyhow::anyhow!("a probe had no answer: {error}"))?;
    let there = reply.header("location").split('/').nth(2).unwrap_or_default();
    Ok(there.split('.').next().unwrap_or_default().to_owned())
}

/// The cores that a process uses while nothing changes.
async fn idle(pid: u32) -> Result<f64> {
    let (before, began) = (cpu_seconds(pid)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    Ok((cpu_seconds(pid)? - before) / began.elapsed().as_secs_f64())
}

/// CPU of a process so far, user and system, in seconds (proc(5)).
fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading its CPU")?;
    let (_, fields) = text.rsplit_once(") ").context("no fields")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    // A tick is a hundredth of a second on every Linux that we run on.
    Ok((ticks(11).context("no user time")? + ticks(12).context("no system time")?) / 100.0)
}

fn rss_anon_kib(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.context("no RssAnon")
}

fn host(workspace: usize) -> String {
    format!("w{workspace}.example.com")
}

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: http\n      protocol: HTTP\n      port: {port}\n      \
         allowedRoutes: {{ namespaces: {{ from: All }} }}\n"
    )
}

fn workspace_of(number: usize) -> [String; 2] {
    [
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: w{number} }}\n\
             spec: {{ access: open }}\n"
        ),
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Claim\n\
             metadata: {{ name: hosts, namespace: w{number} }}\n\
             spec: {{ hosts: [{{ host: {} }}] }}\n",
            host(number)
        ),
    ]
}

/// A route that answers by itself, with its version.
fn route_of(number: usize, workspaces: usize, version: usize) -> String {
    let workspace = number % workspaces;
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: r{number}, namespace: w{workspace} }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{}]\n  rules:\n    \
         - matches: [{{ path: {{ type: Exact, value: /r{number} }} }}]\n      filters:\n        \
         - type: RequestRedirect\n          \
         requestRedirect: {{ hostname: 'v{version}.example.com' }}\n",
        host(workspace)
    )
}
