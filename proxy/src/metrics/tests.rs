//! Counts survive swaps, and their text is what Prometheus reads.

use super::encode::Dropped;
use super::*;

fn labels(words: &[&str]) -> Vec<Arc<str>> {
    words.iter().map(|word| Arc::from(*word)).collect()
}

fn attach(metrics: &Metrics, rules: &[&str]) -> Attached {
    metrics.attach("abc", labels(rules).iter(), labels(&["shop/orders:80"]).iter())
}

fn sample(reason: Reason, status: u16) -> Sample {
    let took = Duration::from_micros(700);
    Sample { reason, status: Some(status), call: None, took, backend: None }
}

fn text(metrics: &Metrics) -> String {
    metrics.encode(
        Dropped { log_lines: 3, spans: 4, decisions: 5, folded: 6, uncounted: 7 },
        None,
        None,
    )
}

/// The value of the line that begins with `name`.
fn value(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    rest.parse().ok()
}

const OK: &str = r#"heddle_requests_total{route="shop/a/0",code_class="2xx",reason="ok"}"#;

#[test]
fn requests_are_counted_by_route_class_and_reason_over_all_workers() {
    let metrics = Metrics::new("heddle-gateway", 2);
    let attached = attach(&metrics, &["shop/a/0", "shop/b/0"]);
    for worker in [0, 1, 5] {
        attached.count(worker, Some(0), sample(Reason::Ok, 200));
    }
    attached.count(1, Some(1), sample(Reason::AccessDenied, 403));
    attached.count(0, None, sample(Reason::NoRoute, 404));
    attached.count(0, Some(0), Sample { status: None, ..sample(Reason::ClientGone, 0) });
    let text = text(&metrics);
    let denied = r#"{route="shop/b/0",code_class="4xx",reason="access_denied"}"#;
    let unrouted = r#"{route="",code_class="4xx",reason="no_route"}"#;
    let gone = r#"{route="shop/a/0",code_class="none",reason="client_gone"}"#;
    assert_eq!(value(&text, OK), Some(3.0), "{text}");
    for labels in [denied, unrouted, gone] {
        assert_eq!(value(&text, &format!("heddle_requests_total{labels}")), Some(1.0), "{text}");
    }
}

