//! Load on a subject: a probe, as much as it takes, or a fixed rate.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::bed::Bed;
use super::case::{Case, Wire};
use super::ours::Ours;
use super::process::{CoreTime, OTHER_CORE, pinned};
use super::subject::Running;

/// Requests in flight when a subject gets all it can take.
const CONNECTIONS: u32 = 64;
/// Connections that carry the streams of HTTP/2.
const H2_CONNECTIONS: u32 = 4;
/// How long a subject may take until it answers as expected.
const READY: Duration = Duration::from_secs(20);

/// What came of a closed loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) seconds: f64,
}

/// What came of an open loop; times in microseconds, the core of load and upstream in percent busy, what the
/// hypervisor took of all cores in percent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) load_core: f64,
    pub(super) stolen: f64,
    pub(super) failed: u64,
}

/// The programs that make load.
#[derive(Debug)]
pub(super) struct Driver {
    load: PathBuf,
}

impl Driver {
    pub(super) fn new(ours: &Ours) -> Result<Self> {
        Ok(Self { load: ours.program("e2e", "load")? })
    }

    /// Waits until the subject answers one request of the case as it should.
    pub(super) fn probe(&self, case: Case, bed: &Bed, subject: &mut Running) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            subject.check()?;
            let out = self.load(case, bed, subject).output().context("starting the load")?;
            if out.status.success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no answer as expected within {} s: {}", READY.as_secs(), said(&out));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends `rate` requests a second, whatever the subject does.
    pub(super) fn open(
        &self,
        case: Case,
        bed: &Bed,
        subject: &Running,
        rate: f64,
        pace: Pace,
    ) -> Result<Open> {
        let connections = match case.wire() {
            Wire::Http1 | Wire::Https => CONNECTIONS,
            Wire::Http2 | Wire::Grpc => H2_CONNECTIONS,
        };
        let mut command = self.load(case, bed, subject);
        command.args(["--connections", &connections.to_string()]);
        command.args(["--rate", &format!("{rate:.0}")]);
        command.args(["--warmup", &pace.warmup.to_string()]);
        command.args(["--seconds", &pace.seconds.to_string()]);
        let (load, all) = (CoreTime::of_load()?, CoreTime::of_all()?);
        let out = command.output().context("starting the load")?;
        let load_core = CoreTime::of_load()?.busy_since(load);
        let stolen = CoreTime::of_all()?.stolen_since(all);
        let tally: Value = serde_json::from_slice(&out.stdout)
            .with_context(|| format!("the load said {}", said(&out)))?;
        let micros = |name: &str| tally[name].as_f64().with_context(|| format!("no {name}"));
        let failed = ["non_200", "wrong_length", "errors"];
        Ok(Open {
            p50: micros("p50_us")?,
            p99: micros("p99_us")?,
            p999: micros("p999_us")?,
            load_core,
            stolen,
            failed: failed.iter().filter_map(|name| tally[*name].as_u64()).sum(),
        })
    }

    fn load(&self, case: Case, bed: &Bed, subject: &Running) -> Command {
        let port = subject.ports.of(case.wire());
        let protocol = match case.wire() {
            Wire::Http1 => "h1",
            Wire::Http2 => "h2c",
            Wire::Https => "https",
            Wire::Grpc => "grpc",
        };
        let mut command = pinned(OTHER_CORE, &self.load);
        command.arg(format!("127.0.0.1:{port}"));
        command.args(["--protocol", protocol, "--host", &case.host(), "--path", &case.path()]);
        command.args(["--body", &case.body().to_string()]).arg("--ca").arg(&bed.certificate);
        command
    }
}

/// How long a loop runs, in seconds, with and without being counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) warmup: u64,
    pub(super) seconds: u64,
}

