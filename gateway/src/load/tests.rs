//! What a configuration's files do to what is in force.

use std::collections::BTreeMap;
use std::fs;

use super::*;

mod changing;
mod doubled;
mod kinds;
mod mounted;
mod moved;
mod pairs;
mod succession;
mod warned;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: { name: NAME, namespace: shop }
spec: { ports: [{ port: 80 }] }
";

fn service(name: &str) -> String {
    SERVICE.replace("NAME", name)
}

/// A folder of files that goes away with it.
fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `file:line: ...` without the folder.
fn shown(loaded: &Loaded, folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    loaded.faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_folders_files_count_together() {
    let folder = folder(&[
        ("a.yaml", service("a")),
        ("b.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}"#.to_owned()),
        ("notes.txt", "not: counted".to_owned()),
        (".hidden.yaml", "not: counted".to_owned()),
    ]);
    let loaded = Config::at(folder.path()).load().unwrap();
    assert_eq!((loaded.objects, shown(&loaded, folder.path())), (2, Vec::new()));
}

#[test]
fn a_fault_names_file_line_object_and_field_once() {
    let bad = service("bad").replace("ports:", "port:");
    let folder = folder(&[("a.yaml", format!("{}---\n{bad}", service("good")))]);
    let loaded = Config::at(folder.path()).load().unwrap();
    let faults = shown(&loaded, folder.path());
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("a.yaml:9: Service shop/bad: spec.port: "), "{}", faults[0]);
    assert_eq!(loaded.objects, 1);
}

#[test]
fn a_half_written_file_keeps_its_last_good_content() {
    let folder = folder(&[("a.yaml", service("a")), ("b.yaml", service("b"))]);
    let mut config = Config::at(folder.path());
    config.load().unwrap();
    let digest = config.table().unwrap().digest.clone();
    for torn in ["apiVersion: v1\nkind: [Serv", ""] {
        fs::write(folder.path().join("a.yaml"), torn).unwrap();
        let loaded = config.load().unwrap();
        assert_eq!(loaded.objects, 2);
        let faults = shown(&loaded, folder.path());
        assert!(faults.iter().all(|fault| fault.contains("stays in force")), "{faults:?}");
        assert!(!faults.is_empty());
        assert_eq!(config.table().unwrap().digest, digest);
    }
    fs::write(folder.path().join("a.yaml"), service("other")).unwrap();
    assert!(config.load().unwrap().faults.is_empty());
    assert_ne!(config.table().unwrap().digest, digest);
}

#[test]
fn a_configuration_that_vanished_changes_nothing() {
    let folder = folder(&[("a.yaml", service("a"))]);
    let file = folder.path().join("a.yaml");
    let mut config = Config::at(&file);
    config.load().unwrap();
    fs::remove_file(&file).unwrap();
    let error = format!("{:#}", config.load().unwrap_err());
    assert!(error.contains("a.yaml"), "{error}");
    assert!(config.table().is_some());
}

#[test]
fn a_first_reading_of_a_torn_file_is_refused() {
    let torn = format!("{}---\napiVersion: v1\nkind: [Serv", service("a"));
    let folder = folder(&[("a.yaml", torn)]);
    let error = format!("{:#}", Config::at(folder.path()).first(|_| ()).unwrap_err());
    assert!(error.contains("a.yaml:") && error.contains("document 2"), "{error}");
}

#[test]
fn what_did_not_change_is_not_assembled_again() {
    let folder = folder(&[("a.yaml", service("a"))]);
    let mut config = Config::at(folder.path());
    assert!(config.load().unwrap().changed);
    assert!(!config.load().unwrap().changed);
}

#[test]
fn a_bad_certificate_is_refused_before_it_is_served() {
    let secret = "\
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: shop }
type: kubernetes.io/tls
stringData: { tls.crt: no, tls.key: no }
";
    let folder = folder(&[("a.yaml", secret.to_owned())]);
    let faults = shown(&Config::at(folder.path()).load().unwrap(), folder.path());
    let wanted = [
        "a.yaml:5: Secret shop/cert: stringData['tls.crt']: tls.crt holds no PEM certificate",
        "a.yaml:5: Secret shop/cert: stringData['tls.key']: tls.key holds no PEM private key",
    ];
    assert_eq!(faults, wanted);
}

#[test]
fn the_shown_configuration_holds_no_secret() {
    let secret = "\
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: shop }
stringData: { clerk: marker-that-must-not-show }
data: { other: bWFya2VyLXRoYXQtbXVzdC1ub3Qtc2hvdw== }
";
    let folder = folder(&[("a.yaml", secret.to_owned())]);
    let mut config = Config::at(folder.path());
    config.load().unwrap();
    let shown = config.show(None).to_json().to_string();
    assert!(shown.contains("sha256:") && shown.contains("clerk"), "{shown}");
    assert!(!shown.contains("marker-that") && !shown.contains("bWFya2Vy"), "{shown}");
}

#[test]
fn files_are_read_in_the_order_of_their_names() {
    let folder = folder(&[("b.yaml", service("x")), ("a.yaml", service("x"))]);
    let mut config = Config::at(folder.path());
    let loaded = config.load().unwrap();
    // The first of two objects with one name stays.
    let faults = shown(&loaded, folder.path());
    assert_eq!(faults.len(), 1, "{faults:?}");
    let order: BTreeMap<_, _> = config.files.keys().enumerate().collect();
    assert!(order[&0].ends_with("a.yaml") && order[&1].ends_with("b.yaml"));
}

#[test]
fn what_only_the_control_plane_enforces_is_told() {
    let team = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: a }\n";
    let folder = folder(&[("a.yaml", format!("{}---\n{team}", service("a")))]);
    let loaded = Config::at(folder.path()).load().unwrap();
    let wanted = "a.yaml:6: Team heddle/a: is for the control plane; a gateway that reads files \
                  enforces none of it";
    assert_eq!(shown(&loaded, folder.path()), [wanted]);
    assert_eq!(loaded.objects, 1);
}

#[test]
fn a_route_of_a_service_is_told_to_be_for_the_mesh() {
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                 metadata: { name: split, namespace: shop }\nspec:\n  \
                 parentRefs: [{ group: '', kind: Service, name: a }]\n";
    let folder = folder(&[("a.yaml", format!("{}---\n{route}", service("a")))]);
    let loaded = Config::at(folder.path()).load().unwrap();
    let wanted = "a.yaml:6: HTTPRoute shop/split: spec.parentRefs[0].kind: a gateway that reads \
                  files serves no routes of a Service, which lead what applications send; attach it \
                  to a Gateway, or join a server";
    assert_eq!(shown(&loaded, folder.path()), [wanted]);
    assert_eq!(loaded.objects, 1);
}

#[test]
fn borders_that_are_refused_here_change_nothing() {
    let border = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: shop }\n---\n\
                  apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
                  metadata: { name: a, namespace: shop }\nspec: { owner: team }\n";
    let route = changing::route("a").replace("name: a,", "labels: { heddle.dev/api: a }, name: a,");
    assert!(route.contains("heddle.dev/api"), "{route}");
    let mut scene = changing::Scene::start(&[("a.yaml", route)]);
    scene.write("b.yaml", border);
    assert_eq!(scene.pass(changing::MOMENT * 2).len(), 2);
    assert_eq!(scene.door("a"), changing::Door::Open);
}
