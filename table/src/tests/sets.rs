//! Listeners that ListenerSets add to a Gateway of somebody else.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, get, made, object};
use crate::{Assembly, Input, Presented, Refused, assemble};

const SHUT: &str = "policy_unreadable";

fn all() -> Value {
    json!({ "namespaces": { "from": "All" } })
}

/// The Gateway `infra/edge` with a plain listener `web` for `*.infra.test`, which lets sets of these
/// namespaces attach.
fn edge(lets: &str) -> Resource {
    let web = json!({ "name": "web", "hostname": "*.infra.test", "port": 80, "protocol": "HTTP",
        "allowedRoutes": all() });
    with_listeners(lets, json!([web]))
}

fn with_listeners(lets: &str, listeners: Value) -> Resource {
    let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners,
        "allowedListeners": { "namespaces": { "from": lets } } });
    object(Kind::Gateway, "infra", "edge", spec)
}

/// The same which lets sets of the namespace of this name attach.
fn picking(name: &str) -> Resource {
    let mut gateway = edge("Selector").to_json();
    gateway["spec"]["allowedListeners"]["namespaces"]["selector"] =
        json!({ "matchLabels": { "kubernetes.io/metadata.name": name } });
    Resource::from_json(Kind::Gateway, gateway).unwrap()
}

/// A plain listener of a set, for one host.
fn at(name: &str, host: &str) -> Value {
    json!({ "name": name, "hostname": host, "port": 80, "protocol": "HTTP" })
}

/// The set `namespace/name` of `infra/edge`.
fn set(namespace: &str, name: &str, listeners: Value) -> Resource {
    let parent = json!({ "namespace": "infra", "name": "edge" });
    let spec = json!({ "parentRef": parent, "listeners": listeners });
    object(Kind::ListenerSet, namespace, name, spec)
}

/// The same as of a time.
fn set_of(at: &str, namespace: &str, name: &str, listeners: Value) -> Resource {
    let mut object = set(namespace, name, listeners).to_json();
    object["metadata"]["creationTimestamp"] = json!(at);
    Resource::from_json(Kind::ListenerSet, object).unwrap()
}

fn to_set(namespace: &str, name: &str) -> Value {
    json!({ "kind": "ListenerSet", "namespace": namespace, "name": name })
}

fn to_edge() -> Value {
    json!({ "namespace": "infra", "name": "edge" })
}

fn route(namespace: &str, name: &str, parents: Value) -> Resource {
    object(Kind::HttpRoute, namespace, name, json!({ "parentRefs": parents }))
}

