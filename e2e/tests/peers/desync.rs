//! Requests that mean two things to two readers, before two upstreams that read differently, nginx and Node: judged
//! by the bytes that arrive there, and by what either makes of them.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use e2e::program::free_port;
use e2e::{Gateway, Setup, wait, yaml};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use corpus::{FRAMED, Fate, Framed, PLAIN, Plain, REQUEST};

mod corpus;

/// So long it is waited for more behind what was said.
const SILENCE: Duration = Duration::from_millis(300);
/// So long for what has to come, and for what need not.
const DUE: Duration = Duration::from_secs(10);
const OTHERWISE: Duration = Duration::from_secs(1);

/// What came on a connection, and whether that has ended.
#[derive(Default)]
struct Talk {
    bytes: Vec<u8>,
    ended: bool,
}

type Heard = Arc<Mutex<Vec<Talk>>>;

/// An upstream behind something that keeps what goes to it.
struct Upstream {
    name: &'static str,
    program: Child,
    heard: Heard,
    /// Where it says which requests it saw.
    log: std::path::PathBuf,
    _folder: TempDir,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _gone_already = self.program.kill();
        let _gone_already = self.program.wait();
    }
}

const NGINX: &str = "daemon off; master_process off; pid FOLDER/pid; error_log FOLDER/error;
events {}
http {
  log_format seen '$request_method $request_uri';
  access_log FOLDER/seen seen;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT;
    location / { return 200 $request_uri; }
  }
}";

const NODE: &str = "
const fs = require('fs');
require('http').createServer((request, response) => {
  fs.appendFileSync('FOLDER/seen', `${request.method} ${request.url}\\n`);
  request.resume().on('end', () => response.end(request.url));
}).listen(PORT, '127.0.0.1');";

impl Upstream {
    /// Starts it; gives where it is reached as well.
    async fn start(name: &'static str) -> (Self, SocketAddr) {
        let (folder, port) = (TempDir::new().expect("a folder"), free_port());
        let path = folder.path().to_string_lossy().into_owned();
        let text = if name == "nginx" { NGINX } else { NODE };
        let text = text.replace("FOLDER", &path).replace("PORT", &port.to_string());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", name]);
        if name == "nginx" {
            let config = folder.path().join("nginx.conf");
            std::fs::write(&config, text).expect("a folder to write to");
            command.arg("-p").arg(folder.path()).arg("-c").arg(config);
        } else {
            command.args(["-e", &text]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let program = command.spawn().expect("nginx and node (of packages of these names) start");
        let there = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait::until("the upstream to listen", || async { TcpStream::connect(there).await.ok() })
            .await;
        let (heard, log) = (Heard::default(), folder.path().join("seen"));
        let address = tap(there, Arc::clone(&heard)).await;
        (Upstream { name, program, heard, log, _folder: folder }, address)
    }

    /// What came since the last time: the requests that are whole, the targets of those that were broken off, and
    /// whether anything else came, or something that is neither yet.
    fn heard(&self) -> Came {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut came = Came::default();
        for Talk { bytes, ended } in heard.iter_mut() {
            let mut rest = &bytes[..];
            while let Some((request, behind)) = Request::read(rest) {
                came.whole.push(request);
                rest = behind;
            }
            match Request::head(rest) {
                Some((target, ..)) if *ended => came.broken.push(target.to_owned()),
                Some(_) => came.is_odd = true,
                None => came.is_odd |= !rest.is_empty(),
            }
            // What is not over is looked at again.
            let length = if *ended || rest.is_empty() { 0 } else { rest.len() };
            *bytes = bytes.split_off(bytes.len() - length);
        }
        came
    }

    /// The targets of the requests that it says it saw.
    fn seen(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
    }
}

/// A way to `there` that keeps what goes to it.
async fn tap(there: SocketAddr, heard: Heard) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, there, Arc::clone(&heard)));
        }
    });
    address
}

