//! Every shipped example compiles, and the bookshop decides alike with and without its borders.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::identity::Peer;
use model::{Key, Kind, Name, Resource};
use policy::{Facts, Layer, Reason, Scheme, Verdict};
use table::{Assembly, Input, assemble};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// All objects of these files, none with a fault.
fn read(paths: &[PathBuf]) -> Vec<Resource> {
    let texts = paths.iter().map(|path| (path, std::fs::read_to_string(path).unwrap()));
    let documents = texts.flat_map(|(path, text)| {
        model::read(&text).into_iter().map(move |document| (path, document))
    });
    documents
        .map(|(path, document)| match document.result {
            Ok(resource) => resource,
            Err(faults) => panic!("{}: {faults:?}", path.display()),
        })
        .collect()
}

fn made(resources: Vec<Resource>) -> Assembly {
    let assembly = assemble(Input { resources, ..Input::default() }, None);
    assert!(assembly.faults.is_empty(), "{:?}", assembly.faults);
    assembly
}

fn bookshop(files: &[&str]) -> Vec<Resource> {
    let folder = examples().join("bookshop");
    read(&files.iter().map(|file| folder.join(file)).collect::<Vec<_>>())
}

/// The rule that a request meets, and how it ends there.
fn decide(assembly: &Assembly, method: &Method, path: &str, key: Option<&str>) -> (String, Reason) {
    let key = key.map(|key| ("x-api-key", key.to_owned()));
    decide_at(0, assembly, (method, path), key)
}

