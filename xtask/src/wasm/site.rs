//! From compiled modules to the folder that heddle-server serves.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use super::browser_dir;
use crate::setup;
use crate::shell::{root, run};

/// What a browser may have to fetch before a page is alive, in bytes of brotli.
const PAGE: usize = 350 * 1024;
/// What it may once somebody begins to try requests (ADR 024).
const TRIAL: usize = 400 * 1024;

/// Fills `site` from modules by their names and the style sheets, unless it was made from just these
/// already.
pub(super) fn make(modules: &[(&str, PathBuf)], site: &Path) -> Result<()> {
    let style = std::fs::read(root().join("console/style/console.css"))?;
    let read = modules.iter().map(|(name, file)| {
        let code = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        Ok((*name, code))
    });
    let modules = read.collect::<Result<Vec<_>>>()?;
    let wanted = stamp(&modules, &style, wasm_opt().is_some());
    if std::fs::read_to_string(site.join("made-from")).is_ok_and(|held| held == wanted) {
        return Ok(());
    }
    // Made beside and then moved, so that a server never meets half a folder.
    let fresh = site.with_extension("new");
    remove(&fresh)?;
    let pkg = fresh.join("pkg");
    std::fs::create_dir_all(&pkg)?;
    std::fs::write(pkg.join("console.css"), style)?;
    for (name, code) in modules {
        bind(name, code, &pkg)?;
        if let Some(mut shrink) = wasm_opt() {
            let file = fresh.join(module(name));
            run(shrink.arg("-Oz").arg(&file).arg("-o").arg(&file))?;
        } else {
            eprintln!("    without wasm-opt: `npm ci` in {} brings it", browser_dir().display());
        }
    }
    for entry in std::fs::read_dir(&pkg)? {
        compress(&entry?.path())?;
    }
    std::fs::write(fresh.join("made-from"), wanted)?;
    remove(site)?;
    Ok(std::fs::rename(&fresh, site)?)
}

/// Where the module of this name lies in the folder.
fn module(name: &str) -> String {
    format!("pkg/{name}_bg.wasm")
}

fn stamp(modules: &[(&str, Vec<u8>)], style: &[u8], shrunk: bool) -> String {
    let code = modules.iter().map(|(name, code)| format!("{name} {}\n", setup::digest(code)));
    let code = code.collect::<String>();
    format!("{code}style {}\nshrunk {shrunk}\n", setup::digest(style))
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// The JavaScript that loads the module, and the module as it wants it.
fn bind(name: &str, code: Vec<u8>, pkg: &Path) -> Result<()> {
    Bindgen::new()
        .input_bytes(name, code)
        .web(true)?
        // A module that an island loads finds its own code beside its script.
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(pkg)
}

/// npm's binaryen where it is installed. Debian's is too old: it breaks the module's tables.
fn wasm_opt() -> Option<Command> {
    let program = browser_dir().join("node_modules/binaryen/bin/wasm-opt");
    let node = program.is_file().then(setup::node)?.ok()?;
    let mut command = Command::new(node);
    command.arg(program);
    Some(command)
}

/// Writes the file's .br and .gz beside it.
fn compress(file: &Path) -> Result<()> {
    let bytes = std::fs::read(file)?;
    std::fs::write(with_suffix(file, "br"), brotli(&bytes)?)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&bytes)?;
    Ok(std::fs::write(with_suffix(file, "gz"), gzip.finish()?)?)
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let best = brotli::enc::BrotliEncoderParams::default();
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &best)?;
    Ok(packed)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// How large a module is, and how large on its way to a browser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    raw: usize,
    gzip: usize,
    brotli: usize,
}

/// Reads the sizes of a module from the site folder.
pub(super) fn sizes(site: &Path, name: &str) -> Result<Sizes> {
    let module = site.join(module(name));
    let size = |file: &Path| -> Result<usize> { Ok(std::fs::read(file)?.len()) };
    Ok(Sizes {
        raw: size(&module)?,
        gzip: size(&with_suffix(&module, "gz"))?,
        brotli: size(&with_suffix(&module, "br"))?,
    })
}

impl Sizes {
    /// Holds the module of this name to its budget.
    pub(super) fn check(self, name: &str) -> Result<()> {
        let budget = if name == "table" { TRIAL } else { PAGE };
        if self.brotli > budget {
            bail!("the module {name} is over its budget of {} KB: {self}", budget / 1024);
        }
        Ok(())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kb = |bytes: usize| bytes.div_ceil(1024);
        let Sizes { raw, gzip, brotli } = *self;
        write!(f, "{} KB raw, {} KB gzip, {} KB brotli", kb(raw), kb(gzip), kb(brotli))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_over_its_budget_is_refused_with_its_sizes() {
        for (name, budget, over) in [("console", PAGE, 350), ("table", TRIAL, 400)] {
            let fits = Sizes { raw: 900_000, gzip: 400_000, brotli: budget };
            assert!(fits.check(name).is_ok());
            let refused = Sizes { brotli: budget + 1, ..fits }.check(name).unwrap_err();
            let refused = refused.to_string();
            let wanted = format!("{name} is over its budget of {over} KB");
            assert!(refused.contains(&wanted), "{refused}");
            assert!(refused.contains(&format!("{} KB brotli", over + 1)), "{refused}");
        }
    }

    #[test]
    fn a_change_of_code_style_or_shrinking_makes_the_folder_anew() {
        let of = |code: &[u8]| [("console", code.to_vec()), ("table", b"table".to_vec())];
        let held = stamp(&of(b"code"), b"style", true);
        assert_eq!(held, stamp(&of(b"code"), b"style", true));
        for other in [stamp(&of(b"C"), b"style", true), stamp(&of(b"code"), b"S", true)] {
            assert_ne!(held, other);
        }
        assert_ne!(held, stamp(&of(b"code")[..1], b"style", true));
        assert_ne!(held, stamp(&of(b"code"), b"style", false));
    }
}
