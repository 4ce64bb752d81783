//! One module a page; each shows its `Page`.

pub mod home;
pub mod missing;
