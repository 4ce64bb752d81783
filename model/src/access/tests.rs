//! Who may do what: a golden table of every role, kind, field group and action, and how rights meet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::{Resource, read};

const WORLD: &str = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: other }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: orders }
spec: { members: [olga], groups: [{ provider: corp, name: Orders }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: orders, namespace: shop }
spec: { owner: orders }
---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: releaser, namespace: shop }
spec:
  rules:
    - { kinds: [HTTPRoute, Service], verbs: [Read] }
    - { kinds: [HTTPRoute], verbs: [Update], fields: ['spec.rules[].backendRefs[].weight'] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: releaser, namespace: shop }
spec: { subjects: [{ user: rita }], role: releaser, apis: [orders] }
";

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn world(more: &str) -> Vec<Resource> {
    let documents = read(&format!("{WORLD}{more}"));
    documents.into_iter().map(|document| document.result.unwrap()).collect()
}

fn grant(user: &str, role: &str, namespace: &str) -> String {
    format!(
        "---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: {{ name: {user}-{role}, namespace: {namespace} }}
spec: {{ subjects: [{{ user: {user} }}], role: {role} }}
"
    )
}

fn actor(user: &str) -> Actor {
    Actor { user: name(user), groups: BTreeSet::new() }
}

fn rights(user: &str, more: &str) -> Rights {
    Directory::new(&world(more)).rights(&actor(user))
}

/// An object of the Api `orders` in the workspace `shop`, unless said otherwise.
struct Object {
    key: Key,
    scope: Scope,
    api: Option<Name>,
}

fn object(kind: Kind) -> Object {
    let key = Key::new(kind, name("shop"), name("x"));
    Object { key, scope: Scope::Workspace(name("shop")), api: Some(name("orders")) }
}

impl Object {
    fn of(self, scope: Scope, api: Option<&str>) -> Self {
        Object { scope, api: api.map(name), ..self }
    }

    fn asked(&self, rights: &Rights, verb: Verb, changed: &[&str]) -> Result<Permit, Denied> {
        let changed: Vec<_> = changed.iter().map(|place| (*place).to_owned()).collect();
        let (key, scope, api) = (&self.key, &self.scope, self.api.as_ref());
        rights.permit(&Asked { verb, key, scope, api, changed: &changed })
    }

    fn word(&self, rights: &Rights, verb: Verb, changed: &[&str]) -> &'static str {
        match self.asked(rights, verb, changed) {
            Ok(_) => "yes",
            Err(Denied::Hidden) => "404",
            Err(Denied::Forbidden { .. }) => "403",
        }
    }
}

/// What is asked in the golden table: a verb and, for updates, a field.
const ACTIONS: [(&str, Verb, &[&str]); 10] = [
    ("read", Verb::Read, &[]),
    ("create", Verb::Create, &[]),
    ("weight", Verb::Update, &["spec.rules[0].backendRefs[1].weight"]),
    ("spec", Verb::Update, &["spec.rules[0].matches"]),
    ("both", Verb::Update, &["spec.rules[0].backendRefs[1].weight", "spec.rules[0].matches"]),
    ("labels", Verb::Update, &["metadata.labels.a"]),
    ("owner", Verb::Update, &["spec.owner"]),
    ("delete", Verb::Delete, &[]),
    ("transfer", Verb::Transfer, &[]),
    ("use", Verb::Use, &[]),
];

fn golden() -> String {
    let mut text = String::from("kind             who      ");
    ACTIONS.iter().for_each(|(word, ..)| write!(text, " {word:8}").unwrap());
    text.push('\n');
    let who = ["stranger", "releaser", "team", "viewer", "editor", "owner", "admin"];
    let rights = who.map(|who| match who {
        "stranger" => rights("sam", ""),
        "releaser" => rights("rita", ""),
        "team" => rights("olga", ""),
        role => rights("bert", &grant("bert", role, "shop")),
    });
    for kind in Kind::ALL {
        for (who, rights) in who.iter().zip(&rights) {
            write!(text, "{:16} {who:9}", kind.as_str()).unwrap();
            for (_, verb, changed) in ACTIONS {
                write!(text, " {:8}", object(kind).word(rights, verb, changed)).unwrap();
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    text
}

#[test]
fn every_role_kind_field_and_action_is_as_the_golden_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/access/golden.txt");
    let golden = golden();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &golden).unwrap();
    }
    assert_eq!(golden, std::fs::read_to_string(path).unwrap(), "UPDATE=1 writes it anew");
}

