//! The work by which a gateway that counts its branches is shown what matters: that of the benches, and what
//! none of them has (`cargo xtask pgo`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::bed::{Bed, free_ports};
use super::case::Case;
use super::drive::{Closed, closed, wrk};
use super::process::{Process, SUBJECT_CORE, pinned};
use super::proxy;
use super::subject::Subject;
use crate::{setup, shell};

/// What makes the load, and answers.
const PACKAGES: [&str; 4] = ["nginx-light", "wrk", "nghttp2-client", "openssl"];
/// Those that differ in what they ask of a proxy, and not in how many routes it has.
const CASES: [Case; 6] = [
    Case::H1Small,
    Case::H1Large,
    Case::H2Small,
    Case::HttpsSmall,
    Case::GrpcUnary,
    Case::GrpcStream,
];
/// How many requests go to a route with an AccessPolicy.
const JUDGED: u64 = 30_000;
/// How long the gateway may take to listen.
const READY: Duration = Duration::from_secs(20);
/// Within how many seconds somebody has to be answered, whatever the machine and the build.
const ANSWERED: u64 = 30;

/// Those of ours that take part.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) gateway: PathBuf,
    pub(crate) bare: PathBuf,
    pub(crate) exchanges: PathBuf,
    pub(crate) callee: PathBuf,
}

/// Has both forwarders and `exchanges` do what they are there for, each kind of work for so many seconds; fails
/// where a request fails.
pub(crate) fn train(programs: &Programs, seconds: u64) -> Result<()> {
    setup::apt(&PACKAGES)?;
    let mut bed = Bed::lay()?;
    bed.start_callee(&programs.callee)?;
    for case in CASES {
        for (subject, program) in
            [(Subject::Heddle, &programs.gateway), (Subject::Bare, &programs.bare)]
        {
            load(case, subject, program, &bed, seconds)?;
        }
    }
    beyond_the_benches(&programs.gateway, &bed, seconds)?;
    shell::run(Command::new(&programs.exchanges).arg(JUDGED.to_string()))
}

/// Fails where one of them does not answer as it should.
pub(crate) fn try_out(gateway: &Path, bare: &Path) -> Result<()> {
    setup::apt(&PACKAGES)?;
    let bed = Bed::lay()?;
    for (subject, program) in [(Subject::Heddle, gateway), (Subject::Bare, bare)] {
        for case in [Case::H1Small, Case::H2Small, Case::HttpsSmall] {
            load(case, subject, program, &bed, 1)?;
        }
    }
    Ok(())
}

/// Has one of them answer for so many seconds, and ends it.
fn load(case: Case, subject: Subject, program: &Path, bed: &Bed, seconds: u64) -> Result<()> {
    let what = || format!("{}, {}", case.name(), program.display());
    let mut running = proxy::start(case, subject, &[program.to_owned()], bed)?;
    let port = running.ports.of(case.wire());
    running
        .processes
        .iter_mut()
        .try_for_each(|process| await_listener(process, port))
        .with_context(what)?;
    work(seconds, |seconds| closed(case, bed, &running, seconds)).with_context(what)?;
    running.processes.into_iter().try_for_each(Process::end).with_context(what)
}

/// Answers that are compressed, and connections that are carried.
fn beyond_the_benches(gateway: &Path, bed: &Bed, seconds: u64) -> Result<()> {
    let dir = bed.folder("training")?;
    let config = dir.join("config");
    std::fs::create_dir(&config)?;
    let ports = Ports::find()?;
    std::fs::write(config.join("all.yaml"), ports.gateway(bed)?)?;
    let mut command = pinned(SUBJECT_CORE, gateway);
    command.arg("--config").arg(config).args(["--workers", "1"]);
    command.args(["--admin", &format!("127.0.0.1:{}", ports.admin)]);
    command.arg("--access-log").arg(dir.join("access.log"));
    let mut process = Process::start(&mut command, &dir)?;
    await_listener(&mut process, ports.tls)?;

    let (small, large) = (Case::H1Small.path(), Case::H1Large.path());
    let url = |scheme: &str, port: u16, path: &str| format!("{scheme}://localhost:{port}{path}");
    for coding in ["gzip", "br", "zstd"] {
        let header = format!("Accept-Encoding: {coding}");
        let url = url("http", ports.http, &large);
        work(seconds, |seconds| wrk("localhost", &[&header], &url, seconds))
            .with_context(|| format!("answers by {coding}"))?;
    }
    for path in [&small, &large] {
        for (scheme, port) in [("http", ports.tcp), ("https", ports.tls)] {
            let url = url(scheme, port, path);
            work(seconds, |seconds| wrk("localhost", &[], &url, seconds))
                .with_context(|| format!("carried: {url}"))?;
        }
    }
    process.end()
}

