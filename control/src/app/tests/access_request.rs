//! Asking for access: who learns of it, who may give it, and that it is given once.

use model::access::builtin;
use store::user::User;

use super::*;

const WEIGHT: &str = "spec.rules[0].backendRefs[0].weight";

/// The field of a rule that covers it.
const FIELD: &str = "spec.rules[].backendRefs[].weight";

/// The shop with a route of its own and one of the Api `orders`, which `carol` and `olga` view.
/// `olga` is in the team that owns the Api; `cleo` may make Grants and view, and no more.
const MORE: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: orders }
spec: { members: [olga] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: viewers, namespace: shop }
spec: { subjects: [{ user: carol }, { user: olga }, { user: cleo }], role: viewer }
---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: clerk, namespace: shop }
spec: { rules: [{ kinds: [Grant], verbs: [Create] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: clerk, namespace: shop }
spec: { subjects: [{ user: cleo }], role: clerk }
---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: releaser, namespace: shop }
spec:
  rules: [{ kinds: [HTTPRoute], verbs: [Update], fields: ['spec.rules[].backendRefs[].weight'] }]
";

async fn bed() -> Bed {
    let bed = Bed::shop().await;
    let of_api = route("shop", "api", "[api.example]", "/");
    let of_api = of_api
        .replace("namespace: shop }", "namespace: shop, labels: { heddle.dev/api: orders } }");
    let text = MORE.to_owned()
        + &api("orders")
        + &service("shop")
        + &route("shop", "r", "[r.example]", "/")
        + &of_api
        + &service("bank");
    bed.put("root", &text).await.unwrap();
    for user in ["carol", "olga", "cleo", "sara", "bert", "eve", "root"] {
        let user = User {
            id: format!("id-{user}"),
            name: user.to_owned(),
            password: None,
            disabled: false,
            created: 1,
            updated: 1,
        };
        bed.app.store().user_create(&user, &store::Entry::default()).await.unwrap();
    }
    bed
}

fn new(verb: Verb, key: Key, field: &str) -> NewAccessRequest {
    let field = Some(field.to_owned()).filter(|field| !field.is_empty());
    NewAccessRequest { verb, key, field, message: "for the sale".to_owned() }
}

fn weight() -> NewAccessRequest {
    new(Verb::Update, key(Kind::HttpRoute, "shop", "r"), WEIGHT)
}

fn narrowed(user: &str, role: &str) -> Op {
    Op { limit: Some((None, builtin::role(&name(role)).unwrap())), ..op(user) }
}

impl Bed {
    async fn ask(&self, user: &str, new: NewAccessRequest) -> Result<Requested, Refusal> {
        self.app.access_request_create(&op(user), new).await
    }

    async fn asked(&self, user: &str, new: NewAccessRequest) -> AccessRequest {
        self.ask(user, new).await.unwrap().request
    }

    async fn listed(&self, op: &Op) -> Vec<AccessRequest> {
        self.app.access_request_list(op, None, None, 100).await.unwrap().items
    }

    async fn grant(&self, op: &Op, id: &str, role: Option<&str>) -> Result<Receipt, Refusal> {
        self.app.access_request_grant(op, id, role.map(name).as_ref(), None).await
    }

    /// Has a user give a route another weight.
    async fn weigh(&self, user: &str, route: &str) -> Result<Receipt, Refusal> {
        let world = self.app.world().await.unwrap();
        let object = &world.objects[&key(Kind::HttpRoute, "shop", route)].resource;
        let Resource::HttpRoute(route) = object else { panic!("{object:?}") };
        let mut route = route.as_ref().clone();
        let weight = &mut route.spec.rules[0].backend_refs[0].weight;
        *weight += 1;
        let resource = Resource::HttpRoute(route.into());
        let edits = vec![Edit::Put { resource, expected: Expect::Any }];
        self.app.change_commit(&op(user), edits).await
    }

    async fn state(&self, id: &str) -> AccessState {
        self.app.store().access_request(id).await.unwrap().unwrap().state
    }

    /// The last rows of the audit: verb, actor and detail.
    async fn audit(&self, limit: i64) -> Vec<(String, String, String)> {
        let rows = self.app.store().audit_list(None, limit).await.unwrap();
        let rows = rows.into_iter().map(|row| row.entry);
        rows.map(|entry| (entry.verb, entry.actor, entry.detail)).collect()
    }
}

#[tokio::test]
async fn what_is_refused_is_asked_for_granted_in_one_step_and_done() {
    let bed = bed().await;
    let refused = bed.weigh("carol", "r").await;
    let Err(Refusal::Denied(denied)) = refused else { panic!("{refused:?}") };
    let Denied::Forbidden { fields, .. } = &denied[0].1 else { panic!("{denied:?}") };
    assert_eq!(fields, &[WEIGHT]);

    let first = bed.ask("carol", weight()).await.unwrap();
    assert!(first.is_new && first.request.is_own);
    assert_eq!(first.request.ask, ["team 'sellers'"]);
    assert_eq!(first.request.proposal, None, "it is not hers to give");
    let again = bed.ask("carol", weight()).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.request, first.request);

    let seen = bed.listed(&op("sara")).await;
    let id = seen[0].id.clone();
    assert_eq!((seen.len(), seen[0].user.as_str(), seen[0].is_own), (1, "carol", false));
    assert_eq!(seen[0].message, "for the sale");
    let proposal = seen[0].proposal.clone().unwrap();
    let gives = format!("Read HTTPRoute; Update HTTPRoute, only {FIELD}");
    assert_eq!((proposal.gives(), proposal.apis.len()), (gives.clone(), 0));
    let before = bed.revision().await;
    let done = bed.grant(&op("sara"), &id, None).await.unwrap();
    assert_eq!((done.revision, &done.changed), (before + 1, &vec![(proposal.grant, Some(1))]));
    bed.weigh("carol", "r").await.unwrap();
    let text = route("shop", "r", "[other.example]", "/");
    assert!(bed.put("carol", &text).await.is_err(), "she has that field and no other");

    let own = &bed.listed(&op("carol")).await[0];
    let decision = own.decision.clone().unwrap();
    assert_eq!((own.state, decision.by.as_str()), (AccessState::Granted, "sara"));
    assert_eq!(decision.revision, Some(done.revision));
    let words = format!("Update of {WEIGHT} on HTTPRoute shop/r");
    let audit = bed.audit(4).await;
    let row = |verb: &str, actor: &str, detail: &str| {
        (verb.to_owned(), actor.to_owned(), detail.to_owned())
    };
    let granted = format!("carol: {words}, by {gives}");
    assert_eq!(audit[1], row("grant", "sara", &granted));
    assert_eq!(audit[2], row("commit", "sara", &format!("grants a request of {granted}")));
    assert_eq!(audit[3], row("create", "carol", &words));
}

