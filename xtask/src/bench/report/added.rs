//! What a subject adds to the latency that callers have without it.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Case, Figure, Report, Sample, Subject};

/// Median and tail, with what JSON calls them.
const FIGURES: [(&str, Figure); 2] =
    [("added_p50_us", |s| s.p50_us), ("added_p99_us", |s| s.p99_us)];

impl Report {
    /// What the sample has more than the round's direct one.
    fn added(&self, sample: &Sample, figure: Figure) -> Option<f64> {
        let mut direct = self.of(sample.case, Subject::Direct);
        let direct = direct.find(|direct| direct.round == sample.round)?;
        Some(figure(sample) - figure(direct))
    }

    fn median_added(&self, case: Case, subject: Subject, figure: Figure) -> Option<f64> {
        let added = self.spread(case, subject, |sample| self.added(sample, figure));
        added.map(|added| added.median)
    }

    /// Adds it to a row of JSON, where direct was measured.
    pub(super) fn tell_added(&self, row: &mut Value, case: Case, subject: Subject) {
        for (name, figure) in FIGURES {
            if let Some(added) = self.median_added(case, subject, figure) {
                row[name] = json!(added);
            }
        }
    }

    /// Writes the latency added by each subject, and that by ours as a share of it.
    pub(super) fn print_added(&self, out: &mut impl Write, ours: Subject) -> io::Result<()> {
        if !self.samples.iter().any(|sample| sample.subject == Subject::Direct) {
            return Ok(());
        }
        let name = ours.name();
        writeln!(out, "\nLatency added to direct, and that of {name} as a share of it:\n")?;
        writeln!(
            out,
            "| case | subject | p50 us | p99 us | share p50: median | upper quartile \
             | share p99: median | upper quartile |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        for case in self.cases() {
            for subject in self.subjects(case).into_iter().filter(|s| *s != Subject::Direct) {
                self.print_added_row(out, case, ours, subject)?;
            }
        }
        Ok(())
    }

    fn print_added_row(
        &self,
        out: &mut impl Write,
        case: Case,
        ours: Subject,
        subject: Subject,
    ) -> io::Result<()> {
        write!(out, "| {} | {} |", case.name(), subject.name())?;
        for (_, figure) in FIGURES {
            let added = self.median_added(case, subject, figure);
            write!(out, " {:.0} |", added.unwrap_or(f64::NAN))?;
        }
        for (_, figure) in FIGURES {
            // Where direct was no faster, nothing was added that another could be a share of.
            let added = |sample: &Sample| self.added(sample, figure).filter(|added| *added > 0.0);
            match self.ratio(case, ours, subject, added) {
                Some(share) => write!(out, " {:.2} | {:.2} |", share.median, share.upper)?,
                None => write!(out, " n/a | n/a |")?,
            }
        }
        writeln!(out)
    }
}
