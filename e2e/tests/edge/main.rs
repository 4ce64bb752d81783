//! The gateway as strangers meet it: the real program, over real sockets.

mod access;
mod attack;
mod border;
mod call;
mod cli;
mod client_cert;
mod closed;
mod crowd;
mod drain;
mod failure;
mod faults;
mod filter;
mod heads;
mod pace;
mod ports;
mod protocol;
mod proxied;
mod reload;
mod routing;
mod scene;
mod seeing;
mod stream;
mod tls;
mod tunnel;
mod upload;
mod websocket;
