//! Proxies beside applications, as their users meet them: who reaches an application, and by which
//! policy.

mod bounds;
mod bytes;
mod capture;
mod cloth;
mod denied;
mod explain;
mod failover;
mod inbound;
mod limit;
mod loss;
mod outbound;
mod passport;
mod place;
mod revoked;
mod rotation;
mod scene;
mod split;
mod steady;
mod traffic;
mod two;
