//! HTTP/1.1 load, plain or over TLS: a thread for each connection, each taking the next request
//! that is due.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::schedule::{Schedule, sharpen_sleep};
use super::{Plan, Protocol, Reply, Tally};

/// No answer within this long is an error.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head that the load reads.
const HEAD: usize = 16 * 1024;

pub(super) fn run(plan: &Plan) -> Result<Tally> {
    sharpen_sleep();
    let dialer = Dialer::new(plan)?;
    let links = (0..plan.connections).map(|_| dialer.dial()).collect::<Result<Vec<_>>>()?;
    let schedule = Schedule::new(plan, Instant::now() + Duration::from_millis(20));
    std::thread::scope(|scope| {
        let workers: Vec<_> = links
            .into_iter()
            .map(|link| scope.spawn(|| work(plan, &dialer, link, &schedule)))
            .collect();
        let mut sum = Tally::default();
        for worker in workers {
            sum.merge(&worker.join().map_err(|_| anyhow!("a connection's thread panicked"))?);
        }
        Ok(sum)
    })
}

fn work(plan: &Plan, dialer: &Dialer<'_>, link: Link, schedule: &Schedule) -> Tally {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", plan.path, plan.host);
    let mut tally = Tally::default();
    let mut link = Some(link);
    while let Some(ticket) = schedule.take() {
        ticket.wait();
        if link.is_none() {
            link = dialer.dial().ok();
        }
        match link.as_mut().map(|link| link.exchange(request.as_bytes())) {
            Some(Ok(reply)) => tally.add(ticket, reply, plan),
            Some(Err(_)) | None => {
                tally.fail();
                link = None;
            }
        }
    }
    tally
}

struct Dialer<'a> {
    plan: &'a Plan,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl<'a> Dialer<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let tls = match plan.protocol {
            Protocol::H1 | Protocol::H2c | Protocol::Grpc => None,
            Protocol::Https => Some((client_config(plan)?, server_name(plan)?)),
        };
        Ok(Self { plan, tls })
    }

    fn dial(&self) -> Result<Link> {
        let target = self.plan.target;
        let stream = TcpStream::connect(target).with_context(|| format!("dialling {target}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some((config, name)) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone())?;
                let mut stream = StreamOwned::new(session, stream);
                stream.conn.complete_io(&mut stream.sock).context("the TLS handshake")?;
                Box::new(stream)
            }
        };
        Ok(Link { stream, buffer: vec![0; 64 * 1024] })
    }
}

fn client_config(plan: &Plan) -> Result<Arc<ClientConfig>> {
    let file = plan.ca.as_ref().context("HTTPS needs the certificate to trust")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn server_name(plan: &Plan) -> Result<ServerName<'static>> {
    let host = plan.host.split(':').next().unwrap_or_default().to_owned();
    ServerName::try_from(host).context("the host is no name of a server")
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// One connection and the bytes read from it.
struct Link {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Link {
    fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        let (head, mut held) = self.read_head()?;
        let (status, length) = parse_head(&self.buffer[..head])?;
        held -= head;
        while (held as u64) < length {
            let read = self.stream.read(&mut self.buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            held += read;
        }
        if held as u64 > length {
            return Err(io::Error::other("bytes after the body"));
        }
        Ok(Reply { status, body: length })
    }

    /// Reads until the head is there; returns its length and how many bytes were read in all.
    fn read_head(&mut self) -> io::Result<(usize, usize)> {
        let mut held = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[held..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let from = held.saturating_sub(3);
            held += read;
            let end = self.buffer[from..held].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok((from + end + 4, held));
            }
            if held > HEAD {
                return Err(io::Error::other("a head without an end"));
            }
        }
    }
}

/// The status code and the length of the body.
pub(super) fn parse_head(head: &[u8]) -> io::Result<(u16, u64)> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix(b"HTTP/1.1 "))
        .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok())
        .ok_or_else(|| io::Error::other("no status line"))?;
    let length = lines
        .filter_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
            name.eq_ignore_ascii_case(b"content-length").then_some(&value[1..])
        })
        .find_map(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("no Content-Length"))?;
    Ok((status, length))
}
