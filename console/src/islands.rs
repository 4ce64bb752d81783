//! What is alive in the browser.

#[cfg(feature = "hydrate")]
mod browser;
pub mod copy;
pub mod live;
pub mod matching;
pub mod mirror;
#[cfg(feature = "hydrate")]
mod morph;
pub mod palette;
pub mod sends;
pub mod weights;
