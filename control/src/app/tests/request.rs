//! What became of requests: told to whoever may read what decided, and to nobody else.

use std::sync::Arc;

use serde_json::{Value, json};
use store::node::Node;
use wire::{Decision, Side, Told};

use super::*;
use crate::app::{Ended, HiddenHop, Hop, ShownHop, Way};
use crate::seeing::{Seeing, Window};
use crate::{Clock, fleet::Fleet};

/// A minute after everything was made.
const AT: i64 = NOW * 1_000_000 + 60_000_000;
pub(super) const FIRST: &str = "11111111111111111111111111111111";
const SECOND: &str = "22222222222222222222222222222222";

/// The names of the nodes of [`tell`]; the id of each is its name, too.
const NODES: [(&str, &str); 3] =
    [("gateway", "edge"), ("mesh", "shop.front-1"), ("mesh", "bank.app-1")];

/// Has a node tell some decisions.
pub(super) async fn tell(bed: &Bed, node: &str, decisions: Vec<Decision>) {
    for (kind, name) in NODES {
        let row = Node {
            id: name.to_owned(),
            cluster: "east".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            first_seen: 1,
            last_seen: 1,
            certificate: None,
            connected: true,
            standing: None,
        };
        bed.app.store().node_join(&row).await.unwrap();
    }
    let clock = Clock::of(|| op("root").now + time::Duration::minutes(2));
    let store = bed.app.store().clone();
    let fleet = Arc::new(Fleet::new(store.clone(), clock.clone()));
    let seeing = Seeing::new(Arc::new(App::new(store)), fleet, clock, Window::default());
    let told = Told { number: 1, decisions, dropped: 0 };
    assert_eq!(seeing.keep(node, told).await.unwrap().number, 1);
}

pub(super) fn decision(span: u64, trace: &str, at: i64, route: &Key) -> Decision {
    Decision {
        span: format!("{span:016x}"),
        trace: trace.to_owned(),
        request: "r-1".to_owned(),
        at: AT + at,
        took: 2_000,
        method: "GET".to_owned(),
        host: "shop.test".to_owned(),
        path: "/orders".to_owned(),
        reason: "ok".to_owned(),
        status: Some(200),
        route: Some(route.into()),
        ..Decision::default()
    }
}

fn rule(name: &str, wanted: &str) -> Value {
    let failed = json!({ "condition": "callers", "wanted": wanted, "saw": "nobody" });
    json!({ "rule": name, "action": "Allow", "matched": false, "failed": failed })
}

fn level(level: usize, outcome: &str, namespace: &str, rule: &Value) -> Value {
    let policy = json!({ "kind": "AccessPolicy", "namespace": namespace, "name": "edge" });
    let policies = json!([{ "policy": policy, "rules": [rule] }]);
    json!({ "level": level, "outcome": outcome, "policies": policies })
}

/// A denial, whose story has a level of each of these namespaces.
fn denied(decision: Decision, namespaces: &[&str], rule: &Value) -> Decision {
    let levels = namespaces.iter().enumerate();
    let levels = levels.map(|(at, of)| level(at + 1, "doesNotAllow", of, rule));
    let story = json!({
        "reason": "access_denied",
        "status": 403,
        "because": "no allow rule of level 1 matches",
        "callers": [{ "caller": MARKER, "fromLevel": 1 }],
        "levels": levels.collect::<Vec<_>>(),
        "change": "let rule 'clerks' name apikey:reader",
        "more": MARKER,
    });
    let (reason, detail) = ("access_denied".to_owned(), Some(MARKER.to_owned()));
    Decision { reason, status: Some(403), story: Some(story), detail, ..decision }
}

async fn show(bed: &Bed, user: &str) -> Way {
    bed.app.request_show(&op(user), "r-1").await.unwrap()
}

fn seen(hop: &Hop) -> &ShownHop {
    let Hop::Shown(hop) = hop else { panic!("{hop:?}") };
    hop
}

fn hidden(began: u64, scope: &str) -> Hop {
    let scope = Scope::try_from(scope.to_owned()).unwrap();
    Hop::Hidden(HiddenHop { began, took: 2_000, scope })
}

