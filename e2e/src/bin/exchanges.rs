//! `exchanges N`: a whole proxy, its caller and its origin in one process, for N requests.
//!
//! The instruction budget runs it under callgrind with two N and takes the difference, so all that
//! matters here is that one request costs what the next one does: one worker, one connection on
//! each side, the next request only after the whole answer to the last one, nothing that waits
//! for time. The features of the benchmarks are on: 100 routes, or as many as one says, metrics, access
//! log; the route in the middle asks for an API key.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use e2e::yaml;
use proxy::telemetry::{self, Sink, Telemetry};
use proxy::tls::tickets::Keyring;
use proxy::{Proxy, Settings};
use table::{Input, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many routes a host has; where there are more in all, they are spread over hosts.
const A_HOST: usize = 100;
const BODY: &[u8] = b"hello, world";
const KEY: &str = "not-a-secret-outside-this-program";
/// Under callgrind all takes fifty times as long; in this time something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
#[command(about = "Send requests through a proxy in this process, one after the other")]
struct Args {
    /// How many routes there are.
    #[arg(long, default_value_t = A_HOST)]
    routes: usize,
    /// How many.
    number: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let origin = origin()?;
    let address = free_address()?;
    let log = Sink::File("/dev/null".into());
    let telemetry =
        Telemetry::start(&telemetry::Settings { access_log: log, ..Default::default() })?;
    let mut proxy = Proxy::start(
        Settings::default(),
        Arc::clone(&telemetry),
        Arc::default(),
        Arc::new(Keyring::new()?),
    )?;
    let table = table(args.routes, address.port(), origin)?;
    telemetry.table_applied(&table.digest, 0);
    if let Some(failed) = proxy.apply(table).into_iter().next() {
        return Err(failed.into());
    }
    send(&Route::called(args.routes), address, args.number)?;
    proxy.drain(PATIENCE);
    ensure!(telemetry.stop(PATIENCE), "the access log was not written");
    Ok(())
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A route by path prefix, and by host where they are spread over hosts.
struct Route {
    name: String,
    host: Option<String>,
    prefix: String,
}

impl Route {
    /// One of so many.
    fn of(number: usize, routes: usize) -> Self {
        let (host, place) = (number / A_HOST, number % A_HOST);
        let host = (routes > A_HOST).then(|| format!("h{host}.shop.example"));
        Route { name: format!("r{number}"), host, prefix: format!("/r{place}") }
    }

    /// The one in the middle.
    fn called(routes: usize) -> Self {
        Route::of(routes / A_HOST / 2 * A_HOST + A_HOST / 2, routes)
    }

    fn yaml(&self) -> String {
        let Route { name, host, prefix } = self;
        let hosts = host.iter().map(|host| format!("hostnames: [{host}]\n")).collect::<String>();
        let rules = format!(
            "rules:\n  - matches: [{{ path: {{ value: {prefix} }} }}]\n    \
             backendRefs: [{{ name: origin, port: 80 }}]"
        );
        yaml::route(name, &(hosts + &rules))
    }
}

/// So many routes to one Service; the one in the middle is for callers with a key.
fn table(routes: usize, port: u16, origin: SocketAddr) -> Result<Arc<Table>> {
    let policy = format!(
        "targetRefs: [{{ kind: HTTPRoute, name: {} }}]\n\
         rules:\n  - name: readers\n    when: {{ methods: [GET], callers: [{{ apiKey: reader }}] }}",
        Route::called(routes).name
    );
    let mut documents = vec![
        yaml::gateway(&[yaml::http("http", port)]),
        yaml::service("origin", &[origin]),
        yaml::secret("keys", &[("reader", KEY)]),
        yaml::keys("readers", &format!("HTTPRoute, name: {}", Route::called(routes).name), "keys"),
        yaml::policy("readers", &policy),
    ];
    documents.extend((0..routes).map(|number| Route::of(number, routes).yaml()));
    let mut input = Input::default();
    for document in model::read(&yaml::join(&documents)) {
        let resource = document.result.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        input.resources.push(resource);
    }
    let assembly = table::assemble(input, None);
    ensure!(assembly.faults.is_empty(), "the table has faults: {:?}", assembly.faults);
    Ok(assembly.table)
}

/// The caller: every answer is read to its end and looked at before the next request.
fn send(route: &Route, address: SocketAddr, number: u64) -> Result<()> {
    let mut stream = connection(TcpStream::connect(address).context("connecting to the proxy")?)?;
    let request = format!(
        "GET {}/small HTTP/1.1\r\nhost: {}\r\nuser-agent: exchanges\r\n\
         accept: */*\r\nx-api-key: {KEY}\r\n\r\n",
        route.prefix,
        route.host.as_deref().unwrap_or("shop.example"),
    );
    let mut answer = Vec::with_capacity(4096);
    for n in 0..number {
        stream.write_all(request.as_bytes())?;
        answer.clear();
        while !answer.ends_with(BODY) {
            let whole = more(&mut stream, &mut answer)?;
            let text = || String::from_utf8_lossy(&answer).into_owned();
            let well = answer.starts_with(b"HTTP/1.1 200 ");
            ensure!(whole && well, "request {n} was answered: {}", text());
        }
    }
    Ok(())
}

/// The origin: the same answer to every head, on as many connections as are opened.
fn origin() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A proxy that goes away is the end of the run.
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream) -> Result<()> {
    let mut stream = connection(stream)?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\n";
    let answer = [head.as_bytes(), BODY].concat();
    let mut request = Vec::with_capacity(4096);
    while more(&mut stream, &mut request)? {
        if request.ends_with(b"\r\n\r\n") {
            stream.write_all(&answer)?;
            request.clear();
        }
    }
    Ok(())
}

fn connection(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Appends what has come; false at the end of the stream.
fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<bool> {
    let mut piece = [0; 2048];
    let length = stream.read(&mut piece).context("reading")?;
    read.extend_from_slice(&piece[..length]);
    Ok(length > 0)
}