async fn carry(client: TcpStream, there: SocketAddr, heard: Heard) -> std::io::Result<()> {
    let with = |change: &mut dyn FnMut(&mut Vec<Talk>)| {
        change(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let mut at = 0;
    with(&mut |all| {
        at = all.len();
        all.push(Talk::default());
    });
    let upstream = TcpStream::connect(there).await?;
    let ((mut from, mut back), (mut answers, mut to)) =
        (client.into_split(), upstream.into_split());
    let answering = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        with(&mut |all| all[at].bytes.extend_from_slice(&piece[..length]));
        to.write_all(&piece[..length]).await?;
    }
    with(&mut |all| all[at].ended = true);
    to.shutdown().await?;
    let _gone = answering.await;
    Ok(())
}

/// What came to an upstream.
#[derive(Debug, Default)]
struct Came {
    whole: Vec<Request>,
    broken: Vec<String>,
    is_odd: bool,
}

/// A request as a reader that bears nothing odd reads it (RFC 9112).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    target: String,
    body: usize,
}

/// What a head says of its body.
enum Framing {
    Length(usize),
    Chunks,
}

impl Request {
    /// Target and framing of the head at the beginning of these bytes, and what is behind it; nothing where it is
    /// not whole.
    ///
    /// # Panics
    /// Where it has anything that two readers may read in two ways.
    fn head(bytes: &[u8]) -> Option<(&str, Framing, &[u8])> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).expect("no other bytes are sent");
        let is_line =
            |text: &str| !text.contains(['\r', '\n', '\0']) && !text.starts_with([' ', '\t']);
        let mut lines = head.split("\r\n");
        let first: Vec<_> = lines.next()?.split(' ').collect();
        let [_, target, "HTTP/1.1"] = first[..] else { panic!("an odd request line in {head:?}") };
        let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
        for line in lines {
            assert!(is_line(line), "an odd line in {head:?}");
            let (name, value) = line.split_once(':').expect("a header");
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(!name.is_empty() && name.bytes().all(is_name), "an odd name in {head:?}");
            match (&*name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])) {
                ("content-length", length) => lengths.push(length),
                ("transfer-encoding", coding) => codings.push(coding),
                ("host", _) => hosts += 1,
                _ => {}
            }
        }
        assert_eq!(hosts, 1, "{head:?}");
        let framing = match (&lengths[..], &codings[..]) {
            ([], []) => Framing::Length(0),
            ([length], []) => {
                assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head:?}");
                Framing::Length(length.parse().expect("a length"))
            }
            ([], ["chunked"]) => Framing::Chunks,
            _ => panic!("framed oddly, or twice: {head:?}"),
        };
        Some((target, framing, &bytes[end + 4..]))
    }

    /// The first one of these bytes, and what is behind it; nothing where none is whole.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (target, framing, rest) = Self::head(bytes)?;
        let (body, rest) = match framing {
            Framing::Length(length) => (length, rest.get(length..)?),
            Framing::Chunks => Self::chunks(rest)?,
        };
        Some((Request { target: target.to_owned(), body }, rest))
    }

    /// The length of a body in chunks without extensions, and what is behind it.
    fn chunks(mut rest: &[u8]) -> Option<(usize, &[u8])> {
        let mut body = 0;
        loop {
            let end = find(rest, b"\r\n")?;
            let size = std::str::from_utf8(&rest[..end]).expect("a size");
            assert!(size.bytes().all(|byte| byte.is_ascii_hexdigit()), "an odd chunk: {size:?}");
            let size = usize::from_str_radix(size, 16).expect("a size");
            rest = &rest[end + 2..];
            let chunk = rest.get(..size)?;
            rest = rest.get(size..)?.strip_prefix(b"\r\n").or_else(|| {
                assert!(rest.len() < size + 2, "a chunk without its end");
                None
            })?;
            body += chunk.len();
            if size == 0 {
                return Some((body, rest));
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// All that is said to these bytes until it is silent or closes; for the first of it is waited so long.
async fn said(gateway: &Gateway, bytes: &[u8], first: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.web()).await.expect("a connection");
    let _closed_meanwhile = stream.write_all(bytes).await;
    let (mut said, mut patience) = (Vec::new(), first);
    while let Ok(Ok(1..)) = tokio::time::timeout(patience, stream.read_buf(&mut said)).await {
        patience = SILENCE;
    }
    said
}

/// The status of an answer over HTTP/2 as far as it is told one from another: 200, or none of it.
fn framed_status(mut said: &[u8]) -> &'static str {
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some(payload) = rest.get(..length) else { break };
        // HEADERS, whose first field is `:status: 200` of the static table (RFC 7541, appendix A).
        if head[3] == 1 && payload.first() == Some(&0x88) {
            return "200";
        }
        said = &rest[length..];
    }
    ""
}

