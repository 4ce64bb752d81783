//! Faults as they are told: each at its place, once, truly, and counted right.

use std::io::pipe;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::program::{Ended, gateway, run};
use e2e::{Setup, wait, yaml};
use serde_json::Value;
use tempfile::TempDir;

use crate::scene::{HOST, shop};

/// A folder of these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn check(folder: &Path, rest: &[&str]) -> Ended {
    let mut arguments = vec!["check", "--config", folder.to_str().expect("a path of ASCII")];
    arguments.extend(rest);
    run(&arguments)
}

/// What `check` prints of these files, without the folder's name.
fn told(files: &[(&str, &str)]) -> (Vec<String>, String) {
    let folder = folder(files);
    let ended = check(folder.path(), &[]);
    let place = format!("{}/", folder.path().display());
    let lines = ended.stdout.lines().map(|line| line.replace(&place, "")).collect();
    let summary = ended.stderr.trim().rsplit_once(": ").map_or("", |(_, summary)| summary);
    (lines, summary.to_owned())
}

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: { name: s, namespace: shop }
spec: { ports: [{ port: 80 }] }
";

#[test]
fn each_object_that_is_left_out_is_told_at_its_own_place_and_counted_nowhere() {
    let twice = format!("{SERVICE}---\n{SERVICE}");
    let (lines, summary) = told(&[("a.yaml", &twice), ("b.yaml", SERVICE)]);
    let wanted = ["a.yaml:6", "b.yaml:1"];
    assert_eq!(lines.len(), wanted.len(), "{lines:?}");
    for (line, place) in lines.iter().zip(wanted) {
        assert!(line.starts_with(&format!("{place}: Service shop/s: metadata.name: ")), "{line}");
        assert!(line.contains("a.yaml:1 "), "does not name the one that counts: {line}");
    }
    assert_eq!(summary, "2 faults; 1 object is good");
}

#[test]
fn faults_and_objects_are_counted_as_people_count() {
    let bad = SERVICE.replace("name: s", "name: bad").replace("port: 80", "port: 0");
    let (_, summary) = told(&[("a.yaml", &bad)]);
    assert_eq!(summary, "1 fault; 0 objects are good");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: c, namespace: shop }\n\
                  type: kubernetes.io/tls\nstringData: { tls.crt: no, tls.key: no }\n";
    let route = yaml::path_route("r", "/", "nowhere");
    let (lines, summary) = told(&[("a.yaml", SERVICE), ("b.yaml", secret), ("c.yaml", &route)]);
    assert_eq!((lines.len(), &*summary), (4, "4 faults; 1 object is good"), "{lines:?}");
    let folder = folder(&[("a.yaml", SERVICE)]);
    let ended = check(folder.path(), &[]);
    assert!(ended.stdout.ends_with(": 1 object, no fault\n"), "{ended:?}");
}

#[test]
fn endpoints_are_counted_as_people_count() {
    for (count, wanted) in
        [(0, "0 endpoints ready"), (1, "1 endpoint ready"), (2, "2 endpoints ready")]
    {
        let endpoints: Vec<_> = (0..count).map(|last| ([10, 0, 0, last], 80).into()).collect();
        let edge = yaml::gateway(&[yaml::http("web", 8080)]);
        let parts = [edge, yaml::service("shop", &endpoints), yaml::path_route("all", "/", "shop")];
        let folder = folder(&[("a.yaml", &yaml::join(&parts))]);
        let path = folder.path().to_str().unwrap();
        let story = run(&["explain", "--config", path, "GET", "http://shop.test:8080/"]).stdout;
        assert!(story.contains(&format!(", {wanted}\n")), "{story}");
    }
}

