//! What is told of a request, and what is left out.

use http::StatusCode;
use model::{Name, Scope};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::telemetry::tests::sample;
use crate::telemetry::{Settings, Telemetry};

fn record() -> Record {
    let telemetry = Telemetry::start(&Settings::default()).unwrap();
    let mut record = sample(&telemetry);
    record.began = Instant::now();
    record
}

#[test]
fn what_is_denied_or_fails_is_told_and_of_the_rest_a_share() {
    let none = Decisions::new(1, 0.0);
    let all = Decisions::new(1, 1.0);
    for (reason, status, is_told) in [
        (Reason::Ok, Some(200), false),
        (Reason::Redirected, Some(301), false),
        (Reason::Preflight, Some(204), false),
        // Whatever the backend says of its clients is its own.
        (Reason::Ok, Some(404), false),
        (Reason::Ok, Some(500), true),
        (Reason::AccessDenied, Some(403), true),
        (Reason::NoRoute, Some(404), true),
        (Reason::ClientGone, None, true),
    ] {
        let mut record = record();
        record.reason = reason;
        record.status = status.map(|status| StatusCode::from_u16(status).unwrap());
        none.tell(&record, Duration::ZERO);
        all.tell(&record, Duration::ZERO);
        assert_eq!(none.take().len(), usize::from(is_told), "{reason} {status:?}");
        assert_eq!(all.take().len(), 1);
    }
}

#[test]
fn a_decision_says_what_the_node_ran_and_what_came_of_the_request() {
    let decisions = Decisions::new(1, 1.0);
    let shop = Scope::Workspace(Name::parse("shop").unwrap());
    decisions.runs(&[(Scope::Platform, 3), (shop, 7)].into());
    let mut record = record();
    record.path = "p".repeat(5000).into();
    decisions.tell(&record, Duration::from_micros(1500));
    let told = decisions.take().pop().unwrap();
    let vector = [("platform".to_owned(), 3), ("workspace/shop".to_owned(), 7)];
    assert_eq!(told.vector, vector.into());
    assert_eq!((told.took, told.status, &*told.reason), (1500, Some(200), "ok"));
    assert_eq!((told.trace.len(), told.span.len(), told.path.len()), (32, 16, LONGEST));
    assert_eq!(told.request, record.request_id.to_str().unwrap());
}

#[test]
fn what_has_no_room_is_counted() {
    let decisions = Decisions::new(1, 1.0);
    let record = record();
    (0..QUEUE + 3).for_each(|_| decisions.tell(&record, Duration::ZERO));
    assert_eq!(decisions.dropped(), 3);
    assert_eq!(decisions.take().len(), wire::DECISIONS);
}

#[test]
fn a_worker_tells_so_many_stories_in_a_second_and_no_more() {
    let record = record();
    let told = |decisions: &Decisions, reason: Reason, worker: usize, after: u64| {
        let mut record = sample(&record.telemetry);
        record.worker = worker;
        record.began_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + after);
        let wants = |_: &u64| decisions.wants_story(&record, reason);
        (0..2 * STORIES).filter(wants).count() as u64
    };
    let all = Decisions::new(2, 1.0);
    // What passes takes none of the room of what was denied.
    assert_eq!(told(&all, Reason::Ok, 0, 0), PASSING);
    let denied = |worker, after| told(&all, Reason::AccessDenied, worker, after);
    let found = (denied(0, 0), denied(1, 0), denied(0, 0), denied(0, 1));
    assert_eq!(found, (STORIES, STORIES, 0, STORIES));
    assert_eq!(told(&Decisions::new(2, 0.0), Reason::Ok, 0, 0), 0);
}

#[test]
fn a_long_story_is_cut_to_what_decided_and_few_wait() {
    let decisions = Decisions::new(1, 1.0);
    let rules: Vec<_> = (0..500)
        .map(|n| json!({ "name": format!("r{n}"), "when": { "methods": ["PUT"] } }))
        .collect();
    let policy = json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": {
        "targetRefs": [{ "kind": "HTTPRoute", "name": "r" }], "rules": rules } });
    let policy = serde_json::from_value(policy).unwrap();
    let policy = policy::access::compile(&policy).unwrap();
    let policies = policy::Policies { access: vec![Arc::new(policy)], ..Default::default() };
    let level = Arc::new(policy::Level::Open(policies));
    let chain = policy::Chain::compile(vec![level], &[]).unwrap();
    let headers = http::HeaderMap::new();
    let facts = policy::Facts {
        layer: policy::Layer::Request,
        now: 0,
        source: [127, 0, 0, 1].into(),
        scheme: policy::Scheme::Http,
        port: 80,
        host: "shop.example",
        method: &http::Method::GET,
        path: "/",
        query: None,
        headers: &headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let mut record = record();
    record.story = Some(Box::new(chain.explain(&facts, None)));
    decisions.tell(&record, Duration::ZERO);
    let story = decisions.take().pop().unwrap().story.unwrap();
    assert_eq!(story["because"], "no allow rule of level 1 matches");
    assert!(story["change"].as_str().unwrap().contains("its 'methods' named GET"), "{story}");
    assert_eq!(story["levels"], json!([]));
    (0..QUEUE).for_each(|_| decisions.tell(&record, Duration::ZERO));
    let waited = decisions.queue.len();
    assert!(waited < QUEUE && decisions.dropped() == (QUEUE - waited) as u64, "{waited}");
    while !decisions.take().is_empty() {}
    assert_eq!(decisions.bytes.load(Relaxed), 0);
}
