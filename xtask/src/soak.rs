//! `cargo xtask soak NAME`: the long checks at full count, by the code that CI runs at a small one.
//!
//! A soak is a test that takes its count from `HEDDLE_SOAK_COUNT` and its seed from
//! `HEDDLE_SOAK_SEED`, and prints both with what it found. Fuzzers take minutes instead.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::setup::Postgres;
use crate::shell;
use crate::test::{build, stream};

mod fuzz;

/// What `cargo xtask soak` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which one; without it, all are named.
    name: Option<String>,
    /// How many cases, sets or requests, instead of the full count.
    #[arg(long)]
    count: Option<u64>,
    /// How many requests a second, instead of the usual rate of those that keep one: for a slow machine.
    #[arg(long)]
    rate: Option<u32>,
    /// How many minutes each fuzzer runs.
    #[arg(long, default_value_t = 10, conflicts_with = "count", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// The one fuzzer to run.
    #[arg(long)]
    target: Option<String>,
    /// The seed of an earlier run, to see the same cases again.
    #[arg(long)]
    seed: Option<u64>,
    /// The build profile of the test and of the programs it starts.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// A test that is worth running longer than CI can.
#[derive(Debug)]
struct Soak {
    name: &'static str,
    about: &'static str,
    /// Programs of ours, which must be built before.
    starts_programs: bool,
    /// The files below its crate's `tests`; one that is for PostgreSQL finds a server.
    files: &'static [&'static str],
    /// The test's full name in each of them.
    test: &'static str,
    /// What *full* means.
    count: u64,
}

const SOAKS: &[Soak] = &[
    Soak {
        name: "routing",
        about: "generated tables and requests against a naive reference matcher",
        starts_programs: false,
        files: &["generated"],
        test: "reference::agrees_with_the_reference",
        count: 100_000,
    },
    Soak {
        name: "failover",
        about: "flips of one endpoint of four that fails in each of six ways, at 400 requests a second",
        starts_programs: true,
        files: &["edge"],
        test: "failover::few_requests_fail_when_an_endpoint_does_and_it_is_found_well_again_soon",
        count: 24,
    },
    Soak {
        name: "isolation",
        about: "sets of valid objects that an invalid one must not change",
        starts_programs: false,
        files: &["generated"],
        test: "isolation::a_bad_object_hurts_only_its_owner",
        count: 100_000,
    },
    Soak {
        name: "edits",
        about: "valid edits that may change only what is their owner's",
        starts_programs: false,
        files: &["generated"],
        test: "isolation::a_valid_edit_changes_only_what_is_its_owners",
        count: 100_000,
    },
    Soak {
        name: "borders",
        about: "worlds with workspaces, Apis and Claims against a naive reading",
        starts_programs: false,
        files: &["generated"],
        test: "borders::borders_agree_with_a_naive_reading",
        count: 50_000,
    },
    Soak {
        name: "border-edits",
        about: "edits of borders: what they may touch, and that nothing stale is taken over",
        starts_programs: false,
        files: &["generated"],
        test: "borders::an_edit_of_a_border_touches_what_lies_within_it_and_is_made_as_anew",
        count: 50_000,
    },
    Soak {
        name: "churn",
        about: "requests, tunnels and streams while everything and the program itself change",
        starts_programs: true,
        files: &["churn"],
        test: "changes_lose_nothing",
        count: 1_000_000,
    },
    Soak {
        name: "claims",
        about: "rounds of eight writers racing for one claim, on both databases",
        starts_programs: false,
        files: &["sqlite", "postgres"],
        test: "suite::claim::of_eight_racing_for_a_claim_one_wins",
        count: 1_000,
    },
    Soak {
        name: "borrowed",
        about: "tries to be served as a user whose request is under way, by its trace",
        starts_programs: true,
        files: &["mesh"],
        test: "passport::nobody_is_served_as_somebody_whose_request_is_under_way",
        count: 1_000,
    },
    Soak {
        name: "reused",
        about: "seconds in which a trace that is over is tried again",
        starts_programs: true,
        files: &["mesh"],
        test: "denied::a_trace_that_is_over_tells_for_nobody_again",
        count: 150,
    },
    Soak {
        name: "losses",
        about: "requests after each kill of a server, a proxy, a gateway and an application",
        starts_programs: true,
        files: &["mesh"],
        test: "loss::what_is_killed_costs_what_was_on_it",
        count: 2_000,
    },
    Soak {
        name: "kills",
        about: "commits during which the server is killed, under 500 requests/s",
        starts_programs: true,
        files: &["fleet"],
        test: "crash::a_killed_server_loses_nothing",
        count: 200,
    },
    Soak {
        name: "database-kills",
        about: "commits during which PostgreSQL is killed, under 500 requests/s",
        starts_programs: true,
        files: &["fleet"],
        test: "crash::a_killed_database_loses_nothing",
        count: 200,
    },
    Soak {
        name: "renewals",
        about: "seconds under load with certificates that last a tenth of them",
        starts_programs: true,
        files: &["fleet"],
        test: "renewal::short_lived_certificates_are_renewed_while_requests_pass",
        count: 600,
    },
    Soak {
        name: "rotations",
        about: "rotations of the root from begin to end, the server killed in each phase, under load",
        starts_programs: true,
        files: &["mesh"],
        test: "rotation::a_root_is_rotated_under_load_and_no_request_fails",
        count: 50,
    },
    Soak {
        name: "intruders",
        about: "requests while a rival tries to take the route",
        starts_programs: true,
        files: &["fleet"],
        test: "claim::an_intruder_is_refused_in_the_same_words_while_every_request_reaches_the_holder",
        count: 10_000,
    },
    Soak {
        name: "future",
        about: "requests beside a policy that a gateway is too old to read",
        starts_programs: true,
        files: &["join"],
        test: "future::a_policy_of_the_future_costs_nobody_else_a_request",
        count: 10_000,
    },
    Soak {
        name: "together",
        about: "changes of three scopes that must be seen at once",
        starts_programs: true,
        files: &["fleet"],
        test: "together::no_table_mixes_old_and_new_of_one_change",
        count: 500,
    },
];