#[test]
fn a_reference_to_an_object_with_faults_does_not_say_that_there_is_none() {
    let edge = yaml::gateway(&[yaml::https("web", 8443, HOST, "cert")]);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: cert, namespace: shop }\n\
                  type: kubernetes.io/tls\nstringData: { tls.crt: no, tls.key: no }\n";
    let service = SERVICE.replace("port: 80", "port: 80, protocol: SCTP");
    let lost = edge.replace("name: edge", "name: lost").replace("gatewayClassName", "className");
    let route = yaml::path_route("r", "/", "s");
    let route = route.replace("[{ name: edge }]", "[{ name: edge }, { name: lost }]");
    let policy = yaml::policy(
        "p",
        "targetRefs: [{ kind: Gateway, name: lost }]\nrules: [{ name: any, when: {} }]",
    );
    let all = yaml::join(&[edge, secret.to_owned(), service, lost, route, policy]);
    let (lines, _) = told(&[("a.yaml", &all)]);
    for (at, object) in [
        ("spec.listeners[0].tls.certificateRefs[0]: ", "Secret shop/cert"),
        ("HTTPRoute shop/r: spec.rules[0].backendRefs[0]: ", "Service shop/s"),
        ("HTTPRoute shop/r: spec.parentRefs[1]: ", "Gateway shop/lost"),
        ("AccessPolicy shop/p: spec.targetRefs[0]: ", "Gateway shop/lost"),
    ] {
        let wanted = format!("{at}{object} is refused, see its own faults");
        assert!(lines.iter().any(|line| line.contains(&wanted)), "no '{wanted}' in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains(": no ")), "{lines:#?}");
}

#[test]
fn a_fault_of_an_object_without_a_name_names_its_kind() {
    let nameless = SERVICE.replace("name: s, ", "");
    let (lines, _) = told(&[("a.yaml", &nameless)]);
    assert_eq!(lines, ["a.yaml:3: Service: metadata.name: is missing; wants a name"]);
}

const FOREIGN: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: heddle }
spec: { controllerName: heddle.dev/gateway }
---
";

#[test]
fn kinds_of_others_are_passed_over_where_they_are_named() {
    let text = format!("{FOREIGN}{SERVICE}");
    let folder = folder(&[("a.yaml", &text)]);
    assert_eq!(check(folder.path(), &[]).stdout.lines().count(), 2);
    for arguments in [
        &["--ignore-kinds", "Deployment,GatewayClass"][..],
        &["--ignore-kinds", "Deployment", "--ignore-kinds", "GatewayClass"],
    ] {
        let ended = check(folder.path(), arguments);
        assert!(ended.code == 0 && ended.stdout.contains("1 object, no fault"), "{ended:?}");
    }
    let some = check(folder.path(), &["--ignore-kinds", "Deployment"]).stdout;
    assert!(some.lines().count() == 1 && some.contains("GatewayClass"), "{some}");
    let ours = check(folder.path(), &["--ignore-kinds", "Service"]);
    assert!(ours.code == 2 && ours.stderr.contains("Service is a kind that"), "{ours:?}");
}

#[test]
fn what_may_protect_something_is_passed_over_by_no_argument() {
    let role = "apiVersion: GROUP/v1\nkind: Role\nmetadata: { name: r, namespace: shop }\n";
    for (group, faults) in [("rbac.authorization.k8s.io", 0), ("heddle.dev", 1)] {
        let folder = folder(&[("a.yaml", &role.replace("GROUP", group)), ("b.yaml", SERVICE)]);
        let ended = check(folder.path(), &["--ignore-kinds", "Role"]);
        assert_eq!(ended.code, faults, "{group}: {ended:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_passes_kinds_over_serves_and_reloads_without_a_fault() {
    let (_origin, setup) = shop().await;
    let more = yaml::path_route("more", "/more", "shop");
    let gateway = setup
        .file("more.yaml", format!("{FOREIGN}{more}"))
        .arguments(&["--ignore-kinds", "Deployment,GatewayClass"])
        .start()
        .await;
    assert_eq!(gateway.metric("heddle_config_faults", &[]).await, 0.0);
    // A foreign object in the file does not keep others from being taken out of it.
    gateway.write("more.yaml", &format!("{FOREIGN}{}", more.replace("more", "other")));
    wait::until("the new route", || async {
        let config = gateway.admin("/config").await.ok()?.text();
        (config.contains("shop/other") && !config.contains("shop/more")).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("heddle_config_faults", &[]).await, 0.0);
}

#[test]
fn a_reader_that_leaves_early_changes_nothing() {
    let good = yaml::join(&[
        yaml::gateway(&[yaml::http("web", 8080)]),
        yaml::service("shop", &[([127, 0, 0, 1], 9).into()]),
        yaml::path_route("all", "/", "shop"),
    ]);
    let folder = folder(&[("good.yaml", &good), ("bad.yaml", "kind: [")]);
    let (good, bad) = (folder.path().join("good.yaml"), folder.path().join("bad.yaml"));
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    let url = "http://shop.test:8080/";
    for (code, arguments) in [
        (1, &["check", "--config", bad][..]),
        (1, &["check", "--config", bad, "-o", "json"]),
        (0, &["check", "--config", good]),
        (0, &["check", "--config", good, "-o", "json"]),
        (0, &["explain", "--config", good, "GET", url]),
        (0, &["explain", "--config", good, "GET", url, "-o", "json"]),
        (1, &["check", "--config", "/nowhere"]),
    ] {
        let closed = || {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            Stdio::from(writer)
        };
        let mut command = Command::new(gateway());
        command.args(arguments).stdout(closed()).stdin(Stdio::null());
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        // Both go into one pipe, as by `2>&1 | head`.
        let status = command.stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}, both closed");
    }
}

#[test]
fn help_shows_the_bounds_that_hold() {
    let help = run(&["--help"]).stdout;
    for (flag, default) in [
        ("--head-timeout", "30s"),
        ("--idle-timeout", "75s"),
        ("--write-timeout", "30s"),
        ("--backend-timeout", "60s"),
        ("--body-timeout", "30s"),
        ("--max-body", "1G"),
    ] {
        let line = help.lines().find(|line| line.contains(flag)).unwrap_or_default();
        assert!(line.contains(&format!("[default: {default}]")), "{flag}: '{line}'");
    }
}

/// Waits until `/config` shows what `wanted` looks for.
async fn until_shown(gateway: &e2e::Gateway, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || async {
        let config = gateway.admin("/config").await.ok()?.json();
        wanted(&config).then_some(config)
    })
    .await
}

#[tokio::test]
async fn the_dump_shows_faults_and_what_is_served_in_its_last_good_form() {
    let (_origin, setup) = shop().await;
    let mine = yaml::path_route("mine", "/mine", "shop");
    let gateway = setup.file("mine.yaml", mine.clone()).start().await;
    let config = gateway.admin("/config").await.unwrap().json();
    assert_eq!((&config["faults"], &config["kept"]), (&Value::from([(); 0]), &config["faults"]));

    let bad = mine.replace("value: /mine", "value: mine");
    gateway.write("mine.yaml", &bad);
    let config = until_shown(&gateway, "the fault", |config| config["faults"][0].is_object()).await;
    let fault = &config["faults"][0];
    let line = 1 + bad.lines().position(|line| line.contains("value: mine")).unwrap();
    assert_eq!(fault["object"], "HTTPRoute shop/mine");
    assert_eq!(fault["path"], "spec.rules[0].matches[0].path.value");
    assert!(fault["file"].as_str().is_some_and(|file| file.ends_with("mine.yaml")), "{fault}");
    assert_eq!(fault["line"], line);
    assert!(fault["message"].as_str().is_some_and(|said| said.contains("'mine'")), "{fault}");
    assert_eq!(config["kept"], Value::from(["HTTPRoute shop/mine"]));
    let resources = config["resources"].as_array().unwrap();
    let shown = resources.iter().filter(|one| one["metadata"]["name"] == "mine");
    let paths: Vec<_> =
        shown.map(|one| &one["spec"]["rules"][0]["matches"][0]["path"]["value"]).collect();
    assert_eq!(paths, ["/mine"], "the form in force is not shown");
    assert!(gateway.stderr().contains("(its last good form stays in force)"));

    // A file that cannot be taken as a whole keeps all that it held.
    gateway.write("mine.yaml", "kind: [");
    let is_torn = |config: &Value| config["faults"].to_string().contains("YAML");
    let config = until_shown(&gateway, "the torn file", is_torn).await;
    assert_eq!(config["kept"], Value::from(["HTTPRoute shop/mine"]));

    // What is gone as a whole is said too, and no longer once it is back.
    let (here, away) = (gateway.file(""), gateway.folder().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let is_gone =
        |config: &Value| config["faults"][0]["path"] == "" && !is_torn(&config["faults"][0]);
    until_shown(&gateway, "the missing folder", is_gone).await;
    std::fs::rename(&away, &here).unwrap();
    gateway.write("mine.yaml", &mine);
    until_shown(&gateway, "the end of it", |config| config["faults"] == Value::from([(); 0])).await;
}

#[tokio::test]
async fn a_fault_of_a_new_object_says_nothing_of_a_last_good_form() {
    let (_origin, setup) = shop().await;
    let gateway = setup.start().await;
    gateway.write("new.yaml", &yaml::path_route("new", "new", "shop"));
    gateway.until_said("shop/new").await;
    assert!(!gateway.stderr().contains("last good form"), "{}", gateway.stderr());
}

#[tokio::test]
async fn copies_that_are_left_out_are_not_shown_as_resources() {
    let (_origin, setup): (_, Setup) = shop().await;
    let route = yaml::path_route("twice", "/twice", "shop");
    let gateway = setup.file("a.yaml", route.clone()).file("b.yaml", route).start().await;
    let config = gateway.admin("/config").await.unwrap().json();
    let resources = config["resources"].as_array().unwrap();
    let copies = resources.iter().filter(|one| one["metadata"]["name"] == "twice").count();
    assert_eq!((copies, config["faults"].as_array().map(Vec::len)), (1, Some(1)));
}
