//! `bench mesh`: a pair of proxies with mutual TLS between them, beside other pairs.
//!
//! ```text
//! load ──HTTP/1.1──> outbound ──mutual TLS 1.3──> inbound ──HTTP/1.1──> upstream
//! ```

use anyhow::Result;

use super::case::Case;
use super::contest::{self, Field, among, chosen};
use super::subject::Subject;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases to measure; all if none is named.
    #[arg(long, value_parser = among(&Case::MESH))]
    case: Vec<Case>,
    /// The subjects to measure; all if none is named.
    #[arg(long, value_parser = among(&Subject::MESH))]
    subject: Vec<Subject>,
    #[command(flatten)]
    terms: contest::Terms,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let cases = chosen(&args.case, &Case::MESH);
    let subjects = chosen(&args.subject, &Subject::MESH);
    contest::run(Field::Mesh, &cases, &subjects, &args.terms)
}
