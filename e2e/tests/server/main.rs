//! `heddle-server` and the store it keeps, as whoever runs it meets them: started and ended, backed
//! up, restored, moved from database to database, verified, and refused with what would be right.
//!
//! `cargo xtask test --only store` runs this, since it wants a PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

mod backup;
mod bed;
mod copying;
mod life;
mod refusal;
