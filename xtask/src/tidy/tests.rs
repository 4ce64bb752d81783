//! Every rule holds over a small tidy workspace, and fires when that workspace is spoilt for it.

use serde_json::json;

use super::licences::{Licensed, satisfied};
use super::tree::Tree;
use super::workspace::{Dependency, Workspace, parse_crates};
use super::{RULES, check};

/// One way to break one rule, and what the fault must say.
struct Spoilt {
    rule: &'static str,
    spoil: fn(&mut Workspace),
    says: &'static str,
}

const SPOILT: &[Spoilt] = &[
    Spoilt {
        rule: "who may import whom",
        spoil: |w| import(w, "model", "proxy", true),
        says: "model: imports proxy: of our crates it may import none",
    },
    Spoilt {
        rule: "who may import whom",
        spoil: |w| import(w, "gateway", "mesh", true),
        says: "gateway: imports mesh: of our crates it may import proxy, table",
    },
    Spoilt {
        rule: "who may import whom",
        spoil: |w| import(w, "proxy", "e2e", true),
        says: "proxy: imports e2e",
    },
    Spoilt {
        rule: "who may import whom",
        spoil: |w| named(w, "proxy").name = "attic".into(),
        says: "attic: is in no layer",
    },
    Spoilt {
        rule: "one owner for each heavy library",
        spoil: |w| import(w, "proxy", "sqlx", false),
        says: "proxy: depends on sqlx: only store says SQL",
    },
    Spoilt {
        rule: "one owner for each heavy library",
        spoil: |w| import(w, "gateway", "kube-runtime", false),
        says: "gateway: depends on kube-runtime: only control",
    },
    Spoilt {
        rule: "one owner for each heavy library",
        spoil: |w| import(w, "proxy", "prost-types", false),
        says: "proxy: depends on prost-types: only wire",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "proxy", "0 proxy v1\n1 tonic v1\n2 axum-core v1\n1 axum-core v1 (*)"),
        says: "proxy: links proxy -> tonic -> axum-core: a proxy holds no database",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "gateway", "0 gateway v1\n1 sqlx v1"),
        says: "gateway: links gateway -> sqlx",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "mesh", "0 mesh v1\n1 leptos_axum v1"),
        says: "mesh: links mesh -> leptos_axum",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "table", "0 table v1\n1 policy v1\n2 tokio-util v1"),
        says: "table: links table -> policy -> tokio-util: model, policy and table are pure",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "model", "0 model v1\n1 hyper v1"),
        says: "model: links model -> hyper",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "policy", "0 policy v1\n1 tokio v1"),
        says: "policy: links policy -> tokio",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "console in the browser", "0 console v1\n1 store v1"),
        says: "console in the browser: links console -> store: the browser's half sees model",
    },
    Spoilt {
        rule: "what is never linked",
        spoil: |w| tree(w, "workspace", "0 proxy v1\n1 rustls v1\n2 ring v0.17"),
        says: "workspace: links proxy -> rustls -> ring: one TLS provider",
    },
    Spoilt {
        rule: "licences",
        spoil: |w| licence(w, "sealed", "LicenseRef-Proprietary"),
        says: "sealed: is under 'LicenseRef-Proprietary': take another, or argue for it",
    },
    Spoilt { rule: "licences", spoil: |w| licence(w, "silent", ""), says: "silent: is under ''" },
    Spoilt {
        rule: "pure crates stay pure",
        spoil: |w| append(w, "model/src/lib.rs", "pub async fn wait() {}\n"),
        says: "model/src/lib.rs:3: says `async fn` in a pure crate",
    },
    Spoilt {
        rule: "pure crates stay pure",
        spoil: |w| file(w, "policy/src/jwt.rs", "//! Tokens.\nlet now = SystemTime::now();\n"),
        says: "policy/src/jwt.rs:2: says `SystemTime::now` in a pure crate: take the time as",
    },
    Spoilt {
        rule: "pure crates stay pure",
        spoil: |w| file(w, "table/src/live.rs", "//! Sockets.\nuse std::net::TcpStream;\n"),
        says: "table/src/live.rs:2: says `TcpStream`",
    },
    Spoilt {
        rule: "no mod.rs",
        spoil: |w| file(w, "proxy/src/tls/mod.rs", "//! TLS.\n"),
        says: "proxy/src/tls/mod.rs: is a mod.rs: proxy/src/tls.rs beside the folder",
    },
    Spoilt {
        rule: "module docs",
        spoil: |w| file(w, "proxy/src/tls.rs", "use std::io;\n"),
        says: "proxy/src/tls.rs: does not say what it is for",
    },
    Spoilt {
        rule: "no ignored tests",
        spoil: |w| append(w, "proxy/src/lib.rs", "    #[ignore = \"slow\"]\n"),
        says: "proxy/src/lib.rs:3: ignores a test",
    },
    Spoilt {
        rule: "no rooms without a name",
        spoil: |w| file(w, "proxy/src/utils/io.rs", "//! Reading.\n"),
        says: "proxy/src/utils/io.rs: utils is a name for anything",
    },
    Spoilt {
        rule: "no rooms without a name",
        spoil: |w| append(w, "proxy/src/lib.rs", "pub(crate) mod prelude {\n}\n"),
        says: "proxy/src/lib.rs:3: mod prelude is a name for anything",
    },
    Spoilt {
        rule: "no crates without a name",
        spoil: |w| named(w, "bookshop").name = "bookshop-common".into(),
        says: "bookshop-common: is a name for anything",
    },
    Spoilt {
        rule: "no unsafe code",
        spoil: |w| file(w, "gateway/src/main.rs", "//! The edge.\n"),
        says: "gateway/src/main.rs: allows unsafe code: say #![forbid(unsafe_code)]",
    },
    Spoilt {
        rule: "workspace lints",
        spoil: |w| file(w, "model/Cargo.toml", "[package]\nname = \"model\"\n"),
        says: "model/Cargo.toml: is not under the workspace's lints",
    },
    Spoilt {
        rule: "versions in one place",
        spoil: |w| append(w, "proxy/Cargo.toml", "bytes = { version = \"1\" }\n"),
        says: "proxy/Cargo.toml: says `bytes = { version = \"1\" }`",
    },
    Spoilt {
        rule: "versions in one place",
        spoil: |w| {
            append(w, "proxy/Cargo.toml", "[target.'cfg(a = \"b\")'.dev-dependencies]\na = \"1\"\n")
        },
        says: "proxy/Cargo.toml: says `a = \"1\"`: name = { workspace = true }",
    },
    Spoilt {
        rule: "every crate on the map",
        spoil: |w| file(w, "docs/ARCHITECTURE.md", "# Nothing\n"),
        says: "docs/ARCHITECTURE.md: does not show bookshop: add its folder to the crate map as \
               `examples/bookshop/`",
    },
    Spoilt {
        rule: "links lead somewhere",
        spoil: |w| append(w, "docs/ARCHITECTURE.md", "See [`the` way](adr/404.md#top).\n"),
        says: "links to adr/404.md#top, which is not: write docs/adr/404.md",
    },
    Spoilt {
        rule: "links lead somewhere",
        spoil: |w| append(w, "README.md", "[out](../elsewhere.md)\n"),
        says: "README.md: links outside: ../elsewhere.md",
    },
    Spoilt {
        rule: "tests that are named are there",
        spoil: |w| append(w, "README.md", "Shown by `proxy/src/tests.rs: it_flies`.\n"),
        says: "README.md:3: names the test proxy/src/tests.rs: it_flies, which is not: name what",
    },
    Spoilt {
        rule: "tests that are named are there",
        spoil: |w| append(w, "README.md", "Shown by `proxy/src/tests.rs: a_function`.\n"),
        says: "names the test proxy/src/tests.rs: a_function, which is not",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| edit(w, FIELDS, "TCPRoute\tspec.port\tproxy/src/tests.rs: it_runs\n", ""),
        says: "docs/fields.tsv: has no line for TCPRoute spec.port: name a test that fails if",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| append(w, FIELDS, "TCPRoute\tspec.ports\tproxy/src/tests.rs: it_runs\n"),
        says: "docs/fields.tsv:4: TCPRoute spec.ports: is no field of the schema: remove the line",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| append(w, FIELDS, "TCPRoute\tspec.port\tproxy/src/tests.rs: it_runs\n"),
        says: "docs/fields.tsv:4: TCPRoute spec.port: stands twice",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| append(w, FIELDS, "TCPRoute spec.port\n"),
        says: "docs/fields.tsv:4: has not three columns: write kind, field and test",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| {
            edit(w, FIELDS, "tests.rs: it_runs", "tests.rs: it_runs; proxy/src/tests.rs: no")
        },
        says: "TCPRoute spec.port: `proxy/src/tests.rs: no` is no test",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| edit(w, FIELDS, "proxy/src/tests.rs: it_runs", "proxy/src/test.rs: it_runs"),
        says: "TCPRoute spec.port: `proxy/src/test.rs: it_runs` is no test",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| edit(w, FIELDS, "refused: ", ""),
        says: "docs/fields.tsv:3: TCPRoute spec.later: nothing reads it: write 'refused: ' before",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| edit(w, TOLD, "TCPRoute a/b", "TLSRoute a/b"),
        says: "TCPRoute spec.later: no document of the tests has it: add it to the .yaml beside",
    },
    Spoilt {
        rule: "every field has its test",
        spoil: |w| file(w, "model/schema/heddle.schema.json", "{"),
        says: "model/schema/heddle.schema.json: is no JSON",
    },
    Spoilt {
        rule: "no machine in the text",
        spoil: |w| append(w, "README.md", concat!("cd /ro", "ot/clone\n")),
        says: "README.md:3: names ",
    },
    Spoilt {
        rule: "no registry but the public ones",
        spoil: |w| file(w, "Cargo.lock", "source = \"registry+https://mirror.example/index\"\n"),
        says: "Cargo.lock:1: takes a package from somewhere else",
    },
    Spoilt {
        rule: "no registry but the public ones",
        spoil: |w| {
            let text = "    \"resolved\": \"https://mirror.example/a.tgz\",\n";
            file(w, "e2e/browser/package-lock.json", text);
        },
        says: "e2e/browser/package-lock.json:1: takes a package from somewhere else",
    },
    Spoilt {
        rule: "no registry but the public ones",
        spoil: |w| file(w, ".cargo/config.toml", concat!("replace", "-with = \"mirror\"\n")),
        says: ".cargo/config.toml:1: says ",
    },
];

