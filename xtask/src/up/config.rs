//! What the demo applies to its server: the bookshop's example and its people and borders, with HTTPS
//! by a certificate that is made once for this folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::cluster::{CLUSTERS, Cluster};
use crate::shell;

/// Writes `folder/bookshop` and `folder/ca.pem`; returns the first.
pub(super) fn write(folder: &Path) -> Result<PathBuf> {
    let config = folder.join("bookshop");
    fs::create_dir_all(&config).with_context(|| format!("creating {}", config.display()))?;
    let [east, west] = CLUSTERS;
    put(&config.join("gateway.yaml"), &in_both(&with_https(&example("gateway.yaml")?, east)?)?)?;
    put(&config.join("platform.yaml"), &example("platform.yaml")?)?;
    put(&config.join("mesh.yaml"), &example("mesh.yaml")?)?;
    let made = rcgen::generate_simple_self_signed(["bookshop.localhost".to_owned()])
        .context("making the demo's certificate")?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    put(&config.join("tls.yaml"), &secret(&certificate, &key))?;
    put(&folder.join("ca.pem"), &certificate)?;
    // The last one: whoever finds it finds all.
    put(&config.join("west.yaml"), &with_https(&example("west.yaml")?, west)?)?;
    Ok(config)
}

fn example(name: &str) -> Result<String> {
    let path = shell::root().join("examples/bookshop").join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Adds an HTTPS listener behind the HTTP listener of an example's Gateway.
fn with_https(example: &str, cluster: Cluster) -> Result<String> {
    let http = "      hostname: bookshop.localhost\n---\n";
    let at =
        example.find(http).context("the example's Gateway has no listener for the bookshop")?;
    let (before, after) = example.split_at(at + http.len() - "---\n".len());
    let https = format!(
        "    - name: https\n      protocol: HTTPS\n      port: {}\n      \
         hostname: bookshop.localhost\n      tls:\n        certificateRefs:\n          \
         - name: bookshop-tls\n",
        cluster.https()
    );
    Ok(format!("{before}{https}{after}"))
}

/// Gives the example's Gateway to the east, and its routes to the Gateway of the west, too.
fn in_both(example: &str) -> Result<String> {
    let gateway = "kind: Gateway\nmetadata:\n  name: bookshop\n  namespace: bookshop\n";
    let parent = "  parentRefs:\n    - name: bookshop\n";
    if !example.contains(gateway) || !example.contains(parent) {
        bail!("the example's Gateway, or a route of it, is not as it was");
    }
    let labelled = format!("{gateway}  labels:\n    heddle.dev/cluster: east\n");
    let text = example.replacen(gateway, &labelled, 1);
    Ok(text.replace(parent, &format!("{parent}    - name: bookshop-west\n")))
}

fn secret(certificate: &str, key: &str) -> String {
    let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\n\
         kind: Secret\n\
         metadata: {{ name: bookshop-tls, namespace: bookshop }}\n\
         type: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(certificate),
        indented(key)
    )
}

/// Writes a file that only its owner may read, in one step.
pub(super) fn put(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, "").with_context(|| format!("writing {}", new.display()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("restricting {}", new.display()))?;
    fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_every_object_of_the_example_and_https() {
        let folder = tempfile::tempdir().unwrap();
        let config = write(folder.path()).unwrap();
        let read = |name: &str| model::read(&fs::read_to_string(config.join(name)).unwrap());
        let files = ["gateway.yaml", "platform.yaml", "mesh.yaml", "west.yaml", "tls.yaml"];
        let all: Vec<_> = files.into_iter().flat_map(read).collect();
        let faults: Vec<_> = all.iter().filter_map(|d| d.result.as_ref().err()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        let good: Vec<_> =
            all.iter().filter_map(|document| document.result.as_ref().ok()).collect();
        let ports = good.iter().filter_map(|resource| match resource {
            model::Resource::Gateway(gateway) => {
                let ports: Vec<_> = gateway.spec.listeners.iter().map(|one| one.port).collect();
                Some((gateway.metadata.labels["heddle.dev/cluster"].clone(), ports))
            }
            _ => None,
        });
        let wanted = [("east", [8080, 8443]), ("west", [8180, 8543])];
        assert_eq!(
            ports.collect::<Vec<_>>(),
            wanted.map(|(cluster, ports)| (cluster.to_owned(), ports.to_vec()))
        );
        let routes = good.iter().filter_map(|resource| match resource {
            model::Resource::HttpRoute(route) => Some(route.spec.parent_refs.len()),
            _ => None,
        });
        assert_eq!(routes.collect::<Vec<_>>(), [2; 3]);
        assert_eq!(read("tls.yaml").len(), 1);
    }
}
