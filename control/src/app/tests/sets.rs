//! Listeners that a team adds to a Gateway of the platform.

use super::*;

/// The platform's Gateway, and from where it takes ListenerSets.
fn edge(from: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge, namespace: platform }}
spec:
  gatewayClassName: heddle
  allowedListeners: {{ namespaces: {{ from: {from} }} }}
  listeners:
    - {{ name: http, protocol: HTTP, port: 8080, allowedRoutes: {{ namespaces: {{ from: All }} }} }}
"
    )
}

/// The set `books` of a namespace, for one host at the platform's Gateway.
fn set(namespace: &str, host: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{ name: books, namespace: {namespace} }}
spec:
  parentRef: {{ name: edge, namespace: platform }}
  listeners: [{{ name: http, protocol: HTTP, port: 8080, hostname: {host} }}]
"
    )
}

/// A route of `shop` at its set.
fn led() -> String {
    route("shop", "r", "[]", "/")
        .replace("{ name: edge, namespace: platform }", "{ kind: ListenerSet, name: books }")
}

#[tokio::test]
async fn a_team_adds_listeners_where_the_gateway_lets_it_and_in_its_own_namespace_alone() {
    let bed = Bed::shop().await;
    let wanted = set("shop", "books.example.com") + &service("shop") + &led();
    let told = said(bed.put("sara", &wanted).await);
    let not_taken =
        "spec.parentRef: no Gateway platform/edge takes ListenerSets of namespace 'shop'";
    assert!(told.contains(not_taken), "{told}");
    bed.put("root", &edge("Same")).await.unwrap();
    assert_eq!(said(bed.put("sara", &wanted).await), told);
    bed.put("root", &edge("All")).await.unwrap();
    bed.put("sara", &wanted).await.unwrap();
    let elsewhere = said(bed.put("sara", &set("bank", "bank.example.com")).await);
    assert_eq!(elsewhere, "ListenerSet bank/books: there is none");
    // What a route hangs on does not go before it.
    let gone = said(bed.delete("sara", key(Kind::ListenerSet, "shop", "books")).await);
    assert!(gone.contains("HTTPRoute shop/r"), "{gone}");
    // The platform takes it back without asking.
    bed.put("root", &edge("None")).await.unwrap();
    let assembly = Arc::clone(bed.app.world().await.unwrap().assembly());
    let told: Vec<_> = assembly.faults.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|one| one.contains(not_taken)), "{told:?}");
}

#[tokio::test]
async fn a_set_takes_no_host_that_others_hold_and_its_own_are_not_claimed_away() {
    let bed = Bed::shop().await;
    bed.put("root", &edge("All")).await.unwrap();
    bed.put("bert", &claim("bank", "{ host: bank.example.com }")).await.unwrap();
    for host in ["bank.example.com", "'*.example.com'"] {
        let told = said(bed.put("sara", &set("shop", host)).await);
        assert!(told.contains("which workspace 'bank' holds by Claim bank/hosts"), "{told}");
    }
    bed.put("sara", &set("shop", "shop.example.com")).await.unwrap();
    let late = said(bed.put("bert", &claim("bank", "{ host: '*.example.com' }")).await);
    let wanted = "Claim bank/hosts: *.example.com/ is held by workspace 'shop'; ask team 'sellers'";
    assert_eq!(late, wanted);
    bed.delete("sara", key(Kind::ListenerSet, "shop", "books")).await.unwrap();
    bed.put("bert", &claim("bank", "{ host: '*.example.com' }")).await.unwrap();
}

#[tokio::test]
async fn of_two_teams_that_want_one_host_the_second_is_refused_and_not_told_whose_it_is() {
    let bed = Bed::shop().await;
    bed.put("root", &edge("All")).await.unwrap();
    bed.put("sara", &set("shop", "www.example.com")).await.unwrap();
    let later = Op { now: op("bert").now + time::Duration::SECOND, ..op("bert") };
    let second = read(&set("bank", "www.example.com")).unwrap();
    let told = said(bed.app.change_commit(&later, second).await);
    let wanted = "'www.example.com' on port 8080 is held by a listener of an older ListenerSet";
    assert!(told.ends_with(wanted), "{told}");
}

#[tokio::test]
async fn a_label_of_an_api_gives_no_rule_over_listeners() {
    let bed = Bed::shop().await;
    let team = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: mallorys }\n\
                spec: { members: [mallory] }\n";
    bed.put("root", &(team.to_owned() + &edge("All") + &api("mallorys"))).await.unwrap();
    let labelled = set("shop", "m.example.com")
        .replace("namespace: shop }", "namespace: shop, labels: { heddle.dev/api: orders } }");
    let refused = bed.put("mallory", &labelled).await;
    assert!(matches!(refused, Err(Refusal::Denied(_))), "{refused:?}");
}