#[test]
fn a_tidy_workspace_has_no_faults() {
    assert_eq!(check(&tidy()), []);
}

#[test]
fn a_spoilt_workspace_breaks_the_rule_meant_and_no_other() {
    for spoilt in SPOILT {
        let mut workspace = tidy();
        (spoilt.spoil)(&mut workspace);
        let broken: Vec<_> =
            RULES.iter().filter(|rule| !(rule.check)(&workspace).is_empty()).collect();
        let names: Vec<_> = broken.iter().map(|rule| rule.name).collect();
        // A crate that changes its name also leaves the map and the layers.
        assert!(names.contains(&spoilt.rule), "{} broke {names:?}", spoilt.says);
        let faults = check(&workspace);
        let said = faults.iter().any(|fault| fault.to_string().contains(spoilt.says));
        assert!(said, "wanted {:?} among {faults:#?}", spoilt.says);
        if !spoilt.says.contains("is in no layer") && spoilt.rule != "no crates without a name" {
            assert_eq!(names, [spoilt.rule], "{}", spoilt.says);
        }
    }
}

#[test]
fn every_rule_is_seen_to_fire() {
    let never: Vec<_> = RULES
        .iter()
        .map(|rule| rule.name)
        .filter(|name| SPOILT.iter().all(|spoilt| spoilt.rule != *name))
        .collect();
    assert_eq!(never, [""; 0], "rules without a test in which they fire");
}

