//! What of a route others have to be asked for.

use super::*;

fn route(text: &str) -> Resource {
    let head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                metadata: { name: r, namespace: shop }\nspec:\n";
    model::read(&format!("{head}{text}")).remove(0).result.unwrap()
}

#[test]
fn what_says_which_requests_are_meant_is_a_routes_ground_and_nothing_else() {
    let text = "  parentRefs: [{ name: edge }]\n  hostnames: [a.example]\n  \
                rules: [{ matches: [{ path: { value: /a } }], backendRefs: [{ name: b, port: 80 }] }]\n";
    let was = route(text);
    for (from, to, is_one) in [
        ("port: 80", "port: 80, weight: 7", true),
        ("backendRefs", "timeouts: { request: 1s }, backendRefs", true),
        ("[{ matches", "[{ name: all, matches", true),
        ("value: /a", "value: /b", false),
        ("{ path: { value: /a } }", "{ path: { value: /a } }, { method: GET }", false),
        ("a.example", "b.example", false),
        ("name: edge", "name: edge, port: 81", false),
    ] {
        let is = route(&text.replace(from, to));
        assert_eq!(are_one_ground(&was, &is), is_one, "{to}");
    }
}