/// A request from the edge by a shop's application to one of the bank, which denies it.
async fn told() -> Bed {
    let bed = Box::pin(Bed::shop()).await;
    let front = key(Kind::HttpRoute, "shop", "front");
    let edge = Decision {
        backend: Some("shop/app:80".to_owned()),
        endpoint: Some("10.0.0.1:9000".to_owned()),
        backend_took: Some(1_540),
        attempts: 2,
        vector: [("platform", 7), ("workspace/shop", 8), ("workspace/bank", 9)]
            .map(|(scope, at)| (scope.to_owned(), at))
            .into(),
        story: Some(json!({
            "reason": "ok",
            "because": format!("rule '{MARKER}' of AccessPolicy platform/edge allows it"),
            "levels": [level(1, "allows", "platform", &rule(MARKER, MARKER))],
        })),
        policy: Some((&key(Kind::AccessPolicy, "platform", "edge")).into()),
        policy_rule: Some(MARKER.to_owned()),
        ..decision(1, FIRST, 0, &front)
    };
    // The clock of this machine is behind, and its trace another one.
    let out = Decision {
        side: Side::Outbound,
        link: Some(FIRST.to_owned()),
        caller: Some(format!("apikey:{MARKER}")),
        request: "r-2".to_owned(),
        ..decision(2, SECOND, 500, &key(Kind::Service, "bank", "app"))
    };
    let inbound = Decision {
        side: Side::Inbound,
        parent: Some(out.span.clone()),
        request: "r-3".to_owned(),
        peer: Some("workload shop/front-1 of east".to_owned()),
        passport: Some("it has ended".to_owned()),
        ..decision(3, SECOND, 300, &key(Kind::Workload, "bank", "app-1"))
    };
    let inbound = denied(inbound, &["bank"], &rule("clerks", "apikey:clerk"));
    Box::pin(tell(&bed, "edge", vec![edge])).await;
    Box::pin(tell(&bed, "shop.front-1", vec![out])).await;
    Box::pin(tell(&bed, "bank.app-1", vec![inbound])).await;
    bed
}

#[tokio::test]
async fn whoever_may_read_everything_is_told_the_whole_way() {
    let bed = told().await;
    let way = show(&bed, "root").await;
    assert_eq!((way.at, way.hops.len()), (AT, 3));
    let [edge, out, inbound] = [0, 1, 2].map(|place| seen(&way.hops[place]));
    assert_eq!([edge.began, out.began, inbound.began], [0, 500, 300], "behind what it follows");
    let passed = format!(
        "gateway edge of east let it pass: rule '{MARKER}' of AccessPolicy platform/edge allows it"
    );
    let went = "it went to shop/app:80 at 10.0.0.1:9000, which answered 200 after 1.5 ms; \
                2 endpoints were tried";
    assert_eq!(edge.words, [passed.as_str(), went]);
    assert_eq!(edge.decision.vector.len(), 3);
    assert_eq!(out.words, ["the proxy of workload shop/front-1 let it out"]);
    let cause = format!("the cause: {MARKER}");
    let wanted = [
        "the proxy of workload bank/app-1 denied it with 403 access_denied: no allow rule of level 1 \
         matches (rule 'clerks' would have needed callers apikey:clerk and saw nobody)",
        "the passport that came with it was refused: it has ended",
        &cause,
        "what would allow it: let rule 'clerks' name apikey:reader",
    ];
    assert_eq!(inbound.words, wanted);
    assert_eq!(inbound.decision.story.as_ref().unwrap()["more"], MARKER, "all of the story");
}

#[tokio::test]
async fn an_application_that_sends_an_id_again_neither_adds_to_a_way_nor_hides_any_of_it() {
    let bed = told().await;
    let service = key(Kind::Service, "shop", "app");
    let forged = (0..300).map(|number| Decision {
        side: Side::Outbound,
        // Some say that they were earlier.
        ..decision(100 + number, &format!("{number:032x}"), 299 - number as i64 * 2, &service)
    });
    for some in forged.collect::<Vec<_>>().chunks(wire::DECISIONS) {
        tell(&bed, "shop.front-1", some.to_vec()).await;
    }
    let way = show(&bed, "root").await;
    let spans: Vec<_> = way.hops.iter().map(|hop| seen(hop).decision.span.clone()).collect();
    assert_eq!(spans, [1, 2, 3].map(|span| format!("{span:016x}")));
}

