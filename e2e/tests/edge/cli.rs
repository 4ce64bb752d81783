//! `check` and `explain`: what they print, and how they end.

use std::path::PathBuf;

use e2e::program::{Ended, run};
use e2e::trust::Authority;
use e2e::yaml;
use serde_json::Value;
use tempfile::TempDir;

/// A file with this text, in a folder that goes with the first.
fn file(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("site.yaml");
    std::fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a path of ASCII").to_owned();
    (folder, path)
}

fn check(path: &str) -> Ended {
    run(&["check", "--config", path])
}

fn site() -> String {
    yaml::join(&[
        yaml::gateway(&[yaml::http("web", 8080)]),
        yaml::service("shop", &[([127, 0, 0, 1], 9).into()]),
        yaml::path_route("all", "/", "shop"),
        yaml::path_route("cart", "/cart", "shop"),
    ])
}

#[test]
fn a_good_file_is_accepted() {
    let (_folder, path) = file(&site());
    let ended = check(&path);
    assert_eq!(ended.code, 0, "{ended:?}");
}

fn example(path: &str) -> String {
    let whole: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "examples", path].iter().collect();
    whole.to_str().expect("a path of ASCII").to_owned()
}

#[test]
fn the_bookshops_example_is_accepted() {
    let ended = check(&example("bookshop/gateway.yaml"));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn the_example_with_a_certificate_from_files_is_accepted_with_it_alone() {
    let (pair, certificate) = (TempDir::new().unwrap(), Authority::new().sign("site.localhost"));
    let [chain, key] = ["site.crt", "site.key"].map(|name| pair.path().join(name));
    std::fs::write(&chain, certificate.chain).unwrap();
    std::fs::write(&key, certificate.key).unwrap();
    let given = format!("demo/site={},{}", chain.display(), key.display());
    let path = example("gateway/https.yaml");
    assert_eq!(check(&path).code, 1);
    let ended = run(&["check", "--config", &path, "--tls-secret", &given]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_warning_is_told_and_counted_and_is_no_fault() {
    let certificate = Authority::new().sign("other.test");
    let (_folder, path) = file(&yaml::join(&[
        yaml::gateway(&[yaml::https("tls", 8443, "shop.test", "cert")]),
        yaml::tls_secret("cert", &certificate),
    ]));
    let ended = check(&path);
    let wanted = "the certificate of Secret shop/cert is for other.test, not for 'shop.test'\n";
    let end = format!("{path}: 2 objects, no fault, 1 warning\n");
    assert!(ended.code == 0 && ended.stdout.contains(wanted), "{ended:?}");
    assert!(
        ended.stdout.contains(": warning: Gateway shop/edge: ") && ended.stdout.ends_with(&end)
    );
    let ended = run(&["check", "--config", &path, "-o", "json"]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &told["faults"], &told["objects"]), (0, &[0; 0].into(), &2.into()));
    assert_eq!(told["warnings"][0]["object"], "Gateway shop/edge");
    assert_eq!(told["warnings"][0]["warning"]["key"]["name"], "edge");
}

/// Eight faults in six objects.
const FAULTY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: web, port: 8080, protocol: HTTP }
    - { name: web, port: 8080, protocol: HTTP } # twice
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cart, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  hostname: [shop.test]
  rules:
    - matches:
        - path: { value: / }
        - path: { type: Prefix, value: /x }
      backendRefs: [{ name: shop, port: eighty }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoutes
metadata: { name: typo, namespace: shop }
---
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: shop }
type: kubernetes.io/tls
stringData: { tls.crt: nonsense, tls.key: nonsense }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: regex, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ matches: [{ path: { type: RegularExpression, value: '(' } }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: lost, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ name: nowhere, port: 80 }] }]
";