#[test]
fn a_grant_holds_in_its_own_workspace_and_the_platforms_everywhere() {
    let scopes = [Scope::Workspace(name("shop")), Scope::Workspace(name("other")), Scope::Platform];
    let read = |rights: &Rights| {
        scopes
            .clone()
            .map(|scope| object(Kind::Service).of(scope, None).word(rights, Verb::Read, &[]))
    };
    let cases = [
        ("shop", ["yes", "404", "404"]),
        ("other", ["404", "yes", "404"]),
        ("heddle", ["yes", "yes", "yes"]),
        // What lies in a namespace of no workspace is the platform's to give away.
        ("nobodys", ["404", "404", "404"]),
    ];
    for (namespace, wanted) in cases {
        let rights = rights("bert", &grant("bert", "viewer", namespace));
        assert_eq!(read(&rights), wanted, "{namespace}");
    }
}

#[test]
fn a_team_edits_what_belongs_to_its_api_and_nothing_beside() {
    let by_group =
        Actor { user: name("gus"), groups: [(name("corp"), "Orders".to_owned())].into() };
    let of_another =
        Actor { user: name("gus"), groups: [(name("home"), "Orders".to_owned())].into() };
    let directory = Directory::new(&world(""));
    for (actor, wanted) in [(actor("olga"), "yes"), (by_group, "yes"), (of_another, "404")] {
        let rights = directory.rights(&actor);
        let route = object(Kind::HttpRoute);
        assert_eq!(route.word(&rights, Verb::Update, &["spec.rules"]), wanted);
        for (scope, api) in [("shop", None), ("shop", Some("other")), ("other", Some("orders"))] {
            let scope = Scope::Workspace(name(scope));
            let route = object(Kind::HttpRoute).of(scope, api);
            assert_eq!(route.word(&rights, Verb::Read, &[]), "404", "{api:?}");
        }
    }
}

#[test]
fn a_refusal_names_the_fields() {
    let (rights, route) = (rights("rita", ""), object(Kind::HttpRoute));
    let changed = ["spec.rules[0].backendRefs[1].weight", "spec.hostnames", "metadata.labels.a"];
    let Err(denied) = route.asked(&rights, Verb::Update, &changed) else { panic!("refused") };
    assert_eq!(
        denied.to_string(),
        "no grant of yours allows Update of spec.hostnames, metadata.labels.a"
    );
    let permit = route.asked(&rights, Verb::Update, &changed[..1]).unwrap();
    assert_eq!((permit.verb(), permit.key()), (Verb::Update, &route.key));
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let shop = Scope::Workspace(name("shop"));
    let role = |word: &str| builtin::role(&name(word)).unwrap();
    let owner = rights("bert", &grant("bert", "owner", "shop"));
    let refused = |rights: &Rights, scope: &Scope, apis: &[Name], rules: &[RoleRule]| {
        rights.may_grant(scope, apis, rules).err()
    };
    assert_eq!(refused(&owner, &shop, &[], &role("owner")), None);
    assert_eq!(refused(&owner, &shop, &[], &role("editor")), None);
    let said = refused(&owner, &shop, &[], &role("admin")).unwrap();
    assert_eq!(said, "Transfer on Gateway");
    assert!(refused(&owner, &Scope::Workspace(name("other")), &[], &role("viewer")).is_some());
    assert!(refused(&owner, &Scope::Platform, &[], &role("viewer")).is_some());
    // Who holds something on one Api alone gives it on that Api alone.
    let rita = rights("rita", "");
    let weights = world("").into_iter().find_map(|one| match one {
        Resource::Role(role) => Some(role.spec.rules.clone()),
        _ => None,
    });
    let weights = weights.unwrap();
    assert_eq!(refused(&rita, &shop, &[name("orders")], &weights), None);
    assert_eq!(refused(&rita, &shop, &[], &weights).unwrap(), "Read on HTTPRoute");
    assert!(refused(&rita, &shop, &[name("orders"), name("x")], &weights).is_some());
    // A field below one that is held is held, a field above is not.
    let wider = |field: &str| {
        let kinds = vec![Kind::HttpRoute];
        RoleRule { kinds, verbs: vec![Verb::Update], fields: vec![field.parse().unwrap()] }
    };
    let of = |field| refused(&rita, &shop, &[name("orders")], &[wider(field)]);
    assert_eq!(of("spec.rules[].backendRefs[].weight"), None);
    assert_eq!(of("spec.rules").unwrap(), "Update of spec.rules on HTTPRoute");
}

