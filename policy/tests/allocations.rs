//! Counts allocations: deciding costs none where nobody has to be proved, however many the rules.

// Counting is done by the allocator itself, and its trait is unsafe to implement.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use model::path;
use model::policy::AccessPolicy;
use policy::{Chain, Decision, Facts, Layer, Level, Policies, Scheme, Verdict, access};
use serde_json::json;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system's allocator and only counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let result = work();
    (COUNT.with(Cell::get) - before, result)
}

/// A level of `count` rules, of which the last allows `/last`.
fn level(count: usize) -> Arc<Level> {
    let rule = |place: usize| {
        json!({ "name": format!("r{place}"), "when": {
            "methods": ["GET"],
            "sources": ["10.0.0.0/8"],
            "hosts": ["*.example"],
            "headers": [{ "name": "x-a", "value": "1" }],
            "paths": [{ "value": if place + 1 == count { "/last".to_owned() } else { format!("/p{place}") } }],
        } })
    };
    let policy: AccessPolicy = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "spec": {
            "targetRefs": [{ "kind": "Gateway", "name": "edge" }],
            "rules": (0..count).map(rule).collect::<Vec<_>>(),
        },
    }))
    .expect("the policy has the model's shape");
    let policy = access::compile(&policy).expect("the policy can be read");
    Arc::new(Level::Open(Policies { access: vec![Arc::new(policy)], ..Policies::default() }))
}

fn decide(chain: &Chain) -> (usize, Decision) {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_static("1"));
    let (normalised, path) = allocations(|| path::normalise("/last/7"));
    let path = path.expect("the path has a normal form");
    assert_eq!(normalised, 0, "a path in normal form is borrowed");
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: std::net::Ipv4Addr::new(10, 1, 2, 3).into(),
        scheme: Scheme::Http,
        port: 80,
        host: "shop.example",
        method: &Method::GET,
        path: &path,
        query: None,
        headers: &headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    allocations(|| chain.decide(&facts, Some("/")))
}

#[test]
fn deciding_without_credentials_allocates_nothing() {
    for levels in [vec![], vec![level(0)], vec![level(1), level(10)], vec![level(10_000)]] {
        let chain = Chain::compile(levels, &[]).unwrap();
        let (count, decision) = decide(&chain);
        assert!(matches!(decision, Decision::Done(Verdict::Pass(_))), "{decision:?}");
        assert_eq!(count, 0);
    }
}