#[tokio::test]
async fn for_whom_it_is_not_there_is_none() {
    let bed = bed().await;
    for user in ["eve", "bert"] {
        let refused = bed.ask(user, weight()).await;
        assert!(matches!(&refused, Err(Refusal::Denied(denied)) if denied[0].1 == Denied::Hidden));
        let nothing = new(Verb::Update, key(Kind::HttpRoute, "shop", "none"), WEIGHT);
        let as_nothing = bed.ask(user, nothing).await.unwrap_err().to_string();
        assert_eq!(refused.unwrap_err().to_string().replace("/r:", "/none:"), as_nothing);
    }
    let nothing = new(Verb::Delete, key(Kind::HttpRoute, "shop", "none"), "");
    assert!(matches!(bed.ask("carol", nothing).await, Err(Refusal::Denied(_))));

    let id = bed.asked("carol", weight()).await.id;
    let lost = "there is no such access request";
    // A neighbour, a stranger, who views, whose Api it is not, and who holds less than is asked for.
    for user in ["eve", "bert", "olga", "cleo"] {
        assert_eq!(bed.listed(&op(user)).await, [], "{user}");
        assert_eq!(said(bed.grant(&op(user), &id, None).await), lost, "{user}");
        let refused = bed.app.access_request_refuse(&op(user), &id).await;
        assert_eq!(refused.unwrap_err().to_string(), lost, "{user}");
        let withdrawn = bed.app.access_request_withdraw(&op(user), &id).await;
        assert_eq!(withdrawn.unwrap_err().to_string(), lost, "{user}");
    }
    assert_eq!(said(bed.grant(&op("sara"), "nothing", None).await), lost);
    // Who asks knows of it, and does not decide.
    assert!(matches!(bed.grant(&op("carol"), &id, None).await, Err(Refusal::Forbidden(_))));
    let refused = bed.app.access_request_refuse(&op("carol"), &id).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
    assert_eq!(bed.state(&id).await, AccessState::Open);
}

