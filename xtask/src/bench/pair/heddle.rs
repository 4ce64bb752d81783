//! Two `heddle-mesh` with one worker each, joined to a server that runs on the other core.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Side;
use super::trust::account;
use crate::bench::case::{Case, SERVICE};
use crate::bench::ours::Ours;
use crate::bench::process::{OTHER_CORE, Process, pinned};
use crate::bench::subject::{Ground, Ports};

/// How long the server may take until it tells how to join it.
const READY: Duration = Duration::from_secs(30);

/// Sees to it that `heddle-mesh`, `heddle-server` and what founds it are there.
pub(super) fn obtain(ours: &Ours) -> Result<Vec<PathBuf>> {
    let programs = [("mesh", "heddle-mesh"), ("console", "heddle-server"), ("e2e", "hub")];
    programs.into_iter().map(|(package, program)| ours.program(package, program)).collect()
}

/// A server that was told of the pair.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) process: Process,
    /// Where nodes join.
    nodes: String,
    /// By which token both halves join.
    token: String,
}

impl Hub {
    pub(super) fn start(programs: &[PathBuf], ground: &Ground<'_>) -> Result<Self> {
        let [_mesh, server, hub] = programs else { bail!("not all programs are there") };
        let dir = ground.bed.folder("hub")?;
        let objects = objects(ground.case, ground.ports, ground.bed.upstream);
        let objects = ground.write("objects.yaml", objects)?;
        let mut command = pinned(OTHER_CORE, hub);
        command.arg("--objects").arg(objects).env("HEDDLE_SERVER", server);
        // Its store lies in memory, too, and goes with the bed.
        command.env("TMPDIR", &dir);
        let mut process = Process::start(&mut command, &dir)?;
        let told = until_told(&mut process).context("the server of the mesh")?;
        let nodes = told["nodes"].as_str().context("no address for nodes")?.to_owned();
        let token = told["token"].as_str().context("no token to join by")?.to_owned();
        Ok(Self { process, nodes, token })
    }

    pub(super) fn arguments(&self, command: &mut Command, side: Side, ground: &Ground<'_>) {
        let workload = format!("shop/{}", account(side));
        command.args(["--workload", &workload, "--server", &self.nodes]);
        command.arg("--state").arg(ground.dir.join("state")).args(["--workers", "1"]);
        command.args(["--admin", &format!("127.0.0.1:{}", ground.ports.admin)]);
        command.arg("--access-log").arg(ground.access_log());
        command.env("HEDDLE_JOIN_TOKEN", &self.token);
    }
}

/// What the hub prints once nodes may join.
fn until_told(process: &mut Process) -> Result<Value> {
    let began = Instant::now();
    loop {
        process.check()?;
        let said = process.stdout()?;
        if said.ends_with('\n') {
            return serde_json::from_str(&said).context("reading how to join");
        }
        ensure!(began.elapsed() < READY, "it is not there after {} s", READY.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A service, who may call it, and a workload for each half. Where bytes are carried, the caller's proxy
/// has a port that leads there, since the load opens nothing by CONNECT.
fn objects(case: Case, ports: Ports, upstream: u16) -> String {
    let Ports { http, h2c: own, https, admin: _ } = ports;
    let protocol = if case.is_bytes() { ", appProtocol: tcp" } else { "" };
    let sends = match case.is_bytes() {
        true => format!("upstreams: [{{ listen: {http}, name: {SERVICE}, port: 80 }}]"),
        false => format!("outbound: {http}"),
    };
    let workload = |side, port, mesh| {
        let account = account(side);
        format!(
            "---
apiVersion: heddle.dev/v1alpha1
kind: Workload
metadata: {{ name: {account}, namespace: shop, labels: {{ app: {account} }} }}
spec:
  cluster: local
  serviceAccount: {account}
  address: 127.0.0.1
  ports: [{{ name: http, port: {port}{protocol} }}]
  mesh: {mesh}
"
        )
    };
    // Nobody calls the caller, so what it would listen on does not matter.
    let caller = workload(Side::Outbound, 9, format!("{{ port: {own}, {sends} }}"));
    let called = workload(Side::Inbound, upstream, format!("{{ port: {https} }}"));
    let storefront = account(Side::Outbound);
    format!(
        "apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: {{ name: shop }}
spec: {{ namespaces: [shop] }}
---
apiVersion: v1
kind: Service
metadata: {{ name: {SERVICE}, namespace: shop }}
spec:
  selector: {{ app: {SERVICE} }}
  ports: [{{ port: 80, targetPort: http{protocol} }}]
---
apiVersion: heddle.dev/v1alpha1
kind: AccessPolicy
metadata: {{ name: {SERVICE}, namespace: shop }}
spec:
  targetRefs: [{{ kind: Service, name: {SERVICE} }}]
  rules:
    - name: caller
      when: {{ workloads: [{{ cluster: local, serviceAccount: {storefront} }}] }}
{caller}{called}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_accepts_every_object_written() {
        let ports = Ports { http: 15001, h2c: 15009, https: 15008, admin: 9901 };
        for case in Case::MESH {
            let documents = model::read(&objects(case, ports, 9000));
            let faults: Vec<_> =
                documents.iter().filter_map(|document| document.result.as_ref().err()).collect();
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(documents.len(), 5);
        }
    }
}
