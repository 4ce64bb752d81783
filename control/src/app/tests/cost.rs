//! What one commit costs in a large installation. Run by hand, in release:
//! `cargo test -p control --profile count cost -- --ignored --nocapture`.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;

const WORKSPACES: usize = 200;
const ROUTES: usize = 25;

fn installation() -> String {
    let mut text = SHOP.to_owned();
    for at in 0..WORKSPACES {
        let own = format!("w{at}");
        write!(
            text,
            "---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: {{ name: {own} }}
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: {{ name: {own} }}
spec: {{ members: [u{at}] }}
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: {{ name: own, namespace: {own} }}
spec: {{ subjects: [{{ team: {own} }}], role: owner }}
"
        )
        .unwrap();
        text += &claim(&own, &format!("{{ host: '*.{own}.test' }}"));
        text += &service(&own);
        for number in 0..ROUTES {
            let host = format!("[h{number}.{own}.test]");
            text += &route(&own, &format!("r{number}"), &host, "/");
        }
    }
    text
}

#[tokio::test]
#[ignore = "it measures"]
async fn cost_of_a_commit() {
    let bed = Bed::new().await;
    let began = Instant::now();
    bed.put("root", &installation()).await.unwrap();
    println!(
        "{} objects seeded in {:?}",
        bed.app.world().await.unwrap().objects.len(),
        began.elapsed()
    );
    let began = Instant::now();
    let fresh = open(bed._folder.path()).await;
    fresh.world().await.unwrap();
    println!("world started in {:?}", began.elapsed());
    let mut taken = Vec::new();
    for round in 0..100 {
        let (own, number) = (round * 7 % WORKSPACES, round % ROUTES);
        let host = format!("[h{number}.w{own}.test]");
        let text = route(&format!("w{own}"), &format!("r{number}"), &host, &format!("/p{round}"));
        let edits = read(&text).unwrap();
        let began = Instant::now();
        let op = op(&format!("u{own}"));
        bed.app.change_commit(&op, edits).await.unwrap();
        bed.app.world().await.unwrap();
        taken.push(began.elapsed());
    }
    taken.sort();
    println!("commit p50 {:?} p90 {:?} max {:?}", taken[50], taken[90], taken[99]);
    let world = bed.app.world().await.unwrap();
    let time = |what: &str, work: &dyn Fn()| {
        let began = Instant::now();
        for _ in 0..10 {
            work();
        }
        println!("{what}: {:?}", began.elapsed() / 10);
    };
    time("clone of the objects", &|| drop(world.objects.clone()));
    time("directory", &|| drop(model::access::Directory::new(world.resources())));
    time("assembly from the one before", &|| {
        let (mut next, traffic) = (world.as_ref().clone(), true);
        next.assembly();
        next.settle(crate::world::Changed { borders: false, traffic });
        next.assembly();
    });
    let scopes = [Scope::Workspace(name("w7"))].into();
    time("view of a workspace", &|| drop(world.view(&scopes, None)));
}
