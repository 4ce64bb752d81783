//! The bookshop: a stock application of three services, for proxies to stand in front of.
//!
//! ```text
//! GET /  ->  storefront  --GET /orders->  orders  --GET /catalog->  catalog (v1, v2)
//! ```
//!
//! It knows nothing of Heddle and imports none of it: plain HTTP, one JSON reply per request.
//! Every reply names who gave it and nests the reply of the service that was called, so that one
//! request at the edge shows the whole way it took.

#![forbid(unsafe_code)]

mod args;
mod book;
mod catalog;
mod echo;
mod nameplate;
mod orders;
mod server;
mod service;
mod shop;
mod stats;
mod upstream;
mod visitors;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::service::Service;
use crate::shop::Shop;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bookshop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal asks it to stop.
async fn run(args: &Args) -> anyhow::Result<()> {
    let address = args.listen();
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let stop = CancellationToken::new();
    let shop = Arc::new(Shop::new(args, stop.clone()));
    // One write, so that the lines of several services do not mix.
    let ready = format!("{} answers on http://{}\n", shop.plate(), listener.local_addr()?);
    eprint!("{ready}");

    let serving = server::serve(listener, shop, stop.clone());
    let visiting = async {
        match args.service {
            Service::Visitors => visitors::visit(args, stop.clone()).await,
            Service::Storefront | Service::Orders | Service::Catalog => {}
        }
    };
    let working = futures::future::join(serving, visiting);
    tokio::pin!(working);
    tokio::select! {
        _ = &mut working => return Ok(()),
        signal = until_signal() => signal?,
    }
    stop.cancel();
    working.await;
    Ok(())
}

/// Resolves when somebody asks this process to stop.
async fn until_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupt = tokio::signal::ctrl_c() => interrupt.context("cannot listen for SIGINT"),
    }
}
