//! Looking for programs and packages, and ending what takes too long.

use super::*;

#[test]
fn packages_that_no_one_has_are_missing() {
    assert_eq!(missing(&["heddle-no-such-package"]), ["heddle-no-such-package"]);
}

#[test]
fn a_program_that_takes_too_long_is_ended() {
    let began = Instant::now();
    let late = run_within(Command::new("sleep").arg("60"), Duration::from_millis(100));
    assert!(late.unwrap_err().to_string().contains("was not through"));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_program_that_fails_is_named() {
    let failed = run_within(&mut Command::new("false"), Duration::from_secs(10));
    assert!(failed.unwrap_err().to_string().contains("\"false\" ended with"));
}

#[test]
fn programs_are_found_on_the_path() {
    assert!(on_path("sh"));
    assert!(!on_path("heddle-no-such-program"));
}
