//! `fullness`: how long each list of the console, and each list of REST behind it, takes in an
//! installation that is full of generated objects; prints one JSON object.
//!
//! While that installation is there, another program may look at it: what is written behind `--` is
//! run with `HEDDLE_URL`, `HEDDLE_COOKIE` and `HEDDLE_PATHS`, and the JSON that it prints becomes
//! `paints`.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use e2e::client::{Connection, Reply, nothing, request};
use e2e::crowd::{self, Size};
use e2e::fleet::{Fleet, Plan, Session};
use e2e::nodes::Nodes;
use serde_json::{Value, json};

/// Objects that one change may hold while the scene is laid.
const LAID_AT_ONCE: usize = 500;
/// What one user may ask for at once, with room to spare.
const ASKS: u32 = 6;
/// The password of all users.
const PASSWORD: &str = "the-password-of-everybody";

#[derive(Debug, Parser)]
#[command(about = "Measure the lists of a full console, and of REST")]
struct Args {
    #[command(flatten)]
    size: Size,
    /// Requests of each list that are measured.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Requests of each list before those, which are not measured.
    #[arg(long, default_value_t = 5)]
    warmup: usize,
    /// The browser's half of the console; a stand-in that no browser can use without it.
    #[arg(long)]
    site: Option<PathBuf>,
    /// A PostgreSQL database that is empty; SQLite in a folder without it.
    #[arg(long)]
    database: Option<String>,
    /// A program that looks at the same pages.
    #[arg(last = true)]
    then: Vec<OsString>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    args.size.check()?;
    let scene = Scene::lay(&args).await?;
    let told = scene.measure(&args).await?;
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

struct Scene {
    fleet: Fleet,
    nodes: Nodes,
    admin: Session,
    /// Somebody of a team, who owns some Apis and reads some workspaces.
    member: Session,
    last: i64,
}

impl Scene {
    async fn lay(args: &Args) -> Result<Self> {
        let size = &args.size;
        let site = args.site.as_ref().map(|site| site.display().to_string());
        let arguments = site.into_iter().flat_map(|site| ["--site".to_owned(), site]).collect();
        let plan = Plan { database: args.database.clone(), arguments, ..Plan::default() };
        let fleet = Fleet::start(plan).await;
        for some in size.documents().chunks(LAID_AT_ONCE) {
            fleet.change(&some.join("---\n")).await;
        }
        eprintln!("    all objects are there");
        for change in 1..=size.changes {
            // Another route of another workspace each time.
            fleet.change(&size.route(change * 37 % size.routes, 10 + change % 50)).await;
        }
        for number in 0..size.users {
            let user = json!({ "name": crowd::user(number), "password": PASSWORD });
            let made = fleet.post("/users", user).await.map_err(|error| anyhow!("{error}"))?;
            if made.status != 201 {
                bail!("no user is made: {}", made.text());
            }
        }
        ask(&fleet, size).await;
        eprintln!("    changes, users and requests for access are there");
        let mut nodes = Nodes::join(&fleet, 0).await?;
        for number in 0..size.clusters {
            let requests = |node| Some(size.requests(number, node));
            let (name, count) = (crowd::cluster(number), size.nodes / size.clusters);
            let joined = Nodes::join_in(&fleet, &name, count, requests).await;
            nodes.add(joined.with_context(|| format!("joining the nodes of {name}"))?);
        }
        // A Gateway is everybody's, so each node has come to this when it has come to all.
        let last = fleet.change(&crowd::gateway("settled")).await;
        eprintln!("    nodes are there");
        let admin = fleet.admin().await;
        let member = fleet.session(&crowd::user(0), PASSWORD).await;
        Ok(Scene { fleet, nodes, admin, member, last })
    }

