//! Objects of one name: the first counts, whatever becomes of it.

use super::changing::{Door, SHOP, Scene, join, policy, route};
use super::*;

/// A scene of these files, which may have faults.
fn scene(files: &[(&str, String)]) -> (Scene, Vec<String>) {
    let folder = folder(files);
    fs::write(folder.path().join("shop.yaml"), SHOP).unwrap();
    let mut config = Config::at(folder.path());
    let told = shown(&config.first(|_| ()).unwrap(), folder.path());
    (Scene { folder, config, now: Instant::now() }, told)
}

/// The policy `p` of the route of that name.
fn p(target: &str) -> String {
    policy(target).replacen(&format!("name: {target},"), "name: p,", 1)
}

#[test]
fn an_edit_that_breaks_the_first_puts_no_other_in_its_place() {
    let other = route("a").replace("value: /a", "value: /other");
    let (mut scene, told) = scene(&[("a.yaml", route("a")), ("b.yaml", other)]);
    assert_eq!(told.len(), 1, "{told:?}");
    scene.write("a.yaml", &route("a").replace("value: /a", "value: a"));
    let told = scene.pass(GRACE);
    assert!(told.iter().any(|one| one.contains("(its last good form stays in force)")), "{told:?}");
    let left_out = told.iter().find(|one| one.starts_with("b.yaml:1: ")).unwrap();
    assert!(!left_out.contains("last good form"), "{left_out}");
    assert_eq!((scene.door("a"), scene.door("other")), (Door::Open, Door::Absent));
}

#[test]
fn of_two_policies_neither_of_which_counts_both_close() {
    let routes = join(&[route("a"), route("b")]);
    let broken = p("a").replace("action: Deny", "action: Dney");
    let (scene, told) = scene(&[("p.yaml", join(&[broken, p("b")])), ("r.yaml", routes)]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((scene.door("a"), scene.door("b")), (Door::Closed, Door::Closed));
}