#[tokio::test]
async fn what_is_asked_for_in_vain_is_told_why() {
    let bed = bed().await;
    bed.put("root", "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
        metadata: { name: all, namespace: heddle }\nspec: { subjects: [{ user: vi }], role: viewer }\n")
        .await
        .unwrap();
    let route = key(Kind::HttpRoute, "shop", "r");
    let long = "x".repeat(501);
    let cases = [
        ("carol", new(Verb::Read, route.clone(), ""), "allowed by Grant shop/viewers"),
        ("sara", weight(), "you may do this already, allowed by Grant shop/sellers"),
        ("carol", new(Verb::Create, route.clone(), ""), "is there already; ask for Update of it"),
        ("carol", new(Verb::Delete, route.clone(), WEIGHT), "only Update is of a field"),
        ("carol", NewAccessRequest { message: long, ..weight() }, "at most 500 bytes"),
        (
            "carol",
            new(Verb::Update, route.clone(), "!!"),
            "'!!' is no field such as spec.hostnames",
        ),
        ("carol", new(Verb::Transfer, route, ""), "no role of a workspace gives Transfer"),
        ("vi", new(Verb::Update, key(Kind::Gateway, "platform", "edge"), ""), "the platform's"),
        ("vi", new(Verb::Update, key(Kind::Team, "heddle", "sellers"), ""), "the platform's"),
    ];
    for (user, new, wanted) in cases {
        let refused = bed.ask(user, new.clone()).await;
        let Err(Refusal::Invalid(faults)) = &refused else { panic!("{new:?}: {refused:?}") };
        assert!(faults[0].reason.contains(wanted), "{new:?}: {faults:?}");
    }
    let by_token = bed.app.access_request_create(&narrowed("carol", "viewer"), weight()).await;
    assert!(matches!(by_token, Err(Refusal::Forbidden(_))));
}

#[tokio::test]
async fn the_proposal_gives_just_what_is_asked_for_and_of_the_api_alone() {
    let bed = bed().await;
    let of_api = new(Verb::Update, key(Kind::HttpRoute, "shop", "api"), WEIGHT);
    let api = new(Verb::Update, key(Kind::Api, "shop", "orders"), "spec.title");
    let made = new(Verb::Create, key(Kind::Service, "shop", "new"), "");
    let claim = new(Verb::Create, key(Kind::Claim, "shop", "new"), "");
    let owner = new(Verb::Update, key(Kind::Api, "shop", "orders"), "spec.owner");
    let label = new(Verb::Update, key(Kind::HttpRoute, "shop", "r"), "metadata.labels.a.b/c");
    let lead = new(Verb::Use, key(Kind::Service, "shop", "app"), "");
    let weight = format!("Read HTTPRoute; Update HTTPRoute, only {FIELD}");
    for (new, gives, apis) in [
        (of_api.clone(), &*weight, "orders"),
        (api, "Read Api; Update Api, only spec.title", "orders"),
        (owner, "Read Api; Transfer Api", "orders"),
        (label, "Read HTTPRoute; Update HTTPRoute, only metadata.labels.a", ""),
        (lead, "Read Service; Use Service", ""),
        (made, "Read Service; Create Service", ""),
        (claim, "Read Claim; Create Claim", ""),
    ] {
        let id = bed.asked("carol", new.clone()).await.id;
        let seen = bed.listed(&op("sara")).await;
        let proposal = seen.into_iter().find(|one| one.id == id).unwrap().proposal.unwrap();
        let of: Vec<_> = proposal.apis.iter().map(|api| api.as_str()).collect();
        assert_eq!((proposal.gives().as_str(), of.join(",").as_str()), (gives, apis), "{new:?}");
    }
    let id = bed.asked("carol", of_api).await.id;
    bed.grant(&op("sara"), &id, None).await.unwrap();
    bed.weigh("carol", "api").await.unwrap();
    assert!(bed.weigh("carol", "r").await.is_err(), "another route is of no Api");
}

#[tokio::test]
async fn the_team_that_owns_an_api_decides_on_what_belongs_to_it() {
    let bed = bed().await;
    let of_api = new(Verb::Update, key(Kind::HttpRoute, "shop", "api"), WEIGHT);
    let asked = bed.asked("carol", of_api).await;
    assert_eq!(asked.ask, ["team 'orders'", "team 'sellers'"]);
    let other = bed.asked("carol", weight()).await.id;
    let title = new(Verb::Update, key(Kind::Api, "shop", "orders"), "spec.owner");
    let away = bed.asked("carol", title).await;
    assert_eq!(away.ask, ["team 'sellers'"], "whose an Api is, its workspace says");
    // Olga is of that team.
    let seen: Vec<_> = bed.listed(&op("olga")).await.into_iter().map(|one| one.id).collect();
    assert_eq!(seen, std::slice::from_ref(&asked.id));
    assert!(bed.grant(&op("olga"), &other, None).await.is_err());
    let wider = said(bed.grant(&op("olga"), &asked.id, Some("owner")).await);
    assert!(wider.contains("which you do not hold here yourself"), "{wider}");
    let made = bed.grant(&op("olga"), &asked.id, None).await.unwrap();
    bed.weigh("carol", "api").await.unwrap();
    assert!(bed.weigh("carol", "r").await.is_err());
    // What she gave she takes back, and gives by no Grant more than the Api.
    let (grant, _) = made.changed[0].clone();
    bed.delete("olga", grant).await.unwrap();
    assert!(bed.weigh("carol", "api").await.is_err());
    let give = |apis: &str, role: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
             metadata: {{ name: g, namespace: shop, labels: {{ heddle.dev/api: orders }} }}\n\
             spec: {{ subjects: [{{ user: carol }}], role: {role}{apis} }}\n"
        )
    };
    for (apis, role) in
        [("", "releaser"), (", apis: [orders]", "owner"), (", apis: [orders, x]", "releaser")]
    {
        let refused = said(bed.put("olga", &give(apis, role)).await);
        assert!(refused.contains("which you do not hold here yourself"), "{refused}");
    }
    bed.put("olga", &give(", apis: [orders]", "releaser")).await.unwrap();
    bed.weigh("carol", "api").await.unwrap();
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    let lost = "there is no such access request";
    for role in ["viewer", "editor"] {
        let op = narrowed("sara", role);
        assert_eq!(bed.listed(&op).await, [], "{role}");
        assert_eq!(said(bed.grant(&op, &id, None).await), lost, "{role}");
        let refused = bed.app.access_request_refuse(&op, &id).await;
        assert_eq!(refused.unwrap_err().to_string(), lost, "{role}");
    }
    let elsewhere = Op {
        limit: Some((Some(Scope::Workspace(name("bank"))), builtin::role(&name("admin")).unwrap())),
        ..op("sara")
    };
    assert_eq!(said(bed.grant(&elsewhere, &id, None).await), lost);
    let wider = said(bed.grant(&op("sara"), &id, Some("admin")).await);
    assert!(wider.contains("gives Transfer on Gateway, which you do not hold here"), "{wider}");
    let less = said(bed.grant(&op("sara"), &id, Some("viewer")).await);
    assert!(less.contains("the role 'viewer' does not give Update of spec.rules[0]"), "{less}");
    let none = said(bed.grant(&op("sara"), &id, Some("king")).await);
    assert!(none.contains("there is no role 'king' here"), "{none}");
    assert_eq!(bed.state(&id).await, AccessState::Open);

    // A role of the workspace's own may give just what was asked for.
    bed.grant(&op("sara"), &id, Some("releaser")).await.unwrap();
    bed.weigh("carol", "r").await.unwrap();
    let text = route("shop", "r", "[other.example]", "/");
    assert!(matches!(bed.put("carol", &text).await, Err(Refusal::Denied(_))));
}