#[tokio::test]
async fn a_denial_without_its_story_says_why_there_is_none() {
    let bed = Bed::shop().await;
    let front = key(Kind::HttpRoute, "shop", "front");
    let denied = denied(decision(1, FIRST, 0, &front), &["shop"], &rule("a", "b"));
    tell(&bed, "edge", vec![Decision { story: None, detail: None, ..denied }]).await;
    let words = seen(&show(&bed, "root").await.hops[0]).words.clone();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[1].starts_with("which rules it missed was not told"), "{words:?}");
}

#[tokio::test]
async fn another_teams_part_is_time_taken_and_whose_it_is() {
    let bed = told().await;
    let way = show(&bed, "sara").await;
    let edge = seen(&way.hops[0]);
    assert_eq!(edge.words[0], "gateway edge of east let it pass, by a policy of the platform");
    assert_eq!(edge.decision.vector.keys().collect::<Vec<_>>(), ["workspace/shop"]);
    let story = json!({
        "reason": "ok",
        "levels": [{
            "level": 1, "outcome": "allows", "policies": [{ "by": "a policy of the platform" }],
        }],
    });
    assert_eq!(edge.decision.story, Some(story));
    assert_eq!((&edge.decision.policy, &edge.decision.policy_rule), (&None, &None));
    assert_eq!(way.hops[1..], [hidden(500, "workspace/bank"), hidden(300, "workspace/bank")]);
    assert!(!format!("{way:?}").contains(MARKER), "{way:?}");
    let way = show(&bed, "bert").await;
    assert_eq!(way.hops[0], hidden(0, "workspace/shop"));
    assert_eq!(seen(&way.hops[1]).decision.caller, None, "whom the shop knows is its own");
    assert!(seen(&way.hops[2]).change.is_some(), "it is their own policy");
    let none = bed.app.request_show(&op("eve"), "r-1").await.unwrap_err().to_string();
    let never = bed.app.request_show(&op("root"), "r-9").await.unwrap_err().to_string();
    assert_eq!(
        (none.as_str(), never.as_str()),
        ("there is no such request; of those that passed only a share is kept", none.as_str())
    );
}

#[tokio::test]
async fn a_denial_by_others_tells_neither_rules_nor_what_would_be_needed() {
    let bed = Bed::shop().await;
    let front = key(Kind::HttpRoute, "shop", "front");
    let marked = rule(MARKER, MARKER);
    let both = denied(decision(1, FIRST, 0, &front), &["platform", "shop"], &rule("own", "x"));
    let theirs = denied(decision(2, FIRST, 1, &front), &["bank"], &marked);
    let named = Decision {
        policy: Some((&key(Kind::AccessPolicy, "bank", "edge")).into()),
        policy_rule: Some(MARKER.to_owned()),
        story: None,
        ..denied(decision(3, FIRST, 2, &front), &[], &marked)
    };
    let mut closed = denied(decision(4, FIRST, 3, &front), &[], &marked);
    let levels = json!([{
        "level": 1, "outcome": "closed", "unknown": format!("RegoPolicy bank/{MARKER}"), "policies": [],
    }]);
    closed.story.as_mut().unwrap()["levels"] = levels;
    tell(&bed, "edge", vec![both, theirs, named, closed]).await;
    let way = show(&bed, "sara").await;
    assert!(!format!("{way:?}").contains(MARKER), "{way:?}");
    let bank = "a policy of team 'bankers' in workspace bank";
    let denied = "gateway edge of east denied it with 403 access_denied, by";
    for (hop, by) in way.hops.iter().zip(["a policy of the platform", bank, bank, bank]) {
        let hop = seen(hop);
        assert_eq!(hop.words, [format!("{denied} {by}")]);
        assert_eq!(hop.change, None);
    }
    let own = &seen(&way.hops[0]).decision.story.as_ref().unwrap()["levels"][1];
    assert_eq!(own["policies"][0]["rules"][0]["rule"], "own", "their own part stays");
}