/// The same at a time, with a header.
fn decide_at(
    now: i64,
    assembly: &Assembly,
    (method, path): (&Method, &str),
    header: Option<(&'static str, String)>,
) -> (String, Reason) {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        let value = HeaderValue::from_str(&value).unwrap();
        headers.insert(HeaderName::from_static(name), value);
    }
    let facts = Facts {
        layer: Layer::Request,
        now,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        port: 8080,
        host: "bookshop.localhost",
        method,
        path,
        query: None,
        headers: &headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let found = assembly.table.find(&facts).unwrap();
    let reason = match found.rule.chain.uncounted(&facts, found.prefix) {
        Verdict::Pass(_) => Reason::Ok,
        Verdict::Answer(answer) => answer.reason,
    };
    (found.rule.label.to_string(), reason)
}

#[test]
fn every_file_for_a_gateway_compiles_by_itself() {
    let mut files: Vec<_> = std::fs::read_dir(examples().join("gateway"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.push(examples().join("bookshop/gateway.yaml"));
    assert!(files.len() > 10);
    // The one with TLS takes it from files, by a flag.
    let text = "apiVersion: v1\nkind: Secret\nmetadata: { name: site, namespace: demo }\n\
                type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }\n";
    let pair = model::read(text).remove(0).result.unwrap();
    for file in files {
        let resources = [read(&[file]), vec![pair.clone()]].concat();
        assert!(!made(resources).table.rules.is_empty());
    }
}

#[test]
fn consumers_are_answered_as_their_example_says() {
    let assembly = made(read(&[examples().join("gateway/consumers.yaml")]));
    let key = |key: &str| Some(("x-api-key", key.to_owned()));
    // Each with its key, in base64.
    let (acme, globex) =
        ("YWNtZTphbi1leGFtcGxlLWtleS1vZi1hY21l", "Z2xvYmV4OmFuLWV4YW1wbGUta2V5LW9mLWdsb2JleA==");
    let basic = |pair: &str| Some(("authorization", format!("Basic {pair}")));
    let (get, post, late) = (&Method::GET, &Method::POST, 1_780_000_000);
    for (method, header, now, wanted) in [
        (get, key("an-example-key-of-acme"), late, Reason::Ok),
        (post, basic(acme), late, Reason::Ok),
        (get, basic(globex), late, Reason::Ok),
        (post, basic(globex), late, Reason::AccessDenied),
        (get, key("an-old-example-key-of-acme"), late, Reason::CredentialInvalid),
        (get, None, late, Reason::CredentialMissing),
        // Before the new key begins the old one holds.
        (get, key("an-old-example-key-of-acme"), 0, Reason::Ok),
        (get, key("an-example-key-of-acme"), 0, Reason::CredentialInvalid),
    ] {
        let (_, reason) = decide_at(now, &assembly, (method, "/orders"), header.clone());
        assert_eq!(reason, wanted, "{method} {header:?} at {now}");
    }
}

#[test]
fn the_bookshop_decides_alike_with_and_without_its_borders() {
    let (clerk, auditor) = ("bookshop-demo-key-of-the-clerk", "bookshop-demo-key-of-the-auditor");
    let alone = made(bookshop(&["gateway.yaml"]));
    let bordered = made(bookshop(&["gateway.yaml", "platform.yaml"]));
    let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
    for (method, path, key, rule, reason) in [
        (get, "/", None, "storefront/storefront", Reason::Ok),
        (get, "/headers", None, "storefront/storefront", Reason::Ok),
        (get, "/stats", None, "storefront/storefront", Reason::AccessDenied),
        (get, "/catalog", None, "catalog/books", Reason::Ok),
        (get, "/catalog/odyssey", None, "catalog/books", Reason::Ok),
        (post, "/catalog", None, "catalog/books", Reason::AccessDenied),
        (get, "/ws", None, "catalog/socket", Reason::Ok),
        (get, "/slow", None, "catalog/slow", Reason::Ok),
        (get, "/orders", None, "orders/orders", Reason::Ok),
        (post, "/orders", None, "orders/orders", Reason::CredentialMissing),
        (
            post,
            "/orders",
            Some("nobodys-key-at-all-here"),
            "orders/orders",
            Reason::CredentialInvalid,
        ),
        (post, "/orders", Some(auditor), "orders/orders", Reason::AccessDenied),
        (post, "/orders", Some(clerk), "orders/orders", Reason::Ok),
        (delete, "/orders", Some(clerk), "orders/orders", Reason::AccessDenied),
    ] {
        let wanted = (format!("bookshop/{rule}"), reason);
        for assembly in [&alone, &bordered] {
            assert_eq!(decide(assembly, method, path, key), wanted, "{method} {path}");
        }
    }
}

#[test]
fn the_bookshop_needs_every_policy_that_it_ships() {
    let all = bookshop(&["gateway.yaml", "platform.yaml"]);
    let policies = all.iter().map(Resource::key).filter(|key| key.kind == Kind::AccessPolicy);
    for policy in policies {
        let rest = all.iter().filter(|one| one.key() != policy).cloned().collect();
        let path = match policy.name.as_str() {
            "storefront" => "/",
            "catalog" => "/catalog",
            name => &format!("/{name}"),
        };
        let (_, reason) = decide(&made(rest), &Method::GET, path, None);
        assert_eq!(reason, Reason::DefaultDenied, "without {policy}");
    }
}

#[test]
fn in_the_mesh_each_service_of_the_bookshop_says_who_may_call_it() {
    let name = |word: &str| Name::parse(word).unwrap();
    let resources = bookshop(&["gateway.yaml", "platform.yaml", "mesh.yaml"]);
    let (cluster, namespace) = (name("east"), name("bookshop"));
    let edge = Peer::Gateway { cluster: cluster.clone(), name: name("edge") };
    let account = |word: &str| Peer::Workload {
        cluster: cluster.clone(),
        namespace: namespace.clone(),
        service_account: name(word),
    };
    let (get, post) = (&Method::GET, &Method::POST);
    for (service, port, peer, method, is_allowed) in [
        ("storefront", 9101, edge.clone(), get, true),
        ("storefront", 9101, account("orders"), get, false),
        ("orders", 9102, edge.clone(), post, true),
        ("orders", 9102, account("storefront"), get, true),
        ("orders", 9102, account("storefront"), post, false),
        ("orders", 9102, account("catalog"), get, false),
        ("catalog-v1", 9103, account("orders"), get, true),
        ("catalog-v1", 9103, account("storefront"), get, false),
        ("catalog-v2", 9104, edge, get, true),
    ] {
        let own = Key::new(Kind::Workload, namespace.clone(), name(&format!("{service}-1")));
        let assembly = assemble(
            Input {
                resources: resources.clone(),
                stands_for: Some(own),
                cluster: Some(cluster.clone()),
                ..Input::default()
            },
            None,
        );
        assert!(assembly.faults.is_empty(), "{:?}", assembly.faults);
        let facts = Facts {
            layer: Layer::Request,
            now: 0,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: Scheme::Http,
            port,
            host: service,
            method,
            path: "/",
            query: None,
            headers: &HeaderMap::new(),
            peer: Some(&peer),
            certificate: None,
            users: &[],
            sessions: &[],
            revoked: None,
        };
        let found = assembly.table.find(&facts).unwrap();
        let passes = matches!(found.rule.chain.uncounted(&facts, None), Verdict::Pass(_));
        assert_eq!(passes, is_allowed, "{peer} to {service}");
        // Nothing is sent past a proxy.
        let services = assembly.table.services.iter().filter(|one| one.key.kind == Kind::Service);
        let mut endpoints = services.flat_map(|service| &service.endpoints);
        assert!(endpoints.all(|endpoint| endpoint.through.is_some()));
    }
}