#[test]
fn all_faults_are_told_at_once() {
    let mut workspace = tidy();
    for spoilt in SPOILT.iter().filter(|s| s.rule == "pure crates stay pure") {
        (spoilt.spoil)(&mut workspace);
    }
    assert_eq!(check(&workspace).len(), 3);
}

#[test]
fn tests_and_comments_of_pure_crates_may_speak_of_clocks() {
    let mut workspace = tidy();
    file(&mut workspace, "table/src/route/tests.rs", "//! T.\nlet t = Instant::now();\n");
    let text = "//! R.\n// never Instant::now()\nlet a = 1; // not .await\n\
                operand::new();\n#[cfg(test)]\nmod tests {\n    Instant::now();\n}\n";
    file(&mut workspace, "table/src/route.rs", text);
    assert_eq!(check(&workspace), []);
}

#[test]
fn tests_may_read_protobuf_but_not_sql() {
    let mut workspace = tidy();
    for name in ["prost", "sqlx"] {
        let dependency = Dependency { name: name.into(), ours: false, dev: true };
        named(&mut workspace, "proxy").dependencies.push(dependency);
    }
    let faults: Vec<_> = check(&workspace).iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["proxy: depends on sqlx: only store says SQL"]);
}

#[test]
fn mesh_may_say_unsafe() {
    let mut workspace = tidy();
    file(&mut workspace, "mesh/src/main.rs", "//! The mesh.\n");
    assert_eq!(check(&workspace), []);
}

