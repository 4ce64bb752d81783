//! One page a file: what it asks, and how it is drawn.

use control::Refusal;
use leptos::prelude::AnyView;

pub(crate) mod fleet;
pub(crate) mod overview;
pub(crate) mod refused;
pub(crate) mod settings;
pub(crate) mod sign_in;

/// A page, ready to be drawn.
pub(crate) type Drawn = Result<Box<dyn Fn() -> AnyView + Send + Sync>, Refusal>;

/// A page that `draw` makes of what was asked.
pub(crate) fn drawn(draw: impl Fn() -> AnyView + Send + Sync + 'static) -> Drawn {
    Ok(Box::new(draw))
}
