//! Two Apis of one workspace: what one team writes for its own changes nothing of the other's
//! (ADR 026).

use time::Duration;
use wire::{Caller, Side};

use super::request::{FIRST, decision, tell};
use super::traffic::{series, tell_at};
use super::*;
use crate::app::traffic::Wanted;
use crate::app::{Ended, NewAccessRequest};
use crate::moment::micros;

/// Ann's team has the Api `alpha`, Bo's `beta`. Vic is in Bo's, and reads everything.
const PEOPLE: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: alphas }
spec: { members: [ann] }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: betas }
spec: { members: [bo, vic] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: vic, namespace: shop }
spec: { subjects: [{ user: vic }], role: viewer }
---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: alpha, namespace: shop }
spec: { owner: alphas, lifecycle: Published }
---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: beta, namespace: shop }
spec: { owner: betas, lifecycle: Published }
";

impl Bed {
    /// Both with a Service, a Workload and a route below a path of their own.
    async fn neighbours() -> Self {
        let bed = Bed::shop().await;
        bed.put("root", PEOPLE).await.unwrap();
        for (api, port) in [("alpha", 8001), ("beta", 8002)] {
            let made = service_of(api, api, api)
                + &workload(api, api, port)
                + &slice(api, api, "192.0.2.1", port)
                + &secret(api)
                + &route_of(api, api, "[www.example.com]", &format!("/{api}"), api);
            bed.put("sara", &made).await.unwrap();
        }
        bed
    }

    /// What is said to somebody who tries.
    async fn told(&self, user: &str, text: &str) -> String {
        said(self.put(user, text).await)
    }
}

fn of_api(api: &str, kind: &str, version: &str, name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: {version}\nkind: {kind}\n\
         metadata: {{ name: {name}, namespace: shop, labels: {{ heddle.dev/api: {api} }} }}\n{rest}\n"
    )
}

fn service_of(api: &str, name: &str, app: &str) -> String {
    let spec = format!("spec: {{ selector: {{ app: {app} }}, ports: [{{ port: 80 }}] }}");
    of_api(api, "Service", "v1", name, &spec)
}

fn workload(api: &str, name: &str, port: u16) -> String {
    let spec = format!(
        "spec: {{ cluster: east, serviceAccount: {api}, address: 192.0.2.1, \
         ports: [{{ port: {port} }}] }}"
    );
    let text = of_api(api, "Workload", "heddle.dev/v1alpha1", name, &spec);
    text.replace("labels: {", &format!("labels: {{ app: {name},"))
}

fn slice(api: &str, service: &str, address: &str, port: u16) -> String {
    let rest = format!(
        "addressType: IPv4\nendpoints: [{{ addresses: [{address}] }}]\nports: [{{ port: {port} }}]"
    );
    let text = of_api(api, "EndpointSlice", "discovery.k8s.io/v1", &format!("{service}-1"), &rest);
    text.replace("labels: {", &format!("labels: {{ kubernetes.io/service-name: {service},"))
}

fn secret(api: &str) -> String {
    of_api(api, "Secret", "v1", api, "stringData: { clerk: a-key-of-at-least-16-bytes }")
}

fn route_of(api: &str, name: &str, hosts: &str, path: &str, to: &str) -> String {
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: {hosts}\n  \
         rules: [{{ matches: [{{ path: {{ value: {path} }} }}], \
         backendRefs: [{{ name: {to}, port: 80 }}] }}]"
    );
    of_api(api, "HTTPRoute", "gateway.networking.k8s.io/v1", name, &spec)
}

#[tokio::test]
async fn a_route_takes_no_requests_of_another_api() {
    let bed = Bed::neighbours().await;
    let take = |hosts: &str, path: &str| route_of("beta", "mine", hosts, path, "beta");
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    for (hosts, path) in [
        ("[www.example.com]", "/alpha"),
        ("[www.example.com]", "/alpha/deep"),
        ("[www.example.com]", "/%61lpha"),
    ] {
        let told = bed.told("bo", &take(hosts, path)).await;
        assert!(told.starts_with("HTTPRoute shop/mine: ") && told.ends_with(whose), "{told}");
        assert!(!told.contains("shop/alpha"), "{told}");
    }
    // Nor by writing more into the route that is there.
    let more = route_of("beta", "beta", "[www.example.com]", "/beta", "beta")
        .replace("/beta } }]", "/beta } }, { path: { type: Exact, value: /alpha/list } }]");
    let told = bed.told("bo", &more).await;
    assert_eq!(told, format!("HTTPRoute shop/beta: www.example.com/alpha/list {whose}"));
    // Whoever may see the route is told of it, and what to ask for.
    let told = bed.told("vic", &take("[www.example.com]", "/alpha")).await;
    assert!(told.starts_with("HTTPRoute shop/alpha: no grant of yours allows Use: "), "{told}");
    // Nor does one lie around it, where it could not grow and what it leaves would fall.
    for (hosts, path) in [("[www.example.com]", "/"), ("['*.example.com']", "/alpha"), ("[]", "/")]
    {
        let told = bed.told("bo", &take(hosts, path)).await;
        assert!(told.ends_with(whose), "{told}");
    }
    // What is below one's own is one's own, and so is what nobody has.
    for (hosts, path) in [("[www.example.com]", "/beta/deep"), ("[other.example.com]", "/alpha")] {
        bed.put("bo", &take(hosts, path)).await.unwrap();
    }
    // What a broader one of another Api answers is taken once, by who may; then it is one's own.
    let all = route_of("alpha", "all", "[shop.example.com]", "/", "alpha");
    bed.put("ann", &all).await.unwrap();
    let told = bed.told("bo", &take("[shop.example.com]", "/new")).await;
    assert_eq!(told, format!("HTTPRoute shop/mine: shop.example.com/new {whose}"));
    let given = route_of("beta", "given", "[shop.example.com]", "/new", "beta");
    bed.put("sara", &given).await.unwrap();
    bed.put("bo", &take("[shop.example.com]", "/new/below")).await.unwrap();
    bed.put("bo", &given.replace("/new", "/new/less")).await.unwrap();
}

