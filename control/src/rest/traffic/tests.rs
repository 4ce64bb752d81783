//! What was requested, as programs read it.

use futures::StreamExt as _;
use serde_json::{Value, json};
use store::decision::Teller;
use wire::{Counts, Series, Sketch};

use super::*;
use crate::rest::request::tests::{ask, reply, told};
use crate::test::{Bed, TRAFFIC};

/// A control plane that was told of ten requests of a route, two of which failed.
async fn counted() -> Bed {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    told(&bed, Vec::new()).await;
    let mut latency = Sketch::default();
    latency.add(Sketch::place(1_000), 10);
    let key = |kind: &str| wire::Key {
        kind: kind.to_owned(),
        namespace: "platform".to_owned(),
        name: "orders".to_owned(),
    };
    let series = Series {
        route: Some(key("HTTPRoute")),
        rule: Some("platform/orders/0".to_owned()),
        backend: Some("platform/orders:80".to_owned()),
        caller: Some(wire::Caller::ApiKey("clerk".to_owned())),
        outcomes: [5, 1, 1, 1, 1, 1],
        latency,
        ..Series::default()
    };
    let teller = Teller {
        id: "n2".to_owned(),
        cluster: "east".to_owned(),
        kind: "gateway".to_owned(),
        name: "edge".to_owned(),
    };
    let counts = Counts { start: 1, number: 1, ago: 0, lasted: 0, series: vec![series] };
    let now = micros(OffsetDateTime::now_utc());
    bed.app.traffic().keep(&Arc::new(teller), counts, |_| (Scope::Platform, 0), now);
    bed
}

#[tokio::test]
async fn a_row_says_who_asked_for_what_how_often_and_how_it_ended() {
    let bed = counted().await;
    let by = "by=route,rule,backend,caller,node,cluster";
    let (status, answer) = ask(&bed, &format!("/traffic?{by}&window=15m&step=30s")).await;
    assert_eq!(
        (status, &answer["more"], &answer["unheard"]),
        (200, &json!(0), &json!(["edge of east"]))
    );
    let [mut row]: [Value; 1] = serde_json::from_value(answer["items"].clone()).unwrap();
    let steps = row["steps"].take();
    assert_eq!((steps[0]["requests"].as_u64(), steps[0]["errors"].as_u64()), (Some(10), Some(2)));
    assert!(row["rate"].take().as_f64().is_some_and(|rate| rate > 0.0 && rate < 0.1));
    let wanted = json!({
        "side": "edge", "scope": "platform", "rate": null, "steps": null,
        "route": { "kind": "HTTPRoute", "namespace": "platform", "name": "orders" },
        "rule": "platform/orders/0", "backend": "platform/orders:80", "caller": "apikey:clerk",
        "node": "edge", "cluster": "east",
        "requests": 10, "errors": 2, "denied": 1, "clientErrors": 1, "backendErrors": 1,
        "failures": 1, "gone": 1, "p50": 1007, "p90": 1007, "p99": 1007,
    });
    assert_eq!(row, wanted);
    let (_, short) = ask(&bed, "/traffic?by=backend").await;
    assert_eq!(short["items"][0]["caller"], Value::Null);
    assert_eq!(short["items"][0].get("steps"), None);
}

#[tokio::test]
async fn the_live_form_begins_with_what_there_is() {
    let bed = counted().await;
    let reply = reply(&bed, "/traffic/live?route=platform/orders").await;
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let first = reply.into_body().into_data_stream().next().await;
    // The door that opened it is gone by then, and may have said so.
    if let Some(Ok(first)) = first {
        let text = String::from_utf8(first.to_vec()).unwrap();
        assert!(text.starts_with("event: traffic\ndata: {") && text.contains("\"requests\":10"));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_with_what_would_be_right() {
    let bed = counted().await;
    for (query, field, word) in [
        ("window=16m", "window", "15m"),
        ("window=0s", "window", "15m"),
        ("window=soon", "window", "soon"),
        ("step=3s", "step", "2s"),
        ("window=5m&step=2s", "step", "30s"),
        ("side=middle", "side", "edge, outbound or inbound"),
        ("route=orders", "route", "NAMESPACE/NAME"),
        ("backend=a/b:c", "backend", "NAMESPACE/NAME:PORT"),
        ("workspace=No", "workspace", "No"),
        ("by=caler", "by", "caler"),
        ("for=ever", "for", "no such parameter"),
    ] {
        let (status, problem) = ask(&bed, &format!("/traffic?{query}")).await;
        let text = problem.to_string();
        assert!((400..500).contains(&status), "{query}: {text}");
        assert!(text.contains(field) && text.contains(word), "{query}: {text}");
    }
    for query in ["route=platform/gone", "workspace=gone", "api=gone", "backend=platform/gone"] {
        for path in ["/traffic", "/traffic/live"] {
            assert_eq!(ask(&bed, &format!("{path}?{query}")).await.0, 404, "{query}");
        }
    }
}
