//! `cargo xtask codegen`: writes the files that are generated from code and checked in, or with
//! `--check` only compares them, so that a diff shows what a change does to users.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{fields, shell};

/// What `cargo xtask codegen` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not as it would be written.
    #[arg(long)]
    check: bool,
}

/// A file that is generated and checked in.
struct Generated {
    /// From the workspace's root.
    path: &'static str,
    text: fn() -> Result<String>,
}

const FILES: &[Generated] = &[
    Generated { path: "model/schema/heddle.schema.json", text: model_schema },
    Generated { path: fields::PAGE, text: fields::page },
];

/// A file that a program of another crate prints, since that crate's own dependencies are many:
/// whoever calls another command of ours need not build them.
struct Printed {
    /// From the workspace's root.
    path: &'static str,
    package: &'static str,
    example: &'static str,
}

const PRINTED: &[Printed] =
    &[Printed { path: "docs/openapi.json", package: "control", example: "openapi" }];

/// Writes or compares every generated file.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = shell::root();
    let mut files = Vec::new();
    for file in FILES {
        let text = (file.text)().with_context(|| format!("generating {}", file.path))?;
        files.push((file.path, text));
    }
    for file in PRINTED {
        let text = printed(file).with_context(|| format!("generating {}", file.path))?;
        files.push((file.path, text));
    }
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = root.join(name);
        if is_current(&path, &text)? {
            eprintln!("{name}: as generated");
        } else if args.check {
            stale.push(name);
        } else {
            write(&path, &text)?;
            eprintln!("{name}: written");
        }
    }
    if !stale.is_empty() {
        bail!("not as generated: {}; run cargo xtask codegen and commit it", stale.join(", "));
    }
    Ok(())
}

/// A file that is not there is not current.
fn is_current(path: &Path, text: &str) -> Result<bool> {
    match std::fs::read_to_string(path) {
        Ok(on_disk) => Ok(on_disk == text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn printed(file: &Printed) -> Result<String> {
    let mut run = shell::cargo();
    run.args(["run", "--quiet", "-p", file.package, "--example", file.example]);
    shell::output(run.current_dir(shell::root()))
}

/// JSON Schema of all kinds.
fn model_schema() -> Result<String> {
    let mut text = serde_json::to_string_pretty(&sorted(model::schema::document()))?;
    text.push('\n');
    Ok(text)
}

/// Keys in alphabetical order, whatever features of serde_json another crate turns on.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let object: BTreeMap<_, _> = object.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(object.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_or_is_not_there_is_not_current() {
        let folder = std::env::temp_dir().join(format!("heddle-codegen-{}", std::process::id()));
        let path = folder.join("deeper/file.json");
        assert!(!is_current(&path, "{}\n").unwrap());
        write(&path, "{}\n").unwrap();
        assert!(is_current(&path, "{}\n").unwrap());
        assert!(!is_current(&path, "{ }\n").unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn generating_twice_gives_the_same_text() {
        for file in FILES {
            assert_eq!((file.text)().unwrap(), (file.text)().unwrap(), "{}", file.path);
        }
    }
}