    async fn measure(&self, args: &Args) -> Result<Value> {
        let current = self.nodes.current(self.last).await;
        let mut queries = Vec::new();
        for (who, session) in [("admin", &self.admin), ("member", &self.member)] {
            let mut asking = Asking::new(&self.fleet, session).await?;
            for path in self.paths(who) {
                queries.push(asking.measure(who, &path, args).await?);
            }
        }
        let paints = self.look(args).await?;
        let Size { routes, services, apis, workspaces, teams, users, clusters, .. } = args.size;
        Ok(json!({
            "routes": routes,
            "services": services,
            "apis": apis,
            "workspaces": workspaces,
            "teams": teams,
            "users": users,
            "clusters": clusters,
            "nodes": args.size.nodes,
            "nodes_current": current,
            "nodes_broken": self.nodes.broken(),
            "revision": self.last,
            "rounds": args.rounds,
            "queries": queries,
            "paints": paints,
        }))
    }

    /// Every list, the pages of the console first; `>` before one stands for the page behind it.
    fn paths(&self, who: &str) -> Vec<String> {
        let is_admin = who == "admin";
        let mut all: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
        all.extend(REST.iter().map(|path| format!("/api/v1{path}")));
        if is_admin {
            all.extend(FOR_ADMINS.iter().map(|path| (*path).to_owned()));
            all.push(format!("/changes/{}", self.last));
            all.push(format!("/api/v1/changes/{}/receipt", self.last));
        }
        all
    }

    /// Lets the other program look at the pages.
    async fn look(&self, args: &Args) -> Result<Value> {
        let Some((program, arguments)) = args.then.split_first() else { return Ok(Value::Null) };
        let mut look = Command::new(program);
        look.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        look.env("HEDDLE_URL", format!("http://{}", self.fleet.rest));
        look.env("HEDDLE_COOKIE", &self.admin.cookie);
        look.env("HEDDLE_PATHS", PAINTED.join(" "));
        // Nodes go on telling meanwhile.
        let seen = tokio::task::spawn_blocking(move || look.output()).await?;
        let seen = seen.with_context(|| format!("starting {}", program.display()))?;
        if !seen.status.success() {
            bail!("{} ended with {}", program.display(), seen.status);
        }
        serde_json::from_slice(&seen.stdout).context("reading what was looked at")
    }
}

/// Pages of the console that are lists, for everybody.
const PAGES: [&str; 38] = [
    "/",
    "/apis",
    ">/apis",
    "/apis?search=number+7",
    "/apis?of=own",
    "/apis?life=deprecated",
    "/apis?order=owner",
    "/apis?order=requests",
    ">/apis?order=requests",
    "/apis?order=errors",
    "/apis?order=changed",
    "/policies",
    ">/policies",
    "/policies?search=p7",
    "/teams",
    ">/teams",
    "/teams?search=7",
    "/workspaces",
    ">/workspaces",
    "/workspaces?search=7",
    "/access",
    ">/access",
    "/access?state=open",
    "/fleet",
    ">/fleet",
    "/fleet?search=7",
    "/fleet?show=unwell",
    "/requests",
    ">/requests",
    "/requests?show=all",
    "/changes",
    ">/changes",
    "/changes?search=w0",
    "/find?search=7",
    "/objects/HTTPRoute/w0/r0",
    "/settings",
    "/apis/w0/a0",
    "/workspaces/w0",
];

/// What only admins may ask for.
const FOR_ADMINS: [&str; 12] = [
    "/teams/t0",
    "/users",
    ">/users",
    "/users?search=7",
    "/audit",
    ">/audit",
    "/audit?search=7",
    "/audit?show=undone",
    "/api/v1/users",
    "/api/v1/audit",
    "/api/v1/join-tokens",
    "/api/v1/authority",
];

/// Lists of REST, for everybody.
const REST: [&str; 25] = [
    "/apis",
    "/apis?search=number+7",
    "/apis?own=true",
    "/apis?lifecycle=deprecated",
    "/apis?order=requests",
    "/apis?limit=500",
    "/resources",
    "/resources?kind=HTTPRoute",
    "/resources?kind=HTTPRoute&limit=500",
    "/resources?kind=Service&namespace=w0",
    "/resources?kind=Team",
    "/history/HTTPRoute/w0/r0",
    "/workspaces",
    "/teams/t0/roles",
    "/access-requests",
    "/nodes",
    "/nodes?limit=500",
    "/requests",
    "/traffic",
    "/traffic?step=2s",
    "/traffic?api=a0&by=route",
    "/changes",
    "/changes?scope=workspace/w0",
    "/sessions",
    "/tokens",
];

/// The main pages, which are painted.
const PAINTED: [&str; 19] = [
    "/",
    "/apis",
    "/apis/w0/a0",
    "/policies",
    "/policies/-/new",
    "/teams",
    "/teams/t0",
    "/workspaces",
    "/workspaces/w0",
    "/find?search=7",
    "/objects/HTTPRoute/w0/r0",
    "/users",
    "/access",
    "/fleet",
    "/requests",
    "/changes",
    "/changes/1",
    "/audit",
    "/settings",
];

/// Lets people ask for what they may only read.
async fn ask(fleet: &Fleet, size: &Size) {
    for user in 0..size.users.min(size.asks.div_ceil(ASKS)) {
        let session = fleet.session(&crowd::user(user), PASSWORD).await;
        for number in 0..ASKS.min(size.routes / size.workspaces) {
            let (namespace, name) = size.wish(user, number);
            let wish = json!({
                "verb": "Update", "kind": "HTTPRoute", "namespace": namespace, "name": name,
                "message": "Its weights are to follow our release.",
            });
            session.post(fleet, "/access-requests", wish).await;
        }
    }
}

/// Somebody who asks by one connection that is kept.
struct Asking<'a> {
    connection: Connection,
    fleet: &'a Fleet,
    session: &'a Session,
}

