//! The endpoints of a Service are for whoever may read it.

use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: orders, namespace: shop }\n\
    spec: { ports: [{ name: web, port: 80 }, { name: admin, port: 81 }] }\n---\n\
    apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: orders-1\n  \
    namespace: shop\n  labels: { kubernetes.io/service-name: orders }\n\
    addressType: IPv4\nports: [{ name: web, port: 8080 }, { name: other, port: 9 }]\n\
    endpoints:\n  - addresses: [192.0.2.1]\n  \
    - { addresses: [192.0.2.2], conditions: { ready: false } }\n---\n\
    apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: carts-1\n  \
    namespace: shop\n  labels: { kubernetes.io/service-name: carts }\n\
    addressType: IPv4\nports: [{ name: web, port: 8080 }]\nendpoints: [{ addresses: [192.0.2.3] }]\n";

#[tokio::test]
async fn the_endpoints_of_a_service_are_for_whoever_may_read_it() {
    let bed = Bed::shop().await;
    bed.put("sara", SERVICE).await.unwrap();
    let key = key(Kind::Service, "shop", "orders");
    let found = bed.app.endpoint_list(&op("sara"), &key).await.unwrap();
    let told = found.ports.iter().map(|port| {
        let of = |one: &EndpointNow| format!("{} {}", one.address, one.is_ready);
        let endpoints: Vec<_> = port.endpoints.iter().map(of).collect();
        (port.port, port.is_led_to, endpoints.join(", "))
    });
    let wanted = [
        (80, false, "192.0.2.1:8080 true, 192.0.2.2:8080 false".to_owned()),
        (81, false, String::new()),
    ];
    assert_eq!(told.collect::<Vec<_>>(), wanted, "no route leads there, and others' are others'");
    let hidden = bed.app.endpoint_list(&op("bo"), &key).await.unwrap_err();
    let none = super::key(Kind::Service, "shop", "nothing");
    let none = bed.app.endpoint_list(&op("bo"), &none).await.unwrap_err();
    let told = [hidden, none].map(|refusal| refusal.to_string().replace("orders", "nothing"));
    assert_eq!(told[0], told[1], "hidden and not there are told alike");
}
