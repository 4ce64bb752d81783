//! Borders in a chain: what is answered, by which words, and what every answer says.

use http::Response;
use model::{Kind, Name, Resource};
use serde_json::{Value, json};

use super::*;
use crate::chain::{Chain, Verdict};
use crate::cors::Reader;
use crate::fixtures::{Request, chain, keys, level, reason};

fn stage(spec: Value) -> Stage {
    let mut spec = spec;
    spec["owner"] = json!("orders");
    let api = json!({ "metadata": { "name": "orders", "namespace": "shop" }, "spec": spec });
    let Resource::Api(api) = Resource::from_json(Kind::Api, api).unwrap() else { panic!("an Api") };
    let name = |word| Name::parse(word).unwrap();
    Stage::of(&Key::new(Kind::Api, name("shop"), name("orders")), &api)
}

fn within(chain: Chain, stage: Stage) -> Chain {
    chain.within(Border { stage, denied: None })
}

fn answer(chain: &Chain, request: &Request) -> Answer {
    match chain.uncounted(&request.facts(), None) {
        Verdict::Answer(answer) => answer,
        Verdict::Pass(pass) => panic!("passes: {pass:?}"),
    }
}

fn headers(chain: &Chain) -> Vec<String> {
    let mut head = Response::new(()).into_parts().0;
    chain.alter_response(&mut head, &Reader::default());
    head.headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect()
}

const GOING: &str = "2027-06-30T00:00:00Z";
const NEXT: &str = "https://shop.example.com/orders/v2";

#[test]
fn a_draft_answers_nobody_and_a_retired_api_that_it_is_gone() {
    let known = json!({ "name": "known", "when": { "callers": [{}] } });
    let guarded = || chain([level([json!({ "methods": keys(), "rules": [known] })])]);
    let draft = within(guarded(), stage(json!({})));
    let got = answer(&draft, &Request::get("/"));
    assert_eq!((got.reason, got.status.as_u16()), (Reason::ApiUnpublished, 404));
    let why = "Api shop/orders is a draft; once its lifecycle says Published, it answers";
    assert_eq!(got.detail.as_deref(), Some(why));
    let told = draft.explain(&Request::get("/").facts(), None).to_string();
    assert!(told.starts_with(&format!("answered 404 api_unpublished: {why}\n")), "{told}");
    let retired = stage(json!({ "lifecycle": "Retired", "successor": NEXT }));
    let got = answer(&within(guarded(), retired), &Request::get("/"));
    assert_eq!((got.reason, got.status.as_u16()), (Reason::ApiRetired, 410));
    let link = HeaderValue::from_str(&format!("<{NEXT}>; rel=\"successor-version\"")).unwrap();
    assert_eq!(got.headers, [(LINK, link)]);
    let why = format!("Api shop/orders is retired; after it came {NEXT}");
    assert_eq!(got.detail.as_deref(), Some(&*why));
}

#[test]
fn a_deprecated_api_says_so_in_every_answer() {
    let deprecated = stage(json!({
        "lifecycle": "Deprecated", "deprecated": "2026-12-31T23:59:59.9+01:00", "sunset": GOING,
        "successor": NEXT,
    }));
    let wanted = [
        "deprecation: @1798757999".to_owned(),
        "sunset: Wed, 30 Jun 2027 00:00:00 GMT".to_owned(),
        format!("link: <{NEXT}>; rel=\"successor-version\""),
    ];
    let open = within(chain([]), deprecated.clone());
    assert!(open.changes_response());
    assert_eq!(headers(&open), wanted);
    assert_eq!(reason(&open, &Request::get("/")), Reason::Ok);
    let deny = json!({ "rules": [{ "name": "nobody", "action": "Deny", "when": {} }] });
    let denied = answer(&within(chain([level([deny])]), deprecated), &Request::get("/"));
    assert_eq!(denied.reason, Reason::AccessDenied);
    let said = denied.headers.iter().map(|(name, to)| format!("{name}: {}", to.to_str().unwrap()));
    assert_eq!(said.collect::<Vec<_>>(), wanted);
    assert_eq!(open.answer(Reason::NoBackend, &Reader::default()).headers.len(), 3);
    let told = serde_json::to_value(open.explain_changes(&Request::get("/").facts(), None));
    let set = &told.unwrap()["responseHeaders"]["set"][0];
    assert_eq!(*set, json!({ "name": "deprecation", "value": "@1798757999" }));
}

#[test]
fn without_a_date_an_api_was_deprecated_long_ago() {
    let deprecated = stage(json!({ "lifecycle": "Deprecated" }));
    assert_eq!(headers(&within(chain([]), deprecated)), ["deprecation: @0"]);
}

#[test]
fn no_filter_takes_the_notice_off() {
    let filter = json!([{ "type": "ResponseHeaderModifier",
        "responseHeaderModifier": { "remove": ["deprecation", "link"] } }]);
    let filters: Vec<model::route::HttpFilter> = serde_json::from_value(filter).unwrap();
    let chain = Chain::compile(Vec::new(), &filters).unwrap();
    let chain = within(chain, stage(json!({ "lifecycle": "Deprecated", "successor": NEXT })));
    assert_eq!(headers(&chain).len(), 2);
}

#[test]
fn a_published_api_leaves_a_chain_as_it_is() {
    let chain = within(chain([]), stage(json!({ "lifecycle": "Published" })));
    assert!(!chain.changes_response());
}

#[test]
fn what_no_policy_speaks_of_is_denied_by_the_words_of_its_border() {
    let border =
        || Border { denied: Some("workspace 'shop' denies it".into()), ..Border::default() };
    let denied = answer(&chain([]).within(border()), &Request::get("/"));
    assert_eq!((denied.reason, denied.status.as_u16()), (Reason::DefaultDenied, 403));
    assert_eq!(denied.detail.as_deref(), Some("workspace 'shop' denies it"));
    // What a policy of somebody else says comes first.
    let closed = std::sync::Arc::new(crate::Level::Unknown { policy: "RegoPolicy shop/x".into() });
    let closed = chain([closed]).within(border());
    assert_eq!(reason(&closed, &Request::get("/")), Reason::PolicyUnreadable);
    let told = closed.explain(&Request::get("/").facts(), None).to_string();
    let wanted = "answered 503 policy_unreadable: RegoPolicy shop/x could not be read, so its \
                  targets are closed\nlevel 1 is closed: RegoPolicy shop/x is not known to this \
                  version";
    assert_eq!(told, wanted);
}

#[test]
fn dates_are_those_of_http() {
    assert_eq!(date(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(date(i64::MAX), None);
    assert_eq!(date(-62_167_219_201), None);
}
