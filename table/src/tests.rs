//! Behaviour of whole tables, by small cases.

#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod abroad;
mod absent;
mod attachment;
mod borders;
mod callers;
mod claims;
mod closing;
mod datagrams;
mod encryption;
mod filters;
pub(crate) mod fixture;
mod grants;
mod grpc;
mod inbound;
mod lookup;
mod namespaces;
mod of_services;
mod outbound;
mod precedence;
mod reach;
mod reload;
mod services;
mod sets;
mod shadow;
mod strays;
mod stream;
mod tls;
mod traffic;
mod why;
mod zones;
