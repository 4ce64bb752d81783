//! However a world came to be, by one's own commits, by following others, or read at once, it is
//! the same.

use proptest::prelude::*;

use super::*;
use crate::world::World;

fn same(one: &World, other: &World, what: &str) {
    assert_eq!(one.revision, other.revision, "{what}");
    assert_eq!(one.objects, other.objects, "{what}");
    assert_eq!(one.scopes, other.scopes, "{what}");
    assert_eq!(one.unreadable, other.unreadable, "{what}");
    assert_eq!(one.grounds, other.grounds, "{what}");
    assert_eq!(one.counts, other.counts, "{what}");
    assert_eq!(format!("{:?}", one.directory), format!("{:?}", other.directory), "{what}");
    let made = |world: &World| {
        let assembly = world.assembly.as_deref()?;
        Some((assembly.table.digest.clone(), assembly.faults.clone(), assembly.closed.clone()))
    };
    // Where proxies were never told anything, none was made.
    if one.assembly.is_some() && other.assembly.is_some() {
        assert_eq!(made(one), made(other), "{what}");
    }
}

/// One of few objects, in one of few forms: so that edits meet.
fn object(which: u8, form: u8) -> String {
    let space = ["shop", "bank", "annex"][usize::from(form % 3)];
    let host = ["[a.test]", "['*.a.test', b.test]", "[c.b.a.test]"][usize::from(form % 3)];
    let pair = |kind: &str, name: &str, namespace: &str, spec: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: {kind}\n\
             metadata: {{ name: {name}, namespace: {namespace} }}\nspec: {{ {spec} }}\n"
        )
    };
    match which % 10 {
        0 => service(space),
        1 => service(space) + &route(space, "r", host, "/a"),
        2 => service(space) + &route(space, "s", host, &format!("/{form}")),
        3 => claim(
            space,
            &format!("{{ host: {} }}", ["a.test", "'*.a.test'", "d.test"][usize::from(form % 3)]),
        ),
        4 => pair("Team", "sellers", "heddle", &format!("members: [sara, u{form}]")),
        5 => pair("Grant", "g", "shop", &format!("subjects: [{{ user: u{form} }}], role: viewer")),
        6 => pair(
            "Workspace",
            "shop",
            "heddle",
            ["namespaces: [shop]", "namespaces: [shop, annex]"][usize::from(form % 2)],
        ),
        7 => pair(
            "Api",
            "orders",
            "shop",
            ["owner: sellers", "owner: bankers"][usize::from(form % 2)],
        ),
        8 => {
            pair("Role", "clerk", "shop", &format!("title: t{form}, rules: [{{ verbs: [Read] }}]"))
        }
        _ => format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
             stringData: {{ clerk: value-number-{form} }}\n"
        ),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, bool),
    Delete(u8, u8),
    Back(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0..6u8, any::<bool>()).prop_map(|(which, form, by)| Step::Put(which, form, by)),
        3 => (any::<u8>(), 0..6u8).prop_map(|(which, form)| Step::Delete(which, form)),
        1 => (1..20i64).prop_map(Step::Back),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_world_is_the_same_however_it_came_to_be(steps in proptest::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let bed = Bed::shop().await;
    let other = open(bed._folder.path()).await;
    other.world().await.unwrap();
    let (root, mut own) = (op("root"), bed.app.world().await.unwrap());
    for (at, step) in steps.into_iter().enumerate() {
        // Whatever is refused changes nothing.
        let done = match &step {
            Step::Put(which, form, is_ours) => {
                let edits = read(&object(*which, *form)).unwrap();
                let app = if *is_ours { &bed.app } else { &other };
                app.change_commit(&root, edits).await
            }
            Step::Delete(which, form) => {
                let edits = read(&object(*which, *form)).unwrap();
                let edits = edits
                    .iter()
                    .map(|edit| Edit::Delete { key: edit.key(), expected: Expect::Any });
                bed.app.change_commit(&root, edits.collect()).await
            }
            Step::Back(revision) => bed.app.change_revert(&root, *revision).await,
        };
        let world = bed.app.world().await.unwrap();
        if done.is_err() {
            same(&world, &own, "what is refused changes nothing");
        }
        own = Arc::clone(&world);
        let fresh = World::default().next(&bed.app.store).await.unwrap().unwrap();
        same(&world, &fresh, &format!("{step:?}"));
        if at % 3 == 0 {
            same(&other.world().await.unwrap(), &fresh, &format!("followed, {step:?}"));
        }
    }
    same(&other.world().await.unwrap(), &own, "followed");
}
