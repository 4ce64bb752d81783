//! Finding a compiler for wasm32 and running it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo, output, root, run, target};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for browsers: its packages, and what they bring.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// A module for browsers: a crate of ours with the feature that makes it one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module {
    pub(super) name: &'static str,
    feature: &'static str,
}

/// The console's own, which every page loads, and the one with which a page tries requests, which is
/// loaded where somebody does (ADR 024).
pub(super) const MODULES: [Module; 2] =
    [Module { name: "console", feature: "hydrate" }, Module { name: "table", feature: "browser" }];

/// Who compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Toolchain {
    /// The active toolchain, with its own standard library for wasm32.
    Rustup,
    /// Debian's rustc-web, which builds the standard library from its source.
    Debian,
}

/// Sees to it that the wanted compiler is there, or else the first that can be had.
pub(super) fn toolchain(wanted: Option<Toolchain>) -> Result<Toolchain> {
    if wanted != Some(Toolchain::Debian) {
        match setup::wasm_target() {
            Ok(()) => return Ok(Toolchain::Rustup),
            Err(error) if wanted == Some(Toolchain::Rustup) => return Err(error),
            Err(error) => eprintln!("    {error:#}; trying Debian's rustc-web"),
        }
    }
    setup::apt(&DEBIAN).with_context(remedies)?;
    Ok(Toolchain::Debian)
}

fn remedies() -> String {
    let packages = DEBIAN.join(" ");
    format!(
        "no compiler for {TARGET}: make `rustup target add {TARGET}` work, or `apt-get install \
         {packages}`"
    )
}

/// Compiles a module and returns it, as rustc leaves it.
pub(super) fn module(module: Module, profile: &str, toolchain: Toolchain) -> Result<PathBuf> {
    match toolchain {
        Toolchain::Rustup => with_rustup(module, profile),
        Toolchain::Debian => with_debian(module, profile),
    }
}

fn with_rustup(module: Module, profile: &str) -> Result<PathBuf> {
    let dir = target()?;
    run(rustc(&mut cargo(), module, profile, &dir))?;
    Ok(built(&dir, module, profile))
}

fn with_debian(module: Module, profile: &str) -> Result<PathBuf> {
    // A folder of its own: sharing one would make each compiler throw away the other's work.
    let dir = target()?.join("rustc-web");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", format!("/usr/bin:{path}"))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Clinker-flavor=wasm-ld");
    run(rustc(&mut cargo, module, profile, &dir).arg("-Zbuild-std=std,panic_abort"))?;
    Ok(built(&dir, module, profile))
}

/// The crate type is said here rather than in the manifest, where every native build of the
/// crate would link a shared library too.
fn rustc<'a>(cargo: &'a mut Command, module: Module, profile: &str, dir: &Path) -> &'a mut Command {
    cargo
        .current_dir(root())
        .args(["rustc", "--package", module.name, "--lib", "--crate-type", "cdylib"])
        .args(["--no-default-features", "--features", module.feature])
        .args(["--target", TARGET, "--profile", profile, "--target-dir"])
        .arg(dir)
}

/// Debian's compiler has no linker for wasm; the toolchain that built this program does.
fn linker() -> Result<PathBuf> {
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let lld = sysroot.join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
    if !lld.is_file() {
        bail!("no linker for {TARGET}: {} is not there", lld.display());
    }
    Ok(lld)
}

fn built(dir: &Path, module: Module, profile: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    dir.join(TARGET).join(folder).join(format!("{}.wasm", module.name))
}
