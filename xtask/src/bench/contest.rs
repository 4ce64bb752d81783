//! Every subject in every case, interleaved round by round: what the benches of the data plane share.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::bed::Bed;
use super::case::Case;
use super::drive::{Closed, Driver, Pace, closed};
use super::ours::Ours;
use super::process::has_two_cores;
use super::report::{Report, Sample, work};
use super::subject::{Running, Subject};
use super::{pair, proxy};
use crate::setup;

/// Where load and upstream take more percent of their core, a latency is not the subject's alone.
const BUSY: f64 = 75.0;

/// What the subjects of a bench are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// One proxy between callers and the upstream.
    Edge,
    /// Two of them, with mutual TLS between.
    Mesh,
}

impl Field {
    /// Sees to it that the subject is there; returns its programs.
    fn obtain(self, subject: Subject, ours: &Ours) -> Result<Vec<PathBuf>> {
        match self {
            Self::Edge => proxy::obtain(subject, ours),
            Self::Mesh => pair::obtain(subject, ours),
        }
    }

    fn start(
        self,
        case: Case,
        subject: Subject,
        programs: &[PathBuf],
        bed: &Bed,
    ) -> Result<Running> {
        match self {
            Self::Edge => proxy::start(case, subject, programs, bed),
            Self::Mesh => pair::start(case, subject, programs, bed),
        }
    }

    /// Fails where a subject that answers is not what it is measured as.
    fn check(self, subject: Subject, running: &Running) -> Result<()> {
        match self {
            Self::Edge => Ok(()),
            Self::Mesh => pair::check(subject, running),
        }
    }

