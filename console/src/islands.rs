//! What is alive in the browser.

pub mod live;
#[cfg(feature = "hydrate")]
mod morph;