/// The bytes of a request over HTTP/2 whose headers are whatever stands there.
fn frames(case: &Framed, own: impl Fn(&str) -> String) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut block = Vec::new();
    let mut header = |name: &str, value: &str| {
        // A literal that is in no table (RFC 7541, section 6.2.2), of fewer bytes than need a second one.
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "{text}");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    };
    let (usual, others): (Vec<_>, Vec<_>) = case
        .headers
        .iter()
        .copied()
        .partition(|(name, _)| REQUEST.iter().any(|(one, _)| name == one));
    // Of the class that is about their order they come where they stand.
    let is_late = case.class == "h2-pseudo";
    for (name, value) in REQUEST {
        let instead = usual.iter().filter(|(other, _)| !is_late && *other == name);
        let values: Vec<_> = instead.map(|(_, value)| *value).collect();
        for value in if values.is_empty() { vec![value] } else { values } {
            header(name, &own(value));
        }
    }
    for (name, value) in if is_late { case.headers.to_vec() } else { others } {
        header(name, &own(value));
    }
    let ends = if case.body.is_empty() { 1 } else { 0 };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 4 | ends, 1, &block));
    if !case.body.is_empty() {
        bytes.extend(frame(0, 1, 1, case.body.as_bytes()));
    }
    bytes
}

/// A case as it is sent, by a number of its own.
struct Case {
    number: usize,
    fate: Fate,
    told: String,
}

impl Case {
    /// A target of the corpus as this case asks for it, by which it is known from those of others.
    fn target(&self, of: &str) -> String {
        format!("{of}-{}-", self.number)
    }

    /// The same with all targets of the corpus in a text.
    fn own(&self, text: &str, upstream: &Upstream) -> String {
        let text = text.replace("HOST", upstream.name).replace("/a", &self.target("/a"));
        text.replace("/second", &self.target("/second"))
    }

    fn wanted(&self) -> Vec<Request> {
        match self.fate {
            Fate::Refused => vec![],
            Fate::One(target, body) => vec![Request { target: self.target(target), body }],
            Fate::Two(target, body) => vec![
                Request { target: self.target(target), body },
                Request { target: self.target("/second"), body: 0 },
            ],
        }
    }

    fn patience(&self) -> Duration {
        if self.fate == Fate::Refused { OTHERWISE } else { DUE }
    }

    /// Whether what came is what it may come to; else why not. Notes what was broken off.
    async fn judge(
        &self,
        gateway: &Gateway,
        upstream: &Upstream,
        status: &str,
        broken: &mut Vec<String>,
    ) -> Result<(), String> {
        // Who comes next gets what they asked for: no answer to somebody else was left behind.
        for turn in ["first", "second"] {
            let path = format!("/honest-{}-{turn}-", self.number);
            let host = upstream.name;
            let asked = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = said(gateway, asked.as_bytes(), DUE).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            if !answer.starts_with("HTTP/1.1 200") || !answer.contains(&path) {
                return Err(format!("the next one was answered {answer:?}"));
            }
        }
        let mut came = Came::default();
        // What is broken off takes a moment to get there.
        let over = wait::until("what came to be over", || {
            let more = upstream.heard();
            came.whole.extend(more.whole);
            came.broken.extend(more.broken);
            came.is_odd = more.is_odd;
            std::future::ready((!more.is_odd).then_some(()))
        });
        let _odd_else = tokio::time::timeout(DUE, over).await;
        came.whole.retain(|one| !one.target.starts_with("/honest-"));
        let is_answered = match self.fate {
            // Who answers heads before bodies has answered this one, and sees that its body was cut.
            Fate::Refused if !came.broken.is_empty() => ["", "200", "400"].contains(&status),
            Fate::Refused => ["", "400", "505"].contains(&status),
            Fate::One(..) | Fate::Two(..) => status == "200",
        };
        let is_broken = match self.fate {
            Fate::Refused => came.broken.iter().all(|target| *target == self.target("/a")),
            Fate::One(..) | Fate::Two(..) => came.broken.is_empty(),
        };
        broken.extend(came.broken.iter().cloned());
        match came.whole == self.wanted() && is_broken && !came.is_odd && is_answered {
            true => Ok(()),
            false => Err(format!("answered as is right: {is_answered}; {came:?}")),
        }
    }

