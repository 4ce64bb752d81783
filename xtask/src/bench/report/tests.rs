//! Ratios are taken pair by pair.

use super::*;

fn sample(subject: Subject, round: usize, work: f64) -> Sample {
    Sample {
        case: Case::H1Small,
        subject,
        round,
        requests_per_second: work,
        requests_per_cpu_second: work,
        p50_us: 100.0,
        p99_us: 200.0 + round as f64,
        p999_us: 300.0,
        load_core: 40.0,
        stolen: 1.5,
        rss_anon_kib: 1000.0,
        failed: 1,
    }
}

fn report() -> Report {
    let rounds = [(10.0, 20.0), (30.0, 20.0), (40.0, 20.0)];
    let samples = rounds.iter().enumerate().flat_map(|(round, (ours, peer))| {
        [sample(Subject::Heddle, round, *ours), sample(Subject::Envoy, round, *peer)]
    });
    Report { samples: samples.collect(), ..Report::default() }
}

#[test]
fn ratios_pair_the_samples_of_one_round() {
    let ratio = report()
        .ratio(Case::H1Small, Subject::Heddle, Subject::Envoy, |s| Some(s.requests_per_cpu_second));
    let ratio = ratio.unwrap();
    assert_eq!((ratio.min, ratio.median, ratio.max), (0.5, 1.5, 2.0));
    assert_eq!(ratio.lower, 1.0);
}

#[test]
fn json_has_the_fields_that_scripts_rely_on() {
    let json = report().to_json();
    assert_eq!(json.as_array().unwrap().len(), 2);
    let expected = json!({
        "case": "h1-small",
        "subject": "heddle",
        "requests_per_cpu_second": 30.0,
        "p50_us": 100.0,
        "p99_us": 201.0,
        "p99_us_range": [200.0, 202.0],
        "p999_us": 300.0,
        "load_core_percent": 40.0,
        "stolen_percent": 1.5,
        "rss_anon_kib": 1000.0,
        "failed": 3,
    });
    assert_eq!(json[0], expected);
}

#[test]
fn the_table_names_what_was_left_out_and_why() {
    let mut report = report();
    report.skipped.push((Subject::Nginx, "not installed".to_owned()));
    report.unable.push((Case::H2Small, Subject::Haproxy, "no answer".to_owned()));
    let mut text = Vec::new();
    report.print(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("- nginx: skipped: not installed"), "{text}");
    assert!(text.contains("- h2-small, haproxy: n/a: no answer"), "{text}");
    assert!(text.contains("| h1-small | envoy | 1.50 | 1.00 | 0.50 to 2.00 |"), "{text}");
    assert!(text.contains("| 201 | 200 to 202 | 300 | 40 % | 1.5 % |"), "{text}");
}

#[test]
fn what_is_added_counts_from_direct_in_the_same_round() {
    let mut report = Report::default();
    for (round, direct) in [(0, 40.0), (1, 60.0)] {
        for (subject, p50_us) in
            [(Subject::Heddle, 80.0), (Subject::Envoy, 120.0), (Subject::Direct, direct)]
        {
            report.samples.push(Sample { p50_us, ..sample(subject, round, f64::INFINITY) });
        }
    }
    let mut text = Vec::new();
    report.print(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    // 40 of 80, then 20 of 60; of nothing there is no share.
    assert!(text.contains("| h1-small | envoy | 70 | 0 | 0.42 | 0.46 | n/a | n/a |"), "{text}");
    assert!(text.contains("| h1-small | direct | n/a |"), "{text}");
    let rows = report.to_json();
    assert_eq!(rows[0]["added_p50_us"], 30.0);
    assert_eq!(rows[2]["requests_per_cpu_second"], Value::Null);
}
