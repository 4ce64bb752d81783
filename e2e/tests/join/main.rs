//! A gateway that is joined to a control plane, which here is a small one in the test's own hand.

mod authority;
mod away;
mod bed;
mod certificate;
mod control;
mod entry;
mod followed;
mod future;
mod states;