#[test]
fn links_with_anchors_schemes_and_code_are_understood() {
    let mut workspace = tidy();
    let text = "[a](#here) [b](https://heddle.dev/x) [`c`](../README.md#top) `[d](no.md)`\n\
                ```\n[e](no.md)\n```\n[f](./)\n";
    append(&mut workspace, "docs/ARCHITECTURE.md", text);
    assert_eq!(check(&workspace), []);
}

#[test]
fn a_path_within_a_path_is_nobodys_machine() {
    let mut workspace = tidy();
    let text = concat!("target/wo", "rk/a ${X}/ho", "me/b https://a.example/ro", "ot/c\n");
    append(&mut workspace, "README.md", text);
    assert_eq!(check(&workspace), []);
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let list = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for (expression, holds) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0 OR ISC", true),
        ("MIT AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR MIT) AND MIT", true),
        ("ISC AND (GPL-3.0 OR Zlib)", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", true),
        ("MIT OR GPL-3.0 AND Zlib", true),
        ("ISC+", true),
        ("GPL-3.0+", false),
        ("", false),
    ] {
        assert_eq!(satisfied(expression, &list), holds, "{expression}");
    }
}

/// Two real members and their edges, as cargo tells them.
#[test]
fn crates_are_read_from_cargo_metadata() {
    let metadata = json!({
        "workspace_root": "/clone",
        "packages": [
            {
                "name": "proxy",
                "manifest_path": "/clone/proxy/Cargo.toml",
                "targets": [
                    { "kind": ["lib"], "src_path": "/clone/proxy/src/lib.rs" },
                    { "kind": ["test"], "src_path": "/clone/proxy/tests/http.rs" },
                ],
                "dependencies": [
                    { "name": "model", "path": "/clone/model", "kind": "dev" },
                    { "name": "hyper", "source": "registry" },
                ],
            },
            {
                "name": "model",
                "manifest_path": "/clone/model/Cargo.toml",
                "targets": [],
                "dependencies": [],
            },
        ],
    });
    let crates = parse_crates(&metadata).unwrap();
    assert_eq!(crates[0].manifest, "proxy/Cargo.toml");
    assert_eq!(crates[0].roots, ["proxy/src/lib.rs"]);
    let edges: Vec<_> = crates[0].dependencies.iter().map(|d| (d.name.as_str(), d.ours)).collect();
    assert_eq!(edges, [("model", true), ("hyper", false)]);
}

