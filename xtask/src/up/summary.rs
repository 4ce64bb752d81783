//! What the demo says once it is ready: to scripts in `.heddle/up.json`, to people what to try.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{CLUSTERS, Cluster};
use super::config::put;
use super::founding::{Founder, SERVER};
use super::process::Process;
use crate::shell;

/// Where people look at it. No name that the gateways have, since cookies ignore ports.
const CONSOLE: &str = "http://console.localhost:7080";

/// `.heddle/up.json`, readable by its owner only.
pub(super) fn write(data: &Path, running: &[Process]) -> Result<()> {
    let processes: Vec<Value> = running.iter().map(Process::describe).collect();
    let [east, _] = CLUSTERS;
    let clusters = CLUSTERS.iter().map(|cluster| (cluster.name.to_owned(), urls(*cluster)));
    let mut urls = urls(east);
    urls["console"] = CONSOLE.into();
    urls["rest"] = format!("{SERVER}/api/v1").into();
    urls["clusters"] = Value::Object(clusters.collect());
    let summary = json!({
        "urls": urls,
        "adminPassword": Founder::password(data)?,
        "data": data,
        "processes": processes,
    });
    put(&data.join("up.json"), &serde_json::to_string_pretty(&summary)?)
}

/// Where a cluster's gateway is.
fn urls(cluster: Cluster) -> Value {
    json!({
        "http": format!("http://bookshop.localhost:{}", cluster.http()),
        "https": format!("https://bookshop.localhost:{}", cluster.https()),
        "admin": format!("http://127.0.0.1:{}", cluster.admin()),
    })
}

/// Addresses, the password, and commands to try, on stdout.
pub(super) fn print(data: &Path, programs: &Path, has_visitors: bool) -> Result<()> {
    let root = shell::root();
    let shown = |path: PathBuf| path.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(path);
    let folder = shown(data.to_owned());
    let folder = folder.display();
    let programs = shell::quoted(&programs.display().to_string());
    let password = Founder::password(data)?;
    let visitors = match has_visitors {
        true => "ten visitors a second look in at each cluster, so that there is something to see",
        false => "nobody looks in but you",
    };
    let mut out = std::io::stdout().lock();
    write!(
        out,
        "\n\
The bookshop is open in two clusters:\n\
East: http://bookshop.localhost:8080 and https://bookshop.localhost:8443, admin port http://127.0.0.1:9901\n\
West: http://bookshop.localhost:8180 and https://bookshop.localhost:8543, admin port http://127.0.0.1:9911\n\
The console: {CONSOLE}, user admin, password {password} unless you changed it (REST: {SERVER}/api/v1)\n\
  make a team (Teams), give it the catalog (Apis), move its weights, and see where requests go\n\
  {visitors}\n\
\n\
Try, in another terminal, from this folder:\n\
\n\
  # the whole chain: storefront calls orders, orders calls the catalog\n\
  curl -s http://bookshop.localhost:8080/\n\
\n\
  # over TLS, by a certificate made for this folder\n\
  curl -s --cacert {folder}/ca.pem https://bookshop.localhost:8443/catalog/odyssey\n\
\n\
  # denied: no key, then a key that may not order\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}'\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}' -H 'x-api-key: bookshop-demo-key-of-the-auditor'\n\
\n\
  # allowed\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}' -H 'x-api-key: bookshop-demo-key-of-the-clerk'\n\
\n\
  # in the mesh, as one application to another: orders may ask the catalog, the storefront may not\n\
  curl -s -x 127.0.0.1:15032 http://catalog-v1/catalog/odyssey\n\
  curl -si -x 127.0.0.1:15031 http://catalog-v1/catalog/odyssey\n\
\n\
  # the command line, signed in as admin\n\
  export PATH={programs}:$PATH XDG_CONFIG_HOME=\"$PWD/{folder}/cli\"\n\
  heddle status\n\
  heddle get httproutes -n bookshop\n\
\n\
  # why the storefront may not ask the catalog, and what would allow it; and how one request went\n\
  id() {{ curl -si \"$@\" | tr -d '\\r' | sed -n 's/^x-request-id: //p'; }}\n\
  heddle explain $(id -x 127.0.0.1:15031 http://catalog-v1/catalog/odyssey)\n\
  heddle explain $(id http://bookshop.localhost:8080/)\n\
\n\
  # a canary: about one answer in ten comes from catalog v2; give it half, and look again\n\
  for i in $(seq 20); do curl -s http://bookshop.localhost:8080/catalog | grep -o '\"version\": *\"v.\"'; done | sort | uniq -c\n\
  sed 's/weight: .0/weight: 50/' {folder}/bookshop/gateway.yaml > {folder}/canary.yaml\n\
  heddle plan -f {folder}/canary.yaml\n\
  heddle apply -f {folder}/canary.yaml --wait\n\
\n\
  # lose the catalog of the east: the west serves it at once, and within ten seconds status tells\n\
  kill $(pgrep -f 'bookshop .*--service catalog .*--cluster east')\n\
  curl -s http://bookshop.localhost:8080/ | grep -o '\"cluster\": *\"[a-z]*\"'\n\
  sleep 10; heddle status\n\
  cargo xtask up again catalog-v1-east && cargo xtask up again catalog-v2-east\n\
\n\
  # who changed what, and take it back\n\
  heddle history\n\
  heddle rollback $(heddle history -o json | grep -o '\"revision\": *[0-9]*' | head -1 | grep -o '[0-9]*')\n\
  heddle audit verify\n\
\n\
  # what each request met\n\
  tail -n 3 {folder}/access-gateway-east.log\n\
  curl -s http://127.0.0.1:9901/metrics | grep heddle_requests_total\n\
\n\
Ctrl-C stops everything. What you changed is kept in {folder}; remove that folder to begin anew.\n"
    )?;
    out.flush()?;
    Ok(())
}