#[tokio::test]
async fn who_decides_second_is_told_who_was_first() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    let (sara, root) = (op("sara"), op("root"));
    let both = tokio::join!(bed.grant(&sara, &id, None), bed.grant(&root, &id, None));
    let (won, lost) = match both {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    let Refusal::Decided(told) = &lost else { panic!("{lost:?}") };
    assert!(told.contains(&format!("{id} was granted by ")), "{told}");
    assert_eq!(bed.revision().await, won.revision, "one Grant");
    for op in [&sara, &root] {
        assert!(matches!(bed.grant(op, &id, None).await, Err(Refusal::Decided(_))));
        let refused = bed.app.access_request_refuse(op, &id).await;
        assert!(matches!(refused, Err(Refusal::Decided(_))));
    }
    let late = bed.app.access_request_withdraw(&op("carol"), &id).await;
    assert!(matches!(late, Err(Refusal::Decided(_))), "{late:?}");
}

#[tokio::test]
async fn a_refusal_says_why_and_a_withdrawn_one_is_asked_for_anew() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    let long = Op { message: "x".repeat(501), ..op("sara") };
    assert!(matches!(bed.app.access_request_refuse(&long, &id).await, Err(Refusal::Invalid(_))));
    let not_hers = bed.app.access_request_withdraw(&op("sara"), &id).await;
    assert!(matches!(not_hers, Err(Refusal::Forbidden(_))), "{not_hers:?}");
    let by_token = bed.app.access_request_withdraw(&narrowed("carol", "viewer"), &id).await;
    assert!(matches!(by_token, Err(Refusal::Forbidden(_))), "{by_token:?}");
    let sara = Op { message: "ask olga".to_owned(), ..op("sara") };
    bed.app.access_request_refuse(&sara, &id).await.unwrap();
    let own = bed.listed(&op("carol")).await.remove(0);
    assert_eq!(
        (own.state, own.decision.unwrap().answer.as_str()),
        (AccessState::Refused, "ask olga")
    );
    assert!(own.ask.is_empty());

    let second = bed.ask("carol", weight()).await.unwrap();
    assert!(second.is_new);
    bed.app.access_request_withdraw(&op("carol"), &second.request.id).await.unwrap();
    let verbs: Vec<_> =
        bed.audit(4).await.into_iter().map(|(verb, actor, _)| (verb, actor)).collect();
    let wanted =
        [("withdraw", "carol"), ("create", "carol"), ("refuse", "sara"), ("create", "carol")];
    assert_eq!(verbs, wanted.map(|(verb, actor)| (verb.to_owned(), actor.to_owned())));
}