fn rules<const N: usize>(assembly: &Assembly, hosts: [&'static str; N]) -> [String; N] {
    hosts.map(|host| get(host, "/").rule(&assembly.table))
}

fn verdicts<const N: usize>(assembly: &Assembly, hosts: [&'static str; N]) -> [String; N] {
    hosts.map(|host| get(host, "/").verdict(&assembly.table))
}

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    let [namespace, name] = [namespace, name].map(|word| Name::parse(word).unwrap());
    Key::new(kind, namespace, name)
}

#[test]
fn a_gateway_says_from_which_namespaces_it_takes_sets_and_from_none_where_it_says_nothing() {
    let mut silent = edge("All").to_json();
    silent["spec"].as_object_mut().unwrap().remove("allowedListeners");
    let silent = Resource::from_json(Kind::Gateway, silent).unwrap();
    let cases = [
        (silent, [false, false]),
        (edge("None"), [false, false]),
        (edge("Same"), [true, false]),
        (edge("All"), [true, true]),
        (picking("shop"), [false, true]),
        (picking("infra"), [true, false]),
    ];
    for (gateway, wanted) in cases {
        let what = format!("{gateway:?}");
        let assembly = made(vec![
            gateway,
            set("infra", "near", json!([at("web", "near.test")])),
            set("shop", "far", json!([at("web", "far.test")])),
            route("infra", "near", json!([to_set("infra", "near")])),
            route("shop", "far", json!([to_set("shop", "far")])),
        ]);
        let got = rules(&assembly, ["near.test", "far.test"]);
        let served = [got[0] == "infra/near/0", got[1] == "shop/far/0"];
        assert_eq!(served, wanted, "{what}");
        let told = faults(&assembly);
        for (set, is_taken) in [("infra/near", wanted[0]), ("shop/far", wanted[1])] {
            let at = format!("ListenerSet {set}: spec.parentRef: ");
            let is_told = told
                .iter()
                .any(|one| one.starts_with(&at) && one.contains("Gateway infra/edge takes "));
            assert_ne!(is_told, is_taken, "{told:?}");
        }
    }
}

#[test]
fn a_set_that_is_not_taken_is_told_the_same_whether_the_gateway_is_there_or_not() {
    let led = || {
        vec![
            set("shop", "s", json!([at("web", "shop.test")])),
            route("shop", "r", json!([to_set("shop", "s")])),
        ]
    };
    let without = faults(&made(led()));
    assert_eq!(without.len(), 2, "{without:?}");
    assert!(without[1].contains("no Gateway takes ListenerSet shop/s"), "{without:?}");
    assert_eq!(faults(&made([led(), vec![edge("Same")]].concat())), without);
}

#[test]
fn routes_attach_to_what_they_name_and_to_no_more() {
    let assembly = made(vec![
        edge("All"),
        set("shop", "s", json!([at("web", "a.test"), at("b", "b.test")])),
        set("shop", "t", json!([at("web", "c.test")])),
        // All three names of a listener are one name, and mean three listeners.
        route("shop", "gw", json!([to_edge()])),
        route("shop", "one", json!([{ "kind": "ListenerSet", "name": "s", "sectionName": "web" }])),
        route(
            "shop",
            "two",
            json!([{ "kind": "ListenerSet", "name": "s", "sectionName": "b" },
            { "kind": "ListenerSet", "name": "t", "port": 80 }]),
        ),
        route("shop", "none", json!([{ "kind": "ListenerSet", "name": "t", "port": 81 }])),
    ]);
    let got = rules(&assembly, ["x.infra.test", "a.test", "b.test", "c.test"]);
    assert_eq!(got, ["shop/gw/0", "shop/one/0", "shop/two/0", "shop/two/0"]);
    let told = "HTTPRoute shop/none: spec.parentRefs[0].port: ListenerSet shop/t has no listener on \
                port 81; it has 'web' on port 80";
    assert_eq!(faults(&assembly), [told]);
}

#[test]
fn same_means_the_namespace_of_the_set() {
    let open = json!({ "name": "open", "hostname": "open.test", "port": 80, "protocol": "HTTP",
        "allowedRoutes": all() });
    let parents = |section: &str| {
        let mut parent = to_set("shop", "s");
        parent["sectionName"] = json!(section);
        json!([parent])
    };
    let assembly = made(vec![
        edge("All"),
        set("shop", "s", json!([at("web", "shop.test"), open])),
        route("infra", "own", parents("web")),
        route("infra", "led", parents("open")),
        route("shop", "r", parents("web")),
    ]);
    assert_eq!(rules(&assembly, ["shop.test", "open.test"]), ["shop/r/0", "infra/led/0"]);
    let told = "HTTPRoute infra/own: spec.parentRefs[0]: listener 'web' of ListenerSet shop/s takes no \
                routes of namespace 'infra'";
    assert_eq!(faults(&assembly), [told]);
}

#[test]
fn what_a_gateway_has_no_set_takes_and_among_sets_the_older_one_has_it() {
    let hosts = |names: &[&str]| {
        let all = names.iter().map(|host| at(&host.replace('*', "any"), host));
        Value::Array(all.collect())
    };
    let secure = json!({ "name": "secure", "hostname": "s.test", "port": 80, "protocol": "TLS",
        "tls": { "mode": "Passthrough" } });
    let mut younger = hosts(&["one.test", "free.test"]);
    younger.as_array_mut().unwrap().push(secure);
    let assembly = made(vec![
        // By name the younger one would be first.
        set_of("2026-02-01T00:00:00Z", "shop", "a-younger", younger),
        set_of("2026-01-01T00:00:00Z", "shop", "b-older", hosts(&["one.test", "*.infra.test"])),
        set_of("2026-02-01T00:00:00Z", "away", "z", hosts(&["one.test"])),
        edge("All"),
        route("infra", "own", json!([to_edge()])),
        route("shop", "younger", json!([to_set("shop", "a-younger")])),
        route("shop", "older", json!([to_set("shop", "b-older")])),
    ]);
    let got = rules(&assembly, ["x.infra.test", "one.test", "free.test"]);
    assert_eq!(got, ["infra/own/0", "shop/older/0", "shop/younger/0"]);
    let told = faults(&assembly);
    let wanted = [
        "ListenerSet shop/b-older: spec.listeners[1]: '*.infra.test' on port 80 is held by listener \
         'web' of Gateway infra/edge",
        // Sets of others are theirs to know.
        "ListenerSet away/z: spec.listeners[0]: 'one.test' on port 80 is held by a listener of an older \
         ListenerSet",
        "ListenerSet shop/a-younger: spec.listeners[0]: 'one.test' on port 80 is held by listener \
         'one.test' of ListenerSet shop/b-older",
        "ListenerSet shop/a-younger: spec.listeners[2]: port 80 is held by listener 'web' of Gateway \
         infra/edge, which speaks HTTP there",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn no_set_takes_what_a_gateway_names_and_cannot_serve() {
    let own = https("own", "own.infra.test", json!({ "name": "cert" }));
    let of_set = json!([
        https("taken", "own.infra.test", json!({ "name": "cert" })),
        https("free", "free.test", json!({ "name": "cert" })),
        { "name": "plain", "hostname": "plain.test", "port": 443, "protocol": "HTTP" },
    ]);
    let waiting = || set("shop", "s", of_set.clone());
    for (held, by) in [(true, vec![secret("infra")]), (false, vec![])] {
        let gateway = with_listeners("All", json!([own.clone()]));
        let assembly = made([gateway, secret("shop"), waiting()].into_iter().chain(by).collect());
        assert_eq!(chain(&assembly, "own.infra.test").as_deref(), held.then_some("chain of infra"));
        assert_eq!(chain(&assembly, "free.test").as_deref(), Some("chain of shop"));
        let at = "ListenerSet shop/s: spec.listeners";
        let told = [
            format!(
                "{at}[0]: 'own.infra.test' on port 443 is held by listener 'own' of Gateway infra/edge"
            ),
            format!(
                "{at}[2]: port 443 is held by listener 'own' of Gateway infra/edge, which speaks HTTPS there"
            ),
        ];
        let faults = faults(&assembly);
        assert!(told.iter().all(|one| faults.contains(one)), "{faults:?}");
    }
}

#[test]
fn what_a_gateway_shows_to_backends_is_shown_for_its_sets_and_closes_them_where_it_cannot_be() {
    let mut gateway = edge("All").to_json();
    gateway["spec"]["tls"] = json!({ "backend": { "clientCertificateRef": { "name": "cert" } } });
    let gateway = Resource::from_json(Kind::Gateway, gateway).unwrap();
    // The set's own Secret of that name is not the Gateway's.
    let all = [gateway, secret("shop"), set("shop", "s", json!([at("a", "a.shop.test")]))];
    let shown = |more: Option<Resource>| {
        let assembly = made(all.iter().cloned().chain(more).collect());
        match &assembly.table.listener(80, "a.shop.test").unwrap().presented {
            Presented::Certificate(one) => one.secret.to_string(),
            Presented::Nothing => "nothing".to_owned(),
            Presented::Unusable(_) => "closed".to_owned(),
        }
    };
    assert_eq!(shown(Some(secret("infra"))), "Secret infra/cert");
    assert_eq!(shown(None), "closed");
}

#[test]
fn every_gateway_comes_before_every_set_however_old_that_is() {
    let mut young = edge("None").to_json();
    young["metadata"]["name"] = json!("young");
    young["metadata"]["creationTimestamp"] = json!("2026-03-01T00:00:00Z");
    young["spec"]["listeners"][0]["hostname"] = json!("young.test");
    let parents = json!([{ "namespace": "infra", "name": "young" }]);
    let assembly = made(vec![
        edge("All"),
        Resource::from_json(Kind::Gateway, young).unwrap(),
        set("shop", "s", json!([at("web", "young.test")])),
        route("infra", "own", parents),
        route("shop", "r", json!([to_set("shop", "s")])),
    ]);
    assert_eq!(rules(&assembly, ["young.test"]), ["infra/own/0"]);
}

fn https(name: &str, host: &str, secret: Value) -> Value {
    json!({ "name": name, "hostname": host, "port": 443, "protocol": "HTTPS",
        "tls": { "certificateRefs": [secret] } })
}

fn secret(namespace: &str) -> Resource {
    let data = json!({ "tls.crt": format!("chain of {namespace}"), "tls.key": "key" });
    let body = json!({ "type": "kubernetes.io/tls", "stringData": data });
    object(Kind::Secret, namespace, "cert", body)
}

fn chain(assembly: &Assembly, name: &str) -> Option<String> {
    let listener = assembly.table.listener(443, name)?;
    let chain = listener.certificates.first()?.chain_pem.expose();
    Some(String::from_utf8(chain.to_vec()).unwrap())
}

#[test]
fn certificates_are_of_the_namespace_of_the_set_and_others_need_a_grant_for_sets() {
    let grant = |kind: &str, namespace: &str| {
        let from =
            json!([{ "group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace }]);
        let spec = json!({ "from": from, "to": [{ "group": "", "kind": "Secret" }] });
        object(Kind::ReferenceGrant, "infra", "g", spec)
    };
    let world = |grant: Option<Resource>| {
        let listeners = json!([
            https("own", "own.test", json!({ "name": "cert" })),
            https("far", "far.test", json!({ "name": "cert", "namespace": "infra" })),
        ]);
        let all = [edge("All"), secret("infra"), secret("shop"), set("shop", "s", listeners)];
        made(all.into_iter().chain(grant).collect())
    };
    for (grant, is_let) in [
        (None, false),
        (Some(grant("Gateway", "shop")), false),
        (Some(grant("ListenerSet", "infra")), false),
        (Some(grant("ListenerSet", "shop")), true),
    ] {
        let assembly = world(grant);
        assert_eq!(chain(&assembly, "own.test").as_deref(), Some("chain of shop"));
        let far = chain(&assembly, "far.test");
        assert_eq!(far.as_deref(), is_let.then_some("chain of infra"));
        let told = faults(&assembly);
        let wanted = "ListenerSet shop/s: spec.listeners[1].tls.certificateRefs[0]: Secret infra/cert lies \
                      in another namespace, and no ReferenceGrant in 'infra' lets ListenerSets of 'shop' \
                      refer to it";
        assert_eq!(told.iter().any(|one| one == wanted), !is_let, "{told:?}");
    }
}

#[test]
fn what_a_gateway_asks_of_callers_on_a_port_holds_for_sets_there_too() {
    let world = |more: Vec<Resource>| {
        let ask = |name: &str| {
            let refs = json!([{ "group": "", "kind": "ConfigMap", "name": name }]);
            json!({ "validation": { "caCertificateRefs": refs } })
        };
        let mut gateway = edge("All").to_json();
        gateway["spec"]["tls"] = json!({ "frontend": {
            "default": {}, "perPort": [{ "port": 443, "tls": ask("ca") }] } });
        let mut other = https("other", "shop.test", json!({ "name": "cert" }));
        other["port"] = json!(8443);
        let mut own = https("own", "shop.test", json!({ "name": "cert" }));
        own["tls"]["options"] = json!({ "heddle.dev/client-certificate": "optional" });
        let listeners = json!([own, other]);
        let gateway = Resource::from_json(Kind::Gateway, gateway).unwrap();
        made([vec![gateway, secret("shop"), set("shop", "s", listeners)], more].concat())
    };
    let ca = object(Kind::ConfigMap, "infra", "ca", json!({ "data": { "ca.crt": "pem" } }));
    let assembly = world(vec![ca]);
    let asks = |port| {
        let listener = assembly.table.listener(port, "shop.test").unwrap();
        listener.client_validation.as_ref().map(|asked| asked.is_optional)
    };
    // Whose listener it is not lowers nothing.
    assert_eq!([asks(443), asks(8443)], [Some(false), None]);
    let told = faults(&assembly);
    assert!(told[0].contains("its own listeners alone may make optional"), "{told:?}");
    // Where nobody could prove anything, nobody is served.
    let without = world(vec![]);
    assert!(without.table.listener(443, "shop.test").is_none());
    assert!(without.table.listener(8443, "shop.test").is_some());
    let told = faults(&without);
    let wanted = "Gateway infra/edge: spec.tls.frontend.perPort[0]";
    assert!(told.iter().any(|one| one.starts_with(wanted)), "{told:?}");
}

/// A policy that admits nobody who does not say the word, on an object of its namespace.
fn policy(namespace: &str, target: Value) -> Resource {
    let when = json!({ "headers": [{ "name": "x-word", "value": "open" }] });
    let spec = json!({ "targetRefs": [target], "rules": [{ "name": "word", "when": when }] });
    object(Kind::AccessPolicy, namespace, "p", spec)
}

/// Two sets of a Gateway with listeners of one name, `shop`'s with another one, and a route of each.
fn policed(more: Vec<Resource>) -> Vec<Resource> {
    let own = json!([at("web", "shop.test"), at("side", "side.test")]);
    let all = vec![
        edge("All"),
        set("shop", "s", own),
        set("away", "s", json!([at("web", "away.test")])),
        route("infra", "r", json!([to_edge()])),
        route("shop", "r", json!([to_set("shop", "s")])),
        route("away", "r", json!([to_set("away", "s")])),
    ];
    [all, more].concat()
}

const HOSTS: [&str; 4] = ["x.infra.test", "shop.test", "side.test", "away.test"];

#[test]
fn policies_of_a_gateway_hold_for_its_sets_and_those_of_a_set_or_listener_for_these() {
    let (ok, no) = ("ok", "access_denied");
    let target = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
    let listener = |kind: &str, name: &str, section: &str| json!({ "kind": kind, "name": name, "sectionName": section });
    let cases = [
        ("infra", target("Gateway", "edge"), [no, no, no, no]),
        ("infra", listener("Gateway", "edge", "web"), [no, ok, ok, ok]),
        ("shop", target("ListenerSet", "s"), [ok, no, no, ok]),
        ("shop", listener("ListenerSet", "s", "web"), [ok, no, ok, ok]),
    ];
    for (namespace, target, wanted) in cases {
        let assembly = made(policed(vec![policy(namespace, target.clone())]));
        assert_eq!(verdicts(&assembly, HOSTS), wanted, "{target}");
        assert_eq!(faults(&assembly), [""; 0], "{target}");
        let open = get("shop.test", "/").header("x-word", "open");
        assert!(["ok", "backend_missing"].contains(&&*open.verdict(&assembly.table)), "{target}");
    }
}

#[test]
fn a_policy_that_cannot_be_read_closes_the_sets_it_was_meant_for() {
    let closed = |namespace: &str, raw: Value| {
        let key = Some(key(Kind::AccessPolicy, namespace, "p"));
        let refused = vec![Refused { key, raw: Some(raw), faults: Vec::new() }];
        let input = Input { resources: policed(vec![]), refused, ..Input::default() };
        verdicts(&assemble(input, None), HOSTS)
    };
    let on = |kind: &str, name: &str| json!({ "spec": { "targetRefs": [{ "kind": kind, "name": name }], "wrong": 1 } });
    assert_eq!(closed("infra", on("Gateway", "edge")), [SHUT; 4]);
    assert_eq!(closed("shop", on("ListenerSet", "s")), ["ok", SHUT, SHUT, "ok"]);
    // Of its own namespace everything, where its targets cannot be told.
    assert_eq!(closed("shop", on("Listener", "s")), ["ok", SHUT, SHUT, "ok"]);
    let missing = json!({ "kind": "ListenerSet", "name": "s", "sectionName": "gone" });
    let assembly = made(policed(vec![policy("shop", missing)]));
    assert_eq!(verdicts(&assembly, HOSTS), ["ok", SHUT, SHUT, "ok"]);
    let told = faults(&assembly);
    assert!(
        told[0].contains("ListenerSet shop/s has no listener 'gone'; until it has"),
        "{told:?}"
    );
}

#[test]
fn an_unreadable_set_keeps_its_last_good_form_and_without_one_closes_nothing_of_others() {
    let refused = || Refused {
        key: Some(key(Kind::ListenerSet, "shop", "s")),
        raw: Some(json!({ "spec": { "listeners": [at("web", "*.infra.test")] } })),
        faults: Vec::new(),
    };
    let input = || {
        let resources = policed(vec![]).into_iter();
        let others = resources.filter(|one| one.key() != key(Kind::ListenerSet, "shop", "s"));
        Input { resources: others.collect(), refused: vec![refused()], ..Input::default() }
    };
    let without = assemble(input(), None);
    let lost = "no_listener";
    assert_eq!(verdicts(&without, HOSTS), ["ok", lost, lost, "ok"]);
    assert!(without.lost.contains(&key(Kind::ListenerSet, "shop", "s")));
    let kept = assemble(input(), Some(&made(policed(vec![]))));
    assert_eq!(verdicts(&kept, HOSTS), ["ok"; 4]);
    assert!(kept.kept.contains(&key(Kind::ListenerSet, "shop", "s")));
}

#[test]
fn a_refused_listener_of_a_set_keeps_its_host_from_that_set_and_from_nobody_else() {
    let lacks = json!({ "name": "gone" });
    let wide = |host: &str| https("wide", host, json!({ "name": "cert" }));
    let assembly = made(vec![
        with_listeners("All", json!([wide("*.infra.test")])),
        secret("infra"),
        secret("shop"),
        set(
            "shop",
            "s",
            json!([
                wide("*.shop.test"),
                https("a", "a.shop.test", lacks.clone()),
                https("b", "b.infra.test", lacks),
            ]),
        ),
    ]);
    let whose = |host: &str| {
        let listener = assembly.table.listener(443, host)?;
        Some(listener.whose())
    };
    assert_eq!(whose("b.infra.test").as_deref(), Some("Gateway infra/edge"));
    let of_set = Some("ListenerSet shop/s of Gateway infra/edge");
    assert_eq!(whose("x.shop.test").as_deref(), of_set);
    assert_eq!(whose("a.shop.test"), None);
}

#[test]
fn a_set_that_goes_takes_its_own_listeners_with_it_and_no_others() {
    let before = made(policed(vec![]));
    assert_eq!(verdicts(&before, HOSTS), ["ok"; 4]);
    let mut left = policed(vec![]);
    left.retain(|one| one.key() != key(Kind::ListenerSet, "shop", "s"));
    let input = Input { resources: left, ..Input::default() };
    let after = assemble(input, Some(&before));
    assert_eq!(verdicts(&after, HOSTS), ["ok", "no_listener", "no_listener", "ok"]);
    let told = "HTTPRoute shop/r: spec.parentRefs[0]: no ListenerSet shop/s";
    assert_eq!(faults(&after), [told]);
}

#[test]
fn a_set_on_anothers_ground_does_not_serve_it() {
    let workspace =
        |name: &str| object(Kind::Workspace, "heddle", name, json!({ "access": "open" }));
    let claim = json!({ "hosts": [{ "host": "away.test" }, { "host": "*.away.test" }] });
    let claim = object(Kind::Claim, "away", "c", claim);
    let own = json!([at("web", "shop.test"), at("theirs", "www.away.test"), at("wide", "*.test")]);
    let assembly = made(vec![
        edge("All"),
        workspace("shop"),
        workspace("away"),
        claim,
        set("shop", "s", own),
        set("away", "s", json!([at("web", "away.test")])),
        route("shop", "r", json!([to_set("shop", "s")])),
        route("away", "r", json!([to_set("away", "s")])),
    ]);
    assert_eq!(rules(&assembly, ["shop.test", "away.test"]), ["shop/r/0", "away/r/0"]);
    assert_eq!(rules(&assembly, ["www.away.test", "x.test"]), ["no_listener", "no_listener"]);
    let told = faults(&assembly);
    let wanted = "ListenerSet shop/s: spec.listeners[2].hostname: '*.test/' overlaps with";
    assert!(told.iter().any(|one| one.starts_with(wanted)), "{told:?}");
}

#[test]
fn default_deny_is_lifted_by_a_policy_on_a_set_of_the_workspace_and_by_none_of_others() {
    let with = |policy: Option<Resource>| {
        let workspace = object(Kind::Workspace, "heddle", "shop", json!({ "access": "deny" }));
        made(policed([Some(workspace), policy].into_iter().flatten().collect()))
    };
    let open = |namespace: &str, kind: &str, name: &str| {
        let target = json!({ "kind": kind, "name": name });
        let spec = json!({ "targetRefs": [target], "rules": [{ "name": "all", "when": {} }] });
        Some(object(Kind::AccessPolicy, namespace, "p", spec))
    };
    let denied = ["ok", "default_denied", "default_denied", "ok"];
    assert_eq!(verdicts(&with(None), HOSTS), denied);
    assert_eq!(verdicts(&with(open("infra", "Gateway", "edge")), HOSTS), denied);
    assert_eq!(verdicts(&with(open("shop", "ListenerSet", "s")), HOSTS), ["ok"; 4]);
}

#[test]
fn whose_a_listener_is_is_told_with_the_gateway() {
    let assembly = made(policed(vec![]));
    let story = assembly.table.why(&get("shop.test", "/").facts()).to_string();
    let wanted =
        "listener  web of ListenerSet shop/s of Gateway infra/edge, port 80, host shop.test\n";
    assert!(story.starts_with(wanted), "{story}");
}
