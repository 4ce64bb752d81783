//! Heddle with one worker, from files as anyone would write them.

use std::process::Command;

use anyhow::Result;

use crate::bench::case::Route;
use crate::bench::subject::{Ground, Ports};

pub(super) fn arguments(command: &mut Command, ground: &Ground<'_>) -> Result<()> {
    let config = ground.dir.join("config");
    std::fs::create_dir(&config)?;
    let certificate = std::fs::read_to_string(&ground.bed.certificate)?;
    let key = std::fs::read_to_string(&ground.bed.key)?;
    std::fs::write(config.join("gateway.yaml"), gateway(ground.ports, &certificate, &key))?;
    std::fs::write(config.join("upstream.yaml"), upstream(ground.upstream(), ground.is_grpc()))?;
    let routes = routes(&ground.case.routes(), ground.is_grpc());
    std::fs::write(config.join("routes.yaml"), routes)?;
    command.arg("--config").arg(config).args(["--workers", "1"]);
    command.args(["--admin", &format!("127.0.0.1:{}", ground.ports.admin)]);
    command.arg("--access-log").arg(ground.access_log());
    Ok(())
}

fn gateway(ports: Ports, certificate: &str, key: &str) -> String {
    let Ports { http, h2c: _, https, admin: _ } = ports;
    let secret = secret("edge", certificate, key);
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge, namespace: bench }}
spec:
  gatewayClassName: heddle
  listeners:
    - {{ name: http, port: {http}, protocol: HTTP }}
    - name: https
      port: {https}
      protocol: HTTPS
      tls: {{ mode: Terminate, certificateRefs: [{{ name: edge }}] }}
---
{secret}"
    )
}

/// A certificate with its key.
pub(in crate::bench) fn secret(name: &str, certificate: &str, key: &str) -> String {
    let (certificate, key) = (block(certificate), block(key));
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: {name}, namespace: bench }}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{certificate}  tls.key: |
{key}"
    )
}

/// Text as a YAML block of depth 4.
fn block(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn upstream(port: u16, is_grpc: bool) -> String {
    service("upstream", port, if is_grpc { "kubernetes.io/h2c" } else { "http" })
}

/// A Service with one endpoint, on loopback.
pub(in crate::bench) fn service(name: &str, port: u16, protocol: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: bench }}
spec:
  ports: [{{ name: http, port: 80, targetPort: {port}, appProtocol: {protocol} }}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: bench
  labels: {{ kubernetes.io/service-name: {name} }}
addressType: IPv4
ports: [{{ name: http, port: {port} }}]
endpoints: [{{ addresses: [127.0.0.1], conditions: {{ ready: true }} }}]
"
    )
}

fn routes(routes: &[Route], is_grpc: bool) -> String {
    let routes = routes.iter().enumerate();
    let routes: Vec<_> = routes.map(|(number, one)| route(number, one, is_grpc)).collect();
    routes.join("---\n")
}

fn route(number: usize, route: &Route, is_grpc: bool) -> String {
    let Route { host, prefix } = route;
    let hosts = host.as_ref().map_or_else(String::new, |host| format!("  hostnames: [{host}]\n"));
    let (kind, asks) = match is_grpc {
        true => ("GRPCRoute", format!("method: {{ service: {} }}", prefix.trim_start_matches('/'))),
        false => ("HTTPRoute", format!("path: {{ type: PathPrefix, value: {prefix} }}")),
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{ name: r{number}, namespace: bench }}
spec:
  parentRefs: [{{ name: edge }}]
{hosts}  rules:
    - matches: [{{ {asks} }}]
      backendRefs: [{{ name: upstream, port: 80 }}]
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::Case;

    #[test]
    fn the_model_accepts_every_object_written() {
        let ports = Ports { http: 8080, h2c: 8080, https: 8443, admin: 9901 };
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for case in [Case::H1Small, Case::GrpcUnary, Case::H1Small5000] {
            let (list, is_grpc) = (case.routes(), case == Case::GrpcUnary);
            let texts = [gateway(ports, pem, key), upstream(9000, is_grpc), routes(&list, is_grpc)];
            let documents: Vec<_> = texts.iter().flat_map(|text| model::read(text)).collect();
            let faults: Vec<_> =
                documents.iter().filter_map(|document| document.result.as_ref().err()).collect();
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(documents.len(), list.len() + 4);
        }
    }
}