#[tokio::test]
async fn what_is_gone_or_another_workspaces_is_not_given() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    bed.delete("sara", key(Kind::HttpRoute, "shop", "r")).await.unwrap();
    let gone = said(bed.grant(&op("sara"), &id, None).await);
    assert!(gone.contains("HTTPRoute shop/r is not there any more; refuse the request"), "{gone}");
    assert_eq!(bed.state(&id).await, AccessState::Open);
    bed.app.access_request_refuse(&op("sara"), &id).await.unwrap();

    // A namespace moves empty, and what was asked for in it stays behind.
    let spare = |spare: &str, bank: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: shop }}\n\
             spec: {{ access: open, namespaces: [shop{spare}] }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: bank }}\n\
             spec: {{ access: open, namespaces: [bank{bank}] }}\n"
        )
    };
    bed.put("root", &spare(", spare", "")).await.unwrap();
    let id = bed.asked("carol", new(Verb::Create, key(Kind::Service, "spare", "s"), "")).await.id;
    assert_eq!(bed.listed(&op("sara")).await[0].id, id);
    bed.put("root", &spare("", ", spare")).await.unwrap();
    for user in ["sara", "bert", "root"] {
        let seen = bed.listed(&op(user)).await;
        assert!(seen.iter().all(|one| one.id != id), "{user}");
        assert_eq!(said(bed.grant(&op(user), &id, None).await), "there is no such access request");
    }
    let own = bed.listed(&op("carol")).await.remove(0);
    assert_eq!((own.id.as_str(), own.ask.len()), (id.as_str(), 0));
}

#[tokio::test]
async fn a_grant_of_that_name_is_not_written_over() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    let name = bed.listed(&op("sara")).await[0].proposal.clone().unwrap().grant.name;
    let by_hand = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: {{ name: {name}, namespace: shop }}\n\
         spec: {{ subjects: [{{ user: eve }}], role: viewer }}\n"
    );
    bed.put("sara", &by_hand).await.unwrap();
    let before = bed.revision().await;
    let refused = bed.grant(&op("sara"), &id, None).await;
    assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");
    assert_eq!((bed.revision().await, bed.state(&id).await), (before, AccessState::Open));
}

#[tokio::test]
async fn a_grant_that_is_sent_twice_is_made_once() {
    let bed = bed().await;
    let id = bed.asked("carol", weight()).await.id;
    let once = store::Once { key: "k".to_owned(), digest: "d".to_owned() };
    let sara = Op { once: Some(once), ..op("sara") };
    let first = bed.grant(&sara, &id, None).await.unwrap();
    let again = bed.grant(&sara, &id, None).await.unwrap();
    assert_eq!((again.revision, again.replayed), (first.revision, true));
    assert_eq!(bed.revision().await, first.revision);
}

#[tokio::test]
async fn a_list_is_told_in_pages_and_by_state() {
    let bed = bed().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let new = new(Verb::Create, key(Kind::Service, "shop", &format!("s{n}")), "");
        ids.push(bed.asked("carol", new).await.id);
    }
    bed.app.access_request_withdraw(&op("carol"), &ids[0]).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = bed.app.access_request_list(&op("sara"), None, after, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        found.extend(page.items.into_iter().map(|one| one.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.reverse();
    ids.sort();
    found.sort();
    assert_eq!(found, ids);
    let state = Some(AccessState::Withdrawn);
    let page = bed.app.access_request_list(&op("sara"), state, None, 100).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(page.items[0].proposal, None);
    let late = Op { now: op("sara").now + time::Duration::days(31), ..op("sara") };
    assert_eq!(bed.listed(&late).await.len(), 4, "what was decided long ago is not told");
}