#[tokio::test]
async fn a_story_of_another_form_tells_nothing_that_it_should_not() {
    let bed = Bed::shop().await;
    let front = key(Kind::HttpRoute, "shop", "front");
    let theirs = level(1, "allows", "bank", &rule(MARKER, MARKER));
    let mut odd = theirs.clone();
    odd["odd"] = json!(MARKER);
    let stories = [
        json!("text"),
        json!([1]),
        json!({ "levels": "text" }),
        json!({ "levels": [1, "text", null, { "policies": 1 }] }),
        json!({ "because": MARKER, "odd": MARKER, "levels": [{ "policies": [MARKER] }] }),
        json!({ "because": MARKER, "odd": MARKER, "levels": [odd] }),
        json!({ "because": MARKER, "levels": [{ "unreadable": 1 }, theirs] }),
    ];
    let decisions = stories
        .into_iter()
        .zip(1..)
        .map(|(story, span)| Decision { story: Some(story), ..decision(span, FIRST, 0, &front) });
    tell(&bed, "edge", decisions.collect()).await;
    let way = show(&bed, "sara").await;
    assert_eq!(way.hops.len(), 7);
    assert!(!format!("{way:?}").contains(MARKER), "{way:?}");
}

#[tokio::test]
async fn a_hop_is_seen_by_the_owner_of_its_api_and_as_things_were() {
    let bed = Bed::shop().await;
    let labelled = route("shop", "front", "[shop.test]", "/orders")
        .replace("name: front,", "name: front, labels: { heddle.dev/api: orders },");
    let text =
        service("shop") + &api("bankers") + &labelled + &claim("shop", "{ host: shop.test }");
    bed.put("root", &text).await.unwrap();
    let front = key(Kind::HttpRoute, "shop", "front");
    let gone = key(Kind::HttpRoute, "lab", "gone");
    let nowhere = Decision { route: None, ..decision(3, FIRST, 2, &front) };
    let all = vec![decision(1, FIRST, 0, &front), decision(2, FIRST, 1, &gone), nowhere];
    tell(&bed, "edge", all).await;
    // From now on the namespace is a workspace's, and what happened there before is not.
    let lab = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: lab }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: sara, namespace: lab }
spec: { subjects: [{ user: sara }], role: owner }
";
    bed.put("root", lab).await.unwrap();
    let shown = async |user: &str| {
        let way = show(&bed, user).await;
        way.hops.iter().map(|hop| matches!(hop, Hop::Shown(_))).collect::<Vec<_>>()
    };
    assert_eq!(shown("bert").await, [true, false, false], "theirs by its Api");
    assert_eq!(shown("sara").await, [true, false, false]);
    assert_eq!(shown("root").await, [true, true, true]);
}

#[tokio::test]
async fn the_latest_are_listed_in_pages_of_what_may_be_seen() {
    let bed = Bed::shop().await;
    let (shop, bank) = (key(Kind::HttpRoute, "shop", "a"), key(Kind::HttpRoute, "bank", "b"));
    let mut all = Vec::new();
    for at in 0..500 {
        let route = if at % 5 == 0 { &shop } else { &bank };
        let one = Decision {
            request: format!("r-{at}"),
            ..decision(at, FIRST, i64::try_from(at).unwrap(), route)
        };
        let is_denied = at % 10 == 0;
        all.push(if is_denied { denied(one, &["shop"], &rule("a", "b")) } else { one });
    }
    for some in all.chunks(wire::DECISIONS) {
        tell(&bed, "edge", some.to_vec()).await;
    }
    let list = async |user: &str, ended: Ended| {
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let page = bed.app.request_list(&op(user), ended, next, 30).await.unwrap();
            assert!(page.items.len() <= 30);
            found.extend(page.items.into_iter().map(|(_, decision)| decision.request));
            next = page.next;
            if next.is_none() {
                return found;
            }
        }
    };
    let names = |step| {
        let fits = (0..500).rev().filter(|at| at % step == 0);
        fits.map(|at| format!("r-{at}")).collect::<Vec<_>>()
    };
    assert_eq!(list("root", Ended::Anyhow).await, names(1));
    assert_eq!(list("sara", Ended::Anyhow).await, names(5));
    assert_eq!(list("sara", Ended::Denied).await, names(10));
    assert_eq!(list("sara", Ended::By(policy::Reason::AccessDenied)).await, names(10));
    assert_eq!(list("root", Ended::By(policy::Reason::NoRoute)).await, [""; 0]);
    assert_eq!(list("eve", Ended::Anyhow).await, [""; 0]);
}
