//! `bench edge`: a proxy at the edge beside its peers.

use anyhow::Result;

use super::case::Case;
use super::contest::{self, Field, among, chosen};
use super::subject::Subject;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases to measure; all if none is named.
    #[arg(long, value_parser = among(&Case::EDGE))]
    case: Vec<Case>,
    /// The subjects to measure; all if none is named.
    #[arg(long, value_parser = among(&Subject::EDGE))]
    subject: Vec<Subject>,
    #[command(flatten)]
    terms: contest::Terms,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let cases = chosen(&args.case, &Case::EDGE);
    let subjects = chosen(&args.subject, &Subject::EDGE);
    contest::run(Field::Edge, &cases, &subjects, &args.terms)
}
