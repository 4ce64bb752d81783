//! Finding a compiler for wasm32 and running it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo, output, root, run, target};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for browsers: its packages, and what they bring.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

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

/// Compiles the console's browser half and returns the module, as rustc leaves it.
pub(super) fn module(profile: &str, toolchain: Toolchain) -> Result<PathBuf> {
    match toolchain {
        Toolchain::Rustup => with_rustup(profile),
        Toolchain::Debian => with_debian(profile),
    }
}

fn with_rustup(profile: &str) -> Result<PathBuf> {
    let dir = target()?;
    run(rustc(&mut cargo(), profile, &dir))?;
    Ok(built(&dir, profile))
}

fn with_debian(profile: &str) -> Result<PathBuf> {
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
    run(rustc(&mut cargo, profile, &dir).arg("-Zbuild-std=std,panic_abort"))?;
    Ok(built(&dir, profile))
}

/// The crate type is said here rather than in the manifest, where every native build of the
/// console would link a shared library too.
fn rustc<'a>(cargo: &'a mut Command, profile: &str, dir: &Path) -> &'a mut Command {
    cargo
        .current_dir(root())
        .args(["rustc", "--package", "console", "--lib", "--crate-type", "cdylib"])
        .args(["--no-default-features", "--features", "hydrate"])
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

fn built(dir: &Path, profile: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    dir.join(TARGET).join(folder).join("console.wasm")
}
