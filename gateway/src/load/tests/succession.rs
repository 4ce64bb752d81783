//! What a process that begins with the files as they are lacks of what one before has in force.

use super::changing::{SHOP, Scene, join, policy, route};
use super::pairs::{GATEWAY, Pair, made};
use super::*;

/// What a process that begins now would lack of what is in force.
fn lost(scene: &mut Scene) -> Vec<String> {
    let mut next = Config::at(scene.folder.path());
    next.first(|_| ()).unwrap();
    // As when another process comes: one look, whatever waits.
    scene.config.look(scene.now).unwrap();
    let stock = scene.config.stock();
    let lacks = next.stock().lacks(&stock.kept);
    lacks.into_iter().filter(|object| stock.served.contains(object)).collect()
}

#[test]
fn what_is_kept_and_cannot_be_read_is_lost_until_it_is_mended_or_taken_out() {
    let both = [("r.yaml", route("a")), ("p.yaml", policy("a"))];
    for (name, bad, lacks) in [
        ("r.yaml", String::new(), "HTTPRoute shop/a"),
        ("r.yaml", route("a").replace("name: a,", "name: A,"), "HTTPRoute shop/a"),
        ("r.yaml", route("a").replace("HTTPRoute", "HTTPRout"), "HTTPRoute shop/a"),
        ("r.yaml", route("a").replace("value: /a", "value: a"), "HTTPRoute shop/a"),
        ("p.yaml", String::new(), "AccessPolicy shop/a"),
        (
            "p.yaml",
            policy("a").replace("HTTPRoute, name: a", "HTTPRoute, name: b"),
            "AccessPolicy shop/a",
        ),
    ] {
        let mut scene = Scene::start(&both);
        assert_eq!(lost(&mut scene), [""; 0]);
        scene.write(name, &bad);
        scene.pass(STILL * 2);
        assert_eq!(lost(&mut scene), [lacks], "{bad}");
        // Once it is mended there is nothing to wait for.
        let good = both.iter().find(|(file, _)| *file == name).unwrap();
        scene.write(name, &good.1);
        assert_eq!(lost(&mut scene), [""; 0], "{bad}");
        scene.pass(GRACE);
        scene.write(name, &bad);
        scene.pass(STILL * 2);
        scene.remove(name);
        scene.pass(GRACE);
        assert_eq!(lost(&mut scene), [""; 0], "{bad}");
    }
}

#[test]
fn a_file_emptied_just_now_takes_nothing_along() {
    let mut scene = Scene::start(&[("a.yaml", route("a"))]);
    scene.write("a.yaml", "");
    assert_eq!(lost(&mut scene), ["HTTPRoute shop/a"]);
}

#[test]
fn what_is_taken_out_on_purpose_is_not_lost() {
    let mut scene = Scene::start(&[("a.yaml", join(&[route("a"), policy("a"), route("b")]))]);
    scene.write("a.yaml", &join(&[route("a"), route("b").replace("name: b", "name: c")]));
    assert_eq!(lost(&mut scene), [""; 0]);
    scene.write("shop.yaml", &SHOP.replace("name: app", "name: other"));
    assert_eq!(lost(&mut scene), [""; 0]);
}

#[test]
fn a_certificate_whose_flag_was_left_out_is_lost_while_a_listener_names_it() {
    let mut pair = Pair::new();
    let (chain, key) = made();
    pair.write(&chain, &key);
    pair.config.first(|_| ()).unwrap();
    let stock = pair.config.stock();
    let lost = || {
        let mut next = Config::at(&pair.folder.path().join("edge.yaml"));
        next.first(|_| ()).unwrap();
        let lacks = next.stock().lacks(&stock.kept).into_iter();
        lacks.filter(|object| stock.served.contains(object)).collect::<Vec<_>>()
    };
    assert_eq!(lost(), ["Secret shop/site"]);
    // Where nobody names it any more it was let go.
    let (plain, _tls) = GATEWAY.split_once("      tls:").unwrap();
    let plain = plain.replace("HTTPS", "HTTP");
    std::fs::write(pair.folder.path().join("edge.yaml"), plain).unwrap();
    assert_eq!(lost(), [""; 0]);
}