#[test]
fn the_least_role_that_allows_is_no_more_than_is_needed() {
    let least = |kind, verb, changed: &[&str]| {
        let Object { key, scope, api } = object(kind);
        let changed: Vec<_> = changed.iter().map(|place| (*place).to_owned()).collect();
        let asked = Asked { verb, key: &key, scope: &scope, api: api.as_ref(), changed: &changed };
        builtin::least(&asked).map(String::from)
    };
    let cases: [(Kind, Verb, &[&str], Option<&str>); 11] = [
        (Kind::HttpRoute, Verb::Read, &[], Some("viewer")),
        (Kind::Workspace, Verb::Read, &[], Some("viewer")),
        (Kind::HttpRoute, Verb::Update, &["spec.rules[0].backendRefs[1].weight"], Some("editor")),
        (Kind::Gateway, Verb::Delete, &[], Some("editor")),
        (Kind::Claim, Verb::Create, &[], Some("owner")),
        (Kind::Api, Verb::Update, &["spec.title"], Some("owner")),
        (Kind::Api, Verb::Update, &["spec.owner"], Some("owner")),
        (Kind::HttpRoute, Verb::Transfer, &[], None),
        (Kind::Workload, Verb::Use, &[], Some("editor")),
        (Kind::Api, Verb::Use, &[], Some("owner")),
        (Kind::Team, Verb::Update, &[], None),
    ];
    for (kind, verb, changed, wanted) in cases {
        assert_eq!(least(kind, verb, changed).as_deref(), wanted, "{verb} of {kind}");
    }
}

#[test]
fn who_is_asked_for_a_grant_is_who_could_make_it() {
    let role = "---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: clerk, namespace: shop }
spec: { rules: [{ kinds: [Grant], verbs: [Read, Create] }, { verbs: [Read] }] }
";
    let of_api =
        grant("apia", "owner", "shop").replace("role: owner", "role: owner, apis: [orders]");
    let more = role.to_owned()
        + &[("bert", "owner"), ("ed", "editor"), ("carl", "clerk"), ("vi", "viewer")]
            .map(|(user, role)| grant(user, role, "shop"))
            .concat()
        + &grant("team", "owner", "shop").replace("user: team", "team: orders")
        + &grant("ann", "admin", "heddle")
        + &grant("otto", "owner", "other")
        + &of_api;
    let directory = Directory::new(&world(&more));
    let key = Key::new(Kind::Grant, name("shop"), name("asked"));
    let givers = |role: &str| directory.givers(&key, &[], &builtin::role(&name(role)).unwrap());
    assert_eq!(givers("editor"), ["team 'orders'", "user 'bert'"]);
    assert_eq!(givers("viewer"), ["team 'orders'", "user 'bert'", "user 'carl'"]);
    // As their rights have it.
    let shop = Scope::Workspace(name("shop"));
    for role in ["viewer", "editor"] {
        let rules = builtin::role(&name(role)).unwrap();
        for user in ["bert", "ed", "carl", "vi", "otto", "apia"] {
            let gives = directory.rights(&actor(user)).gives(&key, &shop, &[], &rules);
            assert_eq!(gives, givers(role).contains(&format!("user '{user}'")), "{user} {role}");
        }
    }
}

#[test]
fn a_token_is_its_users_and_its_own_limit_at_once() {
    let editor = rights("bert", &grant("bert", "editor", "shop"));
    let shop = Scope::Workspace(name("shop"));
    let viewer = builtin::role(&name("viewer")).unwrap();
    let admin = builtin::role(&name("admin")).unwrap();
    let word = |rights: &Rights, verb| object(Kind::Service).word(rights, verb, &["spec"]);
    let narrow = editor.clone().limited(Some(shop.clone()), Arc::clone(&viewer));
    assert_eq!([word(&narrow, Verb::Read), word(&narrow, Verb::Update)], ["yes", "403"]);
    let wide = editor.clone().limited(None, admin);
    assert_eq!([word(&wide, Verb::Update), word(&wide, Verb::Transfer)], ["yes", "403"]);
    let elsewhere = editor.limited(Some(Scope::Platform), viewer);
    assert_eq!(word(&elsewhere, Verb::Read), "404");
    assert!(narrow.may_grant(&shop, &[], &builtin::role(&name("editor")).unwrap()).is_err());
    assert!(narrow.reads(Kind::Service, &shop) && !elsewhere.reads(Kind::Service, &shop));
}

