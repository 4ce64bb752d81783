//! However a world came to be, by one's own commits, by following others, or read at once, it is
//! the same.

use model::Invalid;
use proptest::prelude::*;

use super::super::commit::in_stored_form;
use super::*;
use crate::world::World;

fn same(one: &World, other: &World, what: &str) {
    assert_eq!(one.revision, other.revision, "{what}");
    assert_eq!(one.objects, other.objects, "{what}");
    assert_eq!(one.scopes, other.scopes, "{what}");
    assert_eq!(one.unreadable, other.unreadable, "{what}");
    assert_eq!(one.grounds, other.grounds, "{what}");
    assert_eq!(one.taken, other.taken, "{what}");
    assert_eq!(format!("{:?}", one.directory), format!("{:?}", other.directory), "{what}");
    let made = |world: &World| {
        let assembly = world.assembly();
        (assembly.table.digest.clone(), assembly.faults.clone(), assembly.closed.clone())
    };
    assert_eq!(made(one), made(other), "{what}");
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
    match which % 16 {
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
            [
                "namespaces: [shop]",
                "namespaces: [shop, annex]",
                "namespaces: [shop], clusters: { stage: s1 }",
            ][usize::from(form % 3)],
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
        9 => gateway("shop", "mine", &format!("port: {}", 8080 + u16::from(form % 3))),
        10 => gateway(
            "bank",
            "theirs",
            &format!("port: {}, hostname: b.test", 8080 + u16::from(form % 2)),
        ),
        11 => {
            let parents =
                ["mine, namespace: shop", "edge, namespace: platform", "theirs, namespace: bank"];
            let guest = route(space, "guest", host, "/guest");
            service(space)
                + &guest.replace("edge, namespace: platform", parents[usize::from(form % 3)])
        }
        12 => pair(
            "AccessPolicy",
            "p",
            space,
            &format!(
                "targetRefs: [{{ kind: HTTPRoute, name: {} }}], \
                 rules: [{{ name: any, action: {}, when: {{ callers: [{{ apiKey: clerk }}] }} }}]",
                ["r", "s", "guest"][usize::from(form % 3)],
                ["Allow", "Deny"][usize::from(form % 2)],
            ),
        ),
        13 => pair(
            "AuthnPolicy",
            "q",
            ["shop", "bank"][usize::from(form % 2)],
            &format!(
                "targetRefs: [{{ kind: Gateway, name: {} }}], \
                 methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: keys }} }} }}]",
                ["mine", "theirs"][usize::from(form % 2)]
            ),
        ),
        14 => format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: Cluster\n\
             metadata: {{ name: east, labels: {{ stage: s{form} }} }}\n"
        ),
        _ => format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: {space} }}\n\
             stringData: {{ clerk: value-of-many-bytes-{form} }}\n"
        ),
    }
}

pub(super) fn gateway(namespace: &str, name: &str, listener: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec: {{ gatewayClassName: heddle, listeners: [{{ name: a, protocol: HTTP, {listener}, \
         allowedRoutes: {{ namespaces: {{ from: All }} }} }}] }}\n"
    )
}

/// What the whole installation's assembly has against a change is what the view has.
fn judged_alike(world: &Arc<World>, edits: &[Edit], what: &str) {
    let edits: Vec<_> =
        edits.iter().map(|edit| in_stored_form(&op("root"), world, edit, None).unwrap()).collect();
    let draft = Draft::new(Arc::clone(world), edits).unwrap();
    let after = draft.after();
    let scope = |key: &Key| after.directory.scope(&key.namespace);
    let touched: BTreeSet<_> = draft.edits().map(|(key, _)| scope(key)).collect();
    let words = |invalid: &Invalid| invalid.to_string();
    let known: BTreeSet<_> = world.assembly().faults.iter().map(words).collect();
    let ours = |one: &&Invalid| one.key.as_ref().is_none_or(|key| touched.contains(&scope(key)));
    let all = after.assembly().faults.iter().filter(ours).map(words);
    let all: BTreeSet<_> = all.filter(|one| !known.contains(one)).collect();
    let seen: BTreeSet<_> = draft.new_faults().iter().map(words).collect();
    assert_eq!(seen, all, "{what}");
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
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

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
        let (now, text) = (bed.app.world().await.unwrap(), format!("{step:?}"));
        match &step {
            Step::Put(which, form, _) => {
                judged_alike(&now, &read(&object(*which, *form)).unwrap(), &text);
            }
            Step::Delete(which, form) => {
                let edits = read(&object(*which, *form)).unwrap();
                let there = edits.iter().filter(|edit| now.objects.contains_key(&edit.key()));
                let gone =
                    there.map(|edit| Edit::Delete { key: edit.key(), expected: Expect::Any });
                judged_alike(&now, &gone.collect::<Vec<_>>(), &text);
            }
            Step::Back(_) => {}
        }
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
