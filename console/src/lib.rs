//! The console: one component tree, rendered by the server and hydrated in the browser.
//!
//! ```text
//! heddle-server (ssr)                      browser (hydrate, wasm32)
//!   server -> shell -> App -> pages  ==>     hydrate -> App -> pages
//! ```
//!
//! What both halves draw lies in [`app`] and [`pages`]; what only the server may know lies behind
//! the feature `ssr`, so that the browser's half cannot link it.

#![forbid(unsafe_code)]

pub mod app;
pub mod pages;
#[cfg(feature = "ssr")]
pub mod server;
#[cfg(feature = "ssr")]
mod shell;

/// Takes over the server's HTML. The page calls it once its wasm is loaded.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_body(app::App);
}
