//! The control plane through its public doors: a real `heddle-server`, asked over REST and by
//! `heddle`.
//!
//! Each test has a server of its own, over SQLite, or over a database of its own where
//! `HEDDLE_TEST_POSTGRES` names a server. `cargo xtask test --only control` runs this on both.

#![allow(clippy::unwrap_used, reason = "only tests are here")]

mod access;
mod apis;
mod bed;
mod change;
mod cli;
mod door;
mod people;
mod stranger;
