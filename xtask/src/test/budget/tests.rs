//! Judging by figures that are made up.

use super::{Budget, Costs, Figures, Key, Place, Spent};

fn budget(own: f64, worker: f64) -> Budget {
    let key = Key { lock: "12ab".into(), rustc: "rustc 1.0".into(), libc: "glibc 2".into() };
    Budget { key, figures: Figures { own, worker } }
}

#[test]
fn what_is_written_is_read_back() {
    let one = budget(5_750.0, 59_203.0);
    assert_eq!(Budget::parse(&one.to_text()).unwrap(), one);
    Budget::parse("{}").unwrap_err();
}

#[test]
fn the_same_libraries_and_compiler_allow_two_percent() {
    let held = budget(1_000.0, 10_000.0);
    assert_eq!(
        held.judge(&budget(1_019.0, 10_190.0)).unwrap(),
        "1019.0 own, 10190.0 on the worker's thread"
    );
    let error = held.judge(&budget(1_021.0, 10_000.0)).unwrap_err().to_string();
    assert!(error.contains("2.1 % above the budget of 1000 (2 % allowed)"), "{error}");
    assert!(error.contains("cargo xtask bench budget --renew"), "{error}");
    let error = held.judge(&budget(1_000.0, 10_210.0)).unwrap_err().to_string();
    assert!(error.contains("on the worker's thread, 2.1 % above"), "{error}");
}

#[test]
fn a_gain_is_no_failure_but_worth_holding() {
    let said = budget(1_000.0, 10_000.0).judge(&budget(900.0, 10_000.0)).unwrap();
    assert!(said.contains("10.0 % below the budget of our own lines: hold it"), "{said}");
}

#[test]
fn other_libraries_allow_more_and_are_named() {
    let held = budget(1_000.0, 10_000.0);
    let mut found = budget(1_090.0, 10_900.0);
    found.key.lock = "34cd".into();
    assert!(held.judge(&found).unwrap().contains("is of another Cargo.lock, compiler or libc"));
    found.figures.own = 1_101.0;
    assert!(held.judge(&found).unwrap_err().to_string().contains("10.1 % above"));
}

#[test]
fn lines_count_by_their_file_and_the_busiest_thread_is_the_worker() {
    let costs = |own: u64, foreign: u64| {
        let place = |file: &str| Place { file: file.into(), function: "hyper::poll".into() };
        let counts = [("/clone/proxy/src/pool.rs", own), ("/library/proxying/src/lib.rs", foreign)];
        counts.map(|(file, cost)| (place(file), cost)).into_iter().collect::<Costs>()
    };
    let few = [costs(7, 100_000), costs(10_000, 20_000)];
    let many = [costs(7, 110_000), costs(30_000, 50_000)];
    let spent = Spent::between(&few, &many).unwrap();
    assert_eq!(spent.figures(), Figures { own: 2.0, worker: 5.0 });
    assert_eq!(spent.by(|place| &place.function), [("hyper::poll", 2.0)]);
    Spent::between(&few, &many[..1]).unwrap_err();
}