    /// The open loop's rate, as a share of what Envoy can do. A pair that reads requests takes half of
    /// what one proxy does, so half of that leaves the core of load and upstream as idle as a quarter of
    /// the other; one that carries bytes takes as much.
    fn share(self, case: Case) -> f64 {
        match self {
            Self::Mesh if !case.is_bytes() => 0.5,
            Self::Mesh | Self::Edge => 0.25,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Terms {
    /// How often each subject is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each measurement lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long there is load before each measurement.
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Requests per second of the open loop; a share of what Envoy can do if not given.
    #[arg(long)]
    rate: Option<f64>,
    /// One round of one second: shows that all works, measures nothing.
    #[arg(long)]
    smoke: bool,
    #[command(flatten)]
    ours: Ours,
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Measures the subjects in the cases, prints what came of it, and fails where it means nothing.
pub(super) fn run(field: Field, cases: &[Case], subjects: &[Subject], terms: &Terms) -> Result<()> {
    let report = Run::prepare(field, subjects, terms)?.all(cases)?;
    report.print(&mut std::io::stdout().lock())?;
    if let Some(file) = &terms.json {
        let text = format!("{:#}\n", report.to_json());
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if report.samples.iter().any(|sample| sample.failed > 0) {
        bail!("some requests failed: the figures of those subjects mean nothing");
    }
    if terms.smoke && !report.unable.is_empty() {
        bail!("not every subject does every case");
    }
    if std::env::var("CI").is_ok_and(|value| value == "true") && !report.skipped.is_empty() {
        bail!("with CI=true every subject has to be there");
    }
    Ok(())
}

/// A run under way.
struct Run<'a> {
    field: Field,
    terms: &'a Terms,
    rounds: u64,
    pace: Pace,
    driver: Driver,
    bed: Bed,
    entrants: Vec<(Subject, Vec<PathBuf>)>,
    report: Report,
}

impl<'a> Run<'a> {
    fn prepare(field: Field, subjects: &[Subject], terms: &'a Terms) -> Result<Self> {
        setup::apt(&["nginx-light", "wrk", "nghttp2-client", "openssl"])?;
        if !has_two_cores() {
            eprintln!("one core only: subject and load compete, ratios mean little");
        }
        let (rounds, pace) = if terms.smoke {
            (1, Pace { warmup: 0, seconds: 1 })
        } else {
            (terms.rounds, Pace { warmup: terms.warmup, seconds: terms.seconds })
        };
        let (mut entrants, mut report) = (Vec::new(), Report::default());
        for &subject in subjects {
            eprintln!("==> preparing {}", subject.name());
            match field.obtain(subject, &terms.ours) {
                Ok(programs) => entrants.push((subject, programs)),
                Err(reason) => report.skipped.push((subject, format!("{reason:#}"))),
            }
        }
        let (driver, mut bed) = (Driver::new(&terms.ours)?, Bed::lay()?);
        if field == Field::Edge {
            bed.start_callee(&terms.ours.program("e2e", "callee")?)?;
        }
        Ok(Self { field, terms, rounds, pace, driver, bed, entrants, report })
    }

    fn all(mut self, cases: &[Case]) -> Result<Report> {
        for case in cases {
            self.case(*case)?;
        }
        Ok(self.report)
    }

    fn case(&mut self, case: Case) -> Result<()> {
        let mut able = self.able(case);
        if able.is_empty() {
            return Ok(());
        }
        let rate = match self.terms.rate {
            Some(rate) => rate,
            None => self.share_of_saturation(case, &able)?,
        };
        self.report.rates.push((case, rate));
        for round in 0..self.rounds {
            for index in &able {
                let sample = self.sample(case, *index, round, rate)?;
                self.report.samples.push(sample);
            }
            // Nobody always runs after the same neighbour.
            able.rotate_left(1);
        }
        Ok(())
    }

    /// The entrants, by index, that answer the case as they should.
    fn able(&mut self, case: Case) -> Vec<usize> {
        let mut able = Vec::new();
        for index in 0..self.entrants.len() {
            match self.start(case, index) {
                Ok(_ended_at_once) => able.push(index),
                Err(reason) => {
                    let subject = self.entrants[index].0;
                    self.report.unable.push((case, subject, format!("{reason:#}")));
                }
            }
        }
        able
    }

    fn start(&self, case: Case, index: usize) -> Result<Running> {
        let (subject, programs) = &self.entrants[index];
        let mut running = self.field.start(case, *subject, programs, &self.bed)?;
        self.driver.probe(case, &self.bed, &mut running)?;
        self.field.check(*subject, &running)?;
        Ok(running)
    }

    /// A share of what Envoy can do; of what the first subject can, where Envoy is not measured.
    fn share_of_saturation(&self, case: Case, able: &[usize]) -> Result<f64> {
        let envoy = able.iter().find(|index| self.entrants[**index].0 == Subject::Envoy);
        let index = *envoy.or(able.first()).context("nobody is able")?;
        let running = self.start(case, index)?;
        let cold = self.warm_up(case, &running)?;
        let Closed { requests, seconds, failed, .. } =
            closed(case, &self.bed, &running, self.pace.seconds.min(5))?;
        let share = self.field.share(case);
        let rate = requests as f64 / seconds * share;
        let (case, whose) = (case.name(), self.entrants[index].0.name());
        if cold + failed > 0 {
            bail!(
                "{case}: {} requests to {whose} failed in the run that sets the rate",
                cold + failed
            );
        }
        eprintln!("==> {case}: open loop at {rate:.0}/s, {share} of {whose}'s saturation");
        Ok(rate.max(1.0))
    }

    /// Load that is not measured; how many requests failed under it.
    fn warm_up(&self, case: Case, running: &Running) -> Result<u64> {
        if self.pace.warmup == 0 {
            return Ok(0);
        }
        Ok(closed(case, &self.bed, running, self.pace.warmup)?.failed)
    }

    fn sample(&self, case: Case, index: usize, round: u64, rate: f64) -> Result<Sample> {
        let subject = self.entrants[index].0;
        let context = || format!("{}, {}, round {}", case.name(), subject.name(), round + 1);
        let running = self.start(case, index).with_context(context)?;
        let cold = self.warm_up(case, &running).with_context(context)?;
        let before = running.cpu_seconds()?;
        let full = closed(case, &self.bed, &running, self.pace.seconds).with_context(context)?;
        let cpu = running.cpu_seconds()? - before;
        let rss_anon_kib = running.rss_anon_kib()? as f64;
        let paced = self.driver.open(case, &self.bed, &running, rate, self.pace);
        let paced = paced.with_context(context)?;
        let sample = Sample {
            case,
            subject,
            round: round as usize,
            requests_per_second: full.requests as f64 / full.seconds,
            requests_per_cpu_second: full.requests as f64 / cpu,
            p50_us: paced.p50,
            p99_us: paced.p99,
            p999_us: paced.p999,
            load_core: paced.load_core,
            stolen: paced.stolen,
            rss_anon_kib,
            failed: cold + full.failed + paced.failed,
        };
        let (work, load) = (work(sample.requests_per_cpu_second), cpu / full.seconds * 100.0);
        eprintln!("    {}: {work} requests/CPU-s, {load:.0} % of its core", context());
        if sample.load_core > BUSY {
            let busy = sample.load_core;
            eprintln!(
                "    load and upstream had {busy:.0} % of their core: its queue is measured too"
            );
        }
        if sample.failed > 0 {
            let (full, paced) = (full.failed, paced.failed);
            eprintln!("    failed: {cold} unmeasured, {full} at saturation, {paced} at the rate");
        }
        Ok(sample)
    }
}

/// Takes the name of one of these on the command line.
pub(super) fn among<T>(all: &[T]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: ValueEnum + Send + Sync + 'static,
{
    let names = PossibleValuesParser::new(all.iter().filter_map(T::to_possible_value));
    names.try_map(|name| T::from_str(&name, false))
}

/// What was asked for, or everything.
pub(super) fn chosen<T: Copy>(asked: &[T], all: &[T]) -> Vec<T> {
    if asked.is_empty() { all.to_vec() } else { asked.to_vec() }
}