    /// What an upstream's own log may say of it.
    fn is_seen(&self, seen: &[String]) -> bool {
        let own = seen.iter().filter(|target| target.ends_with(&format!("-{}-", self.number)));
        let own: Vec<_> = own.collect();
        let wanted: Vec<_> = self.wanted().into_iter().map(|one| one.target).collect();
        match self.fate {
            // Of one that is refused within its body the head may have gone on.
            Fate::Refused => own.len() <= 1 && own.iter().all(|one| **one == self.target("/a")),
            Fate::One(..) | Fate::Two(..) => own.into_iter().eq(&wanted),
        }
    }
}

/// Sends every case to an upstream; says what is wrong.
async fn attack(gateway: &Gateway, upstream: &Upstream) -> Vec<String> {
    let (mut wrong, mut cases, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for Plain { class, text, fate } in PLAIN {
        let told = format!("{} {class} {text:?}", upstream.name);
        let case = Case { number: cases.len(), fate: *fate, told };
        let bytes = case.own(text, upstream);
        let answer = said(gateway, bytes.as_bytes(), case.patience()).await;
        let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
        if let Err(why) = case.judge(gateway, upstream, &status, &mut broken).await {
            wrong.push(format!("{}: status '{status}'; {why}", case.told));
        }
        cases.push(case);
    }
    for framed in FRAMED {
        let told = format!("{} {} {:?}", upstream.name, framed.class, framed.headers);
        let case = Case { number: cases.len(), fate: framed.fate, told };
        let bytes = frames(framed, |text| case.own(text, upstream));
        let answer = said(gateway, &bytes, case.patience()).await;
        let status = framed_status(&answer);
        if let Err(why) = case.judge(gateway, upstream, status, &mut broken).await {
            wrong.push(format!("{}: status '{status}'; {why}", case.told));
        }
        cases.push(case);
    }
    // What was broken off is written once that was noticed.
    broken.push(format!("/honest-{}-second-", cases.len() - 1));
    wait::until_true("the last log lines", || {
        let seen = upstream.seen();
        broken.iter().all(|target| seen.contains(target))
    })
    .await;
    let seen = upstream.seen();
    wrong.extend(seen.iter().filter(|target| target.contains("smuggled")).cloned());
    let unseen = cases.iter().filter(|case| !case.is_seen(&seen));
    wrong.extend(unseen.map(|case| format!("{}: its log says otherwise", case.told)));
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_to_either_upstream_over_either_version() {
    let (nginx, at_nginx) = Upstream::start("nginx").await;
    let (node, at_node) = Upstream::start("node").await;
    let route = |name: &str| {
        let rules = format!(
            "hostnames: [{name}]\nrules: [{{ backendRefs: [{{ name: {name}, port: 80 }}] }}]"
        );
        yaml::route(name, &rules)
    };
    // One worker, whose connections to an upstream whoever comes next uses.
    let gateway = Setup::new()
        .with(yaml::service("nginx", &[at_nginx]))
        .with(yaml::service("node", &[at_node]))
        .with(route("nginx"))
        .with(route("node"))
        .arguments(&["--workers", "1"])
        .start()
        .await;
    let (at_nginx, at_node) = tokio::join!(attack(&gateway, &nginx), attack(&gateway, &node));
    let wrong = [at_nginx, at_node].concat();
    let classes = PLAIN.iter().map(|one| one.class).chain(FRAMED.iter().map(|one| one.class));
    let classes: std::collections::BTreeSet<_> = classes.collect();
    let number = PLAIN.len() + FRAMED.len();
    let mut told = std::io::stderr();
    writeln!(told, "{number} requests of {} classes to each upstream", classes.len()).unwrap();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
