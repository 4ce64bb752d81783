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

/// So long an answer, and then silence, are waited for.
const SILENCE: Duration = Duration::from_millis(300);

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

    /// What came since the last time: the requests that are whole, and whether anything else came on a connection
    /// that still goes on.
    fn heard(&self) -> (Vec<Request>, bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut whole, mut is_odd) = (Vec::new(), false);
        for Talk { bytes, ended } in heard.iter_mut() {
            let mut rest = &bytes[..];
            while let Some((request, behind)) = Request::read(rest) {
                whole.push(request);
                rest = behind;
            }
            is_odd |= !rest.is_empty() && !*ended;
            bytes.clear();
        }
        (whole, is_odd)
    }

    /// The requests that it says it saw.
    fn seen(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| !line.contains("/honest")).map(str::to_owned).collect()
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

/// A request as a reader that bears nothing odd reads it (RFC 9112).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    target: String,
    body: usize,
}

impl Request {
    /// The first one of these bytes, and what is behind it; nothing where none is whole.
    ///
    /// # Panics
    /// Where it has anything that two readers may read in two ways.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
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
            match (&*name.to_ascii_lowercase(), value.trim()) {
                ("content-length", length) => lengths.push(length.to_owned()),
                ("transfer-encoding", coding) => codings.push(coding.to_owned()),
                ("host", _) => hosts += 1,
                _ => {}
            }
        }
        assert_eq!(hosts, 1, "{head:?}");
        let rest = &bytes[end + 4..];
        let (body, rest) = match (&lengths[..], &codings[..]) {
            ([], []) => (0, rest),
            ([length], []) => {
                assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head:?}");
                let length = length.parse().expect("a length");
                (length, rest.get(length..)?)
            }
            ([], [coding]) => {
                assert_eq!(coding, "chunked", "{head:?}");
                Self::chunks(rest)?
            }
            _ => panic!("framed twice: {head:?}"),
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

/// All that is said to these bytes until it is silent or closes.
async fn said(gateway: &Gateway, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.web()).await.expect("a connection");
    let _closed_meanwhile = stream.write_all(bytes).await;
    let mut said = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(SILENCE, stream.read_buf(&mut said)).await {}
    said
}

/// The bytes of a request over HTTP/2 whose headers are whatever stands there.
fn frames(case: &Framed, host: &str) -> Vec<u8> {
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
    let (own, others): (Vec<_>, Vec<_>) = case
        .headers
        .iter()
        .copied()
        .partition(|(name, _)| REQUEST.iter().any(|(usual, _)| name == usual));
    // Of the class that is about their order they come where they stand.
    let is_late = case.class == "h2-pseudo";
    for (name, value) in REQUEST {
        let instead = own.iter().filter(|(other, _)| !is_late && *other == name);
        let values: Vec<_> = instead.map(|(_, value)| *value).collect();
        for value in if values.is_empty() { vec![value] } else { values } {
            header(name, &value.replace("HOST", host));
        }
    }
    for (name, value) in if is_late { case.headers.to_vec() } else { others } {
        header(name, &value.replace("HOST", host));
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

/// Whether what came is what a case may come to; else why not.
async fn judge(
    gateway: &Gateway,
    upstream: &Upstream,
    number: usize,
    (fate, status): (Fate, Option<&str>),
    before: usize,
) -> Result<(), String> {
    // Who comes next gets what they asked for: no answer to somebody else was left behind.
    for _ in 0..2 {
        let path = format!("/honest-{number}");
        let asked =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", upstream.name);
        let answer = String::from_utf8_lossy(&said(gateway, asked.as_bytes()).await).into_owned();
        let is_own = answer.starts_with("HTTP/1.1 200") && answer.contains(&path);
        if !is_own || answer.contains("smuggled") {
            return Err(format!("the next one was answered {answer:?}"));
        }
    }
    let (whole, is_odd) = upstream.heard();
    let whole: Vec<_> =
        whole.into_iter().filter(|one| !one.target.starts_with("/honest")).collect();
    let seen = upstream.seen()[before..].to_vec();
    let wanted = match fate {
        Fate::Refused => vec![],
        Fate::One(target, body) => vec![Request { target: target.to_owned(), body }],
        Fate::Two(target, body) => vec![
            Request { target: target.to_owned(), body },
            Request { target: "/second".to_owned(), body: 0 },
        ],
    };
    // Of one that is refused within its body the head may have gone on.
    let is_seen = match fate {
        Fate::Refused => seen.len() <= 1 && seen.iter().all(|one| one.ends_with(" /a")),
        Fate::One(..) | Fate::Two(..) => {
            seen.len() == wanted.len()
                && seen.iter().zip(&wanted).all(|(one, wanted)| one.ends_with(&wanted.target))
        }
    };
    let is_answered = status.is_none_or(|status| match fate {
        // Who answers heads before bodies has answered this one, and sees that its body was cut.
        Fate::Refused if !seen.is_empty() => ["", "200", "400"].contains(&status),
        Fate::Refused => ["", "400", "505"].contains(&status),
        Fate::One(..) | Fate::Two(..) => status == "200",
    });
    if is_odd || whole != wanted || !is_seen || !is_answered {
        return Err(format!(
            "answered as is right: {is_answered}; {whole:?} arrived, more on a connection: {is_odd}; \
             it saw {seen:?}"
        ));
    }
    Ok(())
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
    let gateway = Setup::new()
        .with(yaml::service("nginx", &[at_nginx]))
        .with(yaml::service("node", &[at_node]))
        .with(route("nginx"))
        .with(route("node"))
        .start()
        .await;
    let (mut wrong, mut number) = (Vec::new(), 0);
    for upstream in [&nginx, &node] {
        for Plain { class, text, fate } in PLAIN {
            number += 1;
            let (before, bytes) = (upstream.seen().len(), text.replace("HOST", upstream.name));
            let answer = said(&gateway, bytes.as_bytes()).await;
            let status =
                String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
            let judged = judge(&gateway, upstream, number, (*fate, Some(&status)), before).await;
            if let Err(why) = judged {
                wrong.push(format!("{} {class} {text:?}: status '{status}'; {why}", upstream.name));
            }
        }
        for case in FRAMED {
            number += 1;
            let before = upstream.seen().len();
            said(&gateway, &frames(case, upstream.name)).await;
            let judged = judge(&gateway, upstream, number, (case.fate, None), before).await;
            if let Err(why) = judged {
                let headers = case.headers;
                wrong.push(format!("{} {} {headers:?}: {why}", upstream.name, case.class));
            }
        }
    }
    let mut told = std::io::stderr();
    let classes = PLAIN.iter().map(|one| one.class).chain(FRAMED.iter().map(|one| one.class));
    let classes: std::collections::BTreeSet<_> = classes.collect();
    writeln!(told, "{number} requests of {} classes", classes.len()).unwrap();
    assert!(wrong.is_empty(), "{} of {number} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
