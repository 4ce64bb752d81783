//! A plan tells which requests would go elsewhere, and of nothing that may not be read.

use super::*;

impl Bed {
    async fn plan(&self, user: &str, edits: Vec<Edit>) -> Plan {
        self.app.change_plan(&op(user), edits).await.unwrap()
    }
}

fn told(plan: &Plan) -> Vec<String> {
    let word = |answer: &Option<String>| answer.clone().unwrap_or_else(|| "none".to_owned());
    let lines = plan.requests.iter().map(|one| {
        let Rerouted { host, port, path, method, before, after, .. } = one;
        format!("{method} {host}:{port}{path} | {} | {}", word(before), word(after))
    });
    lines.collect()
}

#[tokio::test]
async fn a_plan_names_each_request_that_would_go_elsewhere() {
    let bed = Bed::shop().await;
    let more = service("shop").replace("name: app", "name: new");
    let old = route("shop", "r", "['*.shop.example.com']", "/cart");
    bed.put("sara", &(service("shop") + &more + &old)).await.unwrap();
    let revision = bed.revision().await;
    let shifted = old.replace(
        "backendRefs: [{ name: app, port: 80 }]",
        "backendRefs: [{ name: app, port: 80, weight: 9 }, { name: new, port: 80, weight: 1 }]",
    );
    let plan = bed.plan("sara", read(&shifted).unwrap()).await;
    assert_eq!(plan.objects.len(), 1);
    assert_eq!(plan.objects[0].fields, ["spec.rules[0].backendRefs"]);
    let rule = "rule shop/r/0 of HTTPRoute shop/r to";
    let host = "any-other.shop.example.com:8080";
    assert_eq!(
        told(&plan),
        [format!(
            "GET {host}/cart | {rule} shop/app:80 | {rule} shop/app:80 (9 of 10), shop/new:80 (1 of 10)"
        )]
    );
    assert_eq!(plan.requests[0].matched, "HTTPRoute shop/r: PathPrefix /cart");
    // A narrower match takes its own requests, and no others.
    let narrow = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: n, namespace: shop }
spec:
  parentRefs: [{ name: edge, namespace: platform }]
  hostnames: [a.shop.example.com]
  rules:
    - matches:
        - { path: { type: RegularExpression, value: '/cart/[0-9]+' }, method: POST }
        - path: { type: Exact, value: /cart }
          headers: [{ name: x-beta, value: 'yes' }]
          queryParams: [{ name: q, value: '1' }]
      backendRefs: [{ name: new, port: 80 }]
";
    let (was, is) =
        (format!("{rule} shop/app:80"), "rule shop/n/0 of HTTPRoute shop/n to shop/new:80");
    assert_eq!(
        told(&bed.plan("sara", read(narrow).unwrap()).await),
        [
            format!("POST a.shop.example.com:8080/cart/0 | {was} | {is}"),
            format!("GET a.shop.example.com:8080/cart?q=1 | {was} | {is}"),
        ]
    );
    let gone = Edit::Delete { key: key(Kind::HttpRoute, "shop", "r"), expected: Expect::Any };
    let plan = bed.plan("sara", vec![gone]).await;
    assert_eq!(told(&plan), [format!("GET {host}/cart | {was} | none")]);
    assert_eq!(plan.objects[0].deed, Deed::Delete);
    assert_eq!(bed.revision().await, revision, "a plan writes nothing");
}

#[tokio::test]
async fn a_plan_names_connections_and_datagrams_that_would_go_elsewhere() {
    let bed = Bed::shop().await;
    let text = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: streams, namespace: shop }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: tcp, protocol: TCP, port: 5432 }
    - { name: udp, protocol: UDP, port: 5432 }
    - { name: tls, protocol: TLS, port: 8443, tls: { mode: Passthrough } }