/// Has a load run for so many seconds, and for twice as many where nobody was answered meanwhile: a build that
/// counts, compresses and is not optimised takes longer than one second for its first answers.
fn work(seconds: u64, load: impl Fn(u64) -> Result<Closed>) -> Result<()> {
    let mut length = seconds;
    loop {
        let Closed { requests, failed, seconds: _ } = load(length)?;
        ensure!(failed == 0, "of {requests} requests {failed} failed");
        if requests > 0 {
            return Ok(());
        }
        ensure!(length < ANSWERED, "nobody was answered within {length} s");
        length *= 2;
    }
}

/// Waits until somebody listens there.
fn await_listener(process: &mut Process, port: u16) -> Result<()> {
    let deadline = Instant::now() + READY;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        process.check()?;
        ensure!(Instant::now() < deadline, "nobody listened after {} s", READY.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Where the gateway listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http: u16,
    https: u16,
    tcp: u16,
    /// TLS that is passed through, to `https`.
    tls: u16,
    admin: u16,
}

impl Ports {
    fn find() -> Result<Self> {
        let [http, https, tcp, tls, admin] = free_ports()?;
        Ok(Self { http, https, tcp, tls, admin })
    }

    fn gateway(self, bed: &Bed) -> Result<String> {
        let certificate = std::fs::read_to_string(&bed.certificate)?;
        let key = std::fs::read_to_string(&bed.key)?;
        Ok(self.objects(bed.upstream, &certificate, &key))
    }

    fn objects(self, upstream: u16, certificate: &str, key: &str) -> String {
        let Self { http, https, tcp, tls, admin: _ } = self;
        let secret = proxy::heddle::secret("edge", certificate, key);
        let [upstream, itself] = [("upstream", upstream), ("itself", https)]
            .map(|(name, port)| proxy::heddle::service(name, port, "http"));
        format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge, namespace: bench }}
spec:
  gatewayClassName: heddle
  listeners:
    - {{ name: http, port: {http}, protocol: HTTP }}
    - name: https
      port: {https}
      protocol: HTTPS
      tls: {{ mode: Terminate, certificateRefs: [{{ name: edge }}] }}
    - {{ name: tcp, port: {tcp}, protocol: TCP }}
    - {{ name: tls, port: {tls}, protocol: TLS, tls: {{ mode: Passthrough }} }}
---
{secret}---
{upstream}---
{itself}---
apiVersion: heddle.dev/v1alpha1
kind: TrafficPolicy
metadata: {{ name: upstream, namespace: bench }}
spec:
  targetRefs: [{{ group: \"\", kind: Service, name: upstream }}]
  compression: {{}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all, namespace: bench }}
spec:
  parentRefs: [{{ name: edge, sectionName: http }}, {{ name: edge, sectionName: https }}]
  rules: [{{ backendRefs: [{{ name: upstream, port: 80 }}] }}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{ name: tcp, namespace: bench }}
spec:
  parentRefs: [{{ name: edge, sectionName: tcp }}]
  rules: [{{ backendRefs: [{{ name: upstream, port: 80 }}] }}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{ name: tls, namespace: bench }}
spec:
  parentRefs: [{{ name: edge, sectionName: tls }}]
  hostnames: [localhost]
  rules: [{{ backendRefs: [{{ name: itself, port: 80 }}] }}]
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_slowly_is_given_time_and_who_fails_is_not() {
        let load = |requests, failed| Ok(Closed { requests, failed, seconds: 1.0 });
        assert!(work(1, |seconds| load(u64::from(seconds >= 4), 0)).is_ok());
        let never = work(1, |_| load(0, 0)).unwrap_err().to_string();
        assert_eq!(never, "nobody was answered within 32 s");
        let failed = work(1, |_| load(0, 2)).unwrap_err().to_string();
        assert_eq!(failed, "of 0 requests 2 failed");
    }

    #[test]
    fn the_model_accepts_every_object_written() {
        let ports = Ports { http: 8080, https: 8443, tcp: 8081, tls: 8444, admin: 9901 };
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let documents = model::read(&ports.objects(9000, pem, key));
        let faults: Vec<_> =
            documents.iter().filter_map(|document| document.result.as_ref().err()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(documents.len(), 10);
    }
}
