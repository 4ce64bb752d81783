//! `cargo xtask wasm`: the browser's half of the console, from source to a folder to serve.
//!
//! ```text
//! console (feature hydrate) \
//!                            -> rustc -> wasm-bindgen -> wasm-opt -> brotli, gzip -> <target>/site
//! table (feature browser)   /
//! ```
//!
//! wasm-bindgen runs as a library, so that it is the version in Cargo.lock and nobody installs a
//! program. Measured on two cores: it adds about 25 CPU-seconds (12 s of wall time) to the first
//! build of xtask and runs in 0.4 s unoptimised; its command line takes ten times that to install.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::shell::{root, step};

mod browser;
mod compile;
mod site;

pub(crate) use browser::{browser_tests, pictures};
use compile::Toolchain;

/// The profile made for the browser: small before fast. The only one held to the size budget.
pub(crate) const PROFILE: &str = "wasm";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Cargo's profile for the build.
    #[arg(long, default_value = PROFILE)]
    profile: String,
    /// The compiler to take, instead of the first that works.
    #[arg(long)]
    toolchain: Option<Toolchain>,
    /// Then build the server (dev profile) and click through the page in a browser.
    #[arg(long)]
    test: bool,
    /// With `--test`: keep its pictures as those of docs/console.md.
    #[arg(long, requires = "test")]
    pictures: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let site = build_with(&args.profile, args.toolchain)?;
    if args.test {
        let pictures = if args.pictures { root().join("docs/pictures") } else { shots() };
        let (_, failed, _) = browser_tests(&server()?, &site, &pictures)?;
        anyhow::ensure!(failed == 0, "{failed} browser tests failed");
    }
    Ok(())
}

/// Where pictures are that nobody keeps.
pub(crate) fn shots() -> PathBuf {
    browser_dir().join("shots")
}

/// Builds the site folder and returns it. Quick when nothing changed.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    build_with(profile, None)
}

fn build_with(profile: &str, toolchain: Option<Toolchain>) -> Result<PathBuf> {
    let toolchain = compile::toolchain(toolchain)?;
    let cold = Duration::from_secs(180);
    let modules = step("compiling the console for the browser", cold, || {
        let compiled = compile::MODULES.iter().map(|module| {
            let code = compile::module(*module, profile, toolchain)?;
            Ok((module.name, code))
        });
        compiled.collect::<Result<Vec<_>>>()
    })?;
    let site = crate::shell::target()?.join("site");
    step("making the site folder", Duration::from_secs(10), || site::make(&modules, &site))?;
    for (name, _) in modules {
        let sizes = site::sizes(&site, name)?;
        eprintln!("    {}, {name}: {sizes}", site.display());
        if profile == PROFILE {
            sizes.check(name)?;
        }
    }
    Ok(site)
}

/// The server's half, in the dev profile, with what stands behind it.
fn server() -> Result<PathBuf> {
    step("building the server, and a shop behind a gateway", Duration::from_secs(90), || {
        let mut build = crate::shell::cargo();
        build.current_dir(root()).arg("build");
        // Some tests want a shop behind a gateway.
        for package in ["console", "gateway", "bookshop"] {
            build.args(["--package", package]);
        }
        crate::shell::run(&mut build)
    })?;
    Ok(crate::shell::target()?.join("debug/heddle-server"))
}

/// Where npm's share of this lies: the browser tests, and wasm-opt.
pub(crate) fn browser_dir() -> PathBuf {
    root().join("e2e/browser")
}
