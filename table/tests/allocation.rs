//! A lookup allocates nothing: an allocator that counts watches it.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "only tests are here")]
#![allow(unsafe_code, reason = "the standard library's allocator trait is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue, Method};
use model::{Kind, Resource};
use policy::{Facts, Layer, Scheme};
use serde_json::{Value, json};
use table::{Input, assemble};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn object(kind: Kind, name: &str, spec: Value) -> Resource {
    Resource::from_json(kind, json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
}

fn world() -> Vec<Resource> {
    let listeners = json!([{ "name": "web", "port": 80, "protocol": "HTTP" }]);
    let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners });
    let mut world = vec![object(Kind::Gateway, "edge", spec)];
    let matches = [
        json!({ "path": { "type": "Exact", "value": "/a/b" }, "method": "POST" }),
        json!({ "path": { "type": "RegularExpression", "value": "/a/[0-9]+" } }),
        json!({ "path": { "value": "/a/b" }, "headers": [{ "name": "x", "value": "1" }] }),
        json!({ "path": { "value": "/a" }, "queryParams": [{ "name": "q", "value": "a b" }] }),
        json!({ "path": { "value": "/" } }),
    ];
    for (index, one) in matches.iter().enumerate() {
        let spec = json!({
            "parentRefs": [{ "name": "edge" }],
            "hostnames": ["*.example.com"],
            "rules": [{ "matches": [one] }],
        });
        world.push(object(Kind::HttpRoute, &format!("r{index}"), spec));
    }
    world
}

#[test]
fn a_lookup_allocates_nothing() {
    let assembly = assemble(Input { resources: world(), ..Input::default() }, None);
    let mut headers = HeaderMap::new();
    headers.insert("x", HeaderValue::from_static("1"));
    let none = HeaderMap::new();
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, query, headers, wanted) in [
        (&post, "/a/b", None, &none, Some("default/r0/0")),
        (&get, "/a/77", None, &none, Some("default/r1/0")),
        (&get, "/a/b/c", None, &headers, Some("default/r2/0")),
        (&get, "/a/b", Some("p=1&q=a%20b"), &none, Some("default/r3/0")),
        (&get, "/elsewhere/deep", None, &none, Some("default/r4/0")),
    ] {
        let facts = Facts {
            layer: Layer::Request,
            now: 0,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: Scheme::Http,
            port: 80,
            host: "www.example.com",
            method,
            path,
            query,
            headers,
            peer: None,
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        };
        // A regular expression makes its scratch space once for each thread.
        let first = assembly.table.find(&facts).map(|found| &*found.rule.label);
        assert_eq!(first.ok(), wanted, "{path}");
        let before = ALLOCATIONS.get();
        let again = assembly.table.find(&facts);
        let after = ALLOCATIONS.get();
        assert!(again.is_ok());
        assert_eq!(after - before, 0, "{path}");
    }
}
