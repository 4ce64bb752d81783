//! Counting what cargo prints, and the line that scripts read.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::build::TestNames;
use super::report::{Counts, Ran, Report, stream};

#[test]
fn the_sum_is_the_plain_line_that_scripts_read() {
    let counts = Counts { passed: 12, failed: 1, skipped: 2 };
    assert_eq!(counts.to_string(), "12 passed, 1 failed, 2 skipped");
}

#[test]
fn results_of_all_test_programs_are_summed_and_failures_named() {
    let mut ran = Ran::default();
    let output = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s\n\
        test result: ok. 10 passed; 0 failed; 3 ignored; 0 measured; 4 filtered out; finished in 1.20s\n";
    output.lines().for_each(|line| ran.hear(line));
    assert_eq!(ran.counts, Counts { passed: 11, failed: 1, skipped: 3 });
    assert_eq!(ran.failures, ["a::c"]);
}

#[test]
fn a_failing_check_is_counted_and_the_rest_goes_on() {
    let mut report = Report::new("dev".into(), false);
    let second = Duration::from_secs(1);
    assert_eq!(report.check::<()>("one", second, || anyhow::bail!("no")), None);
    assert_eq!(report.check("two", second, || Ok(2)), Some(2));
    assert_eq!(report.counts(), Counts { passed: 1, failed: 1, skipped: 0 });
}

#[test]
fn a_skip_is_a_failure_where_nothing_may_be_skipped() {
    let mut lenient = Report::new("dev".into(), false);
    lenient.skip("browser", "no browser here");
    assert_eq!(lenient.counts(), Counts { passed: 0, failed: 0, skipped: 1 });
    let mut strict = Report::new("dev".into(), true);
    strict.skip("browser", "no browser here");
    assert_eq!(strict.counts(), Counts { passed: 0, failed: 1, skipped: 0 });
    assert!(strict.failed());
}

#[test]
fn output_is_passed_on_and_counted_while_it_comes() {
    let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
    let mut shown = Vec::new();
    let ran = stream(Command::new("echo").arg(line), &mut shown).unwrap();
    assert_eq!(ran.counts, Counts { passed: 3, failed: 0, skipped: 1 });
    assert_eq!(String::from_utf8(shown).unwrap(), format!("{line}\n"));
}

#[test]
fn an_ignored_test_counts_as_a_skip() {
    let count = |strict| {
        let mut report = Report::new("dev".into(), strict);
        report.count("some", 3, 0, 1);
        report.counts()
    };
    assert_eq!(count(false), Counts { passed: 3, failed: 0, skipped: 1 });
    assert_eq!(count(true), Counts { passed: 3, failed: 1, skipped: 0 });
}

#[test]
fn a_run_that_does_not_build_is_one_failure() {
    let mut report = Report::new("dev".into(), false);
    report.tests("broken", Duration::from_secs(1), &mut Command::new("false"));
    report.tests("absent", Duration::from_secs(1), &mut Command::new("no-such-program-anywhere"));
    assert_eq!(report.counts(), Counts { passed: 0, failed: 2, skipped: 0 });
}

#[test]
fn tests_are_told_apart_by_what_they_need() {
    let target = |kind: &str, name: &str| json!({ "kind": [kind], "name": name });
    let metadata = json!({ "packages": [
        { "name": "table", "targets": [target("lib", "table"), target("test", "generated")] },
        { "name": "store", "targets": [target("test", "sqlite"), target("test", "postgres")] },
        { "name": "e2e", "targets": [target("bin", "load"), target("test", "churn"),
            target("test", "server"), target("test", "control"),
            target("test", "fleet"), target("test", "mesh")] },
    ]});
    let names = TestNames::parse(&metadata).unwrap();
    assert_eq!(names.plain, ["generated", "sqlite"]);
    assert_eq!(names.databases, ["sqlite", "postgres"]);
    assert_eq!(names.black_box, ["churn"]);
    assert_eq!(names.keeping, ["server"]);
    assert_eq!(names.control, ["control"]);
    assert_eq!(names.fleet, ["fleet"]);
    assert_eq!(names.mesh, ["mesh"]);
}
