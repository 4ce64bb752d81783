//! What the demo applies to its server: the bookshop's example and its people and borders, with HTTPS
//! by a certificate that is made once for this folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell;

/// The HTTPS Gateway's name is the example's own: the listener joins the one it has.
const HTTPS_LISTENER: &str = "    - name: https
      protocol: HTTPS
      port: 8443
      hostname: bookshop.localhost
      tls:
        certificateRefs:
          - name: bookshop-tls
";

/// Writes `folder/bookshop` and `folder/ca.pem`; returns the first.
pub(super) fn write(folder: &Path) -> Result<PathBuf> {
    let config = folder.join("bookshop");
    fs::create_dir_all(&config).with_context(|| format!("creating {}", config.display()))?;
    put(&config.join("gateway.yaml"), &with_https(&example("gateway.yaml")?)?)?;
    put(&config.join("platform.yaml"), &example("platform.yaml")?)?;
    put(&config.join("mesh.yaml"), &example("mesh.yaml")?)?;
    let made = rcgen::generate_simple_self_signed(["bookshop.localhost".to_owned()])
        .context("making the demo's certificate")?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    put(&config.join("tls.yaml"), &secret(&certificate, &key))?;
    put(&folder.join("ca.pem"), &certificate)?;
    Ok(config)
}

fn example(name: &str) -> Result<String> {
    let path = shell::root().join("examples/bookshop").join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Adds the HTTPS listener behind the example's HTTP listener.
fn with_https(example: &str) -> Result<String> {
    let http = "      hostname: bookshop.localhost\n---\n";
    let at =
        example.find(http).context("the example's Gateway has no listener for the bookshop")?;
    let (before, after) = example.split_at(at + http.len() - "---\n".len());
    Ok(format!("{before}{HTTPS_LISTENER}{after}"))
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
        let all: Vec<_> = ["gateway.yaml", "platform.yaml", "mesh.yaml", "tls.yaml"]
            .into_iter()
            .flat_map(read)
            .collect();
        let faults: Vec<_> = all.iter().filter_map(|d| d.result.as_ref().err()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        let listeners = all.iter().find_map(|document| match &document.result {
            Ok(model::Resource::Gateway(gateway)) => Some(gateway.spec.listeners.len()),
            _ => None,
        });
        assert_eq!((listeners, read("tls.yaml").len()), (Some(2), 1));
    }
}
