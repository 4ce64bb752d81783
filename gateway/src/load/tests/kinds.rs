//! Objects of kinds that are not read.

use super::*;

/// The kinds that a gateway reads from files.
const READ: &str = "Gateway, ListenerSet, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute, ReferenceGrant, \
                    Namespace, BackendTLSPolicy, Service, EndpointSlice, Secret, ConfigMap, Consumer, \
                    AuthnPolicy, AccessPolicy, RateLimitPolicy, TrafficPolicy";

/// What is told of an object of this version and kind.
fn told(version: &str, kind: &str, metadata: &str) -> String {
    let object = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {metadata}\n");
    let folder = folder(&[("a.yaml", object)]);
    let mut told = shown(&Config::at(folder.path()).load().unwrap(), folder.path());
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[test]
fn one_of_others_is_named_and_told_how_to_be_passed_over() {
    let wanted = format!(
        "a.yaml:2: Deployment demo/app: kind: 'Deployment' is no kind that this version knows; it reads \
         {READ}; --ignore-kinds Deployment passes over such objects"
    );
    assert_eq!(told("apps/v1", "Deployment", "{ name: app, namespace: demo }"), wanted);
    let class = told("gateway.networking.k8s.io/v1", "GatewayClass", "{ name: heddle }");
    let wanted = "a.yaml:2: GatewayClass heddle: kind: GatewayClass is not enforced by this version; it reads ";
    assert!(class.starts_with(wanted), "{class}");
    assert!(class.ends_with("; --ignore-kinds GatewayClass passes over such objects"), "{class}");
    // It is called as one of ours, which is for the control plane.
    let role = told("rbac.authorization.k8s.io/v1", "Role", "{ name: app, namespace: demo }");
    assert!(role.starts_with("a.yaml:1: Role demo/app: apiVersion: "), "{role}");
    assert!(role.ends_with("; --ignore-kinds Role passes over such objects"), "{role}");
}

#[test]
fn what_cannot_be_passed_over_is_not_told_so() {
    let cases = [
        ("heddle.dev/v1alpha1", "FaultPolicy", &format!("it reads {READ}")[..]),
        ("gateway.networking.k8s.io/v1", "HTTPRoutes", "; did you mean 'HTTPRoute'?"),
        ("networking.istio.io/v1", "Gateway", "not 'networking.istio.io/v1'"),
    ];
    for (version, kind, end) in cases {
        let told = told(version, kind, "{ name: a, namespace: demo }");
        assert!(told.contains(&format!(" {kind} demo/a: ")) && told.ends_with(end), "{told}");
    }
    // What has no readable name is told by its kind in the words of the fault.
    let told = told("apps/v1", "Deployment", "{ name: 'No Name' }");
    assert!(told.starts_with("a.yaml:2: kind: 'Deployment' is no kind"), "{told}");
}

#[test]
fn keys_that_a_server_would_fetch_are_refused_where_they_stand() {
    let text = "\
apiVersion: heddle.dev/v1alpha1
kind: AuthnPolicy
metadata: { name: orders, namespace: demo }
spec:
  targetRefs: [{ kind: HTTPRoute, name: orders }]
  methods:
    - name: staff
      jwt:
        issuer: https://login.example
        audiences: [orders]
        jwksUrl: https://login.example/keys
";
    let folder = folder(&[("a.yaml", text.to_owned())]);
    let told = shown(&Config::at(folder.path()).load().unwrap(), folder.path());
    let wanted = "a.yaml:11: AuthnPolicy demo/orders: spec.methods[0].jwt.jwksUrl: is for a gateway that joined \
                  a server, which fetches the keys; write them here as 'jwks'";
    assert_eq!(told, [wanted]);
}
