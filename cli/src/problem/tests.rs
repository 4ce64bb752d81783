//! What a person reads of a refusal.

use super::*;

fn problem(body: &str) -> Problem {
    Problem::read(body.as_bytes()).unwrap()
}

fn manifest(text: &str) -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.yaml");
    std::fs::write(&file, text).unwrap();
    let manifest = Manifest::read(&[file]).unwrap();
    (folder, manifest)
}

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: shop }
spec:
  rules:
    - matches: [{ path: { value: /x } }]
";

#[test]
fn lines_stand_behind_their_place_in_the_words_of_the_server() {
    let (_folder, manifest) = manifest(ROUTE);
    for (line, place) in [
        ("line 3: HTTPRoute shop/r: metadata.nam: unknown field", ":3"),
        ("HTTPRoute shop/r: spec.rules[0].matches[0]: is wrong", ":6"),
        ("HTTPRoute shop/r: spec.rules[0].backendRefs[0]: is missing", ":6"),
        ("HTTPRoute shop/r: you may not change it", ":1"),
        ("HTTPRoute shop/r was edited from generation 1, and has 2 now", ":1"),
        ("HTTPRoute shop/other: is no concern of this file", ""),
        ("others keep changing what this change was checked against", ""),
    ] {
        let told = placed(line, &manifest, "");
        let words = line.strip_prefix("line 3: ").unwrap_or(line);
        assert!(told.ends_with(words), "{told}");
        let before = told.strip_suffix(words).unwrap();
        assert_eq!(before.is_empty(), place.is_empty(), "{told}");
        assert!(before.is_empty() || before.ends_with(&format!("site.yaml{place}: ")), "{told}");
    }
}

#[test]
fn an_old_file_is_told_the_line_that_says_so_and_what_to_do() {
    let old = ROUTE.replace("name: r,", "name: r, generation: 1,").replace("{ name", "{\n    name");
    let (_folder, manifest) = manifest(&old);
    let line = "HTTPRoute shop/r was edited from generation 1, and has 2 now";
    let body = format!(r#"{{"type":"https://heddle.dev/problems/conflict","detail":"{line}"}}"#);
    let told = problem(&body).placed(&manifest).to_string();
    let (at, rest) = told.split_once(line).unwrap();
    assert!(at.ends_with("site.yaml:4: "), "{told}");
    let remedy = "\nget it anew (heddle get HTTPRoute/shop/r -o yaml) and edit that; or remove ";
    assert!(rest.starts_with(remedy), "{told}");
}

#[test]
fn the_last_line_says_what_to_do() {
    for (sort, rest, remedy) in [
        ("unauthenticated", "", Some("sign in: heddle login")),
        ("claimed", r#","claims":[{"ask":["b"]}]"#, None),
        ("too-many-attempts", "", Some("try again later")),
        ("invalid", "", None),
    ] {
        let body =
            format!(r#"{{"type":"https://heddle.dev/problems/{sort}","detail":"one\ntwo"{rest}}}"#);
        let told = problem(&body).to_string();
        let rest = told.strip_prefix("one\ntwo").unwrap();
        match remedy {
            Some(remedy) => assert!(rest.strip_prefix('\n').unwrap().starts_with(remedy), "{told}"),
            None => assert_eq!(rest, ""),
        }
    }
    let refused = |access: &str| {
        let detail = "HTTPRoute shop/r: no grant of yours allows Update of spec.rules";
        let body = format!(r#"{{"type":"x/forbidden","detail":"{detail}"{access}}}"#);
        problem(&body).to_string().replace(&format!("{detail}\n"), "")
    };
    let can_i = "more of your rights: heddle auth can-i update HTTPRoute/shop/r";
    let of = |field: &str| {
        let what = r#""verb":"Update","kind":"HTTPRoute","namespace":"shop","name":"r""#;
        refused(&format!(r#","access":[{{"path":"/",{what},"field":{field}}}]"#))
    };
    let asks = "ask for it: heddle access request update HTTPRoute/shop/r";
    assert_eq!(refused(""), can_i);
    assert_eq!(of("null"), asks);
    assert_eq!(of(r#""spec.rules[0]""#), format!("{asks} --field 'spec.rules[0]'"));
    let (_folder, manifest) = manifest(ROUTE);
    let body = format!(
        r#"{{"type":"x/forbidden","detail":"HTTPRoute shop/r: no","access":[{}]}}"#,
        r#"{"verb":"Delete","kind":"HTTPRoute","namespace":"shop","name":"r","field":null}"#
    );
    let told = problem(&body).placed(&manifest).to_string();
    assert!(told.ends_with("site.yaml:1: HTTPRoute shop/r: no\nask for it: heddle access request delete HTTPRoute/shop/r"), "{told}");
    let what =
        r#","access":[{"verb":"Update","kind":"HTTPRoute","namespace":"shop","name":"$(r)"}]"#;
    assert_eq!(refused(what), can_i, "a server may say anything");
    assert_eq!(of(r#""data.a'; b""#), can_i, "no more than one word of a shell");
    let mut limited = problem(r#"{"type":"x/busy","detail":"busy"}"#);
    limited.retry_after = Some(7);
    assert_eq!(limited.to_string(), "busy\ntry again in 7 s");
}

#[test]
fn nothing_in_a_refusal_steers_the_terminal() {
    let told = problem(r#"{"detail":"a \u001b[2J name\nnext"}"#).to_string();
    assert_eq!(told, "a \\u{1b}[2J name\nnext");
    assert_eq!(problem(r#"{"status":418}"#).to_string(), "heddle: the server answered 418");
}

#[test]
fn a_program_reads_a_refusal_as_it_was_sent_and_others_in_the_same_form() {
    let body = r#"{"type":"x/claimed","detail":"d","claims":[{"ask":["b"]}],"new":1}"#;
    let (_folder, manifest) = manifest(ROUTE);
    let sent: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem(body).placed(&manifest).json(), sent);
    let (kind, title) = ("https://heddle.dev/problems/failed", "It failed");
    let failure = Failure::of("reading a.yaml", "it is gone");
    let told = json!({ "type": kind, "title": title, "detail": "reading a.yaml: it is gone" });
    assert_eq!(failure.json(), told);
    let faults = ["a.yaml:1: no", "a.yaml:2: no"].map(str::to_owned);
    let faults = local(&faults, &manifest).json();
    assert_eq!(faults["type"], "https://heddle.dev/problems/invalid");
    assert_eq!(faults["detail"], "a.yaml:1: no\na.yaml:2: no");
}