#[test]
fn what_is_read_of_all_apis_or_of_none_needs_no_question_for_each() {
    let viewer = grant("bert", "viewer", "shop");
    let shop = Scope::Workspace(name("shop"));
    let narrow = rights("bert", &viewer)
        .limited(Some(shop.clone()), builtin::role(&name("viewer")).unwrap());
    let everybody = [
        ("bert", rights("bert", &viewer)),
        ("narrow bert", narrow),
        ("anna", rights("anna", &grant("anna", "admin", "heddle"))),
        ("olga", rights("olga", "")),
        ("rita", rights("rita", "")),
        ("nobody", rights("nobody", "")),
    ];
    let scopes = [shop, Scope::Workspace(name("other")), Scope::Platform];
    let mut told = BTreeSet::new();
    for (who, rights) in &everybody {
        for (kind, scope) in
            Kind::ALL.into_iter().flat_map(|kind| scopes.iter().map(move |s| (kind, s)))
        {
            let reads = [None, Some("orders"), Some("other")].map(|api| {
                object(kind).of(scope.clone(), api).asked(rights, Verb::Read, &[]).is_ok()
            });
            let (some, all) = (rights.reads(kind, scope), rights.is_all(Verb::Read, kind, scope));
            assert_eq!(all, reads == [true; 3], "{who}: {kind} in {scope}");
            assert!(some || reads == [false; 3], "{who}: {kind} in {scope}");
            told.insert((some, all));
        }
    }
    assert_eq!(told.len(), 3, "all, some and nothing");
}

#[test]
fn roles_of_the_namespace_go_before_those_of_the_platform() {
    let role = |namespace: &str, verb: &str| {
        format!(
            "---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: {{ name: helper, namespace: {namespace} }}
spec: {{ rules: [{{ kinds: [Service], verbs: [Read, {verb}] }}] }}
"
        )
    };
    let word = |more: &str| {
        let rights = rights("bert", &(grant("bert", "helper", "shop") + more));
        [Verb::Create, Verb::Delete].map(|verb| object(Kind::Service).word(&rights, verb, &[]))
    };
    assert_eq!(word(""), ["404", "404"], "a role that is nowhere gives nothing");
    assert_eq!(word(&role("heddle", "Create")), ["yes", "403"]);
    let both = role("heddle", "Create") + &role("shop", "Delete");
    assert_eq!(word(&both), ["403", "yes"]);
    assert_eq!(word(&role("other", "Delete")), ["404", "404"]);
}

#[test]
fn who_holds_all_everywhere_does_so_by_grants_of_the_platform_together() {
    let role = |name: &str, verbs: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: Role\n\
             metadata: {{ name: {name}, namespace: heddle }}\nspec: {{ rules: [{{ verbs: [{verbs}] }}] }}\n"
        )
    };
    let more = role("half", "Read, Create")
        + &role("rest", "Update, Delete, Transfer")
        + &["half", "rest"].map(|role| grant("both", role, "heddle")).concat()
        + &grant("one", "half", "heddle")
        + &grant("ann", "admin", "heddle")
        + &grant("here", "admin", "shop")
        + &grant("lost", "admin", "nowhere")
        + &grant("team", "admin", "heddle").replace("user: team", "team: orders");
    let directory = Directory::new(&world(&more));
    let rules = builtin::role(&name("admin")).unwrap();
    let holders = directory.everywhere(&rules);
    assert_eq!(
        holders.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["ann", "both", "olga"]
    );
    // As their rights have it.
    for user in ["ann", "both", "olga", "one", "here", "lost"] {
        let actor = Actor { user: name(user), groups: BTreeSet::new() };
        let holds = directory.rights(&actor).may_grant(&Scope::Platform, &[], &rules).is_ok();
        assert_eq!(holds, holders.contains(&name(user)), "{user}");
    }
}