#[test]
fn flows_are_counted_over_all_workers() {
    let metrics = Metrics::new("heddle-gateway", 2);
    for worker in [0, 1, 2] {
        metrics.flows(worker).begun();
        metrics.flows(worker).carried(flows::Way::There, 10);
    }
    metrics.flows(0).over();
    metrics.flows(1).carried(flows::Way::Back, 7);
    for why in flows::Dropped::ALL {
        metrics.flows(1).dropped(why);
    }
    let text = text(&metrics);
    let mut wanted = vec![
        ("heddle_udp_flows_total".to_owned(), 3.0),
        ("heddle_udp_flows_open".to_owned(), 2.0),
        (r#"heddle_udp_datagrams_total{direction="to_backend"}"#.to_owned(), 3.0),
        (r#"heddle_udp_datagrams_total{direction="to_caller"}"#.to_owned(), 1.0),
        (r#"heddle_udp_bytes_total{direction="to_backend"}"#.to_owned(), 30.0),
        (r#"heddle_udp_bytes_total{direction="to_caller"}"#.to_owned(), 7.0),
    ];
    let dropped = flows::Dropped::ALL
        .into_iter()
        .map(|why| (format!(r#"heddle_udp_dropped_total{{reason="{}"}}"#, why.as_str()), 1.0));
    wanted.extend(dropped);
    for (name, count) in wanted {
        assert_eq!(value(&text, &name), Some(count), "{name} in\n{text}");
    }
}

#[test]
fn every_reason_and_class_is_counted_apart() {
    let metrics = Metrics::new("heddle-gateway", 1);
    let attached = attach(&metrics, &["shop/a/0"]);
    for &reason in Reason::ALL {
        for status in [100, 204, 302, 404, 503, 999] {
            attached.count(0, Some(0), sample(reason, status));
        }
    }
    let text = text(&metrics);
    let ones = text
        .lines()
        .filter(|line| line.starts_with("heddle_requests_total{") && line.ends_with(" 1"));
    assert_eq!(ones.count(), Reason::ALL.len() * 6, "{text}");
}

#[test]
fn durations_fall_into_the_bucket_that_holds_them() {
    let metrics = Metrics::new("heddle-gateway", 2);
    let attached = attach(&metrics, &["shop/a/0"]);
    let took = |micros| Sample {
        took: Duration::from_micros(micros),
        backend: Some(Duration::from_micros(400)),
        ..sample(Reason::Ok, 200)
    };
    for (worker, micros) in [(0, 500), (1, 501), (0, 60_000_000)] {
        attached.count(worker, Some(0), took(micros));
    }
    let text = text(&metrics);
    let request = "heddle_request_duration_seconds";
    for (bound, count) in [("0.0005", 1.0), ("0.001", 2.0), ("10.0", 2.0), ("+Inf", 3.0)] {
        let name = format!("{request}_bucket{{le=\"{bound}\",route=\"shop/a/0\"}}");
        assert_eq!(value(&text, &name), Some(count), "{name} in {text}");
    }
    let sum = value(&text, &format!("{request}_sum{{route=\"shop/a/0\"}}")).unwrap();
    assert!((sum - 60.001_001).abs() < 1e-9, "{sum}");
    let count = "heddle_backend_duration_seconds_count{route=\"shop/a/0\"}";
    assert_eq!(value(&text, count), Some(3.0), "{text}");
}

#[test]
fn counts_survive_a_swap_and_vanished_routes_go_after_two_more_tables() {
    let metrics = Metrics::new("heddle-gateway", 1);
    let first = attach(&metrics, &["shop/a/0", "shop/b/0"]);
    first.count(0, Some(0), sample(Reason::Ok, 200));
    let second = attach(&metrics, &["shop/b/0", "shop/a/0"]);
    second.count(0, Some(1), sample(Reason::Ok, 200));
    first.count(0, Some(0), sample(Reason::Ok, 200));
    assert_eq!(value(&text(&metrics), OK), Some(3.0));

    for left in [Some(3.0), Some(3.0), None] {
        attach(&metrics, &["shop/b/0"]);
        assert_eq!(value(&text(&metrics), OK), left);
    }
    // What began under the old table is still told, into a series that nobody reads.
    first.count(0, Some(0), sample(Reason::Ok, 200));
    assert_eq!(value(&text(&metrics), OK), None);
}

#[test]
fn series_are_bounded_by_tables_and_not_by_time() {
    let metrics = Metrics::new("heddle-gateway", 1);
    for round in 0..50 {
        let label = format!("shop/{round}/0");
        attach(&metrics, &[&label]);
    }
    assert_eq!(metrics.registry().routes.len(), KEPT_TABLES as usize + 2);
}

#[test]
fn connections_tables_and_losses_are_shown() {
    let metrics = Metrics::new("heddle-gateway", 2);
    let attached = attach(&metrics, &[]);
    for worker in [0, 1, 1] {
        metrics.connections(worker).opened();
    }
    metrics.connections(1).closed(connections::Outcome::Reset);
    metrics.connections(0).handshake_failed();
    metrics.connections(0).parse_failed();
    metrics.table_applied(2);
    metrics.table_refused();
    attached.connect_failed(0);
    attached.connect_failed(7);
    let text = text(&metrics);
    let expected = [
        ("heddle_connections_open", 2.0),
        ("heddle_connections_total", 3.0),
        ("heddle_connections_closed_total{outcome=\"reset\"}", 1.0),
        ("heddle_connections_closed_total{outcome=\"cut\"}", 0.0),
        ("heddle_tls_handshake_failures_total", 1.0),
        ("heddle_http_parse_failures_total", 1.0),
        ("heddle_access_log_dropped_total", 3.0),
        ("heddle_spans_dropped_total", 4.0),
        ("heddle_table_applied_total", 1.0),
        ("heddle_table_refused_total", 1.0),
        ("heddle_config_faults", 2.0),
        ("heddle_table_info{digest=\"abc\"}", 1.0),
        ("heddle_backend_connect_failures_total{backend=\"shop/orders:80\"}", 1.0),
    ];
    for (name, count) in expected {
        assert_eq!(value(&text, name), Some(count), "{name} in {text}");
    }
    assert!(text.contains("heddle_build_info{service=\"heddle-gateway\",version=\""), "{text}");
    assert!(value(&text, "process_resident_memory_bytes").unwrap() > 0.0);
}

#[test]
fn every_family_has_help_and_type_and_the_text_has_its_end() {
    let metrics = Metrics::new("heddle-gateway", 1);
    attach(&metrics, &["shop/a/0"]).count(0, Some(0), sample(Reason::Ok, 200));
    let text = text(&metrics);
    let described: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(described.contains(&("heddle_requests", "counter")), "{text}");
    assert!(described.contains(&("heddle_request_duration_seconds", "histogram")), "{text}");
    assert!(described.contains(&("heddle_connections_open", "gauge")), "{text}");
    for (name, _) in &described {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(described.iter().any(|(name, _)| line.starts_with(name)), "{line}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn workers_that_count_at_once_lose_nothing() {
    let metrics = Metrics::new("heddle-gateway", 4);
    let attached = attach(&metrics, &["shop/a/0"]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let attached = &attached;
            scope.spawn(move || {
                for _ in 0..10_000 {
                    attached.count(worker, Some(0), sample(Reason::Ok, 200));
                }
            });
        }
    });
    assert_eq!(value(&text(&metrics), OK), Some(40_000.0));
}