/// The one that is no test: fuzzers, each for so many minutes.
const FUZZ: &str = "fuzz";

/// Runs one soak to its end with its output shown.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(name) = &args.name else { bail!("name one of them:\n{}", listed()) };
    if name == FUZZ {
        let seed = args.seed.unwrap_or_else(fresh_seed);
        return fuzz::run(args.minutes, args.target.as_deref(), seed);
    }
    let Some(soak) = SOAKS.iter().find(|soak| soak.name == name) else {
        bail!("there is no soak {name}; there are:\n{}", listed());
    };
    let count = args.count.unwrap_or(soak.count);
    let seed = args.seed.unwrap_or_else(fresh_seed);
    if soak.starts_programs {
        let build = || build::programs(&args.profile);
        shell::step("build", Duration::from_secs(300), build)?;
    }
    let server = (soak.files.contains(&"postgres") || soak.files.contains(&"fleet"))
        .then(Postgres::start)
        .transpose()?;
    eprintln!("soak {}: {} of {}; seed {seed}", soak.name, count, soak.about);
    let rate = args.rate.map_or_else(String::new, |rate| format!(" --rate {rate}"));
    let again = format!("{} --count {count} --seed {seed}{rate}", soak.name);
    eprintln!("the same again: cargo xtask soak {again}");
    shell::step(soak.name, Duration::from_secs(600), || {
        let command = &mut command(soak, &args.profile, count, seed);
        if let Some(rate) = args.rate {
            command.env("HEDDLE_SOAK_RATE", rate.to_string());
        }
        if let Some(server) = &server {
            server.lend(command)?;
        }
        let ran = stream(command, &mut std::io::stdout())?;
        if !ran.well {
            bail!("the soak failed; seed {seed} shows the same again");
        }
        if ran.counts.passed < soak.files.len() {
            bail!("not each of {} has a test named {}", soak.files.join(", "), soak.test);
        }
        Ok(())
    })
}

fn command(soak: &Soak, profile: &str, count: u64, seed: u64) -> Command {
    let mut test = build::test(profile);
    for file in soak.files {
        test.args(["--test", file]);
    }
    test.args(["--", "--exact", soak.test, "--nocapture"])
        .env("HEDDLE_SOAK_COUNT", count.to_string())
        .env("HEDDLE_SOAK_SEED", seed.to_string());
    test
}

/// New cases each time; the seed is printed, so none is lost.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() ^ (u64::from(since.subsec_nanos()) << 32)
}

fn listed() -> String {
    let line = |soak: &Soak| format!("  {:<12}{} {}", soak.name, soak.count, soak.about);
    let lines = SOAKS.iter().map(line);
    let fuzzers = format!("  {FUZZ:<12}--minutes of each fuzzer, with what it covers");
    lines.chain([fuzzers]).collect::<Vec<_>>().join("\n")
}
