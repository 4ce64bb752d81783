//! The measurements of a run as tables and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::case::Case;
use super::spread::Spread;
use super::subject::Subject;

mod added;

/// One subject in one round of one case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) case: Case,
    pub(super) subject: Subject,
    pub(super) round: usize,
    pub(super) requests_per_second: f64,
    pub(super) requests_per_cpu_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// Percent that the core of load and upstream was busy while latency was measured.
    pub(super) load_core: f64,
    /// Percent of all cores that the hypervisor took meanwhile.
    pub(super) stolen: f64,
    pub(super) rss_anon_kib: f64,
    pub(super) failed: u64,
}

/// All that a run found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) samples: Vec<Sample>,
    /// The open loop's rate in each case.
    pub(super) rates: Vec<(Case, f64)>,
    /// Subjects that are not there at all, with the reason.
    pub(super) skipped: Vec<(Subject, String)>,
    /// What a subject cannot do, with the reason.
    pub(super) unable: Vec<(Case, Subject, String)>,
}

/// Requests per CPU-second in words: where there is no proxy, no CPU is counted.
pub(super) fn work(figure: f64) -> String {
    if figure.is_finite() { format!("{figure:.0}") } else { "n/a".to_owned() }
}

type Figure = fn(&Sample) -> f64;

impl Report {
    /// One object for each case and subject, medians over the rounds.
    pub(super) fn to_json(&self) -> Value {
        let mut rows = Vec::new();
        for case in self.cases() {
            for subject in self.subjects(case) {
                let median = |figure| self.median(case, subject, figure);
                let tail = self.spread(case, subject, |sample| Some(sample.p99_us));
                let mut row = json!({
                    "case": case.name(),
                    "subject": subject.name(),
                    "requests_per_cpu_second": median(|s| s.requests_per_cpu_second),
                    "p50_us": median(|s| s.p50_us),
                    "p99_us": median(|s| s.p99_us),
                    "p99_us_range": tail.map(|p99| [p99.min, p99.max]),
                    "p999_us": median(|s| s.p999_us),
                    "load_core_percent": median(|s| s.load_core),
                    "stolen_percent": median(|s| s.stolen),
                    "rss_anon_kib": median(|s| s.rss_anon_kib),
                    "failed": self.failed(case, subject),
                });
                self.tell_added(&mut row, case, subject);
                rows.push(row);
            }
        }
        Value::Array(rows)
    }

    /// Writes everything as Markdown.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Medians over the rounds:\n")?;
        writeln!(
            out,
            "| case | subject | requests/CPU-s | requests/s | p50 us | p99 us | its range \
             | p999 us | load's core | stolen | private KiB | failed |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for case in self.cases() {
            for subject in self.subjects(case) {
                self.print_row(out, case, subject)?;
            }
        }
        writeln!(out)?;
        for (case, rate) in &self.rates {
            writeln!(out, "- {}: latencies at {rate:.0} requests/s", case.name())?;
        }
        for (subject, reason) in &self.skipped {
            writeln!(out, "- {}: skipped: {reason}", subject.name())?;
        }
        for (case, subject, reason) in &self.unable {
            writeln!(out, "- {}, {}: n/a: {reason}", case.name(), subject.name())?;
        }
        self.print_ratios(out)
    }

    fn print_row(&self, out: &mut impl Write, case: Case, subject: Subject) -> io::Result<()> {
        let median = |figure| self.median(case, subject, figure);
        let work = work(median(|s| s.requests_per_cpu_second));
        let tail = self.spread(case, subject, |sample| Some(sample.p99_us));
        let tail = tail.map_or_else(String::new, |p99| format!("{:.0} to {:.0}", p99.min, p99.max));
        writeln!(
            out,
            "| {} | {} | {work} | {:.0} | {:.0} | {:.0} | {tail} | {:.0} | {:.0} % | {:.1} % \
             | {:.0} | {} |",
            case.name(),
            subject.name(),
            median(|s| s.requests_per_second),
            median(|s| s.p50_us),
            median(|s| s.p99_us),
            median(|s| s.p999_us),
            median(|s| s.load_core),
            median(|s| s.stolen),
            median(|s| s.rss_anon_kib),
            self.failed(case, subject),
        )
    }

    /// Our subject against every other: heddle, or bare where heddle was not measured.
    fn print_ratios(&self, out: &mut impl Write) -> io::Result<()> {
        let present = |subject: Subject| self.samples.iter().any(|s| s.subject == subject);
        let Some(ours) = [Subject::Heddle, Subject::Bare].into_iter().find(|s| present(*s)) else {
            return Ok(());
        };
        let name = ours.name();
        writeln!(out, "\nRatios of {name} to each peer, pair by pair within a round:\n")?;
        writeln!(
            out,
            "| case | peer | requests/CPU-s: median | lower quartile | range \
             | p99: median | upper quartile | memory: median |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        for case in self.cases() {
            let others = self.subjects(case).into_iter();
            for peer in others.filter(|peer| ![ours, Subject::Direct].contains(peer)) {
                self.print_ratio(out, case, ours, peer)?;
            }
        }
        self.print_added(out, ours)
    }

    fn print_ratio(
        &self,
        out: &mut impl Write,
        case: Case,
        ours: Subject,
        peer: Subject,
    ) -> io::Result<()> {
        let ratio = |figure: Figure| self.ratio(case, ours, peer, |sample| Some(figure(sample)));
        let work = ratio(|s| s.requests_per_cpu_second);
        let (tail, memory) = (ratio(|s| s.p99_us), ratio(|s| s.rss_anon_kib));
        if let (Some(work), Some(tail), Some(memory)) = (work, tail, memory) {
            writeln!(
                out,
                "| {} | {} | {:.2} | {:.2} | {:.2} to {:.2} | {:.2} | {:.2} | {:.2} |",
                case.name(),
                peer.name(),
                work.median,
                work.lower,
                work.min,
                work.max,
                tail.median,
                tail.upper,
                memory.median,
            )?;
        }
        Ok(())
    }

    fn ratio(
        &self,
        case: Case,
        ours: Subject,
        peer: Subject,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        let pairs = self.of(case, ours).filter_map(|mine| {
            let theirs = self.of(case, peer).find(|theirs| theirs.round == mine.round)?;
            Some(figure(mine)? / figure(theirs)?)
        });
        Spread::of(pairs)
    }

    fn median(&self, case: Case, subject: Subject, figure: Figure) -> f64 {
        let spread = self.spread(case, subject, |sample| Some(figure(sample)));
        spread.map_or(f64::NAN, |spread| spread.median)
    }

    fn spread(
        &self,
        case: Case,
        subject: Subject,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(case, subject).filter_map(figure))
    }

    fn failed(&self, case: Case, subject: Subject) -> u64 {
        self.of(case, subject).map(|sample| sample.failed).sum()
    }

    fn of(&self, case: Case, subject: Subject) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |s| s.case == case && s.subject == subject)
    }

    fn cases(&self) -> Vec<Case> {
        let measured = |case: &Case| self.samples.iter().any(|sample| sample.case == *case);
        Case::EDGE.into_iter().chain(Case::MESH).filter(measured).collect()
    }

    fn subjects(&self, case: Case) -> Vec<Subject> {
        let measured = |subject: &Subject| self.of(case, *subject).next().is_some();
        Subject::EDGE.into_iter().chain([Subject::Direct]).filter(measured).collect()
    }
}

#[cfg(test)]
mod tests;