---
apiVersion: v1
kind: Service
metadata: { name: names, namespace: shop }
spec: { ports: [{ port: 53, protocol: UDP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: { name: names, namespace: shop }
spec: { parentRefs: [{ name: streams }], rules: [{ backendRefs: [{ name: names, port: 53 }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: rows, namespace: shop }
spec: { parentRefs: [{ name: streams }], rules: [{ backendRefs: [{ name: app, port: 80 }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: { name: mail, namespace: shop }
spec:
  parentRefs: [{ name: streams }]
  hostnames: ['*.shop.example.com']
  rules: [{ backendRefs: [{ name: app, port: 80 }] }]
";
    bed.put("root", &(service("shop") + text)).await.unwrap();
    let gone = |kind, name| Edit::Delete { key: key(kind, "shop", name), expected: Expect::Any };
    let gone = vec![
        gone(Kind::TcpRoute, "rows"),
        gone(Kind::TlsRoute, "mail"),
        gone(Kind::UdpRoute, "names"),
    ];
    let plan = bed.plan("root", gone).await;
    let mut told = told(&plan);
    told.sort();
    assert_eq!(
        told,
        [
            "CONNECT :5432 | rule shop/rows/0 of TCPRoute shop/rows to shop/app:80 | none",
            "CONNECT any-other.shop.example.com:8443 | rule shop/mail/0 of TLSRoute shop/mail to \
             shop/app:80 | none",
            "UDP :5432 | rule shop/names/0 of UDPRoute shop/names to shop/names:53 | none",
        ]
    );
    let words = |method: &str| if method == "UDP" { "every datagram" } else { "every connection" };
    assert!(plan.requests.iter().all(|one| one.matched.ends_with(words(&one.method))));
}

#[tokio::test]
async fn a_plan_tells_what_would_be_denied() {
    let bed = Bed::shop().await;
    let redirect = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: old, namespace: shop }
spec:
  parentRefs: [{ name: edge, namespace: platform }]
  hostnames: [old.example.com]
  rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { hostname: new.example.com } }] }]
";
    let plan = bed.plan("sara", read(redirect).unwrap()).await;
    let to = "answered 302 (redirected) to http://new.example.com:8080/";
    assert!(told(&plan)[0].contains(to), "{plan:?}");
    bed.put("sara", &(service("shop") + &route("shop", "r", "[a.example.com]", "/")))
        .await
        .unwrap();
    let policy = "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
                  metadata: { name: p, namespace: shop }\n\
                  spec: { targetRefs: [{ kind: HTTPRoute, name: r }], rules: [{ name: no, action: Deny }] }\n";
    let plan = bed.plan("sara", read(policy).unwrap()).await;
    let to = "rule shop/r/0 of HTTPRoute shop/r to shop/app:80";
    let denied = format!("GET a.example.com:8080/ | {to} | {to}; answered 403 (access_denied)");
    assert_eq!(told(&plan), [denied]);
    // People's objects lead nobody elsewhere.
    let team = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: t }\nspec: {}\n";
    let plan = bed.plan("root", read(team).unwrap()).await;
    assert_eq!((plan.objects.len(), plan.requests.len()), (1, 0));
}

#[tokio::test]
async fn a_plan_calls_another_workspaces_what_is_and_stops_at_a_thousand() {
    let bed = Bed::shop().await;
    let wide = route("bank", "hidden", "['*.example.com']", "/");
    bed.put("bert", &(service("bank") + &wide)).await.unwrap();
    let text = service("shop") + &route("shop", "r", "[a.example.com]", "/cart");
    let plan = bed.plan("sara", read(&text).unwrap()).await;
    let to = "rule shop/r/0 of HTTPRoute shop/r to shop/app:80";
    assert_eq!(told(&plan), [format!("GET a.example.com:8080/cart | another workspace's | {to}")]);
    // Who opens a door to others and closes it again learns nothing of who came in.
    let door = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: { name: door, namespace: shop }\n\
                spec: { gatewayClassName: heddle, listeners: [{ name: a, protocol: HTTP, port: 9090, \
                allowedRoutes: { namespaces: { from: All } } }] }\n";
    bed.put("sara", door).await.unwrap();
    let mut guests = service("bank");
    for at in 0..600 {
        let guest = route("bank", &format!("g{at}"), &format!("[g{at}.bank.test]"), "/secret");
        let parents = "[{ name: door, namespace: shop }, { name: edge, namespace: platform }]";
        guests += &guest.replace("[{ name: edge, namespace: platform }]", parents);
    }
    bed.put("bert", &guests).await.unwrap();
    let gone = Edit::Delete { key: key(Kind::Gateway, "shop", "door"), expected: Expect::Any };
    let plan = bed.plan("sara", vec![gone.clone()]).await;
    assert_eq!(
        told(&plan),
        [
            "another workspace's another workspace's:9090another workspace's | another workspace's | none"
        ]
    );
    assert!(!format!("{plan:?}").contains("bank"), "{plan:?}");
    let edge = Edit::Delete { key: key(Kind::Gateway, "platform", "edge"), expected: Expect::Any };
    let plan = bed.plan("root", vec![gone, edge]).await;
    assert_eq!((plan.requests.len(), plan.more), (1000, 201));
}
