//! Behaviour of whole tables, by small cases.

mod attachment;
mod closing;
mod fixture;
mod lookup;
mod precedence;
mod reload;
mod services;
mod tls;
mod why;