/// A workspace of most crates that breaks no rule.
fn tidy() -> Workspace {
    let mut workspace = Workspace::default();
    let mut map = String::from("# Map\n");
    for (name, folder, root) in [
        ("model", "model", "src/lib.rs"),
        ("policy", "policy", "src/lib.rs"),
        ("table", "table", "src/lib.rs"),
        ("proxy", "proxy", "src/lib.rs"),
        ("gateway", "gateway", "src/main.rs"),
        ("mesh", "mesh", "src/main.rs"),
        ("bookshop", "examples/bookshop", "src/main.rs"),
        ("e2e", "e2e", "src/lib.rs"),
    ] {
        let (manifest, root) = (format!("{folder}/Cargo.toml"), format!("{folder}/{root}"));
        file(&mut workspace, &root, "//! What it is for.\n#![forbid(unsafe_code)]\n");
        let text = "[package]\nversion.workspace = true\n\n[lints]\nworkspace = true\n\n\
                    [dependencies]\nserde.workspace = true\n\
                    regex = { workspace = true, features = [\n  \"std\",\n] }\n";
        file(&mut workspace, &manifest, text);
        map.push_str(&format!("- `{folder}/`\n"));
        let crates = json!({ "workspace_root": "/c", "packages": [{
            "name": name,
            "manifest_path": format!("/c/{manifest}"),
            "targets": [{ "kind": ["lib"], "src_path": format!("/c/{root}") }],
            "dependencies": [],
        }]});
        workspace.crates.extend(parse_crates(&crates).unwrap());
    }
    import(&mut workspace, "policy", "model", true);
    import(&mut workspace, "gateway", "proxy", true);
    import(&mut workspace, "e2e", "gateway", true);
    import(&mut workspace, "proxy", "hyper", false);
    tree(&mut workspace, "proxy", "0 proxy v1\n1 hyper v1\n1 kubera v1");
    tree(&mut workspace, "table", "0 table v1\n1 serde v1");
    tree(&mut workspace, "workspace", "0 proxy v1\n1 aws-lc-rs v1\n1 string v1");
    file(&mut workspace, "docs/ARCHITECTURE.md", &map);
    file(&mut workspace, "README.md", "# Heddle\nSee [the map](docs/ARCHITECTURE.md).\n");
    let source =
        concat!("source = \"registry+https", "://github.com/rust-lang/crates.io-index\"\n");
    file(&mut workspace, "Cargo.lock", source);
    file(&mut workspace, "deny.toml", "[licenses]\nallow = [\n  \"MIT\",\n  \"ISC\",\n]\n");
    licence(&mut workspace, "hyper", "MIT");
    fields(&mut workspace);
    workspace
}

const FIELDS: &str = "docs/fields.tsv";
const TOLD: &str = "model/src/read/tests/invalid.txt";

/// A kind of two fields, one of which is refused, and the tests of both.
fn fields(workspace: &mut Workspace) {
    let schema = json!({ "$defs": { "TCPRoute": { "properties": { "spec": { "properties": {
        "later": { "description": "Not enforced yet." }, "port": { "type": "integer" },
    } } } } } });
    file(workspace, "model/schema/heddle.schema.json", &schema.to_string());
    let tests = "//! T.\n#[test]\nfn it_runs() {}\n\n#[tokio::test]\n// Why.\n#[cfg(unix)]\n\
                 async fn it_waits() {}\n\nfn a_function() {}\n";
    file(workspace, "proxy/src/tests.rs", tests);
    let told = "    line 4: TCPRoute a/b: spec.later: this version does not enforce this field; remove it\n";
    file(workspace, TOLD, told);
    let list = "# What holds what.\nTCPRoute\tspec.port\tproxy/src/tests.rs: it_runs\n\
                TCPRoute\tspec.later\trefused: proxy/src/tests.rs: it_waits\n";
    file(workspace, FIELDS, list);
}

fn named<'a>(workspace: &'a mut Workspace, name: &str) -> &'a mut super::workspace::Crate {
    workspace.crates.iter_mut().find(|one| one.name == name).unwrap()
}

fn import(workspace: &mut Workspace, from: &str, name: &str, ours: bool) {
    named(workspace, from).dependencies.push(Dependency { name: name.into(), ours, dev: false });
}

fn tree(workspace: &mut Workspace, subject: &'static str, printed: &str) {
    workspace.trees.insert(subject, Tree::parse(printed));
}

fn licence(workspace: &mut Workspace, name: &str, licence: &str) {
    workspace.licences.push(Licensed { name: name.into(), licence: licence.into() });
}

fn file(workspace: &mut Workspace, path: &str, text: &str) {
    workspace.files.insert(path.into(), text.into());
}

fn edit(workspace: &mut Workspace, path: &str, from: &str, to: &str) {
    let text = workspace.files.get_mut(path).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    *text = text.replace(from, to);
}

fn append(workspace: &mut Workspace, path: &str, text: &str) {
    workspace.files.get_mut(path).unwrap().push_str(text);
}