#[tokio::test]
async fn a_route_leads_to_no_service_of_another_api_unless_it_may_use_it() {
    let bed = Bed::neighbours().await;
    let to = |name: &str| route_of("beta", "beta", "[www.example.com]", "/beta", name);
    for name in ["alpha", "nothing"] {
        let none = format!("Service shop/{name}: there is none");
        assert_eq!(bed.told("bo", &to(name)).await, none);
        let mirror = to("beta").replace(
            "backendRefs",
            &format!(
                "filters: [{{ type: RequestMirror, requestMirror: {{ backendRef: \
                 {{ name: {name}, port: 80 }} }} }}], backendRefs"
            ),
        );
        assert_eq!(bed.told("bo", &mirror).await, none);
    }
    let told = bed.told("vic", &to("alpha")).await;
    assert!(told.starts_with("Service shop/alpha: no grant of yours allows Use: "), "{told}");
    // Consent is a Grant of Use, which gives no more than that.
    let consent = "---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: callers, namespace: shop }
spec: { rules: [{ kinds: [Service], verbs: [Read, Use] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: beta-calls-alpha, namespace: shop }
spec: { subjects: [{ team: betas }], role: callers, apis: [alpha] }
";
    bed.put("sara", consent).await.unwrap();
    bed.put("bo", &to("alpha")).await.unwrap();
    assert!(bed.put("bo", &service_of("alpha", "alpha", "other")).await.is_err());
    // What leads there already may be edited when the consent is gone, and not led there anew.
    bed.delete("sara", key(Kind::Grant, "shop", "beta-calls-alpha")).await.unwrap();
    bed.put("bo", &to("alpha").replace("port: 80", "port: 80, weight: 5")).await.unwrap();
    bed.put("bo", &to("beta")).await.unwrap();
    assert_eq!(bed.told("bo", &to("alpha")).await, "Service shop/alpha: there is none");
}

#[tokio::test]
async fn a_gateway_believes_no_authorities_of_another_api_and_takes_none_that_are_waited_for() {
    let bed = Bed::neighbours().await;
    bed.put("sara", TWIN).await.unwrap();
    let map = |api: &str, name: &str| of_api(api, "ConfigMap", "v1", name, "data: { ca.crt: pem }");
    let cert = of_api(
        "beta",
        "Secret",
        "v1",
        "cert",
        "type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }",
    );
    let asking = |name: &str| {
        let spec = format!(
            "spec:\n  gatewayClassName: heddle\n  listeners: [{{ name: own, port: 9443, protocol: HTTPS, \
             hostname: own.example.org, tls: {{ certificateRefs: [{{ name: cert }}] }} }}]\n  tls: \
             {{ frontend: {{ default: {{ validation: {{ caCertificateRefs: [{{ group: '', \
             kind: ConfigMap, name: {name} }}] }} }} }} }}"
        );
        // Of another Api of theirs than what it names, so that whoever takes that away is not kept from it.
        of_api("gamma", "Gateway", "gateway.networking.k8s.io/v1", "own", &spec)
    };
    let gates = "---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: gates, namespace: shop }
spec: { rules: [{ kinds: [Gateway], verbs: [Read, Create, Update] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: beta-gates, namespace: shop }
spec: { subjects: [{ team: betas }], role: gates, apis: [gamma] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: sweeper, namespace: shop }
spec: { subjects: [{ user: zed }], apis: [beta], rules: [{ kinds: [ConfigMap], verbs: [Read, Delete] }] }
";
    bed.put("sara", gates).await.unwrap();
    bed.put("ann", &map("alpha", "partners")).await.unwrap();
    bed.put("bo", &(cert + &map("beta", "own"))).await.unwrap();
    for name in ["partners", "nothing"] {
        let none = format!("ConfigMap shop/{name}: there is none");
        assert_eq!(bed.told("bo", &asking(name)).await, none);
    }
    bed.put("bo", &asking("own")).await.unwrap();
    // Whoever takes the name once it is free would say whom the Gateway believes.
    bed.delete("zed", key(Kind::ConfigMap, "shop", "own")).await.unwrap();
    let told = bed.told("ann", &map("alpha", "own")).await;
    let waits = "ConfigMap shop/own: what waits for that name, a Gateway";
    assert!(told.starts_with(waits), "{told}");
    bed.put("bo", &map("beta", "own")).await.unwrap();
}

#[tokio::test]
async fn a_policy_takes_no_keys_of_another_api() {
    let bed = Bed::neighbours().await;
    let policy = |secret: &str| {
        let spec = format!(
            "spec: {{ targetRefs: [{{ kind: HTTPRoute, name: beta }}], \
             methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: {secret} }} }} }}] }}"
        );
        of_api("beta", "AuthnPolicy", "heddle.dev/v1alpha1", "beta", &spec)
    };
    assert_eq!(bed.told("bo", &policy("alpha")).await, "Secret shop/alpha: there is none");
    bed.put("bo", &policy("beta")).await.unwrap();
}

#[tokio::test]
async fn a_service_selects_no_workload_of_another_api_nor_joins_one_the_other_way() {
    let bed = Bed::neighbours().await;
    let told = bed.told("bo", &service_of("beta", "beta", "alpha")).await;
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    assert_eq!(told, format!("Service shop/beta: a Workload that spec.selector fits {whose}"));
    let told = bed.told("vic", &service_of("beta", "beta", "alpha")).await;
    assert!(told.starts_with("Workload shop/alpha: no grant of yours allows Use: "), "{told}");
    bed.put("bo", &service_of("beta", "more", "beta")).await.unwrap();
    // Whoever registers Workloads for one Api puts none behind the Services of another.
    let registrar = "---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: { name: registrar, namespace: shop }
spec: { rules: [{ kinds: [Workload], verbs: [Read, Create, Update, Delete] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: registrars, namespace: shop }
spec: { subjects: [{ team: betas }], role: registrar, apis: [beta] }
";
    bed.put("sara", registrar).await.unwrap();
    let late = workload("beta", "late", 8009);
    bed.put("bo", &late.replace("app: late", "app: beta")).await.unwrap();
    let told = bed.told("bo", &late.replace("app: late", "app: alpha")).await;
    assert_eq!(told, format!("Workload shop/late: a Service that metadata.labels fit {whose}"));
}

#[tokio::test]
async fn endpoints_are_not_put_where_another_api_has_its_own() {
    let bed = Bed::neighbours().await;
    let told = bed.told("bo", &slice("beta", "beta", "192.0.2.1", 8001)).await;
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    let wanted = format!("EndpointSlice shop/beta-1: an endpoint at 192.0.2.1, port 8001 {whose}");
    assert_eq!(told.lines().next(), Some(&*wanted));
    bed.put("bo", &slice("beta", "beta", "192.0.2.1", 8003)).await.unwrap();
    // Nor are they there before a Service that somebody else is to make.
    let told = bed.told("bo", &slice("beta", "nothing", "192.0.2.9", 8009)).await;
    assert_eq!(told, "Service shop/nothing: there is none");
    let both = service_of("beta", "new", "new") + &slice("beta", "new", "192.0.2.9", 8009);
    bed.put("bo", &both).await.unwrap();
    // Nor do they stay when it goes, for whoever makes one of that name.
    let kept = said(bed.delete("bo", key(Kind::Service, "shop", "new")).await);
    assert!(kept.contains("EndpointSlice shop/new-1 still needs it"), "{kept}");
    bed.delete("bo", key(Kind::EndpointSlice, "shop", "new-1")).await.unwrap();
    bed.delete("bo", key(Kind::Service, "shop", "new")).await.unwrap();
    // One that was there before that was so is asked for.
    let stray = slice("alpha", "stray", "192.0.2.8", 8008);
    bed.put("sara", &stray).await.unwrap();
    let told = bed.told("bo", &service_of("beta", "stray", "stray")).await;
    assert_eq!(told, format!("Service shop/stray: an EndpointSlice for that name {whose}"));
    // All loopback addresses are one place, and what is no machine's is nobody's to list.
    let here = slice("alpha", "alpha", "127.0.0.1", 8011);
    bed.put("sara", &here).await.unwrap();
    let told = bed.told("bo", &slice("beta", "beta", "127.0.0.2", 8011)).await;
    assert!(told.contains("an endpoint at 127.0.0.1, port 8011 is held by Api 'alpha'"), "{told}");
    for (nobodys, why) in [
        ("0.0.0.0", "is the address of no machine"),
        ("0.1.2.3", "is the address of no machine"),
        ("255.255.255.255", "is the address of no machine"),
        ("224.0.0.1", "is a multicast address; write that of one machine"),
        ("169.254.169.254", "is link-local, and another machine on each"),
    ] {
        let told = read(&slice("beta", "beta", nobodys, 8011)).unwrap_err();
        assert_eq!(told[0].reason, format!("'{nobodys}' {why}"));
    }
    // An address has one form.
    let mapped = slice("beta", "beta", "'::ffff:192.0.2.1'", 8001).replace("IPv4", "IPv6");
    let twin = workload("beta", "twin", 8001).replace("192.0.2.1", "'::ffff:192.0.2.1'");
    for other_form in [mapped, twin] {
        let told = read(&other_form).unwrap_err();
        assert!(told[0].reason.contains("is the IPv4 address 192.0.2.1; write that"), "{told:?}");
    }
}

/// A Grant of the role `owner` on the Api `beta` alone.
const OWNER_OF_BETA: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: bo, namespace: shop }
spec: { subjects: [{ user: bo }], role: owner, apis: [beta] }
";

#[tokio::test]
async fn who_may_make_workloads_of_one_api_puts_them_in_the_place_of_no_others() {
    let bed = Bed::neighbours().await;
    bed.put("root", OWNER_OF_BETA).await.unwrap();
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    let told = bed.told("bo", &workload("beta", "thief", 8001)).await;
    let wanted = format!("Workload shop/thief: an endpoint at 192.0.2.1, port 8001 {whose}");
    assert_eq!(told.lines().next(), Some(&*wanted));
    let own = workload("beta", "copy", 8012);
    let named =
        |account: &str| own.replace("serviceAccount: beta", &format!("serviceAccount: {account}"));
    let told = bed.told("bo", &named("alpha")).await;
    let said = format!("Workload shop/copy: a Workload of that spec.serviceAccount {whose}");
    assert_eq!(told, said);
    bed.put("bo", &named("beta")).await.unwrap();
    let upstream = |to: &str| {
        let mesh = format!(
            "mesh: {{ port: 15008, upstreams: [{{ listen: 15009, name: {to}, port: 80 }}] }}, address:"
        );
        named("beta").replace("address:", &mesh)
    };
    assert_eq!(bed.told("bo", &upstream("alpha")).await, "Service shop/alpha: there is none");
    bed.put("bo", &upstream("beta")).await.unwrap();
}

#[tokio::test]
async fn a_gateway_or_listener_set_of_one_api_takes_no_host_of_anothers() {
    let bed = Bed::neighbours().await;
    bed.put("root", OWNER_OF_BETA).await.unwrap();
    let listening = |kind: &str, head: &str, host: &str| {
        let spec = format!(
            "spec: {{ {head}, listeners: \
             [{{ name: a, protocol: HTTP, port: 8080, hostname: {host} }}] }}"
        );
        of_api("beta", kind, "gateway.networking.k8s.io/v1", "mine", &spec)
    };
    let gateway = "gatewayClassName: heddle, allowedListeners: { namespaces: { from: Same } }";
    let set = "parentRef: { name: mine }";
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    for (kind, head, free) in
        [("Gateway", gateway, "beta.example.net"), ("ListenerSet", set, "more.example.net")]
    {
        for host in ["www.example.com", "'*.example.com'"] {
            let told = bed.told("bo", &listening(kind, head, host)).await;
            let said = format!("{kind} shop/mine: {} {whose}", host.trim_matches('\''));
            assert_eq!(told, said);
        }
        bed.put("bo", &listening(kind, head, free)).await.unwrap();
        let told = bed.told("bo", &listening(kind, head, "www.example.com")).await;
        assert!(told.ends_with(whose), "{told}");
    }
}

/// A Gateway with a listener for TCP, and one for TLS that goes on as it came.
const STREAMS: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: streams, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: tcp, protocol: TCP, port: 5432, allowedRoutes: { namespaces: { from: All } } }
    - { name: udp, protocol: UDP, port: 5432, allowedRoutes: { namespaces: { from: All } } }
    - { name: tls, protocol: TLS, port: 8443, tls: { mode: Passthrough },
        allowedRoutes: { namespaces: { from: All } } }
";

fn stream_of(api: &str, kind: &str, name: &str, hosts: &str) -> String {
    let hosts = if hosts.is_empty() { String::new() } else { format!("  hostnames: {hosts}\n") };
    let section = kind.strip_suffix("Route").unwrap_or_default().to_lowercase();
    let to = if kind == "UDPRoute" { format!("{api}-names") } else { api.to_owned() };
    let spec = format!(
        "spec:\n  parentRefs: [{{ name: streams, namespace: platform, sectionName: {section} }}]\n\
         {hosts}  rules: [{{ backendRefs: [{{ name: {to}, port: 80 }}] }}]"
    );
    of_api(api, kind, "gateway.networking.k8s.io/v1", name, &spec)
}

#[tokio::test]
async fn a_port_or_server_name_of_one_api_is_no_others() {
    let bed = Bed::neighbours().await;
    bed.put("root", STREAMS).await.unwrap();
    bed.put("ann", &stream_of("alpha", "TCPRoute", "rows", "")).await.unwrap();
    bed.put("ann", &stream_of("alpha", "TLSRoute", "mail", "[mail.example.com]")).await.unwrap();
    // A number is another port of UDP, and so nobody's yet.
    for (who, api) in [("ann", "alpha"), ("bo", "beta")] {
        let ports = "spec: { ports: [{ port: 80, protocol: UDP }] }";
        bed.put(who, &of_api(api, "Service", "v1", &format!("{api}-names"), ports)).await.unwrap();
    }
    bed.put("bo", &stream_of("beta", "UDPRoute", "first", "")).await.unwrap();
    let told = bed.told("ann", &stream_of("alpha", "UDPRoute", "second", "")).await;
    assert!(told.ends_with("is held by Api 'beta'; ask team 'betas'"), "{told}");
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    for (kind, hosts) in
        [("TCPRoute", ""), ("TLSRoute", "[mail.example.com]"), ("TLSRoute", "['*.example.com']")]
    {
        let told = bed.told("bo", &stream_of("beta", kind, "mine", hosts)).await;
        assert!(told.ends_with(whose), "{kind} {hosts}: {told}");
    }
    // What leads requests has other listeners, so its hosts are in nobody's way here.
    bed.put("bo", &stream_of("beta", "TLSRoute", "mine", "[www.example.com]")).await.unwrap();
    let told = bed.told("bo", &stream_of("alpha", "TLSRoute", "more", "[x.example.com]")).await;
    assert_eq!(told, "TLSRoute shop/more: there is none");
}

#[tokio::test]
async fn a_path_is_what_requests_are_matched_by() {
    let bed = Bed::neighbours().await;
    let all = route_of("alpha", "all", "[shop.example.com]", "/", "alpha");
    bed.put("ann", &all).await.unwrap();
    let given = |path: &str| route_of("beta", "given", "[shop.example.com]", path, "beta");
    bed.put("sara", &given("/new")).await.unwrap();
    let told = bed.told("bo", &given("/new/%2e%2e/checkout")).await;
    let whose = "is held by Api 'alpha'; ask team 'alphas'";
    assert_eq!(told, format!("HTTPRoute shop/given: shop.example.com/checkout {whose}"));
    bed.put("bo", &given("/%6eew/%2e/below")).await.unwrap();
}

#[tokio::test]
async fn a_grant_is_on_apis_that_are_there() {
    let bed = Bed::neighbours().await;
    let grant = |api: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
             metadata: {{ name: g, namespace: shop }}\n\
             spec: {{ subjects: [{{ user: vic }}], role: viewer, apis: [{api}] }}\n"
        )
    };
    let told = bed.told("sara", &grant("gamma")).await;
    assert_eq!(told, "Grant shop/g: spec.apis[0]: workspace/shop has no Api 'gamma'");
    let gamma = "apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
                 metadata: { name: gamma, namespace: shop }\nspec: { owner: alphas }\n---\n";
    bed.put("sara", &(gamma.to_owned() + &grant("gamma"))).await.unwrap();
    let kept = said(bed.delete("sara", key(Kind::Api, "shop", "gamma")).await);
    assert!(kept.contains("Grant shop/g still needs it"), "{kept}");
}

#[tokio::test]
async fn what_others_need_of_an_object_keeps_nobody_from_changing_it() {
    let bed = Bed::neighbours().await;
    bed.put("sara", &service_of("beta", "more", "more")).await.unwrap();
    let led = route_of("alpha", "hidden", "[www.example.com]", "/alpha/more", "more");
    bed.put("sara", &led).await.unwrap();
    // Who could mend what would break is told of it, and everybody else neither kept from it nor told.
    let more = || key(Kind::Service, "shop", "more");
    let told = said(bed.delete("sara", more()).await);
    assert!(told.starts_with("HTTPRoute shop/hidden: spec.rules[0]"), "{told}");
    let workspaces = slice("", "more", "192.0.2.7", 8007).replace(", heddle.dev/api: ", "");
    bed.put("sara", &workspaces).await.unwrap();
    let told = said(bed.delete("bo", more()).await);
    let kept = "something of workspace 'shop' (ask team 'sellers')";
    assert_eq!(told, format!("Service shop/more: {kept} still needs it; take that away first"));
    bed.delete("sara", key(Kind::EndpointSlice, "shop", "more-1")).await.unwrap();
    bed.delete("bo", more()).await.unwrap();
    // Of one's own Api it is a reason, though one may not mend it.
    let services = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
                    metadata: { name: zed, namespace: shop }\n\
                    spec: { subjects: [{ user: zed }], apis: [alpha], \
                    rules: [{ kinds: [Service], verbs: [Read, Delete] }] }\n";
    let own = service_of("alpha", "own", "own");
    let to = route_of("alpha", "to-own", "[www.example.com]", "/alpha/own", "own");
    bed.put("sara", &(services.to_owned() + &own + &to)).await.unwrap();
    let told = said(bed.delete("zed", key(Kind::Service, "shop", "own")).await);
    let whose = "something of Api 'alpha' (ask team 'alphas')";
    assert_eq!(told, format!("{whose} would not work any more"));
}

#[tokio::test]
async fn a_key_is_revoked_though_a_policy_of_another_api_names_it() {
    let bed = Bed::neighbours().await;
    let keys = |names: &str| {
        of_api("alpha", "Secret", "v1", "shared", &format!("stringData: {{ {names} }}"))
    };
    let (good, stolen) = ("good: 0123456789abcdef", "stolen: fedcba9876543210");
    let policy = |kind: &str, api: &str, name: &str, target: &str, spec: &str| {
        let spec = format!("spec: {{ targetRefs: [{{ {target} }}], {spec} }}");
        of_api(api, kind, "heddle.dev/v1alpha1", name, &spec)
    };
    let outer = "methods: [{ name: keys, apiKey: { secretRef: { name: shared } } }]";
    let listeners = "spec: { gatewayClassName: heddle, listeners: \
                     [{ name: http, protocol: HTTP, port: 8443, hostname: www.example.com }] }";
    let gate = of_api("alpha", "Gateway", "gateway.networking.k8s.io/v1", "mine", listeners);
    let gate = gate + &policy("AuthnPolicy", "alpha", "outer", "kind: Gateway, name: mine", outer);
    bed.put("sara", &(keys(&format!("{good}, {stolen}")) + &gate)).await.unwrap();
    let own = route_of("beta", "beta", "[www.example.com]", "/beta", "beta")
        .replace("name: edge, namespace: platform", "name: mine");
    bed.put("sara", &own).await.unwrap();
    let named = |key: &str| {
        let rules = format!("rules: [{{ name: k, when: {{ callers: [{{ apiKey: {key} }}] }} }}]");
        policy("AccessPolicy", "beta", "beta", "kind: HTTPRoute, name: beta", &rules)
    };
    // Whose Secrets do not have it is not told.
    let told = bed.told("bo", &named("nobody")).await;
    assert!(
        told.contains("no key 'nobody' in what other owners' policies take keys from"),
        "{told}"
    );
    bed.put("bo", &named("stolen")).await.unwrap();
    bed.put("ann", &keys(good)).await.unwrap();
}

#[tokio::test]
async fn beside_endpoints_that_cannot_be_read_only_who_may_edit_all_leads_to_others() {
    let bed = Bed::neighbours().await;
    let scope = Scope::Workspace(name("shop"));
    let spec = r#""addressType":"IPv4""#;
    bed.newer(Kind::EndpointSlice, "shop", "later", spec, scope).await;
    let moved = |port| slice("beta", "beta", "192.0.2.1", port);
    for new in [moved(8004), service_of("beta", "new", "new")] {
        let told = bed.told("bo", &new).await;
        let why = ": spec: whether it leads to what is another Api's cannot be told, since this \
                   version of heddle-server cannot read some endpoints here; ask somebody who may \
                   edit all of them";
        assert!(told.ends_with(why), "{told}");
    }
    // What leads nowhere else than before may be edited.
    bed.put("bo", &moved(8002).replace("port: 8002", "port: 8002, name: http")).await.unwrap();
    bed.put("sara", &moved(8004)).await.unwrap();
}

#[tokio::test]
async fn who_takes_a_freed_name_sees_nothing_of_the_object_before() {
    let bed = Bed::neighbours().await;
    let launch =
        |api: &str| route_of(api, "launch", "[www.example.com]", &format!("/{api}/x"), api);
    bed.put("ann", &launch("alpha")).await.unwrap();
    let launched = key(Kind::HttpRoute, "shop", "launch");
    tell(&bed, "edge", vec![decision(1, FIRST, 0, &launched)]).await;
    let minute = |minutes: i64| micros(op("ann").now) + minutes * 60_000_000;
    let counted = |count| series(Side::Edge, &launched, "shop/alpha:80", Caller::Others, count);
    tell_at(&bed, "edge", vec![counted(7)], minute(4)).await;
    let asked = NewAccessRequest {
        verb: Verb::Update,
        key: launched.clone(),
        field: None,
        message: "confidential".to_owned(),
    };
    let vic = store::user::User {
        id: "id-vic".to_owned(),
        name: "vic".to_owned(),
        password: None,
        disabled: false,
        created: 1,
        updated: 1,
    };
    bed.app.store().user_create(&vic, &store::Entry::default()).await.unwrap();
    bed.app.access_request_create(&op("vic"), asked).await.unwrap();
    let later = |user: &str| Op { now: op(user).now + Duration::minutes(5), ..op(user) };
    let seen = async |user: &str| {
        let page = bed.app.request_list(&later(user), Ended::Anyhow, None, 10).await.unwrap();
        let shown = bed.app.request_show(&later(user), "r-1").await.is_ok();
        let asks = bed.app.access_request_list(&later(user), None, None, 10).await.unwrap();
        let wanted = Wanted { window: Duration::minutes(15).unsigned_abs(), ..Wanted::default() };
        let rows = bed.app.traffic_show(&later(user), wanted).await.unwrap().rows;
        let requests: u64 = rows.iter().map(|row| row.sum.requests()).sum();
        (page.items.len(), shown, asks.items.len(), requests)
    };
    assert_eq!((seen("ann").await, seen("bo").await), ((1, true, 1, 7), (0, false, 0, 0)));
    bed.delete("ann", launched.clone()).await.unwrap();
    bed.app.change_commit(&later("bo"), read(&launch("beta")).unwrap()).await.unwrap();
    assert_eq!(seen("bo").await, (0, false, 0, 0));
    tell_at(&bed, "edge", vec![counted(5)], minute(5)).await;
    assert_eq!(seen("bo").await, (0, false, 0, 5));
    assert_eq!(seen("sara").await, (1, true, 0, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_who_changes_much_keeps_others_from_changing_anything() {
    let bed = Arc::new(Bed::neighbours().await);
    let busy = (0..6).map(|nth| {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move {
            for step in 0..20 {
                let path = format!("/p{step}");
                let hosts = format!("{{ host: {nth}.example.org, paths: [{path}] }}");
                let claim = claim("shop", &hosts).replace("name: hosts", &format!("name: c{nth}"));
                bed.put("sara", &claim).await.unwrap();
            }
        })
    });
    let busy: Vec<_> = busy.collect();
    for weight in 1..=10 {
        let to = route_of("beta", "beta", "[www.example.com]", "/beta", "beta");
        let to = to.replace("port: 80", &format!("port: 80, weight: {weight}"));
        bed.put("bo", &to).await.unwrap();
    }
    for one in busy {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_role_is_given_on_by_who_may_read_it() {
    let bed = Bed::neighbours().await;
    let role = "apiVersion: heddle.dev/v1alpha1\nkind: Role\n\
                metadata: { name: toolkit, namespace: shop }\n\
                spec: { rules: [{ kinds: [HTTPRoute], verbs: [Read] }] }\n";
    bed.put("sara", role).await.unwrap();
    let grant = of_api(
        "beta",
        "Grant",
        "heddle.dev/v1alpha1",
        "me",
        "spec: { subjects: [{ team: betas }], role: toolkit, apis: [beta] }",
    );
    let told = bed.told("bo", &grant).await;
    assert_eq!(told, "Grant shop/me: spec.role: there is no role 'toolkit' here");
    bed.put("sara", &grant).await.unwrap();
}

#[tokio::test]
async fn one_api_takes_a_part_of_its_workspace_and_leaves_room_for_others() {
    let bed = Bed::neighbours().await;
    let bounded = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: shop }\n\
                   spec: { namespaces: [shop], bounds: { endpoints: 20 } }\n";
    bed.put("root", bounded).await.unwrap();
    let all = |count: usize| {
        let addresses: Vec<_> = (1..=count).map(|nth| format!("192.0.2.{}", 100 + nth)).collect();
        slice("beta", "beta", &addresses.join(", "), 8002)
    };
    // A Workload is one, too.
    bed.put("bo", &all(4)).await.unwrap();
    let told = bed.told("bo", &all(5)).await;
    let why = |taken| {
        format!(
            "the Apis of team 'betas' would take {taken} endpoints; they may take 5, a quarter of what \
             workspace/shop may, unless somebody who may edit all of that gives them more"
        )
    };
    assert_eq!(told, format!("EndpointSlice shop/beta-1: {}", why(6)));
    // Another Api of the same team is no way to more.
    let twin = "apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
                metadata: { name: gamma, namespace: shop }\nspec: { owner: betas }\n";
    bed.put("sara", &(twin.to_owned() + &service_of("gamma", "gamma", "gamma"))).await.unwrap();
    let more = slice("gamma", "gamma", "192.0.2.180", 8009);
    assert_eq!(bed.told("bo", &more).await, format!("EndpointSlice shop/gamma-1: {}", why(6)));
    bed.put("sara", &all(5)).await.unwrap();
    // What is there may be edited on.
    bed.put("bo", &all(5).replace("port: 8002", "port: 8003")).await.unwrap();
}

/// Bo's team has a second Api with a Service, and `zed` may take away what is of the first.
const TWIN: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: gamma, namespace: shop }
spec: { owner: betas, lifecycle: Published }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: zed, namespace: shop }
spec: { subjects: [{ user: zed }], apis: [beta], rules: [{ kinds: [Service, Secret], verbs: [Read, Delete] }] }
";

/// A policy that lets everybody in.
fn opens(api: &str, name: &str, kind: &str, target: &str) -> String {
    let spec = format!(
        "spec: {{ targetRefs: [{{ kind: {kind}, name: {target} }}], \
         rules: [{{ name: all, when: {{}} }}] }}"
    );
    of_api(api, "AccessPolicy", "heddle.dev/v1alpha1", name, &spec)
}

#[tokio::test]
async fn what_rules_over_an_object_goes_along_with_it() {
    let bed = Bed::neighbours().await;
    bed.put("sara", TWIN).await.unwrap();
    let wrong = |target: &str| {
        format!(
            "metadata.labels['heddle.dev/api']: it rules over {target}, which belongs to Api 'beta': \
             give it the same label"
        )
    };
    // Both are Bo's, and one of them may be given away.
    let told = bed.told("bo", &opens("gamma", "p", "HTTPRoute", "beta")).await;
    assert_eq!(told, format!("AccessPolicy shop/p: {}", wrong("HTTPRoute shop/beta")));
    let told = bed.told("bo", &slice("gamma", "beta", "192.0.2.9", 8009)).await;
    assert_eq!(told, format!("EndpointSlice shop/beta-1: {}", wrong("Service shop/beta")));
    let grant = |apis: &str| {
        let spec = format!(
            "spec: {{ subjects: [{{ user: zed }}], rules: [{{ kinds: [Service], verbs: [Read] }}], apis: {apis} }}"
        );
        of_api("gamma", "Grant", "heddle.dev/v1alpha1", "g", &spec)
    };
    let told = bed.told("bo", &grant("[beta]")).await;
    let why = "a Grant of Api 'gamma' gives on that one alone: write spec.apis: [gamma], or one Grant \
               for each Api, with its label";
    assert_eq!(told, format!("Grant shop/g: metadata.labels['heddle.dev/api']: {why}"));
    bed.put("bo", &grant("[gamma]")).await.unwrap();
    // Nor is the object itself moved away from under it.
    bed.put("bo", &opens("beta", "p", "HTTPRoute", "beta")).await.unwrap();
    let moved = route_of("gamma", "beta", "[www.example.com]", "/beta", "beta");
    let told = bed.told("sara", &moved).await;
    let why = "AccessPolicy shop/p, which belongs to Api 'beta', rules over it: give that the same \
               label, too";
    assert_eq!(told, format!("HTTPRoute shop/beta: metadata.labels['heddle.dev/api']: {why}"));
    let both = moved + &opens("gamma", "p", "HTTPRoute", "beta");
    bed.put("sara", &both).await.unwrap();
    // The workspace's owners rule over everything, whose hold nobody is to take for an Api's.
    let own = opens("", "all", "HTTPRoute", "alpha").replace(", labels: { heddle.dev/api:  }", "");
    bed.put("sara", &own).await.unwrap();
}

#[tokio::test]
async fn who_takes_a_freed_name_meets_nothing_that_waits_for_it() {
    let bed = Bed::neighbours().await;
    bed.put("sara", TWIN).await.unwrap();
    // Of another Api than what it leads by, so that whoever takes that away is not kept from it.
    let names = |api: &str, name: &str| {
        let spec = format!(
            "spec: {{ targetRefs: [{{ kind: HTTPRoute, name: {api} }}], \
             methods: [{{ name: keys, apiKey: {{ secretRef: {{ name: {name} }} }} }}] }}"
        );
        of_api(api, "AuthnPolicy", "heddle.dev/v1alpha1", "keys", &spec)
    };
    let led = route_of("gamma", "led", "[www.example.com]", "/gamma", "ledger");
    let keyed = secret("beta").replace("name: beta", "name: ledger");
    let all = service_of("beta", "ledger", "ledger") + &keyed;
    let by = route_of("gamma", "gamma", "[www.example.com]", "/gamma/x", "beta");
    bed.put("sara", &(all + &led + &by + &names("gamma", "ledger"))).await.unwrap();
    for kind in [Kind::Service, Kind::Secret] {
        bed.delete("zed", key(kind, "shop", "ledger")).await.unwrap();
    }
    let whose = "is held by Api 'gamma'; ask team 'betas'";
    let told = bed.told("ann", &service_of("alpha", "ledger", "ledger")).await;
    assert_eq!(
        told,
        format!("Service shop/ledger: what waits for that name, an HTTPRoute {whose}")
    );
    let told = bed.told("ann", &secret("alpha").replace("name: alpha", "name: ledger")).await;
    assert_eq!(
        told,
        format!("Secret shop/ledger: what waits for that name, an AuthnPolicy {whose}")
    );
    // Who had it last makes it anew, and takes back that it went.
    bed.put("bo", &service_of("beta", "ledger", "ledger")).await.unwrap();
    bed.delete("zed", key(Kind::Service, "shop", "ledger")).await.unwrap();
    let gone = bed.revision().await;
    bed.app.change_revert(&op("bo"), gone).await.unwrap();
    bed.delete("zed", key(Kind::Service, "shop", "ledger")).await.unwrap();
    assert!(bed.told("ann", &service_of("alpha", "ledger", "ledger")).await.ends_with(whose));
    // Whose they are may make it, and so may whoever owns the workspace.
    bed.put("bo", &service_of("gamma", "ledger", "ledger")).await.unwrap();
    bed.put("sara", &secret("alpha").replace("name: alpha", "name: ledger")).await.unwrap();
}

#[tokio::test]
async fn the_past_of_an_api_is_not_for_another_one_of_its_name() {
    let bed = Bed::neighbours().await;
    let api = |owner: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
             metadata: {{ name: orders, namespace: shop }}\nspec: {{ owner: {owner} }}\n"
        )
    };
    bed.put("sara", &api("alphas")).await.unwrap();
    let plan = of_api("orders", "ConfigMap", "v1", "plan", "data: { plan: secret }");
    bed.put("ann", &plan).await.unwrap();
    let made = bed.revision().await;
    let plan = key(Kind::ConfigMap, "shop", "plan");
    bed.delete("ann", plan.clone()).await.unwrap();
    let gone = bed.revision().await;
    bed.delete("sara", key(Kind::Api, "shop", "orders")).await.unwrap();
    let later = |user: &str| Op { now: op(user).now + Duration::minutes(5), ..op(user) };
    bed.app.change_commit(&later("sara"), read(&api("betas")).unwrap()).await.unwrap();
    let sees = async |user: &str| {
        let op = later(user);
        let history = bed.app.resource_history(&op, &plan, None, 10).await;
        let then = bed.app.resource_show(&op, &plan, Some(made)).await;
        let change = bed.app.change_show(&op, made).await;
        let back = bed.app.change_revert(&Op { now: op.now, ..later(user) }, gone).await;
        (history.is_ok(), then.is_ok(), change.is_ok(), back.is_ok())
    };
    assert_eq!(sees("bo").await, (false, false, false, false));
    assert_eq!(sees("sara").await, (true, true, true, true));
}

#[tokio::test]
async fn a_proxy_is_no_endpoint_of_others_wherever_it_listens() {
    let bed = Bed::neighbours().await;
    let mesh = "ports: [{ port: 8005 }], mesh: { port: 15005, outbound: 15006, \
                upstreams: [{ name: alpha, port: 80, listen: 15007 }] } }";
    let proxied = workload("alpha", "proxied", 8005)
        .replace("address: 192.0.2.1", "address: 127.0.0.1")
        .replace("ports: [{ port: 8005 }] }", mesh);
    bed.put("sara", &proxied).await.unwrap();
    for port in [8005, 15005, 15006, 15007] {
        let told = bed.told("bo", &slice("beta", "beta", "127.0.0.7", port)).await;
        let wanted = format!("an endpoint at 127.0.0.1, port {port} is held by Api 'alpha'");
        assert!(told.contains(&wanted), "{told}");
    }
    bed.put("bo", &slice("beta", "beta", "127.0.0.7", 15008)).await.unwrap();
}

#[tokio::test]
async fn whose_own_object_went_makes_it_anew_whoever_rules_over_it() {
    let bed = Bed::neighbours().await;
    let own = opens("", "all", "HTTPRoute", "alpha").replace(", labels: { heddle.dev/api:  }", "");
    bed.put("sara", &own).await.unwrap();
    let led = route_of("alpha", "alpha", "[www.example.com]", "/alpha", "alpha");
    bed.delete("ann", key(Kind::HttpRoute, "shop", "alpha")).await.unwrap();
    let gone = bed.revision().await;
    // Of another Api it is somebody else's who comes under the workspace's policy.
    let told = bed.told("bo", &route_of("beta", "alpha", "[b.example.com]", "/", "beta")).await;
    assert!(told.contains("what waits for that name, an AccessPolicy"), "{told}");
    bed.app.change_revert(&op("ann"), gone).await.unwrap();
    bed.delete("ann", key(Kind::HttpRoute, "shop", "alpha")).await.unwrap();
    bed.put("ann", &led).await.unwrap();
}

#[tokio::test]
async fn an_api_whose_users_a_policy_names_does_not_go() {
    let bed = Bed::neighbours().await;
    let named = |api: &str| {
        let spec = format!(
            "spec: {{ targetRefs: [{{ kind: HTTPRoute, name: alpha }}], \
             rules: [{{ name: theirs, when: {{ callers: [{{ apiKey: clerk, api: {api} }}] }} }}] }}"
        );
        of_api("alpha", "AccessPolicy", "heddle.dev/v1alpha1", "theirs", &spec)
    };
    let keys = "spec: { targetRefs: [{ kind: HTTPRoute, name: alpha }], \
                methods: [{ name: keys, apiKey: { secretRef: { name: alpha } } }] }";
    bed.put("ann", &of_api("alpha", "AuthnPolicy", "heddle.dev/v1alpha1", "keys", keys))
        .await
        .unwrap();
    let told = bed.told("ann", &named("gamma")).await;
    let at = "AccessPolicy shop/theirs: spec.rules[0].when.callers[0].api";
    assert_eq!(told, format!("{at}: workspace/shop has no Api 'gamma'"));
    let gamma = "apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
                 metadata: { name: gamma, namespace: shop }\nspec: { owner: betas }\n";
    bed.put("sara", gamma).await.unwrap();
    bed.put("ann", &named("gamma")).await.unwrap();
    let told = said(bed.delete("sara", key(Kind::Api, "shop", "gamma")).await);
    assert!(told.contains("AccessPolicy shop/theirs still needs it"), "{told}");
}

#[tokio::test]
async fn a_route_for_a_whole_port_is_on_no_host_that_others_hold() {
    let bed = Bed::neighbours().await;
    bed.put("root", &(STREAMS.to_owned() + &claim("bank", "{ host: bank.example.com }")))
        .await
        .unwrap();
    bed.put("ann", &stream_of("alpha", "TCPRoute", "rows", "")).await.unwrap();
    let told = bed.told("ann", &stream_of("alpha", "TLSRoute", "mail", "[bank.example.com]")).await;
    assert!(told.contains("which workspace 'bank' holds"), "{told}");
}

#[tokio::test]
async fn the_labels_of_their_namespace_are_of_no_api() {
    let bed = Bed::neighbours().await;
    let labels = |of: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: shop, labels: {{ {of} }} }}\n")
    };
    let (labelled, shop) = (labels("tier: gold"), key(Kind::Namespace, "heddle", "shop"));
    // Nor by the label of an Api, which makes an object belong to one elsewhere.
    let given = labels("heddle.dev/api: beta");
    let (none, forbidden) =
        (format!("{shop}: there is none"), format!("{shop}: no grant of yours allows Create"));
    for (user, wanted) in [("ann", &none), ("bo", &none), ("vic", &forbidden), ("sara", &forbidden)]
    {
        assert_eq!(bed.told(user, &labelled).await, *wanted, "{user}");
        assert_eq!(bed.told(user, &given).await, *wanted, "{user}");
    }
    assert!(bed.told("root", &given).await.contains("platform has no Api 'beta'"));
    bed.put("root", &labelled).await.unwrap();
    for (user, reads) in
        [("ann", false), ("bo", false), ("vic", true), ("sara", true), ("bert", false)]
    {
        let shown = bed.app.resource_show(&op(user), &shop, None).await;
        assert_eq!(shown.is_ok(), reads, "{user}");
    }
}
