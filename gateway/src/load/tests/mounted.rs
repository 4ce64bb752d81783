//! A ConfigMap as Kubernetes mounts it: a folder whose `..data` links to the revision in force.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::changing::{Door, MOMENT, SHOP, Scene, join, policy, route};
use super::*;

/// Puts `files` where Kubernetes puts a revision of a ConfigMap, and swaps the link.
fn revise(folder: &Path, revision: &str, files: &[(&str, String)]) {
    fs::create_dir(folder.join(revision)).unwrap();
    for (name, text) in files {
        fs::write(folder.join(revision).join(name), text).unwrap();
    }
    symlink(revision, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    for (name, _) in files {
        if !folder.join(name).is_symlink() {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
}

#[test]
fn a_mounted_configmap_is_read_as_one_revision() {
    let folder = tempfile::tempdir().unwrap();
    let named = |number: usize| {
        let name = format!("n{number}");
        [("a.yaml", service(&name)), ("b.yaml", service(&name))]
    };
    revise(folder.path(), "..0", &named(0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in (1..).take_while(|_| !done.load(Ordering::SeqCst)) {
                revise(folder.path(), &format!("..{number}"), &named(number));
                fs::remove_dir_all(folder.path().join(format!("..{}", number - 1))).unwrap();
            }
        });
        // It may be swapped too often to be read, but is never mixed.
        let readings = (0..100_000).filter_map(|_| super::reading::read(folder.path()).ok());
        let mixed = readings.take(200).find(|reading| {
            let seen: Vec<_> = reading.values().collect();
            seen.len() != 2 || seen[0] != seen[1]
        });
        done.store(true, Ordering::SeqCst);
        assert_eq!(mixed, None);
    });
    assert_eq!(Config::at(folder.path()).load().unwrap().faults.len(), 1, "two of one name");
}

#[test]
fn a_swapped_configmap_counts_as_a_whole_under_the_names_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let shop = ("shop.yaml", SHOP.to_owned());
    revise(folder.path(), "..1", &[shop.clone(), ("p.yaml", policy("a")), ("r.yaml", route("a"))]);
    let mut config = Config::at(folder.path());
    config.first(|_| ()).unwrap();
    let mut scene = Scene { folder, config, now: Instant::now() };
    assert!(scene.config.files.contains_key(&scene.path("p.yaml")));
    assert_eq!(scene.door("a"), Door::Closed);
    // `p.yaml` is taken out; its link goes a moment after the swap.
    let routes = ("r.yaml", join(&[route("a"), route("b")]));
    revise(scene.folder.path(), "..2", &[shop, routes, ("q.yaml", policy("b"))]);
    scene.pass(MOMENT);
    assert_eq!([scene.door("a"), scene.door("b")], [Door::Closed, Door::Absent]);
    scene.pass(GRACE - MOMENT);
    assert_eq!([scene.door("a"), scene.door("b")], [Door::Open, Door::Closed]);
}
