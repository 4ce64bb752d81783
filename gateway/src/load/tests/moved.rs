//! A policy that moves between files never leaves its door open on the way.

use super::changing::{Door, MOMENT, Scene, join, policy, route};
use super::*;

const TORN: &str = "kind: [AccessPol";

/// The policy of `a` went from `p.yaml`, which holds `b` too, into `z.yaml`, which is broken.
fn moved() -> Scene {
    let old = join(&[policy("a"), route("b")]);
    let mut scene = Scene::start(&[("p.yaml", old), ("r.yaml", route("a"))]);
    scene.write("p.yaml", &route("b"));
    scene.write("z.yaml", &policy("a").replace("when: {}", "when: {"));
    assert!(!scene.pass(GRACE + PATIENCE).is_empty());
    scene.stays_closed(GRACE);
    scene
}

impl Scene {
    /// Looks for so long; the door of `a` is closed all the while.
    fn stays_closed(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            assert_eq!(self.door("a"), Door::Closed);
            self.pass(STILL);
        }
        assert_eq!(self.door("a"), Door::Closed);
    }
}

#[test]
fn it_stays_while_its_new_file_is_broken_and_while_that_is_mended() {
    let mut scene = moved();
    scene.write("z.yaml", &policy("a").replace("AccessPolicy", "AccesPolicy"));
    scene.stays_closed(GRACE + PATIENCE);
    scene.write("z.yaml", &policy("a"));
    scene.stays_closed(GRACE + PATIENCE);
    // Now it is taken out on purpose.
    scene.remove("z.yaml");
    scene.pass(MOMENT);
    assert_eq!(scene.door("a"), Door::Closed);
    scene.pass(GRACE);
    assert_eq!(scene.door("a"), Door::Open);
}

#[test]
fn a_whole_file_that_is_gone_is_no_other_matter() {
    let mut scene = Scene::start(&[("p.yaml", policy("a")), ("r.yaml", route("a"))]);
    scene.remove("p.yaml");
    scene.write("z.yaml", TORN);
    scene.stays_closed(GRACE + PATIENCE);
    scene.write("z.yaml", &policy("a"));
    scene.stays_closed(GRACE + PATIENCE);
}

#[test]
fn what_else_is_edited_meanwhile_counts() {
    let mut scene = moved();
    scene.write("p.yaml", &join(&[route("b"), route("c"), policy("c")]));
    scene.write("r.yaml", &join(&[route("a"), route("d")]));
    scene.stays_closed(GRACE);
    let doors = ["b", "c", "d"].map(|name| scene.door(name));
    assert_eq!(doors, [Door::Open, Door::Closed, Door::Open]);
}

#[test]
fn mistakes_in_the_old_file_change_nothing_of_it() {
    let mut scene = moved();
    scene.write("p.yaml", TORN);
    scene.stays_closed(GRACE);
    scene.write("p.yaml", &join(&[route("b"), route("c")]));
    scene.stays_closed(GRACE + PATIENCE);
    assert_eq!(scene.door("c"), Door::Open);
}

#[test]
fn a_new_file_or_folder_that_is_away_for_a_look_is_not_gone() {
    let mut scene = moved();
    let torn = fs::read_to_string(scene.path("z.yaml")).unwrap();
    scene.remove("z.yaml");
    scene.stays_closed(MOMENT);
    scene.write("z.yaml", &torn);
    scene.stays_closed(GRACE + PATIENCE);
    let aside = scene.folder.path().with_extension("aside");
    fs::rename(scene.folder.path(), &aside).unwrap();
    scene.config.look(scene.now).unwrap_err();
    fs::rename(&aside, scene.folder.path()).unwrap();
    scene.stays_closed(GRACE + PATIENCE);
}

#[test]
fn a_chain_of_moves_opens_nothing() {
    let shop = [
        ("p.yaml", join(&[route("a"), policy("a")])),
        ("q.yaml", join(&[route("b"), policy("b")])),
    ];
    let mut scene = Scene::start(&shop);
    scene.write("p.yaml", &route("a"));
    scene.write("q.yaml", &join(&[route("b"), policy("a")]));
    scene.write("z.yaml", &policy("b").replace("when: {}", "when: {"));
    scene.stays_closed(10 * PATIENCE);
    assert_eq!(scene.door("b"), Door::Closed);
}

#[test]
fn a_file_that_is_saved_over_and_over_opens_nothing() {
    let old = join(&[policy("a"), route("b")]);
    let mut scene = Scene::start(&[("p.yaml", old), ("r.yaml", route("a"))]);
    scene.write("z.yaml", &policy("a").replace("when: {}", "when: {"));
    for turn in 0..5 {
        scene.write("p.yaml", &format!("# {turn}\n{}", route("b")));
        scene.stays_closed(Duration::from_millis(1500));
    }
    scene.stays_closed(GRACE + PATIENCE);
    // Also the new file, which never comes to rest.
    let mut scene = Scene::start(&[("p.yaml", policy("a")), ("r.yaml", route("a"))]);
    scene.remove("p.yaml");
    for turn in 0..200 {
        scene.write("z.yaml", &format!("# {turn}\n{}", policy("a")));
        scene.stays_closed(STILL / 2);
    }
    scene.stays_closed(GRACE + PATIENCE);
}

#[test]
fn a_file_that_others_broke_long_before_retains_nothing() {
    let mut scene = Scene::start(&[("a.yaml", join(&[route("a"), policy("a")]))]);
    scene.write("z.yaml", TORN);
    scene.pass(TOGETHER + GRACE);
    scene.write("a.yaml", &route("a"));
    scene.pass(GRACE);
    assert_eq!(scene.door("a"), Door::Open);
}

#[test]
fn a_policy_that_stands_in_another_file_is_not_waited_for() {
    let mut scene = Scene::start(&[("a.yaml", policy("a")), ("r.yaml", route("a"))]);
    scene.remove("a.yaml");
    scene.write("b.yaml", &join(&[policy("a"), route("b")]));
    scene.stays_closed(GRACE + PATIENCE);
    assert_eq!(scene.door("b"), Door::Open);
    scene.write("b.yaml", &route("b"));
    scene.pass(GRACE);
    assert_eq!(scene.door("a"), Door::Open);
}

#[test]
fn what_is_retained_is_shown_as_kept() {
    let scene = moved();
    let kept = &scene.config.show(None).to_json()["kept"];
    assert_eq!(kept, &serde_json::json!(["AccessPolicy shop/a"]));
}