impl<'a> Asking<'a> {
    async fn new(fleet: &'a Fleet, session: &'a Session) -> Result<Self> {
        let connection = Connection::h1(fleet.rest).await;
        let connection = connection.map_err(|error| anyhow!("dialling the server: {error}"))?;
        Ok(Asking { connection, fleet, session })
    }

    async fn get(&mut self, path: &str) -> Result<Reply> {
        let asked = request("GET", &self.fleet.rest.to_string(), path)
            .header("cookie", &self.session.cookie)
            .body(nothing())?;
        let reply = self.connection.send(asked).await;
        let reply = reply.map_err(|error| anyhow!("GET {path} had no answer: {error}"))?;
        if reply.status != 200 {
            bail!("GET {path}: {} {}", reply.status, reply.text());
        }
        Ok(reply)
    }

    /// From before a request is sent until its last byte is here.
    async fn measure(&mut self, who: &str, path: &str, args: &Args) -> Result<Value> {
        let (name, path) = match path.strip_prefix('>') {
            Some(first) => (format!("{first} (next page)"), self.behind(first).await?),
            None => (path.to_owned(), Some(path.to_owned())),
        };
        // A list that ends on its first page has none behind it.
        let Some(path) = path else { return Ok(json!({ "who": who, "name": name })) };
        let (mut took, mut bytes) = (Vec::new(), 0);
        for round in 0..args.warmup + args.rounds {
            let asked = Instant::now();
            let reply = self.get(&path).await?;
            if round >= args.warmup {
                took.push(asked.elapsed());
            }
            bytes = reply.body.len();
        }
        took.sort_unstable();
        let micros = |permille| rank(&took, permille).as_nanos() as f64 / 1e3;
        Ok(json!({
            "who": who,
            "name": name,
            "bytes": bytes,
            "p50_us": micros(500),
            "p99_us": micros(990),
            "max_us": micros(1_000),
        }))
    }

    /// Where the page behind this one is.
    async fn behind(&mut self, path: &str) -> Result<Option<String>> {
        let page = self.get(path).await?.text();
        let links = page.split("href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
        let (start, _) = path.split_once('?').unwrap_or((path, ""));
        let mut links =
            links.filter(|link| link.split_once('?').is_some_and(|(to, _)| to == start));
        let link = links.find(|link| link.contains("after=") || link.contains("before="));
        Ok(link.map(|link| link.replace("&amp;", "&")))
    }
}

/// The smallest of these, in their order, that so many of a thousand do not exceed.
fn rank(sorted: &[Duration], permille: usize) -> Duration {
    let at = (sorted.len() * permille).div_ceil(1_000).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