#[test]
fn all_faults_are_told_at_once_with_object_path_line_and_nearest() {
    let (_folder, path) = file(FAULTY);
    let ended = check(&path);
    assert_eq!(ended.code, 1, "{ended:?}");
    for words in [
        &["Gateway shop/edge", "spec.listeners[1]"][..],
        &["HTTPRoute shop/cart", "spec.hostname", "did you mean 'hostnames'?"],
        &["HTTPRoute shop/cart", "spec.rules[0].matches[1].path.type", "PathPrefix"],
        &["HTTPRoute shop/cart", "spec.rules[0].backendRefs[0].port", "eighty"],
        &["HTTPRoutes", "did you mean 'HTTPRoute'?"],
        &["Secret shop/cert", "tls.crt"],
        &["HTTPRoute shop/regex", "spec.rules[0].matches[0].path.value"],
        &["HTTPRoute shop/lost", "spec.rules[0].backendRefs[0]", "nowhere"],
    ] {
        let told = ended.stdout.lines().find(|told| words.iter().all(|word| told.contains(word)));
        let told = told.unwrap_or_else(|| panic!("nothing says {words:?} in\n{}", ended.stdout));
        let (_, place) = told.split_once("site.yaml:").expect("the file is named");
        let line = place.split(':').next().and_then(|word| word.parse::<usize>().ok());
        assert!(line.is_some_and(|line| line > 0), "no line in {told}");
    }
}

#[test]
fn a_fault_leads_to_the_line_of_its_field() {
    let (_folder, path) = file(FAULTY);
    let said = check(&path).stdout;
    for (field, fault) in [
        ("- { name: web, port: 8080, protocol: HTTP } # twice", "spec.listeners[1]"),
        ("hostname: [shop.test]", "spec.hostname"),
        ("type: Prefix", "matches[1].path.type"),
        ("eighty", "spec.rules[0].backendRefs[0].port"),
        ("kind: HTTPRoutes", "HTTPRoutes"),
        ("value: '('", "HTTPRoute shop/regex"),
        ("nowhere", "no Service shop/nowhere"),
        ("tls.crt", "tls.crt"),
    ] {
        let line = 1 + FAULTY.lines().position(|line| line.contains(field)).unwrap();
        let place = format!("site.yaml:{line}:");
        let there = said.lines().any(|told| told.contains(&place) && told.contains(fault));
        assert!(there, "'{fault}' is not told of line {line} in\n{said}");
    }
}

#[test]
fn faults_of_shape_do_not_hide_faults_of_meaning_in_the_same_object() {
    let text = FAULTY.replace("type: Prefix, value: /x", "type: RegularExpression, value: ')'");
    let (_folder, path) = file(&text);
    let said = check(&path).stdout;
    for fault in ["spec.hostname", "eighty", "spec.rules[0].matches[1].path.value"] {
        let there = said.lines().any(|told| told.contains("shop/cart") && told.contains(fault));
        assert!(there, "'{fault}' of shop/cart is not told in\n{said}");
    }
}

#[test]
fn a_file_that_is_no_yaml_or_not_there_is_refused() {
    let (_folder, path) = file("kind: [HTTPRoute\n");
    let ended = check(&path);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("site.yaml"), "{ended:?}");
    let missing = path.replace("site.yaml", "missing.yaml");
    let ended = check(&missing);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains("missing.yaml"), "{ended:?}");
}