/// Gives the subject all it can take for that many seconds.
pub(super) fn closed(case: Case, bed: &Bed, subject: &Running, seconds: u64) -> Result<Closed> {
    let (port, path) = (subject.ports.of(case.wire()), case.path());
    match case.wire() {
        Wire::Http1 => wrk(&case.host(), &[], &format!("http://127.0.0.1:{port}{path}"), seconds),
        Wire::Https => wrk(&case.host(), &[], &format!("https://localhost:{port}{path}"), seconds),
        Wire::Http2 | Wire::Grpc => {
            h2load(case, bed, &format!("http://127.0.0.1:{port}{path}"), seconds)
        }
    }
}

/// All that can be taken of HTTP/1.1, with these headers.
pub(super) fn wrk(host: &str, headers: &[&str], url: &str, seconds: u64) -> Result<Closed> {
    let mut command = pinned(OTHER_CORE, "wrk");
    command.arg("-H").arg(format!("Host: {host}"));
    for header in headers {
        command.args(["-H", header]);
    }
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
    let out = command.args(["--timeout", "5s", url]).output().context("starting wrk")?;
    ensure!(out.status.success(), "wrk failed: {}", said(&out));
    wrk_result(&String::from_utf8_lossy(&out.stdout))
}

/// Reads `N requests in 10.01s, ...`, `Socket errors: connect 0, ...`, `Non-2xx ...: N`.
fn wrk_result(text: &str) -> Result<Closed> {
    let line = text.lines().find(|line| line.contains(" requests in ")).context("wrk's sum")?;
    let (requests, rest) = line.trim().split_once(" requests in ").context("wrk's requests")?;
    let length = rest.split(',').next().unwrap_or_default();
    let failed = text
        .lines()
        .filter(|line| line.contains("Socket errors:") || line.contains("Non-2xx"))
        .flat_map(|line| line.split([' ', ',']))
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    Ok(Closed { requests: requests.parse()?, failed, seconds: length_seconds(length)? })
}

fn h2load(case: Case, bed: &Bed, url: &str, seconds: u64) -> Result<Closed> {
    let streams = CONNECTIONS / H2_CONNECTIONS;
    let mut command = pinned(OTHER_CORE, "h2load");
    command.args(["-t1", &format!("-c{H2_CONNECTIONS}"), &format!("-m{streams}")]);
    if case.wire() == Wire::Grpc {
        command.arg("-d").arg(&bed.message);
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
    }
    let out = command.args(["-D", &seconds.to_string(), url]).output();
    let out = out.context("starting h2load")?;
    ensure!(out.status.success(), "h2load failed: {}", said(&out));
    h2load_result(&String::from_utf8_lossy(&out.stdout), case.body() as u64)
}

/// Reads `finished in 10.00s, ...`, `requests: ... N done, ... N failed, ...`,
/// `status codes: N 2xx, ...`, `traffic: ... (N) data`. A call that fails has the status 200, and less of a
/// body than `body` bytes.
fn h2load_result(text: &str, body: u64) -> Result<Closed> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let count = |line: &str, what: &str| -> Result<u64> {
        let entry = line.split(',').find_map(|entry| entry.trim().strip_suffix(what));
        Ok(entry.with_context(|| format!("h2load's{what}"))?.parse()?)
    };
    let length = after("finished in ").context("h2load's length")?;
    let requests = after("requests: ").context("h2load's requests")?;
    let good = count(after("status codes: ").context("h2load's status codes")?, " 2xx")?;
    let done = count(requests, " done")?;
    let traffic = after("traffic: ").context("h2load's traffic")?;
    let data = traffic.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(") data"));
    let data: u64 = data.context("h2load's data")?.parse()?;
    let short = (done * body).saturating_sub(data).div_ceil(body);
    let failed = count(requests, " failed")? + done.saturating_sub(good).max(short);
    let length = length.split(',').next().unwrap_or_default();
    Ok(Closed { requests: done, failed, seconds: length_seconds(length)? })
}

/// Reads `10.01s`, `998.7ms` or `1.00m`.
fn length_seconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.trim().parse::<f64>()? * factor);
        }
    }
    bail!("{text:?} is no length of time")
}

/// What a program said, on one line.
pub(super) fn said(out: &Output) -> String {
    let text = [out.stdout.as_slice(), out.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).lines().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests;
