//! What a subject adds to the latency that callers have without it.

use std::io::{self, Write};

use super::{Case, Figure, Report, Sample, Subject};

impl Report {
    /// What the sample has more than the round's direct one.
    pub(super) fn added(&self, sample: &Sample, figure: Figure) -> Option<f64> {
        let mut direct = self.of(sample.case, Subject::Direct);
        let direct = direct.find(|direct| direct.round == sample.round)?;
        Some(figure(sample) - figure(direct))
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
        let figures: [Figure; 2] = [|s| s.p50_us, |s| s.p99_us];
        let [p50, p99] =
            figures.map(|figure| self.spread(case, subject, |sample| self.added(sample, figure)));
        let shares = figures
            .map(|figure| self.ratio(case, ours, subject, |sample| self.added(sample, figure)));
        if let (Some(p50), Some(p99), [Some(middle), Some(tail)]) = (p50, p99, shares) {
            writeln!(
                out,
                "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
                case.name(),
                subject.name(),
                p50.median,
                p99.median,
                middle.median,
                middle.upper,
                tail.median,
                tail.upper,
            )?;
        }
        Ok(())
    }
}