#[test]
fn wrong_usage_is_code_2() {
    let (_folder, path) = file(&site());
    let mut wrong = Vec::new();
    for arguments in [
        &[][..],
        &["check"],
        &["check", "--config"],
        &["--config", &path, "--workers", "many"],
        &["--config", &path, "--no-such-flag"],
        &["explain", "--config", &path, "GET"],
        &["explain", "--config", &path, "GET", "http://shop.test/", "--from", "nowhere"],
        &["explain", "--config", &path, "GET", "http://shop.test/", "-H", "no colon"],
        &["explain", "--config", &path, "GET", "not a url"],
        &["explain", "--config", &path, "GET", "ftp://shop.test/"],
    ] {
        let ended = run(arguments);
        if ended.code != 2 || !ended.stdout.is_empty() || ended.stderr.is_empty() {
            wrong.push(format!("{arguments:?}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn help_and_version_are_results() {
    for argument in ["--help", "--version"] {
        let ended = run(&[argument]);
        assert_eq!((ended.code, ended.stdout.contains("heddle-gateway")), (0, true), "{ended:?}");
    }
}

/// The example site behind a policy.
fn guarded() -> (TempDir, String) {
    let policy = yaml::policy(
        "readers",
        "targetRefs: [{ kind: HTTPRoute, name: cart }]\n\
         rules:\n  \
         - { name: readers, when: { methods: [GET] } }\n  \
         - { name: no-lab, action: Deny, when: { sources: [10.9.0.0/16] } }",
    );
    file(&yaml::join(&[site(), policy]))
}

fn explain(path: &str, rest: &[&str]) -> Ended {
    let mut arguments = vec!["explain", "--config", path];
    arguments.extend(rest);
    run(&arguments)
}

#[test]
fn explain_says_which_route_which_rule_and_why_not_the_others() {
    let (_folder, path) = guarded();
    let url = "http://shop.test:8080/cart/1";
    for (rest, words) in [
        (&["GET", url][..], &["shop/cart", "readers", "shop/all"][..]),
        (&["POST", url], &["shop/cart", "access_denied", "readers", "methods"]),
        (&["GET", url, "--from", "10.9.1.2"], &["access_denied", "no-lab"]),
        (&["GET", "http://shop.test:8080/x"], &["shop/all", "shop/cart", "path"]),
    ] {
        let ended = explain(&path, rest);
        assert_eq!(ended.code, 0, "{ended:?}");
        for word in words {
            assert!(ended.stdout.contains(word), "{rest:?}: no '{word}' in\n{}", ended.stdout);
        }
        let mut rest = rest.to_vec();
        rest.extend(["-o", "json"]);
        let ended = explain(&path, &rest);
        let story: Value = serde_json::from_str(&ended.stdout).unwrap();
        let story = story.to_string();
        for word in words {
            assert!(story.contains(word), "{rest:?}: no '{word}' in\n{story}");
        }
    }
}

#[test]
fn explain_agrees_with_the_normal_form_of_a_path() {
    let (_folder, path) = guarded();
    for spelling in ["//cart", "/x/../cart", "/%63art"] {
        let ended = explain(&path, &["POST", &format!("http://shop.test:8080{spelling}")]);
        assert!(ended.stdout.contains("access_denied"), "{spelling}: {ended:?}");
    }
}

#[test]
fn explain_says_how_its_arguments_are_written() {
    let (_folder, path) = file(&site());
    for (rest, words) in [
        (&["shop.test:8080/x"][..], "write METHOD URL, such as GET http://"),
        (&["http://shop.test:8080/x"], "write METHOD URL, such as GET http://"),
        (&["GET", "shop.test:8080/x"], "did you mean http://shop.test:8080/x?"),
        (&["GET", "/x"], "wants a whole URL with http:// or https://"),
        (&["GET", "ws://shop.test:8080/x"], "wants a whole URL with http:// or https://"),
    ] {
        let ended = explain(&path, rest);
        assert_eq!((ended.code, ended.stderr.contains(words)), (2, true), "{rest:?}: {ended:?}");
    }
}

#[test]
fn explain_says_what_listens_where_nothing_serves_the_request() {
    let (_folder, path) = file(&site());
    for (url, words) in [
        ("https://shop.test:8080/x", "port 8080 speaks HTTP, not HTTPS"),
        ("http://shop.test:9/x", "nothing listens on port 9; there are 8080 (HTTP)"),
    ] {
        let ended = explain(&path, &["GET", url]);
        assert_eq!((ended.code, ended.stdout.contains(words)), (0, true), "{ended:?}");
    }
}

#[test]
fn explain_tells_of_connections_as_of_requests() {
    let route = |kind: &str, hosts: &str| {
        let spec = format!(
            "spec:\n  parentRefs: [{{ name: edge }}]\n{hosts}  \
             rules: [{{ backendRefs: [{{ name: rows, port: 80 }}] }}]"
        );
        yaml::document("gateway.networking.k8s.io/v1", kind, "rows", &spec)
    };
    let (_folder, path) = file(&yaml::join(&[
        yaml::gateway(&[
            "{ name: raw, port: 8443, protocol: TLS, tls: { mode: Passthrough } }".to_owned(),
            "{ name: tcp, port: 5432, protocol: TCP }".to_owned(),
            "{ name: udp, port: 5432, protocol: UDP }".to_owned(),
            yaml::http("web", 8080),
        ]),
        yaml::service_speaking("rows", "tcp", &[]),
        route("TLSRoute", "  hostnames: [db.test]\n"),
        route("TCPRoute", ""),
        route("UDPRoute", "").replace("port: 80", "port: 81"),
        yaml::policy(
            "near",
            "targetRefs: [{ kind: TCPRoute, name: rows }]\n\
             rules: [{ name: near, when: { sources: [127.0.0.1] } }]",
        ),
    ]));
    for (rest, words) in [
        (
            &["CONNECT", "tls://db.test:8443"][..],
            &["by every connection, host db.test", "passes"][..],
        ),
        (&["CONNECT", "tls://x.test:8443"], &["no_route"]),
        (
            &["CONNECT", "tcp://127.0.0.1:5432"],
            &["listener  tcp", "rule      shop/rows/0", "passes"],
        ),
        (&["CONNECT", "tcp://h:5432", "--from", "192.0.2.7"], &["access_denied", "saw 192.0.2.7"]),
        (&["CONNECT", "tcp://h:8080"], &["speaks HTTP, and leads requests, not connections"]),
        (&["UDP", "udp://h:5432"], &["listener  udp", "by every datagram", "passes"]),
        (&["UDP", "udp://h:53"], &["nothing takes datagrams on port 53; there are 5432"]),
        (&["GET", "https://db.test:8443/"], &["speaks TLS, of which no request is read"]),
        (&["GET", "http://h:1/"], &["there are 5432 (TCP), 8080 (HTTP), 8443 (TLS)"]),
    ] {
        let ended = explain(&path, rest);
        assert_eq!(ended.code, 0, "{rest:?}: {ended:?}");
        for word in words {
            assert!(ended.stdout.contains(word), "{rest:?}: no '{word}' in\n{}", ended.stdout);
        }
    }
    for (rest, words) in [
        (["GET", "tcp://h:5432"], "write CONNECT tcp://h:5432"),
        (["CONNECT", "udp://h:5432"], "write UDP udp://h:5432"),
        (["UDP", "udp://h"], "must name the listener's port"),
        (["CONNECT", "tls://db.test"], "must name the listener's port"),
        (["CONNECT", "http://h:8080/"], "CONNECT would be answered 400"),
    ] {
        let ended = explain(&path, &rest);
        assert!(ended.code == 1 && ended.stderr.contains(words), "{rest:?}: {ended:?}");
    }
}

#[test]
fn explain_takes_the_host_from_the_header_as_curl_does() {
    let listeners = [yaml::http_for("a", 8080, "a.test"), yaml::http_for("b", 8080, "b.test")];
    let (_folder, path) = file(&yaml::join(&[yaml::gateway(&listeners)]));
    let url = "http://a.test:8080/";
    for (header, listener) in [("x: y", "a of Gateway"), ("Host: B.test:8080", "b of Gateway")] {
        let ended = explain(&path, &["GET", url, "-H", header]);
        assert!(ended.code == 0 && ended.stdout.contains(listener), "{header}: {ended:?}");
    }
    for rest in [&["-H", "host:"][..], &["-H", "host: b.test", "-H", "Host: b.test"]] {
        let ended = explain(&path, &[&["GET", url][..], rest].concat());
        assert!(ended.code == 1 && ended.stderr.contains("answered 400"), "{rest:?}: {ended:?}");
    }
}

#[test]
fn explain_knows_that_a_handshake_for_another_host_is_misdirected() {
    let certificate = Authority::new().sign("a.test");
    let listeners =
        [yaml::https("a", 8443, "a.test", "cert"), yaml::https("b", 8443, "b.test", "cert")];
    let (_folder, path) =
        file(&yaml::join(&[yaml::gateway(&listeners), yaml::tls_secret("cert", &certificate)]));
    let url = "https://a.test:8443/";
    let ended = explain(&path, &["GET", url, "-H", "Host: a.test"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = explain(&path, &["GET", url, "-H", "Host: b.test"]);
    assert!(ended.code == 1 && ended.stderr.contains("answered 421"), "{ended:?}");
    let ended = explain(&path, &["GET", "https://127.0.0.1:8443/", "-H", "Host: b.test"]);
    assert!(ended.code == 1 && ended.stderr.contains("handshake"), "{ended:?}");
}

#[test]
fn explain_shows_what_the_rule_changes() {
    let rewriting = yaml::route(
        "new",
        "rules:\n  - matches: [{ path: { value: /old } }]\n    \
         filters:\n      \
         - { type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }\n    \
         backendRefs: [{ name: shop, port: 80 }]\n    \
         timeouts: { backendRequest: 2s }",
    );
    let (_folder, path) = file(&yaml::join(&[site(), rewriting]));
    let url = "http://shop.test:8080/old/1?q=1";
    let told = explain(&path, &["GET", url]).stdout;
    for line in ["rewrite   to path /new/1\n", "timeouts  request unbounded, each try 2s\n"] {
        assert!(told.contains(line), "no '{line}' in\n{told}");
    }
    let story: Value =
        serde_json::from_str(&explain(&path, &["GET", url, "-o", "json"]).stdout).unwrap();
    assert_eq!(story["won"]["rewrite"]["path"], "/new/1", "{story}");
    assert_eq!(story["won"]["timeouts"]["backendRequest"], "2s", "{story}");
}

#[test]
fn a_caller_whom_nobody_can_be_is_told_with_line_and_nearest_name() {
    let policy = yaml::policy(
        "guard",
        "targetRefs: [{ kind: HTTPRoute, name: cart }]\n\
         rules:\n  \
         - name: not-bob\n    \
         action: Deny\n    \
         when:\n      \
         callers: [{ apiKey: bobb }]\n  \
         - name: staff\n    \
         when:\n      \
         callers: [{ issuer: 'https://login.test' }]",
    );
    let known = yaml::keys("known", "HTTPRoute, name: cart", "keys");
    let keys = [("alice", "alice-0123456789abcdef"), ("bob", "bob-0123456789abcdef")];
    let text = yaml::join(&[site(), yaml::secret("keys", &keys), known, policy]);
    let (_folder, path) = file(&text);
    let ended = check(&path);
    assert_eq!(ended.code, 1, "{ended:?}");
    for (field, fault) in [
        (
            "apiKey: bobb",
            "AccessPolicy shop/guard: spec.rules[0].when.callers[0].apiKey: no key 'bobb' in \
             Secret shop/keys; did you mean 'bob'?",
        ),
        (
            "issuer: ",
            "AccessPolicy shop/guard: spec.rules[1].when.callers[0].issuer: no AuthnPolicy has the \
             issuer 'https://login.test'",
        ),
    ] {
        let line = 1 + text.lines().position(|line| line.contains(field)).unwrap();
        let told = format!("site.yaml:{line}: {fault}");
        assert!(ended.stdout.contains(&told), "no '{told}' in\n{}", ended.stdout);
    }
}

#[test]
fn explain_tells_a_refused_handshake_from_a_request_that_is_answered() {
    let certificate = Authority::new().sign("shop.test");
    let (_folder, path) = file(&yaml::join(&[
        yaml::gateway(&[yaml::https("tls", 8443, "shop.test", "cert")]),
        yaml::tls_secret("cert", &certificate),
        yaml::service("shop", &[([127, 0, 0, 1], 9).into()]),
        yaml::path_route("all", "/", "shop"),
    ]));
    let refused = "its TLS handshake is refused with the alert access_denied";
    for url in ["https://c.test:8443/", "https://127.0.0.1:8443/"] {
        let ended = explain(&path, &["GET", url]);
        assert_eq!((ended.code, ended.stdout.contains(refused)), (0, true), "{ended:?}");
    }
    let handshake = "the handshake for 'c.test' would be refused with the alert access_denied";
    for host in ["Host: shop.test", "Host: d.test"] {
        let ended = explain(&path, &["GET", "https://c.test:8443/", "-H", host]);
        assert_eq!((ended.code, ended.stderr.contains(handshake)), (1, true), "{ended:?}");
    }
    let ended = explain(&path, &["GET", "https://shop.test:8443/", "-H", "Host: d.test"]);
    assert!(ended.code == 0 && ended.stdout.contains("it is answered 404"), "{ended:?}");
}
