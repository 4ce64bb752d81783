//! What is told of a request is what the table would do.

use http::Method;
use model::Kind;
use serde_json::{Value, json};

use super::*;
use crate::tests::fixture::{Ask, gateway, get, made, object, path, route};

fn shop() -> Vec<Resource> {
    let backend = |name: &str, weight| json!({ "name": name, "port": 80, "weight": weight });
    let at = |kind: &str, value: &str| json!({ "type": kind, "value": value });
    let header = json!([{ "name": "x-tier", "value": "gold" }]);
    let query = json!([{ "name": "v", "type": "RegularExpression", "value": "[0-9]+" }]);
    let books = json!([
        { "name": "books", "matches": [{ "path": at("PathPrefix", "/books") }],
          "backendRefs": [backend("one", 90), backend("two", 10)],
          "filters": [{ "type": "URLRewrite", "urlRewrite": { "path":
              { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2" } } }] },
        { "name": "new", "backendRefs": [backend("one", 1)],
          "matches": [{ "path": at("PathPrefix", "/books"), "method": "POST" }] },
        { "name": "gold", "backendRefs": [backend("two", 1)],
          "matches": [{ "path": at("PathPrefix", "/books"), "headers": header }] },
        { "name": "paged", "backendRefs": [backend("two", 1)],
          "matches": [{ "path": at("PathPrefix", "/books"), "queryParams": query }] },
        { "name": "exact", "backendRefs": [backend("two", 1)],
          "matches": [{ "path": at("Exact", "/books/1") }] },
        { "name": "like", "backendRefs": [backend("two", 1)],
          "matches": [{ "path": at("RegularExpression", r"/\d+/\p{Greek}?") }] },
        { "name": "gone", "matches": [{ "path": at("Exact", "/old") }],
          "filters": [{ "type": "RequestRedirect", "requestRedirect": { "hostname": "b.org" } }] },
    ]);
    let all = json!([{ "backendRefs": [backend("one", 1)] }]);
    let service =
        |name: &str| object(Kind::Service, "shop", name, json!({ "ports": [{ "port": 80 }] }));
    let listeners = json!([
        { "name": "web" },
        { "name": "side", "port": 81, "hostname": "a.org" },
        { "name": "safe", "port": 443, "protocol": "HTTPS",
          "tls": { "certificateRefs": [{ "name": "nobody-tells" }] } },
    ]);
    vec![
        gateway(listeners),
        service("one"),
        service("two"),
        route("books", &["a.org"], books),
        route("wild", &["*.wild.org"], all),
    ]
}

fn typed(method: &str, host: &str, path: &str, headers: &str) -> Typed {
    let owned = str::to_owned;
    Typed {
        method: owned(method),
        host: owned(host),
        port: 80,
        path: owned(path),
        headers: owned(headers),
    }
}

fn text(told: &Told) -> String {
    told.lines.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_told_is_what_the_table_finds() {
    let (table, trial) = (made(shop()).table, Trial::new(shop()));
    let post = |mut ask: Ask| {
        ask.method = Method::POST;
        ask
    };
    let cases = [
        (get("a.org", "/books"), typed("GET", "A.org:80", "/books", "")),
        (get("a.org", "/books/1"), typed("GET", "a.org", "//books/./1", "")),
        (post(get("a.org", "/books/2")), typed("POST", "a.org", "/books/2", "")),
        (
            get("a.org", "/books").header("x-tier", "gold"),
            typed("GET", "a.org", "/books", " X-Tier:gold \n\n"),
        ),
        (
            get("a.org", "/books").header("x-tier", "tin"),
            typed("GET", "a.org", "/books", "x-tier: tin"),
        ),
        (get("a.org", "/books").query("v=17"), typed("GET", "a.org", "/books?v=17", "")),
        (get("a.org", "/books").query("v=x"), typed("GET", "a.org", "/books?v=x", "")),
        (get("a.org", "/17/%CE%B1"), typed("GET", "a.org", "/17/α", "")),
        (get("a.org", "/17/"), typed("GET", "a.org", "/17/", "")),
        (get("a.org", "/bookshelf"), typed("GET", "a.org", "/bookshelf", "")),
        (get("a.org", "/old"), typed("GET", "a.org", "/old", "")),
        (get("x.wild.org", "/any"), typed("GET", "x.wild.org", "/any", "")),
        (get("b.org", "/books"), typed("GET", "b.org", "/books", "")),
    ];
    let mut rules = std::collections::BTreeSet::new();
    for (ask, typed) in cases {
        let told = trial.tell(&typed);
        assert_eq!((&told.slips[..], &told.faults[..]), (&[][..], &[][..]), "{typed:?}");
        match table.find(&ask.facts()) {
            Ok(found) => {
                let label = &*found.rule.label;
                assert!(told.sum.contains(&format!("rule {label}, by ")), "{}", told.sum);
                rules.insert(label.to_owned());
            }
            Err(_) => {
                assert_eq!(told.sum, "It meets none of these routes: no match of theirs fits it.")
            }
        }
        let story = table.why(&ask.facts());
        let others: Vec<_> = story.others.iter().map(ToString::to_string).collect();
        assert_eq!(told.others, others);
        // What a gateway says of the rule, but for what only it knows.
        let won = story.won.map(|won| won.lines()).unwrap_or_default();
        let won: String = won.iter().map(ToString::to_string).collect();
        assert!(text(&told).contains(&won.replace(", 0 endpoints ready", "")), "{}", text(&told));
    }
    assert_eq!(rules.len(), 8, "{rules:?}");
}

#[test]
fn a_rule_tells_where_it_leads_and_what_it_does_and_the_others_why_not() {
    let trial = Trial::new(shop());
    let told = trial.tell(&typed("GET", "a.org", "/books/7", "x-tier: tin"));
    let wanted = "\
listener  web of Gateway infra/edge, port 80
route     shop/books
rule      shop/books/books by PathPrefix /books, host a.org
backend   shop/one:80, weight 90
backend   shop/two:80, weight 10
rewrite   to path /v2/7
";
    assert_eq!(text(&told), wanted);
    let has = |words: &str| told.others.iter().any(|other| other == words);
    assert!(has("shop/books/new (PathPrefix /books, method POST): method is GET, not POST"));
    assert!(has("shop/books/gold (PathPrefix /books, header x-tier=gold): wants header \
                 x-tier=gold; another value was sent"));
    assert!(has("shop/books/exact (Exact /books/1): path '/books/7' does not fit Exact /books/1"));
    assert!(!told.others.concat().contains("tin"), "what was typed may be a credential");
    let told = trial.tell(&typed("GET", "a.org", "/old", ""));
    let answer = "answer    answered 302 redirected: the rule redirects to http://b.org/old\n";
    assert!(text(&told).ends_with(answer), "{}", text(&told));
}

#[test]
fn what_fits_none_is_never_said_to_be_answered() {
    let trial = Trial::new(shop());
    for (port, host, why) in [
        (80, "b.org", "no match of theirs fits it."),
        (81, "b.org", "none of their listeners on port 81 serves the host 'b.org'."),
        (9, "a.org", "nothing listens on port 9; there are 80 (HTTP), 81 (HTTP), 443 (HTTPS)."),
    ] {
        let told = trial.tell(&Typed { port, ..typed("GET", host, "/", "") });
        assert_eq!(told.sum, format!("It meets none of these routes: {why}"));
        assert!(!text(&told).contains("answered"), "{}", text(&told));
    }
    let told = trial.tell(&Typed { port: 443, ..typed("GET", "a.org", "/books", "") });
    assert!(told.sum.contains("shop/books/books"), "{}", told.sum);
}

#[test]
fn each_field_is_told_what_is_wrong_with_it() {
    let trial = Trial::new(shop());
    let slips = |typed: Typed| {
        let told = trial.tell(&typed);
        assert!(told.slips.is_empty() || told.sum.is_empty() && told.lines.is_empty());
        told.slips.into_iter().map(|slip| (slip.field, slip.why)).collect::<Vec<_>>()
    };
    let all = slips(typed("G T", "a b", "books", "no header"));
    let fields: Vec<_> = all.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, [Field::Method, Field::Host, Field::Path, Field::Headers]);
    for (typed, wanted) in [
        (typed("", "a.org", "/", ""), "'' is no method; write one such as GET"),
        (typed("CONNECT", "a.org", "/", ""), "CONNECT would be answered 400"),
        (typed("GET", "", "/", ""), "the host is empty"),
        (typed("GET", "a.org", "", ""), "the path does not begin with '/'"),
        (typed("GET", "a.org", "/a/../../b", ""), "the path climbs above the root"),
        (typed("GET", "a.org", "/a#b", ""), "what begins with '#' is never sent"),
        (typed("GET", "a.org", "/a?b c", ""), "the query has a character that no query has"),
        (typed("GET", "a.org", "/", "a b: c"), "'a b' is no header name"),
        (typed("GET", "a.org", "/", "a: \u{7f}"), "the value of 'a' is no header value"),
        (typed("GET", "a.org", "/", "Host: b.org"), "the host has a field of its own"),
    ] {
        let told = slips(typed);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].1, wanted);
    }
    assert_eq!(slips(typed("get", "[::1]:80", "/", "a: b")), []);
}

#[test]
fn objects_are_read_as_rest_shows_them_and_no_others() {
    let shown: Vec<Value> = shop().iter().map(Resource::to_json).collect();
    let trial = Trial::of_json(shown).unwrap();
    assert!(trial.tell(&typed("GET", "a.org", "/books", "")).sum.contains("shop/books/books"));
    let refused = Trial::of_json(vec![json!({ "kind": "Secret", "metadata": {} })]).unwrap_err();
    assert_eq!(refused, "no request is tried at a Secret");
}

#[test]
fn the_life_of_its_api_answers_before_the_rule() {
    let api = |life: &str| {
        let spec = json!({ "owner": "books", "lifecycle": life });
        object(Kind::Api, "shop", "books", spec)
    };
    let labelled = |life: &str| {
        let mut all = shop();
        let mut books = all[3].to_json();
        books["metadata"]["labels"] = json!({ "heddle.dev/api": "books" });
        all[3] = Resource::from_json(Kind::HttpRoute, books).unwrap();
        all.push(api(life));
        text(&Trial::new(all).tell(&typed("GET", "a.org", "/books", "")))
    };
    assert!(
        labelled("Draft").contains("answer    answered 404 api_unpublished: Api shop/books is a")
    );
    assert!(!labelled("Published").contains("answer "));
}

#[test]
fn what_is_wrong_with_the_routes_is_told() {
    let mut all = shop();
    all.remove(1);
    let told = Trial::new(all).tell(&typed("GET", "a.org", "/books", ""));
    assert!(told.faults.concat().contains("no Service shop/one"), "{:?}", told.faults);
    assert!(text(&told).contains("backend   backend_missing, weight 90\n"), "{}", text(&told));
}

#[test]
fn a_route_that_cannot_be_tried_is_named_with_each_answer() {
    let mut all = shop();
    let rules = path("RegularExpression", "/books/(");
    all.push(route("odd", &["a.org"], rules));
    let told = Trial::new(all).tell(&typed("GET", "a.org", "/books", ""));
    let wanted = "Of these routes it meets rule shop/books/books, by PathPrefix /books. It could not be \
                  tried at HTTPRoute shop/odd.";
    assert_eq!(told.sum, wanted);
    assert!(told.faults.concat().contains("unclosed group"), "{:?}", told.faults);
}

#[test]
fn grants_of_other_namespaces_are_taken_to_be_there() {
    let far = json!({ "name": "cert", "namespace": "bank" });
    let listeners = json!([
        { "name": "web" },
        { "name": "safe", "port": 443, "protocol": "HTTPS", "tls": { "certificateRefs": [far] } },
    ]);
    let to = json!([{ "name": "books", "namespace": "bank", "port": 80 }]);
    let ports = json!({ "ports": [{ "port": 80 }] });
    let resources = vec![
        gateway(listeners),
        object(Kind::Service, "bank", "books", ports),
        route("r", &[], json!([{ "backendRefs": to }])),
    ];
    let trial = Trial::new(resources);
    let http = typed("GET", "h", "/", "");
    for port in [80, 443] {
        let told = trial.tell(&Typed { port, ..http.clone() });
        assert!(told.sum.starts_with("Of these routes it meets rule shop/r/0"), "{told:?}");
        assert!(text(&told).contains("bank/books:80"), "{told:?}");
        assert_eq!(told.faults, [""; 0]);
    }
}

#[test]
fn listeners_that_a_set_adds_are_tried_with_its_gateway() {
    let mut door = gateway(json!([{ "name": "web", "hostname": "infra.test" }])).to_json();
    door["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "All" } });
    let refs = json!([{ "name": "cert" }]);
    let listeners = json!([{ "name": "safe", "port": 443, "protocol": "HTTPS",
        "hostname": "*.shop.test", "tls": { "certificateRefs": refs } }]);
    let parent = json!({ "name": "edge", "namespace": "infra" });
    let set = json!({ "parentRef": parent, "listeners": listeners });
    let parents = json!([{ "kind": "ListenerSet", "name": "s" }]);
    let resources = [
        object(Kind::ListenerSet, "shop", "s", set),
        object(Kind::HttpRoute, "shop", "r", json!({ "parentRefs": parents })),
    ];
    let shown = resources.iter().map(Resource::to_json).chain([door]).collect();
    let trial = Trial::of_json(shown).unwrap();
    let told = trial.tell(&Typed { port: 443, ..typed("GET", "www.shop.test", "/", "") });
    assert!(told.sum.starts_with("Of these routes it meets rule shop/r/0"), "{told:?}");
    assert!(text(&told).contains("safe of ListenerSet shop/s of Gateway infra/edge"), "{told:?}");
}
