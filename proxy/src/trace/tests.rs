//! Trace identity: strict reading, fresh ids, links for strangers.

use std::collections::HashSet;
use std::time::Duration;

use super::*;

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parent() -> Parent {
    Parent::parse(GOOD.as_bytes()).unwrap()
}

#[test]
fn a_traceparent_is_read_field_by_field() {
    let parent = parent();
    assert_eq!(parent.trace_id[..2], [0x4b, 0xf9]);
    assert_eq!(parent.trace_id[15], 0x36);
    assert_eq!(parent.span_id, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert!(parent.sampled);
    let unsampled = GOOD.replace("-01", "-02");
    assert!(!Parent::parse(unsampled.as_bytes()).unwrap().sampled, "only bit 0 says sampled");
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    for text in [GOOD.replacen("00", "cc", 1), format!("{}-more", GOOD.replacen("00", "01", 1))] {
        assert_eq!(Parent::parse(text.as_bytes()), Some(parent()), "{text}");
    }
}

#[test]
fn a_malformed_traceparent_is_none() {
    let cases = [
        String::new(),
        GOOD[..54].to_owned(),
        format!("{GOOD}-more"),
        format!("{GOOD} "),
        GOOD.replacen("00", "ff", 1),
        format!("{}.more", GOOD.replacen("00", "01", 1)),
        GOOD.to_uppercase(),
        GOOD.replace("4b", "4B"),
        GOOD.replace("4b", "4g"),
        GOOD.replacen('-', "_", 1),
        GOOD.replace("b7-01", "b7_01"),
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
        "é".repeat(55),
    ];
    for text in cases {
        assert_eq!(Parent::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn two_traceparents_are_none() {
    let mut headers = HeaderMap::new();
    assert_eq!(Parent::of(&headers), None);
    headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
    assert_eq!(Parent::of(&headers), Some(parent()));
    headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
    assert_eq!(Parent::of(&headers), None);
}

#[test]
fn a_strangers_trace_becomes_the_link_of_a_fresh_one() {
    let context = TraceContext::fresh(Ratio::new(1.0), Some(parent()));
    assert_ne!(context.trace_id, parent().trace_id);
    assert_eq!(context.link, Some(parent()));
    assert_eq!(context.parent, None);
    assert!(context.sampled);
}

#[test]
fn a_trusted_callers_trace_goes_on_under_a_span_of_our_own() {
    let context = TraceContext::from_trusted(parent());
    assert_eq!(context.trace_id, parent().trace_id);
    assert_eq!(context.parent, Some(parent().span_id));
    assert_ne!(context.span_id, parent().span_id);
    assert_eq!(context.link, None);
}

#[test]
fn what_the_backend_gets_reads_back_as_our_span() {
    for ratio in [Ratio::NONE, Ratio::new(1.0)] {
        let context = TraceContext::fresh(ratio, None);
        let read = Parent::parse(context.header_value().as_bytes()).unwrap();
        assert_eq!(read.trace_id, context.trace_id);
        assert_eq!(read.span_id, context.span_id);
        assert_eq!(read.sampled, context.sampled);
    }
}

#[test]
fn a_ratio_keeps_about_its_share_and_its_ends_keep_none_and_all() {
    let kept = |share: f64| {
        let ratio = Ratio::new(share);
        (0..4_000).filter(|_| TraceContext::fresh(ratio, None).sampled).count()
    };
    assert_eq!(kept(0.0), 0);
    assert_eq!(kept(-1.0), 0);
    assert_eq!(kept(f64::NAN), 0);
    assert_eq!(kept(1.0), 4_000);
    assert_eq!(kept(7.0), 4_000);
    // Eight standard deviations off: not by chance.
    assert!((750..=1_250).contains(&kept(0.25)));
}

#[test]
fn request_ids_differ_and_sort_by_time() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ids: HashSet<_> = (0..1_000).map(|_| request_id(now)).collect();
    assert_eq!(ids.len(), 1_000);
    let later = request_id(now + Duration::from_millis(1));
    for id in ids {
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'7');
        assert!(id.as_bytes() < later.as_bytes());
    }
}
