//! The console: pages that the server draws, and islands in them that come alive in the browser.
//!
//! ```text
//! heddle-server (ssr)                                          browser (hydrate, wasm32)
//!   door ── who comes ── page ── use cases of control ── draw  ==>  islands ── REST
//! ```
//!
//! A page is whole before any script runs. What the browser does by itself lies in `islands`, which both
//! halves have; all else lies behind the feature `ssr`, so that the browser's half cannot link it.
//! `docs/adr/021-islands.md` says why.
//!
//! Architecture Invariant: pages ask the use cases that REST has and islands ask REST, so the console
//! can do nothing that a program cannot.

#![forbid(unsafe_code)]
// A view is one type, as deep as its page; erasing the parts of an island would be loaded by every page.
#![recursion_limit = "256"]

pub mod islands;

#[cfg(feature = "ssr")]
mod edit;
#[cfg(feature = "ssr")]
mod form;
#[cfg(feature = "ssr")]
mod frame;
#[cfg(feature = "ssr")]
mod pages;
#[cfg(feature = "ssr")]
mod parts;
#[cfg(feature = "ssr")]
pub mod server;
#[cfg(feature = "ssr")]
mod shape;

/// Makes the islands of the page come alive. The page calls it once its wasm is loaded.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
